"""Defects of implicit collocation, with their derivatives, for laws that are term tables."""

from __future__ import annotations

import numpy as np
from numba import njit

from discover.kernels.terms import fill_slot_slopes, fill_slots


@njit(cache=True, error_model="numpy", nogil=True)
def law_at_points(program, constants, outputs, coefficients, X, f, slopes):
    """Evaluate a law and its Jacobian at every point.

    Parameters
    ----------
    coefficients : (n_terms, d), zero where a term is not in an equation.
    X : (n, n_inputs), states first.
    f : (n, d) out.
    slopes : (n, d, d) out, the derivative of equation `i` with respect to state `j`.
    """
    n, n_inputs = X.shape
    p, d = coefficients.shape
    n_slots = n_inputs + program.shape[0]
    v = np.empty(n_slots)
    dv = np.zeros((n_slots, d))
    for j in range(d):
        dv[j, j] = 1.0
    for i in range(n):
        for j in range(n_inputs):
            v[j] = X[i, j]
        fill_slots(program, constants, n_inputs, v)
        fill_slot_slopes(program, n_inputs, v, dv)
        for q in range(d):
            f[i, q] = 0.0
            for j in range(d):
                slopes[i, q, j] = 0.0
        for k in range(p):
            s = outputs[k]
            for q in range(d):
                c = coefficients[k, q]
                if c != 0.0:
                    f[i, q] += c * v[s]
                    for j in range(d):
                        slopes[i, q, j] += c * dv[s, j]


@njit(cache=True, error_model="numpy", nogil=True)
def defects(first, weights, left, x, f, slopes, r, J):
    """Write the defects ``x[k+1] - x[k] - sum_j w[k, j] f[first[k] + j]`` and derivatives.

    Parameters
    ----------
    first : (n_intervals,), first point of the stencil of an interval.
    weights : (n_intervals, m), quadrature weights, in units of time.
    left : (n_intervals,), the point an interval starts at.
    x, f : (n, d); slopes : (n, d, d).
    r : (n_intervals * d,) out.
    J : (n_intervals * d, m * d) out, with respect to the points of the stencil.
    """
    n_intervals, m = weights.shape
    d = x.shape[1]
    for k in range(n_intervals):
        a = first[k]
        here = left[k] - a
        for i in range(d):
            row = k * d + i
            total = x[left[k] + 1, i] - x[left[k], i]
            for j in range(m):
                w = weights[k, j]
                total -= w * f[a + j, i]
                for c in range(d):
                    J[row, j * d + c] = -w * slopes[a + j, i, c]
            J[row, here * d + i] -= 1.0
            J[row, (here + 1) * d + i] += 1.0
            r[row] = total


@njit(cache=True, error_model="numpy", nogil=True)
def integrals(first, weights, theta, out):
    """Write the integrals of the columns of `theta` over every interval, (n_intervals, p)."""
    n_intervals, m = weights.shape
    p = theta.shape[1]
    for k in range(n_intervals):
        a = first[k]
        for c in range(p):
            out[k, c] = 0.0
        for j in range(m):
            w = weights[k, j]
            for c in range(p):
                out[k, c] += w * theta[a + j, c]


@njit(cache=True, error_model="numpy", nogil=True)
def interval_weights(times, m, first, weights):
    """Write stencils of `m` points that integrate every interval of a grid exactly.

    Exact for polynomials of degree ``m - 1``: the moments of the interval are matched on
    coordinates of order one, by elimination with row exchanges.

    Parameters
    ----------
    times : (n,); first : (n - 1,) out; weights : (n - 1, m) out, in units of time.
    """
    n = times.shape[0]
    A = np.empty((m, m))
    b = np.empty(m)
    for k in range(n - 1):
        a = min(max(k - m // 2 + 1, 0), n - m)
        first[k] = a
        middle = 0.5 * (times[k] + times[k + 1])
        reach = times[a + m - 1] - times[a]
        half = 0.5 * (times[k + 1] - times[k]) / reach
        for j in range(m):
            s = (times[a + j] - middle) / reach
            power = 1.0
            for i in range(m):
                A[i, j] = power
                power *= s
        up = half
        for i in range(m):
            b[i] = (2.0 * up / (i + 1)) if i % 2 == 0 else 0.0
            up *= half
        for c in range(m):
            pivot = c
            for i in range(c + 1, m):
                if abs(A[i, c]) > abs(A[pivot, c]):
                    pivot = i
            if pivot != c:
                for j in range(m):
                    A[c, j], A[pivot, j] = A[pivot, j], A[c, j]
                b[c], b[pivot] = b[pivot], b[c]
            for i in range(c + 1, m):
                ratio = A[i, c] / A[c, c]
                for j in range(c, m):
                    A[i, j] -= ratio * A[c, j]
                b[i] -= ratio * b[c]
        for i in range(m - 1, -1, -1):
            total = b[i]
            for j in range(i + 1, m):
                total -= A[i, j] * weights[k, j]
            weights[k, i] = total / A[i, i]
        for i in range(m):
            weights[k, i] *= reach


@njit(cache=True, error_model="numpy", nogil=True)
def quadrature_gap(first, weights, finer_first, finer_weights, f, out):
    """Write ``|fine - coarse|`` integrals of `f` over every interval, (n - 1, d)."""
    for k in range(out.shape[0]):
        for i in range(f.shape[1]):
            total = 0.0
            for j in range(weights.shape[1]):
                total -= weights[k, j] * f[first[k] + j, i]
            for j in range(finer_weights.shape[1]):
                total += finer_weights[k, j] * f[finer_first[k] + j, i]
            out[k, i] = abs(total)
