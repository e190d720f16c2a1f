"""Regressors of other packages behind our contract: they get the R factor as their data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import clone

from discover.regression.base import Estimate, SparseRegressor, _degrees_of_freedom
from discover.regression.normal import NormalEquations
from discover.statistics import SufficientStatistics
from discover.typing import BoolArray, FloatArray

__all__ = ["ForeignRegressor", "as_regressor"]

# these divide the sum of squares by the number of rows, and the R factor has fewer rows
_MEAN_LOSS = {"ElasticNet", "Lasso", "LassoLars", "MultiTaskElasticNet", "MultiTaskLasso"}
_NEEDS_ROWS = {
    "ARDRegression": "RelevanceVectorRegressor()",
    "BayesianRidge": "RelevanceVectorRegressor()",
    "EnsembleOptimizer": "EnsembleRegressor(ForeignRegressor(its_optimizer))",
    "SBR": "RelevanceVectorRegressor()",
}


class ForeignRegressor(SparseRegressor):
    """A linear regressor of pysindy or scikit-learn, fitted to the R factor of the rows.

    Parameters
    ----------
    optimizer : object
        With ``fit(X, y)`` and ``coef_``: pysindy's STLSQ, SR3, SSR, FROLS, ConstrainedSR3,
        StableLinearSR3, TrappingSR3, MIOSR; scikit-learn's Lasso, OMP and the like, without
        an intercept. ``SINDy(regressor=optimizer)`` wraps it by itself.

    Attributes
    ----------
    optimizer_ : object
        The fitted copy.

    Notes
    -----
    With ``[Theta Y] = Q R``, ``|Y - Theta xi|`` and ``|R_Y - R_Theta xi|`` are the same for
    every `xi`: whatever depends on sums of squares alone finds the same coefficients on the
    m rows of R as on all rows. Losses that are means over rows (Lasso) are rescaled. What
    looks at single rows (bootstraps, cross-validation, trimming) or counts them is refused.

    The covariance is that of least squares on the chosen terms.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Lasso
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> found = ForeignRegressor(Lasso(0.1, fit_intercept=False)).fit(X, 2 * X[:, 1])
    >>> found.support_
    array([[False,  True, False]])
    """

    n_blocks = 1
    polishes = False

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer

    def _check_optimizer(self) -> Any:
        optimizer, name = self.optimizer, type(self.optimizer).__name__
        if isinstance(optimizer, type) or not callable(getattr(optimizer, "fit", None)):
            raise TypeError(
                "ForeignRegressor: optimizer must be an object with fit(X, y) and coef_; "
                f"got {optimizer!r}."
            )
        if name in _NEEDS_ROWS or name.endswith(("CV", "IC")):
            instead = _NEEDS_ROWS.get(name, "STLSQ() or RelevanceVectorRegressor()")
            raise ValueError(
                f"ForeignRegressor: {name} looks at single rows, which statistics do not keep; "
                f"use {instead}."
            )
        if getattr(optimizer, "trimming_fraction", 0.0):
            raise ValueError(
                "ForeignRegressor: trimming_fraction must be 0: statistics keep no single rows; "
                f"got {optimizer.trimming_fraction!r}."
            )
        if getattr(optimizer, "fit_intercept", False):
            raise ValueError(
                "ForeignRegressor: fit_intercept must be False; the library has the constant."
            )
        return clone(optimizer)

    def normal_equations(
        self,
        stats: SufficientStatistics,
        term_names: Sequence[str] | None = None,
        target_names: Sequence[str] | None = None,
    ) -> NormalEquations:
        """Return the equations behind the covariance; the optimizer's constraints are its own."""
        return NormalEquations(stats)

    def fit_statistics(
        self,
        stats: SufficientStatistics,
        *,
        term_names: Sequence[str] | None = None,
        target_names: Sequence[str] | None = None,
        allowed: BoolArray | None = None,
    ) -> Estimate:
        """Regress from statistics; see the base class."""
        self.optimizer_ = self._check_optimizer()
        equations = self.normal_equations(stats)
        p = stats.n_terms
        usable = np.tile(equations.usable, (stats.n_targets, 1))
        mask = usable if allowed is None else usable & allowed
        rows = stats.triangle * stats.scale
        if type(self.optimizer_).__name__ in _MEAN_LOSS:
            rows = rows * np.sqrt(len(rows) / stats.n_samples)
        coefficients = self._coefficients(rows[:, :p], rows[:, p:], mask)
        support = coefficients != 0
        unit = coefficients / equations.to_units
        rss = np.array([equations.rss(row, j, unit[j]) for j, row in enumerate(support)])
        noise = rss / _degrees_of_freedom(stats, support)
        if stats.floor is not None:
            noise = np.maximum(noise, (stats.floor / stats.scale[p:]) ** 2)
        inflation = stats.n_samples / stats.effective_samples
        return Estimate(
            coefficients=coefficients,
            support=support,
            covariance=equations.covariance(support, noise * inflation),
            noise_variance=noise * stats.scale[p:] ** 2,
            n_effective=stats.effective_samples,
            condition_number=stats.condition_number,
        )

    def _coefficients(self, X: FloatArray, Y: FloatArray, mask: BoolArray) -> FloatArray:
        """Fit all targets at once; one by one only where they may use different terms."""
        if mask.all():
            return np.array(_fitted(self.optimizer_, X, Y), dtype=np.float64)
        out = np.zeros(mask.shape)
        alike = bool((mask == mask[0]).all())
        groups = [np.arange(len(mask))] if alike else [np.array([j]) for j in range(len(mask))]
        for group in groups:
            terms = np.flatnonzero(mask[group[0]])
            if len(terms):
                out[np.ix_(group, terms)] = _fitted(self.optimizer_, X[:, terms], Y[:, group])
        return out


def _fitted(optimizer: Any, X: FloatArray, Y: FloatArray) -> FloatArray:
    """Return coefficients (n_targets, n_terms); a single target goes in as a vector."""
    single = Y.shape[1] == 1
    optimizer.fit(X, Y[:, 0] if single else Y)
    return np.asarray(optimizer.coef_, dtype=np.float64).reshape(Y.shape[1], X.shape[1])


def as_regressor(regressor: Any, owner: str = "SINDy") -> SparseRegressor:
    """Return a SparseRegressor; those of pysindy and scikit-learn are wrapped.

    Raises
    ------
    TypeError
        If `regressor` is none of these.
    """
    if isinstance(regressor, SparseRegressor):
        return regressor
    if isinstance(regressor, type) or not callable(getattr(regressor, "predict", None)):
        raise TypeError(
            f"{owner}: regressor must be one of discover's, such as STLSQ(), or a linear "
            f"regressor of pysindy or scikit-learn; got {regressor!r}."
        )
    return ForeignRegressor(regressor)
