"""SufficientStatistics: all that a linear regression needs of the data, additively."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Protocol

import numpy as np
from scipy.linalg import get_lapack_funcs
from scipy.linalg.blas import dsyrk

from discover.typing import FloatArray, IntArray

__all__ = ["RowSource", "SufficientStatistics", "accumulate", "orthogonalize"]

TILE = 2048  # rows per tile: the tile of 60 columns is 1 MB and stays in the L2 cache
MOST_BLOCKS = 200
BLOCK_BYTES = 256 * 2**20
#: Above this condition number of the unit-norm columns the Gram matrix has lost too many
#: digits, and the R factor of the rows is used instead.
WORST_GRAM_CONDITION = 1e6


class RowSource(Protocol):
    """Rows ``[theta, y]`` of a regression, written tile by tile."""

    n_rows: int
    n_terms: int
    n_targets: int
    edges: IntArray  # row numbers where runs begin, and n_rows: nothing is correlated across

    def write(self, start: int, stop: int, scale: FloatArray, out: FloatArray) -> None:
        """Write scaled rows ``start .. stop`` into ``out[:, : stop - start]``, term-major."""
        ...


@dataclass(frozen=True, eq=False)
class SufficientStatistics:
    """Second moments of ``[Theta, Y]``, in contiguous blocks of rows that add up.

    Parameters
    ----------
    moments : ndarray of shape (n_blocks, m, m)
        ``Z'Z`` per block, where `Z` are the columns of ``[Theta, Y]``, each divided by
        its power of two, and ``m = n_terms + n_targets``.
    exponents : ndarray of int, shape (m,)
        Column `j` was multiplied by ``2**-exponents[j]``: exact, so no digit is lost.
    counts : ndarray of shape (n_blocks,)
        Rows (sum of weights) per block.
    n_targets : int
    factor : ndarray of shape (m, m), optional
        Upper-triangular R of the scaled rows, when their Gram matrix is too
        ill-conditioned to stand for them.
    lagged : ndarray of shape (n_blocks, m, m), optional
        ``Z[:-1]' Z[1:]`` within the runs of each block.
    ends : ndarray of shape (n_blocks, 2, m, m), optional
        Moments of the first and of the last row of each run.
    n_effective : float, optional
        Number of independent rows; by default the number of rows.
    floor : ndarray of shape (n_targets,), optional
        Root-mean-square error of the rows themselves (differentiation, quadrature), in
        units of the targets: residuals below it carry no information.

    Notes
    -----
    ``a + b`` are the statistics of both sets of rows. Memory is O(n_blocks m^2), however
    many rows there were; weighting the blocks gives bootstrap and cross-validation
    samples without another look at the data.
    """

    moments: FloatArray
    exponents: IntArray
    counts: FloatArray
    n_targets: int
    factor: FloatArray | None = None
    lagged: FloatArray | None = None
    ends: FloatArray | None = None
    n_effective: float | None = None
    floor: FloatArray | None = None

    @property
    def n_terms(self) -> int:
        """Number of columns of Theta."""
        return int(self.moments.shape[1]) - self.n_targets

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return len(self.moments)

    @property
    def n_samples(self) -> float:
        """Number of rows, or the sum of their weights."""
        return float(self.counts.sum())

    @property
    def effective_samples(self) -> float:
        """Number of independent rows."""
        return self.n_samples if self.n_effective is None else self.n_effective

    @property
    def scale(self) -> FloatArray:
        """Powers of two by which the columns were divided, shape (m,)."""
        return np.ldexp(1.0, self.exponents)

    @cached_property
    def total(self) -> FloatArray:
        """Scaled moments of all rows, shape (m, m)."""
        return np.asarray(self.moments.sum(axis=0))

    @cached_property
    def norms(self) -> FloatArray:
        """Root-mean-square of the scaled columns, shape (m,)."""
        return np.sqrt(np.diag(self.total) / max(self.n_samples, 1.0))

    @cached_property
    def condition_number(self) -> float:
        """Condition number of Theta with unit-norm columns.

        From the Gram matrix it can be told up to about 1e7; beyond that, and for
        collinear columns, infinity is returned unless the R factor is there.
        """
        p = self.n_terms
        length = np.sqrt(np.diag(self.total)[:p])
        unit = 1.0 / np.where(length > 0, length, 1.0)
        if self.factor is not None:
            singular = np.linalg.svd(self.factor[:, :p] * unit, compute_uv=False)
            low, high = singular[-1], singular[0]
            return float(high / low) if low > 0 else np.inf
        values = np.linalg.eigvalsh(self.total[:p, :p] * np.outer(unit, unit))
        low, high = values[0], values[-1]
        return float(np.sqrt(high / low)) if low > 10 * p * np.finfo(float).eps * high else np.inf

    @cached_property
    def triangle(self) -> FloatArray:
        """Upper-triangular R with ``R'R`` the scaled moments, shape (m, m).

        The R factor of the rows where it was kept, else the Cholesky factor.
        """
        return _cholesky(self.total) if self.factor is None else self.factor

    def reweighted(self, weights: FloatArray) -> SufficientStatistics:
        """Return the statistics with every block counted `weights[b]` times."""
        w = np.asarray(weights, dtype=np.float64)
        if w.shape != (self.n_blocks,) or (w < 0).any():
            raise ValueError(
                f"SufficientStatistics: weights must be {self.n_blocks} numbers of at least 0; "
                f"got shape {w.shape}."
            )
        share = float((w * self.counts).sum() / self.n_samples)
        return replace(
            self,
            moments=self.moments * w[:, None, None],
            counts=self.counts * w,
            factor=None,
            lagged=None if self.lagged is None else self.lagged * w[:, None, None],
            ends=None if self.ends is None else self.ends * w[:, None, None, None],
            n_effective=None if self.n_effective is None else self.n_effective * share,
        )

    def whitened(self, rho: float) -> SufficientStatistics:
        """Return the statistics of rows whitened for AR(1) errors.

        Parameters
        ----------
        rho : float
            Lag-one correlation of the errors, -1 < rho < 1.

        Notes
        -----
        Exact generalised least squares for a stationary AR(1) process (Prais and
        Winsten 1954): ``(1 + rho^2) S0 - rho (S1 + S1') - rho^2 (first + last)``.
        """
        if self.lagged is None or self.ends is None:
            raise ValueError("SufficientStatistics: lags were not kept; accumulate with lags=True.")
        if not -1 < rho < 1:
            raise ValueError(f"SufficientStatistics: rho must be between -1 and 1; got {rho}.")
        cross = self.lagged + self.lagged.transpose(0, 2, 1)
        moments = (1 + rho**2) * self.moments - rho * cross - rho**2 * self.ends.sum(axis=1)
        return replace(self, moments=moments, factor=None, lagged=None, ends=None)

    def rescaled(self, exponents: IntArray) -> SufficientStatistics:
        """Return the same statistics with other powers of two; exact."""
        shift = np.ldexp(1.0, self.exponents - exponents)
        both = np.outer(shift, shift)
        return replace(
            self,
            moments=self.moments * both,
            exponents=exponents,
            factor=None if self.factor is None else self.factor * shift,
            lagged=None if self.lagged is None else self.lagged * both,
            ends=None if self.ends is None else self.ends * both,
        )

    def __add__(self, other: SufficientStatistics) -> SufficientStatistics:
        if not isinstance(other, SufficientStatistics):
            return NotImplemented
        if (self.n_terms, self.n_targets) != (other.n_terms, other.n_targets):
            raise ValueError(
                "SufficientStatistics: terms and targets must agree; got "
                f"{(self.n_terms, self.n_targets)} and {(other.n_terms, other.n_targets)}."
            )
        other = other.rescaled(self.exponents)
        keep_lags = self.lagged is not None and other.lagged is not None
        merged = replace(
            self,
            moments=np.concatenate([self.moments, other.moments]),
            counts=np.concatenate([self.counts, other.counts]),
            factor=_stacked_factor(self, other),
            lagged=np.concatenate([self.lagged, other.lagged]) if keep_lags else None,
            ends=np.concatenate([self.ends, other.ends]) if keep_lags else None,
            n_effective=self.effective_samples + other.effective_samples,
            floor=_pooled_floor(self, other),
        )
        return merged._coarsened()

    def _coarsened(self) -> SufficientStatistics:
        """Merge neighbouring blocks until there are few enough."""
        stats = self
        while stats.n_blocks > _most_blocks(stats.moments.shape[1]):
            pairs = np.arange(0, stats.n_blocks, 2)
            stats = replace(
                stats,
                moments=np.add.reduceat(stats.moments, pairs),
                counts=np.add.reduceat(stats.counts, pairs),
                lagged=None if stats.lagged is None else np.add.reduceat(stats.lagged, pairs),
                ends=None if stats.ends is None else np.add.reduceat(stats.ends, pairs),
            )
        return stats


def _most_blocks(m: int) -> int:
    return int(max(1, min(MOST_BLOCKS, BLOCK_BYTES // (8 * m * m))))


def _pooled_floor(a: SufficientStatistics, b: SufficientStatistics) -> FloatArray | None:
    if a.floor is None and b.floor is None:
        return None
    squares = [
        np.zeros(s.n_targets) if s.floor is None else s.n_samples * s.floor**2 for s in (a, b)
    ]
    return np.sqrt((squares[0] + squares[1]) / (a.n_samples + b.n_samples))


def _stacked_factor(a: SufficientStatistics, b: SufficientStatistics) -> FloatArray | None:
    if a.factor is None and b.factor is None:
        return None
    return _triangularize(np.concatenate([a.triangle, b.triangle]))


def _cholesky(G: FloatArray) -> FloatArray:
    """Return the upper Cholesky factor of a Gram matrix, which may be singular.

    Columns that are numerically dependent get the diagonal that rounding leaves.
    """
    length = np.sqrt(np.diag(G))
    unit = 1.0 / np.where(length > 0, length, 1.0)
    C = G * np.outer(unit, unit)
    jitter = 0.0
    for _ in range(20):
        try:
            lower = np.linalg.cholesky(C + jitter * np.eye(len(C)))
            return np.asarray(lower.T * np.where(length > 0, length, 0.0))
        except np.linalg.LinAlgError:
            jitter = max(10 * jitter, len(C) * np.finfo(float).eps)
    raise np.linalg.LinAlgError("SufficientStatistics: the moments are not positive definite.")


def _triangularize(rows: FloatArray) -> FloatArray:
    """Return R of a QR factorisation, square and zero-padded, with diagonal >= 0."""
    m = rows.shape[1]
    (geqrf,) = get_lapack_funcs(("geqrf",), (rows,))
    packed = geqrf(np.asfortranarray(rows), overwrite_a=True)[0][:m]
    R = np.zeros((m, m))
    R[: len(packed)] = np.triu(packed)
    return R * np.where(np.diag(R) < 0, -1.0, 1.0)[:, None]


def _block_edges(source: RowSource, n_blocks: int | None) -> IntArray:
    """Return row numbers that cut the rows into contiguous blocks of equal length."""
    most = _most_blocks(source.n_terms + source.n_targets)
    wanted = most if n_blocks is None else min(n_blocks, most)
    wanted = max(1, min(wanted, source.n_rows))
    return np.linspace(0, source.n_rows, wanted + 1).astype(np.int64)


def _exponents(source: RowSource, work: FloatArray) -> IntArray:
    """Return the powers of two nearest to the columns' RMS over the first tile."""
    n = min(source.n_rows, work.shape[1])
    source.write(0, n, np.ones(len(work)), work)
    with np.errstate(over="ignore"):
        peak = np.abs(work[:, :n]).max(axis=1, initial=0.0)
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
    update; nothing of size n_rows is allocated.
    """
    m = source.n_terms + source.n_targets
    edges = _block_edges(source, n_blocks)
    width = int(min(TILE, np.diff(edges).max(initial=1)))
    work = np.zeros((m, width))
    if exponents is None:
        exponents = _exponents(source, work)
    scale = np.ldexp(1.0, -exponents)
    moments = np.zeros((len(edges) - 1, m, m))
    for block, (lower, upper) in zip(moments, pairwise(edges), strict=True):
        for start in range(lower, upper, width):
            stop = min(start + width, upper)
            source.write(start, stop, scale, work)
            work[:, stop - start :] = 0.0
            dsyrk(1.0, work.T, trans=1, beta=1.0, c=block.T, overwrite_c=1, lower=1)
    _mirror(moments)
    lagged, ends = _lagged_moments(source, edges, scale, work) if lags else (None, None)
    counts = np.diff(edges).astype(np.float64)
    return SufficientStatistics(
        moments, exponents, counts, source.n_targets, lagged=lagged, ends=ends
    )


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
        R = _triangularize(np.concatenate([R, work[:, : stop - start].T]))
    return replace(stats, factor=R)
