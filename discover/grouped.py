"""What SINDy does with experiments whose parameters differ: one support, many coefficients."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, Self

from sklearn.utils.validation import check_is_fitted

from discover.libraries.termtable import TermTable
from discover.observations import Trajectory
from discover.problems import Problem
from discover.regression import fit_groups
from discover.regression.base import with_all_digits
from discover.statistics import SufficientStatistics, accumulate
from discover.symbolic import SymbolicModel

__all__ = ["GroupedFits"]

_OF_ONE_LAW = ("symbolic_", "estimate_", "regressor_", "statistics_", "refinement_")


class GroupedFits:
    """Fits of an identification method to groups of runs that share their terms.

    The method supplies ``_form``, ``_runs``, ``_pose``, ``_table`` and ``_law``.
    """

    regressor: Any
    refine: bool
    controls: Any
    group_models_: dict[Hashable, SymbolicModel]

    _form: Any
    _law: Any
    _owner: Any
    _pose: Any
    _runs: Any
    _table: Any

    def _fit_groups(self, X: Any, t: Any, u: Any, groups: Sequence[Hashable]) -> Self:
        """Identify one law per label, all with the same terms."""
        runs: list[Trajectory] = self._runs(X, t, u)
        labels = self._labels(groups, len(runs))
        self.form_ = self._form()
        if hasattr(self.form_, "resolved"):  # the same windows for all
            self.form_ = self.form_.resolved(runs)
        members = {label: _of_label(runs, labels, label) for label in dict.fromkeys(labels)}
        problems: dict[Hashable, Problem] = {k: self._pose(own) for k, own in members.items()}
        table, allowed = self._table(next(iter(problems.values())))
        stats = {label: _statistics(problem, table) for label, problem in problems.items()}
        estimates = fit_groups(stats, allowed=allowed)
        self._forget_law()
        self.n_features_in_ = runs[0].n_states + (runs[0].n_controls if self.controls else 0)
        self.left_out_ = tuple(
            f"{label}: {note}" for label, p in problems.items() for note in p.left_out
        )
        self.group_models_ = {
            label: self._law(table, estimate, members[label][0], problems[label].dt)
            for label, estimate in estimates.items()
        }
        return self

    def _labels(self, groups: Sequence[Hashable], n_runs: int) -> list[Hashable]:
        """Return one label per run; refuse what a fit to groups cannot be."""
        labels = [] if isinstance(groups, str) else list(groups)
        if len(labels) != n_runs:
            raise ValueError(
                f"{self._owner}: groups must have one label per run, {n_runs} here; got "
                f"{groups!r}. Pass X as a list of runs."
            )
        method = getattr(self, "method", "auto")
        hidden = getattr(self, "hidden", None)
        engine = method in ("joint", "wendy") if isinstance(method, str) else False
        engine = engine or hasattr(method, "identify") or hidden is not None
        if self.regressor is not None or self.refine or engine:
            raise ValueError(
                f"{self._owner}: groups select their terms together, by the weak or strong form; "
                f"got regressor={self.regressor!r}, method={method!r}, refine={self.refine!r}, "
                f"hidden={hidden!r}. "
                "Leave them out."
            )
        return labels

    def _forget_law(self) -> None:
        for name in (*_OF_ONE_LAW, "group_models_"):
            self.__dict__.pop(name, None)

    def _check_one_law(self) -> None:
        """Raise unless there is one law to use."""
        if hasattr(self, "group_models_"):
            raise AttributeError(
                f"{self._owner}: fitted with groups, each has a law of its own; use "
                f"group_models_[label], with a label of {list(self.group_models_)}."
            )
        check_is_fitted(self, "symbolic_")

    def _group_lines(self) -> list[str]:
        """Return the equations of every group, with its label."""
        width = max(len(str(label)) for label in self.group_models_)
        return [
            f"{label!s:<{width}}: {line}"
            for label, model in self.group_models_.items()
            for line in "\n".join(model.equations()).split("\n")
        ]


def _of_label(
    runs: Sequence[Trajectory], labels: Sequence[Hashable], label: Hashable
) -> list[Trajectory]:
    return [run for run, own in zip(runs, labels, strict=True) if own == label]


def _statistics(problem: Problem, table: TermTable) -> SufficientStatistics:
    source = problem.source(table)
    source.check_finite()
    stats = replace(
        accumulate(source, n_blocks=1), n_effective=problem.n_effective, floor=problem.floor
    )
    exact: SufficientStatistics = with_all_digits(source, stats)
    return exact
