"""The noun `Field`: observations on a grid, one snapshot per time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from discover.exceptions import DataError
from discover.observations.casting import as_times
from discover.observations.checks import check_times
from discover.observations.grid import Axis, Grid
from discover.observations.jets import Jet
from discover.observations.place import Place
from discover.typing import BoolArray, FloatArray, IntArray

__all__ = ["Field", "find_bursts"]

_PLACE = Place("Field", None, "values", "times")
_BURST = 3.0  # a jump of this factor between sorted intervals parts bursts from pauses
_TOGETHER = 0.5  # share of the samples in bursts; else it was a chance of irregular times


@dataclass(frozen=True, eq=False, repr=False)
class Field:
    """Snapshots of one or more quantities on a grid.

    Parameters
    ----------
    values : ndarray of shape ``(n_times, *grid)`` or ``(n_times, *grid, n_components)``
        In `units`; NaN where nothing was observed.
    times : ndarray of shape (n_times,)
        Strictly increasing, in `time_unit`; at any spacing.
    grid : Grid, Axis, or sequence of Axis
    names : str or sequence of str, default="u"
        Names of the components.
    units : sequence of (str or None), optional
    time_unit : str, optional

    Raises
    ------
    DataError
        If shapes do not match, times do not increase, or a value is infinite.

    Examples
    --------
    >>> import numpy as np
    >>> x = Axis.box("x", 32, 2 * np.pi)
    >>> field = Field(np.sin(x.points)[None], [0.0], x)
    >>> bool(np.allclose(field.derivative("u_xx")[0], -np.sin(x.points)))
    True
    """

    values: FloatArray
    times: FloatArray
    grid: Grid
    names: tuple[str, ...] = ("u",)
    units: tuple[str | None, ...] = ()
    time_unit: str | None = None

    def __post_init__(self) -> None:
        raw: Any = self.grid
        grid = raw if isinstance(raw, Grid) else Grid((raw,) if isinstance(raw, Axis) else raw)
        given: Any = self.names
        names = (given,) if isinstance(given, str) else tuple(given)
        times, unit = as_times(self.times, _PLACE)
        check_times(times, _PLACE)
        _check_names(names, grid)
        found = {
            "values": _as_values(self.values, len(times), grid, names),
            "times": times,
            "grid": grid,
            "names": names,
            "units": tuple(self.units) or (None,) * len(names),
            "time_unit": self.time_unit or unit,
        }
        for key, value in found.items():
            object.__setattr__(self, key, value)

    @classmethod
    def from_xarray(
        cls,
        data: Any,
        *,
        time: str | None = None,
        periodic: bool = True,
        discrete: bool = False,
    ) -> Field:
        """Take a field from xarray: dimensions with one-letter names are the axes.

        Parameters
        ----------
        data : xarray.Dataset or xarray.DataArray
            Variables over time and the axes, in any order of dimensions; other variables of
            a dataset are left out.
        time : str, optional
            Name of the time's dimension; by default ``time`` or ``t``.
        periodic : bool, default=True
            Whether the axes close on themselves.
        discrete : bool, default=False
            Whether the points are sites on a ring, with nothing between them.

        Raises
        ------
        DataError
            If there is no time, no such variable, or a dimension without coordinates.
        """
        if not hasattr(data, "data_vars"):
            data = data.to_dataset(name=data.name or "u")
        when = time or next((name for name in ("time", "t") if name in data.dims), None)
        if when is None or when not in data.dims:
            raise DataError(
                f"Field: time must be one of the dimensions {sorted(map(str, data.dims))}; got "
                f"{time!r}."
            )
        chosen = {n: v for n, v in data.data_vars.items() if when in v.dims and v.ndim > 1}
        if not chosen:
            raise DataError(f"Field: no variable has {when!r} and another dimension.")
        axes = [d for d in next(iter(chosen.values())).dims if d != when]
        for name in (when, *axes):
            if name not in data.coords:
                raise DataError(f"Field: dimension {name!r} needs coordinates.")
        grid = Grid(
            tuple(
                Axis(str(d), data[d].to_numpy(), periodic, data[d].attrs.get("units"), discrete)
                for d in axes
            )
        )
        values = [
            v.transpose(when, *axes).to_numpy() for v in chosen.values() if set(axes) < set(v.dims)
        ]
        if len(values) < len(chosen):
            raise DataError(f"Field: all variables must have the axes {axes}.")
        units = tuple(v.attrs.get("units") for v in chosen.values())
        return cls(
            np.stack(values, axis=-1), data[when].to_numpy(), grid, tuple(map(str, chosen)), units,
            data[when].attrs.get("units"),
        )  # fmt: skip

    def __len__(self) -> int:
        """Return the number of snapshots."""
        return len(self.times)

    @property
    def observed(self) -> BoolArray:
        """Where something was observed, shape ``(n_times, *grid, n_components)``."""
        return ~np.isnan(self.values)

    @property
    def is_complete(self) -> bool:
        """Whether every point of every snapshot was observed."""
        return not np.isnan(self.values).any()

    def component(self, name: str) -> FloatArray:
        """Return one component, shape ``(n_times, *grid)``."""
        if name not in self.names:
            raise DataError(f"Field: name must be one of {list(self.names)}; got {name!r}.")
        return self.values[..., self.names.index(name)]

    def derivative(self, name: str) -> FloatArray:
        """Return a derivative by its name, such as ``"u_xx"``; shape ``(n_times, *grid)``."""
        jet = Jet.parse(name, self.names, self.grid.names)
        return self.grid.derivative(self.component(jet.component), jet.orders)

    def select(self, snapshots: Any) -> Field:
        """Return the field at some of the times, as NumPy indexes the first axis."""
        return replace(self, values=self.values[snapshots], times=self.times[snapshots])

    def bursts(self) -> list[IntArray]:
        """Return the snapshots taken close to each other; see :func:`find_bursts`."""
        return find_bursts(self.times)

    def __repr__(self) -> str:
        """Return one line: how many snapshots, of what, where."""
        axes = " x ".join(f"{a.name}: {a.n_points}" for a in self.grid.axes)
        missing = np.count_nonzero(~self.observed)
        note = f"; {missing} values missing" if missing else ""
        span = f"t = {self.times[0]:.6g} to {self.times[-1]:.6g}"
        return f"<Field {', '.join(self.names)}: {len(self)} snapshots on {axes}; {span}{note}>"


def find_bursts(times: FloatArray) -> list[IntArray]:
    """Return the samples that were taken close to each other, as arrays of positions.

    Sampling in bursts (two or three states in quick succession, then a pause) shows as a
    jump by more than a factor of three in the sorted intervals, after which most samples have
    a neighbour; without one, all samples are one series. A long gap parts a series in two.

    Parameters
    ----------
    times : ndarray of shape (n_times,)
    """
    intervals = np.diff(times)
    everything = np.arange(len(times), dtype=np.int64)
    if len(intervals) < 2:
        return [everything]
    lengths = np.sort(intervals)
    ratios = lengths[1:] / lengths[:-1]
    for jump in np.argsort(-ratios):
        if ratios[jump] <= _BURST:
            break
        longest = np.sqrt(lengths[jump] * lengths[jump + 1])
        groups = np.split(everything, np.flatnonzero(intervals > longest) + 1)
        if sum(len(group) for group in groups if len(group) > 1) > _TOGETHER * len(times):
            return groups
    return [everything]


def _as_values(raw: Any, n_times: int, grid: Grid, names: tuple[str, ...]) -> FloatArray:
    values = np.asarray(raw, dtype=np.float64)
    if values.shape == (n_times, *grid.shape) and len(names) == 1:
        values = values[..., None]
    wanted = (n_times, *grid.shape, len(names))
    if values.shape != wanted:
        raise DataError(
            f"Field: values must have shape (n_times, *grid, n_components) = {wanted}; got "
            f"{np.shape(raw)}. Check the order of the axes, and that times and names fit."
        )
    if np.isinf(values).any():
        where = tuple(np.argwhere(np.isinf(values))[0].tolist())
        raise DataError(
            f"Field: values must be finite, or NaN where not observed; got infinity at {where}."
        )
    return values


def _check_names(names: tuple[str, ...], grid: Grid) -> None:
    for name in names:
        usable = isinstance(name, str) and name.isidentifier()
        if not usable or name == "t" or name in grid.names:
            raise DataError(
                f"Field: names must be identifiers, and neither 't' nor an axis; got {name!r}."
            )
        tail = name.rsplit("_", 1)[1] if "_" in name else ""
        if tail and set(tail) <= set(grid.names):
            raise DataError(
                f"Field: {name!r} reads as a derivative along {tail!r}; give the component "
                "another name."
            )
    if len(set(names)) < len(names):
        raise DataError(f"Field: names must be different; got {list(names)}.")
