"""Some states are never measured: does the law forecast the others, and is it the right one?

Forecasts start from smoothed states, the hidden one included, at the end of the data and at ten
times within them. A forecast is good if the measured states stay within 5 % of their standard
deviations (root mean square of all, at every time) for one Lyapunov time.
"""

import numpy as np
import pytest

from discover import PolynomialLibrary, SINDy
from discover.dynamics import load_system, valid_prediction_time

pytestmark = pytest.mark.slow

SEEDS = 10
# the laws, where the hidden state is what makes one coefficient one
LORENZ = {"x": {"x", "y"}, "y": {"y", "x*z"}, "z": {"1", "z", "x*y"}}
ROSSLER = {"x": {"y", "z"}, "y": {"x", "y"}, "z": {"1", "z", "x*z"}}
ALONE = {"x": {"v"}, "v": {"v", "x*w"}, "w": {"1", "w", "x**2", "x*v"}}
SPROTT = {"x": {"y*z"}, "y": {"x", "y"}, "z": {"1", "x*y"}}


def truth(system, start, dt, n):
    """Return n samples and one Lyapunov time more; also its steps."""
    ahead = int(np.ceil(1 / (system.exponents[0] * dt)))
    t = dt * np.arange(n + ahead)
    return system.model.simulate(start, t, rtol=1e-10, atol=1e-10).states, t, ahead


def forecasts(law, smoothed, x, t, ahead, starts, n_seen):
    """Say of every start whether the forecast is good."""
    scale = x[: len(smoothed)].std(axis=0)[:n_seen]
    times = []
    for k in starts:
        rows = slice(k, k + ahead + 1)
        ahead_of = law.simulate(smoothed.states[k], t[rows] - t[k]).states
        good = valid_prediction_time(
            x[rows, :n_seen], np.asarray(ahead_of)[:, :n_seen], t[rows], threshold=0.05, scale=scale
        )
        times.append(good >= t[rows][-1] - t[k])
    return times


def measured(name, start, dt, n=1000, degree=2, names=("x", "y"), hidden=("z",)):
    """Return per seed: good at the end, all good within, support as in the right law."""
    system = load_system(name)
    x, t, ahead = truth(system, start, dt, n)
    results = []
    for seed in range(SEEDS):
        noise = 0.01 * x[:n].std(axis=0) * np.random.default_rng(seed).standard_normal((n, 3))
        data = (x[:n] + noise)[:, : len(names)]
        fit = SINDy(PolynomialLibrary(degree), method="joint", hidden=hidden, names=names)
        law = fit.fit(data, t[:n]).symbolic_
        within = np.linspace(n // 10, n - 1 - ahead, 10).astype(int) if n > 1.2 * ahead else []
        good = forecasts(law, fit.smoothed_[0], x, t, ahead, [n - 1, *within], len(names))
        terms = {
            state: {law.term_names[j] for j in np.flatnonzero(row)}
            for state, row in zip(law.state_names, law.support, strict=True)
        }
        results.append((good[0], all(good[1:]), terms))
    return results


def test_lorenz_forecasts_for_one_lyapunov_time_without_its_third_state():
    results = measured("Lorenz", [-8.0, 7.0, 27.0], 0.01)
    assert sum(end and within for end, within, _ in results) >= 8
    assert sum(terms == LORENZ for *_, terms in results) >= 8


def test_lorenz_from_its_first_state_alone():
    """With v = x' and w = 270 - 10 z."""
    start = [-8.0, 7.0, 27.0]
    results = measured("Lorenz", start, 0.01, names=["x"], hidden=["v", "w"])
    assert sum(end and within for end, within, _ in results) >= 8
    assert sum(terms == ALONE for *_, terms in results) >= 8


def test_lorenz_with_all_terms_of_degree_three():
    results = measured("Lorenz", [-8.0, 7.0, 27.0], 0.01, degree=3)
    assert sum(end and within for end, within, _ in results) >= 8


@pytest.mark.parametrize(("name", "law"), [("Rossler", ROSSLER), ("SprottB", SPROTT)])
def test_other_systems_without_their_third_state(name, law):
    system = load_system(name)
    run = system.trajectories(1)[0]
    results = measured(name, run.states[0], run.dt)
    assert sum(terms == law for *_, terms in results) >= 8
