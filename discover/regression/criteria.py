"""Criteria that choose a model on a path, from the data at hand alone."""

from __future__ import annotations

from typing import Literal

import numpy as np

from discover.typing import FloatArray, IntArray

__all__ = ["CRITERIA", "Criterion", "criterion_values"]

Criterion = Literal["ebic", "bic", "aicc"]
CRITERIA: tuple[Criterion, ...] = ("ebic", "bic", "aicc")


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
    k = np.asarray(n_terms, dtype=np.float64)
    fit = n * np.log(np.maximum(variance, np.finfo(float).tiny))
    if criterion == "aicc":
        score = fit + 2.0 * k * n / np.maximum(n - k - 1.0, 1e-3)
    else:
        score = fit + k * np.log(max(n, 2.0))
        if criterion == "ebic":
            score = score + 2.0 * k * np.log(n_candidates)
    return np.where(k <= max(n - 2.0, 1.0), score, np.inf)
