"""Differentiators: states and their time derivatives from one run of samples.

Each has ``differentiate(x, t) -> (states, derivatives)``; rows that cannot be told are
NaN and are left out by the problem. Differentiators of pysindy and of the package
``derivative`` are taken as they are.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from discover.exceptions import DataError
from discover.kernels import differences as kernel
from discover.typing import Differentiator, FloatArray

__all__ = [
    "FiniteDifference",
    "SavitzkyGolay",
    "SmoothingSpline",
    "Spectral",
    "as_differentiator",
]


def is_uniform(t: FloatArray) -> bool:
    """Whether the samples are equally spaced, to rounding of the times."""
    mean = (t[-1] - t[0]) / (len(t) - 1)
    tolerance = 1e-6 * mean + 8 * np.finfo(float).eps * max(abs(t[0]), abs(t[-1]))
    return bool(kernel.steps_within(t, mean, tolerance))


class FiniteDifference(BaseEstimator):
    """Finite differences of any order on any grid.

    Parameters
    ----------
    order : int, default=2
        Order of accuracy; stencils have ``order + 1`` points, centred inside and
        sliding to one side at the ends.

    Notes
    -----
    Weights by Fornberg, Math. Comp. 51 (1988) 699-706. States are returned unchanged.
    """

    def __init__(self, order: int = 2) -> None:
        self.order = order

    @property
    def fewest_samples(self) -> int:
        """Length of the stencil."""
        return int(self.order) + 1

    def differentiate(self, x: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the states and their derivatives, both (n_samples, n_states)."""
        if not isinstance(self.order, Integral) or self.order < 1:
            raise ValueError(
                f"FiniteDifference: order must be an integer of at least 1; got {self.order!r}."
            )
        width = int(self.order) + 1
        _check_length("FiniteDifference", t, width, f"order={self.order}")
        x = np.ascontiguousarray(x)
        out = np.empty_like(x)
        kernel.finite_difference(x, t, width, 1, is_uniform(t), out)
        return x, out


class SavitzkyGolay(BaseEstimator):
    """Local polynomial smoothing and differentiation.

    Parameters
    ----------
    window_length : int, default=11
        Samples per window, odd.
    polyorder : int, default=3

    Notes
    -----
    Savitzky and Golay, Anal. Chem. 36 (1964) 1627-1639; on an irregular grid every
    window gets its own least-squares polynomial. The half windows at the two ends are
    fitted by the first and the last polynomial.
    """

    def __init__(self, window_length: int = 11, polyorder: int = 3) -> None:
        self.window_length = window_length
        self.polyorder = polyorder

    @property
    def fewest_samples(self) -> int:
        """Length of the window."""
        return int(self.window_length)

    def differentiate(self, x: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the smoothed states and their derivatives, both (n_samples, n_states)."""
        w, k = self.window_length, self.polyorder
        if not (isinstance(w, Integral) and w % 2 == 1 and isinstance(k, Integral) and 1 <= k < w):
            raise ValueError(
                "SavitzkyGolay: window_length must be odd and larger than polyorder >= 1; "
                f"got window_length={w!r}, polyorder={k!r}."
            )
        _check_length("SavitzkyGolay", t, int(w), f"window_length={w}")
        if is_uniform(t):
            from scipy.signal import savgol_filter

            dt = (t[-1] - t[0]) / (len(t) - 1)
            smooth = savgol_filter(x, w, k, axis=0)
            return smooth, savgol_filter(x, w, k, deriv=1, delta=dt, axis=0)
        return _local_polynomials(x, t, int(w), int(k))


def _local_polynomials(
    x: FloatArray, t: FloatArray, window: int, degree: int, chunk: int = 4096
) -> tuple[FloatArray, FloatArray]:
    """Fit a polynomial around every sample of an irregular grid."""
    n = len(t)
    first = np.clip(np.arange(n) - window // 2, 0, n - window)
    smooth, slope = np.empty_like(x), np.empty_like(x)
    for start in range(0, n, chunk):
        rows = np.arange(start, min(start + chunk, n))
        index = first[rows, None] + np.arange(window)
        reach = t[index[:, -1]] - t[index[:, 0]]
        local = (t[index] - t[rows, None]) / reach[:, None]
        vandermonde = local[..., None] ** np.arange(degree + 1)
        weights = np.linalg.pinv(vandermonde)
        smooth[rows] = np.einsum("rw,rwj->rj", weights[:, 0], x[index])
        slope[rows] = np.einsum("rw,rwj->rj", weights[:, 1], x[index]) / reach[:, None]
    return smooth, slope


class SmoothingSpline(BaseEstimator):
    """Cubic smoothing spline per state; the smoothing by generalised cross-validation.

    Parameters
    ----------
    lam : float, optional
        Weight of the curvature; by default chosen per state (SciPy's
        ``make_smoothing_spline``).
    """

    def __init__(self, lam: float | None = None) -> None:
        self.lam = lam

    @property
    def fewest_samples(self) -> int:
        """What a cubic smoothing spline needs."""
        return 5

    def differentiate(self, x: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the smoothed states and their derivatives, both (n_samples, n_states)."""
        from scipy.interpolate import make_smoothing_spline

        _check_length("SmoothingSpline", t, 5, "a cubic smoothing spline")
        smooth, slope = np.empty_like(x), np.empty_like(x)
        for j in range(x.shape[1]):
            spline = make_smoothing_spline(t, x[:, j], lam=self.lam)
            smooth[:, j], slope[:, j] = spline(t), spline.derivative()(t)
        return smooth, slope


class Spectral(BaseEstimator):
    """Fourier derivative of runs that cover whole periods on a uniform grid.

    The sample after the last one must be a repetition of the first.
    """

    def differentiate(self, x: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the states and their derivatives, both (n_samples, n_states)."""
        from scipy.fft import irfft, rfft, rfftfreq

        _check_length("Spectral", t, 4, "a Fourier derivative")
        if not is_uniform(t):
            raise DataError("Spectral: the samples must be equally spaced; use FiniteDifference.")
        n = len(t)
        dt = (t[-1] - t[0]) / (n - 1)
        rate = 2j * np.pi * rfftfreq(n, dt)
        if n % 2 == 0:
            rate[-1] = 0.0  # the derivative of the highest mode is not on the grid
        return x, irfft(rate[:, None] * rfft(x, axis=0), n=n, axis=0)


def _check_length(owner: str, t: FloatArray, shortest: int, why: str) -> None:
    if len(t) < shortest:
        raise DataError(f"{owner}: {why} needs {shortest} samples per run; got {len(t)}.")


class _Foreign:
    """A differentiator of pysindy (called) or of `derivative` (``d`` and ``x``)."""

    def __init__(self, method: Any) -> None:
        self.method = method

    def differentiate(self, x: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        if callable(getattr(self.method, "d", None)):
            slope = np.asarray(self.method.d(x, t, axis=0), dtype=np.float64)
            return np.asarray(self.method.x(x, t, axis=0), dtype=np.float64), slope
        slope = np.asarray(self.method(x, t=t), dtype=np.float64)
        smooth = getattr(self.method, "smoothed_x_", x)
        return np.asarray(smooth, dtype=np.float64), slope


def as_differentiator(method: Any) -> Differentiator:
    """Return a differentiator; wraps those of pysindy and of the package ``derivative``.

    Raises
    ------
    TypeError
        If `method` is none of these.
    """
    if isinstance(method, Differentiator) and not isinstance(method, type):
        return method
    if isinstance(method, type):
        raise TypeError(
            f"SINDy: method must be an object; write {method.__name__}() with brackets."
        )
    if callable(method) or callable(getattr(method, "d", None)):
        return _Foreign(method)
    raise TypeError(
        "SINDy: method must be 'auto', 'weak', 'derivative', a form such as WeakForm(), or a "
        f"differentiator (ours, pysindy's, or derivative's); got {method!r}."
    )
