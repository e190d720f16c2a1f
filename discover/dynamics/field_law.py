"""A law of jets as dynamics on a periodic grid, and a solver corrected by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import expm

from discover.dynamics.classical import lawson_step
from discover.dynamics.etdrk4 import advance_modes, etdrk4_weights
from discover.dynamics.solvers import Solver
from discover.libraries.termtable import TermTableBuilder
from discover.observations.grid import Grid
from discover.observations.jets import Jet, jet_rows
from discover.problems.field_rows import Auxiliary, product_degree
from discover.symbolic.model import SymbolicModel
from discover.typing import FloatArray

__all__ = ["CorrectedSolver", "FieldLaw", "check_targets", "linear_form"]

Modes = NDArray[np.complex128]


def linear_form(expression: Any) -> dict[str, float] | None:
    """Return the weights of the inputs in an expression that is linear in them, or None.

    Parameters
    ----------
    expression : nested list
        As written by :meth:`TermTable.expression`.

    Examples
    --------
    >>> linear_form(["add", "u_xx", ["mul", 2.0, "u_yy"]])
    {'u_xx': 1.0, 'u_yy': 2.0}
    """
    if isinstance(expression, str):
        return {expression: 1.0}
    if not isinstance(expression, list):
        return None
    name, *arguments = expression
    if name == "neg":
        return _scaled(linear_form(arguments[0]), -1.0)
    if name in ("add", "sub"):
        left, right = (linear_form(a) for a in arguments)
        right = _scaled(right, -1.0 if name == "sub" else 1.0)
        if left is None or right is None:
            return None
        return {k: left.get(k, 0.0) + right.get(k, 0.0) for k in [*left, *right]}
    if name in ("mul", "div") and isinstance(arguments[1], int | float):
        factor = float(arguments[1])
        return _scaled(linear_form(arguments[0]), factor if name == "mul" else 1.0 / factor)
    if name == "mul" and isinstance(arguments[0], int | float):
        return _scaled(linear_form(arguments[1]), float(arguments[0]))
    return None


def _scaled(weights: dict[str, float] | None, factor: float) -> dict[str, float] | None:
    return None if weights is None else {k: factor * w for k, w in weights.items()}


def check_targets(owner: str, model: SymbolicModel, components: Sequence[str]) -> None:
    """Raise ValueError if a law does not have one target per component."""
    if len(model.target_names) != len(components):
        raise ValueError(
            f"{owner}: model must have one target per component {list(components)}; "
            f"got {list(model.target_names)}."
        )


@dataclass(frozen=True, eq=False)
class FieldLaw:
    """Right-hand side of a partial differential equation on a periodic grid.

    Parameters
    ----------
    model : SymbolicModel
        Of kind "direct": its states are jets, its targets ``u_t``, one per component.
    grid : Grid
        Periodic along every axis.
    components : tuple of str
    auxiliary : callable, optional
        ``auxiliary(fields, grid)`` returns further fields, computed from the components,
        whose jets the law uses.
    reach : float, optional
        Wavenumber beyond which linear terms do not make waves grow: for the error of a
        solver, which is known on the waves that were observed.

    Notes
    -----
    Linear terms with constant coefficients are applied exactly, as an exponential in
    Fourier space; products are formed on a grid fine enough that resolved waves do not
    alias. Steps are those of ETDRK4 (Cox and Matthews, J. Comput. Phys. 176 (2002) 430-455),
    which keep the balance of short waves between damping and products; where linear terms
    couple the components, of the classical scheme in the moving frame of the linear terms
    (Lawson, SIAM J. Numer. Anal. 4 (1967) 372-380), which does not: waves that are damped
    within a step then have a wrong, small amplitude.
    """

    model: SymbolicModel
    grid: Grid
    components: tuple[str, ...]
    auxiliary: Auxiliary | None = None
    reach: float = np.inf
    vectorized: ClassVar[bool] = True  # steps many fields at once
    _kept: dict[float, tuple[Modes, ...]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.grid.is_periodic:
            raise ValueError(
                "FieldLaw: grid must be periodic along every axis; for a ring of sites use SiteLaw."
            )
        check_targets("FieldLaw", self.model, self.components)

    @property
    def _single(self) -> bool:
        return len(self.components) == 1

    @cached_property
    def _forms(self) -> list[dict[str, float] | None]:
        """Linear forms of the terms in components alone; None for the others."""
        table = self.model.table
        forms = [linear_form(table.expression(slot)) for slot in table.outputs.tolist()]
        return [f if f is not None and self._is_local(f) else None for f in forms]

    def _is_local(self, form: Mapping[str, float]) -> bool:
        return all(name.rpartition("_")[0] in self.components or name in self.components
                   for name in form)  # fmt: skip

    @cached_property
    def symbol(self) -> Modes:
        """Matrix of the linear part per mode, shape ``(*modes, n_components, n_components)``."""
        n = len(self.components)
        out = np.zeros((*self.grid.radius.shape, n, n), dtype=np.complex128)
        for (target, term), c in np.ndenumerate(self.model.coefficients):
            form = self._forms[term]
            if c == 0.0 or form is None:
                continue
            for name, weight in form.items():
                jet = Jet.parse(name, self.components, self.grid.names)
                source = self.components.index(jet.component)
                out[..., target, source] += c * weight * self.grid.multiplier(jet.orders)
        beyond = np.broadcast_to((self.grid.radius > self.reach)[..., None, None], out.shape)
        out.real[beyond] = np.minimum(out.real[beyond], 0.0)
        return out

    @cached_property
    def _products(self) -> SymbolicModel | None:
        """The law without its linear part, or None when nothing is left."""
        rest = self.model.coefficients.copy()
        rest[:, [form is not None for form in self._forms]] = 0.0
        return self.model.with_coefficients(rest).pruned() if rest.any() else None

    @cached_property
    def _fine(self) -> Grid:
        assert self._products is not None
        degree = max(2, product_degree(self._products.table))
        shape = [(n * (degree + 1) + 1) // 2 for n in self.grid.shape]
        return self.grid.with_shape([s + s % 2 for s in shape])

    def _nonlinear(self, modes: Modes) -> Modes:
        """Return the modes of the products, shape ``(n_components, *modes)``."""
        if self._products is None:
            return np.zeros_like(modes)
        coarse = self.grid.from_modes(modes)
        fields = {
            name: self.grid.resampled(coarse[i], self._fine.shape)[None]
            for i, name in enumerate(self.components)
        }
        if self.auxiliary is not None:
            fields.update(self.auxiliary(fields, self._fine))
        rows = jet_rows(self._fine, fields, self._products.table.inputs)
        lead = coarse.shape[: -len(self.grid.axes)]
        values = self._products.rhs(rows).T.reshape(*lead, *self._fine.shape)
        return self.grid.to_modes(self._fine.resampled(values, self.grid.shape))

    def _to_modes(self, x: ArrayLike) -> Modes:
        values = np.asarray(x, dtype=np.float64)
        return self.grid.to_modes(values[None] if self._single else np.moveaxis(values, -1, 0))

    def _to_values(self, modes: Modes) -> FloatArray:
        values = self.grid.from_modes(modes)
        return values[0] if self._single else np.moveaxis(values, 0, -1)

    def _linear(self, matrix: Modes, modes: Modes) -> Modes:
        if self._single:
            return np.asarray(matrix[..., 0, 0] * modes)
        return np.asarray(np.einsum("...ij,j...->i...", matrix, modes))

    def rhs(self, x: ArrayLike, t: float = 0.0, u: ArrayLike | None = None) -> FloatArray:
        """Return the time derivative, shape ``(*grid,)`` or ``(*grid, n_components)``."""
        modes = self._to_modes(x)
        return self._to_values(self._linear(self.symbol, modes) + self._nonlinear(modes))

    def propagator(self, dt: float) -> Modes:
        """Return the exponential of the linear part over a time, per mode."""
        return np.exp(dt * self.symbol) if self._single else np.asarray(expm(dt * self.symbol))

    @cached_property
    def _growth(self) -> Modes | None:
        """Linear part of every component alone, or None where it couples them."""
        n = len(self.components)
        if self.symbol[..., ~np.eye(n, dtype=bool)].any():
            return None
        return np.moveaxis(self.symbol[..., np.arange(n), np.arange(n)], -1, 0)

    def _made_once(self, dt: float) -> tuple[Modes, ...]:
        """Return the weights of ETDRK4, or the propagator over half a step."""
        if dt not in self._kept:
            if len(self._kept) > 8:
                self._kept.clear()
            self._kept[dt] = (
                (self.propagator(0.5 * dt),)
                if self._growth is None
                else etdrk4_weights(self._growth, dt)
            )
        return self._kept[dt]

    def step(self, x: ArrayLike, t: float, dt: float, u: ArrayLike | None = None) -> FloatArray:
        """Return the field one step later."""
        v = self._to_modes(x)
        if self._growth is None:
            return self._lawson(v, dt)
        lead = (len(v),) + (1,) * (v.ndim - self._growth.ndim) + self._growth.shape[1:]
        weights = tuple(w.reshape(lead) for w in self._made_once(float(dt)))
        return self._to_values(advance_modes(v, self._nonlinear, weights))

    def _lawson(self, v: Modes, dt: float) -> FloatArray:
        (propagator,) = self._made_once(float(dt))
        half = partial(self._linear, propagator)
        if self._products is None:
            return self._to_values(half(half(v)))
        return self._to_values(lawson_step(self._nonlinear, half, v, dt))


@dataclass(frozen=True, eq=False)
class CorrectedSolver:
    """A solver and the error that was found in it, as one dynamical law.

    Parameters
    ----------
    solver : Solver
    error : Dynamics
        A :class:`FieldLaw`, or a continuous :class:`~discover.SymbolicModel`.
    dt : float, default=1e-3
        Scale of time. The tendency of a solver without `rhs` is found from steps that are
        much smaller.

    Notes
    -----
    Strang splitting (SIAM J. Numer. Anal. 5 (1968) 506-517): half a step of the error, a
    step of the solver, half a step of the error; of second order in the step. Missing
    diffusion is exact that way, where adding it to the tendency would explode. Of a
    multi-step scheme the past is carried along by the error's flow, because what the
    solver should see is its own motion. Waves that either part damps within a step get a
    wrong, small amplitude; a solver that is itself a law is stepped with its error as one
    law, without splitting.
    """

    solver: Solver
    error: Any
    dt: float = 1e-3

    @property
    def history(self) -> int:
        """How many past states a step needs."""
        return self.solver.history

    @cached_property
    def law(self) -> FieldLaw | None:
        """Solver and error as one law, where the solver is a law of known terms."""
        base = self.solver.dynamics
        if not (isinstance(base, FieldLaw) and isinstance(self.error, FieldLaw)):
            return None
        return None if self.solver.fixed_step else _sum(base, self.error)

    def rhs(self, x: ArrayLike, t: float = 0.0, u: ArrayLike | None = None) -> FloatArray:
        """Return the time derivative: the solver's and the error's."""
        states = np.asarray(x, dtype=np.float64)
        controls = None if u is None else np.asarray(u, dtype=np.float64).reshape(1, -1)
        base = self.solver.tendency(states[None], np.array([t]), self.dt, controls)[0]
        return np.asarray(base + self.error.rhs(states, t, u))

    def step(self, x: ArrayLike, t: float, dt: float, u: ArrayLike | None = None) -> FloatArray:
        """Return the state one step later; `x` has a leading axis where there is a history."""
        if self.law is not None:
            return self.law.step(x, t, dt)
        states = np.asarray(x, dtype=np.float64)
        if self.history > 1:
            ages = np.arange(self.history)[::-1]
            moved = np.stack([self.error.step(past, t, (age + 0.5) * dt, u)
                              for past, age in zip(states, ages, strict=True)])  # fmt: skip
        else:
            moved = self.error.step(states, t, 0.5 * dt, u)
        controls = None if u is None else np.asarray(u, dtype=np.float64)
        base = self.solver.advance(moved, t, dt, controls)
        return np.asarray(self.error.step(base, t + 0.5 * dt, 0.5 * dt, u))


def _sum(a: FieldLaw, b: FieldLaw) -> FieldLaw:
    """Return two laws of the same fields as one."""
    inputs = tuple(dict.fromkeys([*a.model.state_names, *b.model.state_names]))
    models = []
    for law in (a, b):
        builder = TermTableBuilder(inputs)
        table = builder.table(builder.copy(law.model.table, law.model.table.outputs.tolist()))
        models.append(replace(law.model, table=table, state_names=inputs))
    whole = models[0] + models[1]
    return replace(a, model=whole, auxiliary=a.auxiliary or b.auxiliary)
