"""The application that commands register with, and its options."""

from __future__ import annotations

from typing import Annotated

import typer

import discover

__all__ = ["app", "examples", "one_thread"]

app = typer.Typer(
    name="discover",
    help="Turn measurements into closed forms: sparse equations with honest uncertainty.",
    epilog="Each command has examples: discover fit --help. "
    "Exit codes: 0 done, 1 failed, 2 wrong arguments or data, 130 interrupted.",
    no_args_is_help=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"discover {discover.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show it and exit."),
    ] = False,
) -> None:
    """Take the options that come before a command."""


def examples(*lines: str) -> str:
    """Return the end of a command's help; the lines are not wrapped."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def one_thread() -> None:
    """Keep linear algebra to one thread, which must be said before numpy is imported."""
    import os

    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    os.environ.update(dict.fromkeys(names, "1"))
