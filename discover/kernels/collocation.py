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
def defects(first, weights, left, x, f, slopes, f_before, slopes_before, r, J):
    """Write the defects ``x[k+1] - x[k] - sum_j w[k, j] f[first[k] + j]`` and derivatives.

    Points to the right of where an interval starts count with what the law was just before
    them: controls may switch there.

    Parameters
    ----------
    first : (n_intervals,), first point of the stencil of an interval.
    weights : (n_intervals, m), quadrature weights, in units of time.
    left : (n_intervals,), the point an interval starts at.
    x, f, f_before : (n, d); slopes, slopes_before : (n, d, d).
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
                value, slope = (f_before, slopes_before) if j > here else (f, slopes)
                total -= w * value[a + j, i]
                for c in range(d):
                    J[row, j * d + c] = -w * slope[a + j, i, c]
            J[row, here * d + i] -= 1.0
            J[row, (here + 1) * d + i] += 1.0
            r[row] = total


@njit(cache=True, error_model="numpy", nogil=True)
def integrals(first, weights, theta, before, out):
    """Write the integrals of the columns of `theta` over every interval, (n_intervals, p).

    The intervals are those between the points; `before` holds the columns just before them.
    """
    n_intervals, m = weights.shape
    p = theta.shape[1]
    for k in range(n_intervals):
        a = first[k]
        for c in range(p):
            out[k, c] = 0.0
        for j in range(m):
            w = weights[k, j]
            source = before if a + j > k else theta
            for c in range(p):
                out[k, c] += w * source[a + j, c]


@njit(cache=True, error_model="numpy", nogil=True)
def interval_weights(times, breaks, most, first, weights):
    """Write stencils of `most` points that integrate every interval of a grid exactly.

    Exact for polynomials of one degree less: the moments of the interval are matched on
    coordinates of order one, by elimination with row exchanges. Stencils end at breaks; between
    two that are near, they have fewer points that count.

    Parameters
    ----------
    times : (n,); breaks : (n,) of bool, where integrands may jump.
    first : (n - 1,) out; weights : (n - 1, most) out, in units of time.
    """
    n = times.shape[0]
    A = np.empty((most, most))
    b = np.empty(most)
    low, high = 0, 0
    for k in range(n - 1):
        if k == high:
            low, high = k, k + 1
            while high < n - 1 and not breaks[high]:
                high += 1
        m = min(most, high - low + 1)
        a = min(max(k - m // 2 + 1, low), high - m + 1)
        first[k] = min(a, n - most)
        offset = a - first[k]
        for i in range(most):
            weights[k, i] = 0.0
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
                total -= A[i, j] * weights[k, offset + j]
            weights[k, offset + i] = total / A[i, i]
        for i in range(most):
            weights[k, i] *= reach


@njit(cache=True, error_model="numpy", nogil=True)
def quadrature_gap(first, weights, finer_first, finer_weights, f, before, out):
    """Write ``|fine - coarse|`` integrals of `f` over every interval, (n - 1, d)."""
    for k in range(out.shape[0]):
        for i in range(f.shape[1]):
            total = 0.0
            for j in range(weights.shape[1]):
                a = first[k] + j
                total -= weights[k, j] * (before[a, i] if a > k else f[a, i])
            for j in range(finer_weights.shape[1]):
                a = finer_first[k] + j
                total += finer_weights[k, j] * (before[a, i] if a > k else f[a, i])
            out[k, i] = abs(total)
