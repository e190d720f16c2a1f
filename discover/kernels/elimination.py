"""Backward elimination on a triangular factor: the whole path in O(p^3)."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def solve_upper(R, Z, k, tolerance, out):
    """Solve ``R[:k, :k] x = Z[:k]``; numerically dependent columns get zero."""
    for q in range(Z.shape[1]):
        for i in range(k - 1, -1, -1):
            total = Z[i, q]
            for j in range(i + 1, k):
                total -= R[i, j] * out[j, q]
            out[i, q] = total / R[i, i] if abs(R[i, i]) > tolerance else 0.0


@njit(cache=True, error_model="numpy")
def drop_column(R, Z, j, k):
    """Remove column `j` of the leading k x k triangle and restore it by Givens rotations.

    Row ``k - 1`` of `Z` then holds what the remaining columns cannot explain.
    """
    for c in range(j, k - 1):
        for r in range(c + 2):
            R[r, c] = R[r, c + 1]
    for c in range(j, k - 1):
        a, b = R[c, c], R[c + 1, c]
        h = np.hypot(a, b)
        if h == 0.0:
            continue
        cs, sn = a / h, b / h
        for i in range(c, k - 1):
            upper, lower = R[c, i], R[c + 1, i]
            R[c, i] = cs * upper + sn * lower
            R[c + 1, i] = cs * lower - sn * upper
        for q in range(Z.shape[1]):
            upper, lower = Z[c, q], Z[c + 1, q]
            Z[c, q] = cs * upper + sn * lower
            Z[c + 1, q] = cs * lower - sn * upper


@njit(cache=True, error_model="numpy")
def backward_elimination(R, Z, keep, size, tolerance, removed, scores, explained):
    """Remove the term of least contribution, again and again.

    Parameters
    ----------
    R : (p, p) upper triangle of unit-norm columns; overwritten.
    Z : (p, q) rotated targets; overwritten.
    keep : (p,) bool, terms that must stay.
    size : (q,) norms of the targets.
    tolerance : pivots below this mean dependent columns.
    removed : (p,) out, the term removed at each step; the caller fills it with -1, which
        stays once only kept terms are left.
    scores : (p,) out, its contribution when it was removed.
    explained : (p, q) out, by how much its removal raised the residual sum of squares.
    """
    p, q = Z.shape
    terms = np.arange(p)
    coefficients = np.zeros((p, q))
    for step in range(p):
        k = p - step
        solve_upper(R, Z, k, tolerance, coefficients)
        best, least = -1, np.inf
        for j in range(k):
            if keep[terms[j]]:
                continue
            score = 0.0
            for i in range(q):
                score = max(score, abs(coefficients[j, i]) / size[i])
            if score < least:
                best, least = j, score
        if best < 0:
            return
        removed[step], scores[step] = terms[best], least
        drop_column(R, Z, best, k)
        for j in range(best, k - 1):
            terms[j] = terms[j + 1]
        for i in range(q):
            explained[step, i] = Z[k - 1, i] ** 2
