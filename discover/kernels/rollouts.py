"""Closed loops of term tables: policy, dynamics and reward, many rollouts side by side.

A loop is four programs that feed each other, all evaluated on a tile of lanes at once::

    observations = observe(state)               terms of the state
    action       = clip(policy(observations))   weights of each candidate
    state        = state + change(state, action)   weights of each ensemble member
    reward, end  = outcome(next observations, action, observations)

Every lane is one rollout. A lane whose rollout is over takes the next one, so that no
lane idles and the cost of reading an instruction is shared by the whole tile.

A program is ``(program, constants, outputs)`` of a term table. The sums over its terms are
in compressed-row form, ``(indptr, terms)``, with weights ``(n_sets, n_entries)``: one set
per candidate or member.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from discover.kernels import opcodes as oc
from discover.kernels.terms import binary, unary

ADD, SUB, MUL, DIV, CONST, NEG = oc.ADD, oc.SUB, oc.MUL, oc.DIV, oc.CONST, oc.NEG
SIN, COS = oc.SIN, oc.COS

LANES = 128
LARGEST_STATE = 1e8

# pi / 2 in three parts (Cody and Waite), the first two with trailing zeros
_HALF_PI_1, _HALF_PI_2, _HALF_PI_3 = (
    1.57079632673412561417e00,
    6.07710050630396597660e-11,
    2.02226624879595063154e-21,
)
_TO_QUARTERS = 2.0 / math.pi


@njit(inline="always", error_model="numpy")
def quarter_wave(x, shift):
    """Return ``sin(x + shift pi / 2)`` without a call, so that a loop of it is vectorised.

    Series to 1 ulp on a quarter turn; absolute error ``1e-16 |x|`` for large arguments.
    """
    k = math.floor(x * _TO_QUARTERS + 0.5)
    y = ((x - k * _HALF_PI_1) - k * _HALF_PI_2) - k * _HALF_PI_3
    z = y * y
    s = y + y * z * (
        -1.0 / 6.0
        + z * (1.0 / 120.0 + z * (-1.0 / 5040.0 + z * (1.0 / 362880.0 + z * (
            -1.0 / 39916800.0 + z * (1.0 / 6227020800.0 - z / 1307674368000.0)))))
    )  # fmt: skip
    c = 1.0 + z * (
        -0.5
        + z * (1.0 / 24.0 + z * (-1.0 / 720.0 + z * (1.0 / 40320.0 + z * (
            -1.0 / 3628800.0 + z * (1.0 / 479001600.0 - z / 87178291200.0)))))
    )  # fmt: skip
    q = k + shift
    q -= 4.0 * math.floor(0.25 * q)
    even = s if (q == 0.0 or q == 2.0) else c
    return even if q < 2.0 else -even


@njit(cache=True, error_model="numpy")
def fill_constants(program, constants, d, v):
    """Write the constants of a program into its slots, for all lanes."""
    for k in range(program.shape[0]):
        if program[k, 0] == CONST:
            for r in range(v.shape[1]):
                v[d + k, r] = constants[program[k, 1]]


@njit(cache=True, error_model="numpy")
def run_program(program, d, v, start, stop):
    """Run a program on the lanes ``start .. stop`` of `v` (n_slots, n_lanes)."""
    for k in range(program.shape[0]):
        op = program[k, 0]
        if op == CONST:
            continue
        out, x, y = v[d + k], v[program[k, 1]], v[program[k, 2]]
        if op == MUL:
            for r in range(start, stop):
                out[r] = x[r] * y[r]
        elif op == ADD:
            for r in range(start, stop):
                out[r] = x[r] + y[r]
        elif op == SUB:
            for r in range(start, stop):
                out[r] = x[r] - y[r]
        elif op == DIV:
            for r in range(start, stop):
                out[r] = x[r] / y[r]
        elif op < NEG:
            for r in range(start, stop):
                out[r] = binary(op, x[r], y[r])
        elif op == SIN:
            for r in range(start, stop):
                out[r] = quarter_wave(x[r], 0.0)
        elif op == COS:
            for r in range(start, stop):
                out[r] = quarter_wave(x[r], 1.0)
        else:
            for r in range(start, stop):
                out[r] = unary(op, x[r])


@njit(cache=True, error_model="numpy")
def sum_terms(indptr, terms, outputs, weights, v, start, stop, out):
    """Sum weighted terms per lane: ``weights (n_entries, n_lanes)``, ``out (n_sums, n_lanes)``."""
    for i in range(indptr.shape[0] - 1):
        total = out[i]
        for r in range(start, stop):
            total[r] = 0.0
        e, last = indptr[i], indptr[i + 1]
        while e + 4 <= last:  # four terms at once: the sum is read and written once for them
            a, b = v[outputs[terms[e]]], v[outputs[terms[e + 1]]]
            c, d = v[outputs[terms[e + 2]]], v[outputs[terms[e + 3]]]
            wa, wb, wc, wd = weights[e], weights[e + 1], weights[e + 2], weights[e + 3]
            for r in range(start, stop):
                total[r] += (wa[r] * a[r] + wb[r] * b[r]) + (wc[r] * c[r] + wd[r] * d[r])
            e += 4
        while e < last:
            w, x = weights[e], v[outputs[terms[e]]]
            for r in range(start, stop):
                total[r] += w[r] * x[r]
            e += 1


@njit(cache=True, error_model="numpy")
def copy_rows(rows, start, stop, first, v):
    """Copy some lanes of rows into `v`, from row `first` on."""
    for i in range(rows.shape[0]):
        for r in range(start, stop):
            v[first + i, r] = rows[i, r]


@njit(cache=True, error_model="numpy")
def saturate(low, high, levels, u, start, stop):
    """Clip actions to their box; with `levels` of them, to the nearest of equally spaced ones."""
    for a in range(u.shape[0]):
        lo, hi, n = low[a], high[a], levels[a]
        x = u[a]
        for r in range(start, stop):
            x[r] = min(hi, max(lo, x[r]))
        if n > 1:
            gap = (hi - lo) / (n - 1)
            for r in range(start, stop):
                x[r] = lo + gap * math.floor((x[r] - lo) / gap + 0.5)


@njit(cache=True, error_model="numpy")
def advance(change, sums, weights, circles, z, u, v, out, start, stop):
    """Move the states `z` of some lanes by one step; points of circles are put back on them."""
    program, _, outputs = change
    indptr, terms = sums
    n_z, n_u = z.shape[0], u.shape[0]
    copy_rows(z, start, stop, 0, v)
    copy_rows(u, start, stop, n_z, v)
    run_program(program, n_z + n_u, v, start, stop)
    sum_terms(indptr, terms, outputs, weights, v, start, stop, out)
    for i in range(n_z):
        for r in range(start, stop):
            z[i, r] += out[i, r]
    to_circles(circles, z, start, stop)


@njit(cache=True, error_model="numpy")
def to_circles(circles, z, start, stop):
    """Put points of circles back on them."""
    for k in range(circles.shape[0]):
        c, s = z[circles[k, 0]], z[circles[k, 1]]
        for r in range(start, stop):
            size = math.sqrt(c[r] * c[r] + s[r] * s[r])
            c[r] /= size
            s[r] /= size


@njit(cache=True, error_model="numpy")
def stop_states(stops, z, start, stop):
    """Hold states at their stops, and halt the velocities of those that are there."""
    low, high, halted = stops
    for i in range(low.shape[0]):
        lo, hi, v = low[i], high[i], halted[i]
        if not (lo > -np.inf or hi < np.inf):
            continue
        for r in range(start, stop):
            if lo < z[i, r] < hi:
                continue
            if v >= 0:
                z[v, r] = 0.0
            if z[i, r] <= lo:
                z[i, r] = lo
            elif z[i, r] >= hi:
                z[i, r] = hi


@njit(cache=True, error_model="numpy")
def doubts(indptr, terms, deviations, scale, outputs, v, n, apart, out):
    """Return per lane the ensemble's variance of the change, over `scale` squared and states.

    ``deviations (n_members, n_entries)`` are those of the members' weights from their mean,
    over ``sqrt(n_members - 1)``: summed squares are exactly ``theta C theta'``. `apart` is
    room for one number per lane.
    """
    n_states = indptr.shape[0] - 1
    for r in range(n):
        out[r] = 0.0
    for m in range(deviations.shape[0]):
        for i in range(n_states):
            for r in range(n):
                apart[r] = 0.0
            for e in range(indptr[i], indptr[i + 1]):
                w, x = deviations[m, e], v[outputs[terms[e]]]
                if w != 0.0:
                    for r in range(n):
                        apart[r] += w * x[r]
            share = 1.0 / (scale[i] * scale[i] * n_states)
            for r in range(n):
                out[r] += share * apart[r] * apart[r]


@njit(cache=True, error_model="numpy")
def look(observe, z, v, seen, start, stop):
    """Write the observations of some lanes into ``seen (n_observations, n_lanes)``."""
    program, _, outputs = observe
    copy_rows(z, start, stop, 0, v)
    run_program(program, z.shape[0], v, start, stop)
    for j in range(outputs.shape[0]):
        x = v[outputs[j]]
        for r in range(start, stop):
            seen[j, r] = x[r]


@njit(cache=True, error_model="numpy")
def judge(outcome, sums, weights, seen, u, before, v, out, start, stop):
    """Write reward and end (above 0) of some lanes into ``out (2, n_lanes)``.

    Inputs of the program are the observations `seen` after the step, the actions, and the
    first rows of `before`: the observations before the step.
    """
    program, _, outputs = outcome
    indptr, terms = sums
    n_o, n_u = seen.shape[0], u.shape[0]
    copy_rows(seen, start, stop, 0, v)
    copy_rows(u, start, stop, n_o, v)
    copy_rows(before[:n_o], start, stop, n_o + n_u, v)
    run_program(program, 2 * n_o + n_u, v, start, stop)
    sum_terms(indptr, terms, outputs, weights, v, start, stop, out)


@njit(cache=True, error_model="numpy")
def is_outside(low, high, seen, z, r):
    """Whether a lane left the box of its observations, or any reasonable number."""
    for j in range(low.shape[0]):
        if not low[j] <= seen[j, r] <= high[j]:
            return True
    for i in range(z.shape[0]):
        if not abs(z[i, r]) <= LARGEST_STATE:
            return True
    return False


@njit(cache=True, error_model="numpy", nogil=True)
def rollouts(
    observe, policy, policy_sums, candidates, actions, change, change_sums, members, circles, stops,
    outcome, outcome_sums, outcome_weights, bounds, caution, jobs, starts, horizon,
    blur, returns, lengths, trace,
):  # fmt: skip
    """Run closed loops to their ends.

    Parameters
    ----------
    observe, policy, change, outcome : (program, constants, outputs)
    policy_sums, change_sums, outcome_sums : (indptr, terms)
    candidates : ndarray of shape (n_candidates, n_policy_entries)
    actions : (low, high, levels), each of shape (n_actions,)
    members : ndarray of shape (n_members, n_change_entries)
    circles : ndarray of int, shape (n_circles, 2)
        States that are cosine and sine of an angle.
    stops : (low, high, halted), each of shape (n_states,)
        See :func:`stop_states`.
    outcome_weights : ndarray of shape (n_outcome_entries,)
    bounds : (low, high, clip)
        Leaving low or high (n_observations,) ends a rollout, without the reward of that
        step; rewards are clipped to ``clip (2,)``.
    caution : (deviations, scale, penalty, limit, lost)
        See :func:`doubts`; `penalty` times its root is taken off every reward. Above `limit`
        a rollout ends, and all steps that it has left pay `lost`. No deviations: neither.
    jobs : ndarray of int, shape (n_jobs, 3)
        Candidate, member and first row of `blur` of each rollout.
    starts : ndarray of shape (n_jobs, n_states)
    horizon : int
    blur : ndarray of shape (n_phases, n_observations) or (0, n_observations)
        Noise of what policies see: step `k` of a rollout takes row ``jobs[:, 2] + k``, and
        after the last the first.
    returns, lengths : ndarray of shape (n_jobs,)
        Sums of rewards, and numbers of steps; negative where a bound ended it.
    trace : ndarray of shape (n_jobs, horizon) or (0, 0)
        Filled with the rewards when there is room.
    """
    n_jobs, n_z = starts.shape
    low, high, levels = actions
    box_low, box_high, clip = bounds
    deviations, scale, penalty, limit, lost = caution
    n_u, n_o = low.shape[0], observe[2].shape[0]
    lanes = min(LANES, n_jobs)
    v_see = np.empty((n_z + observe[0].shape[0], lanes))
    v_act = np.empty((n_o + policy[0].shape[0], lanes))
    v_move = np.empty((n_z + n_u + change[0].shape[0], lanes))
    v_judge = np.empty((2 * n_o + n_u + outcome[0].shape[0], lanes))
    fill_constants(observe[0], observe[1], n_z, v_see)
    fill_constants(policy[0], policy[1], n_o, v_act)
    fill_constants(change[0], change[1], n_z + n_u, v_move)
    fill_constants(outcome[0], outcome[1], 2 * n_o + n_u, v_judge)
    z, seen, u = np.empty((n_z, lanes)), np.empty((n_o, lanes)), np.empty((n_u, lanes))
    moved, verdict = np.empty((n_z, lanes)), np.empty((2, lanes))
    doubt, apart = np.zeros(lanes), np.empty(lanes)
    W = np.empty((candidates.shape[1], lanes))
    M = np.empty((members.shape[1], lanes))
    R = np.empty((outcome_weights.shape[0], lanes))
    for e in range(R.shape[0]):
        for r in range(lanes):
            R[e, r] = outcome_weights[e]
    job, age, total = np.empty(lanes, np.int64), np.zeros(lanes, np.int64), np.zeros(lanes)
    upcoming, n = 0, 0
    while n < lanes:  # the first rollouts
        job[n] = upcoming
        load(upcoming, n, jobs, candidates, members, starts, W, M, z)
        upcoming, n = upcoming + 1, n + 1
    look(observe, z, v_see, seen, 0, n)
    while n > 0:
        copy_rows(seen, 0, n, 0, v_act)
        if blur.shape[0] > 0:
            for r in range(n):
                row = (jobs[job[r], 2] + age[r]) % blur.shape[0]
                for j in range(n_o):
                    v_act[j, r] += blur[row, j]
        run_program(policy[0], n_o, v_act, 0, n)
        sum_terms(policy_sums[0], policy_sums[1], policy[2], W, v_act, 0, n, u)
        saturate(low, high, levels, u, 0, n)
        if blur.shape[0] > 0:  # the policy sees noise, the reward does not
            copy_rows(seen, 0, n, 0, v_act)
        advance(change, change_sums, M, circles, z, u, v_move, moved, 0, n)
        stop_states(stops, z, 0, n)
        if deviations.shape[0] > 0:
            indptr, terms = change_sums
            doubts(indptr, terms, deviations, scale, change[2], v_move, n, apart, doubt)
        look(observe, z, v_see, seen, 0, n)
        judge(outcome, outcome_sums, R, seen, u, v_act, v_judge, verdict, 0, n)
        r = 0
        while r < n:
            out = is_outside(box_low, box_high, seen, z, r)
            if not out and doubt[r] > limit * limit:
                out = True
                total[r] += lost * (horizon - age[r])
                if trace.shape[0] > 0:
                    trace[job[r], age[r] :] = lost
            elif not out:
                reward = min(clip[1], max(clip[0], verdict[0, r])) - penalty * math.sqrt(doubt[r])
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
                job[r] = upcoming
                load(upcoming, r, jobs, candidates, members, starts, W, M, z)
                look(observe, z, v_see, seen, r, r + 1)
                age[r], total[r], upcoming = 0, 0.0, upcoming + 1
                r += 1
            else:  # the last lane moves here, and is looked at next
                n -= 1
                job[r], age[r], total[r] = job[n], age[n], total[n]
                doubt[r] = doubt[n]
                move_lane(n, r, W, M, z, seen, verdict)


@njit(cache=True)
def load(k, r, jobs, candidates, members, starts, W, M, z):
    """Put rollout `k` into lane `r`."""
    for e in range(W.shape[0]):
        W[e, r] = candidates[jobs[k, 0], e]
    for e in range(M.shape[0]):
        M[e, r] = members[jobs[k, 1], e]
    for i in range(z.shape[0]):
        z[i, r] = starts[k, i]


@njit(cache=True)
def move_lane(source, r, W, M, z, seen, verdict):
    """Copy a lane."""
    for block in (W, M, z, seen, verdict):
        for i in range(block.shape[0]):
            block[i, r] = block[i, source]
