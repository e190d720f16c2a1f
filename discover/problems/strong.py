"""Strong form: differentiate the data and regress the derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.base import BaseEstimator

from discover.observations import Trajectory
from discover.problems.base import (
    Problem,
    input_names,
    input_rows,
    run_edges,
    stacked,
    usable_segments,
)
from discover.problems.differentiation import FiniteDifference, as_differentiator
from discover.problems.piecewise import Piecewise, settled_gap
from discover.problems.scales import noise_level, time_scale
from discover.problems.weak import bump
from discover.typing import FloatArray

__all__ = ["StrongForm"]

_SAMPLES_FOR_SCALES = 1_500
_FEWEST_POINTS = 7  # samples in half a window below which nothing can be said
_POWER = 8  # of the bump: its quadrature is exact to 1e-8 and better
_MARGIN = 5.0  # windows smooth the error they measure, and runs differ


class StrongForm(BaseEstimator):
    """Pose ``dx/dt = f(x)`` with estimated derivatives as the targets.

    For second-order laws the differentiator is applied twice.

    Parameters
    ----------
    differentiator : optional
        By default :class:`FiniteDifference` of order 4, or 6 for second-order laws. Also
        those of pysindy and of the package ``derivative``.
    max_gap : float, optional
        Longest interval that is not a gap; see :class:`WeakForm`.

    Notes
    -----
    The systematic error of the derivatives is measured, not assumed: against smooth test
    functions, ``∫ phi dx/dt dt`` must equal ``-∫ phi' x dt``, and the difference, in
    which white noise all but cancels, becomes the floor of the problem. The effective
    number of rows is the total time over a fifth of the period of the fastest state.
    """

    def __init__(self, differentiator: Any = None, *, max_gap: float | None = None) -> None:
        self.differentiator = differentiator
        self.max_gap = max_gap

    def pose(
        self, runs: Sequence[Trajectory], *, include_time: bool = False, order: int = 1
    ) -> Problem:
        """Turn observations into a problem; see :meth:`WeakForm.pose`."""
        if order not in (1, 2):
            raise ValueError(f"StrongForm: order must be 1 or 2; got {order!r}.")
        method = as_differentiator(
            FiniteDifference(2 + 2 * order) if self.differentiator is None else self.differentiator
        )
        shortest = getattr(method, "fewest_samples", 3)
        pieces, notes = usable_segments(runs, shortest, "StrongForm", self.max_gap)
        inputs, targets = [], []
        for piece in pieces:
            states, slopes = _derivatives(method, piece, order)
            rows = input_rows(piece, include_time, states)
            if not np.isfinite(slopes).all():
                known = np.isfinite(slopes).all(axis=1)
                rows, slopes = rows[known], slopes[known]
            inputs.append(rows)
            targets.append(slopes)
        lost = sum(len(p) for p in pieces) - sum(len(rows) for rows in targets)
        if lost:
            notes = (*notes, f"{lost} samples without a derivative were left out")
        stacked_targets = stacked(targets)
        sample = [_head(max(pieces, key=len))]
        period = time_scale(sample, noise_level(sample))
        time = sum(float(p.times[-1] - p.times[0]) for p in pieces)
        return Problem(
            inputs=stacked(inputs),
            targets=stacked_targets,
            input_names=input_names(runs[0], include_time, order),
            target_names=tuple(runs[0].state_names),
            kind="continuous",
            rows=None,
            edges=run_edges([len(rows) for rows in targets]),
            n_effective=min(float(len(stacked_targets)), max(time / (0.2 * period), 1.0)),
            floor=_systematic_error(sample[0], method, period, order),
            left_out=notes,
        )

    def piecewise(self, runs: Sequence[Trajectory], *, include_time: bool = False) -> Piecewise:
        """Settle the automatic choices on the head of the data; see :class:`Piecewise`.

        Raises
        ------
        ValueError
            If the differentiator needs a whole run at once.
        """
        method: Any = as_differentiator(
            FiniteDifference(4) if self.differentiator is None else self.differentiator
        )
        reach = getattr(method, "reach", None)
        if reach is None:
            raise ValueError(
                f"StrongForm: {type(method).__name__} needs whole runs, and cannot be used piece "
                "by piece; use FiniteDifference or SavitzkyGolay."
            )
        gap = settled_gap(runs, self.max_gap)
        pieces, _ = usable_segments(runs, method.fewest_samples, "StrongForm", gap)
        sample = [_head(max(pieces, key=len))]
        period = time_scale(sample, noise_level(sample))
        floor = _systematic_error(sample[0], method, period, 1)
        # the end of a run is told from a whole stencil, however few rows are left
        before = max(reach, method.fewest_samples - reach)
        return _PiecewiseStrong(before, reach, 1, include_time, gap, method, period, floor)


@dataclass(frozen=True)
class _PiecewiseStrong(Piecewise):
    """Derivatives by a stencil."""

    method: Any
    period: float
    floor: FloatArray

    def pose_rows(self, stretch: Trajectory, first: int, last: int) -> Problem | None:
        if len(stretch) < self.method.fewest_samples or last <= first:
            return None
        states, slopes = self.method.differentiate(stretch.states, stretch.times)
        inputs = input_rows(stretch, self.include_time, states)[first:last]
        slopes = slopes[first:last]
        known = np.isfinite(slopes).all(axis=1)
        if not known.all():
            inputs, slopes = inputs[known], slopes[known]
        end = min(last, len(stretch) - 1)
        time = float(stretch.times[end] - stretch.times[first])
        return Problem(
            inputs=np.ascontiguousarray(inputs),
            targets=np.ascontiguousarray(slopes),
            input_names=input_names(stretch, self.include_time),
            target_names=tuple(stretch.state_names),
            kind="continuous",
            rows=None,
            edges=run_edges([len(slopes)]),
            n_effective=time / (0.2 * self.period),
            floor=self.floor,
        )


def _derivatives(method: Any, run: Trajectory, order: int) -> tuple[FloatArray, FloatArray]:
    """Return states and derivatives; for order 2 states with velocities, and accelerations."""
    states, slopes = method.differentiate(run.states, run.times)
    if order == 1:
        return states, slopes
    curvature = np.full_like(slopes, np.nan)
    known = np.isfinite(slopes).all(axis=1)
    curvature[known] = method.differentiate(slopes[known], run.times[known])[1]
    return np.concatenate([states, slopes], axis=1), curvature


def _head(run: Trajectory) -> Trajectory:
    return run.select(slice(0, _SAMPLES_FOR_SCALES)) if len(run) > _SAMPLES_FOR_SCALES else run


def _systematic_error(run: Trajectory, method: Any, period: float, order: int) -> FloatArray:
    """Compare derivatives with weak derivatives, in units of the derivatives.

    A margin times the root-mean-square difference over windows of half a period.
    """
    slopes = _derivatives(method, run, order)[1]
    m = min(int(0.25 * period / run.dt), (len(run) - 1) // 8)
    if m < _FEWEST_POINTS or not run.is_uniform or not np.isfinite(slopes).all():
        return np.asarray(1e-6 * np.sqrt(np.nanmean(slopes**2, axis=0)))
    phi, slope = bump(m, _POWER, run.dt, order)
    windows = [
        sliding_window_view(rows, 2 * m + 1, axis=0)[:: max(1, m // 4)]
        for rows in (slopes, run.states)
    ]
    difference = windows[0] @ phi - (-1.0) ** order * (windows[1] @ slope)
    return np.asarray(_MARGIN * np.sqrt(np.mean(difference**2, axis=0)))
