"""Occam's window: the models that explain a target nearly as well as the best one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from discover.kernels import occam
from discover.kernels import relevance as kernel
from discover.regression.normal import NormalEquations
from discover.typing import BoolArray, FloatArray, IntArray

__all__ = ["Fitted", "Moments", "Scored", "evidence_of", "occam_window"]

_MOST_TERMS = 64
_POOL = 512
_TABLE = 2**16
_EXPANSIONS = 200
_LARGE = 128  # candidates from which the search keeps close to the best model
_REACH = 30.0  # nats behind the best that the search crosses on its way to better models
_WORK = 1e8  # elementary steps spent on expanding models
_KEPT = 200
_REFINED = 40  # models whose evidence is maximised rather than approximated
_ROUNDS = 60
_PRIOR = 0.95  # share of a term's precision that its prior holds when the rows say nothing of it
_TOLERANCE = 1e-3  # of the logarithms of precisions: the evidence is at a maximum, so 1e-6 there


@dataclass(frozen=True, eq=False)
class Moments:
    """The moments of one target in natural units: every mean square is one.

    Parameters
    ----------
    C, c : ndarray of shape (n_terms, n_terms), (n_terms,)
    R, y : ndarray of shape (m, n_terms), (m,)
        Triangular factor and rotated target, with ``m = 0`` where the Gram matrix will do.
    usable : ndarray of bool, shape (n_terms,)
    n : float
        Effective number of rows.
    least : float
        Smallest share of the target that can be told from nothing.
    energy : float
        Scaled sum of squares of the target.
    most : int
        Terms a model may have: half as many as there are independent rows.
    singular : bool
        Whether some columns depend on others, to rounding.
    """

    C: FloatArray
    c: FloatArray
    R: FloatArray
    y: FloatArray
    usable: BoolArray
    n: float
    least: float
    energy: float
    most: int
    singular: bool

    @classmethod
    def of(cls, equations: NormalEquations, target: int, usable: BoolArray) -> Moments:
        """Take the moments of one target from normal equations."""
        stats, p = equations.stats, equations.stats.n_terms
        energy = float(equations.energy[target])
        size = np.sqrt(energy) if energy > 0 else 1.0
        exact = stats.factor is not None
        least = 1e-26 if exact else 1e-13  # what rounding makes of nothing
        if stats.floor is not None and energy > 0:
            floor = stats.floor[target] / stats.scale[p + target]
            least = max(least, float(floor**2 * stats.n_samples / energy))
        n = stats.effective_samples
        singular = stats.condition_number > 1e12
        independent = min(n, equations.rank) if singular else n
        triangle = equations.triangle if exact else np.zeros((0, p + stats.n_targets))
        return cls(
            C=equations.gram,
            c=np.ascontiguousarray(equations.moments[target] / size),
            R=np.ascontiguousarray(triangle[:, :p]),
            y=np.ascontiguousarray(triangle[:, p + target] / size),
            usable=usable & (energy > 0) & (least < 1.0),  # else nothing stands out of the floor
            n=n,
            least=min(least, 1.0),
            energy=energy,
            most=int(max(1, min(p, independent / 2, _MOST_TERMS))),
            singular=singular,
        )

    def reduced(self, terms: Sequence[int]) -> tuple[FloatArray, FloatArray, float]:
        """Return T, z and the rest: ``T'T = C``, ``T'z = c`` and what is left, on a support."""
        k, chosen = len(terms), np.array(terms, dtype=np.int64)
        T, z = np.zeros((k, k)), np.zeros(k)
        if len(self.R):
            q = len(self.R)
            work = np.zeros((k, q)), np.zeros(q)
            left = kernel.reduce_triangle(self.R, self.y, chosen, k, work[0], T, z, work[1])
        else:
            left = kernel.reduce_gram(self.C, self.c, chosen, k, T, z)
        return T, z, float(left)

    def solve(self, terms: Sequence[int]) -> FloatArray:
        """Return the least-squares coefficients on a support, in natural units."""
        T, z, _ = self.reduced(terms)
        return np.asarray(solve_triangular(T, z))


@dataclass(frozen=True)
class Scored:
    """A model of one target: its terms, score in nats (smaller is better), and misfit."""

    terms: tuple[int, ...]
    score: float
    share: float

    def mask(self, p: int) -> BoolArray:
        """Return the terms as a mask."""
        out = np.zeros(p, dtype=np.bool_)
        out[list(self.terms)] = True
        return out


@dataclass(frozen=True, eq=False)
class Fitted:
    """A model at the maximum of its evidence, in natural units.

    Parameters
    ----------
    log_evidence : float
    alpha, mean : ndarray of shape (k,)
    sigma : ndarray of shape (k, k)
    beta : float
    share : float
        Mean squared residual of least squares, as a share of that of the target.
    """

    log_evidence: float
    alpha: FloatArray
    beta: float
    mean: FloatArray
    sigma: FloatArray
    share: float


def evidence_of(moments: Moments, terms: Sequence[int]) -> Fitted:
    """Maximise the evidence of one model.

    Parameters
    ----------
    moments : Moments
    terms : sequence of int

    Returns
    -------
    Fitted
    """
    k = len(terms)
    T, z, rest = moments.reduced(terms)
    alpha, sigma, mean = np.zeros(k), np.zeros((k, k)), np.zeros(k)
    kernel.start_precisions(T, z, alpha)
    value, beta, _ = kernel.maximize_evidence(
        T, z, rest, moments.n, moments.least, alpha, sigma, mean, _ROUNDS, _TOLERANCE
    )
    return Fitted(float(value), alpha, float(beta), mean, sigma, rest)


def occam_window(
    moments: Moments,
    penalty: FloatArray,
    starts: BoolArray,
    window: float,
    by_evidence: bool,
) -> list[Scored]:
    """Search the models within a window of the best one.

    Parameters
    ----------
    moments : Moments
    penalty : ndarray of shape (most + 1,)
        Cost in nats of a number of terms.
    starts : ndarray of bool, shape (n_starts, n_terms)
    window : float
        Nats behind the best up to which models are wanted; the search looks further.
    by_evidence : bool
        Whether models are scored by their evidence, or by their likelihood.

    Returns
    -------
    list of Scored
        Best first; those far behind only have the score of Laplace's approximation.
    """
    reach = max(2 * window, _REACH if len(moments.c) <= _LARGE else 0.0)
    pool, sizes, scores, shares = _search(moments, penalty, starts, reach, by_evidence)
    order = np.argsort(scores, kind="stable")[:_KEPT]
    pool, sizes, scores, shares = pool[order], sizes[order], scores[order], shares[order]
    if by_evidence:
        fine = slice(0, _REFINED)
        evidence = np.empty(len(sizes[fine]))
        kernel.evidences(
            moments.R, moments.y, moments.C, moments.c, moments.n, moments.least, pool[fine],
            sizes[fine], _PRIOR, _ROUNDS, _TOLERANCE, evidence,
        )  # fmt: skip
        constant = 0.5 * moments.n * (1.0 + np.log(2.0 * np.pi))
        scores[fine] = penalty[sizes[fine]] - evidence - constant
    models = [
        Scored(tuple(sorted(terms[:k].tolist())), float(score), max(float(share), 0.0))
        for terms, k, score, share in zip(pool, sizes, scores, shares, strict=True)
        if np.isfinite(score)
    ]
    return sorted(models, key=lambda model: (model.score, len(model.terms), model.terms))


def _search(
    moments: Moments, penalty: FloatArray, starts: BoolArray, window: float, by_evidence: bool
) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    p = len(moments.c)
    keys = np.random.default_rng(0).integers(1, 2**62, size=p)  # hash keys: nothing depends on them
    typical = max(float(np.median(starts.sum(axis=1))), 3.0)
    step = p * typical * (moments.R.shape[0] + 20 if len(moments.R) else typical + 20)
    pool = np.zeros((_POOL, moments.most), dtype=np.int64)
    sizes, scores, shares = np.zeros(_POOL, dtype=np.int64), np.zeros(_POOL), np.zeros(_POOL)
    count, _ = occam.occam_window(
        moments.R, np.ascontiguousarray(moments.C), moments.c, moments.y, moments.usable, keys,
        moments.n, moments.least, penalty, by_evidence, starts, window,
        len(starts) + int(np.clip(_WORK / step, 10, _EXPANSIONS)), np.zeros(_TABLE, dtype=np.int64),
        pool, sizes, scores, shares,
    )  # fmt: skip
    return pool[:count], sizes[:count], scores[:count], shares[:count]
