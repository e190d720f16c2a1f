"""A solver of ordinary differential equations plus an error in terms, as a flow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from discover.dynamics.classical import runge_kutta_step
from discover.dynamics.solvers import Solver
from discover.problems.local_rows import LocalTerms
from discover.typing import FloatArray

__all__ = ["PointFlow"]

_TAYLOR = 6  # terms of the exponential of the tangent
_SHAKE = 1e-6  # of the states' spread: differences that give the Jacobian of a solver


class PointFlow:
    """The flow of ``f(x) + sum theta_jk term_k(x)``, component j, the same at every site.

    Parameters
    ----------
    solver : Solver
        Its tendency is f.
    terms : LocalTerms
        Candidates.
    theta : ndarray of shape (n_components * n_terms,)
        Coefficients, component by component.
    scale : ndarray of shape (n_states,)
        Spread of the states.
    substeps : int, default=1
        Runge-Kutta steps to one step of the flow.
    controls : callable, optional
        Returns the controls at times (n,), shape (n, n_controls); the terms are then over
        states and controls.

    Notes
    -----
    Steps are those of the classical Runge-Kutta scheme; tangents the exponential of the
    Jacobian midway.
    """

    def __init__(
        self,
        solver: Solver,
        terms: LocalTerms,
        theta: FloatArray,
        scale: FloatArray,
        substeps: int = 1,
        controls: Callable[[FloatArray], FloatArray] | None = None,
    ) -> None:
        self.solver, self.terms, self.scale, self.substeps = solver, terms, scale, substeps
        self.controls = controls
        self.n_states = len(scale)
        self.coefficients = theta.reshape(len(terms.components), terms.table.n_terms)
        self.n_terms = theta.size

    def rate(self, rows: FloatArray, h: float, times: FloatArray) -> FloatArray:
        """Return the time derivative, shape (n, n_states)."""
        u = None if self.controls is None else self.controls(times)
        base = self.solver.tendency(rows, times, h, u)
        return base + (self.terms.evaluate(rows, u) @ self.coefficients.T).reshape(base.shape)

    def advance(self, rows: FloatArray, h: float, times: FloatArray) -> FloatArray:
        """Return the states one step later."""
        dt, x = h / self.substeps, rows
        for i in range(self.substeps):
            x = runge_kutta_step(lambda x, t: self.rate(x, dt, t), x, times + i * dt, dt)
        return x

    def tangents(
        self, start: FloatArray, end: FloatArray, h: float, times: FloatArray
    ) -> FloatArray:
        """Return derivatives of a step by the state, (n, n_states, n_states)."""
        J = h * self._jacobian(0.5 * (start + end), h, times + 0.5 * h)
        eye = np.eye(self.n_states)
        out = np.broadcast_to(eye, J.shape)
        for k in range(_TAYLOR, 0, -1):
            out = eye + J @ out / k
        return np.asarray(out)

    def _jacobian(self, rows: FloatArray, h: float, times: FloatArray) -> FloatArray:
        out = np.empty((len(rows), self.n_states, self.n_states))
        for i, step in enumerate(_SHAKE * self.scale):
            shift = np.zeros(self.n_states)
            shift[i] = step
            change = self.rate(rows + shift, h, times) - self.rate(rows - shift, h, times)
            out[:, :, i] = change / (2.0 * step)
        return out

    def term_rows(self, rows: FloatArray, times: FloatArray) -> FloatArray:
        """Return all candidate terms at states, (n, n_states, n_components * n_terms)."""
        u = None if self.controls is None else self.controls(times)
        values = self.terms.evaluate(rows, u)
        n, n_sites, n_terms = values.shape
        d = len(self.coefficients)
        out = np.zeros((n, n_sites, d, d, n_terms))
        for j in range(d):
            out[:, :, j, j] = values
        return out.reshape(n, self.n_states, self.n_terms)

    def sensitivities(self, terms: FloatArray, h: float) -> FloatArray:
        """Return derivatives of a step by the coefficients, to second order in h."""
        return h * terms
