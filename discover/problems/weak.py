"""Weak form: integrate the law against test functions, so that no data are differentiated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator

from discover.observations import Trajectory
from discover.observations.interpolation import interpolate_columns
from discover.problems.base import (
    Problem,
    input_names,
    input_rows,
    run_edges,
    stacked,
    usable_segments,
)
from discover.problems.piecewise import Piecewise, settled_gap
from discover.problems.scales import noise_level, spread, time_scale
from discover.problems.switches import split_at_switches
from discover.problems.velocities import choose_cutoff, smooth_positions, with_velocities
from discover.typing import FloatArray

__all__ = ["WeakForm"]

_FEWEST_POINTS = 7  # samples in half a window below which a run is interpolated first
_FINE_POINTS = 10  # in half a window, after interpolation
_MOST_CHECKED = 300  # windows on which the error of the rows is measured
_FEWEST_WINDOWS = 12  # independent windows the data should hold, if need be narrower ones
_LEAST_INTERVALS = 1.5  # sampling intervals in the narrowest window: less holds no information
_SHORTEST = 2  # samples of the shortest stretch that is used
_QUADRATURE = 1e-6  # relative error of rows below which nothing is trusted
# What halving the sampling interval gains at least: a power of two per order of accuracy,
# of the trapezoidal rule with smooth bumps (order 7 and above) and of splines.
_HALVING = 2.0**-7


@dataclass(frozen=True)
class Windows:
    """Resolved numbers of a weak form: width, spacing (time) and power of the bump.

    Also the order of the law and, for the second, the period below which motion is noise.
    """

    width: float
    spacing: float
    power: int
    order: int = 1
    cutoff: float = 0.0


class WeakForm(BaseEstimator):
    """Pose ``dx/dt = f(x)`` as ``-∫ phi' x dt = ∫ phi f(x) dt`` over many windows.

    Parameters
    ----------
    width : float or "auto", default="auto"
        Length of the windows, in units of time. Automatic: half of the period of the
        fastest state when the data are clean, a fifth when they are noisy, at most a
        quarter of the longest run and a twelfth of the total time, at least 1.5 sampling
        intervals.
    spacing : float or "auto", default="auto"
        Time from one window to the next; automatically a quarter of the width, less
        where that would leave fewer than 200 windows.
    power : int or "auto", default="auto"
        Power q of the bump ``(1 - s^2)^q``; automatically just smooth enough that the
        quadrature error is well below the noise.
    max_gap : float, optional
        Longest interval, in units of time, that is not a gap; by default 2.5 times the 90th
        percentile of the intervals. Runs are cut at gaps.

    Notes
    -----
    Messenger and Bortz, Multiscale Model. Simul. 19 (2021) 1474-1497, where the power
    is chosen as here: the smallest q with ``((2m - 1) / m^2)^q`` below a tolerance, for
    a half window of m samples. On a uniform grid the trapezoidal rule is used, which is
    then accurate to that tolerance. Irregular or coarse samples are first interpolated
    by a spline (controls as :func:`discover.dynamics.simulate` reads them) and
    integrated on the fine grid. Where controls come in steps, the nodes at their switches
    count with the law before and after. Each row is normalised to a unit integral of phi,
    so that targets are mean derivatives.

    The floor of the problem is the accuracy of its rows: 1e-6, or, where that is more, a
    share of what leaving out every second sample does to them (Richardson's argument).

    For second order the windows are twice as wide and phi carries both derivatives. The
    velocities in the library are those of a quintic spline through the samples, so that
    terms linear in them (``y_dot``, ``y*y_dot``) amount to another integration by parts;
    noisy samples are smoothed first, as far as windows cannot see it.

    Overlapping windows are not independent: the effective number of rows is the total time
    divided by the width.
    """

    def __init__(
        self,
        width: float | Literal["auto"] = "auto",
        *,
        spacing: float | Literal["auto"] = "auto",
        power: int | Literal["auto"] = "auto",
        max_gap: float | None = None,
    ) -> None:
        self.width = width
        self.spacing = spacing
        self.power = power
        self.max_gap = max_gap

    def pose(
        self, runs: Sequence[Trajectory], *, include_time: bool = False, order: int = 1
    ) -> Problem:
        """Turn observations into a problem.

        Parameters
        ----------
        runs : sequence of Trajectory
        include_time : bool, default=False
            Whether time is a column of the inputs.
        order : {1, 2}, default=1
            With 2, the targets are second derivatives and the inputs hold, after the
            states, their velocities (``y_dot``).

        Returns
        -------
        Problem

        Raises
        ------
        DataError
            If no stretch of the data has two complete samples.
        """
        pieces, notes = usable_segments(runs, _SHORTEST, "WeakForm", self.max_gap)
        windows, noise = self._resolve(pieces, order)
        posed = [_pose_run(piece, windows, noise, include_time) for piece in pieces]
        operator = _block_diagonal([p.phi for p in posed])
        targets = np.concatenate([p.targets for p in posed])
        time = sum(max(float(p.times[-1] - p.times[0]), 0.0) for p in pieces)
        size = np.sqrt(np.mean(targets**2, axis=0))
        error = np.maximum(_QUADRATURE * size, np.max([p.error for p in posed], axis=0))
        return Problem(
            inputs=stacked([p.inputs for p in posed]),
            targets=targets,
            input_names=input_names(runs[0], include_time, order),
            target_names=tuple(runs[0].state_names),
            kind="continuous",
            rows=operator,
            edges=run_edges([len(p.targets) for p in posed]),
            n_effective=min(float(len(targets)), max(time / windows.width, 1.0)),
            floor=np.asarray(error),
            left_out=notes,
        )

    def piecewise(self, runs: Sequence[Trajectory], *, include_time: bool = False) -> Piecewise:
        """Settle the windows on the head of the data; see :class:`Piecewise`."""
        gap = settled_gap(runs, self.max_gap)
        pieces, _ = usable_segments(runs, _SHORTEST, "WeakForm", gap)
        windows, noise = self._resolve(pieces)
        longest = max(pieces, key=len)
        m = max(1, round(windows.width / 2 / longest.dt))
        step = max(1, round(windows.spacing / longest.dt))
        # one sample is kept before the next window: a stretch that begins with it is no whole run
        return _PiecewiseWeak(1, 2 * m, step, include_time, gap, windows, noise)

    def resolved(self, runs: Sequence[Trajectory]) -> WeakForm:
        """Return a weak form whose automatic choices are fixed by these observations."""
        pieces, _ = usable_segments(runs, _SHORTEST, "WeakForm", self.max_gap)
        windows, _ = self._resolve(pieces)
        return WeakForm(
            windows.width, spacing=windows.spacing, power=windows.power, max_gap=self.max_gap
        )

    def _resolve(self, pieces: Sequence[Trajectory], order: int = 1) -> tuple[Windows, float]:
        """Return the windows, and the noise relative to the spread of the data."""
        if order not in (1, 2):
            raise ValueError(f"WeakForm: order must be 1 or 2; got {order!r}.")
        sigma = noise_level(pieces)
        wide = spread(pieces)
        size = np.max([np.abs(p.states).max(axis=0) for p in pieces], axis=0)
        varies = wide > 1e-12 * size
        noise = float(np.max(sigma[varies] / wide[varies], initial=0.0))
        longest = max(float(p.times[-1] - p.times[0]) for p in pieces)
        period = time_scale(pieces, sigma)
        total = sum(float(p.times[-1] - p.times[0]) for p in pieces)
        if self.width == "auto":
            share = float(np.interp(np.log10(max(noise, 1e-12)), [-5, -2], [0.5, 0.2]))
            width = min(order * share * period, longest / 4, total / _FEWEST_WINDOWS)
            width = max(width, _LEAST_INTERVALS * max(pieces, key=len).dt)
        else:
            width = _positive("width", self.width)
        if self.spacing == "auto":
            spacing = min(width / 4, max(total / 200, width / 16))
        else:
            spacing = _positive("spacing", self.spacing)
        if self.power == "auto":
            m = max(width / 2 / max(pieces, key=len).dt, float(_FEWEST_POINTS))
            power = _bump_power(m, float(np.clip(1e-2 * noise, 1e-12, 1e-4))) + order - 1
        else:
            power = int(_positive("power", self.power))
        if power < order:
            raise ValueError(f"WeakForm: power must be at least {order} here; got {power}.")
        cutoff = 0.0 if order == 1 else choose_cutoff(pieces, sigma, period, width)
        # second derivatives show what a cubic spline does between the samples: take a quintic
        return Windows(width, spacing, power, order, cutoff), noise if order == 1 else 0.0


def _positive(name: str, value: float) -> float:
    if not np.isreal(value) or not value > 0:
        raise ValueError(f"WeakForm: {name} must be positive or 'auto'; got {value!r}.")
    return float(value)


def _bump_power(m: float, tolerance: float) -> int:
    power = np.log(tolerance) / np.log((2 * m - 1) / m**2)
    return int(np.clip(np.ceil(power) + 1, 2, 16))


@dataclass(frozen=True)
class _PiecewiseWeak(Piecewise):
    """Windows; on a uniform grid the same as over the whole run.

    Where samples are interpolated, windows begin anew with every stretch.
    """

    windows: Windows
    noise: float

    def _interpolates(self, stretch: Trajectory) -> bool:
        return not stretch.is_uniform or self.windows.width / 2 / stretch.dt < _FEWEST_POINTS

    def _none_fits(self, stretch: Trajectory, first: int, last: int) -> bool:
        """Whether no window fits; a whole run (`first` is 0) gets a narrower one if need be."""
        if self._interpolates(stretch):
            return first > 0 and stretch.times[-1] - stretch.times[0] < self.windows.width
        whole = first == 0 and len(stretch) <= self.after
        return not whole and min(last, len(stretch) - self.after) <= first

    def pose_rows(self, stretch: Trajectory, first: int, last: int) -> Problem | None:
        if len(stretch) < _SHORTEST or self._none_fits(stretch, first, last):
            return None
        posed = _pose_run(stretch, self.windows, self.noise, self.include_time, first, last)
        time = self._time(stretch, first, last)
        size = np.sqrt(np.mean(posed.targets**2, axis=0))
        return Problem(
            inputs=np.ascontiguousarray(posed.inputs),
            targets=posed.targets,
            input_names=input_names(stretch, self.include_time),
            target_names=tuple(stretch.state_names),
            kind="continuous",
            rows=posed.phi,
            edges=run_edges([len(posed.targets)]),
            n_effective=time / self.windows.width,
            floor=np.maximum(_QUADRATURE * size, posed.error),
        )

    def _time(self, stretch: Trajectory, first: int, last: int) -> float:
        """Return how much of the run is new: its first windows bring their whole width."""
        if self._interpolates(stretch) or len(stretch) <= self.after:
            return float(stretch.times[min(last, len(stretch) - 1)] - stretch.times[first])
        following = first + self.stride * -(-(last - first) // self.stride)
        if last == len(stretch):  # the run ends here
            following = len(stretch) - self.after
        return (following - first + (self.after if first == 0 else 0)) * stretch.dt

    def advance(
        self, stretch: Trajectory, first: int, closed: bool
    ) -> tuple[Problem | None, int, int]:
        if closed:
            return self.pose_rows(stretch, first, len(stretch)), len(stretch), 0
        if len(stretch) < _SHORTEST or not self._interpolates(stretch):
            return super().advance(stretch, first, closed)
        if stretch.times[-1] - stretch.times[0] < 2 * self.windows.width:
            return None, 0, first
        tail = stretch.times[-1] - self.windows.width + self.windows.spacing
        drop = int(np.searchsorted(stretch.times, tail))
        return self.pose_rows(stretch, first, drop), drop, 1


@dataclass(frozen=True)
class _Posed:
    inputs: FloatArray
    phi: csr_array
    targets: FloatArray
    error: FloatArray


def _pose_run(
    run: Trajectory,
    windows: Windows,
    noise: float,
    include_time: bool,
    first: int = 0,
    last: int | None = None,
) -> _Posed:
    """Integrate one run against the windows that fit into it.

    On a uniform grid, those that begin with the samples ``first, ... < last``.
    """
    duration = float(run.times[-1] - run.times[0])
    width = min(windows.width, duration)
    inputs, times = input_rows(run, include_time), run.times
    interpolate = not run.is_uniform or width / 2 / run.dt < _FEWEST_POINTS
    if interpolate:
        inputs, times = _interpolated(run, width, noise, include_time)
    states = inputs[:, : run.n_states]
    dt = float(times[-1] - times[0]) / (len(times) - 1)
    m = min(max(1, round(width / 2 / dt)), (len(times) - 1) // 2)
    step = max(1, round(windows.spacing / dt))
    end = len(times) - 2 * m
    if not interpolate and last is not None:
        end = min(end, last)
    starts = np.arange(0 if interpolate else first, end, step, dtype=np.int64)
    phi, slope = bump(m, windows.power, dt, windows.order)
    sign = (-1.0) ** windows.order
    targets = sign * np.asarray(_windowed(starts, slope, len(times)) @ states)
    few = slice(None, None, max(1, len(starts) // _MOST_CHECKED))
    if interpolate:
        coarse = _interpolated(run, width, noise, False, every=2)[0][:, : run.n_states]
        # a spline of degree k gives the second derivative to order k - 1
        share = 0.5 ** (_spline_degree(len(run), noise) + 3 - 2 * windows.order)
    else:
        phi_2, slope_2 = phi.copy(), slope.copy()
        phi_2[1::2], slope_2[1::2] = 0.0, 0.0
        slope, coarse, share = slope_2 / phi_2.sum(), states, _HALVING
    halved = sign * np.asarray(_windowed(starts[few], slope, len(times)) @ coarse)
    error = share * np.sqrt(np.mean((halved - targets[few]) ** 2, axis=0))
    rounding = 4 * np.finfo(float).eps * np.abs(slope).sum() * np.abs(states).max(axis=0)
    error = np.maximum(error, rounding)
    if windows.order == 2:
        smooth = smooth_positions(run.states, run.times, windows.cutoff)
        motion = with_velocities(smooth, run.times, times)
        inputs = np.concatenate([*motion, inputs[:, run.n_states :]], axis=1)
    operator = _windowed(starts, phi, len(times))
    first = windows.order * run.n_states
    inputs, operator = split_at_switches(run, inputs, times, first, operator)
    return _Posed(inputs, operator, targets, error)


def bump(m: int, power: int, dt: float, order: int = 1) -> tuple[FloatArray, FloatArray]:
    """Return quadrature weights of phi (summing to one) and of its derivative.

    For ``phi = (1 - s**2)**power`` on ``2 m + 1`` samples of spacing `dt`; the first or
    the second derivative.
    """
    s = np.arange(-m, m + 1) / m
    inner = 1 - s**2
    phi = inner**power
    if order == 1:
        slope = -2 * power * s * inner ** (power - 1)
    else:
        slope = 4 * power * (power - 1) * s**2 * inner ** (power - 2)
        slope -= 2 * power * inner ** (power - 1)
    total = phi.sum()
    return phi / total, slope / (total * (m * dt) ** order)


def _windowed(starts: NDArray[np.int64], weights: FloatArray, n_samples: int) -> csr_array:
    """Return the operator that applies the same weights at every start."""
    n, w = len(starts), len(weights)
    columns = (starts[:, None] + np.arange(w)).astype(np.int32).ravel()
    pointers = np.arange(n + 1, dtype=np.int32 if n * w < 2**31 else np.int64) * w
    return csr_array((np.tile(weights, n), columns, pointers), shape=(n, n_samples))


def _interpolated(
    run: Trajectory, width: float, noise: float, include_time: bool, every: int = 1
) -> tuple[FloatArray, FloatArray]:
    """Resample a run on a uniform grid, fine enough for the windows and the data.

    States by a spline (quintic where the data are clean) through every `every`-th sample,
    controls linearly or, where they are smooth, by a cubic spline.
    """
    duration = float(run.times[-1] - run.times[0])
    step = min(width / 2 / _FINE_POINTS, float(np.min(np.diff(run.times))) / 2, run.dt / 2)
    step = max(step, run.dt / 40)
    times = np.linspace(run.times[0], run.times[-1], max(int(np.ceil(duration / step)), 8) + 1)
    rows = np.unique(np.append(np.arange(0, len(run), every), len(run) - 1))
    degree = _spline_degree(len(rows), noise)
    parts = [make_interp_spline(run.times[rows], run.states[rows], k=degree)(times)]
    if run.controls is not None:
        parts.append(interpolate_columns(run.controls, run.times, times))
    if include_time:
        parts.append(times[:, None])
    return np.concatenate(parts, axis=1), times


def _spline_degree(n_samples: int, noise: float) -> int:
    degree = min(5 if noise < 1e-4 else 3, n_samples - 1)
    return degree - 1 + degree % 2


def _block_diagonal(operators: Sequence[csr_array]) -> csr_array:
    """Stack operators of consecutive runs; one operator is passed through."""
    if len(operators) == 1:
        return operators[0]
    samples = run_edges([op.shape[1] for op in operators])
    entries = run_edges([op.nnz for op in operators])
    return csr_array(
        (
            np.concatenate([op.data for op in operators]),
            np.concatenate([op.indices + s for op, s in zip(operators, samples, strict=False)]),
            np.concatenate(
                [[0], *(op.indptr[1:] + e for op, e in zip(operators, entries, strict=False))]
            ),
        ),
        shape=(sum(op.shape[0] for op in operators), int(samples[-1])),
    )
