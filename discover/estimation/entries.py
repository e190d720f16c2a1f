"""How states that nobody measured enter the law of those that were; and a first guess of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
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

__all__ = [
    "Entrances",
    "Entry",
    "Pin",
    "first_entry",
    "shifted_entries",
    "stiffness_of",
    "varying_coefficient",
]

_CUTOFF = 0.25  # of the period of the fastest measured state: faster motion is not guessed
_SAME = 1e-9  # relative difference of columns that are equal but for rounding
_SMALL = 0.1  # of the mean square of its factor: how strongly a guess is drawn to zero
_MOST_SHIFTS = 8  # changes of the hidden coordinates that are tried


@dataclass(frozen=True)
class Pin:
    """A term ``g * z`` of an equation, with coefficient one, for a hidden state z."""

    state: int
    equation: int
    product: int


@dataclass(frozen=True, eq=False)
class Entry:
    """How hidden states enter the law, which makes them unique, and a guess of them.

    Parameters
    ----------
    pins : tuple of Pin
        One per hidden state.
    closed : ndarray of bool, shape (d, n_terms)
        Terms that equations must do without, as a hidden state supplies them: every g at
        least.
    guess : tuple of ndarray of shape (n, d)
        The trajectories on the grid of every run.
    """

    pins: tuple[Pin, ...]
    closed: BoolArray
    guess: tuple[FloatArray, ...]


def first_entry(grids: Sequence[Grid], noise: FloatArray, n_terms: int) -> Entry:
    """Return the entry of no state: measured states smoothed, and one for the others."""
    times, x = [grid.times for grid in grids], tuple(np.ones_like(grid.y) for grid in grids)
    for i in range(len(noise)):
        seen = [np.where(grid.measured, grid.y, np.nan)[:, i] for grid in grids]
        if np.isfinite(np.concatenate(seen)).any():
            for rows, column in zip(x, smoothed_start(times, seen, noise[i]), strict=True):
                rows[:, i] = column
    return Entry((), np.zeros((len(noise), n_terms), dtype=bool), x)


class Entrances:
    """All the ways by which the next hidden state may enter, and those after it.

    Parameters
    ----------
    grids : sequence of Grid
    table : TermTable
    allowed : ndarray of bool, shape (d, n_terms)
    entry : Entry
        What is settled: guesses of the states before, with their pins.
    hidden : tuple of int
        States that have no guess yet, the next one first.
    stiffness : float
        Weight of the squared third derivative of a guess, at a factor one.
    """

    def __init__(
        self,
        grids: Sequence[Grid],
        table: TermTable,
        allowed: BoolArray,
        entry: Entry,
        hidden: tuple[int, ...],
        stiffness: float,
    ) -> None:
        self.grids, self.table, self.allowed = grids, table, allowed
        self.entry, self.hidden, self.stiffness = entry, hidden, stiffness
        self.times = [grid.times for grid in grids]
        self.edges = np.cumsum([len(t) for t in self.times])[:-1]
        taken = [pin.equation for pin in entry.pins]  # such a state supplies all others there
        self.free = [i for i in range(len(allowed)) if i not in hidden and i not in taken]
        self.terms = _Terms(table, _inputs(grids, entry.guess), hidden)
        self.n_factors = factors_of(table)

    def entries(self, lengths: range) -> Iterator[Entry]:
        """Yield entries by products whose numbers of factors are in a range.

        Of several hidden states, this holds for the last one; the others have no more factors.
        An entry whose factor is zero everywhere is left out.
        """
        for i in self.free:
            for product in self.terms.linear[self.allowed[i, self.terms.linear]]:
                last = len(self.hidden) == 1
                if self.n_factors[product] not in (lengths if last else range(lengths.stop)):
                    continue
                with suppress(NotIdentifiableError):
                    entry = self._guessed(Pin(self.hidden[0], i, int(product)))
                    yield from [entry] if last else self._after(entry).entries(lengths)

    def _after(self, entry: Entry) -> Entrances:
        rest = (self.hidden[1:], self.stiffness)
        return Entrances(self.grids, self.table, self.allowed, entry, *rest)

    def _guessed(self, pin: Pin) -> Entry:
        """Guess the next hidden state as a coefficient that varies in time."""
        i, still, g = pin.equation, self.terms.still, self.terms.factors[:, pin.product]
        closed = self.entry.closed.copy()
        closed[i, still] |= _alike(self.terms.without[:, still], g)
        simple = still[self.n_factors[still] <= 1]
        beside = simple[(self.allowed & ~closed)[i, simple]]
        slopes = [
            np.gradient(x[:, i], t) for x, t in zip(self.entry.guess, self.times, strict=True)
        ]
        size = float(np.mean(g**2))
        found = varying_coefficient(
            self.times,
            slopes,
            np.split(self.terms.without[:, beside], self.edges),
            np.split(g, self.edges),
            size * self.stiffness,
            size * _SMALL,
        )
        guess = tuple(x.copy() for x in self.entry.guess)
        for x, column in zip(guess, found, strict=True):
            x[:, pin.state] = column
        return Entry((*self.entry.pins, pin), closed, guess)


def stiffness_of(
    grids: Sequence[Grid], x: Sequence[FloatArray], noise: FloatArray, hidden: Sequence[int]
) -> float:
    """Return the weight of the squared third derivative that leaves slower motion."""
    seen = [i for i in range(len(noise)) if i not in hidden]
    runs = [
        Trajectory(np.ascontiguousarray(v[:, seen]), grid.times)
        for v, grid in zip(x, grids, strict=True)
    ]
    step = float(np.median(np.concatenate([grid.steps for grid in grids])))
    return float((_CUTOFF * time_scale(runs, noise[seen]) / (2 * np.pi)) ** 6 / step)


class _Terms:
    """What terms do with states that are not known: the first of them, and all."""

    def __init__(self, table: TermTable, inputs: FloatArray, hidden: tuple[int, ...]) -> None:
        def at(value: float, columns: Sequence[int]) -> FloatArray:
            rows = inputs.copy()
            rows[:, columns] = value
            return table.evaluate(rows)

        first, later = list(hidden[:1]), list(hidden[1:])
        self.without = at(0.0, first)
        self.factors = at(1.0, first) - self.without
        far, moved = at(-2.0, first), at(-1.7, later)
        size = _SAME * np.max(np.abs([self.without, self.factors, far, moved]), axis=(0, 1))
        free = np.abs(moved - at(1.0, later)).max(axis=0) <= size
        still = np.abs(self.factors).max(axis=0) <= size
        still &= np.abs(far - self.without).max(axis=0) <= size
        straight = np.abs(far + 2 * self.factors).max(axis=0) <= size
        straight &= np.abs(self.without).max(axis=0) <= size
        self.still: IntArray = np.flatnonzero(still & free)
        self.linear: IntArray = np.flatnonzero(straight & ~still & free)


@dataclass(frozen=True)
class _Shift:
    """A term ``g * b(others)`` of an equation, which a hidden state can take over."""

    pin: Pin
    term: int
    b: int  # as a term
    share: float  # of b in the term, over that of the hidden state


def shifted_entries(
    entry: Entry,
    coefficients: FloatArray,
    grids: Sequence[Grid],
    table: TermTable,
) -> Iterator[Entry]:
    """Yield entries in which hidden states take over terms ``g * b(others)`` of a law.

    Parameters
    ----------
    entry : Entry
        Its guess are the trajectories of the law.
    coefficients : ndarray of shape (n_terms, d)
    grids : sequence of Grid
    table : TermTable

    Notes
    -----
    Such terms are closed to the equation, but for those that the law has and keeps.
    """
    inputs = _inputs(grids, entry.guess)
    able = [shift for pin in entry.pins for shift in _shifts(pin, inputs, table)]
    used = [shift for shift in able if coefficients[shift.term, shift.pin.equation] != 0]
    terms, edges = table.evaluate(inputs), np.cumsum([len(x) for x in entry.guess])[:-1]
    sets = [s for n in range(len(used), 0, -1) for s in combinations(used, n)]
    for chosen in sets[:_MOST_SHIFTS]:
        closed, moved = entry.closed.copy(), np.concatenate(entry.guess)
        for shift in able:
            closed[shift.pin.equation, shift.term] = shift in chosen or shift not in used
        for shift in chosen:
            own = coefficients[shift.term, shift.pin.equation]
            moved[:, shift.pin.state] += own * shift.share * terms[:, shift.b]
        yield replace(entry, closed=closed, guess=tuple(np.split(moved, edges)))


def _shifts(pin: Pin, inputs: FloatArray, table: TermTable) -> Iterator[_Shift]:
    """Yield the terms that are g times another one."""
    terms = _Terms(table, inputs, (pin.state,))
    still = terms.still
    products = terms.factors[:, [pin.product]] * terms.without[:, still]
    for k in still:
        for place in np.flatnonzero(_alike(products, terms.without[:, k]))[:1]:
            column = products[:, place]
            share = float(column @ terms.without[:, k] / (column @ column))
            yield _Shift(pin, int(k), int(still[place]), share)


def _inputs(grids: Sequence[Grid], x: Sequence[FloatArray]) -> FloatArray:
    """Return trajectories and what else the terms read, all runs together."""
    return np.concatenate([np.hstack([v, g.known]) for v, g in zip(x, grids, strict=True)])


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
