"""Rates of change behind long steps."""

import gymnasium
import numpy as np
import pytest

from discover.control import DynamicsLearner, Plant
from discover.control.stages import averaged_terms
from discover.libraries import SymbolicLibrary

NAMES = ("cos_1", "sin_1", "cos_2", "sin_2", "w_1", "w_2")


def explored(n_steps, seed):
    """Hold random torques of the acrobot for random times, up to 100 steps an episode."""
    plant, rng = (
        Plant("Acrobot-v1", observation_names=NAMES, seed=seed),
        np.random.default_rng(seed),
    )
    while plant.steps < n_steps:
        held = iter(np.repeat(rng.uniform(0, 2, 20), rng.integers(5, 20, 20)))
        plant.run(lambda seen, held=held: np.array([next(held)]), min(100, n_steps - plant.steps))
    return plant.data


def test_averaged_terms_times_the_rates_are_a_runge_kutta_step():
    table = SymbolicLibrary("1, q, v, sin(q), v**2, u*cos(q)").build(("q", "v", "u"))
    rates = np.array([[0.1, 0, 0.7, 0, 0, 0], [0, 0.3, 0, -0.8, 0.2, 0.4]])
    x = np.random.default_rng(0).normal(size=(50, 3))

    def rate(z):
        return table.evaluate(np.concatenate([z, x[:, 2:]], axis=1)) @ rates.T

    z = x[:, :2]
    k1 = rate(z)
    k2 = rate(z + k1 / 2)
    k3 = rate(z + k2 / 2)
    k4 = rate(z + k3)
    found = averaged_terms(table, rates).evaluate(x) @ rates.T
    np.testing.assert_allclose(found, (k1 + 2 * k2 + 2 * k3 + k4) / 6, rtol=1e-12, atol=1e-14)


def test_the_acrobots_law_is_found_behind_its_long_steps():
    learned = DynamicsLearner(scheme="rk4", threshold=1e-3).fit(explored(1000, 0))
    law = learned.law
    velocities = [law.term_names.index(name) for name in ("w_1", "w_2")]
    moved = law.coefficients[:2, velocities]
    np.testing.assert_allclose(moved, 0.2 * np.eye(2), atol=1e-4)  # its time step is 0.2 s
    # its rates, against those of the environment
    fresh = explored(300, 1)
    z = learned.coordinates.states(fresh.states)
    world = gymnasium.make("Acrobot-v1").unwrapped
    true = np.array(
        [world._dsdt([*s, u[0] - 1.0])[:4] for s, u in zip(z, fresh.actions, strict=True)]
    )
    found = law.rhs(z, u=fresh.actions) / 0.2
    error = np.sqrt(np.mean((found - true) ** 2, axis=0) / np.mean(true**2, axis=0))
    assert (error < 0.01).all()


def test_an_unknown_scheme_is_refused():
    with pytest.raises(ValueError, match="scheme must be one of"):
        DynamicsLearner(scheme="euler").fit(explored(20, 0))
