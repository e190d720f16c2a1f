"""Diagnostics: whether an ensemble is as far from the truth as it says."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from discover.typing import FloatArray, IntArray

__all__ = ["crps", "rank_histogram", "rank_of", "rmse", "spread"]


def rmse(mean: ArrayLike, truth: ArrayLike) -> FloatArray:
    """Return the root mean square error over the last axis."""
    error = np.asarray(mean, dtype=np.float64) - np.asarray(truth, dtype=np.float64)
    return np.asarray(np.sqrt(np.mean(error * error, axis=-1)))


def spread(E: ArrayLike) -> float:
    """Return the root mean square of the members' standard deviations.

    Parameters
    ----------
    E : array-like of shape (n_members, n_states)
    """
    return float(np.sqrt(np.asarray(E, dtype=np.float64).var(axis=0, ddof=1).mean()))


def crps(E: ArrayLike, truth: ArrayLike) -> FloatArray:
    """Return the continuous ranked probability score of an ensemble, by component.

    Parameters
    ----------
    E : array-like of shape (n_members, n_states)
    truth : array-like of shape (n_states,)

    Returns
    -------
    ndarray of shape (n_states,)
        In the units of the state; 0 is perfect, and a single member gives its absolute
        error.

    Notes
    -----
    The fair form ``mean |e - y| - sum |e - e'| / (2 N (N - 1))``, whose expectation does not
    depend on the number of members [1]_; by sorting, in O(N log N).

    References
    ----------
    .. [1] C. A. T. Ferro, Q. J. R. Meteorol. Soc. 140 (2014) 1917-1923.
    """
    E = np.sort(np.asarray(E, dtype=np.float64), axis=0)
    N = len(E)
    near = np.abs(E - np.asarray(truth, dtype=np.float64)).mean(axis=0)
    if N == 1:
        return np.asarray(near)
    weights = 2.0 * np.arange(N) - (N - 1.0)
    return np.asarray(near - (weights @ E) / (N * (N - 1.0)))


def rank_of(E: ArrayLike, truth: ArrayLike) -> IntArray:
    """Return how many members lie below the truth, by component: 0 to n_members."""
    return np.asarray((np.asarray(E) < np.asarray(truth)).sum(axis=0))


def rank_histogram(ranks: ArrayLike, n_members: int) -> IntArray:
    """Count ranks: flat if truth and members are drawn alike, U-shaped if overconfident.

    Parameters
    ----------
    ranks : array-like of int
        From :func:`rank_of`, of any shape.
    n_members : int

    Returns
    -------
    ndarray of int, shape (n_members + 1,)
    """
    return np.bincount(np.ravel(np.asarray(ranks, dtype=np.int64)), minlength=n_members + 1)
