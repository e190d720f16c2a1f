"""Lorenz, wake and chemostat: fixed points, limit cycles and published steady states."""

import gymnasium
import numpy as np
import pytest
from scipy.optimize import brentq

import discover_envs  # noqa: F401  registers


def test_the_target_of_lorenz_is_a_fixed_point_that_pays_best_and_repels():
    env = gymnasium.make("discover/LorenzControl-v0").unwrapped
    side = np.sqrt(8 / 3 * 27)
    target = np.array([side, side, 27.0])
    env.reset(options={"state": target})
    seen, reward, *_ = env.step(np.zeros(1))
    np.testing.assert_allclose(seen, target, atol=1e-12)
    assert reward == pytest.approx(0.0, abs=1e-12)
    eigenvalues = np.linalg.eigvals(env.law().jacobian(target, u=np.zeros(1)))
    assert eigenvalues.real.max() == pytest.approx(0.0940, abs=1e-3)  # Hopf bifurcation at 24.74


def test_the_wake_settles_on_a_limit_cycle_of_radius_one_and_period_two_pi():
    env = gymnasium.make("discover/CylinderWakeMeanField-v0", max_episode_steps=5000).unwrapped
    env.reset(options={"state": [0.05, 0.0, 0.0]})
    path = np.array([env.step(np.zeros(1))[0] for _ in range(2000)])
    late = path[-200:]
    radius = np.hypot(late[:, 0], late[:, 1])
    np.testing.assert_allclose(radius, 1.0, atol=2e-3)
    turned = np.unwrap(np.arctan2(late[:, 1], late[:, 0]))
    assert (turned[-1] - turned[0]) / (0.1 * 199) == pytest.approx(1.0, abs=1e-4)


def test_rotation_in_phase_quietens_the_wake_and_against_it_does_not():
    last = {}
    for sign in (-1.0, 1.0):
        env = gymnasium.make("discover/CylinderWakeMeanField-v0").unwrapped
        seen, _ = env.reset(seed=0)
        for _ in range(1000):
            seen, *_ = env.step(np.array([sign * np.clip(20.0 * seen[1], -1.0, 1.0)]))
        last[sign] = np.hypot(*seen[:2])
    assert last[-1.0] < 0.02
    assert last[1.0] > 1.0


@pytest.mark.parametrize(
    ("biomass", "substrate", "stable"), [(1.5302, 0.1746, True), (0.9951, 1.5122, False)]
)
def test_the_chemostat_has_its_published_steady_states(biomass, substrate, stable):
    env = gymnasium.make("discover/ChemostatWashout-v0").unwrapped
    p, law = env.parameters, env.law()

    def surplus(s):
        return p["max_growth"] * s / (p["half_saturation"] + s + p["inhibition"] * s * s) - 0.3

    exact = brentq(surplus, 0.9 * substrate, 1.1 * substrate)
    state = np.array([p["yield_"] * (p["feed"] - exact), exact])
    np.testing.assert_allclose(state, [biomass, substrate], atol=1e-4)
    env.reset(options={"state": state})
    np.testing.assert_allclose(env.step(np.zeros(1))[0], state, atol=1e-12)
    assert (np.linalg.eigvals(law.jacobian(state, u=np.zeros(1))).real < 0).all() == stable


def test_too_much_dilution_washes_the_chemostat_out_and_ends_it():
    env = gymnasium.make("discover/ChemostatWashout-v0")
    env.reset(seed=0)
    for _ in range(1000):
        seen, _, terminated, truncated, _ = env.step(np.ones(1))
        if terminated:
            break
    assert terminated
    assert not truncated
    assert seen[0] < 1e-3


def test_a_chemostat_neither_makes_nor_loses_matter():
    env = gymnasium.make("discover/ChemostatWashout-v0").unwrapped
    env.reset(seed=1)
    start = env.state
    for _ in range(50):
        env.step(-np.ones(1))  # closed
    for state in (start, env.state):
        assert state[0] + 0.4 * state[1] == pytest.approx(start[0] + 0.4 * start[1], rel=1e-12)


def test_the_ring_is_uniform_at_its_forcing_and_turns_as_one():
    env = gymnasium.make("discover/Lorenz96Control-v0").unwrapped
    env.reset(options={"state": np.full(40, 8.0)})
    seen, reward, *_ = env.step(np.zeros(10))
    np.testing.assert_allclose(seen, 8.0, atol=1e-12)
    assert reward == pytest.approx(0.0, abs=1e-20)
    state = np.random.default_rng(0).normal(2.0, 3.0, 40)
    action = np.random.default_rng(1).uniform(-1, 1, 10)
    env.reset(options={"state": state})
    seen = env.step(action)[0]
    env.reset(options={"state": np.roll(state, 4)})
    np.testing.assert_array_equal(env.step(np.roll(action, 1))[0], np.roll(seen, 4))


def test_without_dissipation_and_forcing_the_ring_keeps_its_energy():
    law = gymnasium.make("discover/Lorenz96Control-v0").unwrapped.law()
    x = np.random.default_rng(2).normal(size=40)
    slope = law.rhs(x, u=np.zeros(10))
    assert x @ (slope + x - 8.0) == pytest.approx(0.0, abs=1e-12)
