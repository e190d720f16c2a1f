"""SufficientStatistics: all that a linear regression needs of the data, additively."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import get_lapack_funcs

from discover.typing import FloatArray, IntArray

__all__ = ["SufficientStatistics", "most_blocks", "triangularize"]

MOST_BLOCKS = 200
BLOCK_BYTES = 256 * 2**20


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

    def shifted(self, coefficients: FloatArray) -> SufficientStatistics:
        """Return the statistics of the same rows with ``Theta @ coefficients.T`` added to Y.

        Parameters
        ----------
        coefficients : ndarray of shape (n_targets, n_terms)
            In units of the rows.
        """
        p, s = self.n_terms, self.scale
        T = np.eye(self.moments.shape[1])
        T[:p, p:] = (coefficients * (s[:p] / s[p:, None])).T
        return replace(
            self,
            moments=T.T @ self.moments @ T,
            factor=None if self.factor is None else triangularize(self.factor @ T),
            lagged=None if self.lagged is None else T.T @ self.lagged @ T,
            ends=None if self.ends is None else T.T @ self.ends @ T,
        )

    def compact(self) -> SufficientStatistics:
        """Return the statistics in one block, without lags."""
        return replace(
            self,
            moments=self.total[None],
            counts=np.array([self.n_samples]),
            lagged=None,
            ends=None,
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

    def merged(self, n_blocks: int) -> SufficientStatistics:
        """Return the statistics with neighbouring blocks merged to at most `n_blocks`.

        Blocks that are longer than their share stay, so the lengths even out as data come in.
        """
        if self.n_blocks <= n_blocks:
            return self
        middle = np.cumsum(self.counts) - 0.5 * self.counts
        place = (middle * (n_blocks / max(self.n_samples, 1e-300))).astype(np.int64)
        first = np.flatnonzero(np.diff(place, prepend=-1))
        return replace(
            self,
            moments=np.add.reduceat(self.moments, first),
            counts=np.add.reduceat(self.counts, first),
            lagged=None if self.lagged is None else np.add.reduceat(self.lagged, first),
            ends=None if self.ends is None else np.add.reduceat(self.ends, first),
        )

    def _coarsened(self) -> SufficientStatistics:
        """Merge neighbouring blocks once there are too many, to half as many as may be."""
        most = most_blocks(self.moments.shape[1])
        return self if self.n_blocks <= most else self.merged(max(1, most // 2))


def most_blocks(m: int) -> int:
    """Return how many blocks of m x m moments may be kept."""
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
    return triangularize(np.concatenate([a.triangle, b.triangle]))


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


def triangularize(rows: FloatArray) -> FloatArray:
    """Return R of a QR factorisation, square and zero-padded, with diagonal >= 0."""
    m = rows.shape[1]
    (geqrf,) = get_lapack_funcs(("geqrf",), (rows,))
    packed = geqrf(np.asfortranarray(rows), overwrite_a=True)[0][:m]
    R = np.zeros((m, m))
    R[: len(packed)] = np.triu(packed)
    return R * np.where(np.diag(R) < 0, -1.0, 1.0)[:, None]
