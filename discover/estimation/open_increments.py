"""Model errors from bursts of snapshots on open grids."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from discover.dynamics.solvers import Solver
from discover.estimation.increments import FieldIncrements, Increments
from discover.observations.grid import Grid
from discover.problems.bursts import Bursts
from discover.problems.field_rows import FieldTerms
from discover.problems.open_tests import BumpTests, OpenGrid
from discover.problems.spectra import Spectrum
from discover.typing import FloatArray

__all__ = ["OpenIncrements"]

_CLEAN = 1e-8  # share of the variance: what the modes leave of clean fields
_COARSEST = 0.6  # phase from point to point of the shortest waves that rows are made of


class OpenIncrements(FieldIncrements):
    """Bursts of snapshots on a grid that does not close on itself, against a solver.

    Parameters
    ----------
    bursts : Bursts
        States of shape ``(*grid, n_components)``.
    grid : Grid
        Of the snapshots, and of the solver.
    solver : Solver
        It knows what happens at the ends: rows are integrals against functions that
        vanish there.
    terms : FieldTerms
    noise_std : float, optional
        Of the observations; by default estimated.
    rng : numpy.random.Generator

    Notes
    -----
    As on periodic grids, with modes that end freely for the filter, and bumps for the weak
    form. What differences of second order are off, ``(k dx)^2 / 6``, in the solver or in what
    made the observations, is not to be taken for terms of higher order: rows are believed no
    further than that, however many they are.
    """

    def __init__(
        self,
        bursts: Bursts,
        grid: Grid,
        solver: Solver,
        terms: FieldTerms,
        noise_std: float | None,
        rng: np.random.Generator,
    ) -> None:
        modes = OpenGrid(grid.axes)
        super().__init__(bursts, modes, solver, modes, terms, noise_std, rng)

    def _tests(self, spectrum: Spectrum) -> Any:
        finest = max(axis.spacing for axis in self.grid.axes)
        return BumpTests(self.grid, min(spectrum.tested(), _COARSEST / finest))

    @staticmethod
    def _is_clean(spectrum: Spectrum) -> bool:
        return spectrum.noise_variance <= _CLEAN * float(spectrum.signal.sum())

    def _projected(self, terms: FieldTerms, states: FloatArray) -> list[FloatArray]:
        return [tests.project_terms(terms, self.grid, states) for tests in self.tests]

    def rows(self) -> Increments:
        """Return residuals and terms on the bumps."""
        found = super().rows()
        return replace(found, systematic=self._differencing(found))

    def _differencing(self, found: Increments) -> list[FloatArray]:
        """Return the variance of rows that stands for a solver's error of second order.

        It is the same for all bursts: a mean over them does not reduce it. Products are off
        by the wavenumbers of what is multiplied, not of the row.
        """
        coarsest = max(axis.spacing for axis in self.grid.axes)
        states = self.bursts.means if self.is_clean else self.states
        out = []
        for j, tests in enumerate(self.tests):
            y = found.targets[j]
            size = np.maximum(np.mean(y**2, axis=0) - found.slope_variance[j], 0.0)
            k2 = tests.wavenumbers**2 + _steepness(self.grid, states[..., j])
            out.append(len(y) * size * (k2 * coarsest**2 / 6.0) ** 2)
        return out


def _steepness(grid: Grid, values: FloatArray) -> float:
    """Return the mean square wavenumber of the slopes of functions."""
    slope = curvature = np.finfo(float).tiny
    for i in range(len(grid.axes)):
        orders = [int(i == j) for j in range(len(grid.axes))]
        slope += float(np.mean(grid.derivative(values, orders) ** 2))
        curvature += float(np.mean(grid.derivative(values, [2 * q for q in orders]) ** 2))
    return curvature / slope
