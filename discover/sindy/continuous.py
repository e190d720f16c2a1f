"""SINDy: from measurements to differential equations."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal

from sklearn.base import clone

from discover.estimation import (
    HiddenStateFit,
    JointEstimate,
    JointFit,
    ReweightedWeakForm,
    joint_fit_warranted,
    unexplained,
)
from discover.exceptions import DataWarning
from discover.libraries.termtable import TermTable
from discover.observations import Trajectory, hidden_names, unobserved_states, with_unobserved
from discover.problems import Problem, StrongForm, WeakForm, as_differentiator
from discover.regression import Estimate, SparseRegressor
from discover.sindy.identification import Identification, Libraries
from discover.typing import BoolArray

__all__ = ["SINDy"]


class SINDy(Identification):
    """Identify sparse differential equations ``dx/dt = f(x, u, t)`` from data.

    Parameters
    ----------
    library : FeatureLibrary, str or mapping, optional
        Candidate terms, for all states or ``{state: library}``; text is read as by
        :class:`SymbolicLibrary`. By default polynomials of degree 2. Also pysindy's.
    regressor : SparseRegressor, optional
        By default :class:`STLSQ` with its automatic threshold;
        :class:`RelevanceVectorRegressor` is the better choice for large libraries. Also
        optimizers of pysindy and linear regressors of scikit-learn, see
        :class:`ForeignRegressor`.
    method : {"auto", "weak", "wendy", "derivative", "joint"}, form, differentiator or engine
        How the law is confronted with the data: the weak form ("weak" or a
        :class:`WeakForm`), estimated derivatives ("derivative" for fourth-order
        differences, or any differentiator of this package, pysindy or ``derivative``), or
        trajectories estimated together with the law ("joint" or a :class:`JointFit`), which
        is the method for noisy data. "wendy" or a
        :class:`ReweightedWeakForm` is the weak form with the covariance of its rows, and
        much faster. "auto" is "joint" where no regressor is given, the data
        are noisy, dense and many, and the library is not too large; else it is "weak".
        ``method_`` says which, and why.
    hidden : str, sequence of str, or int, optional
        Names of states that were not measured, so that `X` has no columns for them, or how
        many. Columns of a :class:`Trajectory` that are NaN from top to bottom are the same.
        They are found by the joint fit; see :class:`~discover.estimation.HiddenStateFit`.
    names, control_names : sequence of str, optional
        Names of the states and controls, where the data have none.
    controls : sequence of str or int, optional
        Columns of `X` that are controls, by name in tables and by position in arrays: an
        alternative to the argument `u`, made for pipelines and grid searches.
    include_time : bool, default=False
        Whether the library may use the time, as ``t``.
    order : {1, 2}, default=1
        With 2, the law is ``y'' = f(y, y', u, t)`` for measured coordinates ``y``; the
        library knows their velocities as ``y_dot``, and the states of the law are the
        coordinates followed by the velocities.
    refine : bool, default=False
        Whether to match the trajectories of the law to the data in the end; see
        :func:`discover.refine`.

    Attributes
    ----------
    symbolic_ : SymbolicModel
        The law.
    group_models_ : dict of label to SymbolicModel
        Instead of `symbolic_`, `estimate_` and `statistics_`, of a fit with `groups`.
    estimate_ : Estimate
        Coefficients, covariance, and the path of models that were compared.
    regressor_, library_ : fitted copies
    form_ : the form that posed the problem
    method_ : str
        The method that was used; of a joint fit chosen by "auto", also why.
    left_out_ : tuple of str
        Which data were not used, and why.
    identifiability_ : IdentifiabilityReport
        Which other laws explain the data nearly as well.
    statistics_ : SufficientStatistics
        All that the regression saw of the data, in one block.
    refinement_ : Refinement
        With ``refine=True``: `symbolic_` is its law, `estimate_` what it started from.

    Notes
    -----
    Brunton, Proctor and Kutz, PNAS 113 (2016) 3932-3937; the weak form of Messenger and
    Bortz, Multiscale Model. Simul. 19 (2021) 1474-1497.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.linspace(0, 10, 400)
    >>> X = np.column_stack([np.cos(t), -np.sin(t)])
    >>> SINDy(names=["q", "p"]).fit(X, t).equations()
    ["q' =  1.000000...p", "p' = -1.000000...q"]
    >>> SINDy("y, y_dot, y**3", names=["y"], order=2).fit(np.cos(t), t).equations()
    ["y'' = -1.00000...y"]
    """

    def __init__(
        self,
        library: Libraries | None = None,
        regressor: SparseRegressor | None = None,
        *,
        method: Any = "auto",
        hidden: int | str | Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        control_names: Sequence[str] | None = None,
        controls: Sequence[str | int] | None = None,
        include_time: bool = False,
        order: Literal[1, 2] = 1,
        refine: bool = False,
    ) -> None:
        self.library = library
        self.regressor = regressor
        self.method = method
        self.hidden = hidden
        self.names = names
        self.control_names = control_names
        self.controls = controls
        self.include_time = include_time
        self.order = order
        self.refine = refine

    def _form(self) -> Any:
        method = self.method
        if isinstance(method, str):
            weak = dict.fromkeys(("auto", "weak", "wendy", "joint"), WeakForm)
            forms: dict[str, type[WeakForm | StrongForm]] = {**weak, "derivative": StrongForm}
            if method not in forms:
                raise ValueError(
                    f"SINDy: method must be one of {list(forms)}, a form or a differentiator; "
                    f"got {method!r}."
                )
            return forms[method]()
        if isinstance(method, JointFit | ReweightedWeakForm):
            return WeakForm()
        if hasattr(method, "pose") and not isinstance(method, type):
            return clone(method)
        return StrongForm(as_differentiator(method))

    def _identified(
        self,
        runs: Sequence[Trajectory],
        problem: Problem,
        table: TermTable,
        allowed: BoolArray | None,
    ) -> tuple[Any, Estimate]:
        engine, self.method_ = self._engine(runs, table)
        if engine is None:
            return super()._identified(runs, problem, table, allowed)
        if hasattr(self, "statistics_"):
            del self.statistics_  # of an earlier fit by another method
        estimate = engine.identify(runs, table, allowed=allowed, include_time=self.include_time)
        if isinstance(engine, HiddenStateFit):
            self.method_ = f"joint fit; {engine.entry_}"
            return engine, estimate
        memory = getattr(estimate, "noise_memory", None)
        if memory is not None:
            self.method_ += f"; it is correlated, over {memory.max():.2g} in time"
        chosen = isinstance(self.method, str) and self.method == "auto"
        failed = None
        if chosen and isinstance(estimate, JointEstimate):
            failed = unexplained(estimate, runs)
        if failed is not None:
            warnings.warn(
                f"SINDy: the joint fit was given up for the weak form: {failed}. Do the runs obey "
                "one law, with terms of this library?",
                DataWarning,
                stacklevel=3,
            )
            self.method_ = f"weak; a joint fit was given up: {failed}"
            return super()._identified(runs, problem, table, allowed)
        return engine, estimate

    def _runs(self, X: Any, t: Any, u: Any) -> list[Trajectory]:
        runs = with_unobserved(
            super()._runs(X, t, u), hidden_names(self.hidden, self._owner), self._owner
        )
        none = unobserved_states(runs)
        joint = isinstance(self.method, JointFit)
        joint |= isinstance(self.method, str) and self.method in ("auto", "joint")
        alone = joint and self.regressor is None and self.order == 1 and not self.refine
        if none and not alone:
            raise ValueError(
                f"SINDy: {none[0]!r} was not measured; only method='joint' finds such a state, "
                f"without regressor, order=2 or refine; got method={self.method!r}. Leave them "
                "out, or leave out the state."
            )
        return runs

    def _engine(
        self, runs: Sequence[Trajectory], table: TermTable
    ) -> tuple[JointFit | ReweightedWeakForm | None, str]:
        """Return the iterated engine that the method or the noise asks for, and why."""
        method = self.method
        if unobserved_states(runs):
            fit = method if isinstance(method, JointFit) else JointFit()
            return HiddenStateFit(**fit.get_params()), "joint fit"
        if isinstance(method, str) and method == "auto":
            free = self.regressor is None and self.order == 1
            reason = joint_fit_warranted(runs, table) if free else None
            return (None, "weak") if reason is None else (JointFit(), f"joint fit: {reason}")
        engine: JointFit | ReweightedWeakForm
        if isinstance(method, JointFit | ReweightedWeakForm):
            engine = clone(method)
        elif isinstance(method, str) and method in ("joint", "wendy"):
            engine = JointFit() if method == "joint" else ReweightedWeakForm()
        else:
            return None, method if isinstance(method, str) else type(method).__name__
        if self.regressor is not None or self.order != 1:
            raise ValueError(
                f"SINDy: method={method!r} selects its terms itself and needs order=1; got "
                f"regressor={self.regressor!r}, order={self.order!r}. Leave them out."
            )
        joint = isinstance(engine, JointFit)
        return engine, "joint fit" if joint else "re-weighted weak form"

    @property
    def smoothed_(self) -> list[Trajectory]:
        """The trajectories that the law and the data agree on; of a joint fit only."""
        smoothed = getattr(getattr(self, "estimate_", None), "smoothed", None)
        if smoothed is None:
            raise AttributeError("SINDy: only a fit with method='joint' has smoothed trajectories.")
        return list(smoothed)
