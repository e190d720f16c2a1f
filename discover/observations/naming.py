"""Column headers become names that can stand in an expression, and units."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from discover.observations.place import Place

__all__ = [
    "Column",
    "Columns",
    "read_columns",
    "refuse_repeats",
    "split_unit",
    "velocity_name",
]

_HEADER_WITH_UNIT = re.compile(r"(?P<name>.*\S)\s*\[(?P<unit>[^\[\]]*)\]", re.DOTALL)
TIME = "t"  # what expressions call time, so no column may
_VELOCITY = "_dot"


@dataclass(frozen=True)
class Column:
    """A column of the user's table: its name in expressions, its unit, and its own label."""

    name: str
    unit: str | None
    label: Hashable

    def answers_to(self, wanted: object) -> bool:
        """Whether the user may mean this column by `wanted`: label, header or name."""
        if not isinstance(wanted, str):
            return self.is_counted and wanted == self.label
        return wanted in (self.label, split_unit(str(self.label))[0], self.name)

    @property
    def is_counted(self) -> bool:
        """Whether the label is an integer."""
        return _is_integer(self.label)


Columns: TypeAlias = tuple[Column, ...]


def _is_integer(label: object) -> bool:
    return isinstance(label, int | np.integer) and not isinstance(label, bool)


def split_unit(header: str) -> tuple[str, str | None]:
    """Split ``"h1 [cm]"`` into ``("h1", "cm")``; the unit is None when none is given."""
    found = _HEADER_WITH_UNIT.fullmatch(header.strip())
    if found is None:
        return header.strip(), None
    return found["name"].strip(), found["unit"].strip() or None


def velocity_name(name: str) -> str:
    """Return what expressions call the time derivative of a coordinate: ``y_dot``."""
    return name + _VELOCITY


def identifier(text: str) -> str:
    """Return the nearest Python identifier: ``"heart rate"`` becomes ``"heart_rate"``.

    A leading digit gets a leading underscore; keywords and ``t`` (time) get a trailing
    one. Empty when nothing of `text` can stand in a name.
    """
    name = unicodedata.normalize("NFKC", text)  # as Python itself reads identifiers
    if not name.isidentifier():
        name = re.sub(r"\W+", "_", name).strip("_")
    if name[:1].isdigit():
        name = f"_{name}"
    if keyword.iskeyword(name) or name == TIME:
        name = f"{name}_"
    return name if name.isidentifier() else ""


def read_columns(
    labels: Iterable[Hashable],
    place: Place,
    prefix: str,
    units: Sequence[str | None] | None = None,
) -> Columns:
    """Name the columns of a table after their labels; integer label 2 becomes ``x2``.

    Parameters
    ----------
    labels : iterable of hashable
    place : Place
    prefix : str
        Letter put before integer labels.
    units : sequence of str or None, optional
        Units known from elsewhere; they win over units in the headers.

    Raises
    ------
    DataError
        If a label has no letters or digits, or two labels become the same name.
    """
    columns = []
    for position, label in enumerate(labels):
        header, unit = split_unit(str(label))
        name = identifier(f"{prefix}{label}" if _is_integer(label) else header)
        if not name:
            must = "column names must hold a letter or a digit"
            raise place.error(must, f"{label!r}", advice="Rename the column.")
        columns.append(Column(name, (units[position] if units else None) or unit, label))
    refuse_repeats(columns, place)
    return tuple(columns)


def refuse_repeats(columns: Iterable[Column], place: Place) -> None:
    """Raise DataError if two columns have the same name."""
    first: dict[str, Column] = {}
    for column in columns:
        other = first.setdefault(column.name, column)
        if other is not column:
            found = f"{other.label!r} and {column.label!r} both become {column.name!r}"
            raise place.error("column names must differ", found, advice="Rename one of them.")
