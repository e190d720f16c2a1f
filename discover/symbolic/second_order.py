"""Second-order laws: ``y'' = f(y, y')`` as a first-order system in positions and velocities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from discover.libraries.termtable import TermTable, TermTableBuilder
from discover.typing import BoolArray, FloatArray

__all__ = ["with_kinematics"]


def with_kinematics(
    table: TermTable, coefficients: FloatArray, support: BoolArray, velocities: Sequence[str]
) -> tuple[TermTable, FloatArray, BoolArray]:
    """Put the exact equations ``y' = y_dot`` in front of those of the velocities.

    Parameters
    ----------
    table : TermTable
        Its inputs include the velocities.
    coefficients, support : ndarray of shape (n_coordinates, n_terms)
        The law of the velocities.
    velocities : sequence of str
        The inputs that are the velocities, in the order of the equations.

    Returns
    -------
    table : TermTable
        With the velocities among its terms.
    coefficients, support : ndarray of shape (2 * n_coordinates, n_terms_now)
        Terms that were there keep their place, so the order of the active ones does not
        change.
    """
    builder = TermTableBuilder(table.inputs)
    slots = builder.copy(table, table.outputs.tolist())
    wider = builder.table([*slots, *map(builder.input, velocities)])
    place = [wider.outputs.tolist().index(builder.input(name)) for name in velocities]
    n, p = coefficients.shape
    values, active = np.zeros((2 * n, wider.n_terms)), np.zeros((2 * n, wider.n_terms), dtype=bool)
    values[np.arange(n), place], active[np.arange(n), place] = 1.0, True
    values[n:, :p], active[n:, :p] = coefficients, support
    return wider, values, active
