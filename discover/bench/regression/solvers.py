"""Who is asked for the terms: ours, scikit-learn's, and the algorithms of other packages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from discover.bench.peers import quietly
from discover.bench.regression.cells import Draw
from discover.kernels.relevance import relevance_path, sequential_relevance
from discover.regression import RelevanceVectorRegressor
from discover.regression.base import ArrayRows
from discover.regression.normal import NormalEquations
from discover.regression.window import Moments
from discover.typing import BoolArray

__all__ = ["OURS", "PEERS", "fit_ard"]


def _ours(problem: Draw) -> BoolArray:
    found: BoolArray = RelevanceVectorRegressor().fit(problem.X, problem.y).support_[0]
    return found


def fit_ard(X: Any, y: Any, threshold: float = 1e4) -> BoolArray:
    """Return the terms that scikit-learn's ARDRegression keeps."""
    from sklearn.linear_model import ARDRegression

    with quietly():
        model = ARDRegression(threshold_lambda=threshold, fit_intercept=False).fit(X, y)
    return np.asarray(model.coef_ != 0.0)


def _ard(threshold: float, standardize: bool = True) -> Callable[[Draw], BoolArray]:
    return lambda problem: fit_ard(
        problem.X, problem.y / (problem.y.std() if standardize else 1.0), threshold
    )


def _moments(problem: Draw) -> Moments:
    equations = NormalEquations(ArrayRows(problem.X, problem.y[:, None]).statistics(1))
    return Moments.of(equations, 0, equations.usable)


def _mackay(problem: Draw) -> BoolArray:
    """Follow MacKay's fixed point from precisions of 1e-6, deleting above 1e2."""
    m = _moments(problem)
    supports = np.zeros((1, len(m.c)), dtype=np.bool_)
    relevance_path(
        np.ascontiguousarray(m.C), m.c, m.usable, m.n, m.least, 1e-6, np.array([1e2]),
        np.array([300]), supports,
    )  # fmt: skip
    return np.asarray(supports[0])


def _sequential(problem: Draw) -> BoolArray:
    """Follow Tipping and Faul's sequential steps by bare evidence."""
    m = _moments(problem)
    support = np.zeros(len(m.c), dtype=np.bool_)
    sequential_relevance(
        np.ascontiguousarray(m.C), m.c, m.usable, m.n, m.least, 0.0, 300, np.ones(len(m.c)), support
    )
    return support


OURS = ("RelevanceVectorRegressor", _ours)
PEERS: dict[str, Callable[[Draw], BoolArray]] = {
    "ARDRegression, defaults": _ard(1e4, standardize=False),
    "ARDRegression, 1e4": _ard(1e4),
    "ARDRegression, 1e3": _ard(1e3),
    "ARDRegression, 1e2": _ard(1e2),
    "MacKay 1e2": _mackay,
    "Tipping and Faul": _sequential,
}
