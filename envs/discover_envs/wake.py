"""CylinderWakeMeanField: quieten the vortex street behind a cylinder."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numba import njit

from discover_envs.canvas import BLUE, GREY, RED, Canvas
from discover_envs.env import WorldEnv, WorldVectorEnv
from discover_envs.world import World, play_batch, rk4, rollout_batch, start_batch, step_batch

__all__ = ["CylinderWakeMeanField", "CylinderWakeMeanFieldVector"]

PARAMETERS = {
    "growth": 0.1,
    "frequency": 1.0,
    "saturation": 0.1,
    "relaxation": 10.0,
    "max_forcing": 0.1,
    "phase": math.pi / 2.0,
    "dt": 0.1,
}


@njit
def initial(draws, p, state):
    """Start near the limit cycle, at any phase."""
    size, radius = math.hypot(draws[0], draws[1]), math.sqrt(max(0.0, p[0] / p[2]))
    radius *= 1.0 + 0.1 * draws[2]
    state[0], state[1] = radius, 0.0
    if size > 0.0:
        state[0], state[1] = radius * draws[0] / size, radius * draws[1] / size
    state[2] = radius * radius


@njit
def slope(state, action, p, out):
    """Return the rates of both phases of the vortex street and of the mean flow."""
    x, y, z = state[0], state[1], state[2]
    rate = p[0] - p[2] * z
    out[0] = rate * x - p[1] * y + p[4] * math.cos(p[5]) * action[0]
    out[1] = rate * y + p[1] * x + p[4] * math.sin(p[5]) * action[0]
    out[2] = -p[3] * (z - x * x - y * y)


@njit
def transition(state, action, noise, p, work):
    """Take one step of classical Runge-Kutta with the rotation held."""
    rk4(slope, state, action, p, p[6], work)


@njit
def observation(state, p, seen):
    """See the whole state."""
    for j in range(state.shape[0]):
        seen[j] = state[j]


@njit
def reward(before, action, after, p):
    """Pay for the energy of the vortex street, and a little for the rotation."""
    return -(after[0] * after[0] + after[1] * after[1]) - 0.1 * action[0] * action[0]


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
    along = p["max_forcing"] * math.cos(p["phase"])
    across = p["max_forcing"] * math.sin(p["phase"])
    growth, frequency, saturation = p["growth"], p["frequency"], p["saturation"]
    return [
        {"x": growth, "y": -frequency, "x*z": -saturation, "rotation": along},
        {"y": growth, "x": frequency, "y*z": -saturation, "rotation": across},
        {"z": -p["relaxation"], "x**2": p["relaxation"], "y**2": p["relaxation"]},
    ]


def draw(canvas: Canvas, state: np.ndarray, p: Mapping[str, float]) -> None:
    """Paint the limit cycle, its centre and the state."""
    radius = math.sqrt(max(0.0, p["growth"] / p["saturation"]))
    canvas.frame((0.0, 0.0), 1.6 * max(radius, 0.1))
    angles = np.linspace(0.0, 2.0 * np.pi, 73)
    canvas.line(radius * np.column_stack([np.cos(angles), np.sin(angles)]), GREY, 2.0)
    canvas.disc(0.0, 0.0, RED, 5.0)
    canvas.disc(float(state[0]), float(state[1]), BLUE, 7.0)


WORLD = World(
    parameters=PARAMETERS,
    states=("x", "y", "z"),
    observations=("x", "y", "z"),
    actions=("rotation",),
    start=_start,
    step=_step,
    rollout=_rollout,
    play=_play,
    n_draws=3,
    draw=draw,
    terms=terms,
)


class CylinderWakeMeanField(WorldEnv):
    r"""Rotate a cylinder so that the vortex street behind it dies.

    ## Description

    The mean-field model of the onset of vortex shedding: two phases x and y of the vortex street
    and the distortion z of the mean flow, with the rotation of the cylinder as a force on the
    street,

    $$ \dot x = (\mu - A z) x - \omega y + F u \cos\varphi, \quad
    \dot y = (\mu - A z) y + \omega x + F u \sin\varphi, \quad
    \dot z = -\lambda (z - x^2 - y^2). $$

    Without rotation the rest state is unstable and the limit cycle has radius
    $\sqrt{\mu/A}$, here 1. The greatest force is not enough to stop the street at once: it has to
    act in phase. A step is one of classical Runge-Kutta.

    ## Action Space

    | name | meaning | low | high |
    |---|---|---|---|
    | rotation | u | -1 | 1 |

    ## Observation Space

    | name | meaning | unit | low | high |
    |---|---|---|---|---|
    | x, y | phases of the vortex street | | -inf | inf |
    | z | distortion of the mean flow | | -inf | inf |

    ## Rewards

    $-(x^2 + y^2) - 0.1\,u^2$ after the step.

    ## Starting State

    Any phase; the radius is normal around that of the limit cycle with a tenth of it as standard
    deviation; $z = x^2 + y^2$.

    ## Episode End

    Truncated after 1,000 steps (100 time units, about 16 periods); never terminated.

    ## Arguments

    `growth` $\mu$ = 0.1, `frequency` $\omega$ = 1, `saturation` A = 0.1, `relaxation`
    $\lambda$ = 10, `max_forcing` F = 0.1, `phase` $\varphi$ = pi/2, `dt` 0.1; `discrete`, a number
    of levels of the rotation; `render_mode`, None, "human" or "rgb_array".

    ## Sources

    B. R. Noack, K. Afanasiev, M. Morzynski, G. Tadmor, F. Thiele, "A hierarchy of low-dimensional
    models for the transient and post-transient cylinder wake", J. Fluid Mech. 497 (2003) 335-363,
    for the model; the scales and the forcing are chosen here.

    ## Version History

    v0: first version.
    """

    world = WORLD


class CylinderWakeMeanFieldVector(WorldVectorEnv):
    """A batch of `CylinderWakeMeanField`."""

    world = WORLD
