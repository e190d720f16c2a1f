"""Finite differences on any grid: weights and their application."""

from __future__ import annotations

import numpy as np
from numba import njit

BLOCK = 512  # rows that stay in the first cache while the stencil passes over them


@njit(cache=True, error_model="numpy")
def difference_weights(at, nodes, derivative, weights):
    """Write the weights of a derivative at `at` from values on `nodes`.

    The recursion of Fornberg, Math. Comp. 51 (1988) 699-706. `weights` is a work array
    (derivative + 1, n_nodes); its last row is the answer.
    """
    n = nodes.shape[0]
    for k in range(derivative + 1):
        for i in range(n):
            weights[k, i] = 0.0
    weights[0, 0] = 1.0
    c1 = 1.0
    c4 = nodes[0] - at
    for i in range(1, n):
        highest = min(i, derivative)
        c2 = 1.0
        c5 = c4
        c4 = nodes[i] - at
        for j in range(i):
            c3 = nodes[i] - nodes[j]
            c2 *= c3
            if j == i - 1:
                for k in range(highest, 0, -1):
                    weights[k, i] = c1 * (k * weights[k - 1, i - 1] - c5 * weights[k, i - 1]) / c2
                weights[0, i] = -c1 * c5 * weights[0, i - 1] / c2
            for k in range(highest, 0, -1):
                weights[k, j] = (c4 * weights[k, j] - k * weights[k - 1, j]) / c3
            weights[0, j] = c4 * weights[0, j] / c3
        c1 = c2


@njit(cache=True, error_model="numpy")
def finite_difference(x, t, width, derivative, uniform, out):
    """Differentiate the columns of ``x (n, d)``, C-ordered, with stencils of `width` points.

    Stencils are centred inside and slide to one side at the ends. On a uniform grid the
    weights of each position in the stencil are computed once.
    """
    n, d = x.shape
    flat_x, flat_out = x.reshape(n * d), out.reshape(n * d)
    half = width // 2
    table = np.empty((width, width))
    work = np.empty((derivative + 1, width))
    if uniform:
        h = (t[n - 1] - t[0]) / (n - 1)
        nodes = np.arange(width) * h
        for position in range(width):
            difference_weights(position * h, nodes, derivative, work)
            for k in range(width):
                table[position, k] = work[derivative, k]
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        inner, outer = max(start, half), min(stop, n - width + half + 1)
        if uniform:
            for e in range(inner * d, outer * d):
                flat_out[e] = 0.0
            for k in range(width):
                w, shift = table[half, k], (k - half) * d
                for e in range(inner * d, outer * d):
                    flat_out[e] += w * flat_x[e + shift]
        for i in range(start, stop):
            if uniform and inner <= i < outer:
                continue
            first = min(max(i - half, 0), n - width)
            position = i - first
            if not uniform:
                difference_weights(t[i], t[first : first + width], derivative, work)
                for k in range(width):
                    table[position, k] = work[derivative, k]
            for j in range(d):
                total = 0.0
                for k in range(width):
                    total += table[position, k] * x[first + k, j]
                out[i, j] = total


@njit(cache=True, error_model="numpy")
def difference_residuals(x, t, order, uniform, out):
    """Write differences of high order, scaled to the variance of white noise.

    Row `i` of ``out (n - order, d)`` is the `order`-th difference of rows
    ``i .. i + order`` with weights of unit norm: what is left of a smooth signal is its
    noise.
    """
    n, d = x.shape
    work = np.empty((order + 1, order + 1))
    for i in range(n - order):
        if i == 0 or not uniform:
            difference_weights(t[i], t[i : i + order + 1], order, work)
        norm = 0.0
        for k in range(order + 1):
            norm += work[order, k] ** 2
        norm = np.sqrt(norm)
        for j in range(d):
            total = 0.0
            for k in range(order + 1):
                total += work[order, k] * x[i + k, j]
            out[i, j] = total / norm


@njit(cache=True, error_model="numpy")
def crossing_lag(x, t, variance, noise):
    """Return the first lag, in time, at which the mean squared increment is `variance`.

    The increments of white noise of variance `noise` are taken off. Lags grow by about a
    tenth; between two of them the root-mean-square increment is taken as linear.
    """
    n = x.shape[0]
    before, before_time = 0.0, 0.0
    lag = 1
    while lag < n:
        total = 0.0
        for i in range(n - lag):
            total += (x[i + lag] - x[i]) ** 2
        growth = max(total / (n - lag) - 2.0 * noise, 0.0)
        reach = np.sqrt(growth / variance)
        time = 0.0
        for i in range(n - lag):
            time += t[i + lag] - t[i]
        time /= n - lag
        if reach >= 1.0:
            return before_time + (1.0 - before) / (reach - before) * (time - before_time)
        before, before_time = reach, time
        lag += max(1, lag // 10)
    return t[n - 1] - t[0]


@njit(cache=True, error_model="numpy")
def steps_within(t, step, tolerance):
    """Say whether every step of `t` is `step`, within a tolerance."""
    for i in range(t.shape[0] - 1):
        if not abs(t[i + 1] - t[i] - step) <= tolerance:
            return False
    return True


@njit(cache=True, error_model="numpy")
def derivative_rows(t, order, out):
    """Write the weights of the derivative on ``order + 1`` consecutive points, row by row."""
    work = np.empty((order + 1, order + 1))
    for i in range(out.shape[0]):
        difference_weights(t[i], t[i : i + order + 1], order, work)
        for k in range(order + 1):
            out[i, k] = work[order, k]
