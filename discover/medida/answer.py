"""What a fit of a model error leaves behind, for fields and for states alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from discover.estimation.increments import IncrementSource, fit_increments
from discover.estimation.series import Series, SeriesFit, innovation_misfit
from discover.medida.cycle import CycleFit
from discover.regression import (
    Estimate,
    IdentifiabilityReport,
    SparseRegressor,
    report_identifiability,
)
from discover.regression.identifiability import join_reports
from discover.statistics import SufficientStatistics
from discover.typing import FloatArray

__all__ = [
    "ErrorFit",
    "Innovations",
    "Part",
    "Record",
    "explain_parts",
    "explain_series",
    "fit_bursts",
]

#: the estimate of one target, and the statistics it was made from
Part = tuple[Estimate, SufficientStatistics]


class Record(NamedTuple):
    """Complete observations of a series; the state that it starts from, smoothed; controls."""

    times: FloatArray
    states: FloatArray
    start: FloatArray | None
    controls: FloatArray | None = None


class Innovations(NamedTuple):
    """Mean square of the normalised innovations, about 1 or below for the right law."""

    before: float
    after: float


@dataclass(frozen=True, eq=False)
class ErrorFit:
    """The error of a solver, as it was fitted.

    Parameters
    ----------
    estimate : Estimate
        Of shape (n_targets, n_terms).
    parts : sequence of (Estimate, SufficientStatistics)
        The same target by target, or as one target of all coefficients.
    term_names, target_names : sequence of str
        Of the parts.
    noise_variance : ndarray of shape (n_components,)
    dt : float
        Scale of time: the step of bursts, or of the trajectory's time grid.
    last : ndarray
        The last state, to run on from.
    explain : callable
        Returns the :class:`Innovations`; they may cost another smoothing.
    notes : tuple of str
    series : SeriesFit, optional
        The joint smoother's answer.
    cycle : CycleFit, optional
        That of the plain cycle of assimilation and regression.
    reach : float
        Wavenumber up to which a field was looked at.
    record : Record, optional
        The first series, where it is complete.
    controls : ndarray of shape (n_controls,), optional
        The last that were observed.
    """

    estimate: Estimate
    parts: Sequence[Part]
    term_names: Sequence[str]
    target_names: Sequence[str]
    noise_variance: FloatArray
    dt: float
    last: FloatArray
    explain: Callable[[], Innovations]
    notes: tuple[str, ...] = ()
    series: SeriesFit | None = None
    cycle: CycleFit | None = None
    reach: float = np.inf
    record: Record | None = None
    controls: FloatArray | None = None

    def mentioning(self, left_out: int) -> ErrorFit:
        """Return the same with a note on how many states were not used."""
        note = f"{left_out} states were left out: alone, or in bursts shorter than the others"
        return replace(self, notes=(*self.notes, note))

    def identifiability(self) -> IdentifiabilityReport:
        """Return what the data can and cannot tell apart."""
        names = list(self.term_names)
        return join_reports(
            [
                report_identifiability(stats, one, term_names=names, target_names=[target])
                for (one, stats), target in zip(self.parts, self.target_names, strict=True)
            ]
        )


def explain_parts(parts: Sequence[Part]) -> Innovations:
    """Return how well solver and corrected solver explain the slopes of bursts.

    Rows were divided by their standard deviation; those of clean data are held against what
    the rows themselves are off.
    """

    def mean_square(stats: SufficientStatistics, coefficients: FloatArray) -> float:
        v = stats.scale * np.append(-coefficients, 1.0)
        floor = 1.0 if stats.floor is None else float(stats.floor[0])
        return float(np.sum((stats.triangle @ v) ** 2)) / stats.n_samples / floor**2

    before = [mean_square(stats, np.zeros(stats.n_terms)) for _, stats in parts]
    after = [mean_square(stats, one.coefficients[0]) for one, stats in parts]
    return Innovations(float(np.mean(before)), float(np.mean(after)))


def explain_series(
    runs: Sequence[Series], found: SeriesFit, base: FloatArray, corrected: FloatArray
) -> Innovations:
    """Return how well two laws explain series: both are smoothed."""
    return Innovations(
        innovation_misfit(runs, base), innovation_misfit(runs, corrected, found.states)
    )


def fit_bursts(
    source: IncrementSource,
    regressor: SparseRegressor,
    term_names: Sequence[str],
    target_names: Sequence[str],
    last: FloatArray,
    notes: tuple[str, ...],
) -> ErrorFit:
    """Regress the increments of bursts on terms."""
    estimate, parts = fit_increments(
        source, regressor, term_names=term_names, target_names=target_names
    )
    return ErrorFit(
        estimate, parts, term_names, target_names, source.noise_variance, source.bursts.dt, last,
        lambda: explain_parts(parts), notes,
    )  # fmt: skip
