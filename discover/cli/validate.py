"""``discover validate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discover.cli import data
from discover.cli.app import app, examples
from discover.cli.boundary import FAILED

if TYPE_CHECKING:
    from discover.symbolic import SymbolicModel


@app.command(
    epilog=examples(
        "discover validate law/model.json new.csv",
        "discover validate law/model.json new.csv --time 'time [s]' --json",
    )
)
def validate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file (JSON).")],
    files: data.Files,
    time: data.Time = None,
    rate: data.Rate = None,
    dt: data.Dt = None,
    run: data.Run = None,
    rows: data.Rows = None,
    encoding: data.Encoding = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Judge a law by measurements it has not seen; exit with 1 when it fails."""
    from discover.symbolic import SymbolicModel
    from discover.validation import validate

    law = SymbolicModel.load(model)
    states = _observed(law, files, encoding)
    table = data.Table(files, time, rate, dt, states, law.control_names, run, rows, encoding)
    found = validate(law, table.read())
    if as_json:
        import json

        typer.echo(json.dumps(found.to_dict(), ensure_ascii=False))
    else:
        typer.echo(str(found.verdict))
    if found.verdict.outcome == "fails":
        raise typer.Exit(FAILED)


def _observed(law: SymbolicModel, files: Sequence[Path], encoding: str | None) -> list[str]:
    """Return the states of the law that the first file has; all of them if it has none.

    Of second-order laws, files hold the coordinates without their velocities.
    """
    from discover.observations.readers import open_source

    headers = open_source(files[0], encoding).headers
    there = [name for name in law.state_names if any(h.answers_to(name) for h in headers)]
    return there or list(law.state_names)
