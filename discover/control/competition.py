"""Competition: which family of terms explains the rows that its fit has not seen."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from discover.exceptions import DataWarning
from discover.regression import STLSQ
from discover.typing import FloatArray

__all__ = ["fit_sparse", "most_predictive"]

_FOLDS = 5
_EXACT = 1e-6  # relative error from which on families explain equally well
_BETTER = 0.9  # of the squared error of an earlier family, that a later one has to undercut


def fit_sparse(theta: FloatArray, targets: FloatArray, threshold: float) -> FloatArray:
    """Fit coefficients by STLSQ, without warnings: shape (n_targets, n_terms)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        found = STLSQ(threshold, ridge=1e-9).fit(theta, targets)
    return np.atleast_2d(found.coef_)


def most_predictive(designs: Sequence[FloatArray], targets: FloatArray, threshold: float) -> int:
    """Return which family predicts held-out stretches of time best; the simplest comes first.

    Parameters
    ----------
    designs : sequence of ndarray of shape (n_samples, n_terms)
        Terms of the families, rows in the order of time.
    targets : ndarray of shape (n_samples, n_targets)
    threshold : float
        Of STLSQ.

    Returns
    -------
    int
    """
    if len(designs) == 1 or len(targets) < 2 * _FOLDS:
        return 0
    size = targets.std(axis=0)
    scaled = targets / np.where(size > 0, size, 1.0)
    best, least = 0, np.inf
    for k, theta in enumerate(designs):
        error = max(_held_out(theta, scaled, threshold), _EXACT**2)
        if error < _BETTER * least:
            best, least = k, error
    return best


def _held_out(theta: FloatArray, targets: FloatArray, threshold: float) -> float:
    fold = np.arange(len(targets)) * _FOLDS // len(targets)
    errors = []
    for k in range(_FOLDS):
        rest, out = fold != k, fold == k
        fitted = fit_sparse(theta[rest], targets[rest], threshold)
        errors.append(targets[out] - theta[out] @ fitted.T)
    return float(np.mean(np.concatenate(errors) ** 2))
