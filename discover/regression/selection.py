"""Selection: which of several models the data at hand prefer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from discover.regression.normal import NormalEquations
from discover.statistics import SufficientStatistics
from discover.typing import BoolArray, FloatArray, IntArray

__all__ = [
    "CRITERIA",
    "EVIDENCE_CRITERIA",
    "PATH_CRITERIA",
    "Criterion",
    "EvidenceCriterion",
    "blocked_cv",
    "criterion_values",
    "find_knee",
    "penalties",
]

Criterion = Literal["ebic", "bic", "aicc"]
CRITERIA: tuple[Criterion, ...] = ("ebic", "bic", "aicc")
EvidenceCriterion = Literal["penalized_evidence", "evidence", "ebic", "bic", "aicc", "cv", "lcurve"]
EVIDENCE_CRITERIA: tuple[EvidenceCriterion, ...] = (
    "penalized_evidence", "evidence", "ebic", "bic", "aicc", "cv", "lcurve",
)  # fmt: skip
#: Those that compare the best models of each size only.
PATH_CRITERIA: tuple[EvidenceCriterion, ...] = ("cv", "lcurve")


def criterion_values(
    criterion: Criterion, variance: FloatArray, n_terms: IntArray, n: float, n_candidates: int
) -> FloatArray:
    """Score models; smaller is better.

    Parameters
    ----------
    criterion : {"ebic", "bic", "aicc"}
    variance : ndarray
        Mean squared residual of each model.
    n_terms : ndarray of int
        Number of terms of each model.
    n : float
        Effective number of rows.
    n_candidates : int
        Number of terms in the library.

    Returns
    -------
    ndarray
        Infinite for models with more terms than ``n - 2`` rows can carry.

    Notes
    -----
    With `v` the mean squared residual and `k` terms out of `p`:

    - ``bic``: ``n log v + k log n`` (Schwarz 1978);
    - ``ebic``: ``bic + 2 k log p`` (Chen and Chen, Biometrika 95 (2008) 759-771), which
      counts how many models of k terms there are to choose from;
    - ``aicc``: ``n log v + 2 k n / (n - k - 1)`` (Hurvich and Tsai 1989).
    """
    k = np.asarray(n_terms, dtype=np.int64)
    fit = n * np.log(np.maximum(variance, np.finfo(float).tiny))
    return fit + 2.0 * penalties(criterion, int(k.max(initial=0)), n, n_candidates)[k]


def penalties(criterion: EvidenceCriterion, most: int, n: float, n_candidates: int) -> FloatArray:
    """Return what 0, 1, ... `most` terms cost, in nats.

    Parameters
    ----------
    criterion : str
        See :func:`criterion_values`; ``"penalized_evidence"`` and what compares models of
        each size separately cost as much as ``"ebic"``, ``"evidence"`` nothing.
    most : int
    n : float
        Effective number of rows.
    n_candidates : int
        Number of terms in the library.

    Returns
    -------
    ndarray of shape (most + 1,)
        Infinite for models with more terms than ``n - 2`` rows can carry.
    """
    k = np.arange(most + 1.0)
    if criterion == "aicc":
        cost = k * n / np.maximum(n - k - 1.0, 1e-3)
    elif criterion == "evidence":
        cost = np.zeros(most + 1)
    else:
        cost = 0.5 * k * np.log(max(n, 2.0))
        if criterion != "bic":
            cost = cost + k * np.log(n_candidates)
    return np.where(k <= max(n - 2.0, 1.0), cost, np.inf)


def blocked_cv(
    stats: SufficientStatistics, target: int, supports: Sequence[BoolArray], n_folds: int = 5
) -> tuple[FloatArray, FloatArray]:
    """Cross-validate supports on contiguous stretches of rows, from block statistics.

    Parameters
    ----------
    stats : SufficientStatistics
        With at least two blocks.
    target : int
    supports : sequence of ndarray of bool, shape (n_terms,)
    n_folds : int, default=5

    Returns
    -------
    error : ndarray of shape (n_models,)
        Mean squared error on rows left out, over the mean square of the target.
    spread : ndarray of shape (n_models,)
        Standard error of this mean over the folds.

    Notes
    -----
    Supports were chosen on all rows: this compares them, it does not say how well the
    winner will do.
    """
    folds = np.array_split(np.arange(stats.n_blocks), min(n_folds, stats.n_blocks))
    if len(folds) < 2:
        raise ValueError(
            "blocked_cv: stats must hold at least 2 blocks of rows; got "
            f"{stats.n_blocks}. Accumulate with n_blocks=20."
        )
    p, errors = stats.n_terms, np.empty((len(folds), len(supports)))
    for f, fold in enumerate(folds):
        weights = np.ones(stats.n_blocks)
        weights[fold] = 0.0
        equations = NormalEquations(stats.reweighted(weights))
        held = stats.moments[fold].sum(axis=0)
        for i, support in enumerate(supports):
            unit = equations.solve(support, target)
            v = np.zeros(len(held))
            v[:p], v[p + target] = -unit / equations.lengths[:p], 1.0
            errors[f, i] = max(v @ held @ v, 0.0) / stats.counts[fold].sum()
    mean_square = stats.total[p + target, p + target] / stats.n_samples
    errors /= max(mean_square, np.finfo(float).tiny)
    return errors.mean(axis=0), errors.std(axis=0, ddof=1) / np.sqrt(len(folds))


def find_knee(n_terms: IntArray, variance: FloatArray) -> int:
    """Return the position of the knee of misfit against number of terms.

    Parameters
    ----------
    n_terms : ndarray of int, shape (n_models,)
    variance : ndarray of shape (n_models,)
        Mean squared residuals.

    Returns
    -------
    int
        The model closest to the corner of few terms and small logarithm of the variance,
        both stretched to the unit interval. For people to look at: it has no statistics
        in it.
    """
    size = np.asarray(n_terms, dtype=np.float64)
    misfit = np.log(np.maximum(variance, np.finfo(float).tiny))
    x = (size - size.min()) / max(np.ptp(size), 1.0)
    y = (misfit - misfit.min()) / max(float(np.ptp(misfit)), np.finfo(float).tiny)
    return int(np.argmin(x + y))
