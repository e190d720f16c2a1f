"""Surrogates: what is learned, and that the compiled loop is the loop."""

import gymnasium
import numpy as np
import pytest

from discover.control import (
    ActionBox,
    DynamicsLearner,
    Episode,
    Plant,
    PolicyForm,
    RewardLearner,
    Surrogate,
    Transitions,
    act,
    given_outcome,
)
from discover.kernels.rollouts import quarter_wave
from discover.libraries import PolynomialLibrary


def pendulum_steps(n=200, seed=0):
    plant = Plant("Pendulum-v1", observation_names=("cos_th", "sin_th", "th_dot"), seed=seed)
    rng = np.random.default_rng(seed)
    while plant.steps < n:
        u = rng.uniform(-2, 2, 1)
        plant.run(lambda seen, u=u: u * np.sign(rng.random() - 0.3), min(100, n - plant.steps))
    return plant


@pytest.fixture(scope="module")
def pendulum():
    return pendulum_steps()


def surrogate_of(plant, **options):
    learned = DynamicsLearner(random_state=0).fit(plant.data)
    outcome = given_outcome(
        "-(arctan(sin_th/(1.001+cos_th))**2 + 0.1*th_dot**2 + 0.001*u**2)",
        plant.data.observation_names, plant.box.names,
    )  # fmt: skip
    return Surrogate(learned, outcome, plant.box, **options)


def test_the_pendulums_law_is_found_with_its_angle_and_its_scheme(pendulum):
    found = DynamicsLearner(random_state=0).fit(pendulum.data)
    (drift,) = found.coordinates.drifts
    assert found.coordinates.state_names == ("th", "th_dot")
    assert drift.before == 0.0
    assert drift.after == pytest.approx(0.05, rel=1e-5)
    kick = found.model.coefficients[1]
    names = np.array(found.model.term_names)
    assert set(names[kick != 0]) == {"sin(th)", "u"}
    np.testing.assert_allclose(kick[kick != 0][np.argsort(names[kick != 0])], [0.75, 0.15],
                               rtol=1e-3)  # fmt: skip


def test_compiled_closed_loop_equals_steps_of_the_models(pendulum):
    surrogate = surrogate_of(pendulum)
    form = PolicyForm.over(
        None, pendulum.data.observation_names, pendulum.data.states, pendulum.box, [(0, 1)]
    )
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(3, form.n_weights))
    starts = pendulum.data.states[[0, 20, 50]]
    run = surrogate.rollouts(form.table, form.coefficients(weights), starts, 30, trace=True)
    for c, m, s in np.ndindex(3, 5, 3):
        policy, law = form.model(weights[c]), surrogate.dynamics.member(m)
        seen, z, total = starts[s], surrogate.dynamics.coordinates.states(starts[s]), 0.0
        for k in range(30):
            u = act(policy, seen, pendulum.box)
            z = law.step(z, u=u)
            seen = np.array([np.cos(z[0]), np.sin(z[0]), z[1]])
            reward = surrogate.outcome.rhs(seen, u=u)[0]
            assert run.trace[c, m, s, k] == pytest.approx(reward, rel=1e-6, abs=1e-9)
            total += reward
        assert run.returns[c, m, s] == pytest.approx(total, rel=1e-7)


@pytest.mark.parametrize("n", [1, 200])
def test_steps_follow_the_member_of_each_row_and_leave_their_input_alone(pendulum, n):
    surrogate = surrogate_of(pendulum, bounds={"th_dot": (-3.0, 3.0)})
    dynamics = surrogate.dynamics
    seen = pendulum.data.states[-n:]
    z, u = dynamics.coordinates.states(seen), pendulum.data.actions[-n:]
    which = np.arange(n)[::-1] % 7 - 2  # members of the rows are mixed; -1: median, -2: mean
    kept = z.copy()
    after, now, rewards, ended = surrogate.step(z, u, which)
    np.testing.assert_array_equal(z, kept)
    mean = dynamics.model.with_coefficients(dynamics.members.mean(axis=0))
    laws = [*(dynamics.member(k) for k in range(5)), mean, dynamics.model]
    expected = np.array([laws[m].step(x, u=a) for m, x, a in zip(which, z, u, strict=True)])
    np.testing.assert_allclose(after, expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(now, np.stack([np.cos(after[:, 0]), np.sin(after[:, 0]),
                                              after[:, 1]], axis=1), atol=1e-14)  # fmt: skip
    outside = np.abs(after[:, 1]) > 3.0
    np.testing.assert_array_equal(ended, outside)
    paid = surrogate.outcome.rhs(now, u=u)[:, 0]
    np.testing.assert_allclose(rewards, np.where(outside, 0.0, paid), rtol=1e-12, atol=1e-13)


def test_steps_refuse_rows_that_do_not_match(pendulum):
    surrogate = surrogate_of(pendulum)
    with pytest.raises(ValueError, match=r"states \(n, 2\), actions \(n, 1\)"):
        surrogate.step(np.zeros((3, 2)), np.zeros((2, 1)), np.zeros(3, dtype=np.int64))
    with pytest.raises(ValueError, match="member must be below 5"):
        surrogate.step(np.zeros((1, 2)), np.zeros((1, 1)), np.array([5]))
    with pytest.raises(ValueError, match="got -3 to -3"):
        surrogate.step(np.zeros((1, 2)), np.zeros((1, 1)), np.array([-3]))


def test_lanes_that_end_early_hand_over_without_mixing_rollouts(pendulum):
    bounded = surrogate_of(pendulum, bounds={"th_dot": (-3.0, 3.0)})
    form = PolicyForm.over(None, pendulum.data.observation_names, pendulum.data.states,
                           pendulum.box)  # fmt: skip
    weights = np.random.default_rng(2).normal(size=(40, form.n_weights))
    starts = pendulum.data.states[:7]
    together = bounded.rollouts(form.table, form.coefficients(weights), starts, 50)
    assert 0 < together.ended.mean() < 1
    for c in range(0, 40, 7):
        alone = bounded.rollouts(form.table, form.coefficients(weights[[c]]), starts[3:4], 50)
        np.testing.assert_array_equal(alone.returns[0, :, 0], together.returns[c, :, 3])
        np.testing.assert_array_equal(alone.lengths[0, :, 0], together.lengths[c, :, 3])


def test_sines_of_the_kernel_are_sines():
    x = np.concatenate([np.linspace(-50, 50, 2001), [1e4, -1e4 + 0.1]])
    found = np.array([[quarter_wave(v, 0.0), quarter_wave(v, 1.0)] for v in x])
    np.testing.assert_allclose(found, np.stack([np.sin(x), np.cos(x)], axis=1), atol=2e-15)


def test_variance_of_the_ensemble_is_that_of_its_members(pendulum):
    found = DynamicsLearner(threshold=0.0, random_state=0).fit(pendulum.data)
    z = found.coordinates.states(pendulum.data.states[:50])
    u = pendulum.data.actions[:50]
    each = np.array([found.member(k).rhs(z, u=u) for k in range(len(found.members))])
    np.testing.assert_allclose(found.variance(z, u), each.var(axis=0, ddof=1), rtol=1e-6,
                               atol=1e-24)  # fmt: skip


def test_penalty_takes_the_root_of_the_relative_variance_off_each_reward(pendulum):
    plain, careful = surrogate_of(pendulum), surrogate_of(pendulum, penalty=2.0)
    z = plain.dynamics.coordinates.states(pendulum.data.states[:20])
    u, which = pendulum.data.actions[:20], np.zeros(20, dtype=np.int64)
    relative = plain.dynamics.variance(z, u) / plain.dynamics.scale**2
    taken = plain.step(z, u, which)[2] - careful.step(z, u, which)[2]
    np.testing.assert_allclose(taken, 2.0 * np.sqrt(relative.mean(axis=1)), rtol=1e-5, atol=1e-9)


def test_reward_belongs_to_the_next_observation():
    rng = np.random.default_rng(0)
    x = np.cumsum(rng.normal(size=(101, 1)), axis=0)
    u = rng.normal(size=(100, 1))
    rewards = 2 * x[1:, 0] - 0.5 * x[1:, 0] ** 2 + 0.1 * u[:, 0]
    data = Transitions(("x",), ("u",))
    data.add(Episode(x, u, rewards))
    found = RewardLearner(PolynomialLibrary(2)).fit(data)
    values = dict(zip(found.term_names, found.coefficients[0], strict=True))
    assert values.keys() == {"x", "u", "x**2"}
    np.testing.assert_allclose([values["x"], values["x**2"], values["u"]], [2, -0.5, 0.1],
                               rtol=1e-6)  # fmt: skip


def test_observed_circles_stay_circles(pendulum):
    learned = DynamicsLearner(PolynomialLibrary(2), coordinates="observed").fit(pendulum.data)
    surrogate = Surrogate(
        learned, given_outcome("th_dot", ("cos_th", "sin_th", "th_dot"), ("u",)), pendulum.box
    )
    z = pendulum.data.states[:20]
    for _ in range(50):
        z, seen, _, _ = surrogate.step(z, np.full((20, 1), 0.3), np.arange(20) % 6 - 1)
        assert np.abs(seen[:, 0] ** 2 + seen[:, 1] ** 2 - 1).max() < 1e-12


def test_bags_grow_with_the_buffer_and_all_rows_count(pendulum):
    assert DynamicsLearner().fit(pendulum.data).n_rows == len(pendulum.data)
    more = pendulum_steps(400)
    assert DynamicsLearner().fit(more.data).n_rows == 400


def test_discrete_actions_are_rounded_to_levels():
    box = ActionBox(("u",), np.zeros(1), np.array([2.0]), np.array([3]))
    np.testing.assert_array_equal(box.saturate(np.array([[-4.0], [0.6], [1.4], [9.0]]))[:, 0],
                                  [0, 1, 1, 2])  # fmt: skip
    plant = Plant(gymnasium.make("CartPole-v1"))
    plant.run(lambda seen: np.array([0.7]), 5)
    assert set(plant.data.actions[:, 0]) == {1.0}


def test_widths_of_a_rewards_bumps_are_found():
    rng = np.random.default_rng(0)
    angle, v = rng.uniform(-3, 3, 301), rng.normal(0, 2, 301)
    seen = np.stack([np.cos(angle), np.sin(angle), v], axis=1)
    u = rng.uniform(-1, 1, (300, 1))

    def reward(seen, u):
        return (1 + seen[:, 0]) * (1 + np.exp(-((seen[:, 2] / 1.3) ** 2))) * (5 - u[:, 0] ** 2)

    data = Transitions(("c", "s", "v"), ("u",))
    data.add(Episode(seen, u, reward(seen[1:], u)))
    found = RewardLearner().fit(data)
    fresh = np.stack([np.cos(3 * v), np.sin(3 * v), 2 * v], axis=1)
    expected = reward(fresh[1:], u)
    np.testing.assert_allclose(found.rhs(fresh[1:], u=u)[:, 0], expected, atol=1e-3)


def test_a_learned_reward_is_believed_only_within_its_range(pendulum):
    wild = surrogate_of(pendulum, reward_range=(-1.0, -0.5))
    z = wild.dynamics.coordinates.states(pendulum.data.states)
    rewards = wild.step(z, pendulum.data.actions, np.zeros(len(z), dtype=np.int64))[2]
    assert rewards.min() == -1.0
    assert rewards.max() == -0.5
