"""The weak form, re-weighted: windows that overlap share their noise, and are told so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded
from scipy.sparse import csr_array, diags_array, eye_array, kron
from sklearn.base import BaseEstimator

from discover.estimation.collocation import law_on
from discover.estimation.marginal import inverse_scaled
from discover.estimation.search import InformationSearch, term_penalties
from discover.libraries.termtable import TermTable
from discover.observations import Trajectory
from discover.problems import WeakForm
from discover.problems.base import input_rows, usable_segments
from discover.problems.scales import noise_level
from discover.problems.switches import split_at_switches
from discover.regression import Estimate
from discover.typing import BoolArray, FloatArray

__all__ = ["ReweightedWeakForm"]

_FLOOR = 1e-6  # of the mean variance of a row: quadrature, and rows the noise does not reach


class ReweightedWeakForm(BaseEstimator):
    """Weak-form regression with the covariance that noisy states give its rows.

    Parameters
    ----------
    form : WeakForm, optional
        Its windows; by default automatic.
    max_iter : int, default=20

    Notes
    -----
    WENDy: Bortz, Messenger and Dukic, Bull. Math. Biol. 85 (2023) 110. To first order in the
    noise, the rows ``-int phi' x - int phi f(x)`` have the covariance ``L Sigma L'`` with
    ``L = -(Phi' + Phi df/dx)``: windows that overlap are correlated, and so are equations.
    The law in L is that of the round before. Supports are searched on the normal equations of all
    equations together, as in the joint fit. The noise inside the terms still biases
    coefficients at second order, which the joint fit does not suffer from; but one round
    costs little more than a regression.
    """

    def __init__(self, form: WeakForm | None = None, *, max_iter: int = 20) -> None:
        self.form = form
        self.max_iter = max_iter

    def identify(
        self,
        runs: Sequence[Trajectory],
        table: TermTable,
        *,
        allowed: BoolArray | None = None,
        include_time: bool = False,
    ) -> Estimate:
        """Estimate the law.

        Parameters
        ----------
        runs : sequence of Trajectory
        table : TermTable
        allowed : ndarray of bool, shape (n_states, n_terms), optional
        include_time : bool, default=False

        Returns
        -------
        Estimate

        Raises
        ------
        DataError
            If no stretch of the data holds a window.
        """
        pieces, _ = usable_segments(runs, 3, "ReweightedWeakForm")
        form = (WeakForm() if self.form is None else self.form).resolved(pieces)
        sigma = noise_level(pieces)
        rows = [_Rows.of(piece, table, form, include_time) for piece in pieces]
        d, p = pieces[0].n_states, table.n_terms
        n = sum(len(r.targets) for r in rows)
        penalty = term_penalties(table, d, n)
        coefficients = np.zeros((p, d))
        support = np.zeros((d, p), dtype=bool)
        n_iter = 0
        while n_iter < self.max_iter:
            n_iter += 1
            sums = [r.normal(coefficients, sigma) for r in rows]
            S, b = np.sum([s[0] for s in sums], axis=0), np.sum([s[1] for s in sums], axis=0)
            search = InformationSearch(S, b, None if allowed is None else allowed.ravel())
            found = search.best(penalty, support.ravel()).reshape(d, p)
            before, coefficients = coefficients, search.solve(found.ravel())[0].reshape(d, p).T
            change = np.abs(coefficients - before).max() / np.abs(coefficients).max(initial=1e-300)
            settled, support = bool((found == support).all()), found
            if settled and change < 1e-6:
                break
        flat = support.ravel()
        return Estimate(
            coefficients=np.ascontiguousarray(coefficients.T),
            support=support,
            covariance=inverse_scaled(S[np.ix_(flat, flat)]),
            noise_variance=sigma**2,
            n_effective=float(n),
            condition_number=float("nan"),
            n_iter=n_iter,
        )


@dataclass(frozen=True, eq=False)
class _Rows:
    """Windows on one run, and the terms integrated against them."""

    table: TermTable
    inputs: FloatArray
    phi: csr_array
    slope: csr_array
    theta: FloatArray  # (n_windows, n_terms)
    targets: FloatArray  # (n_windows, d)

    @classmethod
    def of(cls, run: Trajectory, table: TermTable, form: WeakForm, include_time: bool) -> _Rows:
        phi, slope = _windows(run.times, float(form.width), float(form.spacing), int(form.power))
        inputs = np.ascontiguousarray(input_rows(run, include_time))
        nodes, weights = split_at_switches(run, inputs, run.times, run.n_states, phi)
        theta = np.asarray(weights @ table.evaluate(np.ascontiguousarray(nodes)))
        return cls(table, inputs, phi, slope, theta, -np.asarray(slope @ run.states))

    def normal(self, coefficients: FloatArray, sigma: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``G' C^-1 G`` and ``G' C^-1 y`` for all equations together."""
        n, d = self.targets.shape
        p = self.theta.shape[1]
        L = self.propagation(coefficients)
        C = (L @ diags_array(np.tile(sigma**2, self.phi.shape[1])) @ L.T).tocoo()
        size = C.diagonal().reshape(n, d).mean(axis=0)  # per equation: they have units
        half = int(np.max(C.row - C.col, initial=0))
        band = np.zeros((half + 1, n * d))
        low = C.row >= C.col
        band[(C.row - C.col)[low], C.col[low]] = C.data[low]
        band[0] += np.tile(np.where(size > 0, _FLOOR * size, 1.0), n)
        each = np.zeros((n, d, d, p))
        for i in range(d):
            each[:, i, i] = self.theta
        G = each.reshape(n * d, d * p)
        solved = cho_solve_banded((cholesky_banded(band, lower=True), True), G)
        return G.T @ solved, solved.T @ self.targets.ravel()

    def propagation(self, coefficients: FloatArray) -> csr_array:
        """Return how the noise of the samples moves the residuals, to first order."""
        n, d = self.inputs.shape[0], self.targets.shape[1]
        _, slopes = law_on(self.table, coefficients, self.inputs)
        blocks = np.arange(n) * d
        row = (blocks[:, None, None] + np.arange(d)[:, None] + np.zeros((d, d), int)).ravel()
        column = (blocks[:, None, None] + np.arange(d)[None, :] + np.zeros((d, d), int)).ravel()
        jacobian = csr_array((slopes.ravel(), (row, column)), shape=(n * d, n * d))
        each = eye_array(d, format="csr")
        return csr_array(kron(self.slope, each) + kron(self.phi, each) @ jacobian)


def _windows(
    times: FloatArray, width: float, spacing: float, power: int
) -> tuple[csr_array, csr_array]:
    """Return quadrature against bumps and against their derivatives, each (n_windows, n).

    The trapezoidal rule on the samples, wherever they are; the weights of a bump sum to one.
    """
    n = len(times)
    width = min(width, float(times[-1] - times[0]))
    dt = float(times[-1] - times[0]) / (n - 1)
    m = max(1, min(round(width / 2 / dt), (n - 1) // 2))
    starts = np.arange(0, n - 2 * m, max(1, round(spacing / dt)))
    columns = starts[:, None] + np.arange(2 * m + 1)
    nodes = times[columns]
    half = 0.5 * (nodes[:, -1] - nodes[:, 0])[:, None]
    s = np.clip((nodes - 0.5 * (nodes[:, :1] + nodes[:, -1:])) / half, -1.0, 1.0)
    trapezium = np.gradient(nodes, axis=1)
    phi = trapezium * (1 - s**2) ** power
    slope = trapezium * -2 * power * s * (1 - s**2) ** (power - 1) / half
    total = phi.sum(axis=1, keepdims=True)
    shape = (len(starts), n)
    pointers = np.arange(len(starts) + 1) * (2 * m + 1)
    return (
        csr_array(((phi / total).ravel(), columns.ravel(), pointers), shape=shape),
        csr_array(((slope / total).ravel(), columns.ravel(), pointers), shape=shape),
    )
