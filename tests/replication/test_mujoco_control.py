"""Gymnasium's MuJoCo worlds, learned with a small part of the steps that others need.

Swimmer: PPO of rl-baselines3-zoo earns 281.6 after 1,000,000 steps. Double pendulum: gymnasium's
threshold is 9,100; Smith and Falcone (github.com/falconeaj1/ME_595) need 22,723 steps for a
policy that always balances. ``discover bench mujoco`` has ten seeds of both.
"""

import pytest

from discover.bench.control import measure
from discover.bench.mujoco import TASKS

pytest.importorskip("mujoco")
pytest.importorskip("imageio")
pytestmark = pytest.mark.slow


def test_a_swimmer_earns_more_than_tuned_ppo_in_a_tenth_of_the_steps():
    found = measure("swimmer", 0, TASKS)
    print(found)
    assert found.mean >= 282.0
    assert found.real_steps <= 100_000


def test_two_poles_stay_up_in_every_episode():
    found = measure("double pendulum", 0, TASKS)
    print(found)
    assert found.worst >= 9100.0
    assert found.real_steps <= 23_000
