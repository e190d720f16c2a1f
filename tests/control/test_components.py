"""Parts of the loop against their definitions: members, variance, and the cart-pole's law."""

import gymnasium
import numpy as np
import pysindy
import pytest

from discover.control import DynamicsLearner, Plant, Surrogate, given_outcome
from discover.libraries import PolynomialLibrary, SymbolicLibrary
from discover.problems.base import DesignRows, Problem
from discover.regression import STLSQ, EnsembleRegressor
from discover.regression.ensemble import _Draw
from discover.statistics import accumulate
from discover_envs import make

RAIL = {"x": (-1.75, 1.75)}


class SameDraws(EnsembleRegressor):
    """Bags of rows, and columns on offer, that somebody else drew."""

    def _draw(self, stats, open_terms, rng):
        bags, columns = self.drawn
        weights = np.array([np.bincount(bag, minlength=stats.n_blocks) for bag in bags], float)
        offered = np.zeros((len(bags), *open_terms.shape), dtype=bool)
        for k, chosen in enumerate(columns):
            offered[k][:, chosen] = True
        return _Draw(weights, offered)


def test_members_are_pysindys_for_the_same_rows_and_columns(monkeypatch):
    rng = np.random.default_rng(0)
    n = 200  # as many rows as blocks: a bag of blocks is a bag of rows
    X = rng.normal(size=(n, 4))
    table = PolynomialLibrary(2).build(("x", "y", "z", "u"))
    theta = table.evaluate(X)
    truth = np.where(rng.random((3, 15)) < 0.3, rng.normal(size=(3, 15)), 0.0)
    Y = theta @ truth.T + 0.1 * rng.normal(size=(n, 3))
    drawn, choice = [], np.random.choice

    def recorded(*args, **kwargs):
        drawn.append(choice(*args, **kwargs))
        return drawn[-1]

    monkeypatch.setattr(np.random, "choice", recorded)
    np.random.seed(1)  # noqa: NPY002 - the generator that pysindy draws from
    peer = pysindy.EnsembleOptimizer(
        pysindy.STLSQ(threshold=0.1, alpha=0.0), bagging=True, library_ensemble=True, n_models=20
    )
    peer.fit(pysindy.AxesArray(theta, {"ax_sample": 0, "ax_coord": 1}), Y)
    problem = Problem(X, Y, table.inputs, ("a", "b", "c"), "increment", None,
                      np.array([0, n]), float(n), np.zeros(3))  # fmt: skip
    ours = SameDraws(STLSQ(0.1, threshold_on="coefficient"), 20, by="both")
    ours.drawn = drawn[::2], drawn[1::2]
    found = ours.fit_statistics(accumulate(DesignRows(problem, table), n_blocks=n))
    np.testing.assert_array_equal(found.members != 0, np.array(peer.coef_list) != 0)
    np.testing.assert_allclose(found.members, peer.coef_list, rtol=0, atol=1e-8)


@pytest.fixture(scope="module")
def cart_pole():
    """Eight thousand steps of random actions, each held for 5 to 20."""
    rng, plant = np.random.default_rng(0), Plant(make("discover/CartPoleSwingup-v0"), seed=0)
    while plant.steps < 8000:
        held = iter(np.repeat(rng.uniform(-1, 1, 200), rng.integers(5, 21, 200)))
        plant.run(lambda seen, held=held: np.array([next(held)]), 500, bounds=RAIL)
    return plant


@pytest.fixture(scope="module")
def quadratic(cart_pole):
    """The library of Zolman et al., arXiv:2403.09110: quadratic, and affine in the action."""
    states = PolynomialLibrary(2, inputs=list(cart_pole.data.observation_names))
    library = states + states * SymbolicLibrary("force")
    learner = DynamicsLearner(library, coordinates="observed", bounds=RAIL, threshold=8e-3)
    return learner.fit(cart_pole.data)


def test_variance_is_theta_c_theta_and_the_scatter_of_the_members_predictions(cart_pole, quadratic):
    x, u = cart_pole.data.states[::40], cart_pole.data.actions[::40]
    theta = quadratic.model.table.evaluate(np.concatenate([x, u], axis=1))
    found = quadratic.variance(x, u)
    exact = [np.einsum("np,pq,nq->n", theta, np.cov(quadratic.members[:, i].T), theta)
             for i in range(5)]  # fmt: skip
    total = found.sum(axis=1)
    np.testing.assert_allclose(total, np.sum(exact, axis=0), rtol=1e-8)
    each = np.array([quadratic.member(k).rhs(x, u=u) for k in range(len(quadratic.members))])
    np.testing.assert_allclose(total, each.var(axis=0, ddof=1).sum(axis=1), rtol=1e-8)


def test_the_quadratic_law_of_the_cart_pole_has_its_euler_terms_and_small_errors(
    cart_pole, quadratic
):
    """Errors of one step are at most those of the published settings on uniform states."""
    model = quadratic.model
    names = list(model.term_names)
    assert np.count_nonzero(model.coefficients) <= 30
    for state, term, value in ((0, "x_dot", 0.01), (1, "sin_theta*theta_dot", -0.01),
                               (2, "cos_theta*theta_dot", 0.01)):  # fmt: skip
        assert model.coefficients[state, names.index(term)] == pytest.approx(value, rel=0.02)
    rng, n = np.random.default_rng(5), 2000
    high = np.array([1.5, np.pi, 4.0, 8.0])
    u = rng.uniform(-1, 1, (n, 1))
    world = gymnasium.make_vec("discover/CartPoleSwingup-v0", num_envs=n)
    seen, _ = world.reset(seed=0, options={"state": rng.uniform(-high, high, (n, 4))})
    truth = world.step(u)[0]
    surrogate = Surrogate(quadratic, given_outcome("x", cart_pole.data.observation_names,
                                                   ("force",)), cart_pole.box)  # fmt: skip
    after = surrogate.step(seen, u, np.full(n, -1))[0]
    errors = np.sqrt(np.mean((after - truth) ** 2, axis=0))
    assert (errors <= [2.8e-4, 1.1e-3, 8e-4, 1.1e-2, 1.9e-2]).all()
    assert np.abs(after[:, 1] ** 2 + after[:, 2] ** 2 - 1.0).max() < 1e-12
