"""How a state that nobody measured enters the law of those that were; and a first guess of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np

from discover.estimation.collocation import Grid
from discover.estimation.marginal import BandedInformation, solve_scaled
from discover.estimation.search import factors_of
from discover.estimation.smoothing_start import roughness, smoothed_start
from discover.exceptions import NotIdentifiableError
from discover.libraries.termtable import TermTable
from discover.observations import Trajectory
from discover.problems.scales import time_scale
from discover.typing import BoolArray, FloatArray, IntArray

__all__ = ["Entrances", "Entry", "varying_coefficient"]

_CUTOFF = 0.25  # of the period of the fastest measured state: faster motion is not guessed
_SAME = 1e-9  # relative difference of columns that are equal but for rounding
_SMALL = 0.1  # of the mean square of its factor: how strongly a guess is drawn to zero
_FIRST_FACTORS = 2  # of the products tried first
_MOST_SHIFTS = 8  # changes of the hidden coordinate that are tried


@dataclass(frozen=True, eq=False)
class Entry:
    """How a hidden state enters the law, which makes it unique, and a guess of it.

    Parameters
    ----------
    equation : int
        A measured state; its law has the term `product` with coefficient one.
    product : int
        The term ``g * z``, with g a function of the measured states.
    closed : ndarray of bool, shape (n_terms,)
        Terms this equation must do without, as the hidden state supplies them: g at least.
    guess : tuple of ndarray of shape (n,)
        The hidden state on the grid of every run.
    """

    equation: int
    product: int
    closed: BoolArray
    guess: tuple[FloatArray, ...]


class Entrances:
    """All the ways by which a hidden state may enter.

    Parameters
    ----------
    grids : sequence of Grid
    table : TermTable
    noise : ndarray of shape (d,)
        Standard deviation of the noise of the measurements.
    hidden : int
        The state without measurements.
    allowed : ndarray of bool, shape (d, n_terms)
    """

    def __init__(
        self,
        grids: Sequence[Grid],
        table: TermTable,
        noise: FloatArray,
        hidden: int,
        allowed: BoolArray,
    ) -> None:
        self.grids, self.table, self.hidden, self.allowed = grids, table, hidden, allowed
        self.times = [grid.times for grid in grids]
        self.edges = np.cumsum([len(t) for t in self.times])[:-1]
        self.noise = noise
        self.measured = [i for i in range(allowed.shape[0]) if i != hidden]

    @cached_property
    def smoothed(self) -> list[FloatArray]:
        """The measured states, each smoothed by itself; one for the hidden state."""
        x = [np.ones_like(grid.y) for grid in self.grids]
        for i in self.measured:
            seen = [np.where(grid.measured, grid.y, np.nan)[:, i] for grid in self.grids]
            for rows, column in zip(
                x, smoothed_start(self.times, seen, self.noise[i]), strict=True
            ):
                rows[:, i] = column
        return x

    @cached_property
    def inputs(self) -> FloatArray:
        """Smoothed states and what else the terms read, all runs together."""
        parts = zip(self.smoothed, self.grids, strict=True)
        return np.concatenate([np.hstack([x, grid.known]) for x, grid in parts])

    @cached_property
    def factors(self) -> FloatArray:
        """What stands before the hidden state in each term, (n, n_terms)."""
        return np.asarray(self._terms_at(1.0) - self.without)

    @cached_property
    def without(self) -> FloatArray:
        """The terms where the hidden state is zero, (n, n_terms)."""
        return self._terms_at(0.0)

    def _terms_at(self, value: float) -> FloatArray:
        rows = self.inputs.copy()
        rows[:, self.hidden] = value
        return self.table.evaluate(rows)

    @cached_property
    def _kinds(self) -> tuple[IntArray, IntArray]:
        """Terms without the hidden state, and terms that are proportional to it."""
        zero, change, far = self.without, self.factors, self._terms_at(-2.0)
        size = _SAME * np.max(np.abs([zero, zero + change, far]), axis=(0, 1))
        still = np.abs(change).max(axis=0) <= size
        still &= np.abs(far - zero).max(axis=0) <= size
        straight = np.abs(far + 2 * change).max(axis=0) <= size
        straight &= np.abs(zero).max(axis=0) <= size
        return np.flatnonzero(still), np.flatnonzero(straight & ~still)

    def tiers(self) -> list[list[tuple[int, int]]]:
        """Return (equation, product) pairs, those of two factors at most before longer ones."""
        factors = np.maximum(factors_of(self.table), _FIRST_FACTORS)
        pairs = [(i, int(k)) for i in self.measured for k in self._kinds[1] if self.allowed[i, k]]
        lengths = sorted({int(factors[k]) for _, k in pairs})
        return [[pair for pair in pairs if factors[pair[1]] == n] for n in lengths]

    def entries(self, pairs: Sequence[tuple[int, int]]) -> Iterator[Entry]:
        """Yield an entry for every pair whose factor is not zero everywhere."""
        for equation, product in pairs:
            with suppress(NotIdentifiableError):
                yield self._guessed(equation, product)

    def _guessed(self, i: int, product: int) -> Entry:
        """Guess the hidden state as a coefficient that varies in time."""
        still, g = self._kinds[0], self.factors[:, product]
        closed = np.zeros(self.table.n_terms, dtype=bool)
        closed[still] = _alike(self.without[:, still], g)
        beside = still[(factors_of(self.table)[still] <= 1) & (self.allowed[i] & ~closed)[still]]
        slopes = [np.gradient(x[:, i], t) for x, t in zip(self.smoothed, self.times, strict=True)]
        guess = varying_coefficient(
            self.times,
            slopes,
            np.split(self.without[:, beside], self.edges),
            np.split(g, self.edges),
            float(np.mean(g**2)) * self._stiffness,
            float(np.mean(g**2)) * _SMALL,
        )
        return Entry(i, product, closed, tuple(guess))

    @cached_property
    def _stiffness(self) -> float:
        """Weight of the squared third derivative that leaves motion slower than the cutoff."""
        runs = [
            Trajectory(np.ascontiguousarray(x[:, self.measured]), t)
            for x, t in zip(self.smoothed, self.times, strict=True)
        ]
        period = time_scale(runs, self.noise[self.measured])
        step = float(np.median(np.concatenate([np.diff(t) for t in self.times])))
        return float((_CUTOFF * period / (2 * np.pi)) ** 6 / step)

    def shifted(
        self, entry: Entry, coefficients: FloatArray, x: Sequence[FloatArray]
    ) -> Iterator[Entry]:
        """Yield entries in which the hidden state takes over terms ``g * b(measured)``.

        Parameters
        ----------
        entry : Entry
        coefficients : ndarray of shape (n_terms,)
            Of the equation by which the hidden state enters.
        x : sequence of ndarray of shape (n, d)
            Trajectories of a law with this entry, on the grids of the entries.
        """
        shifts = dict(self._shifts(entry, coefficients))
        inputs = np.concatenate(
            [np.hstack([v, g.known]) for v, g in zip(x, self.grids, strict=True)]
        )
        terms, now = self.table.evaluate(inputs), np.concatenate([v[:, self.hidden] for v in x])
        sets = [s for n in range(len(shifts), 0, -1) for s in combinations(shifts, n)]
        for chosen in sets[:_MOST_SHIFTS]:
            closed = entry.closed.copy()
            closed[list(chosen)] = True
            moved = now + sum(share * terms[:, b] for b, share in (shifts[k] for k in chosen))
            yield replace(entry, closed=closed, guess=tuple(np.split(moved, self.edges)))

    def _shifts(
        self, entry: Entry, coefficients: FloatArray
    ) -> Iterator[tuple[int, tuple[int, float]]]:
        """Yield terms that are g times another one, with that one and its coefficient."""
        still, g = self._kinds[0], self.factors[:, entry.product, None]
        products = g * self.without[:, still]
        for k in still[coefficients[still] != 0]:
            for place in np.flatnonzero(_alike(products, self.without[:, k]))[:1]:
                column = products[:, place]
                ratio = float(column @ self.without[:, k] / (column @ column))
                yield int(k), (int(still[place]), float(coefficients[k]) * ratio)


def _alike(columns: FloatArray, column: FloatArray) -> BoolArray:
    """Say which columns are multiples of one."""
    length = np.linalg.norm(columns, axis=0) * np.linalg.norm(column)
    return np.asarray((length > 0) & (np.abs(columns.T @ column) >= (1 - _SAME) * length))


def varying_coefficient(
    times: Sequence[FloatArray],
    target: Sequence[FloatArray],
    columns: Sequence[FloatArray],
    factor: Sequence[FloatArray],
    weight: float,
    ridge: float,
) -> list[FloatArray]:
    """Regress on columns with constant coefficients, and on one whose coefficient varies.

    Parameters
    ----------
    times, target, factor : sequence of ndarray of shape (n_samples,)
        Per run; the coefficient of `factor` varies.
    columns : sequence of ndarray of shape (n_samples, n_columns)
    weight : float
        Of the integral of the squared third derivative of the coefficient.

    ridge : float
        Of its squares: with it, constant coefficients explain what they can.

    Returns
    -------
    list of ndarray of shape (n_samples,)
        The varying coefficient, per run.

    Raises
    ------
    NotIdentifiableError
        If the factor is zero everywhere.

    Notes
    -----
    The varying-coefficient model of Hastie and Tibshirani, J. R. Statist. Soc. B 55 (1993)
    757-796. The varying coefficient is eliminated first: its equations are banded.
    """
    q = columns[0].shape[1]
    S, solutions = np.zeros((q, q + 1)), []
    for t, y, own, g in zip(times, target, columns, factor, strict=True):
        rows = roughness(t)
        info = BandedInformation(len(t), rows.shape[1])
        info.add(np.arange(len(rows)), rows, np.zeros(len(rows)), np.full(len(rows), weight))
        info.add_direct(np.zeros(len(t)), g**2 + ridge)
        info.factor()
        right = np.column_stack([own, y])
        solved = np.column_stack([info.solve(g * column) for column in right.T])
        S += own.T @ (right - g[:, None] * solved)
        solutions.append(solved)
    c = solve_scaled(S[:, :q], S[:, q])
    return [solved[:, q] - solved[:, :q] @ c for solved in solutions]
