"""Tables of long benchmarks: rows are added as they are measured, an interruption loses none."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

__all__ = ["ResultTable", "append_rows", "read_rows"]

R = TypeVar("R")
J = TypeVar("J", bound=Hashable)


class ResultTable(Generic[R]):
    """Results measured so far: a benchmark that was interrupted is taken up again from them.

    Parameters
    ----------
    path : Path
    kind : type
        Dataclass of a result. Its fields are the columns: texts, whole numbers, numbers,
        truth values, or dataclasses of these.
    owner : str
        Of messages.
    digits : int or None, default=6
        Of numbers in the file; None for all of them.
    """

    def __init__(self, path: Path, kind: type[R], owner: str, digits: int | None = 6) -> None:
        self.path, self.kind, self.owner, self.digits = path, kind, owner, digits

    def read(self) -> list[R]:
        """Return all results of the file; see :func:`read_rows`."""
        return [_result(self.kind, row) for row in read_rows(self.path, self._columns, self.owner)]

    def add(self, results: Iterable[R]) -> None:
        """Add results, in one write."""
        rows = [[self._text(v) for _, v in _leaves(self.kind, r)] for r in results]
        append_rows(self.path, self._columns, rows)

    def complete(
        self,
        jobs: Iterable[J],
        job_of: Callable[[R], J],
        measure: Callable[[J], Iterable[R]],
        report: Callable[[R], None] = lambda result: None,
    ) -> list[R]:
        """Measure the jobs that have no results yet, adding those of each as it is done.

        Parameters
        ----------
        jobs : iterable
        job_of : callable
            Says to which job a result belongs.
        measure : callable
            Takes a job, and returns its results.
        report : callable, optional
            Called with every new result.

        Returns
        -------
        list
            The results of all these jobs, old and new, job by job.
        """
        known: dict[J, list[R]] = {}
        for result in self.read():
            known.setdefault(job_of(result), []).append(result)
        wanted = list(dict.fromkeys(jobs))
        for job in wanted:
            if job not in known:
                known[job] = list(measure(job))
                self.add(known[job])
                for result in known[job]:
                    report(result)
        return [result for job in wanted for result in known[job]]

    @property
    def _columns(self) -> list[str]:
        return [name for name, _ in _leaves(self.kind)]

    def _text(self, value: object) -> str:
        if not isinstance(value, float):
            return str(value)
        return repr(value) if self.digits is None else f"{value:.{self.digits}g}"


def _leaves(kind: Any, result: Any = None) -> Iterator[tuple[str, Any]]:
    """Yield names and values of the fields, those of dataclasses among them in their place."""
    hints = get_type_hints(kind)
    for field in fields(kind):
        value = getattr(result, field.name, None)
        if is_dataclass(hints[field.name]):
            yield from _leaves(hints[field.name], value)
        else:
            yield field.name, value


def _result(kind: Any, row: dict[str, str]) -> Any:
    """Return a result from the texts of its row."""
    hints, values = get_type_hints(kind), {}
    for field in fields(kind):
        hint = hints[field.name]
        if is_dataclass(hint):
            values[field.name] = _result(hint, row)
        else:
            text = row[field.name]
            values[field.name] = text == "True" if hint is bool else hint(text)
    return kind(**values)


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
