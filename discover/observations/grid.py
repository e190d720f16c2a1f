"""Grids: where fields are sampled, and how they are differentiated there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfftn, next_fast_len, rfftn

from discover.exceptions import DataError
from discover.typing import BoolArray, FloatArray

__all__ = ["Axis", "Grid"]

_UNEVEN = 1e-6  # relative unevenness of the spacing that is put down to rounding
_STENCIL = 3  # half width of the finite differences on open axes


@dataclass(frozen=True, eq=False)
class Axis:
    """One direction of a grid: evenly spaced points, periodic or open, or a ring of sites.

    Parameters
    ----------
    name : str
        One letter, so that derivatives read ``u_xx``; not ``t``.
    points : ndarray of shape (n_points,)
        Evenly spaced, increasing coordinates, in `unit`. A periodic axis leaves out the
        last point, which is the first again.
    periodic : bool, default=True
    unit : str, optional
    discrete : bool, default=False
        The points are sites, with nothing between them: there are no derivatives along the
        axis, but neighbours, ``u_kp1`` and ``u_km1`` along the axis k. It must be periodic.

    Raises
    ------
    DataError
        If the points are not evenly spaced, or the name cannot be used.
    """

    name: str
    points: FloatArray
    periodic: bool = True
    unit: str | None = None
    discrete: bool = False

    def __post_init__(self) -> None:
        points = np.asarray(self.points, dtype=np.float64)
        object.__setattr__(self, "points", points)
        if len(self.name) != 1 or not self.name.isalpha() or self.name == "t":
            raise DataError(
                f"Axis: name must be one letter other than 't'; got {self.name!r}. Rename the "
                "axis: derivatives are written u_x, u_xx."
            )
        if points.ndim != 1 or len(points) < 4 or not np.isfinite(points).all():
            raise DataError(
                f"Axis {self.name!r}: points must be at least 4 finite coordinates; got shape "
                f"{points.shape}."
            )
        gaps = np.diff(points)
        if not (gaps > 0).all() or np.ptp(gaps) > _UNEVEN * gaps.mean() * len(gaps):
            raise DataError(
                f"Axis {self.name!r}: points must be evenly spaced and increasing; intervals run "
                f"from {gaps.min():.6g} to {gaps.max():.6g}. Interpolate to an even grid first."
            )
        if self.discrete and not self.periodic:
            raise DataError(
                f"Axis {self.name!r}: sites must form a ring, periodic=True; the ends of an open "
                "chain lack neighbours."
            )

    @classmethod
    def box(cls, name: str, n_points: int, length: float, start: float = 0.0) -> Axis:
        """Return `n_points` points of a periodic box, from `start`."""
        points = np.asarray(start + length / n_points * np.arange(n_points), dtype=np.float64)
        return cls(name, points)

    @classmethod
    def ring(cls, name: str, n_sites: int) -> Axis:
        """Return a ring of sites, numbered from 0: boxes, oscillators, cells in a row."""
        return cls(name, np.arange(n_sites, dtype=np.float64), discrete=True)

    @property
    def n_points(self) -> int:
        """Number of points."""
        return len(self.points)

    @cached_property
    def spacing(self) -> float:
        """Distance of neighbouring points, in `unit`."""
        return float((self.points[-1] - self.points[0]) / (len(self.points) - 1))

    @property
    def length(self) -> float:
        """Period of a periodic axis, extent of an open one."""
        return self.spacing * (self.n_points if self.periodic else self.n_points - 1)

    def resampled(self, n_points: int) -> Axis:
        """Return the same periodic axis with another number of points."""
        new = Axis.box(self.name, n_points, self.length, float(self.points[0]))
        return Axis(new.name, new.points, True, self.unit)


@dataclass(frozen=True, eq=False)
class Grid:
    """The product of axes, with derivatives of functions sampled on it.

    Parameters
    ----------
    axes : tuple of Axis

    Notes
    -----
    Periodic axes are differentiated in Fourier space (exactly, for what the grid
    resolves; the Nyquist mode has no odd derivative), open ones by central differences
    of order six, one-sided of the same width at the ends (Fornberg, Math. Comput. 51
    (1988) 699-706). Along rings of sites there are no derivatives, and they do not mix with
    axes of the other kinds.
    """

    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", tuple(self.axes))
        names = [axis.name for axis in self.axes]
        if not names or len(set(names)) < len(names):
            raise DataError(f"Grid: axes must have different names; got {names}.")
        if len({axis.discrete for axis in self.axes}) > 1:
            kinds = [(axis.name, "sites" if axis.discrete else "points") for axis in self.axes]
            raise DataError(
                f"Grid: axes must be all rings of sites, or none of them; got {kinds}. Make one "
                "component of every site instead."
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the axes."""
        return tuple(axis.name for axis in self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of points along each axis."""
        return tuple(axis.n_points for axis in self.axes)

    @property
    def size(self) -> int:
        """Number of points."""
        return int(np.prod(self.shape))

    @property
    def is_periodic(self) -> bool:
        """Whether every axis is, so that functions on the grid have Fourier series."""
        return all(axis.periodic and not axis.discrete for axis in self.axes)

    @property
    def is_discrete(self) -> bool:
        """Whether the points are sites, with neighbours instead of derivatives."""
        return self.axes[0].discrete

    @cached_property
    def wavenumbers(self) -> tuple[FloatArray, ...]:
        """Wavenumbers of the real FFT, one broadcastable array per axis."""
        out: list[FloatArray] = []
        for i, axis in enumerate(self.axes):
            index: Any = np.fft.fftfreq(axis.n_points, 1.0 / axis.n_points)
            if i == len(self.axes) - 1:
                index = np.arange(axis.n_points // 2 + 1.0)
            shape = [1] * len(self.axes)
            shape[i] = -1
            out.append((2 * np.pi / axis.length * index).reshape(shape))
        return tuple(out)

    @cached_property
    def radius(self) -> FloatArray:
        """Length of the wave vector of every mode of the real FFT."""
        return np.sqrt(sum((k**2 for k in self.wavenumbers), np.zeros(())))

    @cached_property
    def distinct(self) -> BoolArray:
        """The modes of the real FFT that are not conjugates of others, nor Nyquist."""
        keep = np.ones(self.radius.shape, dtype=bool)
        for i, axis in enumerate(self.axes):
            if axis.n_points % 2 == 0:
                at = [slice(None)] * len(self.axes)
                at[i] = slice(axis.n_points // 2, axis.n_points // 2 + 1)
                keep[tuple(at)] = False
        first = keep[..., 0]  # modes without a wave along the last axis come in pairs
        for index in product(*(range(n) for n in self.shape[:-1])):
            mirror = tuple(-i % n for i, n in zip(index, self.shape[:-1], strict=True))
            if mirror < index:
                first[index] = False
        return keep

    def to_modes(self, values: FloatArray) -> NDArray[np.complex128]:
        """Return Fourier coefficients, ``values = sum modes exp(i k x)``, over the last axes."""
        over = tuple(range(-len(self.axes), 0))
        return np.asarray(rfftn(values, axes=over, norm="forward"))

    def from_modes(self, modes: NDArray[np.complex128]) -> FloatArray:
        """Return values on the grid from Fourier coefficients."""
        over = tuple(range(-len(self.axes), 0))
        return np.asarray(irfftn(modes, self.shape, axes=over, norm="forward"))

    def multiplier(self, orders: Sequence[int]) -> NDArray[np.complex128]:
        """Return the symbol of a derivative: ``prod (i k)**order``, no odd Nyquist mode."""
        symbol: NDArray[np.complex128] = np.ones((1,) * len(self.axes), dtype=np.complex128)
        for k, order, axis in zip(self.wavenumbers, orders, self.axes, strict=True):
            factor = (1j * k) ** order
            if order % 2 and axis.n_points % 2 == 0:
                factor = np.where(np.abs(k) >= np.pi / axis.spacing * (1 - 1e-9), 0.0, factor)
            symbol = symbol * factor
        return symbol

    def derivative(self, values: ArrayLike, orders: Sequence[int]) -> FloatArray:
        """Differentiate over the last axes.

        Parameters
        ----------
        values : array-like of shape ``(..., *shape)``
        orders : sequence of int
            Order of the derivative along each axis.

        Returns
        -------
        ndarray of shape ``(..., *shape)``
        """
        out = np.asarray(values, dtype=np.float64)
        if not any(orders):
            return out
        if self.is_discrete:
            raise DataError(
                f"Grid: there are no derivatives along {list(self.names)}, rings of sites; use "
                f"neighbours such as u_{self.names[0]}p1 and u_{self.names[0]}m1."
            )
        if self.is_periodic:
            return self.from_modes(self.to_modes(out) * self.multiplier(orders))
        for i, order in enumerate(orders):
            if order:
                out = self._along(out, i - len(self.axes), int(order))
        return out

    def _along(self, values: FloatArray, position: int, order: int) -> FloatArray:
        axis = self.axes[position]
        if axis.periodic:
            line = Grid((axis,))
            moved = np.moveaxis(values, position, -1)
            return np.moveaxis(line.derivative(moved, (order,)), -1, position)
        moved = np.moveaxis(values, position, -1)
        return np.moveaxis(_open_derivative(moved, order, axis.spacing), -1, position)

    def resampled(self, values: FloatArray, shape: Sequence[int]) -> FloatArray:
        """Interpolate periodic functions to another number of points, in Fourier space.

        Exact for what both grids resolve; modes the new grid lacks are dropped.
        """
        if tuple(shape) == self.shape:
            return values
        modes = self.to_modes(values)
        new = self.with_shape(shape)
        lead = modes.shape[: -len(self.axes)]
        out = np.zeros((*lead, *new.radius.shape), dtype=np.complex128)
        halves = [(min(a, b) - 1) // 2 for a, b in zip(self.shape, shape, strict=True)]
        for part in _quadrants(halves):
            where: Any = (..., *part)
            out[where] = modes[where]
        return new.from_modes(out)

    def with_shape(self, shape: Sequence[int]) -> Grid:
        """Return the grid of the same periodic box with other numbers of points."""
        return Grid(tuple(a.resampled(int(n)) for a, n in zip(self.axes, shape, strict=True)))

    def resolving(self, radius: float, degree: int) -> tuple[int, ...]:
        """Return the shape that multiplies `degree` functions without aliasing.

        Parameters
        ----------
        radius : float
            Largest wavenumber of the functions; products are exact up to it.
        degree : int
            How many functions are multiplied.
        """
        return tuple(
            int(next_fast_len(int((degree + 1) * radius * a.length / (2 * np.pi)) + 2, real=True))
            for a in self.axes
        )


def _quadrants(halves: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Yield the corners of a real FFT that hold modes up to these numbers."""
    sides = [(slice(0, h + 1), slice(-h, None)) if h else (slice(0, 1),) for h in halves[:-1]]
    yield from product(*sides, (slice(0, halves[-1] + 1),))


def _weights(offsets: FloatArray, order: int) -> FloatArray:
    """Return the weights of the finite difference of unit spacing on these offsets."""
    rhs = np.zeros(len(offsets))
    rhs[order] = factorial(order)
    powers = np.vander(offsets, len(offsets), increasing=True).T
    return np.asarray(np.linalg.solve(powers, rhs))


def _open_derivative(values: FloatArray, order: int, spacing: float) -> FloatArray:
    """Differentiate along the last axis, which does not close on itself."""
    half = _STENCIL + (order - 1) // 2
    n, width = values.shape[-1], 2 * half + 1
    if n < width:
        raise DataError(
            f"Grid: a derivative of order {order} on an open axis needs {width} points; got {n}."
        )
    out = np.empty_like(values)
    offsets = np.arange(-half, half + 1, dtype=np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(values, width, axis=-1)
    out[..., half : n - half] = windows @ _weights(offsets, order)
    for i in range(half):
        out[..., i] = values[..., :width] @ _weights(offsets + half - i, order)
        out[..., n - 1 - i] = values[..., n - width :] @ _weights(offsets - half + i, order)
    return out / spacing**order
