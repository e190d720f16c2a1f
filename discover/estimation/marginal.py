"""Eliminate a trajectory: what is left is a regression on the parameters alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discover.exceptions import NotIdentifiableError
from discover.kernels import banded as kernel
from discover.typing import FloatArray, IntArray

__all__ = ["BandedInformation", "Sensitivities", "inverse_scaled", "solve_scaled"]

_STRETCH = 512  # unknowns that are eliminated at once, at least
_CACHED = 60_000  # numbers the second cache holds


@dataclass(frozen=True, eq=False)
class Sensitivities:
    """Derivatives of residual rows with respect to parameters, one stretch per row.

    Row `k` depends on the parameters ``offset[k] .. offset[k] + n_columns`` by
    ``columns[source[k]]``.

    Parameters
    ----------
    columns : ndarray of shape (n_sources, n_columns)
    source, offset : ndarray of int, shape (n_rows,)
    n_parameters : int
    """

    columns: FloatArray
    source: IntArray
    offset: IntArray
    n_parameters: int

    def products(self, r: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``B' W B`` and ``B' W r``."""
        n = self.n_parameters
        G, b = np.zeros((n, n)), np.zeros(n)
        width = self.columns.shape[1]
        for start in np.flatnonzero(np.bincount(self.offset)):
            rows = np.flatnonzero(self.offset == start)
            root = np.sqrt(weight[rows])
            B = self.columns[self.source[rows]] * root[:, None]
            own = slice(start, start + width)
            G[own, own] += B.T @ B  # symmetric: half the work
            b[own] += B.T @ (root * r[rows])
        return G, b

    def applied(self, step: FloatArray) -> FloatArray:
        """Return ``B step``: how far a step of the parameters moves the residuals."""
        reach = self.offset[:, None] + np.arange(self.columns.shape[1])
        return np.asarray((self.columns[self.source] * step[reach]).sum(axis=1))


class BandedInformation:
    """Gaussian information on a trajectory, from residuals that are local in time.

    The negative log-density of the unknowns `x` around the point of linearisation is
    ``dx' H dx / 2 + g' dx``, with `H` banded: every residual touches a short stretch.

    Parameters
    ----------
    n_unknowns : int
        States times samples, in order of time.
    width : int
        The longest stretch of unknowns a residual touches.

    Notes
    -----
    One engine for collocation, weak-constraint 4D-Var and smoothing with sensitivities:
    they differ only in the residuals. Cost and memory are linear in the number of unknowns.
    """

    def __init__(self, n_unknowns: int, width: int) -> None:
        self.band = np.zeros((n_unknowns, width))
        self.gradient = np.zeros(n_unknowns)
        self._factored = False

    def add(self, first: IntArray, J: FloatArray, r: FloatArray, weight: FloatArray) -> None:
        """Add residuals ``r + J dx[first : first + width]`` of precision `weight`.

        Parameters
        ----------
        first : ndarray of int, shape (n_rows,)
        J : ndarray of shape (n_rows, width)
        r, weight : ndarray of shape (n_rows,)
        """
        kernel.add_residuals(first, J, r, weight, self.band, self.gradient)

    def add_direct(self, r: FloatArray, weight: FloatArray) -> None:
        """Add residuals ``r + dx``, one per unknown; of precision zero where none was measured."""
        self.band[:, -1] += weight
        self.gradient += weight * r

    def factor(self) -> None:
        """Factorise `H` in place.

        Raises
        ------
        NotIdentifiableError
            If the residuals leave a direction of the trajectory open.
        """
        failed = kernel.factor(self.band)
        if failed >= 0:
            raise NotIdentifiableError(
                f"BandedInformation: the residuals do not determine unknown {failed} of the "
                "trajectory; measure more states, or start from a prior."
            )
        self._factored = True

    @property
    def log_determinant(self) -> float:
        """Log-determinant of `H`, once factored."""
        return float(2.0 * np.log(self.band[:, -1]).sum())

    def solve(self, b: FloatArray) -> FloatArray:
        """Return ``H^-1 b``."""
        x = b.copy()
        kernel.solve(self.band, x)
        return x

    def inverse(self) -> FloatArray:
        """Return ``H^-1`` inside the band, in the layout of `band`: marginal covariances."""
        out = np.zeros_like(self.band)
        kernel.selected_inverse(self.band, out)
        return out

    def variances(self) -> FloatArray:
        """Return the diagonal of ``H^-1``: marginal variances at fixed parameters."""
        return self.inverse()[:, -1].copy()

    def eliminated(
        self, first: IntArray, J: FloatArray, weight: FloatArray, B: Sensitivities
    ) -> tuple[FloatArray, FloatArray, float]:
        """Return what elimination takes from the normal equations of the parameters.

        Parameters
        ----------
        first, J, weight
            The residual rows that depend on the parameters, in order of `first`.
        B : Sensitivities
            Their derivatives.

        Returns
        -------
        reduction : ndarray of shape (n_parameters, n_parameters)
            ``R' H^-1 R``, with ``R = J' W B``: subtract it from ``B' W B``.
        gradient : ndarray of shape (n_parameters,)
            ``R' H^-1 g``: subtract it from ``B' W r``.
        cost : float
            ``g' H^-1 g``: subtract it from the weighted sum of squares.
        """
        n, width = self.band.shape
        h, m = width - 1, B.n_parameters
        stretch = max(_STRETCH, _CACHED // (m + 1))
        work = np.zeros((h + min(stretch, n), m + 1))
        total = np.zeros((m + 1, m + 1))
        begin = 0
        for low in range(0, n, stretch):
            high = min(low + stretch, n)
            rows = work[h : h + high - low]
            rows[:] = 0.0
            rows[:, m] = self.gradient[low:high]
            begin = kernel.add_coupling(
                first, J, weight, B.source, B.offset, B.columns, low, high, begin, rows
            )
            kernel.forward(self.band, low, work[: h + high - low])
            total += rows.T @ rows
            work[:h] = work[high - low : high - low + h].copy()
        return total[:m, :m], total[:m, m], float(total[m, m])

    def coupling(
        self, first: IntArray, J: FloatArray, weight: FloatArray, shift: FloatArray
    ) -> FloatArray:
        """Return ``J' W shift``, the change of the gradient when residuals move by `shift`."""
        out = np.zeros(len(self.gradient))
        kernel.add_gradient(first, J, shift, weight, out)
        return out


def solve_scaled(S: FloatArray, b: FloatArray) -> FloatArray:
    """Solve with unit diagonal; least squares where terms repeat each other."""
    scale = 1 / np.sqrt(np.maximum(np.diag(S), np.finfo(float).tiny))
    G = S * np.outer(scale, scale)
    try:
        return np.asarray(scale * np.linalg.solve(G, scale * b))
    except np.linalg.LinAlgError:
        return np.asarray(scale * np.linalg.lstsq(G, scale * b)[0])


def inverse_scaled(S: FloatArray) -> FloatArray:
    """Invert with unit diagonal; a pseudo-inverse where terms repeat each other."""
    scale = 1 / np.sqrt(np.maximum(np.diag(S), np.finfo(float).tiny))
    inverse = np.linalg.pinv(S * np.outer(scale, scale), hermitian=True)
    return np.asarray(inverse * np.outer(scale, scale))
