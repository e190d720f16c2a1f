"""Results: their table, its summary and its figure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from discover.bench.chaos.cases import Case, Score
from discover.bench.tables import ResultTable

__all__ = ["Result", "Summary", "figure", "kept_results", "summarize", "summary_table"]


@dataclass(frozen=True)
class Result:
    """One case, its score, the time it took, and what went wrong if anything did."""

    case: Case
    score: Score
    seconds: float
    note: str = ""


def kept_results(path: Path) -> ResultTable[Result]:
    """Return the table of results; numbers keep their bits."""
    return ResultTable(path, Result, "bench chaos", digits=None)


@dataclass(frozen=True)
class Summary:
    """Results of one method at one noise level and number of runs.

    Parameters
    ----------
    method : str
    n_runs : int
    noise : float
    n_systems, n_cases : int
    exact : float
        Fraction of the cases with the right support in every equation.
    error : float
        Median error of the coefficients, over all cases.
    coverage : float
        Of the intervals of 95 % of the laws with the right support, the fraction that
        holds the truth; NaN when there are none.
    seconds : float
        Median time of a case.
    """

    method: str
    n_runs: int
    noise: float
    n_systems: int
    n_cases: int
    exact: float
    error: float
    coverage: float
    seconds: float


def summarize(results: Iterable[Result]) -> list[Summary]:
    """Summarize by method, number of runs and noise."""
    groups: dict[tuple[int, float, str], list[Result]] = {}
    for result in results:
        case = result.case
        groups.setdefault((-case.n_runs, case.noise, case.method), []).append(result)
    return [_summary(groups[key]) for key in sorted(groups)]


def _summary(results: Sequence[Result]) -> Summary:
    case, scores = results[0].case, [result.score for result in results]
    intervals = sum(score.intervals for score in scores)
    return Summary(
        case.method,
        case.n_runs,
        case.noise,
        len({result.case.system for result in results}),
        len(results),
        float(np.mean([score.exact for score in scores])),
        float(np.median([score.error for score in scores])),
        sum(score.covered for score in scores) / intervals if intervals else math.nan,
        float(np.median([result.seconds for result in results])),
    )


def summary_table(summaries: Sequence[Summary]) -> str:
    """Return a table in Markdown; the number of systems is the mean over the seeds."""
    lines = [
        "| runs | noise | method | exact support | median error | coverage | time (s) |",
        "|---|---|---|---|---|---|---|",
    ]
    for s in summaries:
        coverage = "" if math.isnan(s.coverage) else f"{s.coverage:.2f}"
        lines.append(
            f"| {s.n_runs} | {100 * s.noise:g} % | {s.method} | {s.exact * s.n_systems:.1f} of "
            f"{s.n_systems} | {s.error:.1e} | {coverage} | {s.seconds:.3g} |"
        )
    return "\n".join(lines)


def figure(summaries: Sequence[Summary], path: Path) -> None:
    """Draw exact support and coefficient error over noise, one column per number of runs."""
    from matplotlib.figure import Figure

    counts = sorted({s.n_runs for s in summaries}, reverse=True)
    drawing = Figure(figsize=(4.2 * len(counts), 6.0), layout="constrained")
    axes = drawing.subplots(2, len(counts), sharex=True, squeeze=False)
    for column, n_runs in enumerate(counts):
        chosen = [s for s in summaries if s.n_runs == n_runs]
        for method in dict.fromkeys(s.method for s in chosen):
            mine = [s for s in chosen if s.method == method]
            noise = [100 * s.noise for s in mine]
            axes[0, column].plot(noise, [s.exact for s in mine], "o-", label=method)
            axes[1, column].plot(noise, [s.error for s in mine], "o-", label=method)
        axes[0, column].set(title=f"{n_runs} runs of 1,000 samples", ylim=(-0.02, 1.02))
        axes[1, column].set(xlabel="noise (% of each state's deviation)", yscale="log")
        axes[1, column].set_xscale("symlog", linthresh=0.1)
    axes[0, 0].set_ylabel("laws with the exact support")
    axes[1, 0].set_ylabel("median error of coefficients")
    axes[0, 0].legend(frameon=False)
    drawing.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
