"""The classical Runge-Kutta step, for tendencies that take arrays; also in a moving frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discover.typing import FloatArray

__all__ = ["lawson_step", "runge_kutta_step"]


def runge_kutta_step(
    rate: Callable[[FloatArray, Any], FloatArray], x: FloatArray, t: Any, dt: float
) -> FloatArray:
    """Return states one step of order four later (Kutta, Z. Math. Phys. 46 (1901) 435-453).

    Parameters
    ----------
    rate : callable
        ``rate(x, t)``, of the shape of `x`.
    x : ndarray
    t : float or ndarray of shape (n,)
        Time, or the times of many states.
    dt : float
    """
    k1 = rate(x, t)
    k2 = rate(x + 0.5 * dt * k1, t + 0.5 * dt)
    k3 = rate(x + 0.5 * dt * k2, t + 0.5 * dt)
    k4 = rate(x + dt * k3, t + dt)
    return np.asarray(x + dt / 6.0 * (k1 + 2.0 * (k2 + k3) + k4))


def lawson_step(
    rate: Callable[[Any], NDArray[Any]],
    half: Callable[[NDArray[Any]], NDArray[Any]],
    x: NDArray[Any],
    dt: float,
) -> NDArray[Any]:
    """Return states of ``x' = L x + rate(x)`` one step later.

    The classical step in the moving frame of the linear terms (Lawson, SIAM J. Numer. Anal.
    4 (1967) 372-380), which are exact.

    Parameters
    ----------
    rate : callable
        ``rate(x)``, of the shape of `x`.
    half : callable
        Applies ``exp(L dt / 2)``.
    x : ndarray
        Real or complex.
    dt : float
    """
    moved, a = half(x), rate(x)
    ahead = half(a)
    b = rate(moved + 0.5 * dt * ahead)
    c = rate(moved + 0.5 * dt * b)
    d = rate(half(moved + dt * c))
    inner = half(moved + dt / 6.0 * (ahead + 2.0 * (b + c)))
    return np.asarray(inner + dt / 6.0 * d)
