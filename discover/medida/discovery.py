"""ModelErrorDiscovery: what somebody's solver gets wrong, as a formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from discover.assimilation import EnsembleKalmanFilter
from discover.dynamics.field_law import CorrectedSolver
from discover.dynamics.forecasts import ForecastComparison, compare_forecasts, warn_of_blow_up
from discover.dynamics.site_law import GridLaw, law_on_grid
from discover.dynamics.solvers import Solver
from discover.estimation.increments import resampled
from discover.exceptions import DataError
from discover.libraries import FeatureLibrary, JetLibrary, PolynomialLibrary, SymbolicLibrary
from discover.libraries.jets import offered_jets
from discover.medida.answer import ErrorFit, Innovations, Record
from discover.medida.fields import FieldQuestion
from discover.medida.laws import KnownLaw
from discover.medida.sites import SiteQuestion
from discover.medida.states import StateQuestion
from discover.observations import Trajectory, as_trajectories
from discover.observations.field import Field
from discover.observations.grid import Axis, Grid
from discover.observations.interpolation import column_path
from discover.problems.field_rows import Auxiliary, FieldTerms
from discover.problems.local_rows import PointTerms
from discover.regression import (
    IdentifiabilityReport,
    RelevanceVectorRegressor,
    SparseRegressor,
)
from discover.symbolic import SymbolicModel
from discover.typing import Dynamics, FloatArray

__all__ = ["ModelErrorDiscovery"]


_PASS = "Pass u=, or a Trajectory with controls."
_WRAP = (
    "A field carries no controls: wrap the solver in a function of time, "
    "lambda x, t, dt: step(x, t, dt, u(t))."
)
Step = Callable[..., Any]

# of one fit, and made when first asked for, or only where there is reason to
_PASSING = ("series_", "cycle_", "repaired_", "identifiability_", "innovations_", "stability_")


class ModelErrorDiscovery(BaseEstimator):
    """Find the terms that a solver lacks, or has wrong, from observations.

    Parameters
    ----------
    dynamics : Dynamics, callable or None
        The solver under test: ``step(x, t, dt)``, or an object with ``step`` or ``rhs``
        (a law of this package is one: then its equation is repaired, and its terms are
        candidates, too). One with controls, ``step(x, t, dt, u)``, is given those of the
        observations. None for fields of which nothing is known: the error is the whole
        equation.
    library : FeatureLibrary or str, optional
        Candidate terms of the error. For fields over jets, ``"u*u_x, u_xx, u_xxxx"``; by
        default powers up to 4, alone and times one derivative of order up to 4. For
        states of ordinary differential equations by default polynomials of degree 2.
    regressor : SparseRegressor, optional
        By default :class:`RelevanceVectorRegressor`: nothing is set by hand.
    filter : EnsembleKalmanFilter, optional
        Explain a series by the plain cycle instead of the joint smoother: assimilate with
        the solver, regress on the increments, correct, repeat. It is there for comparison:
        the analyses believe the wrong model, and so do the terms. Bursts are not cycled.
    history : int, default=1
        How many past states a step of the solver needs; it then receives `x` of shape
        ``(history, *state)``, oldest first.
    vectorized : bool, default=False
        Whether the solver steps many states, shape ``(n, *state)``, at once.
    fixed_step : float, optional
        The only step the solver can take. Its discretisation error is then part of the
        error that is found.
    solver_dt : float, optional
        Step at which the solver is usually run. Its tendency is found from steps that are
        much smaller. By default the step of the trajectory's time grid.
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
    corrected_ : Dynamics
        Solver and error as one law, to integrate and to assimilate with: a
        :class:`CorrectedSolver`, or where the solver is a law another law of its kind.
    repaired_ : SymbolicModel
        Guess and error as one equation, to export; only where the solver is a law. Terms
        that the error takes back are gone.
    estimate_ : Estimate
    noise_std_ : ndarray of shape (n_components,)
    series_ : SeriesFit
        The joint smoother's answer; only where a series was observed.
    cycle_ : CycleFit
        The plain cycle's answer; only with `filter` and a series.
    identifiability_ : IdentifiabilityReport
        Rival errors, nearly dependent terms; made when first asked for.
    innovations_ : Innovations
        How well solver and corrected solver explain the observations: mean square of what
        every observation of a series (the slope of every burst) adds to what was
        expected, in units of its standard deviation. Made when first asked for.
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

    def __init__(
        self,
        dynamics: Any = None,
        library: FeatureLibrary | str | None = None,
        regressor: SparseRegressor | None = None,
        *,
        filter: EnsembleKalmanFilter | None = None,
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
        self.filter = filter
        self.history = history
        self.vectorized = vectorized
        self.fixed_step = fixed_step
        self.solver_dt = solver_dt
        self.grid = grid
        self.noise_std = noise_std
        self.climatology = climatology
        self.auxiliary = auxiliary
        self.random_state = random_state

    def fit(self, observations: Any, t: Any = None, u: Any = None) -> Self:
        """Find the error.

        Parameters
        ----------
        observations : Field, Trajectory, table, array-like or list of runs
            Bursts of two to five states in quick succession, the bursts as far apart as
            you like; or a series.
        t : float or array-like of shape (n_samples,), optional
            Times, where the observations do not carry them.
        u : array-like of shape (n_samples, n_controls), table, callable or list, optional
            Controls at these times, as for :meth:`discover.SINDy.fit`, where the
            observations do not carry them; for states only. They are candidates, too,
            and may be unknown to the solver.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If the observations cannot be used.
        """
        _check_filter(self.filter)
        for name in ("grid_", "terms_", *_PASSING):
            self.__dict__.pop(name, None)  # of an earlier fit
        given = [observations] if isinstance(observations, Field) else observations
        if isinstance(given, list | tuple) and any(isinstance(f, Field) for f in given):
            if u is not None:
                raise DataError(f"ModelErrorDiscovery: u must be left out for fields. {_WRAP}")
            return self._fit_fields(_alike(given))
        return self._fit_runs(as_trajectories(observations, t, u, owner="ModelErrorDiscovery"))

    def _fit_fields(self, fields: Sequence[Field]) -> Self:
        field, law = fields[0], self.dynamics
        self.grid_ = _as_grid(_given_grid(self.grid, law), field.grid)
        auxiliary = self.auxiliary
        if isinstance(law, GridLaw) and auxiliary is None:
            auxiliary = law.auxiliary
        terms = self._field_terms(field, auxiliary)
        law = _nothing(terms) if law is None else law
        if isinstance(law, SymbolicModel) and law.kind == "direct":
            law = law_on_grid(law, self.grid_, field.names, auxiliary)
        self.solver_ = self._as_solver(law)
        _check_controls(self.solver_, False, _WRAP)
        known = KnownLaw.read(law, terms.table)
        self.terms_ = terms if known is None else replace(terms, table=known.table)
        regressor = self._a_regressor()
        found = self._field_question(known, regressor).ask(fields)
        self._learn(found)
        table = self.terms_.table
        self.error_ = SymbolicModel(
            table, found.estimate.coefficients, table.inputs,
            target_names=[f"{name}_t" for name in field.names], kind="direct",
            support=found.estimate.support, covariance=found.estimate.covariance,
        )  # fmt: skip

        self.corrected_: Dynamics

        def moving(model: SymbolicModel) -> GridLaw:
            return law_on_grid(model, self.grid_, field.names, auxiliary, found.reach)

        if known is None:
            self.corrected_ = CorrectedSolver(self.solver_, moving(self.error_.pruned()), found.dt)
        else:
            self.repaired_ = known.repaired(found, regressor)
            self.corrected_ = moving(self.repaired_)
        return self

    def _field_question(
        self, known: KnownLaw | None, regressor: SparseRegressor
    ) -> FieldQuestion | SiteQuestion:
        rng = np.random.default_rng(self.random_state)
        if self.grid_.is_discrete:
            return SiteQuestion(
                self.solver_, self.grid_, self.terms_, regressor, self.noise_std, self.filter, rng
            )
        return FieldQuestion(
            self.solver_, self.grid_, self.terms_, regressor, self.fixed_step or self.solver_dt,
            self.noise_std, self.climatology, None if known is None else known.coefficients[0],
            self.filter, rng,
        )  # fmt: skip

    def _fit_runs(self, runs: Sequence[Trajectory]) -> Self:
        if self.dynamics is None:
            raise DataError(
                "ModelErrorDiscovery: dynamics must be a solver for tables of states; got None. "
                "Without a solver, SINDy finds the whole law."
            )
        names, controls = runs[0].state_names, runs[0].control_names
        self.solver_ = self._as_solver(self.dynamics)
        _check_controls(self.solver_, bool(controls), _PASS)
        _check_complete(runs)
        library = _as_library(self.library, PolynomialLibrary(2)).fit_names([*names, *controls])
        known = KnownLaw.read(self.dynamics, library.table_)
        if known is not None:
            known.check_states(names, controls)
        table = library.table_ if known is None else known.table
        self.library_, regressor = library, self._a_regressor()
        found = StateQuestion(
            self.solver_, PointTerms(table, tuple(names)), regressor, self.noise_std, self.filter,
            np.random.default_rng(self.random_state),
        ).ask(runs)  # fmt: skip
        self._learn(found)
        self.error_ = SymbolicModel(
            table, found.estimate.coefficients, names, controls, support=found.estimate.support,
            covariance=found.estimate.covariance,
        )  # fmt: skip
        if known is None:
            self.corrected_ = CorrectedSolver(self.solver_, self.error_, found.dt)
        else:
            self.repaired_ = self.corrected_ = known.repaired(found, regressor, controls)
        return self

    def _a_regressor(self) -> SparseRegressor:
        given = RelevanceVectorRegressor() if self.regressor is None else self.regressor
        regressor: SparseRegressor = clone(given)
        return regressor

    def _as_solver(self, dynamics: Any) -> Solver:
        many = self.vectorized or isinstance(dynamics, SymbolicModel)
        return Solver(dynamics, self.history, many, self.fixed_step)

    def _field_terms(self, field: Field, auxiliary: Auxiliary | None) -> FieldTerms:
        """Return the candidate terms over the jets that they need."""
        sites = field.grid.is_discrete
        library = _as_library(self.library, PolynomialLibrary(4) if sites else JetLibrary())
        names = list(field.names)
        if auxiliary is not None:
            sample = {n: field.component(n)[:1] for n in field.names}
            names += list(auxiliary(sample, field.grid))
        table = library.build(offered_jets(library, names, field.grid.names, discrete=sites))
        self.library_ = library
        return FieldTerms(table.select(range(table.n_terms)), field.names, auxiliary)

    def _learn(self, found: ErrorFit) -> None:
        self._fit = found
        self.estimate_, self.notes_ = found.estimate, found.notes
        self.noise_std_ = np.sqrt(found.noise_variance)
        if found.series is not None:
            self.series_ = found.series
        if found.cycle is not None:
            self.cycle_ = found.cycle

    # -- what the correction is worth --------------------------------------------------

    @cached_property
    def identifiability_(self) -> IdentifiabilityReport:
        """What these data can and cannot tell apart."""
        check_is_fitted(self, "error_")
        return self._fit.identifiability()

    @cached_property
    def innovations_(self) -> Innovations:
        """How well solver and corrected solver explain the observations."""
        check_is_fitted(self, "error_")
        return self._fit.explain()

    @cached_property
    def stability_(self) -> str:
        """Empty, or a warning that the correction makes the run blow up."""
        check_is_fitted(self, "error_")
        last = self._fit.controls
        held = None if last is None else (lambda times: np.tile(last, (len(times), 1)))
        return warn_of_blow_up(
            _driven(self.solver_.advance, held), _driven(self.corrected_.step, held),
            self._fit.last, self._longest_step, self.history,
        )  # fmt: skip

    @property
    def _longest_step(self) -> float:
        return self.fixed_step or self.solver_dt or self._fit.dt

    def forecast(
        self,
        truth: Any = None,
        t: Any = None,
        u: Any = None,
        *,
        dt: float | None = None,
        threshold: float = 0.4,
    ) -> ForecastComparison:
        """Run solver and corrected solver from the start of a record, and compare.

        Parameters
        ----------
        truth : Field, Trajectory, table or array-like, optional
            A complete record; its first state is the start. By default the (first) series
            that was fitted, from its smoothed first state: noise and all, and seen before.
        t : float or array-like of shape (n_samples,), optional
        u : array-like of shape (n_samples, n_controls), optional
            Controls of the record, where it does not carry them.
        dt : float, optional
            Longest step of the solver; by default `fixed_step`, `solver_dt`, or the step of
            the fit.
        threshold : float, default=0.4
            Of the valid prediction time, in standard deviations of the truth.

        Returns
        -------
        ForecastComparison

        Raises
        ------
        DataError
            If the record is incomplete, or none was given and there is no complete series.
        """
        check_is_fitted(self, "error_")
        record = self._record() if truth is None else self._read_record(truth, t, u)
        path = None if record.controls is None else column_path(record.controls, record.times)
        return compare_forecasts(
            _driven(self.solver_.advance, path), _driven(self.corrected_.step, path),
            record.states, record.times, dt or self._longest_step,
            history=self.history, threshold=threshold, start=record.start,
            n_axes=len(self.grid_.axes) if hasattr(self, "grid_") else 0,
        )  # fmt: skip

    @property
    def can_forecast(self) -> bool:
        """Whether a complete series was fitted, that forecasts can be held against."""
        check_is_fitted(self, "error_")
        return self._fit.record is not None

    def _record(self) -> Record:
        if self._fit.record is None:
            raise DataError(
                "ModelErrorDiscovery: only a complete series is a record to forecast; got bursts, "
                "or missing values. Pass a complete record."
            )
        return self._fit.record

    def _read_record(self, truth: Any, t: Any, u: Any) -> Record:
        if isinstance(truth, Field) != hasattr(self, "grid_"):
            raise DataError(
                "ModelErrorDiscovery: a record to forecast must be of the same kind as the "
                f"observations; got {type(truth).__name__}."
            )
        if isinstance(truth, Field):
            times, states, complete = truth.times, truth.values, truth.is_complete
            states = resampled(truth.grid, states, self.grid_.shape) if complete else states
            states = states[..., 0] if states.shape[-1] == 1 else states
            controls = None
        else:
            (run,) = as_trajectories(truth, t, u, owner="ModelErrorDiscovery")
            times, states, complete = run.times, run.states, bool(run.complete.all())
            controls = run.controls
            if (controls is None) != (self._fit.controls is None):
                raise DataError(
                    "ModelErrorDiscovery: a record to forecast must have the controls of the "
                    f"observations; got {list(run.control_names)}."
                )
        if not complete:
            raise DataError("ModelErrorDiscovery: a record to forecast must be complete; got NaN.")
        return Record(times, states, None, controls)

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """Return the error once it is found, else the parameters."""
        if not hasattr(self, "error_"):
            return str(super().__repr__(N_CHAR_MAX))
        said = [self.stability_] if self.stability_ else []
        return "missing:\n" + repr(self.error_) + "".join(f"\n({line})" for line in said)


def _driven(step: Step, path: Callable[[FloatArray], FloatArray] | None) -> Step:
    """Return a step that reads its controls from a path, at the middle of the step."""
    if path is None:
        return step
    return lambda x, t, dt: step(x, t, dt, path(np.array([t + 0.5 * dt]))[0])


def _check_controls(solver: Solver, given: bool, advice: str) -> None:
    """Refuse a solver that cannot do without the controls that were not observed."""
    if solver.needs_controls and not given:
        raise DataError(
            f"ModelErrorDiscovery: dynamics {solver.dynamics!r} needs controls u, and the "
            f"observations have none. {advice}"
        )


def _check_complete(runs: Sequence[Trajectory]) -> None:
    """Refuse runs with controls that are missing at some times."""
    for number, run in enumerate(runs):
        if run.controls is not None and np.isnan(run.controls).any():
            raise DataError(
                f"ModelErrorDiscovery: controls must be known at all times; run {number} has NaN. "
                "Fill them in, or leave those samples out."
            )


def _nothing(terms: FieldTerms) -> SymbolicModel:
    """Return the law that says that nothing moves."""
    return SymbolicModel(
        terms.table, np.zeros((len(terms.components), terms.table.n_terms)), terms.table.inputs,
        target_names=[f"{name}_t" for name in terms.components], kind="direct",
    )  # fmt: skip


def _check_filter(given: Any) -> None:
    if given is not None and not isinstance(given, EnsembleKalmanFilter):
        raise TypeError(
            "ModelErrorDiscovery: filter must be an EnsembleKalmanFilter, or None for the joint "
            f"smoother; got {given!r}."
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
    return law.grid if given is None and isinstance(law, GridLaw) else given


def _as_grid(given: Any, observed: Grid) -> Grid:
    if given is None:
        return observed
    grid = (
        given if isinstance(given, Grid) else Grid((given,) if isinstance(given, Axis) else given)
    )
    same = grid.names == observed.names and np.allclose(
        [a.length for a in grid.axes], [a.length for a in observed.axes]
    )
    same = same and grid.is_discrete == observed.is_discrete
    kinds = [[a.periodic for a in g.axes] for g in (grid, observed)]
    if kinds[0] != kinds[1] or (grid.shape != observed.shape and not all(kinds[1])):
        raise DataError(
            "ModelErrorDiscovery: a solver on open axes must work on the grid of the observations; "
            f"got {grid.shape} points, periodic: {kinds[0]}, for {observed.shape} points, "
            f"periodic: {kinds[1]}."
        )
    if not same:
        raise DataError(
            "ModelErrorDiscovery: grid must be of the same box as the observations; got "
            f"{[(a.name, a.length) for a in grid.axes]} for "
            f"{[(a.name, a.length) for a in observed.axes]}."
        )
    return grid


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
