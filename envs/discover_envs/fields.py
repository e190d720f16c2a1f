"""Fields on a periodic line under control: the loops of worlds whose state is a function.

A world here is ``u_t = L u - (flux(u))_x + f``: a linear operator L that is even in space, a
flux that is computed point by point, and a force that the actions build from fixed shapes. Its
fields move in Fourier space, as the columns of :mod:`discover.kernels.fourier`, `LANES` members
at a time.

A module of a world compiles :func:`move_fields` for its flux, once, and hands the result as
``move`` to the loops. All that does not change in an episode is laid out once, by :func:`lay_out`,
in rows of ``n_points / 2 + 1`` numbers behind the parameters.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from discover.kernels.fourier import real_inverse, real_transform
from discover.kernels.terms import model_values

__all__ = [
    "LANES",
    "lay_out",
    "move_fields",
    "play_fields",
    "rollout_fields",
    "start_fields",
    "step_fields",
]

LANES = 32  # members side by side: their fields fill the fast caches, and not more
_STAGES = 3
# rows of the layout; the shapes of the actions follow, real and imaginary parts
_COSINES, _SINES, _SLOPE, _SQUARE, _CROSS, _STEADY, _KEEP = 0, 1, 2, 3, 4, 5, 7
_SHAPES = _KEEP + 2 * _STAGES


def lay_out(
    symbol: np.ndarray,
    wavenumbers: np.ndarray,
    step: float,
    shapes: np.ndarray,
    square: np.ndarray,
    cross: float,
    steady: np.ndarray | None = None,
    resolved: np.ndarray | None = None,
) -> np.ndarray:
    """Lay out what a field world keeps for an episode.

    Parameters
    ----------
    symbol : ndarray of shape (n_modes,)
        L in Fourier space.
    wavenumbers : ndarray of shape (n_modes,)
        Of the derivative of the flux; 0 where it is not wanted, as at the highest cosine.
    step : float
        Length of a substep.
    shapes : ndarray of shape (n_actions, n_points)
        Force of each action at 1.
    square : ndarray of shape (n_modes,)
        The cost holds the mean over x of the square of the field that has these
        multiples of the modes of u: ``k`` for ``u_x``.
    cross : float
        Weight of the mean of ``u f`` in the cost.
    steady : ndarray of shape (n_points,), optional
        A force that is always there.
    resolved : ndarray of bool, shape (n_modes,), optional
        Modes that are kept; all by default.

    Returns
    -------
    ndarray of shape (n_rows * n_modes,)

    Notes
    -----
    Stage ``s = 0, 1, 2`` of a substep leads from its start ``v`` to
    ``((1 + h L / 2) v + h N) / (1 - h L / 2)`` with ``h = step / (3 - s)`` and ``N`` of the
    stage before: the Runge-Kutta scheme of Wicker and Skamarock (Mon. Wea. Rev. 130 (2002)
    2088-2097) for flux and force, the trapezoidal rule for L. Its order is two.
    """
    n_modes = len(symbol)
    n_points = 2 * (n_modes - 1)
    angles = 2.0 * np.pi * np.arange(n_modes) / n_points
    twice = np.full(n_modes, 2.0)  # a mode inside stands for its conjugate too
    twice[[0, -1]] = 1.0
    mean = twice / n_points**2
    kept = np.ones(n_modes) if resolved is None else resolved.astype(float)
    rows = [np.cos(angles), np.sin(angles), wavenumbers]
    rows += [mean * np.asarray(square) ** 2, cross * mean]
    always = np.fft.rfft(np.zeros(n_points) if steady is None else steady)
    rows += [always.real, always.imag]
    for stage in range(_STAGES):
        h = step / (_STAGES - stage)
        below = 1.0 - 0.5 * h * symbol
        rows += [kept * (1.0 + 0.5 * h * symbol) / below, kept * h / below]
    modes = np.fft.rfft(shapes, axis=1)
    return np.concatenate([*rows, *modes.real, *modes.imag])


@njit(cache=True)
def _load(states, which, first, u):
    for i in range(u.shape[1]):
        m = which[first + i]
        for j in range(u.shape[0]):
            u[j, i] = states[m, j]


@njit(cache=True)
def _save(u, states, which, first):
    for i in range(u.shape[1]):
        m = which[first + i]
        for j in range(u.shape[0]):
            states[m, j] = u[j, i]


@njit(cache=True)
def _push(rows, actions, which, first, force):
    """Fill the modes of the force (2, n_modes, n_lanes) from actions, clipped to [-1, 1]."""
    n_actions = actions.shape[1]
    for k in range(rows.shape[1]):
        for i in range(force.shape[2]):
            force[0, k, i] = rows[_STEADY, k]
            force[1, k, i] = rows[_STEADY + 1, k]
        for a in range(n_actions):
            re, im = rows[_SHAPES + a, k], rows[_SHAPES + n_actions + a, k]
            for i in range(force.shape[2]):
                given = min(1.0, max(-1.0, actions[which[first + i], a]))
                force[0, k, i] += re * given
                force[1, k, i] += im * given


@njit(cache=True)
def _charge(rows, v, force, cost):
    """Add to the cost of every lane what its field costs now."""
    for k in range(rows.shape[1]):
        square, cross = rows[_SQUARE, k], rows[_CROSS, k]
        for i in range(cost.shape[0]):
            re, im = v[0, k, i], v[1, k, i]
            cost[i] += square * (re * re + im * im)
            cost[i] += cross * (re * force[0, k, i] + im * force[1, k, i])


@njit(inline="always")
def move_modes(flux, rows, v, force, w, g, u, work):
    """Move modes ``v`` (2, n_modes, n_lanes) by one substep; w, g, u and work are scratch."""
    cosines, sines = rows[_COSINES], rows[_SINES]
    for stage in range(_STAGES):
        at = v if stage == 0 else w
        real_inverse(at[0], at[1], work, cosines, sines, u)
        for j in range(u.shape[0]):
            for i in range(u.shape[1]):
                u[j, i] = flux(u[j, i])
        real_transform(u, work, cosines, sines, g[0], g[1])
        for k in range(rows.shape[1]):
            keep, gain = rows[_KEEP + 2 * stage, k], rows[_KEEP + 2 * stage + 1, k]
            slope = rows[_SLOPE, k]
            for i in range(u.shape[1]):
                re, im = g[0, k, i], g[1, k, i]
                w[0, k, i] = keep * v[0, k, i] + gain * (force[0, k, i] + slope * im)
                w[1, k, i] = keep * v[1, k, i] + gain * (force[1, k, i] - slope * re)
    for k in range(rows.shape[1]):
        for i in range(u.shape[1]):
            v[0, k, i] = w[0, k, i]
            v[1, k, i] = w[1, k, i]


@njit(inline="always")
def move_fields(flux, rows, states, actions, which, substeps, costs):
    """Move the members `which` by some substeps; fill what their fields cost on average.

    The average is over the field at the start and after each substep.
    """
    n_modes, n_points = rows.shape[1], states.shape[1]
    for first in range(0, which.shape[0], LANES):
        lanes = min(LANES, which.shape[0] - first)
        u, work = np.empty((n_points, lanes)), np.empty((4, n_points // 2, lanes))
        v, force = np.empty((2, n_modes, lanes)), np.empty((2, n_modes, lanes))
        w, g = np.empty((2, n_modes, lanes)), np.empty((2, n_modes, lanes))
        cost = np.zeros(lanes)
        _load(states, which, first, u)
        _push(rows, actions, which, first, force)
        real_transform(u, work, rows[_COSINES], rows[_SINES], v[0], v[1])
        _charge(rows, v, force, cost)
        for _ in range(substeps):
            move_modes(flux, rows, v, force, w, g, u, work)
            _charge(rows, v, force, cost)
        real_inverse(v[0], v[1], work, rows[_COSINES], rows[_SINES], u)
        _save(u, states, which, first)
        for i in range(lanes):
            costs[first + i] = cost[i] / (substeps + 1)


@njit(inline="always")
def start_fields(move, rows, states, which, draws, chosen, scale, substeps, seen):
    """Start some members from draws (n_started, n_points), left alone for some substeps."""
    if not chosen:
        for k in range(which.shape[0]):
            for j in range(states.shape[1]):
                states[which[k], j] = scale * draws[k, j]
        n_actions = (rows.shape[0] - _SHAPES) // 2
        nothing = np.zeros((states.shape[0], n_actions))
        move(rows, states, nothing, which, substeps, np.empty(which.shape[0]))
    for k in range(which.shape[0]):
        m = which[k]
        for j in range(states.shape[1]):
            seen[m, j] = states[m, j]


@njit(inline="always")
def step_fields(move, rows, states, actions, substeps, effort, idle, seen, rewards, ended):
    """Move every member that is not idle by one step; idle ones get reward 0."""
    which = np.flatnonzero(~idle)
    costs = np.empty(which.shape[0])
    move(rows, states, actions, which, substeps, costs)
    for m in range(states.shape[0]):
        rewards[m], ended[m] = 0.0, False
    for k in range(which.shape[0]):
        m = which[k]
        rewards[m] = -costs[k] - effort * mean_square(actions[m])
        for j in range(states.shape[1]):
            seen[m, j] = states[m, j]


@njit(inline="always")
def rollout_fields(move, rows, states, actions, substeps, effort, path, rewards, lengths):
    """Follow given actions (n_members, n_steps, n_actions); no episode ends before its time."""
    n_members, n_steps = actions.shape[0], actions.shape[1]
    which, costs, now = np.arange(n_members), np.empty(n_members), states.copy()
    held = np.empty((n_members, actions.shape[2]))
    for k in range(n_steps):
        _keep(now, path, k)
        for m in range(n_members):
            for a in range(held.shape[1]):
                held[m, a] = actions[m, k, a]
        move(rows, now, held, which, substeps, costs)
        for m in range(n_members):
            rewards[m, k] = -costs[m] - effort * mean_square(held[m])
    _keep(now, path, n_steps)
    for m in range(n_members):
        lengths[m] = n_steps


@njit(inline="always")
def play_fields(
    move, rows, table, weights, states, n_steps, substeps, effort, totals, lengths, kept
):
    """Let policies act on the fields they see; see :func:`discover_envs.world.play_batch`."""
    _, program, constants, indptr, slots = table
    path, actions, rewards = kept
    n_members, count, keep = states.shape[0], totals.shape[0], path.shape[0] > 0
    which, costs = np.arange(count), np.empty(count)
    now, held = np.empty((count, states.shape[1])), np.empty((count, indptr.shape[0] - 1))
    for row in range(count):
        totals[row], lengths[row] = 0.0, n_steps
        for j in range(now.shape[1]):
            now[row, j] = states[row % n_members, j]
    for k in range(n_steps):
        for q in range(weights.shape[0]):
            a, b = q * n_members, (q + 1) * n_members
            model_values(program, constants, indptr, slots, weights[q], now[a:b], held[a:b])
        for row in range(count):
            for j in range(held.shape[1]):
                held[row, j] = min(1.0, max(-1.0, held[row, j]))
        if keep:
            _keep(now, path, k)
            _keep(held, actions, k)
        move(rows, now, held, which, substeps, costs)
        for row in range(count):
            paid = -costs[row] - effort * mean_square(held[row])
            totals[row] += paid
            if keep:
                rewards[row, k] = paid
    if keep:
        _keep(now, path, n_steps)


@njit(cache=True)
def _keep(values, kept, k):
    """Copy values (n_members, n) into what is kept of step k."""
    for m in range(values.shape[0]):
        for j in range(values.shape[1]):
            kept[m, k, j] = values[m, j]


@njit(cache=True)
def mean_square(action):
    """Return the mean square of the actions, clipped to [-1, 1]."""
    total = 0.0
    for a in range(action.shape[0]):
        total += min(1.0, action[a] * action[a])
    return total / action.shape[0]
