"""Agents other than CMA-ES: planning, exact gradients, and actor-critic methods."""

import sys

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from discover import SINDyRL, SymbolicModel
from discover.control import (
    DynamicsLearner,
    GradientAgent,
    MPPIAgent,
    Planner,
    Plant,
    PolicyForm,
    PPOAgent,
    SACAgent,
    Surrogate,
    SurrogateVectorEnv,
    given_outcome,
)
from discover.control.sensitivity import follow
from discover.control.stops import Stops
from discover.libraries import SymbolicLibrary

NAMES = ("cos_th", "sin_th", "th_dot")
REWARD = "-((1 - cos_th)**2 + 0.1*th_dot**2 + 0.001*u**2)"
HORIZON = 100
OBSERVED = "cos_th, sin_th, th_dot, u, sin_th*th_dot, cos_th*th_dot, th_dot**2"


@pytest.fixture(scope="module")
def plant():
    plant, rng = Plant("Pendulum-v1", observation_names=NAMES, seed=0), np.random.default_rng(0)
    while plant.steps < 200:
        held = iter(np.repeat(rng.uniform(-2, 2, 50), 5))
        plant.run(lambda seen, held=held: np.array([next(held)]), 100)
    return plant


@pytest.fixture(scope="module")
def surrogate(plant):
    learned = DynamicsLearner().fit(plant.data)
    return Surrogate(learned, given_outcome(REWARD, NAMES, ("u",)), plant.box)


@pytest.fixture(scope="module")
def form(plant):
    return PolicyForm.over(None, NAMES, plant.data.states, plant.box, [(0, 1)])


def search(agent, surrogate, form, plant, seed=0, **options):
    rng = np.random.default_rng(seed)
    return agent.search(surrogate, form, plant.starts, HORIZON, rng=rng, **options)


@pytest.mark.parametrize("coordinates", ["auto", "observed"])
def test_slopes_of_closed_loops_are_their_derivatives(plant, coordinates):
    library = None if coordinates == "auto" else SymbolicLibrary(OBSERVED)
    learned = DynamicsLearner(library, coordinates=coordinates).fit(plant.data)
    n = len(learned.coordinates.state_names)
    low, high = np.full(n, -np.inf), np.full(n, np.inf)
    high[-1] = 2.5  # the rate meets a stop in some of the loops
    learned = type(learned)(
        learned.model, learned.members, learned.coordinates, learned.n_rows, learned.scale,
        Stops(low, high, np.full(n, -1)),
    )  # fmt: skip
    outcome = given_outcome("cos_th - 0.1*th_dot**2 + th_dot_before*u", NAMES, ("u",))
    surrogate = Surrogate(learned, outcome, plant.box, {"th_dot": (-6.0, 6.0)})
    form = PolicyForm.over(None, NAMES, plant.data.states, plant.box, [(0, 1)])
    rng = np.random.default_rng(0)
    weights, starts = rng.normal(0, 0.3, (3, form.n_weights)), plant.starts(rng, 2)
    loops = follow(surrogate, form, weights, starts, 25, 2)
    run = surrogate.rollouts(form.table, form.coefficients(weights), starts, 25, members=2)
    np.testing.assert_allclose(loops.returns, run.returns.ravel(), rtol=1e-9)
    assert (loops.states[..., -1] == 2.5).any()
    found, step = loops.slopes(), 1e-6

    def returns(change):
        return follow(surrogate, form, weights + change, starts, 25, 2).returns

    for j, unit in enumerate(np.eye(form.n_weights)):
        expected = (returns(step * unit) - returns(-step * unit)) / (2 * step)
        np.testing.assert_allclose(found[:, j], expected, rtol=1e-5, atol=1e-6)


def test_gradients_climb_and_halve_the_field(surrogate, form, plant):
    first = search(GradientAgent(1), surrogate, form, plant)
    found = search(GradientAgent(30), surrogate, form, plant)
    assert found.score > 0.8 * first.score  # both are costs
    few = [search(GradientAgent(8, loops=8), surrogate, form, plant).weights for _ in range(2)]
    np.testing.assert_array_equal(*few)


def test_a_planner_swings_up_in_a_surrogate_and_starts_afresh_each_episode(surrogate, form, plant):
    found = search(MPPIAgent(64, horizon=30, hold=3), surrogate, form, plant)
    assert isinstance(found.policy, Planner)
    assert found.score > -200.0
    assert found.trace[0, -20:].min() > -0.1  # upright and at rest
    first = found.policy.rhs([-1.0, 0.0, 0.0])
    found.policy.restart()
    np.testing.assert_array_equal(found.policy.rhs([-1.0, 0.0, 0.0]), first)
    with pytest.raises(ValueError, match=r"hold must be a whole number >= 1; got 0"):
        Planner(surrogate, hold=0)


def test_the_loop_runs_with_a_planner(tmp_path):
    agent = SINDyRL("Pendulum-v1", MPPIAgent(32, horizon=20, hold=2), reward=REWARD,
                    observation_names=NAMES, explore=150)  # fmt: skip
    agent.learn(550, seed=0, out=tmp_path)
    assert isinstance(agent.policy_, Planner)
    assert agent.plant_.steps == 550
    assert not (tmp_path / "policy.json").exists()
    assert (tmp_path / "model.json").exists()


@pytest.mark.parametrize(
    "agent",
    [
        PPOAgent(steps=1024, num_envs=4, options={"n_steps": 64, "batch_size": 64}),
        SACAgent(steps=400, num_envs=4, options={"learning_starts": 100, "batch_size": 32}),
    ],
    ids=["ppo", "sac"],
)
def test_what_actor_critic_methods_train_is_the_closed_form(agent, surrogate, form, plant):
    pytest.importorskip("stable_baselines3")
    warm = np.random.default_rng(1).normal(0, 0.3, form.n_weights)
    found = search(agent, surrogate, form, plant, warm=warm)
    again = search(agent, surrogate, form, plant, warm=warm)
    assert isinstance(found.policy, SymbolicModel)
    np.testing.assert_array_equal(found.weights, again.weights)
    assert 0 < np.abs(found.weights / warm - 1).max()


def test_agents_of_an_extra_name_it(surrogate, form, plant, monkeypatch):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(ImportError, match=r"discover-dynamics\[rl\]"):
        search(PPOAgent(), surrogate, form, plant)


def test_a_batch_may_begin_episodes_in_the_step_that_ends_the_last(surrogate, plant):
    late = SurrogateVectorEnv(surrogate, plant.starts, 5, num_envs=3)
    same = SurrogateVectorEnv(surrogate, plant.starts, 5, num_envs=3, autoreset_mode="SameStep")
    assert same.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    np.testing.assert_array_equal(late.reset(seed=3)[0], same.reset(seed=3)[0])
    u = np.full((3, 1), 0.5)
    for _ in range(5):
        expected, found = late.step(u), same.step(u)
    np.testing.assert_array_equal(np.stack(found[4]["final_obs"]), expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    assert found[3].all()
    np.testing.assert_array_equal(late.step(u)[0], found[0])
    with pytest.raises(ValueError, match="'NextStep' or 'SameStep'"):
        SurrogateVectorEnv(surrogate, plant.starts, 5, autoreset_mode="Disabled")
