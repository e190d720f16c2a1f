"""KuramotoSivashinsky: quieten chaos in space and time with four jets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from discover_envs.canvas import BLUE, GREY, RED, Canvas
from discover_envs.env import WorldEnv, WorldVectorEnv
from discover_envs.fields import (
    lay_out,
    move_fields,
    play_fields,
    rollout_fields,
    start_fields,
    step_fields,
)
from discover_envs.world import World

if TYPE_CHECKING:
    from discover import SymbolicModel

__all__ = ["KuramotoSivashinsky", "KuramotoSivashinskyVector"]

N_POINTS, N_ACTIONS = 64, 4
N_MODES = N_POINTS // 2 + 1
COSTS, DEALIASING = ("dissipation", "energy"), ("none", "two_thirds")
PARAMETERS = {
    "length": 22.0,
    "tilt": 0.0,
    "max_force": 0.5,
    "jet_width": 0.4,
    "dt": 0.25,
    "substeps": 5.0,
    "burn_in": 40.0,
    "cost": 0.0,
    "effort": 0.0,
    "dealiasing": 0.0,
}
_N = len(PARAMETERS)
_NAMES = list(PARAMETERS)
_DT, _SUBSTEPS, _BURN_IN, _EFFORT = map(_NAMES.index, ("dt", "substeps", "burn_in", "effort"))


def grid(p: Mapping[str, float]) -> np.ndarray:
    """Return the points, shape (64,)."""
    return p["length"] / N_POINTS * np.arange(N_POINTS)


def jets(p: Mapping[str, float]) -> np.ndarray:
    """Return the forces of the jets at action 1, shape (4, 64)."""
    length = p["length"]
    centres = (np.arange(N_ACTIONS) + 0.5) * length / N_ACTIONS
    away = (grid(p) - centres[:, None] + 0.5 * length) % length - 0.5 * length
    return p["max_force"] * np.exp(-0.5 * (away / p["jet_width"]) ** 2)


def derive(p: Mapping[str, float]) -> np.ndarray:
    """Return the layout of the equation, its scheme and its cost.

    Raises
    ------
    ValueError
        If the number of substeps is none.
    """
    if p["substeps"] < 1 or p["substeps"] % 1:
        raise ValueError(
            "KuramotoSivashinsky: substeps must be a whole number, 1 or more; got "
            f"{p['substeps']:g}."
        )
    modes = np.arange(N_MODES)
    k = 2.0 * np.pi / p["length"] * modes
    slope = np.where(modes == N_MODES - 1, 0.0, k)
    dissipation = p["cost"] == COSTS.index("dissipation")
    return lay_out(
        symbol=k**2 - k**4,
        wavenumbers=slope,
        step=p["dt"] / p["substeps"],
        shapes=jets(p),
        square=0.1 * np.sqrt(slope**2 + slope**4) if dissipation else np.ones(N_MODES),
        cross=0.01 if dissipation else 0.0,
        steady=p["tilt"] * np.cos(4.0 * np.pi * grid(p) / p["length"]),
        resolved=modes <= N_POINTS // 3 if p["dealiasing"] else None,
    )


@njit(inline="always")
def flux(u):
    """Return the flux at a point."""
    return 0.5 * u * u


@njit(cache=True)
def _move(rows, states, actions, which, substeps, costs):
    move_fields(flux, rows, states, actions, which, substeps, costs)


@njit(cache=True)
def _start(states, which, draws, chosen, p, seen):
    rows = p[_N:].reshape(-1, N_MODES)
    alone = round(p[_BURN_IN] * p[_SUBSTEPS] / p[_DT])
    start_fields(_move, rows, states, which, draws, chosen, 0.4, alone, seen)


@njit(cache=True)
def _step(states, actions, noise, position, p, idle, seen, rewards, ended):
    rows = p[_N:].reshape(-1, N_MODES)
    step_fields(
        _move, rows, states, actions, round(p[_SUBSTEPS]), p[_EFFORT], idle, seen, rewards, ended
    )


@njit(cache=True)
def _rollout(states, actions, noise, p, path, rewards, lengths):
    rows = p[_N:].reshape(-1, N_MODES)
    rollout_fields(
        _move, rows, states, actions, round(p[_SUBSTEPS]), p[_EFFORT], path, rewards, lengths
    )


@njit(cache=True)
def _play(table, weights, states, noise, p, totals, lengths, kept):
    rows = p[_N:].reshape(-1, N_MODES)
    play_fields(
        _move, rows, table, weights, states, noise.shape[1], round(p[_SUBSTEPS]), p[_EFFORT],
        totals, lengths, kept,
    )  # fmt: skip


def equation(p: Mapping[str, float]) -> SymbolicModel:
    """Return the partial differential equation, with the whole force as an input."""
    from discover import SymbolicLibrary, SymbolicModel

    inputs = ["u", "u_x", "u_xx", "u_xxxx", "f"]
    table = SymbolicLibrary(["u*u_x", "u_xx", "u_xxxx", "f"]).build(inputs)
    return SymbolicModel(
        table, [[-1.0, -1.0, -1.0, 1.0]], inputs, target_names=("u_t",), kind="direct"
    )


def draw(canvas: Canvas, state: np.ndarray, p: Mapping[str, float]) -> None:
    """Paint the field and where the jets are."""
    length = p["length"]
    canvas.window(0.0, length, -4.0, 4.0)
    canvas.line([(0.0, 0.0), (length, 0.0)], GREY, 2.0)
    for k in range(N_ACTIONS):
        centre = (k + 0.5) * length / N_ACTIONS
        canvas.line([(centre, -4.0), (centre, -3.7)], RED, 4.0)
    points = [*grid(p).tolist(), length]
    canvas.line(list(zip(points, [*state.tolist(), float(state[0])], strict=True)), BLUE, 3.0)


WORLD = World(
    parameters=PARAMETERS,
    states=tuple(f"u{j}" for j in range(N_POINTS)),
    observations=tuple(f"u{j}" for j in range(N_POINTS)),
    actions=tuple(f"jet{k}" for k in range(N_ACTIONS)),
    start=_start,
    step=_step,
    rollout=_rollout,
    play=_play,
    n_draws=N_POINTS,
    uniform=True,
    draw=draw,
    choices={"cost": COSTS, "dealiasing": DEALIASING},
    derive=derive,
    equation=equation,
)


class KuramotoSivashinsky(WorldEnv):
    r"""Quieten a field that is chaotic in space and time, with four jets.

    ## Description

    The Kuramoto-Sivashinsky equation on a periodic line of length L, a model of flame fronts and
    of thin films,

    $$ u_t = -u u_x - u_{xx} - u_{xxxx} + f, \qquad
    f = \mu \cos(4 \pi x / L) + \sum_{k=0}^{3} F u_k e^{-(x - x_k)^2 / 2 \sigma^2}, $$

    whose long waves grow, whose short waves are damped and whose products carry energy from one
    to the other. At L = 22 its leading Lyapunov exponent is 0.049. The jets sit at
    $x_k = (k + 1/2) L / 4$.

    There are 64 points. A step of 0.25 is five substeps of 0.05 under held actions: in Fourier
    space, with the Runge-Kutta scheme of Wicker and Skamarock for flux and force and the
    trapezoidal rule for the linear terms, together of second order. Products are not dealiased,
    as in the published environment; `dealiasing="two_thirds"` keeps the lowest two thirds
    of the modes only.

    ## Action Space

    | name | meaning | low | high |
    |---|---|---|---|
    | jet0 ... jet3 | $u_k$, the jets | -1 | 1 |

    ## Observation Space

    | name | meaning | unit | low | high |
    |---|---|---|---|---|
    | u0 ... u63 | u at x = 0, L/64, ... | | -inf | inf |

    ## Rewards

    $-\langle u_{xx}^2 + u_x^2 + u f \rangle / 100$: what is dissipated and what the force puts in.
    With `cost="energy"`, $-\langle u^2 \rangle$. The mean is over the line and over the fields at
    the start of the step and after each substep. Both are less `effort` times the mean of $u_k^2$.

    ## Starting State

    Independent values, uniform in [-0.4, 0.4], left alone for `burn_in`.

    ## Episode End

    Truncated after 400 steps (100 time units); never terminated.

    ## Arguments

    `length` L = 22, `tilt` $\mu$ = 0, `max_force` F = 0.5, `jet_width` $\sigma$ = 0.4, `dt` 0.25,
    `substeps` 5, `burn_in` 40, `cost` "dissipation" or "energy", `effort` 0, `dealiasing` "none"
    or "two_thirds"; `discrete`, a number of levels of each jet; `render_mode`, None,
    "rgb_array" or "human".

    ## Sources

    K. Zeng and M. D. Graham, "Symmetry reduction for deep reinforcement learning active control of
    chaotic spatiotemporal dynamics", Phys. Rev. E 104 (2021) 014210, and the code published with
    K. Zeng, A. J. Linot and M. D. Graham, Proc. R. Soc. A 478 (2022) 20220297. Energy as the cost
    and the tilt: N. Botteghi and U. Fasel, arXiv:2403.15267.

    ## Version History

    v0: first version.
    """

    world = WORLD


class KuramotoSivashinskyVector(WorldVectorEnv):
    """A batch of `KuramotoSivashinsky`."""

    world = WORLD
