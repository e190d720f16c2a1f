"""The two-scale system of Lorenz: slow sites, each with fast ones that a model leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from discover.dynamics.classical import runge_kutta_step
from discover.typing import FloatArray

__all__ = ["TwoScaleLorenz96", "lorenz96_rate"]


def lorenz96_rate(x: FloatArray, forcing: float) -> FloatArray:
    """Return ``X[k-1] (X[k+1] - X[k-2]) - X[k] + F`` on a ring along the last axis.

    Parameters
    ----------
    x : ndarray of shape (..., n_sites)
    forcing : float
    """
    before = np.roll(x, 1, axis=-1)
    return np.asarray(before * (np.roll(x, -1, axis=-1) - np.roll(x, 2, axis=-1)) - x + forcing)


@dataclass(frozen=True)
class TwoScaleLorenz96:
    """Slow sites X on a ring, coupled to fast ones Y on a ring of their own.

    Parameters
    ----------
    n_slow : int, default=8
        K, the number of slow sites.
    n_fast : int, default=32
        J, the number of fast sites at every slow one.
    forcing : float, default=20.0
        F.
    coupling : float, default=1.0
        h.
    amplitude_ratio, time_ratio : float, default=10.0
        b and c: how much smaller and faster Y is.

    Notes
    -----
    With the letters of Lorenz (Proc. ECMWF Seminar on Predictability (1996), vol. 1, 1-18)
    and Wilks (Q. J. R. Meteorol. Soc. 131 (2005) 389-407)::

        X[k]' = X[k-1] (X[k+1] - X[k-2]) - X[k] + F - (h c / b) sum_j Y[j, k]
        Y[j]' = -c b Y[j+1] (Y[j+2] - Y[j-1]) - c Y[j] + (h c / b) X[k(j)]

    A state is all X, then all Y, site by site. What a model of X alone lacks is the last
    term of the first line.
    """

    n_slow: int = 8
    n_fast: int = 32
    forcing: float = 20.0
    coupling: float = 1.0
    amplitude_ratio: float = 10.0
    time_ratio: float = 10.0
    vectorized: ClassVar[bool] = True  # steps many states at once

    @property
    def n_states(self) -> int:
        """Number of sites of both scales."""
        return self.n_slow * (self.n_fast + 1)

    def subgrid(self, x: ArrayLike) -> FloatArray:
        """Return what the fast sites do to the slow ones, shape (..., n_slow)."""
        y = np.asarray(x, dtype=np.float64)[..., self.n_slow :]
        sums = y.reshape(*y.shape[:-1], self.n_slow, self.n_fast).sum(axis=-1)
        return np.asarray(-self.coupling * self.time_ratio / self.amplitude_ratio * sums)

    def rhs(self, x: ArrayLike, t: float = 0.0, u: ArrayLike | None = None) -> FloatArray:
        """Return the time derivative, shape (..., n_states)."""
        states = np.asarray(x, dtype=np.float64)
        slow, y = states[..., : self.n_slow], states[..., self.n_slow :]
        b, c = self.amplitude_ratio, self.time_ratio
        later = np.roll(y, -1, axis=-1)
        out = np.empty_like(states)
        out[..., : self.n_slow] = lorenz96_rate(slow, self.forcing) + self.subgrid(states)
        out[..., self.n_slow :] = (
            -c * b * later * (np.roll(y, -2, axis=-1) - np.roll(y, 1, axis=-1)) - c * y
            + self.coupling * c / b * np.repeat(slow, self.n_fast, axis=-1)
        )  # fmt: skip
        return out

    def step(self, x: ArrayLike, t: Any, dt: float, u: ArrayLike | None = None) -> FloatArray:
        """Return the states one step of the classical Runge-Kutta scheme later."""
        return runge_kutta_step(self.rhs, np.asarray(x, dtype=np.float64), t, dt)
