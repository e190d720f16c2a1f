"""LorenzControl: hold chaos at a point it would leave."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numba import njit

from discover_envs.canvas import BLUE, GREY, RED, Canvas
from discover_envs.env import WorldEnv, WorldVectorEnv
from discover_envs.world import World, play_batch, rk4, rollout_batch, start_batch, step_batch

__all__ = ["LorenzControl", "LorenzControlVector"]

PARAMETERS = {"sigma": 10.0, "rho": 28.0, "beta": 8.0 / 3.0, "max_force": 50.0, "dt": 0.01}


@njit
def initial(draws, p, state):
    """Start in a box around the attractor."""
    state[0], state[1], state[2] = 15.0 * draws[0], 15.0 * draws[1], 25.0 + 15.0 * draws[2]


@njit
def slope(state, action, p, out):
    """Return the rates; the force acts on the first equation."""
    x, y, z = state[0], state[1], state[2]
    out[0] = p[0] * (y - x) + p[3] * action[0]
    out[1] = x * (p[1] - z) - y
    out[2] = x * y - p[2] * z


@njit
def transition(state, action, noise, p, work):
    """Take one step of classical Runge-Kutta with the force held."""
    rk4(slope, state, action, p, p[4], work)


@njit
def observation(state, p, seen):
    """See the whole state."""
    for j in range(state.shape[0]):
        seen[j] = state[j]


@njit
def reward(before, action, after, p):
    """Pay for the squared distance from the fixed point, and a little for force."""
    side = math.sqrt(max(0.0, p[2] * (p[1] - 1.0)))
    x, y, z = after[0] - side, after[1] - side, after[2] - (p[1] - 1.0)
    return -0.001 * (x * x + y * y + z * z) - 0.01 * action[0] * action[0]


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
    return [
        {"x": -p["sigma"], "y": p["sigma"], "force": p["max_force"]},
        {"x": p["rho"], "x*z": -1.0, "y": -1.0},
        {"x*y": 1.0, "z": -p["beta"]},
    ]


def draw(canvas: Canvas, state: np.ndarray, p: Mapping[str, float]) -> None:
    """Paint the plane of x and z, both fixed points and the state."""
    canvas.window(-25.0, 25.0, -5.0, 55.0)
    canvas.line([(-25.0, 0.0), (25.0, 0.0)], GREY, 1.0)
    canvas.line([(0.0, -5.0), (0.0, 55.0)], GREY, 1.0)
    side = math.sqrt(max(0.0, p["beta"] * (p["rho"] - 1.0)))
    canvas.disc(-side, p["rho"] - 1.0, GREY, 5.0)
    canvas.disc(side, p["rho"] - 1.0, RED, 5.0)
    canvas.disc(float(state[0]), float(state[2]), BLUE, 7.0)


WORLD = World(
    parameters=PARAMETERS,
    states=("x", "y", "z"),
    observations=("x", "y", "z"),
    actions=("force",),
    start=_start,
    step=_step,
    rollout=_rollout,
    play=_play,
    n_draws=3,
    uniform=True,
    draw=draw,
    terms=terms,
)


class LorenzControl(WorldEnv):
    r"""Push the Lorenz system to an unstable fixed point and hold it there.

    ## Description

    The chaotic system of Lorenz with a force on its first equation,

    $$ \dot x = \sigma (y - x) + F u, \quad \dot y = x (\rho - z) - y, \quad
    \dot z = x y - \beta z. $$

    The target is the fixed point $(q, q, \rho - 1)$ with $q = \sqrt{\beta(\rho - 1)}$, unstable at
    these parameters. A step is one of classical Runge-Kutta.

    ## Action Space

    | name | meaning | low | high |
    |---|---|---|---|
    | force | u | -1 | 1 |

    ## Observation Space

    | name | meaning | unit | low | high |
    |---|---|---|---|---|
    | x, y, z | the state | | -inf | inf |

    ## Rewards

    $-0.001\,d^2 - 0.01\,u^2$ with the distance $d$ from the target after the step.

    ## Starting State

    Uniform: x and y in [-15, 15), z in [10, 40).

    ## Episode End

    Truncated after 1,000 steps (10 time units); never terminated.

    ## Arguments

    `sigma` 10, `rho` 28, `beta` 8/3, `max_force` F = 50, `dt` 0.01; `discrete`, a number of levels
    of the force; `render_mode`, None, "human" or "rgb_array".

    ## Sources

    E. N. Lorenz, "Deterministic nonperiodic flow", J. Atmos. Sci. 20 (1963) 130-141; control by a
    force on the first equation as in E. Kaiser, J. N. Kutz, S. L. Brunton, "Sparse identification
    of nonlinear dynamics for model predictive control in the low-data limit", Proc. R. Soc. A 474
    (2018) 20180335.

    ## Version History

    v0: first version.
    """

    world = WORLD


class LorenzControlVector(WorldVectorEnv):
    """A batch of `LorenzControl`."""

    world = WORLD
