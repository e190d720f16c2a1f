"""STLSQ: sequentially thresholded least squares, with an automatic threshold."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from discover.kernels.elimination import backward_elimination
from discover.regression.base import Candidate, Estimate, SparseRegressor, _degrees_of_freedom
from discover.regression.normal import LinearConstraints, NormalEquations
from discover.regression.selection import CRITERIA, Criterion, criterion_values
from discover.statistics import SufficientStatistics
from discover.typing import BoolArray, FloatArray

__all__ = ["STLSQ"]

Key = str | int
Terms = Mapping[Key, Sequence[Key]]
Relations = Sequence[tuple[Mapping[tuple[Key, Key], float], float]]


class STLSQ(SparseRegressor):
    """Sequentially thresholded least squares.

    Parameters
    ----------
        threshold : float or "auto", default="auto"
            Terms below it are removed, the rest is refitted, until nothing changes. "auto"
            removes the term of least contribution, one at a time, from the full library to
            the empty one, and takes the model that `criterion` likes best.
        threshold_on : {"contribution", "coefficient"}, default="contribution"
            What the threshold is compared with: the root-mean-square of the term times its
            coefficient over that of the target, which has no unit, or the absolute
            coefficient, in its units (pysindy's meaning).
        ridge : float, default=0.0
            Ridge penalty while thresholding, relative to the squared norm of the columns.
            The chosen terms are refitted without it.
        criterion : {"ebic", "bic", "aicc"}, default="ebic"
            See :func:`discover.regression.criterion_values`. Uses the effective number of
            rows, and no residual below the rows' own error counts for anything.
        fixed : mapping, optional
            Known coefficients, ``{target: {term: value}}``, by name or position.
        forbidden : mapping, optional
            Terms a target must not use, ``{target: [term, ...]}``.
        shared : bool, default=False
            All targets use the same terms.
        constraints : sequence, optional
            Linear equations across targets, ``[({(target, term): weight, ...}, value), ...]``.
        inequalities : sequence, optional
            Written alike: the sum must be at most the value. Where one is tight, standard
            errors are those of the equation it has become.
        max_iter : int, default=100

    Attributes
    ----------
        coef_ : ndarray of shape (n_targets, n_terms)
        support_ : ndarray of bool, shape (n_targets, n_terms)
        covariance_ : ndarray of shape (n_active, n_active)
            Plain least-squares covariance on the chosen support: it does not know that the
            support was chosen.
        noise_variance_ : ndarray of shape (n_targets,)
        estimate_ : Estimate
            All of this, with the path.

    Notes
    -----
        Brunton, Proctor and Kutz, PNAS 113 (2016) 3932-3937.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 5))
    >>> STLSQ().fit(X, 3 * X[:, 1] - 2 * X[:, 4]).support_
    array([[False,  True, False, False,  True]])
    """

    n_blocks = 1  # one least-squares problem: nothing is reweighted

    def __init__(
        self,
        threshold: float | Literal["auto"] = "auto",
        *,
        threshold_on: Literal["contribution", "coefficient"] = "contribution",
        ridge: float = 0.0,
        criterion: Criterion = "ebic",
        fixed: Mapping[Key, Mapping[Key, float]] | None = None,
        forbidden: Terms | None = None,
        shared: bool = False,
        constraints: Sequence[tuple[Mapping[tuple[Key, Key], float], float]] | None = None,
        inequalities: Sequence[tuple[Mapping[tuple[Key, Key], float], float]] | None = None,
        max_iter: int = 100,
    ) -> None:
        self.threshold = threshold
        self.threshold_on = threshold_on
        self.ridge = ridge
        self.criterion = criterion
        self.fixed = fixed
        self.forbidden = forbidden
        self.shared = shared
        self.constraints = constraints
        self.inequalities = inequalities
        self.max_iter = max_iter

    def _check_parameters(self) -> None:
        number = isinstance(self.threshold, Real) and not isinstance(self.threshold, bool)
        if self.threshold != "auto" and not (number and self.threshold >= 0):
            raise ValueError(
                f"STLSQ: threshold must be 'auto' or at least 0; got {self.threshold!r}."
            )
        if self.threshold_on not in ("contribution", "coefficient"):
            raise ValueError(
                "STLSQ: threshold_on must be 'contribution' or 'coefficient'; "
                f"got {self.threshold_on!r}."
            )
        if self.criterion not in CRITERIA:
            raise ValueError(f"STLSQ: criterion must be one of {CRITERIA}; got {self.criterion!r}.")
        if not self.ridge >= 0:
            raise ValueError(f"STLSQ: ridge must be at least 0; got {self.ridge!r}.")
        if self.ridge and (
            self.threshold == "auto" or self.fixed or self.constraints or self.inequalities
        ):
            raise ValueError(
                "STLSQ: ridge goes with a given threshold, without fixed terms or constraints; "
                f"got ridge={self.ridge!r}."
            )
        if not self.max_iter >= 1:
            raise ValueError(f"STLSQ: max_iter must be at least 1; got {self.max_iter!r}.")

    def normal_equations(
        self,
        stats: SufficientStatistics,
        term_names: Sequence[str] | None = None,
        target_names: Sequence[str] | None = None,
    ) -> NormalEquations:
        """Return the equations a support is solved with; see the base class."""
        names = _Names(stats, term_names, target_names)
        return NormalEquations(
            stats, names.constraints(self.fixed, self.constraints, self.inequalities)
        )

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
        names = _Names(stats, term_names, target_names)
        equations = self.normal_equations(stats, term_names, target_names)
        start = np.tile(equations.usable, (stats.n_targets, 1))
        if allowed is not None:
            start &= allowed
        start &= ~names.mask(self.forbidden)
        keep = names.mask(self.fixed)
        self._check_masks(start, keep, names)
        support, path, rounds = self._select(equations, start, keep)
        unit = equations.solve_all(support)
        coefficients = np.where(support, unit * equations.to_units, 0.0)
        for target, term, value in names.pinned(self.fixed):
            coefficients[target, term] = value
        rss = np.array([equations.rss(support[j], j, unit[j]) for j in range(len(unit))])
        freedom = _degrees_of_freedom(stats, support)
        inflation = stats.n_samples / stats.effective_samples
        return Estimate(
            coefficients=coefficients,
            support=support,
            covariance=equations.covariance(support, rss / freedom * inflation),
            noise_variance=rss / freedom * stats.scale[stats.n_terms :] ** 2,
            n_effective=stats.effective_samples,
            condition_number=stats.condition_number,
            path=path,
            n_iter=rounds,
        )

    def _check_masks(self, start: BoolArray, keep: BoolArray, names: _Names) -> None:
        if (keep & ~start).any():
            target, term = np.argwhere(keep & ~start)[0]
            raise ValueError(
                f"STLSQ: fixed: the term {names.terms[term]!r} is not open to target {target}: it "
                "is forbidden, not in its library, or zero on these data."
            )
        if self.shared and (start != start[0]).any():
            raise ValueError(
                "STLSQ: shared=True needs the same candidate terms for all targets; forbidden= or "
                "the libraries differ between them."
            )

    def _select(
        self, equations: NormalEquations, start: BoolArray, keep: BoolArray
    ) -> tuple[BoolArray, tuple[Candidate, ...], int]:
        if self.threshold != "auto":
            support, rounds = self._thresholded(equations, start, keep)
            return support, (), rounds
        if equations.constraints is not None:
            support, path = self._constrained_path(equations, start, keep)
        else:
            support, path = self._free_path(equations, start, keep)
        return support, tuple(path), len(path)

    # -- a given threshold ---------------------------------------------------------

    def _thresholded(
        self, equations: NormalEquations, start: BoolArray, keep: BoolArray
    ) -> tuple[BoolArray, int]:
        support, threshold = start.copy(), float(self.threshold)
        for rounds in range(1, self.max_iter + 1):
            passed = support & (self._sizes(equations, support) >= threshold) | keep
            if self.shared:
                passed = start & passed.any(axis=0)
            if (passed == support).all():
                return support, rounds
            support = passed
        warnings.warn(
            f"STLSQ: max_iter={self.max_iter} rounds were not enough: the last one still removed "
            "terms. Raise max_iter.",
            ConvergenceWarning,
            stacklevel=2,
        )
        return support, self.max_iter

    def _sizes(self, equations: NormalEquations, support: BoolArray) -> FloatArray:
        """Return what the threshold is compared with, for every term."""
        if equations.constraints is not None:
            unit = equations.solve_all(support)
        else:
            unit = np.stack(
                [equations.solve(row, j, ridge=self.ridge) for j, row in enumerate(support)]
            )
        if self.threshold_on == "coefficient":
            return np.abs(unit * equations.to_units)
        return _contributions(equations, unit)

    # -- the automatic path --------------------------------------------------------

    def _free_path(
        self, equations: NormalEquations, start: BoolArray, keep: BoolArray
    ) -> tuple[BoolArray, list[Candidate]]:
        """Eliminate backwards, each target for itself or all together."""
        q = equations.stats.n_targets
        groups = [list(range(q))] if self.shared else [[j] for j in range(q)]
        support, path = np.zeros_like(start), []
        for group in groups:
            columns = np.asarray(start[group].any(axis=0))
            held = np.asarray(keep[group].any(axis=0))
            models = self._eliminate(equations, columns, held, group)
            best = min(models, key=lambda model: (model.criterion, len(model.terms)))
            for j in group:
                support[j, list(best.terms)] = True
            path += models
        return support, path

    def _eliminate(
        self, equations: NormalEquations, columns: BoolArray, keep: BoolArray, group: list[int]
    ) -> list[Candidate]:
        stats, p = equations.stats, equations.stats.n_terms
        active = np.flatnonzero(columns)
        targets = [p + j for j in group]
        R: FloatArray = np.linalg.qr(equations.triangle[:, [*active, *targets]]).R
        k = len(active)
        size = np.sqrt(np.maximum(equations.energy[group], np.finfo(float).tiny))
        removed = np.full(k, -1, dtype=np.int64)
        scores, explained = np.zeros(k), np.zeros((k, len(group)))
        backward_elimination(
            np.ascontiguousarray(R[:k, :k]), np.ascontiguousarray(R[:k, k:]), keep[active], size,
            1e-14, removed, scores, explained,
        )  # fmt: skip
        steps = int((removed >= 0).sum())
        rest = (R[k:, k:] ** 2).sum(axis=0)
        rss = np.concatenate([[rest], rest + np.cumsum(explained[:steps], axis=0)])
        counts = k - np.arange(steps + 1)
        values = self._criterion(stats, rss, counts, group, size)
        thresholds = np.append(scores[:steps], np.inf)
        models, terms = [], list(active)
        for i in range(steps + 1):
            share = float(np.mean(rss[i] / size**2))
            target = group[0] if len(group) == 1 else None
            model = Candidate(
                target, tuple(map(int, terms)), float(thresholds[i]), share, float(values[i])
            )
            models.append(model)
            if i < steps:
                terms.remove(active[removed[i]])
        return models

    def _criterion(
        self,
        stats: SufficientStatistics,
        rss: FloatArray,
        counts: Any,
        group: list[int],
        size: FloatArray,
    ) -> FloatArray:
        """Score models by the stated criterion, summed over the targets of a group."""
        n, p = stats.n_samples, stats.n_terms
        floor = np.zeros(len(group)) if stats.floor is None else stats.floor[group]
        least = (floor / stats.scale[p:][group]) ** 2
        rounding = (size**2 / n) * (1e-28 if stats.factor is not None else 1e-15)
        variance = np.maximum(rss / n, np.maximum(least, rounding))
        return np.asarray(
            sum(
                criterion_values(self.criterion, v, counts, stats.effective_samples, p)
                for v in variance.T
            )
        )

    def _constrained_path(
        self, equations: NormalEquations, start: BoolArray, keep: BoolArray
    ) -> tuple[BoolArray, list[Candidate]]:
        """Eliminate backwards over all targets at once, under the constraints."""
        support, models, supports = start.copy(), [], []
        removable = ~keep & ~_needed(equations, start)
        size = np.sqrt(np.maximum(equations.energy, np.finfo(float).tiny))
        while True:
            unit = equations.solve_all(support)
            rss = np.array([equations.rss(support[j], j, unit[j]) for j in range(len(unit))])
            counts = support.sum(axis=1)
            scores = [
                self._criterion(equations.stats, rss[None, [j]], counts[[j]], [j], size[[j]])[0]
                for j in range(len(unit))
            ]
            sizes = np.where(support & removable, _contributions(equations, unit), np.inf)
            if self.shared:  # a term leaves every equation at once
                blocked = (support & ~removable).any(axis=0) | ~support.any(axis=0)
                column = np.where(support, _contributions(equations, unit), 0.0).max(axis=0)
                sizes = np.where(blocked, np.inf, column)[None]
            least = np.unravel_index(np.argmin(sizes), sizes.shape)
            terms = tuple((int(a), int(b)) for a, b in np.argwhere(support))
            share = float(np.mean(rss / size**2))
            models.append(Candidate(None, terms, float(sizes[least]), share, float(np.sum(scores))))
            supports.append(support.copy())
            if not np.isfinite(sizes[least]):
                break
            support[(slice(None), least[1]) if self.shared else least] = False
        ranks = [(model.criterion, len(model.terms)) for model in models]
        best = ranks.index(min(ranks))
        return supports[best], models


def _contributions(equations: NormalEquations, unit: FloatArray) -> FloatArray:
    size = np.sqrt(np.maximum(equations.energy, np.finfo(float).tiny))
    return np.asarray(np.abs(unit) / size[:, None])


def _needed(equations: NormalEquations, start: BoolArray) -> BoolArray:
    """Return the terms in constraints with a value other than 0: they cannot all vanish."""
    assert equations.constraints is not None
    C, d = equations.constraints.C, equations.constraints.d
    A, b = equations.constraints.A, equations.constraints.b
    needed = (C[d != 0] != 0).any(axis=0) | (A[b < 0] != 0).any(axis=0)
    return np.asarray(needed.reshape(start.shape))


class _Names:
    """Resolves names of terms and targets to positions."""

    def __init__(
        self,
        stats: SufficientStatistics,
        term_names: Sequence[str] | None,
        target_names: Sequence[str] | None,
    ) -> None:
        p, q = stats.n_terms, stats.n_targets
        self.terms = tuple(term_names) if term_names is not None else tuple(map(str, range(p)))
        self.targets = tuple(target_names) if target_names is not None else ()
        self.shape = (q, p)

    def _place(self, key: Key, names: Sequence[str], size: int, what: str) -> int:
        if isinstance(key, str) and key in names:
            return names.index(key)
        if isinstance(key, int | np.integer) and 0 <= key < size:
            return int(key)
        known = f" among {list(names)[:20]}" if names else ""
        raise ValueError(f"STLSQ: {key!r} is not a {what}{known}; use its name or position.")

    def place(self, target: Key, term: Key) -> tuple[int, int]:
        """Return the positions of a target and a term."""
        q, p = self.shape
        return (
            self._place(target, self.targets, q, "target"),
            self._place(term, self.terms, p, "term"),
        )

    def mask(self, chosen: Mapping[Key, Any] | None) -> BoolArray:
        """Return where the chosen terms are, shape (n_targets, n_terms)."""
        mask = np.zeros(self.shape, dtype=bool)
        for target, terms in (chosen or {}).items():
            for term in [terms] if isinstance(terms, str) else terms:
                mask[self.place(target, term)] = True
        return mask

    def pinned(self, fixed: Mapping[Key, Mapping[Key, float]] | None) -> list[Any]:
        """Return (target, term, value) of the fixed coefficients."""
        for target, terms in (fixed or {}).items():
            if not isinstance(terms, Mapping):
                raise ValueError(
                    "STLSQ: fixed must be {target: {term: value}}; "
                    f"got {terms!r} for {target!r}."
                )
        return [
            (*self.place(target, term), float(value))
            for target, terms in (fixed or {}).items()
            for term, value in terms.items()
        ]

    def constraints(
        self,
        fixed: Mapping[Key, Mapping[Key, float]] | None,
        equations: Relations | None,
        inequalities: Relations | None,
    ) -> LinearConstraints | None:
        """Return the linear equations and inequalities, or None when there are none."""
        rows = [({(i, j): 1.0}, value) for i, j, value in self.pinned(fixed)]
        rows += self._relations(equations, "constraints")
        upper = self._relations(inequalities, "inequalities")
        if not rows and not upper:
            return None
        return LinearConstraints(*self._matrix(rows), *self._matrix(upper))

    def _relations(
        self, relations: Relations | None, owner: str
    ) -> list[tuple[dict[tuple[int, int], float], float]]:
        """Return relations between coefficients, by position."""
        rows = []
        for equation in relations or ():
            if not (isinstance(equation, tuple) and len(equation) == 2):
                raise ValueError(
                    f"STLSQ: {owner} must be pairs ({{(target, term): weight, ...}}, value); got "
                    f"{equation!r}."
                )
            weights, value = equation
            rows.append(({self.place(*key): float(w) for key, w in weights.items()}, float(value)))
        return rows

    def _matrix(
        self, rows: Sequence[tuple[Mapping[tuple[int, int], float], float]]
    ) -> tuple[FloatArray, FloatArray]:
        C = np.zeros((len(rows), *self.shape))
        for row, (weights, _) in zip(C, rows, strict=True):
            for place, weight in weights.items():
                row[place] = weight
        return C.reshape(len(rows), int(np.prod(self.shape))), np.array([v for _, v in rows])
