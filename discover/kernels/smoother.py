"""Square-root information smoother of an integrated Wiener process, and total variation.

The state at a sample is ``z = (x, h x', ..., h^(m-1) x^(m-1))`` with a unit of time `h`. Between
samples a step `r` (in units of `h`) apart, ``z' = F(r) z + w`` with

    F_ij = r^(j-i) / (j-i)!,
    cov(w)_ij = lam r^(2m-1-i-j) / ((2m-1-i-j) (m-1-i)! (m-1-j)!),

in units of the variance of the measurement noise. Everything is written as rows of a
least-squares problem and triangularised from left to right; nothing is squared, so neither a
diffuse start nor tiny or huge `lam` costs digits.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def triangularize(W, n_rows, n_columns, n_pivots):
    """Apply Householder reflections to ``W[:n_rows, :n_columns]``, in place."""
    for j in range(min(n_pivots, n_rows)):
        square = 0.0
        for i in range(j, n_rows):
            square += W[i, j] * W[i, j]
        if square == 0.0:
            continue
        alpha = -math.sqrt(square) if W[j, j] > 0.0 else math.sqrt(square)
        W[j, j] -= alpha
        scale = square - alpha * (W[j, j] + alpha)  # half the squared length of the reflector
        for k in range(j + 1, n_columns):
            dot = 0.0
            for i in range(j, n_rows):
                dot += W[i, j] * W[i, k]
            dot /= scale
            for i in range(j, n_rows):
                W[i, k] -= dot * W[i, j]
        W[j, j] = alpha
        for i in range(j + 1, n_rows):
            W[i, j] = 0.0


@njit(cache=True, error_model="numpy")
def eliminate(y, steps, lam, whitener, R, S, c, W):
    """Eliminate the samples of one signal from the first to the last.

    Parameters
    ----------
    y : ndarray of shape (n,)
        NaN where nothing was observed; at least `m` values.
    steps : ndarray of shape (n - 1,)
        Intervals in units of `h`.
    lam : float
        Variance of the driving noise over that of the measurements.
    whitener : ndarray of shape (m, m)
        Inverse of the Cholesky factor of ``cov(w)`` at ``r = lam = 1``.
    R, S : ndarray of shape (n, m, m)
        Filled: ``R[k] z[k] + S[k] z[k + 1] = c[k]``.
    c : ndarray of shape (n, m)
    W : ndarray of shape (2 m + 1, 2 m + 1)
        Work.

    Returns
    -------
    rss : float
        Residual sum of squares of all rows.
    logdet : float
        Logarithm of the determinant of the triangular factor.
    """
    n, m = y.shape[0], whitener.shape[0]
    rss, logdet = 0.0, 0.0
    carried, rhs = np.zeros((m, m)), np.zeros(m)
    for k in range(n):
        last = k == n - 1
        width = m if last else 2 * m
        for i in range(2 * m + 1):
            for j in range(2 * m + 1):
                W[i, j] = 0.0
        row = 0
        if not last:
            r = steps[k]
            heavy = 1.0 / (math.sqrt(lam) * r ** (m - 0.5))
            for i in range(m):
                for q in range(i + 1):
                    weight = heavy * whitener[i, q] * r**q
                    W[i, m + q] = weight
                    term = 1.0
                    for j in range(q, m):
                        W[i, j] -= weight * term
                        term *= r / (j - q + 1)
            row = m
        for i in range(m):
            for j in range(m):
                W[row + i, j] = carried[i, j]
            W[row + i, width] = rhs[i]
        row += m
        if y[k] == y[k]:
            W[row, 0] = 1.0
            W[row, width] = y[k]
            row += 1
        triangularize(W, row, width + 1, width)
        for i in range(m):
            logdet += math.log(abs(W[i, i]))
            c[k, i] = W[i, width]
            for j in range(m):
                R[k, i, j] = W[i, j]
                S[k, i, j] = 0.0 if last else W[i, m + j]
        for i in range(m):
            rhs[i] = 0.0 if last else W[m + i, width]
            for j in range(m):
                carried[i, j] = 0.0 if last else W[m + i, m + j]
        for i in range(width, row):
            rss += W[i, width] ** 2
    return rss, logdet


@njit(cache=True, error_model="numpy")
def substitute(R, S, c, z, P, inverse):
    """Solve from the last sample to the first: means and variances.

    Parameters
    ----------
    R, S, c : ndarray
        From :func:`eliminate`.
    z : ndarray of shape (n, m)
        Filled with the smoothed states.
    P : ndarray of shape (n, m)
        Filled with their variances, in units of that of the noise.
    inverse : ndarray of shape (4, m, m)
        Work.
    """
    n, m = z.shape
    V, A, B, cov = inverse[0], inverse[1], inverse[2], inverse[3]
    for k in range(n - 1, -1, -1):
        for i in range(m - 1, -1, -1):
            total = c[k, i]
            if k < n - 1:
                for j in range(m):
                    total -= S[k, i, j] * z[k + 1, j]
            for j in range(i + 1, m):
                total -= R[k, i, j] * z[k, j]
            z[k, i] = total / R[k, i, i]
        for j in range(m):  # V = R^-1, upper triangular
            for i in range(m - 1, -1, -1):
                total = 1.0 if i == j else 0.0
                for q in range(i + 1, j + 1):
                    total -= R[k, i, q] * V[q, j]
                V[i, j] = total / R[k, i, i] if i <= j else 0.0
        # cov = V (1 + S cov' S^T) V^T with cov' that of the next sample
        for i in range(m):
            for j in range(m):
                total = 0.0
                if k < n - 1:
                    for q in range(m):
                        total += S[k, i, q] * cov[q, j]
                A[i, j] = total
        for i in range(m):
            for j in range(m):
                total = 1.0 if i == j else 0.0
                if k < n - 1:
                    for q in range(m):
                        total += A[i, q] * S[k, j, q]
                B[i, j] = total
        for i in range(m):
            for j in range(m):
                total = 0.0
                for q in range(m):
                    total += V[i, q] * B[q, j]
                A[i, j] = total
        for i in range(m):
            for j in range(m):
                total = 0.0
                for q in range(m):
                    total += A[i, q] * V[j, q]
                cov[i, j] = total
            P[k, i] = cov[i, i]
