"""Noisy observations: laws, noise and policies, found from what is seen."""

import gymnasium
import numpy as np
import pytest

import discover_envs
from discover.control import (
    DynamicsLearner,
    Plant,
    PolicyForm,
    Surrogate,
    act,
    given_outcome,
)
from discover.libraries import SymbolicLibrary
from discover_envs.wrappers import NoisyObservation

NAMES = ("cos_th", "sin_th", "th_dot")
SD = np.array([0.01, 0.01, 0.05])


def swinging(n_steps, sd, seed=0):
    """Swing a pendulum by holding random torques."""
    env = gymnasium.make("Pendulum-v1")
    if sd is not None:
        env = NoisyObservation(env, sd)
    plant, rng = Plant(env, observation_names=NAMES, seed=seed), np.random.default_rng(seed)
    while plant.steps < n_steps:
        held = np.repeat(rng.uniform(-2, 2, 40), 5)
        turn = iter(held)
        plant.run(lambda seen, turn=turn: np.array([next(turn)]), 200, purpose="explore")
    return plant


@pytest.fixture(scope="module")
def noisy():
    plant = swinging(600, SD)
    return plant, DynamicsLearner(bounds={"th_dot": (-7.7, 7.7)}).fit(plant.data)


def test_the_exact_law_its_scheme_and_the_noise_are_found_in_noisy_observations(noisy):
    _, found = noisy
    (drift,) = found.coordinates.drifts
    assert drift.before == 0.0
    assert drift.after == pytest.approx(0.05, rel=0.005)
    kick = dict(zip(found.model.term_names, found.model.coefficients[1], strict=True))
    kick = {name: value for name, value in kick.items() if value != 0}
    assert kick.keys() == {"u", "sin(th)"}
    assert kick["sin(th)"] == pytest.approx(0.75, rel=0.02)
    assert kick["u"] == pytest.approx(0.15, rel=0.02)
    np.testing.assert_allclose(found.noise, SD, rtol=0.1)


def test_members_spread_as_the_errors_of_the_coefficients(noisy):
    _, found = noisy
    used = found.model.coefficients[1] != 0
    spread = found.members[:, 1, used].std(axis=0)
    assert (spread > 1e-5).all()
    assert (spread < 0.02 * np.abs(found.model.coefficients[1, used])).all()


def test_regression_on_the_observations_themselves_keeps_terms_that_noise_makes(noisy):
    plant, found = noisy
    plain = DynamicsLearner(noise=None).fit(plant.data)
    assert plain.noise is None
    assert plain.model.complexity > 2 * found.model.complexity


@pytest.mark.parametrize(
    "name",
    ["PendulumSwingup", "LorenzControl", "FisheryTippingPoint"],  # the last one steps at random
)
def test_exact_observations_are_taken_as_they_are(name):
    plant, rng = Plant(discover_envs.make(f"discover/{name}-v0")), np.random.default_rng(0)
    while plant.steps < 300:
        u = rng.uniform(plant.box.low, plant.box.high)
        plant.run(lambda seen, u=u: u * rng.random(), 100)
    assert DynamicsLearner().fit(plant.data).noise is None


def test_policies_of_a_compiled_closed_loop_see_noise_and_rewards_do_not(noisy):
    plant, learned = noisy
    outcome = given_outcome("cos_th - 0.1*th_dot**2", NAMES, plant.box.names)
    surrogate = Surrogate(learned, outcome, plant.box)
    form = PolicyForm.over(None, NAMES, plant.data.states, plant.box, [(0, 1)])
    weights = np.random.default_rng(1).normal(size=(2, form.n_weights))
    starts, horizon = plant.data.states[[0, 20]], 25
    run = surrogate.rollouts(
        form.table, form.coefficients(weights), starts, horizon, rng=np.random.default_rng(7)
    )
    shape = (learned.members.shape[0], 2, horizon, 3)
    blur = np.random.default_rng(7).normal(size=shape) * learned.noise
    for c, m, s in np.ndindex(2, shape[0], 2):
        policy, law = form.model(weights[c]), learned.member(m)
        z, total = learned.coordinates.states(starts[s]), 0.0
        seen = np.array([np.cos(z[0]), np.sin(z[0]), z[1]])
        for k in range(horizon):
            u = act(policy, seen + blur[m, s, k], plant.box)
            z = law.step(z, u=u)
            seen = np.array([np.cos(z[0]), np.sin(z[0]), z[1]])
            total += outcome.rhs(seen, u=u)[0]
        assert run.returns[c, m, s] == pytest.approx(total, rel=1e-7)


def test_rewards_of_the_observation_before_the_step_do_not_see_the_noise(noisy):
    plant, learned = noisy
    outcome = given_outcome("cos_th_before - 0.1*th_dot_before**2", NAMES, plant.box.names)
    surrogate = Surrogate(learned, outcome, plant.box)
    blind = PolicyForm.over(SymbolicLibrary(["1"]), NAMES, plant.data.states, plant.box)
    pushes, starts = blind.coefficients(np.array([[0.3], [-1.0]])), plant.data.states[:4]
    clean = surrogate.rollouts(blind.table, pushes, starts, 60)
    blurred = surrogate.rollouts(blind.table, pushes, starts, 60, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(blurred.returns, clean.returns)
