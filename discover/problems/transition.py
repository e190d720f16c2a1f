"""Maps: regress the next sample, or the step to it, on the present one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.base import BaseEstimator

from discover.exceptions import DataError
from discover.observations import Trajectory
from discover.problems.base import (
    Problem,
    input_names,
    input_rows,
    run_edges,
    stacked,
    usable_segments,
)
from discover.problems.piecewise import Piecewise, settled_gap
from discover.typing import BoolArray

__all__ = ["Transition"]


class Transition(BaseEstimator):
    """Pose ``x[k+1] = f(x[k])`` or ``x[k+1] - x[k] = f(x[k])``.

    Parameters
    ----------
    kind : {"map", "increment"}, default="map"
    max_gap : float, optional
        Longest interval that is not a gap; see :class:`WeakForm`.

    Notes
    -----
    Samples must be equally spaced; pairs across gaps or missing samples are not formed.
    """

    def __init__(
        self, kind: Literal["map", "increment"] = "map", *, max_gap: float | None = None
    ) -> None:
        self.kind = kind
        self.max_gap = max_gap

    def pose(self, runs: Sequence[Trajectory], *, include_time: bool = False) -> Problem:
        """Turn observations into a problem; see :meth:`WeakForm.pose`."""
        if self.kind not in ("map", "increment"):
            raise ValueError(f"Transition: kind must be 'map' or 'increment'; got {self.kind!r}.")
        steps = np.concatenate([np.diff(run.times) for run in runs])
        dt = runs[0].dt if all(run.is_uniform for run in runs) else float(np.median(steps))
        pieces, notes = usable_segments(runs, 2, "Transition", self.max_gap)
        inputs, targets = [], []
        for piece in pieces:
            rows = input_rows(piece, include_time)
            regular = _regular(piece, dt)
            base = piece.states[:-1] if self.kind == "increment" else 0.0
            goal = piece.states[1:] - base
            inputs.append(rows[:-1][regular])
            targets.append(goal[regular])
        lost = len(steps) - sum(len(rows) for rows in targets)
        if lost > 0.5 * len(steps):
            raise DataError(
                "Transition: a map needs equally spaced samples; most steps differ from the "
                f"median {dt:g}. For irregular times use SINDy."
            )
        if lost:
            notes = (*notes, f"{lost} steps of a length other than {dt:g} were left out")
        goals = stacked(targets)
        return Problem(
            inputs=stacked(inputs),
            targets=goals,
            input_names=input_names(runs[0], include_time),
            target_names=tuple(runs[0].state_names),
            kind=self.kind,
            rows=None,
            edges=run_edges([len(rows) for rows in targets]),
            n_effective=float(len(goals)),
            floor=np.asarray(1e-9 * np.sqrt(np.mean(goals**2, axis=0))),
            dt=dt,
            left_out=notes,
        )

    def piecewise(self, runs: Sequence[Trajectory], *, include_time: bool = False) -> Piecewise:
        """Settle the step on the head of the data; see :class:`Piecewise`."""
        gap = settled_gap(runs, self.max_gap)
        dt = self.pose(runs, include_time=include_time).dt
        assert dt is not None
        return _PiecewiseTransition(0, 1, 1, include_time, gap, self.kind, dt)


@dataclass(frozen=True)
class _PiecewiseTransition(Piecewise):
    """Pairs of neighbouring samples."""

    kind: Literal["map", "increment"]
    dt: float

    def pose_rows(self, stretch: Trajectory, first: int, last: int) -> Problem | None:
        last = min(last, len(stretch) - 1)
        if last <= first:
            return None
        pairs = stretch.select(slice(first, last + 1))
        regular = _regular(pairs, self.dt)
        base = pairs.states[:-1] if self.kind == "increment" else 0.0
        goals = np.ascontiguousarray((pairs.states[1:] - base)[regular])
        return Problem(
            inputs=np.ascontiguousarray(input_rows(pairs, self.include_time)[:-1][regular]),
            targets=goals,
            input_names=input_names(stretch, self.include_time),
            target_names=tuple(stretch.state_names),
            kind=self.kind,
            rows=None,
            edges=run_edges([len(goals)]),
            n_effective=float(len(goals)),
            floor=np.asarray(1e-9 * np.sqrt(np.mean(goals**2, axis=0))),
            dt=self.dt,
        )


def _regular(run: Trajectory, dt: float) -> BoolArray:
    """Return which steps have length `dt`."""
    rounding = 1e-6 * dt + 1e-9 * abs(run.times[-1])
    return np.asarray(np.abs(np.diff(run.times) - dt) <= rounding)
