"""Search for the support that normal equations of known noise like best."""

from __future__ import annotations

import numpy as np

from discover.kernels import sweeping as kernel
from discover.libraries.termtable import TermTable
from discover.statistics import SufficientStatistics
from discover.typing import BoolArray, FloatArray, IntArray

__all__ = ["InformationSearch", "factors_of", "sparse_start", "term_penalties"]

_WORTH = 0.5  # of the residual: what a term of a start must explain
_DEPENDENT = 1e-11  # residual share of a column below which it repeats the others


class InformationSearch:
    """Normal equations ``S xi = b`` whose noise is known, and supports judged by them.

    The misfit of a support is ``-b_s' S_ss^-1 b_s``, minus twice the log-likelihood up to a
    constant; a support costs its misfit plus the penalties of its terms.

    Parameters
    ----------
    S : ndarray of shape (n, n)
        Precision of all candidate coefficients.
    b : ndarray of shape (n,)
    allowed, kept : ndarray of bool, shape (n,), optional
        Terms that may enter, and terms that must stay.
    offset : float, default=0.0
        The misfit of no term at all.

    Notes
    -----
    One tableau swept in and out (Goodnight, Am. Stat. 33 (1979) 149-158) knows the gain
    of every addition and the cost of every removal.
    """

    def __init__(
        self,
        S: FloatArray,
        b: FloatArray,
        allowed: BoolArray | None = None,
        kept: BoolArray | None = None,
        offset: float = 0.0,
    ) -> None:
        diagonal = np.diag(S)
        usable = diagonal > 1e-300
        self.n = len(b)
        self.allowed = usable if allowed is None else usable & allowed
        self.kept = np.zeros(self.n, dtype=bool) if kept is None else kept & self.allowed
        some = np.flatnonzero(self.allowed)  # the tableau knows these terms only
        self.lengths = np.sqrt(diagonal[some])
        m = len(some)
        self._T = np.zeros((m + 1, m + 1))
        self._T[:m, :m] = S[np.ix_(some, some)] / np.outer(self.lengths, self.lengths)
        self._T[:m, m] = self._T[m, :m] = b[some] / self.lengths
        self._T[m, m] = offset

    def pin(self, j: int, value: float) -> None:
        """Take a coefficient for known: its term stays, the others fit what it leaves."""
        T, m, at = self._T, len(self.lengths), int(self.allowed[:j].sum())
        scaled = value * self.lengths[at]
        T[m, m] += scaled * (T[at, at] * scaled - 2 * T[at, m]) + scaled**2
        T[:m, m] -= scaled * T[:m, at]
        T[m, :m] = T[:m, m]
        T[at, :] = T[:, at] = 0.0
        T[at, at], T[at, m], T[m, at] = 1.0, scaled, scaled
        self.kept[j] = True

    def swept(self, support: BoolArray) -> tuple[FloatArray, BoolArray]:
        """Return the tableau of the terms that may enter, swept on a support, and what is in it.

        Terms that repeat others stay out.
        """
        T, inside = self._T.copy(), np.zeros(len(self.lengths), dtype=bool)
        for j in np.flatnonzero(support[self.allowed]):
            if T[j, j] > _DEPENDENT:
                kernel.sweep(T, j, 1.0)
                inside[j] = True
        return T, inside

    def among_all(self, inside: BoolArray) -> BoolArray:
        """Return a support of the terms that may enter as one of all terms."""
        support = self.allowed.copy()
        support[support] = inside
        return support

    def solve(self, support: BoolArray) -> tuple[FloatArray, FloatArray, float]:
        """Return coefficients, their standard errors (both (n,)) and the misfit."""
        T, inside = self.swept(support)
        m, found = len(inside), self.among_all(inside)
        xi, errors = np.zeros(self.n), np.full(self.n, np.inf)
        xi[found] = T[:m, m][inside] / self.lengths[inside]
        errors[found] = np.sqrt(np.maximum(-np.diag(T)[:m][inside], 0)) / self.lengths[inside]
        return xi, errors, float(T[m, m])

    def full_misfit(self) -> float:
        """Return the misfit of all terms together."""
        return float(self.swept(self.allowed)[0][-1, -1])

    def pruned(self, support: BoolArray, penalty: FloatArray) -> BoolArray:
        """Return the cheapest support on the way of backward elimination from a support."""
        T, inside = self.swept(support | self.kept)
        found, n = inside.copy(), int(inside.sum())
        removed, losses = np.empty(n, dtype=np.int64), np.empty(n)
        kept = self.kept[self.allowed]
        steps = kernel.backward_path(T, inside, kept, penalty[self.allowed], removed, losses)
        total = np.cumsum(losses[:steps])
        if steps and total.min() < 0:
            found[removed[: int(np.argmin(total)) + 1]] = False
        return self.among_all(found)

    def improved(self, support: BoolArray, penalty: FloatArray) -> BoolArray:
        """Return the support at the end of all additions, removals and swaps that pay.

        Parameters
        ----------
        support : ndarray of bool, shape (n,)
        penalty : ndarray of shape (n,)
            What each term must improve the misfit by.
        """
        T, inside = self.swept(support | self.kept)
        some = self.allowed
        kernel.improve(T, inside, self.kept[some], penalty[some], _DEPENDENT, 4 * self.n)
        return self.among_all(inside)

    def best_pair(self) -> BoolArray:
        """Return the two terms that together leave the smallest misfit."""
        n = len(self.lengths)
        S, b = self._T[:n, :n], self._T[:n, n]
        own = b**2 + b[:, None] ** 2 - 2.0 * S * np.outer(b, b)
        left = 1.0 - S**2
        usable = left > _DEPENDENT
        gain = np.where(usable, own / np.where(usable, left, 1.0), -np.inf)
        inside = np.zeros(n, dtype=bool)
        inside[list(np.unravel_index(int(np.argmax(gain)), gain.shape))] = True
        return self.among_all(inside)

    def best(self, penalty: FloatArray, start: BoolArray | None = None) -> BoolArray:
        """Return the best support found, backwards from all terms and from `start`."""
        candidates = [self.pruned(self.allowed, penalty)]
        if start is not None:
            candidates.append(start)
        ends = [self.improved(candidate, penalty) for candidate in candidates]
        totals = [self.solve(end)[2] + penalty[end].sum() for end in ends]
        return ends[int(np.argmin(totals))]


def term_penalties(table: TermTable, d: int, n_samples: int) -> FloatArray:
    """Return what each term must improve minus twice the log-likelihood by, (d * n_terms,).

    The extended Bayesian criterion among the terms of as many factors or fewer.
    """
    factors = factors_of(table)
    rivals = d * np.array([(factors <= max(own, 1)).sum() for own in factors])
    return np.tile(np.log(n_samples) + 2 * np.log(rivals), d)


def factors_of(table: TermTable) -> IntArray:
    """Return how many factors each term is a product of; 0 for the constant."""
    factors = np.array([sum(table.factors(j).values()) for j in range(table.n_terms)])
    return np.where(np.array(table.names) == "1", 0, factors)


def sparse_start(stats: SufficientStatistics, chosen: FloatArray) -> FloatArray:
    """Return first coefficients for an iteration: only those of terms that explain much.

    Parameters
    ----------
    stats : SufficientStatistics
        Of one target.
    chosen : ndarray of shape (n_terms,)
        What a regressor chose.

    Returns
    -------
    ndarray of shape (n_terms,)

    Notes
    -----
    Rows that share the errors of a first guess are not independent. A regressor that takes
    them for such keeps terms that fit these errors, and the iteration may stay with them. Here
    a term must explain half as much as the chosen terms leave.
    """
    R = stats.triangle
    A, y = R[:, :-1], R[:, -1]
    unit = chosen * stats.scale[:-1] / stats.scale[-1]
    left = float(np.sum((y - A @ unit) ** 2))
    search = InformationSearch(A.T @ A, A.T @ y, offset=float(y @ y))
    cost = np.full(len(chosen), _WORTH * left)
    ends = [search.best(cost, start) for start in (chosen != 0, search.best_pair())]
    support = min(ends, key=lambda end: search.solve(end)[2] + cost[end].sum())
    if support.sum() >= np.count_nonzero(chosen):
        return chosen
    return np.asarray(search.solve(support)[0] * stats.scale[-1] / stats.scale[:-1])
