"""Policies played in one compiled loop: the steps of the environment, only faster."""

import gymnasium
import numpy as np
import pytest

import discover_envs
from discover import PolynomialLibrary, SymbolicLibrary, SymbolicModel
from discover_envs.env import rollout

NAMES = tuple(discover_envs.ENVIRONMENTS)


def quadratic(world, rng):
    """A policy of degree two with actions on both sides of the bounds."""
    if len(world.observations) > 10:
        table = SymbolicLibrary(["1", *world.observations]).build(list(world.observations))
    else:
        table = PolynomialLibrary(2).fit_names(list(world.observations)).terms()
    coefficients = rng.normal(0.0, 0.5, (len(world.actions), table.n_terms))
    return SymbolicModel(
        table, coefficients, world.observations, target_names=world.actions, kind="direct"
    )


def starts(name, count=5):
    batch = gymnasium.make_vec(f"discover/{name}-v0", num_envs=count)
    batch.reset(seed=1)
    return batch, batch.states


@pytest.mark.parametrize("name", NAMES)
def test_a_played_policy_is_what_it_does_and_what_its_actions_lead_to(name):
    batch, states = starts(name)
    policy = quadratic(batch.world, np.random.default_rng(2))
    played = batch.play(policy, states, 30, rng=np.random.default_rng(3), keep=True)
    path, rewards, lengths = rollout(
        batch.world, states, played.actions, rng=np.random.default_rng(3)
    )
    np.testing.assert_array_equal(played.states, path)
    np.testing.assert_array_equal(played.rewards, rewards)
    np.testing.assert_array_equal(played.lengths, lengths)
    np.testing.assert_allclose(played.totals, rewards.sum(axis=1), rtol=1e-13)
    for k in range(30):
        seen, _ = batch.reset(options={"state": path[:, k]})
        expected = np.clip(policy.rhs(seen), -1.0, 1.0) * (k < lengths)[:, None]
        np.testing.assert_allclose(played.actions[:, k], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["CartPoleSwingup", "FisheryTippingPoint", "KuramotoSivashinsky"])
def test_many_policies_earn_what_each_earns_alone_under_the_same_noise(name):
    batch, states = starts(name)
    rng = np.random.default_rng(4)
    policy = quadratic(batch.world, rng)
    weights = rng.normal(0.0, 0.3, (3, int(policy.support.sum())))
    together = batch.play(policy, states, 20, rng=np.random.default_rng(5), weights=weights)
    assert together.totals.shape == together.lengths.shape == (3, 5)
    assert together.states is None
    for q in range(3):
        coefficients = np.zeros(policy.coefficients.shape)
        coefficients[policy.support] = weights[q]
        one = SymbolicModel(
            policy.table,
            coefficients,
            policy.state_names,
            target_names=policy.target_names,
            kind="direct",
        )
        alone = batch.play(one, states, 20, rng=np.random.default_rng(5))
        np.testing.assert_allclose(together.totals[q], alone.totals, rtol=1e-12)


def test_playing_leaves_the_episode_of_the_environment_alone():
    env = gymnasium.make("discover/LorenzControl-v0").unwrapped
    env.reset(seed=0)
    policy = quadratic(env.world, np.random.default_rng(0))
    twin = gymnasium.make("discover/LorenzControl-v0").unwrapped
    twin.reset(seed=0)
    env.play(policy, env.state[None], 10, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(env.step(np.ones(1))[0], twin.step(np.ones(1))[0])


def test_what_does_not_fit_is_refused():
    env = gymnasium.make("discover/LorenzControl-v0").unwrapped
    rng = np.random.default_rng(0)
    policy, start = quadratic(env.world, rng), np.zeros((1, 3))
    swapped = SymbolicLibrary(["x"]).build(["y", "x", "z"])
    wrong = SymbolicModel(swapped, [[1.0]], ["y", "x", "z"], target_names=["u"], kind="direct")
    with pytest.raises(ValueError, match=r"inputs \('x', 'y', 'z'\), in this order"):
        env.play(wrong, start, 5, rng=rng)
    with pytest.raises(ValueError, match="kind 'direct' with 1 targets"):
        env.play(env.law(), start, 5, rng=rng)
    with pytest.raises(ValueError, match=r"states must have shape \(n_members, 3\)"):
        env.play(policy, np.zeros(3), 5, rng=rng)
    with pytest.raises(ValueError, match=r"weights must be finite, of shape \(n_policies, 10\)"):
        env.play(policy, start, 5, rng=rng, weights=np.zeros((2, 9)))
    with pytest.raises(ValueError, match="continuous actions"):
        gymnasium.make("discover/LorenzControl-v0", discrete=3).unwrapped.play(
            policy, start, 5, rng=rng
        )
