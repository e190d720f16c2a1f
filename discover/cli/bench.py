"""``discover bench``."""

from __future__ import annotations

from typing import Annotated

import typer

from discover.bench import NAMES
from discover.cli.app import app, examples, one_thread
from discover.cli.boundary import FAILED


@app.command(epilog=examples("discover bench fit --quick", "discover bench all --record"))
def bench(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help=f"{', '.join(NAMES)}, all.")
    ],
    quick: Annotated[bool, typer.Option("--quick", help="Small data: shows that it runs.")] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Write docs/benchmarks/bars.csv.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 when a bar fails.")] = False,
) -> None:
    """Measure against peers; every ratio is measured in one process."""
    for name in names:
        if name not in (*NAMES, "all"):
            known = ", ".join((*NAMES, "all"))
            raise typer.BadParameter(f"{name!r} is not one of {known}.", param_hint="NAME")
    one_thread()
    if _measure(names, quick, record) and check:
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
