"""Expectation: what the surrogate promises for a real episode, and whether it keeps up."""

from __future__ import annotations

import numpy as np

from discover.typing import FloatArray

__all__ = ["Expectation"]

_MARGIN = 0.05  # of the range of the promised sums of rewards


class Expectation:
    """Sums of rewards that every member promises a policy from one start.

    Parameters
    ----------
    rewards : ndarray of shape (n_members, horizon)
        Of every step, as :meth:`Search.promised` gives them.
    lag : int
        Steps that the real episode may be late.
    """

    def __init__(self, rewards: FloatArray, lag: int) -> None:
        earned = np.cumsum(rewards, axis=-1)
        self.mean, self._worst = earned.mean(axis=0), earned.min(axis=0)
        self._margin = _MARGIN * max(float(np.ptp(self.mean)), 1e-12)
        self._lag = lag

    def is_missed(self, steps: int, total: float) -> bool:
        """Return whether a real episode is behind the most pessimistic member."""
        if steps <= self._lag:
            return False
        return bool(total < self._worst[steps - 1 - self._lag : steps].min() - self._margin)
