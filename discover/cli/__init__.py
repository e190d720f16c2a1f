"""The command line: one small file per command.

A command is a function registered by ``@app.command()`` in a file of this package, and the
file is named in `COMMANDS`. At the top such a file imports nothing but typer and the
standard library; numpy and all parts of discover are imported inside its functions, so
that ``--help`` and completion answer at once.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from discover.cli.app import app
from discover.cli.boundary import run

__all__ = ["COMMANDS", "app", "main"]

# in the order of --help
COMMANDS = (
    "look", "fit", "error", "show", "simulate", "validate", "assimilate", "train", "distill",
    "systems", "env", "demo", "doctor", "bench",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        0; 1 when what was asked for could not be done or a bar fails with ``--check``; 2
        for what the user can put right; 130 when interrupted from the keyboard. Nothing is
        raised.
    """
    for name in COMMANDS:
        importlib.import_module(f"discover.cli.{name}")
    return run(app, arguments)
