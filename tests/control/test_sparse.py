"""Sparse policies, by pruning and from a teacher, and the closed loop near a target."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from scipy.linalg import solve_discrete_are

from discover import SINDyRL
from discover.control import (
    CMAAgent,
    Distillation,
    DynamicsLearner,
    Plant,
    PolicyForm,
    Pruning,
    Surrogate,
    closed_loop,
    given_outcome,
)
from discover.control.distillation import censored_fit, visited
from discover.control.sparse import Judge, rounded
from discover.exceptions import DataWarning
from discover.libraries.parse import parse_expression
from discover.libraries.termtable import TermTableBuilder
from discover.symbolic import Saturation, SymbolicModel

NAMES, HORIZON, DT = ("x", "v"), 60, 0.1
REWARD = "-(x**2 + v**2 + u**2)"


class Sledge(gymnasium.Env):
    """A mass without friction, pushed by a force of at most 1."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), dtype=np.float64)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), dtype=np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.np_random.uniform(-0.5, 0.5, 2)
        return self.state.copy(), {}

    def step(self, action):
        x, v = self.state
        v += DT * float(action[0])
        self.state = np.array([x + DT * v, v])
        x, v = self.state
        return self.state.copy(), -(x * x + v * v + action[0] ** 2), False, False, {}


@pytest.fixture(scope="module")
def sledge():
    plant = Plant(Sledge(), observation_names=NAMES, horizon=HORIZON)
    rng = np.random.default_rng(0)
    for _ in range(4):
        plant.run(lambda seen: rng.uniform(-1, 1, 1), 40, purpose="explore")
    learned = DynamicsLearner().fit(plant.data)
    surrogate = Surrogate(learned, given_outcome(REWARD, NAMES, ("u",)), plant.box)
    return plant, surrogate, PolicyForm.over(None, NAMES, plant.data.states, plant.box)


def formula(terms):
    builder = TermTableBuilder(NAMES)
    table = builder.table([parse_expression(term, builder) for term in terms])
    return SymbolicModel(table, list(terms.values()), NAMES, target_names=("u",), kind="direct")


def terms_of(policy):
    return dict(zip(policy.pruned().term_names, policy.pruned().coefficients[0], strict=True))


def linear_quadratic():
    """Return the gains of the best policy, from the Riccati equation of the doubled problem."""
    A, B = np.array([[1, DT], [0, 1]]), np.array([[DT**2], [DT]])
    Q = A.T @ A  # the cost is that of the next state
    P = solve_discrete_are(A, B, Q, np.eye(1) + B.T @ B, s=A.T @ B)
    return np.linalg.solve(np.eye(1) + B.T @ (np.eye(2) + P) @ B, B.T @ (np.eye(2) + P) @ A)[0]


def test_pruning_leaves_the_linear_policy_that_is_known_to_be_best(sledge):
    plant, surrogate, form = sledge
    rng = np.random.default_rng(1)
    dense = CMAAgent(16, 40, restarts=0).search(surrogate, form, plant.starts, HORIZON, rng=rng)
    path = Pruning(20, 20).run(surrogate, form, dense.policy, plant.starts, HORIZON, rng=rng)
    found = terms_of(path.policy)
    assert found.keys() == {"x", "v"}
    gains = linear_quadratic()
    assert -found["x"] == pytest.approx(gains[0], rel=0.2)
    assert -found["v"] == pytest.approx(gains[1], rel=0.2)
    judge = Judge(surrogate, plant.starts(rng, 50), HORIZON)
    best = judge.score(formula({"x": -gains[0], "v": -gains[1]}))
    assert judge.score(path.policy).mean >= 1.02 * best.mean
    assert [one.n_terms for one in path] == list(range(form.n_weights, 0, -1))
    assert path.at_most(1).n_terms == 1
    assert plant.steps == 160


def test_a_clipped_teacher_is_found_out_exactly(sledge):
    plant, surrogate, form = sledge
    path = Distillation(1, 4, pruning=None).run(
        lambda seen: np.clip(-2.0 * seen[:, 0] - 3.0 * seen[:, 1] ** 3, -1, 1),
        surrogate, form, plant.starts, HORIZON, rng=np.random.default_rng(0),
    )  # fmt: skip
    found = terms_of(path.at_most(2).policy)
    assert found == pytest.approx({"x": -2.0, "v**3": -3.0}, rel=1e-3)


def test_pruning_takes_over_where_imitation_ends(sledge):
    plant, surrogate, form = sledge
    path = Distillation(1, 4, pruning=Pruning(20, 20)).run(
        lambda seen: np.clip(-seen[:, 0] - 2.0 * seen[:, 1] - 0.2 * seen[:, 0] ** 3, -1, 1),
        surrogate, form, plant.starts, HORIZON, rng=np.random.default_rng(0), max_terms=2,
    )  # fmt: skip
    assert terms_of(path.policy).keys() == {"x", "v"}
    assert path.policies[0].n_terms == form.n_weights
    assert path.at_most(1).n_terms == 1


class BangBang:
    """Full force towards the switching curve, in the form of stable-baselines3."""

    def predict(self, observations, deterministic=False):
        x, v = observations.T
        return -np.sign(x + 0.5 * v * np.abs(v))[:, None], None


def test_a_teacher_that_always_saturates_is_followed_by_its_side(sledge):
    plant, surrogate, form = sledge
    path = Distillation(2, 6, pruning=None).run(
        BangBang(), surrogate, form, plant.starts, HORIZON, rng=np.random.default_rng(0),
    )  # fmt: skip
    student, teacher = path.policy, BangBang()
    seen = visited(surrogate, student, plant.starts(np.random.default_rng(5), 20), HORIZON)
    far = np.abs(seen[:, 0] + 0.5 * seen[:, 1] * np.abs(seen[:, 1])) > 0.05
    agree = np.sign(student(seen[far])) == teacher.predict(seen[far])[0]
    assert agree.mean() > 0.97


def test_censored_rows_count_only_on_the_wrong_side():
    rng = np.random.default_rng(0)
    theta = np.concatenate([np.ones((300, 1)), rng.normal(size=(300, 2))], axis=1)
    true = np.array([0.3, 2.0, -1.0])
    value = theta @ true
    low = np.where(value < -1, -np.inf, np.minimum(value, 1))
    high = np.where(value > 1, np.inf, np.maximum(value, -1))
    np.testing.assert_allclose(censored_fit(theta, low, high)[0], true, rtol=1e-6)


def test_multipliers_are_those_of_the_linear_loop(sledge):
    _, surrogate, _ = sledge
    policy = formula({"x": -2.0, "v": -1.5, "v**3": -0.3})
    found = closed_loop(surrogate, policy, {"x": 0.0})
    A = np.array([[1 - 2 * DT**2, DT - 1.5 * DT**2], [-2 * DT, 1 - 1.5 * DT]])
    exact = np.linalg.eigvals(A)
    assert sorted(found.multipliers, key=np.imag) == pytest.approx(
        sorted(exact, key=np.imag), rel=1e-5
    )
    assert found.is_stable
    assert found.spread.max() < 1e-5
    assert "\nstable" in str(found)
    limited = replace(policy, saturation=Saturation(-np.ones(1), np.ones(1)))
    np.testing.assert_allclose(closed_loop(surrogate, limited, [0, 0]).width, [[1 / 2, 2 / 3]])


def test_it_is_told_when_the_target_is_not_held(sledge):
    _, surrogate, form = sledge
    pushed = form.law(np.where(np.array(form.table.names) == "1", 5.0, 0.0)[None])
    with pytest.warns(DataWarning, match=r"saturated at the target|does not rest"):
        found = closed_loop(surrogate, pushed, [0.0, 0.0])
    assert found.saturated.all()
    assert not found.rests
    with pytest.raises(ValueError, match=r"target has \['y'\]; the observations are"):
        closed_loop(surrogate, pushed, {"y": 1.0})


def test_a_point_of_rest_beside_the_target_is_found(sledge):
    _, surrogate, _ = sledge
    found = closed_loop(surrogate, formula({"1": 0.05, "x": -2.0, "v": -1.5}), [0.0, 0.0])
    np.testing.assert_allclose(found.equilibrium, [0.025, 0.0], atol=1e-6)


def test_numbers_are_rounded_to_significant_digits():
    assert rounded(np.array([1234.56, -0.00987654, 0.0]), 3).tolist() == [1230.0, -0.00988, 0.0]


def test_an_agent_shortens_its_policy_without_a_real_step(tmp_path):
    agent = SINDyRL(Sledge(), CMAAgent(8, 10, restarts=0), reward=REWARD, explore=80,
                    observation_names=NAMES, horizon=HORIZON)  # fmt: skip
    with pytest.raises(ValueError, match=r"sparsify needs a policy; call learn\(\) first"):
        agent.sparsify()
    agent.learn(80, seed=0)
    path = agent.sparsify(3, pruning=Pruning(5, 5, judged=4))
    assert path.chosen.n_terms <= 3
    again = agent.sparsify(3, pruning=Pruning(5, 5, judged=4))
    np.testing.assert_array_equal(path.policy.coefficients, again.policy.coefficients)
    taught = agent.distill(
        agent.policy_, 3, distillation=Distillation(1, 2, pruning=None, judged=4)
    )
    assert taught.chosen.n_terms <= 3
    assert agent.eigenvalues([0, 0], taught.policy).multipliers.shape == (2,)
    assert agent.plant_.steps == 80
    with pytest.raises(ValueError, match="max_terms must be 1 or more; got 0"):
        agent.sparsify(0)
    with pytest.raises(ValueError, match="teacher must be callable or have a method predict"):
        agent.distill("an expert")
