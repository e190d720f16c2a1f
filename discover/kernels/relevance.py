"""Sparse Bayesian learning on a Gram matrix: evidence, sequential steps, threshold path.

All kernels work in natural units: columns and target have mean square one, `C` is the
Gram matrix of the columns (unit diagonal) and `c` their products with the target. A prior
precision `alpha` is then one over a squared share of the target, and the noise precision
`beta` one over the share of its variance that is noise.
"""

from __future__ import annotations

import numpy as np
from numba import njit

MOST = 1e14  # a prior precision this large means the term is not there


@njit(cache=True, error_model="numpy")
def invert(A, k):
    """Invert the leading k x k block of a positive definite matrix in place.

    Returns the logarithm of its determinant; pivots that rounding made negative are
    raised to rounding level.
    """
    logdet = 0.0
    for j in range(k):  # Cholesky factor in the lower triangle
        diagonal = A[j, j]
        pivot = diagonal
        for i in range(j):
            pivot -= A[j, i] * A[j, i]
        pivot = max(pivot, 1e-16 * diagonal)
        logdet += np.log(pivot)
        root = np.sqrt(pivot)
        A[j, j] = root
        for r in range(j + 1, k):
            total = A[r, j]
            for i in range(j):
                total -= A[r, i] * A[j, i]
            A[r, j] = total / root
    for j in range(k):  # its inverse
        A[j, j] = 1.0 / A[j, j]
        for r in range(j + 1, k):
            total = 0.0
            for i in range(j, r):
                total -= A[r, i] * A[i, j]
            A[r, j] = total / A[r, r]
    for i in range(k):  # product of the inverses
        for j in range(i + 1):
            total = 0.0
            for r in range(i, k):
                total += A[r, i] * A[r, j]
            A[i, j] = total
            A[j, i] = total
    return logdet


@njit(cache=True, error_model="numpy")
def reduce_gram(C, c, terms, k, T, z):
    """Factor the moments of a support: ``T'T = C``, ``T'z = c``.

    Returns the share of the target that is left.
    """
    left = 1.0
    for j in range(k):
        for i in range(j + 1):
            total = C[terms[i], terms[j]]
            for r in range(i):
                total -= T[r, i] * T[r, j]
            T[i, j] = np.sqrt(max(total, 1e-16)) if i == j else total / T[i, i]
        total = c[terms[j]]
        for r in range(j):
            total -= T[r, j] * z[r]
        z[j] = total / T[j, j]
        left -= z[j] * z[j]
    return max(left, 0.0)


@njit(cache=True, error_model="numpy")
def reduce_triangle(R, y, terms, k, Q, T, z, residual):
    """Do the same from a triangular factor of the columns, at twice the digits.

    Parameters
    ----------
    R, y : (q, p) columns of unit norm, (q,) target of unit norm.
    Q, T, z, residual : (k, q), (k, k), (k,), (q,) out: orthonormal columns, and what is left.
    """
    q = R.shape[0]
    residual[:] = y
    for a in range(k):
        for i in range(q):
            Q[a, i] = R[i, terms[a]]
        for b in range(a):
            T[b, a] = 0.0
        for _ in range(2):  # Gram and Schmidt, twice is enough
            for b in range(a):
                dot = 0.0
                for i in range(q):
                    dot += Q[b, i] * Q[a, i]
                T[b, a] += dot
                for i in range(q):
                    Q[a, i] -= dot * Q[b, i]
        norm = 0.0
        for i in range(q):
            norm += Q[a, i] * Q[a, i]
        norm = max(np.sqrt(norm), 1e-16)
        T[a, a] = norm
        dot = 0.0
        for i in range(q):
            Q[a, i] /= norm
            dot += Q[a, i] * residual[i]
        z[a] = dot
        for i in range(q):
            residual[i] -= dot * Q[a, i]
    left = 0.0
    for i in range(q):
        left += residual[i] * residual[i]
    return left


@njit(cache=True, error_model="numpy")
def evidences(R, y, C, c, n, least, pool, sizes, prior, rounds, tolerance, out):
    """Maximise the evidence of many supports.

    Parameters
    ----------
    R, y, C, c : see :func:`discover.kernels.occam.occam_window`.
    pool, sizes : (P, most), (P,) the supports.
    prior : share of a term's precision from which its prior is all there is.
    rounds, tolerance : see :func:`maximize_evidence`.
    out : (P,) out, log evidence; minus infinity where a smaller model has the same.
    """
    q = R.shape[0]
    for model in range(len(sizes)):
        k, terms = sizes[model], pool[model]
        T, z, alpha = np.zeros((k, k)), np.zeros(k), np.zeros(k)
        if q > 0:
            rest = reduce_triangle(R, y, terms, k, np.zeros((k, q)), T, z, np.zeros(q))
        else:
            rest = reduce_gram(C, c, terms, k, T, z)
        start_precisions(T, z, alpha)
        sigma, mean = np.zeros((k, k)), np.zeros(k)
        out[model] = maximize_evidence(T, z, rest, n, least, alpha, sigma, mean, rounds, tolerance)[
            0
        ]
        for i in range(k):
            if alpha[i] * sigma[i, i] > prior:
                out[model] = -np.inf


@njit(cache=True, error_model="numpy")
def start_precisions(T, z, alpha):
    """Write one over the squares of the least-squares coefficients."""
    for i in range(len(z) - 1, -1, -1):
        total = z[i]
        for j in range(i + 1, len(z)):
            total -= T[i, j] * alpha[j]
        alpha[i] = total / T[i, i]
    for i in range(len(z)):
        alpha[i] = 1.0 / max(alpha[i] * alpha[i], 1.0 / MOST)


@njit(cache=True, error_model="numpy")
def maximize_evidence(T, z, rest, n, least, alpha, sigma, mean, rounds, tolerance):
    """Maximise the evidence of one support by MacKay's fixed point.

    Parameters
    ----------
    T : (k, k) upper triangle with ``T'T = C`` on the support.
    z : (k,) rotated target, ``T'z = c``.
    rest : share of the target that the columns leave unexplained by least squares.
    n : number of rows.
    least : smallest share of noise.
    alpha : (k,) in: starting precisions; out: those of greatest evidence.
    sigma : (k, k) out, posterior covariance.
    mean : (k,) out, posterior mean.

    Returns
    -------
    log evidence of a target of mean square one, noise precision, number of rounds
    """
    k = len(z)
    beta = 1.0 / max(rest * n / max(n - k, 1.0), least)
    evidence = 0.0
    for iteration in range(rounds):
        for i in range(k):
            for j in range(i + 1):
                total = 0.0
                for r in range(j + 1):
                    total += T[r, i] * T[r, j]
                sigma[i, j] = beta * n * total
                sigma[j, i] = sigma[i, j]
            sigma[i, i] += alpha[i]
        logdet = invert(sigma, k)
        for i in range(k):
            total = 0.0
            for j in range(k):
                moment = 0.0
                for r in range(j + 1):
                    moment += T[r, j] * z[r]
                total += sigma[i, j] * moment
            mean[i] = beta * n * total
        share = rest
        for i in range(k):
            gap = z[i]
            for j in range(i, k):
                gap -= T[i, j] * mean[j]
            share += gap * gap
        share = max(share, least)
        evidence = n * np.log(beta / (2.0 * np.pi)) - logdet - beta * n * share
        determined, change = 0.0, 0.0
        worst, least_use = -1, 1.0
        for i in range(k):
            evidence += np.log(alpha[i]) - alpha[i] * mean[i] * mean[i]
            gamma = min(max(1.0 - alpha[i] * sigma[i, i], 0.0), 1.0)
            determined += gamma
            if alpha[i] == MOST:
                continue
            # Tipping and Faul: q^2 <= s, and the evidence is greatest without the term
            use = mean[i] * mean[i] / max(gamma * sigma[i, i], 1e-300)
            if use <= least_use:
                worst, least_use = i, use
            new = min(max(gamma, 1e-12) / max(mean[i] * mean[i], 1.0 / MOST), MOST)
            change = max(change, abs(np.log(new / alpha[i])) * gamma)
            alpha[i] = new
        if worst >= 0:
            alpha[worst] = MOST
            change = 1.0
        precision = 1.0 / max(share * n / max(n - determined, 1.0), least)
        change = max(change, abs(np.log(precision / beta)))
        if change < tolerance or iteration == rounds - 1:
            return 0.5 * evidence, beta, iteration + 1
        beta = precision
    return 0.5 * evidence, beta, rounds


@njit(cache=True, error_model="numpy")
def sequential_relevance(C, c, usable, n, least, cost, rounds, alpha, support):
    """Add, re-estimate or delete one term at a time, whichever raises the evidence most.

    Parameters
    ----------
    C, c : (p, p), (p,) moments in natural units.
    usable : (p,) bool.
    n, least : number of rows, smallest share of noise.
    cost : evidence a term must bring to come in.
    rounds : steps at most.
    alpha : (p,) out, precisions of the terms in the model.
    support : (p,) bool, out.

    Returns
    -------
    noise precision, number of steps
    """
    p = len(c)
    most = min(p, max(int(0.5 * n), 1))
    terms = np.empty(p, dtype=np.int64)
    sigma, mean = np.zeros((most, most)), np.zeros(most)
    S, Q = np.zeros(p), np.zeros(p)
    k, beta = 0, 1.0
    support[:] = False
    for step in range(rounds):
        if k > 0:
            for a in range(k):
                for b in range(k):
                    sigma[a, b] = beta * n * C[terms[a], terms[b]]
                sigma[a, a] += alpha[terms[a]]
            invert(sigma, k)
            for a in range(k):
                total = 0.0
                for b in range(k):
                    total += sigma[a, b] * c[terms[b]]
                mean[a] = beta * n * total
        share, determined = 1.0, 0.0
        for a in range(k):
            share -= mean[a] * (2.0 * c[terms[a]])
            for b in range(k):
                share += mean[a] * mean[b] * C[terms[a], terms[b]]
            determined += 1.0 - alpha[terms[a]] * sigma[a, a]
        precision = 1.0 / max(share * n / max(n - determined, 1.0), least)
        settled = abs(np.log(precision / beta)) < 1e-4
        beta = precision
        for j in range(p):
            if not usable[j]:
                continue
            explained, gain = 0.0, 0.0
            for a in range(k):
                row = 0.0
                for b in range(k):
                    row += sigma[a, b] * C[terms[b], j]
                explained += row * C[terms[a], j]
                gain += mean[a] * C[terms[a], j]
            S[j] = beta * n * (C[j, j] - beta * n * explained)
            Q[j] = beta * n * (c[j] - gain)
        best, action, improvement = -1, 0, 1e-6
        for j in range(p):
            if not usable[j]:
                continue
            s, q = S[j], Q[j]
            if support[j]:
                slack = max(alpha[j] - S[j], 1e-300)
                s, q = alpha[j] * S[j] / slack, alpha[j] * Q[j] / slack
            if s <= 1e-12 * beta * n:
                continue
            theta = q * q - s
            ahead = 0.0 if theta <= 0.0 else 0.5 * (theta / s + np.log(s / (q * q))) - cost
            if support[j]:
                now = 0.5 * (np.log(alpha[j] / (alpha[j] + s)) + q * q / (alpha[j] + s)) - cost
                if ahead <= 0.0:
                    if -now > improvement:
                        best, action, improvement = j, 2, -now
                elif ahead - now > improvement:
                    best, action, improvement = j, 1, ahead - now
            elif ahead > improvement and k < most:
                best, action, improvement = j, 0, ahead
        if best < 0:
            if settled:
                return beta, step
            continue
        if action == 2:
            support[best] = False
            place = 0
            for a in range(k):
                if terms[a] != best:
                    terms[place] = terms[a]
                    place += 1
            k = place
            continue
        s, q = S[best], Q[best]
        if support[best]:
            slack = max(alpha[best] - S[best], 1e-300)
            s, q = alpha[best] * S[best] / slack, alpha[best] * Q[best] / slack
        alpha[best] = s * s / (q * q - s)
        if action == 0:
            support[best] = True
            terms[k] = best
            k += 1
    return beta, rounds


@njit(cache=True, error_model="numpy")
def relevance_path(C, c, usable, n, least, start, thresholds, rounds, supports):
    """Follow MacKay's fixed point from all terms, deleting above falling thresholds.

    Parameters
    ----------
    C, c, usable, n, least : see :func:`sequential_relevance`.
    start : precision of every term, and of the noise, at the beginning.
    thresholds : (m,) precisions above which a term is deleted for good, falling.
    rounds : (m,) rounds at most at each threshold.
    supports : (m, p) bool, out: what is left at each threshold.
    """
    p = len(c)
    terms = np.empty(p, dtype=np.int64)
    k = 0
    for j in range(p):
        if usable[j]:
            terms[k] = j
            k += 1
    alpha = np.full(p, start)
    beta = min(start, 1.0 / least)
    sigma, mean, moments = np.empty((p, p)), np.zeros(p), np.zeros(p)
    for level in range(len(thresholds)):
        for _ in range(rounds[level]):
            if k == 0:
                break
            for a in range(k):
                moments[a] = c[terms[a]]
                for b in range(k):
                    sigma[a, b] = beta * n * C[terms[a], terms[b]]
                sigma[a, a] += alpha[terms[a]]
            invert(sigma, k)
            share, determined = 1.0, 0.0
            for a in range(k):
                total = 0.0
                for b in range(k):
                    total += sigma[a, b] * moments[b]
                mean[a] = beta * n * total
            for a in range(k):
                row = 0.0
                for b in range(k):
                    row += C[terms[a], terms[b]] * mean[b]
                share += mean[a] * (row - 2.0 * moments[a])
            change, place = 0.0, 0
            for a in range(k):
                j = terms[a]
                gamma = min(max(1.0 - alpha[j] * sigma[a, a], 1e-12), 1.0)
                determined += gamma
                new = min(gamma / max(mean[a] * mean[a], 1.0 / MOST), MOST)
                change = max(change, abs(np.log(new / alpha[j])))
                alpha[j] = max(new, 1e-15 * beta * n)
                if new <= thresholds[level]:
                    terms[place] = j
                    place += 1
            pruned = place < k
            k = place
            precision = 1.0 / max(share * n / max(n - determined, 1.0), least)
            change = max(change, abs(np.log(precision / beta)))
            beta = precision
            if change < 0.01 and not pruned:
                break
        supports[level, :] = False
        for a in range(k):
            supports[level, terms[a]] = True
