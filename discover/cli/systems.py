"""``discover systems``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discover.cli.app import app, examples

if TYPE_CHECKING:
    from discover.dynamics import System

systems = typer.Typer(
    name="systems",
    help="Published chaotic systems: list, show and simulate them.",
    no_args_is_help=True,
)
app.add_typer(systems)

_COLUMNS = ("name", "states", "kind", "period", "exponent", "what it is")


@systems.command(
    "list", epilog=examples("discover systems list", "discover systems list --states 4 --benchmark")
)
def list_(
    states: Annotated[int | None, typer.Option(min=1, help="Only so many states.")] = None,
    polynomial: Annotated[
        bool | None, typer.Option("--polynomial/--other", help="Only polynomials; or the others.")
    ] = None,
    benchmark: Annotated[
        bool, typer.Option("--benchmark", help="Only the 70 systems of the benchmark.")
    ] = False,
) -> None:
    """List the systems; the exponent is the largest Lyapunov exponent, per unit of time."""
    from discover.dynamics import list_systems, load_system

    names = list_systems(
        polynomial=polynomial, dimension=states, benchmark=True if benchmark else None
    )
    rows = [_COLUMNS, *(_row(load_system(name)) for name in names)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(_COLUMNS))]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo(line.rstrip())


def _row(system: System) -> tuple[str, ...]:
    kind = "other" if system.degree is None else f"degree {system.degree}"
    known = system.exponents is not None
    exponent = f"{system.largest_exponent:.3g}" if known else "-"
    return (
        system.name,
        str(system.dimension),
        kind,
        f"{system.period:.4g}",
        exponent,
        system.description,
    )


@systems.command(
    epilog=examples(
        "discover systems show Lorenz",
        "discover systems show Lorenz --json > lorenz.json",
        "discover systems show Rossler --latex",
    )
)
def show(
    name: Annotated[str, typer.Argument(help="A name from the list.")],
    latex: Annotated[bool, typer.Option("--latex", help="Its equations in LaTeX.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A model file.")] = False,
) -> None:
    """Show a system: equations, parameters, initial state, period, exponents and reference."""
    from discover.dynamics import load_system
    from discover.symbolic.model_file import to_json

    if latex and as_json:
        raise typer.BadParameter("choose one of --latex and --json.", param_hint="the form")
    system = load_system(name)
    if latex or as_json:
        written = system.model.to_latex() if latex else to_json(system.model)
        typer.echo(written.rstrip("\n"))
        return
    typer.echo(_card(system))


def _card(system: System) -> str:
    parameters = ", ".join(f"{key} = {value}" for key, value in system.parameters.items())
    start = ", ".join(f"{value:.9g}" for value in system.initial_state)
    lines = [
        f"{system.name}: {system.description}",
        *(f"    {equation}" for equation in system.model.equations()),
        f"parameters     {parameters or 'none'}",
        f"initial state  {start}",
        f"period         {system.period:.6g}",
        f"exponents      {_exponents(system)}",
        f"reference      {system.reference}",
        f"collection     {system.source}",
    ]
    return "\n".join(lines)


def _exponents(system: System) -> str:
    if system.exponents is None or system.exponent_errors is None:
        return "not computed: the law jumps"
    pairs = zip(system.exponents, system.exponent_errors, strict=True)
    return ", ".join(f"{value:.4g} +- {error:.1g}" for value, error in pairs)


@systems.command(
    epilog=examples(
        "discover systems simulate Lorenz --out lorenz.csv",
        "discover systems simulate Rossler --runs 5 --noise 0.05 --seed 1 --out rossler.csv",
    )
)
def simulate(
    name: Annotated[str, typer.Argument(help="A name from the list.")],
    periods: Annotated[float, typer.Option(min=0, help="Length of a run, in periods.")] = 10.0,
    points: Annotated[int, typer.Option(min=1, help="Samples per period.")] = 100,
    runs: Annotated[int, typer.Option(min=1, max=10_000, help="Runs on the attractor.")] = 1,
    noise: Annotated[
        float, typer.Option(min=0, help="Of each state's standard deviation, such as 0.05.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="A CSV file.")] = None,
) -> None:
    """Write runs on the attractor as CSV; with several runs, a first column numbers them."""
    import numpy as np
    import pandas as pd

    from discover.dynamics import load_system

    rng = np.random.default_rng(seed)
    found = load_system(name).trajectories(runs, periods, points, noise=noise, rng=rng)
    frames = []
    for k, run in enumerate(found):
        frame = pd.DataFrame(run.states, columns=list(run.state_names))
        frame.insert(0, "t" if "t" not in run.state_names else "time", run.times)
        if runs > 1:
            frame.insert(0, "run", k)
        frames.append(frame)
    target = sys.stdout if out is None else out
    pd.concat(frames).to_csv(target, index=False, lineterminator="\n")
