"""Trust in surrogates: errors against the horizon, disagreement, and the page."""

from dataclasses import replace

import numpy as np
import pytest

from discover import SINDyRL, SymbolicModel, report
from discover.control import (
    CMAAgent,
    DynamicsLearner,
    Episode,
    Plant,
    Surrogate,
    Transitions,
    disagreement_map,
    given_outcome,
    horizon_errors,
    learning_curve,
)
from discover.exceptions import DataError


def linear_plant(noise=0.0, n_episodes=6, seed=0):
    """Steps of a linear map of two states and an action."""
    rng = np.random.default_rng(seed)
    A, B = np.array([[0.9, 0.2], [-0.1, 0.8]]), np.array([0.1, 0.3])
    data = Transitions(("a", "b"), ("u",))
    for _ in range(n_episodes):
        x, u = [rng.normal(size=2)], rng.uniform(-1, 1, (40, 1))
        for k in range(40):
            x.append(A @ x[-1] + B * u[k] + noise * rng.normal(size=2))
        data.add(Episode(np.array(x), u, np.zeros(40)))
    return data


def surrogate_of(data, box):
    from discover.libraries import PolynomialLibrary

    learned = DynamicsLearner(PolynomialLibrary(1), coordinates="observed").fit(data)
    return Surrogate(learned, given_outcome("-a**2", ("a", "b"), ("u",)), box)


@pytest.fixture(scope="module")
def box():
    return Plant("Pendulum-v1").box


def test_a_perfect_law_makes_no_error_at_any_horizon(box):
    data = linear_plant()
    found = horizon_errors(surrogate_of(data, box), data, 30)
    assert found.steps[-1] == found.reach() == 30
    assert found.error.max() < 1e-9


def test_errors_are_those_of_rollouts_by_hand(box):
    data = linear_plant(noise=0.1)
    surrogate = surrogate_of(data, box)
    found = horizon_errors(surrogate, data.episodes[0], 40)
    assert found.n_windows == 1
    model, x = surrogate.dynamics.model, data.episodes[0].observations[0]
    for k in range(40):
        x = model.step(x, u=data.episodes[0].actions[k])
        deviation = data.episodes[0].observations.std(axis=0)
        error = np.abs(x - data.episodes[0].observations[k + 1]) / deviation
        np.testing.assert_allclose(found.error[k], error, rtol=1e-9)


def test_a_biased_ensemble_errs_more_than_it_expects(box):
    data = linear_plant(noise=0.01)
    surrogate = surrogate_of(data, box)
    learned = surrogate.dynamics
    model = learned.model.with_coefficients(1.05 * learned.model.coefficients)
    biased = replace(learned, members=1.05 * learned.members, model=model)
    found = horizon_errors(replace(surrogate, dynamics=biased), data, 20)
    assert (found.error[-1] > 3 * found.spread[-1]).all()


def test_disagreement_is_the_variance_of_the_members_predictions(box):
    data = linear_plant(noise=0.1)
    learned = surrogate_of(data, box).dynamics
    found = disagreement_map(learned, data, ("b", "a"), at={"u": 0.5}, n=5)
    i, j = 3, 1
    row = np.array([[found.y[i], found.x[j], 0.5]])
    each = [learned.member(k).rhs(row[:, :2], u=row[:, 2:])[0] for k in range(len(learned.members))]
    expected = np.sqrt((np.var(each, axis=0, ddof=1) / learned.scale**2).mean())
    assert found.disagreement[i, j] == pytest.approx(expected, rel=1e-9)


def test_names_that_are_no_states_are_refused(box):
    data = linear_plant()
    with pytest.raises(ValueError, match="two of the states"):
        disagreement_map(surrogate_of(data, box).dynamics, data, ("a", "speed"))
    with pytest.raises(ValueError, match="must have a step"):
        horizon_errors(surrogate_of(data, box), Transitions(("a", "b"), ("u",)))


def test_the_page_of_a_run_counts_its_steps_and_keeps_its_laws(tmp_path):
    agent = SINDyRL(
        "Pendulum-v1", CMAAgent(8, 5, restarts=0), explore=150,
        reward="-((1 - cos_th)**2 + 0.1*th_dot**2 + 0.001*u**2)",
        observation_names=("cos_th", "sin_th", "th_dot"),
    )  # fmt: skip
    with pytest.raises(DataError, match="learn first"):
        report(agent, tmp_path / "early")
    agent.learn(400, seed=0)
    page = (report(agent, tmp_path / "run") / "report.html").read_text()
    assert "400 real steps" in page
    assert "flatters it" in page
    curve = learning_curve(agent)
    assert curve.real_steps[-1] == 400
    gaps = [one.promised - one.real_return for one in agent.rounds_]
    np.testing.assert_array_equal(curve.exploited, gaps)
    assert len((tmp_path / "run" / "learning.csv").read_text().splitlines()) == 1 + len(
        agent.rounds_
    )
    kept = SymbolicModel.load(tmp_path / "run" / "policy.json")
    np.testing.assert_array_equal(kept.coefficients, agent.policy_.coefficients)
