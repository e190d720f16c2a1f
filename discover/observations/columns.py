"""Take known columns from a table again, when a law is used on new data."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from discover.exceptions import DataError
from discover.observations.naming import read_columns
from discover.observations.place import Place
from discover.typing import FloatArray

__all__ = ["find_columns", "read_names", "take_columns"]


def take_columns(table: Any, names: Sequence[str], owner: str) -> FloatArray:
    """Return columns of a pandas table by name, in this order.

    Parameters
    ----------
    table : pandas.DataFrame
        Its labels are read as :func:`as_trajectories` reads them.
    names : sequence of str
    owner : str
        Who asks; begins the message.

    Returns
    -------
    ndarray of shape (n_rows, n_names)
        A table of as many columns as names, none of which is known, is taken as it is.

    Raises
    ------
    DataError
        If some names are there and others are not.
    """
    labels = read_names(table.columns, owner)
    missing = [name for name in names if name not in labels]
    if len(missing) == len(names) == len(labels):
        return np.asarray(table, dtype=np.float64)
    if missing:
        raise DataError(f"{owner}: X must have the columns {list(names)}; missing {missing}.")
    order = [labels.index(name) for name in names]
    return np.asarray(table.iloc[:, order], dtype=np.float64)


def read_names(labels: Iterable[Hashable], owner: str) -> list[str]:
    """Return the names under which columns with these labels are known."""
    return [column.name for column in read_columns(labels, Place(owner, None, "X", "t", "u"), "x")]


def find_columns(
    labels: Iterable[Hashable], wanted: Iterable[object], clock: object, owner: str
) -> list[int]:
    """Return the positions of columns given by label, header, name or position.

    Parameters
    ----------
    labels : iterable of hashable
    wanted : iterable of (str or int)
    clock : str or None
        The column that holds the time, which is not counted.
    owner : str
    """
    columns = read_columns(labels, Place(owner, None, "X", "t", "u"), "x")
    if isinstance(clock, str):
        columns = tuple(column for column in columns if not column.answers_to(clock))
    found = []
    for item in wanted:
        places = [i for i, column in enumerate(columns) if column.answers_to(item)]
        found.append(places[0] if places else int(str(item)))
    return found
