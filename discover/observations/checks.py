"""Checks of large arrays: one pass, in chunks, with a few megabytes of extra memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from discover.observations.place import Place
from discover.typing import FloatArray

__all__ = [
    "check_finite",
    "check_times",
    "constant_columns",
    "evenly_spaced",
    "refuse_unobserved",
    "rows_to_inspect",
]

UNIFORM_TOLERANCE = 1e-6
_CHUNK = 1 << 16  # numbers looked at together: half a megabyte stays in the cache


def rows_to_inspect(values: FloatArray) -> Iterator[slice]:
    """Yield the stretches of rows that may hold NaN or infinity: their sum is not finite.

    One pass, half a megabyte at a time; finite data yield nothing (or, if the sum
    overflows, rows that turn out to be fine).
    """
    step = max(1, _CHUNK // values.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(values), step):
            if not np.isfinite(values[start : start + step].sum()):
                yield slice(start, start + step)


def check_finite(values: FloatArray, names: Sequence[str], place: Place, what: str) -> None:
    """Raise DataError at the first infinite entry; NaN is a missing observation."""
    for rows in rows_to_inspect(values):
        infinite = np.isinf(values[rows])
        if infinite.any():
            row, column = np.argwhere(infinite)[0]
            found = str(float(values[rows][row, column]))
            must = f"{what} must be finite, or NaN where not observed"
            raise place.error(must, found, row=rows.start + int(row), column=names[column])


def refuse_unobserved(values: FloatArray, names: Sequence[str], place: Place, what: str) -> None:
    """Raise DataError if a column is NaN from top to bottom."""
    for column in np.flatnonzero(np.isnan(values[0])).tolist():
        if all(np.isnan(piece).all() for piece in _growing(values[:, column])):
            advice = "Leave out the column, or the run."
            must = f"{what} must have an observation in every column"
            raise place.error(must, "all NaN", column=names[column], advice=advice)


def constant_columns(values: FloatArray) -> list[int]:
    """Return the columns whose observed entries are all equal."""
    return [j for j in range(values.shape[1]) if _is_constant(values[:, j])]


def _is_constant(column: FloatArray) -> bool:
    first = None
    for piece in _growing(column):
        observed = piece[~np.isnan(piece)]
        first = observed[0] if first is None and len(observed) else first
        if (observed != first).any():
            return False
    return True


def _growing(column: FloatArray) -> Iterator[FloatArray]:
    """Yield pieces of growing length: most questions are settled by the first."""
    start, step = 0, 64
    while start < len(column):
        yield column[start : start + step]
        start, step = start + step, min(2 * step, _CHUNK)


def _pairs(times: FloatArray) -> Iterator[tuple[int, FloatArray, FloatArray]]:
    """Yield the row of the first later time, earlier times and later times, in chunks."""
    for start in range(1, len(times), _CHUNK):
        later = times[start : start + _CHUNK]
        yield start, times[start - 1 : start - 1 + len(later)], later


def check_times(times: FloatArray, place: Place) -> None:
    """Raise DataError unless the times are finite and strictly increasing."""
    for row in (0, len(times) - 1):  # between them, increasing times are finite
        if np.isinf(times[row]):
            raise place.error(f"{place.clock} must be finite", str(float(times[row])), row=row)
    if np.isnan(times[0]):
        raise _missing_time(0, place)
    for start, earlier, later in _pairs(times):
        good = later > earlier
        if not good.all():
            raise _time_error(times, start + int(np.argmin(good)), place)


def _missing_time(row: int, place: Place) -> Exception:
    advice = "Drop the row, or fill in its time."
    return place.error(f"{place.clock} must be known in every row", "NaN", row=row, advice=advice)


def _time_error(times: FloatArray, row: int, place: Place) -> Exception:
    before, now = float(times[row - 1]), float(times[row])
    if np.isnan(now):
        return _missing_time(row, place)
    found = f"{now!r} after {before!r} (row {row - 1})"
    advice = f"Several experiments in one table? {place.split}"
    if now == before:
        found = f"{now!r} again, as in row {row - 1}"
        advice = f"Average or drop repeated samples. {advice}"
    return place.error(f"{place.clock} must be strictly increasing", found, row=row, advice=advice)


def evenly_spaced(times: FloatArray, rounding: type[np.floating[Any]]) -> bool:
    """Whether all intervals are equal, up to rounding of the times to `rounding`.

    The tolerance is 1e-6 of the mean interval and two units in the last place of the
    times. With float32, times that are not float32 numbers are not evenly spaced.
    """
    dt = (times[-1] - times[0]) / max(1, len(times) - 1)
    for _, earlier, later in _pairs(times):
        with np.errstate(over="ignore"):
            if rounding is not np.float64 and (later.astype(rounding) != later).any():
                return False
            unevenness = np.abs(later - earlier - dt)
            if unevenness.max() <= UNIFORM_TOLERANCE * dt:
                continue
            largest = np.maximum(np.abs(earlier), np.abs(later)).astype(rounding)
            if (unevenness > UNIFORM_TOLERANCE * dt + 2.0 * np.spacing(largest)).any():
                return False
    return True
