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

    `J` is (n_rows, width), width at most the number of columns of `band`. Neighbouring rows
    with the same `first` are added three at a time: `band` is read and written once.
    """
    n_rows, width = J.shape
    h = band.shape[1] - 1
    k = 0
    while k < n_rows:
        start = first[k]
        size = 1
        while size < 3 and k + size < n_rows and first[k + size] == start:
            size += 1
        i, j = k + min(1, size - 1), k + size - 1
        w0 = weight[k]
        w1 = weight[i] if size > 1 else 0.0
        w2 = weight[j] if size > 2 else 0.0
        J0, J1, J2 = J[k], J[i], J[j]
        for a in range(width):
            s0, s1, s2 = w0 * J0[a], w1 * J1[a], w2 * J2[a]
            gradient[start + a] += s0 * r[k] + s1 * r[i] + s2 * r[j]
            row = band[start + a, h - a :]
            for b in range(a + 1):
                row[b] += s0 * J0[b] + s1 * J1[b] + s2 * J2[b]
        k += size


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
        w, o = weight[k], offset[k]
        if w == 0.0:
            continue
        column = columns[source[k]]
        for a in range(max(0, low - start), min(width, high - start)):
            scaled = w * J[k, a]
            if scaled == 0.0:
                continue
            target = out[start + a - low, o : o + p]
            for j in range(p):
                target[j] += scaled * column[j]
    return following


@njit(cache=True, error_model="numpy", nogil=True)
def factor(band):
    """Overwrite `band` with its Cholesky factor L; return the failing row, or -1.

    Four columns at a time, so that the rows below are read and written once for all four.
    """
    n, width = band.shape
    h = width - 1
    panel = np.empty((4, h + 4))  # columns c .. c + 3, from row c on
    for c in range(0, n, 4):
        q = min(4, n - c)
        reach = min(h + q, n - c)
        panel[:] = 0.0
        for m in range(q):
            pivot = band[c + m, h]
            if not pivot > 0.0:
                return c + m
            pivot = np.sqrt(pivot)
            band[c + m, h] = pivot
            for i in range(m + 1, min(m + h + 1, reach)):
                value = band[c + i, h + m - i] / pivot
                band[c + i, h + m - i] = value
                panel[m, i] = value
            for k in range(m + 1, q):
                for i in range(k, min(m + h + 1, reach)):
                    band[c + i, h + k - i] -= panel[m, i] * panel[m, k]
        p0, p1, p2, p3 = panel[0, q:], panel[1, q:], panel[2, q:], panel[3, q:]
        for i in range(reach - q):
            a0, a1, a2, a3 = p0[i], p1[i], p2[i], p3[i]
            row = band[c + q + i, h - i :]
            for j in range(i + 1):
                row[j] -= a0 * p0[j] + a1 * p1[j] + a2 * p2[j] + a3 * p3[j]
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
        target = work[i]
        while c + 3 < h:
            a0, a1, a2, a3 = band[r, c], band[r, c + 1], band[r, c + 2], band[r, c + 3]
            row = i - h + c
            w0, w1, w2, w3 = work[row], work[row + 1], work[row + 2], work[row + 3]
            for j in range(n_columns):
                target[j] -= a0 * w0[j] + a1 * w1[j] + a2 * w2[j] + a3 * w3[j]
            c += 4
        while c < h:
            a0, w0 = band[r, c], work[i - h + c]
            for j in range(n_columns):
                target[j] -= a0 * w0[j]
            c += 1
        inverse = 1.0 / band[r, h]
        for j in range(n_columns):
            target[j] *= inverse


@njit(cache=True, error_model="numpy", nogil=True)
def solve(band, x):
    """Solve ``L L' x = b`` in place for one right-hand side."""
    n, width = band.shape
    h = width - 1
    for r in range(n):
        known = min(h, r)
        row, before = band[r, h - known :], x[r - known :]
        even, odd = x[r], 0.0  # two sums: neither waits for the other
        for c in range(known // 2):
            even -= row[2 * c] * before[2 * c]
            odd -= row[2 * c + 1] * before[2 * c + 1]
        if known % 2:
            odd -= row[known - 1] * before[known - 1]
        x[r] = (even + odd) / band[r, h]
    for r in range(n - 1, -1, -1):
        x[r] /= band[r, h]
        for c in range(max(0, r - h), r):
            x[c] -= band[r, h + c - r] * x[r]


@njit(cache=True, error_model="numpy", nogil=True)
def selected_inverse(band, out):
    """Write the entries of ``(L L')^-1`` inside the band to `out`, of the same layout.

    The recursion of Takahashi, Fagan and Chin (1973), from the last row upwards. What is known
    of the next `h` rows is kept as a full matrix; row `r` has the place ``r % h`` there.
    """
    n, width = band.shape
    h = width - 1
    known = np.zeros((h, h))
    column, new = np.zeros(h), np.empty(h)
    for c in range(n - 1, -1, -1):
        diagonal = band[c, h]
        last = min(n - 1, c + h)
        for k in range(h):
            new[k] = 0.0
        for r in range(c + 1, last + 1):
            value = band[r, h + c - r] / diagonal
            column[r % h] = value
            for k in range(h):
                new[k] -= value * known[r % h, k]
        total = 1.0 / (diagonal * diagonal)
        for r in range(c + 1, last + 1):
            out[r, h + c - r] = new[r % h]
            total -= column[r % h] * new[r % h]
        out[c, h] = total
        if h > 0:
            place = c % h
            for k in range(h):
                known[place, k] = known[k, place] = new[k]
            known[place, place] = total
