"""The Lorenz system (E. N. Lorenz, J. Atmos. Sci. 20 (1963) 130-141): law and exact data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from discover.libraries import PolynomialLibrary
from discover.symbolic import SymbolicModel
from discover.typing import FloatArray

__all__ = ["EQUATIONS", "STARTS", "coefficients", "exact_run", "law", "slope"]

EQUATIONS: tuple[dict[str, float], ...] = (
    {"x": -10.0, "y": 10.0},
    {"x": 28.0, "y": -1.0, "x*z": -1.0},
    {"z": -8.0 / 3.0, "x*y": 1.0},
)
#: Initial states on, near and far from the attractor.
STARTS = ((-8.0, 8.0, 27.0), (1.0, 1.0, 1.0), (5.0, -3.0, 40.0), (-12.0, -15.0, 30.0))


def coefficients(names: Sequence[str]) -> FloatArray:
    """Return the coefficients (3, n_terms) for terms with these names."""
    return np.array([[equation.get(name, 0.0) for name in names] for equation in EQUATIONS])


def law(degree: int = 2) -> SymbolicModel:
    """Return the exact law over polynomials of a degree."""
    table = PolynomialLibrary(degree).build(["x", "y", "z"])
    return SymbolicModel(table, coefficients(table.names), ["x", "y", "z"])


def slope(t: float, state: FloatArray) -> list[float]:
    """Return the time derivatives, as SciPy asks for them."""
    x, y, z = state
    return [10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z]


def exact_run(start: ArrayLike, times: FloatArray, rtol: float = 1e-13) -> FloatArray:
    """Integrate by SciPy's DOP853, independently of this package; (n_times, 3)."""
    from scipy.integrate import solve_ivp

    found = solve_ivp(
        slope, times[[0, -1]], start, method="DOP853", t_eval=times, rtol=rtol, atol=rtol
    )
    return np.ascontiguousarray(found.y.T)


def law_96(n_states: int, forcing: float = 8.0) -> SymbolicModel:
    """Return the law of E. N. Lorenz's model of 1996 on a ring (Predictability, ECMWF)."""
    names = [f"x{i}" for i in range(n_states)]
    table = PolynomialLibrary(2).build(names)
    place = {name: k for k, name in enumerate(table.names)}
    values = np.zeros((n_states, table.n_terms))
    for i in range(n_states):
        ahead, before, two = (i + 1) % n_states, (i - 1) % n_states, (i - 2) % n_states
        values[i, place["1"]], values[i, place[names[i]]] = forcing, -1.0
        for other, sign in ((ahead, 1.0), (two, -1.0)):
            low, high = sorted((other, before))
            values[i, place[f"x{low}*x{high}"]] += sign
    return SymbolicModel(table, values, names)
