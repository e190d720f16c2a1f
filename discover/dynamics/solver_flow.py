"""A black-box solver, plus an error written in terms, seen on few waves."""

from __future__ import annotations

import numpy as np

from discover.dynamics.galerkin import GalerkinFlow
from discover.dynamics.solvers import Solver
from discover.observations.grid import Grid
from discover.problems.spectra import FourierTests
from discover.typing import FloatArray

__all__ = ["SolverFlow", "SolverTangents"]

_SHAKE = 1e-5  # of the states' spread: differences of runs of the solver
_STALE = 0.02  # root-mean-square change of the states after which tangents are made anew


class SolverTangents:
    """Steps and tangents of a solver on the waves of a basis, by differences of runs.

    Parameters
    ----------
    solver : Solver
    grid : Grid
        On which the solver works.
    basis : FourierTests
    scale : ndarray of shape (n_states,)
        Spread of the coordinates.
    dt : float
        Step of the solver; steps of the flow are cut in equal steps of at most this.

    Notes
    -----
    One run more than there are coordinates for every step: the cost of an ensemble of as
    many members. They are kept until the trajectory has moved.
    """

    def __init__(
        self, solver: Solver, grid: Grid, basis: FourierTests, scale: FloatArray, dt: float
    ) -> None:
        self.solver, self.grid, self.basis, self.scale, self.dt = solver, grid, basis, scale, dt
        self._kept: dict[float, tuple[FloatArray, FloatArray]] = {}

    def advance(self, rows: FloatArray, h: float) -> FloatArray:
        """Return the coordinates after a time h, shape (n, n_states)."""
        steps = max(1, round(h / self.dt))
        values = self.basis.expand(self.grid, rows)
        times = np.zeros(len(rows))
        past = self.solver.steady(values)
        for _ in range(steps):
            values = self.solver.step(past, times, h / steps)
            past = (
                values
                if self.solver.history == 1
                else np.concatenate([past[:, 1:], values[:, None]], axis=1)
            )
        return self.basis.project(self.grid, values)

    def tangents(self, start: FloatArray, h: float) -> FloatArray:
        """Return the derivative of the coordinates after h by those before."""
        kept = self._kept.get(h)
        if kept is not None and kept[0].shape == start.shape:
            moved = np.sqrt(np.mean(((start - kept[0]) / self.scale) ** 2))
            if moved < _STALE:
                return kept[1]
        shake = np.diag(_SHAKE * self.scale)
        out = np.empty((len(start), start.shape[1], start.shape[1]))
        for M, row in zip(out, start, strict=True):
            runs = self.advance(np.concatenate([row + shake, row - shake]), h)
            half = len(shake)
            M[:] = ((runs[:half] - runs[half:]) / (2.0 * np.diag(shake)[:, None])).T
        self._kept[h] = (start.copy(), out)
        return out


class SolverFlow:
    """The flow of a solver and an error ``sum theta_k term_k``, by Strang splitting.

    Parameters
    ----------
    solver : SolverTangents
    error : GalerkinFlow
    """

    def __init__(self, solver: SolverTangents, error: GalerkinFlow) -> None:
        self.solver, self.error = solver, error
        self.n_states, self.n_terms = error.n_states, error.n_terms
        self._base: dict[float, FloatArray] = {}

    def advance(self, rows: FloatArray, h: float) -> FloatArray:
        """Return the states one step later."""
        moved = self.solver.advance(self.error.advance(rows, h / 2), h)
        return self.error.advance(moved, h / 2)

    def tangents(self, start: FloatArray, end: FloatArray, h: float) -> FloatArray:
        """Return derivatives of a step by the state, (n, n_states, n_states)."""
        base = self.solver.tangents(start, h)
        self._base[h] = np.abs(np.mean([np.diag(M) for M in base], axis=0))
        before = self.error.tangents(start, start, h / 2)
        after = self.error.tangents(end, end, h / 2)
        return after @ base @ before

    def term_rows(self, rows: FloatArray) -> FloatArray:
        """Return all candidate terms at states, (n, n_states, n_terms)."""
        return self.error.term_rows(rows)

    def sensitivities(self, terms: FloatArray, h: float) -> FloatArray:
        """Return derivatives of a step by the coefficients, (n, n_states, n_terms).

        The decay of a wave over the step, under solver and error, is read off the
        tangents.
        """
        rate = np.log(np.clip(self._base[h], 1e-12, None))
        phi = np.where(np.abs(rate) > 1e-6, np.expm1(rate) / np.where(rate == 0, 1, rate), 1.0)
        return self.error.sensitivities(terms, h) * phi[:, None]
