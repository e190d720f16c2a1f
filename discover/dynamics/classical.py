"""The classical Runge-Kutta step, for tendencies that take arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from discover.typing import FloatArray

__all__ = ["runge_kutta_step"]


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
