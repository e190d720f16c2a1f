"""Regression problems on the columns of chaotic trajectories."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from discover.bench import lorenz
from discover.dynamics import simulate
from discover.libraries import PolynomialLibrary
from discover.typing import BoolArray, FloatArray

__all__ = ["CELLS", "Cell", "Draw", "columns", "draw", "draws_found"]


@dataclass(frozen=True)
class Cell:
    """A family of regression problems.

    Parameters
    ----------
    name : str
    n_states : int
        Three for the Lorenz attractor of 1963, more for the model of 1996.
    degree : int
        Of the monomials that are the columns.
    n_rows, n_terms : int
    seeds : int
        How many problems are drawn in full measurements.
    """

    name: str
    n_states: int
    degree: int
    n_rows: int
    n_terms: int
    seeds: int


CELLS = {
    "A": Cell("A", 3, 3, 2_000, 20, 200),
    "B": Cell("B", 4, 4, 20_000, 60, 20),
    "C": Cell("C", 6, 4, 100_000, 200, 20),
    "D": Cell("D", 8, 5, 20_000, 500, 20),
}
_STEP = 0.01
_TRUE_TERMS = 4


@dataclass(frozen=True, eq=False)
class Draw:
    """One problem: columns, target, the true coefficients, and the constant column."""

    X: FloatArray
    y: FloatArray
    truth: FloatArray
    constant: int


def draw(cell: Cell, decibel: float, seed: int, rho: float = 0.0) -> Draw:
    """Draw a problem.

    Parameters
    ----------
    cell : Cell
    decibel : float
        Signal to noise: ten times the logarithm of the ratio of their variances.
    seed : int
    rho : float, default=0.0
        Lag-one correlation of the noise.

    Returns
    -------
    Draw

    Notes
    -----
    Columns are monomials of a trajectory on the attractor, divided by their standard
    deviations, with their means. Four terms of degree 1 to 3 contribute between 0.5 and
    2 standard deviations each, with either sign.
    """
    X, degrees = columns(cell)
    rng = np.random.default_rng(seed)
    chosen = rng.choice(np.flatnonzero((degrees >= 1) & (degrees <= 3)), _TRUE_TERMS, replace=False)
    truth = np.zeros(cell.n_terms)
    truth[chosen] = rng.uniform(0.5, 2.0, _TRUE_TERMS) * rng.choice([-1.0, 1.0], _TRUE_TERMS)
    signal = X @ truth
    noise = _noise(rng, len(X), rho)
    y = signal + noise * signal.std() * 10.0 ** (-decibel / 20)
    return Draw(X, y, truth, int(np.flatnonzero(degrees == 0)[0]))


def _noise(rng: np.random.Generator, n: int, rho: float) -> FloatArray:
    from scipy.signal import lfilter

    white = rng.standard_normal(n)
    if not rho:
        return white
    white[1:] *= np.sqrt(1.0 - rho**2)
    return np.asarray(lfilter([1.0], [1.0, -rho], white))


@lru_cache(maxsize=1)
def columns(cell: Cell) -> tuple[FloatArray, FloatArray]:
    """Return the columns of a cell, and the degree of each."""
    states = _trajectory(cell.n_states, cell.n_rows)
    names = [f"x{i}" for i in range(cell.n_states)]
    table = PolynomialLibrary(cell.degree).build(names)
    powers = table.powers()
    assert powers is not None
    first = np.argsort(powers.sum(axis=1), kind="stable")[: cell.n_terms]
    X = table.select(first.tolist()).evaluate(states)
    spread = X.std(axis=0)
    return X / np.where(spread > 1e-12 * np.abs(X).max(axis=0), spread, 1.0), powers[first].sum(
        axis=1
    )


def _trajectory(n_states: int, n_rows: int) -> FloatArray:
    """Return states on an attractor, 0.01 time units apart, after 50 time units to reach it."""
    times = _STEP * np.arange(n_rows + 5_000.0)
    start = np.random.default_rng(n_states).normal(size=n_states) + 8.0 * (n_states > 3)
    law = lorenz.law() if n_states == 3 else lorenz.law_96(n_states, 8.0 if n_states > 4 else 16.0)
    return np.asarray(simulate(law, start, times, rtol=1e-8))[5_000:]


def draws_found(support: BoolArray, problem: Draw) -> bool:
    """Whether exactly the true terms were found; the constant does not count."""
    wrong = support != (problem.truth != 0)
    wrong[problem.constant] = False
    return not bool(wrong.any())
