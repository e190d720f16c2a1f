"""Open grids: modes to filter noise with, and bumps to integrate against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from discover.exceptions import DataError
from discover.observations.grid import Axis, Grid
from discover.observations.jets import Jet
from discover.problems.field_rows import FieldTerms
from discover.typing import BoolArray, FloatArray, IntArray

__all__ = ["BumpTests", "OpenGrid"]

_POWER = 12  # of a bump: it and its first eleven derivatives vanish at its ends
_SPACING = 0.25  # distance of neighbouring bumps over their radius
_WIDEST = 0.25  # radius of a bump over the length of the axis
_NARROWEST = 8.0  # the same in grid intervals
_INDEPENDENT = 0.02  # of the largest singular value: combinations of bumps that are kept
_ROUGHNESS = 3  # order of the differences whose singular vectors are the modes


class OpenGrid(Grid):
    """A grid with open axes, and modes that do not pretend that it closes on itself.

    Notes
    -----
    Along an open axis the modes are the singular vectors of the third differences, smooth
    ones first: parabolas, then waves that end freely (the discrete form of the basis of
    Demmler and Reinsch, Numer. Math. 24 (1975) 375-382). They are scaled as Fourier
    coefficients are, so that white noise of variance v has mean square v over the number of
    points in every mode. Along a periodic axis they are sines and cosines.
    """

    @cached_property
    def bases(self) -> list[FloatArray]:
        """Orthogonal modes of every axis, in columns of mean square 1."""
        return [_modes(axis) * np.sqrt(axis.n_points) for axis in self.axes]

    @cached_property
    def radius(self) -> FloatArray:
        """Wavenumber of every mode."""
        total = np.zeros(())
        for i, axis in enumerate(self.axes):
            count = np.arange(axis.n_points)
            k = np.pi * count if not axis.periodic else 2 * np.pi * ((count + 1) // 2)
            shape = [1] * len(self.axes)
            shape[i] = -1
            total = total + ((k / axis.length) ** 2).reshape(shape)
        return np.sqrt(total)

    @cached_property
    def distinct(self) -> BoolArray:
        """All of them."""
        return np.ones(self.shape, dtype=bool)

    def to_modes(self, values: FloatArray) -> FloatArray:  # type: ignore[override]
        """Return the coefficients of the modes, over the last axes."""
        for i, basis in enumerate(self.bases):
            values = _along(values, basis.T / len(basis), i - len(self.axes))
        return values

    def from_modes(self, modes: FloatArray) -> FloatArray:  # type: ignore[override]
        """Return values on the grid."""
        for i, basis in enumerate(self.bases):
            modes = _along(modes, basis, i - len(self.axes))
        return modes


def _along(values: FloatArray, matrix: FloatArray, position: int) -> FloatArray:
    """Multiply by a matrix along one axis."""
    return np.moveaxis(np.moveaxis(values, position, -1) @ matrix.T, -1, position)


def _modes(axis: Axis) -> FloatArray:
    """Return the orthonormal modes of an axis in columns, smooth ones first."""
    n = axis.n_points
    if not axis.periodic:
        return np.linalg.svd(np.diff(np.eye(n), n=_ROUGHNESS, axis=0))[2][::-1].T
    angle = 2 * np.pi * np.arange(n)[:, None] / n
    count = np.arange(n)
    number = (count + 1) // 2
    waves = np.where(count % 2 == 1, np.cos(number * angle), np.sin(number * angle))
    waves[:, 0] = 1.0
    return np.asarray(waves / np.linalg.norm(waves, axis=0))


@dataclass(frozen=True, eq=False)
class _AxisTests:
    """Test functions along one axis.

    Parameters
    ----------
    bumps : list of ndarray of shape (n_bumps, n_points)
        Functions and their derivatives, order by order.
    mixing : ndarray of shape (n_tests, n_bumps)
        Orthonormal combinations of them, smooth ones first.
    wavenumbers : ndarray of shape (n_tests,)
        Root-mean-square wavenumber of every combination.
    """

    bumps: list[FloatArray]
    mixing: FloatArray
    wavenumbers: FloatArray

    def matrix(self, order: int) -> FloatArray:
        """Return the derivatives of the test functions, shape (n_tests, n_points)."""
        return self.mixing @ self.bumps[order]


def _axis_tests(axis: Axis, radius: float, highest: int) -> _AxisTests:
    x = axis.points - axis.points[0]
    if axis.periodic:
        number = np.arange(1, 2 * int(radius * axis.length / (2 * np.pi) + 1e-9) + 2) // 2
        k = 2 * np.pi * number / axis.length
        phase = np.where(np.arange(len(k)) % 2 == 1, 0.5 * np.pi, 0.0)[:, None]
        bumps = [
            k[:, None] ** q * np.cos(k[:, None] * x - phase + 0.5 * np.pi * q)
            for q in range(highest + 1)
        ]
    else:
        bumps = _bumps(axis, x, radius, highest)
    U, s, _ = np.linalg.svd(bumps[0], full_matrices=False)
    kept = s > _INDEPENDENT * s[0]
    T = (U[:, kept] / s[kept]).T
    squares, rotation = np.linalg.eigh((T @ bumps[1]) @ (T @ bumps[1]).T)
    k = np.sqrt(np.maximum(squares, 0.0))
    chosen = k <= max(radius, k[0]) * (1 + 1e-9)
    return _AxisTests(bumps, (rotation.T @ T)[chosen], k[chosen])


def _bumps(axis: Axis, x: FloatArray, radius: float, highest: int) -> list[FloatArray]:
    """Return ``(1 - ((x - c) / r)^2)^p`` and its derivatives, all supports inside."""
    r = min(np.pi / max(radius, 1e-300) / _SPACING, _WIDEST * axis.length)
    r = max(r, _NARROWEST * axis.spacing)
    if 2 * r > axis.length:
        raise DataError(
            f"ModelErrorDiscovery: open axis {axis.name!r} must have at least "
            f"{2 * int(_NARROWEST) + 1} points for test functions that vanish at its ends; got "
            f"{axis.n_points}."
        )
    n = int((axis.length - 2 * r) / (_SPACING * r)) + 1
    centres = np.linspace(r, axis.length - r, max(n, 2)) if axis.length > 2 * r else np.array([r])
    xi = (x - centres[:, None]) / r
    shape = np.polynomial.Polynomial([1.0, 0.0, -1.0]) ** _POWER
    inside = np.abs(xi) < 1.0
    return [
        np.where(inside, (shape.deriv(q) if q else shape)(xi), 0.0) / r**q
        for q in range(highest + 1)
    ]


class BumpTests:
    """Integration over an open grid against functions that vanish at its ends.

    Parameters
    ----------
    grid : Grid
    radius : float
        Largest root-mean-square wavenumber of a test function.
    highest : int, default=4
        Order of the derivatives that may be moved onto them.

    Notes
    -----
    The weak form in space: ``int phi d^q f / dx^q = (-1)^q int f d^q phi / dx^q``, without
    boundary terms, because bumps ``(1 - x^2)^p`` of compact support and their derivatives
    vanish at the ends (Messenger and Bortz, J. Comput. Phys. 443 (2021) 110525). Bumps
    overlap; the rows are orthonormal combinations of them, smooth ones first, so that white
    noise stays white and derivatives of it nearly so. Rows are scaled as those of
    :class:`FourierTests`.
    """

    def __init__(self, grid: Grid, radius: float, highest: int = 4) -> None:
        self.grid, self.reach = grid, radius
        self.axes = [_axis_tests(axis, radius, highest) for axis in grid.axes]
        total = np.zeros(())
        for i, tests in enumerate(self.axes):
            shape = [1] * len(self.axes)
            shape[i] = -1
            total = total + (tests.wavenumbers**2).reshape(shape)
        length = np.sqrt(total).ravel()
        self.chosen: IntArray = np.flatnonzero(length <= max(radius, length.min()) * (1 + 1e-9))
        self.wavenumbers = length[self.chosen]
        self.n_rows = len(self.chosen)

    def project(
        self, grid: Grid, values: FloatArray, orders: Sequence[int] | None = None
    ) -> FloatArray:
        """Project functions, or derivatives of them.

        Parameters
        ----------
        grid : Grid
            That of the tests.
        values : ndarray of shape ``(..., *grid)``
        orders : sequence of int, optional
            Of the derivative along each axis; it is moved onto the test functions.

        Returns
        -------
        ndarray of shape (..., n_rows)
        """
        d = len(self.axes)
        orders = (0,) * d if orders is None else orders
        for i, (tests, q) in enumerate(zip(self.axes, orders, strict=True)):
            values = _along(values, (-1.0) ** q * tests.matrix(q), i - d)
        flat = values.reshape(*values.shape[: values.ndim - d], -1)
        return np.asarray(flat[..., self.chosen] / np.sqrt(grid.size))

    def project_terms(self, terms: FieldTerms, grid: Grid, states: FloatArray) -> FloatArray:
        """Project terms, by parts where they are derivatives; (n_states, n_rows, n_terms)."""
        out = np.empty((len(states), self.n_rows, terms.table.n_terms))
        forms = [_by_parts(terms, j, grid) for j in range(terms.table.n_terms)]
        strong = [j for j, form in enumerate(forms) if form is None]
        if strong:
            rest = FieldTerms(terms.table.select(strong), terms.components, terms.auxiliary)
            out[:, :, strong] = np.swapaxes(self.project(grid, rest.evaluate(grid, states)), 1, 2)
        for j, form in enumerate(forms):
            if form is not None:
                i, power, orders = form
                out[:, :, j] = self.project(grid, states[..., i] ** power / power, orders)
        return out


def _by_parts(terms: FieldTerms, term: int, grid: Grid) -> tuple[int, int, tuple[int, ...]] | None:
    """Return a term ``u^(p-1) u_x...`` as a derivative of ``u^p / p``: component, p, orders.

    None where it is no derivative of a power of one component.
    """
    powers = terms.table.select([term]).powers()
    if powers is None:
        return None
    factors = {name: int(p) for name, p in zip(terms.table.inputs, powers[0], strict=True) if p}
    slopes = [name for name in factors if name not in terms.components]
    if len(slopes) != 1 or factors[slopes[0]] != 1:
        return None
    component = slopes[0].rpartition("_")[0]
    if component not in terms.components or set(factors) - {slopes[0], component}:
        return None
    orders = Jet.parse(slopes[0], terms.components, grid.names).orders
    p = 1 + factors.get(component, 0)
    return None if p > 1 and sum(orders) > 1 else (terms.components.index(component), p, orders)
