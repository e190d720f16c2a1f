"""FisheryTippingPoint: harvest a stock that collapses below a threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numba import njit

from discover_envs.canvas import BLUE, GREY, INK, RED, Canvas
from discover_envs.env import WorldEnv, WorldVectorEnv
from discover_envs.world import World, play_batch, rollout_batch, start_batch, step_batch

__all__ = ["GROWTH", "FisheryTippingPoint", "FisheryTippingPointVector", "grown"]

#: Growth models, in the order of their numbers.
GROWTH = ("allee", "logistic", "beverton-holt", "ricker", "may", "myers")

PARAMETERS = {
    "r": 2.0,
    "K": 8.0,
    "C": 5.0,
    "sigma": 0.05,
    "x0": 10.0,
    "extinct": 1e-3,
    "a": 1.6,
    "b": 0.8,
    "q": 3.0,
    "growth": 0.0,
}


@njit
def initial(draws, p, state):
    """Start with the same stock every time."""
    state[0] = p[4]


@njit
def growth(left, r, K, C, a, b, q, model):
    """Return next year's mean stock from what the harvest leaves, by the number of the model."""
    if left <= 0.0:
        return 0.0
    if model == 0.0:
        return left * math.exp(r * (1.0 - left / K) * (left - C) / K)
    if model == 1.0:
        return max(0.0, left + r * left * (1.0 - left / K))
    if model == 2.0:
        return (1.0 + r) * left / (1.0 + r * left / K)
    if model == 3.0:
        return left * math.exp(r * (1.0 - left / K))
    eaten = left**q
    if model == 4.0:
        return max(0.0, left + r * left * (1.0 - left / K) - a * eaten / (eaten + b**q))
    return (1.0 + r) * eaten / (1.0 + eaten / K)


@njit
def grown(left, p):
    """Return next year's mean stock with the parameters of the environment."""
    return growth(left, p[0], p[1], p[2], p[6], p[7], p[8], p[9])


@njit
def caught(stock, action, p):
    """Return the harvest: the quota, or all there is."""
    return min(stock, (1.0 + action[0]) * p[1])


@njit
def transition(state, action, noise, p, work):
    """Harvest, then let the rest grow through a good or a bad year."""
    left = state[0] - caught(state[0], action, p)
    state[0] = grown(left, p) * math.exp(p[3] * noise[0])


@njit
def observation(state, p, seen):
    """See the whole state."""
    for j in range(state.shape[0]):
        seen[j] = state[j]


@njit
def reward(before, action, after, p):
    """Return the harvest."""
    return caught(before[0], action, p)


@njit
def terminal(state, p):
    """End when the stock is gone."""
    return state[0] < p[5]


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


def draw(canvas: Canvas, state: np.ndarray, p: Mapping[str, float]) -> None:
    """Paint the stock beside the threshold and the capacity."""
    top = 2.0 * p["K"]
    canvas.window(0.0, 4.0, -0.05 * top, top)
    canvas.box(1.2, 2.8, 0.0, float(state[0]), BLUE)
    canvas.line([(0.5, 0.0), (3.5, 0.0)], INK, 2.0)
    canvas.line([(0.5, p["K"]), (3.5, p["K"])], GREY, 2.0)
    if p["growth"] == 0.0:
        canvas.line([(0.5, p["C"]), (3.5, p["C"])], RED, 2.0)


WORLD = World(
    parameters=PARAMETERS,
    states=("stock",),
    observations=("stock",),
    actions=("quota",),
    start=_start,
    step=_step,
    rollout=_rollout,
    play=_play,
    n_draws=0,
    low=(0.0,),
    high=(np.inf,),
    n_noise=1,
    draw=draw,
    choices={"growth": GROWTH},
)


class FisheryTippingPoint(WorldEnv):
    r"""Harvest a fish stock for fifty years; below a threshold it collapses for good.

    ## Description

    A quota is taken from the stock X, what is left S grows, and the year is good or bad:

    $$ h = \min(X, (1 + u) K), \quad S = X - h, \quad
    X' = S \exp\left(r (1 - S/K)(S - C)/K\right) e^{\sigma \varepsilon}, $$

    $\varepsilon$ standard normal. Below the tipping point C the mean stock shrinks. Other growth
    models `growth` take the place of the second factor's product with S:

    | growth | mean of X' |
    |---|---|
    | "allee" | above; the default |
    | "logistic" | $S + r S (1 - S/K)$ |
    | "beverton-holt" | $(1 + r) S / (1 + r S/K)$ |
    | "ricker" | $S \exp(r (1 - S/K))$ |
    | "may" | $S + r S (1 - S/K) - a S^q/(S^q + b^q)$ |
    | "myers" | $(1 + r) S^q/(1 + S^q/K)$ |

    ## Action Space

    | name | meaning | low | high |
    |---|---|---|---|
    | quota | u: nothing at -1, 2 K at 1 | -1 | 1 |

    ## Observation Space

    | name | meaning | unit | low | high |
    |---|---|---|---|---|
    | stock | X before the harvest | biomass | 0 | inf |

    ## Rewards

    The harvest h.

    ## Starting State

    X = `x0`.

    ## Episode End

    Terminated when X falls below `extinct`; truncated after 50 steps (years).

    ## Arguments

    `r` 2, `K` 8, `C` 5, `sigma` 0.05, `x0` 10, `extinct` 0.001, and `a` 1.6, `b` 0.8, `q` 3 for the
    models that have them; `growth`, a name from the table; `discrete`, a number of levels of the
    quota; `render_mode`, None, "human" or "rgb_array".

    ## Sources

    C. Boettiger, M. Mangel, S. B. Munch, "Avoiding tipping points in fisheries management through
    Gaussian process dynamic programming", Proc. R. Soc. B 282 (2015) 20141631, with the growth of
    its published code, whose exponent is divided by K; other growth models as in C. Boettiger et
    al., `gym_fishing`.

    ## Version History

    v0: first version.
    """

    world = WORLD


class FisheryTippingPointVector(WorldVectorEnv):
    """A batch of `FisheryTippingPoint`."""

    world = WORLD
