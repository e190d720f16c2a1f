"""SymbolicModel: the closed form every method of this package ends in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from discover.kernels import terms as kernel
from discover.libraries.termtable import TermTable, TermTableBuilder
from discover.observations import read_names, velocity_name
from discover.symbolic.saturation import Saturation
from discover.typing import BoolArray, FloatArray

if TYPE_CHECKING:
    from discover.dynamics.simulation import Simulation

__all__ = ["Kind", "SymbolicModel"]

Kind = Literal["continuous", "map", "increment", "direct"]
KINDS: tuple[Kind, ...] = ("continuous", "map", "increment", "direct")


@dataclass(frozen=True, eq=False)
class SymbolicModel:
    """A law: terms times coefficients, with their uncertainty.

    Parameters
    ----------
    table : TermTable
        The terms; its inputs are the states, the controls and, when the law depends on
        it, the time, in this order.
    coefficients : ndarray of shape (n_targets, n_terms)
    state_names : sequence of str
    control_names : sequence of str, default=()
    target_names : sequence of str, optional
        By default the states.
    time_name : str or None, default=None
        Name of the input that is the time; None for autonomous laws.
    kind : {"continuous", "map", "increment", "direct"}
        What the targets are: dx/dt, x[k+1], x[k+1] - x[k], or values of a function.
    dt : float, optional
        Time step of a map or an increment.
    support : ndarray of bool, shape (n_targets, n_terms), optional
        Which terms are in the law; by default the nonzero coefficients.
    covariance : ndarray of shape (n_active, n_active), optional
        Posterior covariance of the coefficients in the support, in the order of
        ``np.argwhere(support)``.
    units : mapping of str to str, optional
        Units by name of state, control or time.
    saturation : Saturation, optional
        To which the values of a law of kind "direct" are clipped.

    Notes
    -----
    A model is frozen: a posterior draw, a truncated or a corrected law is a new model.
    """

    table: TermTable
    coefficients: FloatArray
    state_names: Sequence[str]
    control_names: Sequence[str] = ()
    target_names: Sequence[str] = ()
    time_name: str | None = None
    kind: Kind = "continuous"
    dt: float | None = None
    support: BoolArray | None = None
    covariance: FloatArray | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    saturation: Saturation | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "state_names", tuple(self.state_names))
        put(self, "control_names", tuple(self.control_names))
        put(self, "target_names", tuple(self.target_names) or self.state_names)
        coefficients = np.array(self.coefficients, dtype=np.float64, ndmin=2)
        support = coefficients != 0 if self.support is None else np.array(self.support, dtype=bool)
        self._check(coefficients, support)
        arrays = {"coefficients": coefficients, "support": support}
        if self.covariance is not None:
            arrays["covariance"] = self._checked_covariance(int(support.sum()))
        for name, array in arrays.items():
            array.flags.writeable = False
            put(self, name, array)
        put(self, "units", dict(self.units))

    def _check(self, coefficients: FloatArray, support: BoolArray) -> None:
        shape = (len(self.target_names), self.table.n_terms)
        if coefficients.shape != shape or support.shape != shape:
            raise ValueError(
                f"SymbolicModel: coefficients and support must have shape {shape} (targets, "
                f"terms); got {coefficients.shape} and {support.shape}."
            )
        if not np.isfinite(coefficients).all():
            raise ValueError("SymbolicModel: coefficients must be finite.")
        if (coefficients[~support] != 0).any():
            raise ValueError("SymbolicModel: a coefficient outside the support must be 0.")
        if self.kind not in KINDS:
            raise ValueError(f"SymbolicModel: kind must be one of {KINDS}; got {self.kind!r}.")
        if self.kind in ("map", "increment") and self.dt is not None and not self.dt > 0:
            raise ValueError(f"SymbolicModel: dt must be positive; got {self.dt}.")
        time = () if self.time_name is None else (self.time_name,)
        expected = (*self.state_names, *self.control_names, *time)
        if self.table.inputs != expected:
            raise ValueError(
                f"SymbolicModel: the table must have the inputs {expected} (states, controls, "
                f"time); got {self.table.inputs}."
            )
        if self.kind != "direct" and self.target_names != self.state_names:
            raise ValueError("SymbolicModel: the targets of a dynamical law are its states.")
        if self.saturation is not None:
            self._check_saturation(self.saturation)

    def _check_saturation(self, saturation: Saturation) -> None:
        if self.kind != "direct" or len(saturation.low) != len(self.target_names):
            raise ValueError(
                "SymbolicModel: saturation must have one pair of limits per target, and goes with "
                f"kind 'direct'; got {len(saturation.low)} for {len(self.target_names)} targets of "
                f"a law of kind {self.kind!r}."
            )

    def _checked_covariance(self, n_active: int) -> FloatArray:
        covariance = np.array(self.covariance, dtype=np.float64)
        if covariance.shape != (n_active, n_active) or not np.isfinite(covariance).all():
            raise ValueError(
                f"SymbolicModel: covariance must be finite, of shape {(n_active, n_active)}; "
                f"got {covariance.shape}."
            )
        return covariance

    # -- shape ---------------------------------------------------------------------

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.state_names)

    @property
    def n_controls(self) -> int:
        """Number of controls."""
        return len(self.control_names)

    @property
    def term_names(self) -> tuple[str, ...]:
        """Text of every term."""
        return self.table.names

    @property
    def complexity(self) -> int:
        """Number of terms in the law, over all equations that say something.

        The equation ``y' = y_dot`` of a second-order law says nothing.
        """
        assert self.support is not None
        return int(self.support.sum()) - len(self.velocities)

    @cached_property
    def velocities(self) -> dict[int, int]:
        """For each coordinate of a second-order law, where its velocity is among the states.

        A state ``y`` is such a coordinate when its equation is exactly ``y' = y_dot``.
        """
        if self.kind != "continuous":
            return {}
        assert self.support is not None
        places = {name: i for i, name in enumerate(self.state_names)}
        found = {}
        for i, name in enumerate(self.state_names):
            j = places.get(velocity_name(name))
            terms = np.flatnonzero(self.support[i])
            if j is None or len(terms) != 1 or self.table.outputs[terms[0]] != j:
                continue
            if self.coefficients[i, terms[0]] == 1 and not self.standard_errors[i, terms[0]] > 0:
                found[i] = j
        return found

    @cached_property
    def standard_errors(self) -> FloatArray:
        """Standard errors, shape (n_targets, n_terms); NaN where none is known."""
        errors = np.full(self.coefficients.shape, np.nan)
        if self.covariance is not None:
            errors[self.support] = np.sqrt(np.clip(np.diag(self.covariance), 0, None))
        return errors

    @cached_property
    def program(self) -> tuple[NDArray[Any], ...]:
        """What the kernels read: program, constants, indptr, slots, weights.

        Holds only the instructions that the terms in the law need.
        """
        assert self.support is not None
        used = np.flatnonzero(self.support.any(axis=0))
        builder = TermTableBuilder(self.table.inputs)
        slots = builder.copy(self.table, self.table.outputs[used].tolist())
        table = builder.table(slots)
        targets, terms = np.nonzero(self.support[:, used])
        indptr = np.searchsorted(targets, np.arange(len(self.coefficients) + 1))
        weights = self.coefficients[:, used][targets, terms]
        chosen = np.array(slots, dtype=np.int32)[terms]
        return table.program, table.constants, indptr.astype(np.int32), chosen, weights

    # -- values --------------------------------------------------------------------

    def rhs(self, x: ArrayLike, t: ArrayLike = 0.0, u: ArrayLike | None = None) -> FloatArray:
        """Evaluate the law.

        Parameters
        ----------
        x : array-like of shape (..., n_states)
        t : float or array-like of shape (...), default=0.0
        u : array-like of shape (..., n_controls), optional

        Returns
        -------
        ndarray of shape (..., n_targets)
        """
        inputs, shape = self._inputs(x, t, u)
        out = self._values(inputs)
        out = out if self.saturation is None else self.saturation(out)
        return out[0] if len(shape) == 1 else out.reshape(shape)

    def _values(self, inputs: FloatArray) -> FloatArray:
        """Return the sums of the terms, not saturated, on rows of inputs."""
        out = np.empty((inputs.shape[0], len(self.target_names)))
        program, constants, indptr, slots, weights = self.program
        kernel.model_values(program, constants, indptr, slots, weights, inputs, out)
        return out

    def __call__(self, x: ArrayLike, t: ArrayLike = 0.0, u: ArrayLike | None = None) -> FloatArray:
        """Evaluate the law; see :meth:`rhs`."""
        return self.rhs(x, t, u)

    def _inputs(
        self, x: ArrayLike, t: ArrayLike, u: ArrayLike | None
    ) -> tuple[FloatArray, tuple[int, ...]]:
        """Stack states, controls and time into rows; also the shape of the answer."""
        x = np.ascontiguousarray(x, dtype=np.float64)
        if x.ndim == 0 or x.shape[-1] != len(self.state_names):
            raise ValueError(
                f"SymbolicModel: x must have shape (..., {self.n_states}) for the states "
                f"{list(self.state_names)}; got {x.shape}."
            )
        lead = x.shape[:-1]
        shape = (*lead, len(self.target_names))
        if u is not None and not self.control_names:
            raise ValueError("SymbolicModel: u was given, but the law has no controls.")
        if not self.control_names and self.time_name is None:
            return x.reshape(-1, len(self.state_names)), shape
        parts = [x]
        if self.control_names:
            parts.append(self._controls(u, lead))
        if self.time_name is not None:
            parts.append(np.broadcast_to(np.asarray(t, dtype=np.float64), lead)[..., None])
        rows = np.concatenate(parts, axis=-1)
        return rows.reshape(-1, rows.shape[-1]), shape

    def _controls(self, u: ArrayLike | None, lead: tuple[int, ...]) -> FloatArray:
        if u is None:
            raise ValueError(f"SymbolicModel: u is needed: controls {list(self.control_names)}.")
        u = np.asarray(u, dtype=np.float64)
        if self.n_controls == 1 and u.shape in (lead, ()):
            u = u[..., None]
        if u.ndim == 0 or u.shape[-1] != self.n_controls:
            raise ValueError(
                f"SymbolicModel: u must have shape (..., {self.n_controls}) for the controls "
                f"{list(self.control_names)}; got {u.shape}."
            )
        return np.broadcast_to(u, (*lead, self.n_controls))

    def jacobian(
        self,
        x: ArrayLike,
        t: ArrayLike = 0.0,
        u: ArrayLike | None = None,
        *,
        wrt: Literal["states", "controls", "time", "inputs"] = "states",
    ) -> FloatArray:
        """Differentiate the law at given states.

        Parameters
        ----------
        x, t, u
            As for :meth:`rhs`.
        wrt : {"states", "controls", "time", "inputs"}, default="states"

        Returns
        -------
        ndarray of shape (..., n_targets, n_columns)
            ``n_columns`` is the number of states, controls, 1, or all inputs. Rows of
            saturated values are 0.
        """
        inputs, shape = self._inputs(x, t, u)
        out = np.empty((inputs.shape[0], len(self.coefficients), inputs.shape[1]))
        program, constants, indptr, slots, weights = self.program
        kernel.model_jacobian(program, constants, indptr, slots, weights, inputs, out)
        if self.saturation is not None:
            out[~self.saturation.passes(self._values(inputs))] = 0.0
        n, m = self.n_states, self.n_controls
        columns = {
            "states": slice(0, n),
            "controls": slice(n, n + m),
            "time": slice(n + m, None),
            "inputs": slice(None),
        }
        if wrt not in columns:
            raise ValueError(f"SymbolicModel: wrt must be one of {list(columns)}; got {wrt!r}.")
        return out.reshape(*shape, inputs.shape[1])[..., columns[wrt]]

    def step(
        self,
        x: ArrayLike,
        t: float = 0.0,
        dt: float | None = None,
        u: ArrayLike | None = None,
    ) -> FloatArray:
        """Advance the state by one step.

        Parameters
        ----------
        x : array-like of shape (..., n_states)
        t : float, default=0.0
        dt : float, optional
            Length of the step; by default that of the model. A continuous law takes one
            step of the classical fourth-order Runge-Kutta method; a map can only take its
            own step.
        u : array-like of shape (..., n_controls), optional
            Held constant over the step.
        """
        if self.kind == "direct":
            raise ValueError("SymbolicModel: a law of kind 'direct' has no step.")
        if self.kind != "continuous":
            if dt is not None and self.dt is not None and not np.isclose(dt, self.dt):
                raise ValueError(f"SymbolicModel: the step of this map is {self.dt}; got {dt}.")
            value = self.rhs(x, t, u)
            return value if self.kind == "map" else np.asarray(x, dtype=np.float64) + value
        dt = self.dt if dt is None else dt
        if dt is None:
            raise ValueError("SymbolicModel: dt is needed to step a continuous law.")
        x = np.asarray(x, dtype=np.float64)
        k1 = self.rhs(x, t, u)
        k2 = self.rhs(x + 0.5 * dt * k1, t + 0.5 * dt, u)
        k3 = self.rhs(x + 0.5 * dt * k2, t + 0.5 * dt, u)
        k4 = self.rhs(x + dt * k3, t + dt, u)
        return np.asarray(x + dt / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4))

    def simulate(self, x0: ArrayLike, t: ArrayLike, u: Any = None, **options: Any) -> Simulation:
        """Integrate from an initial state; see :func:`discover.dynamics.simulate`.

        `x0` may also be a mapping or a pandas Series that names the states.
        """
        from discover.dynamics.integrators import simulate

        return simulate(self, self._named_state(x0), t, u, **options)

    def _named_state(self, x0: Any) -> Any:
        """Put a state given by name in the order of the law."""
        if not hasattr(x0, "keys") or np.ndim(x0) > 1:
            return x0
        labels = list(x0.keys())
        if not any(isinstance(label, str) for label in labels):
            return x0
        names = read_names(labels, "SymbolicModel")
        values = {name: x0[label] for name, label in zip(names, labels, strict=True)}
        if not set(values) >= set(self.state_names):
            raise ValueError(
                f"SymbolicModel: x0 must name the states {list(self.state_names)}; got {labels}."
            )
        return [float(values[name]) for name in self.state_names]

    # -- new models ----------------------------------------------------------------

    def with_coefficients(self, coefficients: ArrayLike) -> SymbolicModel:
        """Return the same law with other coefficients and no covariance."""
        values = np.asarray(coefficients, dtype=np.float64)
        return replace(self, coefficients=values, support=values != 0, covariance=None)

    def sample(self, rng: np.random.Generator, size: int | None = None) -> Any:
        """Draw laws from the posterior.

        Parameters
        ----------
        rng : numpy.random.Generator
        size : int, optional
            How many; None for one model instead of a list.

        Raises
        ------
        ValueError
            If the model has no covariance.
        """
        models = []
        for weights in self.draw_weights(rng, 1 if size is None else size):
            coefficients = self.coefficients.copy()
            coefficients[self.support] = weights
            models.append(replace(self, coefficients=coefficients, covariance=None))
        return models[0] if size is None else models

    def draw_weights(self, rng: np.random.Generator, size: int) -> FloatArray:
        """Draw the coefficients of the terms in the law from the posterior.

        Parameters
        ----------
        rng : numpy.random.Generator
        size : int

        Returns
        -------
        ndarray of shape (size, n_active)
            In the order of ``np.argwhere(support)``, which is that of the kernels.

        Raises
        ------
        ValueError
            If the model has no covariance.
        """
        if self.covariance is None:
            raise ValueError("SymbolicModel: there is no covariance to sample from.")
        spread = np.sqrt(np.clip(np.diag(self.covariance), 0.0, None))
        unit = np.where(spread > 0, spread, 1.0)  # so that units do not decide what rounds
        values, vectors = np.linalg.eigh(self.covariance / np.outer(unit, unit))
        root = unit[:, None] * vectors * np.sqrt(np.clip(values, 0.0, None))
        normal = rng.standard_normal((size, len(values)))
        return np.asarray(self.coefficients[self.support] + normal @ root.T)

    def pruned(self) -> SymbolicModel:
        """Return the law without the columns that no equation uses."""
        assert self.support is not None
        used = np.flatnonzero(self.support.any(axis=0))
        return replace(
            self,
            table=self.table.select(used),
            coefficients=self.coefficients[:, used],
            support=self.support[:, used],
        )

    def __add__(self, other: SymbolicModel) -> SymbolicModel:
        from discover.symbolic.arithmetic import combined

        return combined(self, other, 1.0) if isinstance(other, SymbolicModel) else NotImplemented

    def __sub__(self, other: SymbolicModel) -> SymbolicModel:
        from discover.symbolic.arithmetic import combined

        return combined(self, other, -1.0) if isinstance(other, SymbolicModel) else NotImplemented

    def __neg__(self) -> SymbolicModel:
        from discover.symbolic.arithmetic import refuse_saturated

        refuse_saturated(self)
        return replace(self, coefficients=-self.coefficients)

    def __repr__(self) -> str:
        from discover.symbolic.text import equations_text

        return equations_text(self)

    # -- exports: one small file each ----------------------------------------------

    def equations(self) -> list[str]:
        """Return the equations as aligned text, digits driven by the uncertainty."""
        from discover.symbolic.text import equation_lines

        return equation_lines(self)

    def to_sympy(self, *, form: Literal["eq", "expr"] = "eq", values: bool = True) -> list[Any]:
        """Return sympy equations or expressions; see :mod:`discover.symbolic.export_sympy`."""
        from discover.symbolic.export_sympy import to_sympy

        return to_sympy(self, form=form, values=values)

    def to_latex(self, *, environment: str = "align*", digits: int | None = None) -> str:
        """Return LaTeX source; see :mod:`discover.symbolic.export_latex`."""
        from discover.symbolic.export_latex import to_latex

        return to_latex(self, environment=environment, digits=digits)

    def to_python(self, name: str = "rhs") -> str:
        """Return a dependency-free Python function; see :mod:`discover.symbolic.export_python`."""
        from discover.symbolic.export_python import to_python

        return to_python(self, name=name)

    def to_c(self, name: str = "rhs") -> str:
        """Return a C99 function; see :mod:`discover.symbolic.export_c`."""
        from discover.symbolic.export_c import to_c

        return to_c(self, name=name)

    def to_dict(self) -> dict[str, Any]:
        """Return the model as plain data that JSON can hold."""
        from discover.symbolic.model_file import to_dict

        return to_dict(self)

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> SymbolicModel:
        """Build a model from :meth:`to_dict`'s data, checking every part of it."""
        from discover.symbolic.model_file import from_dict

        return from_dict(data)

    def save(self, path: str | Path) -> Path:
        """Write the model to a JSON file; an existing file is replaced in one step."""
        from discover.symbolic.model_file import save

        return save(self, path)

    @staticmethod
    def load(path: str | Path) -> SymbolicModel:
        """Read a model file; nothing in it is evaluated."""
        from discover.symbolic.model_file import load

        return load(path)

    def coefficient_table(self) -> Any:
        """Return one row per term in the law: target, term, value, standard error, unit.

        Returns
        -------
        pandas.DataFrame
        """
        from discover.symbolic.text import coefficient_table

        return coefficient_table(self)

    def _repr_html_(self) -> str:
        from discover.symbolic.export_latex import to_html

        return to_html(self)
