"""MEDIDA: what somebody's solver gets wrong, as a formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from discover.dynamics.field_law import CorrectedSolver, FieldLaw
from discover.dynamics.forecasts import ForecastComparison, blows_up, compare_forecasts, follow
from discover.dynamics.solver_flow import SolverFlow, SolverTangents
from discover.dynamics.solvers import Solver
from discover.estimation.field_series import FieldSeries
from discover.estimation.increments import (
    FieldIncrements,
    IncrementSource,
    PointIncrements,
    fit_increments,
    resampled,
)
from discover.estimation.point_series import TIMED, PointSeries
from discover.estimation.series import Series, SeriesFit, fit_series, innovation_misfit
from discover.exceptions import DataError
from discover.libraries import FeatureLibrary, JetLibrary, PolynomialLibrary, SymbolicLibrary
from discover.libraries.jets import offered_jets
from discover.libraries.termtable import TermTable, TermTableBuilder
from discover.observations import Trajectory, as_trajectories
from discover.observations.field import Field, find_bursts
from discover.observations.grid import Axis, Grid
from discover.problems.bursts import Bursts
from discover.problems.field_rows import Auxiliary, FieldTerms
from discover.regression import (
    Estimate,
    IdentifiabilityReport,
    RelevanceVectorRegressor,
    SparseRegressor,
    report_identifiability,
)
from discover.regression.identifiability import join_reports
from discover.symbolic import SymbolicModel
from discover.typing import FloatArray

__all__ = ["ModelErrorDiscovery"]

_TRIAL_STEPS = 400  # over which a corrected solver must not blow up
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
    identifiability_ : IdentifiabilityReport
        Rival errors, nearly dependent terms; made when first asked for.
    innovations_ : Innovations
        How well solver and corrected solver explain a series; only where one was observed.
        Made when first asked for.
    stability_ : str
        Empty, or a warning that the correction makes the run blow up; made when first
        asked for.
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

    _report: IdentifiabilityReport | None
    _innovations: Innovations | None
    _stability: str | None

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
        self.__dict__.pop("series_", None)  # of an earlier fit
        self._regressor = clone(
            RelevanceVectorRegressor() if self.regressor is None else self.regressor
        )
        if isinstance(observations, Field):
            return self._fit_fields([observations])
        if isinstance(observations, list | tuple) and any(
            isinstance(f, Field) for f in observations
        ):
            return self._fit_fields(_alike(observations))
        self.solver_ = self._as_solver(self.dynamics)
        runs = as_trajectories(observations, t, None, owner="ModelErrorDiscovery")
        return self._fit_runs(runs)

    def _as_solver(self, dynamics: Any) -> Solver:
        many = self.vectorized or isinstance(dynamics, SymbolicModel)
        return Solver(dynamics, self.history, many, self.fixed_step)

    # -- what the correction is worth --------------------------------------------------

    @property
    def identifiability_(self) -> IdentifiabilityReport:
        """What these data can and cannot tell apart."""
        check_is_fitted(self, "error_")
        if self._report is None:
            names = list(self._asked)
            self._report = join_reports(
                [
                    report_identifiability(stats, one, term_names=names, target_names=[target])
                    for (one, stats), target in zip(self._parts, self._targets, strict=True)
                ]
            )
        return self._report

    @property
    def innovations_(self) -> Innovations:
        """How well solver and corrected solver explain the series."""
        check_is_fitted(self, "series_")
        if self._innovations is None:
            found = self.series_
            after = found.coefficients if self._base is None else (
                self._base + self.estimate_.coefficients[0])  # fmt: skip
            base = np.zeros(len(found.theta)) if self._base is None else self._base
            self._innovations = Innovations(
                innovation_misfit(self._series, base),
                innovation_misfit(self._series, after, found.states),
            )
        return self._innovations

    @property
    def stability_(self) -> str:
        """Empty, or a warning that the correction makes the run blow up."""
        check_is_fitted(self, "error_")
        if self._stability is None:
            self._stability = self._check_stability()
        return self._stability

    def _check_stability(self) -> str:
        """Run solver and corrected solver on from the last state."""
        dt = self.fixed_step or self.solver_dt or self._dt
        past = np.repeat(self._last[None], self.history, axis=0)
        times = np.linspace(0.0, dt * _TRIAL_STEPS, _TRIAL_STEPS + 1)
        corrected = follow(self.corrected_.step, past, times, dt, self.history)
        if not blows_up(corrected):
            return ""
        if blows_up(follow(self.solver_.advance, past, times, dt, self.history)):
            return ""
        lost = int(np.argmin(np.isfinite(corrected.reshape(len(times), -1)).all(axis=1)))
        when = times[lost] if lost else times[-1]
        return (
            f"the corrected solver blows up within {when:.3g} time units of the last state, at "
            f"steps of {dt:.3g}; the solver alone does not: what fits need not run"
        )

    def forecast(
        self, truth: Any, t: Any = None, *, dt: float | None = None, threshold: float = 0.4
    ) -> ForecastComparison:
        """Run solver and corrected solver from the start of a record, and compare.

        Parameters
        ----------
        truth : Field, Trajectory, table or array-like
            A complete record; its first state is the start.
        t : float or array-like of shape (n_samples,), optional
        dt : float, optional
            Longest step of the solver; by default `fixed_step`, `solver_dt`, or the step of
            the fit.
        threshold : float, default=0.4
            Of the valid prediction time, in standard deviations of the truth.

        Returns
        -------
        ForecastComparison
        """
        check_is_fitted(self, "error_")
        if isinstance(truth, Field):
            states, times, complete = truth.values, truth.times, truth.is_complete
            states = resampled(truth.grid, states, self.grid_.shape) if complete else states
            states = states[..., 0] if states.shape[-1] == 1 else states
        else:
            (run,) = as_trajectories(truth, t, None, owner="ModelErrorDiscovery")
            states, times, complete = run.states, run.times, bool(run.complete.all())
        if not complete:
            raise DataError("ModelErrorDiscovery: a record to forecast must be complete; got NaN.")
        return compare_forecasts(
            self.solver_.advance, self.corrected_.step, states, times,
            dt or self.fixed_step or self.solver_dt or self._dt,
            history=self.history, threshold=threshold,
            n_axes=len(self.grid_.axes) if isinstance(truth, Field) else 0,
        )  # fmt: skip

    # -- the fit -----------------------------------------------------------------------

    def _learn(self, estimate: Estimate, noise_variance: FloatArray, *notes: str) -> None:
        self.estimate_, self.notes_ = estimate, notes
        self._report = self._innovations = self._stability = None
        self.noise_std_ = np.sqrt(noise_variance)

    # -- fields ----------------------------------------------------------------------

    def _fit_fields(self, fields: Sequence[Field]) -> Self:
        field, law = fields[0], self.dynamics
        _refuse_open(field.grid)
        self.grid_ = _as_grid(_given_grid(self.grid, law), field.grid)
        if isinstance(law, SymbolicModel) and law.kind == "direct":
            law = FieldLaw(law, self.grid_, field.names, self.auxiliary)
        self.solver_ = self._as_solver(law)
        self.terms_ = self._field_terms(field)
        parts = [f.select(group) for f in fields for group in f.bursts()]
        if max(map(len, parts)) < _FEWEST_TIMES:
            bursts, left_out = _field_bursts(parts)
            source = FieldIncrements(
                bursts, field.grid, self.solver_, self.grid_, self.terms_,
                self.noise_std, np.random.default_rng(self.random_state),
            )  # fmt: skip
            self._fit_increments(source, self.terms_.table, field.names)
            self._dt = bursts.dt
            last = bursts.means[-1:] if source.is_clean else source.states[-1:]
            fine = resampled(field.grid, last, self.grid_.shape)[0]
            self._last = fine[..., 0] if fine.shape[-1] == 1 else fine
        else:
            series = [part for part in parts if len(part) >= _FEWEST_TIMES]
            left_out = sum(map(len, parts)) - sum(map(len, series))
            self._fit_field_series(series)
        self._mention(left_out)
        table, estimate = self.terms_.table, self.estimate_
        self.error_ = SymbolicModel(
            table, estimate.coefficients, table.inputs,
            target_names=[f"{name}_t" for name in field.names], kind="direct",
            support=estimate.support, covariance=estimate.covariance,
        )  # fmt: skip
        self.corrected_ = CorrectedSolver(self.solver_, FieldLaw(
            self.error_.pruned(), self.grid_, field.names, self.auxiliary), self._dt)  # fmt: skip
        return self

    def _mention(self, left_out: int) -> None:
        if left_out:
            self.notes_ += (
                f"{left_out} states were left out: alone, or in bursts shorter than the others",
            )

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
        self._asked, self._targets = table.names, tuple(targets)
        estimate, self._parts = fit_increments(
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

    def _fit_field_series(self, fields: Sequence[Field]) -> None:
        """Smooth trajectory and coefficients jointly.

        A solver that is a law of known terms is not needed for stepping: the whole law is
        sought, and the solver's terms are subtracted from the answer.
        """
        known = self._known_terms()
        record = np.concatenate([field.values[..., 0] for field in fields])
        posed = [
            FieldSeries(field, self.grid_, self.terms_, self.noise_std, self.climatology, record)
            for field in fields
        ]
        self._dt = min(float(p.steps.min()) for p in posed)
        names = self.terms_.table.names
        if known is None:
            found = self._fit_black_box(posed)
            estimate, stats = found.estimate, found.statistics()
        else:
            theta = np.mean([p.start(self._regressor, names) for p in posed], axis=0)
            runs = [p.series(p.law) for p in posed]
            found = fit_series(runs, self._regressor, theta, names)
            self._series, stats = runs, found.statistics(known)
            estimate = self._regressor.fit_statistics(stats, term_names=names)
        self.series_, self._base = found, known
        self._asked, self._targets = names, (fields[0].names[0],)
        self._parts = [(estimate, stats)]
        self._last = posed[-1].basis.expand(self.grid_, found.states[-1][-1:])[0]
        self._learn(estimate, np.array([posed[0].noise_variance]), _series_note(found))

    def _fit_black_box(self, posed: Sequence[FieldSeries]) -> SeriesFit:
        """Step with the solver itself; tangents by differences of its runs."""
        names = self.terms_.table.names
        step = self.fixed_step or self.solver_dt or self._dt
        basis, times = posed[0].basis, posed[0].field.times
        state = basis.expand(self.grid_, posed[0].guess[:1])[0]
        if not self.solver_.is_autonomous(state, times[[0, len(times) // 2, -1]], step):
            raise DataError(TIMED)

        def tendency(rows: FloatArray) -> FloatArray:
            values = basis.expand(self.grid_, rows)
            return basis.project(
                self.grid_, self.solver_.tendency(values, np.zeros(len(rows)), step)
            )

        def series(p: FieldSeries) -> Series:
            runs = SolverTangents(self.solver_, self.grid_, basis, np.sqrt(p.power), step)
            return p.series(lambda theta: SolverFlow(runs, p.law(theta)))

        theta = np.mean([p.start(self._regressor, names, tendency) for p in posed], axis=0)
        self._series = [series(p) for p in posed]
        return fit_series(self._series, self._regressor, theta, names)

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
        parts = [
            run.select(slice(group[0], group[-1] + 1))
            for run in runs
            for group in find_bursts(run.times)
        ]
        if max(map(len, parts)) < _FEWEST_TIMES:
            bursts, left_out = _run_bursts(parts)
            source = PointIncrements(bursts, self.solver_, table, self.noise_std)
            self._fit_increments(source, table, first.state_names)
            self._dt, self._last = bursts.dt, bursts.means[-1]
        else:
            series = [part for part in parts if len(part) >= _FEWEST_TIMES]
            left_out = sum(map(len, parts)) - sum(map(len, series))
            self._fit_run_series(series, table)
        self._mention(left_out)
        estimate = self.estimate_
        self.error_ = SymbolicModel(
            table, estimate.coefficients, first.state_names, support=estimate.support,
            covariance=estimate.covariance,
        )  # fmt: skip
        self.corrected_ = CorrectedSolver(self.solver_, self.error_, self._dt)
        return self

    def _fit_run_series(self, runs: Sequence[Trajectory], table: TermTable) -> None:
        posed = [PointSeries(run, self.solver_, table, self.noise_std) for run in runs]
        self._dt = min(float(p.steps.min()) for p in posed)
        shape = (runs[0].n_states, table.n_terms)
        names = [f"{state}: {term}" for state in runs[0].state_names for term in table.names]
        theta = np.mean([p.start(self._regressor, table.names) for p in posed], axis=0)
        self._series = [p.series() for p in posed]
        found = fit_series(self._series, self._regressor, theta, names)
        self.series_, self._base = found, None
        flat = found.estimate
        self._asked, self._targets = tuple(names), ("error",)
        self._parts, self._last = [(flat, found.statistics())], found.states[-1][-1]
        estimate = replace(
            flat, coefficients=flat.coefficients.reshape(shape), support=flat.support.reshape(shape)
        )
        noise = np.mean([p.noise_variance for p in posed], axis=0)
        self._learn(estimate, noise, _series_note(found))

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """Return the error once it is found, else the parameters."""
        if not hasattr(self, "error_"):
            return str(super().__repr__(N_CHAR_MAX))
        said = [self.stability_] if self.stability_ else []
        return "missing:\n" + repr(self.error_) + "".join(f"\n({line})" for line in said)


class Innovations(NamedTuple):
    """Mean square of the normalised innovations, about 1 or below for the right law."""

    before: float
    after: float


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


def _given_grid(given: Any, law: Any) -> Any:
    """Return the grid of the solver: as given, else that of a law of this package."""
    return law.grid if given is None and isinstance(law, FieldLaw) else given


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


def _refuse_open(grid: Grid) -> None:
    for axis in grid.axes:
        if not axis.periodic:
            raise DataError(
                f"ModelErrorDiscovery: axis {axis.name!r} is open; the weak form in space needs "
                "periodic axes so far."
            )


def _alike(fields: Sequence[Any]) -> list[Field]:
    """Return fields that share grid and components."""
    first = fields[0]
    for number, field in enumerate(fields):
        if not isinstance(field, Field):
            raise DataError(
                f"ModelErrorDiscovery: observations must all be fields; number {number} is a "
                f"{type(field).__name__}."
            )
        same = field.names == first.names and field.grid.shape == first.grid.shape
        if not same or field.grid.names != first.grid.names:
            raise DataError(
                "ModelErrorDiscovery: all fields must have the grid and the components of the "
                f"first, {first!r}; got {field!r}."
            )
    return list(fields)


def _field_bursts(parts: Sequence[Field]) -> tuple[Bursts, int]:
    if not all(part.is_complete for part in parts):
        raise DataError(
            "ModelErrorDiscovery: bursts must be observed at every grid point; got NaN. Leave "
            "out the incomplete snapshots."
        )
    return _equal_bursts([part.values for part in parts], [part.times for part in parts])


def _run_bursts(parts: Sequence[Trajectory]) -> tuple[Bursts, int]:
    whole = [part for part in parts if part.complete.all()]
    bursts, left_out = _equal_bursts([p.states for p in whole], [p.times for p in whole])
    return bursts, left_out + sum(map(len, parts)) - sum(map(len, whole))


def _equal_bursts(values: Sequence[FloatArray], times: Sequence[FloatArray]) -> tuple[Bursts, int]:
    """Return bursts of one length, and how many states do not fit in.

    The information of a slope grows with the square of its span, so many pairs outweigh few
    triples, but one pair does not cost all triples their third state.
    """
    lengths = np.array([len(t) for t in times])
    worth = {m: int(np.sum(lengths >= m)) * (m - 1) ** 2 for m in range(2, _FEWEST_TIMES)}
    m = max(worth, key=lambda size: (worth[size], size))
    if not worth[m]:
        raise DataError(
            "ModelErrorDiscovery: a slope needs two states in quick succession; every state is "
            "alone. Observe pairs, or a series of evenly spaced states."
        )
    chosen = [i for i, n in enumerate(lengths) if n >= m]
    when = np.array([times[i][:m] for i in chosen])
    states = np.array([values[i][:m] for i in chosen])
    bursts = Bursts(states, when, float(np.median(np.diff(when, axis=1))))
    return bursts, int(lengths.sum()) - m * len(chosen)
