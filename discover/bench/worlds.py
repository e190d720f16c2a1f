"""Worlds to learn beside the swing-up: costs, goals, falls, long steps, chaos, a wake, a stock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np

from discover.typing import FloatArray

__all__ = [
    "Fishery", "acrobot", "cartpole", "kuramoto_sivashinsky", "lorenz", "mountain_car",
    "pendulum", "wake",
]  # fmt: skip

PENDULUM_COST = "-(2*arctan(sin_th/(1.000001 + cos_th)))**2 - 0.1*th_dot**2 - 0.001*u**2"
_SIDE = "8.48528137423857"  # sqrt(beta (rho - 1)), where the Lorenz system is to be held


def pendulum(env: Any) -> Any:
    """Swing up a pendulum whose cost is given."""
    from discover.control import CMAAgent, SINDyRL

    return SINDyRL(
        env, CMAAgent(n_starts=16, members=1, restarts=2), explore=200,
        observation_names=["cos_th", "sin_th", "th_dot"],
        reward=PENDULUM_COST,
    )  # fmt: skip


def mountain_car(env: Any) -> Any:
    """Drive out of a valley: the goal and what it pays are given, since nobody has been there."""
    from discover.control import CMAAgent, SINDyRL

    return SINDyRL(
        env, CMAAgent(generations=100, n_starts=9, members=1), explore=300,
        observation_names=["p", "v"],
        reward="100*max(0, sign(p - 0.45)) - 0.1*u**2", terminal="p - 0.45",
    )  # fmt: skip


def cartpole(env: Any) -> Any:
    """Balance a pole with two pushes; reward and end are learned."""
    from discover.control import CMAAgent, SINDyRL

    return SINDyRL(
        env, CMAAgent(generations=50, n_starts=8, members=2), explore=300,
        observation_names=["x", "x_dot", "th", "th_dot"],
    )  # fmt: skip


def acrobot(env: Any) -> Any:
    """Swing two links up by the joint between them; the goal is given, and steps are long."""
    from discover.control import DynamicsLearner, SINDyRL

    height = "-cos_1 - cos_1*cos_2 + sin_1*sin_2"
    return SINDyRL(
        env, dynamics=DynamicsLearner(scheme="rk4"), target=-80.0,
        observation_names=["cos_1", "sin_1", "cos_2", "sin_2", "w_1", "w_2"],
        reward=f"max(0, sign({height} - 1)) - 1", terminal=f"{height} - 1",
    )  # fmt: skip


def lorenz(env: Any) -> Any:
    """Hold the Lorenz system at the fixed point that it leaves; the cost is given.

    What an episode costs depends on its start more than on the policy: no deviations are
    taken off, and so many starts that those are among them that are hardest to get away from.
    """
    from discover.control import CMAAgent, SINDyRL

    cost = f"0.001*((x - {_SIDE})**2 + (y - {_SIDE})**2 + (z - 27)**2) + 0.01*force**2"
    return SINDyRL(
        env, CMAAgent(n_starts=48, members=1, caution=0.0, restarts=0), reward=f"-({cost})"
    )


def wake(env: Any) -> Any:
    """Calm the wake of a cylinder; the cost is learned."""
    from discover.control import CMAAgent, SINDyRL

    return SINDyRL(env, CMAAgent(n_starts=4, members=1, restarts=2), target=-120.0)


def kuramoto_sivashinsky(env: Any) -> Any:
    """Quieten a chaotic field with four jets, in 12 of its modes; the cost is learned.

    Given are the symmetry of the jets, and that a step is cubic in the amplitudes, with jets
    that act as the field has it: what a quadratic equation does over a short time.
    """
    from discover.control import CMAAgent, DynamicsLearner, SINDyRL, Symmetry
    from discover.libraries import PolynomialLibrary, SymbolicLibrary

    waves, jets = [f"a{k}" for k in range(12)], [f"jet{k}" for k in range(4)]
    acted = PolynomialLibrary(1, inputs=waves) * SymbolicLibrary(jets)
    return SINDyRL(
        env, CMAAgent(16, 60, n_starts=4, members=1, restarts=0, extensions=0), modes=12,
        symmetry=Symmetry(np.roll(np.arange(64), 16), [3, 0, 1, 2]), explore=3000, patience=0.25,
        target=-3.0,
        dynamics=DynamicsLearner(
            PolynomialLibrary(3, inputs=waves) + acted, coordinates="observed", n_members=3,
            noise=None,
        ),
    )  # fmt: skip


class Fishery:
    """Fish down to another level in every episode, and plan with what the stock did.

    Given is what a quota takes: ``(1 + u) capacity`` of the stock, which is what is paid.

    Parameters
    ----------
    env : gymnasium.Env
        Of one observation, the stock, and one action `u` in [-1, 1].
    capacity : float, default=8.0
    """

    def __init__(self, env: Any, capacity: float = 8.0) -> None:
        self.env = env
        self.capacity = capacity

    def learn(self, real_steps: int, seed: int = 0) -> Self:
        """Spend all steps on episodes that leave half or more of the first stock, and plan."""
        from discover.control import HarvestPlanner, Plant

        self.plant_, rng = Plant(self.env, seed=seed), np.random.default_rng(seed)
        while self.plant_.steps < real_steps:
            leave = self._down_to(rng.uniform(0.5, 1.0))
            self.plant_.run(leave, real_steps - self.plant_.steps, purpose="explore")
        episodes = self.plant_.data.episodes
        stocks = [e.observations[:, 0] for e in episodes]
        harvests = [np.append(e.rewards, 0.0) for e in episodes]
        start = float(np.median([run[0] for run in stocks]))
        self.planner_ = HarvestPlanner(start=start, n_steps=self.plant_.horizon)
        self.planner_.fit(stocks, harvests)
        self.policy_ = self
        self.restart()
        return self

    def _down_to(self, share: float) -> Callable[[FloatArray], FloatArray]:
        """Return what leaves a share of the first stock, year after year."""
        level = list[FloatArray]()

        def leave(seen: FloatArray) -> FloatArray:
            if not level:
                level.append(share * seen)
            return self._quota(np.maximum(0.0, seen - level[0]))

        return leave

    def restart(self) -> None:
        """Begin an episode."""
        self._year = -1

    def rhs(self, stocks: FloatArray, /) -> FloatArray:
        """Return the quotas of the next year."""
        self._year += 1
        return self._quota(self.planner_.predict(stocks, self._year))

    def _quota(self, harvests: FloatArray) -> FloatArray:
        return harvests / self.capacity - 1.0
