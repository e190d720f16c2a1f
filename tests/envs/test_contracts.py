"""What every environment promises, whatever its physics."""

import importlib
import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import discover_envs

NAMES = tuple(discover_envs.ENVIRONMENTS)
every = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Show pictures as fast as they come."""
    monkeypatch.setattr("discover_envs.screen.Screen._wait", lambda screen: None)


def make(name, **options):
    return gymnasium.make(f"discover/{name}-v0", **options)


def world_of(name):
    module, _ = discover_envs.ENVIRONMENTS[name]
    return getattr(importlib.import_module(f"discover_envs.{module}"), name).world


def stepped(env, actions, seed):
    """Observations, rewards and endings, starting again as a batch with NEXT_STEP does."""
    first, _ = env.reset(seed=seed)
    rows, over = [(first, 0.0, False, False)], False
    for action in actions:
        if over:
            rows.append((env.reset()[0], 0.0, False, False))
        else:
            rows.append(env.step(action)[:4])
        over = rows[-1][2] or rows[-1][3]
    return [np.array(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("options", [{}, {"discrete": 3}], ids=["continuous", "discrete"])
@every
def test_both_libraries_accept_it_and_complain_of_nothing_but_unbounded_observations(name, options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(make(name, render_mode="rgb_array", **options).unwrapped)
    text = [str(one.message) for one in caught]
    unbounded = (
        "observation space minimum value is -inf",
        "observation space maximum value is inf",
    )
    assert not [line for line in text if not any(known in line for known in unbounded)]
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checker.check_env(make(name, render_mode="rgb_array", **options))


@pytest.mark.parametrize("options", [{}, {"discrete": 4}], ids=["continuous", "discrete"])
@every
def test_a_batch_equals_its_members_bit_for_bit_across_episodes(name, options):
    batch = gymnasium.make_vec(f"discover/{name}-v0", num_envs=3, max_episode_steps=40, **options)
    rng = np.random.default_rng(0)
    batch.action_space.seed(int(rng.integers(1000)))
    actions = [batch.action_space.sample() for _ in range(150)]
    first, _ = batch.reset(seed=11)
    found = [(first, np.zeros(3), np.zeros(3, bool), np.zeros(3, bool))]
    found += [batch.step(action)[:4] for action in actions]
    for m in range(3):
        env = make(name, max_episode_steps=40, **options)
        alone = stepped(env, [action[m] for action in actions], 11 + m)
        for together, single in zip(zip(*found, strict=True), alone, strict=True):
            np.testing.assert_array_equal(np.array([row[m] for row in together]), single)


def same(ours, theirs):
    """Whether results agree bit for bit, information about last observations included."""
    for one, other in zip(ours[:-1], theirs[:-1], strict=True):
        np.testing.assert_array_equal(one, other)
    assert ours[-1].keys() == theirs[-1].keys()
    if "final_obs" in ours[-1]:
        np.testing.assert_array_equal(ours[-1]["_final_obs"], theirs[-1]["_final_obs"])
        for m in np.flatnonzero(ours[-1]["_final_obs"]):
            np.testing.assert_array_equal(ours[-1]["final_obs"][m], theirs[-1]["final_obs"][m])


@pytest.mark.parametrize("mode", AutoresetMode)
@every
def test_a_batch_starts_again_as_gymnasiums_own_does(name, mode):
    options = {"num_envs": 3, "max_episode_steps": 15}
    batch = gymnasium.make_vec(f"discover/{name}-v0", autoreset_mode=mode, **options)
    model = gymnasium.make_vec(
        f"discover/{name}-v0",
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": mode},
        num_envs=3,
        max_episode_steps=15,
    )
    assert batch.metadata["autoreset_mode"] is mode
    same(batch.reset(seed=5), model.reset(seed=5))
    rng = np.random.default_rng(1)
    for k in range(70):
        actions = rng.uniform(-1, 1, batch.action_space.shape).astype(np.float32)
        found, expected = batch.step(actions), model.step(actions)
        same(found, expected)
        ended = found[2] | found[3]
        # some members start again in the middle of an episode; of those some with a new seed
        mask = ended | (k % 7 == 3) * np.array([True, False, k % 2 == 0])
        if mode is AutoresetMode.DISABLED and mask.any():
            seeds = [None, 7 + k, 8 + k] if k % 14 == 3 else None
            mine, theirs = ({"reset_mask": mask.copy()} for _ in range(2))
            same(batch.reset(seed=seeds, options=mine), model.reset(seed=seeds, options=theirs))


def test_without_autoreset_a_member_that_has_ended_must_be_reset():
    batch = gymnasium.make_vec(
        "discover/PendulumSwingup-v0", num_envs=3, max_episode_steps=4, autoreset_mode="Disabled"
    )
    with pytest.raises(gymnasium.error.ResetNeeded, match="first reset"):
        batch.reset(options={"reset_mask": np.array([True, False, True])})
    batch.reset(seed=0)
    start = batch.states
    for _ in range(2):
        batch.step(np.zeros((3, 1)))
    chosen = {"reset_mask": np.array([False, True, False]), "state": start}
    batch.reset(options=chosen)
    np.testing.assert_array_equal(batch.states[1], start[1])
    assert (batch.states[[0, 2]] != start[[0, 2]]).any(axis=1).all()
    for _ in range(2):
        truncated = batch.step(np.zeros((3, 1)))[3]
    assert truncated.tolist() == [True, False, True]
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"members \[0, 2\] have ended"):
        batch.step(np.zeros((3, 1)))
    for wrong in (np.zeros(3, dtype=bool), np.ones(2, dtype=bool), np.ones(3)):
        with pytest.raises(ValueError, match="must be 3 booleans"):
            batch.reset(options={"reset_mask": wrong})


@every
def test_one_seed_repeats_and_two_differ(name):
    env = make(name)
    env.action_space.seed(3)
    actions = [env.action_space.sample() for _ in range(30)]
    first, again, other = (stepped(env, actions, seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@every
def test_a_rollout_is_the_environment_without_the_waiting(name):
    from discover_envs.env import rollout

    env = make(name).unwrapped
    if env.world.n_noise:
        pytest.skip("the two draw their noise in another order")
    env.reset(seed=4)
    start, actions = (
        env.state,
        np.random.default_rng(5).uniform(-1.5, 1.5, (1, 25, len(env.world.actions))),
    )
    path, rewards, lengths = rollout(env.world, start[None], actions, rng=np.random.default_rng(0))
    for k in range(lengths[0]):
        _, reward, *_ = env.step(actions[0, k])
        np.testing.assert_allclose(path[0, k + 1], env.state, rtol=1e-14, atol=1e-14)
        np.testing.assert_allclose(rewards[0, k], reward, rtol=1e-13, atol=1e-14)


@every
def test_it_survives_pickling_in_the_middle_of_an_episode(name):
    env = make(name).unwrapped
    env.reset(seed=6)
    env.action_space.seed(7)
    actions = [env.action_space.sample() for _ in range(10)]
    for action in actions:
        env.step(action)
    copy = pickle.loads(pickle.dumps(env))
    for action in actions:
        for ours, theirs in zip(env.step(action)[:4], copy.step(action)[:4], strict=True):
            np.testing.assert_array_equal(ours, theirs)


@every
def test_the_stated_law_is_the_limit_of_its_steps(name):
    world = world_of(name)
    if world.terms is None:
        pytest.skip("its law has no closed form in continuous time")
    dt = 1e-6
    env = make(name, dt=dt).unwrapped
    law = env.law()
    rng = np.random.default_rng(8)
    for seed in range(5):
        env.reset(seed=seed)
        for _ in range(3):
            action = rng.uniform(-1, 1, len(world.actions)).astype(np.float32)
            state = env.state
            env.step(action)
            slope = (env.state - state) / dt
            stated = 0.5 * (law.rhs(state, u=action) + law.rhs(env.state, u=action))
            assert (np.abs(stated - slope) < 2e-5 * (1.0 + np.abs(slope))).all()


@every
def test_the_start_can_be_chosen_and_a_wrong_one_is_refused(name):
    env = make(name).unwrapped
    env.reset(seed=0)
    env.step(env.action_space.sample())
    state = env.state
    env.reset(seed=9, options={"state": state})
    np.testing.assert_array_equal(env.state, state)
    with pytest.raises(ValueError, match="must have shape"):
        env.reset(options={"state": np.zeros(len(state) + 1)})


@every
def test_an_unknown_parameter_is_named_with_the_known_ones(name):
    with pytest.raises(ValueError, match=r"parameters must be among .*; got colour"):
        make(name, colour=1.0)


@every
def test_a_picture_shows_something_and_follows_the_state(name):
    env = make(name, render_mode="rgb_array")
    env.reset(seed=1)
    before = env.render()
    for _ in range(30):
        env.step(env.action_space.sample())
    assert before.dtype == np.uint8
    assert before.shape == (300, 400, 3)
    assert (before != 255).any()
    assert (before != env.render()).any()


@every
def test_a_window_shows_every_step_and_closes(name):
    pygame = pytest.importorskip("pygame")
    env = make(name, render_mode="human").unwrapped
    twin = make(name, render_mode="rgb_array").unwrapped
    actions = [env.action_space.sample() for _ in range(3)]
    env.reset(seed=2), twin.reset(seed=2)
    for action in actions:
        env.step(action), twin.step(action)
        shown = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
        np.testing.assert_array_equal(shown, twin.render())
    assert env.render() is None
    env.close()
    assert not pygame.display.get_init()
    env.close()


def test_an_unknown_way_to_render_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="render_mode must be None or 'human' or 'rgb_array'"):
        discover_envs.pendulum.PendulumSwingup(render_mode="ansi")
