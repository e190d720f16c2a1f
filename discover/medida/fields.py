"""What a solver of a partial differential equation gets wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from discover.assimilation import EnsembleKalmanFilter
from discover.dynamics.solver_flow import ProjectedSolver, SteppedFlow, TendencyFlow
from discover.dynamics.solvers import Solver
from discover.estimation.field_series import FieldSeries
from discover.estimation.increments import FieldIncrements, resampled
from discover.estimation.open_increments import OpenIncrements
from discover.estimation.series import Flow, fit_series
from discover.exceptions import DataError
from discover.medida.answer import ErrorFit, Innovations, Record, explain_series, fit_bursts
from discover.medida.cycle import run_cycle
from discover.medida.notes import (
    UNCYCLED,
    doubtful_tendency,
    part,
    sampled,
    series_note,
    truncation_note,
)
from discover.observations.field import Field
from discover.observations.grid import Grid
from discover.problems.bursts import Bursts
from discover.problems.field_rows import FieldTerms
from discover.regression import SparseRegressor
from discover.typing import FloatArray

__all__ = ["FieldQuestion"]

_PERIODIC = (
    "ModelErrorDiscovery: a series needs a grid that is periodic along every axis: the trajectory "
    "is followed in waves. On open grids observe bursts: two or three states in quick succession."
)


@dataclass(frozen=True, eq=False)
class FieldQuestion:
    """Which terms, added to a solver, explain snapshots of a periodic field.

    Parameters
    ----------
    solver : Solver
    grid : Grid
        On which the solver works.
    terms : FieldTerms
        Candidates.
    regressor : SparseRegressor
    step : float, optional
        Of the solver between the observations of a series.
    noise_std : float, optional
    climatology : Field, optional
    known : ndarray of shape (n_terms,), optional
        Coefficients of a solver that is a law of one component, over `terms`, which then
        include its own: of a series the whole law is sought.
    filter : EnsembleKalmanFilter, optional
        For the plain cycle instead of the joint smoother.
    rng : numpy.random.Generator
    """

    solver: Solver
    grid: Grid
    terms: FieldTerms
    regressor: SparseRegressor
    step: float | None
    noise_std: float | None
    climatology: Field | None
    known: FloatArray | None
    filter: EnsembleKalmanFilter | None
    rng: np.random.Generator

    def ask(self, fields: Sequence[Field]) -> ErrorFit:
        """Return the error that records of one field show."""
        parts = [f.select(group) for f in fields for group in f.bursts()]
        series, left_out = part(parts)
        if series:
            if not fields[0].grid.is_periodic:
                raise DataError(_PERIODIC)
            found = self._of_series(series)
        else:
            if not all(p.is_complete for p in parts):
                raise DataError(
                    "ModelErrorDiscovery: bursts must be observed at every grid point; got NaN. "
                    "Leave out the incomplete snapshots."
                )
            bursts, left_out = Bursts.of_one_length(
                [p.values for p in parts], [p.times for p in parts]
            )
            found = self._of_bursts(bursts, fields[0])
        return found if not left_out else found.mentioning(left_out)

    def _of_bursts(self, bursts: Bursts, field: Field) -> ErrorFit:
        told = (self.terms, self.noise_std, self.rng)
        source = (
            FieldIncrements(bursts, field.grid, self.solver, self.grid, *told)
            if field.grid.is_periodic
            else OpenIncrements(bursts, field.grid, self.solver, *told)
        )
        last = bursts.means[-1:] if source.is_clean else source.states[-1:]
        fine = resampled(field.grid, last, self.grid.shape)[0]
        notes = truncation_note(self.solver, source)
        if self.filter is not None:
            notes += (UNCYCLED,)
        found = fit_bursts(
            source, self.regressor, self.terms.table.names, field.names,
            fine[..., 0] if fine.shape[-1] == 1 else fine, notes,
        )  # fmt: skip
        return replace(found, reach=max(tests.reach for tests in source.tests))

    # -- series ----------------------------------------------------------------------

    def _of_series(self, fields: Sequence[Field]) -> ErrorFit:
        """Smooth trajectory and coefficients jointly.

        A solver that is a law of known terms is not needed for stepping: the whole law is
        sought, and the solver's terms are subtracted from the answer.
        """
        record = np.concatenate([field.values[..., 0] for field in fields])
        unit = self.solver.fixed_step if self.known is None else None
        told = (self.noise_std, self.climatology, record, unit)
        posed = [FieldSeries(field, self.grid, self.terms, *told) for field in fields]
        dt = min(float(p.steps.min()) for p in posed)
        step = self.step or dt
        names, target = self.terms.table.names, (fields[0].names[0],)
        noise = np.array([posed[0].noise_variance])
        if self.known is None:
            seen = [
                ProjectedSolver(self.solver, self.grid, p.basis, np.sqrt(p.power), step)
                for p in posed
            ]
            series = [p.series(self._corrected(s, p)) for s, p in zip(seen, posed, strict=True)]
        else:
            seen, series = [], [p.series(p.law) for p in posed]
        base = np.zeros(len(names)) if self.known is None else self.known
        if self.filter is not None:
            cycle = run_cycle(series, self.filter, base, self.regressor, names, rng=self.rng)
            ends = Innovations(cycle.innovations[0], cycle.innovations[-1])
            last = cycle.assimilations[-1].mean[-1:]
            return ErrorFit(
                cycle.estimate, [(cycle.estimate, cycle.statistics)], names, target, noise, dt,
                posed[-1].basis.expand(self.grid, last)[0], lambda: ends, (cycle.note(),),
                cycle=cycle, reach=posed[0].basis.reach,
                record=self._record(posed[0], cycle.assimilations[0].mean[0]),
            )  # fmt: skip
        starts = [
            p.start(self.regressor, names, seen[i].tendency if seen else None)
            for i, p in enumerate(posed)
        ]
        theta, sparse = np.mean(starts, axis=0)
        found = fit_series(series, self.regressor, theta, names, sparse)
        estimate, stats = found.estimate, found.statistics(self.known)
        if self.known is not None:
            estimate = self.regressor.fit_statistics(stats, term_names=names)
        corrected = base + estimate.coefficients[0]
        return ErrorFit(
            estimate, [(estimate, stats)], names, target, noise, dt,
            posed[-1].basis.expand(self.grid, found.states[-1][-1:])[0],
            lambda: explain_series(series, found, base, corrected),
            (series_note(found), *_on_clean(posed), *self._doubt(posed[0], step)), series=found,
            reach=posed[0].basis.reach,
            record=self._record(posed[0], found.states[0][0]),
        )  # fmt: skip

    def _doubt(self, posed: FieldSeries, step: float) -> tuple[str, ...]:
        """Say if the tendency of a black box is not to be had from tiny steps."""
        if self.known is not None:
            return ()
        some = sampled(posed.guess)
        states = posed.basis.expand(self.grid, posed.guess[some])
        return doubtful_tendency(self.solver, states, posed.times[some], step)

    def _record(self, posed: FieldSeries, first: FloatArray) -> Record | None:
        """Return the snapshots on the solver's grid, where they are complete."""
        if not posed.complete:
            return None
        states = resampled(posed.field.grid, posed.field.values, self.grid.shape)[..., 0]
        return Record(posed.field.times, states, posed.basis.expand(self.grid, first[None])[0])

    def _corrected(self, seen: ProjectedSolver, posed: FieldSeries) -> Callable[[FloatArray], Flow]:
        """Return the flow of the solver with an error, for any coefficients."""
        kind = TendencyFlow if self.solver.fixed_step is None else SteppedFlow
        return lambda theta: kind(seen, posed.law(theta))


def _on_clean(posed: Sequence[FieldSeries]) -> tuple[str, ...]:
    """Say that observations are too clean to be taken at their word."""
    if not posed[0].is_clean:
        return ()
    return (
        f"the observations are clean; {posed[0].basis.n_rows} waves are followed, and because "
        "those left out act on them, their states are taken to be one per cent off: intervals "
        "are wide",
    )
