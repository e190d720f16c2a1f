"""Surrogate: learned dynamics, reward and end as one compiled world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from discover.control.compiled import compile_world
from discover.control.dynamics import LearnedDynamics
from discover.control.outcome import before
from discover.control.policy import ActionBox
from discover.control.stops import Stops
from discover.kernels import rollouts as kernel
from discover.kernels.stepping import step
from discover.libraries.termtable import TermTable, TermTableBuilder
from discover.symbolic import SymbolicModel
from discover.typing import BoolArray, FloatArray, IntArray

__all__ = ["Rollouts", "Surrogate"]

_MOST_DRAWS = 8192  # of noise in one call; longer ones go round


@dataclass(frozen=True, eq=False)
class Rollouts:
    """What closed loops earned.

    Parameters
    ----------
    returns : ndarray of shape (n_candidates, n_members, n_starts)
    lengths : ndarray of int, same shape
        Steps taken.
    ended : ndarray of bool, same shape
        Whether a bound (or disagreement) ended it.
    trace : ndarray of shape (n_candidates, n_members, n_starts, horizon) or None
        Reward of every step.
    """

    returns: FloatArray
    lengths: IntArray
    ended: BoolArray
    trace: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A learned world: an ensemble of laws, a reward, and where it ends.

    Parameters
    ----------
    dynamics : LearnedDynamics
    outcome : SymbolicModel
        Kind "direct" over next observations, actions and earlier observations (see
        :func:`discover.control.outcome.before`), with target ``reward`` and, optionally,
        ``terminal`` (above 0: the world ends).
    box : ActionBox
    bounds : mapping of str to (low, high), optional
        Box of observations; leaving it ends an episode.
    penalty, limit : float
        Of the ensemble's disagreement (root of the mean variance over states, relative to
        the size of the increments): taken off every reward, and where an episode ends. A
        negative penalty is a bonus.
    lost : float, default=0.0
        What every step pays that a rollout has left where disagreement ends it. Single steps
        (:meth:`step`) just end.
    reward_range : (float, float)
        To which rewards are clipped: a learned one should not promise what it never saw.
        Where nothing else ends the world, a law that runs off to infinity pays the least of
        them for the rest of the episode.
    """

    dynamics: LearnedDynamics
    outcome: SymbolicModel
    box: ActionBox
    bounds: Mapping[str, tuple[float, float]] | None = None
    penalty: float = 0.0
    limit: float = np.inf
    lost: float = 0.0
    reward_range: tuple[float, float] = (-np.inf, np.inf)

    @property
    def n_members(self) -> int:
        """Number of members of the ensemble."""
        return len(self.dynamics.members)

    @property
    def _is_endless(self) -> bool:
        """Whether nothing ends this world: who runs away in it gets the least for ever."""
        ends = self.bounds or np.isfinite(self.limit) or len(self.outcome.target_names) > 1
        return not ends and bool(np.isfinite(self.reward_range[0]))

    @cached_property
    def limits(self) -> tuple[FloatArray, FloatArray]:
        """Bounds of all observations, (n_observations,) each; infinite where there are none."""
        names = self.dynamics.coordinates.observation_names
        box = [(self.bounds or {}).get(name, (-np.inf, np.inf)) for name in names]
        low, high = (np.array([b[k] for b in box], dtype=np.float64) for k in (0, 1))
        return low, high

    def rollouts(
        self,
        table: TermTable,
        coefficients: FloatArray,
        starts: FloatArray,
        horizon: int,
        *,
        members: int | None = None,
        trace: bool = False,
        rng: np.random.Generator | None = None,
    ) -> Rollouts:
        """Run policies from start states, with every member.

        Parameters
        ----------
        table : TermTable
            Terms of the policies, over observations.
        coefficients : ndarray of shape (n_candidates, n_actions, n_terms)
        starts : ndarray of shape (n_starts, n_observations)
            Observations from which every candidate starts with every member.
        horizon : int
        members : int, optional
            Use the first so many members; by default all.
        trace : bool, default=False
            Keep the reward of every step.
        rng : numpy.random.Generator, optional
            Draws the noise of what policies see, if there is any: for every start and member
            another, for all candidates the same.
        """
        n_candidates, n_actions, p = coefficients.shape
        k = self.n_members if members is None else members
        z0 = self.dynamics.coordinates.states(np.atleast_2d(starts))
        shape = (n_candidates, k, len(z0))
        index = np.indices(shape).reshape(3, -1)
        phase = (index[1] * len(z0) + index[2]) * horizon
        jobs = np.ascontiguousarray(np.stack([index[0], index[1], phase], axis=1).astype(np.int64))
        returns, lengths = np.zeros(len(jobs)), np.zeros(len(jobs), dtype=np.int64)
        kept = np.zeros((len(jobs), horizon) if trace else (0, 0))
        sums = _dense_sums(n_actions, p)
        kernel.rollouts(
            self._observe, _program(table), sums,
            np.ascontiguousarray(coefficients.reshape(n_candidates, -1)), self._actions,
            self._change[0], self._change[1], self._change[2], self._circles, self._stops,
            self._outcome[0], self._outcome[1], self._outcome[2], self._bounds, self._caution,
            jobs, np.ascontiguousarray(z0[index[2]]), horizon,
            self._blur(rng, k * len(z0) * horizon), returns, lengths, kept,
        )  # fmt: skip
        rewards = kept.reshape(*shape, horizon) if trace else None
        taken, ended = np.abs(lengths), lengths < 0
        if self._is_endless:
            returns[ended] += (horizon - taken[ended]) * self.reward_range[0]
        return Rollouts(
            returns.reshape(shape), taken.reshape(shape), ended.reshape(shape), rewards
        )  # fmt: skip

    def step(
        self, states: FloatArray, actions: FloatArray, member: IntArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, BoolArray]:
        """Take one step from surrogate states with given actions.

        Parameters
        ----------
        states : ndarray of shape (n, n_states)
        actions : ndarray of shape (n, n_actions)
            Clipped to their box here; discrete ones go to the nearest level.
        member : ndarray of int, shape (n,)
            Which member moves each; -1 for the median of all, -2 for their mean.

        Returns
        -------
        states, observations, rewards, terminated
            New arrays, by row.

        Raises
        ------
        ValueError
            If the shapes do not match the world, or there is no such member.
        """
        z, u = np.ascontiguousarray(states, float), np.ascontiguousarray(actions, float)
        which = np.ascontiguousarray(member, np.int64)
        n, (n_states, n_actions, n_seen) = len(z), self._widths
        if z.shape != (n, n_states) or u.shape != (n, n_actions) or which.shape != (n,):
            raise ValueError(
                f"Surrogate: step needs states (n, {n_states}), actions (n, {n_actions}) and "
                f"member (n,); got {z.shape}, {u.shape} and {which.shape}."
            )
        after, seen = np.empty((n, n_states)), np.empty((n, n_seen))
        rewards, ended = np.empty(n), np.empty(n, dtype=np.bool_)
        code, numbers = self._world
        if not step(code, numbers, which, z, u, after, seen, rewards, ended):
            raise ValueError(
                f"Surrogate: member must be below {self.n_members}, -1 for the median or -2 for "
                f"the mean; got {which.min()} to {which.max()}."
            )
        return after, seen, rewards, ended

    # -- what the kernels read -------------------------------------------------------

    @cached_property
    def _widths(self) -> tuple[int, int, int]:
        """Numbers of states, actions and observations."""
        found = self.dynamics.coordinates
        return len(found.state_names), len(self.box.names), len(found.observation_names)

    @cached_property
    def _observe(self) -> tuple[Any, ...]:
        return _program(self.dynamics.coordinates.observe())

    def _blur(self, rng: np.random.Generator | None, n: int) -> FloatArray:
        noise = self.dynamics.noise
        if noise is None or rng is None:
            return np.empty((0, len(self.dynamics.coordinates.observation_names)))
        return np.asarray(rng.normal(size=(min(n, _MOST_DRAWS), len(noise))) * noise)

    @cached_property
    def _actions(self) -> tuple[Any, ...]:
        return self.box.low, self.box.high, self.box.levels

    @cached_property
    def _change(self) -> tuple[Any, ...]:
        """Program, sums and member weights of the terms that any member uses."""
        members, model = self.dynamics.members, self.dynamics.model
        used = np.flatnonzero((members != 0).any(axis=(0, 1)))
        table = model.table.select(used)
        some = (members[:, :, used] != 0).any(axis=0)
        targets, terms = np.nonzero(some)
        indptr = np.searchsorted(targets, np.arange(len(some) + 1)).astype(np.int64)
        weights = np.ascontiguousarray(members[:, :, used][:, targets, terms])
        return _program(table), (indptr, terms.astype(np.int64)), weights

    @cached_property
    def _world(self) -> tuple[IntArray, FloatArray]:
        """All of it for one step; the last sets of weights are mean and median of the members."""
        program, sums, weights = self._change
        both = np.stack([weights.mean(axis=0), np.median(weights, axis=0)])
        change = (program, sums, np.concatenate([weights, both]))
        return compile_world(
            self._observe, change, self._outcome, self._circles, self._actions, self._bounds,
            self._caution[:4], self._stops,
        )  # fmt: skip

    @cached_property
    def _circles(self) -> IntArray:
        return np.array(self.dynamics.coordinates.projected, dtype=np.int64).reshape(-1, 2)

    @cached_property
    def _stops(self) -> tuple[Any, ...]:
        n_states = len(self.dynamics.coordinates.state_names)
        stops = self.dynamics.stops or Stops.none(n_states)
        return stops.low, stops.high, stops.halted

    @cached_property
    def _outcome(self) -> tuple[Any, ...]:
        """Program, sums and weights of the outcome, over all that the kernels give it."""
        model = self.outcome.pruned()
        seen = self.dynamics.coordinates.observation_names
        builder = TermTableBuilder((*seen, *self.box.names, *map(before, seen)))
        slots = builder.copy(model.table, model.table.outputs.tolist())
        table = builder.table(slots)
        place = np.array([table.outputs.tolist().index(slot) for slot in slots], dtype=np.int64)
        targets, terms = np.nonzero(model.coefficients)
        indptr = np.searchsorted(targets, np.arange(3)).astype(np.int64)
        weights = np.ascontiguousarray(model.coefficients[targets, terms])
        return _program(table), (indptr, place[terms]), weights

    @cached_property
    def _bounds(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        return *self.limits, np.array(self.reward_range, dtype=np.float64)

    @cached_property
    def _caution(self) -> tuple[Any, ...]:
        weights = self._change[2]
        scale = np.ones(len(self.dynamics.coordinates.state_names))
        if (self.penalty == 0 and not np.isfinite(self.limit)) or len(weights) < 2:
            return np.zeros((0, weights.shape[1])), scale, 0.0, np.inf, 0.0
        apart = (weights - weights.mean(axis=0)) / np.sqrt(len(weights) - 1)
        return (
            apart, self.dynamics.scale, float(self.penalty), float(self.limit), float(self.lost)
        )  # fmt: skip


def _program(table: TermTable) -> tuple[Any, ...]:
    program = np.ascontiguousarray(table.program, dtype=np.int64)
    return program, table.constants, np.ascontiguousarray(table.outputs, dtype=np.int64)


def _dense_sums(n_sums: int, n_terms: int) -> tuple[IntArray, IntArray]:
    indptr = np.arange(n_sums + 1, dtype=np.int64) * n_terms
    return indptr, np.tile(np.arange(n_terms, dtype=np.int64), n_sums)
