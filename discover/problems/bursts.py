"""Bursts: states in quick succession, which give a slope and the state it belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discover.exceptions import DataError
from discover.typing import FloatArray

__all__ = ["Bursts", "second_difference_variance"]

#: closed Newton-Cotes weights of two, three, four and five evenly spaced states
_QUADRATURE = {
    2: np.array([1.0, 1.0]) / 2,
    3: np.array([1.0, 4.0, 1.0]) / 6,
    4: np.array([1.0, 3.0, 3.0, 1.0]) / 8,
    5: np.array([7.0, 32.0, 12.0, 32.0, 7.0]) / 90,
}


@dataclass(frozen=True, eq=False)
class Bursts:
    """Evenly spaced states, burst by burst.

    Parameters
    ----------
    states : ndarray of shape ``(n_bursts, m, *state)``
        2 to 5 states each; pairs are enough for clean data, triples place the slope better.
    times : ndarray of shape (n_bursts, m)
    dt : float
        Time between neighbouring states.

    Notes
    -----
    The slope of a burst is that of its *outer* states. It is the mean of the tendency over
    the burst: for a quadrature of the tendency at all states (Newton-Cotes) to an order that
    grows with their number, two for pairs and four for triples; and to second order for the
    tendency at their mean, whose noise is independent of that of the slope.
    """

    states: FloatArray
    times: FloatArray
    dt: float

    def __post_init__(self) -> None:
        m = self.states.shape[1]
        if m not in _QUADRATURE:
            raise DataError(
                f"Bursts: a burst must have 2 to {max(_QUADRATURE)} states; got {m}. Longer "
                "stretches are a series."
            )
        gaps = np.diff(self.times, axis=1)
        if np.abs(gaps - self.dt).max() > 1e-3 * self.dt:
            raise DataError(
                "Bursts: the states of all bursts must be evenly spaced by the same step; the "
                f"steps run from {gaps.min():.6g} to {gaps.max():.6g}."
            )

    def __len__(self) -> int:
        """Return the number of bursts."""
        return len(self.states)

    @property
    def size(self) -> int:
        """Number of states in a burst."""
        return int(self.states.shape[1])

    @property
    def span(self) -> float:
        """Time from the first to the last state of a burst."""
        return (self.size - 1) * self.dt

    @property
    def slopes(self) -> FloatArray:
        """Difference of the outer states over their distance, shape ``(n_bursts, *state)``."""
        return (self.states[:, -1] - self.states[:, 0]) / self.span

    @property
    def means(self) -> FloatArray:
        """Mean state of every burst, shape ``(n_bursts, *state)``."""
        return np.asarray(self.states.mean(axis=1))

    @property
    def quadrature(self) -> FloatArray:
        """Weights of the states in the mean of a function over the burst, shape (m,)."""
        return _QUADRATURE[self.size]


def second_difference_variance(states: FloatArray) -> float:
    """Bound the variance of white noise by second differences within bursts.

    Parameters
    ----------
    states : ndarray of shape (n_bursts, m, ...)

    Returns
    -------
    float
        Infinite for fewer than three states in a burst.
    """
    if states.shape[1] < 3:
        return float("inf")
    return float(np.mean(np.diff(states, n=2, axis=1) ** 2) / 6.0)
