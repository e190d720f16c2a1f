"""Local polynomials around every sample."""

from __future__ import annotations

from numbers import Integral

import numpy as np

from discover.problems.differentiation import is_uniform
from discover.problems.smoothing.base import Signal, Smoother
from discover.typing import FloatArray

__all__ = ["SavitzkyGolay"]


class SavitzkyGolay(Smoother):
    """Local polynomial smoothing and differentiation.

    Parameters
    ----------
    window_length : int, default=11
        Samples per window, odd.
    polyorder : int, default=3

    Notes
    -----
    Savitzky and Golay, Anal. Chem. 36 (1964) 1627-1639; on an irregular grid, or where samples
    are missing, every window gets its own least-squares polynomial. The half windows at the two
    ends are fitted by the first and the last polynomial. The noise is what the polynomials leave
    over, corrected for what they absorb; a window too long for the signal leaves some of that
    as well.
    """

    def __init__(self, window_length: int = 11, polyorder: int = 3) -> None:
        self.window_length = window_length
        self.polyorder = polyorder

    @property
    def fewest_samples(self) -> int:
        """Length of the window."""
        return int(self.window_length)

    @property
    def reach(self) -> int:
        """How many samples away a derivative looks, away from the ends."""
        return int(self.window_length) // 2

    def _check(self) -> None:
        w, k = self.window_length, self.polyorder
        if not (isinstance(w, Integral) and w % 2 == 1 and isinstance(k, Integral) and 1 <= k < w):
            raise ValueError(
                "SavitzkyGolay: window_length must be odd and larger than polyorder >= 1; "
                f"got window_length={w!r}, polyorder={k!r}."
            )

    def _smooth_one(self, t: FloatArray, y: FloatArray, column: int) -> Signal:
        w, k = int(self.window_length), int(self.polyorder)
        observed = np.isfinite(y)
        if observed.all() and is_uniform(t):
            values, slopes, share, gain = _uniform_windows(t, y, w, k)
        else:
            values, slopes, share, gain = _local_polynomials(t[observed], y[observed], t, w, k)
        left = y[observed] - values[observed]
        inner = slice(w // 2, -(w // 2) or None)
        freedom = np.maximum(1.0 - share[observed][inner], 1e-12)
        noise = float(np.sqrt(np.mean(left[inner] ** 2 / freedom)))
        return Signal(values, slopes, noise, noise * np.sqrt(share), noise * gain, float(w))


def _uniform_windows(
    t: FloatArray, y: FloatArray, window: int, degree: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Smooth on a uniform grid; see :func:`_local_polynomials`."""
    from scipy.signal import savgol_coeffs, savgol_filter

    dt, n, half = (t[-1] - t[0]) / (len(t) - 1), len(t), window // 2
    values = savgol_filter(y, window, degree)
    slopes = savgol_filter(y, window, degree, deriv=1, delta=dt)
    share, gain = np.empty(n), np.empty(n)
    for i in range(half + 1):  # places in the first window; the last mirrors them
        weights = savgol_coeffs(window, degree, pos=i)
        rates = savgol_coeffs(window, degree, deriv=1, delta=dt, pos=i)
        share[[i, n - 1 - i]], gain[[i, n - 1 - i]] = weights @ weights, np.linalg.norm(rates)
    share[half : n - half], gain[half : n - half] = share[half], gain[half]
    return values, slopes, share, gain


def _local_polynomials(
    t: FloatArray, y: FloatArray, at: FloatArray, window: int, degree: int, chunk: int = 4096
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Fit a polynomial to the samples around every time.

    Returns
    -------
    values, slopes : ndarray
        At the times `at`.
    share : ndarray
        Variance of the values in units of that of the noise; at a sample, the share of
        itself in its smoothed value.
    gain : ndarray
        Standard deviation of the slopes in units of that of the noise.
    """
    values, slopes, share, gain = (np.empty(len(at)) for _ in range(4))
    first = np.clip(np.searchsorted(t, at) - window // 2, 0, len(t) - window)
    for start in range(0, len(at), chunk):
        rows = slice(start, min(start + chunk, len(at)))
        index = first[rows, None] + np.arange(window)
        reach = t[index[:, -1]] - t[index[:, 0]]
        local = (t[index] - at[rows, None]) / reach[:, None]
        weights = np.linalg.pinv(local[..., None] ** np.arange(degree + 1))
        values[rows] = np.einsum("rw,rw->r", weights[:, 0], y[index])
        slopes[rows] = np.einsum("rw,rw->r", weights[:, 1], y[index]) / reach
        share[rows] = (weights[:, 0] ** 2).sum(axis=1)
        gain[rows] = np.sqrt((weights[:, 1] ** 2).sum(axis=1)) / reach
    return values, slopes, share, gain
