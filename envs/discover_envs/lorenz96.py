"""Lorenz96Control: calm a ring of weather."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numba import njit

from discover_envs.canvas import BLUE, GREY, Canvas
from discover_envs.env import WorldEnv, WorldVectorEnv
from discover_envs.world import World, play_batch, rk4, rollout_batch, start_batch, step_batch

__all__ = ["Lorenz96Control", "Lorenz96ControlVector"]

N_STATES, N_ACTIONS = 40, 10
PARAMETERS = {"forcing": 8.0, "max_force": 5.0, "dt": 0.05}


@njit
def initial(draws, p, state):
    """Start anywhere around the mean of the attractor; the waves need a few time units."""
    for j in range(N_STATES):
        state[j] = 2.3 + 3.6 * draws[j]


@njit
def slope(state, action, p, out):
    """Return the rates; every fourth site is forced."""
    n = state.shape[0]
    for j in range(n):
        ahead = state[j + 1] if j + 1 < n else state[0]
        out[j] = (ahead - state[j - 2]) * state[j - 1] - state[j] + p[0]
    for k in range(action.shape[0]):
        out[4 * k] += p[1] * action[k]


@njit
def transition(state, action, noise, p, work):
    """Take one step of classical Runge-Kutta with the forces held."""
    rk4(slope, state, action, p, p[2], work)


@njit
def observation(state, p, seen):
    """See the whole state."""
    for j in range(state.shape[0]):
        seen[j] = state[j]


@njit
def reward(before, action, after, p):
    """Pay for the mean squared distance from the uniform state, and a little for force."""
    away, effort = 0.0, 0.0
    for j in range(after.shape[0]):
        away += (after[j] - p[0]) * (after[j] - p[0])
    for k in range(action.shape[0]):
        effort += action[k] * action[k]
    return -0.01 * away / after.shape[0] - 0.01 * effort / action.shape[0]


@njit
def terminal(state, p):
    """Only time ends an episode."""
    return False


@njit(cache=True)
def _start(states, which, draws, chosen, p, seen):
    start_batch(initial, observation, states, which, draws, chosen, p, seen)


@njit(cache=True)
def _step(states, actions, noise, position, p, idle, seen, rewards, ended):
    step_batch(
        transition, observation, reward, terminal,
        states, actions, noise, position, p, idle, seen, rewards, ended,
    )  # fmt: skip


@njit(cache=True)
def _rollout(states, actions, noise, p, path, rewards, lengths):
    rollout_batch(
        transition, reward, terminal, states, actions, noise, p, path, rewards, lengths
    )  # fmt: skip


@njit(cache=True)
def _play(table, weights, states, noise, p, totals, lengths, kept):
    play_batch(
        transition, observation, reward, terminal,
        table, weights, states, noise, p, totals, lengths, kept,
    )  # fmt: skip


def terms(p: Mapping[str, float]) -> list[dict[str, float]]:
    """Return the right-hand side."""
    names = WORLD.states
    equations = []
    for j, name in enumerate(names):
        behind, before, ahead = names[j - 1], names[j - 2], names[(j + 1) % N_STATES]
        pushed = {WORLD.actions[j // 4]: p["max_force"]} if j % 4 == 0 else {}
        equations.append(
            {f"{ahead}*{behind}": 1.0, f"{before}*{behind}": -1.0, name: -1.0, "1": p["forcing"]}
            | pushed
        )
    return equations


def draw(canvas: Canvas, state: np.ndarray, p: Mapping[str, float]) -> None:
    """Paint the sites in a row and the uniform state."""
    canvas.window(0.0, N_STATES - 1.0, -12.0, 18.0)
    canvas.line([(0.0, p["forcing"]), (N_STATES - 1.0, p["forcing"])], GREY, 2.0)
    canvas.line(list(enumerate(state.tolist())), BLUE, 3.0)


WORLD = World(
    parameters=PARAMETERS,
    states=tuple(f"x{j}" for j in range(N_STATES)),
    observations=tuple(f"x{j}" for j in range(N_STATES)),
    actions=tuple(f"force{k}" for k in range(N_ACTIONS)),
    start=_start,
    step=_step,
    rollout=_rollout,
    play=_play,
    n_draws=N_STATES,
    draw=draw,
    terms=terms,
)


class Lorenz96Control(WorldEnv):
    r"""Bring a ring of forty chaotic sites to its unstable uniform state, forcing every fourth.

    ## Description

    Lorenz's model of an atmospheric quantity along a circle of latitude,

    $$ \dot x_j = (x_{j+1} - x_{j-2}) x_{j-1} - x_j + F + f_j, $$

    with the indices on a ring of 40 and a force $f_j = f_{max} u_k$ on the sites $j = 4 k$. The
    uniform state $x_j = F$ is unstable. A step of 0.05, six hours of weather in Lorenz's scaling,
    is one of classical Runge-Kutta.

    ## Action Space

    | name | meaning | low | high |
    |---|---|---|---|
    | force0 ... force9 | u of sites 0, 4, ..., 36 | -1 | 1 |

    ## Observation Space

    | name | meaning | unit | low | high |
    |---|---|---|---|---|
    | x0 ... x39 | the state | | -inf | inf |

    ## Rewards

    $-0.01$ times the mean of $(x_j - F)^2$ after the step, less 0.01 times the mean of $u_k^2$.

    ## Starting State

    Every site is normal with mean 2.3 and standard deviation 3.6, those of the attractor.

    ## Episode End

    Truncated after 400 steps (20 time units); never terminated.

    ## Arguments

    `forcing` F = 8, `max_force` 5, `dt` 0.05; `discrete`, a number of levels of each force;
    `render_mode`, None, "human" or "rgb_array".

    ## Sources

    E. N. Lorenz, "Predictability: a problem partly solved", Seminar on Predictability, ECMWF
    (1996); forces and rewards are chosen here.

    ## Version History

    v0: first version.
    """

    world = WORLD


class Lorenz96ControlVector(WorldVectorEnv):
    """A batch of `Lorenz96Control`."""

    world = WORLD
