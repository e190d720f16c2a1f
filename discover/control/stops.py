"""Stops: limits at which states of the real world are cut off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discover.control.coordinates import Coordinates
from discover.control.transitions import Transitions
from discover.typing import BoolArray, FloatArray, IntArray

__all__ = ["Stops", "detect_stops"]

_STAYS = 2  # steps on one and the same largest value that make it a stop


@dataclass(frozen=True, eq=False)
class Stops:
    """Limits that states do not pass, whatever the law says.

    Parameters
    ----------
    low, high : ndarray of shape (n_states,)
        Infinite where there is none.
    halted : ndarray of int, shape (n_states,)
        Velocity that is zero once the state is at its stop; -1 for none.
    """

    low: FloatArray
    high: FloatArray
    halted: IntArray

    @classmethod
    def none(cls, n_states: int) -> Stops:
        """Return stops that stop nothing."""
        return cls(
            np.full(n_states, -np.inf), np.full(n_states, np.inf), np.full(n_states, -1, np.int64)
        )

    def reached(self, states: FloatArray) -> BoolArray:
        """Return whether states (n, n_states) are at a stop, where no smooth law holds."""
        return np.asarray(((states <= self.low) | (states >= self.high)).any(axis=1))


def detect_stops(coordinates: Coordinates, data: Transitions) -> Stops:
    """Find stops: extremes that were seen again and again, to the last bit.

    An extreme value of a state is a stop if the environment declares it as the limit of
    that observation, or if the state stayed on it; angles have none. A stop of a position
    halts its velocity if that was zero whenever the position was there.
    """
    before, after = coordinates.states(data.states), coordinates.states(data.next_states)
    stops = Stops.none(len(coordinates.state_names))
    on_circles = {i for pair in coordinates.projected for i in pair}

    def extremes(i: int) -> tuple[tuple[FloatArray, float], tuple[FloatArray, float]]:
        return (stops.low, after[:, i].min()), (stops.high, after[:, i].max())

    velocity = {d.position: d.velocity for d in coordinates.drifts}
    for i, j in coordinates.plain:
        if i in on_circles or np.ptp(after[:, i]) == 0:
            continue
        for k, (limits, value) in enumerate(extremes(i)):
            there = after[:, i] == value
            declared = data.limits is not None and value == data.limits[k][j]
            if declared or (there & (before[:, i] == value)).sum() >= _STAYS:
                limits[i] = value
                if i in velocity and (after[there, velocity[i]] == 0).all():
                    stops.halted[i] = velocity[i]
    return stops
