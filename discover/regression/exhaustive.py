"""Best subsets: the exact optimum of a criterion over all supports, as a referee."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np

from discover.exceptions import NotIdentifiableError
from discover.kernels.subsets import best_subsets
from discover.regression.base import Candidate, Estimate, SparseRegressor, _degrees_of_freedom
from discover.regression.normal import NormalEquations
from discover.regression.selection import CRITERIA, Criterion, criterion_values
from discover.statistics import SufficientStatistics
from discover.typing import BoolArray, FloatArray, IntArray

__all__ = ["BestSubsetRegressor"]

_MOST_NODES = 20_000_000


class BestSubsetRegressor(SparseRegressor):
    """The support with the smallest criterion of all, by branch and bound.

    Parameters
    ----------
    criterion : {"ebic", "bic", "aicc"}, default="ebic"
        See :func:`discover.regression.criterion_values`.
    n_best : int, default=10
        How many of the best supports to keep, in ``estimate_.path``.

    Notes
    -----
    Leaps and bounds (Furnival and Wilson, Technometrics 16 (1974) 499-511) on the R factor,
    bounded by the criterion itself. Exact: no support is missed. The effort grows with the
    number of candidates that matter a little; up to about 30 terms are feasible, and more
    where few stand out. ``path`` begins with the chosen support, its rivals follow. Where the
    rows span at most half as many directions as there are terms, a support has at most half
    as many terms as directions: beyond that it cannot be unique (Donoho and Elad, Proc. Natl.
    Acad. Sci. 100 (2003) 2197-2202).

    Raises
    ------
    NotIdentifiableError
        If the search is given up, after twenty million supports.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 5))
    >>> BestSubsetRegressor().fit(X, 3 * X[:, 1] - 2 * X[:, 4]).support_
    array([[False,  True, False, False,  True]])
    """

    n_blocks = 1

    def __init__(self, criterion: Criterion = "ebic", *, n_best: int = 10) -> None:
        self.criterion = criterion
        self.n_best = n_best

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
        if self.criterion not in CRITERIA:
            raise ValueError(
                f"BestSubsetRegressor: criterion must be one of {CRITERIA}; got {self.criterion!r}."
            )
        if not isinstance(self.n_best, Integral) or self.n_best < 1:
            raise ValueError(
                f"BestSubsetRegressor: n_best must be at least 1; got {self.n_best!r}."
            )
        equations = self.normal_equations(stats)
        mask = np.tile(equations.usable, (stats.n_targets, 1))
        if allowed is not None:
            mask &= allowed
        support, path = np.zeros_like(mask), []
        for j, row in enumerate(mask):
            models = self._search(equations, np.flatnonzero(row), j)
            support[j, list(models[0].terms)] = True
            path += models
        unit = equations.solve_all(support)
        rss = np.array([equations.rss(support[j], j, unit[j]) for j in range(len(unit))])
        freedom = _degrees_of_freedom(stats, support)
        inflation = stats.n_samples / stats.effective_samples
        return Estimate(
            coefficients=np.where(support, unit * equations.to_units, 0.0),
            support=support,
            covariance=equations.covariance(support, rss / freedom * inflation),
            noise_variance=rss / freedom * stats.scale[stats.n_terms :] ** 2,
            n_effective=stats.effective_samples,
            condition_number=stats.condition_number,
            path=tuple(path),
        )

    def _search(
        self, equations: NormalEquations, columns: IntArray, target: int
    ) -> list[Candidate]:
        """Return the best supports of one target, best first."""
        stats, p, k = equations.stats, equations.stats.n_terms, len(columns)
        columns = columns[_by_usefulness(equations, columns, target)]
        R: FloatArray = np.linalg.qr(equations.triangle[:, [*columns, p + target]]).R
        rows, n = stats.n_samples, stats.effective_samples
        energy = max(float(equations.energy[target]), float(np.finfo(float).tiny))
        floor = 0.0 if stats.floor is None else (stats.floor[target] / stats.scale[p + target]) ** 2
        least = max(floor, energy / rows * (1e-28 if stats.factor is not None else 1e-15))
        sizes = np.arange(k + 1)
        penalty = criterion_values(self.criterion, np.ones(k + 1), sizes, n, p)
        penalty[sizes > _most_terms(equations, k)] = np.inf
        m = int(min(self.n_best, 2 ** min(k, 30)))
        scores, chosen = np.full(m, np.inf), np.zeros(m, dtype=np.int64)
        subsets = np.zeros((m, max(k, 1)), dtype=np.int64)
        nodes = best_subsets(
            np.ascontiguousarray(R[:k, :k]), np.ascontiguousarray(R[:k, k]),
            float((R[k:, k] ** 2).sum()) / rows, n, least, penalty, 0, _MOST_NODES, scores,
            chosen, subsets, rows,
        )  # fmt: skip
        if nodes < 0:
            raise NotIdentifiableError(
                f"BestSubsetRegressor: {-nodes:,} supports of {k} terms were not enough for a "
                "proof; use a smaller library, or RelevanceVectorRegressor()."
            )
        found = []
        for score, size, row in zip(scores, chosen, subsets, strict=True):
            if np.isfinite(score):
                variance = float(np.exp((score - penalty[size]) / n)) * rows / energy
                terms = tuple(sorted(int(columns[i]) for i in row[:size]))
                found.append(Candidate(target, terms, np.nan, variance, float(score)))
        return found


def _most_terms(equations: NormalEquations, n_candidates: int) -> int:
    """Return how many terms a support may have.

    Where the rows span at most half as many directions as there are candidates, any support
    of more than half of these directions has others that fit just as well.
    """
    crowded = 2 * equations.rank <= n_candidates
    return max(1, equations.rank // 2) if crowded else n_candidates


def _by_usefulness(equations: NormalEquations, columns: IntArray, target: int) -> IntArray:
    """Order terms by what their removal from the full model costs, the most useful first."""
    support = np.zeros(equations.stats.n_terms, dtype=bool)
    support[columns] = True
    unit = equations.solve(support, target)[columns]
    spread = np.diag(equations.inverse(support))[np.argsort(np.argsort(columns))]
    cost = unit**2 / np.where(spread > 0, spread, np.inf)
    return np.argsort(-cost)
