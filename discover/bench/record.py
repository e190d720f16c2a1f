"""Keep measured bars in the table that the documentation shows."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path

import discover
from discover.bench.rows import Row
from discover.files import write_text

__all__ = ["COLUMNS", "current_commit", "record", "table_path"]

COLUMNS = ("bar", "value", "command", "commit")
_ROOT = Path(discover.__file__).parents[1]


def table_path() -> Path:
    """Return the table of bars of this clone.

    Raises
    ------
    ValueError
        If the package is not run from a clone.
    """
    path = _ROOT / "docs" / "benchmarks" / "bars.csv"
    if not path.is_file():
        raise ValueError(f"bench: --record needs a clone of the sources; there is no {path}.")
    return path


def current_commit() -> str:
    """Return the short hash of the code that runs, or "uncommitted" if it is not a commit."""
    if _git("status", "--porcelain", "--", "discover") != "":
        return "uncommitted"
    return _git("rev-parse", "--short", "HEAD") or "uncommitted"


def _git(*arguments: str) -> str | None:
    """Return what git says, or None if it refuses or is not there."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def record(rows: Iterable[Row], command: str, path: Path | None = None) -> int:
    """Write bars into the table; earlier results of the same command go, if there are new ones.

    Parameters
    ----------
    rows : iterable of Row
        Those without a target are not bars and are left out.
    command : str
        What to type to measure them again.
    path : Path, optional
        By default the table of this clone. It is replaced in one step.

    Returns
    -------
    int
        How many bars were written.
    """
    path = table_path() if path is None else path
    commit = current_commit()
    new = [(row.bar, row.text, command, commit) for row in rows if row.target]
    if not new:
        return 0
    names = {row[0] for row in new}
    kept = [row for row in _read(path) if row[2] != command and row[0] not in names]
    _replace(path, sorted([*kept, *new], key=lambda row: row[2]))
    return len(new)


def _read(path: Path) -> list[tuple[str, ...]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = [tuple(row) for row in csv.reader(file)] or [COLUMNS]
    if header != COLUMNS:
        raise ValueError(f"bench: {path} must have the columns {','.join(COLUMNS)}; got {header}.")
    return rows


def _replace(path: Path, rows: Sequence[Sequence[str]]) -> None:
    text = StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    write_text(path, text.getvalue())
