"""Planning with the true world: on a grid of states, or ahead from where it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import minimize

from discover_envs.env import rollout
from discover_envs.scores import Policy
from discover_envs.world import World

__all__ = ["GridPlan", "RecedingHorizon", "plan_on_grid"]

_STEP = 1e-5  # of central differences, which the states are of order one for


@dataclass(frozen=True)
class GridPlan:
    """What the rest of an episode is worth from every point of a grid, at every step.

    Parameters
    ----------
    world : World
    axes : tuple of ndarray
        The grid, one increasing axis per state.
    periodic : tuple of bool
        Whether an axis goes around, its last point being its first.
    levels : ndarray of shape (n_levels,)
        Actions that are tried, in [-1, 1].
    values : ndarray of shape (n_steps + 1, n_points)
        Sums of rewards until the end; 0 at the last step.
    parameters : mapping
        Of the world, where they differ from its defaults.
    """

    world: World
    axes: tuple[np.ndarray, ...]
    periodic: tuple[bool, ...]
    levels: np.ndarray
    values: np.ndarray
    parameters: Mapping[str, Any]

    def best(self, states: np.ndarray, step: int) -> np.ndarray:
        """Return the best level in states (n_members, n_states) at a step, shape (n_members, 1)."""
        rewards, weights = _outcomes(self, states)
        later = weights @ self.values[min(step + 1, len(self.values) - 1)]
        total = rewards + later.reshape(rewards.shape)
        return self.levels[total.argmax(axis=1)][:, None]

    def policy(self, state_of: Callable[[np.ndarray], np.ndarray]) -> Policy:
        """Return a policy for one episode of all members, side by side.

        Parameters
        ----------
        state_of : callable
            Observations (n_members, n_observations) to states.
        """
        step = -1

        def act(seen: np.ndarray) -> np.ndarray:
            nonlocal step
            step += 1
            return self.best(state_of(seen), step)

        return act


def plan_on_grid(
    world: World,
    axes: Sequence[np.ndarray],
    n_steps: int,
    *,
    levels: np.ndarray,
    periodic: Sequence[bool] | None = None,
    **parameters: Any,
) -> GridPlan:
    """Find the best actions of a world by dynamic programming, from the last step backwards.

    Parameters
    ----------
    world : World
        Without noise and with one action.
    axes : sequence of ndarray
        The grid, one increasing axis per state; a state beyond it is worth what its nearest
        point is.
    n_steps : int
        Of an episode.
    levels : ndarray of shape (n_levels,)
        Actions to try.
    periodic : sequence of bool, optional
        Whether an axis goes around, its last point being its first; none by default.
    **parameters : float or str
        Of the world.

    Returns
    -------
    GridPlan

    Raises
    ------
    ValueError
        If the world is noisy, has more actions than one, or other states than the grid.

    Notes
    -----
    R. Bellman, "Dynamic Programming", Princeton (1957), with values between grid points by
    multilinear interpolation. Every point is stepped once with every action by the world
    itself; each step backwards is then a product with one sparse matrix.
    """
    if world.n_noise or len(world.actions) != 1 or len(axes) != len(world.states):
        raise ValueError(
            f"plan_on_grid: world must have one action, no noise and as many states as axes; got "
            f"{len(world.actions)}, {world.n_noise} and {len(world.states)} for {len(axes)}."
        )
    goes_around = tuple(periodic or [False] * len(axes))
    n_points = int(np.prod([len(axis) for axis in axes]))
    values = np.zeros((n_steps + 1, n_points))
    plan = GridPlan(world, tuple(axes), goes_around, np.asarray(levels), values, parameters)
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(n_points, -1)
    rewards, weights = _outcomes(plan, points)
    for step in reversed(range(n_steps)):
        later = (weights @ values[step + 1]).reshape(rewards.shape)
        values[step] = (rewards + later).max(axis=1)
    return plan


def _outcomes(plan: GridPlan, states: np.ndarray) -> tuple[np.ndarray, Any]:
    """Return rewards (n_states, n_levels) and the weights of grid points in what follows."""
    n_levels = len(plan.levels)
    path, rewards, lengths = rollout(
        plan.world,
        np.repeat(states, n_levels, axis=0),
        np.concatenate([np.tile(plan.levels, len(states))[:, None, None]] * 2, axis=1),
        rng=np.random.default_rng(0),
        **plan.parameters,
    )
    goes_on = lengths > 1  # an episode that is over is worth nothing more
    weights = _interpolation(plan, path[:, 1])
    return rewards[:, 0].reshape(-1, n_levels), sparse.diags_array(goes_on.astype(float)) @ weights


def _interpolation(plan: GridPlan, states: np.ndarray) -> Any:
    """Return the weights of grid points, shape (n_states, n_points)."""
    place, weight = np.zeros((len(states), 1), dtype=np.int64), np.ones((len(states), 1))
    for j, axis in enumerate(plan.axes):
        x = states[:, j]
        if plan.periodic[j]:
            x = axis[0] + (x - axis[0]) % (axis[-1] - axis[0])
        x = np.clip(x, axis[0], axis[-1])
        low = np.clip(np.searchsorted(axis, x) - 1, 0, len(axis) - 2)
        share = ((x - axis[low]) / (axis[low + 1] - axis[low]))[:, None]
        place = len(axis) * place + low[:, None]
        place = np.concatenate([place, place + 1], axis=1)
        weight = np.concatenate([weight * (1.0 - share), weight * share], axis=1)
    ends = np.arange(0, place.size + 1, place.shape[1])
    return sparse.csr_array(
        (weight.ravel(), place.ravel(), ends), shape=(len(states), plan.values.shape[1])
    )


@dataclass(frozen=True)
class RecedingHorizon:
    """Plan some time ahead with the true world, take the first actions, and plan again.

    Parameters
    ----------
    world : World
        Without noise.
    n_actions : int
        To plan ahead.
    hold : int, default=1
        Steps for which each is held.
    keep : int, default=1
        Actions to take before planning again.
    n_iterations : int, default=20
        Of the search for a plan.
    base : callable, optional
        A policy from states (n_members, n_states), whose actions are another start of the search
        beside the plan that is left over.

    Notes
    -----
    The plan maximises the sum of rewards within bounds by L-BFGS-B (R. H. Byrd, P. Lu,
    J. Nocedal, C. Zhu, SIAM J. Sci. Comput. 16 (1995) 1190-1208). Its gradient is carried
    backwards through the steps, whose derivatives are central differences of the world itself.
    The maximum is a local one, and rewards beyond the horizon count for nothing.
    """

    world: World
    n_actions: int
    hold: int = 1
    keep: int = 1
    n_iterations: int = 20
    base: Policy | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be foreseen."""
        if self.world.n_noise:
            raise ValueError("RecedingHorizon: world must have no noise.")

    def policy(self, state_of: Callable[[np.ndarray], np.ndarray]) -> Policy:
        """Return a policy for one episode of all members, side by side.

        Parameters
        ----------
        state_of : callable
            Observations (n_members, n_observations) to states.
        """
        step, plans = -1, np.empty(0)
        rng = np.random.default_rng(0)

        def act(seen: np.ndarray) -> np.ndarray:
            nonlocal step, plans
            step += 1
            if step == 0:  # a little of everything, as zero may be a point of no gradient
                shape = (len(seen), self.n_actions, len(self.world.actions))
                plans = rng.uniform(-0.1, 0.1, shape)
            if step % (self.keep * self.hold) == 0:
                left = plans[:, self.keep if step else 0 :]
                rest = np.repeat(left[:, -1:], self.n_actions - left.shape[1], axis=1)
                guesses = np.concatenate([left, rest], axis=1)
                pairs = zip(state_of(seen), guesses, strict=True)
                plans = np.array([self.plan(state, guess) for state, guess in pairs])
            return plans[:, step // self.hold % self.keep]

        return act

    def plan(self, state: np.ndarray, guess: np.ndarray) -> np.ndarray:
        """Return the best actions ahead, shape (n_actions, n_inputs), from a first guess."""
        starts = [guess] if self.base is None else [guess, self._follow(state)]
        found = [
            minimize(
                self._loss,
                start.ravel(),
                args=(state,),
                jac=True,
                method="L-BFGS-B",
                bounds=[(-1.0, 1.0)] * start.size,
                options={"maxiter": self.n_iterations},
            )
            for start in starts
        ]
        return min(found, key=lambda one: one.fun).x.reshape(guess.shape)

    def _follow(self, state: np.ndarray) -> np.ndarray:
        """Return what the base policy does."""
        actions = []
        for _ in range(self.n_actions):
            actions.append(self.base(state[None])[0])  # type: ignore[misc]
            state = self._path(state, actions[-1][None])[0][-1]
        return np.array(actions)

    def _path(self, state: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        held, rng = np.repeat(actions, self.hold, axis=0), np.random.default_rng(0)
        path, rewards, _ = rollout(self.world, state[None], held[None], rng=rng)
        return path[0], rewards[0]

    def _loss(self, flat: np.ndarray, state: np.ndarray) -> tuple[float, np.ndarray]:
        actions = flat.reshape(self.n_actions, -1)
        total, gradient = self.value_and_gradient(state, actions)
        return -total, -gradient.ravel()

    def value_and_gradient(
        self, state: np.ndarray, actions: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Return the sum of rewards of actions (n_actions, n_inputs) and its gradient."""
        path, rewards = self._path(state, actions)
        inside = np.clip(np.repeat(actions, self.hold, axis=0), -1.0 + _STEP, 1.0 - _STEP)
        by_state, by_action, pay_state, pay_action = self._derivatives(path[:-1], inside)
        gradient, later = np.empty_like(inside), np.zeros(len(state))
        for k in reversed(range(len(inside))):
            gradient[k] = pay_action[k] + by_action[k] @ later
            later = pay_state[k] + by_state[k] @ later
        return rewards.sum(), gradient.reshape(self.n_actions, self.hold, -1).sum(axis=1)

    def _derivatives(self, states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return what follows and what is paid, by state and by action, step by step."""
        n_steps, n_states = states.shape
        points = np.hstack([states, actions])
        moved = points[:, None, None, :] + _STEP * np.stack(
            [np.eye(points.shape[1]), -np.eye(points.shape[1])], axis=1
        )
        moved = moved.reshape(-1, points.shape[1])
        rng = np.random.default_rng(0)
        path, rewards, _ = rollout(
            self.world, moved[:, :n_states], moved[:, None, n_states:], rng=rng
        )
        after = path[:, 1].reshape(n_steps, -1, 2, n_states)
        paid = rewards.reshape(n_steps, -1, 2)
        slopes = (after[:, :, 0] - after[:, :, 1]) / (2.0 * _STEP)
        pays = (paid[:, :, 0] - paid[:, :, 1]) / (2.0 * _STEP)
        return slopes[:, :n_states], slopes[:, n_states:], pays[:, :n_states], pays[:, n_states:]
