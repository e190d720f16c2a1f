"""A law of jets as dynamics on a grid with open axes, where the ends are held."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import expm

from discover.dynamics.classical import lawson_step
from discover.dynamics.field_law import check_targets, linear_form
from discover.exceptions import SimulationError
from discover.observations.grid import Grid
from discover.problems.field_rows import Auxiliary, FieldTerms
from discover.symbolic.model import SymbolicModel
from discover.typing import BoolArray, FloatArray

__all__ = ["OpenFieldLaw"]

_MOST_EXACT = 1024  # unknowns up to which linear terms are applied as a matrix exponential


@dataclass(frozen=True, eq=False)
class OpenFieldLaw:
    """Right-hand side of a partial differential equation, but for its ends.

    Parameters
    ----------
    model : SymbolicModel
        Of kind "direct": its states are jets, its targets ``u_t``, one per component.
    grid : Grid
        With open axes, on the ends of which the values do not change: boundary conditions
        are the affair of the solver that is corrected.
    components : tuple of str
    auxiliary : callable, optional
        See :class:`FieldLaw`.

    Notes
    -----
    Derivatives are central differences of order six. Steps are those of the classical
    scheme in the moving frame of the linear terms (Lawson, SIAM J. Numer. Anal. 4 (1967)
    372-380), whose exponential is that of a dense matrix: missing diffusion does not limit
    the step.
    """

    model: SymbolicModel
    grid: Grid
    components: tuple[str, ...]
    auxiliary: Auxiliary | None = None
    vectorized: ClassVar[bool] = True
    _kept: dict[float, FloatArray] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        check_targets("OpenFieldLaw", self.model, self.components)

    @cached_property
    def held(self) -> BoolArray:
        """The points at the ends of open axes."""
        out = np.zeros(self.grid.shape, dtype=bool)
        for i, axis in enumerate(self.grid.axes):
            if not axis.periodic:
                np.moveaxis(out, i, 0)[[0, -1]] = True
        return out

    @cached_property
    def _split(self) -> tuple[SymbolicModel | None, SymbolicModel | None]:
        """The law of the linear terms, and that of the others."""
        table = self.model.table
        linear = np.array(
            [linear_form(table.expression(slot)) is not None for slot in table.outputs.tolist()],
            dtype=bool,
        )
        if self.auxiliary is not None or self.grid.size * len(self.components) > _MOST_EXACT:
            linear[:] = False
        parts = [self.model.coefficients * keep for keep in (linear, ~linear)]
        laws = [self.model.with_coefficients(c).pruned() if c.any() else None for c in parts]
        return laws[0], laws[1]

    def _rate(self, model: SymbolicModel, states: FloatArray) -> FloatArray:
        """Return the tendency of states (n, *grid, n_components) under a law."""
        terms = FieldTerms(model.table, self.components, self.auxiliary)
        rate = model.rhs(terms.inputs(self.grid, states)).reshape(states.shape)
        rate[:, self.held] = 0.0
        return rate

    def _propagator(self, dt: float) -> FloatArray | None:
        """Return the exponential of the linear terms over a time."""
        if self._split[0] is None:
            return None
        if dt not in self._kept:
            if len(self._kept) > 8:
                self._kept.clear()
            shape = (*self.grid.shape, len(self.components))
            size = int(np.prod(shape))
            L = self._rate(self._split[0], np.eye(size).reshape(size, *shape)).reshape(size, size)
            self._kept[dt] = np.asarray(expm(dt * L))
        return self._kept[dt]

    def _states(self, x: ArrayLike) -> FloatArray:
        """Return states with a first axis for many of them and a last one for components."""
        n = len(self.components)
        wanted = self.grid.shape if n == 1 else (*self.grid.shape, n)
        if np.shape(x)[-len(wanted) :] != wanted:
            raise SimulationError(
                f"OpenFieldLaw: a state must have shape {wanted}; got {np.shape(x)}."
            )
        return np.array(x, dtype=np.float64).reshape(-1, *self.grid.shape, n)

    def rhs(self, x: ArrayLike, t: float = 0.0, u: ArrayLike | None = None) -> FloatArray:
        """Return the time derivative, shape ``(*grid,)`` or ``(*grid, n_components)``."""
        return self._rate(self.model, self._states(x)).reshape(np.shape(x))

    def step(self, x: ArrayLike, t: float, dt: float, u: ArrayLike | None = None) -> FloatArray:
        """Return the field one step later."""
        products = self._split[1]
        v, E = self._states(x), self._propagator(0.5 * float(dt))

        def moved(states: FloatArray) -> FloatArray:
            if E is None:
                return states
            return np.asarray((states.reshape(len(states), -1) @ E).reshape(states.shape))

        if products is None:
            return moved(moved(v)).reshape(np.shape(x))
        return lawson_step(partial(self._rate, products), moved, v, dt).reshape(np.shape(x))
