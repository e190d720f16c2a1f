"""Baselines: the surrogate made of networks runs closed loops as laws do."""

import numpy as np

from discover.bench.baselines import SWINGUP_REWARD, NeuralSurrogate
from discover.control import Plant, PolicyForm, given_outcome
from discover_envs import make


def test_networks_run_closed_loops_step_by_step_with_the_reward_of_the_next_state():
    rng, plant = np.random.default_rng(0), Plant(make("discover/CartPoleSwingup-v0"), seed=0)
    plant.run(lambda seen: rng.uniform(-1, 1, 1), 300)
    names = plant.data.observation_names
    outcome = given_outcome(SWINGUP_REWARD, names, plant.box.names)
    networks = NeuralSurrogate.fit(plant, outcome, seed=0, n_members=2)
    form = PolicyForm.over(None, names, plant.data.states, plant.box, [(1, 2)])
    weights = rng.normal(0, 0.3, (2, form.n_weights))
    starts = plant.data.states[[0, 100, 200]]
    run = networks.rollouts(form.table, form.coefficients(weights), starts, 5)
    assert run.returns.shape == (2, 2, 3)
    for p, m, s in np.ndindex(2, 2, 3):
        seen, total = starts[s], 0.0
        for _ in range(5):
            u = plant.box.saturate(form.model(weights[p]).rhs(seen))
            y = np.concatenate([seen, u])
            for layer in networks.members[m][:-1]:
                y = np.tanh(y @ layer[0] + layer[1])
            seen = seen + y @ networks.members[m][-1][0] + networks.members[m][-1][1]
            seen[1:3] /= np.hypot(*seen[1:3])
            total += outcome.rhs(seen, u=u)[0]
        np.testing.assert_allclose(run.returns[p, m, s], total, rtol=1e-9)
