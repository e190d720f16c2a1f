"""Source: a file that knows its columns before it reads them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from numpy.typing import NDArray

from discover.exceptions import DataError
from discover.observations.naming import identifier
from discover.observations.readers.files import file_error, shown
from discover.observations.readers.units import split_header

__all__ = ["Block", "Header", "Source"]

Block: TypeAlias = "dict[int, NDArray[Any]]"
ROWS_PER_BLOCK = 1 << 17


class Header:
    """What a column is called.

    Parameters
    ----------
    label : str
        As it stands in the file.
    is_number : bool
        Whether the column holds numbers, as far as could be seen.
    unit : str, optional
        Where the file keeps it apart from the label.

    Attributes
    ----------
    title : str
        The label without the unit.
    name : str
        The title as an identifier; empty if nothing of it can stand in one.
    example : str
        An entry, where the column is text.
    """

    def __init__(self, label: str, is_number: bool = True, unit: str | None = None) -> None:
        self.label, self.is_number = label, is_number
        self.title, found = split_header(label)
        self.unit = unit or found
        self.name = identifier(self.title)
        self.example = ""

    def answers_to(self, wanted: str) -> bool:
        """Whether the user may mean this column: label, label without unit, or name."""
        return wanted in (self.label, self.label.strip(), self.title, self.name)


class Source(ABC):
    """A table in a file.

    Attributes
    ----------
    path : Path
    headers : list of Header
    clock : int or None
        The column that the file itself declares to be the time.
    notes : list of str
        What was skipped on opening, and why.
    """

    path: Path
    headers: list[Header]
    clock: int | None = None
    notes: list[str]

    @abstractmethod
    def blocks(self, columns: Sequence[int], rows_per_block: int | None) -> Iterator[Block]:
        """Yield the columns, by position, as arrays; all rows together for None.

        Numbers are float64, with NaN where nothing is; dates and durations are
        datetime64 and timedelta64; other text is an array of objects.
        """

    def find(self, wanted: str, what: str) -> int:
        """Return the position of the column a user named.

        Raises
        ------
        DataError
            If there is none, or there are several; names the nearest.
        """
        found = [j for j, header in enumerate(self.headers) if header.answers_to(wanted)]
        if not found and wanted.isdigit() and int(wanted) < len(self.headers):
            found = [int(wanted)]
        if len(found) == 1:
            return found[0]
        if found:
            advice = f"Number it instead: {', '.join(map(str, found))} (counted from 0)."
            must = f"{what} names {shown(wanted)}, and {len(found)} columns are called so"
            raise file_error(self.path, must, advice)
        raise self._missing(wanted, what)

    def _missing(self, wanted: str, what: str) -> DataError:
        import difflib

        titles = [header.title or f"{j}" for j, header in enumerate(self.headers)]
        folded = {title.casefold(): title for title in titles}
        close = difflib.get_close_matches(wanted.casefold(), folded, n=1)
        hint = f"Did you mean {folded[close[0]]!r}? " if close else ""
        listed = ", ".join(titles[:20]) + (", ..." if len(titles) > 20 else "")
        what_is_wrong = f"{what} names {shown(wanted)}, and there is no such column"
        return file_error(self.path, what_is_wrong, f"{hint}The columns are: {listed}.")
