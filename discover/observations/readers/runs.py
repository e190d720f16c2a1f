"""Runs from files: columns are chosen, rows are cut, times are made, units are compared."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discover.exceptions import DataError, DataWarning
from discover.observations.checks import constant_columns, refuse_unobserved
from discover.observations.place import Place
from discover.observations.readers.files import describe, file_error, kind_of, shown
from discover.observations.readers.source import Block, Header, Source
from discover.observations.readers.units import conversion, same_unit, warn_unknown
from discover.observations.trajectory import Trajectory
from discover.typing import FloatArray

__all__ = ["Question", "open_source", "parse_rows", "read_chunks", "read_runs"]

ROWS_PER_CHUNK = 1 << 18
_CLOCKS = ("t", "time", "times", "timestamp", "date", "datetime", "seconds", "year", "years")
Rows = Sequence[tuple[int | None, int | None]]


@dataclass(frozen=True)
class Question:
    """What is wanted from the files.

    Parameters
    ----------
    time : str, optional
        The column of times.
    dt : float, optional
        The sampling interval, where there is no such column.
    states, inputs : sequence of str, optional
        Without `states`, every column of numbers that is not used otherwise.
    run : str, optional
        The column that tells runs apart.
    rows : sequence of (start, stop), optional
        Ranges of rows, counted from 0, the last one excluded; each is a run of its own.
    encoding : str, optional
        Of text files.
    """

    time: str | None = None
    dt: float | None = None
    states: Sequence[str] | None = None
    inputs: Sequence[str] = ()
    run: str | None = None
    rows: Rows = field(default=((None, None),))
    encoding: str | None = None


def open_source(path: str | os.PathLike[str], encoding: str | None = None) -> Source:
    """Open a file of any kind that is read here, as its first bytes tell.

    Raises
    ------
    DataError
        If it cannot be read, or holds no table.
    """
    from discover.observations.readers import arrays, columnar
    from discover.observations.readers.text import TextSource

    path = Path(path)
    kind = kind_of(path)
    if kind == "text":
        return TextSource(path, encoding)
    if kind == "parquet":
        return columnar.ParquetSource(path)
    if kind == "mat73" or (kind == "hdf5" and path.suffix.lower() == ".mat"):
        return arrays.open_hdf5_mat(path)
    if kind in ("hdf5", "netcdf3"):
        return columnar.open_netcdf(path, kind)
    return {"zip": arrays.open_npz, "npy": arrays.open_npy, "mat": arrays.open_mat}[kind](path)


def parse_rows(text: str) -> Rows:
    """Read ``"a:b"``, ``"a:"``, ``":b"`` or several with commas between.

    Raises
    ------
    DataError
        If it is anything else.
    """
    ranges = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(-?\d{1,15})?\s*:\s*(-?\d{1,15})?\s*", part)
        if found is None:
            must = "rows must be ranges such as 0:1000 or 0:1000,5000:"
            raise DataError(f"rows: {must}; got {shown(text)}.")
        ranges.append(tuple(None if end is None else int(end) for end in found.groups()))
    return ranges  # type: ignore[return-value]


def read_runs(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    time: str | None = None,
    dt: float | None = None,
    states: Sequence[str] | None = None,
    inputs: Sequence[str] = (),
    run: str | None = None,
    rows: str | Rows | None = None,
    encoding: str | None = None,
) -> list[Trajectory]:
    """Read runs from files: CSV and other text, Parquet, NetCDF, npz, npy, MATLAB.

    Parameters
    ----------
    paths : path, or iterable of paths
        What each holds is told from its first bytes, not from its name.
    time : str, optional
        The column of times: numbers, dates or durations. By default the coordinate a
        NetCDF file declares, or a column called t, time, date or year.
    dt : float, optional
        The sampling interval, instead of a column.
    states, inputs : sequence of str, optional
        Columns, by label, by label without unit, or by position from 0. Without `states`,
        every column of numbers that is not used otherwise.
    run : str, optional
        The column that tells runs apart.
    rows : str, or sequence of (start, stop), optional
        Ranges of the rows of each file, such as ``"0:1000,5000:"``, counted from 0 and
        without the last; each is a run of its own.
    encoding : str, optional
        Of text files.

    Returns
    -------
    list of Trajectory
        With the same names and units; named after file, run and rows.

    Raises
    ------
    DataError
        If a file cannot be read or used; names the file and what is wrong with it.

    Warns
    -----
    DataWarning
        Of units nobody knows, columns and lines left out, and states that never change.

    Examples
    --------
    >>> from discover.observations.datasets import path_of_hare_lynx
    >>> read_runs(path_of_hare_lynx(), time="year")
    [<Trajectory 'lynx_hare.csv': 21 samples, t = 1900 to 1920; states hare, lynx>]
    """
    question = _question(time, dt, states, inputs, run, rows, encoding)
    runs = list(_read(_paths(paths), question, None))
    constant = set(constant_columns(runs[0].states))
    for other in runs[1:]:
        constant &= set(constant_columns(other.states)) if constant else set()
    for j in sorted(constant):
        _warn(
            f"{runs[0].name}: {runs[0].state_names[j]!r} never changes; it cannot be told from "
            "the constant term. Leave it out."
        )
    return runs


def read_chunks(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    time: str | None = None,
    dt: float | None = None,
    states: Sequence[str] | None = None,
    inputs: Sequence[str] = (),
    run: str | None = None,
    rows: str | Rows | None = None,
    encoding: str | None = None,
    rows_per_chunk: int = ROWS_PER_CHUNK,
) -> Iterator[Trajectory]:
    """Read runs piece by piece, in memory that does not grow with the file.

    Parameters
    ----------
    paths, time, dt, states, inputs, run, rows, encoding
        As for :func:`read_runs`.
    rows_per_chunk : int, default=262144
        About; text files are cut where their blocks of 8 MB end.

    Yields
    ------
    Trajectory
        Consecutive rows of one run, as :meth:`SINDy.fit_stream` takes them. Pieces of one run
        have one name, and times that go on.

    Raises
    ------
    DataError
        As for :func:`read_runs`, when the piece in question is reached.
    """
    question = _question(time, dt, states, inputs, run, rows, encoding)
    return _read(_paths(paths), question, rows_per_chunk)


def _paths(paths: Any) -> list[Path]:
    several = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not several:
        raise DataError("read_runs: paths must name at least one file; got none.")
    return [Path(path) for path in several]


def _question(
    time: str | None,
    dt: float | None,
    states: Sequence[str] | None,
    inputs: Sequence[str],
    run: str | None,
    rows: str | Rows | None,
    encoding: str | None,
) -> Question:
    if dt is not None and not (0 < dt < np.inf):
        raise DataError(f"read_runs: dt must be a positive number; got {dt!r}.")
    if dt is not None and time is not None:
        raise DataError("read_runs: give time (a column) or dt (an interval), not both.")
    ranges = parse_rows(rows) if isinstance(rows, str) else (rows or ((None, None),))
    return Question(time, dt, states, inputs, run, ranges, encoding)


def _read(paths: Sequence[Path], question: Question, size: int | None) -> Iterator[Trajectory]:
    first: _Choice | None = None
    for path in paths:
        source = open_source(path, question.encoding)
        for note in source.notes:
            _warn(f"{path}: {note}.")
        choice = _choose(source, question)
        if first is None:
            first = choice
            choice.warn_of_units()
        else:
            choice.compare(first)
        yield from _of_file(choice, first, question, size)


def _warn(text: str) -> None:
    warnings.warn(text, DataWarning, stacklevel=3)


# -- columns ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Choice:
    """The columns of one file that are used, by position."""

    source: Source
    clock: int | None
    states: list[int]
    inputs: list[int]
    run: int | None

    @property
    def columns(self) -> list[int]:
        extra = [j for j in (self.clock, self.run) if j is not None]
        return list(dict.fromkeys([*self.states, *self.inputs, *extra]))

    def headers(self, columns: Iterable[int]) -> list[Header]:
        return [self.source.headers[j] for j in columns]

    @property
    def measured(self) -> list[Header]:
        clock = [] if self.clock is None else [self.clock]
        return self.headers([*self.states, *self.inputs, *clock])

    def warn_of_units(self) -> None:
        for header in self.measured:
            if header.unit is not None:
                warn_unknown(str(self.source.path), header.title, header.unit)

    def compare(self, first: _Choice) -> None:
        """Refuse other columns or other units than those of the first file."""
        ours = [h.name for h in self.headers(self.states)]
        theirs = [h.name for h in first.headers(first.states)]
        path, before = self.source.path, first.source.path
        if sorted(ours) != sorted(theirs):
            what = f"its states are {', '.join(ours)}, and {', '.join(theirs)} in {before}"
            raise file_error(path, what, "Name those that all files have: --state.")
        self.states.sort(key=lambda j: theirs.index(self.source.headers[j].name))
        for mine, other in zip(self.measured, first.measured, strict=True):
            if mine.unit and other.unit and not same_unit(mine.unit, other.unit):
                what = f"{mine.title!r} is in {mine.unit!r}, and in {other.unit!r} in {before}"
                raise file_error(path, what, conversion(mine.unit, other.unit))


def _choose(source: Source, question: Question) -> _Choice:
    run = None if question.run is None else source.find(question.run, "run")
    clock = _clock(source, question)
    inputs = [source.find(name, "input") for name in question.inputs]
    used = {j for j in (run, clock, *inputs) if j is not None}
    if question.states is None:
        states = _every_other(source, used)
    else:
        states = [source.find(name, "state") for name in question.states]
    _refuse_repeats(source, clock, run, states, inputs)
    for j in [*states, *inputs]:
        _refuse_text(source, j)
    return _Choice(source, clock, states, inputs, run)


def _clock(source: Source, question: Question) -> int | None:
    if question.time is not None:
        return source.find(question.time, "time")
    if question.dt is not None:
        return None
    if source.clock is not None:
        return source.clock
    for j, header in enumerate(source.headers):
        if header.title in ("t", "T_s") or header.title.casefold() in _CLOCKS[1:]:
            return j
    titles = ", ".join(header.title for header in source.headers[:20])
    what = "nothing says which column is the time"
    raise file_error(
        source.path, what, f"Say --time COLUMN, or --rate or --dt. The columns are: {titles}."
    )


def _every_other(source: Source, used: set[int]) -> list[int]:
    states: list[int] = []
    words: list[int] = []
    for j, header in enumerate(source.headers):
        if j not in used:
            (states if header.is_number else words).append(j)
    if words:
        titles = ", ".join(shown(source.headers[j].title) for j in words[:10])
        _warn(f"{source.path}: left out, empty or not numbers: {titles}.")
    if not states:
        raise file_error(source.path, "no column of numbers is left for the states")
    return states


def _refuse_text(source: Source, j: int) -> None:
    header = source.headers[j]
    if not header.is_number:
        what = f"the column {shown(header.title)} does not hold numbers"
        raise file_error(source.path, f"{what}: it begins with {shown(header.example)}")
    if not header.name:
        what = f"the column {shown(header.title)} has no letter or digit in its name"
        raise file_error(source.path, what, "Rename it.")


def _refuse_repeats(
    source: Source, clock: int | None, run: int | None, states: list[int], inputs: list[int]
) -> None:
    every = [*states, *inputs, *(j for j in (clock, run) if j is not None)]
    for k, j in enumerate(every):
        if j in every[:k]:
            title = source.headers[j].title
            raise file_error(source.path, f"the column {shown(title)} is given two parts to play")
    names = [source.headers[j].name for j in [*states, *inputs]]
    for k, name in enumerate(names):
        if name in names[:k]:
            what = f"two columns are called {name!r}"
            raise file_error(source.path, what, "Rename one, or name the columns you want.")


# -- rows ------------------------------------------------------------------------------


def _of_file(
    choice: _Choice, first: _Choice, question: Question, size: int | None
) -> Iterator[Trajectory]:
    start = count = 0
    ranges = _ranges(question.rows, choice, size)
    for block in choice.source.blocks(choice.columns, size):
        length = len(block[choice.columns[0]])
        for rows, span in _stretches(block, choice, ranges, start, length):
            if len(rows) > 1:
                count += 1
                yield _run(block, rows, span, start, choice, first, question)
        start += length
    if not count:
        raise file_error(
            choice.source.path, f"there are no two rows to use among its {start}", _why(question)
        )


def _why(question: Question) -> str:
    if tuple(question.rows) != ((None, None),):
        return "Look at --rows; rows are counted from 0."
    return "" if question.run is None else "Every run has a single row: is --run the right column?"


def _ranges(rows: Rows, choice: _Choice, size: int | None) -> Rows:
    if size is not None and any((end or 0) < 0 for pair in rows for end in pair):
        what = "rows counted from the end need the whole file, and it is read piece by piece"
        raise file_error(choice.source.path, what, "Count them from the start.")
    return rows


def _stretches(
    block: Block, choice: _Choice, ranges: Rows, start: int, length: int
) -> Iterator[tuple[NDArray[np.intp], str]]:
    """Yield the rows of a block, by position in it, that belong to one run; and their range."""
    for begin, end in ranges:
        span = "".join(["" if begin is None else f"{begin}", ":", "" if end is None else f"{end}"])
        if start:  # a later block: bounds are positive
            rows = slice(max(0, (begin or 0) - start), None if end is None else max(0, end - start))
        else:
            rows = slice(begin, end)
        chosen = np.arange(length)[rows]
        if choice.run is None:
            yield chosen, span
            continue
        labels = block[choice.run][chosen]
        _, indices, inverse = np.unique(
            labels.astype(str) if labels.dtype == object else labels,
            return_index=True, return_inverse=True,
        )  # fmt: skip
        for code in np.argsort(indices):  # in order of appearance
            yield chosen[inverse == code], span


def _run(
    block: Block,
    rows: NDArray[np.intp],
    span: str,
    start: int,
    choice: _Choice,
    first: _Choice,
    question: Question,
) -> Trajectory:
    path = choice.source.path
    name = path.name
    if choice.run is not None:
        label = block[choice.run][rows[0]]
        name += (
            f", run {label:g}" if isinstance(label, float) else f", run {printable_label(label)}"
        )
    if span != ":":
        name += f", rows {span}"
    owner = f"{path.parent / name}" if str(path.parent) != "." else name
    split = "Name the column that tells them apart: --run."
    place = Place(owner, None, "the states", "the time", "the inputs", split)
    whole = slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] == len(rows) - 1 else rows
    times, unit = _times(block, whole, rows, start, choice, question, owner)
    states, inputs = first.headers(first.states), first.headers(first.inputs)
    run = Trajectory(
        _matrix(block, choice.states, whole),
        times,
        _matrix(block, choice.inputs, whole) if choice.inputs else None,
        state_names=tuple(header.name for header in states),
        control_names=tuple(header.name for header in inputs),
        state_units=tuple(header.unit for header in states),
        control_units=tuple(header.unit for header in inputs),
        time_unit=unit,
        name=name,
        place=place,
    )
    refuse_unobserved(run.states, run.state_names, place, place.data)
    if run.controls is not None:
        refuse_unobserved(run.controls, run.control_names, place, place.inputs)
    return run


def printable_label(label: object) -> str:
    """Return a run's label without characters that do not print."""
    return "".join(c for c in str(label) if c.isprintable())[:60]


def _matrix(block: Block, columns: Sequence[int], rows: Any) -> FloatArray:
    out = np.empty((len(block[columns[0]][rows]), len(columns)))
    for k, j in enumerate(columns):
        out[:, k] = block[j][rows]
    return out


def _times(
    block: Block, whole: Any, rows: NDArray[np.intp], start: int, choice: _Choice,
    question: Question, owner: str,
) -> tuple[FloatArray, str | None]:  # fmt: skip
    if choice.clock is None:
        assert question.dt is not None
        return np.asarray((start + rows) * question.dt, dtype=np.float64), None
    header = choice.source.headers[choice.clock]
    raw = block[choice.clock][whole]
    if raw.dtype == object:
        raw = _dates(raw, header, owner)
    if raw.dtype.kind in "Mm" and np.isnat(raw).any():
        row = int(np.isnat(raw).argmax())
        raise DataError(f"{owner}: the time must be known in every row; row {row} has none.")
    return raw, header.unit if raw.dtype.kind == "f" else "s"


def _dates(raw: NDArray[Any], header: Header, owner: str) -> NDArray[Any]:
    """Read dates or durations written as text."""
    import pandas as pd

    words = pd.Series(raw).astype(str)
    values: Any = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the order of day and month is guessed is said below
        try:
            values = pd.to_timedelta(words, errors="coerce")
            are_dates = bool(values.isna().mean() > 0.5)
            if are_dates:
                values = pd.to_datetime(words, errors="coerce", utc=True, format="ISO8601")
            if values.isna().mean() > 0.5:  # not year-month-day
                values = pd.to_datetime(words, errors="coerce", utc=True)
        except (ValueError, TypeError, OverflowError) as error:
            what = f"{owner}: the time, column {shown(header.title)}, cannot be read"
            raise DataError(f"{what}: {describe(error)}.") from None
    bad = np.flatnonzero(values.isna().to_numpy())
    if len(bad):
        what = f"{owner}: the time, column {shown(header.title)}, must hold numbers or dates"
        raise DataError(f"{what}; row {bad[0]}: {shown(raw[bad[0]])}.")
    if are_dates:
        _warn_order(words.iloc[0], owner)
        values = values.dt.tz_localize(None)
    return np.asarray(values.to_numpy())


def _warn_order(word: str, owner: str) -> None:
    found = re.match(r"\s*(\d{1,2})[/.-](\d{1,2})[/.-]\d{2,4}", word)
    if found and int(found[1]) <= 12 and int(found[2]) <= 12:
        _warn(f"{owner}: {word!r} was read as month, day, year. Write dates as year-month-day.")
