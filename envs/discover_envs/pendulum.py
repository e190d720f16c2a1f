"""PendulumSwingup: the torque is too weak to lift the pendulum in one go."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numba import njit

from discover_envs.canvas import BLUE, INK, RED, Canvas
from discover_envs.env import WorldEnv, WorldVectorEnv
from discover_envs.world import World, play_batch, rollout_batch, start_batch, step_batch

__all__ = ["PendulumSwingup", "PendulumSwingupVector"]

PARAMETERS = {
    "mass": 1.0,
    "length": 1.0,
    "gravity": 10.0,
    "max_torque": 2.0,
    "max_speed": 8.0,
    "dt": 0.05,
}


@njit
def initial(draws, p, state):
    """Start anywhere, slowly."""
    state[0] = math.pi * draws[0]
    state[1] = draws[1]


@njit
def transition(state, action, noise, p, work):
    """Take one step of symplectic Euler; the speed is limited."""
    m, length, dt = p[0], p[1], p[5]
    push = 3.0 / (m * length * length) * p[3] * action[0]
    speed = state[1] + (1.5 * p[2] / length * math.sin(state[0]) + push) * dt
    state[1] = min(p[4], max(-p[4], speed))
    state[0] += state[1] * dt


@njit
def observation(state, p, seen):
    """See the angle by its cosine and sine."""
    seen[0], seen[1], seen[2] = math.cos(state[0]), math.sin(state[0]), state[1]


@njit
def reward(before, action, after, p):
    """Pay for angle, speed and torque, of the state that the action was chosen in."""
    angle = (before[0] + math.pi) % (2.0 * math.pi) - math.pi
    torque = p[3] * action[0]
    return -(angle * angle + 0.1 * before[1] * before[1] + 0.001 * torque * torque)


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
    """Return the right-hand side that the step approximates below the greatest speed."""
    push = 3.0 / (p["mass"] * p["length"] ** 2) * p["max_torque"]
    return [
        {"theta_dot": 1.0},
        {"sin(theta)": 1.5 * p["gravity"] / p["length"], "torque": push},
    ]


def draw(canvas: Canvas, state: np.ndarray, p: Mapping[str, float]) -> None:
    """Paint the rod, its hinge, and where its end has to go."""
    theta, length = float(state[0]), p["length"]
    canvas.frame((0.0, 0.0), 1.3 * length)
    canvas.disc(0.0, length, RED, 4.0)
    canvas.line([(0.0, 0.0), (-length * math.sin(theta), length * math.cos(theta))], BLUE, 14.0)
    canvas.disc(0.0, 0.0, INK, 5.0)


WORLD = World(
    parameters=PARAMETERS,
    states=("theta", "theta_dot"),
    observations=("cos_theta", "sin_theta", "theta_dot"),
    actions=("torque",),
    start=_start,
    step=_step,
    rollout=_rollout,
    play=_play,
    n_draws=2,
    low=(-1.0, -1.0, -np.inf),
    high=(1.0, 1.0, np.inf),
    uniform=True,
    draw=draw,
    terms=terms,
    units={"theta": "rad", "theta_dot": "rad/s"},
)


class PendulumSwingup(WorldEnv):
    r"""A rod hangs on a hinge whose motor is too weak to lift it at once; swing it up and hold it.

    ## Description

    The `Pendulum-v1` of gymnasium, with its constants and its step, and the torque in [-1, 1]:

    $$ \ddot\theta = \frac{3 g}{2 l} \sin\theta + \frac{3}{m l^2} u, $$

    $\theta = 0$ upright. A step is one of symplectic Euler: first the velocity, which is
    then limited to `max_speed`, then with it the angle.

    ## Action Space

    | name | meaning | low | high |
    |---|---|---|---|
    | torque | u / `max_torque` | -1 | 1 |

    ## Observation Space

    | name | meaning | unit | low | high |
    |---|---|---|---|---|
    | cos_theta | cosine of the angle from upright | | -1 | 1 |
    | sin_theta | its sine | | -1 | 1 |
    | theta_dot | angular velocity | rad/s | -inf | inf |

    ## Rewards

    $-(\theta^2 + 0.1 \dot\theta^2 + 0.001 u^2)$ of the state before the step, with the angle in
    [-pi, pi) and the torque in N m.

    ## Starting State

    Angle uniform in [-pi, pi), velocity uniform in [-1, 1).

    ## Episode End

    Truncated after 200 steps (10 s); never terminated.

    ## Arguments

    `mass` m = 1 kg, `length` l = 1 m, `gravity` g = 10 m/s², `max_torque` 2 N m, `max_speed`
    8 rad/s, `dt` 0.05 s; `discrete`, a number of levels of the torque; `render_mode`, None,
    "human" or "rgb_array".

    ## Sources

    M. Towers et al., "Gymnasium: A standard interface for reinforcement learning environments",
    arXiv:2407.17032 (2024), environment `Pendulum-v1`.

    ## Version History

    v0: first version.
    """

    world = WORLD


class PendulumSwingupVector(WorldVectorEnv):
    """A batch of `PendulumSwingup`."""

    world = WORLD
