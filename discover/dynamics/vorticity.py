"""Two-dimensional flow on a doubly periodic beta plane, by its vorticity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from discover.dynamics.etdrk4 import ETDRK4
from discover.observations.grid import Grid
from discover.typing import FloatArray

__all__ = ["VorticityEquation", "stream_function"]


def stream_function(fields: Mapping[str, FloatArray], grid: Grid) -> dict[str, FloatArray]:
    """Return the stream function of a vorticity: ``psi_xx + psi_yy = w``, of zero mean.

    Parameters
    ----------
    fields : mapping of str to ndarray of shape ``(..., *grid)``
        With the vorticity as ``w``.
    grid : Grid
        Periodic.

    Returns
    -------
    dict of str to ndarray
        The stream function as ``psi``: an `auxiliary` of
        :class:`~discover.ModelErrorDiscovery`.
    """
    return {"psi": grid.from_modes(_inverse_laplacian(grid) * grid.to_modes(fields["w"]))}


def _inverse_laplacian(grid: Grid) -> FloatArray:
    """Return the symbol of the inverse Laplacian, 0 for the mean."""
    squared = grid.radius**2
    return np.divide(-1.0, squared, out=np.zeros_like(squared), where=squared > 0)


@dataclass(frozen=True, eq=False)
class VorticityEquation:
    """``w_t = psi_y w_x - psi_x w_y - beta psi_x + nu (w_xx + w_yy) - mu w + forcing``.

    Parameters
    ----------
    grid : Grid
        Two periodic axes: x, eastward, and y, northward.
    viscosity, drag, beta : float, default=0.0
        nu, in squares of the grid's unit over time, mu, in one over time, and the northward
        gradient of the Coriolis parameter.
    forcing : ndarray of shape ``(*grid,)``, optional
        Steady curl of a force, in units of `w` over time.

    Raises
    ------
    ValueError
        If the grid does not have two periodic axes, or the forcing another shape.

    Notes
    -----
    Pseudo-spectral: products on the grid, then waves beyond two thirds of the shortest
    resolved one are dropped along either axis (Orszag, J. Atmos. Sci. 28 (1971) 1074).
    Linear terms are exact, by ETDRK4. The stream function has the velocity
    ``(-psi_y, psi_x)`` (Vallis, Atmospheric and Oceanic Fluid Dynamics, 2nd ed., chapter 11).
    """

    grid: Grid
    viscosity: float = 0.0
    drag: float = 0.0
    beta: float = 0.0
    forcing: FloatArray | None = None
    vectorized: ClassVar[bool] = True  # steps many fields at once

    def __post_init__(self) -> None:
        if len(self.grid.axes) != 2 or not self.grid.is_periodic:
            raise ValueError("VorticityEquation: grid must have two periodic axes, x and y.")
        if self.forcing is not None and np.shape(self.forcing) != self.grid.shape:
            raise ValueError(
                f"VorticityEquation: forcing must have the shape {self.grid.shape} of the grid; "
                f"got {np.shape(self.forcing)}."
            )

    @cached_property
    def _flow(self) -> ETDRK4:
        grid, inverse = self.grid, _inverse_laplacian(self.grid)
        along_x, along_y = grid.multiplier((1, 0)), grid.multiplier((0, 1))
        resolved = np.ones(grid.radius.shape)
        for k, axis in zip(grid.wavenumbers, grid.axes, strict=True):
            resolved = resolved * (np.abs(k) < 2.0 / 3.0 * np.pi / axis.spacing)
        linear = -self.viscosity * grid.radius**2 - self.drag - self.beta * along_x * inverse
        forced = 0.0 if self.forcing is None else np.fft.rfftn(self.forcing)

        def nonlinear(v: Any, w: FloatArray) -> Any:
            psi = inverse * v
            u_east, u_north = (np.fft.irfftn(f, grid.shape, axes=(-2, -1))
                               for f in (-along_y * psi, along_x * psi))  # fmt: skip
            flux = [np.fft.rfftn(u * w, axes=(-2, -1)) for u in (u_east, u_north)]
            return resolved * (forced - along_x * flux[0] - along_y * flux[1])

        return ETDRK4(linear, nonlinear, grid.shape)

    def _flat(self, x: ArrayLike) -> FloatArray:
        w = np.asarray(x, dtype=np.float64)
        return w.reshape(*w.shape[:-2], self.grid.size)

    def rhs(self, x: ArrayLike, t: float = 0.0, u: ArrayLike | None = None) -> FloatArray:
        """Return the time derivative of vorticities, shape ``(..., *grid)``."""
        return self._flow.rhs(self._flat(x)).reshape(np.shape(x))

    def step(self, x: ArrayLike, t: Any, dt: float, u: ArrayLike | None = None) -> FloatArray:
        """Return the vorticities one step later, shape ``(..., *grid)``."""
        return self._flow.step(self._flat(x), 0.0, dt).reshape(np.shape(x))
