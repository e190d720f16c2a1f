"""Many small regressions at once: the members of an ensemble."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy", nogil=True)
def exclude_term(H, c, terms, j, k):
    """Remove the term at place `j` of the first `k` and keep the rest packed in front.

    `H` is the inverse of the Gram matrix of these terms, `c` their coefficients; both are
    updated by one rank-one step. Returns by how much the residual sum of squares rises.
    """
    last = k - 1
    pivot, value = H[j, j], c[j]
    if j != last:
        for i in range(k):
            H[i, j], H[i, last] = H[i, last], H[i, j]
        for i in range(k):
            H[j, i], H[last, i] = H[last, i], H[j, i]
        c[j], c[last] = c[last], value
        terms[j], terms[last] = terms[last], terms[j]
    for i in range(last):
        share = H[i, last] / pivot
        c[i] -= share * value
        for h in range(last):
            H[i, h] -= share * H[last, h]
    return value * value / pivot


@njit(cache=True, error_model="numpy", nogil=True)
def solve_on(G, b, terms, k, ridge, L, out):
    """Solve the normal equations on `k` terms by Cholesky; returns whether it could.

    `L` is a work array (p, p + 1); `out` gets the coefficients at the places of the terms.
    """
    for i in range(k):
        for j in range(i + 1):
            total = G[terms[i], terms[j]]
            for h in range(j):
                total -= L[i, h] * L[j, h]
            if i == j:
                total += ridge
                if not total > 1e-15:
                    return False
                L[i, i] = np.sqrt(total)
            else:
                L[i, j] = total / L[j, j]
    for i in range(k):
        total = b[terms[i]]
        for h in range(i):
            total -= L[i, h] * L[h, k]
        L[i, k] = total / L[i, i]
    for i in range(k - 1, -1, -1):
        total = L[i, k]
        for h in range(i + 1, k):
            total -= L[h, i] * out[terms[h]]
        out[terms[i]] = total / L[i, i]
    return True


@njit(cache=True, error_model="numpy", nogil=True)
def follow_path(H, c, terms, k, energy, size, n, rows, least, penalty, chosen):
    """Remove the term of least contribution until none is left; note the best model.

    Returns how many terms the best model has; they are in `chosen`.
    """
    rss = energy
    best, best_k = np.inf, 0
    for i in range(k):
        rss -= c[i] * chosen[i]  # on entry the moments of the terms
    while True:
        score = n * np.log(max(rss / rows, least)) + penalty[k]
        if score <= best:
            best, best_k = score, k
            for i in range(k):
                chosen[i] = terms[i]
        if k == 0:
            return best_k
        j, smallest = 0, np.inf
        for i in range(k):
            contribution = abs(c[i]) * size[terms[i]]
            if contribution < smallest:
                j, smallest = i, contribution
        rss += exclude_term(H, c, terms, j, k)
        k -= 1


@njit(cache=True, error_model="numpy", nogil=True)
def select_members(
    G, H, b, energy, allowed, size, threshold, n, rows, least, penalty, support, out
):  # fmt: skip
    """Choose terms and coefficients of every member and target.

    Parameters
    ----------
    G, H : (members, p, p) Gram matrices, and the upper triangles of their inverses.
    b : (members, q, p) moments with the targets.
    energy : (members, q) sums of squares of the targets.
    allowed : (members, q, p) bool, the terms open to each.
    size : (members, q, p) what a coefficient is multiplied by before it is compared.
    threshold : remove what is below it and refit, again and again; negative for the
        automatic path.
    n, rows : (members,) effective number of rows, and number of rows.
    least : (q,) mean squared residual below which nothing counts; as a share of the energy
        per row.
    penalty : (p + 1,) what 0, 1, ... terms cost.
    support, out : (members, q, p) the terms, and their coefficients.
    """
    members, q, p = b.shape
    inverse, L = np.empty((p, p)), np.empty((p, p + 1))
    c, chosen = np.empty(p), np.empty(p)
    terms = np.empty(p, dtype=np.int64)
    for m in range(members):
        for t in range(q):
            for i in range(p):
                terms[i] = i
                total = 0.0
                for h in range(p):
                    inverse[i, h] = H[m, min(i, h), max(i, h)]
                    total += inverse[i, h] * b[m, t, h]
                c[i] = total
            k = p
            for i in range(p - 1, -1, -1):
                if not allowed[m, t, terms[i]]:
                    exclude_term(inverse, c, terms, i, k)
                    k -= 1
            if threshold < 0:
                for i in range(k):
                    chosen[i] = b[m, t, terms[i]]
                floor = max(least[t], 1e-15 * energy[m, t] / rows[m])
                k = follow_path(
                    inverse, c, terms, k, energy[m, t], size[m, t], n[m], rows[m], floor,
                    penalty, chosen,
                )  # fmt: skip
                for i in range(k):
                    terms[i] = int(chosen[i])
            else:
                before = -1
                while k != before:
                    before = k
                    # all that are too small now go, not those that become so on the way
                    for i in range(k):
                        chosen[i] = abs(c[i]) * size[m, t, terms[i]]
                    for i in range(before - 1, -1, -1):
                        if chosen[i] < threshold:
                            exclude_term(inverse, c, terms, i, k)
                            k -= 1
            for i in range(p):
                support[m, t, i] = False
                out[m, t, i] = 0.0
            for i in range(k):
                support[m, t, terms[i]] = True
            if not solve_on(G[m], b[m, t], terms, k, 0.0, L, out[m, t]):
                solve_on(G[m], b[m, t], terms, k, 1e-10, L, out[m, t])


@njit(cache=True, error_model="numpy", nogil=True)
def solve_members(G, b, support, out):
    """Solve every member and target on one support (q, p); `out` as `b`."""
    members, q, p = b.shape
    L = np.empty((p, p + 1))
    terms = np.empty(p, dtype=np.int64)
    for t in range(q):
        k = 0
        for i in range(p):
            if support[t, i]:
                terms[k] = i
                k += 1
        for m in range(members):
            for i in range(p):
                out[m, t, i] = 0.0
            if not solve_on(G[m], b[m, t], terms, k, 0.0, L, out[m, t]):
                solve_on(G[m], b[m, t], terms, k, 1e-10, L, out[m, t])
