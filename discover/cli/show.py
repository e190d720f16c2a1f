"""``discover show``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from discover.cli.app import app, examples

_EXAMPLES = examples(
    "discover show law.json",
    "discover show law.json --latex > law.tex",
    "discover show law.json --c > law.c",
    "discover show runs/CartPoleSwingup-v0-0/policy.json --c --name policy > policy.c",
    "discover show law.json --table",
)


@app.command(epilog=_EXAMPLES)
def show(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file (JSON).")],
    latex: Annotated[bool, typer.Option("--latex", help="LaTeX source.")] = False,
    sympy: Annotated[bool, typer.Option("--sympy", help="Expressions for sympy.")] = False,
    c: Annotated[bool, typer.Option("--c", help="A C99 function.")] = False,
    python: Annotated[
        bool, typer.Option("--python", help="A Python function without dependencies.")
    ] = False,
    table: Annotated[
        bool, typer.Option("--table", help="Coefficients with their errors, as CSV.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The model file, checked.")] = False,
    name: Annotated[str, typer.Option(help="Of the function, for --c and --python.")] = "rhs",
) -> None:
    """Print a law: as text, or in one of the forms below, with every bit of its numbers."""
    from discover.symbolic import SymbolicModel

    asked = {
        "--latex": latex, "--sympy": sympy, "--c": c,
        "--python": python, "--table": table, "--json": as_json,
    }  # fmt: skip
    chosen = [name for name, wanted in asked.items() if wanted]
    if len(chosen) > 1:
        raise typer.BadParameter(f"choose one of {', '.join(chosen)}.", param_hint="the form")
    law = SymbolicModel.load(model)
    typer.echo(_written(law, chosen[0] if chosen else "", name).rstrip("\n"))


def _written(law: object, form: str, name: str) -> str:
    """Return the law in one of its forms."""
    from discover.symbolic import SymbolicModel
    from discover.symbolic.model_file import to_json

    assert isinstance(law, SymbolicModel)
    if form == "--latex":
        return law.to_latex()
    if form == "--sympy":
        return "\n".join(str(equation) for equation in law.to_sympy())
    if form == "--c":
        return law.to_c(name)
    if form == "--python":
        return law.to_python(name)
    if form == "--table":
        return str(law.coefficient_table().to_csv(index=False, lineterminator="\n"))
    return to_json(law) if form == "--json" else repr(law)
