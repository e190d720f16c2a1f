"""One step of a learned world, for one state or thousands, from two arrays that hold it all.

A world is ``(code, numbers)``: sections of integers and of floats, one after the other.
``code[k]`` is where section `k` begins, so that a call hands over two arrays instead of
thirty: unboxing those would take longer than the step itself. Sections of floats begin at
the places that the last section of integers lists.

Laws come as *sets* of weights (one per member of the ensemble), each in compressed-row
form without zeros. Rows are sorted by set, so that a tile of lanes shares its weights.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from discover.kernels.rollouts import (
    LANES,
    LARGEST_STATE,
    copy_rows,
    doubts,
    fill_constants,
    run_program,
    saturate,
    stop_states,
    to_circles,
)

#: Sections of integers: programs, outputs and sums of observations, change and outcome.
(SEE, SEEN, MOVE, MOVED, SETS, SET_TERMS, ALL_SUMS, ALL_TERMS, CIRCLES,
 JUDGE, JUDGED, JUDGE_SUMS, JUDGE_TERMS, LEVELS, HALTED, PLACES) = range(16)  # fmt: skip
#: Sections of floats; `CAUTION` is (penalty, limit) and the scale of each state.
(SEE_CONSTANTS, MOVE_CONSTANTS, WEIGHTS, JUDGE_CONSTANTS, JUDGE_WEIGHTS,
 ACT_LOW, ACT_HIGH, LOW, HIGH, CLIP, DEVIATIONS, CAUTION,
 STOP_LOW, STOP_HIGH) = range(14)  # fmt: skip


@njit(cache=True, inline="always")
def integers(code, k):
    """Return a section of integers."""
    return code[code[k] : code[k + 1]]


@njit(cache=True, inline="always")
def floats(code, numbers, k):
    """Return a section of floats."""
    at = code[PLACES] + k
    return numbers[code[at] : code[at + 1]]


@njit(cache=True, error_model="numpy")
def sum_shared(indptr, terms, weights, outputs, first, v, start, stop, out):
    """Sum weighted terms with the same weights in all lanes; sums `first`, ... of many."""
    for i in range(out.shape[0]):
        total = out[i]
        for r in range(start, stop):
            total[r] = 0.0
        e, last = indptr[first + i], indptr[first + i + 1]
        while e + 4 <= last:  # four terms at once: the sum is read and written once for them
            a, b = v[outputs[terms[e]]], v[outputs[terms[e + 1]]]
            c, d = v[outputs[terms[e + 2]]], v[outputs[terms[e + 3]]]
            wa, wb, wc, wd = weights[e], weights[e + 1], weights[e + 2], weights[e + 3]
            for r in range(start, stop):
                total[r] += (wa * a[r] + wb * b[r]) + (wc * c[r] + wd * d[r])
            e += 4
        while e < last:
            w, x = weights[e], v[outputs[terms[e]]]
            for r in range(start, stop):
                total[r] += w * x[r]
            e += 1


@njit(cache=True, error_model="numpy")
def sort_by_set(which, n_sets, order, start):
    """Order rows by set: those of set `m` are ``order[start[m] : start[m + 1]]``.

    The last two sets, mean and median of the others, are asked for by -2 and -1.

    Returns whether every row names one.
    """
    start[:] = 0
    for i in range(which.shape[0]):
        if which[i] >= n_sets - 2 or which[i] < -2:
            return False
        start[(which[i] if which[i] >= 0 else n_sets + which[i]) + 1] += 1
    for m in range(n_sets):
        start[m + 1] += start[m]
    at = start[:-1].copy()
    for i in range(which.shape[0]):
        m = which[i] if which[i] >= 0 else n_sets + which[i]
        order[at[m]] = i
        at[m] += 1
    return True


@njit(cache=True, error_model="numpy")
def look(see, outputs, n_z, v, n, seen):
    """Write the observations of the states in ``v[:n_z]`` into the first rows of `seen`."""
    run_program(see, n_z, v, 0, n)
    for j in range(outputs.shape[0]):
        x = v[outputs[j]]
        for r in range(n):
            seen[j, r] = x[r]


@njit(cache=True, error_model="numpy", nogil=True)
def step(code, numbers, which, states, actions, after, seen, rewards, ended):
    """Take one step from every row of `states`.

    Parameters
    ----------
    code : ndarray of int64
    numbers : ndarray of float64
    which : ndarray of int64, shape (n,)
        Set of weights that moves each row; -1 for the last, -2 for the one before.
    states : ndarray of shape (n, n_states)
    actions : ndarray of shape (n, n_actions)
        Clipped, or rounded to levels, here.
    after : ndarray of shape (n, n_states)
        Filled with the next states.
    seen : ndarray of shape (n, n_observations)
        Filled with the next observations.
    rewards : ndarray of shape (n,)
    ended : ndarray of bool, shape (n,)
        Where a bound was left (the reward is 0 then), doubt was too large, or the outcome
        says so.

    Returns
    -------
    bool
        False if some row names no set: nothing is filled then.
    """
    n, n_z = states.shape
    n_u, n_o = actions.shape[1], seen.shape[1]
    see, move = integers(code, SEE).reshape(-1, 3), integers(code, MOVE).reshape(-1, 3)
    judge = integers(code, JUDGE).reshape(-1, 3)
    see_out, move_out = integers(code, SEEN), integers(code, MOVED)
    judge_out, judge_sums = integers(code, JUDGED), integers(code, JUDGE_SUMS)
    judge_terms, judge_weights = integers(code, JUDGE_TERMS), floats(code, numbers, JUDGE_WEIGHTS)
    sets, set_terms = integers(code, SETS), integers(code, SET_TERMS)
    weights = floats(code, numbers, WEIGHTS)
    all_sums, all_terms = integers(code, ALL_SUMS), integers(code, ALL_TERMS)
    deviations = floats(code, numbers, DEVIATIONS).reshape(-1, max(1, all_terms.shape[0]))
    circles, caution = integers(code, CIRCLES).reshape(-1, 2), floats(code, numbers, CAUTION)
    act_low, act_high = floats(code, numbers, ACT_LOW), floats(code, numbers, ACT_HIGH)
    levels, clip = integers(code, LEVELS), floats(code, numbers, CLIP)
    low, high = floats(code, numbers, LOW), floats(code, numbers, HIGH)
    stop_low, stop_high = floats(code, numbers, STOP_LOW), floats(code, numbers, STOP_HIGH)
    halted = integers(code, HALTED)
    penalty, limit, scale = caution[0], caution[1], caution[2:]
    n_sets = (sets.shape[0] - 1) // n_z
    lanes = max(1, min(LANES, n))
    d_move, d_judge = n_z + n_u, 2 * n_o + n_u
    v_see = np.empty((n_z + see.shape[0], lanes))
    v_move = np.empty((d_move + move.shape[0], lanes))
    v_judge = np.empty((d_judge + judge.shape[0], lanes))
    fill_constants(see, floats(code, numbers, SEE_CONSTANTS), n_z, v_see)
    fill_constants(move, floats(code, numbers, MOVE_CONSTANTS), d_move, v_move)
    fill_constants(judge, floats(code, numbers, JUDGE_CONSTANTS), d_judge, v_judge)
    z, u, change = v_see[:n_z], np.empty((n_u, lanes)), np.empty((n_z, lanes))
    verdict, doubt = np.zeros((2, lanes)), np.zeros(lanes)
    order, start = np.empty(n, np.int64), np.empty(n_sets + 1, np.int64)
    if not sort_by_set(which, n_sets, order, start):
        return False
    for first in range(0, n, lanes):
        k = min(lanes, n - first)
        for r in range(k):
            row = order[first + r]
            for i in range(n_z):
                z[i, r] = states[row, i]
            for i in range(n_u):
                u[i, r] = actions[row, i]
        saturate(act_low, act_high, levels, u, 0, k)
        look(see, see_out, n_z, v_see, k, v_judge[n_o + n_u :])
        copy_rows(z, 0, k, 0, v_move)
        copy_rows(u, 0, k, n_z, v_move)
        run_program(move, d_move, v_move, 0, k)
        for m in range(n_sets):
            begin, end = max(start[m] - first, 0), min(start[m + 1] - first, k)
            if begin < end:
                sum_shared(sets, set_terms, weights, move_out, m * n_z, v_move, begin, end, change)
        for i in range(n_z):
            for r in range(k):
                z[i, r] += change[i, r]
        to_circles(circles, z, 0, k)
        stop_states((stop_low, stop_high, halted), z, 0, k)
        if deviations.shape[0] > 0:
            doubts(all_sums, all_terms, deviations, scale, move_out, v_move, k, change[0], doubt)
        look(see, see_out, n_z, v_see, k, v_judge)
        copy_rows(u, 0, k, n_o, v_judge)
        run_program(judge, d_judge, v_judge, 0, k)
        sum_shared(judge_sums, judge_terms, judge_weights, judge_out, 0, v_judge, 0, k, verdict)
        for r in range(k):
            row, out = order[first + r], False
            for i in range(n_z):
                after[row, i] = z[i, r]
                out |= not abs(z[i, r]) <= LARGEST_STATE
            for j in range(n_o):
                seen[row, j] = v_judge[j, r]
                out |= not low[j] <= v_judge[j, r] <= high[j]
            reward = min(clip[1], max(clip[0], verdict[0, r])) - penalty * math.sqrt(doubt[r])
            rewards[row] = 0.0 if out else reward
            ended[row] = out or verdict[1, r] > 0.0 or doubt[r] > limit * limit
    return True
