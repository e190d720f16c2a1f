"""Modes: many observations seen through the few directions in which they vary most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from discover.control.policy import Policy
from discover.libraries import PolynomialLibrary
from discover.libraries.termtable import TermTable, TermTableBuilder
from discover.observations.modes import proper_modes
from discover.symbolic import SymbolicModel
from discover.typing import FloatArray, IntArray

__all__ = ["Modes"]

_ALIKE = 1e-8  # relative difference of the energies of one family


@dataclass(frozen=True, eq=False)
class Modes:
    """Directions of the observations, and the amplitudes along them.

    Parameters
    ----------
    vectors : ndarray of shape (n_modes, n_observations)
        Orthonormal rows.
    mean : ndarray of shape (n_observations,)
        From where amplitudes are counted.
    observation_names : tuple of str
    """

    vectors: FloatArray
    mean: FloatArray
    observation_names: tuple[str, ...]

    @classmethod
    def of(cls, observations: FloatArray, names: tuple[str, ...], n_modes: int) -> Modes:
        """Find the modes that hold the most variance (:func:`proper_modes`).

        Parameters
        ----------
        observations : ndarray of shape (n, n_observations)
        names : tuple of str
        n_modes : int
            More are taken where the next ones hold as much as the last: a symmetry makes
            such families, and is lost where one is cut.
        """
        most = min(observations.shape) if n_modes <= min(observations.shape) else n_modes
        vectors, mean, energy = proper_modes(observations, most)
        while n_modes < most and energy[n_modes] > (1.0 - _ALIKE) * energy[n_modes - 1]:
            n_modes += 1
        return cls(vectors[:n_modes], mean, names)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the amplitudes: a0, a1, ..."""
        return tuple(f"a{k}" for k in range(len(self.vectors)))

    def amplitudes(self, observations: ArrayLike) -> FloatArray:
        """Return amplitudes, shape (..., n_modes), of observations (..., n_observations)."""
        away = np.asarray(observations, dtype=np.float64) - self.mean
        return np.asarray(away @ self.vectors.T)

    def lift(self, policy: Any) -> Any:
        """Return a policy over amplitudes as one over the observations themselves.

        Parameters
        ----------
        policy : SymbolicModel or Policy
            What is linear in the amplitudes is linear in the observations; other formulas
            have the sums of the modes in their terms. A planner looks through the modes.
        """
        if not isinstance(policy, SymbolicModel):
            return _Looking(self, policy)
        powers = policy.table.powers()
        if powers is not None and powers.sum(axis=1).max() <= 1:
            table, coefficients = self._linear(policy.coefficients, powers)
        else:
            table, coefficients = self._composed(policy.table), policy.coefficients
        return SymbolicModel(
            table, coefficients, self.observation_names, target_names=policy.target_names,
            kind="direct", saturation=policy.saturation,
        )  # fmt: skip

    def _linear(self, coefficients: FloatArray, powers: IntArray) -> tuple[TermTable, FloatArray]:
        gains = coefficients @ powers @ self.vectors
        offsets = coefficients @ (powers.sum(axis=1) == 0) - gains @ self.mean
        table = PolynomialLibrary(1).build(self.observation_names)
        return table, np.concatenate([offsets[:, None], gains], axis=1)

    def _composed(self, table: TermTable) -> TermTable:
        builder = TermTableBuilder(self.observation_names)
        sums = []
        for vector in self.vectors:
            total = builder.constant(-float(vector @ self.mean))
            for j, weight in enumerate(vector.tolist()):
                total = builder.binary("add", total, builder.mul(builder.constant(weight), j))
            sums.append(total)
        return builder.table(builder.copy(table, table.outputs.tolist(), sums))


@dataclass(frozen=True, eq=False)
class _Looking:
    """A planner that sees amplitudes."""

    modes: Modes
    policy: Policy

    def restart(self) -> None:
        if hasattr(self.policy, "restart"):
            self.policy.restart()

    def rhs(self, observations: FloatArray) -> FloatArray:
        return self.policy.rhs(self.modes.amplitudes(observations))
