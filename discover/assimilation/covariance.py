"""Covariance: error statistics as a number, a diagonal, a matrix or a factor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solve_triangular

from discover.typing import BoolArray, FloatArray

__all__ = ["Covariance"]

_SYMMETRY = 1e-10  # relative


class Covariance:
    """A positive definite covariance, kept in the form it came in: never made denser.

    Parameters
    ----------
    value : array-like, or Covariance
        A number (the same variance everywhere, no correlations), an array of shape (p,)
        (variances) or a symmetric matrix of shape (p, p).
    size : int
        The number `p` of components.
    owner, name : str
        Who asks, and for which parameter; begin every message.

    Raises
    ------
    ValueError
        If the shape does not match `size`, or the value is not finite, symmetric and
        positive definite.

    Notes
    -----
    A vector is *whitened* when it is multiplied by the inverse of a square root of the
    covariance: its components then are uncorrelated, with variance one. A number or a
    diagonal costs O(p) for it, a matrix O(p**2) after one Cholesky factorisation.
    """

    def __init__(
        self, value: ArrayLike | Covariance, size: int, owner: str = "Covariance", name: str = "R"
    ) -> None:
        self.size, self.owner, self.name = int(size), owner, name
        self._roots: tuple[bytes, FloatArray] | None = None
        self.scale: FloatArray
        self.matrix: FloatArray | None
        self.factor: FloatArray | None
        if isinstance(value, Covariance):
            if value.size != self.size:
                raise self._misfit(f"a covariance of size {value.size}")
            self.scale, self.matrix, self.factor = value.scale, value.matrix, value.factor
            return
        array = np.array(value, dtype=np.float64)
        if array.shape not in ((), (size,), (size, size)) or (size == 1 and array.ndim == 2):
            array = self._squeezed(array)
        self.factor = None
        self.matrix = array if array.ndim == 2 else None
        self.scale = np.sqrt(self._checked(array))  # standard deviations, (p,) or ()

    @classmethod
    def from_factor(cls, factor: ArrayLike) -> Covariance:
        """Return the covariance ``factor @ factor.T``.

        Parameters
        ----------
        factor : array-like of shape (p, k)
            Any square root, of full row rank (k >= p): a Cholesky factor, or scaled
            samples.
        """
        root = np.array(factor, dtype=np.float64)
        if root.ndim != 2 or root.shape[1] < root.shape[0] or not np.isfinite(root).all():
            raise ValueError(
                f"Covariance: factor must be finite, of shape (p, k) with k >= p; got {root.shape}."
            )
        found = cls(1.0, len(root))
        found.factor, found.scale = root, np.sqrt((root**2).sum(axis=1))
        found._triangle(np.ones(len(root), dtype=bool))  # complain now
        return found

    def _squeezed(self, array: FloatArray) -> FloatArray:
        if self.size == 1 and array.size == 1:
            return array.reshape(1)
        raise self._misfit(str(array.shape))

    def _misfit(self, found: str) -> ValueError:
        p = self.size
        return ValueError(
            f"{self.owner}: {self.name} must be a number or have shape ({p},) or ({p}, {p}) to "
            f"match {p} components; got {found}."
        )

    def _checked(self, array: FloatArray) -> FloatArray:
        """Return the variances, checked."""
        variances = np.diag(array) if array.ndim == 2 else array
        if not (np.isfinite(array).all() and (variances > 0).all()):
            raise ValueError(
                f"{self.owner}: {self.name} must be finite with positive variances; got "
                f"{np.array2string(variances, threshold=6, precision=4)}."
            )
        if array.ndim == 2:
            skew = float(np.abs(array - array.T).max())
            if skew > _SYMMETRY * float(variances.max()):
                raise ValueError(
                    f"{self.owner}: {self.name} must be symmetric; it differs from its transpose "
                    f"by {skew:g}."
                )
        return np.asarray(variances)

    @property
    def is_diagonal(self) -> bool:
        """Whether the components are uncorrelated."""
        return self.matrix is None and self.factor is None

    @property
    def variances(self) -> FloatArray:
        """Variances, shape (p,)."""
        return np.asarray(np.broadcast_to(self.scale**2, (self.size,)))

    def dense(self) -> FloatArray:
        """Return the matrix (p, p); nothing here needs it."""
        if self.factor is not None:
            return np.asarray(self.factor @ self.factor.T)
        return np.diag(self.variances) if self.matrix is None else self.matrix.copy()

    def block(self, chosen: Any) -> FloatArray:
        """Return the matrix of a few components: rows and columns `chosen`."""
        if self.factor is not None:
            return np.asarray(self.factor[chosen] @ self.factor[chosen].T)
        if self.matrix is not None:
            return np.asarray(self.matrix[np.ix_(chosen, chosen)])
        return np.diag(self.variances[chosen])

    def whiten(self, rows: FloatArray, observed: BoolArray | None = None) -> FloatArray:
        """Multiply every row by the inverse square root of the covariance.

        Parameters
        ----------
        rows : ndarray of shape (..., n_observed)
        observed : ndarray of bool, shape (p,), optional
            The components that `rows` has; all by default.
        """
        if self.is_diagonal:
            scale = self.scale
            if observed is not None and scale.ndim:
                scale = scale[observed]
            return np.asarray(rows / scale)
        L = self._triangle(np.ones(self.size, dtype=bool) if observed is None else observed)
        flat = np.ascontiguousarray(rows).reshape(-1, len(L))
        return np.asarray(solve_triangular(L, flat.T, lower=True).T.reshape(rows.shape))

    def color(self, rows: FloatArray) -> FloatArray:
        """Turn rows of independent standard normal numbers into errors, shape (..., p)."""
        if self.is_diagonal:
            return np.asarray(rows * self.scale)
        return np.asarray(rows @ self._triangle(np.ones(self.size, dtype=bool)).T)

    def draw(self, size: int, *, rng: np.random.Generator) -> FloatArray:
        """Draw errors, shape (size, p)."""
        return self.color(rng.standard_normal((size, self.size)))

    def _triangle(self, observed: BoolArray) -> FloatArray:
        """Return the Cholesky factor of the observed block; the last one is kept."""
        key = observed.tobytes()
        if self._roots is None or self._roots[0] != key:
            self._roots = key, self._factorized(observed)
        return self._roots[1]

    def _factorized(self, observed: BoolArray) -> FloatArray:
        if self.factor is not None:
            # L L' = F F' with F' = Q L': no product is formed, so no digit is lost
            upper: FloatArray = np.asarray(np.linalg.qr(self.factor[observed].T, mode="r"))
            signs = np.where(np.diag(upper) < 0, -1.0, 1.0)
            lower = upper.T * signs
            if len(lower) and not np.diag(lower).min() > 1e-14 * np.diag(lower).max():
                raise ValueError(f"{self.owner}: the factor of {self.name} must have full rank.")
            return np.asarray(lower)
        assert self.matrix is not None
        block = self.matrix if observed.all() else self.matrix[np.ix_(observed, observed)]
        try:
            return np.asarray(np.linalg.cholesky(block))
        except np.linalg.LinAlgError:
            least = float(np.linalg.eigvalsh(block)[0])
            raise ValueError(
                f"{self.owner}: {self.name} must be positive definite; its smallest eigenvalue "
                f"is {least:g}."
            ) from None
