"""Many observations: their modes, symmetries, and policies that act on all of them."""

import numpy as np
import pytest

from discover import SINDyRL, SymbolicModel
from discover.control import (
    ActionBox,
    CMAAgent,
    DynamicsLearner,
    Episode,
    Modes,
    PolicyForm,
    RewardLearner,
    Surrogate,
    Symmetry,
    Transitions,
    act,
    given_outcome,
)
from discover.control.training import score_policy
from discover.libraries import PolynomialLibrary
from discover_envs import make

RING = Symmetry(np.roll(np.arange(8), 2), np.roll(np.arange(4), 1))
NAMES = tuple(f"u{j}" for j in range(8))
BOX = ActionBox(("p", "q", "r", "s"), -np.ones(4), np.ones(4))


@pytest.fixture(scope="module")
def modes():
    rng = np.random.default_rng(0)
    data = Transitions(NAMES, BOX.names)
    data.add(Episode(rng.normal(1.0, 1.0, (40, 8)), rng.normal(size=(39, 4)), np.zeros(39)))
    return Modes.of(RING.spread(data).states, NAMES, 3)


@pytest.mark.parametrize("degree", [1, 2])
def test_a_policy_over_amplitudes_is_the_same_over_the_observations(modes, degree, tmp_path):
    rng = np.random.default_rng(1)
    form = PolicyForm.over(
        PolynomialLibrary(degree), modes.names, rng.normal(size=(9, len(modes.names))), BOX
    )
    policy = form.model(rng.normal(size=form.n_weights))
    lifted = SymbolicModel.load(modes.lift(policy).save(tmp_path / "policy.json"))
    assert lifted.state_names == NAMES
    seen = rng.normal(size=(50, 8))
    np.testing.assert_allclose(
        act(lifted, seen, BOX), act(policy, modes.amplitudes(seen), BOX), atol=1e-12
    )


def test_modes_of_a_symmetric_world_come_in_whole_families(modes):
    move = RING.through(modes)
    assert len(modes.vectors) in (3, 4)
    np.testing.assert_allclose(move @ move.T, np.eye(len(move)), atol=1e-12)


def test_policies_of_a_symmetry_act_alike_on_what_is_alike(modes):
    rng = np.random.default_rng(2)
    for through, names in ((None, NAMES), (modes, modes.names)):
        form = PolicyForm.over(PolynomialLibrary(2), names, rng.normal(size=(9, len(names))), BOX)
        shared = RING.share(form, through)
        assert shared.n_weights * 4 == form.n_weights
        weights = rng.normal(size=shared.n_weights)
        np.testing.assert_allclose(shared.weights(shared.coefficients(weights)), weights)
        policy, seen = shared.model(weights), rng.normal(size=(20, len(names)))
        there = policy.rhs(seen @ RING.through(through).T)
        np.testing.assert_allclose(there, policy.rhs(seen)[:, RING.actions], atol=1e-12)


def test_a_symmetry_says_what_it_cannot_be():
    with pytest.raises(ValueError, match="actions must hold every number from 0 to 1 once"):
        Symmetry([1, 0], [0, 0])
    with pytest.raises(ValueError, match="must have 64 and 4 entries"):
        SINDyRL(make("discover/KuramotoSivashinsky-v0"), symmetry=RING).learn(10)
    with pytest.raises(ValueError, match="reward, terminal and bounds must be None"):
        SINDyRL(make("discover/KuramotoSivashinsky-v0"), modes=3, reward="-u0**2").learn(10)


def chaos(agent, explore=200):
    return SINDyRL(
        make("discover/KuramotoSivashinsky-v0"), agent, modes=5, horizon=40, explore=explore,
        symmetry=Symmetry(np.roll(np.arange(64), 16), [3, 0, 1, 2]),
        dynamics=DynamicsLearner(coordinates="observed", noise=None, n_members=2),
        reward_learner=RewardLearner(PolynomialLibrary(2)),
    )  # fmt: skip


class Impatient(CMAAgent):
    """Interrupted in its second search."""

    def search(self, surrogate, form, starts, horizon, *, rng, **options):
        if options["warm"] is not None:
            raise KeyboardInterrupt
        return super().search(surrogate, form, starts, horizon, rng=rng, **options)


def test_a_run_in_modes_resumes_and_its_policy_acts_on_the_world_itself(tmp_path):
    quick = {"population": 4, "generations": 2, "restarts": 0, "extensions": 0}
    whole = chaos(CMAAgent(**quick)).learn(280, out=tmp_path / "whole")
    chaos(Impatient(**quick)).learn(280, out=tmp_path / "broken")
    again = chaos(CMAAgent(**quick)).learn(280, out=tmp_path / "broken", resume=True)
    assert again.rounds_ == whole.rounds_
    assert whole.plant_.steps == 280
    np.testing.assert_array_equal(again.policy_.coefficients, whole.policy_.coefficients)
    stored = SymbolicModel.load(tmp_path / "whole" / "policy.json")
    env = make("discover/KuramotoSivashinsky-v0")
    np.testing.assert_array_equal(
        score_policy(stored, env, 1, seed=3), score_policy(whole.policy_, env, 1, seed=3)
    )


def test_running_away_does_not_pay_in_a_world_without_an_end():
    rng = np.random.default_rng(0)
    data = Transitions(("x",), ("u",))
    x = rng.uniform(-1, 1, 300)
    for a, u in zip(x, rng.uniform(-1, 1, 300), strict=True):
        data.add(Episode(np.array([[a], [2.0 * a + u]]), np.array([[u]]), np.array([-(a**2)])))
    learned = DynamicsLearner(coordinates="observed", noise=None).fit(data)
    box = ActionBox(("u",), -np.ones(1), np.ones(1))
    outcome = given_outcome("-x**2", ("x",), ("u",))
    world = Surrogate(learned, outcome, box, reward_range=(-2.0, 1.0))
    table = PolynomialLibrary(1).build(("x",))
    run = world.rollouts(table, np.array([[[0.0, 1.0]], [[0.0, -2.0]]]), np.full((1, 1), 0.4), 900)
    assert run.ended[0].all()  # x**2 of what runs away stops being a number
    assert (run.returns[0] < -2.0 * 800).all()
    assert (run.returns[1] > -1.0).all()
