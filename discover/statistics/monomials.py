"""Moments of polynomial libraries, from the distinct products alone.

The Gram matrix of the monomials up to degree 5 in three variables has 1,596 entries, but
only 286 different ones: the sums of the monomials up to degree 10.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discover.kernels.moments import monomial_moments
from discover.typing import FloatArray, IntArray

__all__ = ["MomentPlan", "MonomialRows", "plan_moments"]

_MOST_SLOTS = 2048  # beyond, the work array leaves the cache and the plan its advantage
_ADVANTAGE = 0.35  # a distinct product costs about three entries of the rank-k update
_WORK_BYTES = 300_000


@dataclass(frozen=True, eq=False)
class MonomialRows:
    """Rows whose terms are monomials of the inputs.

    Parameters
    ----------
    powers : ndarray of int, shape (n_terms, n_inputs)
    inputs : ndarray of shape (n_rows, n_inputs)
    targets : ndarray of shape (n_rows, n_targets)
    """

    powers: IntArray
    inputs: FloatArray
    targets: FloatArray


@dataclass(frozen=True, eq=False)
class MomentPlan:
    """Which monomials to sum, and where in the Gram matrix each sum goes.

    Parameters
    ----------
    parents, variables : ndarray of int, shape (n_slots,)
        Monomial `s` is monomial ``parents[s]`` times input ``variables[s]``.
    terms : ndarray of int, shape (n_terms,)
        Where the terms are among the monomials.
    gram : ndarray of int, shape (n_terms, n_terms)
        Where their products are.
    """

    parents: IntArray
    variables: IntArray
    terms: IntArray
    gram: IntArray

    def fold(
        self,
        rows: MonomialRows,
        edges: IntArray,
        exponents: IntArray,
    ) -> FloatArray:
        """Return the scaled moments of every block, shape (n_blocks, m, m).

        Parameters
        ----------
        rows : MonomialRows
        edges : ndarray of int, shape (n_blocks + 1,)
        exponents : ndarray of int, shape (n_inputs + n_targets,)
            Powers of two by which inputs and targets are divided.
        """
        p, q = len(self.terms), rows.targets.shape[1]
        n_slots = len(self.parents)
        tile = int(np.clip(_WORK_BYTES // (8 * n_slots), 16, 512)) // 16 * 16
        work, y = np.empty((n_slots, tile)), np.empty((q, tile))
        scale = np.ldexp(1.0, -exponents)
        moments = np.empty((len(edges) - 1, p + q, p + q))
        sums, cross, own = np.empty(n_slots), np.empty((p, q)), np.empty((q, q))
        for block, start, stop in zip(moments, edges[:-1], edges[1:], strict=True):
            sums[:], cross[:], own[:] = 0.0, 0.0, 0.0
            monomial_moments(
                self.parents, self.variables, self.terms, scale, rows.inputs, rows.targets,
                start, stop, work, y, sums, cross, own,
            )  # fmt: skip
            block[:p, :p] = sums[self.gram]
            block[:p, p:], block[p:, :p], block[p:, p:] = cross, cross.T, own
        return moments


def plan_moments(powers: IntArray, n_targets: int) -> MomentPlan | None:
    """Return a plan, or None where the rank-k update of the rows is as good.

    Parameters
    ----------
    powers : ndarray of int, shape (n_terms, n_inputs)
    n_targets : int
    """
    p, d = powers.shape
    base = 2 * int(powers.max(initial=0)) + 2
    m = p + n_targets
    if d * np.log2(base) > 62 or p > 1000:
        return None
    weights = np.array([base**j for j in range(d)], dtype=np.int64)
    keys = powers @ weights
    products = np.unique(keys[:, None] + keys)
    known = np.unique(np.concatenate([[0], weights, products]))
    while True:
        parents, variables = _parents(known, weights, base)
        missing = np.setdiff1d(parents, known)
        if not len(missing):
            break
        known = np.union1d(known, missing)
    if len(known) > _MOST_SLOTS or len(known) + p * n_targets > _ADVANTAGE * m * (m + 1) / 2:
        return None
    degree = sum((known // w) % base for w in weights)
    order = np.lexsort((known, np.asarray(degree)))
    sorted_keys = np.argsort(order)  # where the k-th smallest key went

    def place(wanted: IntArray) -> IntArray:
        return sorted_keys[np.searchsorted(known, wanted)].astype(np.int64)

    return MomentPlan(
        place(parents[order]), variables[order], place(keys), place(keys[:, None] + keys)
    )


def _parents(known: IntArray, weights: IntArray, base: int) -> tuple[IntArray, IntArray]:
    """Return each monomial over its last variable, and that variable."""
    powers = (known[:, None] // weights) % base
    d = len(weights)
    last = d - 1 - np.argmax(powers[:, ::-1] > 0, axis=1)
    constant = known == 0
    return np.where(constant, 0, known - weights[last]), np.where(constant, 0, last)
