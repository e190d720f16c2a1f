"""``discover demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from discover.cli.app import app, examples


@app.command(epilog=examples("discover demo --out first_law"))
def demo(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where to write.", show_default=True)
    ] = Path("demo_output"),
) -> None:
    """Find the law behind two decades of hare and lynx pelts."""
    from discover.demo import run

    run(out)
