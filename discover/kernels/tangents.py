"""Follow a state together with tangent vectors, kept orthonormal.

State and tangents share one array ``y (n_states, 1 + n_tangents)``: column 0 is the state,
the others are tangent vectors in units of `scale`. A law is five arrays, as in
:mod:`discover.kernels.integrators`. Tangents are carried by the forward mode of
:func:`discover.kernels.terms.fill_slot_slopes`, so the Jacobian is never formed.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from discover.kernels.integrators import (
    DONE,
    DOPRI5_A,
    DOPRI5_C,
    DOPRI5_E,
    LARGEST,
    MAP,
    NOT_FINITE,
    STEP_TOO_SMALL,
    TOO_MANY_STEPS,
    resize,
)
from discover.kernels.terms import combine, fill_slot_slopes, fill_slots

FLOOR = 1e-3  # a state's tolerance does not fall below this share of its scale


@njit(cache=True, error_model="numpy")
def tangent_slopes(program, constants, indptr, slots, weights, d, scale, y, t, v, dv, values, out):
    """Evaluate the law and its derivative along the tangents: ``out`` has the shape of `y`."""
    n, m = y.shape[0], y.shape[1] - 1
    for i in range(n):
        v[i] = y[i, 0]
        for c in range(m):
            dv[i, c] = scale[i] * y[i, 1 + c]
    if d > n:
        v[n] = t
        for c in range(m):
            dv[n, c] = 0.0
    fill_slots(program, constants, d, v)
    fill_slot_slopes(program, d, v, dv)
    combine(indptr, slots, weights, v, values)
    for i in range(n):
        out[i, 0] = values[i]
        for c in range(m):
            total = 0.0
            for e in range(indptr[i], indptr[i + 1]):
                total += weights[e] * dv[slots[e], c]
            out[i, 1 + c] = total / scale[i]


@njit(cache=True, error_model="numpy")
def orthonormalize(y, slopes, growth):
    """Make the tangents orthonormal; adds the logarithms of their lengths to `growth`.

    Modified Gram-Schmidt. `slopes` is linear in the tangents and goes through the same
    steps, so that it stays the slope of the new ones.
    """
    n = y.shape[0]
    for c in range(1, y.shape[1]):
        for b in range(1, c):
            dot = 0.0
            for i in range(n):
                dot += y[i, b] * y[i, c]
            for i in range(n):
                y[i, c] -= dot * y[i, b]
                slopes[i, c] -= dot * slopes[i, b]
        square = 0.0
        for i in range(n):
            square += y[i, c] * y[i, c]
        length = math.sqrt(square)
        growth[c - 1] += math.log(length)
        for i in range(n):
            y[i, c] /= length
            slopes[i, c] /= length


@njit(cache=True, error_model="numpy")
def step_error(k, h, y, z, scale, rtol):
    """Compare the embedded error with the tolerance; infinite where something is not finite."""
    worst = 0.0
    for i in range(y.shape[0]):
        for c in range(y.shape[1]):
            e = 0.0
            for s in range(7):
                e += DOPRI5_E[s] * k[s, i, c]
            e = abs(h * e)
            if not (abs(z[i, c]) <= LARGEST and e <= LARGEST):
                return np.inf
            size = 1.0 if c else max(abs(y[i, 0]), abs(z[i, 0]), FLOOR * scale[i])
            worst = max(worst, e / (rtol * size))
    return worst


@njit(cache=True, error_model="numpy")
def follow_tangents(
    program, constants, indptr, slots, weights, d, scale, y, times, rtol, max_steps, size, growth
):
    """Integrate state and tangents; the growth of each tangent between consecutive times.

    Parameters
    ----------
    program, constants, indptr, slots, weights : ndarray
        The law.
    d : int
        Number of its inputs: the states, and the time if there is one more.
    scale : ndarray of shape (n_states,)
        Positive.
    y : ndarray of shape (n_states, 1 + n_tangents)
        Start, replaced by the end.
    times : ndarray of shape (n_blocks + 1,)
        Increasing.
    rtol : float
    max_steps : int
    size : ndarray of shape (1,)
        The step to try first, replaced by the one to try next.
    growth : ndarray of shape (n_blocks, n_tangents), zeros
        Sums of logarithms of lengths.

    Returns
    -------
    status : int
    t : float
        Where it ended.

    Notes
    -----
    Dormand and Prince's 5(4) pair; the error of the tangents counts like that of the
    states. Tangents are made orthonormal after every step, so nothing overflows and no
    interval has to be chosen.
    """
    n, width = y.shape
    k, z, values = np.zeros((7, n, width)), np.empty((n, width)), np.empty(n)
    v, dv = np.empty(d + program.shape[0]), np.zeros((d + program.shape[0], width - 1))
    t, err_before, rejected, attempts = times[0], 1e-4, False, 0
    tangent_slopes(
        program, constants, indptr, slots, weights, d, scale, y, t, v, dv, values, k[0]
    )  # fmt: skip
    for block in range(times.shape[0] - 1):
        while t < times[block + 1]:
            ahead = times[block + 1] - t
            lands = 1.01 * size[0] >= ahead
            h = ahead if lands else min(size[0], 0.5 * ahead)
            if t + 0.1 * h == t:
                return STEP_TOO_SMALL, t
            if attempts >= max_steps:
                return TOO_MANY_STEPS, t
            attempts += 1
            for s in range(1, 7):
                for i in range(n):
                    for c in range(width):
                        total = 0.0
                        for q in range(s):
                            total += DOPRI5_A[s, q] * k[q, i, c]
                        z[i, c] = y[i, c] + h * total
                tangent_slopes(
                    program, constants, indptr, slots, weights, d, scale, z, t + DOPRI5_C[s] * h,
                    v, dv, values, k[s],
                )  # fmt: skip
            err = step_error(k, h, y, z, scale, rtol)
            size[0] = h * resize(err, err_before, rejected)
            rejected = err > 1.0
            if rejected:
                continue
            for i in range(n):
                for c in range(width):
                    y[i, c], k[0, i, c] = z[i, c], k[6, i, c]
            t, err_before = times[block + 1] if lands else t + h, max(err, 1e-4)
            orthonormalize(y, k[0], growth[block])
    return DONE, t


@njit(cache=True, error_model="numpy")
def iterate_tangents(
    program, constants, indptr, slots, weights, d, rule, dt, scale, y, start, n_steps, growth
):
    """Iterate state and tangents `n_steps` times per row of `growth`.

    `rule` says whether the law is the next state (MAP) or the step to it (INCREMENT).
    Otherwise as :func:`follow_tangents`.
    """
    n, width = y.shape
    z, values = np.empty((n, width)), np.empty(n)
    v, dv = np.empty(d + program.shape[0]), np.zeros((d + program.shape[0], width - 1))
    for block in range(growth.shape[0]):
        for step in range(n_steps):
            t = start + (block * n_steps + step) * dt
            tangent_slopes(
                program, constants, indptr, slots, weights, d, scale, y, t, v, dv, values, z
            )  # fmt: skip
            for i in range(n):
                for c in range(width):
                    y[i, c] = z[i, c] if rule == MAP else y[i, c] + z[i, c]
                if not abs(y[i, 0]) <= LARGEST:
                    return NOT_FINITE, t
            orthonormalize(y, z, growth[block])
    return DONE, start + growth.shape[0] * n_steps * dt
