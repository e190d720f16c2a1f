"""CartPoleSwingup: a cart that has to swing up its pole and hold it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numba import njit

from discover_envs.canvas import BLUE, GREY, INK, RED, Canvas
from discover_envs.env import WorldEnv, WorldVectorEnv
from discover_envs.world import World, play_batch, rk4, rollout_batch, start_batch, step_batch

__all__ = ["CartPoleSwingup", "CartPoleSwingupVector"]

PARAMETERS = {
    "cart_mass": 1.0,
    "pole_mass": 0.1,
    "pole_half_length": 0.5,
    "pole_inertia": 0.009424592767295598,
    "gravity": 9.81,
    "cart_damping": 5e-4,
    "hinge_damping": 2e-6,
    "max_force": 10.0,
    "rail": 1.8,
    "dt": 0.01,
}
_STOP_INVERSE_MASS = 0.9733520544614127  # of the slider at rest, from which MuJoCo scales R
_STEEP = -2.0 * math.log(0.1)  # a tolerance is 0.1 at its margin


@njit
def initial(draws, p, state):
    """Hang the pole, almost at rest."""
    state[0] = 0.01 * draws[0]
    state[1] = math.pi + 0.01 * draws[1]
    state[2] = 0.01 * draws[2]
    state[3] = 0.01 * draws[3]


@njit
def stop_force(x, v, free, inverse_mass, rail):
    """Return the force of the soft end stop, for an acceleration `free` without it."""
    r = rail - abs(x)
    if r >= 0.0:
        return 0.0
    side = -1.0 if x > 0.0 else 1.0
    depth = min(1.0, -r / 0.001)
    # impedance between 0.9 and 0.95 along MuJoCo's spline of power 2 and midpoint 0.5
    bend = 2.0 * depth * depth if depth <= 0.5 else 1.0 - 2.0 * (1.0 - depth) * (1.0 - depth)
    d = 0.9 + 0.05 * bend
    stiffness, damping = 1.0 / (0.95 * 0.95 * 0.08 * 0.08), 2.0 / (0.95 * 0.08)
    wanted = -damping * side * v - stiffness * d * r
    regular = (1.0 - d) / d * _STOP_INVERSE_MASS
    return side * max(0.0, (wanted - side * free) / (inverse_mass + regular))


@njit
def slope(state, action, p, out):
    """Return the rates of position, angle and their velocities."""
    M, m, length, inertia, g = p[0], p[1], p[2], p[3], p[4]
    s, c = math.sin(state[1]), math.cos(state[1])
    v, w = state[2], state[3]
    a11, a12, a22 = M + m, m * length * c, inertia + m * length * length
    det = a11 * a22 - a12 * a12
    f1 = p[7] * action[0] - p[5] * v + m * length * w * w * s
    f2 = m * g * length * s - p[6] * w
    free = (a22 * f1 - a12 * f2) / det
    f1 += stop_force(state[0], v, free, a22 / det, p[8])
    out[0], out[1] = v, w
    out[2] = (a22 * f1 - a12 * f2) / det
    out[3] = (a11 * f2 - a12 * f1) / det


@njit
def transition(state, action, noise, p, work):
    """Take one step of classical Runge-Kutta with the force held."""
    rk4(slope, state, action, p, p[9], work)


@njit
def observation(state, p, seen):
    """See the angle by its cosine and sine."""
    seen[0] = state[0]
    seen[1], seen[2] = math.cos(state[1]), math.sin(state[1])
    seen[3], seen[4] = state[2], state[3]


@njit
def near(value, margin):
    """Return 1 at zero and 0.1 at the margin, along a Gaussian."""
    return math.exp(-0.5 * _STEEP * (value / margin) ** 2)


@njit
def reward(before, action, after, p):
    """Be upright, centred, slow and gentle; the product of four factors."""
    upright = 0.5 * (1.0 + math.cos(after[1]))
    centred = 0.5 * (1.0 + near(after[0], 2.0))
    gentle = 0.2 * (4.0 + max(0.0, 1.0 - action[0] * action[0]))
    slow = 0.5 * (1.0 + near(after[3], 5.0))
    return upright * gentle * slow * centred


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
    """Return the right-hand side between the end stops."""
    total, lever = p["cart_mass"] + p["pole_mass"], p["pole_mass"] * p["pole_half_length"]
    inertia = p["pole_inertia"] + lever * p["pole_half_length"]
    c, s, w2 = "cos(theta)", "sin(theta)", "theta_dot**2"
    det = f"({total * inertia!r} - {lever**2!r}*{c}**2)"
    force, weight = p["max_force"], lever * p["gravity"]
    cart, hinge = p["cart_damping"], p["hinge_damping"]
    return [
        {"x_dot": 1.0},
        {"theta_dot": 1.0},
        {
            f"force/{det}": inertia * force,
            f"x_dot/{det}": -inertia * cart,
            f"{s}*{w2}/{det}": inertia * lever,
            f"{s}*{c}/{det}": -lever * weight,
            f"theta_dot*{c}/{det}": lever * hinge,
        },
        {
            f"{s}/{det}": total * weight,
            f"theta_dot/{det}": -total * hinge,
            f"force*{c}/{det}": -lever * force,
            f"x_dot*{c}/{det}": lever * cart,
            f"{s}*{c}*{w2}/{det}": -(lever**2),
        },
    ]


def draw(canvas: Canvas, state: np.ndarray, p: Mapping[str, float]) -> None:
    """Paint the rail with its ends, the cart and the pole."""
    x, theta, rail = float(state[0]), float(state[1]), p["rail"]
    canvas.frame((0.0, 0.3), 1.7)
    canvas.line([(-rail, 0.0), (rail, 0.0)], GREY, 3.0)
    for end in (-rail, rail):
        canvas.line([(end, -0.12), (end, 0.12)], RED, 3.0)
    canvas.box(x - 0.2, x + 0.2, -0.12, 0.12, INK)
    length = 2.0 * p["pole_half_length"]
    canvas.line([(x, 0.0), (x + length * math.sin(theta), length * math.cos(theta))], BLUE, 8.0)


WORLD = World(
    parameters=PARAMETERS,
    states=("x", "theta", "x_dot", "theta_dot"),
    observations=("x", "cos_theta", "sin_theta", "x_dot", "theta_dot"),
    actions=("force",),
    start=_start,
    step=_step,
    rollout=_rollout,
    play=_play,
    n_draws=4,
    low=(-np.inf, -1.0, -1.0, -np.inf, -np.inf),
    high=(np.inf, 1.0, 1.0, np.inf, np.inf),
    draw=draw,
    terms=terms,
    units={"x": "m", "theta": "rad", "x_dot": "m/s", "theta_dot": "rad/s"},
)


class CartPoleSwingup(WorldEnv):
    r"""A pole hangs from a cart on a rail; swing it up and hold it, upright and centred.

    ## Description

    The cart-pole of the DeepMind control suite, task `swingup`, without MuJoCo: its constants, its
    Runge-Kutta step and its soft end stops. With the pole upright at $\theta = 0$,

    $$
    \begin{pmatrix} M + m & m l \cos\theta \\ m l \cos\theta & I + m l^2 \end{pmatrix}
    \begin{pmatrix} \ddot x \\ \ddot\theta \end{pmatrix} =
    \begin{pmatrix} F - b \dot x + m l \dot\theta^2 \sin\theta + f \\
    m g l \sin\theta - c \dot\theta \end{pmatrix}.
    $$

    Beyond `rail` the end stop pushes back with $f = \max(0, (a - a_1)/(A + R))$ towards the
    centre: $a_1$ is the acceleration without it, $A$ the inverse mass of the cart in this
    position; the wanted acceleration $a$ and the softness $R$ follow from MuJoCo's constraint
    model with `solref` 0.08, 1 and `solimp` 0.9, 0.95, 0.001, 0.5, 2. It acts in each stage of
    the step.

    ## Action Space

    | name | meaning | low | high |
    |---|---|---|---|
    | force | F / `max_force` | -1 | 1 |

    ## Observation Space

    | name | meaning | unit | low | high |
    |---|---|---|---|---|
    | x | position of the cart | m | -inf | inf |
    | cos_theta | cosine of the angle from upright | | -1 | 1 |
    | sin_theta | its sine | | -1 | 1 |
    | x_dot | velocity of the cart | m/s | -inf | inf |
    | theta_dot | angular velocity | rad/s | -inf | inf |

    ## Rewards

    The product of four factors in [0, 1]: upright $(1 + \cos\theta)/2$, centred
    $(1 + g(x; 2))/2$, gentle $(4 + \max(0, 1 - u^2))/5$ and slow $(1 + g(\dot\theta; 5))/2$,
    where $g(v; w) = 0.1^{(v/w)^2}$. At most 1,000 in an episode.

    ## Starting State

    Hanging: every state is normal with standard deviation 0.01 around (0, pi, 0, 0).

    ## Episode End

    Truncated after 1,000 steps (10 s); never terminated.

    ## Arguments

    `cart_mass` M = 1 kg, `pole_mass` m = 0.1 kg, `pole_half_length` l = 0.5 m, `pole_inertia`
    I = 0.00942459 kg m² about its centre, `gravity` g = 9.81 m/s², `cart_damping` b = 0.0005 N s/m,
    `hinge_damping` c = 0.000002 N m s, `max_force` 10 N, `rail` 1.8 m, `dt` 0.01 s; `discrete`,
    a number of levels of the force; `render_mode`, None, "human" or "rgb_array".

    ## Sources

    Y. Tassa et al., "dm_control: Software and tasks for continuous control", Software Impacts 6
    (2020) 100022; MuJoCo documentation, "Computation: constraint model".

    ## Version History

    v0: first version.
    """

    world = WORLD


class CartPoleSwingupVector(WorldVectorEnv):
    """A batch of `CartPoleSwingup`."""

    world = WORLD
