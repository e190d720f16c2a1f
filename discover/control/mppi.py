"""MPPIAgent: acting by planning in the surrogate, with no policy at all."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from discover.control.agents import Search
from discover.control.policy import PolicyForm
from discover.control.starts import StartSampler
from discover.control.surrogate import Surrogate
from discover.typing import FloatArray

__all__ = ["MPPIAgent", "Planner"]

_NO_WEIGHTS: FloatArray = np.zeros(0)


@dataclass
class Planner:
    """A policy that plans anew at every observation: model-predictive path integral control.

    Parameters
    ----------
    surrogate : Surrogate
    plans : int, default=256
        Disturbed plans that are tried at every step.
    horizon : int, default=150
        Steps of a plan.
    hold : int, default=5
        Steps for which a plan holds an action.
    noise : float, default=0.5
        Deviation of the disturbances, in half ranges of the action.
    temperature : float, default=0.1
        In deviations of the returns of the plans: how much more the better ones weigh.
    rounds : int, default=1
        Times a plan is improved per step; five as many at the first.
    seed : int, default=0
        Of the disturbances.

    Notes
    -----
    Williams, Drews, Goldfain, Rehg and Theodorou, IEEE Trans. Robotics 34 (2018) 1603-1622,
    with disturbances held for some steps, and returns of each plan in the median model. The
    plan of the last step, moved on by one, is where the next begins, so that observations
    must come one by one, in order; :meth:`restart` forgets it.
    """

    surrogate: Surrogate
    plans: int = 256
    horizon: int = 150
    hold: int = 5
    noise: float = 0.5
    temperature: float = 0.1
    rounds: int = 1
    seed: int = 0
    steps: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, low in (("plans", 2), ("horizon", 1), ("hold", 1), ("rounds", 1)):
            value = getattr(self, name)
            if int(value) != value or value < low:
                raise ValueError(f"Planner: {name} must be a whole number >= {low}; got {value!r}.")
        for name in ("noise", "temperature"):
            if not getattr(self, name) > 0:
                raise ValueError(f"Planner: {name} must be above 0; got {getattr(self, name)!r}.")
        self.restart()

    def restart(self) -> None:
        """Forget the plan: the next observation begins an episode."""
        knots = -(-self.horizon // self.hold)
        self._plan = np.zeros((knots, len(self.surrogate.box.names)))
        self._age, self._fresh = 0, True
        self._rng = np.random.default_rng(self.seed)

    def rhs(self, observation: ArrayLike) -> FloatArray:
        """Return the action of one observation, shape (n_actions,), and move the plan on."""
        seen = np.asarray(observation, dtype=np.float64)
        z = self.surrogate.dynamics.coordinates.states(seen[None])
        for _ in range(self.rounds * (5 if self._fresh else 1)):
            self._improve(z)
        self._fresh = False
        action = self.surrogate.box.from_unit(self._plan[0])
        self._age += 1
        if self._age == self.hold:
            self._plan = np.concatenate([self._plan[1:], self._plan[-1:]])
            self._age = 0
        return action

    def _improve(self, z: FloatArray) -> None:
        """Weigh disturbed plans by the exponential of what they earn."""
        draws = self._rng.standard_normal((self.plans, *self._plan.shape))
        draws[0] = 0.0  # the plan itself
        tried = np.clip(self._plan + self.noise * draws, -1.0, 1.0)
        returns = self._returns(z, tried)
        spread = returns.std()
        if not spread > 0:
            return
        weights = np.exp((returns - returns.max()) / (self.temperature * spread))
        self._plan = np.einsum("k,kha->ha", weights / weights.sum(), tried)

    def _returns(self, z: FloatArray, plans: FloatArray) -> FloatArray:
        states = np.repeat(z, self.plans, axis=0)
        median = np.full(self.plans, -1)
        total, going = np.zeros(self.plans), np.ones(self.plans)
        for k in range(self.horizon):
            knot = (k + self._age) // self.hold % plans.shape[1]
            u = self.surrogate.box.from_unit(plans[:, knot])
            states, _, rewards, ended = self.surrogate.step(states, u, median)
            total += going * rewards
            going = going * ~ended
        self.steps += self.plans * self.horizon
        return np.where(np.isfinite(total), total, -1e9)


@dataclass(frozen=True)
class MPPIAgent:
    """Planning instead of searching: what it finds is a :class:`Planner`.

    Parameters
    ----------
    plans, horizon, hold, noise, temperature, rounds
        As for :class:`Planner`.
    """

    plans: int = 256
    horizon: int = 150
    hold: int = 5
    noise: float = 0.5
    temperature: float = 0.1
    rounds: int = 1

    def search(
        self,
        surrogate: Surrogate,
        form: PolicyForm,
        starts: StartSampler,
        horizon: int,
        *,
        rng: np.random.Generator,
        warm: FloatArray | None = None,
        target: float | None = None,
    ) -> Search:
        """Return a planner, and what it earns in one episode with a member it did not plan with."""
        planner = Planner(
            surrogate, self.plans, min(self.horizon, horizon), self.hold, self.noise,
            self.temperature, self.rounds, int(rng.integers(2**31)),
        )  # fmt: skip
        seen, member = starts(rng, 1), rng.integers(surrogate.n_members, size=1)
        z = surrogate.dynamics.coordinates.states(seen)
        trace = np.zeros((1, horizon))
        for k in range(horizon):
            action = surrogate.box.saturate(planner.rhs(seen[0]))
            z, seen, rewards, ended = surrogate.step(z, action[None], member)
            trace[0, k] = rewards[0]
            if ended[0]:
                break
        planner.restart()
        return Search(planner, _NO_WEIGHTS, float(trace.sum()), planner.steps + horizon, trace)
