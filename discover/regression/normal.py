"""Least squares on any support, from statistics alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dposv
from scipy.optimize import nnls
from scipy.sparse.csgraph import connected_components

from discover.exceptions import NotIdentifiableError
from discover.statistics import SufficientStatistics
from discover.typing import BoolArray, FloatArray

__all__ = ["LinearConstraints", "NormalEquations"]

_WORST_SUPPORT = 1e12


@dataclass(frozen=True, eq=False)
class LinearConstraints:
    """Equations ``C vec(coefficients) = d``, and inequalities ``A vec(coefficients) <= b``.

    Parameters
    ----------
    C : ndarray of shape (n_constraints, n_targets * n_terms)
        Row-major over targets, then terms; in the units of the coefficients.
    d : ndarray of shape (n_constraints,)
    A : ndarray of shape (n_inequalities, n_targets * n_terms)
    b : ndarray of shape (n_inequalities,)
    """

    C: FloatArray
    d: FloatArray
    A: FloatArray
    b: FloatArray


class NormalEquations:
    """Normal equations with unit-norm columns.

    Parameters
    ----------
    stats : SufficientStatistics
    constraints : LinearConstraints, optional

    Notes
    -----
    Where the statistics carry an R factor, supports are solved by QR of its columns,
    which has the accuracy of a QR factorisation of all rows; otherwise by Cholesky of
    the Gram matrix.
    """

    def __init__(
        self, stats: SufficientStatistics, constraints: LinearConstraints | None = None
    ) -> None:
        p = stats.n_terms
        self.stats = stats
        self.constraints = constraints
        lengths = np.sqrt(np.diag(stats.total))
        self.usable = lengths[:p] > 0
        self.lengths = np.where(lengths > 0, lengths, 1.0)
        #: multiply unit-norm coefficients (n_targets, n_terms) by this for those in units
        self.to_units = (stats.scale[p:] / stats.scale[:p, None]).T / self.lengths[:p]
        G = stats.total / np.outer(self.lengths, self.lengths)
        self.gram, self.moments = G[:p, :p], G[:p, p:].T * self.lengths[p:, None]
        self.energy = lengths[p:] ** 2  # scaled target sums of squares

    @cached_property
    def triangle(self) -> FloatArray:
        """R factor with unit-norm columns of Theta; targets keep their scale."""
        p = self.stats.n_terms
        R = self.stats.triangle.copy()
        R[:, :p] /= self.lengths[:p]
        return R

    @cached_property
    def rank(self) -> int:
        """Number of independent columns, as far as rounding lets it be told."""
        p = self.stats.n_terms
        if self.stats.factor is not None:
            return int(np.linalg.matrix_rank(self.triangle[:, :p], tol=1e-13 * p))
        return int((np.linalg.eigvalsh(self.gram) > 1e-13 * p).sum())

    def rss(self, support: BoolArray, target: int, coefficients: FloatArray) -> float:
        """Return the (scaled) residual sum of squares of unit-norm coefficients."""
        c = coefficients[support]
        if self.stats.factor is not None:
            p = self.stats.n_terms
            residual = self.triangle[:, p + target] - self.triangle[:, :p][:, support] @ c
            return float(residual @ residual)
        G = self.gram[np.ix_(support, support)]
        value = self.energy[target] - 2 * self.moments[target, support] @ c + c @ G @ c
        return max(float(value), float(self.energy[target]) * np.finfo(float).eps)

    def solve(
        self,
        support: BoolArray,
        target: int,
        *,
        ridge: float | FloatArray = 0.0,
        b: FloatArray | None = None,
    ) -> FloatArray:
        """Solve one target on one support.

        Parameters
        ----------
        support : ndarray of bool, shape (n_terms,)
        target : int
        ridge : float or ndarray of shape (n_terms,), default=0.0
            Relative to the squared norm of the columns.
        b : ndarray of shape (n_terms,), optional
            Right-hand side; by default the moments of the target.

        Returns
        -------
        ndarray of shape (n_terms,)
            Unit-norm coefficients, zero outside the support.
        """
        out = np.zeros(len(support))
        if not support.any():
            return out
        weights = np.broadcast_to(ridge, support.shape)[support]
        if self.stats.factor is not None:
            out[support] = self._solve_by_qr(support, target, weights, b)
            return out
        rhs = self.moments[target] if b is None else b
        G = self.gram[np.ix_(support, support)]
        if weights.any():
            G = G + np.diag(weights)
        _, solution, failed = dposv(G, rhs[support])
        out[support] = np.linalg.lstsq(G, rhs[support])[0] if failed else solution
        return out

    def _solve_by_qr(
        self, support: BoolArray, target: int, ridge: FloatArray, b: FloatArray | None
    ) -> FloatArray:
        p = self.stats.n_terms
        A, y = self.triangle[:, :p][:, support], self.triangle[:, p + target]
        if ridge.any():
            A = np.concatenate([A, np.diag(np.sqrt(ridge))])
            y = np.concatenate([y, np.zeros(A.shape[1])])
        Q, R = np.linalg.qr(A)
        if np.abs(np.diag(R)).min() < 1e-14:
            return np.asarray(np.linalg.lstsq(A, y, rcond=None)[0])
        if b is None:
            return np.asarray(solve_triangular(R, Q.T @ y))
        return np.asarray(solve_triangular(R, solve_triangular(R, b[support], trans=1)))

    def solve_all(
        self,
        support: BoolArray,
        *,
        b: FloatArray | None = None,
        homogeneous: bool = False,
        shrinkage: FloatArray | None = None,
    ) -> FloatArray:
        """Solve every target on its support, under the constraints if there are any.

        Parameters
        ----------
        support : ndarray of bool, shape (n_targets, n_terms)
        b : ndarray of shape (n_targets, n_terms), optional
            Right-hand sides, by default the moments.
        homogeneous : bool, default=False
            Solve for a correction: constraints with zero on the right.
        shrinkage : ndarray of shape (n_targets, n_terms), optional
            Ridge of every coefficient, relative to the squared norm of its column; not
            with constraints.

        Returns
        -------
        ndarray of shape (n_targets, n_terms)
            Unit-norm coefficients.
        """
        if self.constraints is not None:
            return self._solve_constrained(support, b, homogeneous)
        ridges = np.zeros(support.shape) if shrinkage is None else shrinkage
        return np.stack(
            [
                self.solve(row, j, ridge=ridges[j], b=None if b is None else b[j])
                for j, row in enumerate(support)
            ]
        )

    def _groups(self) -> list[list[int]]:
        """Return the targets that constraints tie together; a free target is alone."""
        q = self.stats.n_targets
        assert self.constraints is not None
        both = np.concatenate([self.constraints.C, self.constraints.A])
        ties = (both.reshape(-1, q, self.stats.n_terms) != 0).any(axis=2)
        linked = (ties.T.astype(int) @ ties.astype(int) > 0) | np.eye(q, dtype=bool)
        _, labels = connected_components(linked, directed=False)
        return [np.flatnonzero(labels == label).tolist() for label in np.unique(labels)]

    def _solve_constrained(
        self, support: BoolArray, b: FloatArray | None, homogeneous: bool
    ) -> FloatArray:
        """Solve the targets that constraints tie together in their null space."""
        out = np.zeros(support.shape)
        for group in self._groups():
            tied = _TiedTargets(self, support, group, homogeneous)
            out[group] = tied.solve(self.moments if b is None else b)
        return out

    def covariance(self, support: BoolArray, noise: FloatArray) -> FloatArray:
        """Return the covariance of the active coefficients, in units.

        Parameters
        ----------
        support : ndarray of bool, shape (n_targets, n_terms)
        noise : ndarray of shape (n_targets,)
            Variance of the rows, scaled targets, times rows per independent row.
        """
        factors = self.to_units[support]
        targets = np.nonzero(support)[0]
        covariance = np.zeros((len(factors), len(factors)))
        groups = [[j] for j in range(len(support))] if self.constraints is None else self._groups()
        for group in groups:
            here = np.flatnonzero(np.isin(targets, group))
            if self.constraints is None:
                block = self.inverse(support[group[0]]) * noise[group[0]]
            else:
                block = _TiedTargets(self, support, group, True).covariance(noise)
            covariance[np.ix_(here, here)] = block
        return covariance * np.outer(factors, factors)

    def sandwich(self, support: BoolArray, target: int, ridge: FloatArray) -> FloatArray:
        """Return the covariance of one target's coefficients from scores of blocks, in units.

        Parameters
        ----------
        support : ndarray of bool, shape (n_terms,)
        target : int
        ridge : ndarray of shape (n_terms,)
            As in :meth:`solve`.

        Returns
        -------
        ndarray of shape (n_active, n_active)

        Notes
        -----
        ``B (sum_b g_b g_b') B`` with `B` the inverse of the Gram matrix and `g_b` the score
        ``Theta_b' (y_b - Theta_b xi)`` of a block of rows (Liang and Zeger, Biometrika 73
        (1986) 13-22), times ``n_b / (n_b - k)``. Errors may have any variance and
        correlation that does not reach from one block far into the next.
        """
        stats, p = self.stats, self.stats.n_terms
        k, n_blocks = int(support.sum()), stats.n_blocks
        if n_blocks <= k + 1:
            raise NotIdentifiableError(
                f"sandwich: {n_blocks} blocks of rows cannot tell the scatter of {k} scores; keep "
                "more blocks, or take uncertainty='posterior'."
            )
        unit = self.solve(support, target, ridge=ridge)
        v = np.zeros(stats.moments.shape[1])
        v[:p], v[p + target] = -unit / self.lengths[:p], 1.0
        scores = (stats.moments @ v)[:, :p][:, support] / self.lengths[:p][support]
        half = scores @ np.linalg.inv(self.gram[np.ix_(support, support)] + np.diag(ridge[support]))
        factors = self.to_units[target][support]
        return np.asarray(half.T @ half * (n_blocks / (n_blocks - k)) * np.outer(factors, factors))

    def inverse(self, support: BoolArray) -> FloatArray:
        """Return the inverse of the unit-norm Gram matrix on a support."""
        if not support.any():
            return np.zeros((0, 0))
        if self.stats.factor is None:
            G = self.gram[np.ix_(support, support)]
            _, inverse, failed = dposv(G, np.eye(len(G)))
            return np.asarray(np.linalg.pinv(G, hermitian=True) if failed else inverse)
        R = np.linalg.qr(self.triangle[:, : self.stats.n_terms][:, support]).R
        half = np.linalg.pinv(R)
        return np.asarray(half @ half.T)

    def check_identifiable(self, support: BoolArray, names: Sequence[str] | None = None) -> None:
        """Raise if the columns that a target uses cannot be told apart.

        Parameters
        ----------
        support : ndarray of bool, shape (n_targets, n_terms)
        names : sequence of str, optional

        Raises
        ------
        NotIdentifiableError
            Naming the two columns that carry most of the dependence.
        """
        names = tuple(map(str, range(self.stats.n_terms))) if names is None else names
        for row in np.unique(support, axis=0):
            if row.sum() > 1:
                self._check_columns(row, names)

    def _check_columns(self, support: BoolArray, names: Sequence[str]) -> None:
        if self.stats.factor is None:
            # a Gram matrix cannot show condition numbers above 1e8: its rounding hides them
            values, vectors = np.linalg.eigh(self.gram[np.ix_(support, support)])
            low, high, weakest = np.sqrt(max(values[0], 0.0)), np.sqrt(values[-1]), vectors[:, 0]
            worst = 3e7
        else:
            columns = self.triangle[:, : self.stats.n_terms][:, support]
            _, singular, right = np.linalg.svd(columns, full_matrices=False)
            low, high, weakest, worst = singular[-1], singular[0], right[-1], _WORST_SUPPORT
        if low * worst > high:
            return
        condition = float(high) / max(float(low), float(np.finfo(float).tiny))
        active = np.flatnonzero(support)
        first, second = active[np.argsort(-np.abs(weakest))[:2]]
        raise NotIdentifiableError(
            f"columns {names[first]!r} and {names[second]!r} of the library are collinear on "
            f"these data (condition number {condition:.0e}); drop one, or state the constraint "
            "with ReducedLibrary."
        )


class _TiedTargets:
    """Least squares for targets with constraints between them.

    The targets are weighted by their inverse residual variances; variables are scaled by
    the roots of the weights, so that all columns keep unit norm.
    """

    def __init__(
        self, equations: NormalEquations, support: BoolArray, group: list[int], homogeneous: bool
    ) -> None:
        assert equations.constraints is not None
        self.equations, self.support = equations, support[group]
        self.targets, self.terms = np.nonzero(self.support)
        self.group = np.array(group)
        self.roots = np.sqrt(self._weights())
        C, d = self._scaled(equations.constraints.C, equations.constraints.d)
        A, b = self._scaled(equations.constraints.A, equations.constraints.b)
        self._reduce(C, d)
        if len(A):
            tight = self._tight(A, b)
            C, d = np.concatenate([C, A[tight]]), np.concatenate([d, b[tight]])
            self._reduce(C, d)
        if homogeneous:
            self._reduce(C, np.zeros(len(C)))

    def _scaled(self, C: FloatArray, d: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the equations of this group, for the scaled variables."""
        equations = self.equations
        C = C.reshape(-1, equations.stats.n_targets, equations.stats.n_terms) * equations.to_units
        mine = (C[:, self.group] != 0).any(axis=(1, 2))
        owners = self.group[self.targets]
        return C[mine][:, owners, self.terms] / self.roots[self.targets], d[mine]

    def _reduce(self, C: FloatArray, d: FloatArray) -> None:
        """Take out what the equations settle."""
        self.start, self.null = _affine(C, d, len(self.terms))
        self.blocks = [self._block(t) for t in range(len(self.group))]
        tall = np.concatenate(self.blocks) if self.blocks else np.zeros((0, self.null.shape[1]))
        self.R: FloatArray = np.linalg.qr(tall).R

    def _tight(self, A: FloatArray, b: FloatArray) -> BoolArray:
        """Return which inequalities hold as equations where least squares obeys all of them.

        The least distance problem (Lawson and Hanson, Solving Least Squares Problems, 1974,
        chapter 23): the dual is a non-negative least-squares problem, and an inequality is
        tight where its multiplier is positive.
        """
        room = b - A @ self.start
        if not self.null.shape[1]:
            return np.zeros(len(A), dtype=bool)
        length = np.linalg.norm(A, axis=1)
        length = np.where(length > 0, length, 1.0)
        inverse = np.linalg.pinv(self.R)
        f = inverse.T @ (self.null.T @ self._right_side(self.equations.moments))
        G = -(A / length[:, None]) @ self.null @ inverse
        h = -(room / length) - G @ f
        size = max(float(np.abs(h).max()), float(np.finfo(float).tiny))
        if not (h > 1e-12 * size).any():
            return np.zeros(len(A), dtype=bool)  # least squares obeys them by itself
        E = np.concatenate([G.T, h[None] / size])
        goal = np.zeros(len(E))
        goal[-1] = 1.0
        multipliers, _ = nnls(E, goal)
        return np.asarray(multipliers > 1e-10 * max(float(multipliers.max()), 1e-300))

    def _weights(self) -> FloatArray:
        eq = self.equations
        rss = [
            eq.rss(row, j, eq.solve(row, j)) + 1e-12 * eq.energy[j]
            for row, j in zip(self.support, self.group, strict=True)
        ]
        return np.asarray(eq.stats.n_samples / np.maximum(np.array(rss), np.finfo(float).tiny))

    def _columns(self, t: int) -> FloatArray:
        p = self.equations.stats.n_terms
        return self.equations.triangle[:, :p][:, self.terms[self.targets == t]]

    def _block(self, t: int) -> FloatArray:
        return np.asarray(self._columns(t) @ self.null[self.targets == t])

    def _right_side(self, b: FloatArray) -> FloatArray:
        """Return right-hand sides `b` for the scaled variables, less what is settled."""
        rhs = np.asarray(b[self.group[self.targets], self.terms] * self.roots[self.targets])
        for t in range(len(self.group)):
            columns, mine = self._columns(t), self.targets == t
            rhs[mine] -= columns.T @ (columns @ self.start[mine])
        return rhs

    def solve(self, b: FloatArray) -> FloatArray:
        """Return unit-norm coefficients (n_group, n_terms) for right-hand sides `b`."""
        rhs = self._right_side(b)
        y = self._inverse() @ (self.null.T @ rhs) if self.null.shape[1] else np.zeros(0)
        out = np.zeros(self.support.shape)
        out[self.support] = (self.start + self.null @ y) / self.roots[self.targets]
        return out

    def _inverse(self) -> FloatArray:
        half = np.linalg.pinv(self.R)
        return np.asarray(half @ half.T)

    def covariance(self, noise: FloatArray) -> FloatArray:
        """Return the covariance of the unit-norm coefficients (sandwich formula)."""
        if not self.null.shape[1]:
            return np.zeros((len(self.terms), len(self.terms)))
        spread = noise[self.group] * self.roots**2
        middle = sum(k * block.T @ block for k, block in zip(spread, self.blocks, strict=True))
        bread = self.null @ self._inverse()
        scale = self.roots[self.targets]
        return np.asarray(bread @ middle @ bread.T / np.outer(scale, scale))


def _affine(C: FloatArray, d: FloatArray, n: int) -> tuple[FloatArray, FloatArray]:
    """Return a point and a basis of the solutions of ``C v = d``."""
    length = np.sqrt((C**2).sum(axis=1))
    dead = length == 0
    if (dead & (d != 0)).any():
        raise NotIdentifiableError(
            "constraints: an equation has a value other than 0, but its terms were removed."
        )
    if dead.all():
        return np.zeros(n), np.eye(n)
    C, d = C[~dead] / length[~dead, None], d[~dead] / length[~dead]
    start = np.asarray(np.linalg.lstsq(C, d, rcond=None)[0], dtype=np.float64)
    if not np.allclose(C @ start, d, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(d).max())):
        raise NotIdentifiableError("constraints: the equations contradict each other.")
    _, singular, right = np.linalg.svd(C)
    rank = int((singular > 1e-12 * singular[0]).sum())
    return start, np.asarray(right[rank:].T)
