"""Moments of polynomial libraries, from the distinct products alone.

The Gram matrix of the monomials up to degree 5 in three variables has 1,596 entries, but
only 286 different ones: the sums of the monomials up to degree 10.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from discover.kernels.moments import LANES, monomial_moments
from discover.typing import FloatArray, IntArray

__all__ = ["MomentPlan", "MonomialRows", "plan_moments"]

_MOST_TERMS = 1000
_ADVANTAGE = 0.35  # a sum of products costs about three entries of the rank-k update
_TILE = 256  # rows per tile: those of 60 monomials are 120 kB


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
    """Which products to sum, and where in the moment matrix each sum goes.

    Parameters
    ----------
    parents, variables : ndarray of int, shape (n_slots,)
        Monomial `s` is monomial ``parents[s]`` times input ``variables[s]``; targets
        follow the monomials.
    quads : ndarray of int, shape (n_quads, 5)
        A factor, and four others to multiply it with.
    places : ndarray of int, shape (m, m)
        Which of the ``4 n_quads`` sums stands where.
    """

    parents: IntArray
    variables: IntArray
    quads: IntArray
    places: IntArray

    def fold(self, rows: MonomialRows, edges: IntArray, exponents: IntArray) -> FloatArray:
        """Return the scaled moments of every block, shape (n_blocks, m, m).

        Parameters
        ----------
        rows : MonomialRows
        edges : ndarray of int, shape (n_blocks + 1,)
        exponents : ndarray of int, shape (n_inputs + n_targets,)
            Powers of two by which inputs and targets are divided.
        """
        work = np.empty((len(self.parents) + rows.targets.shape[1], _TILE + LANES))
        scale = np.ldexp(1.0, -exponents)
        sums = np.zeros((len(edges) - 1, len(self.quads), 4))
        for block, start, stop in zip(sums, edges[:-1], edges[1:], strict=True):
            monomial_moments(
                self.parents, self.variables, self.quads, scale, rows.inputs, rows.targets,
                start, stop, work, block,
            )  # fmt: skip
        return sums.reshape(len(sums), -1).take(self.places, axis=1)


def plan_moments(powers: IntArray, n_targets: int) -> MomentPlan | None:
    """Return a plan, or None where the rank-k update of the rows is as good.

    Parameters
    ----------
    powers : ndarray of int, shape (n_terms, n_inputs)
    n_targets : int
    """
    return _plan(powers.tobytes(), powers.shape, n_targets)


@lru_cache(maxsize=64)
def _plan(content: bytes, shape: tuple[int, int], n_targets: int) -> MomentPlan | None:
    powers = np.frombuffer(content, dtype=np.int64).reshape(shape)
    p, d = shape
    base = 2 * int(powers.max(initial=0)) + 2
    m = p + n_targets
    if d * np.log2(base) > 62 or p > _MOST_TERMS:
        return None
    weights = np.array([base**j for j in range(d)], dtype=np.int64)
    keys = powers @ weights
    products, first, gram = np.unique(keys[:, None] + keys, return_index=True, return_inverse=True)
    if len(products) + p * n_targets > _ADVANTAGE * m * (m + 1) / 2:
        return None
    known, parents, variables = _closure(np.union1d(keys, [0, *weights]), weights, base)
    terms = _places(known, keys)
    targets = len(known) + np.arange(n_targets)
    pairs = [np.stack([terms[first // p], terms[first % p]], axis=1)]
    pairs += [np.stack([np.full(p, y), terms], axis=1) for y in targets]
    pairs += [np.stack([np.full(n_targets, y), targets], axis=1) for y in targets]
    quads, sums = _in_fours(np.concatenate(pairs))
    places = np.empty((m, m), dtype=np.int64)
    places[:p, :p] = sums[: len(products)][gram.reshape(p, p)]
    with_targets = sums[len(products) : len(products) + p * n_targets].reshape(n_targets, p)
    places[p:, :p], places[:p, p:] = with_targets, with_targets.T
    places[p:, p:] = sums[len(products) + p * n_targets :].reshape(n_targets, n_targets)
    return MomentPlan(parents, variables, quads, places)


def _in_fours(pairs: IntArray) -> tuple[IntArray, IntArray]:
    """Group pairs with the same first slot by four; also return where each pair went."""
    sums = np.empty(len(pairs), dtype=np.int64)
    quads: list[list[int]] = []
    for first in np.unique(pairs[:, 0]):
        members = np.flatnonzero(pairs[:, 0] == first)
        sums[members] = 4 * len(quads) + np.arange(len(members))
        seconds = pairs[members, 1].tolist()
        seconds += seconds[-1:] * (-len(seconds) % 4)
        quads += [[int(first), *seconds[i : i + 4]] for i in range(0, len(seconds), 4)]
    return np.array(quads, dtype=np.int64), sums


def _closure(keys: IntArray, weights: IntArray, base: int) -> tuple[IntArray, IntArray, IntArray]:
    """Add the monomials that others are built from; constant and inputs come first."""
    while True:
        parents, variables = _parents(keys, weights, base)
        missing = np.setdiff1d(parents, keys)
        if not len(missing):
            break
        keys = np.union1d(keys, missing)
    degree = ((keys[:, None] // weights) % base).sum(axis=1)
    order = np.lexsort((keys, degree))
    known = keys[order]
    return known, _places(known, parents[order]), variables[order]


def _places(known: IntArray, wanted: IntArray) -> IntArray:
    """Return where the wanted keys are among the known ones."""
    order = np.argsort(known)
    return np.asarray(order[np.searchsorted(known[order], wanted)], dtype=np.int64)


def _parents(known: IntArray, weights: IntArray, base: int) -> tuple[IntArray, IntArray]:
    """Return each monomial over its last variable, and that variable."""
    powers = (known[:, None] // weights) % base
    last = len(weights) - 1 - np.argmax(powers[:, ::-1] > 0, axis=1)
    constant = known == 0
    return np.where(constant, 0, known - weights[last]), np.where(constant, 0, last)
