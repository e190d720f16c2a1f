"""References: controllers that are known to be good, to score others against."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy.linalg import solve_continuous_are

from discover_envs.scores import Policy

__all__ = ["REFERENCES"]


def _regulator(law: object, target: np.ndarray, Q: np.ndarray, R: np.ndarray) -> np.ndarray:
    """Return the feedback gain of the linear-quadratic regulator at a fixed point of a law."""
    rest = np.zeros(R.shape[0])
    A = law.jacobian(target, u=rest)  # type: ignore[attr-defined]
    step = 1e-6
    B = np.column_stack(
        [
            (law.rhs(target, u=step * unit) - law.rhs(target, u=-step * unit)) / (2 * step)  # type: ignore[attr-defined]
            for unit in np.eye(R.shape[0])
        ]
    )
    return np.linalg.solve(R, B.T @ solve_continuous_are(A, B, Q, R))


def pendulum_swing() -> Policy:
    """Return energy shaping, and the linear-quadratic regulator near the top."""
    from discover_envs.pendulum import WORLD

    p = WORLD.values("PendulumSwingup", {})
    gain = _regulator(WORLD.law(p), np.zeros(2), np.diag([1.0, 0.1]), np.array([[0.004]]))
    weight = 1.5 * p["gravity"] / p["length"]

    def act(seen: np.ndarray) -> np.ndarray:
        cosine, sine, speed = seen.T
        state = np.column_stack([np.arctan2(sine, cosine), speed])
        energy = 0.5 * speed**2 + weight * (cosine - 1.0)
        swing = np.where(energy < 0, 1.0, -1.0) * np.where(speed >= 0, 1.0, -1.0)
        hold = -(state @ gain.T)[:, 0]
        # the regulator takes over where its torque is within reach
        return np.clip(np.where(np.abs(hold) < 1.0, hold, swing), -1.0, 1.0)[:, None]

    return act


def lorenz_hold() -> Policy:
    """Return the linear-quadratic regulator at the fixed point."""
    from discover_envs.lorenz import WORLD

    p = WORLD.values("LorenzControl", {})
    side, top = np.sqrt(p["beta"] * (p["rho"] - 1.0)), p["rho"] - 1.0
    target = np.array([side, side, top])
    gain = _regulator(WORLD.law(p), target, 0.001 * np.eye(3), np.array([[0.01]]))
    return lambda seen: np.clip(-(seen - target) @ gain.T, -1.0, 1.0)


def wake_rest() -> Policy:
    """Return the linear-quadratic regulator at rest."""
    from discover_envs.wake import WORLD

    p = WORLD.values("CylinderWakeMeanField", {})
    gain = _regulator(WORLD.law(p), np.zeros(3), np.diag([1.0, 1.0, 1e-9]), np.array([[0.1]]))
    return lambda seen: np.clip(-seen @ gain.T, -1.0, 1.0)


def planned_harvest() -> Policy:
    """Return the escapements of dynamic programming, year by year."""
    from discover_envs.fishery import WORLD
    from discover_envs.fishery_references import plan_harvest, quota_for

    escapements = iter(plan_harvest().escapements)
    capacity = WORLD.parameters["K"]
    return lambda seen: quota_for(seen, next(escapements), capacity)


def constant_escapement() -> Policy:
    """Return the harvest that always leaves what bears the greatest yield."""
    from discover_envs.fishery import WORLD
    from discover_envs.fishery_references import maximum_sustainable_yield, quota_for

    _, escapement = maximum_sustainable_yield()
    return lambda seen: quota_for(seen, escapement, WORLD.parameters["K"])


REFERENCES: Mapping[str, Mapping[str, Callable[[], Policy]]] = {
    "PendulumSwingup": {"energy shaping, then LQR": pendulum_swing},
    "LorenzControl": {"LQR": lorenz_hold},
    "CylinderWakeMeanField": {"LQR": wake_rest},
    "FisheryTippingPoint": {
        "constant escapement at MSY": constant_escapement,
        "dynamic programming": planned_harvest,
    },
}
