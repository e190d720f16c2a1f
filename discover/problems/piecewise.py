"""Problems posed piece by piece: rows that reach across the ends of pieces are not lost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from discover.exceptions import DataError
from discover.libraries.termtable import TermTable
from discover.observations import Trajectory, default_max_gap
from discover.problems.base import DesignRows, Problem
from discover.statistics import SufficientStatistics, accumulate, orthogonalize
from discover.typing import IntArray

__all__ = ["PartedRows", "Piecewise", "Stream", "StreamedRows", "part_statistics", "pose_stream"]

_SAMPLES_FOR_SCALES = 20_000  # of the head, on which automatic choices are made
_FEWEST_FOR_SCALES = 1_000


@dataclass(frozen=True)
class Piecewise(ABC):
    """A form whose automatic choices are made, so that pieces of a run can be posed alone.

    Parameters
    ----------
    before, after : int
        How many samples a row needs before and after the sample that owns it.
    stride : int
        Samples from one owner to the next.
    include_time : bool
        Whether time is a column of the inputs.
    max_gap : float
        The longest interval that is not a gap, in units of time.
    """

    before: int
    after: int
    stride: int
    include_time: bool
    max_gap: float

    @abstractmethod
    def pose_rows(self, stretch: Trajectory, first: int, last: int) -> Problem | None:
        """Pose the rows that samples ``first, first + stride, ... < last`` own.

        Parameters
        ----------
        stretch : Trajectory
            Complete samples without a gap; where it does not begin or end with the run, it
            has what the rows need before and after.
        first, last : int

        Returns
        -------
        Problem or None
            None if there is no row.
        """

    def advance(
        self, stretch: Trajectory, first: int, closed: bool
    ) -> tuple[Problem | None, int, int]:
        """Pose all rows that can be posed by now.

        Parameters
        ----------
        stretch : Trajectory
            What is held of a run.
        first : int
            The first sample whose row was not posed yet.
        closed : bool
            Whether the run ends with this stretch.

        Returns
        -------
        problem : Problem or None
        drop : int
            How many samples at the head are not needed any more.
        first : int
            The first sample whose row was not posed, once they are dropped.
        """
        last = len(stretch) if closed else len(stretch) - self.after
        if last <= first:
            return None, 0, first
        following = first + self.stride * -(-(last - first) // self.stride)
        drop = max(0, following - self.before)
        return self.pose_rows(stretch, first, last), drop, following - drop


class Stream:
    """Observations that come in pieces, as problems.

    Parameters
    ----------
    form : form with a method ``piecewise``
    include_time : bool, default=False
    fewest : int, default=1000
        Samples to wait for before the automatic choices of the form are made.

    Notes
    -----
    A piece continues the run before it if it has the same name and its times go on;
    otherwise that run is over. Runs are cut at gaps as they are in memory, but what is a
    gap, and every automatic choice of the form, is settled on the first pieces. Only the
    end of the run is kept between pieces.
    """

    def __init__(
        self, form: Any, include_time: bool = False, *, fewest: int = _FEWEST_FOR_SCALES
    ) -> None:
        self.form, self.include_time, self.fewest = form, include_time, fewest
        self.rules: Piecewise | None = None
        self._waiting: list[Trajectory] = []
        self._open: Trajectory | None = None
        self._first = 0

    def push(self, piece: Trajectory) -> Iterator[Problem]:
        """Take in a piece; yield the problems that are complete with it."""
        if self.rules is None:
            self._waiting.append(piece)
            if sum(map(len, self._waiting)) >= self.fewest:
                yield from self._begin()
            return
        if self._open is not None and not _continues(self._open, piece):
            yield from self._advance(self._open, closed=True)
            self._open, self._first = None, 0
        held = piece if self._open is None else _joined(self._open, piece)
        yield from self._segments(held)

    def close(self) -> Iterator[Problem]:
        """End the run; yield the problems that were waiting for more."""
        if self.rules is None:
            yield from self._begin()
        if self._open is not None:
            yield from self._advance(self._open, closed=True)
        self._open, self._first = None, 0

    def _begin(self) -> Iterator[Problem]:
        """Settle the automatic choices, then take in what has come so far."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            raise DataError("SINDy: the stream holds no piece.")
        self.rules = self.form.piecewise(_heads(waiting), include_time=self.include_time)
        for piece in waiting:
            yield from self.push(piece)

    def _segments(self, held: Trajectory) -> Iterator[Problem]:
        assert self.rules is not None
        segments = held.segments(self.rules.max_gap)
        for position, segment in enumerate(segments):
            ends = position < len(segments) - 1
            yield from self._advance(replace(segment, name=held.name), closed=ends)
            if ends:
                self._open, self._first = None, 0

    def _advance(self, stretch: Trajectory, closed: bool) -> Iterator[Problem]:
        assert self.rules is not None
        problem, drop, self._first = self.rules.advance(stretch, self._first, closed)
        drop = min(drop, len(stretch) - 1)
        if not closed:
            self._open = stretch.select(slice(drop, None))
        if problem is not None:
            yield problem


def _continues(open_run: Trajectory, piece: Trajectory) -> bool:
    same = open_run.name == piece.name
    names = (piece.state_names, piece.control_names)
    if names != (open_run.state_names, open_run.control_names):
        raise DataError(
            f"SINDy: pieces must have the same columns; got {names} after "
            f"{(open_run.state_names, open_run.control_names)}."
        )
    return same and bool(piece.times[0] > open_run.times[-1])


def _joined(first: Trajectory, second: Trajectory) -> Trajectory:
    controls = None
    if first.controls is not None and second.controls is not None:
        controls = np.concatenate([first.controls, second.controls])
    return replace(
        second,
        states=np.concatenate([first.states, second.states]),
        times=np.concatenate([first.times, second.times]),
        controls=controls,
    )


def _heads(pieces: Iterable[Trajectory]) -> list[Trajectory]:
    """Join consecutive pieces; each run as long as scales are estimated on."""
    runs: list[Trajectory] = []
    for piece in pieces:
        if runs and _continues(runs[-1], piece):
            runs[-1] = _joined(runs[-1], piece)
        else:
            runs.append(piece)
    return [run.select(slice(0, _SAMPLES_FOR_SCALES)) for run in runs]


def settled_gap(runs: Iterable[Trajectory], max_gap: float | None) -> float:
    """Return the longest interval that is not a gap, from the head of the data."""
    if max_gap is not None:
        return max_gap
    return max(default_max_gap(run.times[run.complete]) for run in runs)


# -- rows in parts ---------------------------------------------------------------------


class PartedRows(ABC):
    """Rows of a regression that are never all at hand; sums over them are.

    Parameters
    ----------
    table : TermTable
    """

    def __init__(self, table: TermTable) -> None:
        self.table = table

    @abstractmethod
    def reduce(self, fold: Callable[[DesignRows], Any]) -> Any:
        """Return the sum of what `fold` makes of each part; it must be picklable."""

    @abstractmethod
    def subset(self, terms: IntArray) -> PartedRows:
        """Return the rows with some of the terms."""

    def statistics(self, n_blocks: int | None, lags: bool = False) -> SufficientStatistics:
        """Return the statistics of all rows, in one pass."""
        total: SufficientStatistics = self.reduce(
            partial(part_statistics, n_blocks=n_blocks, lags=lags)
        )
        effective = min(total.n_samples, max(total.effective_samples, 1.0))
        if n_blocks is not None:
            total = total.merged(n_blocks)
        return replace(total, n_effective=effective)

    def orthogonalized(self, stats: SufficientStatistics) -> SufficientStatistics:
        """Return statistics with the R factor of all rows, in another pass."""
        total: SufficientStatistics = self.reduce(partial(part_statistics, n_blocks=1, factor=True))
        return replace(stats, factor=total.rescaled(stats.exponents).factor)

    def check_finite(self) -> None:
        """Raise if a term is not finite on some row, naming both."""
        self.reduce(_check_part)


def part_statistics(
    part: DesignRows, n_blocks: int | None, lags: bool = False, factor: bool = False
) -> SufficientStatistics:
    """Return the statistics of one part, with what its problem knows of the rows."""
    stats = accumulate(part, n_blocks=n_blocks, lags=lags)
    if not np.isfinite(stats.total).all():
        part.check_finite()
    if factor:
        stats = orthogonalize(part, stats)
    problem = part.problem
    return replace(stats, n_effective=problem.n_effective, floor=problem.floor)


def _check_part(part: DesignRows) -> int:
    part.check_finite()
    return 0


def pose_stream(
    pieces: Iterable[Trajectory], form: Any, include_time: bool = False
) -> Iterator[Problem]:
    """Yield the problems of pieces, from the first to the end of the last run."""
    stream = Stream(form, include_time)
    for piece in pieces:
        yield from stream.push(piece)
    yield from stream.close()


class StreamedRows(PartedRows):
    """Rows of a stream that can be read again.

    Parameters
    ----------
    read : callable
        Returns an iterator over the pieces, from the first one on.
    form : form
    include_time : bool
    table : TermTable
    """

    def __init__(
        self,
        read: Callable[[], Iterable[Trajectory]],
        form: Any,
        include_time: bool,
        table: TermTable,
    ) -> None:
        super().__init__(table)
        self.read, self.form, self.include_time = read, form, include_time

    def reduce(self, fold: Callable[[DesignRows], Any]) -> Any:
        """Return the sum of what `fold` makes of each part."""
        total = None
        for problem in pose_stream(self.read(), self.form, self.include_time):
            value = fold(problem.source(self.table))
            total = value if total is None else total + value
        if total is None:
            raise DataError("SINDy: the pieces hold no row; no run is long enough.")
        return total

    def subset(self, terms: IntArray) -> StreamedRows:
        """Return the rows with some of the terms."""
        table = self.table.select(terms.tolist())
        return StreamedRows(self.read, self.form, self.include_time, table)
