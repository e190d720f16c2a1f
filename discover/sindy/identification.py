"""What the identification of flows and of maps shares."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from discover.estimation import JointEstimate, refine
from discover.estimation.gridding import left_out
from discover.exceptions import DataError, DataWarning
from discover.grouped import GroupedFits
from discover.interop import as_regressor
from discover.interop.dask import is_dask
from discover.interop.pysindy import TranslatedLibrary, is_pysindy_library
from discover.libraries import FeatureLibrary, PolynomialLibrary, SymbolicLibrary
from discover.libraries.algebra import union
from discover.libraries.termtable import TermTable
from discover.observations import (
    Trajectory,
    as_trajectories,
    find_columns,
    hidden_names,
    take_columns,
    unobserved_states,
    velocity_name,
    without_states,
)
from discover.problems import Problem
from discover.regression import (
    STLSQ,
    Estimate,
    IdentifiabilityReport,
    SparseRegressor,
    identify,
    report_identifiability,
)
from discover.regression.base import with_all_digits
from discover.statistics import accumulate
from discover.streaming import StreamingFits
from discover.symbolic import SymbolicModel
from discover.symbolic.model import Kind
from discover.symbolic.second_order import with_kinematics
from discover.typing import BoolArray, FloatArray

__all__ = ["Identification", "Libraries"]

_FEWEST_ROWS = 4.0  # independent rows below which a fit is called a guess

Libraries = FeatureLibrary | str | Mapping[str, FeatureLibrary]


class Identification(StreamingFits, GroupedFits, BaseEstimator):
    """What continuous and discrete identification share."""

    _kind: Kind = "continuous"
    method_: str
    order: int = 1

    library: Any
    regressor: Any
    names: Any
    control_names: Any
    controls: Any
    include_time: bool
    refine: bool
    hidden: Any = None

    def _form(self) -> Any:
        raise NotImplementedError

    def fit(
        self, X: Any, t: Any = None, u: Any = None, *, groups: Sequence[Hashable] | None = None
    ) -> Self:
        """Identify the law behind observations.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_states), table, or list of runs
            NumPy, pandas or xarray; NaN where nothing was observed. One run may be a Dask
            array, or an xarray object backed by one: it is reduced where its chunks live.
        t : float, array-like of shape (n_samples,), str, or list
            Sampling interval, sample times, or the name of the column that holds them. May
            be left out where a table has them as its index.
        u : array-like of shape (n_samples, n_controls), callable, or list, optional
            Controls.
        groups : sequence of hashable, one per run, optional
            Labels of experiments with different parameters: the terms are chosen together,
            the coefficients are those of each group, and so is its law in `group_models_`.
            See :func:`discover.regression.fit_groups`.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If the observations cannot be used; names run, row and column.
        NotIdentifiableError
            If chosen terms cannot be told apart on these data.
        """
        if is_dask(X) and groups is None:
            return self._fit_dask(X, t, u)
        self._forget_stream()
        if groups is not None:
            return self._fit_groups(X, t, u, groups)
        self.form_ = self._form()
        runs = self._runs(X, t, u)
        problem = self._pose(without_states(runs, unobserved_states(runs)))
        if problem.n_effective < _FEWEST_ROWS:
            warnings.warn(
                f"{self._owner}: these data amount to {problem.n_effective:.1f} independent "
                "rows; whatever law comes out is a guess. Measure for longer.",
                DataWarning,
                stacklevel=2,
            )
        table, allowed = self._table(problem, runs[0].state_names)
        self.regressor_, self.estimate_ = self._identified(runs, problem, table, allowed)
        self.left_out_ = problem.left_out
        if isinstance(self.estimate_, JointEstimate):  # it takes incomplete samples as they are
            self.left_out_ = left_out(runs, self.estimate_.smoothed)
        self.control_columns_ = _control_columns(X, self.controls, self.names, t)
        shown = runs[0].n_states - len(hidden_names(self.hidden, self._owner))
        self.n_features_in_ = shown + (runs[0].n_controls if self.controls else 0)
        self.symbolic_ = self._law(table, self.estimate_, runs[0], problem.dt)
        if self.refine:
            self.refinement_ = refine(self.symbolic_, runs)
            self.symbolic_ = self.refinement_.model
        return self

    def _identified(
        self,
        runs: Sequence[Trajectory],
        problem: Problem,
        table: TermTable,
        allowed: BoolArray | None,
    ) -> tuple[Any, Estimate]:
        """Return the fitted engine and its estimate; here, one regression."""
        regressor = self._regressor()
        source = problem.source(table)
        stats = accumulate(source, n_blocks=regressor.n_blocks, lags=regressor.needs_lags)
        if not np.isfinite(stats.total).all():
            source.check_finite()
            raise DataError(
                f"{self._owner}: products of these numbers leave the range of double precision, "
                "1e-308 to 1e308. Give the columns in other units."
            )
        stats = replace(stats, n_effective=problem.n_effective, floor=problem.floor)
        stats = with_all_digits(source, stats)
        estimate = identify(
            source,
            stats,
            regressor,
            term_names=table.names,
            target_names=problem.target_names,
            allowed=allowed,
        )
        regressor._learn(estimate)
        self.statistics_ = stats.compact()
        self._asked = (table.names, problem.target_names, allowed)
        self._report: IdentifiabilityReport | None = None
        return regressor, estimate

    def _pose(self, runs: Sequence[Trajectory]) -> Problem:
        options = {} if self.order == 1 else {"order": self.order}
        problem: Problem = self.form_.pose(runs, include_time=self.include_time, **options)
        return problem

    def _regressor(self) -> SparseRegressor:
        regressor = STLSQ() if self.regressor is None else self.regressor
        copy: SparseRegressor = clone(as_regressor(regressor, self._owner))
        return copy

    def _law(
        self, table: TermTable, estimate: Estimate, run: Trajectory, dt: float | None
    ) -> SymbolicModel:
        states = run.state_names
        coefficients, support = estimate.coefficients, estimate.support
        covariance, units = estimate.covariance, _units(run)
        if self.order == 2:
            velocities = tuple(map(velocity_name, states))
            table, coefficients, support = with_kinematics(table, coefficients, support, velocities)
            covariance = np.pad(covariance, [(len(states), 0)] * 2)
            units |= _velocity_units(run)
            states += velocities
        return SymbolicModel(
            table,
            coefficients,
            states,
            run.control_names,
            time_name="t" if self.include_time else None,
            kind=self._kind,
            dt=dt,
            support=support,
            covariance=covariance,
            units=units,
        )

    @property
    def members_(self) -> list[SymbolicModel]:
        """The laws of the members of an ensemble, each a model of its own."""
        members = self._of_ensemble("member_coef_")
        model: SymbolicModel = self.symbolic_
        return [model.with_coefficients(coefficients) for coefficients in members]

    @property
    def inclusion_probabilities_(self) -> FloatArray:
        """Share of the members that use each term, shape (n_targets, n_terms)."""
        return self._of_ensemble("inclusion_probabilities_")

    def _of_ensemble(self, name: str) -> FloatArray:
        regressor = getattr(self, "regressor_", None)
        if not hasattr(regressor, name):
            raise AttributeError(
                f"{self._owner}: only a fitted model with regressor=EnsembleRegressor(...) has "
                f"members; this one has {regressor or self.regressor!r}."
            )
        return np.asarray(getattr(regressor, name))

    @property
    def _owner(self) -> str:
        return type(self).__name__

    def _runs(self, X: Any, t: Any, u: Any) -> list[Trajectory]:
        runs = as_trajectories(
            X,
            t,
            u,
            names=self.names,
            control_names=self.control_names,
            controls=self.controls,
            owner=self._owner,
        )
        if self.order not in (1, 2):
            raise ValueError(f"{self._owner}: order must be 1 or 2; got {self.order!r}.")
        names = {*runs[0].state_names, *runs[0].control_names}
        taken = [name for name in runs[0].state_names if velocity_name(name) in names]
        if self.order == 2 and taken:
            raise ValueError(
                f"{self._owner}: with order=2 the velocity of {taken[0]!r} is called "
                f"{velocity_name(taken[0])!r}, and so is a column. Rename the column, leave it "
                "out, or use order=1 where velocities were measured."
            )
        return runs

    def _table(
        self, problem: Problem, states: Sequence[str] = ()
    ) -> tuple[TermTable, BoolArray | None]:
        """Return the table of candidate terms, and which target may use which.

        The states are those of the problem, unless there are others that nobody measured.
        """
        targets = tuple(states) or problem.target_names
        inputs = (*targets, *problem.input_names[len(problem.target_names) :])
        library = PolynomialLibrary(2) if self.library is None else self.library
        library = _as_library(library)
        if isinstance(library, FeatureLibrary):
            self.library_: Any = clone(library).fit_names(inputs)
            return self.library_.table_, None
        if not isinstance(library, Mapping):
            raise TypeError(
                f"{self._owner}: library must be a FeatureLibrary such as PolynomialLibrary(3), "
                f"or one per state in a dictionary; got {library!r}."
            )
        missing = [name for name in targets if name not in library]
        unknown = [name for name in library if name not in targets]
        if missing or unknown:
            raise ValueError(
                f"{self._owner}: library must have one entry per state "
                f"{list(targets)}; missing {missing}, unknown {unknown}."
            )
        self.library_ = {
            name: clone(_as_library(library[name])).fit_names(inputs) for name in targets
        }
        tables = [fitted.table_ for fitted in self.library_.values()]
        table = union(tables)
        return table, np.array([np.isin(table.names, t.names) for t in tables])

    # -- use -----------------------------------------------------------------------

    @property
    def identifiability_(self) -> IdentifiabilityReport:
        """What these data can and cannot tell apart; made when first asked for."""
        self._check_one_law()
        if not hasattr(self, "statistics_"):
            raise AttributeError(
                f"{self._owner}: a joint fit keeps no statistics of rows to report on; its "
                "estimate_ has the marginal covariance."
            )
        if self._report is None:
            terms, targets, allowed = self._asked
            equations = self.regressor_.normal_equations(self.statistics_, terms, targets)
            self._report = report_identifiability(
                self.statistics_,
                self.estimate_,
                term_names=terms,
                target_names=targets,
                allowed=allowed,
                search=equations.constraints is None,
            )
        return self._report

    def predict(self, X: Any, u: Any = None, t: Any = None) -> Any:
        """Evaluate the law: dx/dt, or the next state of a map.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_states) or (n_states,), table, or list of these
            States; those of second-order laws include the velocities.
        u : array-like of shape (n_samples, n_controls), or list, optional
        t : float, array-like of shape (n_samples,), or list, optional
            Needed by laws that depend on time, and only by them.

        Returns
        -------
        ndarray of the shape of `X`'s states, or list of them
        """
        self._check_one_law()
        if isinstance(X, list | tuple) and len(X) and np.ndim(X[0]) == 2:
            us = [None] * len(X) if u is None else u
            ts = t if isinstance(t, list | tuple) else [t] * len(X)
            return [self.predict(*run) for run in zip(X, us, ts, strict=True)]
        model: SymbolicModel = self.symbolic_
        columns = getattr(X, "columns", None)
        if isinstance(X, Trajectory):
            X, u, t = X.states, X.controls, X.times
        elif columns is not None or self.controls is not None:
            X, u = self._split(X, u)
        if t is None and model.time_name is not None:
            raise ValueError(f"{self._owner}: predict: t is needed; the law depends on time.")
        return model.rhs(X, 0.0 if t is None else t, u)

    def _split(self, X: Any, u: Any) -> tuple[FloatArray, Any]:
        """Take states, and the controls that travel with them, from the columns of X."""
        model: SymbolicModel = self.symbolic_
        if hasattr(X, "columns"):
            if self.controls is not None:
                u = take_columns(X, model.control_names, self._owner)
            return take_columns(X, model.state_names, self._owner), u
        X = np.asarray(X, dtype=np.float64)
        if u is not None:
            return X, u
        places = self.control_columns_
        if places is None:
            raise ValueError(f"{self._owner}: predict: pass the states, and the controls as u.")
        return np.delete(X, places, axis=-1), X[..., places]

    def score(self, X: Any, t: Any = None, u: Any = None) -> float:
        """Return the mean R^2 of the targets the method makes of these observations.

        For the weak form these are mean derivatives over windows, for the strong form
        derivatives, for maps the next states.

        Parameters
        ----------
        X, t, u
            As for :meth:`fit`.

        Returns
        -------
        float
            1 is perfect; a constant target scores 1 if it is met to rounding, else 0.
        """
        self._check_one_law()
        runs = self._runs(X, t, u)
        if unobserved_states(runs):
            raise ValueError(
                f"{self._owner}: score needs measurements of every state, "
                f"{list(unobserved_states(runs))} too; compare forecasts from smoothed_ instead."
            )
        problem = self._pose(runs)
        model: SymbolicModel = self.symbolic_
        states, controls = len(model.state_names), len(model.control_names)
        inputs = problem.inputs
        values = model.rhs(
            inputs[:, :states],
            inputs[:, -1] if self.include_time else 0.0,
            inputs[:, states : states + controls] if controls else None,
        )
        values = values[:, -len(problem.target_names) :]
        residual = ((problem.targets - problem.apply(values)) ** 2).sum(axis=0)
        total = ((problem.targets - problem.targets.mean(axis=0)) ** 2).sum(axis=0)
        rounding = 1e-20 * (problem.targets**2).sum(axis=0)
        flat = total <= rounding
        r2 = np.where(flat, residual <= rounding, 1 - residual / np.where(flat, 1.0, total))
        return float(np.mean(r2))

    def simulate(self, x0: ArrayLike, t: ArrayLike, u: Any = None, **options: Any) -> Any:
        """Integrate the law from an initial state; see :func:`discover.dynamics.simulate`."""
        self._check_one_law()
        return self.symbolic_.simulate(x0, t, u, **options)

    def equations(self) -> list[str]:
        """Return the equations as text; of groups, each with its label."""
        if hasattr(self, "group_models_"):
            return self._group_lines()
        check_is_fitted(self, "symbolic_")
        return self.symbolic_.equations()

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """Return the equations once there are any, else the parameters."""
        if hasattr(self, "group_models_"):
            return "\n".join([*self._group_lines(), *(f"({note})" for note in self.left_out_)])
        if not hasattr(self, "symbolic_"):
            return str(super().__repr__(N_CHAR_MAX))
        told = [*self.left_out_, *self._remarks()]
        notes = "".join(f"\n({note})" for note in told)
        return repr(self.symbolic_) + notes

    def _remarks(self) -> tuple[str, ...]:
        """Return what else the reader of the equations should know."""
        kept = self.refinement_.notes() if self.refine and hasattr(self, "refinement_") else ()
        refined = tuple(f"refined, {note}" for note in kept)
        if not hasattr(self, "statistics_"):
            return (self.method_, *refined)
        told = getattr(self, "method_", "")
        given_up = (told,) if "given up" in told else ()
        return (*given_up, *self.identifiability_.notes(), *refined)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        if not hasattr(self, "symbolic_"):
            bundle: dict[str, str] = super()._repr_mimebundle_(**kwargs)
            return bundle
        return {"text/plain": repr(self), "text/html": self.symbolic_._repr_html_()}


def _as_library(library: Any) -> Any:
    if is_pysindy_library(library):
        return TranslatedLibrary(library)
    return SymbolicLibrary(library) if isinstance(library, str) else library


def _control_columns(X: Any, controls: Any, names: Any, t: Any) -> list[int] | None:
    """Return the positions of the controls among the columns of X, time not counted."""
    if controls is None:
        return []
    first = X[0] if isinstance(X, list | tuple) else X
    wanted = [controls] if isinstance(controls, str | int) else list(controls)
    labels = getattr(first, "columns", names)
    if labels is None:
        named = any(isinstance(item, str) for item in wanted)
        return None if named else [int(item) for item in wanted]
    return find_columns(labels, wanted, t, "SINDy")


def _velocity_units(run: Trajectory) -> dict[str, str]:
    """Return the units of velocities, where those of positions and time are known."""
    unit_of, clock = zip(run.state_names, run.state_units, strict=True), run.time_unit
    divided = f"({clock})" if clock and set(clock) & set("*/ ·") else clock
    return {velocity_name(name): f"{unit}/{divided}" for name, unit in unit_of if unit and clock}


def _units(run: Trajectory) -> dict[str, str]:
    names = (*run.state_names, *run.control_names, "t")
    units = (*run.state_units, *run.control_units, run.time_unit)
    return {name: unit for name, unit in zip(names, units, strict=True) if unit}
