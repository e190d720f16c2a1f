"""Stops: limits at which states of the real world are cut off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from discover.control.transitions import Transitions
from discover.typing import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from discover.control.coordinates import Coordinates

__all__ = ["Stops", "detect_stops", "observed_stops"]

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

    def joined(self, later: Stops) -> Stops:
        """Return these stops and, where they have none, those found later."""
        return Stops(
            np.where(np.isfinite(self.low), self.low, later.low),
            np.where(np.isfinite(self.high), self.high, later.high),
            np.where(self.halted >= 0, self.halted, later.halted),
        )

    def reached(self, states: FloatArray) -> BoolArray:
        """Return whether states (n, n_states) are at a stop, where no smooth law holds."""
        return np.asarray(((states <= self.low) | (states >= self.high)).any(axis=1))


def observed_stops(data: Transitions) -> tuple[FloatArray, FloatArray]:
    """Return lowest and highest values at which observations are cut off, infinite for none.

    An extreme value is such a stop if the environment declares it as the limit of the
    observation, or if the observation stayed on it.
    """
    before, after = data.states, data.next_states
    found = []
    for k, extreme in enumerate((after.min(axis=0), after.max(axis=0))):
        stays = ((after == extreme) & (before == extreme)).sum(axis=0) >= _STAYS
        declared = (
            np.zeros(len(extreme), bool) if data.limits is None else extreme == data.limits[k]
        )
        varies = np.ptp(after, axis=0) > 0
        found.append(np.where((stays | declared) & varies, extreme, (-np.inf, np.inf)[k]))
    return found[0], found[1]


def detect_stops(coordinates: Coordinates, data: Transitions) -> Stops:
    """Find stops: extremes that were seen again and again, to the last bit.

    See :func:`observed_stops`; angles have none. A stop of a position halts its velocity if
    that was zero whenever the position was there.
    """
    after = coordinates.states(data.next_states)
    low, high = observed_stops(data)
    stops = Stops.none(len(coordinates.state_names))
    velocity = {d.position: d.velocity for d in coordinates.drifts}
    on_circles = {i for pair in coordinates.projected for i in pair}
    for i, j in coordinates.plain:
        if i in on_circles:
            continue
        stops.low[i], stops.high[i] = low[j], high[j]
        there = (after[:, i] <= low[j]) | (after[:, i] >= high[j])
        if i in velocity and there.any() and (after[there, velocity[i]] == 0).all():
            stops.halted[i] = velocity[i]
    return stops
