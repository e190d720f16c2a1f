"""Type aliases and the protocols that hold the rooms of the package together."""

from __future__ import annotations

from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]

__all__ = [
    "ArrayLike",
    "BoolArray",
    "Differentiator",
    "Dynamics",
    "FloatArray",
    "IntArray",
]


@runtime_checkable
class Dynamics(Protocol):
    """Anything that says how a state moves: a discovered law, a solver, their sum.

    ``rhs(x, t, u)`` gives the time derivative, ``step(x, t, dt, u)`` the state one
    step later; `x` has shape (..., n_states).
    """

    def rhs(self, x: ArrayLike, t: float = 0.0, u: ArrayLike | None = None) -> FloatArray:
        """Return the time derivative, shape (..., n_states)."""
        ...

    def step(self, x: ArrayLike, t: float, dt: float, u: ArrayLike | None = None) -> FloatArray:
        """Return the state one step of length `dt` later, shape (..., n_states)."""
        ...


@runtime_checkable
class Differentiator(Protocol):
    """Estimates states and their time derivatives from one run of samples."""

    def differentiate(self, x: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return smoothed states and derivatives, both (n_samples, n_states)."""
        ...
