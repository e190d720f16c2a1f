"""``discover error``: what somebody's solver gets wrong, from observations."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from discover.cli import data
from discover.cli.app import app, examples
from discover.cli.boundary import COMMAND

_FIELDS = (".nc", ".nc4", ".h5", ".cdf")
_EXAMPLES = examples(
    "discover error observations.nc --solver mymodel:step --out out/",
    "discover error bursts.nc --solver mymodel:Solver --history 2 --library 'u*u_x, u_xx'",
    "discover error seen.csv --time t --solver mymodel:Pendulum --library 'x, y, x*y'",
)


@app.command(epilog=_EXAMPLES)
def error(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A field as NetCDF, or a table of states.")
    ],
    solver: Annotated[
        str, typer.Option(metavar="MODULE:NAME", help="step(x, t, dt[, u]), or has step or rhs.")
    ],
    library: Annotated[
        str | None, typer.Option("--library", "-l", metavar="TERMS", help="'u*u_x, u_xx'")
    ] = None,
    history: Annotated[int, typer.Option(min=1, help="Past states a step takes.")] = 1,
    vectorized: Annotated[
        bool, typer.Option("--vectorized", help="The solver steps many states at once.")
    ] = False,
    fixed_step: Annotated[
        float | None, typer.Option(metavar="STEP", help="The only step the solver can take.")
    ] = None,
    solver_dt: Annotated[
        float | None, typer.Option(metavar="STEP", help="Its step between observations.")
    ] = None,
    noise: Annotated[
        float | None, typer.Option(metavar="STD", help="Of the observations. [default: estimated]")
    ] = None,
    time: data.Time = None,
    inputs: data.Inputs = None,
    open_axes: Annotated[
        bool, typer.Option("--open", help="The axes of the field do not close on themselves.")
    ] = False,
    sites: Annotated[
        bool, typer.Option("--sites", help="The points are sites on a ring, under one law.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="For the sampling of errors.")] = 0,
    holdout: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A complete record to forecast.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a report there: law, tables, a page.")
    ] = None,
) -> None:  # fmt: skip
    """Find what a solver gets wrong."""
    from discover.medida import ModelErrorDiscovery

    dynamics = _load(solver)
    if out is not None:
        from discover.reports.writing import refuse_other

        refuse_other(out)
    kind = {"periodic": not open_axes, "discrete": sites}
    record = None if holdout is None else _read(holdout, time, inputs, kind)
    found = ModelErrorDiscovery(
        dynamics, library, history=history, vectorized=vectorized, fixed_step=fixed_step,
        solver_dt=solver_dt, noise_std=noise, random_state=seed,
    ).fit(_read(file, time, inputs, kind))  # fmt: skip
    text = "\n".join([repr(found), "", *found.notes_, *found.identifiability_.notes()])
    typer.echo(text)
    if out is None:
        if record is not None:
            typer.echo(f"\n{found.forecast(record)}")
        return
    from discover.reports import report

    report(
        found, out, holdout=record, sources=[file.name],
        command=str((context.find_root().obj or {}).get(COMMAND, "")),
    )  # fmt: skip
    written = ", ".join(sorted(path.name for path in out.iterdir()))
    typer.echo(f"\nWritten to {out}: {written}")


def _load(path: str) -> Any:
    """Import the solver; modules of the working folder are found, too."""
    module, colon, name = path.partition(":")
    if not (module and colon and name):
        raise _misused(f"{path!r} must be like mymodel:step, a module and a name in it.")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as missing:
        raise _misused(f"there is no module {missing.name!r} here or installed.") from missing
    except Exception as failed:
        raise _misused(f"{module!r} cannot be imported: {failed!r}.") from failed
    for part in name.split("."):
        if not hasattr(found, part):
            raise _misused(f"{module!r} has no {name!r}.")
        found = getattr(found, part)
    found = found() if isinstance(found, type) else found
    if not (callable(found) or hasattr(found, "step") or hasattr(found, "rhs")):
        raise _misused(f"{path!r} must be step(x, t, dt), or have step or rhs; got {found!r}.")
    return found


def _misused(what: str) -> typer.BadParameter:
    return typer.BadParameter(what, param_hint="--solver")


def _read(file: Path, time: str | None, inputs: list[str] | None, kind: dict[str, bool]) -> Any:
    """Read a field from NetCDF; anything else is a table of states and controls."""
    if file.suffix.lower() in _FIELDS and not inputs:
        import xarray

        from discover.observations.field import Field

        with xarray.open_dataset(file) as dataset:
            if any(len(variable.dims) > 1 for variable in dataset.data_vars.values()):
                return Field.from_xarray(dataset, time=time, **kind)
    return data.Table([file], time, inputs=inputs).read()
