"""The noun `Trajectory`: one validated run of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import InitVar, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from discover.observations.casting import as_matrix, as_times
from discover.observations.checks import (
    check_finite,
    check_times,
    evenly_spaced,
    rows_to_inspect,
)
from discover.observations.naming import TIME
from discover.observations.place import Place
from discover.typing import BoolArray, FloatArray

__all__ = ["Trajectory", "default_max_gap"]

GAP_FACTOR = 2.5
GAP_QUANTILE = 0.9
_CONSTRUCTOR = Place("Trajectory", None, "states", "times", "controls")


def default_max_gap(times: FloatArray) -> float:
    """Return the interval beyond which consecutive samples belong to different segments.

    That is 2.5 times the 90th percentile of the intervals. A missing sample on a regular
    grid (an interval of 2 dt) is no gap; the hole a held-out block leaves is one. Of
    Poisson sampling times, 0.3 % of the intervals are longer.

    Parameters
    ----------
    times : ndarray of shape (n_samples,)
        Strictly increasing sample times.

    Returns
    -------
    float
        In units of `times`; infinite for fewer than two samples.
    """
    if len(times) < 2:
        return float("inf")
    return float(GAP_FACTOR * np.quantile(np.diff(times), GAP_QUANTILE))


@dataclass(frozen=True, eq=False, repr=False)
class Trajectory:
    """One run: states and, possibly, controls, sampled at strictly increasing times.

    The arrays are checked when the run is made, and share memory with what was passed if
    that is C-contiguous float64: read them, do not write to them. NaN means not observed.

    Parameters
    ----------
    states : ndarray of shape (n_samples, n_states)
        In `state_units`; finite or NaN.
    times : ndarray of shape (n_samples,)
        In `time_unit`; finite and strictly increasing.
    controls : ndarray of shape (n_samples, n_controls), optional
        In `control_units`; finite or NaN.
    state_names, control_names : tuple of str, optional
        Identifiers, all different; by default ``x0, x1, ...`` and ``u0, u1, ...``.
    state_units, control_units : tuple of (str or None), optional
        None means unknown.
    time_unit : str, optional
        None means unknown.
    name : str, optional
        What to call the run.
    place : Place, optional
        On whose behalf the data are checked; used in messages and not kept.

    Attributes
    ----------
    complete : ndarray of shape (n_samples,)
        True where no state and no control is NaN.
    dt : float
        The median sampling interval, in `time_unit`. On a uniform grid it is duration
        over intervals, which is the same freed of the rounding of the times. NaN for one sample.
    is_uniform : bool
        Whether every interval equals `dt` within 1e-6 `dt` and the rounding of the times
        (to float64, or to float32 if all of them are float32 numbers).

    Raises
    ------
    DataError
        If shapes do not match, times do not increase, an entry is infinite, or names cannot
        be used.
    """

    states: FloatArray
    times: FloatArray
    controls: FloatArray | None = None
    state_names: tuple[str, ...] = ()
    control_names: tuple[str, ...] = ()
    state_units: tuple[str | None, ...] = ()
    control_units: tuple[str | None, ...] = ()
    time_unit: str | None = None
    name: str | None = None
    place: InitVar[Place] = _CONSTRUCTOR

    def __post_init__(self, place: Place) -> None:
        """Check everything once."""
        self._set("states", as_matrix(self.states, place, place.data))
        times, unit = as_times(self.times, place)
        self._set("times", times)
        self._set("time_unit", self.time_unit or unit)
        if self.controls is not None:
            self._set("controls", as_matrix(self.controls, place, place.inputs))
        self._check_lengths(place)
        self._check_names(place)
        check_times(self.times, place)
        check_finite(self.states, self.state_names, place, place.data)
        if self.controls is not None:
            check_finite(self.controls, self.control_names, place, place.inputs)

    def _set(self, field: str, value: object) -> None:
        object.__setattr__(self, field, value)

    def _check_lengths(self, place: Place) -> None:
        n_samples, n_columns = self.states.shape
        if n_samples == 0:
            raise place.error(f"{place.data} must have at least one row", "got none")
        if len(self.times) != n_samples:
            hint = f"{place.data} looks transposed: pass {place.data}.T."
            must = f"{place.clock} must have one entry per row of {place.data}"
            found = f"{place.clock} has {len(self.times)}, {place.data} has {n_samples} rows"
            advice = hint if len(self.times) == n_columns else ""
            raise place.error(must, found, advice=advice)
        if self.controls is not None and len(self.controls) != n_samples:
            must = f"{place.inputs} must have one row per row of {place.data}"
            found = f"{place.inputs} has {len(self.controls)}, {place.data} has {n_samples} rows"
            raise place.error(must, found)

    def _check_names(self, place: Place) -> None:
        """Fill in what was left out; every name must be usable in an expression."""
        counts = {"state": self.n_states, "control": self.n_controls}
        for kind, count in counts.items():
            prefix = "x" if kind == "state" else "u"
            names = tuple(getattr(self, f"{kind}_names")) or default_names(prefix, count)
            units = tuple(getattr(self, f"{kind}_units")) or (None,) * count
            if len(names) != count or len(units) != count:
                must = f"{kind}_names and {kind}_units must have {count} entries"
                raise place.error(must, f"got {len(names)} and {len(units)}")
            self._set(f"{kind}_names", names)
            self._set(f"{kind}_units", units)
        every = self.state_names + self.control_names
        for name in every:
            if not name.isidentifier() or name == TIME:
                raise place.error("names must be identifiers other than 't'", f"got {name!r}")
        if len(set(every)) < len(every):
            found = f"got {', '.join(every)}"
            raise place.error("states and controls must have different names", found)

    @property
    def n_samples(self) -> int:
        """Number of samples (rows)."""
        return len(self.states)

    @property
    def n_states(self) -> int:
        """Number of state columns."""
        return int(self.states.shape[1])

    @property
    def n_controls(self) -> int:
        """Number of control columns; 0 without controls."""
        return 0 if self.controls is None else int(self.controls.shape[1])

    @cached_property
    def is_uniform(self) -> bool:
        """Whether the times are a regular grid, up to rounding."""
        return any(evenly_spaced(self.times, kind) for kind in (np.float64, np.float32))

    @cached_property
    def dt(self) -> float:
        """The median sampling interval, in `time_unit`."""
        if len(self) < 2:
            return float("nan")
        if self.is_uniform:
            return float((self.times[-1] - self.times[0]) / (len(self) - 1))
        return float(np.median(np.diff(self.times)))

    @cached_property
    def complete(self) -> BoolArray:
        """True where no state and no control is NaN, shape (n_samples,)."""
        mask = np.ones(len(self), dtype=np.bool_)
        observed = [self.states] if self.controls is None else [self.states, self.controls]
        for values in observed:
            for rows in rows_to_inspect(values):
                mask[rows] &= ~np.isnan(values[rows]).any(axis=1)
        return mask

    def segments(self, max_gap: float | None = None) -> list[Trajectory]:
        """Return the stretches of complete samples, split where samples are too far apart.

        Every complete sample is in exactly one segment, even alone. Incomplete samples are
        in none, and then count as not sampled.

        Parameters
        ----------
        max_gap : float, optional
            The longest interval inside a segment, in `time_unit`; by default
            `default_max_gap` of the times of the complete samples. Infinite: never split.

        Returns
        -------
        list of Trajectory
            In order of time; views of the same memory where rows are consecutive. Empty if
            no sample is complete.

        Raises
        ------
        ValueError
            If `max_gap` is not positive.
        """
        if max_gap is not None and not max_gap > 0:
            raise ValueError(f"Trajectory: max_gap must be positive; got {max_gap!r}.")
        if self.complete.all() and max_gap is None and self.is_uniform:
            return [self]
        rows = np.flatnonzero(self.complete)
        times = self.times[rows]
        longest = default_max_gap(times) if max_gap is None else max_gap
        cuts = np.flatnonzero(np.diff(times) > longest) + 1
        if len(rows) == len(self) and not len(cuts):
            return [self]
        pieces = [piece for piece in np.split(rows, cuts) if len(piece)]
        return [self._segment(piece, position) for position, piece in enumerate(pieces)]

    def _segment(self, rows: Any, position: int) -> Trajectory:
        if rows[-1] - rows[0] == len(rows) - 1:
            rows = slice(rows[0], rows[-1] + 1)
        name = f"segment {position}" if self.name is None else f"{self.name}, segment {position}"
        return replace(self.select(rows), name=name)

    def select(self, rows: Any) -> Trajectory:
        """Return the run restricted to `rows`.

        Parameters
        ----------
        rows : slice, or array_like of bool or int
            As NumPy indexes the first axis; in order of time. A slice copies nothing.

        Raises
        ------
        DataError
            If no row is left, or the rows are not in order of time.
        """
        if not isinstance(rows, slice):
            rows = np.atleast_1d(np.asarray(rows))
        controls = None if self.controls is None else self.controls[rows]
        return replace(self, states=self.states[rows], times=self.times[rows], controls=controls)

    def __len__(self) -> int:
        """Return the number of samples."""
        return self.n_samples

    def __repr__(self) -> str:
        """Return one line: size, span, names, units, and how much is missing."""
        unit = f" {self.time_unit}" if self.time_unit else ""
        span = f"t = {self.times[0]:.6g} to {self.times[-1]:.6g}{unit}"
        parts = [f"{len(self)} sample{'s' if len(self) > 1 else ''}, {span}"]
        parts.append("states " + _listed(self.state_names, self.state_units))
        if self.n_controls:
            parts.append("controls " + _listed(self.control_names, self.control_units))
        if not self.complete.all():
            parts.append(f"{np.count_nonzero(~self.complete)} incomplete")
        return f"<Trajectory{f' {self.name!r}' if self.name else ''}: {'; '.join(parts)}>"


def default_names(prefix: str, count: int) -> tuple[str, ...]:
    """Return ``x0, x1, ...``."""
    return tuple(f"{prefix}{i}" for i in range(count))


def _listed(names: Sequence[str], units: Sequence[str | None], most: int = 6) -> str:
    shown = [f"{n} [{u}]" if u else n for n, u in zip(names[:most], units, strict=False)]
    return ", ".join(shown) + (f", ... ({len(names)})" if len(names) > most else "")
