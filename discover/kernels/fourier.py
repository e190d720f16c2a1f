"""Real Fourier transforms of many short fields at once, side by side in the lanes of a processor.

Fields are columns: an array (n_points, n_lanes) holds one field per lane, so that every
operation of a transform is one loop over lanes without a carry, which compilers turn into
vector instructions. The same operations in the same order are done in every lane: a field has
the same transform, bit for bit, whatever its neighbours.

`n_points` is a power of two, 4 or more. Tables ``cosines[k], sines[k]`` hold
``2 pi k / n_points`` for k = 0 ... n_points / 2; ``work`` has shape (4, n_points / 2, n_lanes).
"""

from __future__ import annotations

from numba import njit

__all__ = ["real_inverse", "real_transform"]


@njit(inline="always")
def _butterfly(ar, ai, br, bi, c, s, pr, pi, qr, qi):
    """Fill ``p = a + b`` and ``q = (c + i s) (a - b)``."""
    for i in range(ar.shape[0]):
        dr, di = ar[i] - br[i], ai[i] - bi[i]
        pr[i] = ar[i] + br[i]
        pi[i] = ai[i] + bi[i]
        qr[i] = c * dr - s * di
        qi[i] = c * di + s * dr


@njit(cache=True)
def _transform(work, cosines, sines, sign):
    """Transform the complex rows ``work[0] + i work[1]``; say whether they end in work[2:].

    Stockham's radix-2 scheme, which needs no reordering of rows.
    """
    n, lanes = work.shape[1], work.shape[2]
    x, y = work[:2].reshape(2, n * lanes), work[2:].reshape(2, n * lanes)
    half, stride, swapped = n // 2, 1, False
    while half >= 1:
        w = stride * lanes
        for p in range(half):
            c, s = cosines[2 * stride * p], sign * sines[2 * stride * p]
            a, b, low, high = p * w, (p + half) * w, 2 * p * w, (2 * p + 1) * w
            _butterfly(
                x[0, a : a + w], x[1, a : a + w], x[0, b : b + w], x[1, b : b + w], c, s,
                y[0, low : low + w], y[1, low : low + w],
                y[0, high : high + w], y[1, high : high + w],
            )  # fmt: skip
        x, y = y, x
        half, stride, swapped = half // 2, 2 * stride, not swapped
    return swapped


@njit(inline="always")
def _join(kr, ki, mr, mi, c, s, re, im):
    """Join the transforms of even and odd points, one of the conjugate row beside it."""
    for i in range(kr.shape[0]):
        er, ei = kr[i] + mr[i], ki[i] - mi[i]
        odd_r, odd_i = ki[i] + mi[i], mr[i] - kr[i]
        re[i] = 0.5 * (er + c * odd_r + s * odd_i)
        im[i] = 0.5 * (ei + c * odd_i - s * odd_r)


@njit(cache=True)
def real_transform(u, work, cosines, sines, re, im):
    """Fill the modes (n_points / 2 + 1, n_lanes) of fields (n_points, n_lanes), unscaled."""
    n = work.shape[1]
    for j in range(n):
        work[0, j] = u[2 * j]
        work[1, j] = u[2 * j + 1]
    z = work[2:] if _transform(work, cosines, sines, -1.0) else work[:2]
    for k in range(n + 1):
        a, b = k % n, (n - k) % n
        _join(z[0, a], z[1, a], z[0, b], z[1, b], cosines[k], sines[k], re[k], im[k])


@njit(inline="always")
def _part(kr, ki, mr, mi, c, s, scale, zr, zi):
    """Part a mode and its mirror into the transforms of even and odd points."""
    for i in range(kr.shape[0]):
        dr, di = kr[i] - mr[i], ki[i] + mi[i]
        zr[i] = scale * (kr[i] + mr[i] - (c * di + s * dr))
        zi[i] = scale * (ki[i] - mi[i] + (c * dr - s * di))


@njit(cache=True)
def real_inverse(re, im, work, cosines, sines, u):
    """Fill the fields (n_points, n_lanes) of modes (n_points / 2 + 1, n_lanes)."""
    n = work.shape[1]
    scale = 0.5 / n
    for k in range(n):
        m = n - k
        _part(
            re[k], im[k], re[m], im[m], cosines[k], sines[k], scale, work[0, k], work[1, k]
        )  # fmt: skip
    z = work[2:] if _transform(work, cosines, sines, 1.0) else work[:2]
    for j in range(n):
        u[2 * j] = z[0, j]
        u[2 * j + 1] = z[1, j]
