"""First guess of a trajectory: Gaussian processes in time, one per coordinate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from discover.typing import BoolArray, FloatArray

__all__ = ["correlation_times", "interpolate_sparse", "smooth_coordinates"]

_SHORT = 0.03  # share of the variance that moves three times faster
_CANDIDATES = 12  # correlation times that are compared
_WINDOW = 240  # samples smoothed together: the cost is cubic
_OVERLAP = 20  # samples at its ends that another window answers for


def _kernel(lags: FloatArray, time: float) -> FloatArray:
    """Return the correlation: mostly a Gaussian, a little of it faster."""
    slow = np.exp(-0.5 * (lags / time) ** 2)
    fast = np.exp(-0.5 * (3.0 * lags / time) ** 2)
    return np.asarray((1.0 - _SHORT) * slow + _SHORT * fast)


def _candidates(times: FloatArray) -> FloatArray:
    """Return correlation times from the sampling interval to the length of the record."""
    span = float(times[-1] - times[0])
    shortest = float(np.median(np.diff(times)))
    return np.geomspace(shortest, max(0.5 * span, 2.0 * shortest), _CANDIDATES)


def smooth_coordinates(
    times: FloatArray,
    values: FloatArray,
    noise: FloatArray,
    power: FloatArray,
    wanted: FloatArray,
) -> FloatArray:
    """Smooth and interpolate series that were all observed at the same times.

    Parameters
    ----------
    times : ndarray of shape (n_times,)
    values : ndarray of shape (n_times, n_coordinates)
    noise : ndarray of shape (n_coordinates,)
        Variance of the white noise.
    power : ndarray of shape (n_coordinates,)
        Mean square of the series without noise.
    wanted : ndarray of shape (n_wanted,)
        Times of the answer.

    Returns
    -------
    ndarray of shape (n_wanted, n_coordinates)

    Notes
    -----
    Gaussian-process regression (Rasmussen and Williams 2006, section 2.2); the
    correlation time of each coordinate is the most likely of twelve. Long records are
    smoothed in windows that overlap.
    """
    out = np.empty((len(wanted), values.shape[1]))
    for rows, mine in _windows(times, wanted):
        out[mine] = _smoothed(times[rows], values[rows], noise, power, wanted[mine])
    return out


def _windows(times: FloatArray, wanted: FloatArray) -> Iterator[tuple[slice, BoolArray]]:
    """Cut a long record: yield samples that overlap, and the wanted times in their middle."""
    n = len(times)
    starts = range(0, max(n - 2 * _OVERLAP, 1), _WINDOW - 2 * _OVERLAP)
    low = -np.inf
    for start in starts:
        stop = min(start + _WINDOW, n)
        high = np.inf if stop == n else times[stop - _OVERLAP]
        yield slice(start, stop), (wanted >= low) & (wanted < high)
        low = high
        if stop == n:
            return


def _smoothed(
    times: FloatArray, values: FloatArray, noise: FloatArray, power: FloatArray, wanted: FloatArray
) -> FloatArray:
    lags = np.abs(times[:, None] - times)
    to = np.abs(wanted[:, None] - times)
    kernels = [(T, *np.linalg.eigh(_kernel(lags, T))) for T in _candidates(times)]
    likelihood = np.empty((len(kernels), values.shape[1]))
    weights = []
    for row, (_, eigenvalues, vectors) in zip(likelihood, kernels, strict=True):
        z = vectors.T @ values
        spread = np.maximum(eigenvalues, 0.0)[:, None] * power + noise + 1e-12 * power
        spread = np.maximum(spread, np.finfo(float).tiny)
        row[:] = -0.5 * (z**2 / spread + np.log(spread)).sum(axis=0)
        weights.append(vectors @ (z / spread))
    out = np.empty((len(wanted), values.shape[1]))
    best = likelihood.argmax(axis=0)
    for i in np.unique(best):
        mine = best == i
        out[:, mine] = _kernel(to, kernels[i][0]) @ weights[i][:, mine] * power[mine]
    return out


def correlation_times(times: FloatArray, values: FloatArray, power: FloatArray) -> FloatArray:
    """Return the most likely correlation time of every coordinate of a free run.

    Parameters
    ----------
    times : ndarray of shape (n_times,)
    values : ndarray of shape (n_times, n_coordinates)
    power : ndarray of shape (n_coordinates,)
    """
    lags = np.abs(times[:, None] - times)
    candidates = _candidates(times)
    likelihood = []
    for T in candidates:
        eigenvalues, vectors = np.linalg.eigh(_kernel(lags, T))
        spread = (np.maximum(eigenvalues, 0.0) + 1e-4)[:, None] * power
        z = vectors.T @ values
        likelihood.append(-0.5 * (z**2 / spread + np.log(spread)).sum(axis=0))
    return np.asarray(candidates[np.argmax(likelihood, axis=0)])


def interpolate_sparse(
    times: FloatArray,
    operators: list[FloatArray],
    values: list[FloatArray],
    noise: float,
    power: FloatArray,
    correlation: FloatArray,
    wanted: FloatArray,
) -> FloatArray:
    """Interpolate coordinates from whatever was observed, in space and time at once.

    Parameters
    ----------
    times : ndarray of shape (n_times,)
    operators : list of ndarray of shape (n_observed, n_coordinates)
        What was seen at each time: values = operator @ coordinates + noise.
    values : list of ndarray of shape (n_observed,)
    noise : float
        Variance of the noise.
    power, correlation : ndarray of shape (n_coordinates,)
        Variance and correlation time of the coordinates: the climatology.
    wanted : ndarray of shape (n_wanted,)

    Returns
    -------
    ndarray of shape (n_wanted, n_coordinates)

    Notes
    -----
    Cost O(n^3) in the number n of observed values.
    """
    H = np.concatenate(operators)
    y = np.concatenate(values)
    when = np.repeat(times, [len(v) for v in values])
    lags = np.abs(when[:, None] - when)
    K = noise * np.eye(len(y))
    groups = [(T, correlation == T) for T in np.unique(correlation)]
    for T, mine in groups:
        K += (H[:, mine] * power[mine]) @ H[:, mine].T * _kernel(lags, T)
    weights = cho_solve(cho_factor(K, lower=True), y)
    out = np.empty((len(wanted), len(power)))
    for T, mine in groups:
        out[:, mine] = (
            _kernel(np.abs(wanted[:, None] - when), T)
            @ (H[:, mine] * weights[:, None])
            * power[mine]
        )
    return out
