"""Exact derivatives of closed loops in a surrogate, with respect to the weights of policies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discover.control.outcome import before
from discover.control.policy import PolicyForm
from discover.control.stops import Stops
from discover.control.surrogate import Surrogate
from discover.kernels.adjoint import backward
from discover.typing import FloatArray, IntArray

__all__ = ["Loops", "follow"]


@dataclass(frozen=True, eq=False)
class Loops:
    """Closed loops that were followed, and what they earned.

    Parameters
    ----------
    surrogate : Surrogate
    form : PolicyForm
    weights : ndarray of shape (n_policies, n_weights)
    policy, member : ndarray of int, shape (n,)
        Of each loop.
    states : ndarray of shape (horizon + 1, n, n_states)
    actions : ndarray of shape (horizon, n, n_actions)
    rewards : ndarray of shape (horizon, n)
    going : ndarray of shape (horizon, n)
        1 for steps that were taken and paid, else 0.
    """

    surrogate: Surrogate
    form: PolicyForm
    weights: FloatArray
    policy: IntArray
    member: IntArray
    states: FloatArray
    actions: FloatArray
    rewards: FloatArray
    going: FloatArray

    @property
    def returns(self) -> FloatArray:
        """Sums of rewards, shape (n,)."""
        return np.asarray((self.rewards * self.going).sum(axis=0))

    def slopes(self, fade: float = 1.0) -> FloatArray:
        """Return the derivatives of the returns with respect to the weights.

        Parameters
        ----------
        fade : float
            Factor on the adjoint state per step. With 1 the derivatives are exact; closed
            loops may be chaotic, and exact derivatives over many steps useless then.

        Returns
        -------
        ndarray of shape (n, n_weights)

        Notes
        -----
        The discrete adjoint of the rollout, from the exact Jacobians of its term tables
        (Werbos, Proc. IEEE 78 (1990) 1550-1560). Ends of episodes, the disagreement of
        members, and clipped rewards are taken as constants.
        """
        seen = self._seen()
        gain = np.empty(self.actions.shape)
        n_states, n_seen = self.states.shape[2], seen.shape[2]
        backward(
            self._change(), self._hold(), self._look(), self._pay(seen), self._feed(seen),
            self.going, fade, np.empty(n_states), np.empty(n_seen), gain,
        )  # fmt: skip
        terms = self.form.table.evaluate(seen[:-1].reshape(-1, n_seen))
        terms = terms.reshape(*self.going.shape, -1)
        each = self.form.coefficients(self.weights)[self.policy]
        raw = np.einsum("knp,nap->kna", terms, each, optimize=True)
        box = self.form.box
        half = 0.5 * (box.high - box.low) * ((raw > box.low) & (raw < box.high))
        found = np.einsum("kna,knp->nap", gain * half, terms / self.form.scale, optimize=True)
        single = found.reshape(len(found), -1)
        shared = self.form.shared
        return np.asarray(single @ shared.T if shared.size else single)

    # -- Jacobians of all steps at once ------------------------------------------------

    def _seen(self) -> FloatArray:
        flat = self.states.reshape(-1, self.states.shape[2])
        seen = self.surrogate.dynamics.coordinates.observe().evaluate(flat)
        return seen.reshape(*self.states.shape[:2], -1)

    def _look(self) -> FloatArray:
        flat = self.states.reshape(-1, self.states.shape[2])
        found = self.surrogate.dynamics.coordinates.observe().jacobian(flat)
        return found.reshape(*self.states.shape[:2], *found.shape[1:])

    def _change(self) -> FloatArray:
        before_, n_z = self.states[:-1], self.states.shape[2]
        found = np.empty((*self.going.shape, n_z, n_z + self.actions.shape[2]))
        for m in np.unique(self.member):
            mine = self.member == m
            law = self.surrogate.dynamics.member(m).pruned()
            found[:, mine] = law.jacobian(before_[:, mine], u=self.actions[:, mine], wrt="inputs")
        return found

    def _hold(self) -> FloatArray:
        """Differentiate what comes after the increment: circles and stops."""
        dynamics, n_z = self.surrogate.dynamics, self.states.shape[2]
        found = np.zeros((*self.going.shape, n_z, n_z))
        found[...] = np.eye(n_z)
        for c, s in dynamics.coordinates.projected:
            pair = self.states[1:, :, [c, s]]
            tangent = np.stack([-pair[..., 1], pair[..., 0]], axis=-1)
            block = tangent[..., :, None] * tangent[..., None, :] / self._radius(c, s)
            found[:, :, [[c], [s]], [[c, s], [c, s]]] = block
        stops = dynamics.stops or Stops.none(n_z)
        for i in range(n_z):
            there = self.states[1:, :, i]
            held = (there <= stops.low[i]) | (there >= stops.high[i])
            found[held, i] = 0.0
            if stops.halted[i] >= 0:
                found[held, stops.halted[i]] = 0.0
        return found

    def _radius(self, c: int, s: int) -> FloatArray:
        """Return how far from the centre a point of a circle was before it was put back."""
        found = np.empty((*self.going.shape, 1, 1))
        for m in np.unique(self.member):
            mine = self.member == m
            moved = self.states[:-1, mine] + self.surrogate.dynamics.member(m).rhs(
                self.states[:-1, mine], u=self.actions[:, mine]
            )
            found[:, mine, 0, 0] = np.hypot(moved[..., c], moved[..., s])
        return found

    def _pay(self, seen: FloatArray) -> FloatArray:
        """Differentiate the rewards; those that were clipped do not change."""
        names, actions = self.surrogate.dynamics.coordinates.observation_names, self.form.box.names
        model = self.surrogate.outcome
        columns = {**{n: seen[1:, :, j] for j, n in enumerate(names)},
                   **{n: self.actions[..., a] for a, n in enumerate(actions)},
                   **{before(n): seen[:-1, :, j] for j, n in enumerate(names)}}  # fmt: skip
        x = np.stack([columns[n] for n in model.state_names], axis=-1)
        u = np.stack([columns[n] for n in model.control_names], axis=-1)
        place = {n: j for j, n in enumerate(columns)}
        found = np.zeros((*self.going.shape, len(columns)))
        where = [place[n] for n in (*model.state_names, *model.control_names)]
        found[..., where] = model.jacobian(x, u=u, wrt="inputs")[..., 0, :]
        low, high = self.surrogate.reward_range
        value = model.rhs(x, u=u)[..., 0]
        found[(value < low) | (value > high)] = 0.0
        return found

    def _feed(self, seen: FloatArray) -> FloatArray:
        """Differentiate the policies, saturation included."""
        found = np.empty((*self.actions.shape, seen.shape[2]))
        for p in np.unique(self.policy):
            mine = self.policy == p
            found[:, mine] = self.form.model(self.weights[p]).jacobian(seen[:-1, mine])
        return found


def follow(
    surrogate: Surrogate,
    form: PolicyForm,
    weights: FloatArray,
    starts: FloatArray,
    horizon: int,
    members: int,
) -> Loops:
    """Follow every policy from every start with some members, and keep the whole way.

    Parameters
    ----------
    surrogate : Surrogate
    form : PolicyForm
    weights : ndarray of shape (n_policies, n_weights)
    starts : ndarray of shape (n_starts, n_observations)
    horizon : int
    members : int
        The first so many; loops are ordered by policy, member and start.

    Returns
    -------
    Loops

    Raises
    ------
    ValueError
        If actions are discrete: nothing can be differentiated then.
    """
    box = form.box
    if (box.levels > 1).any():
        raise ValueError(
            "follow: actions must be continuous to be differentiated; this environment's are "
            "discrete; search with agent='cma'."
        )
    policy, member, start = np.indices((len(weights), members, len(starts))).reshape(3, -1)
    coefficients = form.coefficients(weights)[policy]
    found, n = surrogate.dynamics.coordinates, len(policy)
    low, high = surrogate.limits
    states = np.empty((horizon + 1, n, len(found.state_names)))
    actions = np.empty((horizon, n, len(box.names)))
    rewards, going = np.zeros((horizon, n)), np.zeros((horizon, n))
    active = np.ones(n, dtype=bool)
    states[0] = found.states(starts[start])
    seen = found.observe().evaluate(states[0])
    for k in range(horizon):
        terms = form.table.evaluate(seen)
        actions[k] = box.saturate(np.einsum("np,nap->na", terms, coefficients))
        after, now, paid, ended = surrogate.step(states[k], actions[k], member)
        inside = ((now >= low) & (now <= high)).all(axis=1)  # else nothing was paid
        rewards[k], going[k] = np.where(active, paid, 0.0), active & inside
        states[k + 1] = np.where(active[:, None], after, states[k])
        seen = np.where(active[:, None], now, seen)
        active &= ~ended
        if not active.any():
            states[k + 2 :], actions[k + 1 :] = states[k + 1], actions[k]
            break
    return Loops(surrogate, form, weights, policy, member, states, actions, rewards, going)
