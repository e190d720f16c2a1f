"""Saturation: the range that the values of a function are clipped to, whatever a formula says."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from discover.typing import BoolArray, FloatArray

__all__ = ["Saturation"]


@dataclass(frozen=True, eq=False)
class Saturation:
    """Limits of the values of a law of kind "direct", such as the torque a motor can give.

    Parameters
    ----------
    low, high : ndarray of shape (n_targets,)
        Finite, in the units of the targets; `low` below `high`.
    whole : ndarray of bool, shape (n_targets,), optional
        Which values are rounded to whole numbers after that, halves upwards.

    Raises
    ------
    ValueError
        If the limits are not finite or not in order, or the shapes differ.
    """

    low: FloatArray
    high: FloatArray
    whole: BoolArray = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def __post_init__(self) -> None:
        """Check the limits, and make all three arrays."""
        low, high = (np.array(v, dtype=np.float64, ndmin=1) for v in (self.low, self.high))
        whole = np.array(self.whole, dtype=bool, ndmin=1)
        whole = whole if whole.size else np.zeros(low.shape, dtype=bool)
        if low.ndim != 1 or low.shape != high.shape or whole.shape != low.shape:
            raise ValueError(
                "Saturation: low, high and whole must have shape (n_targets,), all the same; got "
                f"{low.shape}, {high.shape} and {whole.shape}."
            )
        if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
            raise ValueError(
                f"Saturation: low must be below high, both finite; got {self.low} and {self.high}."
            )
        for name, array in (("low", low), ("high", high), ("whole", whole)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __call__(self, values: ArrayLike) -> FloatArray:
        """Return the saturated values, shape (..., n_targets); NaN stays NaN."""
        x = np.clip(np.asarray(values, dtype=np.float64), self.low, self.high)
        return np.asarray(np.where(self.whole, np.floor(x + 0.5), x))

    def passes(self, values: ArrayLike) -> BoolArray:
        """Return where a small change of the value still comes through, shape (..., n_targets)."""
        x = np.asarray(values, dtype=np.float64)
        return np.asarray((x > self.low) & (x < self.high) & ~self.whole)

    def limits(self, target: int) -> tuple[float, float, bool]:
        """Return low, high and whole of one target."""
        return float(self.low[target]), float(self.high[target]), bool(self.whole[target])
