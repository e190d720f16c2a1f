"""A law of jets restricted to few waves: steps, tangents and sensitivities of many states."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from discover.dynamics.etdrk4 import advance_modes, contour, etdrk4_weights
from discover.dynamics.field_law import linear_form
from discover.observations.grid import Grid
from discover.observations.jets import Jet
from discover.problems.field_rows import FieldTerms, product_degree
from discover.problems.spectra import FourierTests
from discover.typing import FloatArray

__all__ = ["GalerkinFlow"]

Modes = NDArray[np.complex128]
_TAYLOR = 4  # terms of the exponential of the products' tangent


class GalerkinFlow:
    """The flow of ``sum theta_k term_k`` on the waves of a basis.

    Parameters
    ----------
    basis : FourierTests
        Its rows are the coordinates of a state.
    grid : Grid
        Of the basis.
    terms : FieldTerms
        Candidate terms, of one component.
    theta : ndarray of shape (n_terms,)

    Notes
    -----
    Linear terms are exact; products are formed without aliasing and stepped by ETDRK4
    (Cox and Matthews, J. Comput. Phys. 176 (2002) 430-455; weights by contour integrals,
    Kassam and Trefethen, SIAM J. Sci. Comput. 26 (2005) 1214-1233). Tangents are those of
    a Strang splitting: good enough for Gauss-Newton, whose fixed point they do not move.
    """

    def __init__(
        self, basis: FourierTests, grid: Grid, terms: FieldTerms, theta: FloatArray
    ) -> None:
        self.basis, self.grid, self.terms, self.theta = basis, grid, terms, theta
        self.n_states, self.n_terms = basis.n_rows, len(theta)
        self._weights: dict[float, tuple[Modes, ...]] = {}
        table = terms.table
        forms = [linear_form(table.expression(slot)) for slot in table.outputs.tolist()]
        local = [f if f is not None and set(f) <= set(self._jets(f)) else None for f in forms]
        self.symbols: list[Modes | None] = [None if f is None else self._symbol(f) for f in local]
        used = [k for k in range(len(theta)) if theta[k] != 0.0 and self.symbols[k] is None]
        self.products = used
        self.table = table.select(used) if used else None
        reach = float(grid.radius[basis.where].max())
        degree = 1 if self.table is None else product_degree(self.table)
        self.fine = grid.with_shape(grid.resolving(reach, degree))
        self.full = grid.with_shape(grid.resolving(reach, product_degree(table)))

    def _jets(self, form: dict[str, float]) -> list[str]:
        """Return the names in a form that are jets of the component itself."""
        (component,) = self.terms.components
        return [n for n in form if n == component or n.rpartition("_")[0] == component]

    def _symbol(self, form: dict[str, float]) -> Modes:
        out = np.zeros(self.basis.n_waves, dtype=np.complex128)
        for name, weight in form.items():
            orders = Jet.parse(name, self.terms.components, self.grid.names).orders
            multiplier = np.broadcast_to(self.grid.multiplier(orders), self.grid.radius.shape)
            out += weight * multiplier[self.basis.where]
        return out

    @cached_property
    def linear(self) -> Modes:
        """Growth rate of every wave under the linear terms."""
        out = np.zeros(self.basis.n_waves, dtype=np.complex128)
        for value, symbol in zip(self.theta, self.symbols, strict=True):
            if symbol is not None and value != 0.0:
                out += value * symbol
        return out

    # -- the law -------------------------------------------------------------------

    def _values(self, rows: FloatArray, grid: Grid) -> FloatArray:
        return self.basis.expand(grid, rows)[..., None]

    def nonlinear(self, modes: Modes) -> Modes:
        """Return the products' part of the tendency, in Fourier coefficients of the basis."""
        if self.table is None:
            return np.zeros_like(modes)
        states = self._values(self.basis.coordinates(modes), self.fine)
        part = FieldTerms(self.table, self.terms.components, self.terms.auxiliary)
        values = np.tensordot(part.evaluate(self.fine, states), self.theta[self.products], (1, 0))
        return self.basis.complex(self.basis.project(self.fine, values))

    def advance(self, rows: FloatArray, h: float, times: FloatArray | None = None) -> FloatArray:
        """Return the states one step later, shape (n, n_states); the law knows no time."""
        v = self.basis.complex(rows)
        if h not in self._weights:
            self._weights[h] = etdrk4_weights(self.linear, h)
        return self.basis.coordinates(advance_modes(v, self.nonlinear, self._weights[h]))

    # -- tangents ------------------------------------------------------------------

    def tangents(
        self, start: FloatArray, end: FloatArray, h: float, times: FloatArray | None = None
    ) -> FloatArray:
        """Return the derivative of a step by the state, about the middle of the step.

        Parameters
        ----------
        start, end : ndarray of shape (n, n_states)
        h : float
        times : ndarray of shape (n,), optional
            Not used.

        Returns
        -------
        ndarray of shape (n, n_states, n_states)
        """
        n = self.n_states
        rows = 0.5 * (start + end)
        out = np.broadcast_to(np.eye(n), (len(rows), n, n)).copy()
        if self.table is not None:
            J = h * self._product_jacobian(rows)
            for k in range(_TAYLOR, 0, -1):
                out = J @ out
                out /= k
                out += np.eye(n)
        half = np.exp(0.5 * h * self.linear)
        right = self.basis.rotated(half, np.eye(n))
        return self.basis.rotated(half, out @ right if half.imag.any() else out * np.diag(right))

    def rate(self, rows: FloatArray) -> FloatArray:
        """Return the time derivative, shape (n, n_states)."""
        v = self.basis.complex(rows)
        return self.basis.coordinates(self.linear * v + self.nonlinear(v))

    def jacobian(self, rows: FloatArray) -> FloatArray:
        """Return the derivative of the tendency by the state, (n, n_states, n_states)."""
        linear = self.basis.rotated(self.linear, np.eye(self.n_states))
        if self.table is None:
            return np.broadcast_to(linear, (len(rows), *linear.shape))
        return self._product_jacobian(rows) + linear

    @cached_property
    def _operators(self) -> tuple[FloatArray, list[FloatArray]]:
        """Projection (n_states, n_points), and jets of the basis (n_points, n_states) each."""
        assert self.table is not None
        eye = np.eye(self.n_states)
        modes = self.basis.modes(self.fine, eye)
        jets = []
        for name in self.table.inputs:
            orders = Jet.parse(name, self.terms.components, self.grid.names).orders
            values = self.fine.from_modes(modes * self.fine.multiplier(orders))
            jets.append(values.reshape(self.n_states, -1).T.copy())
        points = np.eye(self.fine.size).reshape(self.fine.size, *self.fine.shape)
        return self.basis.project(self.fine, points).T.copy(), jets

    def _product_jacobian(self, rows: FloatArray) -> FloatArray:
        assert self.table is not None
        project, jets = self._operators
        part = FieldTerms(self.table, self.terms.components, self.terms.auxiliary)
        inputs = part.inputs(self.fine, self._values(rows, self.fine))
        slopes = np.tensordot(self.table.jacobian(inputs), self.theta[self.products], (1, 0))
        slopes = slopes.reshape(len(rows), self.fine.size, -1)
        out = np.empty((len(rows), self.n_states, self.n_states))
        for J, g in zip(out, slopes, strict=True):
            inner = g[:, 0, None] * jets[0]
            for i in range(1, len(jets)):
                inner += g[:, i, None] * jets[i]
            np.matmul(project, inner, out=J)
        return out

    def term_rows(self, rows: FloatArray, times: FloatArray | None = None) -> FloatArray:
        """Return all terms at states, projected, shape (n, n_states, n_terms)."""
        return self.terms.project(self.full, self._values(rows, self.full), self.basis)

    def sensitivities(self, terms: FloatArray, h: float) -> FloatArray:
        """Return the derivative of a step by the coefficients.

        Parameters
        ----------
        terms : ndarray of shape (n, n_states, n_terms)
            Mean of the terms over the step.
        h : float

        Returns
        -------
        ndarray of shape (n, n_states, n_terms)
        """
        circle = contour(self.linear, h)
        phi = h * ((np.exp(circle) - 1) / circle).mean(axis=1)
        return self.basis.rotated(phi, terms)
