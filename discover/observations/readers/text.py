"""Tables of text: CSV and its kin, by pyarrow where it can, patiently where it cannot."""

from __future__ import annotations

import csv
import os
import warnings
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discover.exceptions import DataError
from discover.observations.readers.files import describe, file_error, shown
from discover.observations.readers.layout import MISSING, number_of, sniff
from discover.observations.readers.source import Block, Source

__all__ = ["TextSource"]

_BYTES_PER_BLOCK = 1 << 23


class TextSource(Source):
    """A text file with one row per line.

    Parameters
    ----------
    path : Path
    encoding : str, optional
        By default told from the bytes.
    """

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        self.path, self.layout = path, sniff(path, encoding)
        self.headers = list(self.layout.headers)
        self.notes = list(self.layout.notes)

    def blocks(self, columns: Sequence[int], rows_per_block: int | None) -> Iterator[Block]:
        """Yield columns as arrays; see :class:`Source`.

        A file that the quick reader refuses is read again from where it stopped by the
        patient one, which takes more kinds of numbers and says exactly what is wrong.
        """
        import pyarrow as pa

        done = 0
        try:
            for block in self._quickly(columns, rows_per_block):
                done += len(block[columns[0]])
                yield block
            return
        except (pa.ArrowInvalid, ValueError) as error:
            if isinstance(error, DataError):
                raise
        except OSError as error:
            raise file_error(self.path, f"it cannot be read: {describe(error)}") from None
        yield from self._patiently(columns, rows_per_block, done)

    # -- quickly -----------------------------------------------------------------------

    def _quickly(self, columns: Sequence[int], rows_per_block: int | None) -> Iterator[Block]:
        layout = self.layout
        if layout.delimiter is not None and layout.comment is None:
            return self._by_pyarrow(columns, rows_per_block is None)
        if layout.decimal == "." and all(header.is_number for header in self.headers):
            return self._by_numpy(columns, rows_per_block)
        return self._patiently(columns, rows_per_block, 0)

    def _by_pyarrow(self, columns: Sequence[int], at_once: bool) -> Iterator[Block]:
        import pyarrow as pa
        from pyarrow import csv as arrow

        layout, names = self.layout, [f"c{j}" for j in range(self.layout.width)]
        if max(columns) >= layout.width:
            raise ValueError("a column beyond the width of most rows: the patient reader knows")
        types = {
            names[j]: pa.float64() if self.headers[j].is_number else pa.string() for j in columns
        }
        options: dict[str, Any] = {
            "read_options": arrow.ReadOptions(
                column_names=names, skip_rows=layout.skip, encoding=layout.encoding,
                block_size=_BYTES_PER_BLOCK,
            ),
            "parse_options": arrow.ParseOptions(delimiter=layout.delimiter),
            "convert_options": arrow.ConvertOptions(
                column_types=types, include_columns=list(types), null_values=list(MISSING),
                decimal_point=layout.decimal, strings_can_be_null=False,
            ),
        }  # fmt: skip
        with pa.OSFile(os.fspath(self.path), "rb") as file:
            if at_once:
                yield _arrays(arrow.read_csv(file, **options), columns)
                return
            with arrow.open_csv(file, **options) as reader:
                for batch in reader:
                    if batch.num_rows:
                        yield _arrays(batch, columns)

    def _by_numpy(self, columns: Sequence[int], rows_per_block: int | None) -> Iterator[Block]:
        """Read columns between white space; every row must have all of them."""
        layout = self.layout
        with open(self.path, encoding=layout.encoding) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an empty block at the end
            for _ in range(layout.skip):
                file.readline()
            while True:
                rows = np.loadtxt(
                    file, comments=layout.comment, delimiter=layout.delimiter, ndmin=2,
                    max_rows=rows_per_block,
                )  # fmt: skip
                if len(rows) and rows.shape[1] != layout.width:
                    raise ValueError("another number of columns: the patient reader knows where")
                if len(rows):
                    yield {j: np.ascontiguousarray(rows[:, j]) for j in columns}
                if rows_per_block is None or len(rows) < rows_per_block:
                    return

    # -- patiently ---------------------------------------------------------------------

    def _patiently(
        self, columns: Sequence[int], rows_per_block: int | None, done: int
    ) -> Iterator[Block]:
        """Read line by line, from row `done` on.

        Raises
        ------
        DataError
            At the first row of another length, and the first entry that is no number;
            names the line.
        """
        most = rows_per_block or np.iinfo(np.int64).max
        columns_read = _Columns(self, columns)
        for index, (line, row) in enumerate(self._rows()):
            if len(row) != self.layout.width:
                raise self._ragged(line, row)
            if index < done:
                continue
            columns_read.append(line, row)
            if columns_read.count == most:
                yield columns_read.take()
        if columns_read.count or not done:
            yield columns_read.take()

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield line numbers, counted from 1, and fields."""
        layout = self.layout
        comment = layout.comment or "#"
        try:
            with open(self.path, encoding=layout.encoding, newline="") as file:
                for _ in range(layout.skip):
                    file.readline()
                if layout.delimiter is None:
                    for number, line in enumerate(file, layout.skip + 1):
                        if line.strip() and not line.lstrip().startswith(comment):
                            yield number, line.split()
                    return
                reader = csv.reader(file, delimiter=layout.delimiter)
                for row in reader:
                    if (len(row) > 1 or "".join(row).strip()) and not row[0].lstrip().startswith(
                        comment
                    ):
                        yield layout.skip + reader.line_num, row
        except UnicodeError as error:
            what = f"this is not {layout.encoding} text throughout: {describe(error)}"
            raise file_error(self.path, what, "Say --encoding if it is another.") from None
        except csv.Error as error:
            raise file_error(self.path, f"it cannot be read as CSV: {describe(error)}") from None
        except OSError as error:
            raise file_error(self.path, f"it cannot be read: {describe(error)}") from None

    def _ragged(self, line: int, row: Sequence[str]) -> DataError:
        fields = "1 field" if len(row) == 1 else f"{len(row)} fields"
        what = f"line {line} has {fields} where most rows have {self.layout.width}"
        return file_error(self.path, f"{what}: it begins with {shown(row[0] if row else '')}")


class _Columns:
    """Columns that grow row by row."""

    def __init__(self, source: TextSource, columns: Sequence[int]) -> None:
        self.source, self.decimal = source, source.layout.decimal
        self.numbers = {j: array("d") for j in columns if source.headers[j].is_number}
        self.words: dict[int, list[str]] = {
            j: [] for j in columns if not source.headers[j].is_number
        }
        self.count = 0

    def append(self, line: int, row: Sequence[str]) -> None:
        for j, numbers in self.numbers.items():
            value = number_of(row[j], self.decimal)
            if value is None:
                raise self._not_a_number(line, j, row[j])
            numbers.append(value)
        for j, words in self.words.items():
            words.append(row[j])
        self.count += 1

    def _not_a_number(self, line: int, j: int, cell: str) -> DataError:
        what = f"line {line}, column {shown(self.source.headers[j].title)}: {shown(cell)}"
        advice = "Correct it, or leave the cell empty where nothing was measured."
        return file_error(self.source.path, f"{what} is not a number", advice)

    def take(self) -> Block:
        """Return what there is, and start anew."""
        block: Block = {j: np.array(numbers) for j, numbers in self.numbers.items()}
        block.update({j: np.array(words, dtype=object) for j, words in self.words.items()})
        self.__init__(self.source, [*self.numbers, *self.words])  # type: ignore[misc]
        return block


def _arrays(table: Any, columns: Sequence[int]) -> Block:
    return {j: _array(table.column(f"c{j}")) for j in columns}


def _array(column: Any) -> np.ndarray[Any, Any]:
    values = np.asarray(
        column.to_numpy(zero_copy_only=False) if hasattr(column, "offset") else column.to_numpy()
    )
    return values if values.dtype != object else values.astype(object)
