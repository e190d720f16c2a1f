"""Fold rows into statistics: block moments by tiles, and the R factor by tiled QR."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Protocol

import numpy as np
from scipy.linalg.blas import dsyrk

from discover.statistics.monomials import MomentPlan, MonomialRows, plan_moments
from discover.statistics.sufficient import SufficientStatistics, most_blocks, triangularize
from discover.typing import FloatArray, IntArray

__all__ = ["WORST_GRAM_CONDITION", "RowSource", "accumulate", "orthogonalize"]

TILE = 1024  # rows per tile: the tile of 60 columns is half a megabyte, and stays in the cache
#: Above this condition number of the unit-norm columns the Gram matrix has lost too many
#: digits, and the R factor of the rows is used instead.
WORST_GRAM_CONDITION = 1e6


class RowSource(Protocol):
    """Rows ``[theta, y]`` of a regression, written tile by tile."""

    n_rows: int
    n_terms: int
    n_targets: int
    edges: IntArray  # row numbers where runs begin, and n_rows: nothing is correlated across
    monomials: MonomialRows | None  # the same rows, where all terms are monomials

    def write(self, start: int, stop: int, scale: FloatArray, out: FloatArray) -> None:
        """Write scaled rows ``start .. stop`` into ``out[:, : stop - start]``, term-major."""
        ...


def _block_edges(source: RowSource, n_blocks: int | None) -> IntArray:
    """Return row numbers that cut the rows into contiguous blocks of equal length."""
    most = most_blocks(source.n_terms + source.n_targets)
    wanted = most if n_blocks is None else min(n_blocks, most)
    wanted = max(1, min(wanted, source.n_rows))
    return np.linspace(0, source.n_rows, wanted + 1).astype(np.int64)


def _exponents(source: RowSource, work: FloatArray) -> IntArray:
    """Return the powers of two just above the columns' largest value in the first tile."""
    n = min(source.n_rows, work.shape[1])
    source.write(0, n, np.ones(len(work)), work)
    with np.errstate(over="ignore"):
        peak = np.abs(work[:, :n]).max(axis=1, initial=0.0)
    return _powers_of_two(peak)


def _powers_of_two(peak: FloatArray) -> IntArray:
    usable = np.isfinite(peak) & (peak > 0)
    return np.where(usable, np.frexp(np.where(usable, peak, 1.0))[1], 0).astype(np.int64)


def accumulate(
    source: RowSource,
    *,
    n_blocks: int | None = None,
    lags: bool = False,
    exponents: IntArray | None = None,
) -> SufficientStatistics:
    """Fold the rows of a source into block moments, one tile at a time.

    Parameters
    ----------
    source : RowSource
    n_blocks : int, optional
        By default 200, or as many as fit 256 MB.
    lags : bool, default=False
        Also keep lag-one cross moments; doubles to triples the arithmetic.
    exponents : ndarray of int, shape (n_terms + n_targets,), optional
        Powers of two of the columns; by default from the first tile.

    Returns
    -------
    SufficientStatistics

    Notes
    -----
    Each tile is written term-major into one buffer and folded in by the BLAS rank-k
    update; nothing of size n_rows is allocated. Where all terms are monomials and their
    products repeat, each distinct product is summed once instead.
    """
    edges = _block_edges(source, n_blocks)
    m = source.n_terms + source.n_targets
    work = np.zeros((m, int(min(TILE, np.diff(edges).max(initial=1)))))
    rows = source.monomials
    plan = (
        None
        if rows is None or exponents is not None
        else plan_moments(rows.powers, source.n_targets)
    )
    if plan is not None and rows is not None:
        exponents, moments = _fold_monomials(rows, plan, edges)
    else:
        exponents = _exponents(source, work) if exponents is None else exponents
        moments = _fold_tiles(source, edges, np.ldexp(1.0, -exponents), work)
    lagged, ends = None, None
    if lags:
        lagged, ends = _lagged_moments(source, edges, np.ldexp(1.0, -exponents), work)
    counts = np.diff(edges).astype(np.float64)
    return SufficientStatistics(
        moments, exponents, counts, source.n_targets, lagged=lagged, ends=ends
    )


def _fold_monomials(
    rows: MonomialRows, plan: MomentPlan, edges: IntArray
) -> tuple[IntArray, FloatArray]:
    """Fold distinct products in; scales are those of the inputs, to the terms' powers."""
    first = slice(0, TILE)
    inputs = _powers_of_two(np.abs(rows.inputs[first]).max(axis=0, initial=0.0))
    targets = _powers_of_two(np.abs(rows.targets[first]).max(axis=0, initial=0.0))
    moments = plan.fold(rows, edges, np.concatenate([inputs, targets]))
    return np.concatenate([rows.powers @ inputs, targets]), moments


def _fold_tiles(
    source: RowSource, edges: IntArray, scale: FloatArray, work: FloatArray
) -> FloatArray:
    """Fold tiles in by the BLAS rank-k update."""
    m, width = work.shape
    moments = np.zeros((len(edges) - 1, m, m))
    for block, (lower, upper) in zip(moments, pairwise(edges), strict=True):
        for start in range(lower, upper, width):
            stop = min(start + width, upper)
            source.write(start, stop, scale, work)
            work[:, stop - start :] = 0.0
            dsyrk(1.0, work.T, trans=1, beta=1.0, c=block.T, overwrite_c=1, lower=1)
    _mirror(moments)
    return moments


def _mirror(moments: FloatArray) -> None:
    """Copy the triangle that the rank-k update wrote onto the other one."""
    n_blocks, m, _ = moments.shape
    flat = moments.reshape(n_blocks, m * m)
    rows, columns = np.triu_indices(m, 1)
    flat[:, columns * m + rows] = flat[:, rows * m + columns]


def _lagged_moments(
    source: RowSource, edges: IntArray, scale: FloatArray, work: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return ``Z[:-1]'Z[1:]`` and the moments of first and last rows, run by run."""
    m, width = work.shape
    lagged = np.zeros((len(edges) - 1, m, m))
    ends = np.zeros((len(edges) - 1, 2, m, m))
    cuts = np.union1d(edges, source.edges)
    last = np.zeros(m)
    for lower, upper in pairwise(cuts):
        block = int(np.searchsorted(edges, lower, side="right") - 1)
        for start in range(lower, upper, width):
            stop = min(start + width, upper)
            source.write(start, stop, scale, work)
            Z = work[:, : stop - start]
            if start == lower:
                ends[block, 0] += np.outer(Z[:, 0], Z[:, 0])
            else:
                lagged[block] += np.outer(last, Z[:, 0])
            lagged[block] += Z[:, :-1] @ Z[:, 1:].T
            last = Z[:, -1].copy()
        ends[block, 1] += np.outer(last, last)
    return lagged, ends


def orthogonalize(source: RowSource, stats: SufficientStatistics) -> SufficientStatistics:
    """Add the R factor of the rows to statistics, by tiled QR.

    Twice the digits of the Gram matrix, at several times its cost: for libraries whose
    columns are nearly collinear.
    """
    m = source.n_terms + source.n_targets
    width = max(TILE, 4 * m)
    work = np.zeros((m, width))
    scale = np.ldexp(1.0, -stats.exponents)
    R = np.zeros((0, m))
    for start in range(0, source.n_rows, width):
        stop = min(start + width, source.n_rows)
        source.write(start, stop, scale, work)
        R = triangularize(np.concatenate([R, work[:, : stop - start].T]))
    return replace(stats, factor=R)
