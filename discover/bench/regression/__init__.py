"""Sparse regression: who finds the terms, how honest the errors are, and how fast it is.

Cells A to D are polynomial libraries on the attractors of Lorenz's models of 1963 and 1996,
with four true terms and white or correlated noise. The last part is the test of Fasel, Kutz,
Brunton and Brunton, Proc. R. Soc. A 478 (2022) 20210904 (E-SINDy): Lorenz from one noisy run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from discover.bench import lorenz
from discover.bench.record import current_commit
from discover.bench.regression.cells import CELLS, Cell, Draw, columns, draw, draws_found
from discover.bench.regression.solvers import OURS, PEERS, fit_ard
from discover.bench.rows import Row
from discover.bench.tables import ResultTable
from discover.bench.timing import compared, take_turns
from discover.estimation import JointFit
from discover.libraries import PolynomialLibrary, SymbolicLibrary
from discover.regression import RelevanceVectorRegressor
from discover.sindy import SINDy
from discover.typing import BoolArray, FloatArray

__all__ = [
    "CELLS",
    "PEERS",
    "Cell",
    "Draw",
    "columns",
    "draw",
    "draws_found",
    "lorenz_found",
    "run",
]

_BARS = {("A", 20): ">= 0.95", ("A", 10): ">= 0.8"}
_DECIBELS = {"A": (40, 20, 10), "B": (40, 20, 10), "C": (20, 10), "D": (20, 10)}
_PEER_SEEDS = {"A": 40, "B": 20, "C": 3, "D": 3}
_SIZE = 15.977  # pooled root-mean-square of the Lorenz states in the published test
_RHO = 0.95
_NORMAL_95 = 1.959963984540054


def run(quick: bool = False) -> list[Row]:
    """Measure recovery, coverage, speed and the published Lorenz test.

    Results are kept seed by seed in ``bench_output/regression-<commit>.csv``, so that an
    interrupted measurement goes on where it stopped. It takes about a quarter of an hour.
    """
    memory = Memory(None if quick else current_commit())
    cells = "A" if quick else "ABCD"
    rows = [
        row
        for name in cells
        for decibel in _DECIBELS[name]
        for row in _recovery(CELLS[name], decibel, memory, quick)
    ]
    rows += _correlated(memory, 5 if quick else CELLS["A"].seeds)
    rows += _speed(2 if quick else 5, CELLS["A" if quick else "C"])
    for seconds, level, bar in ((10.0, 0.05, ">= 0.9"), (3.0, 0.02, ">= 0.97")):
        if not quick or seconds < 5:
            rows.append(_lorenz(seconds, level, bar, memory, 2 if quick else 200))
    return rows


@dataclass(frozen=True)
class Number:
    """One number and its name."""

    name: str
    value: float


class Memory:
    """Numbers measured before, by name; kept in a file while the code is one commit.

    Parameters
    ----------
    commit : str or None
        None or "uncommitted" for no file.
    """

    def __init__(self, commit: str | None) -> None:
        self.known: dict[str, float] = {}
        self.table: ResultTable[Number] | None = None
        if commit not in (None, "uncommitted"):
            path = Path("bench_output") / f"regression-{commit}.csv"
            path.parent.mkdir(exist_ok=True)
            self.table = ResultTable(path, Number, "bench regression", digits=None)
            self.known = {number.name: number.value for number in self.table.read()}

    def get(self, name: str, measure: Callable[[], float]) -> float:
        """Return the number of this name, measuring it if need be."""
        if name not in self.known:
            self.known[name] = float(measure())
            if self.table is not None:
                self.table.add([Number(name, self.known[name])])
        return self.known[name]


# -- recovery ----------------------------------------------------------------------


def _recovery(cell: Cell, decibel: int, memory: Memory, quick: bool) -> Iterator[Row]:
    where = f"regression, {cell.name}, {decibel} dB"
    seeds = 5 if quick else cell.seeds
    ours = _rate(OURS[1], "ours", cell, decibel, seeds, memory)
    bar = _BARS.get((cell.name, decibel), ">= 0.95")
    yield Row(f"{where}: exact support", ours, "", f"{seeds} draws of {_size(cell)}", bar)
    n = min(_PEER_SEEDS[cell.name], seeds)
    here = _rate(OURS[1], "ours", cell, decibel, n, memory)
    rates = {name: _rate(peer, name, cell, decibel, n, memory) for name, peer in PEERS.items()}
    detail = ", ".join(f"{name} {rate:.3g}" for name, rate in rates.items())
    yield Row(f"{where}: exact support less the best peer's", here - max(rates.values()), "",
              f"first {n} draws: ours {here:.3g}; {detail}", ">= 0")  # fmt: skip


def _size(cell: Cell) -> str:
    return f"{cell.n_rows:,} x {cell.n_terms}"


def _rate(
    solver: Callable[[Draw], BoolArray],
    name: str,
    cell: Cell,
    decibel: int,
    seeds: int,
    memory: Memory,
) -> float:
    def found(seed: int) -> float:
        problem = draw(cell, decibel, seed)
        return draws_found(solver(problem), problem)

    key = f"{name} {cell.name} {decibel}".replace(",", "")
    return float(
        np.mean([memory.get(f"{key} {s}", lambda s=s: found(s)) for s in range(seeds)])  # type: ignore[misc]
    )


# -- correlated errors -------------------------------------------------------------


def _correlated(memory: Memory, seeds: int) -> Iterator[Row]:
    """Recovery and coverage with white noise, and with noise of correlation 0.95."""
    for rho, option in ((0.0, None), (_RHO, "auto")):
        where = f"regression, A, 20 dB, {'AR(1) 0.95' if rho else 'white noise'}"
        counts = np.array([_covered(memory, rho, option, seed) for seed in range(seeds)])
        exact = counts[:, 1] > 0
        if rho:
            yield Row(f"{where}: exact support", exact.mean(), "",
                      f"{seeds} draws; correlation='auto'", ">= 0.9")  # fmt: skip
        coverage = counts[exact, 0].sum() / max(counts[exact, 1].sum(), 1)
        detail = f"of {counts[exact, 1].sum():.0f} coefficients of laws with the right terms"
        yield Row(f"{where}: coverage of 95 % intervals, least", coverage, "", detail, ">= 0.92")
        yield Row(f"{where}: coverage of 95 % intervals, most", coverage, "", detail, "<= 0.98")


def _covered(memory: Memory, rho: float, option: object, seed: int) -> tuple[float, float]:
    """Return how many coefficients are covered, of how many; nothing unless terms are right."""

    def measure() -> float:
        problem = draw(CELLS["A"], 20.0, seed, rho)
        found = RelevanceVectorRegressor(correlation=option).fit(problem.X, problem.y)  # type: ignore[arg-type]
        support = found.support_[0]
        if not draws_found(support, problem):
            return -1.0
        z = (found.coef_[0] - problem.truth)[support] / np.sqrt(np.diag(found.covariance_))
        true = problem.truth[support] != 0
        return float((np.abs(z[true]) < _NORMAL_95).sum())

    value = memory.get(f"coverage {rho} {seed}", measure)
    return max(value, 0.0), 0.0 if value < 0 else 4.0


# -- speed -------------------------------------------------------------------------


def _speed(repeats: int, cell: Cell) -> Iterator[Row]:
    """Fit six targets from arrays, against one product of the columns, and scikit-learn."""
    problems = [draw(cell, 20.0, seed) for seed in range(6)]
    X, Y = problems[0].X, np.column_stack([problem.y for problem in problems])
    timings = take_turns(
        {
            "X'X": lambda: X.T @ X,
            "ours": lambda: RelevanceVectorRegressor().fit(X, Y),
        },
        repeats=repeats,
    )
    ard = take_turns({"ARDRegression": lambda: [fit_ard(X, y) for y in Y.T]}, repeats=1)
    ratio = (timings["ours"].cpu - 6 * 0.025) / timings["X'X"].cpu
    detail = f"six targets, {_size(cell)}: {compared({**timings, **ard})}"
    yield Row("regression, C: time over one X'X, less 25 ms a target", ratio, "x", detail, "<= 1.3")
    yield Row("regression, C: ARDRegression over ours", ard["ARDRegression"] / timings["ours"],
              "x", detail, ">= 20")  # fmt: skip


# -- the published Lorenz test -----------------------------------------------------


def _lorenz(seconds: float, level: float, bar: str, memory: Memory, runs: int) -> Row:
    """Count exact laws among 55 monomials of degree 1 to 5 from one noisy run."""
    X = lorenz.exact_run((-8.0, 7.0, 27.0), np.arange(0.0, seconds, 0.01))
    rate = np.mean(
        [
            memory.get(f"lorenz {seconds} {level} {s}", lambda s=s: lorenz_found(X, level, s))  # type: ignore[misc]
            for s in range(runs)
        ]
    )
    return Row(f"regression, Lorenz, {seconds:g} s, {level:.0%} noise: exact support", float(rate),
               "", f"{runs} runs; 55 monomials; SINDy with JointFit", bar)  # fmt: skip


def lorenz_found(X: FloatArray, level: float, seed: int) -> bool:
    """Whether exactly the terms of Lorenz's law come out of one noisy run.

    Parameters
    ----------
    X : ndarray of shape (n_samples, 3)
        Exact states, 0.01 time units apart.
    level : float
        Noise, as a share of the pooled root-mean-square of the states.
    seed : int
    """
    noisy = X + level * _SIZE * np.random.default_rng(seed).normal(size=X.shape)
    names = [name for name in PolynomialLibrary(5).build(["x", "y", "z"]).names if name != "1"]
    model = SINDy(SymbolicLibrary(", ".join(names)), names=["x", "y", "z"], method=JointFit())
    law = model.fit(noisy, 0.01).symbolic_
    return bool((law.support == (lorenz.coefficients(law.term_names) != 0)).all())
