"""What solvers of rings of sites and of two-dimensional flow get wrong."""

import numpy as np
import pytest

from discover import Axis, Field, Grid, ModelErrorDiscovery, SymbolicLibrary, SymbolicModel
from discover.dynamics.site_law import SiteLaw
from discover.dynamics.two_scale import TwoScaleLorenz96, lorenz96_rate
from discover.dynamics.valid_time import valid_prediction_time
from discover.dynamics.vorticity import VorticityEquation, stream_function
from discover.exceptions import DataError

TERMS = "1, X, X**2, X_km1, X_kp1, X_km1*X_kp1, X_km2*X_km1, X*X_kp1"


def stepping(rate):
    """A solver of order four for a tendency."""

    def step(x, t, dt):
        a = rate(x)
        b = rate(x + dt / 2 * a)
        c = rate(x + dt / 2 * b)
        return x + dt / 6 * (a + 2 * b + 2 * c + rate(x + dt * c))

    return step


RIGHT = stepping(lambda x: lorenz96_rate(x, 8.0))
WRONG = {
    "1": (stepping(lambda x: lorenz96_rate(x, 6.0)), 2.0),
    "X": (stepping(lambda x: lorenz96_rate(x, 8.0) + x), -1.0),
    "X_km1*X_kp1": (
        stepping(lambda x: lorenz96_rate(x, 8.0) - 0.3 * np.roll(x, 1, -1) * np.roll(x, -1, -1)),
        0.3,
    ),
}


@pytest.fixture(scope="module")
def ring_run():
    """A Lorenz-96 ring of 12 sites, every 0.01."""
    x = 8.0 + np.random.default_rng(0).standard_normal(12)
    for _ in range(500):
        x = RIGHT(x, 0.0, 0.01)
    run = [x]
    for _ in range(2000):
        run.append(RIGHT(run[-1], 0.0, 0.01))
    return np.array(run)


def on_ring(values, times):
    return Field(values, times, Axis.ring("k", values.shape[-1]), "X")


def bursts(run, noise, seed=0):
    at = np.arange(0, 1990, 20)[:, None] + [0, 2, 4]
    shape = (*at.shape, run.shape[1])
    values = run[at] + noise * run.std() * np.random.default_rng(seed).standard_normal(shape)
    return on_ring(values.reshape(-1, run.shape[1]), 0.01 * at.ravel())


def series(run, noise, seed=0):
    seen = run[:500:5]
    noisy = seen + noise * run.std() * np.random.default_rng(seed).standard_normal(seen.shape)
    return on_ring(noisy, 0.05 * np.arange(len(seen)))


def only_term(model):
    ((row, column),) = np.argwhere(model.support)
    return model.term_names[column], model.coefficients[row, column]


@pytest.mark.parametrize(
    ("seen", "noise", "tolerance"), [(bursts, 0.0, 1e-3), (bursts, 0.01, 0.1), (series, 0.05, 0.03)]
)
@pytest.mark.parametrize("term", WRONG)
def test_one_law_for_all_sites_is_found(ring_run, term, seen, noise, tolerance):
    step, value = WRONG[term]
    found = ModelErrorDiscovery(step, TERMS, vectorized=True).fit(seen(ring_run, noise))
    assert only_term(found.error_) == (term, pytest.approx(value, rel=tolerance))


def test_a_guess_on_a_ring_is_repaired_and_forecasts(ring_run):
    table = SymbolicLibrary(TERMS).fit_names(["X", "X_km2", "X_km1", "X_kp1"]).terms()
    values = dict.fromkeys(table.names, 0.0) | {"1": 8.0, "X": -0.5, "X_km1*X_kp1": 1.0}
    model = SymbolicModel(
        table, [list(values.values())], table.inputs, target_names=["X_t"], kind="direct"
    )
    guess = SiteLaw(model.pruned(), Grid((Axis.ring("k", 12),)), ("X",))
    found = ModelErrorDiscovery(guess, TERMS).fit(series(ring_run, 0.02))
    repaired = dict(zip(found.repaired_.term_names, found.repaired_.coefficients[0], strict=True))
    expected = {"1": 8.0, "X": -1.0, "X_km1*X_kp1": 1.0, "X_km1*X_km2": -1.0}
    assert repaired == pytest.approx(expected, rel=0.02)
    forecast = found.forecast(on_ring(ring_run[:601:5], 0.05 * np.arange(121)))
    assert forecast.corrected_valid_time > 3 * forecast.base_valid_time


def test_a_site_with_several_components(ring_run):
    """Two rings in one: the second is the first at another scale, with its own law."""
    both = np.stack([ring_run, 10.0 * ring_run], axis=-1)
    at = np.arange(0, 1990, 20)[:, None] + [0, 1, 2]
    field = Field(both[at.ravel()], 0.01 * at.ravel(), Axis.ring("k", 12), ("X", "Y"))

    def step(x, t, dt):
        first, second = np.moveaxis(x, -1, 0)
        return np.stack([WRONG["1"][0](first, t, dt), 10 * RIGHT(second / 10, t, dt)], axis=-1)

    found = ModelErrorDiscovery(step, "1, X, X**2", vectorized=True).fit(field)
    assert np.argwhere(found.error_.support).tolist() == [[0, 0]]
    assert found.error_.coefficients[0, 0] == pytest.approx(2.0, rel=1e-3)
    assert found.corrected_.step(both[0], 0.0, 0.01).shape == (12, 2)


def test_a_closure_keeps_forecasts_of_the_slow_scale_longer():
    """Wilks (2005): what the fast sites do is a polynomial of the slow one."""
    system, rng = TwoScaleLorenz96(), np.random.default_rng(0)
    slow = 5.0 + 3.0 * rng.standard_normal((100, 8))
    x = np.concatenate([slow, 0.1 * rng.standard_normal((100, 256))], axis=1)

    def run(x, n):
        states = [x]
        for _ in range(n):
            for _ in range(4):
                x = system.step(x, 0.0, 0.005)
            states.append(x)
        return x, np.array(states)[..., :8]

    x, triples = run(x, 100)[0], []
    for _ in range(5):
        triples.append(np.swapaxes(run(x, 2)[1], 0, 1))
        x = run(x, 25)[0]
    u = np.concatenate(triples)
    u += 0.01 * u.std() * rng.standard_normal(u.shape)
    times = np.arange(len(u))[:, None] + 0.02 * np.arange(3)
    truncated = stepping(lambda x: lorenz96_rate(x, 20.0))
    found = ModelErrorDiscovery(truncated, vectorized=True).fit(
        on_ring(u.reshape(-1, 8), times.ravel())
    )
    assert "X**3" in found.error_.pruned().term_names
    record = run(x, 80)[1]

    def valid(step):
        states = [record[0]]
        for _ in range(80):
            states.append(step(states[-1], 0.0, 0.02))
        runs = np.swapaxes([record, np.array(states)], 1, 2)
        return valid_prediction_time(*runs, 0.02 * np.arange(81)).mean()

    assert valid(found.corrected_.step) > 3 * valid(truncated)


@pytest.fixture(scope="module")
def flow():
    """Turbulence on a beta plane, 32 x 32, and twenty bursts of it."""
    grid = Grid((Axis.box("x", 32, 2 * np.pi), Axis.box("y", 32, 2 * np.pi)))
    X, Y = np.meshgrid(*(axis.points for axis in grid.axes), indexing="ij")
    truth = VorticityEquation(grid, 0.02, 0.1, 1.0, np.cos(4 * Y) + np.cos(4 * X + 1.0))
    w = np.random.default_rng(0).standard_normal((20, 32, 32))
    w = 8.0 * grid.from_modes(grid.to_modes(w) * np.exp(-((grid.radius / 5) ** 2)))
    for _ in range(400):
        w = truth.step(w, 0.0, 0.05)
    states = [w, truth.step(w, 0.0, 0.02)]
    states.append(truth.step(states[-1], 0.0, 0.02))
    return truth, np.stack(states, axis=1)


@pytest.mark.parametrize(
    ("wrong", "term", "value"),
    [
        ({"viscosity": 0.01}, "w_xx + w_yy", 0.01),
        ({"drag": 0.0}, "w", -0.1),
        ({"beta": 0.0}, "psi_x", -1.0),
    ],
)
def test_what_a_flow_solver_lacks_is_named(flow, wrong, term, value):
    truth, clean = flow
    known = {"viscosity": truth.viscosity, "drag": truth.drag, "beta": truth.beta}
    solver = VorticityEquation(truth.grid, forcing=truth.forcing, **(known | wrong))
    w = clean + 0.02 * clean.std() * np.random.default_rng(1).standard_normal(clean.shape)
    times = 2.0 * np.arange(len(w))[:, None] + 0.02 * np.arange(3)
    library = "w, psi, psi_x, psi_y, w_x, w_y, w_xx + w_yy, psi_x*w_y - psi_y*w_x, w**2, psi*w"
    found = ModelErrorDiscovery(
        solver.step, library, vectorized=True, auxiliary=stream_function, random_state=0
    ).fit(Field(w.reshape(-1, 32, 32), times.ravel(), truth.grid, "w"))
    assert only_term(found.error_) == (term, pytest.approx(value, rel=0.15))


def test_a_solver_of_sites_needs_sites():
    field = on_ring(np.zeros((3, 8)), [0.0, 0.1, 0.2])
    with pytest.raises(DataError, match="same box"):
        ModelErrorDiscovery(RIGHT, grid=Axis.box("k", 8, 8.0)).fit(field)
