"""What the data say of themselves: noise level and time scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from discover.kernels.differences import crossing_lag, difference_residuals
from discover.observations import Trajectory
from discover.typing import FloatArray

__all__ = ["noise_level", "spread", "time_scale"]

_MOST_RUNS = 8  # and on the longest of the runs
_MOST_SAMPLES = 5_000  # scales are estimated on a stretch of this length per run


def _stretch(run: Trajectory) -> tuple[FloatArray, FloatArray]:
    start = max(0, (len(run) - _MOST_SAMPLES) // 2)
    return run.states[start : start + _MOST_SAMPLES], run.times[start : start + _MOST_SAMPLES]


def spread(runs: Sequence[Trajectory]) -> FloatArray:
    """Return the standard deviation of every state over all runs, shape (n_states,)."""
    return np.asarray(np.concatenate([_stretch(run)[0] for run in runs]).std(axis=0))


def noise_level(runs: Sequence[Trajectory]) -> FloatArray:
    """Estimate the standard deviation of white measurement noise.

    Parameters
    ----------
    runs : sequence of Trajectory
        Complete samples, any spacing.

    Returns
    -------
    ndarray of shape (n_states,)
        In units of the states.

    Notes
    -----
    Median absolute sixth difference (of lower order for very short runs), with weights
    of unit norm: polynomials of degree five drop out. Coarsely sampled signals leave a
    remainder, so this is an upper estimate.
    """
    residuals = []
    for run in runs:
        states, times = _stretch(run)
        order = min(6, len(times) - 2)
        if order < 2:
            continue
        out = np.empty((len(times) - order, states.shape[1]))
        difference_residuals(states, times, order, run.is_uniform, out)
        residuals.append(np.abs(out))
    if not residuals:
        return np.zeros(runs[0].n_states)
    return np.asarray(np.median(np.concatenate(residuals), axis=0) / 0.6745)


def time_scale(runs: Sequence[Trajectory], noise: FloatArray) -> float:
    """Estimate the period of the fastest state, the median over the longest runs.

    Parameters
    ----------
    runs : sequence of Trajectory
    noise : ndarray of shape (n_states,)
        Standard deviation of the measurement noise.

    Returns
    -------
    float
        In units of time; at most six times the longest run.

    Notes
    -----
    A sinusoid of period T moves by one standard deviation (root-mean-square) in T / 6:
    the lag at which the structure function ``mean((x(t + lag) - x(t))**2)``, less the
    noise, reaches the variance gives the period. Noise adds a constant only, so this
    holds where derivatives of noisy data would not.
    """
    periods = [_fastest_period(run, noise) for run in sorted(runs, key=len)[-_MOST_RUNS:]]
    return float(np.median(periods))


def _fastest_period(run: Trajectory, noise: FloatArray) -> float:
    """Return the period of the fastest state of one run that stands out of the noise."""
    states, times = _stretch(run)
    variance = states.var(axis=0) - noise**2
    visible = (variance > 2 * noise**2) & (variance > 0)
    if not visible.any():
        visible = variance > 0
    periods = [
        6.0 * crossing_lag(states[:, j], times, variance[j], noise[j] ** 2)
        for j in np.flatnonzero(visible)
    ]
    return float(min(periods, default=6.0 * (times[-1] - times[0])))
