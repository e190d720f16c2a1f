"""FisheryUncertain: harvest a stock whose growth is known in part only."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from discover_envs.env import WorldEnv, WorldVectorEnv
from discover_envs.fishery import GROWTH, caught, draw, growth, reward, terminal
from discover_envs.world import World, play_batch, rollout_batch, start_batch, step_batch

__all__ = ["FisheryUncertain", "FisheryUncertainVector"]

PARAMETERS = {
    "r": 0.3,
    "K": 1.0,
    "C": 0.5,
    "sigma": 0.0,
    "x0": 0.75,
    "extinct": 1e-3,
    "a": 0.2,
    "b": 0.15,
    "q": 3.0,
    "growth": 1.0,
    "r_spread": 0.1,
    "K_spread": 0.1,
    "drift": 0.0,
}
_ANY = float(len(GROWTH))
# what any model may be: its number, r, K and first stock
_MODELS = np.array(
    [
        [GROWTH.index("allee"), 0.3, 1.0, 0.75],
        [GROWTH.index("beverton-holt"), 0.3, 1.0, 0.75],
        [GROWTH.index("ricker"), 0.3, 1.0, 0.75],
        [GROWTH.index("may"), 0.7, 1.5, 0.75],
        [GROWTH.index("myers"), 1.0, 1.0, 1.5],
    ]
)
_SMALLEST = 0.01  # capacity, in place of one that is not positive


@njit
def initial(draws, p, state):
    """Draw what stays hidden: growth rate, capacity and, if it may be any, the model."""
    model, r, K, stock = p[9], p[0], p[1], p[4]
    if model == _ANY:
        share = 0.5 * math.erfc(-draws[2] / math.sqrt(2.0))  # uniform
        k = min(_MODELS.shape[0] - 1, int(_MODELS.shape[0] * share))
        model, r, K, stock = _MODELS[k, 0], _MODELS[k, 1], _MODELS[k, 2], _MODELS[k, 3]
    state[0] = stock
    state[1] = max(0.0, r + p[10] * draws[0])
    state[2] = max(_SMALLEST, K + p[11] * draws[1])
    state[3] = model


@njit
def transition(state, action, noise, p, work):
    """Harvest, let the growth rate drift, and let the rest grow."""
    left = state[0] - caught(state[0], action, p)
    state[1] = max(0.0, state[1] + p[12])
    mean = growth(left, state[1], state[2], p[2], p[6], p[7], p[8], state[3])
    state[0] = mean * math.exp(p[3] * noise[0])


@njit
def observation(state, p, seen):
    """See the stock alone."""
    seen[0] = state[0]


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


WORLD = World(
    parameters=PARAMETERS,
    states=("stock", "rate", "capacity", "model"),
    observations=("stock",),
    actions=("quota",),
    start=_start,
    step=_step,
    rollout=_rollout,
    play=_play,
    n_draws=3,
    low=(0.0,),
    high=(np.inf,),
    n_noise=1,
    draw=draw,
    choices={"growth": (*GROWTH, "any")},
)


class FisheryUncertain(WorldEnv):
    r"""Harvest a fish stock for a hundred years without knowing how it grows.

    ## Description

    A quota is taken from the stock X and what is left S grows, in a good or a bad year,

    $$ h = \min(X, (1 + u) K), \quad S = X - h, \quad
    X' = G(S; r_e, K_e) e^{\sigma \varepsilon}, $$

    with the growth models G of `FisheryTippingPoint` and a rate and a capacity that are drawn anew
    for every episode e, $r_e$ normal around `r` with standard deviation `r_spread` and not
    negative, $K_e$ normal around `K` with `K_spread` and at least 0.01. Every year the rate moves
    by `drift` before the stock grows, and stays where it is at 0. The three problems of the
    published collection are

    | problem | arguments |
    |---|---|
    | uncertain parameters | the defaults |
    | a rate that falls | `growth="beverton-holt", r=0.8, r_spread=0, K_spread=0, drift=-0.007` |
    | a model nobody knows | `growth="any", r_spread=0, K_spread=0` |

    With `growth="any"` every episode draws one of five models, with rates, capacities and first
    stocks of its own: "allee", "beverton-holt" and "ricker" (0.3, 1, 0.75), "may" (0.7, 1.5,
    0.75) and "myers" (1, 1, 1.5). The quota is a share of `K` for all of them.

    ## Action Space

    | name | meaning | low | high |
    |---|---|---|---|
    | quota | u: nothing at -1, 2 K at 1 | -1 | 1 |

    ## Observation Space

    | name | meaning | unit | low | high |
    |---|---|---|---|---|
    | stock | X before the harvest | biomass | 0 | inf |

    Rate, capacity and model are part of the state and are not seen.

    ## Rewards

    The harvest h.

    ## Starting State

    X = `x0`, or what the model drawn starts with.

    ## Episode End

    Terminated when X falls below `extinct`; truncated after 100 steps (years).

    ## Arguments

    `r` 0.3, `K` 1, `C` 0.5, `sigma` 0, `x0` 0.75, `extinct` 0.001, `a` 0.2, `b` 0.15 and `q` 3 for
    the models that have them, `growth` "logistic" or another name, `r_spread` 0.1, `K_spread` 0.1,
    `drift` 0 per year; `discrete`, a number of levels of the quota; `render_mode`, None, "human" or
    "rgb_array".

    ## Sources

    C. Boettiger et al., `gym_fishing`, environments v4, v10 and v11, for problems and constants.
    There the Allee model of v11 has no tipping point (1 - C stands for S - C), v4 shows the
    first stock in other units than the later ones, v10 goes on with the last rate in the next
    episode, and v11 starts its "myers" below its threshold; here none of this is so.

    ## Version History

    v0: first version.
    """

    world = WORLD


class FisheryUncertainVector(WorldVectorEnv):
    """A batch of `FisheryUncertain`."""

    world = WORLD
