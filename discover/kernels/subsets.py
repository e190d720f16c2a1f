"""Exact search for the best subsets of terms: branch and bound on a triangular factor."""

from __future__ import annotations

import numpy as np
from numba import njit

from discover.kernels.elimination import drop_column


@njit(cache=True, error_model="numpy")
def best_subsets(
    R, z, rest, n, least, penalty, keep, most_nodes, scores, sizes, subsets, rows
):  # fmt: skip
    """Find the subsets of columns with the smallest criterion.

    Parameters
    ----------
    R : (p, p) upper triangle of the columns, the most useful first.
    z : (p,) rotated target; the mean squared residual of all columns is `rest`.
    n : effective rows; the criterion of k terms is ``n log(max(v, least)) + penalty[k]``,
        `v` the mean squared residual, with `penalty` not decreasing.
    keep : number of leading columns that must stay.
    most_nodes : give up after so many.
    scores, sizes, subsets : (m,), (m,), (m, p) out: the m best, best first; the caller fills
        scores with infinity. `subsets` are positions of columns, ascending.
    rows : what a sum of squares is divided by.

    Returns the number of subsets that were looked at; negative if that was not all.

    A node is a set of columns of which those before a place must stay. Removing columns only
    raises the residual, so no subset below a node has a criterion smaller than ``n log rss``
    of the node plus the penalty of the columns that must stay.
    """
    p = len(z)
    tri, rot = np.empty((p + 1, p, p)), np.empty((p + 1, p, 1))
    columns = np.empty((p + 1, p), dtype=np.int64)
    count, following = np.empty(p + 1, dtype=np.int64), np.empty(p + 1, dtype=np.int64)
    rss = np.empty(p + 1)
    tri[0], rot[0, :, 0] = R, z
    columns[0] = np.arange(p)
    count[0], following[0], rss[0] = p, keep, rest
    _note(n * np.log(max(rest, least)) + penalty[p], p, columns[0], scores, sizes, subsets)
    depth, nodes = 0, 1
    while depth >= 0:
        k, j = count[depth], following[depth]
        # what stays before j is settled: the bound grows with it
        bound = n * np.log(max(rss[depth], least)) + penalty[min(j, k)]
        if j >= k or bound >= scores[-1]:
            depth -= 1
            continue
        following[depth] += 1
        if nodes >= most_nodes:
            return -nodes
        nodes += 1
        below = depth + 1
        for i in range(k):
            for h in range(i, k):
                tri[below, i, h] = tri[depth, i, h]
            for h in range(i):
                tri[below, i, h] = 0.0
            rot[below, i, 0] = rot[depth, i, 0]
            columns[below, i] = columns[depth, i]
        drop_column(tri[below], rot[below], j, k)
        for i in range(j, k - 1):
            columns[below, i] = columns[below, i + 1]
        rss[below] = rss[depth] + rot[below, k - 1, 0] ** 2 / rows
        count[below], following[below] = k - 1, j
        fit = n * np.log(max(rss[below], least))
        _note(fit + penalty[k - 1], k - 1, columns[below], scores, sizes, subsets)
        if fit + penalty[j] < scores[-1] and k - 1 > j:
            depth = below
    return nodes


@njit(cache=True, error_model="numpy")
def _note(score, k, columns, scores, sizes, subsets):
    """Insert a subset among the best."""
    m = len(scores)
    if not score < scores[m - 1]:
        return
    place = m - 1
    while place > 0 and score < scores[place - 1]:
        scores[place], sizes[place] = scores[place - 1], sizes[place - 1]
        for i in range(subsets.shape[1]):
            subsets[place, i] = subsets[place - 1, i]
        place -= 1
    scores[place], sizes[place] = score, k
    for i in range(k):
        subsets[place, i] = columns[i]
