"""Whatever came as numbers or times becomes float64, or an error that names the entry."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discover.exceptions import DataError
from discover.observations.place import Place
from discover.typing import FloatArray

__all__ = ["as_matrix", "as_times", "is_number"]

_NUMERIC_KINDS = "fiub"
_MISSING_TYPES = ("NoneType", "NAType", "NaTType", "MaskedConstant")
_CORRECT = "Correct the entry, or mark it missing: pd.to_numeric(column, errors='coerce')."
_CONVERT = "Convert numbers stored as text first: pd.to_numeric(column)."
_NAME_THE_TIME = "If this is the time, say so: t='the name of the column'."
_READ_DATES = "Convert it first: pd.to_datetime(column) or pd.to_numeric(column)."


def is_number(value: object) -> bool:
    """Whether `value` is one real number; truth values are not."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def as_matrix(
    raw: Any, place: Place, what: str, labels: Sequence[object] | None = None
) -> FloatArray:
    """Return `raw` as C-contiguous float64 of shape (n_samples, n_columns).

    Nothing is copied if `raw` already is that. One-dimensional data are one column; masked
    entries, None and pandas' NA become NaN.

    Parameters
    ----------
    raw : array_like of shape (n_samples, n_columns) or (n_samples,)
    place : Place
    what : str
        The parameter, for messages.
    labels : sequence, optional
        Headers of the columns, for messages.

    Raises
    ------
    DataError
        If the shape is wrong or an entry is not a real number; names row and column.
    """
    array = _unmasked(raw, place, what)
    if array.ndim == 1 and array.dtype.names is None:
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.shape[1] == 0:
        raise _wrong_shape(array, place, what)
    if array.dtype.kind not in _NUMERIC_KINDS:
        array = _cast_entries(array, place, what, labels)
    return np.ascontiguousarray(array, dtype=np.float64)


def as_times(raw: Any, place: Place) -> tuple[FloatArray, str | None]:
    """Return sample times (n_samples,) and their unit, which only dates and durations tell.

    Dates become seconds from the first sample, durations become seconds.

    Raises
    ------
    DataError
        If `raw` is not a series of numbers, dates or durations.
    """
    array = _unmasked(_without_zone(raw), place, place.clock)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise place.error(f"{place.clock} must have shape (n_samples,)", f"got {array.shape}")
    if array.dtype.kind == "O" and hasattr(next(iter(array), None), "isoformat"):
        since_first = [(moment - array[0]).total_seconds() for moment in array]
        return np.array(since_first, dtype=np.float64), "s"
    if array.dtype.kind == "M":
        return _seconds(_linear(array) - _linear(array[:1])), "s"
    if array.dtype.kind == "m":
        return _seconds(array), "s"
    return as_matrix(array, place, place.clock)[:, 0], None


def _seconds(durations: NDArray[Any]) -> FloatArray:
    return np.asarray(durations / np.timedelta64(1, "s"), dtype=np.float64)


def _linear(dates: NDArray[Any]) -> NDArray[Any]:
    """Years and months have no fixed length; seconds do."""
    if np.datetime_data(dates.dtype)[0] in ("Y", "M"):
        return dates.astype("datetime64[s]")
    return dates


def _without_zone(raw: Any) -> Any:
    """Put pandas dates with a time zone into UTC, and periods at their start."""
    dtype = getattr(raw, "dtype", None)
    if getattr(dtype, "tz", None) is not None:
        unit = getattr(dtype, "unit", "ns")
        return raw.to_numpy(dtype=f"datetime64[{unit}]")
    if str(dtype).startswith("period"):
        return getattr(raw, "dt", raw).to_timestamp()
    return raw


def _unmasked(raw: Any, place: Place, what: str) -> NDArray[Any]:
    if isinstance(raw, list | tuple):
        _refuse_ragged_rows(raw, place, what)
    if isinstance(raw, np.ma.MaskedArray):
        is_numeric = raw.dtype.kind in _NUMERIC_KINDS
        cast: Any = raw.astype(np.float64 if is_numeric else object)
        return np.asarray(cast.filled(np.nan if is_numeric else None))
    try:
        return np.asarray(raw)
    except ValueError as error:  # rows of equal length that hold lists of unequal length
        raise place.error(f"{what} must be a rectangular table of numbers", str(error)) from error


def _refuse_ragged_rows(rows: Sequence[Any], place: Place, what: str) -> None:
    lengths = [_row_length(row) for row in rows]
    for row, length in enumerate(lengths):
        if length != lengths[0]:
            found = _entries(length) + f" where row 0 has {_entries(lengths[0])}"
            advice = "For several runs pass a list of arrays, one per run."
            must = f"{what} must have rows of one length"
            raise place.error(must, found, row=row, advice=advice)


def _row_length(row: Any) -> int:
    """Return the number of entries; -1 for a bare number."""
    if isinstance(row, list | tuple):
        return len(row)
    shape = getattr(row, "shape", ())
    return int(shape[0]) if shape else -1


def _entries(length: int) -> str:
    return "a bare number" if length < 0 else f"{length} entries"


def _wrong_shape(array: NDArray[Any], place: Place, what: str) -> DataError:
    if array.dtype.names is not None:
        found = f"got a structured array with fields {', '.join(array.dtype.names)}"
        advice = "Stack the fields, or make a table of them: pd.DataFrame(X)."
    elif array.ndim == 0:
        found, advice = f"got one object of type {type(array[()]).__name__}", ""
    else:
        found = f"got shape {array.shape}"
        advice = "For several runs pass a list: list(X)." if array.ndim == 3 else ""
    must = f"{what} must have shape (n_samples, n_columns), at least one column"
    return place.error(must, found, advice=advice)


def _cast_entries(
    array: NDArray[Any], place: Place, what: str, labels: Sequence[object] | None
) -> FloatArray:
    """Cast objects one by one; text, dates and complex numbers are refused by name."""
    kind = array.dtype.kind
    must = f"{what} must hold real numbers"
    if kind == "c":
        advice = "Pass real and imaginary parts as two columns."
        raise place.error(must, "got complex numbers", advice=advice)
    if kind in "Mm":
        found = "got dates" if kind == "M" else "got durations"
        column = None if labels is None else str(labels[0])
        raise place.error(must, found, column=column, advice=_NAME_THE_TIME)
    if kind in "US":
        raise _text_error(array, place, what, labels)
    out = np.empty(array.shape, dtype=np.float64)
    for entry, value in np.ndenumerate(array):
        number = _number(value)
        if number is None:
            raise _entry_error(value, entry, place, what, labels)
        out[entry] = number
    return out


def _number(value: object) -> float | None:
    """Return `value` as a float, NaN if it marks a missing entry, None if it is no number."""
    if type(value).__name__ in _MISSING_TYPES:
        return float("nan")
    if isinstance(value, str | bytes | complex):
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _text_error(
    array: NDArray[Any], place: Place, what: str, labels: Sequence[object] | None
) -> DataError:
    """Point at the first entry that is no number; one word turns a whole array into text."""
    entries = list(np.ndenumerate(array))
    words = [(entry, value) for entry, value in entries if not _reads_as_number(value)]
    entry, value = (words or entries)[0]
    return _entry_error(value, entry, place, what, labels)


def _entry_error(
    value: object,
    entry: tuple[int, ...],
    place: Place,
    what: str,
    labels: Sequence[object] | None,
) -> DataError:
    row, column = entry
    found, advice = f"{value!r} of type {type(value).__name__}", _CORRECT
    if hasattr(value, "isoformat"):
        advice = _NAME_THE_TIME
    elif isinstance(value, str | bytes):
        found = f"text {str(value)!r}"
        advice = _CONVERT if _reads_as_number(value) else _CORRECT
    must = f"{what} must hold real numbers"
    if what == place.clock:
        return place.error(must, found, row=row, advice=_READ_DATES)
    label = column if labels is None else str(labels[column])
    return place.error(must, found, row=row, column=label, advice=advice)


def _reads_as_number(text: str | bytes) -> bool:
    word = text.decode(errors="replace") if isinstance(text, bytes) else text
    pattern = r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*|\s*[+-]?(nan|inf|infinity)\s*"
    return re.fullmatch(pattern, word, re.IGNORECASE) is not None
