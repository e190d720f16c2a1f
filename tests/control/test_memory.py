"""Plants that change: known again by their laws, and none of their data kept."""

import gymnasium
import numpy as np
import pytest

from discover import SINDyRL
from discover.control import CMAAgent, Episode, Plant, PlantMemory
from discover.control.policy import actor

NAMES = ("cos_th", "sin_th", "th_dot")


def pendulum(length):
    env = gymnasium.make("Pendulum-v1")
    env.unwrapped.l = length
    return env


def make(env):
    return SINDyRL(
        env, CMAAgent(8, 3, restarts=0), explore=120, observation_names=NAMES,
        reward="-((1 - cos_th)**2 + 0.1*th_dot**2 + 0.001*u**2)",
    )  # fmt: skip


@pytest.fixture(scope="module")
def memory():
    memory = PlantMemory(make)
    assert memory.learn(pendulum(1.0), 140) == 0
    assert memory.steps_ == 140
    assert memory.learn(pendulum(1.3), 140) == 1
    assert memory.steps_ == 280
    return memory


def test_a_plant_is_known_again_for_the_price_of_the_probe(memory):
    steps, policies = memory.steps_, [p.policy for p in memory.plants_]
    assert memory.learn(pendulum(1.0), 140, seed=7) == 0
    assert memory.learn(pendulum(1.3), 140, seed=8) == 1
    assert memory.steps_ == steps + 2 * memory.probe
    assert [p.policy for p in memory.plants_] == policies


@pytest.mark.parametrize(("length", "expected"), [(1.0, 0), (1.3, 1)])
def test_the_policy_finds_out_which_plant_it_acts_on(memory, length, expected):
    policy = memory.policy()
    plant = Plant(pendulum(length), observation_names=NAMES)
    plant.run(actor(policy, plant.box), 12)
    assert policy.chosen == expected
    policy.restart()
    assert policy.chosen == 1  # the one met last


def test_no_transition_of_the_past_is_kept(memory):
    arrays = [
        value
        for plant in memory.plants_
        for part in (plant, plant.surrogate, plant.surrogate.dynamics, plant.policy)
        for value in vars(part).values()
        if isinstance(value, np.ndarray)
    ]
    assert arrays
    assert all(len(array) < 120 for array in arrays)


def test_a_plant_that_none_explains_is_not_recognized(memory):
    plant = Plant(pendulum(0.8), observation_names=NAMES, seed=3)
    other = plant.run(lambda seen: np.ones(1), 20)
    assert memory.recognize(other) is None
    nothing = Episode(other.observations[:1], other.actions[:0], other.rewards[:0])
    assert memory.recognize(nothing) is None


def test_nothing_known_gives_no_policy():
    with pytest.raises(ValueError, match="call learn first"):
        PlantMemory(make).policy()
    with pytest.raises(ValueError, match="probe must be"):
        PlantMemory(make, probe=0)
