"""``discover look``: what is in a file, before anything is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discover.cli.app import app, examples
from discover.cli.boundary import printable

if TYPE_CHECKING:
    from discover.observations.readers import Source

_MOST_COLUMNS = 60


@app.command(epilog=examples("discover look tank.csv", "discover look runs.parquet --json"))
def look(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...")],
    encoding: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of text, where the guess is wrong.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Show the columns of a file as discover reads them: names, units, ranges, gaps."""
    from discover.observations.readers import open_source

    for file in files:
        source = open_source(file, encoding)
        columns = _columns(source)
        if as_json:
            import json

            told = {"file": str(file), "columns": columns, "notes": source.notes}
            typer.echo(json.dumps(told, ensure_ascii=False))
        else:
            typer.echo(printable(_as_text(source, columns)))


def _columns(source: Source) -> list[dict[str, Any]]:
    """Describe every column in one pass over the file."""
    from discover.observations.readers.runs import ROWS_PER_CHUNK

    shown = list(range(min(len(source.headers), _MOST_COLUMNS)))
    found = [_Column(source.headers[j]) for j in shown]
    for block in source.blocks(shown, ROWS_PER_CHUNK):
        for j in shown:
            found[j].add(block[j])
    return [column.told() for column in found]


class _Column:
    """What is known of a column after some rows."""

    def __init__(self, header: Any) -> None:
        self.header, self.rows, self.missing = header, 0, 0
        self.low: Any = None
        self.high: Any = None

    def add(self, values: Any) -> None:
        import numpy as np

        self.rows += len(values)
        if values.dtype.kind != "f":
            self.low = values[0] if self.low is None and len(values) else self.low
            self.high = values[-1] if len(values) else self.high
            return
        there = values[~np.isnan(values)]
        self.missing += len(values) - len(there)
        if len(there):
            self.low = there.min() if self.low is None else min(self.low, there.min())
            self.high = there.max() if self.high is None else max(self.high, there.max())

    def told(self) -> dict[str, Any]:
        numeric = self.header.is_number
        return {
            "column": self.header.title,
            "name": self.header.name,
            "unit": self.header.unit,
            "kind": "numbers" if numeric else "text",
            "rows": self.rows,
            "missing": self.missing,
            "low": _plain(self.low),
            "high": _plain(self.high),
        }


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value == value and abs(value) != float("inf"):
        return float(value)
    return str(value)


def _as_text(source: Source, columns: Sequence[dict[str, Any]]) -> str:
    header = ("column", "name", "unit", "kind", "rows", "missing", "from", "to")
    rows = [header, *(tuple(_cell(value) for value in column.values()) for column in columns)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(header))]
    lines = [f"{source.path}"]
    lines += [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines += [f"({note})" for note in source.notes]
    if len(source.headers) > len(columns):
        lines.append(f"(and {len(source.headers) - len(columns)} more columns)")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 28 else f"{text[:25]}..."
