"""Plans keep what they promise, and their gradients are those of the world."""

import importlib

import numpy as np
import pytest

from discover_envs import ENVIRONMENTS
from discover_envs.env import rollout
from discover_envs.planning import RecedingHorizon, plan_on_grid
from discover_envs.references import lorenz_hold


def world_of(name):
    return importlib.import_module(f"discover_envs.{ENVIRONMENTS[name][0]}").WORLD


def played(world, policy, states, n_steps):
    """Sums of rewards of a policy that sees the states."""
    total, rng = np.zeros(len(states)), np.random.default_rng(0)
    for _ in range(n_steps):
        path, rewards, _ = rollout(world, states, policy(states)[:, None], rng=rng)
        states, total = path[:, 1], total + rewards[:, 0]
    return total


def test_a_plan_of_one_step_is_the_best_of_its_levels_and_of_two_looks_ahead():
    world, levels = world_of("PendulumSwingup"), np.array([-1.0, 0.0, 1.0])
    axes = [np.linspace(-np.pi, np.pi, 61), np.linspace(-8.0, 8.0, 41)]
    plan = plan_on_grid(world, axes, 2, levels=levels, periodic=[True, False])
    states = np.array([[0.1, 0.0], [3.0, -2.0], [-1.0, 4.0]])
    # the pendulum pays for the torque of a step and the angle before it: the last one is free
    np.testing.assert_array_equal(plan.best(states, 1), np.zeros((3, 1)))
    both = [
        [
            rollout(
                world, states[k : k + 1], np.array([[[u], [0.0]]]), rng=np.random.default_rng(0)
            )[1].sum()
            for u in levels
        ]
        for k in range(3)
    ]
    np.testing.assert_array_equal(plan.best(states, 0)[:, 0], levels[np.argmax(both, axis=1)])


def test_a_plan_earns_what_it_promises_as_the_grid_grows_finer():
    world = world_of("PendulumSwingup")
    gaps = []
    for n in (31, 61, 121):
        axes = [np.linspace(-np.pi, np.pi, n), np.linspace(-8.0, 8.0, n)]
        plan = plan_on_grid(world, axes, 200, levels=np.linspace(-1, 1, 9), periodic=[True, False])
        points = np.random.default_rng(0).integers(
            [0, 15 * n // 32], [n, 17 * n // 32 + 1], (200, 2)
        )
        states = np.column_stack([axis[k] for axis, k in zip(axes, points.T, strict=True)])
        promised = plan.values[0][points @ [n, 1]]
        gaps.append(abs(promised - played(world, plan.policy(lambda x: x), states, 200)).mean())
    assert gaps[2] < gaps[1] < gaps[0]
    assert gaps[2] < 0.1 * 160  # the best mean return is about -140


def test_a_chemostat_run_long_enough_settles_at_its_best_steady_yield():
    world = world_of("ChemostatWashout")
    p = world.values("", {})
    axes = [np.linspace(0.0, 2.0, 81), np.linspace(0.0, 4.0, 81)]
    plan = plan_on_grid(world, axes, 1000, levels=np.linspace(-1.0, 1.0, 31))
    s = np.linspace(0.0, 4.0, 100_001)
    growth = p["max_growth"] * s / (p["half_saturation"] + s + p["inhibition"] * s**2)
    steady = np.max(growth * p["yield_"] * (p["feed"] - s)) * p["dt"]
    # the value of a step more, far from both ends, is that of the steady state
    gained = (plan.values[300] - plan.values[400]).reshape(81, 81)[60, 10] / 100
    assert gained == pytest.approx(steady, rel=0.01)


@pytest.mark.parametrize(
    ("name", "hold"), [("AcrobotSwingup", 2), ("Lorenz96Control", 1), ("CylinderWakeMeanField", 3)]
)
def test_the_gradient_of_a_plan_is_its_difference_quotient(name, hold):
    world, rng = world_of(name), np.random.default_rng(1)
    ahead = RecedingHorizon(world, 6, hold=hold)
    state = rng.normal(size=len(world.states))
    actions = rng.uniform(-0.8, 0.8, (6, len(world.actions)))
    along = rng.normal(size=actions.shape)
    _, gradient = ahead.value_and_gradient(state, actions)
    up, down = (ahead.value_and_gradient(state, actions + e * along)[0] for e in (1e-4, -1e-4))
    assert (gradient * along).sum() == pytest.approx((up - down) / 2e-4, rel=1e-5)


def test_planning_ahead_improves_on_the_policy_it_starts_from():
    world = world_of("LorenzControl")
    ahead = RecedingHorizon(world, 30, hold=2, keep=4, base=lorenz_hold())
    states = np.random.default_rng(2).uniform([-15, -15, 10], [15, 15, 40], (3, 3))
    alone = played(world, lorenz_hold(), states, 200)
    planned = played(world, ahead.policy(lambda seen: seen), states, 200)
    assert (planned > alone - 0.05 * np.abs(alone)).all()
    assert planned.mean() > alone.mean()


def test_what_cannot_be_foreseen_is_refused():
    with pytest.raises(ValueError, match="no noise"):
        RecedingHorizon(world_of("FisheryTippingPoint"), 5)
    with pytest.raises(ValueError, match="one action, no noise and as many states"):
        plan_on_grid(world_of("AcrobotSwingup"), [np.arange(3.0)], 5, levels=np.zeros(1))
