"""How the options that say what is in a file become runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from discover.observations import Trajectory

__all__ = [
    "Dt",
    "Encoding",
    "Files",
    "Inputs",
    "Rate",
    "Rows",
    "Run",
    "States",
    "Table",
    "Time",
    "listed",
    "summary",
]

Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="CSV, Parquet, NetCDF, npz or MATLAB; each is a run."),
]
Time = Annotated[str | None, typer.Option("--time", "-t", metavar="COLUMN", help="The times.")]
Rate = Annotated[
    float | None, typer.Option(metavar="HZ", help="Samples per unit of time, without --time.")
]
Dt = Annotated[float | None, typer.Option(metavar="STEP", help="Sampling interval, likewise.")]
States = Annotated[
    list[str] | None,
    typer.Option(
        "--state", "-s", metavar="COLUMNS", help="What has a law: h1,h2. Default: all others."
    ),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", "-u", metavar="COLUMNS", help="What drives it from outside."),
]
Run = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="What tells several runs in a file apart.")
]
Rows = Annotated[
    str | None, typer.Option(metavar="A:B", help="Rows to use, from 0, without B; or A:B,C:D.")
]
Encoding = Annotated[
    str | None, typer.Option(metavar="NAME", help="Of text, where the guess is wrong.")
]


@dataclass(frozen=True)
class Table:
    """What the user said about the files; see :func:`read_runs` for the meaning."""

    files: Sequence[Path]
    time: str | None = None
    rate: float | None = None
    dt: float | None = None
    states: Sequence[str] | None = None
    inputs: Sequence[str] | None = None
    run: str | None = None
    rows: str | None = None
    encoding: str | None = None

    def options(self) -> dict[str, Any]:
        """Return the arguments of :func:`read_runs` and :func:`read_chunks`."""
        return {
            "time": self.time,
            "dt": self._interval(),
            "states": listed(self.states) or None,
            "inputs": listed(self.inputs),
            "run": self.run,
            "rows": self.rows,
            "encoding": self.encoding,
        }

    def _interval(self) -> float | None:
        given = [
            name
            for name, value in (("--time", self.time), ("--rate", self.rate), ("--dt", self.dt))
            if value is not None
        ]
        if len(given) > 1:
            raise typer.BadParameter(f"give one of {', '.join(given)}.", param_hint="the time")
        value = self.dt if self.rate is None else self.rate
        if value is None:
            return None
        if not 0 < value < float("inf") or not 0 < 1 / value < float("inf"):
            raise typer.BadParameter(f"{value} is not a positive number.", param_hint=given[0])
        return value if self.rate is None else 1 / value

    def read(self) -> list[Trajectory]:
        """Read all of it."""
        from discover.observations.readers import read_runs

        return read_runs(self.files, **self.options())

    def pieces(self) -> Iterator[Trajectory]:
        """Read it piece by piece."""
        from discover.observations.readers import read_chunks

        return read_chunks(self.files, **self.options())

    @property
    def size(self) -> int:
        """Bytes in all files that are there."""
        return sum(file.stat().st_size for file in self.files if file.is_file())


def listed(values: Sequence[str] | None) -> list[str]:
    """Split ``["h1,h2", "h3"]`` into names; a comma may be kept with a backslash."""
    parts = [part for value in values or () for part in value.replace(r"\,", "\0").split(",")]
    return [name for part in parts if (name := part.replace("\0", ",").strip())]


def summary(runs: Sequence[Trajectory], samples: int | None = None) -> str:
    """Say in one line what was read; `samples` counts what is not at hand any more."""
    first = runs[0]
    names = list(dict.fromkeys(str(run.name) for run in runs))
    whose = names[0] if len(names) == 1 else f"{len(names)} runs"
    count = sum(run.n_samples for run in runs) if samples is None else samples
    inputs = f", driven by {', '.join(first.control_names)}" if first.n_controls else ""
    unit = f" {first.time_unit}" if first.time_unit else ""
    span = (
        f"t = {min(run.times[0] for run in runs):.6g} to {max(run.times[-1] for run in runs):.6g}"
    )
    listed_names = ", ".join(first.state_names[:8]) + (", ..." if first.n_states > 8 else "")
    return f"{whose}: {count:,} samples of {listed_names}{inputs}; {span}{unit}"
