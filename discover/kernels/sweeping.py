"""Stepwise search on normal equations, by the sweep operator."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy", nogil=True)
def sweep(T, k, sign):
    """Sweep the symmetric tableau `T` on pivot `k`: into the model (+1), or out of it (-1)."""
    n = T.shape[0]
    d = T[k, k]
    for i in range(n):
        if i == k:
            continue
        ratio = T[i, k] / d
        if ratio == 0.0:
            continue
        for j in range(n):
            if j != k:
                T[i, j] -= ratio * T[k, j]
    for i in range(n):
        if i != k:
            T[i, k] *= sign / d
            T[k, i] = T[i, k]
    T[k, k] = -1.0 / d


@njit(cache=True, error_model="numpy", nogil=True)
def best_addition(T, inside, penalty, tolerance):
    """Return the term outside whose entry gains most, net of its penalty, and that gain."""
    m = T.shape[0] - 1
    best, most = -1, -np.inf
    for j in range(m):
        if not inside[j] and T[j, j] > tolerance:
            gain = T[j, m] * T[j, m] / T[j, j] - penalty[j]
            if gain > most:
                best, most = j, gain
    return best, most


@njit(cache=True, error_model="numpy", nogil=True)
def best_removal(T, inside, kept, penalty):
    """Return the term inside whose removal costs least, net of its penalty, and that cost."""
    m = T.shape[0] - 1
    best, least = -1, np.inf
    for j in range(m):
        if inside[j] and not kept[j]:
            loss = T[j, m] * T[j, m] / -T[j, j] - penalty[j]
            if loss < least:
                best, least = j, loss
    return best, least


@njit(cache=True, error_model="numpy", nogil=True)
def backward_path(T, inside, kept, penalty, removed, losses):
    """Remove the cheapest term again and again; write terms and net losses, return how many."""
    steps = 0
    while steps < removed.shape[0]:
        j, loss = best_removal(T, inside, kept, penalty)
        if j < 0:
            return steps
        sweep(T, j, -1.0)
        inside[j] = False
        removed[steps], losses[steps] = j, loss
        steps += 1
    return steps


@njit(cache=True, error_model="numpy", nogil=True)
def improve(T, inside, kept, penalty, tolerance, most_moves):
    """Add, remove and swap terms while the misfit plus the penalties falls.

    `T` is the tableau swept on `inside`; both are changed. Returns the number of moves.
    """
    m = T.shape[0] - 1
    moves = 0
    trial = np.empty_like(T)
    while moves < most_moves:
        add, gain = best_addition(T, inside, penalty, tolerance)
        drop, loss = best_removal(T, inside, kept, penalty)
        if add >= 0 and gain > 0.0 and gain >= -loss:
            sweep(T, add, 1.0)
            inside[add] = True
            moves += 1
            continue
        if drop >= 0 and loss < 0.0:
            sweep(T, drop, -1.0)
            inside[drop] = False
            moves += 1
            continue
        out, into, most = -1, -1, 1e-6
        for j in range(m):
            if not inside[j] or kept[j]:
                continue
            loss = T[j, m] * T[j, m] / -T[j, j] - penalty[j]
            trial[:] = T
            sweep(trial, j, -1.0)
            inside[j] = False
            add, gain = best_addition(trial, inside, penalty, tolerance)
            inside[j] = True
            if add >= 0 and add != j and gain - loss > most:
                out, into, most = j, add, gain - loss
        if out < 0:
            return moves
        sweep(T, out, -1.0)
        sweep(T, into, 1.0)
        inside[out], inside[into] = False, True
        moves += 1
    return moves
