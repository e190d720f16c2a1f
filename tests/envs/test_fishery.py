"""The fishery: references against each other, and against what is known in closed form."""

import gymnasium
import numpy as np
import pytest

from discover_envs.fishery import GROWTH
from discover_envs.fishery_references import maximum_sustainable_yield, plan_harvest, quota_for


def seasons(escapements, count=2000, seed=0):
    """Sums of harvests and last stocks of many runs; an escapement for each of fifty years."""
    env = gymnasium.make_vec("discover/FisheryTippingPoint-v0", num_envs=count)
    stock, _ = env.reset(seed=seed)
    total, alive = np.zeros(count), np.ones(count, dtype=bool)
    for escapement in escapements:
        stock, harvest, terminated, _, _ = env.step(quota_for(stock, escapement, 8.0))
        total += alive * harvest
        alive &= ~terminated
    return total, np.where(alive, stock[:, 0], 0.0)


def test_the_plan_of_the_published_fishery():
    plan = plan_harvest()
    assert 6.6 <= plan.escapements[0] <= 6.8
    assert plan.value == pytest.approx(33.9, abs=0.3)
    assert plan.escapements[-1] == 0.0


def test_simulated_runs_earn_what_the_plan_promises():
    plan = plan_harvest()
    total, _ = seasons(plan.escapements)
    error = total.std() / np.sqrt(len(total))
    assert abs(total.mean() - plan.value) < 4 * error + 0.01


def test_leaving_only_the_threshold_collapses_every_run_and_more_is_safe():
    _, at_threshold = seasons([5.0] * 50)
    _, safe = seasons([7.0] * 50)
    assert (at_threshold < 5.0).all()
    assert (safe > 5.0).mean() > 0.99


def test_without_noise_and_haste_the_plan_leaves_what_bears_the_greatest_yield():
    surplus, escapement = maximum_sustainable_yield(sigma=0.0)
    plan = plan_harvest(200, sigma=0.0, n_points=8001)
    assert plan.escapements[0] == pytest.approx(escapement, abs=0.01)
    assert surplus == pytest.approx(0.479, abs=1e-3)
    assert escapement == pytest.approx(6.66, abs=0.01)


def test_beverton_holt_bears_the_yield_of_its_closed_form():
    r, K = 0.8, 1.0
    _, escapement = maximum_sustainable_yield(growth="beverton-holt", r=r, K=K)
    # (1 + r) / (1 + r S / K)^2 = 1
    assert escapement == pytest.approx(K * (np.sqrt(1 + r) - 1) / r, abs=1e-4)


@pytest.mark.parametrize("growth", ["allee", "logistic", "beverton-holt", "ricker"])
def test_an_untouched_stock_at_capacity_stays_there(growth):
    env = gymnasium.make("discover/FisheryTippingPoint-v0", growth=growth, sigma=0.0, x0=8.0)
    env.reset(seed=0)
    for _ in range(5):
        seen, *_ = env.step(np.array([-1.0]))
    assert seen[0] == pytest.approx(8.0, abs=1e-9)


def test_taking_everything_ends_the_episode_for_good():
    env = gymnasium.make("discover/FisheryTippingPoint-v0")
    env.reset(seed=0)
    _, harvest, terminated, truncated, _ = env.step(np.array([1.0]))
    assert (harvest, terminated, truncated) == (10.0, True, False)


def test_an_unknown_growth_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"growth must be one of 'allee'.*got 'magic'"):
        gymnasium.make("discover/FisheryTippingPoint-v0", growth="magic")
    assert len(GROWTH) == 6
