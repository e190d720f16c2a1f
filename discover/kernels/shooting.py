"""Multiple shooting: follow a law and its sensitivities, and solve for states and parameters.

A run is cut into segments, each with an initial state of its own. A segment is followed with
``M = [S | P]``, the derivatives of the state with respect to the segment's initial state and to
the free coefficients, which obey the variational equations ``M' = J M + [0 | phi]``.

The normal equations of the Gauss-Newton step are block tridiagonal in the initial states
(a segment meets the next one only) and bordered by the coefficients. They are eliminated
from the first segment to the last, in O(n_samples).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from discover.kernels.integrators import (
    DOPRI5_A,
    DOPRI5_C,
    INCREMENT,
    LARGEST,
    RK4,
    count_controls,
    set_controls,
)
from discover.kernels.terms import combine, fill_slot_slopes, fill_slots

N_STAGES = 6  # of the fifth-order solution of Dormand and Prince

SHOT, DIVERGED = range(2)
SOLVED, SINGULAR = range(2)


@njit(cache=True, error_model="numpy")
def slopes_of(
    program, constants, indptr, slots, weights, free, d, times, U, reading, j, now, x, M, v, dv, kx,
    kM,
):  # fmt: skip
    """Evaluate the law and the right-hand side of the variational equations.

    `free` gives for every weight the column of `M` it belongs to, or -1.
    """
    n, q = M.shape
    for i in range(n):
        v[i] = x[i]
    set_controls(times, U, reading, j, 0, now, n, v)
    if d > n + count_controls(U, reading):
        v[d - 1] = now
    fill_slots(program, constants, d, v)
    combine(indptr, slots, weights, v, kx)
    if q == 0:
        return
    fill_slot_slopes(program, d, v, dv)
    for i in range(n):
        for c in range(q):
            kM[i, c] = 0.0
        for e in range(indptr[i], indptr[i + 1]):
            for r in range(n):
                slope = weights[e] * dv[slots[e], r]
                if slope != 0.0:
                    for c in range(q):
                        kM[i, c] += slope * M[r, c]
            if free[e] >= 0:
                kM[i, free[e]] += v[slots[e]]


@njit(cache=True, error_model="numpy")
def advance(
    program, constants, indptr, slots, weights, free, d, times, U, reading, rule, j, n_substeps, x,
    M, y, Z, v, dv, kx, kM,
):  # fmt: skip
    """Carry a state and its sensitivities from sample `j` to the next."""
    n, q = M.shape
    if rule != RK4:
        slopes_of(
            program, constants, indptr, slots, weights, free, d, times, U, reading, j, times[j],
            x, M, v, dv, kx[0], kM[0],
        )  # fmt: skip
        keep = 1.0 if rule == INCREMENT else 0.0
        for i in range(n):
            x[i] = keep * x[i] + kx[0, i]
            for c in range(q):
                M[i, c] = keep * M[i, c] + kM[0, i, c]
        return
    h = (times[j + 1] - times[j]) / n_substeps
    for step in range(n_substeps):
        for s in range(N_STAGES + 1):
            for i in range(n):
                total = 0.0
                for r in range(s):
                    total += DOPRI5_A[s, r] * kx[r, i]
                y[i] = x[i] + h * total
                for c in range(q):
                    total = 0.0
                    for r in range(s):
                        total += DOPRI5_A[s, r] * kM[r, i, c]
                    Z[i, c] = M[i, c] + h * total
            if s == N_STAGES:
                break
            slopes_of(
                program, constants, indptr, slots, weights, free, d, times, U, reading, j,
                times[j] + (step + DOPRI5_C[s]) * h, y, Z, v, dv, kx[s], kM[s],
            )  # fmt: skip
        for i in range(n):
            x[i] = y[i]
            for c in range(q):
                M[i, c] = Z[i, c]


@njit(cache=True, error_model="numpy")
def shoot(
    program, constants, indptr, slots, weights, free, d, times, U, reading, rule, n_substeps,
    x0, starts, linked, Y, W, n_columns, predicted, ends, links, hessians, gradients,
):  # fmt: skip
    """Follow every segment through its samples.

    Parameters
    ----------
    program, constants, indptr, slots, weights : ndarray
        The law.
    free : ndarray of int, shape (n_weights,)
        For each weight its column of the sensitivities, from n_states on; -1 when fixed.
    d : int
        Number of inputs of the law.
    times : ndarray of shape (n_samples,)
        Those of all runs, one after the other.
    U : ndarray of shape (n_samples, n_controls or 3 n_controls)
    reading, rule : int
        See :mod:`discover.kernels.integrators`.
    n_substeps : ndarray of int, shape (n_samples,)
        Steps between each sample and the next.
    x0 : ndarray of shape (n_segments, n_states)
    starts : ndarray of int, shape (n_segments + 1,)
        Sample where each segment begins.
    linked : ndarray of bool, shape (n_segments,)
        Whether the next segment goes on where this one ends.
    Y, W : ndarray of shape (n_samples, n_states)
        Observations and their weights; weight 0 where nothing was observed.
    n_columns : int
        n_states plus the number of free weights; 0 for no sensitivities.
    predicted : ndarray of shape (n_samples, n_states)
    ends : ndarray of shape (n_segments, n_states)
        Where linked segments arrive at the start of the next.
    links : ndarray of shape (n_segments, n_states, n_columns)
        Sensitivities there.
    hessians : ndarray of shape (n_segments, n_columns, n_columns)
        ``sum M' W M`` over the samples of each segment.
    gradients : ndarray of shape (n_segments, n_columns)
        ``sum M' W (Y - x)``.

    Returns
    -------
    int
        SHOT or DIVERGED.
    """
    n, q = x0.shape[1], n_columns
    x, y, v = np.empty(n), np.empty(n), np.empty(d + program.shape[0])
    M, Z = np.zeros((n, q)), np.zeros((n, q))
    dv = np.zeros((d + program.shape[0], n))
    kx, kM = np.empty((N_STAGES, n)), np.empty((N_STAGES, n, q))
    for i in range(n):
        dv[i, i] = 1.0
    for segment in range(x0.shape[0]):
        H, g = hessians[segment], gradients[segment]
        for i in range(n):
            x[i] = x0[segment, i]
            for c in range(q):
                M[i, c] = 1.0 if c == i else 0.0
        for a in range(q):
            g[a] = 0.0
            for b in range(q):
                H[a, b] = 0.0
        last = starts[segment + 1] if linked[segment] else starts[segment + 1] - 1
        for k in range(starts[segment], starts[segment + 1]):
            for i in range(n):
                if not abs(x[i]) <= LARGEST:
                    return DIVERGED
                predicted[k, i] = x[i]
                w = W[k, i]
                if w > 0.0:
                    r = w * (Y[k, i] - x[i])
                    for a in range(q):
                        wa = w * M[i, a]
                        g[a] += M[i, a] * r
                        for b in range(a + 1):
                            H[a, b] += wa * M[i, b]
            if k < last:
                advance(
                    program, constants, indptr, slots, weights, free, d, times, U, reading, rule,
                    k, n_substeps[k], x, M, y, Z, v, dv, kx, kM,
                )  # fmt: skip
        for a in range(q):
            for b in range(a):
                H[b, a] = H[a, b]
        for i in range(n):
            if not abs(x[i]) <= LARGEST:
                return DIVERGED
            ends[segment, i] = x[i]
            for c in range(q):
                links[segment, i, c] = M[i, c]
    return SHOT


@njit(cache=True, error_model="numpy")
def factor(D, tolerance):
    """Replace the lower triangle of `D` by its Cholesky factor; SOLVED or SINGULAR."""
    n = D.shape[0]
    for i in range(n):
        before = D[i, i]
        for j in range(i + 1):
            total = D[i, j]
            for k in range(j):
                total -= D[i, k] * D[j, k]
            if i > j:
                D[i, j] = total / D[j, j]
            elif not total > tolerance * before:
                return SINGULAR
            else:
                D[i, i] = math.sqrt(total)
    return SOLVED


@njit(cache=True, error_model="numpy")
def forward(L, B):
    """Replace the columns of `B` by ``inv(L) B``."""
    for i in range(L.shape[0]):
        for c in range(B.shape[1]):
            total = B[i, c]
            for k in range(i):
                total -= L[i, k] * B[k, c]
            B[i, c] = total / L[i, i]


@njit(cache=True, error_model="numpy")
def eliminate(hessians, gradients, links, gaps, linked, stiffness, damping, work, schur, right):
    """Eliminate the initial states from the Gauss-Newton equations.

    Parameters
    ----------
    hessians, gradients, links : ndarray
        As :func:`shoot` leaves them; q columns, of which n belong to the initial states.
    gaps : ndarray of shape (n_segments, n_states)
        Start of the next segment minus the end of this one.
    linked : ndarray of bool, shape (n_segments,)
    stiffness : ndarray of shape (n_states,)
        Weights of the squared gaps.
    damping : float
        Relative increase of the diagonal (Levenberg and Marquardt).
    work : ndarray of shape (n_segments, n_states, n_states + n_states + p + 1)
        Left for :func:`substitute`: the factors of the diagonal blocks, and the blocks to
        the right of them.
    schur : ndarray of shape (p, p)
        The information matrix of the coefficients, the states profiled out.
    right : ndarray of shape (p,)

    Returns
    -------
    int
        SOLVED or SINGULAR.
    """
    n_segments, n = gaps.shape
    q = hessians.shape[1]
    p = q - n
    diagonal = np.empty(p)
    work[:] = 0.0
    schur[:] = 0.0
    right[:] = 0.0
    for j in range(n_segments):
        for a in range(n):
            for b in range(n):
                work[j, a, b] += hessians[j, a, b]
            for c in range(p):
                work[j, a, 2 * n + c] += hessians[j, a, n + c]
            work[j, a, 2 * n + p] += gradients[j, a]
        for c in range(p):
            right[c] += gradients[j, n + c]
            for e in range(p):
                schur[c, e] += hessians[j, n + c, n + e]
        if linked[j]:
            for i in range(n):
                t, gap = stiffness[i], gaps[j, i]
                for a in range(n):
                    ta = t * links[j, i, a]
                    for b in range(n):
                        work[j, a, b] += ta * links[j, i, b]
                    work[j, a, n + i] -= ta
                    for c in range(p):
                        work[j, a, 2 * n + c] += ta * links[j, i, n + c]
                    work[j, a, 2 * n + p] += ta * gap
                work[j + 1, i, i] += t
                work[j + 1, i, 2 * n + p] -= t * gap
                for c in range(p):
                    tc = t * links[j, i, n + c]
                    work[j + 1, i, 2 * n + c] -= tc
                    right[c] += tc * gap
                    for e in range(p):
                        schur[c, e] += tc * links[j, i, n + e]
    for c in range(p):
        diagonal[c] = damping * schur[c, c]
    for j in range(n_segments):
        for a in range(n):
            work[j, a, a] *= 1.0 + damping
    for j in range(n_segments):
        D, R = work[j, :, :n], work[j, :, n:]
        if factor(D, 1e-14) == SINGULAR:
            return SINGULAR
        forward(D, R)
        if linked[j]:
            for i in range(n):
                for a in range(n):
                    for k in range(n):
                        work[j + 1, a, k] -= R[i, a] * R[i, k]
                    for c in range(p + 1):
                        work[j + 1, a, 2 * n + c] -= R[i, a] * R[i, n + c]
        for i in range(n):
            for c in range(p):
                right[c] -= R[i, n + c] * R[i, n + p]
                for e in range(p):
                    schur[c, e] -= R[i, n + c] * R[i, n + e]
    for c in range(p):
        schur[c, c] += diagonal[c]
    return SOLVED


@njit(cache=True, error_model="numpy")
def substitute(work, linked, change, out):
    """Recover the steps of the initial states ``out (n_segments, n_states)``."""
    n_segments, n = out.shape
    p = change.shape[0]
    for j in range(n_segments - 1, -1, -1):
        for i in range(n):
            total = work[j, i, 2 * n + p]
            for c in range(p):
                total -= work[j, i, 2 * n + c] * change[c]
            if linked[j]:
                for a in range(n):
                    total -= work[j, i, n + a] * out[j + 1, a]
            out[j, i] = total
        for i in range(n - 1, -1, -1):
            total = out[j, i]
            for k in range(i + 1, n):
                total -= work[j, k, i] * out[j, k]
            out[j, i] = total / work[j, i, i]
