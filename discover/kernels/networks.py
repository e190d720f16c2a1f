"""Closed loops with a network as the world: what laws are compared with.

The loop is that of :mod:`discover.kernels.rollouts`, lane by lane; a network moves the states,
which are the observations themselves::

    state = state + last(tanh(second(tanh(first(state, action)))))

in single precision, which halves the time and is far more than such a fit is accurate.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from discover.kernels.rollouts import (
    LANES,
    fill_constants,
    is_outside,
    judge,
    run_program,
    saturate,
    sum_terms,
    to_circles,
)

# tanh(x) = x P(x^2) / Q(x^2) to 3e-7 where |x| < 9, and 1 beyond: as in Eigen's `ptanh`
_FAR = np.float32(9.0)
_P = tuple(np.float32(c) for c in (
    4.89352455891786e-03, 6.37261928875436e-04, 1.48572235717979e-05, 5.12229709037114e-08,
    -8.60467152213735e-11, 2.00018790482477e-13, -2.76076847742355e-16,
))  # fmt: skip
_Q = tuple(np.float32(c) for c in (
    4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06,
))  # fmt: skip


@njit(cache=True, error_model="numpy", fastmath=True)
def dense(weights, offsets, x, n, out):
    """Write ``weights' x + offsets`` of the first `n` lanes into ``out (n_units, n_lanes)``."""
    for j in range(weights.shape[1]):
        total = out[j]
        for r in range(n):
            total[r] = offsets[j]
        i, last = 0, weights.shape[0]
        while i + 4 <= last:  # four inputs at once: the sum is read and written once for them
            a, b, c, d = x[i], x[i + 1], x[i + 2], x[i + 3]
            wa, wb, wc, wd = weights[i, j], weights[i + 1, j], weights[i + 2, j], weights[i + 3, j]
            for r in range(n):
                total[r] += (wa * a[r] + wb * b[r]) + (wc * c[r] + wd * d[r])
            i += 4
        while i < last:
            w, a = weights[i, j], x[i]
            for r in range(n):
                total[r] += w * a[r]
            i += 1


@njit(cache=True, error_model="numpy", fastmath=True)
def tangents(x, n):
    """Replace the first `n` lanes of `x` by their hyperbolic tangents."""
    for j in range(x.shape[0]):
        row = x[j]
        for r in range(n):
            y = max(-_FAR, min(_FAR, row[r]))
            z = y * y
            p = _P[5] + z * _P[6]
            p = _P[3] + z * (_P[4] + z * p)
            p = _P[0] + z * (_P[1] + z * (_P[2] + z * p))
            row[r] = y * p / (_Q[0] + z * (_Q[1] + z * (_Q[2] + z * _Q[3])))


@njit(cache=True, error_model="numpy", nogil=True)
def network_rollouts(
    layers, policy, policy_sums, candidates, actions, circles, outcome, outcome_sums,
    outcome_weights, bounds, chosen, starts, horizon, returns, lengths, trace,
):  # fmt: skip
    """Run closed loops to their ends.

    Parameters
    ----------
    layers : three times (weights, offsets)
        Of shapes (n_inputs, n_units) and (n_units,), in single precision.
    chosen : ndarray of int, shape (n_jobs,)
        Candidate of each rollout.
    starts : ndarray of shape (n_jobs, n_states)
    policy, policy_sums, candidates, actions, circles, outcome, outcome_sums, outcome_weights
    bounds, horizon, returns, lengths, trace
        See :func:`discover.kernels.rollouts.rollouts`.
    """
    n_jobs, n_z = starts.shape
    low, high, levels = actions
    box_low, box_high, clip = bounds
    n_u, lanes = low.shape[0], min(LANES, n_jobs)
    v_act = np.empty((n_z + policy[0].shape[0], lanes))
    v_judge = np.empty((2 * n_z + n_u + outcome[0].shape[0], lanes))
    fill_constants(policy[0], policy[1], n_z, v_act)
    fill_constants(outcome[0], outcome[1], 2 * n_z + n_u, v_judge)
    z, u, verdict = np.empty((n_z, lanes)), np.empty((n_u, lanes)), np.zeros((2, lanes))
    x = np.empty((n_z + n_u, lanes), np.float32)
    h1 = np.empty((layers[0][0].shape[1], lanes), np.float32)
    h2 = np.empty((layers[1][0].shape[1], lanes), np.float32)
    moved = np.empty((n_z, lanes), np.float32)
    W = np.empty((candidates.shape[1], lanes))
    R = np.empty((outcome_weights.shape[0], lanes))
    for e in range(R.shape[0]):
        R[e, :] = outcome_weights[e]
    job, age, total = np.empty(lanes, np.int64), np.zeros(lanes, np.int64), np.zeros(lanes)
    upcoming, n = 0, 0
    while n < lanes:  # the first rollouts
        job[n], W[:, n], z[:, n] = upcoming, candidates[chosen[upcoming]], starts[upcoming]
        upcoming, n = upcoming + 1, n + 1
    while n > 0:
        v_act[:n_z, :n] = z[:, :n]
        run_program(policy[0], n_z, v_act, 0, n)
        sum_terms(policy_sums[0], policy_sums[1], policy[2], W, v_act, 0, n, u)
        saturate(low, high, levels, u, 0, n)
        x[:n_z, :n] = z[:, :n]
        x[n_z:, :n] = u[:, :n]
        dense(layers[0][0], layers[0][1], x, n, h1)
        tangents(h1, n)
        dense(layers[1][0], layers[1][1], h1, n, h2)
        tangents(h2, n)
        dense(layers[2][0], layers[2][1], h2, n, moved)
        z[:, :n] += moved[:, :n]
        to_circles(circles, z, 0, n)
        judge(outcome, outcome_sums, R, z, u, v_act, v_judge, verdict, 0, n)
        r = 0
        while r < n:
            out = is_outside(box_low, box_high, z, z, r)
            if not out:
                reward = min(clip[1], max(clip[0], verdict[0, r]))
                total[r] += reward
                if trace.shape[0] > 0:
                    trace[job[r], age[r]] = reward
            age[r] += 1
            if not (out or verdict[1, r] > 0.0 or age[r] >= horizon):
                r += 1
                continue
            returns[job[r]] = total[r]
            lengths[job[r]] = -age[r] if out else age[r]
            if upcoming < n_jobs:
                job[r], W[:, r], z[:, r] = upcoming, candidates[chosen[upcoming]], starts[upcoming]
                age[r], total[r], upcoming = 0, 0.0, upcoming + 1
                r += 1
            else:  # the last lane moves here, and is looked at next
                n -= 1
                job[r], age[r], total[r] = job[n], age[n], total[n]
                W[:, r], z[:, r], verdict[:, r] = W[:, n], z[:, n], verdict[:, n]
