"""Schemes without localisation: how the observations turn into weights on the members.

Letters: ``S`` whitened predicted anomalies over ``sqrt(N - 1)``, ``G = S S'``, ``d`` the
whitened innovation. In the space of the members the Kalman gain is
``(I + G)^-1 S``, whatever the number of states.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from discover.assimilation.updates import Departures, Update
from discover.kernels import ensembles as kernel
from discover.typing import FloatArray

__all__ = ["SCHEMES", "Scheme", "finite_size_factor"]

Scheme: TypeAlias = Callable[[Departures, "np.random.Generator | None"], Update]


def stochastic(seen: Departures, rng: np.random.Generator | None) -> Update:
    """Move every member to its own perturbed observations.

    The perturbations are drawn with mean zero exactly, so the mean is moved as by the
    Kalman filter of the ensemble's covariance.

    References
    ----------
    G. Burgers, P. J. van Leeuwen, G. Evensen, Mon. Weather Rev. 126 (1998) 1719-1724.
    """
    if rng is None:
        raise ValueError("analyze: scheme 'stochastic' draws perturbations; pass rng=.")
    S, N = seen.S, seen.n_members
    D = rng.standard_normal(S.shape)
    D -= D.mean(axis=0)
    D += seen.d
    D -= np.sqrt(N - 1) * S
    if S.shape[1] >= N:
        C = S @ S.T
        C.flat[:: N + 1] += 1.0
        W = cho_solve(cho_factor(C), S @ D.T, overwrite_b=True).T / np.sqrt(N - 1)
        W.flat[:: N + 1] += 1.0
        return Update(W)
    C = S.T @ S
    C.flat[:: len(C) + 1] += 1.0
    return Update(None, cho_solve(cho_factor(C), D.T).T / np.sqrt(N - 1), S.T)


def etkf(seen: Departures, rng: np.random.Generator | None) -> Update:
    """Shrink the anomalies by the symmetric square root ``(I + G)^-1/2``.

    References
    ----------
    C. H. Bishop, B. J. Etherton, S. J. Majumdar, Mon. Weather Rev. 129 (2001) 420-436;
    B. R. Hunt, E. J. Kostelich, I. Szunyogh, Physica D 230 (2007) 112-126.
    """
    return seen.spectrum.update(
        _mean_weights(seen),
        lambda g: 1.0 / np.sqrt(1.0 + g),
        lambda g: -1.0 / (np.sqrt(1.0 + g) * (1.0 + np.sqrt(1.0 + g))),
    )


def denkf(seen: Departures, rng: np.random.Generator | None) -> Update:
    """Shrink the anomalies by half the Kalman gain.

    The covariance is that of the Kalman filter to first order in the gain, and larger by
    ``K H P H' K' / 4``.

    References
    ----------
    P. Sakov, P. R. Oke, Tellus A 60 (2008) 361-371.
    """
    S, N = seen.S, seen.n_members
    Sd = (S @ seen.d) / np.sqrt(N - 1)
    if S.shape[1] >= N:
        C = S @ S.T
        C.flat[:: N + 1] += 1.0
        inverse = cho_solve(cho_factor(C), np.eye(N), overwrite_b=True)
        w = inverse @ Sd
        inverse *= 0.5
        inverse.flat[:: N + 1] += 0.5
        return Update(inverse + w)
    C = S.T @ S
    C.flat[:: len(C) + 1] += 1.0
    factor = cho_factor(C)
    w = S @ cho_solve(factor, seen.d) / np.sqrt(N - 1)
    return Update(None, -0.5 * S, cho_solve(factor, S.T), w)


def ensrf(seen: Departures, rng: np.random.Generator | None) -> Update:
    """Take the observations one after the other, each by a scalar square root.

    References
    ----------
    J. S. Whitaker, T. M. Hamill, Mon. Weather Rev. 130 (2002) 1913-1924.
    """
    N = seen.n_members
    anomalies, mean = np.eye(N), np.zeros(N)
    kernel.serial(np.array(seen.S.T, order="C"), seen.d.copy(), anomalies, mean)
    # rows of `anomalies` are what became of each member's weight: W = anomalies'
    return Update(anomalies.T + mean / np.sqrt(N - 1))


def enkfn(seen: Departures, rng: np.random.Generator | None) -> Update:
    """Let the observations say how far the covariance of a finite ensemble can be trusted.

    See :func:`finite_size_factor`; with its factor ``l`` the update is that of the ETKF
    for anomalies ``l`` times as large. Nothing is to be tuned.
    """
    s, N = seen.spectrum, seen.n_members
    V, g, Sd = s.vectors, s.values, seen.S @ seen.d
    length = finite_size_factor(g, s.project(Sd), N)
    scale = length**2
    root = np.sqrt(1.0 + scale * g)
    bent = ((Sd @ V) * (scale / root**2)) @ V.T
    if s.in_ensemble_space:
        return Update((V * (length / root)) @ V.T + bent / np.sqrt(N - 1))
    w = scale * (Sd - bent) / np.sqrt(N - 1)
    return Update(None, V * (-length * scale / (root * (1.0 + root))), V.T, w, length)


def _mean_weights(seen: Departures) -> FloatArray:
    return np.asarray(seen.spectrum.solve(seen.S @ seen.d) / np.sqrt(seen.n_members - 1))


def finite_size_factor(values: FloatArray, z: FloatArray, n_members: int) -> float:
    """Return the factor on the anomalies that a finite ensemble calls for.

    Parameters
    ----------
    values : ndarray of shape (k,)
        Eigenvalues ``g`` of ``G``.
    z : ndarray of shape (k,)
        Coordinates of ``S d`` on the eigenvectors of ``G``.
    n_members : int
        ``N``.

    Returns
    -------
    float
        The ``l`` that minimises the dual function
        ``D(l) = d' (I + l^2 S'S)^-1 d / (N - 1) + e / l^2 + c ln l^2``.

    Notes
    -----
    With Jeffreys' prior on mean and covariance, the forecast given the ensemble has weights
    ``w`` of density ``(e + w'w)^(-N/2)``, ``e = 1 + 1/N``, which the dual function turns into
    a search in one dimension: ``(N - 1)/l^2`` is the dual variable [1]_, [2]_.
    ``c = N / (N - 1)``. When the observations say nothing, ``l`` should be 1: `e` is divided
    and `c` multiplied by ``(e/c)^(h/2)``, where ``h``, the mean of ``1/(1 + g)`` over the
    members, is how much of the analysis is prior (equation 36 of [2]_).

    References
    ----------
    .. [1] M. Bocquet, Nonlin. Processes Geophys. 18 (2011) 735-750.
    .. [2] M. Bocquet, P. N. Raanes, A. Hannart, Nonlin. Processes Geophys. 22 (2015)
       645-662.
    """
    N = n_members
    e, c = (N + 1.0) / N, N / (N - 1.0)
    absent = N - len(values)
    prior_share = (np.sum(1.0 / (1.0 + values)) + absent) / N
    correction = (e / c) ** (0.5 * prior_share)
    e, c = e / correction, c * correction
    # d' (I + l^2 S'S)^-1 d = d'd - l^2 sum z^2 / (1 + l^2 g)
    return float(np.sqrt(kernel.minimize_dual(values, z * z / (N - 1.0), e, c)))


SCHEMES: dict[str, Scheme] = {
    "stochastic": stochastic,
    "etkf": etkf,
    "denkf": denkf,
    "ensrf": ensrf,
    "enkfn": enkfn,
}
