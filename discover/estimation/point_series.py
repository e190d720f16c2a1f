"""A series of states of ordinary differential equations, posed for the joint smoother."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from discover.dynamics.point_flow import PointFlow
from discover.dynamics.solvers import Solver
from discover.estimation.first_guess import smooth_coordinates
from discover.estimation.series import Observed, Series, cumulative, time_grid
from discover.exceptions import DataError
from discover.observations import Trajectory
from discover.observations.interpolation import column_path
from discover.problems.local_rows import LocalTerms
from discover.problems.scales import noise_level
from discover.regression import SparseRegressor, identify
from discover.regression.base import ArrayRows
from discover.typing import FloatArray

__all__ = ["PointSeries"]

_STEP = 0.04  # steps of the trajectory, in units of the time in which the states change
_WINDOW = 0.4  # width of the integral form, in the same units


class PointSeries:
    """A run of noisy states, their noise, and a first guess of the trajectory.

    Parameters
    ----------
    run : Trajectory
        NaN where a state was not observed. Controls are read between the samples on
        straight lines, or where they are smooth by a cubic spline.
    solver : Solver
    terms : LocalTerms
    noise_std : float, optional
        By default estimated from the highest differences.
    """

    def __init__(
        self, run: Trajectory, solver: Solver, terms: LocalTerms, noise_std: float | None = None
    ) -> None:
        seen = ~np.isnan(run.states)
        if not seen.any(axis=0).all():
            raise DataError(
                "ModelErrorDiscovery: every state must be observed at some times; "
                f"{run.state_names[int(np.argmin(seen.any(axis=0)))]!r} never is."
            )
        self.run, self.solver, self.terms = run, solver, terms
        self.controls = None if run.controls is None else column_path(run.controls, run.times)
        noise = noise_level([run]) if noise_std is None else np.full(run.n_states, noise_std)
        self.scale = np.sqrt(np.nanmean(run.states**2, axis=0))
        self.noise_variance = np.maximum(noise**2, (1e-8 * self.scale) ** 2)
        fine = np.linspace(run.times[0], run.times[-1], 4 * len(run))
        states = self._interpolated(fine)
        rate = np.gradient(states, fine[1] - fine[0], axis=0)
        spread = np.maximum(states.std(axis=0), 1e-12 * self.scale)
        self.time_scale = float(np.min(spread / np.sqrt(np.mean(rate**2, axis=0))))
        self.steps, self.at = time_grid(run.times, _STEP * self.time_scale)
        self.times = run.times[0] + np.concatenate([[0.0], np.cumsum(self.steps)])
        self.guess = self._interpolated(self.times)
        weights = np.where(seen, 1.0 / self.noise_variance, 0.0)
        values = np.where(seen, run.states, 0.0)
        self.observed = Observed(
            self.at, weights[:, :, None] * np.eye(run.n_states), weights * values,
            float(np.sum(weights * values**2)), int(seen.sum()),
        )  # fmt: skip

    def _interpolated(self, wanted: FloatArray) -> FloatArray:
        out = np.empty((len(wanted), self.run.n_states))
        for j, column in enumerate(self.run.states.T):
            seen = ~np.isnan(column)
            mean = column[seen].mean()
            power = np.array([column[seen].var() + 1e-12 * self.scale[j] ** 2])
            found = smooth_coordinates(
                self.run.times[seen], column[seen, None] - mean, self.noise_variance[j : j + 1],
                power, wanted,
            )  # fmt: skip
            out[:, j] = mean + found[:, 0]
        return out

    def flow(self, theta: FloatArray) -> PointFlow:
        """Return solver and error as a flow."""
        return PointFlow(self.solver, self.terms, theta, self.scale, controls=self.controls)

    def series(self) -> Series:
        """Return what the joint smoother takes."""
        return Series(
            self.flow, self.observed, self.steps, self.scale, self.guess, self.time_scale,
            float(self.times[0]),
        )  # fmt: skip

    def start(self, regressor: SparseRegressor, term_names: Sequence[str]) -> FloatArray:
        """Return first coefficients, from the integral form on the first guess."""
        states = self.guess
        n_terms, n_components = self.terms.table.n_terms, len(self.terms.components)
        u = None if self.controls is None else self.controls(self.times)
        terms = self.terms.evaluate(states, u)
        drift = self.solver.tendency(states, self.times, float(self.steps.min()), u)
        window = max(1, round(_WINDOW * self.time_scale / float(np.median(self.steps))))
        edges = np.arange(0, len(states) - window, max(1, window // 2))
        known = cumulative(drift[..., None], self.steps)[..., 0]
        whole = cumulative(terms, self.steps)
        Theta = whole[edges + window] - whole[edges]
        y = states[edges + window] - states[edges] - (known[edges + window] - known[edges])
        source = ArrayRows(Theta.reshape(-1, n_terms), y.reshape(-1, n_components))
        found = identify(
            source, source.statistics(regressor.n_blocks), regressor,
            term_names=list(term_names), strict=False,
        )  # fmt: skip
        return found.coefficients.ravel()
