"""The tendency behind a black box is extrapolated from tiny steps: do they converge?"""

import numpy as np
import pytest

from discover import ModelErrorDiscovery
from discover.dynamics.solvers import Solver


def rate(x, friction=0.0):
    return np.stack([x[..., 1], -x[..., 0] - friction * x[..., 1]], axis=-1)


def euler(x, t, dt):
    return x + dt * rate(x)


def midpoint(x, t, dt):
    return x + dt * rate(x + dt / 2 * rate(x))


def single(x, t, dt):
    """Of single precision: tiny steps drown in rounding."""
    return euler(x.astype(np.float32), t, np.float32(dt)).astype(np.float64)


def stubborn(x, t, dt):
    """Takes a step of 0.01 at least, and a push that does not vanish with it."""
    whole = max(dt, 0.01)
    return x + dt / whole * (euler(x, t, whole) - x) + 1e-3 * np.sqrt(dt) * np.sin(9 * x)


STATES = np.random.default_rng(0).standard_normal((20, 2))


@pytest.mark.parametrize(("step", "order"), [(euler, 1), (midpoint, 2)])
def test_the_rate_of_convergence_is_that_of_the_scheme(step, order):
    """The slope of Euler's step is exact at once; the midpoint rule's is off by dt."""
    doubt, rate_found = Solver(step).extrapolation(STATES, np.zeros(20), 0.05)
    assert doubt < 1e-9
    assert order == 1 or rate_found == pytest.approx(2.0, rel=1e-3)


def observed():
    t = np.linspace(0.0, 12.0, 121)
    omega = np.sqrt(1 - 0.05**2)
    x = np.exp(-0.05 * t) * np.cos(omega * t)
    v = -np.exp(-0.05 * t) * (0.05 * np.cos(omega * t) + omega * np.sin(omega * t))
    X = np.stack([x, v], axis=1) + 0.002 * np.random.default_rng(0).standard_normal((121, 2))
    return X, t


@pytest.mark.parametrize("steps", [euler, midpoint])
def test_nothing_is_said_of_steps_that_converge(steps):
    found = ModelErrorDiscovery(steps, "x0, x1", vectorized=True).fit(*observed())
    assert not any("do not converge" in note for note in found.notes_)


def test_steps_that_do_not_converge_are_said_to_hide_the_error():
    X, t = observed()
    series = ModelErrorDiscovery(stubborn, "x0, x1", vectorized=True).fit(X, t)
    assert any("do not converge" in note for note in series.notes_)
    bursts = np.stack([STATES, STATES, STATES], axis=1)
    for i in (1, 2):
        bursts[:, i] = bursts[:, i - 1] + 0.001 * rate(bursts[:, i - 1], 0.1)
    times = (np.arange(20)[:, None] + 0.001 * np.arange(3)).ravel()
    found = ModelErrorDiscovery(single, "x0, x1").fit(bursts.reshape(60, 2), times)
    assert "single precision" in found.notes_[0]
