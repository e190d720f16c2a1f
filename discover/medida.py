"""MEDIDA: what somebody's solver gets wrong, as a formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, clone

from discover.dynamics.field_law import CorrectedSolver, FieldLaw
from discover.dynamics.solver_flow import SolverFlow, SolverTangents
from discover.dynamics.solvers import Solver
from discover.estimation.field_series import FieldSeries
from discover.estimation.increments import (
    FieldIncrements,
    IncrementSource,
    PointIncrements,
    fit_increments,
)
from discover.estimation.point_series import PointSeries
from discover.estimation.series import SeriesFit, fit_series
from discover.exceptions import DataError
from discover.libraries import FeatureLibrary, JetLibrary, PolynomialLibrary, SymbolicLibrary
from discover.libraries.jets import offered_jets
from discover.libraries.termtable import TermTable, TermTableBuilder
from discover.observations import Trajectory, as_trajectories
from discover.observations.field import Field, find_bursts
from discover.observations.grid import Axis, Grid
from discover.problems.bursts import Bursts
from discover.problems.field_rows import Auxiliary, FieldTerms
from discover.regression import Estimate, RelevanceVectorRegressor, SparseRegressor
from discover.symbolic import SymbolicModel
from discover.typing import FloatArray

__all__ = ["ModelErrorDiscovery"]

_FEWEST_TIMES = 6  # shorter series are taken for a burst


class ModelErrorDiscovery(BaseEstimator):
    """Find the terms that a solver lacks, or has wrong, from observations.

    Parameters
    ----------
    dynamics : Dynamics or callable
        The solver under test: ``step(x, t, dt)``, or an object with ``step`` or ``rhs``
        (a law of this package is one: then its equation is repaired).
    library : FeatureLibrary or str, optional
        Candidate terms of the error. For fields over jets, ``"u*u_x, u_xx, u_xxxx"``; by
        default powers up to 4, alone and times one derivative of order up to 4. For
        states of ordinary differential equations by default polynomials of degree 2.
    regressor : SparseRegressor, optional
        By default :class:`RelevanceVectorRegressor`: nothing is set by hand.
    history : int, default=1
        How many past states a step of the solver needs; it then receives `x` of shape
        ``(history, *state)``, oldest first.
    vectorized : bool, default=False
        Whether the solver steps many states, shape ``(n, *state)``, at once.
    fixed_step : float, optional
        The only step the solver can take. Its discretisation error is then part of the
        error that is found.
    solver_dt : float, optional
        Step at which the solver is run between the observations of a series; by default
        the step of the trajectory's time grid.
    grid : Axis, Grid or sequence of Axis, optional
        On which the solver works, where that is finer than that of the observations.
    noise_std : float, optional
        Of the observations, in their units; by default estimated.
    climatology : Field, optional
        A complete record of the same system: its spectrum and time scales guide the
        interpolation of snapshots that are observed at few points.
    auxiliary : callable, optional
        ``auxiliary(fields, grid)`` takes and returns fields by name; jets of what it
        returns (a stream function, say) may be used by the library.
    random_state : int, Generator or None, default=None

    Attributes
    ----------
    error_ : SymbolicModel
        Truth minus solver: what must be added to the solver's tendency.
    corrected_ : CorrectedSolver
        Solver and error as one law, to integrate and to assimilate with.
    estimate_ : Estimate
    noise_std_ : ndarray of shape (n_components,)
    series_ : SeriesFit
        The joint smoother's answer; only where a series was observed.
    notes_ : tuple of str
        What was found out about data and solver on the way.

    Notes
    -----
    For bursts the method of Mojgani, Chattopadhyay and Hassanzadeh, Chaos 32, 061105
    (2022), with the residual placed to second order in time, the solver's tendency freed
    of its truncation error, and the regression done on resolved waves (the weak form in
    space). For series the trajectory and the coefficients are estimated together (weak
    constraint 4D-Var with the states integrated out): cycling assimilation and regression
    instead believes the wrong model.

    Examples
    --------
    An oscillator whose solver forgot the friction:

    >>> import numpy as np
    >>> t = np.linspace(0, 20, 200)
    >>> X = np.exp(-0.05 * t)[:, None] * np.column_stack([np.cos(t), -np.sin(t)])
    >>> X += 0.01 * np.random.default_rng(0).standard_normal(X.shape)
    >>> class Oscillator:
    ...     def rhs(self, x, t):
    ...         return np.array([x[1], -x[0]])
    >>> found = ModelErrorDiscovery(Oscillator(), "x0, x1").fit(X, t)
    >>> found.error_.equations()
    ["x0' = -0.0...x0", "x1' = -0.0...x1"]
    """

    def __init__(
        self,
        dynamics: Any,
        library: FeatureLibrary | str | None = None,
        regressor: SparseRegressor | None = None,
        *,
        history: int = 1,
        vectorized: bool = False,
        fixed_step: float | None = None,
        solver_dt: float | None = None,
        grid: Axis | Grid | Sequence[Axis] | None = None,
        noise_std: float | None = None,
        climatology: Field | None = None,
        auxiliary: Auxiliary | None = None,
        random_state: Any = None,
    ) -> None:
        self.dynamics = dynamics
        self.library = library
        self.regressor = regressor
        self.history = history
        self.vectorized = vectorized
        self.fixed_step = fixed_step
        self.solver_dt = solver_dt
        self.grid = grid
        self.noise_std = noise_std
        self.climatology = climatology
        self.auxiliary = auxiliary
        self.random_state = random_state

    def fit(self, observations: Any, t: Any = None) -> Self:
        """Find the error.

        Parameters
        ----------
        observations : Field, Trajectory, table, array-like or list of runs
            Bursts of two to five states in quick succession, the bursts as far apart as
            you like; or a series.
        t : float or array-like of shape (n_samples,), optional
            Times, where the observations do not carry them.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If the observations cannot be used.
        """
        self.solver_ = Solver(self.dynamics, self.history, self.vectorized, self.fixed_step)
        self._regressor = clone(
            RelevanceVectorRegressor() if self.regressor is None else self.regressor
        )
        if isinstance(observations, Field):
            return self._fit_field(observations)
        runs = as_trajectories(observations, t, None, owner="ModelErrorDiscovery")
        return self._fit_runs(runs)

    def _learn(self, estimate: Estimate, noise_variance: FloatArray, *notes: str) -> None:
        self.estimate_, self.notes_ = estimate, notes
        self.noise_std_ = np.sqrt(noise_variance)

    # -- fields ----------------------------------------------------------------------

    def _fit_field(self, field: Field) -> Self:
        self.grid_ = _as_grid(self.grid, field.grid)
        self.terms_ = self._field_terms(field)
        if len(field.bursts()) > 1 or len(field) < _FEWEST_TIMES:
            source = FieldIncrements(
                _field_bursts(field), field.grid, self.solver_, self.grid_, self.terms_,
                self.noise_std, np.random.default_rng(self.random_state),
            )  # fmt: skip
            self._fit_increments(source, self.terms_.table, field.names)
        else:
            self._fit_field_series(field)
        table, estimate = self.terms_.table, self.estimate_
        self.error_ = SymbolicModel(
            table, estimate.coefficients, table.inputs,
            target_names=[f"{name}_t" for name in field.names], kind="direct",
            support=estimate.support, covariance=estimate.covariance,
        )  # fmt: skip
        law = FieldLaw(self.error_.pruned(), self.grid_, field.names, self.auxiliary)
        self.corrected_ = CorrectedSolver(self.solver_, law)
        return self

    def _field_terms(self, field: Field) -> FieldTerms:
        """Return the candidate terms over the jets that they need."""
        library = _as_library(self.library, JetLibrary())
        names = list(field.names)
        if self.auxiliary is not None:
            sample = {n: field.component(n)[:1] for n in field.names}
            names += list(self.auxiliary(sample, field.grid))
        table = library.build(offered_jets(library, names, field.grid.names))
        self.library_ = library
        return FieldTerms(table.select(range(table.n_terms)), field.names, self.auxiliary)

    def _fit_increments(
        self, source: IncrementSource, table: TermTable, targets: Sequence[str]
    ) -> None:
        estimate = fit_increments(
            source, self._regressor, term_names=table.names, target_names=targets
        )
        self._learn(estimate, source.noise_variance, *self._truncation_note(source))

    def _truncation_note(self, source: IncrementSource) -> tuple[str, ...]:
        """Say how the solver's own truncation error compares with what was found."""
        if self.fixed_step is not None:
            return (
                "the solver takes one step only: its discretisation error cannot be told from "
                "a model error, and is part of what was found",
            )
        if self.solver_.knows_tendency:
            return ()
        own, residual = source.truncation()
        return (
            f"the solver's own truncation error over a step is {own / residual:.2g} of the "
            "residual; it was kept apart",
        )

    def _fit_field_series(self, field: Field) -> None:
        """Smooth trajectory and coefficients jointly.

        A solver that is a law of known terms is not needed for stepping: the whole law is
        sought, and the solver's terms are subtracted from the answer.
        """
        known = self._known_terms()
        posed = FieldSeries(field, self.grid_, self.terms_, self.noise_std, self.climatology)
        names = self.terms_.table.names
        if known is None:
            found = self._fit_black_box(posed)
            estimate = found.estimate
        else:
            theta = posed.start(self._regressor, names)
            found = fit_series([posed.series(posed.law)], self._regressor, theta, names)
            estimate = self._regressor.fit_statistics(found.statistics(known), term_names=names)
        self.series_ = found
        self._learn(estimate, np.array([posed.noise_variance]), _series_note(found))

    def _fit_black_box(self, posed: FieldSeries) -> SeriesFit:
        """Step with the solver itself; tangents by differences of its runs."""
        names = self.terms_.table.names
        step = self.fixed_step or self.solver_dt or float(posed.steps.min())
        runs = SolverTangents(self.solver_, self.grid_, posed.basis, np.sqrt(posed.power), step)

        def tendency(rows: FloatArray) -> FloatArray:
            values = posed.basis.expand(self.grid_, rows)
            return posed.basis.project(
                self.grid_, self.solver_.tendency(values, np.zeros(len(rows)), step)
            )

        theta = posed.start(self._regressor, names, tendency)
        series = posed.series(lambda theta: SolverFlow(runs, posed.law(theta)))
        return fit_series([series], self._regressor, theta, names)

    def _known_terms(self) -> FloatArray | None:
        """Return the coefficients of a solver that is a law, over terms that include its own."""
        law = self.dynamics
        model = law.model if isinstance(law, FieldLaw) else law
        if not isinstance(model, SymbolicModel) or model.kind != "direct":
            return None
        mine = model.pruned()
        inputs = list(dict.fromkeys([*self.terms_.table.inputs, *mine.table.inputs]))
        builder = TermTableBuilder(inputs)
        tables = (self.terms_.table, mine.table)
        table = builder.table(
            [s for table in tables for s in builder.copy(table, table.outputs.tolist())]
        )
        self.terms_ = replace(self.terms_, table=table)
        known = np.zeros(table.n_terms)
        for value, name in zip(mine.coefficients[0], mine.term_names, strict=True):
            known[table.names.index(name)] = value
        return known

    # -- states ----------------------------------------------------------------------

    def _fit_runs(self, runs: Sequence[Trajectory]) -> Self:
        first = runs[0]
        library = _as_library(self.library, PolynomialLibrary(2)).fit_names(first.state_names)
        self.library_, table = library, library.table_
        groups = [find_bursts(run.times) for run in runs]
        if any(len(g) > 1 for g in groups) or all(len(run) < _FEWEST_TIMES for run in runs):
            bursts = _run_bursts(runs, groups)
            source = PointIncrements(bursts, self.solver_, table, self.noise_std)
            self._fit_increments(source, table, first.state_names)
        else:
            self._fit_run_series(runs, table)
        estimate = self.estimate_
        self.error_ = SymbolicModel(
            table, estimate.coefficients, first.state_names, support=estimate.support,
            covariance=estimate.covariance,
        )  # fmt: skip
        self.corrected_ = CorrectedSolver(self.solver_, self.error_)
        return self

    def _fit_run_series(self, runs: Sequence[Trajectory], table: TermTable) -> None:
        posed = [PointSeries(run, self.solver_, table, self.noise_std) for run in runs]
        shape = (runs[0].n_states, table.n_terms)
        names = [f"{state}: {term}" for state in runs[0].state_names for term in table.names]
        theta = np.mean([p.start(self._regressor, table.names) for p in posed], axis=0)
        found = fit_series([p.series() for p in posed], self._regressor, theta, names)
        self.series_ = found
        flat = found.estimate
        estimate = replace(
            flat, coefficients=flat.coefficients.reshape(shape), support=flat.support.reshape(shape)
        )
        noise = np.mean([p.noise_variance for p in posed], axis=0)
        self._learn(estimate, noise, _series_note(found))

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """Return the error once it is found, else the parameters."""
        if not hasattr(self, "error_"):
            return str(super().__repr__(N_CHAR_MAX))
        return "missing:\n" + repr(self.error_)


def _series_note(found: SeriesFit) -> str:
    length = sum(len(states) for states in found.states)
    return (
        f"trajectory and coefficients were smoothed together over {length} states of "
        f"{found.states[0].shape[1]} numbers; misfit per observation {found.chi2:.3g}"
    )


def _as_library(given: Any, default: FeatureLibrary) -> FeatureLibrary:
    library = default if given is None else given
    if isinstance(library, str):
        return SymbolicLibrary(library)
    if not isinstance(library, FeatureLibrary):
        raise TypeError(
            f"ModelErrorDiscovery: library must be a FeatureLibrary or text; got {given!r}."
        )
    copy: FeatureLibrary = clone(library)
    return copy


def _as_grid(given: Any, observed: Grid) -> Grid:
    if given is None:
        return observed
    grid = (
        given if isinstance(given, Grid) else Grid((given,) if isinstance(given, Axis) else given)
    )
    same = grid.names == observed.names and np.allclose(
        [a.length for a in grid.axes], [a.length for a in observed.axes]
    )
    if not same:
        raise DataError(
            "ModelErrorDiscovery: grid must be of the same box as the observations; got "
            f"{[(a.name, a.length) for a in grid.axes]} for "
            f"{[(a.name, a.length) for a in observed.axes]}."
        )
    return grid


def _field_bursts(field: Field) -> Bursts:
    if not field.is_complete:
        raise DataError(
            "ModelErrorDiscovery: bursts must be observed at every grid point; got NaN. Leave "
            "out the incomplete snapshots."
        )
    return _equal_bursts(field.values, field.times, field.bursts())


def _run_bursts(runs: Sequence[Trajectory], groups: Sequence[Any]) -> Bursts:
    complete = [
        [g for g in group if run.complete[g].all()] for run, group in zip(runs, groups, strict=True)
    ]
    offsets = np.cumsum([0, *(len(run) for run in runs)])
    every = [g + o for group, o in zip(complete, offsets, strict=False) for g in group]
    return _equal_bursts(
        np.concatenate([run.states for run in runs]),
        np.concatenate([run.times for run in runs]),
        every,
    )


def _equal_bursts(values: FloatArray, times: FloatArray, groups: Sequence[Any]) -> Bursts:
    """Return bursts of one length: that of the shortest with two states or more."""
    groups = [g for g in groups if len(g) > 1]
    if not groups:
        raise DataError(
            "ModelErrorDiscovery: a slope needs two states in quick succession; every state is "
            "alone. Observe pairs, or a series of evenly spaced states."
        )
    m = min(len(g) for g in groups)
    chosen = np.array([g[:m] for g in groups])
    when = times[chosen]
    return Bursts(values[chosen], when, float(np.median(np.diff(when, axis=1))))
