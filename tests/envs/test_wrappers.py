"""Wrappers: a batch sees what its members see, and each does what it says."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import discover_envs
from discover_envs import wrappers

NAMES = tuple(discover_envs.ENVIRONMENTS)
STACKS = {
    "noise": [("NoisyObservation", {"sd": 0.1})],
    "hold": [("HeldAction", {"n_steps": 3})],
    "part": [("PartialObservation", {"part": [0]})],
    "computed": [("ComputedObservation", {"expressions": {"a": "z0", "b": "sin(z0)**2"}})],
    "modes": [("ModalObservation", {"modes": None})],
    "all": [
        ("HeldAction", {"n_steps": 4}),
        ("NoisyObservation", {"sd": 0.1}),
        ("ModalObservation", {"modes": None}),
        ("NoisyObservation", {"sd": 0.2}),
        ("PartialObservation", {"part": ["a0"]}),
    ],
}
every_stack = pytest.mark.parametrize("stack", STACKS)


def wrapped(env, stack, batch=False):
    for name, arguments in STACKS[stack]:
        if "modes" in arguments:
            n = (env.single_observation_space if batch else env.observation_space).shape[0]
            arguments = {"modes": np.random.default_rng(0).normal(size=(2, n)), "mean": np.ones(n)}
        if "expressions" in arguments:
            n = (env.single_observation_space if batch else env.observation_space).shape[0]
            arguments = {**arguments, "names": [f"z{i}" for i in range(n)]}
        env = getattr(wrappers, name + "Vector" * batch)(env, **arguments)
    return env


def make(name, **options):
    return gymnasium.make(f"discover/{name}-v0", **options)


@every_stack
@pytest.mark.parametrize("name", NAMES)
def test_both_libraries_accept_a_wrapped_environment(name, stack):
    env = wrapped(make(name, render_mode="rgb_array"), stack)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env, skip_render_check=True)
        checker = pytest.importorskip("stable_baselines3.common.env_checker")
        checker.check_env(env, skip_render_check=True)
    allowed = ("minimum value is -inf", "maximum value is inf", "different from the unwrapped")
    text = [str(one.message) for one in caught]
    assert not [line for line in text if not any(known in line for known in allowed)]
    again = gymnasium.make(env.spec)  # the specification knows the wrappers
    for ours, theirs in zip(env.reset(seed=3)[0], again.reset(seed=3)[0], strict=True):
        assert ours == theirs


@every_stack
@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize("name", ["Lorenz96Control", "FisheryTippingPoint"])
def test_a_wrapped_batch_equals_its_wrapped_members_bit_for_bit(name, mode, stack):
    batch = wrapped(
        gymnasium.make_vec(
            f"discover/{name}-v0", num_envs=3, max_episode_steps=30, autoreset_mode=mode
        ),
        stack,
        batch=True,
    )
    singles = [wrapped(make(name, max_episode_steps=30), stack) for _ in range(3)]
    batch.action_space.seed(1)
    found, _ = batch.reset(seed=7)
    np.testing.assert_array_equal(
        found, [env.reset(seed=7 + m)[0] for m, env in enumerate(singles)]
    )
    over = np.zeros(3, bool)
    for _ in range(50):
        actions = batch.action_space.sample()
        seen, rewards, terminated, truncated, info = batch.step(actions)
        for m, env in enumerate(singles):
            if over[m] and mode == "NextStep":
                one = (env.reset()[0], 0.0, False, False)
            else:
                one = env.step(actions[m])[:4]
                if (one[2] or one[3]) and mode == "SameStep":
                    np.testing.assert_array_equal(info["final_obs"][m], one[0])
                    one = (env.reset()[0], *one[1:])
            np.testing.assert_array_equal(seen[m], one[0])
            assert (rewards[m], terminated[m], truncated[m]) == one[1:]
        over = terminated | truncated
        assert seen in batch.observation_space


def test_noise_is_normal_independent_and_leaves_the_world_alone():
    plain, noisy = make("FisheryTippingPoint"), make("FisheryTippingPoint")
    noisy = wrappers.NoisyObservation(noisy, 0.3)
    errors = []
    for seed in range(40):
        pairs = [(plain.reset(seed=seed)[0], noisy.reset(seed=seed)[0])]
        pairs += [(plain.step([-1.0])[0], noisy.step([-1.0])[0]) for _ in range(49)]
        errors.append([b[0] - a[0] for a, b in pairs])
    errors = np.array(errors) / 0.3
    assert abs(errors.mean()) < 4 / np.sqrt(errors.size)
    assert abs(errors.var() - 1.0) < 4 * np.sqrt(2 / errors.size)
    assert abs((errors[:, 1:] * errors[:, :-1]).mean()) < 4 / np.sqrt(errors.size)
    assert len(set(errors[:, 0])) == 40


def test_members_reset_alone_leave_the_others_as_they_are():
    batch = gymnasium.make_vec(
        "discover/PendulumSwingup-v0", num_envs=3, max_episode_steps=5, autoreset_mode="Disabled"
    )
    noisy = wrappers.NoisyObservationVector(batch, 0.1)
    first, _ = noisy.reset(seed=4)
    seen, *_ = noisy.step(np.zeros((3, 1)))
    after, _ = noisy.reset(seed=4, options={"reset_mask": np.array([False, True, False])})
    np.testing.assert_array_equal(after[[0, 2]], seen[[0, 2]])
    np.testing.assert_array_equal(after[1], first[1])


def test_noise_of_zero_changes_nothing_and_keeps_the_bounds():
    env = wrappers.NoisyObservation(make("PendulumSwingup"), [0.0, 0.0, 1.0])
    np.testing.assert_array_equal(env.observation_space.low, [-1.0, -1.0, -np.inf])
    inner, _ = make("PendulumSwingup").reset(seed=2)
    seen, _ = env.reset(seed=2)
    np.testing.assert_array_equal(seen[:2], inner[:2])
    assert seen[2] != inner[2]


def test_a_held_action_is_that_many_steps_and_stops_at_the_end():
    plain = make("PendulumSwingup", max_episode_steps=10)
    held = wrappers.HeldAction(make("PendulumSwingup", max_episode_steps=10), 4)
    plain.reset(seed=1), held.reset(seed=1)
    for count in (4, 4, 2):
        steps = [plain.step([0.7]) for _ in range(count)]
        seen, reward, _, truncated, _ = held.step([0.7])
        np.testing.assert_array_equal(seen, steps[-1][0])
        assert reward == sum(step[1] for step in steps)
        assert truncated == (count == 2)


def test_a_part_goes_by_name_in_the_order_wanted():
    env = wrappers.PartialObservation(make("CartPoleSwingup"), ["theta_dot", "cos_theta"])
    seen, _ = env.reset(seed=0)
    full, _ = make("CartPoleSwingup").reset(seed=0)
    np.testing.assert_array_equal(seen, full[[4, 1]])
    np.testing.assert_array_equal(env.observation_space.high, [np.inf, 1.0])
    assert wrappers.observation_names(env) == ("theta_dot", "cos_theta")


def test_other_coordinates_are_computed_from_the_observations_under_their_names():
    rules = {"tip": "x + sin_theta", "x": "x", "swing": "theta_dot*cos_theta"}
    env = wrappers.ComputedObservation(make("CartPoleSwingup"), rules)
    seen, _ = env.reset(seed=0)
    (x, c, s, _, w), _ = make("CartPoleSwingup").reset(seed=0)
    np.testing.assert_allclose(seen, [x + s, x, w * c], rtol=1e-15)
    assert wrappers.observation_names(env) == ("tip", "x", "swing")
    with pytest.raises(ValueError, match="names must be 5 different ones"):
        wrappers.ComputedObservation(make("CartPoleSwingup"), rules, ["x", "v"])
    with pytest.raises(ValueError, match="angle"):
        wrappers.ComputedObservation(make("CartPoleSwingup"), {"a": "angle"})


def test_proper_modes_are_the_best_of_their_number_and_orthonormal():
    rng = np.random.default_rng(0)
    snapshots = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 12)) + 5.0
    modes, mean, energy = wrappers.proper_modes(snapshots, 3)
    np.testing.assert_allclose(modes @ modes.T, np.eye(3), atol=1e-12)
    assert energy.sum() == pytest.approx(1.0)
    away = snapshots - mean
    np.testing.assert_allclose(away @ modes.T @ modes, away, atol=1e-10)
    two = modes[:2]
    lost = np.sum((away - away @ two.T @ two) ** 2) / np.sum(away**2)
    assert lost == pytest.approx(energy[2])
    other, _ = np.linalg.qr(rng.normal(size=(12, 2)))
    assert np.sum((away - away @ other @ other.T) ** 2) / np.sum(away**2) > lost


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda env: wrappers.NoisyObservation(env, -1.0), "sd must be one standard deviation"),
        (lambda env: wrappers.NoisyObservation(env, [1.0] * 9), "or 5 of them"),
        (lambda env: wrappers.PartialObservation(env, ["x", "x"]), "different names among x, cos"),
        (lambda env: wrappers.PartialObservation(env, ["speed"]), r"got \['speed'\]"),
        (lambda env: wrappers.ModalObservation(env, np.eye(4)), r"shape \(n_modes, 5\)"),
        (lambda env: wrappers.HeldAction(env, 0), "n_steps must be a whole number"),
    ],
)
def test_a_wrapper_says_what_it_needs(wrap, message):
    with pytest.raises(ValueError, match=message):
        wrap(make("CartPoleSwingup"))


def test_holding_goes_directly_around_the_batch():
    batch = gymnasium.make_vec("discover/PendulumSwingup-v0", num_envs=2)
    with pytest.raises(ValueError, match="without other wrappers"):
        wrappers.HeldActionVector(wrappers.NoisyObservationVector(batch, 0.1), 2)
