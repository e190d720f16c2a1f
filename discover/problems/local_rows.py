"""Rows of a library on flat states: of one system, or of sites that share one law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from discover.libraries.termtable import TermTable
from discover.observations.grid import Grid
from discover.problems.field_rows import FieldTerms
from discover.typing import FloatArray

__all__ = ["LocalTerms", "PointTerms", "SiteTerms"]


class LocalTerms(Protocol):
    """Candidate terms of a law that holds at every site of a state.

    A state has ``n_sites * n_components`` numbers, site by site.
    """

    @property
    def table(self) -> TermTable:
        """The terms."""
        ...

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the numbers at one site."""
        ...

    def evaluate(self, rows: FloatArray, controls: FloatArray | None = None) -> FloatArray:
        """Return all terms at states (n, n_states), shape (n, n_sites, n_terms)."""
        ...


@dataclass(frozen=True, eq=False)
class PointTerms:
    """Terms over the states of ordinary differential equations: all at one site.

    Parameters
    ----------
    table : TermTable
        Its inputs are the states, and the controls where there are some.
    components : tuple of str
    """

    table: TermTable
    components: tuple[str, ...]

    def evaluate(self, rows: FloatArray, controls: FloatArray | None = None) -> FloatArray:
        """Return all terms at states (n, n_states), shape (n, 1, n_terms).

        Parameters
        ----------
        rows : ndarray of shape (n, n_states)
        controls : ndarray of shape (n, n_controls), optional
        """
        inputs = rows if controls is None else np.hstack([rows, controls])
        return self.table.evaluate(inputs)[:, None]


@dataclass(frozen=True, eq=False)
class SiteTerms:
    """Terms over the values at a site and at its neighbours, on a ring of sites.

    Parameters
    ----------
    terms : FieldTerms
    grid : Grid
        Of sites.
    """

    terms: FieldTerms
    grid: Grid

    @property
    def table(self) -> TermTable:
        """The terms."""
        return self.terms.table

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the numbers at one site."""
        return self.terms.components

    def evaluate(self, rows: FloatArray, controls: FloatArray | None = None) -> FloatArray:
        """Return all terms at states (n, n_states), shape (n, n_sites, n_terms).

        Fields of sites have no controls.
        """
        states = rows.reshape(len(rows), *self.grid.shape, len(self.components))
        values = self.table.evaluate(self.terms.inputs(self.grid, states))
        return values.reshape(len(rows), self.grid.size, self.table.n_terms)
