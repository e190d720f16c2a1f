"""Jets: a field and its derivatives at a point, or its neighbours, and how they are named."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from discover.exceptions import ExpressionError
from discover.observations.grid import Grid
from discover.typing import FloatArray

__all__ = ["Jet", "jet_names", "jet_rows"]

_STRETCH = 4096  # rows
_SHIFTS = re.compile(r"(?:[a-zA-Z][pm]\d+)+")
_SHIFT = re.compile(r"([a-zA-Z])([pm])(\d+)")


@dataclass(frozen=True)
class Jet:
    """One derivative of one component, or its value at a neighbour on a ring of sites.

    Parameters
    ----------
    component : str
    orders : tuple of int
        Order along each axis.
    shifts : tuple of int
        How many sites further along each axis; empty for none.
    """

    component: str
    orders: tuple[int, ...]
    shifts: tuple[int, ...] = ()

    @classmethod
    def parse(cls, name: str, components: Sequence[str], axes: Sequence[str]) -> Jet:
        """Read ``u``, ``u_x``, ``w_xxy``; ``X_kp1`` and ``X_km2`` for the neighbours on a ring.

        Raises
        ------
        ExpressionError
            If it is none of these components and axes.
        """
        if name in components:
            return cls(name, (0,) * len(axes))
        component, _, letters = name.rpartition("_")
        if component in components and letters and set(letters) <= set(axes):
            return cls(component, tuple(letters.count(axis) for axis in axes))
        if component in components and _SHIFTS.fullmatch(letters):
            found = _SHIFT.findall(letters)
            steps = {axis: int(n) * (1 if sign == "p" else -1) for axis, sign, n in found}
            if set(steps) <= set(axes):
                return cls(component, (0,) * len(axes), tuple(steps.get(a, 0) for a in axes))
        raise ExpressionError(
            f"library: {name!r} is neither a component {list(components)} nor a derivative of "
            f"one along {list(axes)}; derivatives are written {components[0]}_{axes[0]}, "
            f"neighbours on a ring of sites {components[0]}_{axes[0]}p1."
        )

    @property
    def order(self) -> int:
        """Total order of the derivative."""
        return sum(self.orders)

    def name(self, axes: Sequence[str]) -> str:
        """Return the name, with the axes in their order."""
        letters = "".join(a * n for a, n in zip(axes, self.orders, strict=True))
        for axis, n in zip(axes, self.shifts, strict=False):
            letters += f"{axis}{'p' if n > 0 else 'm'}{abs(n)}" if n else ""
        return f"{self.component}_{letters}" if letters else self.component


def jet_names(components: Sequence[str], axes: Sequence[str], order: int) -> tuple[str, ...]:
    """Return the names of all derivatives up to an order, components first.

    Examples
    --------
    >>> jet_names(["u"], ["x", "y"], 2)
    ('u', 'u_x', 'u_y', 'u_xx', 'u_xy', 'u_yy')
    """
    names = list(components)
    for degree in range(1, order + 1):
        for letters in combinations_with_replacement(axes, degree):
            names += [f"{component}_{''.join(letters)}" for component in components]
    return tuple(names)


def jet_rows(grid: Grid, components: Mapping[str, FloatArray], names: Sequence[str]) -> FloatArray:
    """Evaluate derivatives, or neighbours, on a grid, as rows for a library.

    Parameters
    ----------
    grid : Grid
    components : mapping of str to ndarray of shape ``(n_snapshots, *grid)``
    names : sequence of str
        Which derivatives, such as ``("u", "u_x")``.

    Returns
    -------
    ndarray of shape (n_snapshots * n_points, n_names)
    """
    modes = {c: grid.to_modes(v) for c, v in components.items()} if grid.is_periodic else {}
    columns = []
    for name in names:
        jet = Jet.parse(name, tuple(components), grid.names)
        values = components[jet.component]
        if any(jet.shifts):
            values = _neighbours(grid, values, jet)
        elif jet.order and grid.is_periodic:
            values = grid.from_modes(modes[jet.component] * grid.multiplier(jet.orders))
        elif jet.order:
            values = grid.derivative(values, jet.orders)
        columns.append(values.ravel())
    return _as_rows(columns)


def _as_rows(columns: Sequence[FloatArray]) -> FloatArray:
    """Put columns side by side, a stretch at a time that stays in the cache."""
    out = np.empty((len(columns[0]), len(columns)))
    for start in range(0, len(out), _STRETCH):
        here = slice(start, start + _STRETCH)
        for j, column in enumerate(columns):
            out[here, j] = column[here]
    return out


def _neighbours(grid: Grid, values: FloatArray, jet: Jet) -> FloatArray:
    if not grid.is_discrete:
        raise ExpressionError(
            f"library: {jet.name(grid.names)!r} is a neighbour on a ring of sites, and "
            f"{list(grid.names)} are not; use derivatives, or Axis.ring."
        )
    over = tuple(range(-len(grid.axes), 0))
    return np.roll(values, tuple(-n for n in jet.shifts), axis=over)
