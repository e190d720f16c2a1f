"""Run a law through noisy samples: an extended Kalman filter and its innovations."""

from __future__ import annotations

import numpy as np
from numba import njit

from discover.kernels.integrators import DONE, INCREMENT, LARGEST, MAP, NOT_FINITE
from discover.kernels.terms import combine, fill_slot_slopes, fill_slots


@njit(cache=True, error_model="numpy")
def state_slopes(program, constants, indptr, slots, weights, d, y, u, t, v, dv, values, out):
    """Evaluate the law and its derivative along the columns of `y`: ``out`` has its shape.

    Column 0 of ``y (n_states, 1 + n_states)`` is the state, the others are tangents.
    """
    n, m = y.shape[0], u.shape[0]
    for i in range(n):
        v[i] = y[i, 0]
        for c in range(n):
            dv[i, c] = y[i, 1 + c]
    for i in range(n, d):
        v[i] = u[i - n] if i - n < m else t
        for c in range(n):
            dv[i, c] = 0.0
    fill_slots(program, constants, d, v)
    fill_slot_slopes(program, d, v, dv)
    combine(indptr, slots, weights, v, values)
    for i in range(n):
        out[i, 0] = values[i]
        for c in range(n):
            total = 0.0
            for e in range(indptr[i], indptr[i + 1]):
                total += weights[e] * dv[slots[e], c]
            out[i, 1 + c] = total


@njit(cache=True, error_model="numpy")
def kalman_innovations(
    program, constants, indptr, slots, weights, d, rule, n_substeps, x, P, times, U, observed, Y,
    R, Q, innovation, variance, filtered,
):  # fmt: skip
    """Predict every sample from those before it.

    Parameters
    ----------
    program, constants, indptr, slots, weights : ndarray
        The law.
    d : int
        Number of its inputs.
    rule : int
        RK4 for flows, MAP, INCREMENT.
    n_substeps : int
        Steps of RK4 between samples.
    x, P : ndarray of shape (n_states,) and (n_states, n_states)
        State and covariance before the first sample; replaced by those after the last.
    times : ndarray of shape (n_samples,)
    U : ndarray of shape (n_samples - 1, 2 * n_substeps + 1, n_controls)
        Controls at the ends and middles of the steps.
    observed : ndarray of int, shape (n_observed,)
        Which states are observed.
    Y : ndarray of shape (n_samples, n_observed)
        NaN where nothing was observed.
    R : ndarray of shape (n_observed,)
        Variance of the observations.
    Q : ndarray of shape (n_states,)
        Variance that a state gains from one sample to the next.
    innovation, variance : ndarray of shape (n_samples, n_observed)
        Innovations and their variances; left alone where nothing was observed.
    filtered : ndarray of shape (n_samples, n_states)
        The state after each sample.

    Returns
    -------
    status, sample : int
        DONE, or NOT_FINITE and where.

    Notes
    -----
    Observations enter one after another, so that the innovations of one sample are
    independent of each other as well. Covariances follow ``Phi P Phi' + Q`` with the
    derivative `Phi` of the flow, carried along by the steps themselves.
    """
    n, q, n_samples = x.shape[0], observed.shape[0], times.shape[0]
    y, z, k = np.zeros((n, 1 + n)), np.zeros((n, 1 + n)), np.zeros((4, n, 1 + n))
    v, dv = np.empty(d + program.shape[0]), np.zeros((d + program.shape[0], n))
    values, gain, half = np.empty(n), np.empty(n), np.empty((n, n))
    for sample in range(n_samples):
        if sample > 0:
            for i in range(n):
                y[i, 0] = x[i]
                for c in range(n):
                    y[i, 1 + c] = 1.0 if i == c else 0.0
            h = (times[sample] - times[sample - 1]) / n_substeps
            for step in range(n_substeps):
                t, row = times[sample - 1] + step * h, U[sample - 1]
                if rule == MAP or rule == INCREMENT:
                    state_slopes(
                        program, constants, indptr, slots, weights, d, y, row[0], t, v, dv,
                        values, z,
                    )  # fmt: skip
                    for i in range(n):
                        for c in range(1 + n):
                            y[i, c] = z[i, c] if rule == MAP else y[i, c] + z[i, c]
                    continue
                for s in range(4):
                    part = 0.0 if s == 0 else (1.0 if s == 3 else 0.5)
                    for i in range(n):
                        for c in range(1 + n):
                            z[i, c] = y[i, c] + (part * h * k[s - 1, i, c] if s > 0 else 0.0)
                    state_slopes(
                        program, constants, indptr, slots, weights, d, z,
                        row[2 * step + (s + 1) // 2], t + part * h, v, dv, values, k[s],
                    )  # fmt: skip
                for i in range(n):
                    for c in range(1 + n):
                        total = k[0, i, c] + 2.0 * (k[1, i, c] + k[2, i, c]) + k[3, i, c]
                        y[i, c] += h / 6.0 * total
            for i in range(n):
                x[i] = y[i, 0]
                for c in range(n):
                    total = 0.0
                    for e in range(n):
                        total += y[i, 1 + e] * P[e, c]
                    half[i, c] = total
            for i in range(n):
                for c in range(n):
                    total = Q[i] if i == c else 0.0
                    for e in range(n):
                        total += half[i, e] * y[c, 1 + e]
                    P[i, c] = total
                    if not (abs(total) <= LARGEST and abs(x[i]) <= LARGEST):
                        return NOT_FINITE, sample
        for o in range(q):
            i = observed[o]
            if Y[sample, o] != Y[sample, o]:
                continue
            e, s2 = Y[sample, o] - x[i], P[i, i] + R[o]
            innovation[sample, o], variance[sample, o] = e, s2
            for a in range(n):
                gain[a] = P[a, i] / s2
            for a in range(n):
                x[a] += gain[a] * e
            for a in range(n):
                half[0, a] = P[i, a]
            for a in range(n):
                for b in range(n):
                    P[a, b] -= 0.5 * (gain[a] * half[0, b] + gain[b] * half[0, a])
        for i in range(n):
            filtered[sample, i] = x[i]
    return DONE, n_samples
