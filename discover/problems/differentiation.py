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

    @property
    def reach(self) -> int:
        """How many samples away a derivative looks, away from the ends."""
        return int(self.order) // 2 + 1

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
