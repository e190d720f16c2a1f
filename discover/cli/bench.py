"""``discover bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from discover.bench import LONG, NAMES
from discover.cli.app import app, examples, one_thread
from discover.cli.boundary import FAILED

_CHAOS = "Of the benchmark 'chaos'"


@app.command(
    epilog=examples(
        "discover bench fit --quick",
        "discover bench all --record",
        "discover bench chaos --systems tuning --noise 0.01,0.05 --seeds 0 --out tuning.csv",
    )
)
def bench(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...", help=f"{', '.join(NAMES)}, all; {', '.join(LONG)} take long."
        ),
    ],
    quick: Annotated[bool, typer.Option("--quick", help="Small data: shows that it runs.")] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Write docs/benchmarks/bars.csv.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 when a bar fails.")] = False,
    systems: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help=f"{_CHAOS}: benchmark, tuning, or Lorenz,Rossler."),
    ] = None,
    noise: Annotated[
        str | None, typer.Option(metavar="LEVELS", help=f"{_CHAOS}: such as 0,0.01,0.05.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="NUMBERS", help=f"{_CHAOS}: such as 0,1,2.")
    ] = None,
    runs: Annotated[
        str | None, typer.Option(metavar="COUNTS", help=f"{_CHAOS}: 5, 1, or 5,1.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(metavar="NAMES", help=f"{_CHAOS}: such as joint,pysindy-weak.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=f"{_CHAOS}: the table, taken up where it stopped."),
    ] = None,
) -> None:
    """Measure against peers; every ratio is measured in one process."""
    known = (*NAMES, *LONG, "all")
    for name in names:
        if name not in known:
            what = f"{name!r} is not one of {', '.join(known)}."
            raise typer.BadParameter(what, param_hint="NAME")
    options = {"systems": systems, "noise": noise, "seeds": seeds, "runs": runs, "method": method}
    chosen = {key: value for key, value in options.items() if value is not None}
    one_thread()
    if chosen or out is not None:
        if list(names) != ["chaos"] or quick:
            flags = ", ".join(f"--{key}" for key in (*chosen, *(["out"] if out else [])))
            what = f"{flags}: these belong to 'discover bench chaos' without --quick."
            raise typer.BadParameter(what, param_hint="NAME")
        failed = _chaos(chosen, out, record)
    else:
        failed = _measure(names, quick, record)
    if failed and check:
        raise typer.Exit(FAILED)


def _measure(names: list[str], quick: bool, record: bool) -> bool:
    """Run the benchmarks; return whether a bar failed."""
    from discover import bench
    from discover.bench import record as book

    if record and quick:
        raise ValueError("bench: --record keeps full results only; leave out --quick.")
    if record:
        book.table_path()  # complain now rather than after an hour
    failed = False
    for name in NAMES if "all" in names else dict.fromkeys(names):
        rows = bench.measure(name, quick=quick)
        typer.echo(f"{bench.format_table(rows)}\n")
        if record:
            count = book.record(rows, f"discover bench {name}")
            typer.echo(f"{count} bars recorded in {book.table_path()}")
        failed |= any(row.passed is False for row in rows)
    return failed


def _chaos(chosen: dict[str, str], out: Path | None, record: bool) -> bool:
    """Measure part of the benchmark on chaotic systems; return whether a bar failed."""
    from discover.bench import chaos, format_table
    from discover.bench import record as book

    path = out if out is not None else chaos.table_path(book.table_path().parents[2])
    methods = [name.strip() for name in chosen.get("method", "").split(",") if name.strip()]
    grid = [
        case
        for runs in _numbers(chosen, "runs", int) or (5,)
        for case in chaos.cases(
            chaos.named_systems(chosen.get("systems", "benchmark")),
            _numbers(chosen, "noise", float) or chaos.NOISES,
            _numbers(chosen, "seeds", int) or chaos.SEEDS,
            (runs,),
            methods or chaos.COMPARED[runs],
        )
    ]
    summaries = chaos.summarize(chaos.measure_cases(grid, path, _tell))
    typer.echo(chaos.summary_table(summaries))
    rows = chaos.rows(summaries)
    if record:
        if out is not None:
            raise ValueError("bench: --record keeps the results of this clone; leave out --out.")
        chaos.publish(path)
        count = book.record(rows, "discover bench chaos")
        typer.echo(f"{count} bars recorded in {book.table_path()}")
    failed = [row for row in rows if row.passed is False]
    if failed:
        typer.echo("\n" + format_table(failed))
    return bool(failed)


def _numbers(chosen: dict[str, str], key: str, kind: Any) -> list[Any]:
    """Read numbers separated by commas."""
    try:
        values = [kind(part) for part in chosen.get(key, "").split(",") if part.strip()]
    except ValueError:
        what = f"it must be numbers separated by commas; got {chosen[key]!r}."
        raise typer.BadParameter(what, param_hint=f"--{key}") from None
    allowed = {
        "noise": lambda v: 0 <= v < 10,
        "seeds": lambda v: v >= 0,
        "runs": (1, 5).__contains__,
    }
    if not all(allowed[key](value) for value in values):
        must = {"noise": "in [0, 10)", "seeds": "not negative", "runs": "1 or 5"}[key]
        raise typer.BadParameter(f"each must be {must}; got {values}.", param_hint=f"--{key}")
    return values


def _tell(result: Any) -> None:
    """Print one line per case."""
    case, score = result.case, result.score
    verdict = "exact" if score.exact else f"{score.missing} missing, {score.extra} extra"
    typer.echo(
        f"{case.system}, {case.n_runs} runs, {100 * case.noise:g} %, seed {case.seed}, "
        f"{case.method}: {verdict}; error {score.error:.1e}, {result.seconds:.2f} s"
        + (f"; {result.note}" if result.note else "")
    )
