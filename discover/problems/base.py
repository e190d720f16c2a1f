"""Problem: what is regressed on what, and through which operator on the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array

from discover.exceptions import DataError
from discover.kernels import terms as kernel
from discover.libraries.termtable import TermTable
from discover.observations import Trajectory, velocity_name
from discover.statistics import MonomialRows
from discover.typing import FloatArray, IntArray

__all__ = ["DesignRows", "Form", "Problem"]


@dataclass(frozen=True, eq=False)
class Problem:
    """A regression problem: rows of pointwise inputs and what they should explain.

    Parameters
    ----------
    inputs : ndarray of shape (n_samples, n_inputs)
        States, controls and, if asked for, time; what libraries are functions of.
    targets : ndarray of shape (n_rows, n_targets)
    input_names, target_names : tuple of str
    kind : {"continuous", "map", "increment"}
        What the targets are; see :class:`discover.SymbolicModel`.
    rows : csr_array of shape (n_rows, n_samples), optional
        The operator that turns a column of terms into a column of the regression;
        None for the identity.
    edges : ndarray of int
        Row numbers where runs begin, and n_rows.
    n_effective : float
        How many rows are independent of each other.
    floor : ndarray of shape (n_targets,)
        Root-mean-square error of the targets made by this problem itself.
    dt : float, optional
        Time step of a map.
    left_out : tuple of str
        What was not used, and why.
    """

    inputs: FloatArray
    targets: FloatArray
    input_names: tuple[str, ...]
    target_names: tuple[str, ...]
    kind: str
    rows: csr_array | None
    edges: IntArray
    n_effective: float
    floor: FloatArray
    dt: float | None = None
    left_out: tuple[str, ...] = ()

    @property
    def n_rows(self) -> int:
        """Number of rows of the regression."""
        return len(self.targets)

    def source(self, table: TermTable) -> DesignRows:
        """Return the rows of the regression for a table of terms."""
        return DesignRows(self, table)

    def apply(self, values: FloatArray) -> FloatArray:
        """Apply the row operator to columns of values at the samples."""
        return values if self.rows is None else np.asarray(self.rows @ values)


class Form(Protocol):
    """A recipe that poses a problem: strong, weak, map, increment."""

    def pose(self, runs: Sequence[Trajectory], *, include_time: bool = False) -> Problem:
        """Turn observations into a problem.

        A form for second-order laws also takes ``order=2``.
        """
        ...


class DesignRows:
    """Rows ``[theta, y]`` of a problem, written tile by tile; a RowSource.

    Parameters
    ----------
    problem : Problem
    table : TermTable
        Its inputs must be those of the problem.
    """

    def __init__(self, problem: Problem, table: TermTable) -> None:
        if table.inputs != problem.input_names:
            raise ValueError(
                f"library: the inputs must be {list(problem.input_names)}; "
                f"got {list(table.inputs)}."
            )
        self.problem = problem
        self.table = table
        self.n_rows = problem.n_rows
        self.n_terms = table.n_terms
        self.n_targets = problem.targets.shape[1]
        self.edges = problem.edges
        powers = None if problem.rows is not None else table.powers()
        self.monomials = (
            None if powers is None else MonomialRows(powers, problem.inputs, problem.targets)
        )
        self._slots = np.empty((table.n_slots, 0))
        self._theta = np.empty((0, table.n_terms))

    def check_finite(self) -> None:
        """Raise if a term is not finite on some row, naming both.

        Raises
        ------
        DataError
        """
        inputs = self.problem.inputs
        for start in range(0, len(inputs), 4096):
            bad = ~np.isfinite(self.table.evaluate(inputs[start : start + 4096]))
            if bad.any():
                row, term = np.argwhere(bad)[0]
                state = dict(zip(self.table.inputs, inputs[start + row].tolist(), strict=True))
                raise DataError(
                    f"library: the term {self.table.names[term]!r} is not finite at row "
                    f"{start + row}, where the inputs are {state}. Leave it out, or leave out "
                    "the rows where it is not defined."
                )

    def subset(self, terms: IntArray) -> DesignRows:
        """Return the rows with some of the terms."""
        return DesignRows(self.problem, self.table.select(terms.tolist()))

    def write(self, start: int, stop: int, scale: FloatArray, out: FloatArray) -> None:
        """Write scaled rows ``start .. stop`` into ``out[:, : stop - start]``."""
        p, n = self.n_terms, stop - start
        if self.problem.rows is None:
            self._write_samples(start, n, scale, out)
        else:
            out[:p, :n] = self._operated(self.problem.rows, start, stop).T
            out[:p, :n] *= scale[:p, None]
        np.multiply(self.problem.targets[start:stop].T, scale[p:, None], out=out[p:, :n])

    def _write_samples(self, start: int, n: int, scale: FloatArray, out: FloatArray) -> None:
        if self._slots.shape[1] < n:
            self._slots = np.empty((self.table.n_slots, n))
        table, inputs = self.table, self.problem.inputs
        kernel.terms_by_column(
            table.program, table.constants, table.outputs, scale, inputs, start, n,
            self._slots, out,
        )  # fmt: skip

    def _operated(self, rows: csr_array, start: int, stop: int) -> FloatArray:
        """Evaluate the terms on the samples these rows touch, and apply the rows to them."""
        low, high = int(rows.indptr[start]), int(rows.indptr[stop])
        touched = rows.indices[low:high]
        first = int(touched.min(initial=rows.shape[1]))
        last = max(int(touched.max(initial=0)) + 1, first)
        if len(self._theta) < last - first:
            self._theta = np.empty((last - first, self.n_terms))
        theta = self._theta[: last - first]
        table = self.table
        work = np.empty((table.n_slots, kernel.TILE))
        samples = self.problem.inputs[first:last]
        kernel.terms_by_row(table.program, table.constants, table.outputs, samples, work, theta)
        block = csr_array(
            (rows.data[low:high], touched - first, rows.indptr[start : stop + 1] - low),
            shape=(stop - start, last - first),
        )
        return np.asarray(block @ theta)


def input_rows(run: Trajectory, include_time: bool, states: FloatArray | None = None) -> FloatArray:
    """Return states, controls and time side by side, shape (n_samples, n_inputs).

    `states` stand for those of the run.
    """
    parts = [run.states if states is None else states]
    if run.controls is not None:
        parts.append(run.controls)
    if include_time:
        parts.append(run.times[:, None])
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def input_names(run: Trajectory, include_time: bool, order: int = 1) -> tuple[str, ...]:
    """Return the names of the columns of :func:`input_rows`.

    With second-order laws the velocities follow the states.
    """
    velocities = () if order == 1 else tuple(map(velocity_name, run.state_names))
    time = ("t",) if include_time else ()
    return (*run.state_names, *velocities, *run.control_names, *time)


def cut_notes(n_runs: int, n_pieces: int, short: int, shortest: int) -> list[str]:
    """Say into how many stretches runs were cut, and how many samples are in too short ones."""
    notes = []
    if n_pieces > n_runs:
        notes.append(f"cut at gaps: {n_runs} run(s), {n_pieces} stretches")
    if short:
        notes.append(f"{short} samples in stretches of fewer than {shortest} were left out")
    return notes


def usable_segments(
    runs: Sequence[Trajectory], shortest: int, owner: str, max_gap: float | None = None
) -> tuple[list[Trajectory], tuple[str, ...]]:
    """Cut runs at gaps and missing samples; say what is left out.

    Raises
    ------
    DataError
        If no stretch has `shortest` samples.
    """
    pieces = [piece for run in runs for piece in run.segments(max_gap)]
    kept = [piece for piece in pieces if len(piece) >= shortest]
    notes = []
    missing = sum(int((~run.complete).sum()) for run in runs)
    if missing:
        notes.append(f"{missing} incomplete samples (NaN) were left out")
    short = sum(len(piece) for piece in pieces) - sum(len(piece) for piece in kept)
    notes += cut_notes(len(runs), len(pieces), short, shortest)
    if not kept:
        raise DataError(
            f"{owner}: needs a stretch of at least {shortest} complete samples without a gap; the "
            f"longest has {max((len(p) for p in pieces), default=0)}."
        )
    return kept, tuple(notes)


def stacked(arrays: Sequence[FloatArray]) -> FloatArray:
    """Concatenate rows; a single array is passed through without a copy."""
    array = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return np.ascontiguousarray(array)


def run_edges(lengths: Sequence[int]) -> IntArray:
    """Return the row numbers where runs of these lengths begin, and the total."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
