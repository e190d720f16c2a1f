"""What other worlds need: stops, ends, starts of every kind, costs, discrete actions."""

import gymnasium
import numpy as np
import pytest

from discover import SINDyRL
from discover.control import (
    CMAAgent,
    DynamicsLearner,
    Episode,
    Plant,
    RewardLearner,
    Surrogate,
    Transitions,
    given_outcome,
    learn_termination,
)
from discover.control.coordinates import circle_pairs, detect_coordinates
from discover.control.starts import spread_starts
from discover.control.training import score_policy
from discover.libraries import SymbolicLibrary


class Motor(gymnasium.Env):
    """A motor against a stiffening spring, to be held at one radian; the cost is quadratic."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,))
    action_space = gymnasium.spaces.Box(-4.0, 4.0, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.th, self.w = self.np_random.uniform(-0.5, 0.5, 2)
        return np.array([self.th, self.w]), {}

    def step(self, action):
        u = float(action[0])
        self.w += 0.05 * (u - self.th - 0.5 * self.th**3 - 0.2 * self.w)
        self.th += 0.05 * self.w
        cost = (self.th - 1.0) ** 2 + 0.1 * self.w**2 + 0.01 * u**2
        return np.array([self.th, self.w]), -cost, False, False, {}


def held(plant, n_steps, low, high, seed=0):
    rng = np.random.default_rng(seed)
    while plant.steps < n_steps:
        u = rng.uniform(low, high, 1)
        plant.run(lambda seen, u=u: u, min(20, n_steps - plant.steps))
    return plant.data


def test_a_motor_is_held_by_a_quadratic_cost_that_nobody_gave():
    motor = SINDyRL(Motor(), CMAAgent(16, 40), explore=100, horizon=100,
                    observation_names=["th", "w"]).learn(150, seed=0)  # fmt: skip
    found = dict(zip(motor.reward_.term_names, motor.reward_.coefficients[0], strict=True))
    expected = {"1": -1.0, "th": 2.0, "th**2": -1.0, "w**2": -0.1, "u**2": -0.01}
    assert found == pytest.approx(expected, rel=1e-3)
    # holding costs 0.01 * 1.5^2 a step, and to be there takes about a second
    best = -100 * 0.01 * 1.5**2
    scored = score_policy(motor.policy_, gymnasium.wrappers.TimeLimit(Motor(), 100), 5)
    assert scored.mean() > best - 15


def test_a_speed_limit_is_found_masked_and_kept():
    plant = Plant("Pendulum-v1", observation_names=("c", "s", "w"))
    data = held(plant, 300, 1.0, 2.0)
    assert (np.abs(data.next_states[:, 2]) == 8.0).sum() > 5
    learned = DynamicsLearner().fit(data)
    assert learned.stops.high.tolist() == [np.inf, 8.0]
    kick = dict(zip(learned.model.term_names, learned.model.coefficients[1], strict=True))
    assert {n: v for n, v in kick.items() if v} == pytest.approx(
        {"sin(angle_c)": 0.75, "u": 0.15}, rel=1e-3
    )
    surrogate = Surrogate(learned, given_outcome("w", ("c", "s", "w"), ("u",)), plant.box)
    _, seen, _, _ = surrogate.step(np.array([[1.0, 7.9]]), np.array([[2.0]]), np.array([-1]))
    assert seen[0, 2] == 8.0


def test_a_wall_halts_the_velocity_in_the_surrogate_too():
    rng = np.random.default_rng(0)
    x, v, seen, acted = 0.0, 0.0, [[0.0, 0.0]], rng.uniform(-1, 1, (400, 1)).repeat(5, axis=0)
    for (u,) in acted:
        v += 0.1 * u
        x += 0.1 * v
        if x <= -1.0:
            x, v = -1.0, 0.0
        seen.append([x, v])
    data = Transitions(("x", "v"), ("u",), limits=(np.array([-1.0, -9.0]), np.full(2, 99.0)))
    data.add(Episode(np.array(seen), acted, np.zeros(len(acted))))
    stops = DynamicsLearner(SymbolicLibrary("1, x, v, u")).fit(data).stops
    assert stops.low.tolist() == [-1.0, -np.inf]
    assert stops.halted.tolist() == [1, -1]


def test_ends_are_learned_as_the_fewest_edges_between_what_ended_and_what_went_on():
    data = held(Plant("CartPole-v1", observation_names=("x", "v", "th", "w")), 600, 0, 1)
    outcome = given_outcome("1", data.observation_names, data.action_names, learn_termination(data))
    verdict = outcome.rhs(data.next_states, u=data.actions)[:, 1] > 0
    np.testing.assert_array_equal(verdict, data.terminated)
    assert data.terminated.sum() > 10
    reach = outcome.rhs(
        np.array([[0, 0, th, 0] for th in (-0.22, -0.2, 0.2, 0.22)]), u=np.zeros((4, 1))
    )
    np.testing.assert_array_equal(reach[:, 1] > 0, [True, False, False, True])


def test_the_bonus_of_an_end_is_learned_with_the_reward():
    rng = np.random.default_rng(0)
    data = Transitions(("x",), ("u",))
    for _ in range(5):
        x = np.linspace(0, rng.uniform(1.0, 1.2), 40)[:, None]
        u = rng.uniform(-1, 1, (39, 1))
        data.add(Episode(x, u, -0.1 * u[:, 0] ** 2 + 100.0 * (np.arange(39) == 38), True))
    found = RewardLearner().fit(data)
    np.testing.assert_allclose(found.rhs(np.array([[0.5], [2.0]]), u=np.ones((2, 1)))[:, 0],
                               [-0.1, 99.9], rtol=1e-6)  # fmt: skip


def test_a_reward_may_be_paid_for_the_observation_before_the_step():
    plant = Plant("Pendulum-v1", observation_names=("c", "s", "w"))
    data = held(plant, 200, -2.0, 2.0)
    found = RewardLearner().fit(data)
    paid = found.rhs(data.next_states, u=np.concatenate([data.actions, data.states], axis=1))
    np.testing.assert_allclose(paid[:, 0], data.rewards, atol=0.03)
    surrogate = Surrogate(DynamicsLearner().fit(data), found, plant.box)
    z = surrogate.dynamics.coordinates.states(data.states)
    _, _, rewards, _ = surrogate.step(z, data.actions, np.full(len(z), -1))
    np.testing.assert_allclose(rewards, data.rewards, atol=0.03)


def test_cosines_are_told_from_sines_that_come_first_and_from_those_of_another_angle():
    rng, dt = np.random.default_rng(0), 0.05
    data = Transitions(("x", "s_1", "s_2", "c_1", "c_2", "w_1", "w_2"), ("u",))
    for _ in range(20):  # near the top all sines are small, and all cosines near 1
        rates = np.cumsum(rng.normal(size=(12, 2)), axis=0)
        angles = 0.02 * rng.normal(size=2) + np.cumsum(dt * rates, axis=0)
        small = 0.2 * angles
        seen = [small[:, :1] ** 2, np.sin(small), np.cos(small), 0.2 * rates]
        data.add(Episode(np.concatenate(seen, axis=1), np.zeros((11, 1)), np.zeros(11)))
    assert circle_pairs(data) == [(3, 1), (4, 2)]
    found = detect_coordinates(data)
    assert [d.after / dt for d in found.drifts] == pytest.approx([1.0, 1.0])


def test_spread_starts_hit_every_stratum():
    def sample(rng, n):
        return np.stack([rng.uniform(0, 1, n), np.zeros(n)], axis=1)

    for seed in range(5):
        drawn = np.sort(spread_starts(sample, np.random.default_rng(seed), 8)[:, 0])
        assert np.abs(drawn - (np.arange(8) + 0.5) / 8).max() < 0.2


def test_families_of_terms_compete_for_the_law_of_a_position_in_a_valley():
    plant = Plant("MountainCarContinuous-v0", observation_names=("p", "v"))
    rng = np.random.default_rng(0)
    for _ in range(3):
        plant.run(lambda seen: np.sign(seen[1]) * rng.uniform(0.2, 1.0, 1), 100)
    learned = DynamicsLearner().fit(plant.data)
    (drift,) = learned.coordinates.drifts
    assert (drift.before, drift.after) == pytest.approx((0.0, 1.0), abs=1e-5)
    kick = dict(zip(learned.model.term_names, learned.model.coefficients[1], strict=True))
    assert kick["cos(3*p)"] == pytest.approx(-0.0025, rel=1e-2)
    assert kick["u"] == pytest.approx(0.0015, rel=1e-2)


def test_states_of_an_oscillator_that_a_force_moves_as_well_are_no_positions():
    rng = np.random.default_rng(0)
    x, seen, u = np.array([1.0, 0.0]), [], np.repeat(rng.uniform(-1, 1, (100, 1)), 10, axis=0)
    for (force,) in u:
        seen.append(x)
        x = x + 0.1 * np.array([-x[1], x[0] + 0.1 * force]) - 0.01 * x * (x @ x)
    data = Transitions(("x", "y"), ("u",))
    data.add(Episode(np.array([*seen, x]), u, np.zeros(len(u))))
    assert DynamicsLearner().fit(data).coordinates.drifts == ()
