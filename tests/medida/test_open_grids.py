"""Bursts on open grids: bumps that vanish at the ends, solvers that know their own boundaries."""

import numpy as np
import pytest

from discover import Axis, Field, Grid, ModelErrorDiscovery, SymbolicModel
from discover.dynamics.open_law import OpenFieldLaw
from discover.exceptions import DataError
from discover.libraries import JetLibrary, SymbolicLibrary
from discover.observations.jets import jet_names
from discover.problems.field_rows import FieldTerms
from discover.problems.open_tests import BumpTests, OpenGrid

N = 81
X = np.linspace(0.0, 1.0, N)
AXIS = Axis("x", X, periodic=False)
DT = 2e-3


def slope(u):
    out = np.zeros_like(u)
    out[..., 1:-1] = (u[..., 2:] - u[..., :-2]) * (N - 1) / 2
    return out


def curvature(u):
    out = np.zeros_like(u)
    out[..., 1:-1] = (u[..., 2:] - 2 * u[..., 1:-1] + u[..., :-2]) * (N - 1) ** 2
    return out


def inner(u):
    return np.where((X > 0) & (X < 1), u, 0.0)


def stepped(rate, u, dt, n):
    h = dt / n
    for _ in range(n):
        a = rate(u)
        b = rate(u + h / 2 * a)
        c = rate(u + h / 2 * b)
        u = u + h / 6 * (a + 2 * b + 2 * c + rate(u + h * c))
    return u


#: truth, solver under test (both of second order, with held ends), what is missing
CASES = {
    "heat": (lambda u: 0.05 * curvature(u), lambda u: 0.02 * curvature(u), {"u_xx": 0.03}),
    "Burgers": (
        lambda u: 0.03 * curvature(u) - u * slope(u),
        lambda u: 0.01 * curvature(u) - u * slope(u),
        {"u_xx": 0.02},
    ),
    "drift": (
        lambda u: 0.02 * curvature(u) - 0.5 * slope(u),
        lambda u: 0.02 * curvature(u),
        {"u_x": -0.5},
    ),
    "Fisher": (
        lambda u: 0.01 * curvature(u) + inner(4 * u * (1 - u)),
        lambda u: 0.01 * curvature(u),
        {"u": 4.0, "u**2": -4.0},
    ),
}


def solver(case):
    rate = CASES[case][1]
    return lambda u, t, dt: stepped(rate, u, dt, 8 if dt > DT / 2 else 1)


def bursts(case, noise, seed):
    rng = np.random.default_rng(seed)
    k = np.arange(1, 6)
    u = (rng.standard_normal((100, 5)) / k) @ np.sin(np.pi * k[:, None] * X)
    u = u + rng.random((100, 1)) * (1 - X) + rng.random((100, 1)) * X  # ends of any value
    if case == "Fisher":
        u = 0.5 + 0.4 * u
    states = [stepped(CASES[case][0], u, DT, 8)]
    for _ in range(2):
        states.append(stepped(CASES[case][0], states[-1], DT, 8))
    states = np.stack(states, axis=1)
    states += noise * states.std() * rng.standard_normal(states.shape)
    times = (np.arange(100)[:, None] + DT * np.arange(3)).ravel()
    return Field(states.reshape(300, N), times, AXIS)


def terms(model, target=0):
    chosen = np.flatnonzero(model.support[target])
    return {model.term_names[j]: model.coefficients[target, j] for j in chosen}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("noise", "tolerance"), [(0.0, 0.02), (0.01, 0.15)])
@pytest.mark.parametrize("case", CASES)
def test_what_is_missing_is_named(case, noise, tolerance, seed):
    found = ModelErrorDiscovery(solver(case), vectorized=True, random_state=0).fit(
        bursts(case, noise, seed)
    )
    assert terms(found.error_) == pytest.approx(CASES[case][2], rel=tolerance)


@pytest.mark.parametrize("case", ["heat", "drift", "Burgers"])
def test_at_five_per_cent_the_answer_is_within_its_interval(case):
    found = ModelErrorDiscovery(solver(case), vectorized=True, random_state=0).fit(
        bursts(case, 0.05, 3)
    )
    ((name, true),) = CASES[case][2].items()
    assert set(terms(found.error_)) == {name}
    assert abs(terms(found.error_)[name] - true) < 4 * np.sqrt(found.error_.covariance[0, 0])


def test_the_corrected_solver_forecasts_better_and_keeps_the_ends():
    clean = bursts("Burgers", 0.01, 0)
    found = ModelErrorDiscovery(solver("Burgers"), vectorized=True, random_state=0).fit(clean)
    states = [clean.values[0, :, 0]]
    for _ in range(40):
        states.append(stepped(CASES["Burgers"][0], states[-1], 0.01, 40))
    record = Field(np.array(states), 0.01 * np.arange(41), AXIS)
    compared = found.forecast(record)
    assert compared.corrected_rmse[-1] < 0.2 * compared.base_rmse[-1]
    np.testing.assert_allclose(compared.corrected[:, [0, -1]], compared.truth[:, [0, -1]])
    assert found.stability_ == ""


def test_a_guessed_law_on_an_open_grid_is_repaired():
    table = SymbolicLibrary("u*u_x, u_xx").build(["u", "u_x", "u_xx"])
    guess = SymbolicModel(table, [[-1.0, 0.01]], table.inputs, target_names=["u_t"], kind="direct")
    found = ModelErrorDiscovery(guess, random_state=0).fit(bursts("Burgers", 0.0, 0))
    assert terms(found.repaired_) == pytest.approx({"u*u_x": -1.0, "u_xx": 0.03}, rel=0.02)
    assert isinstance(found.corrected_, OpenFieldLaw)


def test_two_components_on_a_box_that_is_periodic_in_one_direction():
    """Diffusion across a channel, and a decay of the second component by the first."""
    y = np.linspace(0.0, 1.0, 33)
    grid = Grid((Axis.box("x", 32, 2.0), Axis("y", y, periodic=False)))
    xx, yy = np.meshgrid(grid.axes[0].points, y, indexing="ij")
    rng, dt = np.random.default_rng(0), 1e-3

    def rate(s, nu, k):
        u, v = s[..., 0], s[..., 1]
        u_t = nu * grid.derivative(u, (0, 2)) + 0.02 * grid.derivative(u, (2, 0))
        return np.stack([u_t, -k * u * v], axis=-1)

    shapes = [np.cos(np.pi * a * xx + p) * np.sin(np.pi * b * yy + q)
              for a, b in ((1, 1), (2, 1), (1, 2)) for p in (0, 1) for q in (0, 0.7)]  # fmt: skip
    start = np.tensordot(rng.standard_normal((40, 2, 12)), np.array(shapes), 1)
    start = np.moveaxis(start, 1, -1) / 3
    states = [start]
    for _ in range(2):
        states.append(stepped(lambda s: rate(s, 0.05, 1.0), states[-1], dt, 2))
    states = np.stack(states, axis=1).reshape(120, 32, 33, 2)
    states += 0.002 * states.std() * rng.standard_normal(states.shape)
    times = (np.arange(40)[:, None] + dt * np.arange(3)).ravel()

    class Channel:
        def rhs(self, s, t):
            return rate(s, 0.02, 0.0)

    found = ModelErrorDiscovery(Channel(), JetLibrary(2, 2), random_state=0).fit(
        Field(states, times, grid, ("u", "v"))
    )
    assert terms(found.error_, 0) == pytest.approx({"u_yy": 0.03}, rel=0.1)
    assert terms(found.error_, 1) == pytest.approx({"u*v": -1.0}, rel=0.1)


def test_integration_by_parts_has_no_boundary_terms():
    """The weak form of a derivative equals that of its values, whatever happens at the ends."""
    grid = Grid((AXIS,))
    tests = BumpTests(grid, 25.0)
    values = np.exp(1.5 * X)[None, :, None]
    table = JetLibrary().build(jet_names(["u"], ["x"], 4))
    by_parts = tests.project_terms(FieldTerms(table, ("u",)), grid, values)[0]
    u = values[0, :, 0]
    for name, exact in {"u_x": 1.5 * u, "u_xxxx": 1.5**4 * u, "u**2*u_x": 1.5 * u**3}.items():
        np.testing.assert_allclose(
            by_parts[:, table.names.index(name)], tests.project(grid, exact), rtol=1e-3
        )


def test_modes_of_an_open_grid_are_a_basis_in_which_white_noise_is_white():
    grid = OpenGrid((AXIS, Axis.box("y", 12, 1.0)))
    values = np.random.default_rng(0).standard_normal((200, N, 12))
    modes = grid.to_modes(values)
    np.testing.assert_allclose(grid.from_modes(modes), values)
    np.testing.assert_allclose(np.mean(modes**2) * grid.size, 1.0, rtol=0.02)
    parabola = grid.to_modes((X**2)[:, None] * np.ones(12))
    assert np.count_nonzero(np.abs(parabola) > 1e-9) == 3


def test_what_an_open_grid_cannot_do_is_said_at_the_door():
    field = bursts("heat", 0.0, 0)
    with pytest.raises(DataError, match="a solver on open axes must work on the grid of the obs"):
        ModelErrorDiscovery(solver("heat"), grid=Axis("x", X[::2], periodic=False)).fit(field)
    series = Field(field.values[:20], np.arange(20.0), AXIS)
    with pytest.raises(DataError, match="On open grids observe bursts"):
        ModelErrorDiscovery(solver("heat")).fit(series)
    short = Field(field.values[:, :11], field.times, Axis("x", X[:11], periodic=False))
    with pytest.raises(DataError, match="must have at least 17 points"):
        ModelErrorDiscovery(lambda u, t, dt: u).fit(short)
