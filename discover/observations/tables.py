"""One run as it came (array, pandas, xarray) becomes a Table: numbers, columns, a clock.

pandas and xarray are recognised by their attributes, never imported.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from discover.observations.casting import as_matrix
from discover.observations.naming import Columns, read_columns, split_unit
from discover.observations.place import Place
from discover.typing import FloatArray

__all__ = ["Clock", "Table", "clock_of", "is_labelled", "open_table"]


@dataclass(frozen=True)
class Clock:
    """Times as they came: raw values, header, unit and labels of the rows where known."""

    raw: Any
    label: Hashable = None
    unit: str | None = None
    index: Any = None

    @property
    def known_unit(self) -> str | None:
        """The unit, from the attributes or from a header such as ``time [s]``."""
        return self.unit or (None if self.label is None else split_unit(str(self.label))[1])


@dataclass(frozen=True)
class Table:
    """One run of numbers before names and times are settled.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_columns)
    columns : tuple of Column, or None
        None when the data came without names.
    clock : Clock, optional
        The index, coordinate or column that may serve as time.
    index : object, optional
        Labels of the rows, to compare with those of other tables.
    """

    values: FloatArray
    columns: Columns | None = None
    clock: Clock | None = None
    index: Any = None

    def take(self, positions: Sequence[int]) -> Table:
        """Return the columns at `positions`, in that order; all in order copies nothing."""
        if list(positions) == list(range(self.values.shape[1])):
            return self
        columns = None if self.columns is None else tuple(self.columns[j] for j in positions)
        values = np.ascontiguousarray(self.values[:, list(positions)])
        return replace(self, values=values, columns=columns)


def is_labelled(data: Any) -> bool:
    """Whether `data` is a table with its own labels: pandas or xarray."""
    return _is_pandas(data) or _is_xarray(data)


def _is_pandas(data: Any) -> bool:
    return hasattr(data, "iloc") and hasattr(data, "index")


def _is_xarray(data: Any) -> bool:
    return hasattr(data, "dims") and hasattr(data, "coords")


def open_table(
    data: Any, place: Place, what: str, prefix: str, time_label: str | None = None
) -> Table:
    """Read one run.

    Parameters
    ----------
    data : array_like, pandas DataFrame or Series, xarray DataArray or Dataset
    place : Place
    what : str
        The parameter, for messages.
    prefix : str
        Letter put before integer column labels.
    time_label : str, optional
        The column or coordinate that holds the time.

    Raises
    ------
    DataError
        If `time_label` is not there or the entries are not real numbers.
    """
    if _is_pandas(data):
        frame = data if hasattr(data, "columns") else data.to_frame(_series_label(data))
        return _open_frame(frame, place, what, prefix, time_label)
    if _is_xarray(data) and hasattr(data, "data_vars"):
        return _open_dataset(data, place, what, prefix, time_label)
    if _is_xarray(data):
        return _open_labelled_array(data, place, what, prefix, time_label)
    if time_label is not None:
        found = f"got t={time_label!r} with {what} of type {type(data).__name__}"
        advice = "Pass the sample times or the sampling interval."
        must = f"{place.clock} may be a name only when {what} is a labelled table"
        raise place.error(must, found, advice=advice)
    return Table(as_matrix(data, place, what))


def clock_of(times: Any) -> Clock:
    """Return times the user passed, with the name and unit they may carry."""
    attributes = getattr(times, "attrs", {})
    index = times.index if _is_pandas(times) else None
    return Clock(times, getattr(times, "name", None), attributes.get("units"), index)


def _series_label(series: Any) -> Hashable:
    return 0 if series.name is None else series.name


def _open_frame(frame: Any, place: Place, what: str, prefix: str, time_label: str | None) -> Table:
    several_levels = getattr(frame.index, "nlevels", 1) > 1
    clock = None if several_levels else Clock(frame.index, frame.index.name)
    labels = list(frame.columns)
    if time_label is not None:
        position = _position(time_label, labels, place)
        clock = Clock(frame.iloc[:, position], labels.pop(position))
        frame = frame.iloc[:, [j for j in range(frame.shape[1]) if j != position]]
    _refuse_no_columns(labels, place, what)
    columns = None if _is_count(labels) else read_columns(labels, place, prefix)
    return Table(_frame_values(frame, labels, place, what), columns, clock, frame.index)


def _frame_values(frame: Any, labels: Sequence[Hashable], place: Place, what: str) -> FloatArray:
    kinds = [getattr(dtype, "kind", "O") for dtype in frame.dtypes]
    if all(isinstance(dtype, np.dtype) for dtype in frame.dtypes) and set(kinds) <= set("fiub"):
        return as_matrix(frame.to_numpy(dtype=np.float64), place, what)
    values = np.empty(frame.shape, dtype=np.float64)
    for j, kind in enumerate(kinds):
        series = frame.iloc[:, j]
        if kind in "fiub":  # pandas' own numbers, which know NA
            values[:, j] = series.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            values[:, j] = as_matrix(series, place, what, [labels[j]])[:, 0]
    return values


def _open_dataset(data: Any, place: Place, what: str, prefix: str, time_label: str | None) -> Table:
    labels = list(data.data_vars)
    clock = None
    if time_label in labels or time_label in data.coords:
        clock = _coordinate(data, time_label)
        labels = [label for label in labels if label != time_label]
    _refuse_no_columns(labels, place, what)
    dims = {dim for label in labels for dim in data[label].dims}
    if len(dims) != 1:
        found = f"got dimensions {', '.join(sorted(map(str, dims))) or 'none'}"
        raise place.error(f"all variables of {what} must lie along time only", found)
    (time_dim,) = dims
    clock = clock or _clock_of(data, time_dim, time_label, place)
    units = [_attribute_unit(data[label]) for label in labels]
    pieces = [as_matrix(data[label].values, place, what, [label]) for label in labels]
    columns = read_columns(labels, place, prefix, units)
    return Table(np.hstack(pieces), columns, clock, _index_of(data, time_dim))


def _open_labelled_array(
    data: Any, place: Place, what: str, prefix: str, time_label: str | None
) -> Table:
    if len(data.dims) not in (1, 2):
        found = f"got dimensions {', '.join(map(str, data.dims))}"
        raise place.error(f"{what} must have dimensions time x variable", found)
    time_dim = _time_dimension(data, time_label)
    others = [dim for dim in data.dims if dim != time_dim]
    data = data.transpose(time_dim, *others)
    unit = _attribute_unit(data)
    if not others:
        labels: list[Hashable] = [0 if data.name is None else data.name]
    else:
        labels = _variable_labels(data, others[0])
    columns: Columns | None = None
    if unit is not None or not _is_count(labels):
        columns = read_columns(labels, place, prefix, [unit] * len(labels))
    clock = _clock_of(data, time_dim, time_label, place)
    values = as_matrix(data.values, place, what, labels)
    return Table(values, columns, clock, _index_of(data, time_dim))


def _variable_labels(data: Any, dim: Hashable) -> list[Hashable]:
    if dim not in data.coords:
        return list(range(data.sizes[dim]))
    return list(data.coords[dim].values.tolist())


def _time_dimension(data: Any, time_label: str | None) -> Hashable:
    """Return the dimension `time_label` lies along, else ``time`` or ``t``, else the first."""
    if time_label in data.coords and len(data.coords[time_label].dims) == 1:
        return data.coords[time_label].dims[0]  # type: ignore[no-any-return]
    wanted = [dim for dim in (time_label, "time", "t") if dim in data.dims]
    return wanted[0] if wanted else data.dims[0]


def _clock_of(data: Any, dim: Hashable, time_label: str | None, place: Place) -> Clock | None:
    name = dim if time_label is None else time_label
    if name in data.coords:
        return _coordinate(data, name)
    if time_label is None:
        return None
    known = [*getattr(data, "data_vars", ()), *data.coords]
    raise _no_such_time(time_label, known, place)


def _coordinate(data: Any, name: Hashable) -> Clock:
    return Clock(data[name].values, name, _attribute_unit(data[name]))


def _index_of(data: Any, dim: Hashable) -> Any:
    return data.coords[dim].values if dim in data.coords else None


def _attribute_unit(data: Any) -> str | None:
    unit = data.attrs.get("units")
    return None if unit is None else str(unit)


def _is_count(labels: Sequence[Hashable]) -> bool:
    """Whether the labels are 0, 1, 2, ..., which is to say there are none."""
    counted = [label for label in labels if isinstance(label, int | np.integer)]
    return len(counted) == len(labels) and counted == list(range(len(labels)))


def _position(name: str, labels: Sequence[Hashable], place: Place) -> int:
    for wanted in (labels, [split_unit(str(label))[0] for label in labels]):
        if name in wanted:
            return list(wanted).index(name)
    raise _no_such_time(name, labels, place)


def _no_such_time(name: str, labels: Sequence[Hashable], place: Place) -> Exception:
    must = f"{place.clock} must name a column or coordinate of {place.data}"
    known = ", ".join(repr(str(label)) for label in labels) or "none"
    return place.error(must, f"got {name!r}; there are {known}")


def _refuse_no_columns(labels: Sequence[Hashable], place: Place, what: str) -> None:
    if not labels:
        raise place.error(f"{what} must have at least one column of numbers", "got none")
