"""Solvers with controls: given those of the observations, or refused at the door."""

import numpy as np
import pytest

from discover import Axis, Field, ModelErrorDiscovery, SymbolicModel, Trajectory
from discover.dynamics import simulate
from discover.dynamics.solvers import Solver
from discover.exceptions import DataError
from discover.libraries import SymbolicLibrary

T = np.linspace(0.0, 16.0, 97)


def push(t):
    return np.sin(1.3 * t) + 0.5 * np.sin(0.4 * t)


class Oscillator:
    """With friction and a push; `u` is required."""

    def __init__(self, friction=0.3, gain=0.8):
        self.friction, self.gain = friction, gain

    def rhs(self, x, t, u):
        return np.array([x[1], -x[0] - self.friction * x[1] + self.gain * u[0]])


def one_step(x, t, dt, u):
    """Of second order, without friction."""
    rate = Oscillator(friction=0.0).rhs
    return x + dt * rate(x + dt / 2 * rate(x, t, u), t, u)


def blind(x, t, dt):
    """Knows nothing of the push."""
    rate = Oscillator(gain=0.0).rhs
    return x + dt * rate(x + dt / 2 * rate(x, t, [0.0]), t, [0.0])


@pytest.fixture(scope="module")
def run():
    X = simulate(Oscillator(), [1.0, 0.0], T, push(T)).states
    X = X + 0.01 * X.std(axis=0) * np.random.default_rng(0).standard_normal(X.shape)
    return Trajectory(X, T, push(T)[:, None])


def terms(model, state=1):
    chosen = np.flatnonzero(model.support[state])
    return {model.term_names[j]: model.coefficients[state, j] for j in chosen}


@pytest.mark.parametrize(
    ("solver", "missing"),
    [
        (one_step, {"x1": -0.3}),
        (Oscillator(friction=0.0), {"x1": -0.3}),
        (Oscillator(gain=0.5), {"u0": 0.3}),
        (blind, {"u0": 0.8}),
    ],
)
def test_a_series_with_controls(run, solver, missing):
    found = ModelErrorDiscovery(solver).fit(run)
    assert terms(found.error_) == pytest.approx(missing, abs=0.01)
    assert not found.error_.support[0].any()
    forecast = found.forecast(run)
    assert forecast.corrected_valid_time > 2 * forecast.base_valid_time
    assert found.stability_ == ""


def test_bursts_with_controls():
    times = (0.5 * np.arange(60)[:, None] + [0.0, 0.01, 0.02]).ravel()
    path = simulate(Oscillator(), [1.0, 0.0], times, push, rtol=1e-11).states
    found = ModelErrorDiscovery(one_step).fit(path, times, push(times))
    assert terms(found.error_) == pytest.approx({"x1": -0.3}, rel=1e-5)


def test_a_guessed_law_with_controls_is_repaired(run):
    table = SymbolicLibrary("x0, x1, u0").build(["x0", "x1", "u0"])
    guess = SymbolicModel(table, [[0, 1, 0], [-1, 0, 0.5]], ["x0", "x1"], ["u0"])
    found = ModelErrorDiscovery(guess).fit(run)
    assert terms(found.repaired_) == pytest.approx({"x0": -1, "x1": -0.3, "u0": 0.8}, abs=0.01)
    assert found.repaired_.control_names == ("u0",)
    table = SymbolicLibrary("x0, x1").build(["x0", "x1"])
    unaware = SymbolicModel(table, [[0, 1], [-1, -0.3]], ["x0", "x1"])
    repaired = ModelErrorDiscovery(unaware).fit(run).repaired_
    assert terms(repaired) == pytest.approx({"x0": -1, "x1": -0.3, "u0": 0.8}, abs=0.01)


def test_controls_that_a_solver_needs_are_asked_for_at_the_door(run):
    for solver in (one_step, Oscillator()):
        with pytest.raises(DataError, match="needs controls u, and the observations have none"):
            ModelErrorDiscovery(solver).fit(run.states, T)
    field = Field(np.zeros((9, 8)), np.arange(9.0), Axis.box("x", 8, 1.0))
    with pytest.raises(DataError, match="wrap the solver in a function of time"):
        ModelErrorDiscovery(one_step).fit(field)
    with pytest.raises(DataError, match="u must be left out for fields"):
        ModelErrorDiscovery(blind).fit(field, u=np.zeros(9))
    holed = np.where(T == T[7], np.nan, push(T))
    with pytest.raises(DataError, match="controls must be known at all times"):
        ModelErrorDiscovery(one_step).fit(run.states, T, holed)


def test_a_fourth_argument_with_a_default_is_controls_only_by_its_name():
    x, t, u = np.ones((2, 3)), np.zeros(2), np.full((2, 1), 4.0)
    tolerant = Solver(lambda x, t, dt, tol=1.0: x + tol)
    held = Solver(lambda x, t, dt, u=(1.0,): x + u[0])
    assert not tolerant.takes_controls
    assert held.takes_controls
    assert not held.needs_controls
    np.testing.assert_array_equal(tolerant.step(x, t, 0.1, u), 2.0 * x)
    np.testing.assert_array_equal(held.step(x, t, 0.1, u), 5.0 * x)
    np.testing.assert_array_equal(held.step(x, t, 0.1), 2.0 * x)
