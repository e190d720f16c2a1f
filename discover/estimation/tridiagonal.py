"""Block-tridiagonal normal equations: trajectories eliminated, parameters kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError
from scipy.linalg.blas import dsyrk, dtrsm
from scipy.linalg.lapack import dpotrf

from discover.typing import FloatArray

__all__ = ["Elimination", "eliminate"]


@dataclass(frozen=True, eq=False)
class Elimination:
    """Factor of a block-tridiagonal matrix, with right-hand sides solved half way.

    Parameters
    ----------
    diagonal : list of ndarray of shape (n, n)
        Lower Cholesky factors L of the Schur complements.
    coupling : list of ndarray of shape (n, n)
        ``L^-1 H[j, j + 1]``.
    half : list of ndarray of shape (n, n_columns)
        ``L^-1`` of the right-hand sides.
    """

    diagonal: list[FloatArray]
    coupling: list[FloatArray]
    half: list[FloatArray]

    def quadratic(self) -> FloatArray:
        """Return ``B' H^-1 B`` for the right-hand sides B, shape (n_columns, n_columns)."""
        out = np.zeros((self.half[0].shape[1],) * 2)
        for w in self.half:
            out += w.T @ w
        return out

    def solve(self) -> FloatArray:
        """Return ``H^-1 B``, shape (n_blocks, n, n_columns)."""
        out = np.empty((len(self.half), *self.half[0].shape))
        following = None
        for j in range(len(self.half) - 1, -1, -1):
            rhs = self.half[j]
            if following is not None:
                rhs = rhs - self.coupling[j] @ following
            following = dtrsm(1.0, self.diagonal[j], rhs, lower=1, trans_a=1)
            out[j] = following
        return out


def eliminate(diagonal: FloatArray, upper: FloatArray, columns: FloatArray) -> Elimination:
    """Eliminate the blocks of a symmetric positive definite matrix, first to last.

    Parameters
    ----------
    diagonal : ndarray of shape (n_blocks, n, n)
    upper : ndarray of shape (n_blocks - 1, n, n)
        Block ``H[j, j + 1]``.
    columns : ndarray of shape (n_blocks, n, n_columns)
        Right-hand sides.

    Returns
    -------
    Elimination

    Raises
    ------
    LinAlgError
        If the matrix is not positive definite.

    Notes
    -----
    Cost O(n_blocks (n^3 + n^2 n_columns)). This is the information form of the
    Rauch-Tung-Striebel smoother: block `j` after elimination is the precision of the state
    at time `j` given everything up to it.
    """
    factors: list[FloatArray] = []
    couplings: list[FloatArray] = []
    halves: list[FloatArray] = []
    for j in range(len(diagonal)):
        block, rhs = diagonal[j], columns[j]
        if j:
            E = couplings[-1]
            block = block - dsyrk(1.0, E, trans=1, lower=1)
            rhs = rhs - E.T @ halves[-1]
        L, failed = dpotrf(block, lower=1)
        if failed:
            raise LinAlgError(f"the precision of state {j} is not positive definite.")
        factors.append(L)
        halves.append(dtrsm(1.0, L, rhs, lower=1))
        if j < len(upper):
            couplings.append(dtrsm(1.0, L, upper[j], lower=1))
    return Elimination(factors, couplings, halves)
