"""Kuramoto-Sivashinsky: against an exponential scheme of order four, budgets and symmetries."""

import gymnasium
import numpy as np
import pytest

import discover_envs  # noqa: F401  registers
from discover.dynamics import kuramoto_sivashinsky
from discover.dynamics.etdrk4 import ETDRK4
from discover_envs.kuramoto_sivashinsky import jets

NAME = "discover/KuramotoSivashinsky-v0"
K = 2 * np.pi / 22.0 * np.arange(33)
SLOPE = np.append(K[:-1], 0.0)  # the derivative of the highest cosine vanishes on the grid


def make(**parameters):
    return gymnasium.make(NAME, **parameters).unwrapped


def derivative(u, order, k=SLOPE):
    return np.fft.irfft((1j * k) ** order * np.fft.rfft(u))


@pytest.fixture(scope="module")
def settled():
    """A field on the attractor."""
    env = make()
    env.reset(seed=3)
    return env.state


@pytest.mark.parametrize("action", [np.zeros(4), np.array([1.0, -0.5, 0.25, -1.0])])
def test_its_steps_converge_at_order_two_to_those_of_an_exponential_scheme(settled, action):
    force = np.fft.rfft(action @ jets(make().parameters))
    linear = kuramoto_sivashinsky(64, 22.0)
    exact = settled.copy()
    reference = ETDRK4(linear.symbol, lambda v, u: linear.nonlinear(v, u) + force, (64,))
    for _ in range(1000):
        exact = reference.step(exact, 0.0, 0.005)
    errors = []
    for substeps in (20, 40):
        env = make(substeps=substeps)
        env.reset(options={"state": settled})
        for _ in range(20):
            env.step(action)
        errors.append(np.abs(env.state - exact).max())
    assert errors[1] < 1e-3
    assert 3.6 < errors[0] / errors[1] < 4.4


def test_the_stated_equation_is_the_limit_of_its_steps(settled):
    action = np.array([0.5, -1.0, 0.0, 1.0])
    env = make(dt=1e-5, substeps=1, tilt=0.1)
    env.reset(options={"state": settled})
    env.step(action)
    slope = (env.state - settled) / 1e-5
    x = 22.0 / 64 * np.arange(64)
    force = action @ jets(env.parameters) + 0.1 * np.cos(4 * np.pi * x / 22.0)
    bends = [derivative(settled, order, K) for order in (2, 4)]
    rows = np.column_stack([settled, derivative(settled, 1), *bends, force])
    stated = env.law().rhs(rows)[:, 0]
    # -u u_x and -(u^2 / 2)_x differ by the aliases of the shortest waves
    np.testing.assert_allclose(slope, stated, atol=1e-3)


@pytest.mark.parametrize(
    ("cost", "effort"), [("dissipation", 0.0), ("dissipation", 0.3), ("energy", 0.3)]
)
def test_the_reward_is_the_mean_over_line_and_substeps(settled, cost, effort):
    action = np.array([1.0, -0.5, 2.0, 0.0])
    env, small = make(cost=cost, effort=effort), make(dt=0.05, substeps=1)
    env.reset(options={"state": settled})
    small.reset(options={"state": settled})
    force = np.clip(action, -1, 1) @ jets(env.parameters)
    costs = []
    for _ in range(6):
        u = small.state
        costs.append(
            np.mean(derivative(u, 2) ** 2 + derivative(u, 1) ** 2 + u * force) / 100
            if cost == "dissipation"
            else np.mean(u**2)
        )
        small.step(action)
    expected = -np.mean(costs) - effort * np.mean(np.clip(action, -1, 1) ** 2)
    assert env.step(action)[1] == pytest.approx(expected, rel=1e-10)


def test_jets_and_field_can_turn_and_be_mirrored_together(settled):
    action = np.array([0.3, -1.0, 0.7, 0.1])
    env = make()

    def after(state, action):
        env.reset(options={"state": state})
        return env.step(action)[0]

    seen = after(settled, action)
    turned = after(np.roll(settled, 16), np.roll(action, 1))
    np.testing.assert_allclose(turned, np.roll(seen, 16), atol=1e-13)

    def mirror(u):
        return -np.roll(u[::-1], 1)  # x to -x, u to -u

    np.testing.assert_allclose(after(mirror(settled), -action[::-1]), mirror(seen), atol=1e-13)


def test_two_thirds_keeps_only_the_modes_whose_products_do_not_alias(settled):
    env = make(dealiasing="two_thirds")
    env.reset(options={"state": settled})
    seen = env.step(np.ones(4))[0]
    modes = np.abs(np.fft.rfft(seen))
    assert modes[22:].max() < 1e-13 < modes[:22].min()
    free = make()
    free.reset(options={"state": settled})
    np.testing.assert_allclose(free.step(np.ones(4))[0], seen, atol=1e-4)


def test_full_jets_for_a_whole_episode_leave_it_finite_and_mass_is_what_they_add():
    env = make()
    env.reset(seed=0)
    mean = env.state.mean()
    for _ in range(400):
        seen, reward, *_ = env.step(np.ones(4))
    added = 100.0 * jets(env.parameters).sum() / 64
    assert np.isfinite(reward)
    assert seen.mean() - mean == pytest.approx(added, rel=1e-12)


def test_substeps_must_be_a_whole_number():
    with pytest.raises(ValueError, match="substeps must be a whole number"):
        make(substeps=2.5)


def followed(step, states, seconds, every):
    """States of all members, stacked in time."""
    rows = []
    for _ in range(round(seconds / every)):
        states = step(states)
        rows.append(states)
    return np.concatenate(rows)


@pytest.mark.slow
def test_the_energy_spectrum_is_that_of_an_exponential_scheme():
    batch = gymnasium.make_vec(NAME, num_envs=128, burn_in=200.0, max_episode_steps=10**6)
    batch.reset(seed=0)
    rest, linear = np.zeros((128, 4)), kuramoto_sivashinsky(64, 22.0)

    def ours(states):
        for _ in range(20):
            batch.step(rest)
        return batch.states

    def theirs(states):
        for _ in range(50):
            states = linear.step(states, 0.0, 0.1)
        return states

    start = np.random.default_rng(1).uniform(-0.4, 0.4, (128, 64))
    for _ in range(40):
        start = theirs(start)
    spectra = [
        np.mean(np.abs(np.fft.rfft(followed(step, states, 1000.0, 5.0))) ** 2, axis=0)
        for step, states in ((ours, batch.states), (theirs, start))
    ]
    # the waves that carry energy: 15 of 32; below them 12 decades are left
    np.testing.assert_allclose(spectra[0][1:16], spectra[1][1:16], rtol=0.1)


def exponent(step, states, stretches, stretch, discard, rng):
    """Mean growth rate of small differences, and its standard error over members."""
    half, size = len(states), 1e-6
    away = rng.standard_normal(states.shape)
    away -= away.mean(axis=1, keepdims=True)  # the mean is conserved
    logs = []
    for _ in range(stretches):
        away *= size / np.linalg.norm(away, axis=1, keepdims=True)
        moved = step(np.concatenate([states, states + away]))
        states, away = moved[:half], moved[half:] - moved[:half]
        logs.append(np.log(np.linalg.norm(away, axis=1) / size) / stretch)
    rates = np.mean(logs[discard:], axis=0)
    return rates.mean(), rates.std() / np.sqrt(half)


@pytest.mark.slow
def test_small_differences_grow_as_fast_as_under_an_exponential_scheme():
    n = 128
    batch = gymnasium.make_vec(NAME, num_envs=2 * n, burn_in=200.0, max_episode_steps=10**6)
    batch.reset(seed=0)
    rest, linear = np.zeros((2 * n, 4)), kuramoto_sivashinsky(64, 22.0)

    def ours(states):
        batch.reset(options={"state": states})
        for _ in range(8):
            batch.step(rest)
        return batch.states

    def theirs(states):
        for _ in range(20):
            states = linear.step(states, 0.0, 0.1)
        return states

    start = batch.states[:n]
    found = exponent(ours, start, 500, 2.0, 20, np.random.default_rng(2))
    expected = exponent(theirs, start, 500, 2.0, 20, np.random.default_rng(3))
    assert found[1] < 0.001
    assert found[0] == pytest.approx(expected[0], rel=0.1)
    # published: 0.048 (Cvitanovic, Davidchack, Siminos, SIAM J. Appl. Dyn. Syst. 9 (2010) 1-33)
    assert found[0] == pytest.approx(0.048, rel=0.1)
