"""One law for several experiments, each with coefficients of its own."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np

from discover.regression.base import Estimate
from discover.regression.normal import NormalEquations
from discover.regression.selection import Criterion, criterion_values
from discover.regression.stlsq import STLSQ
from discover.statistics import SufficientStatistics
from discover.typing import BoolArray, FloatArray

__all__ = ["fit_groups"]


def fit_groups(
    stats: Mapping[Hashable, SufficientStatistics],
    *,
    criterion: Criterion = "ebic",
    allowed: BoolArray | None = None,
) -> dict[Hashable, Estimate]:
    """Regress several experiments on the same terms, with coefficients of their own.

    Parameters
    ----------
    stats : mapping of label to SufficientStatistics
        Of each experiment, or group of experiments with the same parameters; all over the
        same terms and targets.
    criterion : {"ebic", "bic", "aicc"}, default="ebic"
        Summed over the groups; that there are many supports to choose from counts once.
    allowed : ndarray of bool, shape (n_targets, n_terms), optional
        Which terms each target may use; by default all.

    Returns
    -------
    dict of label to Estimate
        All with the same support.

    Notes
    -----
    Backward elimination: the term whose removal costs the groups together the least
    log-likelihood, ``sum_g n_g log v_g``, goes first. A term that matters in one experiment
    only is kept if it matters enough there.
    """
    shapes = {(s.n_terms, s.n_targets) for s in stats.values()}
    if len(shapes) != 1:
        raise ValueError(
            f"fit_groups: stats must be of one or more groups over the same terms and targets; "
            f"got (terms, targets) {sorted(shapes)}."
        )
    n_targets = shapes.pop()[1]
    groups = [NormalEquations(s) for s in stats.values()]
    usable = np.tile(np.all([group.usable for group in groups], axis=0), (n_targets, 1))
    usable = usable if allowed is None else usable & allowed
    support = np.stack([_shared_support(groups, j, row, criterion) for j, row in enumerate(usable)])
    return {label: STLSQ(0.0).fit_statistics(s, allowed=support) for label, s in stats.items()}


def _shared_support(
    groups: list[NormalEquations], target: int, active: BoolArray, criterion: Criterion
) -> BoolArray:
    """Return the support of one target that the groups together like best."""
    best, chosen, p = np.inf, active, len(active)
    while True:
        terms = np.flatnonzero(active)
        fits = [_fit(group, active, target) for group in groups]
        value = sum(
            _score(group, rss, len(terms), target, p, criterion)
            for group, (rss, _) in zip(groups, fits, strict=True)
        )
        if criterion == "ebic":
            value -= (len(groups) - 1) * 2.0 * len(terms) * np.log(p)
        if value <= best:
            best, chosen = value, active
        if not len(terms):
            return chosen
        cost = sum(
            group.stats.effective_samples * np.log1p(rise / max(rss, 1e-300))
            for group, (rss, rise) in zip(groups, fits, strict=True)
        )
        active = active.copy()
        active[terms[int(np.argmin(cost))]] = False


def _fit(group: NormalEquations, active: BoolArray, target: int) -> tuple[float, FloatArray]:
    """Return the residual sum of squares, and by how much it rises without each term."""
    unit = group.solve(active, target)
    spread = np.maximum(np.diag(group.inverse(active)), 1e-300)
    return group.rss(active, target, unit), unit[active] ** 2 / spread


def _score(
    group: NormalEquations, rss: float, k: int, target: int, p: int, criterion: Criterion
) -> float:
    stats = group.stats
    floor = 0.0
    if stats.floor is not None:
        floor = float(stats.floor[target] / stats.scale[stats.n_terms + target]) ** 2
    rounding = float(group.energy[target]) / stats.n_samples
    rounding *= 1e-28 if stats.factor is not None else 1e-15
    variance = np.array([max(rss / stats.n_samples, floor, rounding)])
    n = stats.effective_samples
    return float(criterion_values(criterion, variance, np.array([k]), n, p)[0])
