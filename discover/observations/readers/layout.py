"""How a text file is laid out: encoding, delimiter, decimal mark, header; from its beginning."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from discover.observations.readers.files import describe, file_error, shown
from discover.observations.readers.source import Header

__all__ = ["MISSING", "Layout", "is_missing", "number_of", "sniff", "split_line"]

_SAMPLE = 1 << 18  # bytes looked at
_MOST_LINES = 400
_MOST_COLUMNS = 20_000
_MOST_PREAMBLE = 100  # lines of remarks before a table
_DELIMITERS = (";", "\t", "|", ",", None)  # None: any white space
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
MISSING = (
    "", "NA", "N/A", "n/a", "na", "NaN", "nan", "NAN", "-nan", "-NaN", "NULL", "null", "None",
    "none", "#N/A", "#NA", "NaT", "-", "--", "?",
)  # fmt: skip
_MISSING = frozenset(word.casefold() for word in MISSING)
_NUMBER = re.compile(
    r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?|inf|infinity)", re.ASCII | re.IGNORECASE
)
_TYPED = str.maketrans(
    {"\u2212": "-", "\u2013": "-", "\uff0b": "+", "\u00a0": "", "\u2009": "", "\u202f": ""}
)


@dataclass(frozen=True)
class Layout:
    """What must be known to read a table of text.

    Parameters
    ----------
    encoding : str
    delimiter : str or None
        None for any stretch of white space.
    decimal : str
    comment : str or None
        How lines of remarks begin, if there are some between the rows.
    skip : int
        Lines before the first row of data.
    width : int
        Fields in a row.
    headers : tuple of Header
        At most `width`: fields at the end that are always empty are left out.
    notes : tuple of str
    """

    encoding: str
    delimiter: str | None
    decimal: str
    comment: str | None
    skip: int
    width: int
    headers: tuple[Header, ...]
    notes: tuple[str, ...]


def is_missing(cell: str) -> bool:
    """Whether a cell says that nothing was observed."""
    return cell.strip().casefold() in _MISSING


def number_of(cell: str, decimal: str = ".") -> float | None:
    """Return the number in a cell, NaN if it is missing, None if it is neither.

    Takes what instruments and typesetters write besides Python's own: signs that are not
    ASCII, and Fortran's ``1.5D+03``.
    """
    text = cell.strip()
    if decimal != ".":
        if "." in text:
            return None
        text = text.replace(decimal, ".")
    if not _NUMBER.fullmatch(text):
        if is_missing(text):
            return float("nan")
        text = text.translate(_TYPED)
        if not _NUMBER.fullmatch(text):
            return None
    return float(text.replace("d", "e").replace("D", "e") if text[-1:].isdigit() else text)


def split_line(line: str, delimiter: str | None) -> list[str]:
    """Return the fields of one line."""
    if delimiter is None:
        return line.split()
    return next(csv.reader([line], delimiter=delimiter), [])


def sniff(path: Path, encoding: str | None = None) -> Layout:
    """Find out how a text file is laid out.

    Parameters
    ----------
    path : Path
    encoding : str, optional
        By default told from the bytes: UTF-8, UTF-16 with its mark, else Windows-1252.

    Raises
    ------
    DataError
        If it is not text, or holds no table of numbers.
    """
    text, encoding, notes = _beginning(path, encoding)
    lines = re.split(r"\r\n|\n|\r", text)
    mark = next((line.lstrip()[0] for line in lines if line.strip()), "")
    comment = mark if mark in ("#", "%") else "#"
    used = [
        i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith(comment)
    ]
    if not used:
        raise file_error(path, "the file holds no rows, only blank lines or remarks")
    used = used[:_MOST_LINES]
    try:
        delimiter, decimal, width = _separators([lines[i] for i in used])
        rows = {i: split_line(lines[i], delimiter) for i in used}
    except csv.Error as error:
        raise file_error(path, f"it cannot be read as CSV: {describe(error)}") from None
    if width > _MOST_COLUMNS:
        raise file_error(path, f"it has {width} columns, more than {_MOST_COLUMNS}")
    before = _preamble(used, rows, width)
    if before:
        notes.append(
            f"{len(before)} line(s) before the table were skipped: {shown(lines[before[0]])}"
        )
    used = used[len(before) :]
    labels, n_header = _labels([rows[i] for i in used], width, decimal)
    first = used[n_header] if n_header < len(used) else len(lines)
    if labels is None:
        labels = _commented_labels(lines[: used[0]], comment, delimiter, width)
    body = [rows[i] for i in used[n_header:]]
    if not body:
        raise file_error(path, "the file has a header and no rows")
    remarks = any(lines[i].lstrip().startswith(comment) for i in range(first, used[-1]))
    headers = _headers(labels, body, width, decimal)
    if len(headers) > width:
        what = f"the header has {len(headers)} names and most rows have {width} fields"
        raise file_error(path, what, f"The header begins with {shown(headers[0].label)}.")
    if not any(header.is_number for header in headers):
        example = next((cell for row in body for cell in row if cell.strip()), "")
        what = "no column holds numbers"
        raise file_error(path, f"{what}; the first row begins with {shown(example)}")
    return Layout(
        encoding,
        delimiter,
        decimal,
        comment if remarks else None,
        first,
        width,
        headers,
        tuple(notes),
    )


# -- text ------------------------------------------------------------------------------


def _beginning(path: Path, encoding: str | None) -> tuple[str, str, list[str]]:
    """Return the first lines, how they are encoded, and what was guessed about that."""
    with open(path, "rb") as file:
        raw = file.read(_SAMPLE)
    notes: list[str] = []
    if encoding is None:
        encoding = next((name for mark, name in _BOMS if raw.startswith(mark)), None)
    if encoding is None:
        if b"\0" in raw:
            what = f"this is not text: byte {raw.index(0)} is zero"
            raise file_error(path, what, "Is it a binary format with a wrong name?")
        encoding = "utf-8"
        if not _decodes(raw, encoding):
            encoding = "cp1252"
            notes.append("not UTF-8, so read as Windows-1252; say --encoding if that is wrong")
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(raw, final=len(raw) < _SAMPLE)
    except LookupError:
        raise file_error(path, f"there is no encoding called {shown(encoding)}") from None
    except (UnicodeError, ValueError) as error:
        raise file_error(path, f"this is not {encoding} text: {describe(error)}") from None
    strange = sum(c < " " and c not in "\t\n\r\f\v\x1a" for c in text) + text.count("\ufffd")
    if strange > len(text) // 200:
        raise file_error(
            path, f"this is not text: {strange} of {len(text)} characters cannot be printed"
        )
    if len(raw) == _SAMPLE and "\n" in text:
        text = text[: text.rindex("\n")]
    return text, encoding, notes


def _decodes(raw: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(raw, final=len(raw) < _SAMPLE)
    except UnicodeDecodeError:
        return False
    return True


# -- fields ----------------------------------------------------------------------------


def _separators(lines: Sequence[str]) -> tuple[str | None, str, int]:
    """Return delimiter, decimal mark and number of fields that suit most lines best."""
    best, chosen = -1.0, (",", ".", 1)
    for delimiter in _DELIMITERS:
        rows = [split_line(line, delimiter) for line in lines]
        late = rows[len(rows) // 2 :] if len(rows) > 20 else rows  # past a preamble
        width = Counter(map(len, late)).most_common(1)[0][0]
        if width == 1 and delimiter != ",":
            continue
        fitting = [row for row in rows if len(row) == width]
        for decimal in (".", ",") if delimiter != "," else (".",):
            score = len(fitting) / len(rows) * _numeric_share(fitting[-50:], decimal)
            score -= 0.5 if width == 1 else 0.0
            if score > best + 1e-9:
                best, chosen = score, (delimiter, decimal, width)  # type: ignore[assignment]
    return chosen


def _numeric_share(rows: Sequence[Sequence[str]], decimal: str) -> float:
    cells = [cell for row in rows for cell in row[:200]]
    good = sum(number_of(cell, decimal) is not None for cell in cells)
    return (0.1 + good) / (0.1 + len(cells))


def _preamble(used: Sequence[int], rows: dict[int, list[str]], width: int) -> list[int]:
    """Return the lines of remarks before the table: those with fewer fields than its rows."""
    before: list[int] = []
    for i in used[:_MOST_PREAMBLE]:
        if len(rows[i]) >= width - 1:  # one less: the last column may have no header
            return before
        before.append(i)
    return []


# -- headers ---------------------------------------------------------------------------


def _is_word(cell: str, decimal: str) -> bool:
    return bool(cell.strip()) and number_of(cell, decimal) is None


def _labels(
    rows: Sequence[Sequence[str]], width: int, decimal: str
) -> tuple[list[str] | None, int]:
    """Return the labels, and how many rows they take: 0, 1, or 2 with a row of units."""
    first, rest = rows[0], rows[1:21]
    if not any(_is_word(cell, decimal) for cell in first):
        return None, 0
    below = [_cells(rest, j) for j in range(width)]
    words_above_numbers = [
        j
        for j, cell in enumerate(first[:width])
        if _is_word(cell, decimal) and any(_is_value(c, decimal) for c in below[j])
    ]
    has_numbers = any(_is_value(cell, decimal) for cell in first)
    if has_numbers and not words_above_numbers:
        return None, 0
    labels = [cell.strip().strip("\ufeff") for cell in first]
    if (
        len(rows) > 2
        and _are_units(rows[1], decimal)
        and any(_is_value(c, decimal) for c in rows[2])
    ):
        units = [cell.strip().strip("()[]").strip() for cell in rows[1]]
        pairs = zip(labels, [*units, *[""] * width], strict=False)
        return [
            f"{label} [{unit}]" if unit and "[" not in label else label for label, unit in pairs
        ], 2
    return labels, 1


def _cells(rows: Sequence[Sequence[str]], j: int) -> list[str]:
    return [row[j] for row in rows if j < len(row)]


def _is_value(cell: str, decimal: str) -> bool:
    return not is_missing(cell) and number_of(cell, decimal) is not None


def _are_units(row: Sequence[str], decimal: str) -> bool:
    from discover.observations.readers.units import is_unit

    cells = [cell.strip().strip("()[]").strip() for cell in row]
    if any(_is_value(cell, decimal) for cell in row) or not any(cells):
        return False
    return all(is_unit(cell) for cell in cells)


def _commented_labels(
    lines: Sequence[str], comment: str, delimiter: str | None, width: int
) -> list[str] | None:
    """Return labels that stand in the last remark before the rows, as NumPy writes them."""
    remarks = [line.strip().lstrip(comment).strip() for line in lines if line.strip()]
    for separator in (delimiter, ",", None):
        cells = [cell.strip() for cell in split_line(remarks[-1], separator)] if remarks else []
        if len(cells) == width and all(_is_word(cell, ".") for cell in cells):
            return cells
    return None


def _headers(
    labels: Sequence[str] | None, body: Sequence[Sequence[str]], width: int, decimal: str
) -> tuple[Header, ...]:
    count = max(width, len(labels or ()))
    names = [*(labels or ()), *[""] * count][:count]
    columns = [_cells(body, j) for j in range(count)]
    while count > 1 and not names[count - 1] and not any(map(str.strip, columns[count - 1])):
        count -= 1
    return tuple(_header(names[j], columns[j], j, decimal) for j in range(count))


def _header(label: str, cells: Sequence[str], j: int, decimal: str) -> Header:
    """Describe a column; it holds numbers if most of what is in it are some."""
    there = [cell for cell in cells if not is_missing(cell)]
    good = sum(number_of(cell, decimal) is not None for cell in there)
    header = Header(label or f"x{j}", is_number=2 * good >= max(1, len(there)))
    header.example = there[0] if there else ""
    return header
