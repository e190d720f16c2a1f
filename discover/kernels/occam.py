"""Occam's window: all models nearly as good as the best, by best-first search.

Natural units, as in :mod:`discover.kernels.relevance`. A model of `k` terms that leaves
the share `v` of the target unexplained scores

    n/2 log v + penalty[k] + (occam) 1/2 sum_i log(n m_i^2 / v) + 1/2 log det C + k/2

in nats, smaller is better; the last terms turn the penalised likelihood into Laplace's
approximation of the evidence under the prior that suits each term best. They are never
negative here (Hadamard), so that the first two bound the score from below.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from discover.kernels.relevance import invert, reduce_triangle

UNKNOWN = -1e300  # the score of a model to begin with: it is taken first


@njit(cache=True, error_model="numpy")
def misfit(v, n, least):
    """Return ``n/2 log v``; what is below `least` counts for nothing."""
    return 0.5 * n * np.log(max(v, least))


@njit(cache=True, error_model="numpy")
def complexity(m, inverse, logdet, v, n):
    """Return the Occam factor in nats, each term worth at least one standard error."""
    k = len(m)
    total = 0.5 * logdet
    for i in range(k):
        total += 0.5 * np.log(max(n * m[i] * m[i] / v, inverse[i]))
    return max(total, 0.0) + 0.5 * k


@njit(cache=True, error_model="numpy")
def solve_gram(C, c, terms, k, inverse, m, B, r, s):
    """Least squares on a support, and what every other column could add; from the Gram.

    Parameters
    ----------
    terms, k : the support is ``terms[:k]``.
    inverse : (k, k) out, inverse of the Gram matrix.
    m : (k,) out, coefficients.
    B : (k, p) out, coefficients of every column on the support.
    r : (p,) out, products of the columns with the residual.
    s : (p,) out, what the support leaves unexplained of every column.

    Returns
    -------
    share of the target left, logarithm of the determinant
    """
    p = len(c)
    for a in range(k):
        for b in range(k):
            inverse[a, b] = C[terms[a], terms[b]]
    logdet = invert(inverse, k)
    for a in range(k):
        total = 0.0
        for b in range(k):
            total += inverse[a, b] * c[terms[b]]
        m[a] = total
    for a in range(k):
        for j in range(p):
            B[a, j] = 0.0
        for b in range(k):
            weight, row = inverse[a, b], terms[b]
            for j in range(p):
                B[a, j] += weight * C[row, j]
    for j in range(p):
        r[j], s[j] = c[j], C[j, j]
    for a in range(k):
        row, weight = terms[a], m[a]
        for j in range(p):
            r[j] -= weight * C[row, j]
            s[j] -= B[a, j] * C[row, j]
    left = 1.0
    for a in range(k):
        left -= m[a] * c[terms[a]]
    return left, logdet


@njit(cache=True, error_model="numpy")
def solve_triangle(R, y, terms, k, Q, T, U, inverse, m, B, r, s):
    """Do the same from a triangular factor of the columns, at twice the digits.

    Parameters
    ----------
    R, y : (q, p) columns of unit norm, (q,) target of unit norm.
    Q, T, U : work (k, q), (k, k) and (k, k).
    """
    q, p = R.shape
    residual = np.empty(q)
    left = reduce_triangle(R, y, terms, k, Q, T, m, residual)
    logdet = 0.0
    for a in range(k):
        logdet += 2.0 * np.log(T[a, a])
    for j in range(p):
        r[j], s[j] = 0.0, 1.0
    for i in range(q):
        for j in range(p):
            r[j] += R[i, j] * residual[i]
    for a in range(k):
        for j in range(p):
            B[a, j] = 0.0
        for i in range(q):
            weight = Q[a, i]
            for j in range(p):
                B[a, j] += weight * R[i, j]
        for j in range(p):
            s[j] -= B[a, j] * B[a, j]
    for a in range(k - 1, -1, -1):  # back substitution
        for b in range(a + 1, k):
            m[a] -= T[a, b] * m[b]
            for j in range(p):
                B[a, j] -= T[a, b] * B[b, j]
        m[a] /= T[a, a]
        for j in range(p):
            B[a, j] /= T[a, a]
    for a in range(k):  # inverse of T, then of T'T
        for b in range(k):
            U[a, b] = 0.0
        U[a, a] = 1.0 / T[a, a]
        for b in range(a - 1, -1, -1):
            total = 0.0
            for i in range(b + 1, a + 1):
                total -= T[b, i] * U[i, a]
            U[b, a] = total / T[b, b]
    for a in range(k):
        for b in range(k):
            total = 0.0
            for i in range(max(a, b), k):
                total += U[a, i] * U[b, i]
            inverse[a, b] = total
    return left, logdet


@njit(cache=True, error_model="numpy")
def solve(R, y, C, c, terms, k, Q, T, U, inverse, m, B, r, s):
    """Solve by the triangle where there is one, else by the Gram matrix."""
    if R.shape[0] > 0:
        return solve_triangle(R, y, terms, k, Q, T, U, inverse, m, B, r, s)
    return solve_gram(C, c, terms, k, inverse, m, B, r, s)


@njit(cache=True, error_model="numpy")
def _known(table, key):
    """Put a key into a hash table; return whether it was there."""
    mask = len(table) - 1
    place = key & mask
    while table[place] != 0:
        if table[place] == key:
            return True
        place = (place + 1) & mask
    table[place] = key
    return False


@njit(cache=True, error_model="numpy")
def _store(pool, sizes, scores, shares, opened, count, terms, k, score, share):
    """Keep a model; the worst one goes when the pool is full. Return the new count."""
    place = count
    if count == len(scores):
        place = np.argmax(scores)
        if scores[place] <= score:
            return count
    for a in range(k):
        pool[place, a] = terms[a]
    sizes[place], scores[place], shares[place], opened[place] = k, score, share, False
    return min(count + 1, len(scores))


@njit(cache=True, error_model="numpy")
def occam_window(
    R, C, c, y, usable, keys, n, least, penalty, occam, starts, window, expansions, table,
    pool, sizes, scores, shares,
):  # fmt: skip
    """Expand the best model not yet expanded: add, drop and swap every term.

    Parameters
    ----------
    R, y : (q, p), (q,) triangular factor and target; with ``q = 0`` the Gram is used.
    C, c : (p, p), (p,) moments in natural units.
    usable : (p,) bool.
    keys : (p,) random positive integers: a model is known by the exclusive or of its terms'.
    n, least : number of rows, smallest share of noise.
    penalty : (most + 1,) cost in nats of k terms, infinite where there may not be so many.
    occam : whether the score is the evidence rather than the penalised likelihood.
    starts : (m, p) bool, models to begin with.
    window : models worse than the best by more are not expanded.
    expansions : how many models to expand at most.
    table : (2 ** b,) zeros, the hash table; at least twice the models that can be visited.
    pool, sizes, scores, shares : (P, most), (P,), (P,), (P,) out, the models.

    Returns
    -------
    number of models in the pool, number of models expanded
    """
    p, most = len(c), pool.shape[1]
    inverse, m = np.zeros((most, most)), np.zeros(most)
    B, r, s = np.zeros((most, p)), np.zeros(p), np.zeros(p)
    Q, T, U = np.zeros((most, R.shape[0])), np.zeros((most, most)), np.zeros((most, most))
    terms, other = np.zeros(most + 1, dtype=np.int64), np.zeros(most + 1, dtype=np.int64)
    new, diagonal, worst = np.zeros(most + 1), np.zeros(most + 1), np.zeros(most + 1)
    opened = np.zeros(len(scores), dtype=np.bool_)
    count, entries, best = 0, 0, np.inf
    capacity, candidate = len(table) // 2, usable.copy()
    scores[:] = np.inf
    for start in range(len(starts)):
        k, key = 0, np.int64(1)
        for j in range(p):
            if starts[start, j] and usable[j] and k < most:
                terms[k] = j
                k += 1
                key ^= keys[j]
        if not np.isfinite(penalty[k]) or _known(table, key):
            continue
        entries += 1
        count = _store(pool, sizes, scores, shares, opened, count, terms, k, UNKNOWN, 1.0)
    for expansion in range(expansions):
        chosen, least_score = -1, np.inf
        for i in range(count):
            if not opened[i] and scores[i] < least_score:
                chosen, least_score = i, scores[i]
        if chosen < 0 or least_score > best + window:
            return count, expansion
        opened[chosen] = True
        k = sizes[chosen]
        key = np.int64(1)
        candidate[:] = usable
        for a in range(k):
            terms[a] = pool[chosen, a]
            key ^= keys[terms[a]]
            candidate[terms[a]] = False
        left, logdet = solve(R, y, C, c, terms, k, Q, T, U, inverse, m, B, r, s)
        if least_score == UNKNOWN:
            for a in range(k):
                diagonal[a] = inverse[a, a]
            scores[chosen], shares[chosen] = misfit(left, n, least) + penalty[k], left
            if occam:
                scores[chosen] += complexity(m[:k], diagonal[:k], logdet, max(left, least), n)
            best = min(best, scores[chosen])
        if entries > capacity or scores[chosen] > best + window:
            continue
        for size in range(max(k - 1, 0), min(k + 1, most) + 1):  # no logarithm per change
            room = 2.0 / n * (best + window - penalty[size])
            worst[size] = np.exp(min(room, 1.0)) if np.isfinite(penalty[size]) else -1.0
            if misfit(0.0, n, least) + penalty[size] <= best + window:
                worst[size] = max(worst[size], least)  # below it the score decides
        for out in range(-1, k):  # which term leaves; -1 for none
            for j in range(-1, p):  # which comes; -1 for none
                size = k - (out >= 0) + (j >= 0)
                if (out < 0 and j < 0) or size > most or not np.isfinite(penalty[size]):
                    continue
                v, gone, det = left, 0.0, logdet
                if out >= 0:
                    gone = m[out] / inverse[out, out]
                    v += m[out] * gone
                    det += np.log(inverse[out, out])
                step = 0.0
                if j >= 0:
                    if not candidate[j]:
                        continue
                    spare, slope = s[j], r[j]
                    if out >= 0:
                        spare += B[out, j] * B[out, j] / inverse[out, out]
                        slope += B[out, j] * gone
                    if spare < 1e-13:
                        continue  # a combination of the terms
                    step = slope / spare
                    v -= slope * step
                if v > worst[size]:
                    continue
                code = key
                if out >= 0:
                    code ^= keys[terms[out]]
                if j >= 0:
                    code ^= keys[j]
                if entries > capacity or _known(table, code):
                    continue
                entries += 1
                place = 0
                for a in range(k):
                    if a == out:
                        continue
                    value, width = m[a], inverse[a, a]
                    along = 0.0 if j < 0 else B[a, j]
                    if out >= 0:
                        ratio = inverse[a, out] / inverse[out, out]
                        value -= ratio * m[out]
                        width -= ratio * inverse[out, a]
                        if j >= 0:
                            along -= ratio * B[out, j]
                    if j >= 0:
                        value -= along * step
                        width += along * along / spare
                    new[place], diagonal[place], other[place] = value, width, terms[a]
                    place += 1
                if j >= 0:
                    new[place], diagonal[place], other[place] = step, 1.0 / spare, j
                    place += 1
                    det += np.log(spare)
                score = misfit(max(v, 0.0), n, least) + penalty[size]
                if occam:
                    score += complexity(new[:place], diagonal[:place], det, max(v, least), n)
                if score > best + window:
                    continue
                best = min(best, score)
                count = _store(pool, sizes, scores, shares, opened, count, other, place, score, v)
    return count, expansions
