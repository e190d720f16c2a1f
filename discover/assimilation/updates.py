"""Updates: what an analysis does to an ensemble, as weights on its members.

Every scheme without localisation turns an ensemble into combinations of its members. The
weights are found once, from the observations, and can then be applied to the state, to
past states (a smoother) and to parameters alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from discover.kernels import ensembles as kernel
from discover.typing import FloatArray

__all__ = ["Departures", "Spectrum", "Update", "rotation"]

Profile = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, eq=False)
class Departures:
    """An ensemble seen through the observations, in units of their errors.

    Parameters
    ----------
    S : ndarray of shape (n_members, n_observed)
        Whitened anomalies of the predicted observations over ``sqrt(n_members - 1)``.
    d : ndarray of shape (n_observed,)
        Whitened innovation: observation minus mean prediction.
    """

    S: FloatArray
    d: FloatArray

    @property
    def n_members(self) -> int:
        """Number of members."""
        return len(self.S)

    @cached_property
    def spectrum(self) -> Spectrum:
        """Eigenvalues of ``S S'``, found in the smaller of the two spaces."""
        return Spectrum(self.S)

    def chi_squared(self) -> float:
        """Return ``d' (I + S' S)^-1 d``; its expectation is the number of observations."""
        if "spectrum" in self.__dict__:
            return float(self._through_spectrum())
        return self._through_cholesky()

    def _through_spectrum(self) -> float:
        s = self.spectrum
        z = s.project(self.S @ self.d)
        return float(self.d @ self.d - (z * z / (1.0 + s.values)).sum())

    def _through_cholesky(self) -> float:
        from scipy.linalg import cho_factor, cho_solve

        N, p = self.S.shape
        if p <= N:
            C = self.S.T @ self.S
            C.flat[:: p + 1] += 1.0
            return float(self.d @ cho_solve(cho_factor(C), self.d))
        C = self.S @ self.S.T
        C.flat[:: N + 1] += 1.0
        z = self.S @ self.d
        return float(self.d @ self.d - z @ cho_solve(cho_factor(C), z))


class Spectrum:
    """Eigen-decomposition of ``G = S S'`` (n_members x n_members).

    With fewer observations than members, ``S' S`` is decomposed instead and ``G`` is never
    formed: the remaining eigenvalues of ``G`` are zero.

    Attributes
    ----------
    values : ndarray of shape (k,)
        ``k`` is the smaller of the two sizes.
    vectors : ndarray of shape (n_members, k)
        Eigenvectors of ``G``; in the observation space, times the roots of the
        eigenvalues, which may be zero.
    """

    def __init__(self, S: FloatArray) -> None:
        self.n_members, n_observed = S.shape
        self.in_ensemble_space = n_observed >= self.n_members
        if self.in_ensemble_space:
            values, self.vectors = np.linalg.eigh(S @ S.T)
        else:
            values, U = np.linalg.eigh(S.T @ S)
            self.vectors = S @ U
        self.values = np.maximum(values, 0.0)

    def project(self, Sd: FloatArray) -> FloatArray:
        """Return the coordinates of ``S d`` on orthonormal eigenvectors."""
        z = Sd @ self.vectors
        if self.in_ensemble_space:
            return np.asarray(z, dtype=np.float64)
        root = np.sqrt(self.values)
        return np.asarray(np.divide(z, root, out=np.zeros_like(z), where=root > 0))

    def solve(self, rows: FloatArray) -> FloatArray:
        """Multiply rows (..., n_members) by ``(I + G)^-1``."""
        V, g = self.vectors, self.values
        if self.in_ensemble_space:
            return np.asarray(((rows @ V) / (1.0 + g)) @ V.T)
        return np.asarray(rows - ((rows @ V) / (1.0 + g)) @ V.T)

    def update(self, w: FloatArray, profile: Profile, change: Profile) -> Update:
        """Return the update with mean weights `w` and anomalies times a function of ``G``.

        Parameters
        ----------
        w : ndarray of shape (n_members,)
        profile : callable
            The function ``f`` of the eigenvalues.
        change : callable
            ``(f(g) - 1) / g``, written so that it is exact for small eigenvalues.
        """
        V = self.vectors
        if self.in_ensemble_space:
            return Update((V * profile(self.values)) @ V.T + w)
        # f(G) = I + V diag(change) V', and w is in the span of V by construction
        return Update(None, V * change(self.values), V.T, w)


@dataclass(frozen=True, eq=False)
class Update:
    """A linear map of ensembles: ``E -> mean + W (E - mean)``.

    Either `W` itself, or, where there are few observations,
    ``W = scale I + left right + 1 w'``, which is never formed.

    Parameters
    ----------
    W : ndarray of shape (n_members, n_members), optional
    left, right : ndarray of shape (n_members, k) and (k, n_members), optional
    w : ndarray of shape (n_members,), optional
        Weights of the mean.
    scale : float, default=1.0
    """

    W: FloatArray | None
    left: FloatArray | None = None
    right: FloatArray | None = None
    w: FloatArray | None = None
    scale: float = 1.0

    def apply(self, E: FloatArray) -> FloatArray:
        """Return the updated ensemble, shape (n_members, n_states)."""
        mean = E.mean(axis=0)
        X = E - mean
        if self.W is not None:
            out = self.W @ X
            out += mean
            return np.asarray(out)
        assert self.left is not None
        assert self.right is not None
        out = self.left @ (self.right @ X)
        if self.w is not None:
            mean = mean + self.w @ X
        X *= self.scale
        out += X
        out += mean
        return np.asarray(out)

    def dense(self) -> FloatArray:
        """Return the weights ``W``."""
        if self.W is not None:
            return self.W
        assert self.left is not None
        assert self.right is not None
        W = self.left @ self.right
        W.flat[:: len(W) + 1] += self.scale
        return np.asarray(W if self.w is None else W + self.w)

    def rotated(self, Lambda: FloatArray) -> Update:
        """Return the update followed by a mean-preserving rotation."""
        return Update(Lambda @ self.dense())


def rotation(n_members: int, *, rng: np.random.Generator) -> FloatArray:
    """Draw an orthogonal matrix that keeps the vector of ones.

    Parameters
    ----------
    n_members : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n_members, n_members)

    Notes
    -----
    ``H diag(1, Q) H`` with `Q` uniform on the orthogonal group, a product of reflections of
    random vectors [1]_, and `H` the reflection that swaps the ones and the first axis.
    Mean and covariance of an ensemble are unchanged [2]_.

    References
    ----------
    .. [1] G. W. Stewart, "The efficient generation of random orthogonal matrices with an
       application to condition estimators", SIAM J. Numer. Anal. 17 (1980) 403-409.
    .. [2] P. Sakov, P. R. Oke, "Implications of the form of the ensemble transformation
       in the ensemble square root filters", Mon. Weather Rev. 136 (2008) 1042-1053.
    """
    Lambda = np.eye(n_members)
    kernel.rotate(rng.standard_normal((n_members - 1, n_members - 1)), Lambda)
    return Lambda
