"""Ensembles meet observations: local analyses, serial analyses, one-dimensional searches.

Anomalies of the predicted observations come whitened, over ``sqrt(n_members - 1)`` and
observation by observation, ``St (n_obs, n_members)``; `d` is the whitened innovation.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# sums may be taken in another order: dot products over members run four times as fast
FAST = {"reassoc", "contract"}


@njit(cache=True, error_model="numpy", fastmath=FAST)
def serial(St, d, Xt, mean):
    """Assimilate observations one by one; overwrites everything.

    Parameters
    ----------
    St : ndarray of shape (n_obs, n_members)
    d : ndarray of shape (n_obs,)
    Xt : ndarray of shape (n_states, n_members)
        Anomalies of the states.
    mean : ndarray of shape (n_states,)
        The mean's increment in units of ``Xt / sqrt(n_members - 1)`` is added.
    """
    p, N = St.shape
    y = np.empty(N)
    for j in range(p):
        power = 0.0
        for m in range(N):
            y[m] = St[j, m]
            power += y[m] * y[m]
        total = 1.0 + power
        half = 1.0 / (total + np.sqrt(total))  # the scalar square root of the gain
        innovation = d[j] / total
        for i in range(Xt.shape[0]):
            c = 0.0
            for m in range(N):
                c += Xt[i, m] * y[m]
            mean[i] += c * innovation
            for m in range(N):
                Xt[i, m] -= half * c * y[m]
        for i in range(j + 1, p):
            c = 0.0
            for m in range(N):
                c += St[i, m] * y[m]
            d[i] -= c * innovation
            for m in range(N):
                St[i, m] -= half * c * y[m]


@njit(cache=True, error_model="numpy", fastmath=FAST)
def serial_local(St, d, Xt, mean, near, states, taper, near_obs, others, taper_obs):
    """Assimilate observations one by one, each within its reach.

    ``near (n_obs + 1)`` delimits, in `states` and `taper`, the states an observation
    reaches and by how much; `near_obs`, `others` and `taper_obs` say the same of the
    other observations.
    """
    p, N = St.shape
    y = np.empty(N)
    for j in range(p):
        power = 0.0
        for m in range(N):
            y[m] = St[j, m]
            power += y[m] * y[m]
        total = 1.0 + power
        half = 1.0 / (total + np.sqrt(total))
        innovation = d[j] / total
        for e in range(near[j], near[j + 1]):
            i = states[e]
            c = 0.0
            for m in range(N):
                c += Xt[i, m] * y[m]
            c *= taper[e]
            mean[i] += c * innovation
            for m in range(N):
                Xt[i, m] -= half * c * y[m]
        for e in range(near_obs[j], near_obs[j + 1]):
            i = others[e]
            if i <= j:
                continue
            c = 0.0
            for m in range(N):
                c += St[i, m] * y[m]
            c *= taper_obs[e]
            d[i] -= c * innovation
            for m in range(N):
                St[i, m] -= half * c * y[m]


@njit(cache=True, error_model="numpy")
def dual_slope(t, values, zz, e, c):
    """Return the derivative of the finite-size dual function in ``t = l^2``, times `t`."""
    total = c - e / t
    for k in range(values.shape[0]):
        q = 1.0 + t * values[k]
        total -= t * zz[k] / (q * q)
    return total


@njit(cache=True, error_model="numpy")
def dual_value(t, values, zz, e, c):
    """Return the finite-size dual function of ``t = l^2``, up to a constant."""
    total = e / t + c * np.log(t)
    for k in range(values.shape[0]):
        total -= t * zz[k] / (1.0 + t * values[k])
    return total


@njit(cache=True, error_model="numpy")
def minimize_dual(values, zz, e, c):
    """Minimise the finite-size dual function over ``t = l^2``: scan, then bisect the slope.

    The slope is negative below ``t = e / c``, so the minimum is above. It may have several
    local minima; the scan looks at 16 octaves in steps of a quarter.
    """
    low = e / c
    best, least = low, dual_value(low, values, zz, e, c)
    for k in range(1, 65):
        t = low * 2.0 ** (0.25 * k)
        value = dual_value(t, values, zz, e, c)
        if value < least:
            best, least = t, value
    a, b = max(low, best * 2.0**-0.25), best * 2.0**0.25
    for _ in range(60):
        middle = 0.5 * (a + b)
        if dual_slope(middle, values, zz, e, c) < 0.0:
            a = middle
        else:
            b = middle
        if b - a <= 1e-15 * b:
            break
    return 0.5 * (a + b)


@njit(cache=True, error_model="numpy", nogil=True, fastmath=FAST)
def letkf(St, d, Xt, mean, groups, states, near, observations, root_taper, X_out, mean_out):
    """Analyse every group of states with the observations near it.

    Parameters
    ----------
    St : ndarray of shape (n_obs, n_members)
    d : ndarray of shape (n_obs,)
    Xt : ndarray of shape (n_states, n_members)
        Anomalies.
    mean : ndarray of shape (n_states,)
    groups : ndarray of int, shape (n_groups + 1,)
        Delimits the states of each group in `states`.
    states : ndarray of int, shape (n_states,)
    near : ndarray of int, shape (n_groups + 1,)
        Delimits the observations of each group in `observations`.
    observations : ndarray of int, shape (n_pairs,)
    root_taper : ndarray of shape (n_pairs,)
        Square roots of the weights in (0, 1] on their inverse error variances.
    X_out : ndarray of shape (n_states, n_members)
    mean_out : ndarray of shape (n_states,)

    Notes
    -----
    The symmetric square root, found by an eigen-decomposition in the smaller of the
    spaces of members and local observations.
    """
    N = Xt.shape[1]
    scale = np.sqrt(N - 1.0)
    most = 0
    for k in range(near.shape[0] - 1):
        most = max(most, near[k + 1] - near[k])
    local, innovation = np.empty((most, N)), np.empty(most)
    Sd, w, shrunk = np.empty(N), np.empty(N), np.empty(N)
    for k in range(groups.shape[0] - 1):
        m = near[k + 1] - near[k]
        if m == 0:
            for e in range(groups[k], groups[k + 1]):
                i = states[e]
                mean_out[i] = mean[i]
                for q in range(N):
                    X_out[i, q] = Xt[i, q]
            continue
        for q in range(N):
            Sd[q] = 0.0
        for j in range(m):
            o, r = observations[near[k] + j], root_taper[near[k] + j]
            innovation[j] = r * d[o]
            for q in range(N):
                s = r * St[o, q]
                local[j, q] = s
                Sd[q] += s * innovation[j]
        L = local[:m]
        in_members = m >= N
        if in_members:
            values, V = np.linalg.eigh(np.dot(L.T, L))
            V = V.T.copy()  # rows are eigenvectors
        else:
            values, U = np.linalg.eigh(np.dot(L, L.T))
            V = np.dot(U.T, L)  # rows: eigenvectors times roots of the eigenvalues
        K = values.shape[0]
        for q in range(N):
            w[q] = 0.0 if in_members else Sd[q]
        for a in range(K):
            g = max(values[a], 0.0)
            c = 0.0
            for q in range(N):
                c += V[a, q] * Sd[q]
            c /= 1.0 + g
            if not in_members:
                c = -c
            for q in range(N):
                w[q] += c * V[a, q]
        for e in range(groups[k], groups[k + 1]):
            i = states[e]
            total = 0.0
            for q in range(N):
                total += w[q] * Xt[i, q]
                shrunk[q] = 0.0 if in_members else Xt[i, q]
            mean_out[i] = mean[i] + total / scale
            for a in range(K):
                root = np.sqrt(1.0 + max(values[a], 0.0))
                c = 0.0
                for q in range(N):
                    c += V[a, q] * Xt[i, q]
                c *= 1.0 / root if in_members else -1.0 / (root * (1.0 + root))
                for q in range(N):
                    shrunk[q] += c * V[a, q]
            for q in range(N):
                X_out[i, q] = shrunk[q]


@njit(cache=True, error_model="numpy", fastmath=FAST)
def rotate(draws, Q):
    """Turn normal draws into a rotation that keeps the vector of ones.

    Parameters
    ----------
    draws : ndarray of shape (n_members - 1, n_members - 1)
        Standard normal; its upper triangle is used, and overwritten.
    Q : ndarray of shape (n_members, n_members)
        The identity; overwritten.
    """
    N = Q.shape[0]
    M = N - 1
    for k in range(M):  # a uniform rotation of all axes but the first, by reflections
        v = draws[k, k:]
        size = 0.0
        for j in range(v.shape[0]):
            size += v[j] * v[j]
        size = np.sqrt(size)
        sign = 1.0 if v[0] >= 0.0 else -1.0
        scale = size * (size + abs(v[0]))  # half the squared length of the normal vector
        v[0] += sign * size
        for i in range(1, N):
            row = Q[i, k + 1 :]
            if scale > 0.0:
                c = 0.0
                for j in range(v.shape[0]):
                    c += row[j] * v[j]
                c /= scale
                for j in range(v.shape[0]):
                    row[j] -= c * v[j]
            row[0] *= -sign
    # a reflection takes the first axis to the ones: H Q H, with H = I - v v' / b
    root = 1.0 / np.sqrt(N)
    b = 1.0 - root
    for i in range(N):
        c = Q[i, 0] * b
        for j in range(1, N):
            c -= Q[i, j] * root
        c /= b
        Q[i, 0] -= c * b
        for j in range(1, N):
            Q[i, j] += c * root
    for j in range(N):
        c = Q[0, j] * b
        for i in range(1, N):
            c -= Q[i, j] * root
        c /= b
        Q[0, j] -= c * b
        for i in range(1, N):
            Q[i, j] += c * root
