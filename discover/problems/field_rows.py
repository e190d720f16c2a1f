"""Rows of a library on states of a field: jets, products without aliasing, projection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from discover.libraries.termtable import TermTable
from discover.observations.grid import Grid
from discover.observations.jets import jet_rows
from discover.problems.spectra import FourierTests
from discover.typing import FloatArray

__all__ = ["Auxiliary", "FieldTerms", "product_degree"]

#: further fields computed from the components, such as a stream function from a vorticity
Auxiliary = Callable[[Mapping[str, FloatArray], Grid], Mapping[str, FloatArray]]
_TRANSCENDENTAL = 4  # products that a function other than a power is counted as


def product_degree(table: TermTable) -> int:
    """Return how many inputs the largest product of a table multiplies."""
    most = 1
    for term in range(table.n_terms):
        factors = table.factors(term)
        whole = sum(p if name in table.inputs else _TRANSCENDENTAL for name, p in factors.items())
        most = max(most, whole)
    return most


@dataclass(frozen=True, eq=False)
class FieldTerms:
    """A table of terms over the jets of a field.

    Parameters
    ----------
    table : TermTable
        Its inputs are jets of the components, and of the auxiliary fields.
    components : tuple of str
    auxiliary : callable, optional
    """

    table: TermTable
    components: tuple[str, ...]
    auxiliary: Auxiliary | None = None

    def inputs(self, grid: Grid, states: FloatArray) -> FloatArray:
        """Return rows of jets, shape (n_states * n_points, n_inputs).

        Parameters
        ----------
        grid : Grid
        states : ndarray of shape ``(n_states, *grid, n_components)``
        """
        fields = {name: states[..., i] for i, name in enumerate(self.components)}
        if self.auxiliary is not None:
            fields.update(self.auxiliary(fields, grid))
        return jet_rows(grid, fields, self.table.inputs)

    def evaluate(self, grid: Grid, states: FloatArray) -> FloatArray:
        """Return all terms on the grid, shape ``(n_states, n_terms, *grid)``."""
        rows = self.table.evaluate(self.inputs(grid, states))
        shaped = rows.reshape(len(states), grid.size, self.table.n_terms).transpose(0, 2, 1)
        return shaped.reshape(len(states), self.table.n_terms, *grid.shape)

    def project(self, grid: Grid, states: FloatArray, tests: FourierTests) -> FloatArray:
        """Return the terms projected on test functions, shape (n_states, n_rows, n_terms)."""
        return np.swapaxes(tests.project(grid, self.evaluate(grid, states)), 1, 2)
