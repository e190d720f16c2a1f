"""The uncertain fishery hides what it says, draws it anew, and grows as the certain one."""

import gymnasium
import numpy as np
import pytest

from discover_envs.fishery import GROWTH

NOTHING = np.array([-1.0])


def make_batch(count=4000, **options):
    batch = gymnasium.make_vec("discover/FisheryUncertain-v0", num_envs=count, **options)
    batch.reset(seed=0)
    return batch


def test_rates_and_capacities_are_normal_independent_and_seen_by_nobody():
    batch = make_batch(r=0.5, r_spread=0.1, K_spread=0.2)
    stock, rate, capacity, model = batch.states.T
    assert batch.single_observation_space.shape == (1,)
    assert (stock == 0.75).all()
    assert (model == GROWTH.index("logistic")).all()
    for values, mean, spread in ((rate, 0.5, 0.1), (capacity, 1.0, 0.2)):
        assert abs(values.mean() - mean) < 4 * spread / np.sqrt(4000)
        assert abs(values.std() / spread - 1.0) < 4 / np.sqrt(8000)
    assert abs(np.corrcoef(rate, capacity)[0, 1]) < 4 / np.sqrt(4000)


def test_a_new_episode_draws_anew_and_a_drift_begins_again():
    env = gymnasium.make(
        "discover/FisheryUncertain-v0", growth="beverton-holt", r=0.8, r_spread=0.0, drift=-0.007
    ).unwrapped
    capacities = []
    for seed in (3, None, None):
        env.reset(seed=seed)
        capacities.append(env.state[2])
        assert env.state[1] == 0.8
        for year in range(1, 100):
            env.step(NOTHING)
            assert env.state[1] == pytest.approx(0.8 - 0.007 * year)
            assert env.state[2] == capacities[-1]
    assert len(set(capacities)) == 3
    env.reset(options={"state": [0.5, 0.01, 1.0, 2.0]})
    for _ in range(5):
        env.step(NOTHING)
    assert env.state[1] == 0.0  # a rate falls to nothing and no further


@pytest.mark.parametrize("growth", GROWTH)
def test_without_spread_it_is_the_fishery_whose_growth_is_known(growth):
    numbers = {"r": 0.4, "K": 1.2, "C": 0.3, "a": 0.2, "b": 0.15, "x0": 1.1, "sigma": 0.05}
    known = gymnasium.make("discover/FisheryTippingPoint-v0", growth=growth, **numbers)
    hidden = gymnasium.make(
        "discover/FisheryUncertain-v0", growth=growth, r_spread=0.0, K_spread=0.0, **numbers
    )
    known.reset(seed=2), hidden.reset(seed=2)
    for _ in range(30):
        ours, theirs = hidden.step([-0.95]), known.step([-0.95])
        assert ours[:3] == theirs[:3]
        if ours[2]:
            return


def test_any_model_comes_as_often_as_another_and_each_can_live():
    batch = make_batch(growth="any", r_spread=0.0, K_spread=0.0)
    models, counts = np.unique(batch.states[:, 3], return_counts=True)
    names = {GROWTH[int(m)] for m in models}
    assert names == {"allee", "beverton-holt", "ricker", "may", "myers"}
    assert (np.abs(counts - 800) < 4 * np.sqrt(4000 * 0.2 * 0.8)).all()
    drawn = batch.states[:, 3]
    for _ in range(90):
        seen, *_ = batch.step(np.full((4000, 1), -1.0))
    np.testing.assert_array_equal(batch.states[:, 3], drawn)
    assert (seen > 0.5).all()


def test_its_allee_model_tips_below_the_threshold_and_recovers_above():
    env = gymnasium.make("discover/FisheryUncertain-v0", growth="any").unwrapped
    ends = []
    for stock in (0.45, 0.55):
        env.reset(seed=0, options={"state": [stock, 0.3, 1.0, 0.0]})
        for _ in range(100):
            seen, *_ = env.step(NOTHING)
        ends.append(seen[0])
    assert ends[0] < 0.3
    assert ends[1] > 0.8
