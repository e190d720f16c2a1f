"""World: what an environment is made of, before anybody steps through it.

A world is a handful of compiled functions on plain arrays. Parameters and noise are passed in,
so the same functions serve one environment, a batch of them, rollouts and the making of data.

============================================  ==============================================
``initial(draws, p, state)``                  fills the state from draws made outside
``transition(state, action, noise, p, work)`` moves the state one step, in place
``observation(state, p, seen)``               fills what is seen of a state
``reward(before, action, after, p)``          returns the reward of a step
``terminal(state, p)``                        returns whether the episode is over, for a reason
                                              inside the problem and never for lack of time
============================================  ==============================================

``p`` holds the parameters in the order of :attr:`World.parameters`, ``action`` is clipped to
[-1, 1], and ``work`` of shape (6, n_states) is scratch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from discover.kernels.terms import combine, fill_slots

if TYPE_CHECKING:
    from discover import SymbolicModel

__all__ = ["World", "play_batch", "rk4", "rollout_batch", "start_batch", "step_batch"]


@dataclass(frozen=True)
class World:
    """Physics of an environment and the names of everything in it.

    Parameters
    ----------
    parameters : mapping of str to float
        Defaults; the compiled functions receive the values in this order.
    states, observations, actions : tuple of str
        Names.
    start, step, rollout, play : callable
        Compiled loops over members with the signatures of `start_batch`, `step_batch`,
        `rollout_batch` and `play_batch` without the functions: these, or what takes their
        place.
    low, high : tuple of float, optional
        Bounds of the observations; unbounded by default.
    n_draws : int
        Numbers `initial` needs.
    uniform : bool, default=False
        Whether those are uniform in [-1, 1) instead of standard normal.
    n_noise : int, default=0
        Standard normal numbers a step needs.
    draw : callable, optional
        ``draw(canvas, state, parameters)`` paints a state.
    terms : callable, optional
        Maps parameters to the true right-hand side, one dict of term to coefficient per state.
    units : mapping of str to str, optional
    choices : mapping of str to tuple of str, optional
        Parameters that are chosen by name; their value is the number of the name.
    derive : callable, optional
        Maps parameters to further numbers, computed once; the compiled functions receive
        them behind the parameters.
    equation : callable, optional
        Maps parameters to the true law where it is no ordinary differential equation.
    """

    parameters: Mapping[str, float]
    states: tuple[str, ...]
    observations: tuple[str, ...]
    actions: tuple[str, ...]
    start: Callable[..., None]
    step: Callable[..., None]
    rollout: Callable[..., None]
    play: Callable[..., None]
    n_draws: int
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    uniform: bool = False
    n_noise: int = 0
    draw: Callable[..., None] | None = None
    terms: Callable[[Mapping[str, float]], list[dict[str, float]]] | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    derive: Callable[[Mapping[str, float]], np.ndarray] | None = None
    equation: Callable[[Mapping[str, float]], SymbolicModel] | None = None

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the bounds of the observations."""
        unbounded = np.full(len(self.observations), np.inf)
        low = -unbounded if self.low is None else np.array(self.low)
        return low, unbounded if self.high is None else np.array(self.high)

    def values(self, owner: str, changed: Mapping[str, Any]) -> dict[str, float]:
        """Return the parameters with some of them changed.

        Raises
        ------
        ValueError
            If a name is unknown, or a value neither a finite number nor among the choices.
        """
        unknown = sorted(set(changed) - set(self.parameters))
        if unknown:
            raise ValueError(
                f"{owner}: parameters must be among {', '.join(self.parameters)}; got "
                f"{', '.join(unknown)}."
            )
        given = dict(changed)
        for name in self.choices.keys() & given.keys():
            given[name] = self._number(owner, name, given[name])
        found = {name: float(given.get(name, value)) for name, value in self.parameters.items()}
        for name, value in found.items():
            if not np.isfinite(value):
                raise ValueError(f"{owner}: {name} must be finite; got {value}.")
        return found

    def pack(self, parameters: Mapping[str, float]) -> np.ndarray:
        """Return what the compiled functions receive as ``p``."""
        values = np.array(list(parameters.values()))
        return values if self.derive is None else np.concatenate([values, self.derive(parameters)])

    def _number(self, owner: str, name: str, value: Any) -> int:
        if value not in self.choices[name]:
            names = ", ".join(map(repr, self.choices[name]))
            raise ValueError(f"{owner}: {name} must be one of {names}; got {value!r}.")
        return self.choices[name].index(value)

    def draws(self, rngs: Sequence[np.random.Generator]) -> np.ndarray:
        """Draw the numbers that `initial` needs, shape (n_members, n_draws)."""
        if self.n_draws == 0:
            return np.empty((len(rngs), 0))
        if self.uniform:
            return np.array([rng.uniform(-1.0, 1.0, self.n_draws) for rng in rngs])
        return np.array([rng.standard_normal(self.n_draws) for rng in rngs])

    def law(self, parameters: Mapping[str, float]) -> SymbolicModel | None:
        """Return the true right-hand side, with actions in [-1, 1] as controls, if it is closed."""
        if self.equation is not None:
            return self.equation(parameters)
        if self.terms is None:
            return None
        from discover import SymbolicLibrary, SymbolicModel

        equations = self.terms(parameters)
        names = list(dict.fromkeys(term for equation in equations for term in equation))
        table = SymbolicLibrary(names).build([*self.states, *self.actions])
        coefficients = [[equation.get(name, 0.0) for name in names] for equation in equations]
        return SymbolicModel(
            table,
            np.array(coefficients),
            state_names=self.states,
            control_names=self.actions,
            kind="continuous",
            units=dict(self.units),
        )


@njit(inline="always")
def rk4(slope, state, action, p, dt, work):
    """Move a state by one classical Runge-Kutta step; ``slope(state, action, p, out)``."""
    n = state.shape[0]
    k1, k2, k3, k4, at = work[0], work[1], work[2], work[3], work[4]
    slope(state, action, p, k1)
    for j in range(n):
        at[j] = state[j] + 0.5 * dt * k1[j]
    slope(at, action, p, k2)
    for j in range(n):
        at[j] = state[j] + 0.5 * dt * k2[j]
    slope(at, action, p, k3)
    for j in range(n):
        at[j] = state[j] + dt * k3[j]
    slope(at, action, p, k4)
    for j in range(n):
        state[j] += dt / 6.0 * (k1[j] + 2.0 * k2[j] + 2.0 * k3[j] + k4[j])


@njit(inline="always")
def start_batch(initial, observation, states, which, draws, chosen, p, seen):
    """Start some members, from draws (n_started, n_draws) unless their states are chosen."""
    for k in range(which.shape[0]):
        m = which[k]
        if not chosen:
            initial(draws[k], p, states[m])
        observation(states[m], p, seen[m])


@njit(inline="always")
def step_batch(
    transition,
    observation,
    reward,
    terminal,
    states,
    actions,
    noise,
    position,
    p,
    idle,
    seen,
    rewards,
    ended,
):
    """Move every member that is not idle by one step; idle ones get reward 0.

    Each member reads its noise at its own position in a block (n_members, n_block, n_noise)
    and moves on where there is any.
    """
    n_states, n_actions = states.shape[1], actions.shape[1]
    work, before, action = np.empty((6, n_states)), np.empty(n_states), np.empty(n_actions)
    for m in range(states.shape[0]):
        if idle[m]:
            rewards[m], ended[m] = 0.0, False
            continue
        state = states[m]
        for j in range(n_actions):
            action[j] = min(1.0, max(-1.0, actions[m, j]))
        for j in range(n_states):
            before[j] = state[j]
        transition(state, action, noise[m, position[m]], p, work)
        rewards[m] = reward(before, action, state, p)
        ended[m] = terminal(state, p)
        observation(state, p, seen[m])
        if noise.shape[2] > 0:
            position[m] += 1


@njit(inline="always")
def rollout_batch(transition, reward, terminal, states, actions, noise, p, path, rewards, lengths):
    """Follow given actions (n_members, n_steps, n_actions) until the time or the episode ends.

    Fills ``path`` (n_members, n_steps + 1, n_states), ``rewards`` (n_members, n_steps) and the
    number of steps taken; what comes after the end keeps its last state and gets reward 0.
    """
    n_states, n_steps, n_actions = states.shape[1], actions.shape[1], actions.shape[2]
    work, state, action = np.empty((6, n_states)), np.empty(n_states), np.empty(n_actions)
    for m in range(states.shape[0]):
        alive = True
        lengths[m] = n_steps
        for j in range(n_states):
            state[j] = path[m, 0, j] = states[m, j]
        for k in range(n_steps):
            rewards[m, k] = 0.0
            if alive:
                for j in range(n_actions):
                    action[j] = min(1.0, max(-1.0, actions[m, k, j]))
                transition(state, action, noise[m, k], p, work)
                rewards[m, k] = reward(path[m, k], action, state, p)
                if terminal(state, p):
                    alive = False
                    lengths[m] = k + 1
            for j in range(n_states):
                path[m, k + 1, j] = state[j]


@njit(inline="always")
def play_batch(
    transition,
    observation,
    reward,
    terminal,
    table,
    weights,
    states,
    noise,
    p,
    totals,
    lengths,
    kept,
):
    """Let policies act on what they see from every start until the time or the episode ends.

    ``table`` is (number of inputs, program, constants, indptr, slots) as `SymbolicModel.program`
    has them; each row of ``weights`` is a policy. Member ``q * n_members + m`` plays policy q
    from start m, with the noise (n_members, n_steps, n_noise) of that start. ``kept`` is
    (path, actions, rewards), filled unless they are empty; what comes after the end keeps its
    last state, and gets action and reward 0.
    """
    d, program, constants, indptr, slots = table
    path, actions, rewards = kept
    n_members, n_steps, n_states = states.shape[0], noise.shape[1], states.shape[1]
    n_actions, keep = indptr.shape[0] - 1, path.shape[0] > 0
    work, state, before = np.empty((6, n_states)), np.empty(n_states), np.empty(n_states)
    action, values = np.empty(n_actions), np.empty(d + program.shape[0])
    seen = values[:d]
    for row in range(weights.shape[0] * n_members):
        q, m, total, alive = row // n_members, row % n_members, 0.0, True
        lengths[row], own = n_steps, weights[q]
        for j in range(n_states):
            state[j] = states[m, j]
        for k in range(n_steps):
            if alive:
                observation(state, p, seen)
                fill_slots(program, constants, d, values)
                combine(indptr, slots, own, values, action)
                for j in range(n_actions):
                    action[j] = min(1.0, max(-1.0, action[j]))
                for j in range(n_states):
                    before[j] = state[j]
                transition(state, action, noise[m, k], p, work)
                paid = reward(before, action, state, p)
                total += paid
                if keep:
                    for j in range(n_states):
                        path[row, k, j] = before[j]
                    for j in range(n_actions):
                        actions[row, k, j] = action[j]
                    rewards[row, k] = paid
                if terminal(state, p):
                    alive = False
                    lengths[row] = k + 1
            elif keep:
                for j in range(n_states):
                    path[row, k, j] = state[j]
                for j in range(n_actions):
                    actions[row, k, j] = 0.0
                rewards[row, k] = 0.0
            else:
                break
        if keep:
            for j in range(n_states):
                path[row, n_steps, j] = state[j]
        totals[row] = total
