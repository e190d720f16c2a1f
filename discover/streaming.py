"""What SINDy does with data that are never all at hand: pieces, endless streams, Dask."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial, reduce
from itertools import chain
from operator import add
from typing import Any, Self

from discover.exceptions import DataError, DataWarning
from discover.libraries.termtable import TermTable
from discover.observations import Trajectory
from discover.problems import (
    DesignRows,
    PartedRows,
    Problem,
    Stream,
    StreamedRows,
    part_statistics,
    pose_stream,
)
from discover.regression import Estimate, IdentifiabilityReport, SparseRegressor, identify
from discover.regression.base import with_all_digits
from discover.statistics import SufficientStatistics
from discover.symbolic import SymbolicModel
from discover.typing import BoolArray

__all__ = ["StreamingFits"]

_FEWEST_ROWS = 4.0  # independent rows below which a fit is called a guess


class StreamingFits:
    """Fits of an identification method to data that come in parts.

    The method supplies ``_form``, ``_regressor``, ``_runs``, ``_table`` and ``_law``.
    """

    include_time: bool
    order: int
    method: Any

    _form: Any
    _regressor: Any
    _runs: Any
    _table: Any
    _law: Any

    def fit_stream(self, pieces: Iterable[Trajectory] | Callable[[], Iterable[Trajectory]]) -> Self:
        """Identify the law behind data that come in pieces, such as files larger than memory.

        Parameters
        ----------
        pieces : iterable of Trajectory, or callable that returns one
            Consecutive stretches of runs, in order of time. A piece continues the one
            before it if it has the same name and its times go on. What can be read again
            (a list, a callable) is, where that gives more digits; an iterator is read once.

        Returns
        -------
        self

        Notes
        -----
        On regularly sampled data the rows are those of :meth:`fit`, windows across the ends
        of pieces included, once its automatic choices are the same: they are made on the
        first pieces here, on everything there (``WeakForm(...).resolved(runs)`` fixes
        them). Where samples are interpolated first, windows begin anew with every piece.
        An iterator costs an R factor of all rows in its one pass.
        """
        regressor = self._start("fit_stream")
        once = isinstance(pieces, Iterator)
        read: Callable[[], Iterable[Trajectory]]
        read = pieces if callable(pieces) else partial(iter, pieces)
        head = next(iter(read()), None)
        if head is None:
            raise DataError("SINDy: pieces must hold at least one Trajectory; got none.")
        again = chain([head], read()) if once else read()
        problems = pose_stream(again, self.form_, self.include_time)
        first = next(problems, None)
        if first is None:
            raise DataError("SINDy: the pieces hold no row; no run is long enough.")
        table, allowed = self._table(first)
        if not once:
            rows = StreamedRows(read, self.form_, self.include_time, table)
            return self._fit_parts(regressor, rows, first, allowed, head)
        parts = (problem.source(table) for problem in chain([first], problems))
        total = reduce(add, (_factored(part, regressor) for part in parts))
        return self._fit_total(regressor, total, table, first, allowed, head)

    def partial_fit(self, X: Any, t: Any = None, u: Any = None) -> Self:
        """Add data to those seen by earlier calls, and identify the law behind all of them.

        Parameters
        ----------
        X, t, u
            As for :meth:`fit`, which starts anew. A run continues the last one of the call
            before if its times go on.

        Returns
        -------
        self

        Notes
        -----
        What is kept does not grow with the data: statistics with their R factor, and the end
        of the last run. Automatic choices of the form are made on the data of the first call.
        """
        begun = hasattr(self, "stream_")
        regressor = self._regressor() if begun else self._start("partial_fit")
        runs = self._runs(X, t, u)
        if not begun:
            self.stream_ = Stream(self.form_, self.include_time, fewest=1)
            self._collected: SufficientStatistics | None = None
        last = None
        for last in chain.from_iterable(map(self.stream_.push, runs)):
            if self._collected is None:
                self._partial_table = self._table(last)
            stats = _factored(last.source(self._partial_table[0]), regressor)
            self._collected = stats if self._collected is None else self._collected + stats
        if self._collected is None:
            warnings.warn(
                "SINDy: not one row is complete yet; add more data.", DataWarning, stacklevel=2
            )
        elif last is not None:
            table, allowed = self._partial_table
            self._fit_total(regressor, self._collected, table, last, allowed, runs[0])
        return self

    def _fit_dask(self, X: Any, t: Any, u: Any) -> Self:
        """Fit a run held in a Dask array; what reaches this process are sums over chunks."""
        from discover.interop.dask import DaskRows, first_problem, open_dask

        regressor = self._start("a Dask array")
        data = open_dask(X, t, u, self._runs)
        rules = self.form_.piecewise([data.head], include_time=self.include_time)
        problem = first_problem(data, rules)
        table, allowed = self._table(problem)
        rows = DaskRows(data, rules, table)
        return self._fit_parts(regressor, rows, problem, allowed, data.head)

    def _start(self, method: str) -> SparseRegressor:
        """Forget what was fitted before; returns the regressor to fit."""
        self._forget_stream()
        joint = self.method if hasattr(self, "method") else None
        hidden = getattr(self, "hidden", None)
        if (
            hidden is not None
            or self.order != 1
            or joint == "joint"
            or type(joint).__name__ == "JointFit"
        ):
            raise ValueError(
                f"SINDy: {method} is for order=1 and the weak or strong form; velocities, joint "
                f"fits and hidden states need whole runs. Got order={self.order!r}, "
                f"method={joint!r}, hidden={hidden!r}."
            )
        self.form_ = self._form()
        regressor: SparseRegressor = self._regressor()
        return regressor

    def _forget_stream(self) -> None:
        for name in ("stream_", "_collected", "_partial_table", "group_models_"):
            self.__dict__.pop(name, None)

    def _fit_parts(
        self,
        regressor: SparseRegressor,
        rows: PartedRows,
        problem: Problem,
        allowed: BoolArray | None,
        run: Trajectory,
    ) -> Self:
        """Fit rows that can be summed over again, and are never all at hand."""
        stats = rows.statistics(regressor.n_blocks, lags=regressor.needs_lags)
        stats = with_all_digits(rows, stats)
        estimate = identify(
            rows,
            stats,
            regressor,
            term_names=rows.table.names,
            target_names=problem.target_names,
            allowed=allowed,
        )
        return self._conclude(regressor, estimate, stats, rows.table, allowed, run, problem)

    def _fit_total(
        self,
        regressor: SparseRegressor,
        stats: SufficientStatistics,
        table: TermTable,
        problem: Problem,
        allowed: BoolArray | None,
        run: Trajectory,
    ) -> Self:
        """Fit statistics whose rows are gone."""
        names = {"term_names": table.names, "target_names": problem.target_names}
        estimate = regressor.fit_statistics(stats, allowed=allowed, **names)
        regressor.normal_equations(stats, **names).check_identifiable(estimate.support, table.names)
        return self._conclude(regressor, estimate, stats, table, allowed, run, problem)

    def _conclude(
        self,
        regressor: SparseRegressor,
        estimate: Estimate,
        stats: SufficientStatistics,
        table: TermTable,
        allowed: BoolArray | None,
        run: Trajectory,
        problem: Problem,
    ) -> Self:
        """Keep what was found."""
        if stats.effective_samples < _FEWEST_ROWS:
            warnings.warn(
                f"SINDy: these data amount to {stats.effective_samples:.1f} independent rows; "
                "whatever law comes out is a guess. Measure for longer.",
                DataWarning,
                stacklevel=4,
            )
        regressor._learn(estimate)
        self.regressor_, self.estimate_ = regressor, estimate
        self.statistics_ = stats.compact()
        self._asked = (table.names, problem.target_names, allowed)
        self._report: IdentifiabilityReport | None = None
        self.left_out_ = problem.left_out
        self.control_columns_: list[int] | None = []
        self.n_features_in_ = run.n_states
        self.symbolic_: SymbolicModel = self._law(table, estimate, run, problem.dt)
        return self


def _factored(part: DesignRows, regressor: SparseRegressor) -> SufficientStatistics:
    """Return statistics with the R factor, for rows that will not be seen again."""
    lags = regressor.needs_lags
    return part_statistics(part, n_blocks=regressor.n_blocks, lags=lags, factor=True)
