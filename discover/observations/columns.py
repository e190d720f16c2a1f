"""Take known columns from a table again, when a law is used on new data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from discover.exceptions import DataError
from discover.observations.naming import read_columns
from discover.observations.place import Place
from discover.typing import FloatArray

__all__ = ["take_columns"]


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
    place = Place(owner, None, "X", "t", "u")
    labels = [column.name for column in read_columns(table.columns, place, "x")]
    missing = [name for name in names if name not in labels]
    if len(missing) == len(names) == len(labels):
        return np.asarray(table, dtype=np.float64)
    if missing:
        raise DataError(f"{owner}: X must have the columns {list(names)}; missing {missing}.")
    order = [labels.index(name) for name in names]
    return np.asarray(table.iloc[:, order], dtype=np.float64)
