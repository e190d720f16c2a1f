"""Worlds to learn to control beside the swing-up: costs, goals, falls, chaos, a wake."""

from __future__ import annotations

from typing import Any

__all__ = ["cartpole", "lorenz", "mountain_car", "pendulum", "wake"]

_SIDE = "8.48528137423857"  # sqrt(beta (rho - 1)), where the Lorenz system is to be held


def pendulum(env: Any) -> Any:
    """Swing up a pendulum whose cost is given."""
    from discover.control import CMAAgent, SINDyRL

    return SINDyRL(
        env, CMAAgent(n_starts=16, members=1, restarts=2), explore=200,
        observation_names=["cos_th", "sin_th", "th_dot"],
        reward="-(2*arctan(sin_th/(1.000001 + cos_th)))**2 - 0.1*th_dot**2 - 0.001*u**2",
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


def lorenz(env: Any) -> Any:
    """Hold the Lorenz system at the fixed point that it leaves; the cost is given.

    What an episode costs depends on its start far more than on the policy: no deviations
    are taken off, and there are many starts.
    """
    from discover.control import CMAAgent, SINDyRL

    cost = f"0.001*((x - {_SIDE})**2 + (y - {_SIDE})**2 + (z - 27)**2) + 0.01*force**2"
    return SINDyRL(env, CMAAgent(n_starts=24, members=1, caution=0.0), reward=f"-({cost})")


def wake(env: Any) -> Any:
    """Calm the wake of a cylinder; the cost is learned."""
    from discover.control import CMAAgent, SINDyRL

    return SINDyRL(env, CMAAgent(n_starts=4, members=1, restarts=2), target=-120.0)
