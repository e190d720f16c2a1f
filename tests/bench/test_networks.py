"""Networks as surrogate: they run closed loops as laws do."""

import numpy as np

from discover.bench.control import SWINGUP_REWARD
from discover.bench.networks import NetworkLoop
from discover.control import DynamicsLearner
from discover.libraries import PolynomialLibrary
from discover_envs import make

_RAIL = {"x": (-1.75, 1.75)}


def _fitted():
    """Return a loop that has explored, and networks fitted to what it saw."""
    linear = DynamicsLearner(PolynomialLibrary(1), coordinates="observed", noise=None)
    loop = NetworkLoop(
        make("discover/CartPoleSwingup-v0"), reward=SWINGUP_REWARD, dynamics=linear, bounds=_RAIL
    )
    loop._begin(0)
    loop._explore(300)
    return loop, loop._fit()


def _output(layers, inputs):
    *inner, (weights, offsets) = layers
    for w, b in inner:
        inputs = np.tanh(inputs @ w + b)
    return inputs @ weights + offsets


def test_networks_run_closed_loops_step_by_step_with_the_reward_of_the_next_state():
    loop, networks = _fitted()
    form, data, rng = loop._form, loop.plant_.data, np.random.default_rng(0)
    weights = rng.normal(0, 0.3, (2, form.n_weights))
    starts = data.states[[0, 100, 200]]
    starts[2, [0, 3]] = 1.749, 1.0  # about to leave
    horizon = 60
    run = networks.rollouts(
        form.table, form.coefficients(weights), starts, horizon, members=2, trace=True
    )
    assert run.returns.shape == (2, 2, 3)
    for p, m, s in np.ndindex(2, 2, 3):
        seen, rewards, steps = starts[s], np.zeros(horizon), 0
        while steps < horizon and abs(seen[0]) <= 1.75:
            u = networks.box.saturate(form.model(weights[p]).rhs(seen))
            seen = seen + _output(networks.networks[m], np.concatenate([seen, u]))
            seen[1:3] /= np.hypot(*seen[1:3])
            if abs(seen[0]) <= 1.75:
                rewards[steps] = networks.outcome.rhs(seen, u=u)[0]
            steps += 1
        np.testing.assert_allclose(run.trace[p, m, s], rewards, rtol=2e-3, atol=1e-5)
        np.testing.assert_allclose(run.returns[p, m, s], rewards.sum(), rtol=1e-3)
        assert run.lengths[p, m, s] == steps
        assert run.ended[p, m, s] == (abs(seen[0]) > 1.75)
    assert run.ended[:, :, 2].all()


def test_networks_predict_held_out_steps():
    loop, networks = _fitted()
    data, n = loop.plant_.data, len(loop.plant_.data)
    loop._explore(n + 200)
    inputs = np.concatenate([data.states, data.actions], axis=1)[n:]
    true = (data.next_states - data.states)[n:]
    for layers in networks.networks:
        error = np.sqrt(np.mean((_output(layers, inputs) - true) ** 2, axis=0))
        assert np.mean(error / np.sqrt(np.mean(true**2, axis=0))) < 0.4
