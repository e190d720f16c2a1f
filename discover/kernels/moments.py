"""Moments of monomials: each distinct product summed once."""

from __future__ import annotations

from numba import njit

LANES = 16  # rows per unrolled vector step


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def monomial_moments(
    parents, variables, quads, scale, X, Y, start, stop, v, sums
):  # fmt: skip
    """Add the sums over rows ``start .. stop`` of products of monomials and of targets.

    Slot 0 is the constant 1, slots ``1 .. d`` the inputs, and slot ``s`` is slot
    ``parents[s]`` times input ``variables[s]``; the targets have the last slots. Inputs
    and targets are multiplied by `scale` (powers of two) first.

    Parameters
    ----------
    quads : (n_quads, 5) a slot, and four slots to multiply it with: one load of the first
        serves four sums.
    v : work array (n_slots + n_targets, tile + LANES), tile a multiple of LANES; rows of
        exactly 2 kB would all fall on the same few lines of the first cache.
    sums : (n_quads, 4) sums of the products, added to.
    """
    d, q, n_slots = X.shape[1], Y.shape[1], parents.shape[0]
    tile = v.shape[1] - LANES
    for first in range(start, stop, tile):
        rows = min(tile, stop - first)
        # whole vectors: the rest of the last one is zeros, which no sum sees
        n = (rows + LANES - 1) // LANES * LANES
        for j in range(d):
            c = scale[j]
            for r in range(rows):
                v[1 + j, r] = c * X[first + r, j]
        for j in range(q):
            c = scale[d + j]
            for r in range(rows):
                v[n_slots + j, r] = c * Y[first + r, j]
        for r in range(rows):
            v[0, r] = 1.0
        for r in range(rows, n):
            v[0, r] = 0.0
            for j in range(d):
                v[1 + j, r] = 0.0
            for j in range(q):
                v[n_slots + j, r] = 0.0
        for s in range(d + 1, n_slots):
            a, b = parents[s], variables[s] + 1
            for r in range(n):
                v[s, r] = v[a, r] * v[b, r]
        for k in range(quads.shape[0]):
            i, e, f, g, h = quads[k, 0], quads[k, 1], quads[k, 2], quads[k, 3], quads[k, 4]
            se, sf, sg, sh = 0.0, 0.0, 0.0, 0.0
            for r in range(n):
                x = v[i, r]
                se += x * v[e, r]
                sf += x * v[f, r]
                sg += x * v[g, r]
                sh += x * v[h, r]
            sums[k, 0] += se
            sums[k, 1] += sf
            sums[k, 2] += sg
            sums[k, 3] += sh
