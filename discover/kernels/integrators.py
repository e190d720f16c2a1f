"""Integrate a law: Runge-Kutta methods for flows, iteration for maps.

A law is five arrays (program, constants, indptr, slots, weights; see
:mod:`discover.kernels.terms`) over `d` inputs: the states, the controls, and the time
when there is one more input than these. Every integrator takes a batch of members and
writes, for each of them,

- ``out (n_members, n_times, n_states)``, filled with NaN by the caller: what was reached;
- ``counts (n_members, 3)``, zeros: status, the state it is about, evaluations of the law;
- ``places (n_members, 2)``: the time of a failure and the value of that state there.

Rows are copied by loops: numba takes three seconds to compile its first slice assignment.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from discover.kernels.terms import combine, fill_slots

DONE, NOT_FINITE, OUT_OF_BOUNDS, STEP_TOO_SMALL, TOO_MANY_STEPS = range(5)

#: How controls are read: between samples, held from a sample on, one row per stage of RK4, or
#: along cubics (columns: values, then slopes at the begin and at the end of each interval; the
#: slope at the sample whose value is held is NaN).
LINEAR, HELD, STAGES, CURVE = range(4)

#: What a fixed step is.
RK4, MAP, INCREMENT = range(3)

LARGEST = np.finfo(np.float64).max

# Tableau of Dormand and Prince's 5(4) pair; row 6 of A is the fifth-order solution.
DOPRI5_C = np.array([0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0])
DOPRI5_A = np.zeros((7, 6))
DOPRI5_A[1, :1] = [1 / 5]
DOPRI5_A[2, :2] = [3 / 40, 9 / 40]
DOPRI5_A[3, :3] = [44 / 45, -56 / 15, 32 / 9]
DOPRI5_A[4, :4] = [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729]
DOPRI5_A[5, :5] = [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656]
DOPRI5_A[6, :6] = [35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84]
# Fifth-order minus fourth-order weights.
DOPRI5_E = np.array([71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40])
# Weights of the last coefficient of the fourth-order dense output.
DOPRI5_D = np.array(
    [
        -12715105075 / 11282082432,
        0.0,
        87487479700 / 32700410799,
        -10690763975 / 1880347072,
        701980252875 / 199316789632,
        -1453857185 / 822651844,
        69997945 / 29380423,
    ]
)
RK4_C = np.array([0.0, 0.5, 0.5, 1.0])
RK4_A = np.zeros((4, 6))
RK4_A[1, 0] = RK4_A[2, 1] = 0.5
RK4_A[3, 2] = 1.0


@njit(cache=True, error_model="numpy")
def judge(x, lower, upper):
    """Say what is wrong with a state: a status and the component it is about."""
    for i in range(x.shape[0]):
        if not abs(x[i]) <= LARGEST:
            return NOT_FINITE, i
    for i in range(x.shape[0]):
        if x[i] < lower[i] or x[i] > upper[i]:
            return OUT_OF_BOUNDS, i
    return DONE, 0


@njit(cache=True, error_model="numpy")
def count_controls(U, reading):
    """Return how many controls the rows of `U` hold."""
    return U.shape[1] // 3 if reading == CURVE else U.shape[1]


@njit(cache=True, error_model="numpy")
def set_controls(times, U, reading, j, s, t, n, v):
    """Put the controls behind the `n` states, for stage `s` at time `t`.

    `j` is the interval of `times` that holds `t`, or the row of the first stage.
    """
    m = count_controls(U, reading)
    for c in range(m):
        if reading == HELD:
            v[n + c] = U[j, c]
        elif reading == STAGES:
            v[n + c] = U[j + (s + 1) // 2, c]
        else:
            h = times[j + 1] - times[j]
            w = (t - times[j]) / h
            v[n + c] = (1.0 - w) * U[j, c] + w * U[j + 1, c]
            if reading == CURVE and np.isnan(U[j, m + c]):  # held
                v[n + c] = U[j, c]
            elif reading == CURVE and np.isnan(U[j, 2 * m + c]):  # held, and time runs back
                v[n + c] = U[j + 1, c]
            elif reading == CURVE:  # the cubic with these ends and slopes
                slope = (U[j + 1, c] - U[j, c]) / h
                bend = (1.0 - w) * (U[j, m + c] - slope) - w * (U[j, 2 * m + c] - slope)
                v[n + c] += h * w * (1.0 - w) * bend


@njit(cache=True, error_model="numpy")
def take_stages(
    program, constants, indptr, slots, weights, d, times, U, reading, j, A, C, first, last, t, h,
    x, v, k,
):  # fmt: skip
    """Fill the slopes ``k[first:last]`` of one step; leaves the last stage in `v`."""
    n = x.shape[0]
    for s in range(first, last):
        for i in range(n):
            total = 0.0
            for q in range(s):
                total += A[s, q] * k[q, i]
            v[i] = x[i] + h * total
        now = t + C[s] * h
        set_controls(times, U, reading, j, s, now, n, v)
        if d > n + count_controls(U, reading):
            v[d - 1] = now
        fill_slots(program, constants, d, v)
        combine(indptr, slots, weights, v, k[s])


@njit(cache=True, error_model="numpy")
def fixed_steps(
    program, constants, indptr, slots, weights, d, x0, times, U, reading, rule, n_substeps,
    lower, upper, out, counts, places,
):  # fmt: skip
    """Take `n_substeps` equal steps between consecutive times.

    `rule` says what a step is: RK4, the classical fourth-order method; MAP, where the law
    is the next state; INCREMENT, where it is the change. `U` is (1 or n_members, n_times,
    n_controls); when `reading` is STAGES it has ``2 * n_steps + 1`` rows instead, at the
    ends and middles of all steps.
    """
    n, n_steps = x0.shape[1], n_substeps * (times.shape[0] - 1)
    v, x, k = np.empty(d + program.shape[0]), np.empty(n), np.empty((4, n))
    n_stages = np.int64(4 if rule == RK4 else 1)
    for i in range(x0.shape[0]):
        u = U[i if U.shape[0] > 1 else 0]
        t = times[0]
        for q in range(n):
            x[q] = x0[i, q]
        for step in range(n_steps + 1):
            code, worst = judge(x, lower, upper)
            if code != DONE:
                counts[i, 0], counts[i, 1] = code, worst
                places[i, 0], places[i, 1] = t, x[worst]
                break
            j, s = step // n_substeps, step % n_substeps
            if s == 0:
                for q in range(n):
                    out[i, j, q] = x[q]
            if step == n_steps:
                break
            h = (times[j + 1] - times[j]) / n_substeps
            row = 2 * step if reading == STAGES else j
            take_stages(
                program, constants, indptr, slots, weights, d, times, u, reading, row,
                RK4_A, RK4_C, np.int64(0), n_stages, times[j] + s * h, h, x, v, k,
            )  # fmt: skip
            counts[i, 2] += n_stages
            for q in range(n):
                if rule == RK4:
                    x[q] += h / 6.0 * (k[0, q] + 2.0 * k[1, q] + 2.0 * k[2, q] + k[3, q])
                elif rule == INCREMENT:
                    x[q] += k[0, q]
                else:
                    x[q] = k[0, q]
            t = times[j + 1] if s + 1 == n_substeps else times[j] + (s + 1) * h


@njit(cache=True, error_model="numpy")
def first_step(rtol, atol, x, f, t, span):
    """Guess a step: a hundredth of the time in which the fastest state changes."""
    size, speed = 0.0, 0.0
    for i in range(x.shape[0]):
        tolerance = atol[i] + rtol * abs(x[i])
        if tolerance > 0.0:
            size = max(size, abs(x[i]) / tolerance)
            speed = max(speed, abs(f[i]) / tolerance)
    if not (size > 0.0 and speed > 0.0 and speed <= LARGEST):
        return 1e-6 * span
    return min(span, max(0.01 * size / speed, 1e-14 * abs(t)))


@njit(cache=True, error_model="numpy")
def error_ratio(k, h, x, y, peak, trial, rtol, atol, memory):
    """Compare the embedded error with the tolerance: the largest ratio and its component.

    The tolerance is ``atol + rtol * max(|x|, |y|, memory * peak)``; as long as a
    component has only been zero, the last rejected trial stands for its peak.
    """
    err, worst = 0.0, np.int64(0)
    for i in range(x.shape[0]):
        e = 0.0
        for s in range(7):
            e += DOPRI5_E[s] * k[s, i]
        e = abs(h * e)
        if not (abs(y[i]) <= LARGEST and e <= LARGEST):
            return np.inf, i
        known = peak[i] if peak[i] > 0.0 else trial[i]
        size = max(abs(x[i]), abs(y[i]), memory * known)
        ratio = e / (atol[i] + rtol * size) if e > 0.0 else 0.0
        if ratio > err:
            err, worst = ratio, i
    return err, worst


@njit(cache=True, error_model="numpy")
def prepare_dense(k, h, x, y, r):
    """Fill the coefficients `r` of the fourth-order interpolant of one step."""
    for i in range(x.shape[0]):
        last = 0.0
        for s in range(7):
            last += DOPRI5_D[s] * k[s, i]
        change = y[i] - x[i]
        bend = h * k[0, i] - change
        r[0, i] = x[i]
        r[1, i] = change
        r[2, i] = bend
        r[3, i] = change - h * k[6, i] - bend
        r[4, i] = h * last


@njit(cache=True, error_model="numpy")
def interpolate(r, theta, z):
    """Evaluate the interpolant at the fraction `theta` of its step."""
    rest = 1.0 - theta
    for i in range(z.shape[0]):
        inner = r[3, i] + rest * r[4, i]
        z[i] = r[0, i] + theta * (r[1, i] + rest * (r[2, i] + theta * inner))


@njit(cache=True, error_model="numpy")
def locate_crossing(r, inside, outside, worst, lower, upper, z):
    """Bisect the interpolant for the crossing of a bound.

    Returns its fraction of the step and the state that crosses; the states are in `z`.
    """
    for _ in range(52):
        middle = 0.5 * (inside + outside)
        interpolate(r, middle, z)
        code, state = judge(z, lower, upper)
        if code == DONE:
            inside = middle
        else:
            outside, worst = middle, state
    interpolate(r, outside, z)
    return outside, worst


@njit(cache=True, error_model="numpy")
def write_outputs(times, i, t, t_new, h, y, r, lower, upper, z, out):
    """Write the outputs of one step, from number `i` on, up to the crossing of a bound.

    Returns
    -------
    i : int
        The next output.
    theta : float
        The fraction of the step at which a bound is crossed, with the states in `z`;
        -1 when none is.
    worst : int
        The state that crosses it.
    """
    inside = 0.0
    while True:
        due = i < times.shape[0] and (times[i] - t_new) * h <= 0.0
        exact = not due or times[i] == t_new
        theta = 1.0 if exact else (times[i] - t) / h
        if exact:
            for q in range(z.shape[0]):
                z[q] = y[q]
        else:
            interpolate(r, theta, z)
        code, worst = judge(z, lower, upper)
        if code != DONE:
            theta, worst = locate_crossing(r, inside, theta, worst, lower, upper, z)
            return i, theta, worst
        if not due:
            return i, -1.0, worst
        for q in range(z.shape[0]):
            out[i, q] = z[q]
        i += 1
        inside = theta


@njit(cache=True, error_model="numpy")
def resize(err, err_before, rejected):
    """Return by how much to change the step: PI control with beta = 0.04."""
    if not err <= LARGEST:
        return 0.1
    if err > 1.0:
        return max(0.2, 0.9 / err**0.17)
    growth = 0.9 * err_before**0.04 / max(err, 1e-10) ** 0.17
    return min(1.0 if rejected else 10.0, max(0.2, growth))


@njit(cache=True, error_model="numpy")
def dopri5(
    program, constants, indptr, slots, weights, d, x0, times, U, reading, rtol, atol, memory,
    h_max, max_steps, lower, upper, work, v, out, counts, places,
):  # fmt: skip
    """Integrate every member with steps of its own, chosen from its error.

    Parameters
    ----------
    program, constants, indptr, slots, weights : ndarray
        The law.
    d : int
        Number of its inputs.
    x0 : ndarray of shape (n_members, n_states)
    times : ndarray of shape (n_times,)
        Strictly monotone.
    U : ndarray of shape (1 or n_members, n_times, n_controls)
        No step crosses one of its samples, so that the order survives the kinks there.
    reading : int
        LINEAR, HELD or CURVE.
    rtol : float
    atol : ndarray of shape (n_states,)
    memory : float
        The tolerance of a component does not fall below ``rtol * memory`` times the
        largest size it has had.
    h_max : float
    max_steps : int
        Per member, rejected ones included.
    lower, upper : ndarray of shape (n_states,)
    out, counts, places : ndarray
        See the module.

    Notes
    -----
    The 5(4) pair of Dormand and Prince [1]_ with local extrapolation, its last stage
    used again as the first of the next step, fourth-order dense output and the
    PI step-size control of the code DOPRI5 [2]_. Errors are measured in the maximum
    norm, so a passive component does not loosen the others' tolerance.

    References
    ----------
    .. [1] J. R. Dormand, P. J. Prince, "A family of embedded Runge-Kutta formulae",
       J. Comput. Appl. Math. 6 (1980) 19-26.
    .. [2] E. Hairer, S. P. Norsett, G. Wanner, "Solving Ordinary Differential Equations
       I", 2nd ed., Springer 1993, sections II.4 to II.6.
    """
    n, n_times, sampled = x0.shape[1], times.shape[0], U.shape[2] > 0
    x, y, z, peak, trial = work[0], work[1], work[2], work[3], work[4]
    k, r = work[5:12], work[12:17]
    for member in range(x0.shape[0]):
        u, found = U[member if U.shape[0] > 1 else 0], out[member]
        t, size, err_before, rejected = times[0], 0.0, 1e-4, np.bool_(False)
        i, j, first, attempt = np.int64(0), np.int64(0), np.int64(0), 0
        for q in range(n):
            x[q], peak[q], trial[q] = x0[member, q], abs(x0[member, q]), 0.0
        code, worst = judge(x, lower, upper)
        trouble = np.int64(STEP_TOO_SMALL)
        if code == DONE:
            i += 1
            for q in range(n):
                found[0, q] = x[q]
        while code == DONE and i < n_times:
            if size > 0.0 and t + 0.1 * size == t:
                code = trouble
                break
            if attempt > max_steps:
                code = np.int64(TOO_MANY_STEPS)
                break
            # Land on the next stop exactly; when two steps are needed, make them equal.
            stop = times[j + 1] if sampled else times[n_times - 1]
            ahead = abs(stop - t)
            lands = min(1.01 * size, h_max) >= ahead
            h = min(size, 0.5 * ahead)
            t_new = stop if lands else t + (h if stop > t else -h)
            h = t_new - t  # what is left of it far from zero
            last = np.int64(7 if attempt > 0 else 1)
            take_stages(
                program, constants, indptr, slots, weights, d, times, u, reading, j,
                DOPRI5_A, DOPRI5_C, first, last, t, h, x, v, k,
            )  # fmt: skip
            counts[member, 2] += last - first
            first, attempt = np.int64(1), attempt + 1
            if size == 0.0:  # so far only the slope at the start, to choose the first step
                size = min(h_max, first_step(rtol, atol, x, k[0], t, abs(times[n_times - 1] - t)))
                continue
            for q in range(n):
                y[q] = v[q]
            err, worst = error_ratio(k, h, x, y, peak, trial, rtol, atol, memory)
            size = min(h_max, abs(h) * resize(err, err_before, rejected))
            rejected = err > 1.0
            if rejected:
                for q in range(n):
                    trial[q] = abs(y[q]) if abs(y[q]) <= LARGEST else 0.0
                trouble = np.int64(STEP_TOO_SMALL if err <= LARGEST else NOT_FINITE)
                continue
            prepare_dense(k, h, x, y, r)
            i, theta, state = write_outputs(times, i, t, t_new, h, y, r, lower, upper, z, found)
            if theta >= 0.0:
                code, worst = np.int64(OUT_OF_BOUNDS), state
                t += theta * h
                x[worst] = z[worst]
                break
            for q in range(n):
                x[q], k[0, q] = y[q], k[6, q]
                peak[q], trial[q] = max(peak[q], abs(y[q])), 0.0
            t, err_before, trouble = t_new, max(err, 1e-4), np.int64(STEP_TOO_SMALL)
            if sampled and lands:
                j += 1
                first = np.int64(0 if reading == HELD or reading == CURVE else 1)
        counts[member, 0], counts[member, 1] = code, worst
        places[member, 0], places[member, 1] = t, x[worst]
