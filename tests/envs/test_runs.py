"""Runs are the episodes of the members, however they are stepped, and survive a file."""

import gymnasium
import numpy as np
import pytest

from discover.observations.readers import read_runs
from discover_envs.runs import Recorder, RecorderVector, record_runs, write_runs
from discover_envs.scores import random_policy
from discover_envs.wrappers import HeldAction, HeldActionVector, NoisyObservationVector


def same(ours, theirs):
    assert ours.state_names == theirs.state_names
    assert ours.state_units == theirs.state_units
    assert ours.control_names == theirs.control_names
    for name in ("states", "times", "controls"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def make_batch(name, mode="NextStep", **options):
    return gymnasium.make_vec(
        f"discover/{name}-v0", num_envs=3, max_episode_steps=20, autoreset_mode=mode, **options
    )


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize("name", ["PendulumSwingup", "FisheryTippingPoint"])
def test_every_run_is_one_episode_replayed(name, mode):
    runs = record_runs(
        make_batch(name, mode), random_policy(1, np.random.default_rng(0)), 100, seed=4
    )
    assert len(runs) >= 3 * 5
    for run in runs:
        assert len(run.times) <= 21
        assert np.isnan(run.controls[-1]).all()
        assert (np.abs(run.controls[:-1]) <= 1).all()
    taken = sum(len(run.times) - 1 for run in runs)
    if mode == "SameStep":
        assert taken == 3 * 100
    else:  # the steps in which a member starts again belong to no run
        assert taken + len(runs) == 3 * 101
    if name == "FisheryTippingPoint":  # its years are random; its starts are not
        assert all(run.states[0] == 10.0 for run in runs)
        return
    env = gymnasium.make(f"discover/{name}-v0").unwrapped
    for run in runs:
        env.reset(options={"state": run.states[0]})
        for k in range(len(run.times) - 1):
            env.step(run.controls[k])
            np.testing.assert_allclose(env.state, run.states[k + 1], atol=1e-12)


def test_both_ways_of_starting_again_and_single_steps_record_the_same_runs():
    recorders = [
        RecorderVector(HeldActionVector(make_batch("FisheryTippingPoint", mode), 2))
        for mode in ("NextStep", "SameStep")
    ]
    single = Recorder(
        HeldAction(gymnasium.make("discover/FisheryTippingPoint-v0", max_episode_steps=20), 2)
    )
    for recorder in recorders:
        recorder.reset(seed=5)
        for _ in range(40):
            recorder.step(np.full((3, 1), -0.98))
    single.reset(seed=5)
    for _ in range(4):
        over = False
        while not over:
            _, _, terminated, truncated, _ = single.step([-0.98])
            over = terminated or truncated
        single.reset()
    whole = [[run for run in recorder.runs() if len(run) == 11][:3] for recorder in recorders]
    for ours, theirs, alone in zip(*whole, single.runs()[:3], strict=True):
        same(ours, theirs)
        same(ours, alone)
        assert ours.dt == 2.0
    for run, rewards in zip(single.runs(), single.rewards(), strict=True):
        assert len(rewards) == len(run) - 1
    single.clear()
    assert single.runs() == []


def test_discrete_actions_are_recorded_as_what_they_do():
    recorder = Recorder(gymnasium.make("discover/PendulumSwingup-v0", discrete=5))
    recorder.reset(seed=0)
    for level in range(5):
        recorder.step(level)
    np.testing.assert_array_equal(recorder.runs()[0].controls[:-1, 0], np.linspace(-1, 1, 5))


def test_what_is_seen_is_recorded_with_its_noise():
    batch = NoisyObservationVector(make_batch("CartPoleSwingup", "SameStep"), 0.1)
    recorder = RecorderVector(batch, of="observations")
    rows = [recorder.reset(seed=1)[0]]
    for _ in range(20):
        *_, info = step = recorder.step(np.zeros((3, 1)))
        rows.append(step[0])
    rows[-1] = np.stack(info["final_obs"])
    for m, run in enumerate([run for run in recorder.runs() if len(run) == 21]):
        np.testing.assert_array_equal(run.states, np.array(rows)[:, m])
        assert run.state_names == ("x", "cos_theta", "sin_theta", "x_dot", "theta_dot")


def test_runs_come_back_from_parquet_bit_for_bit(tmp_path):
    runs = record_runs(
        make_batch("PendulumSwingup"), random_policy(1, np.random.default_rng(0)), 50, seed=4
    )
    write_runs(runs, tmp_path / "runs.parquet")
    back = read_runs(tmp_path / "runs.parquet", time="t", run="run", inputs=["torque"])
    for ours, theirs in zip(runs, back, strict=True):
        same(ours, theirs)


def test_a_recorder_says_what_it_needs(tmp_path):
    env = gymnasium.make("discover/PendulumSwingup-v0")
    with pytest.raises(ValueError, match="of must be 'states' or 'observations'; got 'rewards'"):
        Recorder(env, of="rewards")
    with pytest.raises(ValueError, match="env must be of this package"):
        Recorder(gymnasium.make("CartPole-v1"))
    with pytest.raises(ValueError, match="got 0 with 0"):
        write_runs([], tmp_path / "runs.parquet")
