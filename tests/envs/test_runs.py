"""Runs of a batch are the episodes of its members."""

import gymnasium
import numpy as np
import pytest

from discover_envs.runs import record_runs
from discover_envs.scores import random_policy


@pytest.mark.parametrize("name", ["PendulumSwingup", "FisheryTippingPoint"])
def test_every_run_is_one_episode_replayed(name):
    batch = gymnasium.make_vec(f"discover/{name}-v0", num_envs=3, max_episode_steps=20)
    runs = record_runs(batch, random_policy(1, np.random.default_rng(0)), 100, seed=4)
    assert sum(len(run.times) for run in runs) == 3 * 101
    assert len(runs) >= 3 * 5
    for run in runs:
        assert len(run.times) <= 21
        assert np.isnan(run.controls[-1]).all()
        assert (np.abs(run.controls[:-1]) <= 1).all()
    if name == "FisheryTippingPoint":  # its years are random; its starts are not
        assert all(run.states[0] == 10.0 for run in runs)
        return
    env = gymnasium.make(f"discover/{name}-v0").unwrapped
    for run in runs:
        env.reset(options={"state": run.states[0]})
        for k in range(len(run.times) - 1):
            env.step(run.controls[k])
            np.testing.assert_allclose(env.state, run.states[k + 1], atol=1e-12)


def test_a_batch_that_starts_again_in_the_same_step_is_refused():
    batch = gymnasium.make_vec("discover/PendulumSwingup-v0", num_envs=2, autoreset_mode="SameStep")
    with pytest.raises(ValueError, match="NEXT_STEP"):
        record_runs(batch, random_policy(1, np.random.default_rng(0)), 5, seed=0)
