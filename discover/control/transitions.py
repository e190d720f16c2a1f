"""Transitions: every real step that was taken, by trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from discover.typing import BoolArray, FloatArray

__all__ = ["Episode", "Transitions"]


@dataclass(frozen=True, eq=False)
class Episode:
    """One uncut stretch of real experience.

    Parameters
    ----------
    observations : ndarray of shape (n_steps + 1, n_observations)
    actions : ndarray of shape (n_steps, n_actions)
    rewards : ndarray of shape (n_steps,)
    terminated : bool
        Whether the world itself ended it (time limits do not count).
    purpose : str
        Why the steps were taken: "explore", "policy" or "evaluate".
    """

    observations: FloatArray
    actions: FloatArray
    rewards: FloatArray
    terminated: bool = False
    purpose: str = "explore"

    def __len__(self) -> int:
        return len(self.actions)


@dataclass
class Transitions:
    """A buffer of real steps that grows by whole trajectories and forgets none.

    Parameters
    ----------
    observation_names, action_names : sequence of str
    episodes : list of Episode
    limits : (ndarray, ndarray), optional
        Lowest and highest observation that the environment declares, (n_observations,) each.
    levels : sequence of int, default=()
        Number of values of each action, 0 for continuous ones; by default all are.
    """

    observation_names: Sequence[str]
    action_names: Sequence[str]
    episodes: list[Episode] = field(default_factory=list)
    limits: tuple[FloatArray, FloatArray] | None = None
    levels: Sequence[int] = ()

    def __len__(self) -> int:
        return sum(map(len, self.episodes))

    def add(self, episode: Episode) -> None:
        """Add a trajectory; empty ones add nothing.

        Raises
        ------
        ValueError
            If its shapes do not match the names, or one another.
        """
        n = len(episode)
        arrays = (episode.observations, episode.actions, episode.rewards)
        shapes = tuple(np.shape(one) for one in arrays)
        expected = ((n + 1, len(self.observation_names)), (n, len(self.action_names)), (n,))
        if shapes != expected:
            raise ValueError(
                f"Transitions: observations, actions and rewards of an episode of {n} steps must "
                f"have the shapes {expected}; got {shapes}."
            )
        if len(episode):
            self.episodes.append(episode)

    @property
    def states(self) -> FloatArray:
        """Observations before each step, shape (n_steps, n_observations)."""
        return np.concatenate([e.observations[:-1] for e in self.episodes])

    @property
    def next_states(self) -> FloatArray:
        """Observations after each step, shape (n_steps, n_observations)."""
        return np.concatenate([e.observations[1:] for e in self.episodes])

    @property
    def actions(self) -> FloatArray:
        """Actions, shape (n_steps, n_actions)."""
        return np.concatenate([e.actions for e in self.episodes])

    @property
    def rewards(self) -> FloatArray:
        """Rewards, shape (n_steps,)."""
        return np.concatenate([e.rewards for e in self.episodes])

    @property
    def terminated(self) -> BoolArray:
        """Whether a step ended the world, shape (n_steps,)."""
        marks = [np.arange(len(e)) == len(e) - 1 for e in self.episodes]
        return np.concatenate([m & e.terminated for m, e in zip(marks, self.episodes, strict=True)])

    @property
    def starts(self) -> FloatArray:
        """First observation of every trajectory, shape (n_episodes, n_observations)."""
        return np.array([e.observations[0] for e in self.episodes])
