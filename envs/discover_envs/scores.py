"""Scores: what simple policies earn in an environment, and pictures of how they do it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from discover_envs import ENVIRONMENTS
from discover_envs.world import World

__all__ = ["Policy", "load_policy", "random_policy", "record", "score", "zero_policy"]

Policy = Callable[[np.ndarray], np.ndarray]


def full_id(name: str) -> str:
    """Return the id of an environment from its short or its full name.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    short = name.removeprefix("discover/").removesuffix("-v0")
    if short not in ENVIRONMENTS:
        raise ValueError(f"env: ID must be one of {', '.join(ENVIRONMENTS)}; got {name!r}.")
    return f"discover/{short}-v0"


def zero_policy(n_actions: int) -> Policy:
    """Return the policy that does nothing: every action is 0."""
    return lambda seen: np.zeros((len(seen), n_actions))


def random_policy(n_actions: int, rng: np.random.Generator) -> Policy:
    """Return the policy of independent actions, uniform in [-1, 1]."""
    return lambda seen: rng.uniform(-1.0, 1.0, (len(seen), n_actions))


def load_policy(path: Path, world: World) -> Policy:
    """Return the policy in a model file: a law of kind "direct" from observations to actions.

    Parameters
    ----------
    path : Path
    world : World
        Its inputs are observations of this world, by name; if none of them is, by position.

    Raises
    ------
    ValueError
        If it is a law of another kind, or of other inputs or actions.
    """
    from discover import SymbolicModel

    model = SymbolicModel.load(path)
    if model.kind != "direct" or len(model.target_names) != len(world.actions):
        raise ValueError(
            f"load_policy: {path} must hold a model of kind 'direct' with {len(world.actions)} "
            f"targets, the actions; got {model.kind!r} with {len(model.target_names)}."
        )
    columns = _columns(path, model.state_names, world.observations)
    return lambda seen: np.clip(model.rhs(seen[:, columns]), -1.0, 1.0)


def _columns(path: Path, names: Sequence[str], known: Sequence[str]) -> list[int]:
    if set(names) <= set(known):
        return [known.index(name) for name in names]
    if len(names) != len(known) or set(names) & set(known):
        raise ValueError(
            f"load_policy: the inputs of {path} must be among the observations "
            f"{', '.join(known)}; got {', '.join(names)}."
        )
    return list(range(len(known)))


def score(name: str, policy: Policy, episodes: int, *, seed: int) -> np.ndarray:
    """Play episodes side by side, each until it ends.

    Parameters
    ----------
    name : str
        Of the environment.
    policy : callable
        ``(n_members, n_observations) -> (n_members, n_actions)``.
    episodes : int
    seed : int

    Returns
    -------
    ndarray of shape (episodes,)
        Sums of rewards.
    """
    batch = gymnasium.make_vec(full_id(name), num_envs=episodes)
    seen, _ = batch.reset(seed=seed)
    total, alive = np.zeros(episodes), np.ones(episodes, dtype=bool)
    while alive.any():
        seen, rewards, terminated, truncated, _ = batch.step(policy(seen))
        total += np.where(alive, rewards, 0.0)
        alive &= ~(terminated | truncated)
    return total


def record(name: str, policy: Policy, *, seed: int, every: int = 1) -> tuple[list[Any], float]:
    """Play one episode and keep its pictures.

    Parameters
    ----------
    name : str
        Of the environment.
    policy : callable
    seed : int
    every : int, default=1
        Steps between two pictures.

    Returns
    -------
    pictures : list of ndarray of shape (height, width, 3)
    total : float
        Sum of rewards.
    """
    env = gymnasium.make(full_id(name), render_mode="rgb_array")
    seen, _ = env.reset(seed=seed)
    pictures, total, steps, over = [env.render()], 0.0, 0, False
    while not over:
        seen, reward, terminated, truncated, _ = env.step(policy(seen[None])[0])
        total, steps, over = total + float(reward), steps + 1, terminated or truncated
        if steps % every == 0:
            pictures.append(env.render())
    return pictures, total
