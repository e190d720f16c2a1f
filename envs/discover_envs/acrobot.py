"""AcrobotSwingup: two links, one motor, in the elbow."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numba import njit

from discover_envs.canvas import BLUE, GREY, INK, Canvas
from discover_envs.env import WorldEnv, WorldVectorEnv
from discover_envs.world import World, play_batch, rk4, rollout_batch, start_batch, step_batch

__all__ = ["AcrobotSwingup", "AcrobotSwingupVector"]

PARAMETERS = {
    "upper_mass": 1.0,
    "lower_mass": 1.0,
    "upper_length": 1.0,
    "upper_centre": 0.5,
    "lower_centre": 0.5,
    "upper_inertia": 1.0,
    "lower_inertia": 1.0,
    "gravity": 9.8,
    "max_torque": 1.0,
    "dt": 0.05,
    "lower_length": 1.0,
}


@njit
def initial(draws, p, state):
    """Hang, almost at rest."""
    for j in range(4):
        state[j] = 0.1 * draws[j]


@njit
def slope(state, action, p, out):
    """Return the rates of both angles and of their velocities."""
    m1, m2, l1, c1, c2, i1, i2, g = p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]
    v1, v2, cosine, sine = state[2], state[3], math.cos(state[1]), math.sin(state[1])
    d1 = m1 * c1 * c1 + m2 * (l1 * l1 + c2 * c2 + 2.0 * l1 * c2 * cosine) + i1 + i2
    d2 = m2 * (c2 * c2 + l1 * c2 * cosine) + i2
    d3 = m2 * c2 * c2 + i2
    lower = m2 * c2 * g * math.sin(state[0] + state[1])
    upper = (m1 * c1 + m2 * l1) * g * math.sin(state[0]) + lower
    f1 = m2 * l1 * c2 * sine * v2 * (v2 + 2.0 * v1) - upper
    f2 = p[8] * action[0] - m2 * l1 * c2 * sine * v1 * v1 - lower
    det = d1 * d3 - d2 * d2
    out[0], out[1] = v1, v2
    out[2] = (d3 * f1 - d2 * f2) / det
    out[3] = (d1 * f2 - d2 * f1) / det


@njit
def transition(state, action, noise, p, work):
    """Take one step of classical Runge-Kutta with the torque held."""
    rk4(slope, state, action, p, p[9], work)


@njit
def observation(state, p, seen):
    """See the angles by their cosines and sines."""
    seen[0], seen[1] = math.cos(state[0]), math.sin(state[0])
    seen[2], seen[3] = math.cos(state[1]), math.sin(state[1])
    seen[4], seen[5] = state[2], state[3]


@njit
def reward(before, action, after, p):
    """Return the height of the tip: 0 hanging, 1 upright."""
    height = -p[2] * math.cos(after[0]) - p[10] * math.cos(after[0] + after[1])
    return 0.5 + 0.5 * height / (p[2] + p[10])


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
    m1, m2, l1, c1, c2 = (
        p[name]
        for name in ("upper_mass", "lower_mass", "upper_length", "upper_centre", "lower_centre")
    )
    couple, d3 = m2 * l1 * c2, m2 * c2**2 + p["lower_inertia"]
    fixed = m1 * c1**2 + m2 * l1**2 + p["upper_inertia"] + d3
    d1, d2 = f"({fixed!r} + {2 * couple!r}*cos(elbow))", f"({d3!r} + {couple!r}*cos(elbow))"
    det = f"({d1}*{d3!r} - {d2}**2)"
    forces = {
        "sin(elbow)*elbow_dot**2": (couple, 0.0),
        "sin(elbow)*elbow_dot*shoulder_dot": (2.0 * couple, 0.0),
        "sin(elbow)*shoulder_dot**2": (0.0, -couple),
        "sin(shoulder)": (-(m1 * c1 + m2 * l1) * p["gravity"], 0.0),
        "sin(shoulder + elbow)": (-m2 * c2 * p["gravity"],) * 2,
        "torque": (0.0, p["max_torque"]),
    }
    first: dict[str, float] = {}
    second: dict[str, float] = {}
    for force, (f1, f2) in forces.items():
        first |= {f"{force}/{det}": d3 * f1, f"{d2}*{force}/{det}": -f2}
        second |= {f"{d1}*{force}/{det}": f2, f"{d2}*{force}/{det}": -f1}
    shoulder, elbow = ({k: v for k, v in one.items() if v != 0.0} for one in (first, second))
    return [{"shoulder_dot": 1.0}, {"elbow_dot": 1.0}, shoulder, elbow]


def draw(canvas: Canvas, state: np.ndarray, p: Mapping[str, float]) -> None:
    """Paint both links and the height to reach."""
    l1, l2, a, b = p["upper_length"], p["lower_length"], float(state[0]), float(state[0] + state[1])
    canvas.frame((0.0, 0.0), 1.15 * (l1 + l2))
    canvas.line([(-l1 - l2, l1 + l2), (l1 + l2, l1 + l2)], GREY, 1.0)
    elbow = (l1 * math.sin(a), -l1 * math.cos(a))
    tip = (elbow[0] + l2 * math.sin(b), elbow[1] - l2 * math.cos(b))
    canvas.line([(0.0, 0.0), elbow, tip], BLUE, 8.0)
    canvas.disc(0.0, 0.0, INK, 5.0)
    canvas.disc(*elbow, INK, 5.0)


WORLD = World(
    parameters=PARAMETERS,
    states=("shoulder", "elbow", "shoulder_dot", "elbow_dot"),
    observations=(
        "cos_shoulder",
        "sin_shoulder",
        "cos_elbow",
        "sin_elbow",
        "shoulder_dot",
        "elbow_dot",
    ),
    actions=("torque",),
    start=_start,
    step=_step,
    rollout=_rollout,
    play=_play,
    n_draws=4,
    low=(-1.0, -1.0, -1.0, -1.0, -np.inf, -np.inf),
    high=(1.0, 1.0, 1.0, 1.0, np.inf, np.inf),
    uniform=True,
    draw=draw,
    terms=terms,
    units={"shoulder": "rad", "elbow": "rad", "shoulder_dot": "rad/s", "elbow_dot": "rad/s"},
)


class AcrobotSwingup(WorldEnv):
    r"""Two links hang from a shoulder without a motor; swing them up by the elbow and hold them.

    ## Description

    The double pendulum of the `Acrobot-v1` of gymnasium with a continuous torque, a shorter step
    and no limits on its velocities. With $\theta_1 = 0$ hanging and $\theta_2$ the bend of the
    elbow,

    $$
    \begin{pmatrix} d_1 & d_2 \\ d_2 & d_3 \end{pmatrix}
    \begin{pmatrix} \ddot\theta_1 \\ \ddot\theta_2 \end{pmatrix} =
    \begin{pmatrix} m_2 l_1 c_2 \sin\theta_2 (\dot\theta_2^2 + 2 \dot\theta_1 \dot\theta_2)
    - (m_1 c_1 + m_2 l_1) g \sin\theta_1 - m_2 c_2 g \sin(\theta_1 + \theta_2) \\
    \tau - m_2 l_1 c_2 \sin\theta_2 \dot\theta_1^2
    - m_2 c_2 g \sin(\theta_1 + \theta_2) \end{pmatrix}
    $$

    with $d_1 = m_1 c_1^2 + m_2 (l_1^2 + c_2^2 + 2 l_1 c_2 \cos\theta_2) + I_1 + I_2$,
    $d_2 = m_2 (c_2^2 + l_1 c_2 \cos\theta_2) + I_2$ and $d_3 = m_2 c_2^2 + I_2$. A step is one of
    classical Runge-Kutta.

    ## Action Space

    | name | meaning | low | high |
    |---|---|---|---|
    | torque | $\tau$ / `max_torque` | -1 | 1 |

    ## Observation Space

    | name | meaning | unit | low | high |
    |---|---|---|---|---|
    | cos_shoulder, sin_shoulder | of the shoulder's angle from hanging | | -1 | 1 |
    | cos_elbow, sin_elbow | of the elbow's bend | | -1 | 1 |
    | shoulder_dot, elbow_dot | angular velocities | rad/s | -inf | inf |

    ## Rewards

    The height of the tip after the step, from 0 hanging to 1 upright.

    ## Starting State

    Angles and velocities uniform in [-0.1, 0.1).

    ## Episode End

    Truncated after 1,000 steps (50 s); never terminated.

    ## Arguments

    `upper_mass`, `lower_mass` m = 1 kg, `upper_length`, `lower_length` l = 1 m, `upper_centre`,
    `lower_centre` c = 0.5 m, `upper_inertia`, `lower_inertia` I = 1 kg m², `gravity` 9.8 m/s²,
    `max_torque` 1 N m, `dt` 0.05 s; `discrete`, a number of levels of the torque; `render_mode`,
    None, "human" or "rgb_array".

    ## Sources

    R. S. Sutton, "Generalization in reinforcement learning: successful examples using sparse coarse
    coding", NIPS 8 (1996); M. W. Spong, "The swing up control problem for the acrobot", IEEE
    Control Systems 15 (1995) 49-55; constants of gymnasium's `Acrobot-v1`.

    ## Version History

    v0: first version.
    """

    world = WORLD


class AcrobotSwingupVector(WorldVectorEnv):
    """A batch of `AcrobotSwingup`."""

    world = WORLD
