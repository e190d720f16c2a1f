"""Regressors: scikit-learn estimators that fit from data or from statistics."""

from __future__ import annotations

import warnings
from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from discover.exceptions import DataWarning, NotIdentifiableError
from discover.regression.normal import NormalEquations
from discover.statistics import (
    WORST_GRAM_CONDITION,
    MonomialRows,
    RowSource,
    SufficientStatistics,
    accumulate,
    orthogonalize,
)
from discover.typing import BoolArray, FloatArray, IntArray

__all__ = [
    "ArrayRows",
    "Candidate",
    "Estimate",
    "Rival",
    "SparseRegressor",
    "identify",
    "with_all_digits",
]

_POLISH_TILE = 4096
_MOST_PASSES = 4
_FEW_ROWS = 4  # rows per column up to which a QR factorisation costs nothing


@dataclass(frozen=True)
class Candidate:
    """One model on a selection path.

    Parameters
    ----------
    target : int or None
        None where all targets share a path.
    terms : tuple of int
        Its terms; pairs (target, term) on a shared path.
    threshold : float
        The contribution of the term removed next.
    variance : float
        Mean squared residual over the mean square of the target.
    criterion : float
        Smaller is better.
    """

    target: int | None
    terms: tuple[Any, ...]
    threshold: float
    variance: float
    criterion: float


@dataclass(frozen=True, eq=False)
class Rival:
    """A model that explains a target nearly as well as the chosen one.

    Parameters
    ----------
    target : int
    terms : tuple of int
    coefficients : ndarray of shape (n_active,)
        Of its terms, by least squares.
    standard_errors : ndarray of shape (n_active,)
    behind : float
        How many nats it is behind the chosen model: a factor of ``exp(behind)`` in odds.
    variance : float
        Mean squared residual over the mean square of the target.
    """

    target: int
    terms: tuple[int, ...]
    coefficients: FloatArray
    standard_errors: FloatArray
    behind: float
    variance: float


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a regression found.

    Parameters
    ----------
    coefficients : ndarray of shape (n_targets, n_terms)
    support : ndarray of bool, shape (n_targets, n_terms)
    covariance : ndarray of shape (n_active, n_active)
        Of the active coefficients, in the order of ``np.argwhere(support)``.
    noise_variance : ndarray of shape (n_targets,)
        Variance of the rows around the model.
    n_effective : float
        Number of independent rows the uncertainty is based on.
    condition_number : float
        Of all candidate columns, at unit norm.
    path : tuple of Candidate
        The models that were compared.
    n_iter : int
        Most rounds any target took.
    log_evidence : ndarray of shape (n_targets,), optional
        Of the targets in their units, in nats, at the best prior widths and noise.
    inclusion : ndarray of shape (n_targets, n_terms), optional
        Probability that a term belongs to the law, from all models that were compared.
    rivals : tuple of Rival
        Models nearly as good as the chosen ones, best first for every target.
    correlation : ndarray of shape (n_targets,), optional
        Lag-one correlation of the errors that the rows were whitened for.
    shrinkage : ndarray of shape (n_targets, n_terms), optional
        Prior precision of the coefficients relative to what the rows tell of each, a pure
        number; None where there is no prior.
    """

    coefficients: FloatArray
    support: BoolArray
    covariance: FloatArray
    noise_variance: FloatArray
    n_effective: float
    condition_number: float
    path: tuple[Candidate, ...] = ()
    n_iter: int = 1
    log_evidence: FloatArray | None = None
    inclusion: FloatArray | None = None
    rivals: tuple[Rival, ...] = ()
    correlation: FloatArray | None = None
    shrinkage: FloatArray | None = None


class ArrayRows:
    """Rows of a regression held in arrays; a RowSource.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_terms)
    Y : ndarray of shape (n_rows, n_targets)
    weights : ndarray of shape (n_rows,), optional
    """

    def __init__(self, X: FloatArray, Y: FloatArray, weights: FloatArray | None = None) -> None:
        self.X, self.Y = X, Y
        self.weights = weights
        self.root = None if weights is None else np.sqrt(weights)
        self.n_rows, self.n_terms = X.shape
        self.n_targets = Y.shape[1]
        self.edges: IntArray = np.array([0, len(X)])
        self.monomials: MonomialRows | None = None

    def write(self, start: int, stop: int, scale: FloatArray, out: FloatArray) -> None:
        """Write scaled rows ``start .. stop`` into ``out[:, : stop - start]``."""
        p, n = self.n_terms, stop - start
        np.multiply(self.X[start:stop].T, scale[:p, None], out=out[:p, :n])
        np.multiply(self.Y[start:stop].T, scale[p:, None], out=out[p:, :n])
        if self.root is not None:
            out[:, :n] *= self.root[start:stop]

    def subset(self, terms: IntArray) -> ArrayRows:
        """Return the rows with some of the terms."""
        return ArrayRows(self.X[:, terms], self.Y, self.weights)

    def statistics(
        self, n_blocks: int | None = None, *, lags: bool = False
    ) -> SufficientStatistics:
        """Return the statistics of all rows."""
        stats = accumulate(self, n_blocks=n_blocks, lags=lags)
        if self.weights is None:
            return stats
        edges = np.linspace(0, self.n_rows, stats.n_blocks + 1).astype(np.int64)[:-1]
        return replace(stats, counts=np.add.reduceat(self.weights, edges))


class WhitenedRows:
    """Rows whitened for errors correlated from one to the next; a RowSource.

    Parameters
    ----------
    source : RowSource
        Rows in order of time.
    rho : float
        Lag-one correlation of their errors.

    Notes
    -----
    Every row less `rho` times the one before; the first one of a run times
    ``sqrt(1 - rho^2)`` (Prais and Winsten 1954).
    """

    def __init__(self, source: Any, rho: float) -> None:
        self.source, self.rho = source, rho
        self.n_rows, self.n_terms = source.n_rows, source.n_terms
        self.n_targets, self.edges = source.n_targets, source.edges
        self.monomials: MonomialRows | None = None

    def write(self, start: int, stop: int, scale: FloatArray, out: FloatArray) -> None:
        """Write scaled rows ``start .. stop`` into ``out[:, : stop - start]``."""
        before = start > 0
        rows = np.empty((len(out), stop - start + before))
        self.source.write(start - before, stop, scale, rows)
        out[:, : stop - start] = rows[:, before:]
        out[:, 1 - before : stop - start] -= self.rho * rows[:, :-1]
        first = self.edges[(self.edges >= start) & (self.edges < stop)] - start
        out[:, first] = np.sqrt(1 - self.rho**2) * rows[:, first + before]

    def subset(self, terms: IntArray) -> WhitenedRows:
        """Return the rows with some of the terms."""
        return WhitenedRows(self.source.subset(terms), self.rho)


class SparseRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator, metaclass=ABCMeta):
    """Base class of the sparse regressors.

    A subclass supplies :meth:`fit_statistics` and :meth:`normal_equations`.

    Attributes
    ----------
    coef_ : ndarray of shape (n_targets, n_terms)
    covariance_ : ndarray of shape (n_active, n_active)
        Of the active coefficients, in the order of ``np.argwhere(support_)``.
    support_ : ndarray of bool, shape (n_targets, n_terms)
    noise_variance_ : ndarray of shape (n_targets,)
    estimate_ : Estimate
    n_features_in_ : int
    """

    #: How many blocks of rows the regressor weighs; None for as many as statistics keep.
    n_blocks: ClassVar[int | None] = None
    #: Whether its coefficients are least squares on the support, to be polished with the rows.
    polishes: ClassVar[bool] = True
    #: Whether it needs the products of consecutive rows, which are then in order of time.
    needs_lags: ClassVar[bool] = False

    @abstractmethod
    def fit_statistics(
        self,
        stats: SufficientStatistics,
        *,
        term_names: Sequence[str] | None = None,
        target_names: Sequence[str] | None = None,
        allowed: BoolArray | None = None,
    ) -> Estimate:
        """Regress from statistics.

        Parameters
        ----------
        stats : SufficientStatistics
        term_names, target_names : sequence of str, optional
        allowed : ndarray of bool, shape (n_targets, n_terms), optional
            Terms each target may use.

        Returns
        -------
        Estimate
        """

    @abstractmethod
    def normal_equations(
        self,
        stats: SufficientStatistics,
        term_names: Sequence[str] | None = None,
        target_names: Sequence[str] | None = None,
    ) -> NormalEquations:
        """Return the equations a support is solved with, constraints included."""

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit from arrays; rows are taken as exchangeable.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_terms)
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
        sample_weight : array-like of shape (n_samples,), optional
            How many times each row counts.

        Returns
        -------
        self
        """
        source = self._checked_rows(X, y, sample_weight, reset=True)
        self.__dict__.pop("statistics_", None)
        names = getattr(self, "feature_names_in_", None)
        terms = None if names is None else [str(name) for name in names]
        stats = source.statistics(self.n_blocks, lags=self.needs_lags)
        self._learn(identify(source, stats, self, term_names=terms, strict=False))
        return self

    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Add rows to those seen by earlier calls, and fit to all of them.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`, which starts anew.

        Returns
        -------
        self

        Notes
        -----
        What is kept, ``statistics_``, does not grow with the rows. Regression works on the R
        factor of all rows, so no digit is lost although none of them is looked at again.
        """
        begun = hasattr(self, "statistics_")
        source = self._checked_rows(X, y, sample_weight, reset=not begun)
        stats = orthogonalize(source, source.statistics(self.n_blocks, lags=self.needs_lags))
        self.statistics_: SufficientStatistics = self.statistics_ + stats if begun else stats
        names = getattr(self, "feature_names_in_", None)
        terms = None if names is None else [str(name) for name in names]
        self._learn(self.fit_statistics(self.statistics_, term_names=terms))
        return self

    def _checked_rows(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, reset: bool
    ) -> ArrayRows:
        checked: tuple[FloatArray, FloatArray] = validate_data(
            self,
            X,
            y,
            dtype=np.float64,
            multi_output=True,
            y_numeric=True,
            ensure_min_samples=1 if self.n_blocks == 1 else 2,
            reset=reset,
        )
        rows, goal = checked
        self._flat = goal.ndim == 1
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(
                sample_weight, rows, dtype=np.float64, ensure_non_negative=True
            )
            used = weights > 0
            rows, goal, weights = rows[used], goal[used], weights[used]
        goal = np.asarray(goal, dtype=np.float64).reshape(len(rows), -1)
        if self.needs_lags and weights is not None and np.ptp(weights) > 0:
            raise ValueError(
                f"{type(self).__name__}: sample_weight must be equal for all rows where their "
                "errors are correlated in time; pass correlation=None."
            )
        return ArrayRows(rows, goal, weights)

    def _learn(self, estimate: Estimate) -> None:
        self.estimate_ = estimate
        self.coef_ = estimate.coefficients
        self.intercept_ = 0.0
        self.covariance_ = estimate.covariance
        self.support_ = estimate.support
        self.noise_variance_ = estimate.noise_variance
        self.n_iter_ = estimate.n_iter

    def predict(self, X: ArrayLike) -> Any:
        """Return ``X @ coef_.T``; one-dimensional if `y` was."""
        check_is_fitted(self, "coef_")
        rows: FloatArray = validate_data(self, X, dtype=np.float64, reset=False)
        values = np.asarray(rows @ self.coef_.T)
        return values[:, 0] if self._flat else values


def identify(
    source: Any,
    stats: SufficientStatistics,
    regressor: SparseRegressor,
    *,
    term_names: Sequence[str] | None = None,
    target_names: Sequence[str] | None = None,
    allowed: BoolArray | None = None,
    strict: bool = True,
) -> Estimate:
    """Regress, with no digit lost to the Gram matrix.

    Parameters
    ----------
    source : RowSource with a method ``subset(terms)``, or PartedRows
        The rows, for a second look.
    stats : SufficientStatistics
        Of these rows.
    regressor : SparseRegressor
    term_names, target_names, allowed
        See :meth:`SparseRegressor.fit_statistics`.
    strict : bool, default=True
        Whether chosen terms that cannot be told apart are an error or a warning.

    Returns
    -------
    Estimate

    Raises
    ------
    NotIdentifiableError
        If chosen terms are collinear on these rows.

    Notes
    -----
    Where the candidate columns have a condition number above 1e6, selection works on the
    R factor of the rows instead of their Gram matrix. The chosen support is then polished
    with the data at hand: residuals are formed row by row and the normal equations solved
    for the correction (iterative refinement; Bjorck, Linear Algebra Appl. 88 (1987)
    31-48), until it no longer matters.
    """
    stats = with_all_digits(source, stats)
    names = {"term_names": term_names, "target_names": target_names}
    estimate = regressor.fit_statistics(stats, allowed=allowed, **names)
    if not estimate.support.any():
        return estimate
    equations = regressor.normal_equations(stats, **names)
    try:
        equations.check_identifiable(estimate.support, term_names)
    except NotIdentifiableError as error:
        if strict:
            raise
        warnings.warn(f"{type(regressor).__name__}: {error}", DataWarning, stacklevel=3)
        return estimate
    if not regressor.polishes:
        return estimate
    if estimate.correlation is None or not estimate.correlation.any():
        return _polished(source, estimate, equations)
    if hasattr(source, "reduce"):
        return estimate  # what follows whitens rows in order, which are not all at hand
    return _polished_whitened(source, estimate, equations)


def with_all_digits(source: Any, stats: SufficientStatistics) -> SufficientStatistics:
    """Add the R factor of the rows where the Gram matrix has lost digits that matter."""
    if stats.factor is not None:
        return stats
    ill = stats.condition_number > WORST_GRAM_CONDITION
    if hasattr(source, "orthogonalized"):
        parted: SufficientStatistics = source.orthogonalized(stats) if ill else stats
        return parted
    few = source.n_rows <= _FEW_ROWS * (source.n_terms + source.n_targets)  # may interpolate
    if few or ill:
        return orthogonalize(source, stats)
    return stats


def _polished_whitened(source: Any, estimate: Estimate, equations: NormalEquations) -> Estimate:
    """Correct every target on the rows whitened for its errors."""
    assert estimate.correlation is not None
    stats, coefficients = equations.stats, estimate.coefficients.copy()
    for rho in np.unique(estimate.correlation):
        white = equations if rho == 0 else NormalEquations(stats.whitened(float(rho)))
        rows = source if rho == 0 else WhitenedRows(source, float(rho))
        here = estimate.correlation == rho
        coefficients[here] = _polished(rows, estimate, white).coefficients[here]
    return replace(estimate, coefficients=coefficients)


def _polished(source: Any, estimate: Estimate, equations: NormalEquations) -> Estimate:
    """Correct the coefficients until the correction is below rounding."""
    stats, support = equations.stats, estimate.support
    used = np.flatnonzero(support.any(axis=0))
    rows = source.subset(used)
    p, q = stats.n_terms, stats.n_targets
    scale = np.ldexp(1.0, -np.concatenate([stats.exponents[used], stats.exponents[p:]]))
    unit = estimate.coefficients / equations.to_units
    rss = np.zeros(q)
    previous = np.inf
    for _ in range(_MOST_PASSES):
        scaled = unit[:, used] / equations.lengths[used]
        moments, rss = _residuals(rows, scaled, scale)
        full = np.zeros((q, p))
        full[:, used] = moments / equations.lengths[used]
        if estimate.shrinkage is not None:
            full -= estimate.shrinkage * unit
        correction = equations.solve_all(
            support, b=full, homogeneous=True, shrinkage=estimate.shrinkage
        )
        change = np.abs(correction).max() / max(np.abs(unit).max(), np.finfo(float).tiny)
        if not change < 0.5 * previous:
            break  # rounding level: another correction would only shuffle the last digit
        unit = unit + correction
        previous = change
        if change < 1e-9:
            break  # the next one would be below change squared
    old = estimate.noise_variance
    noise = rss * stats.scale[p:] ** 2 / _degrees_of_freedom(stats, support)
    if stats.floor is not None:
        noise = np.maximum(noise, stats.floor**2)  # what the rows cannot tell is uncertainty
    ratio = np.sqrt(noise / np.where(old > 0, old, 1.0))[np.nonzero(support)[0]]
    coefficients = np.where(support, unit * equations.to_units, 0.0)
    return replace(
        estimate,
        coefficients=_with_fixed(coefficients, estimate, equations),
        noise_variance=noise,
        covariance=estimate.covariance * np.outer(ratio, ratio),
    )


def _with_fixed(
    coefficients: FloatArray, estimate: Estimate, equations: NormalEquations
) -> FloatArray:
    """Restore coefficients that a constraint of one term pins, bit for bit."""
    if equations.constraints is None:
        return coefficients
    single = (equations.constraints.C != 0).sum(axis=1) == 1
    pinned = (equations.constraints.C[single] != 0).any(axis=0).reshape(coefficients.shape)
    return np.where(pinned, estimate.coefficients, coefficients)


def _degrees_of_freedom(stats: SufficientStatistics, support: BoolArray) -> FloatArray:
    """Return rows minus terms, counted in rows, from effective rows minus terms."""
    n, effective = stats.n_samples, stats.effective_samples
    return np.asarray(n * np.maximum(1.0 - support.sum(axis=1) / effective, 1.0 / effective))


def _residuals(
    source: Any, coefficients: FloatArray, scale: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the residual moments of all rows, wherever they are."""
    if not hasattr(source, "reduce"):
        return _residual_moments(source, coefficients, scale)
    both = source.reduce(partial(_part_residuals, coefficients=coefficients, scale=scale))
    return both[:, :-1], both[:, -1]


def _part_residuals(part: RowSource, coefficients: FloatArray, scale: FloatArray) -> FloatArray:
    moments, rss = _residual_moments(part, coefficients, scale)
    return np.concatenate([moments, rss[:, None]], axis=1)


def _residual_moments(
    source: RowSource, coefficients: FloatArray, scale: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return ``(Y - Theta xi)'Theta`` and the residual sums of squares, all scaled."""
    q, p = coefficients.shape
    moments, rss = np.zeros((q, p)), np.zeros(q)
    work = np.empty((p + q, min(_POLISH_TILE, max(source.n_rows, 1))))
    for start in range(0, source.n_rows, work.shape[1]):
        stop = min(start + work.shape[1], source.n_rows)
        source.write(start, stop, scale, work)
        theta, y = work[:p, : stop - start], work[p:, : stop - start]
        residual = y - coefficients @ theta
        moments += residual @ theta.T
        rss += np.einsum("qn,qn->q", residual, residual)
    return moments, rss
