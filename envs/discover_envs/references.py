"""References: controllers that are known to be good, to score others against.

All are for the default parameters. A policy is made for one episode of all members, side by
side: some count the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_continuous_are

from discover_envs.planning import RecedingHorizon, plan_on_grid
from discover_envs.scores import Policy, random_policy, score, zero_policy

__all__ = ["REFERENCES", "Score", "best_reference", "measure"]


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


def cartpole_swing() -> Policy:
    """Return energy shaping by the acceleration of the cart, and the regulator near the top.

    Notes
    -----
    K. J. Astrom, K. Furuta, "Swinging up a pendulum by energy control", Automatica 36 (2000)
    287-295. With the cart accelerated by a, the energy E of the pole, zero at rest upright, changes
    by -m l w cos(theta) a; the force that accelerates the cart so follows from the equations
    of motion.
    """
    from discover_envs.cartpole import WORLD

    p = WORLD.values("CartPoleSwingup", {})
    total, lever = p["cart_mass"] + p["pole_mass"], p["pole_mass"] * p["pole_half_length"]
    inertia, weight = p["pole_inertia"] + lever * p["pole_half_length"], lever * p["gravity"]
    gain = _regulator(WORLD.law(p), np.zeros(4), np.diag([3.0, 1.0, 1.0, 0.1]), np.array([[10.0]]))

    def act(seen: np.ndarray) -> np.ndarray:
        x, cosine, sine, v, w = seen.T
        energy = 0.5 * inertia * w**2 + weight * (cosine - 1.0)
        a = 20.0 * energy * w * cosine - 3.0 * x - 2.0 * v
        turning = (weight * sine - lever * cosine * a) / inertia
        swing = (total * a + lever * (cosine * turning - w**2 * sine)) / p["max_force"]
        hold = -(np.column_stack([x, np.arctan2(sine, cosine), v, w]) @ gain.T)[:, 0]
        near = (np.abs(hold) < 2.0) & (cosine > 0.8)
        return np.clip(np.where(near, hold, swing), -1.0, 1.0)[:, None]

    return act


#: Terms of a policy for the cart-pole, found by CMA-ES on the environment.
CARTPOLE_POLYNOMIAL = {
    "sin_theta": 60.0,
    "theta_dot": 30.0,
    "cos_theta*sin_theta": 97.7,
    "cos_theta**2*x_dot": 46.5,
    "x_dot**3": -8.38,
    "x": -19.7,
    "cos_theta*x": 84.3,
    "cos_theta*theta_dot": 3.36,
    "cos_theta*x_dot": -9.7,
}


def cartpole_polynomial() -> Policy:
    """Return the polynomial of nine terms, clipped."""
    from discover import SymbolicLibrary
    from discover_envs.cartpole import WORLD

    table = SymbolicLibrary(list(CARTPOLE_POLYNOMIAL)).build(list(WORLD.observations))
    weights = np.array(list(CARTPOLE_POLYNOMIAL.values()))
    return lambda seen: np.clip(table.evaluate(seen) @ weights, -1.0, 1.0)[:, None]


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


def pendulum_plan() -> Policy:
    """Return dynamic programming over angle and velocity."""
    from discover_envs.pendulum import WORLD

    axes = [np.linspace(-np.pi, np.pi, 181), np.linspace(-8.0, 8.0, 121)]
    levels = np.linspace(-1.0, 1.0, 15)
    plan = plan_on_grid(WORLD, axes, 200, levels=levels, periodic=[True, False])
    return plan.policy(
        lambda seen: np.column_stack([np.arctan2(seen[:, 1], seen[:, 0]), seen[:, 2]])
    )


def acrobot_swing() -> Policy:
    """Return a receding horizon of four seconds."""
    from discover_envs.acrobot import WORLD

    ahead = RecedingHorizon(WORLD, 40, hold=2, keep=4, n_iterations=30)
    return ahead.policy(
        lambda seen: np.column_stack(
            [np.arctan2(seen[:, 1], seen[:, 0]), np.arctan2(seen[:, 3], seen[:, 2]), seen[:, 4:]]
        )
    )


def lorenz_hold() -> Policy:
    """Return the linear-quadratic regulator at the fixed point."""
    from discover_envs.lorenz import WORLD

    p = WORLD.values("LorenzControl", {})
    side, top = np.sqrt(p["beta"] * (p["rho"] - 1.0)), p["rho"] - 1.0
    target = np.array([side, side, top])
    gain = _regulator(WORLD.law(p), target, 0.001 * np.eye(3), np.array([[0.01]]))
    return lambda seen: np.clip(-(seen - target) @ gain.T, -1.0, 1.0)


def lorenz_ahead() -> Policy:
    """Return a receding horizon of 1.2 time units that starts its search from the regulator."""
    from discover_envs.lorenz import WORLD

    ahead = RecedingHorizon(WORLD, 60, hold=2, keep=4, base=lorenz_hold())
    return ahead.policy(lambda seen: seen)


def lorenz96_calm() -> Policy:
    """Return the linear-quadratic regulator at the uniform state."""
    from discover_envs.lorenz96 import N_ACTIONS, N_STATES, WORLD

    p = WORLD.values("Lorenz96Control", {})
    target = np.full(N_STATES, p["forcing"])
    Q, R = np.eye(N_STATES) / N_STATES, np.eye(N_ACTIONS) / N_ACTIONS
    gain = _regulator(WORLD.law(p), target, Q, R)
    return lambda seen: np.clip(-(seen - target) @ gain.T, -1.0, 1.0)


def lorenz96_ahead() -> Policy:
    """Return a receding horizon of 1.5 time units."""
    from discover_envs.lorenz96 import WORLD

    ahead = RecedingHorizon(WORLD, 30, keep=3, n_iterations=30)
    return ahead.policy(lambda seen: seen)


def kuramoto_sivashinsky_ahead() -> Policy:
    """Return a receding horizon of ten time units.

    Notes
    -----
    There is no linear-quadratic regulator at rest: an unstable wave, the cosine of the second mode,
    is zero at all four jets.
    """
    from discover_envs.kuramoto_sivashinsky import WORLD

    ahead = RecedingHorizon(WORLD, 8, hold=5, keep=2, n_iterations=10)
    return ahead.policy(lambda seen: seen)


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


def _yield_quota(name: str) -> Policy:
    """Return the harvest that the mean stock just bears, every year, whatever the stock."""
    from discover_envs.fishery_references import maximum_sustainable_yield

    capacity, parameters = _mean_fishery(name)
    surplus, _ = maximum_sustainable_yield(**parameters)
    return lambda seen: np.full((len(seen), 1), surplus / capacity - 1.0)


def _constant_escapement(name: str) -> Policy:
    """Return the harvest that always leaves what bears the greatest yield."""
    from discover_envs.fishery_references import maximum_sustainable_yield, quota_for

    capacity, parameters = _mean_fishery(name)
    _, escapement = maximum_sustainable_yield(**parameters)
    return lambda seen: quota_for(seen, escapement, capacity)


def _mean_fishery(name: str) -> tuple[float, dict[str, float | str]]:
    """Return the capacity in quotas, and the growth without its uncertainty."""
    from discover_envs.fishery import GROWTH
    from discover_envs.pages import environment_class

    p = environment_class(name).world.parameters
    known = ("r", "K", "C", "a", "b", "q")
    return p["K"], {"growth": GROWTH[int(p["growth"])], **{key: p[key] for key in known}}


def chemostat_hold() -> Policy:
    """Return the best steady dilution, less where there is too much substrate.

    Notes
    -----
    At rest D = m(S) and X = Y (S_f - S), so that the yield D X is a function of S alone.
    """
    from discover_envs.chemostat import WORLD

    p = WORLD.values("ChemostatWashout", {})
    s = np.linspace(0.0, p["feed"], 100_001)
    growth = p["max_growth"] * s / (p["half_saturation"] + s + p["inhibition"] * s**2)
    best = np.argmax(growth * (p["feed"] - s))
    half = 0.5 * p["max_dilution"]

    def act(seen: np.ndarray) -> np.ndarray:
        dilution = growth[best] - (seen[:, 1:] - s[best])
        return np.clip(dilution / half - 1.0, -1.0, 1.0)

    return act


def chemostat_plan() -> Policy:
    """Return dynamic programming over biomass and substrate."""
    from discover_envs.chemostat import WORLD

    axes = [np.linspace(0.0, 2.0, 61), np.linspace(0.0, 4.0, 61)]
    return plan_on_grid(WORLD, axes, 1000, levels=np.linspace(-1.0, 1.0, 21)).policy(
        lambda seen: seen
    )


#: Makers of policies by their titles, the best one last.
REFERENCES: Mapping[str, Mapping[str, Callable[[], Policy]]] = {
    "CartPoleSwingup": {
        "energy shaping, then LQR": cartpole_swing,
        "polynomial of nine terms": cartpole_polynomial,
    },
    "PendulumSwingup": {
        "energy shaping, then LQR": pendulum_swing,
        "dynamic programming": pendulum_plan,
    },
    "AcrobotSwingup": {"receding horizon": acrobot_swing},
    "LorenzControl": {"LQR": lorenz_hold, "receding horizon": lorenz_ahead},
    "Lorenz96Control": {"LQR": lorenz96_calm, "receding horizon": lorenz96_ahead},
    "KuramotoSivashinsky": {"receding horizon": kuramoto_sivashinsky_ahead},
    "CylinderWakeMeanField": {"LQR": wake_rest},
    "FisheryTippingPoint": {
        "MSY every year": partial(_yield_quota, "FisheryTippingPoint"),
        "constant escapement at MSY": partial(_constant_escapement, "FisheryTippingPoint"),
        "dynamic programming": planned_harvest,
    },
    "FisheryUncertain": {
        "MSY every year": partial(_yield_quota, "FisheryUncertain"),
        "constant escapement at MSY": partial(_constant_escapement, "FisheryUncertain"),
    },
    "ChemostatWashout": {
        "proportional control of the substrate": chemostat_hold,
        "dynamic programming": chemostat_plan,
    },
}


#: Policies that take seconds for an episode.
EXPENSIVE = frozenset({acrobot_swing, lorenz96_ahead, kuramoto_sivashinsky_ahead})


def best_reference(name: str) -> Policy:
    """Return the best reference of an environment, for one episode.

    Raises
    ------
    ValueError
        If it has none.
    """
    if name not in REFERENCES:
        raise ValueError(
            f"best_reference: there is none for {name}, only for {', '.join(REFERENCES)}."
        )
    return list(REFERENCES[name].values())[-1]()


class Score(NamedTuple):
    """What a policy earns: sums of rewards of episodes."""

    policy: str
    episodes: int
    mean: float
    deviation: float
    worst: float


def measure(name: str, n_actions: int, *, episodes: int, few: int, seed: int) -> Iterator[Score]:
    """Play every policy of an environment: zero, random and the references.

    Parameters
    ----------
    name : str
    n_actions : int
        Of the environment.
    episodes : int
        Of each policy, with the seeds `seed`, `seed + 1`, ...
    few : int
        Of a policy that takes seconds for each.
    seed : int
    """
    policies: dict[str, Callable[[], Policy]] = {
        "zero": lambda: zero_policy(n_actions),
        "random": lambda: random_policy(n_actions, np.random.default_rng(seed)),
        **REFERENCES.get(name, {}),
    }
    for title, make in policies.items():
        count = min(few, episodes) if make in EXPENSIVE else episodes
        found = score(name, make(), count, seed=seed)
        yield Score(title, count, found.mean(), found.std(), found.min())
