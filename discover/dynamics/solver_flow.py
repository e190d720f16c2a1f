"""A black-box solver, plus an error written in terms, seen on few waves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from discover.dynamics.etdrk4 import advance_modes, etdrk4_weights
from discover.dynamics.galerkin import GalerkinFlow
from discover.dynamics.solvers import Solver
from discover.observations.grid import Grid
from discover.problems.spectra import FourierTests
from discover.typing import FloatArray

__all__ = ["ProjectedSolver", "SteppedFlow", "TendencyFlow", "exponential"]

Modes = NDArray[np.complex128]
_SHAKE = 1e-4  # of the states' spread: differences of runs of the solver
_SHORT = 1 / 250.0  # of the solver's step: the step whose differences give the Jacobian
_STALE = 0.02  # root-mean-square change of the states after which Jacobians are made anew
_SMALL = 0.5  # norm up to which the exponential is a Taylor sum
_TAYLOR = 8
_STABLE = 1.5  # step times norm of what is not in the exponential
_LOOKED_AT = 8  # states at which that norm is taken


class ProjectedSolver:
    """A solver seen on the waves of a basis: its steps, and its Jacobian by differences of runs.

    Parameters
    ----------
    solver : Solver
    grid : Grid
        On which the solver works.
    basis : FourierTests
    scale : ndarray of shape (n_states,)
        Spread of the coordinates.
    dt : float
        Step of the solver.

    Notes
    -----
    A Jacobian takes an ensemble of one member more than there are coordinates, for one
    step that is too short for anything to happen but the tendency. Jacobians are kept
    until the trajectory has moved.
    """

    def __init__(
        self, solver: Solver, grid: Grid, basis: FourierTests, scale: FloatArray, dt: float
    ) -> None:
        self.solver, self.grid, self.basis, self.scale, self.dt = solver, grid, basis, scale, dt
        self._kept: dict[float, tuple[FloatArray, FloatArray]] = {}
        self._few: tuple[FloatArray, FloatArray] | None = None

    def tendency(self, rows: FloatArray, times: FloatArray) -> FloatArray:
        """Return the time derivative the solver stands for, shape (n, n_states)."""
        values = self.basis.expand(self.grid, rows)
        return self.basis.project(self.grid, self.solver.tendency(values, times, self.dt))

    def past(self, rows: FloatArray, times: FloatArray, h: float) -> FloatArray:
        """Return the states that came before under the solver, (n, history, n_states).

        A constant past would make the first step one of first order.
        """
        if self.solver.history == 1:
            return rows[:, None]
        age = np.arange(self.solver.history)[::-1, None]
        return rows[:, None] - h * age * self.tendency(rows, times)[:, None]

    def step(self, past: FloatArray, times: FloatArray, h: float) -> FloatArray:
        """Return the states one step of the solver after a past, shape (n, n_states)."""
        values = self.basis.expand(self.grid, past)
        values = values[:, 0] if self.solver.history == 1 else values
        return self.basis.project(self.grid, self.solver.step(values, times, h))

    def jacobian(self, rows: FloatArray, times: FloatArray, h: float) -> FloatArray:
        """Return the derivative of the tendency by the state, (n, n_states, n_states).

        Parameters
        ----------
        rows : ndarray of shape (n, n_states)
        times : ndarray of shape (n,)
        h : float
            Step of the trajectory, under which the Jacobians are kept.
        """
        kept = self._kept.get(h)
        if kept is not None and kept[0].shape == rows.shape:
            moved = np.sqrt(np.mean(((rows - kept[0]) / self.scale) ** 2))
            if moved < _STALE:
                return kept[1]
        out = np.array([self._differences(*pair) for pair in zip(rows, times, strict=True)])
        self._kept[h] = (rows.copy(), out)
        return out

    def typical(self, rows: FloatArray, times: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return a few of the first states that were ever passed, and their Jacobians."""
        if self._few is None:
            some = slice(None, None, max(1, len(rows) // _LOOKED_AT))
            pairs = zip(rows[some], times[some], strict=True)
            self._few = rows[some].copy(), np.array([self._differences(*pair) for pair in pairs])
        return self._few

    def _differences(self, row: FloatArray, time: float) -> FloatArray:
        shake = _SHAKE * self.scale
        members = np.concatenate([row + np.diag(shake), row[None]])
        past = np.repeat(members[:, None], self.solver.history, axis=1)
        step = self.solver.fixed_step or _SHORT * self.dt
        runs = self.step(past, np.full(len(members), time), step)
        M = ((runs[:-1] - runs[-1]) / shake[:, None]).T
        eye = np.eye(len(row))
        if self.solver.fixed_step is None:
            return np.asarray((M - eye) / step)
        return np.asarray(np.linalg.solve((M + eye).T, (M - eye).T).T * (2.0 / step))


class TendencyFlow:
    """The flow of the tendency that a solver stands for, plus an error ``sum theta_k term_k``.

    Parameters
    ----------
    solver : ProjectedSolver
    error : GalerkinFlow

    Notes
    -----
    The solver's own truncation error is no part of it. Stepped by ETDRK4 with the diagonal
    of the mean Jacobian, wave by wave, in the exponential; tangents are exponentials of the
    Jacobian midway.
    """

    def __init__(self, solver: ProjectedSolver, error: GalerkinFlow) -> None:
        self.solver, self.error = solver, error
        self.n_states, self.n_terms = error.n_states, error.n_terms
        self._phi: dict[float, FloatArray] = {}

    def rate(self, rows: FloatArray, times: FloatArray) -> FloatArray:
        """Return the time derivative, shape (n, n_states)."""
        return self.solver.tendency(rows, times) + self.error.rate(rows)

    def advance(self, rows: FloatArray, h: float, times: FloatArray) -> FloatArray:
        """Return the states after a time h, shape (n, n_states)."""
        basis = self.error.basis
        some, J = self.solver.typical(rows, times)
        J = J + self.error.jacobian(some)
        growth = basis.diagonal(J.mean(axis=0))
        rest = J - basis.rotated(growth, np.eye(self.n_states))
        n = max(1, int(np.ceil(h / _STABLE * np.linalg.norm(rest, 2, axis=(1, 2)).max())))
        weights = etdrk4_weights(growth, h / n)
        v = basis.complex(rows)
        for i in range(n):
            now = times + (i + 0.5) * h / n

            def nonlinear(modes: Modes, now: FloatArray = now) -> Modes:
                return basis.complex(self.rate(basis.coordinates(modes), now)) - growth * modes

            v = advance_modes(v, nonlinear, weights)
        return basis.coordinates(v)

    def tangents(
        self, start: FloatArray, end: FloatArray, h: float, times: FloatArray
    ) -> FloatArray:
        """Return derivatives of a step by the state, (n, n_states, n_states)."""
        middle = 0.5 * (start + end)
        J = self.solver.jacobian(middle, times + 0.5 * h, h) + self.error.jacobian(middle)
        M, self._phi[h] = exponential(h * J)
        return M

    def term_rows(self, rows: FloatArray, times: FloatArray | None = None) -> FloatArray:
        """Return all candidate terms at states, (n, n_states, n_terms)."""
        return self.error.term_rows(rows)

    def sensitivities(self, terms: FloatArray, h: float) -> FloatArray:
        """Return derivatives of a step by the coefficients, (n, n_states, n_terms)."""
        return np.asarray(h * self._phi[h] @ terms)


class SteppedFlow(TendencyFlow):
    """The flow of a solver that takes one step only, and an error, by Strang splitting.

    Notes
    -----
    The error is added to every step of the solver, so that the splitting is no coarser than
    the solver itself. Of a multi-step scheme the past is carried along by the error's flow:
    what the solver sees is its own motion alone, else the order of the scheme would drop.
    """

    def advance(self, rows: FloatArray, h: float, times: FloatArray) -> FloatArray:
        """Return the states after a time h, a multiple of the step; shape (n, n_states)."""
        n = max(1, int(np.ceil(h / self.solver.dt - 1e-9)))
        dt = h / n
        past = self.solver.past(self._correct(rows, 0.5 * dt), times, dt)
        for i in range(n):
            if i:
                past = self._correct(past, dt)
            moved = self.solver.step(past, times + i * dt, dt)
            past = np.concatenate([past[:, 1:], moved[:, None]], axis=1)
        return self._correct(past[:, -1], 0.5 * dt)

    def _correct(self, rows: FloatArray, dt: float) -> FloatArray:
        if not self.error.theta.any():
            return rows
        flat = rows.reshape(-1, self.n_states)
        return self.error.advance(flat, dt).reshape(rows.shape)


def exponential(A: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return ``exp(A)`` and ``phi(A) = (exp(A) - 1) / A`` of many matrices.

    Parameters
    ----------
    A : ndarray of shape (n, m, m)

    Returns
    -------
    exponential, phi : ndarray of shape (n, m, m)

    Notes
    -----
    Scaling and squaring of the Taylor sum of phi: ``phi(2A) = (exp(A) + 1) phi(A) / 2``
    (Higham, Functions of Matrices, SIAM 2008, section 10.7.4).
    """
    norm = float(np.abs(A).sum(axis=-1).max(initial=0.0))
    doublings = max(0, int(np.ceil(np.log2(max(norm, 1e-300) / _SMALL))))
    small, eye = A / 2.0**doublings, np.eye(A.shape[-1])
    phi = np.broadcast_to(eye, A.shape)
    for k in range(_TAYLOR, 1, -1):
        phi = eye + small @ phi / k
    E = eye + small @ phi
    for _ in range(doublings):
        phi = 0.5 * (E @ phi + phi)
        E = E @ E
    return E, np.asarray(phi)
