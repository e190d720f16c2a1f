"""Dask arrays, and xarray objects backed by them, reduced where their chunks live."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from discover.exceptions import DataError
from discover.libraries.termtable import TermTable
from discover.observations import Trajectory
from discover.problems import DesignRows, PartedRows, Piecewise, Problem
from discover.typing import FloatArray, IntArray

__all__ = ["DaskData", "DaskRows", "first_problem", "is_dask", "open_dask"]

_HEAD = 20_000  # samples on which automatic choices are made


def is_dask(X: Any) -> bool:
    """Whether data are a Dask array, or an xarray object whose values are; imports neither."""
    if type(X).__module__.partition(".")[0] == "dask":
        return True
    if type(X).__module__.partition(".")[0] != "xarray":
        return False
    values = X.values() if hasattr(X, "data_vars") else [X]
    return any(getattr(value, "chunks", None) is not None for value in values)


def _dask_array() -> Any:
    import dask.array

    return dask.array


@dataclass(frozen=True, eq=False)
class DaskData:
    """One run held in a Dask array, with its beginning in memory.

    Parameters
    ----------
    array : dask array of shape (n_samples, n_states + n_controls)
    times : ndarray of shape (n_samples,), or None
        None for samples `dt` apart, from time 0.
    head : Trajectory
        The first samples, which know names, units and the sampling interval.
    """

    array: Any
    times: FloatArray | None
    head: Trajectory

    @property
    def edges(self) -> IntArray:
        """Row numbers where chunks begin, and the number of rows."""
        return np.concatenate([[0], np.cumsum(self.array.chunks[0])]).astype(np.int64)

    def clock(self, start: int, stop: int) -> tuple[int, float] | FloatArray:
        """Return the times of rows, or what they follow from."""
        if self.times is None:
            return start, self.head.dt
        return self.times[start:stop]


def open_dask(X: Any, t: Any, u: Any, read: Callable[..., list[Trajectory]]) -> DaskData:
    """Lay out a Dask-backed run; computes its first rows only.

    Parameters
    ----------
    X : dask array of shape (n_samples, n_states), xarray DataArray or Dataset
    t : float, array of shape (n_samples,), str, or None
    u : dask array or ndarray of shape (n_samples, n_controls), optional
    read : callable
        Makes trajectories of the head: ``read(X, t, u)``.
    """
    arrays = _dask_array()
    array, clock, head = _laid_out(X, t)
    controls = None
    if u is not None:
        controls = arrays.asarray(u)
        controls = controls[:, None] if controls.ndim == 1 else controls
        if len(controls) != len(array):
            raise DataError(
                f"SINDy: u must have one row per row of X; got {len(controls)} and {len(array)}."
            )
    n = min(len(array), _HEAD)
    few = None if controls is None else np.asarray(controls[:n])
    interval = clock if clock is None or np.ndim(clock) == 0 else np.asarray(clock[:n])
    run = read(head, interval, few)[0]
    times = None if clock is None or np.ndim(clock) == 0 else _seconds(clock)
    if controls is not None:
        array = arrays.concatenate([array, controls.rechunk((array.chunks[0], -1))], axis=1)
    return DaskData(array.rechunk({1: -1}), times, run)


def _laid_out(X: Any, t: Any) -> tuple[Any, Any, Any]:
    """Return the values as a Dask array, the clock, and the head in memory."""
    arrays = _dask_array()
    if type(X).__module__.partition(".")[0] == "dask":
        if not hasattr(X, "chunks") or isinstance(t, str):
            raise DataError("SINDy: X must be a Dask array (not a dataframe), and t its times.")
        array = X[:, None] if X.ndim == 1 else X
        if np.isnan(array.shape[0]):
            raise DataError("SINDy: X has chunks of unknown length; call compute_chunk_sizes().")
        clock = t if t is None or np.ndim(t) == 0 else np.asarray(t)
        return array, clock, np.asarray(array[:_HEAD])
    first = X.to_dataarray("variable") if hasattr(X, "data_vars") else X
    time = t if isinstance(t, str) else next((d for d in first.dims if d in ("time", "t")), None)
    time = first.dims[0] if time is None else time
    others = [d for d in first.dims if d != time]
    if len(others) > 1:
        raise DataError(f"SINDy: X must have time and one other dimension; got {first.dims}.")
    ordered = first.transpose(time, *others)
    array = arrays.asarray(ordered.data)
    array = array[:, None] if array.ndim == 1 else array
    clock = t if t is not None and not isinstance(t, str) else np.asarray(first[time].values)
    head = X.isel({time: slice(0, _HEAD)}).compute()
    return array, clock, head


def _seconds(clock: Any) -> FloatArray:
    """Return times as numbers; dates as seconds from the first."""
    times = np.asarray(clock)
    if times.dtype.kind in "mM":
        start = times[0] if times.dtype.kind == "M" else np.timedelta64(0, "s")
        return np.asarray((times - start) / np.timedelta64(1, "s"), dtype=np.float64)
    return np.asarray(times, dtype=np.float64)


class DaskRows(PartedRows):
    """Rows of a regression whose samples live in the chunks of a Dask array.

    Parameters
    ----------
    data : DaskData
    rules : Piecewise
        The form, with its automatic choices made on the head.
    table : TermTable

    Notes
    -----
    A task holds one chunk and the few samples that its rows need of the neighbours. It
    returns a sum over its rows, a matrix of terms by terms; sums are added two by two.
    Tasks have no side effects, so that a worker that is lost costs only its work.
    """

    def __init__(self, data: DaskData, rules: Piecewise, table: TermTable) -> None:
        super().__init__(table)
        self.data, self.rules = data, rules

    def reduce(self, fold: Callable[[DesignRows], Any]) -> Any:
        """Return the sum of what `fold` makes of each chunk."""
        from dask.delayed import delayed

        n, stride = len(self.data.array), self.rules.stride
        tasks = []
        for low, high in pairwise(self.data.edges.tolist()):
            first = -(-low // stride) * stride  # owners are counted from the start of the run
            start = max(0, first - self.rules.before)
            stop = min(n, high + self.rules.after)
            if first >= high:
                continue
            last = high - start if stop < n or high < n else stop - start
            tasks.append(
                delayed(_folded)(
                    self.data.array[start:stop],
                    self.data.clock(start, stop),
                    self.data.head.select(slice(0, 1)),
                    self.rules,
                    self.table,
                    fold,
                    first - start,
                    last,
                )
            )
        while len(tasks) > 1:
            pairs = [tasks[i : i + 2] for i in range(0, len(tasks), 2)]
            tasks = [delayed(_added)(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
        total = tasks[0].compute() if tasks else None
        if total is None:
            raise DataError("SINDy: the chunks hold no row; they are too short.")
        return total

    def subset(self, terms: IntArray) -> DaskRows:
        """Return the rows with some of the terms."""
        return DaskRows(self.data, self.rules, self.table.select(terms.tolist()))


def _added(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _folded(
    block: FloatArray,
    clock: Any,
    pattern: Trajectory,
    rules: Piecewise,
    table: TermTable,
    fold: Callable[[DesignRows], Any],
    first: int,
    last: int,
) -> Any:
    """Return the sum over the rows that samples ``first ... < last`` of a block own."""
    block = np.ascontiguousarray(block, dtype=np.float64)
    if isinstance(clock, tuple):
        begin, dt = clock
        clock = (begin + np.arange(len(block))) * dt
    q = pattern.n_states
    controls = block[:, q:] if pattern.n_controls else None
    stretch = replace(pattern, states=block[:, :q], times=clock, controls=controls)
    total = None
    for problem in _problems(stretch, rules, first, last):
        total = _added(total, fold(problem.source(table)))
    return total


def _problems(stretch: Trajectory, rules: Piecewise, first: int, last: int) -> list[Problem]:
    """Pose a whole block; one with holes is cut at them, each part for itself."""
    segments = stretch.segments(rules.max_gap)
    if len(segments) == 1 and len(segments[0]) == len(stretch):
        posed = [rules.pose_rows(stretch, first, last)]
    else:
        posed = [rules.advance(segment, 0, True)[0] for segment in segments]
    return [problem for problem in posed if problem is not None and problem.n_rows]


def first_problem(data: DaskData, rules: Piecewise) -> Problem:
    """Return a problem of the head, for its names."""
    problem = rules.advance(data.head, 0, True)[0]
    if problem is None:
        raise DataError("SINDy: the first samples hold no row; more of them must be complete.")
    return problem
