"""Expectation: what the surrogate promises for a real episode, and whether it keeps up."""

from __future__ import annotations

import numpy as np

from discover.control.policy import PolicyForm
from discover.control.surrogate import Surrogate
from discover.typing import FloatArray

__all__ = ["Expectation"]

_MARGIN = 0.05  # of the range of the promised sums of rewards


class Expectation:
    """Sums of rewards that every member promises a policy from one start.

    Parameters
    ----------
    surrogate : Surrogate
    form : PolicyForm
    weights : ndarray of shape (n_weights,)
    start : ndarray of shape (n_observations,)
        Where the real episode began.
    horizon : int
    lag : int
        Steps that the real episode may be late.
    rng : numpy.random.Generator
        Draws the noise of what the policy sees.
    """

    def __init__(
        self,
        surrogate: Surrogate,
        form: PolicyForm,
        weights: FloatArray,
        start: FloatArray,
        horizon: int,
        lag: int,
        rng: np.random.Generator,
    ) -> None:
        coefficients = form.coefficients(weights[None])
        run = surrogate.rollouts(
            form.table, coefficients, start[None], horizon, trace=True, rng=rng
        )
        assert run.trace is not None
        earned = np.cumsum(run.trace[0, :, 0], axis=-1)
        self.mean, self._worst = earned.mean(axis=0), earned.min(axis=0)
        self._margin = _MARGIN * max(float(np.ptp(self.mean)), 1e-12)
        self._lag = lag

    def is_missed(self, steps: int, total: float) -> bool:
        """Return whether a real episode is behind the most pessimistic member."""
        if steps <= self._lag:
            return False
        return bool(total < self._worst[steps - 1 - self._lag : steps].min() - self._margin)
