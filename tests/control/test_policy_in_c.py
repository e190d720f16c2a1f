"""A policy leaves as C: the same closed loop, bit for bit."""

import shutil

import numpy as np
import pytest

from discover.bench.controller import closed_loop_gap
from discover.control import Plant, PolicyForm

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


@pytest.mark.parametrize("name", ["Pendulum-v1", "CartPole-v1"])
def test_the_closed_loop_of_the_c_code_is_that_of_the_policy(name):
    plant = Plant(name, seed=3)
    rng = np.random.default_rng(0)
    names, box = plant.data.observation_names, plant.box
    form = PolicyForm.over(None, names, rng.normal(size=(50, len(names))), box)
    gap, steps = closed_loop_gap(form.model(rng.normal(size=form.n_weights)), name)
    assert steps > 5
    assert gap == 0.0
