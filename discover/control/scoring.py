"""Scoring: what a frozen policy earns in the real world."""

from __future__ import annotations

from typing import Any

import numpy as np

from discover.control.plant import Plant
from discover.control.policy import Policy, actor
from discover.typing import FloatArray

__all__ = ["score_policy"]


def score_policy(policy: Policy, env: Any, episodes: int = 20, seed: int = 0) -> FloatArray:
    """Play whole fresh episodes with a frozen policy: a model, or a planner.

    Returns
    -------
    ndarray of shape (episodes,)
        Sums of rewards.
    """
    plant = Plant(env, seed=seed)
    totals = [
        plant.run(actor(policy, plant.box), plant.horizon, purpose="evaluate")
        for _ in range(episodes)
    ]
    return np.array([episode.rewards.sum() for episode in totals])
