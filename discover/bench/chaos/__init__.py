"""Recover the published chaotic systems from noisy runs, beside pysindy on the same arrays.

The protocol is that of Kaptanoglu et al., Nonlinear Dyn. 111 (2023) 13143-13164, with noise in
proportion to each state: 70 polynomial systems, one or five runs of 1,000 samples over 10
periods, all monomials of degree at most four as candidates. Methods see the noisy data only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from discover.bench.chaos.cases import (
    NOISES,
    TUNING,
    Case,
    Found,
    Score,
    cases,
    named_systems,
    score,
    true_coefficients,
)
from discover.bench.chaos.methods import METHODS, solve
from discover.bench.chaos.results import (
    Result,
    Summary,
    figure,
    kept_results,
    summarize,
    summary_table,
)
from discover.bench.rows import Row
from discover.dynamics import load_system

__all__ = [
    "COMPARED",
    "METHODS",
    "NOISES",
    "SEEDS",
    "TUNING",
    "Case",
    "Found",
    "Result",
    "Score",
    "Summary",
    "attempt",
    "cases",
    "figure",
    "kept_results",
    "measure_cases",
    "named_systems",
    "publish",
    "rows",
    "run",
    "score",
    "summarize",
    "summary_table",
    "table_path",
]

# By runs: windows of one run are too few for pysindy's weak form to choose among thresholds.
COMPARED = {5: ("auto", "pysindy-weak"), 1: ("auto", "pysindy-strong")}
SEEDS = (0, 1, 2)
# Laws with the right support among 70, and median errors of the coefficients, to be met.
_EXACT = {
    (5, 0.0): 68, (5, 0.001): 68, (5, 0.01): 67, (5, 0.05): 65, (5, 0.1): 63, (5, 0.2): 45,
    (1, 0.01): 62, (1, 0.05): 54,
}  # fmt: skip
_ERROR = {(5, 0.0): 1e-9, (5, 0.001): 8e-5, (5, 0.01): 6e-4, (5, 0.05): 1.3e-3, (5, 0.1): 2.6e-3}


def attempt(case: Case) -> Result:
    """Put one case to its method; an error counts as a law without terms."""
    system, data = load_system(case.system), case.data()
    started = time.perf_counter()
    try:
        found, note = solve(case.method, system, data, case.noise), ""
    except (ArithmeticError, RuntimeError, ValueError, np.linalg.LinAlgError) as error:
        found, note = Found(np.zeros_like(true_coefficients(system))), f"{error}"[:200]
    seconds = round(time.perf_counter() - started, 3)
    return Result(case, score(system, found), seconds, note)


def measure_cases(
    todo: Iterable[Case],
    path: Path,
    report: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Measure the cases that are not in a table yet, and add them one by one.

    Parameters
    ----------
    todo : iterable of Case
    path : Path
        The table; may be interrupted and taken up again.
    report : callable, optional
        Called with every new result.

    Returns
    -------
    list of Result
        Of all these cases, old and new.
    """
    wanted = list(todo)
    unknown = [case.method for case in wanted if case.method not in METHODS]
    if unknown:
        raise ValueError(
            f"bench chaos: method must be one of {', '.join(METHODS)}; got {unknown[0]!r}."
        )
    return kept_results(path).complete(
        wanted, lambda r: r.case, lambda case: [attempt(case)], report
    )


def table_path(root: Path) -> Path:
    """Return where the results of a clone are kept."""
    return root / "docs" / "benchmarks" / "chaos.csv"


def publish(table: Path) -> None:
    """Write summary and figure of the benchmark systems beside a table of results."""
    names = set(named_systems("benchmark"))
    summaries = summarize(r for r in kept_results(table).read() if r.case.system in names)
    table.with_name("chaos_summary.md").write_text(summary_table(summaries) + "\n", "utf-8")
    figure(summaries, table.with_suffix(".svg"))


def run(quick: bool = False) -> list[Row]:
    """Measure the bars, or with `quick` two systems that show that it runs."""
    from tempfile import TemporaryDirectory

    from discover.bench.record import table_path as bars_path

    if quick:
        with TemporaryDirectory() as folder:
            few = cases(("SprottB", "Lorenz"), (0.0, 0.01), (0,), (5,), ("weak", "pysindy-weak"))
            return rows(summarize(measure_cases(few, Path(folder) / "chaos.csv")))
    names = named_systems("benchmark")
    grid = [
        *cases(names, NOISES, SEEDS, (5,), COMPARED[5]),
        *cases(names, (0.01, 0.05), SEEDS, (1,), COMPARED[1]),
    ]
    return rows(summarize(measure_cases(grid, table_path(bars_path().parents[2]))))


def rows(summaries: Sequence[Summary]) -> list[Row]:
    """Turn summaries into rows; those of our automatic method on all 70 systems are bars."""
    found = []
    for s in summaries:
        where = f"chaos, {s.n_runs} runs, {100 * s.noise:g} % noise, {s.method}"
        ours = s.method == "auto" and s.n_systems == len(named_systems("benchmark"))
        exact = _EXACT.get((s.n_runs, s.noise)) if ours else None
        error = _ERROR.get((s.n_runs, s.noise)) if ours else None
        detail = f"mean over {s.n_cases // s.n_systems} seeds, of {s.n_systems}"
        found.append(
            Row(f"{where}: exact support", s.exact * s.n_systems, "", detail,
                "" if exact is None else f">= {exact}")
        )  # fmt: skip
        found.append(
            Row(f"{where}: error of coefficients", s.error, "", "median",
                "" if error is None else f"<= {error:g}")
        )  # fmt: skip
        if s.coverage == s.coverage:
            found += [
                Row(f"{where}: coverage of 95 % intervals", s.coverage, "", "exact laws",
                    ">= 0.9" if ours else ""),
                Row(f"{where}: coverage of 95 % intervals, too wide", s.coverage, "", "exact laws",
                    "<= 0.98" if ours else ""),
            ]  # fmt: skip
    return found
