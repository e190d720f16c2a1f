"""What a solver of ordinary differential equations gets wrong, or of sites that share a law."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from discover.assimilation import EnsembleKalmanFilter
from discover.dynamics.solvers import Solver
from discover.estimation.increments import PointIncrements
from discover.estimation.point_series import PointSeries
from discover.estimation.series import fit_series
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
from discover.observations import Trajectory
from discover.observations.field import find_bursts
from discover.problems.bursts import FEWEST_TIMES, Bursts
from discover.problems.local_rows import LocalTerms
from discover.regression import Estimate, SparseRegressor
from discover.typing import FloatArray

__all__ = ["StateQuestion"]


@dataclass(frozen=True, eq=False)
class StateQuestion:
    """Which terms, added to a solver, explain tables of states.

    Parameters
    ----------
    solver : Solver
    terms : LocalTerms
        Candidates, over the states and the controls where there are some.
    regressor : SparseRegressor
    noise_std : float, optional
    filter : EnsembleKalmanFilter, optional
        For the plain cycle instead of the joint smoother.
    rng : numpy.random.Generator
    """

    solver: Solver
    terms: LocalTerms
    regressor: SparseRegressor
    noise_std: float | None
    filter: EnsembleKalmanFilter | None
    rng: np.random.Generator

    def ask(self, runs: Sequence[Trajectory]) -> ErrorFit:
        """Return the error that runs show."""
        parts = [
            run.select(slice(group[0], group[-1] + 1))
            for run in runs
            for group in find_bursts(run.times)
        ]
        series, left_out = part(parts)
        if series:
            found = self._of_series(series)
        else:
            whole = [p for p in parts if p.complete.all()]
            bursts, left_out = Bursts.of_one_length(
                [np.hstack([p.states, _driven(p)]) for p in whole], [p.times for p in whole]
            )
            left_out += sum(map(len, parts)) - sum(map(len, whole))
            found = self._of_bursts(bursts, runs[0].n_states)
        return found if not left_out else found.mentioning(left_out)

    def _of_bursts(self, whole: Bursts, n_states: int) -> ErrorFit:
        """Regress on bursts of states, with the controls in further columns."""
        states, controls = np.split(whole.states, [n_states], axis=2)
        bursts = replace(whole, states=states)
        driven = controls if controls.size else None
        source = PointIncrements(bursts, self.solver, self.terms, self.noise_std, driven)
        notes = truncation_note(self.solver, source)
        if self.filter is not None:
            notes += (UNCYCLED,)
        found = fit_bursts(
            source, self.regressor, self.terms.table.names, self.terms.components,
            bursts.means[-1], notes,
        )  # fmt: skip
        return found if driven is None else replace(found, controls=driven[-1, -1])

    def _of_series(self, runs: Sequence[Trajectory]) -> ErrorFit:
        terms, components = self.terms.table.names, self.terms.components
        posed = [PointSeries(run, self.solver, self.terms, self.noise_std) for run in runs]
        dt = min(float(p.steps.min()) for p in posed)
        names = [f"{component}: {term}" for component in components for term in terms]
        series = [p.series() for p in posed]
        noise = np.mean([p.noise_variance.reshape(-1, len(components)) for p in posed], axis=(0, 1))
        none = np.zeros(len(names))
        last = None if runs[-1].controls is None else runs[-1].controls[-1]
        if self.filter is not None:
            cycle = run_cycle(series, self.filter, none, self.regressor, names, rng=self.rng)
            ends = Innovations(cycle.innovations[0], cycle.innovations[-1])
            return ErrorFit(
                self._shaped(cycle.estimate), [(cycle.estimate, cycle.statistics)], names,
                ("error",), noise, dt, cycle.assimilations[-1].mean[-1], lambda: ends,
                (cycle.note(),), cycle=cycle,
                record=self._record(posed[0], cycle.assimilations[0].mean), controls=last,
            )  # fmt: skip
        theta = np.mean([p.start(self.regressor, terms) for p in posed], axis=0)
        found = fit_series(series, self.regressor, theta, names)
        return ErrorFit(
            self._shaped(found.estimate), [(found.estimate, found.statistics())], names,
            ("error",), noise, dt, found.states[-1][-1],
            lambda: explain_series(series, found, none, found.coefficients),
            (series_note(found), *self._doubt(posed[0])), series=found,
            record=self._record(posed[0], found.states[0][posed[0].at]), controls=last,
        )  # fmt: skip

    def _doubt(self, posed: PointSeries) -> tuple[str, ...]:
        """Say if the tendency of a black box is not to be had from tiny steps."""
        if posed.controls is not None:  # they would have to be held
            return ()
        some = sampled(posed.guess)
        dt = float(posed.steps.min())
        return doubtful_tendency(self.solver, posed.guess[some], posed.times[some], dt)

    @staticmethod
    def _record(posed: PointSeries, states: FloatArray) -> Record | None:
        """Return the complete rows; `states` are smoothed, one per row."""
        rows = np.flatnonzero(posed.run.complete)
        if len(rows) < FEWEST_TIMES:
            return None
        controls = None if posed.run.controls is None else posed.run.controls[rows]
        return Record(posed.run.times[rows], posed.run.states[rows], states[rows[0]], controls)

    def _shaped(self, flat: Estimate) -> Estimate:
        """Return an estimate with one row per component."""
        shape = (-1, self.terms.table.n_terms)
        return replace(
            flat, coefficients=flat.coefficients.reshape(shape), support=flat.support.reshape(shape)
        )


def _driven(run: Trajectory) -> FloatArray:
    """Return the controls of a run, shape (n_samples, n_controls); no columns without."""
    return np.empty((len(run), 0)) if run.controls is None else run.controls
