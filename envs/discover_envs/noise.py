"""Measurement noise on any environment."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import ArrayLike

__all__ = ["NoisyObservations"]


class NoisyObservations(gymnasium.ObservationWrapper[np.ndarray, Any, np.ndarray]):
    """Add normal noise to every observation; the world itself and its rewards stay exact.

    Parameters
    ----------
    env : gymnasium.Env
    deviations : array-like of shape (n_observations,)
        Standard deviations, in the units of the observations.
    seed : int
        Of the noise; it goes on through all episodes.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], deviations: ArrayLike, *, seed: int) -> None:
        super().__init__(env)
        self.deviations = np.asarray(deviations, dtype=np.float64)
        self._rng = np.random.default_rng(seed)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        """Return what the sensors say."""
        return observation + self.deviations * self._rng.standard_normal(len(self.deviations))
