"""Banded information matrices: assembly from local residuals, elimination, selected inverse.

A symmetric matrix of half band ``h`` is held by rows in ``band (n, h + 1)``: entry
``H[r, c]``, ``r - h <= c <= r``, is ``band[r, h + c - r]``, so the diagonal is the last
column. Residual row `r` depends on the unknowns ``first[r] .. first[r] + width``.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy", nogil=True)
def add_residuals(first, J, r, weight, band, gradient):
    """Add ``J' diag(weight) J`` to `band` and ``J' diag(weight) r`` to `gradient`.

    `J` is (n_rows, width), width at most the number of columns of `band`.
    """
    n_rows, width = J.shape
    h = band.shape[1] - 1
    for k in range(n_rows):
        w = weight[k]
        if w == 0.0:
            continue
        start = first[k]
        for a in range(width):
            scaled = w * J[k, a]
            if scaled == 0.0:
                continue
            row = start + a
            gradient[row] += scaled * r[k]
            shift = h - a
            for b in range(a + 1):
                band[row, shift + b] += scaled * J[k, b]


@njit(cache=True, error_model="numpy", nogil=True)
def add_gradient(first, J, r, weight, gradient):
    """Add ``J' diag(weight) r`` to `gradient`."""
    for k in range(J.shape[0]):
        scaled = weight[k] * r[k]
        for a in range(J.shape[1]):
            gradient[first[k] + a] += scaled * J[k, a]


@njit(cache=True, error_model="numpy", nogil=True)
def add_coupling(first, J, weight, source, offset, columns, low, high, begin, out):
    """Add ``J' diag(weight) B`` for the unknowns ``low .. high`` to ``out[: high - low]``.

    Row `k` of `B` holds ``columns[source[k]]`` from column ``offset[k]`` on. Rows are
    in order of `first`; the search starts at row `begin`. Returns the row to begin with for
    the next stretch.
    """
    n_rows, width = J.shape
    p = columns.shape[1]
    following = begin
    for k in range(begin, n_rows):
        start = first[k]
        if start >= high:
            break
        if start + width <= low:
            following = k + 1
            continue
        w, s, o = weight[k], source[k], offset[k]
        if w == 0.0:
            continue
        for a in range(max(0, low - start), min(width, high - start)):
            scaled = w * J[k, a]
            if scaled == 0.0:
                continue
            row = start + a - low
            for j in range(p):
                out[row, o + j] += scaled * columns[s, j]
    return following


@njit(cache=True, error_model="numpy", nogil=True)
def factor(band):
    """Overwrite `band` with its Cholesky factor L; return the failing row, or -1."""
    n, width = band.shape
    h = width - 1
    for r in range(n):
        low = max(0, r - h)
        for c in range(low, r + 1):
            total = band[r, h + c - r]
            start = max(low, c - h)
            left, right = h - r, h - c
            for k in range(start, c):
                total -= band[r, left + k] * band[c, right + k]
            if c < r:
                band[r, left + c] = total / band[c, h]
            elif total > 0.0:
                band[r, h] = np.sqrt(total)
            else:
                return r
    return -1


@njit(cache=True, error_model="numpy", nogil=True)
def forward(band, first, work):
    """Solve ``L z = b`` for the rows ``first ..`` in place, many right-hand sides at once.

    Row `i` of `work` is row ``first - h + i`` of the problem; its first `h` rows hold what
    was solved before (zeros at the start).
    """
    h = band.shape[1] - 1
    n_columns = work.shape[1]
    for i in range(h, work.shape[0]):
        r = first + i - h
        c = 0
        while c + 3 < h:
            a0, a1, a2, a3 = band[r, c], band[r, c + 1], band[r, c + 2], band[r, c + 3]
            row = i - h + c
            for j in range(n_columns):
                work[i, j] -= (
                    a0 * work[row, j]
                    + a1 * work[row + 1, j]
                    + a2 * work[row + 2, j]
                    + a3 * work[row + 3, j]
                )
            c += 4
        while c < h:
            a0 = band[r, c]
            row = i - h + c
            for j in range(n_columns):
                work[i, j] -= a0 * work[row, j]
            c += 1
        inverse = 1.0 / band[r, h]
        for j in range(n_columns):
            work[i, j] *= inverse


@njit(cache=True, error_model="numpy", nogil=True)
def solve(band, x):
    """Solve ``L L' x = b`` in place for one right-hand side."""
    n, width = band.shape
    h = width - 1
    for r in range(n):
        total = x[r]
        for c in range(max(0, r - h), r):
            total -= band[r, h + c - r] * x[c]
        x[r] = total / band[r, h]
    for r in range(n - 1, -1, -1):
        x[r] /= band[r, h]
        for c in range(max(0, r - h), r):
            x[c] -= band[r, h + c - r] * x[r]


@njit(cache=True, error_model="numpy", nogil=True)
def selected_inverse(band, out):
    """Write the entries of ``(L L')^-1`` inside the band to `out`, of the same layout.

    The recursion of Takahashi, Fagan and Chin (1973), from the last row upwards.
    """
    n, width = band.shape
    h = width - 1
    for c in range(n - 1, -1, -1):
        diagonal = band[c, h]
        last = min(n - 1, c + h)
        for r in range(last, c - 1, -1):
            total = 1.0 / diagonal if r == c else 0.0
            for k in range(c + 1, last + 1):
                value = out[r, h + k - r] if k <= r else out[k, h + r - k]
                total -= band[k, h + c - k] * value
            out[r, h + c - r] = total / diagonal
