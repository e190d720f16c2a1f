"""Harvest plans: the known optimum, units, what is not known, and the Gaussian process."""

import numpy as np
import pytest

from discover.bench.fishery import GaussianProcessPlan, observe, play
from discover.bench.worlds import Fishery
from discover.control import HarvestPlanner
from discover.control.policy import actor
from discover.exceptions import DataError, NotIdentifiableError
from discover.libraries import PolynomialLibrary
from discover_envs import make
from discover_envs.fishery_references import maximum_sustainable_yield, plan_harvest
from discover_envs.scores import score


def grow(left):
    return left * np.exp(2.0 * (1.0 - left / 8.0) * (left - 5.0) / 8.0)


@pytest.fixture(scope="module")
def fished():
    """Runs of two years, cut down to many stocks, with growth that hardly varies."""
    rng = np.random.default_rng(0)
    left = rng.uniform(4.0, 9.0, 60)
    after = grow(left) * np.exp(1e-4 * rng.standard_normal(60))
    stocks = [np.array(pair) for pair in zip(np.full(60, 9.0), after, strict=True)]
    harvests = [np.array([9.0 - a, 0.0]) for a in left]
    return stocks, harvests


def test_a_law_known_well_is_harvested_at_its_greatest_surplus(fished):
    plan = HarvestPlanner(start=9.0, n_levels=961, n_draws=20).fit(*fished)
    surplus, escapement = maximum_sustainable_yield(sigma=0.0)
    assert plan.escapement_ == pytest.approx(escapement, abs=0.05)
    assert plan.yield_ == pytest.approx(9.0 - escapement + 99 * surplus, rel=0.01)
    assert plan.risk_ == 0.0
    left = np.array([[5.5], [7.0]])
    np.testing.assert_allclose(plan.model_.rhs(left), grow(left), rtol=1e-3)
    np.testing.assert_allclose(plan.policy_.rhs(left)[:, 0], plan.predict(left[:, 0]))


def test_a_plan_that_ends_is_that_of_dynamic_programming(fished):
    plan = HarvestPlanner(start=9.0, n_steps=12, n_levels=961, n_draws=20).fit(*fished)
    best = plan_harvest(12, sigma=0.0).escapements
    np.testing.assert_allclose(plan.escapements_, best, atol=0.05)
    np.testing.assert_array_equal(plan.predict([3.0, 9.0], year=11), [3.0, 9.0])  # then it is over
    assert plan.predict(9.0, year=0) == 9.0 - plan.escapements_[0]
    with pytest.raises(ValueError, match="year must be from 0 to 11"):
        plan.predict(9.0, year=12)


def test_the_unit_of_the_stock_does_not_matter(fished):
    stocks, harvests = fished
    plan = HarvestPlanner(start=9.0, n_draws=50).fit(stocks, harvests)
    tons = HarvestPlanner(start=9216.0, n_draws=50).fit(
        [1024.0 * run for run in stocks], [1024.0 * run for run in harvests]
    )
    assert tons.escapement_ == pytest.approx(1024.0 * plan.escapement_, rel=1e-9)
    assert tons.risk_ == plan.risk_


def test_forty_years_without_harvest_are_fished_better_than_by_a_gaussian_process():
    seen = [observe(seed) for seed in range(4)]
    ours = [play(HarvestPlanner(start=10.0).fit(s).predict, 200) for s in seen]
    theirs = [play(GaussianProcessPlan(s).predict, 200) for s in seen]
    assert np.mean([p.harvest for p in ours]) > 0.95 * 27.3
    assert np.mean([p.collapsed for p in ours]) <= np.mean([p.collapsed for p in theirs])


def test_growth_without_a_limit_is_refused():
    with pytest.raises(NotIdentifiableError, match="grows beyond 2 times"):
        HarvestPlanner(PolynomialLibrary(1)).fit(1.1 ** np.arange(30.0) + 1e-3)


@pytest.mark.parametrize(
    ("stocks", "harvests", "message"),
    [
        ([1.0, 2.0, 3.0], None, "at least 5 years"),
        ([1.0, -2.0, 3.0], None, "stocks must be positive"),
        ([1.0, 2.0, 3.0], [0.0, 2.5, 0.0], "stocks less harvests must be positive"),
        ([1.0, 2.0, 3.0], [0.0, -0.5, 0.0], "must not be negative"),
        ([1.0, 2.0, 3.0], [0.0, 0.0], "as long as stocks"),
        ([[1.0], [2.0]], None, "two years or more"),
    ],
)
def test_useless_observations_are_refused(stocks, harvests, message):
    with pytest.raises(DataError, match=message):
        HarvestPlanner().fit(stocks, harvests)


def test_what_five_hundred_years_of_fishing_teach_earns_what_is_possible():
    fishery = Fishery(make("discover/FisheryTippingPoint-v0")).learn(500, seed=0)
    assert fishery.plant_.steps == 500
    acting = actor(fishery.policy_, fishery.plant_.box)
    earned = score("FisheryTippingPoint", acting, 100, seed=0).mean()
    assert earned == pytest.approx(34.3, abs=0.3)  # dynamic programming with the true law: 34.296
