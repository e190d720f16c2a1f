"""``discover simulate``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discover.cli.app import app, examples

if TYPE_CHECKING:
    from discover.symbolic import SymbolicModel
    from discover.typing import FloatArray

_MOST_TIMES = 20_000_000
_EXAMPLES = examples(
    "discover simulate law/model.json --x0 1,2 --t 0:10:0.01 --out run.csv",
    "discover simulate law/model.json --x0 h1=1,h2=2 --input pump.csv --time t",
    "discover simulate law/model.json --x0 1,2 --t 0:10:0.01 --draws 100 --out band.csv",
)


@app.command(epilog=_EXAMPLES)
def simulate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file (JSON).")],
    x0: Annotated[str, typer.Option(metavar="VALUES", help="The start: 1,2 or h1=1,h2=2.")],
    t: Annotated[
        str | None, typer.Option("--t", metavar="A:B:STEP", help="Times; or those of --input.")
    ] = None,
    inputs: Annotated[
        Path | None, typer.Option("--input", "-u", metavar="FILE", help="Inputs over time.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The times in that file.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="HZ", min=0, help="Its samples per unit of time.")
    ] = None,
    draws: Annotated[
        int, typer.Option(min=0, max=10_000, help="Laws drawn within the uncertainty.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="A CSV file.")] = None,
) -> None:
    """Follow a law from a start, and write the path as CSV."""
    from discover.symbolic import SymbolicModel

    law = SymbolicModel.load(model)
    start = _start(law, x0)
    times, controls = _inputs(law, t, inputs, time, rate)
    table = _table(law, start, times, controls, draws, seed)
    if out is None:
        table.to_csv(sys.stdout, index=False, lineterminator="\n")
    else:
        table.to_csv(out, index=False, lineterminator="\n")


def _misused(option: str, what: str) -> typer.BadParameter:
    return typer.BadParameter(what, param_hint=option)


def _number(text: str, option: str) -> float:
    from discover.observations.readers.layout import number_of

    value = number_of(text)
    if value is None or not abs(value) < float("inf"):
        raise _misused(option, f"{text!r} is not a finite number.")
    return value


def _start(law: SymbolicModel, text: str) -> list[float]:
    """Read ``1,2``, in the order of the states, or ``h1=1,h2=2``."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    pairs = [part.partition("=") for part in parts]
    names = [name.strip() if equals else None for name, equals, _ in pairs]
    if all(name is None for name in names):
        names = list(law.state_names)
        pairs = [("", "=", part) for part in parts]
    if len(parts) != law.n_states or sorted(map(str, names)) != sorted(law.state_names):
        must = f"it must give each of {', '.join(law.state_names)} once; got {text!r}."
        raise _misused("--x0", must)
    values = {str(n): _number(v, "--x0") for n, (_, _, v) in zip(names, pairs, strict=True)}
    return [values[name] for name in law.state_names]


def _times(text: str) -> FloatArray:
    """Read ``a:b:step``; `b` is included when the steps meet it."""
    import numpy as np

    parts = text.split(":")
    if len(parts) != 3:
        raise _misused("--t", f"it must be start:end:step, such as 0:10:0.01; got {text!r}.")
    start, end, step = (_number(part, "--t") for part in parts)
    count = (end - start) / step if step else -1.0
    if not 0 < count < _MOST_TIMES:
        what = (
            f"from {start:g} to {end:g} in steps of {step:g} is not between 1 and {_MOST_TIMES:,}"
        )
        raise _misused("--t", f"{what} steps.")
    return np.asarray(start + step * np.arange(int(count * (1 + 1e-12) + 1e-9) + 1))


def _inputs(
    law: SymbolicModel, t: str | None, file: Path | None, time: str | None, rate: float | None
) -> tuple[FloatArray, FloatArray | None]:
    """Return output times and the controls at them."""
    import numpy as np

    if not law.n_controls:
        if file is not None:
            raise _misused("--input", "this law has no inputs.")
        if t is None:
            raise _misused("--t", "say for which times, such as --t 0:10:0.01.")
        return _times(t), None
    if file is None:
        what = f"this law has the inputs {', '.join(law.control_names)}; name a file that has them."
        raise _misused("--input", what)
    from discover.observations.readers import read_runs

    dt = 1 / rate if rate else None
    run = read_runs(file, time=time, dt=dt, states=list(law.control_names))[0]
    if t is None:
        return run.times, run.states
    times = _times(t)
    if min(times[0], times[-1]) < run.times[0] or max(times[0], times[-1]) > run.times[-1]:
        span = f"from {run.times[0]:g} to {run.times[-1]:g}"
        raise _misused("--t", f"the inputs in {file} are known {span} only.")
    columns = [np.interp(times, run.times, column) for column in run.states.T]
    return times, np.column_stack(columns)


def _table(
    law: SymbolicModel, start: list[float], times: FloatArray, controls: Any, draws: int, seed: int
) -> Any:
    """Return the path as a table; with draws, the paths of many laws one below the other."""
    import numpy as np

    laws = [law]
    if draws:
        laws = law.sample(np.random.default_rng(seed), draws)
    frames = []
    for k, each in enumerate(laws):
        frame = each.simulate(start, times, controls, on_failure="return" if draws else None)
        table = frame.to_frame().reset_index()
        if draws:
            table.insert(0, "draw", k)
        frames.append(table)
    import pandas as pd

    whole = pd.concat(frames, ignore_index=True)
    units = {name: f"{name} [{unit}]" for name, unit in law.units.items()}
    return whole.rename(columns=units)
