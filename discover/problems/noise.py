"""How noisy are these data? Estimators of the standard deviation of white noise."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from discover.exceptions import DataError
from discover.kernels.differences import difference_residuals
from discover.problems.differentiation import is_uniform
from discover.typing import FloatArray

__all__ = ["estimate_noise", "noise_by_differences", "noise_by_spectrum"]

Estimator = Literal["likelihood", "differences", "spectrum"]
_ORDER = 6
_NORMAL_MEDIAN = 0.6744897501960817  # of the absolute value of a standard normal variable
_TAIL = 0.75  # of the highest frequency: where the tail of the spectrum begins
_FEWEST = 16


def estimate_noise(t: ArrayLike, y: ArrayLike, *, method: Estimator = "likelihood") -> FloatArray:
    """Estimate the standard deviation of white measurement noise, per state.

    Parameters
    ----------
    t : array-like of shape (n_samples,)
    y : array-like of shape (n_samples,) or (n_samples, n_states)
        NaN where nothing was observed.
    method : {"likelihood", "differences", "spectrum"}, default="likelihood"
        "likelihood": with the smoothing of
        :class:`~discover.problems.RauchTungStriebel`, the most accurate, also for coarse
        samples. "differences": the median of sixth differences; quick, and not moved by
        outliers; too large where a sample is a large part of a period. "spectrum": the median
        power of the highest quarter of the frequencies, for equally spaced samples.

    Returns
    -------
    ndarray of shape (n_states,)
        In units of the states.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.linspace(0.0, 20.0, 2000)
    >>> y = np.sin(t) + 0.1 * np.random.default_rng(0).standard_normal(2000)
    >>> round(float(estimate_noise(t, y)[0]), 2)
    0.1
    """
    if method not in get_args(Estimator):
        raise ValueError(
            f"estimate_noise: method must be one of {get_args(Estimator)}; got {method!r}."
        )
    times, data = np.asarray(t, dtype=np.float64), np.asarray(y, dtype=np.float64)
    data = data[:, None] if data.ndim == 1 else data
    if method == "likelihood":
        from discover.problems.smoothing import RauchTungStriebel

        return RauchTungStriebel().smooth(times, data).noise_std
    rule = noise_by_differences if method == "differences" else noise_by_spectrum
    found = np.empty(data.shape[1])
    for j, column in enumerate(data.T):
        seen = np.isfinite(column)
        found[j] = rule(times[seen], np.ascontiguousarray(column[seen, None]))[0]
    return found


def noise_by_differences(t: FloatArray, y: FloatArray, order: int = _ORDER) -> FloatArray:
    """Estimate noise by the median of high differences; shape (n_states,).

    Polynomials of degree ``order - 1`` drop out; weights have unit norm, so white noise
    keeps its variance.
    """
    order = min(order, len(t) - 2)
    if order < 1:
        raise DataError(f"estimate_noise: 3 samples per run are needed; got {len(t)}.")
    out = np.empty((len(t) - order, y.shape[1]))
    difference_residuals(np.ascontiguousarray(y), t, order, is_uniform(t), out)
    return np.asarray(np.median(np.abs(out), axis=0) / _NORMAL_MEDIAN)


def noise_by_spectrum(t: FloatArray, y: FloatArray) -> FloatArray:
    """Estimate noise by the tail of the spectrum; shape (n_states,).

    A Blackman window keeps strong low frequencies out of the tail; powers of white noise
    are exponential, whose median is ``log 2`` of the mean.
    """
    if len(t) < _FEWEST or not is_uniform(t):
        raise DataError(
            f"estimate_noise: method='spectrum' needs {_FEWEST} equally spaced samples without "
            "gaps; use method='likelihood'."
        )
    ramp = np.linspace(0.0, 1.0, len(t))[:, None]
    flat = y - (1.0 - ramp) * y[:1] - ramp * y[-1:]
    taper = np.blackman(len(t))[:, None]
    power = np.abs(np.fft.rfft(taper * flat, axis=0)) ** 2 / (taper**2).sum()
    tail = power[int(_TAIL * len(power)) : -1]
    return np.asarray(np.sqrt(np.median(tail, axis=0) / np.log(2.0)))
