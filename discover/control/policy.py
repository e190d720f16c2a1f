"""Policies: closed forms from observations to actions, that saturate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from discover.libraries import FeatureLibrary, PolynomialLibrary
from discover.libraries.termtable import TermTable
from discover.symbolic import SymbolicModel
from discover.symbolic.saturation import Saturation
from discover.typing import BoolArray, FloatArray, IntArray

__all__ = ["ActionBox", "Policy", "PolicyForm", "act", "actor"]


@dataclass(frozen=True, eq=False)
class ActionBox:
    """What actions an environment takes.

    Parameters
    ----------
    names : tuple of str
    low, high : ndarray of shape (n_actions,)
    levels : ndarray of int, shape (n_actions,), optional
        Number of equally spaced values of a discrete action; 0 for a continuous one.
    """

    names: tuple[str, ...]
    low: FloatArray
    high: FloatArray
    levels: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __post_init__(self) -> None:
        """Fill in that all actions are continuous."""
        if not len(self.levels):
            object.__setattr__(self, "levels", np.zeros(len(self.names), dtype=np.int64))

    def saturate(self, u: ArrayLike) -> FloatArray:
        """Clip, and round discrete actions to their levels."""
        x = np.clip(np.asarray(u, dtype=np.float64), self.low, self.high)
        gap = (self.high - self.low) / np.maximum(self.levels - 1, 1)
        rounded = self.low + gap * np.floor((x - self.low) / gap + 0.5)
        return np.asarray(np.where(self.levels > 1, rounded, x))

    def from_unit(self, x: ArrayLike) -> FloatArray:
        """Return the actions of numbers between -1 (the lowest) and 1 (the highest)."""
        half = 0.5 * (self.high - self.low)
        return np.asarray(0.5 * (self.high + self.low) + half * np.asarray(x))

    @property
    def saturation(self) -> Saturation:
        """The same limits, as a part of a law; discrete actions are counted from 0."""
        return Saturation(self.low, self.high, self.levels > 1)

    def to_env(self, u: FloatArray) -> Any:
        """Return the action in the form the environment takes."""
        if self.levels[0] > 1:
            return int(np.round(u[0]))
        return u.astype(np.float32)


@dataclass(frozen=True, eq=False)
class PolicyForm:
    """A family of policies: weights times the terms of a library, clipped to the box.

    Parameters
    ----------
    table : TermTable
        Terms of the observations.
    scale : ndarray of shape (n_terms,)
        Size of each term on the data: a weight of 1 moves the action by about its unit.
    box : ActionBox
    support : ndarray of bool, shape (n_actions, n_terms), optional
        The terms that may stand in the formula of each action; by default all.
    shared : ndarray of shape (n_weights, n_terms_there), optional
        Orthogonal rows of one length: the term weights that each weight moves, where a
        symmetry ties them together; by default each moves its own.
    """

    table: TermTable
    scale: FloatArray
    box: ActionBox
    support: BoolArray = field(default_factory=lambda: np.zeros((0, 0), dtype=bool))
    shared: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))

    def __post_init__(self) -> None:
        """Fill in that all terms may be used."""
        if not self.support.size:
            every = np.ones((len(self.box.names), self.table.n_terms), dtype=bool)
            object.__setattr__(self, "support", every)

    @classmethod
    def over(
        cls,
        library: FeatureLibrary | None,
        names: Sequence[str],
        observations: FloatArray,
        box: ActionBox,
        circles: Sequence[tuple[int, int]] = (),
    ) -> PolicyForm:
        """Choose the terms and their sizes.

        Parameters
        ----------
        library : FeatureLibrary, optional
            By default all monomials up to degree 3, without the squares of sines.
        names : sequence of str
        observations : ndarray of shape (n, n_observations)
            What was seen so far; each column is scaled by the power of two nearest its size.
        box : ActionBox
        circles : sequence of (int, int)
            Observations that are cosine and sine of one angle.
        """
        table = (PolynomialLibrary(3) if library is None else library).build(tuple(names))
        powers = table.powers()
        if powers is None:
            size = np.sqrt(np.mean(table.evaluate(observations) ** 2, axis=0))
            return cls(table, np.where(size > 0, size, 1.0), box)
        if library is None:
            kept = [k for k in range(len(powers)) if all(powers[k, s] < 2 for _, s in circles)]
            table, powers = table.select(kept), powers[kept]
        size = np.sqrt(np.mean(observations**2, axis=0))
        unit = np.ldexp(1.0, np.round(np.log2(np.where(size > 0, size, 1.0))).astype(int))
        return cls(table, np.asarray(np.prod(unit**powers, axis=1)), box)

    @property
    def n_weights(self) -> int:
        """How many numbers a policy is."""
        return len(self.shared) or int(self.support.sum())

    @property
    def free(self) -> PolicyForm:
        """The family in which every term of every action has its own weight."""
        return PolicyForm(self.table, self.scale, self.box, self.support)

    def spread(self, weights: FloatArray) -> FloatArray:
        """Return the weights of the single terms, shape (..., n_terms_there)."""
        return np.asarray(weights @ self.shared) if self.shared.size else weights

    def gather(self, single: FloatArray) -> FloatArray:
        """Return the weights nearest to those of single terms, shape (..., n_weights)."""
        if not self.shared.size:
            return single
        return np.asarray(single @ self.shared.T / (self.shared[0] @ self.shared[0]))

    def restricted(self, support: BoolArray) -> PolicyForm:
        """Return the free family with some of the terms only; columns that no action uses go."""
        used = np.flatnonzero(support.any(axis=0))
        return PolicyForm(
            self.table.select(used), self.scale[used], self.box, np.array(support[:, used])
        )

    def coefficients(self, weights: FloatArray) -> FloatArray:
        """Return coefficients of the terms, shape (..., n_actions, n_terms)."""
        found = np.zeros((*weights.shape[:-1], *self.support.shape))
        found[..., self.support] = self.spread(weights) * self._unit
        return found

    def weights(self, coefficients: FloatArray) -> FloatArray:
        """Return the weights behind coefficients, shape (..., n_weights)."""
        return self.gather(np.asarray(coefficients[..., self.support] / self._unit))

    @property
    def _unit(self) -> FloatArray:
        half = 0.5 * (self.box.high - self.box.low)
        return np.asarray((half[:, None] / self.scale)[self.support])

    def model(self, weights: FloatArray) -> SymbolicModel:
        """Return the policy as a law of kind "direct", saturated."""
        return self.law(self.coefficients(weights))

    def law(self, coefficients: FloatArray) -> SymbolicModel:
        """Return the policy with these coefficients, shape (n_actions, n_terms)."""
        return SymbolicModel(
            self.table, coefficients, self.table.inputs,
            target_names=self.box.names, kind="direct", saturation=self.box.saturation,
        )  # fmt: skip


class Policy(Protocol):
    """Anything that acts: a model of kind "direct", or a planner."""

    def rhs(self, observations: Any, /) -> FloatArray:
        """Return actions, not saturated yet."""
        ...


def act(policy: Policy, observations: ArrayLike, box: ActionBox) -> FloatArray:
    """Return the saturated actions of a policy, shape (..., n_actions)."""
    return box.saturate(policy.rhs(observations))


def actor(policy: Policy, box: ActionBox) -> Callable[[FloatArray], FloatArray]:
    """Return what acts in one episode: observation to saturated action.

    A policy with a memory (it has a method ``restart``) begins without one.
    """
    if hasattr(policy, "restart"):
        policy.restart()
    return lambda seen: act(policy, seen, box)
