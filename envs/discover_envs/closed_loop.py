"""Closed loop: policies that are formulas, played in the real world in one compiled loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from discover_envs.world import World

if TYPE_CHECKING:
    from discover import SymbolicModel

__all__ = ["Played", "play"]


@dataclass(frozen=True, eq=False)
class Played:
    """What policies earn, and how if it was kept.

    All arrays begin with the axes of the policies, if there are several, and of the starts.

    Parameters
    ----------
    totals : ndarray of shape (..., n_members)
        Sums of rewards.
    lengths : ndarray of int, shape (..., n_members)
        Steps until the episode ended, or all.
    states : ndarray of shape (..., n_members, n_steps + 1, n_states), optional
        After the end of an episode the last one.
    actions : ndarray of shape (..., n_members, n_steps, n_actions), optional
        As they acted, in [-1, 1]; 0 after the end.
    rewards : ndarray of shape (..., n_members, n_steps), optional
    """

    totals: np.ndarray
    lengths: np.ndarray
    states: np.ndarray | None = None
    actions: np.ndarray | None = None
    rewards: np.ndarray | None = None


def play(
    world: World,
    parameters: Mapping[str, float],
    policy: SymbolicModel,
    states: np.ndarray,
    n_steps: int,
    *,
    rng: np.random.Generator,
    weights: np.ndarray | None = None,
    keep: bool = False,
) -> Played:
    """Play a policy, or many that share its terms, from every start.

    Parameters
    ----------
    world : World
    parameters : mapping of str to float
        All of them.
    policy : SymbolicModel
        Of kind "direct", from the observations to the actions, which are clipped to [-1, 1].
    states : ndarray of shape (n_members, n_states)
        Starts.
    n_steps : int
    rng : numpy.random.Generator
        For the noise of the transitions, which is the same for every policy.
    weights : ndarray of shape (n_policies, n_weights), optional
        Each row takes the place of ``policy.coefficients[policy.support]``.
    keep : bool, default=False
        Whether to keep states, actions and rewards.

    Returns
    -------
    Played

    Raises
    ------
    ValueError
        If the policy does not fit the world, or the arrays do not fit the policy.
    """
    _check(world, policy, states := np.ascontiguousarray(states, dtype=np.float64))
    program, constants, indptr, slots, own = policy.program
    many = np.array(own if weights is None else weights, dtype=np.float64, ndmin=2)
    if many.ndim != 2 or many.shape[1] != len(own) or not np.isfinite(many).all():
        raise ValueError(
            f"play: weights must be finite, of shape (n_policies, {len(own)}); got {many.shape}."
        )
    table = (len(world.observations), program, constants, indptr, slots)
    count, n_members = len(many) * len(states), len(states)
    noise = rng.standard_normal((n_members, n_steps, world.n_noise))
    totals, lengths = np.empty(count), np.empty(count, dtype=np.int64)
    kept = _room(world, count if keep else 0, n_steps)
    world.play(table, many, states, noise, world.pack(parameters), totals, lengths, kept)
    outer = (n_members,) if weights is None else (len(many), n_members)
    found = (totals, lengths, *(kept if keep else ()))
    return Played(*(one.reshape(*outer, *one.shape[1:]) for one in found))


def _room(world: World, count: int, n_steps: int) -> tuple[np.ndarray, ...]:
    return (
        np.empty((count, n_steps + 1, len(world.states))),
        np.empty((count, n_steps, len(world.actions))),
        np.empty((count, n_steps)),
    )


def _check(world: World, policy: Any, states: np.ndarray) -> None:
    if policy.kind != "direct" or len(policy.target_names) != len(world.actions):
        raise ValueError(
            f"play: policy must be of kind 'direct' with {len(world.actions)} targets "
            f"({', '.join(world.actions)}); got {policy.kind!r} with {policy.target_names}."
        )
    inputs = policy.table.inputs
    mixed = set(inputs) == set(world.observations) and inputs != world.observations
    if len(inputs) != len(world.observations) or mixed:
        raise ValueError(
            f"play: policy must have the inputs {world.observations}, in this order; got {inputs}."
        )
    if states.ndim != 2 or states.shape[1] != len(world.states):
        raise ValueError(
            f"play: states must have shape (n_members, {len(world.states)}); got {states.shape}."
        )
