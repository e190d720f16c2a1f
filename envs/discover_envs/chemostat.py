"""ChemostatWashout: harvest microbes without washing them out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numba import njit

from discover_envs.canvas import BLUE, GREY, INK, Canvas
from discover_envs.env import WorldEnv, WorldVectorEnv
from discover_envs.world import World, play_batch, rk4, rollout_batch, start_batch, step_batch

__all__ = ["ChemostatWashout", "ChemostatWashoutVector"]

PARAMETERS = {
    "max_growth": 0.53,
    "half_saturation": 0.12,
    "inhibition": 0.4545,
    "yield_": 0.4,
    "feed": 4.0,
    "max_dilution": 0.6,
    "washed_out": 1e-3,
    "dt": 0.1,
}


@njit
def initial(draws, p, state):
    """Start with some of both."""
    state[0], state[1] = 1.0 + 0.5 * draws[0], 1.5 + draws[1]


@njit
def slope(state, action, p, out):
    """Return the rates of biomass and substrate."""
    biomass, substrate = state[0], state[1]
    dilution = 0.5 * (1.0 + action[0]) * p[5]
    growth = p[0] * substrate / (p[1] + substrate + p[2] * substrate * substrate)
    out[0] = (growth - dilution) * biomass
    out[1] = dilution * (p[4] - substrate) - growth * biomass / p[3]


@njit
def transition(state, action, noise, p, work):
    """Take one step of classical Runge-Kutta with the dilution held."""
    rk4(slope, state, action, p, p[7], work)


@njit
def observation(state, p, seen):
    """See the whole state."""
    for j in range(state.shape[0]):
        seen[j] = state[j]


@njit
def reward(before, action, after, p):
    """Return the biomass that flows out in a step, at the mean of both ends."""
    dilution = 0.5 * (1.0 + action[0]) * p[5]
    return dilution * 0.5 * (before[0] + after[0]) * p[7]


@njit
def terminal(state, p):
    """End when nothing is left to grow."""
    return state[0] < p[6]


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
    half = 0.5 * p["max_dilution"]
    s = "substrate"
    growth = f"biomass*{s}/({p['half_saturation']!r} + {s} + {p['inhibition']!r}*{s}**2)"
    return [
        {growth: p["max_growth"], "biomass": -half, "biomass*dilution": -half},
        {
            "1": half * p["feed"],
            "dilution": half * p["feed"],
            s: -half,
            f"{s}*dilution": -half,
            growth: -p["max_growth"] / p["yield_"],
        },
    ]


def draw(canvas: Canvas, state: np.ndarray, p: Mapping[str, float]) -> None:
    """Paint what the vessel holds: biomass at the left, substrate at the right."""
    top = 1.1 * p["feed"]
    canvas.window(0.0, 4.0, -0.05 * top, top)
    canvas.line([(0.3, 0.0), (3.7, 0.0)], INK, 2.0)
    canvas.box(0.7, 1.7, 0.0, float(state[0]), BLUE)
    canvas.box(2.3, 3.3, 0.0, float(state[1]), GREY)


WORLD = World(
    parameters=PARAMETERS,
    states=("biomass", "substrate"),
    observations=("biomass", "substrate"),
    actions=("dilution",),
    start=_start,
    step=_step,
    rollout=_rollout,
    play=_play,
    n_draws=2,
    uniform=True,
    draw=draw,
    terms=terms,
    units={"biomass": "g/l", "substrate": "g/l"},
)


class ChemostatWashout(WorldEnv):
    r"""Harvest as much biomass as a chemostat gives without washing it out.

    ## Description

    Microbes X grow on a substrate S that inhibits their growth when there is too much of it; a pump
    dilutes both. Where the vessel works best, too much dilution tips it: substrate piles up, growth
    falls, and the microbes wash out.

    $$ \dot X = (m(S) - D) X, \quad \dot S = D (S_f - S) - m(S) X / Y, \quad
    m(S) = \frac{m_{max} S}{k + S + i S^2}, \quad D = D_{max} (1 + u)/2. $$

    At D = 0.3 / h both a stable and an unstable state exist: X = 1.5302, S = 0.1746 and
    X = 0.9951, S = 1.5122. A step is one of classical Runge-Kutta.

    ## Action Space

    | name | meaning | low | high |
    |---|---|---|---|
    | dilution | u: no dilution at -1, `max_dilution` at 1 | -1 | 1 |

    ## Observation Space

    | name | meaning | unit | low | high |
    |---|---|---|---|---|
    | biomass | X | g/l | -inf | inf |
    | substrate | S | g/l | -inf | inf |

    ## Rewards

    The biomass D X dt that flows out in the step, in g per litre of vessel.

    ## Starting State

    Uniform: X in [0.5, 1.5), S in [0.5, 2.5).

    ## Episode End

    Terminated when X falls below `washed_out`; truncated after 1,000 steps (100 h).

    ## Arguments

    `max_growth` 0.53 / h, `half_saturation` k = 0.12 g/l, `inhibition` i = 0.4545 l/g, `yield_`
    Y = 0.4, `feed` 4 g/l, `max_dilution` 0.6 / h, `washed_out` 0.001 g/l, `dt` 0.1 h; `discrete`,
    a number of levels of the dilution; `render_mode`, None, "human" or "rgb_array".

    ## Sources

    J. F. Andrews, "A mathematical model for the continuous culture of microorganisms utilizing
    inhibitory substrates", Biotechnol. Bioeng. 10 (1968) 707-723; constants and steady states of
    B. W. Bequette, "Process Control: Modeling, Design, and Simulation", Prentice Hall (2003).

    ## Version History

    v0: first version.
    """

    world = WORLD


class ChemostatWashoutVector(WorldVectorEnv):
    """A batch of `ChemostatWashout`."""

    world = WORLD
