"""Tables of long benchmarks: rows are added as they are measured, an interruption loses none."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["append_rows", "read_rows"]


def append_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Add rows, in one write; a new table begins with its columns."""
    new = not path.exists() or not path.stat().st_size
    lines = "".join(_line(row) for row in ([columns] if new else []))
    lines += "".join(_line(row) for row in rows)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, lines.encode("utf-8"))
        os.fsync(handle)
    finally:
        os.close(handle)


def _line(row: Sequence[object]) -> str:
    return ",".join(_quoted(str(cell)) for cell in row) + "\n"


def _quoted(cell: str) -> str:
    plain = " ".join(cell.split())
    return '"' + plain.replace('"', "'") + '"' if "," in plain or '"' in plain else plain


def read_rows(path: Path, columns: Sequence[str], owner: str) -> list[dict[str, str]]:
    """Read the rows of a table; a last row cut short is removed from the file.

    Parameters
    ----------
    path : Path
        May be absent: then there are no rows.
    columns : sequence of str
        Those it must have.
    owner : str
        Of the message.

    Raises
    ------
    ValueError
        If the file has other columns.
    """
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    if text and not text.endswith("\n"):
        text = text[: text.rfind("\n") + 1]
        path.write_text(text, encoding="utf-8")
    if not text:
        return []
    header, *rows = list(csv.reader(text.splitlines()))
    if header != list(columns):
        raise ValueError(
            f"{owner}: {path} must have the columns {','.join(columns)}; got "
            f"{','.join(header)}. Move it away, or give another --out."
        )
    return [dict(zip(header, row, strict=True)) for row in rows]
