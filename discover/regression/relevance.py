"""RelevanceVectorRegressor: sparse Bayesian regression from statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import block_diag

from discover.kernels.relevance import relevance_path, sequential_relevance
from discover.regression.base import Candidate, Estimate, Rival, SparseRegressor
from discover.regression.identifiability import rival_of
from discover.regression.normal import NormalEquations
from discover.regression.selection import (
    EVIDENCE_CRITERIA,
    PATH_CRITERIA,
    EvidenceCriterion,
    blocked_cv,
    find_knee,
    penalties,
)
from discover.regression.window import Moments, Scored, evidence_of, occam_window
from discover.statistics import SufficientStatistics
from discover.typing import BoolArray, FloatArray

__all__ = ["RelevanceVectorRegressor"]

_THRESHOLDS = np.logspace(8, 0, 17)
_STARTS = (1.0, 1e-6)
_SIGNIFICANT = 3.0  # standard errors from which a correlation of the residuals counts
_MOST_ROUNDS = 10
_CV_BLOCKS = 20
_PATH_ROUNDS = 20  # at each threshold
_SINGULAR_LEAST = 1e-8  # share of the target that paths from dependent columns look down to
_LONGEST_PATH = 64  # candidates up to which inverting them all is cheaper than the search


class RelevanceVectorRegressor(SparseRegressor):
    """Sparse Bayesian learning: relevance vectors, chosen by penalised evidence.

    Parameters
    ----------
    criterion : str, default="penalized_evidence"
        What the chosen model has the best of:

        - ``"penalized_evidence"``: log evidence - k (log n / 2 + log p), for k terms out
          of p candidates and n effective rows;
        - ``"ebic"``, ``"bic"``, ``"aicc"``: see
          :func:`discover.regression.criterion_values`;
        - ``"cv"``: the smallest of the best models of each size whose error on
          blocks of rows left out is within one standard error of the least;
        - ``"lcurve"``: the knee of misfit against number of terms;
        - ``"evidence"``: type-II maximum likelihood alone, which keeps a third of all
          irrelevant terms.
    correlation : {None, "auto"} or float, default=None
        Lag-one correlation of the errors of consecutive rows: none, estimated from the
        residuals, or known. Other than None, rows must be in order of time.
    uncertainty : {"posterior", "sandwich"}, default="posterior"
        Where the covariance of the coefficients comes from: the posterior, or the scatter
        of the scores of blocks of rows, which asks nothing of the errors but that distant
        rows be independent.
    window : float, default=6.0
        Nats behind the best model up to which rivals are kept.

    Attributes
    ----------
    coef_ : ndarray of shape (n_targets, n_terms)
        Posterior means.
    covariance_ : ndarray of shape (n_active, n_active)
        Of the active coefficients, in the order of ``np.argwhere(support_)``.
    support_ : ndarray of bool, shape (n_targets, n_terms)
    noise_variance_ : ndarray of shape (n_targets,)
    log_evidence_ : ndarray of shape (n_targets,)
        Of the chosen models, in nats.
    correlation_ : ndarray of shape (n_targets,)
        Lag-one correlation of the errors that was used.
    estimate_ : Estimate
        All of this, with the best models of each size and the rivals.

    Notes
    -----
    Every coefficient has a Gaussian prior of its own width; widths and noise maximise the
    evidence [1]_. The search for the terms runs in natural units (columns and targets of
    mean square one), so units change nothing. It starts from Tipping and Faul's sequential
    steps [2]_, with and without the penalty, and from MacKay's fixed point on all
    terms while a threshold falls from 1e8 to 1, begun at precisions 1 and 1e-6 (up to 64
    candidates: its cost is cubic). From there
    the best model known is expanded again and again by adding, dropping and swapping terms
    until no model within Occam's window [3]_ is left, or the work is no longer worth it:
    the model found is the best of those visited, not proven to be the best of all.

    One Gram matrix serves all targets; the cost after it does not depend on the number of
    rows.

    References
    ----------
    .. [1] M. E. Tipping, J. Mach. Learn. Res. 1 (2001) 211-244; D. J. C. MacKay, Neural
       Comput. 4 (1992) 415-447.
    .. [2] M. E. Tipping and A. C. Faul, Proc. 9th Int. Workshop on Artificial
       Intelligence and Statistics (2003).
    .. [3] D. Madigan and A. E. Raftery, J. Am. Stat. Assoc. 89 (1994) 1535-1546.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 5))
    >>> y = 3 * X[:, 1] - 2 * X[:, 4] + np.random.default_rng(1).normal(size=200)
    >>> RelevanceVectorRegressor().fit(X, y).support_
    array([[False,  True, False, False,  True]])
    """

    def __init__(
        self,
        criterion: EvidenceCriterion = "penalized_evidence",
        *,
        correlation: float | Literal["auto"] | None = None,
        uncertainty: Literal["posterior", "sandwich"] = "posterior",
        window: float = 6.0,
    ) -> None:
        self.criterion = criterion
        self.correlation = correlation
        self.uncertainty = uncertainty
        self.window = window

    @property
    def n_blocks(self) -> int | None:  # type: ignore[override]
        """How many blocks of rows are weighed: one, unless they are compared."""
        if self.uncertainty == "sandwich":
            return None
        return _CV_BLOCKS if self.criterion == "cv" else 1

    @property
    def needs_lags(self) -> bool:  # type: ignore[override]
        """Whether the products of consecutive rows are needed."""
        return self.correlation is not None

    def _check_parameters(self) -> None:
        if self.criterion not in EVIDENCE_CRITERIA:
            raise ValueError(
                f"RelevanceVectorRegressor: criterion must be one of {EVIDENCE_CRITERIA}; "
                f"got {self.criterion!r}."
            )
        rho = self.correlation
        number = isinstance(rho, Real) and not isinstance(rho, bool)
        if not (rho is None or rho == "auto" or (number and -1 < float(rho) < 1)):
            raise ValueError(
                "RelevanceVectorRegressor: correlation must be None, 'auto' or between -1 and 1; "
                f"got {rho!r}."
            )
        if self.uncertainty not in ("posterior", "sandwich"):
            raise ValueError(
                "RelevanceVectorRegressor: uncertainty must be 'posterior' or 'sandwich'; "
                f"got {self.uncertainty!r}."
            )
        if not self.window >= 0:
            raise ValueError(
                f"RelevanceVectorRegressor: window must be at least 0; got {self.window!r}."
            )

    def normal_equations(
        self,
        stats: SufficientStatistics,
        term_names: Sequence[str] | None = None,
        target_names: Sequence[str] | None = None,
    ) -> NormalEquations:
        """Return the equations a support is solved with; see the base class."""
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
        self._check_parameters()
        equations = self.normal_equations(stats)
        open_to = np.tile(equations.usable, (stats.n_targets, 1))
        if allowed is not None:
            open_to &= allowed
        choose = self._choose if self.correlation is None else self._choose_correlated
        chosen = [choose(equations, j, row) for j, row in enumerate(open_to)]
        return _assembled(chosen, stats)

    # -- one target ----------------------------------------------------------------

    def _choose(
        self, equations: NormalEquations, target: int, usable: BoolArray, rho: float = 0.0
    ) -> _Choice:
        """Choose the terms of one target."""
        moments = Moments.of(equations, target, usable)
        by_evidence = self.criterion not in ("ebic", "bic", "aicc")
        penalty = penalties(self.criterion, moments.most, moments.n, max(int(usable.sum()), 1))
        models = occam_window(moments, penalty, _starts(moments, penalty), self.window, by_evidence)
        path = _best_of_each_size(models)
        best = models[0]
        if self.criterion in PATH_CRITERIA:
            best = path[self._pick(equations.stats, target, path, len(usable))]
        choice = _Choice.of(moments, equations, target, best, models, path, rho, self.window)
        if self.uncertainty == "sandwich":
            choice.covariance = equations.sandwich(choice.support, target, choice.shrinkage)
        return choice

    def _pick(
        self, stats: SufficientStatistics, target: int, path: Sequence[Scored], p: int
    ) -> int:
        """Pick from the best models of each size, smallest first."""
        if self.criterion == "lcurve":
            sizes = np.array([len(model.terms) for model in path])
            return find_knee(sizes, np.array([model.share for model in path]))
        supports = [model.mask(p) for model in path]
        error, spread = blocked_cv(stats, target, supports)
        least = int(np.argmin(error))
        return int(np.argmax(error <= error[least] + spread[least]))

    def _choose_correlated(
        self, equations: NormalEquations, target: int, usable: BoolArray
    ) -> _Choice:
        """Alternate between the correlation of the residuals and the terms."""
        stats = equations.stats
        if self.correlation != "auto":
            whitened = NormalEquations(stats.whitened(float(self.correlation or 0.0)))
            return self._choose(whitened, target, usable, float(self.correlation or 0.0))
        crowded = usable.sum() > stats.effective_samples / 4
        support = np.zeros_like(usable) if crowded else usable
        rho, known = _correlation(equations, target, support), False
        for _ in range(_MOST_ROUNDS):
            white = NormalEquations(stats.whitened(rho)) if rho else equations
            choice = self._choose(white, target, usable, rho)
            settled = known and bool((choice.support == support).all())
            support, known = choice.support, True
            again = _correlation(white, target, support, stats)
            if settled and abs(again - rho) < 1e-3:
                break
            rho = again
        return choice

    # -- use -----------------------------------------------------------------------

    def _learn(self, estimate: Estimate) -> None:
        super()._learn(estimate)
        self.log_evidence_ = estimate.log_evidence
        self.correlation_ = estimate.correlation

    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Predict targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_terms)
        return_std : bool, default=False
            Whether to return standard deviations too: of a new observation, from the
            noise and the uncertainty of the coefficients.

        Returns
        -------
        mean : ndarray of shape (n_samples, n_targets), or (n_samples,) if `y` was so
        std : ndarray of the same shape, if asked for
        """
        mean = super().predict(X)
        if not return_std:
            return mean
        rows = np.asarray(X, dtype=np.float64)
        targets, terms = np.nonzero(self.support_)
        variance = np.tile(self.noise_variance_, (len(rows), 1))
        for j in range(len(self.support_)):
            here = np.flatnonzero(targets == j)
            columns = rows[:, terms[here]]
            block = self.covariance_[np.ix_(here, here)]
            variance[:, j] += np.einsum("ij,jk,ik->i", columns, block, columns)
        std = np.sqrt(variance)
        return mean, (std[:, 0] if self._flat else std)


@dataclass(eq=False)
class _Choice:
    """What was chosen for one target, in units."""

    support: BoolArray
    coefficients: FloatArray
    covariance: FloatArray
    noise_variance: float
    log_evidence: float
    shrinkage: FloatArray
    inclusion: FloatArray
    rivals: tuple[Rival, ...]
    path: tuple[Candidate, ...]
    correlation: float

    @classmethod
    def of(
        cls,
        moments: Moments,
        equations: NormalEquations,
        target: int,
        best: Scored,
        models: Sequence[Scored],
        path: Sequence[Scored],
        rho: float,
        window: float,
    ) -> _Choice:
        stats, p = equations.stats, equations.stats.n_terms
        fit = evidence_of(moments, best.terms)
        mean_square = moments.energy / max(stats.n_samples, 1.0) * stats.scale[p + target] ** 2
        support, terms = best.mask(p), list(best.terms)
        size = equations.to_units[target, terms] * np.sqrt(moments.energy)
        coefficients, shrinkage = np.zeros(p), np.zeros(p)
        coefficients[terms] = fit.mean * size
        shrinkage[terms] = fit.alpha / (fit.beta * moments.n)
        weights = np.exp([best.score - model.score for model in models])
        weights /= max(weights.sum(), 1e-300)
        inclusion = np.zeros(p)
        for weight, model in zip(weights, models, strict=True):
            inclusion[list(model.terms)] += weight
        return cls(
            support=support,
            coefficients=coefficients,
            covariance=fit.sigma * np.outer(size, size),
            noise_variance=mean_square / fit.beta / (1.0 - rho**2),
            log_evidence=fit.log_evidence
            - (0.5 * moments.n * np.log(mean_square) if mean_square > 0 else 0.0),
            shrinkage=shrinkage,
            inclusion=inclusion,
            rivals=tuple(
                rival_of(moments, equations, target, model, best.score)
                for model in models
                if model.terms != best.terms and model.score <= best.score + window
            ),
            path=tuple(_candidate(moments, target, model) for model in path),
            correlation=rho,
        )


def _candidate(moments: Moments, target: int, model: Scored) -> Candidate:
    sizes = np.abs(moments.solve(model.terms)) if model.terms else np.array([np.inf])
    return Candidate(target, model.terms, float(sizes.min()), model.share, model.score)


def _assembled(chosen: Sequence[_Choice], stats: SufficientStatistics) -> Estimate:
    """Put the targets together."""
    return Estimate(
        coefficients=np.stack([choice.coefficients for choice in chosen]),
        support=np.stack([choice.support for choice in chosen]),
        covariance=block_diag(*[choice.covariance for choice in chosen if choice.support.any()])
        if any(choice.support.any() for choice in chosen)
        else np.zeros((0, 0)),
        noise_variance=np.array([choice.noise_variance for choice in chosen]),
        n_effective=stats.effective_samples,
        condition_number=stats.condition_number,
        path=tuple(model for choice in chosen for model in choice.path),
        n_iter=max(len(choice.path) for choice in chosen),
        log_evidence=np.array([choice.log_evidence for choice in chosen]),
        inclusion=np.stack([choice.inclusion for choice in chosen]),
        rivals=tuple(rival for choice in chosen for rival in choice.rivals),
        correlation=np.array([choice.correlation for choice in chosen]),
        shrinkage=np.stack([choice.shrinkage for choice in chosen]),
    )


# -- where the search begins -----------------------------------------------------------


def _starts(moments: Moments, penalty: FloatArray) -> BoolArray:
    """Return supports to begin with: none, sequential steps, and two threshold paths."""
    p, n, least = len(moments.c), moments.n, moments.least
    common = (np.ascontiguousarray(moments.C), moments.c, moments.usable, n, least)
    found = [np.zeros((1, p), dtype=np.bool_)]
    cost = float(penalty[1]) if np.isfinite(penalty[min(1, len(penalty) - 1)]) else 0.0
    for price in {0.0, cost} if p <= _LONGEST_PATH else {cost}:
        support = np.zeros(p, dtype=np.bool_)
        sequential_relevance(*common, price, 20 * p, np.ones(p), support)
        found.append(support[None])
    if p <= _LONGEST_PATH:
        rounds = np.full(len(_THRESHOLDS), _PATH_ROUNDS)
        # all terms together interpolate: below this, their order would be that of rounding
        smallest = max(least, _SINGULAR_LEAST) if moments.singular else least
        for start in _STARTS:
            supports = np.zeros((len(_THRESHOLDS), p), dtype=np.bool_)
            relevance_path(*common[:4], smallest, start, _THRESHOLDS, rounds, supports)
            found.append(supports)
    return np.unique(np.concatenate(found), axis=0)


def _best_of_each_size(models: Sequence[Scored]) -> list[Scored]:
    """Return the best model of each number of terms, smallest first."""
    best: dict[int, Scored] = {}
    for model in models:
        known = best.get(len(model.terms))
        if known is None or model.score < known.score:
            best[len(model.terms)] = model
    return [best[size] for size in sorted(best)]


def _correlation(
    equations: NormalEquations,
    target: int,
    support: BoolArray,
    stats: SufficientStatistics | None = None,
) -> float:
    """Estimate the lag-one correlation of the residuals, 0 where it does not stand out.

    The coefficients solve `equations`; residuals are formed on `stats`, which keep lags.
    """
    stats = equations.stats if stats is None else stats
    if stats.lagged is None or stats.ends is None:
        raise ValueError(
            "RelevanceVectorRegressor: correlation needs lag-one moments; accumulate with "
            "lags=True."
        )
    p = stats.n_terms
    v = np.zeros(p + stats.n_targets)
    v[:p] = -equations.solve(support, target) / equations.lengths[:p]
    v[p + target] = 1.0
    lagged = float(v @ stats.lagged.sum(axis=0) @ v)
    ends = float(v @ stats.ends.sum(axis=(0, 1)) @ v)
    square = float(v @ stats.total @ v) - 0.5 * ends
    if square <= 1e-15 * stats.total[p + target, p + target]:
        return 0.0  # nothing but rounding is left
    rho = float(np.clip(lagged / square, -0.999, 0.999))
    return rho if abs(rho) * np.sqrt(stats.n_samples) > _SIGNIFICANT else 0.0
