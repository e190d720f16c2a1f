"""Moments of monomials: sums of products, each distinct product formed once."""

from __future__ import annotations

from numba import njit


@njit(cache=True, error_model="numpy", fastmath={"reassoc"})
def monomial_moments(parents, variables, slots, scale, X, Y, start, stop, v, y, sums, cross, own):
    """Add the sums over rows ``start .. stop`` of monomials, with and without targets.

    Slot 0 is the constant 1 and slot ``s`` is slot ``parents[s]`` times input
    ``variables[s]``, of inputs and targets multiplied by `scale` (powers of two).

    Parameters
    ----------
    slots : (p,) the monomials that are terms.
    v, y : work arrays (n_slots, tile) and (n_targets, tile).
    sums : (n_slots,) sums of the monomials, added to.
    cross : (p, n_targets) sums of terms times targets, added to.
    own : (n_targets, n_targets) sums of targets times targets, added to.
    """
    d, q = X.shape[1], Y.shape[1]
    for first in range(start, stop, v.shape[1]):
        n = min(v.shape[1], stop - first)
        for j in range(d):  # degree one sits in slots 1 .. d
            c = scale[j]
            for r in range(n):
                v[1 + j, r] = c * X[first + r, j]
        for j in range(q):
            c = scale[d + j]
            for r in range(n):
                y[j, r] = c * Y[first + r, j]
        for r in range(n):
            v[0, r] = 1.0
        sums[0] += n
        for s in range(1, v.shape[0]):
            total = 0.0
            if s > d:
                a, b = parents[s], variables[s] + 1
                for r in range(n):
                    value = v[a, r] * v[b, r]
                    v[s, r] = value
                    total += value
            else:
                for r in range(n):
                    total += v[s, r]
            sums[s] += total
        for k in range(slots.shape[0]):
            s = slots[k]
            for j in range(q):
                total = 0.0
                for r in range(n):
                    total += v[s, r] * y[j, r]
                cross[k, j] += total
        for i in range(q):
            for j in range(q):
                total = 0.0
                for r in range(n):
                    total += y[i, r] * y[j, r]
                own[i, j] += total
