"""Forgetting: statistics in which every step counts a little less than the one after it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from discover.control.coordinates import Coordinates
from discover.control.stops import Stops
from discover.libraries.termtable import TermTable
from discover.problems.base import DesignRows
from discover.statistics import MonomialRows, SufficientStatistics, accumulate
from discover.typing import FloatArray

__all__ = ["Memory", "Sizes", "WeightedRows", "weighted_statistics"]

_FORGOTTEN = 1e-12  # share of all weight below which old blocks go


class WeightedRows:
    """Rows of a regression, each counted as often as its weight says; a RowSource.

    Parameters
    ----------
    rows : DesignRows
    weights : ndarray of shape (n_rows,)
    """

    monomials: MonomialRows | None = None  # those would be summed without weights

    def __init__(self, rows: DesignRows, weights: FloatArray) -> None:
        self.rows, self._roots = rows, np.sqrt(weights)
        self.n_rows, self.n_terms = rows.n_rows, rows.n_terms
        self.n_targets, self.edges = rows.n_targets, rows.edges

    def write(self, start: int, stop: int, scale: FloatArray, out: FloatArray) -> None:
        """Write scaled rows ``start .. stop`` into ``out[:, : stop - start]``."""
        self.rows.write(start, stop, scale, out)
        out[:, : stop - start] *= self._roots[start:stop]


def weighted_statistics(
    rows: DesignRows, weights: FloatArray, n_blocks: int
) -> SufficientStatistics:
    """Fold weighted rows into block moments.

    Parameters
    ----------
    rows : DesignRows
    weights : ndarray of shape (n_rows,)
    n_blocks : int
    """
    found = accumulate(WeightedRows(rows, weights), n_blocks=n_blocks)
    edges = np.linspace(0, rows.n_rows, found.n_blocks + 1).astype(np.int64)
    return replace(found, counts=np.add.reduceat(weights, edges[:-1]))


@dataclass(frozen=True, eq=False)
class Sizes:
    """How large increments were.

    Parameters
    ----------
    squares : ndarray of shape (n_states,)
        Weighted sums of their squares.
    weight : float
        Of all steps.
    n_rows : int
        Steps that went in.
    """

    squares: FloatArray
    weight: float
    n_rows: int

    @property
    def scale(self) -> FloatArray:
        """Root-mean-square of each, or 1 for what does not move."""
        size = np.sqrt(self.squares / self.weight)
        return np.where(size > 0, size, 1.0)


@dataclass(frozen=True, eq=False)
class Memory:
    """All that is kept of a plant: what its states are, and statistics that fade.

    Parameters
    ----------
    coordinates : Coordinates
    stops : Stops
    table : TermTable
    velocities : mapping of int to int
        Position to the term that is its velocity.
    stats : SufficientStatistics
    sizes : Sizes
    """

    coordinates: Coordinates
    stops: Stops
    table: TermTable
    velocities: dict[int, int]
    stats: SufficientStatistics
    sizes: Sizes

    def faded(self, share: float) -> Memory:
        """Return what is left when all steps count by a share of what they did."""
        weights = np.full(self.stats.n_blocks, share)
        sizes = replace(
            self.sizes, squares=share * self.sizes.squares, weight=share * self.sizes.weight
        )
        return replace(self, stats=self.stats.reweighted(weights), sizes=sizes)

    def joined(self, later: Memory) -> Memory:
        """Return this memory and a later one in one; blocks that no longer count go."""
        both = self.stats + later.stats
        first = int(np.searchsorted(np.cumsum(both.counts), _FORGOTTEN * both.n_samples))
        stats = replace(both, moments=both.moments[first:], counts=both.counts[first:])
        a, b = self.sizes, later.sizes
        sizes = Sizes(a.squares + b.squares, a.weight + b.weight, a.n_rows + b.n_rows)
        return replace(self, stops=later.stops, stats=stats, sizes=sizes)
