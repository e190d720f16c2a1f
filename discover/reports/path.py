"""The Pareto path: for every number of terms, the best law that was compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from discover.regression.normal import NormalEquations
from discover.symbolic import SymbolicModel
from discover.typing import BoolArray, FloatArray

__all__ = ["PathModel", "pareto_path"]

_TINY = 1e-30  # an exact fit has no logarithm


@dataclass(frozen=True, eq=False)
class PathModel:
    """One law on the path.

    Parameters
    ----------
    law : SymbolicModel
    n_terms : int
        Over all equations.
    error : float
        Root of the unexplained share of the targets' mean squares, averaged over targets.
    chosen : bool
    """

    law: SymbolicModel
    n_terms: int
    error: float
    chosen: bool


def pareto_path(found: Any, most: int = 40) -> list[PathModel]:
    """Return the laws that were compared, one for each number of terms.

    Parameters
    ----------
    found : fitted SINDy or DiscreteSINDy
    most : int, default=40
        Where there are more, those far from the chosen one are thinned out.

    Returns
    -------
    list of PathModel
        By number of terms, the chosen law among them. Only the chosen law where the fit
        kept no path.

    Notes
    -----
    Where every equation has a path of its own, they are joined by dynamic programming: of
    all combinations with the same total number of terms, the one with the least sum of the
    logarithms of the errors. Coefficients are least squares on the training data; those of
    the chosen law are its own, refined or not.
    """
    law: SymbolicModel = found.symbolic_
    chosen_terms = law.complexity
    estimate, stats = getattr(found, "estimate_", None), getattr(found, "statistics_", None)
    alone = [PathModel(law, chosen_terms, np.nan, True)]
    if estimate is None or stats is None or not estimate.path:
        return alone
    q, p = estimate.support.shape
    supports = dict(_joined(estimate, q, p))
    supports[int(estimate.support.sum())] = (estimate.support, None)
    equations = NormalEquations(stats)
    models = []
    for n_terms, (support, _) in sorted(supports.items()):
        own = n_terms == int(estimate.support.sum())
        if n_terms == 0 and not own:
            continue
        model, error = _refitted(law, equations, support)
        models.append(PathModel(law if own else model, n_terms, error, own))
    return _thinned(models, most) or alone


def _joined(estimate: Any, q: int, p: int) -> Iterator[tuple[int, tuple[BoolArray, float | None]]]:
    """Yield, by total number of terms, the support with the least error."""
    shared = [c for c in estimate.path if c.target is None]
    for candidate in shared:
        support = np.zeros((q, p), dtype=bool)
        for term in candidate.terms:
            support[term if isinstance(term, tuple) else (slice(None), term)] = True
        yield int(support.sum()), (support, candidate.variance)
    if shared:
        return
    best: dict[int, tuple[float, tuple[Any, ...]]] = {0: (0.0, ())}
    for target in range(q):
        options = [c for c in estimate.path if c.target == target]
        longer: dict[int, tuple[float, tuple[Any, ...]]] = {}
        for n, (score, picked) in best.items():
            for candidate in options:
                total = n + len(candidate.terms)
                value = score + float(np.log(max(candidate.variance, _TINY)))
                if total not in longer or value < longer[total][0]:
                    longer[total] = (value, (*picked, candidate))
        best = longer
    for n, (score, picked) in best.items():
        support = np.zeros((q, p), dtype=bool)
        for target, candidate in enumerate(picked):
            support[target, list(candidate.terms)] = True
        yield n, (support, score)


def _refitted(
    law: SymbolicModel, equations: NormalEquations, support: BoolArray
) -> tuple[SymbolicModel, float]:
    """Solve for the coefficients on a support; returns the law and its error."""
    unit = equations.solve_all(support)
    coefficients: FloatArray = np.where(support, unit * equations.to_units, 0.0)
    rss = np.array([equations.rss(row, j, unit[j]) for j, row in enumerate(support)])
    energy = np.maximum(equations.energy, np.finfo(float).tiny)
    freedom = np.maximum(1.0 - support.sum(axis=1) / equations.stats.effective_samples, 0.05)
    noise = rss / freedom / equations.stats.effective_samples
    covariance = equations.covariance(support, noise)
    q, p = support.shape
    first = len(law.target_names) - q  # exact equations of a second-order law come first
    values, active = law.coefficients.copy(), np.array(law.support)
    values[first:], active[first:] = 0.0, False
    values[first:, :p], active[first:, :p] = coefficients, support
    spread = np.zeros((first + len(covariance), first + len(covariance)))
    spread[first:, first:] = covariance
    model = replace(law, coefficients=values, support=active, covariance=spread)
    return model, float(np.sqrt(np.mean(rss / energy)))


def _thinned(models: list[PathModel], most: int) -> list[PathModel]:
    """Keep all laws near the chosen one, and fewer the larger they get."""
    if len(models) <= most:
        return models
    place = next(i for i, model in enumerate(models) if model.chosen)
    near = range(max(0, place - most // 2), min(len(models), place + most // 3))
    rest = [i for i in range(len(models)) if i not in near]
    wanted = max(most - len(near), 2)
    spread = {rest[k] for k in np.linspace(0, len(rest) - 1, wanted).astype(int)}
    return [model for i, model in enumerate(models) if i in near or i in spread]
