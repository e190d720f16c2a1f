"""Fold ten million rows into moments: against BLAS on a library matrix already in memory."""

from __future__ import annotations

import numpy as np

from discover.bench.fresh import run_fresh
from discover.bench.rows import Row
from discover.bench.timing import compared, take_turns
from discover.libraries import PolynomialLibrary
from discover.problems import Problem
from discover.statistics import accumulate
from discover.typing import FloatArray

__all__ = ["normal_problem", "peak_megabytes", "run"]

_DEGREE = 5
_PEAK = """
import json
from discover.bench.fresh import peak_bytes
from discover.bench.statistics import normal_problem
from discover.libraries import PolynomialLibrary
from discover.statistics import accumulate

table = PolynomialLibrary({degree}).build(["x", "y", "z"])
accumulate(normal_problem(10_000).source(table))
problem = normal_problem({n})
before = peak_bytes()
accumulate(problem.source(table))
print(json.dumps({{"bytes": peak_bytes() - before}}))
"""


def run(quick: bool = False) -> list[Row]:
    """Compare accumulation with the rank-k update, and see how much memory it takes."""
    n = 100_000 if quick else 10_000_000
    problem = normal_problem(n)
    table = PolynomialLibrary(_DEGREE).build(problem.input_names)
    Theta = table.evaluate(problem.inputs)
    timings = take_turns(
        {
            "ours": lambda: accumulate(problem.source(table)),
            "dsyrk": lambda: _syrk(Theta),
            "np.dot": lambda: np.dot(Theta.T, Theta),
        },
        repeats=2 if quick else 5,
    )
    blas = min(timings["dsyrk"], timings["np.dot"], key=lambda timing: timing.cpu)
    detail = f"{n:,} x 3, {table.n_terms} terms, 3 targets: {compared(timings)}"
    megabytes = peak_megabytes(n)
    return [
        Row("statistics: ours over BLAS", timings["ours"] / blas, "x", detail, "<= 1"),
        Row(
            "statistics: memory above the data",
            megabytes,
            "MB",
            f"Theta would be {Theta.nbytes / 1e6:,.0f} MB",
            "<= 200",
        ),
        _agreement(Theta, accumulate(problem.source(table))),
    ]


def normal_problem(n: int) -> Problem:
    """Return a problem with standard normal inputs and targets; nothing else is allocated."""
    rng = np.random.default_rng(0)
    inputs, targets = np.empty((n, 3)), np.empty((n, 3))
    rng.standard_normal(out=inputs)
    rng.standard_normal(out=targets)
    names = ("x", "y", "z")
    edges = np.array([0, n], dtype=np.int64)
    return Problem(inputs, targets, names, names, "continuous", None, edges, float(n), np.zeros(3))


def peak_megabytes(n: int) -> float:
    """Return by how much the peak of a fresh process grows when it accumulates n rows."""
    return float(run_fresh(_PEAK.format(n=n, degree=_DEGREE))["bytes"]) / 1e6


def _syrk(Theta: FloatArray) -> FloatArray:
    """Return the lower triangle of ``Theta'Theta`` without copying Theta."""
    from scipy.linalg.blas import dsyrk

    return np.asarray(dsyrk(1.0, Theta.T, lower=1))


def _agreement(Theta: FloatArray, stats: object) -> Row:
    """Compare moments, relative to the lengths of the columns."""
    from discover.statistics import SufficientStatistics

    assert isinstance(stats, SufficientStatistics)
    p = Theta.shape[1]
    ours = stats.total[:p, :p] * np.outer(stats.scale[:p], stats.scale[:p])
    theirs = np.dot(Theta.T, Theta)
    length = np.sqrt(np.diag(theirs))
    error = float(np.max(np.abs(ours - theirs) / np.outer(length, length)))
    return Row("statistics: difference to BLAS", error, "", "relative to the columns", "<= 1e-12")
