"""Validation: right laws pass, wrong ones are called wrong, and the reasons are the right ones."""

import json

import numpy as np
import pytest
from scipy import stats

from discover import (
    DiscreteSINDy,
    SINDy,
    SymbolicLibrary,
    SymbolicModel,
    Trajectory,
    hold_out,
    validate,
)
from discover.dynamics import load_system
from discover.exceptions import DataError
from discover.validation import Follower, run_filter
from discover.validation.residuals import judge_whiteness

PENDULUM = SymbolicModel(
    SymbolicLibrary("v, sin(q)").build(["q", "v"]), [[1, 0], [-0.2, -4]], ["q", "v"]
)


def pendulum(noise=0.02, seed=0, n=1500, dt=0.04, start=(2.4, 0.0)):
    t = dt * np.arange(n)
    rng = np.random.default_rng(seed)
    states = np.asarray(PENDULUM.simulate(start, t)) + noise * rng.normal(size=(n, 2))
    return Trajectory(states, t, state_names=("q", "v"))


def reasons(found, about):
    return [reason for reason in found.verdict.reasons if reason.about == about]


# -- holding out -------------------------------------------------------------------


def test_the_future_is_held_out_and_whole_runs_when_there_are_many():
    run = pendulum(n=100)
    train, test = hold_out([run], 0.3)
    assert (len(train[0]), len(test[0])) == (70, 30)
    assert train[0].times[-1] < test[0].times[0]
    train, test = hold_out([run] * 10, 0.2)
    assert (len(train), len(test)) == (8, 2)
    assert all(len(part) == 100 for part in test)
    with pytest.raises(DataError, match="at least 8 samples"):
        hold_out([run.select(slice(0, 7))])


# -- innovations -------------------------------------------------------------------


def test_innovations_of_a_linear_map_are_those_of_the_textbook_filter():
    a, q, n = np.array([[0.9, 0.2], [-0.3, 0.8]]), 0.3, 60
    law = SymbolicModel(
        SymbolicLibrary("x, y").build(["x", "y"]), a, ["x", "y"], kind="map", dt=1.0
    )
    rng = np.random.default_rng(0)
    x = np.zeros((n, 2))
    x[0] = [3.0, -1.0]
    for k in range(1, n):
        x[k] = a @ x[k - 1] + 0.1 * rng.normal(size=2)
    values = x + q * rng.normal(size=x.shape)
    values[17, 0] = np.nan
    run = Trajectory(values, np.arange(n, dtype=float), state_names=("x", "y"))
    spread, noise = np.nanstd(values, axis=0), np.full(2, q)
    found = run_filter(Follower(law, run), values[0], spread, noise)

    R = noise**2
    Q = np.diag(found.process * (np.sqrt(np.mean(R / spread**2)) * spread) ** 2)
    relative = max(np.sqrt(np.mean(R / spread**2)), 1e-3)
    m, P = values[0].copy(), np.diag(10 * (relative * spread) ** 2)
    for k in range(n):
        if k:
            m, P = a @ m, a @ P @ a.T + Q
        known = np.isfinite(values[k])
        H = np.eye(2)[known]
        e = values[k][known] - H @ m
        np.testing.assert_allclose(found.raw[k][known][0], e[0], rtol=1e-9, atol=1e-12)
        S = H @ P @ H.T + np.diag(R[known])
        K = P @ H.T @ np.linalg.inv(S)
        m, P = m + K @ e, P - K @ H @ P
        np.testing.assert_allclose(found.states[k], m, rtol=1e-9)


def test_white_noise_on_the_true_law_is_called_structured_no_more_often_than_the_test_says():
    n_runs, p = 60, []
    for seed in range(n_runs):
        follower = Follower(PENDULUM, pendulum(seed=seed, n=300))
        spread, noise = follower.values.std(axis=0), np.full(2, 0.02)
        found = run_filter(follower, follower.start(0, spread, noise, 20), spread, noise)
        p += [w.p_value for w in judge_whiteness([found], ["q", "v"], 1)]
    n_runs, p = 2 * n_runs, np.minimum(np.array(p) / 2, 1)  # undo the count of states
    limit = stats.binom.ppf(0.999, n_runs, 0.1)
    assert np.sum(p < 0.1) <= limit
    assert np.median(p) > 0.2


@pytest.mark.parametrize("hidden", [False, True])
def test_a_law_without_its_nonlinearity_leaves_structure_and_is_told_what_is_missing(hidden):
    terms = "q, {v}, q**2, q**3, q*{v}".format(v="q_dot" if hidden else "v")
    names = ["q", "q_dot"] if hidden else ["q", "v"]
    full = SymbolicLibrary(terms).build(names)
    wrong = SymbolicModel(full, [[0, 1, 0, 0, 0], [-4, -0.2, 0, 0, 0]], names)
    run = pendulum(n=600)
    if hidden:
        run = Trajectory(run.states[:, :1], run.times, state_names=("q",))
    found = validate(wrong, [run])
    assert found.verdict.outcome == "fails"
    (reason,) = reasons(found, "residuals")
    assert reason.kind == "doubt"
    assert "something is missing" in reason.text
    assert found.missing[0][1] == "q**3"


# -- verdicts ----------------------------------------------------------------------


def test_the_right_law_holds_out_and_its_bands_cover():
    train, test = hold_out([pendulum(start=(2.9, 0.0), n=1200)], 0.3)
    found = validate(SINDy("v, q, sin(q), v**3").fit(train), test, train=train)
    assert found.verdict.outcome == "holds", found
    assert found.explained.min() > 0.9
    assert abs(found.coverage - 0.9) < 0.1
    assert found.noise == pytest.approx([0.02, 0.02], rel=0.1)
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_terms_that_these_data_cannot_tell_apart_are_named():
    rng = np.random.default_rng(0)
    t = 0.02 * np.arange(500)
    x = 1.0 + 0.02 * np.sin(3 * t)  # so little motion that x and x**2 are one
    table = SymbolicLibrary("x, x**2").build(["x"])
    Theta = table.evaluate(x[:, None])
    covariance = 1e-4 * np.linalg.inv(Theta.T @ Theta)
    law = SymbolicModel(table, [[-0.5, 1e-3]], ["x"], covariance=covariance)
    run = Trajectory((x + 1e-4 * rng.normal(size=500))[:, None], t, state_names=("x",))
    text = str(validate(law, [run]).verdict)
    assert "x and x**2 can hardly be told apart" in text


def test_a_law_that_blows_up_is_said_to_diverge_and_when():
    law = SymbolicModel(SymbolicLibrary("x**2").build(["x"]), [[1.0]], ["x"])
    t = np.linspace(0, 3, 301)
    run = Trajectory(np.ones((301, 1)) + 0.1 * np.sin(t)[:, None], t, state_names=("x",))
    found = validate(law, [run])
    assert found.verdict.outcome == "fails"
    # 1 / (1 - t) leaves the range 1 to 1.1 by ten spans at 2.1
    assert found.diverged == pytest.approx(1 - 1 / 2.1, abs=0.01)
    assert "diverges after" in str(found)


def test_chaos_is_judged_by_its_valid_time_in_lyapunov_times():
    system = load_system("Lorenz")
    t = 0.01 * np.arange(3000)
    path = np.asarray(system.model.simulate([1.0, 2.0, 20.0], t))
    names = tuple(system.model.state_names)
    run = Trajectory(path, t, state_names=names)
    factor = 1 + 1e-2 * np.random.default_rng(0).normal(size=system.model.coefficients.shape)
    off = system.model.with_coefficients(system.model.coefficients * factor)
    found = validate(off, [run])
    assert found.chaotic
    assert found.verdict.reasons[0].about in ("valid time", "residuals")
    assert "Lyapunov times" in str(found)
    assert found.exponent == pytest.approx(0.906, abs=0.1)
    assert 1.0 < found.lyapunov_times < 12.0


@pytest.mark.parametrize("factor", [1e-6, 37.0, 1e5])
def test_the_verdict_does_not_depend_on_units(factor):
    run = pendulum(n=500)
    other = Trajectory(run.states * factor, run.times * 60.0, state_names=("q", "v"))
    verdicts = []
    for data in (run, other):
        train, test = hold_out([data], 0.3)
        found = validate(SINDy(method="weak").fit(train), test, train=train)
        verdicts.append([found.verdict.outcome, *[r.kind + r.about for r in found.verdict.reasons]])
    assert verdicts[0] == verdicts[1]


def test_gaps_runs_controls_and_maps_are_followed():
    rng = np.random.default_rng(3)
    runs = []
    for _ in range(6):
        u = rng.normal(size=(80, 1))
        x = np.zeros((80, 1))
        for k in range(79):
            x[k + 1] = 0.7 * x[k] - 0.4 * x[k] ** 3 + 0.5 * u[k]
        x += 0.01 * rng.normal(size=x.shape)
        x[[11, 40]] = np.nan
        runs.append(Trajectory(x, np.arange(80.0), u, state_names=("x",), control_names=("u",)))
    train, test = hold_out(runs)
    model = DiscreteSINDy("x, u, x**2, x**3").fit(train)
    found = validate(model, test, train=train)
    assert found.verdict.outcome == "holds", found
    assert found.n_runs == 1
    assert found.explained[0] > 0.99


def test_a_law_of_other_states_is_refused():
    run = Trajectory(np.random.default_rng(0).normal(size=(50, 1)), np.arange(50.0),
                     state_names=("z",))  # fmt: skip
    with pytest.raises(ValueError, match="must have the states"):
        validate(PENDULUM, [run])
