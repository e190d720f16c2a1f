"""The adaptor for stable-baselines3 behaves as its own batch of single environments."""

import gymnasium
import numpy as np
import pytest

import discover_envs
from discover_envs.sb3 import to_sb3
from discover_envs.wrappers import NoisyObservation, NoisyObservationVector

vec_env = pytest.importorskip("stable_baselines3.common.vec_env")


def make_batch(name, count, **options):
    return gymnasium.make_vec(
        f"discover/{name}-v0", num_envs=count, autoreset_mode="SameStep", **options
    )


@pytest.mark.parametrize("options", [{}, {"discrete": 3}], ids=["continuous", "discrete"])
@pytest.mark.parametrize("name", discover_envs.ENVIRONMENTS)
def test_it_equals_their_batch_of_single_environments(name, options):
    def single():
        env = gymnasium.make(f"discover/{name}-v0", max_episode_steps=15, **options)
        return NoisyObservation(env, 0.05)

    batch = make_batch(name, 3, max_episode_steps=15, **options)
    ours = to_sb3(NoisyObservationVector(batch, 0.05))
    theirs = vec_env.DummyVecEnv([single] * 3)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    ours.seed(5), theirs.seed(5)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    ours.action_space.seed(0)
    endings = 0
    for _ in range(40):
        actions = np.array([ours.action_space.sample() for _ in range(3)])
        found, expected = ours.step(actions), theirs.step(actions)
        for a, b in zip(found[:3], expected[:3], strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
        for a, b in zip(found[3], expected[3], strict=True):
            assert a.keys() == b.keys()
            assert a["TimeLimit.truncated"] == b["TimeLimit.truncated"]
            if "terminal_observation" in a:
                endings += 1
                np.testing.assert_array_equal(a["terminal_observation"], b["terminal_observation"])
    assert endings >= 6


def test_it_answers_for_all_members():
    ours = to_sb3(make_batch("PendulumSwingup", 4, gravity=3.0, render_mode="rgb_array"))
    assert [found["gravity"] for found in ours.get_attr("parameters", [0, 2])] == [3.0, 3.0]
    assert ours.env_is_wrapped(gymnasium.wrappers.TimeLimit) == [False] * 4
    ours.set_options({"state": np.zeros(2)})
    np.testing.assert_array_equal(ours.reset(), [[1.0, 0.0, 0.0]] * 4)
    assert len(ours.env_method("law")) == 4
    with pytest.raises(ValueError, match="all members"):
        ours.set_attr("max_episode_steps", 3, [0])
    assert ours.render().shape == (600, 800, 3)
    ours.close()


def test_a_batch_that_starts_again_later_is_refused():
    with pytest.raises(ValueError, match="autoreset_mode='SameStep'"):
        to_sb3(gymnasium.make_vec("discover/PendulumSwingup-v0", num_envs=2))


def test_an_agent_learns_a_fishery_better_than_chance():
    from stable_baselines3 import PPO
    from stable_baselines3.common.evaluation import evaluate_policy

    batch = vec_env.VecMonitor(to_sb3(make_batch("FisheryTippingPoint", 16, max_episode_steps=50)))
    agent = PPO(
        "MlpPolicy", batch, n_steps=64, batch_size=256, n_epochs=5, gamma=1.0, seed=0, device="cpu"
    )
    before, _ = evaluate_policy(agent, batch, 32)
    agent.learn(8 * 1024)
    after, _ = evaluate_policy(agent, batch, 32)
    assert len(agent.ep_info_buffer) > 0
    assert after > before
