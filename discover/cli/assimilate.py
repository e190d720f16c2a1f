"""``discover assimilate``: track measurements with a law."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discover.cli import data
from discover.cli.app import app, examples

if TYPE_CHECKING:
    from discover.assimilation import Assimilation
    from discover.observations import Trajectory
    from discover.symbolic import SymbolicModel

_EXAMPLES = examples(
    "discover assimilate law/model.json observations.csv --time t --error 0.5 --out track.csv",
    "discover assimilate law.json seen.csv --time t --error x=0.5,y=1 --start z=25+-5",
    "discover assimilate law.json seen.csv --time t --error 1 --parameter 'rho=y:x' "
    "--start rho=28+-2 --drift rho=0.01",
)


@app.command(epilog=_EXAMPLES)
def assimilate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file (JSON).")],
    observations: Annotated[
        Path, typer.Argument(metavar="FILE", help="Measurements; empty cells are not observed.")
    ],
    error: Annotated[
        str, typer.Option(metavar="SD", help="Of the measurements: 0.5, or x=0.5,y=1.")
    ],
    time: data.Time = None,
    rate: data.Rate = None,
    dt: data.Dt = None,
    start: Annotated[
        str | None,
        typer.Option(metavar="VALUES", help="First guesses: z=25+-5. Default: the first row."),
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=EQUATION:TERM", help="Estimate this coefficient too."),
    ] = None,
    drift: Annotated[
        str | None,
        typer.Option(metavar="VARIANCES", help="Of random changes per unit of time: rho=0.01."),
    ] = None,
    scheme: Annotated[str, typer.Option(help="etkf, enkfn, stochastic, denkf, ensrf.")] = "enkfn",
    members: Annotated[int, typer.Option(min=2, help="Of the ensemble.")] = 50,
    inflation: Annotated[float, typer.Option(min=0, help="Factor on anomalies.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="A CSV file.")] = None,
) -> None:  # fmt: skip
    """Track measurements with a law: the states, and how sure they are, as CSV."""
    from discover.symbolic import SymbolicModel

    law = SymbolicModel.load(model)
    run = _read(law, data.Table([observations], time, rate, dt))
    found = _track(law, run, error, start, parameter, drift,
                   {"scheme": scheme, "n_members": members, "inflation": inflation,
                    "random_state": seed})  # fmt: skip
    _table(found).to_csv(sys.stdout if out is None else out, index=False, lineterminator="\n")
    typer.echo(repr(found), err=True)


def _misused(option: str, what: str) -> typer.BadParameter:
    return typer.BadParameter(what, param_hint=option)


def _read(law: SymbolicModel, table: data.Table) -> Trajectory:
    runs = table.read()
    if len(runs) != 1:
        raise _misused("FILE", f"it must hold one run; got {len(runs)}.")
    (run,) = runs
    seen = [name for name in run.state_names if name in law.state_names]
    if not seen:
        raise _misused(
            "FILE", f"no column is a state of the law, {', '.join(law.state_names)}; "
            f"got {', '.join(run.state_names)}.",
        )  # fmt: skip
    return run


def _values(text: str | None, option: str, known: list[str]) -> dict[str, tuple[float, float]]:
    """Read ``z=25+-5,y=1``: values and deviations by name."""
    found = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        name, equals, value = part.partition("=")
        centre, _, deviation = value.partition("+-")
        name = name.strip()
        try:
            found[name] = float(centre), float(deviation) if deviation else 0.0
        except ValueError:
            equals = ""
        if not equals or name not in known:
            raise _misused(option, f"{part!r} must be like {known[0]}=1.5+-0.5, for one of "
                           f"{', '.join(known)}.")  # fmt: skip
    return found


def _track(
    law: SymbolicModel, run: Trajectory, error: str, start: str | None,
    parameter: list[str] | None, drift: str | None, options: dict[str, Any],
) -> Assimilation:  # fmt: skip
    """Put the options in the words of the filter, and run it."""
    import numpy as np

    from discover.assimilation import EnsembleKalmanFilter

    seen = [name for name in run.state_names if name in law.state_names]
    y = run.states[:, [run.state_names.index(name) for name in seen]]
    deviations = _deviations(error, seen)
    parameters = dict(_parameter(text) for text in parameter or [])
    names = [*law.state_names, *parameters]
    guesses = _values(start, "--start", names)
    mean, variances = [], []
    for name in names:
        value, spread = guesses.get(name, (None, None))
        if value is None and name in seen and np.isfinite(y[0, seen.index(name)]):
            value, spread = float(y[0, seen.index(name)]), deviations[name]
        if value is None or spread is None:
            raise _misused("--start", f"{name} is not in the first row; guess it: {name}=1+-0.5.")
        if not spread > 0:
            raise _misused("--start", f"say how sure {name} is: {name}={value:g}+-0.5.")
        mean.append(value)
        variances.append(spread**2)
    noise = _values(drift, "--drift", names)
    return EnsembleKalmanFilter(
        **options, model_noise=[noise.get(name, (0.0, 0.0))[0] for name in names]
    ).assimilate(
        law, [names.index(name) for name in seen], [deviations[name] ** 2 for name in seen],
        y, run.times, initial=(mean, variances), parameters=parameters or None,
    )  # fmt: skip


def _deviations(text: str, seen: list[str]) -> dict[str, float]:
    try:
        one = float(text)
        return dict.fromkeys(seen, one)
    except ValueError:
        found = {name: value for name, (value, _) in _values(text, "--error", seen).items()}
    if set(found) != set(seen):
        raise _misused("--error", f"it must give each of {', '.join(seen)}; got {text!r}.")
    return found


def _parameter(text: str) -> tuple[str, tuple[str, str]]:
    name, equals, place = text.partition("=")
    equation, colon, term = place.partition(":")
    if not (equals and colon and name.strip() and term.strip()):
        raise _misused("--parameter", f"{text!r} must be like rho=y:x, the coefficient of x in y'.")
    return name.strip(), (equation.strip(), term.strip())


def _table(found: Assimilation) -> Any:
    """Return times, means and deviations as a table."""
    import pandas as pd

    columns = {"t": found.times}
    for j, name in enumerate(found.state_names):
        columns[name] = found.mean[:, j]
        columns[f"{name}_sd"] = found.spread[:, j]
    return pd.DataFrame(columns)
