"""All runs together: linearised at their trajectories and a law, and eliminated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from discover.estimation.collocation import Grid, Linearized, linearize
from discover.estimation.coloured import memory_of
from discover.estimation.marginal import BandedInformation, Sensitivities, solve_scaled
from discover.libraries.termtable import TermTable
from discover.typing import BoolArray, FloatArray, IntArray

__all__ = ["Elimination", "JointState", "terms_of", "used_columns"]


@dataclass(frozen=True, eq=False)
class JointState:
    """Where the fit stands.

    `unresolved` are the quadrature errors per run, (n - 1, d): defects the grid cannot avoid.
    `excused` is what these errors add to minus twice the log-density of the defects: with it,
    laws on different grids compare.
    """

    grids: list[Grid]
    x: list[FloatArray]
    unresolved: list[FloatArray]
    sigma: FloatArray
    coefficients: FloatArray  # (n_terms, d)
    support: BoolArray  # (d, n_terms)
    cost: float = np.inf
    excused: float = 0.0
    memory: FloatArray | None = None  # correlation times of the noise (d,); None: white


class Elimination:
    """Normal equations of a law, from runs whose trajectories are unknown.

    Parameters
    ----------
    table : TermTable
        All candidate terms.
    d : int
        Number of states.
    """

    def __init__(self, table: TermTable, d: int) -> None:
        self.table, self.d = table, d
        self.each: Callable[..., Iterable[Any]] = map
        self._tables: dict[bytes, TermTable] = {}
        self._last: tuple[JointState, list[Linearized]] | None = None

    def table_of(self, terms: IntArray) -> TermTable:
        """Return the table of some terms."""
        key = terms.tobytes()
        if key not in self._tables:
            self._tables[key] = self.table.select(terms)
        return self._tables[key]

    def remember(self, state: JointState, runs: list[Linearized]) -> None:
        """Keep a linearisation for the next one at the same trajectories and law."""
        self._last = (state, runs)

    def linearize(self, state: JointState, scales: Sequence[FloatArray]) -> list[Linearized]:
        """Linearise every run; where only the weights are new, the rest is kept.

        Parameters
        ----------
        state : JointState
        scales : sequence of ndarray of shape (n - 1, d)
            Standard deviation granted to the defects.
        """
        if self._last is None or not _same_place(self._last[0], state):
            terms = terms_of(state.support)
            law = (self.table_of(terms), state.coefficients[terms])

            def of_run(grid: Grid, x: FloatArray) -> Linearized:
                return linearize(grid, *law, x)

            self._last = (state, list(self.each(of_run, state.grids, state.x)))
        return [
            _weighed(run, grid, scale, state)
            for run, grid, scale in zip(self._last[1], state.grids, scales, strict=True)
        ]

    def marginal(
        self, runs: list[Linearized], terms: IntArray, support: BoolArray | None = None
    ) -> tuple[FloatArray, FloatArray, float, list[tuple[BandedInformation, Sensitivities]]]:
        """Eliminate the trajectories.

        Returns the precision and the gradient of the coefficients of some terms, or of a
        support among them, the cost, and what leads back to the trajectories.
        """
        table = self.table_of(terms)
        few = None if support is None else support[:, terms]
        eliminated = list(self.each(partial(_eliminate, table=table, support=few), runs))
        S = np.sum([e[0] for e in eliminated], axis=0)
        gradient = np.sum([e[1] for e in eliminated], axis=0)
        return S, gradient, sum(e[2] for e in eliminated), [e[3] for e in eliminated]

    def direction(
        self, state: JointState, runs: list[Linearized]
    ) -> tuple[FloatArray, list[FloatArray]]:
        """Return the Gauss-Newton step of coefficients (n_terms, d) and trajectories."""
        support = state.support
        S, gradient, _, parts = self.marginal(runs, terms_of(support), support)
        used = used_columns(support)
        width = len(used) // self.d
        step = np.zeros(len(gradient))
        step[used] = solve_scaled(S[np.ix_(used, used)], -gradient[used])
        dxi = np.zeros((self.table.n_terms, self.d))
        for i, row in enumerate(support):
            dxi[row, i] = step[i * width : i * width + row.sum()]
        dx = [_back(run, *part, step) for run, part in zip(runs, parts, strict=True)]
        return dxi, dx

    def law_variances(
        self, state: JointState, runs: list[Linearized], covariance: FloatArray
    ) -> list[FloatArray]:
        """Return what the uncertainty of a law adds to the variances of its trajectories.

        Parameters
        ----------
        covariance : ndarray of shape (n_active, n_active)
            Of the coefficients of the support.

        Returns
        -------
        list of ndarray of shape (n, d)
        """
        support = state.support
        parts = self.marginal(runs, terms_of(support), support)[3]
        values, vectors = np.linalg.eigh(covariance)
        roots = (vectors * np.sqrt(np.maximum(values, 0.0))).T
        used = used_columns(support)
        step = np.zeros(len(used))
        out = [np.zeros_like(run.x) for run in runs]
        for root in roots:
            step[used] = root
            for total, run, (info, B) in zip(out, runs, parts, strict=True):
                pull = info.coupling(run.rows, run.J, run.weight, B.applied(step))
                total += info.solve(pull).reshape(run.x.shape) ** 2
        return out


def _weighed(run: Linearized, grid: Grid, scale: FloatArray, state: JointState) -> Linearized:
    """Give defects and measurements their precision."""
    weight, precision = 1.0 / scale.ravel() ** 2, grid.measured / state.sigma**2
    memory = None if state.memory is None else memory_of(grid, state.memory)
    if memory is not None:
        precision = precision / memory.new_share
    return replace(run, weight=weight, precision=precision, memory=memory)


def _same_place(known: JointState, state: JointState) -> bool:
    """Say whether two states have the same trajectories and law, on the same grids."""
    return (
        known.x is state.x
        and known.coefficients is state.coefficients
        and known.grids is state.grids
    )


def terms_of(support: BoolArray) -> IntArray:
    """Return the terms that any equation has; the first, where none has any."""
    some = support.any(axis=0)
    return np.flatnonzero(some) if some.any() else np.zeros(1, dtype=np.intp)


def used_columns(support: BoolArray) -> BoolArray:
    """Return which columns the equations use, where each is given as many as the longest."""
    width = max(int(support.sum(axis=1).max()), 1)
    return np.concatenate([np.arange(width) < row.sum() for row in support])


def _eliminate(
    run: Linearized, table: TermTable, support: BoolArray | None
) -> tuple[FloatArray, FloatArray, float, tuple[BandedInformation, Sensitivities]]:
    info, B = run.information(), run.sensitivities(table, support)
    G, b = B.products(run.r, run.weight)
    reduction, gradient, cost = info.eliminated(run.rows, run.J, run.weight, B)
    return G - reduction, b - gradient, run.cost - cost, (info, B)


def _back(
    run: Linearized, info: BandedInformation, B: Sensitivities, step: FloatArray
) -> FloatArray:
    """Return the step of a trajectory that goes with a step of the coefficients."""
    shift = B.applied(step)
    gradient = info.gradient + info.coupling(run.rows, run.J, run.weight, shift)
    return -info.solve(gradient).reshape(run.x.shape)
