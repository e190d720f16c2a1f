"""A series of snapshots of a periodic field, posed for the joint smoother."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from discover.dynamics.galerkin import GalerkinFlow
from discover.estimation.first_guess import (
    correlation_times,
    interpolate_sparse,
    smooth_coordinates,
)
from discover.estimation.search import sparse_start
from discover.estimation.series import Flow, Observed, Series, cumulative, time_grid
from discover.exceptions import DataError
from discover.observations.field import Field
from discover.observations.grid import Grid
from discover.problems.field_rows import FieldTerms
from discover.problems.spectra import FourierTests, Spectrum
from discover.regression import SparseRegressor, identify
from discover.regression.base import ArrayRows
from discover.typing import FloatArray, IntArray

__all__ = ["FieldSeries"]

_RESOLVED = 1e-6  # of the strongest wave's power: waves below it are left out
_MOST_STATES = 200  # coordinates; the cost grows with their third power
_STEP = 0.04  # steps of the trajectory, in units of the time in which the field changes
_WINDOW = 0.4  # width of the integral form, in the same units
_FAINT = 1e-6  # least power of a coordinate, over the largest
_NEGLECTED = 10.0  # least error of the states, in amplitudes of the strongest wave left out


class FieldSeries:
    """Snapshots, their noise, the waves that matter, and a first guess of the trajectory.

    Parameters
    ----------
    field : Field
        One component; NaN where nothing was observed.
    grid : Grid
        Where products are formed and the solver works.
    terms : FieldTerms
    noise_std : float, optional
        Needed where snapshots are incomplete.
    climatology : Field, optional
        A free run or long record of the same system: spectrum and correlation times for
        observations too sparse to show them.
    record : ndarray of shape (n_snapshots, *grid), optional
        All snapshots of several runs, which share their spectrum; by default those of `field`.
    unit : float, optional
        Of which the steps of the trajectory must be multiples.
    """

    def __init__(
        self,
        field: Field,
        grid: Grid,
        terms: FieldTerms,
        noise_std: float | None = None,
        climatology: Field | None = None,
        record: FloatArray | None = None,
        unit: float | None = None,
    ) -> None:
        if len(field.names) != 1:
            raise DataError(
                "ModelErrorDiscovery: a series of a field must have one component, because the "
                f"joint smoother follows the waves of one; got {list(field.names)}. Observe "
                "bursts, two or three states in quick succession: they may have any number."
            )
        self.field, self.terms = field, terms
        self.complete = field.is_complete
        record = field.values[..., 0] if record is None else record
        self.spectrum = self._spectrum(record, noise_std, climatology)
        self.grid = self.spectrum.grid
        strong = self.spectrum.signal > _RESOLVED * self.spectrum.signal.max()
        self.basis = FourierTests(self.grid, float(self.grid.radius[strong].max()))
        if self.basis.n_rows > _MOST_STATES:
            raise DataError(
                f"ModelErrorDiscovery: a series of a field must have at most {_MOST_STATES} active "
                f"numbers per snapshot, got {self.basis.n_rows}: the joint smoother keeps a dense "
                "matrix of them for every step, at a cost that grows with their third power. "
                "Observe bursts, which have no such limit, or a smaller box."
            )
        power = self.basis.rows_of(self.spectrum.signal)
        self.power = np.maximum(power, _FAINT * power.max())
        # the mean follows no spectrum; taking a faint one for zero would make it a drift u_x
        mean = np.flatnonzero(self.basis.constant)
        self.power[mean] = np.maximum(self.power[mean], self.spectrum.noise)
        self.error_variance = max(self.noise_variance, self._neglected(record))
        self._guess(climatology, unit)
        self.observed = self._observed()

    @staticmethod
    def _neglected(record: FloatArray) -> float:
        """Return how far the kept waves are from a law of their own, as a variance.

        Waves that are left out act on those that are kept; observations that are cleaner
        than that must not be believed to the last digit.
        """
        return _NEGLECTED**2 * _RESOLVED * float(np.nanvar(record))

    def _spectrum(
        self, values: FloatArray, noise_std: float | None, climatology: Field | None
    ) -> Spectrum:
        variance = None if noise_std is None else noise_std**2
        complete = not np.isnan(values).any()
        if climatology is None:
            if not complete:
                raise DataError(
                    "ModelErrorDiscovery: snapshots with missing points need climatology=, a "
                    "complete record of the same system, for the spectrum and its time scales."
                )
            return Spectrum.estimate(self.field.grid, values, variance)
        if noise_std is None and not complete:
            raise DataError(
                "ModelErrorDiscovery: snapshots with missing points need noise_std=, in the units "
                "of the observations."
            )
        found = Spectrum.estimate(climatology.grid, climatology.values[..., 0])
        if variance is None:
            variance = Spectrum.estimate(self.field.grid, values).noise_variance
        return Spectrum(found.grid, found.signal, variance / found.grid.size, found.reach)

    @property
    def noise_variance(self) -> float:
        """Variance of the noise of an observed value."""
        return self.spectrum.noise_variance

    @property
    def is_clean(self) -> bool:
        """Whether the observations are better than what the kept waves can explain."""
        return self.error_variance > self.noise_variance

    # -- the trajectory's first guess ------------------------------------------------

    def _guess(self, climatology: Field | None, unit: float | None) -> None:
        times = self.field.times
        self.points = self._seen()
        if climatology is not None:
            rows = self.basis.project(climatology.grid, climatology.values[..., 0])
            most = slice(0, 400)
            self.correlation = correlation_times(climatology.times[most], rows[most], self.power)
        fine = np.linspace(times[0], times[-1], 20 * (len(times) - 1) + 1)
        self.time_scale = self._time_scale(fine, self._interpolated(fine[: 20 * 40 + 1]))
        self.steps, self.at = time_grid(times, _STEP * self.time_scale, unit)
        self.times = times[0] + np.concatenate([[0.0], np.cumsum(self.steps)])
        self.guess = self._interpolated(self.times)

    def _time_scale(self, fine: FloatArray, states: FloatArray) -> float:
        """Return the time in which the field changes by its own size."""
        rate = np.gradient(states, fine[1] - fine[0], axis=0)
        return float(np.sqrt(np.mean(states**2) / np.mean(rate**2)))

    def _seen(self) -> list[IntArray]:
        """Return for every snapshot the positions that were observed."""
        mask = self.field.observed[..., 0].reshape(len(self.field), -1)
        return [np.flatnonzero(row) for row in mask]

    def _interpolated(self, wanted: FloatArray) -> FloatArray:
        values = self.field.values[..., 0]
        if self.complete:
            rows = self.basis.project(self.field.grid, values)
            noise = np.full(self.basis.n_rows, self.noise_variance / self.field.grid.size)
            return smooth_coordinates(self.field.times, rows, noise, self.power, wanted)
        flat = values.reshape(len(self.field), -1)
        seen = [row[points] for row, points in zip(flat, self.points, strict=True)]
        return interpolate_sparse(
            self.field.times, self._operators(), seen, self.noise_variance, self.power,
            self.correlation, wanted,
        )  # fmt: skip

    def _operators(self) -> list[FloatArray]:
        """Return the values at the observed points of every wave, time by time."""
        waves = self.basis.expand(self.field.grid, np.eye(self.basis.n_rows))
        waves = waves.reshape(self.basis.n_rows, -1).T
        return [waves[points] for points in self.points]

    def _observed(self) -> Observed:
        values = self.field.values[..., 0]
        variance = self.error_variance
        if self.complete:
            weight = self.field.grid.size / variance
            rows = self.basis.project(self.field.grid, values)
            return Observed(
                self.at, np.full(self.basis.n_rows, weight), weight * rows,
                weight * float(np.sum(rows**2)), rows.size,
            )  # fmt: skip
        flat = values.reshape(len(self.field), -1)
        operators = self._operators()
        seen = [row[points] for row, points in zip(flat, self.points, strict=True)]
        return Observed(
            self.at,
            np.array([H.T @ H / variance for H in operators]),
            np.array([H.T @ y / variance for H, y in zip(operators, seen, strict=True)]),
            float(sum(y @ y for y in seen) / variance),
            sum(len(y) for y in seen),
        )

    # -- the problem -----------------------------------------------------------------

    def series(self, flow: Callable[[FloatArray], Flow]) -> Series:
        """Return what the joint smoother takes."""
        return Series(
            flow, self.observed, self.steps, np.sqrt(self.power), self.guess, self.time_scale,
            float(self.times[0]), self.is_clean,
        )  # fmt: skip

    def law(self, theta: FloatArray) -> GalerkinFlow:
        """Return the flow of the terms alone."""
        return GalerkinFlow(self.basis, self.grid, self.terms, theta)

    def start(
        self,
        regressor: SparseRegressor,
        term_names: Sequence[str],
        base: Callable[[FloatArray, FloatArray], FloatArray] | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Return first coefficients, from the integral form on the first guess.

        Parameters
        ----------
        regressor : SparseRegressor
        term_names : sequence of str
        base : callable, optional
            Tendency of a solver in coordinates, for states (n, n_states) and times (n,).

        Returns
        -------
        chosen, sparse : ndarray of shape (n_terms,)
            Of the terms that the regressor chose, and of those that explain much.

        Notes
        -----
        The change over a window is the integral of the tendency (trapezoidal rule); waves
        that stand out of the noise are used, each weighted by what is left of it.
        """
        states, n_terms = self.guess, self.terms.table.n_terms
        terms = self.law(np.zeros(n_terms)).term_rows(states)
        known = np.zeros_like(states) if base is None else base(states, self.times)
        window = max(1, round(_WINDOW * self.time_scale / float(np.median(self.steps))))
        edges = np.arange(0, len(states) - window, max(1, window // 2))
        integral = cumulative(terms, self.steps)
        drift = cumulative(known[..., None], self.steps)[..., 0]
        y = states[edges + window] - states[edges] - (drift[edges + window] - drift[edges])
        Theta = integral[edges + window] - integral[edges]
        tested = self.basis_rows(self.spectrum.tested())
        y, Theta = y[:, tested], Theta[:, tested]
        rough = np.linalg.lstsq(Theta.reshape(-1, n_terms), y.ravel(), rcond=1e-10)[0]
        left = np.sqrt(np.mean((y - Theta @ rough) ** 2, axis=0))
        weight = 1.0 / np.maximum(left, 1e-6 * np.sqrt(np.mean(y**2)))
        source = ArrayRows(
            (Theta * weight[:, None]).reshape(-1, n_terms), (y * weight).reshape(-1, 1)
        )
        stats = source.statistics(regressor.n_blocks)
        found = identify(source, stats, regressor, term_names=term_names, strict=False)
        chosen = np.asarray(found.coefficients[0])
        return chosen, sparse_start(stats, chosen)

    def basis_rows(self, radius: float) -> IntArray:
        """Return which coordinates belong to waves up to a wavenumber."""
        lengths = self.grid.radius[self.basis.where]
        lengths = np.concatenate([lengths, lengths[self.basis.waves]])
        return np.flatnonzero(lengths <= radius)
