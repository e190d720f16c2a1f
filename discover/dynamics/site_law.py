"""A law of a value and its neighbours as dynamics on a ring of sites."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from discover.dynamics.classical import runge_kutta_step
from discover.dynamics.field_law import FieldLaw, check_targets
from discover.dynamics.open_law import OpenFieldLaw
from discover.observations.grid import Grid
from discover.problems.field_rows import Auxiliary, FieldTerms
from discover.symbolic.model import SymbolicModel
from discover.typing import FloatArray

__all__ = ["GridLaw", "SiteLaw", "flattened", "law_on_grid"]


@dataclass(frozen=True, eq=False)
class SiteLaw:
    """Right-hand side of one law that holds at every site of a ring.

    Parameters
    ----------
    model : SymbolicModel
        Of kind "direct": its inputs are components and their neighbours, ``X``, ``X_km1``;
        its targets ``X_t``, one per component.
    grid : Grid
        Of rings of sites.
    components : tuple of str
    auxiliary : callable, optional
        ``auxiliary(fields, grid)`` returns further values at the sites.

    Raises
    ------
    ValueError
        If the grid is not of sites, or targets and components differ in number.

    Notes
    -----
    Steps are those of the classical Runge-Kutta scheme of order four.
    """

    model: SymbolicModel
    grid: Grid
    components: tuple[str, ...]
    auxiliary: Auxiliary | None = None
    vectorized: ClassVar[bool] = True  # steps many states at once

    def __post_init__(self) -> None:
        if not self.grid.is_discrete:
            raise ValueError("SiteLaw: grid must be of sites, Axis.ring; for fields use FieldLaw.")
        check_targets("SiteLaw", self.model, self.components)

    def rhs(self, x: ArrayLike, t: float = 0.0, u: ArrayLike | None = None) -> FloatArray:
        """Return the time derivative, of the shape of `x`: ``(..., *grid[, n_components])``."""
        states = np.asarray(x, dtype=np.float64)
        whole = states.reshape(-1, *self.grid.shape, len(self.components))
        terms = FieldTerms(self.model.table, self.components, self.auxiliary)
        return self.model.rhs(terms.inputs(self.grid, whole)).reshape(states.shape)

    def step(self, x: ArrayLike, t: Any, dt: float, u: ArrayLike | None = None) -> FloatArray:
        """Return the states one step later."""
        return runge_kutta_step(self.rhs, np.asarray(x, dtype=np.float64), t, dt)


#: laws of fields, and of sites
GridLaw = FieldLaw | OpenFieldLaw | SiteLaw


def law_on_grid(
    model: SymbolicModel,
    grid: Grid,
    components: tuple[str, ...],
    auxiliary: Auxiliary | None = None,
    reach: float = np.inf,
) -> GridLaw:
    """Return a direct law of jets as dynamics on a grid of its kind."""
    if grid.is_discrete:
        return SiteLaw(model, grid, components, auxiliary)
    if not grid.is_periodic:
        return OpenFieldLaw(model, grid, components, auxiliary)
    return FieldLaw(model, grid, components, auxiliary, reach)


class _Flattened:
    """Dynamics whose states are vectors; `step` and `rhs` exist where they did before."""

    def __init__(self, dynamics: Any, shape: tuple[int, ...]) -> None:
        self.vectorized = bool(getattr(dynamics, "vectorized", False))
        for name in ("step", "rhs"):
            if hasattr(dynamics, name):
                setattr(self, name, partial(_reshaped, getattr(dynamics, name), shape))
        if not hasattr(dynamics, "step") and callable(dynamics):
            self.step = partial(_reshaped, dynamics, shape)


def _reshaped(function: Callable[..., Any], shape: tuple[int, ...], x: Any, *rest: Any) -> Any:
    out = np.asarray(function(np.reshape(x, (*np.shape(x)[:-1], *shape)), *rest))
    return out.reshape(*out.shape[: out.ndim - len(shape)], -1)


def flattened(dynamics: Any, shape: tuple[int, ...]) -> Any:
    """Return dynamics of arrays as those of vectors.

    Parameters
    ----------
    dynamics : object
        With ``step(x, t, dt)`` or ``rhs(x, t)``, or a function ``step(x, t, dt)``.
    shape : tuple of int
        Of its states.
    """
    return _Flattened(dynamics, shape)
