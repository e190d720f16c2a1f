"""Stages: rates of change whose integral over a long step explains it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from discover.control.competition import fit_sparse
from discover.control.coordinates import Coordinates
from discover.libraries.termtable import TermTable, TermTableBuilder
from discover.typing import FloatArray

__all__ = ["RateFit", "averaged_terms"]

_ROWS_PER_BLOCK = 10
_SETTLED = 1e-6  # relative change of the coefficients


def averaged_terms(table: TermTable, rates: FloatArray) -> TermTable:
    """Return the terms of a law, averaged over the stages of one Runge-Kutta step under it.

    Parameters
    ----------
    table : TermTable
        Terms of the rates of change, over states and actions.
    rates : ndarray of shape (n_states, n_terms)
        Coefficients of the law; the time unit is a step, during which actions are held.

    Returns
    -------
    TermTable
        Over the same inputs, term by term: times `rates` they are the increments of the step.

    Notes
    -----
    The classical scheme of order four; Hairer, Norsett and Wanner, Solving Ordinary
    Differential Equations I, 2nd ed., section II.1. Its stages depend on the law, but given
    these the increments are linear in the coefficients.
    """
    builder = TermTableBuilder(table.inputs)
    n, outputs = len(rates), table.outputs.tolist()
    actions = list(range(n, table.n_inputs))
    stages = [builder.copy(table, outputs)]
    for share in (0.5, 0.5, 1.0):
        moved = []
        for i in range(n):
            terms = np.flatnonzero(rates[i])
            parts = [
                builder.mul(builder.constant(share * rates[i, j]), stages[-1][j]) for j in terms
            ]
            moved.append(_sum(builder, [i, *parts]))
        stages.append(builder.copy(table, outputs, [*moved, *actions]))
    averages = []
    for first, second, third, last in zip(*stages, strict=True):
        middle = builder.mul(builder.constant(2.0), builder.binary("add", second, third))
        total = _sum(builder, [first, middle, last])
        same = first == second == third == last
        averages.append(first if same else builder.binary("div", total, builder.constant(6.0)))
    return builder.table(averages)


def _sum(builder: TermTableBuilder, slots: Sequence[int]) -> int:
    total = slots[0]
    for slot in slots[1:]:
        total = builder.binary("add", total, slot)
    return total


@dataclass(frozen=True, eq=False)
class RateFit:
    """Steps to be explained as integrals of rates of change.

    Parameters
    ----------
    table : TermTable
        Candidate terms of the rates, over states and actions.
    velocities : mapping of int to int
        For each position that a velocity moves, the term that is the velocity.
    coordinates : Coordinates
    inputs : ndarray of shape (n, n_states + n_actions)
        Before each step.
    change : ndarray of shape (n, n_states)
        Increments of the steps.
    threshold : float
        Of STLSQ.
    """

    table: TermTable
    velocities: Mapping[int, int]
    coordinates: Coordinates
    inputs: FloatArray
    change: FloatArray
    threshold: float

    def averaged(self, rounds: int = 12) -> TermTable:
        """Return the terms averaged over the stages of the law that explains the steps.

        Notes
        -----
        A fixed point: terms are averaged over the stages under the last law, and regressed
        on, `rounds` times at most. The iterate of least error is returned, since supports
        may alternate.
        """
        size = np.sqrt(np.mean(self.change**2, axis=0))
        rates = self._regress(self._begin())
        best, least = self.table, np.inf
        for _ in range(rounds):
            averaged = averaged_terms(self.table, rates)
            theta = averaged.evaluate(self.inputs)
            if not np.isfinite(theta).all():
                break
            new = self._regress(theta)
            misfit = (theta @ new.T - self.change) / np.where(size > 0, size, 1.0)
            error = float(np.mean(misfit**2))
            if error < least:
                best, least = averaged, error
            if np.abs(new - rates).max() <= _SETTLED * np.abs(new).max():
                break
            rates = new
        return best

    def members(self, theta: FloatArray, n_members: int, rng: np.random.Generator) -> FloatArray:
        """Return the law of averaged terms, and the same terms fitted to blocks drawn anew.

        Members share the terms of the first one: rates of a whole step are told apart by
        little, and other terms would fit as well and be wrong elsewhere.

        Parameters
        ----------
        theta : ndarray of shape (n, n_terms)
            Averaged terms.
        n_members : int
        rng : numpy.random.Generator

        Returns
        -------
        ndarray of shape (n_members, n_states, n_terms)
        """
        found = np.repeat(self._regress(theta)[None], n_members, axis=0)
        blocks = np.array_split(np.arange(len(theta)), max(2, len(theta) // _ROWS_PER_BLOCK))
        for law in found[1:]:
            drawn = rng.integers(len(blocks), size=len(blocks))
            rows = np.concatenate([blocks[b] for b in drawn])
            for i, y in enumerate(self.change[rows].T):
                used = np.flatnonzero(law[i])
                X = theta[rows][:, used]
                size = np.maximum(np.sqrt(np.mean(X**2, axis=0)), 1e-300)
                law[i, used] = np.linalg.lstsq(X / size, y, rcond=1e-10)[0] / size
        return found

    def _regress(self, theta: FloatArray) -> FloatArray:
        """Return coefficients of averaged terms; a position has that of its velocity alone."""
        free = [i for i in range(self.change.shape[1]) if i not in self.velocities]
        rates = np.zeros((self.change.shape[1], theta.shape[1]))
        rates[free] = fit_sparse(theta, self.change[:, free], self.threshold)
        for position, j in self.velocities.items():
            v = theta[:, j]
            rates[position, j] = v @ self.change[:, position] / (v @ v)
        return rates

    def _begin(self) -> FloatArray:
        """Return terms averaged over steps by Simpson's rule; no law is needed.

        Positions half-way follow from their velocities at both ends (Hermite's cubic); all
        other states are taken as the mean of both.
        """
        n = self.change.shape[1]
        before, u = self.inputs[:, :n], self.inputs[:, n:]
        half = before + 0.5 * self.change
        for d in self.coordinates.drifts:
            half[:, d.position] -= 0.125 * (d.before + d.after) * self.change[:, d.velocity]
        first, middle, last = (
            self.table.evaluate(np.concatenate([z, u], axis=1))
            for z in (before, half, before + self.change)
        )
        return np.asarray((first + 4.0 * middle + last) / 6.0)
