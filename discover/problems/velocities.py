"""Motion seen only in its coordinates: smooth them, and read their velocities off a spline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import make_interp_spline
from scipy.linalg import solveh_banded

from discover.observations import Trajectory
from discover.typing import FloatArray

__all__ = ["choose_cutoff", "smooth_positions", "with_velocities"]

#: Periods, in parts of the fastest one of the data, from which on motion is kept.
_CUTOFFS = (1 / 2, 1 / 3, 1 / 4, 1 / 6, 1 / 8, 1 / 12, 1 / 16, 1 / 24, 1 / 32)
_VISIBLE = 0.03  # share of the noise of a window that smoothing may move it by
_MOST_SAMPLES = 5_000
_DEGREE = 5


def smooth_positions(values: FloatArray, times: FloatArray, cutoff: float) -> FloatArray:
    """Smooth columns by penalised least squares on the third derivative.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_columns)
    times : ndarray of shape (n_samples,)
        Strictly increasing, any spacing.
    cutoff : float
        The period, in units of `times`, of the oscillation that is halved; one of twice
        the period loses a share of 2^-6. Zero for no smoothing.

    Returns
    -------
    ndarray of shape (n_samples, n_columns)

    Notes
    -----
    Minimises ``sum (s - y)^2 dt + (cutoff / 2 pi)^6 sum s'''^2 dt`` with divided
    differences for the derivative (Whittaker, Proc. Edinburgh Math. Soc. 41 (1923)
    63-75): the discrete quintic smoothing spline. Parabolas pass unchanged. O(n_samples).
    """
    n = len(times)
    if cutoff <= 0 or n < 8:
        return values
    nodes = np.stack([times[a : n - 3 + a] for a in range(4)])
    weights = np.full((4, n - 3), 6.0)
    for a in range(4):
        for b in range(4):
            if a != b:
                weights[a] /= nodes[a] - nodes[b]
    dt = (times[-1] - times[0]) / (n - 1)
    weights *= (cutoff / (2 * np.pi)) ** 3 * np.sqrt((nodes[3] - nodes[0]) / (3 * dt))
    bands = np.zeros((4, n))
    bands[3] = 1.0
    for a in range(4):
        for b in range(a, 4):
            bands[3 - (b - a), b : n - 3 + b] += weights[a] * weights[b]
    return np.asarray(solveh_banded(bands, values))


def with_velocities(
    values: FloatArray, times: FloatArray, at: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return positions and velocities of the quintic spline through samples.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_columns)
    times, at : ndarray of shape (n_samples,) and (n_times,)

    Returns
    -------
    positions, velocities : ndarray of shape (n_times, n_columns)
    """
    degree = min(_DEGREE, len(times) - 1)
    spline = make_interp_spline(times, values, k=degree - 1 + degree % 2)
    return spline(at), spline.derivative()(at)


def choose_cutoff(
    pieces: Sequence[Trajectory], sigma: FloatArray, period: float, width: float
) -> float:
    """Choose how much to smooth: as much as mean velocities over windows cannot see.

    Parameters
    ----------
    pieces : sequence of Trajectory
    sigma : ndarray of shape (n_states,)
        Noise of the samples.
    period : float
        Of the fastest state.
    width : float
        Of the windows.

    Returns
    -------
    float
        A period in units of time; zero for no smoothing.

    Notes
    -----
    The noise of a window's mean velocity is known from `sigma`. What smoothing takes from
    the data is nearly orthogonal to the window where it is noise, and is not where it is
    motion: the strongest smoothing that moves windows by less than 3 % of their noise is
    taken.
    """
    run = max(pieces, key=len).select(slice(0, _MOST_SAMPLES))
    m = max(int(width / 2 / run.dt), 2)
    if len(run) < 4 * m or not (sigma > 0).any():
        return 0.0
    s = np.arange(-m, m + 1) / m
    slope = -s * (1 - s**2) ** 3
    slope /= np.abs(slope).sum()
    noise = sigma * np.sqrt((slope**2).sum())
    for share in _CUTOFFS:
        taken = smooth_positions(run.states, run.times, share * period) - run.states
        moved = np.array([np.convolve(column, slope, "valid").std() for column in taken.T])
        if (moved <= _VISIBLE * noise).all():
            return share * period
    return 0.0
