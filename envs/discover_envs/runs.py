"""Runs: what a batch of environments goes through, as trajectories for the methods."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from discover import Trajectory
from discover_envs.env import WorldVectorEnv
from discover_envs.scores import Policy

__all__ = ["record_runs"]


def record_runs(
    batch: WorldVectorEnv, policy: Policy, n_steps: int, *, seed: int
) -> list[Trajectory]:
    """Step a batch and return its states and actions, one trajectory per episode.

    Parameters
    ----------
    batch : WorldVectorEnv
        With ``autoreset_mode`` NEXT_STEP and continuous actions.
    policy : callable
        ``(n_members, n_observations) -> (n_members, n_actions)``.
    n_steps : int
        Of the batch; the step in which a member starts again belongs to no run.
    seed : int

    Returns
    -------
    list of Trajectory
        Member by member, in the order of time. The control of a row is the action, in
        [-1, 1], held from its time to the next; that of the last row is NaN. Times count
        from the start of the episode, in units of `dt` where the world has one.

    Raises
    ------
    ValueError
        If the batch starts again in another way or its actions are discrete.
    """
    if batch.metadata["autoreset_mode"].name != "NEXT_STEP" or batch.single_action_space.shape != (
        len(batch.world.actions),
    ):
        raise ValueError(
            "record_runs: batch must have autoreset_mode NEXT_STEP and continuous actions."
        )
    seen, _ = batch.reset(seed=seed)
    states, actions = [batch.states], []
    begins = [np.ones(batch.num_envs, dtype=bool), np.zeros(batch.num_envs, dtype=bool)]
    for _ in range(n_steps):
        action = np.clip(policy(seen), -1.0, 1.0)
        seen, _, terminated, truncated, _ = batch.step(action)
        actions.append(action)
        states.append(batch.states)
        begins.append(terminated | truncated)  # a member starts in the step after its end
    return list(_episodes(batch, np.array(states), np.array(actions), np.array(begins[:-1])))


def _episodes(
    batch: WorldVectorEnv, states: np.ndarray, actions: np.ndarray, begins: np.ndarray
) -> Iterator[Trajectory]:
    dt = batch.parameters.get("dt", 1.0)
    for m in range(batch.num_envs):
        edges = [*np.flatnonzero(begins[:, m]), len(states)]
        for first, last in pairwise(edges):
            controls = np.full((last - first, actions.shape[2]), np.nan)
            controls[:-1] = actions[first : last - 1, m]
            yield Trajectory(
                states[first:last, m],
                dt * np.arange(last - first),
                controls,
                state_names=batch.world.states,
                control_names=batch.world.actions,
            )
