"""Bursts: states in quick succession, which give a slope and the state it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from discover.exceptions import DataError
from discover.typing import FloatArray

__all__ = ["FEWEST_TIMES", "Bursts", "second_difference_variance"]

FEWEST_TIMES = 6  # of a series; shorter stretches are taken for a burst

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
    tendency at their mean, whose noise is independent of that of the slope (to fourth, see
    :class:`~discover.problems.burst_filter.BurstFilter`).
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

    @classmethod
    def of_one_length(
        cls, values: Sequence[FloatArray], times: Sequence[FloatArray]
    ) -> tuple[Bursts, int]:
        """Return bursts of one length, and how many states do not fit in.

        The information of a slope grows with the square of its span, so many pairs outweigh
        few triples, but one pair does not cost all triples their third state.

        Parameters
        ----------
        values : sequence of ndarray of shape ``(m, *state)``
            Stretches of any lengths.
        times : sequence of ndarray of shape (m,)
        """
        lengths = np.array([len(t) for t in times])
        worth = {m: int(np.sum(lengths >= m)) * (m - 1) ** 2 for m in range(2, FEWEST_TIMES)}
        m = max(worth, key=lambda size: (worth[size], size))
        if not worth[m]:
            raise DataError(
                "ModelErrorDiscovery: a slope needs two states in quick succession; every state "
                "is alone. Observe pairs, or a series of evenly spaced states."
            )
        chosen = [i for i, n in enumerate(lengths) if n >= m]
        when = np.array([times[i][:m] for i in chosen])
        states = np.array([values[i][:m] for i in chosen])
        bursts = cls(states, when, float(np.median(np.diff(when, axis=1))))
        return bursts, int(lengths.sum()) - m * len(chosen)

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
    def bends(self) -> FloatArray:
        """Quadrature mean minus mean of the states, shape ``(n_bursts, *state)``; 0 for pairs."""
        weights = self.quadrature - 1.0 / self.size
        return np.asarray(np.einsum("m,nm...->n...", weights, self.states))

    @property
    def offsets(self) -> FloatArray:
        """Times of the states from the middle of the burst, shape (m,)."""
        return np.asarray(self.dt * (np.arange(self.size) - 0.5 * (self.size - 1)))

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
