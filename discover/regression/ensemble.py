"""Ensembles: many regressions on re-weighted blocks of rows, and what they agree on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from joblib import Parallel, delayed
from scipy.linalg.lapack import dpotrf, dpotri
from sklearn.base import clone

from discover.exceptions import DataWarning
from discover.kernels.members import select_members, solve_members
from discover.regression.base import Estimate, SparseRegressor, _degrees_of_freedom
from discover.regression.normal import NormalEquations
from discover.regression.selection import CRITERIA, criterion_values
from discover.regression.stlsq import STLSQ, _Names
from discover.statistics import SufficientStatistics
from discover.typing import BoolArray, FloatArray

__all__ = ["EnsembleEstimate", "EnsembleRegressor"]

_CHUNK_BYTES = 4 * 2**20  # of moments of members held at once: they stay in the cache
_WORST_CONDITION = 1e7  # its square leaves a Gram matrix two digits
_FEWEST_BLOCKS = 10  # below it the scatter of the members tells nothing of uncertainty


@dataclass(frozen=True, eq=False)
class EnsembleEstimate(Estimate):
    """What an ensemble found: an :class:`Estimate` with its members.

    Parameters
    ----------
    members : ndarray of shape (n_members, n_targets, n_terms)
        Coefficients of every member.
    inclusion : ndarray of shape (n_targets, n_terms)
        Share of the members that use a term, among those that were offered it.
    """

    members: FloatArray | None = None
    inclusion: FloatArray | None = None


@dataclass(frozen=True)
class _Draw:
    """How the members differ: weights of the blocks, and terms on offer."""

    weights: FloatArray  # (n_members, n_blocks)
    offered: BoolArray  # (n_members, n_targets, n_terms)


class EnsembleRegressor(SparseRegressor):
    """Bagging of rows by blocks of time, of terms, or of both (E-SINDy).

    Parameters
    ----------
    regressor : SparseRegressor, optional
        What every member uses; by default :class:`STLSQ`.
    n_members : int, default=100
    by : {"rows", "terms", "both"}, default="rows"
        What is drawn anew for every member: blocks of rows, with replacement; the terms on
        offer, some of which are left out; or both.
    aggregate : {"median", "mean", "stability"}, default="median"
        The coefficients are the median or mean over the members, refitted on the terms that
        were chosen. ``"stability"``: members see complementary halves of the blocks, and the
        coefficients are least squares on all rows.
    inclusion : float, default=0.6
        Share of the members that must use a term.
    dropped : float or int, default=0.2
        Share or number of the terms that are not offered to a member, when `by` is "terms"
        or "both".
    random_state : int, Generator or None
    n_jobs : int, optional
        Workers, as in joblib. The result does not depend on it.

    Attributes
    ----------
    coef_, support_, noise_variance_ : as for :class:`SparseRegressor`
    covariance_ : ndarray of shape (n_active, n_active)
        Scatter of the members when rows were drawn from at least ten blocks: it holds for
        errors that are correlated over less than a block. Otherwise of least squares.
    inclusion_probabilities_ : ndarray of shape (n_targets, n_terms)
        Share of the members that use a term, among those that were offered it.
    member_coef_ : ndarray of shape (n_members, n_targets, n_terms)
    false_terms_bound_ : ndarray of shape (n_targets,)
        Only for "stability": bound on the expected number of wrong terms.

    Notes
    -----
    Fasel, Kutz, Brunton and Brunton, Proc. R. Soc. A 478 (2022) 20210904. Blocks of rows
    follow Kuensch, Ann. Statist. 17 (1989) 1217-1241; there are at most as many as
    independent rows. Stability selection is that of Meinshausen and Buehlmann, J. R. Stat.
    Soc. B 72 (2010) 417-473, with complementary pairs (Shah and Samworth, ibid. 75 (2013)
    55-80): with `s` terms chosen on average out of `p`, the expected number of wrong terms
    is at most ``s^2 / ((2 inclusion - 1) p)``.

    A member is a weighted sum of block moments: its cost does not depend on the number of
    rows. Members work on Gram matrices, and are good to about ``16 - 2 log10(condition)``
    digits.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 5))
    >>> y = 3 * X[:, 1] - 2 * X[:, 4] + rng.normal(size=200)
    >>> found = EnsembleRegressor(random_state=0).fit(X, y)
    >>> found.support_
    array([[False,  True, False, False,  True]])
    >>> found.member_coef_.shape
    (100, 1, 5)
    """

    def __init__(
        self,
        regressor: SparseRegressor | None = None,
        n_members: int = 100,
        *,
        by: Literal["rows", "terms", "both"] = "rows",
        aggregate: Literal["median", "mean", "stability"] = "median",
        inclusion: float = 0.6,
        dropped: float = 0.2,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.regressor = regressor
        self.n_members = n_members
        self.by = by
        self.aggregate = aggregate
        self.inclusion = inclusion
        self.dropped = dropped
        self.random_state = random_state
        self.n_jobs = n_jobs

    @property
    def polishes(self) -> bool:  # type: ignore[override]
        """Whether the coefficients are least squares on all rows."""
        return self.aggregate == "stability"

    def _check_parameters(self) -> SparseRegressor:
        regressor = STLSQ() if self.regressor is None else self.regressor
        if not isinstance(regressor, SparseRegressor) or isinstance(regressor, EnsembleRegressor):
            raise TypeError(
                "EnsembleRegressor: regressor must be a SparseRegressor such as STLSQ(); "
                f"got {regressor!r}."
            )
        if not isinstance(self.n_members, Integral) or self.n_members < 1:
            raise ValueError(
                f"EnsembleRegressor: n_members must be at least 1; got {self.n_members!r}."
            )
        for name, known in (("by", ("rows", "terms", "both")),
                            ("aggregate", ("median", "mean", "stability"))):  # fmt: skip
            if getattr(self, name) not in known:
                raise ValueError(
                    f"EnsembleRegressor: {name} must be one of {list(known)}; "
                    f"got {getattr(self, name)!r}."
                )
        low = 0.5 if self.aggregate == "stability" else 0.0
        if not (isinstance(self.inclusion, Real) and low < self.inclusion <= 1):
            raise ValueError(
                f"EnsembleRegressor: inclusion must be above {low:g} and at most 1; "
                f"got {self.inclusion!r}."
            )
        copy: SparseRegressor = clone(regressor)
        return copy

    def normal_equations(
        self,
        stats: SufficientStatistics,
        term_names: Sequence[str] | None = None,
        target_names: Sequence[str] | None = None,
    ) -> NormalEquations:
        """Return the equations of the members' regressor."""
        return self._check_parameters().normal_equations(stats, term_names, target_names)

    def fit_statistics(
        self,
        stats: SufficientStatistics,
        *,
        term_names: Sequence[str] | None = None,
        target_names: Sequence[str] | None = None,
        allowed: BoolArray | None = None,
    ) -> EnsembleEstimate:
        """Regress from statistics; see the base class."""
        regressor = self._check_parameters()
        names = {"term_names": term_names, "target_names": target_names}
        even = stats.n_samples / stats.counts.max()  # those of a stream may be of two lengths
        blocks = stats.merged(max(2, int(min(stats.effective_samples, round(even)))))
        if stats.condition_number > _WORST_CONDITION:
            warnings.warn(
                "EnsembleRegressor: the terms are nearly collinear (condition number "
                f"{stats.condition_number:.0e}), beyond what members can tell apart; use a smaller "
                "library.",
                DataWarning,
                stacklevel=2,
            )
        open_terms = _open_terms(blocks, regressor, allowed, **names)
        rng = np.random.default_rng(self.random_state)
        draw = self._draw(blocks, open_terms, rng)
        members = _fit_members(regressor, blocks, draw, names, self.n_jobs, rng)
        offered = draw.offered.sum(axis=0)
        inclusion = (members != 0).sum(axis=0) / np.maximum(offered, 1)
        support = (inclusion >= self.inclusion) & (offered > 0)
        equations = regressor.normal_equations(stats, **names)
        if equations.constraints is not None:
            support |= _pinned(equations)
        return self._aggregated(equations, blocks, draw, support, members, inclusion)

    # -- what is drawn ---------------------------------------------------------------

    def _draw(
        self, stats: SufficientStatistics, open_terms: BoolArray, rng: np.random.Generator
    ) -> _Draw:
        n_members, B = int(self.n_members), stats.n_blocks
        weights = np.ones((n_members, B))
        if self.by != "terms" and self.aggregate == "stability":
            weights = _complementary_halves(n_members, B, rng)
        elif self.by != "terms":
            weights = rng.multinomial(B, np.full(B, 1 / B), size=n_members).astype(np.float64)
        offered = np.broadcast_to(open_terms, (n_members, *open_terms.shape)).copy()
        if self.by != "rows":
            p = open_terms.shape[1]
            order = rng.permuted(np.tile(np.arange(p), (n_members, 1)), axis=1)
            offered &= ~(order < self._n_dropped(p))[:, None, :]
        return _Draw(weights, offered)

    def _n_dropped(self, n_terms: int) -> int:
        share = isinstance(self.dropped, Real) and not isinstance(self.dropped, Integral)
        count = max(1, round(self.dropped * n_terms)) if share else int(self.dropped)
        if not 1 <= count < max(n_terms, 2):
            raise ValueError(
                f"EnsembleRegressor: dropped must leave out from 1 to {n_terms - 1} of "
                f"{n_terms} terms; got {self.dropped!r}."
            )
        return count if n_terms > 1 else 0

    # -- what the members agree on ---------------------------------------------------

    def _aggregated(
        self,
        equations: NormalEquations,
        blocks: SufficientStatistics,
        draw: _Draw,
        support: BoolArray,
        members: FloatArray,
        inclusion: FloatArray,
    ) -> EnsembleEstimate:
        stats = equations.stats
        unit = equations.solve_all(support)
        rss = np.array([equations.rss(support[j], j, unit[j]) for j in range(len(unit))])
        freedom = _degrees_of_freedom(stats, support)
        inflation = stats.n_samples / stats.effective_samples
        coefficients = np.where(support, unit * equations.to_units, 0.0)
        covariance = equations.covariance(support, rss / freedom * inflation)
        if self.by != "terms" and equations.constraints is None:
            refits = _refit(blocks, draw.weights, support)
            if self.aggregate != "stability":
                average = np.median if self.aggregate == "median" else np.mean
                coefficients = np.where(support, average(refits, axis=0), 0.0)
            if stats.n_blocks >= _FEWEST_BLOCKS and len(refits) > 1:
                covariance = np.atleast_2d(np.cov(refits[:, support], rowvar=False))
                covariance = covariance.reshape(2 * (int(support.sum()),))
                if self.aggregate == "stability":
                    covariance = 0.5 * covariance  # halves scatter like half the rows
        return EnsembleEstimate(
            coefficients=coefficients,
            support=support,
            covariance=covariance,
            noise_variance=rss / freedom * stats.scale[stats.n_terms :] ** 2,
            n_effective=stats.effective_samples,
            condition_number=stats.condition_number,
            members=members,
            inclusion=inclusion,
        )

    def _learn(self, estimate: Estimate) -> None:
        super()._learn(estimate)
        assert isinstance(estimate, EnsembleEstimate)
        assert estimate.members is not None
        assert estimate.inclusion is not None
        self.member_coef_ = estimate.members
        self.inclusion_probabilities_ = estimate.inclusion
        if self.aggregate == "stability":
            chosen = (estimate.members != 0).sum(axis=2).mean(axis=0)
            terms = estimate.members.shape[2]
            self.false_terms_bound_ = chosen**2 / ((2 * self.inclusion - 1) * terms)


def _complementary_halves(n_members: int, B: int, rng: np.random.Generator) -> FloatArray:
    """Return weights of 0 and 1; members 2 i and 2 i + 1 share no block."""
    half = np.arange(B) < B // 2
    first = rng.permuted(np.tile(half, ((n_members + 1) // 2, 1)), axis=1)
    pairs = np.stack([first, ~first], axis=1).reshape(-1, B)
    return np.asarray(pairs[:n_members], dtype=np.float64)


def _open_terms(
    stats: SufficientStatistics, regressor: SparseRegressor, allowed: BoolArray | None, **names: Any
) -> BoolArray:
    p = stats.n_terms
    mask = np.tile(np.diag(stats.total)[:p] > 0, (stats.n_targets, 1))
    if isinstance(regressor, STLSQ):
        mask &= ~_Names(stats, names["term_names"], names["target_names"]).mask(regressor.forbidden)
    return mask if allowed is None else mask & allowed


def _pinned(equations: NormalEquations) -> BoolArray:
    """Return the terms that constraints with a value other than 0 need."""
    assert equations.constraints is not None
    C, d = equations.constraints.C, equations.constraints.d
    shape = (equations.stats.n_targets, equations.stats.n_terms)
    return np.asarray((C[d != 0] != 0).any(axis=0).reshape(shape))


# -- members ---------------------------------------------------------------------------


def _fit_members(
    regressor: SparseRegressor,
    stats: SufficientStatistics,
    draw: _Draw,
    names: dict[str, Any],
    n_jobs: int | None,
    rng: np.random.Generator,
) -> FloatArray:
    """Return the coefficients of all members, in units; (n_members, n_targets, n_terms)."""
    n_members = len(draw.weights)
    if _is_plain(regressor):
        assert isinstance(regressor, STLSQ)
        regressor._check_parameters()
        size = max(1, _CHUNK_BYTES // stats.moments[0].nbytes)
        cuts = [slice(i, i + size) for i in range(0, n_members, size)]
        blocks = _Blocks(stats)
        parts = Parallel(n_jobs=n_jobs, prefer="threads")(
            delayed(_select_chunk)(regressor, stats, blocks, draw.weights[cut], draw.offered[cut])
            for cut in cuts
        )
        return np.concatenate(parts)
    found = Parallel(n_jobs=n_jobs)(
        delayed(_fit_member)(
            regressor, _member_statistics(regressor, stats, w), offered, names, seed
        )
        for w, offered, seed in zip(draw.weights, draw.offered, rng.spawn(n_members), strict=True)
    )
    return np.stack(found)


def _is_plain(regressor: SparseRegressor) -> bool:
    """Whether the compiled members do exactly what the regressor would."""
    return (
        type(regressor) is STLSQ
        and regressor.criterion in CRITERIA
        and not (
            regressor.fixed
            or regressor.constraints
            or regressor.inequalities
            or regressor.shared
            or regressor.ridge
        )
    )


def _member_statistics(
    regressor: SparseRegressor, stats: SufficientStatistics, weights: FloatArray
) -> SufficientStatistics:
    """Return a member's statistics, in as few blocks as its regressor weighs."""
    member = stats.reweighted(weights)
    return member if regressor.n_blocks is None else member.merged(int(regressor.n_blocks))


def _fit_member(
    regressor: SparseRegressor,
    stats: SufficientStatistics,
    offered: BoolArray,
    names: dict[str, Any],
    rng: np.random.Generator,
) -> FloatArray:
    member = clone(regressor)
    if "random_state" in member.get_params():
        member.set_params(random_state=rng)
    estimate: Estimate = member.fit_statistics(stats, allowed=offered, **names)
    return np.where(estimate.support, estimate.coefficients, 0.0)


class _Blocks:
    """Moments of blocks, each pair of columns once, with terms of unit norm over all rows."""

    def __init__(self, stats: SufficientStatistics) -> None:
        p, m = stats.n_terms, stats.moments.shape[1]
        length = np.sqrt(np.diag(stats.total))
        length = np.where(length > 0, length, 1.0)
        length[p:] = 1.0
        rows, columns = np.triu_indices(m)
        self.packed = stats.moments[:, rows, columns] / (length[rows] * length[columns])
        self.places = np.empty((m, m), dtype=np.int64)
        self.places[rows, columns] = self.places[columns, rows] = np.arange(len(rows))
        self.to_units = stats.scale[p:, None] / (stats.scale[:p] * length[:p])
        self.n_terms = p

    def members(self, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return Gram matrices, moments with the targets, and energies of the targets."""
        p = self.n_terms
        moments = (weights @ self.packed).take(self.places, axis=1)
        energy = np.einsum("kii->ki", moments[:, p:, p:])
        return moments[:, :p, :p], moments[:, p:, :p], energy


def _inverses(G: FloatArray) -> FloatArray:
    """Return inverses of positive definite matrices, of which the upper triangles count.

    A trace of a ridge keeps them finite where terms are collinear; what is chosen is
    solved without it.
    """
    H, p = np.empty(G.shape), G.shape[1]
    ridge = 4 * p * np.finfo(float).eps * np.eye(p)
    for out, matrix in zip(H, G, strict=True):
        lower, failed = dpotrf(matrix + ridge, lower=1, clean=0)
        while failed:
            ridge = 10 * ridge
            lower, failed = dpotrf(matrix + ridge, lower=1, clean=0)
        out[:] = dpotri(lower, lower=1, overwrite_c=1)[0].T
    return H


def _select_chunk(
    regressor: STLSQ,
    stats: SufficientStatistics,
    blocks: _Blocks,
    weights: FloatArray,
    offered: BoolArray,
) -> FloatArray:
    G, b, energy = blocks.members(weights)
    p, q = stats.n_terms, stats.n_targets
    if regressor.threshold_on == "coefficient":
        size = np.broadcast_to(blocks.to_units, b.shape)
    else:
        norm = np.sqrt(np.maximum(energy, np.finfo(float).tiny))
        size = np.sqrt(np.einsum("kii->ki", G))[:, None, :] / norm[:, :, None]
    rows = np.maximum(weights @ stats.counts, 1e-300)
    effective = rows * (stats.effective_samples / stats.n_samples)
    kind, typical = regressor.criterion, float(np.median(effective))
    penalty = criterion_values(kind, np.ones(p + 1), np.arange(p + 1), typical, p)
    floor = np.zeros(q) if stats.floor is None else (stats.floor / stats.scale[p:]) ** 2
    support, out = np.empty(b.shape, dtype=bool), np.empty(b.shape)
    threshold = -1.0 if regressor.threshold == "auto" else float(regressor.threshold)
    select_members(
        G, _inverses(G), b, energy, offered, size, threshold, effective, rows, floor, penalty,
        support, out,
    )  # fmt: skip
    return out * blocks.to_units


def _refit(stats: SufficientStatistics, weights: FloatArray, support: BoolArray) -> FloatArray:
    """Return least squares of every member on one support, in units."""
    used = np.flatnonzero(support.any(axis=0))
    p = stats.n_terms
    columns = np.concatenate([used, np.arange(p, p + stats.n_targets)])
    small = replace(
        stats,
        moments=stats.moments[:, columns[:, None], columns],
        exponents=stats.exponents[columns],
        factor=None,
        lagged=None,
        ends=None,
    )
    blocks = _Blocks(small)
    G, b, _ = blocks.members(weights)
    out, full = np.empty(b.shape), np.zeros((len(weights), *support.shape))
    solve_members(G, b, support[:, used], out)
    full[:, :, used] = out * blocks.to_units
    return full
