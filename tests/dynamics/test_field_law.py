"""Laws of jets on a grid, solvers seen from outside, and solvers that are corrected."""

import numpy as np
import pytest
from scipy.linalg import expm

from discover import Axis, Grid, SymbolicModel
from discover.dynamics.field_law import CorrectedSolver, FieldLaw, linear_form
from discover.dynamics.galerkin import GalerkinFlow
from discover.dynamics.solver_flow import ProjectedSolver, SteppedFlow, TendencyFlow, exponential
from discover.dynamics.solvers import Solver
from discover.exceptions import SimulationError
from discover.libraries import JetLibrary, SymbolicLibrary
from discover.observations.jets import jet_names
from discover.problems.field_rows import FieldTerms
from discover.problems.spectra import FourierTests

GRID = Grid((Axis.box("x", 64, 22.0),))
X = GRID.axes[0].points


def law(text, coefficients, grid=GRID, components=("u",), axes=("x",)):
    table = SymbolicLibrary(text).build(jet_names(components, axes, 4))
    targets = [f"{c}_t" for c in components]
    model = SymbolicModel(table, np.atleast_2d(coefficients), table.inputs,
                          target_names=targets, kind="direct")  # fmt: skip
    return FieldLaw(model, grid, components)


def ks():
    return law("u*u_x, u_xx, u_xxxx", [-1.0, -1.0, -1.0])


def smooth(scale=1.0):
    k = 2 * np.pi / 22
    return scale * (np.cos(k * X) + 0.5 * np.sin(3 * k * X) + 0.3 * np.cos(5 * k * X))


def test_linear_forms_are_recognised():
    assert linear_form(["sub", ["mul", 2.0, "u"], ["neg", "u_xx"]]) == {"u": 2.0, "u_xx": 1.0}
    assert linear_form(["mul", "u", "u_x"]) is None
    assert linear_form(["sin", "u"]) is None


def test_linear_laws_are_exact_for_any_step():
    k = 2 * np.pi / 22
    found = law("u_xx, u_x", [0.7, -2.0]).step(np.cos(3 * k * X), 0.0, 1.7)
    exact = np.exp(-0.7 * (3 * k) ** 2 * 1.7) * np.cos(3 * k * (X - 2.0 * 1.7))
    np.testing.assert_allclose(found, exact, atol=1e-13)


def test_coupled_linear_components_are_exact():
    grid = Grid((Axis.box("x", 32, 2 * np.pi),))
    wave = law("p_x, q_x", [[0.0, 1.0], [1.0, 0.0]], grid, ("p", "q"))
    x = grid.axes[0].points
    start = np.stack([np.cos(2 * x), np.zeros(32)], axis=-1)
    found = wave.step(start, 0.0, 0.9)
    right, left = np.cos(2 * (x + 0.9)), np.cos(2 * (x - 0.9))
    np.testing.assert_allclose(found[:, 0], 0.5 * (right + left), atol=1e-12)
    np.testing.assert_allclose(found[:, 1], 0.5 * (right - left), atol=1e-12)


def slope(step, exact, steps=(0.04, 0.02)):
    errors = [np.abs(step(h) - exact).max() for h in steps]
    return np.log2(errors[0] / errors[1])


def run(dynamics, u, h, end=0.4):
    for i in range(round(end / h)):
        u = dynamics.step(u, i * h, h)
    return u


def test_field_laws_converge_at_order_four():
    burgers = law("u*u_x, u_xx", [-1.0, 0.3])
    exact = run(burgers, smooth(), 0.0025)
    assert 3.6 < slope(lambda h: run(burgers, smooth(), h), exact) < 4.6


def test_short_waves_keep_their_balance_at_long_steps():
    """Slaved waves: their power falls by twenty decades, and each is damped within a step."""
    modes = [np.abs(GRID.to_modes(run(ks(), smooth(), h, 1.0)))[3:31:3] for h in (0.1, 0.005)]
    np.testing.assert_allclose(modes[0], modes[1], rtol=0.05)


def test_growth_stops_at_the_reach():
    u = np.cos(2 * np.pi * 2 / 22 * X) + np.cos(2 * np.pi * 9 / 22 * X)
    unstable = law("u_xx", [-1.0])
    bounded = FieldLaw(unstable.model, GRID, ("u",), reach=2.0)
    grown = np.exp((2 * np.pi * 2 / 22) ** 2) * np.cos(2 * np.pi * 2 / 22 * X)
    np.testing.assert_allclose(
        bounded.step(u, 0.0, 1.0), grown + np.cos(2 * np.pi * 9 / 22 * X), atol=1e-12
    )


def test_right_hand_side_is_the_slope_of_small_steps():
    u, h = smooth(), 1e-5
    slope = (ks().step(u, 0, h) - ks().step(u, 0, -h)) / (2 * h)
    np.testing.assert_allclose(ks().rhs(u), slope, rtol=1e-6, atol=1e-6)


class CrankNicolson:
    """Half of the equation: no advection, and a scheme with an error of its own."""

    def step(self, u, t, dt):
        k = GRID.wavenumbers[0]
        L = k**2 - k**4
        return GRID.from_modes((1 + dt / 2 * L) / (1 - dt / 2 * L) * GRID.to_modes(u))


def test_tendency_of_a_solver_is_free_of_its_truncation_error():
    solver = Solver(CrankNicolson())
    exact = law("u_xx, u_xxxx", [-1.0, -1.0]).rhs(smooth())
    found = solver.tendency(smooth()[None], np.zeros(1), 0.05)[0]
    one_step = (solver.step(smooth()[None], np.zeros(1), 0.05)[0] - smooth()) / 0.05
    assert np.abs(found - exact).max() < 1e-6 * np.abs(exact).max()
    assert np.abs(one_step - exact).max() > 1e-3 * np.abs(exact).max()


def test_corrected_solver_converges_at_order_two_to_the_whole_equation():
    corrected = CorrectedSolver(Solver(CrankNicolson()), law("u*u_x", [-1.0]))
    exact = run(ks(), smooth(), 0.0025)
    assert 1.8 < slope(lambda h: run(corrected, smooth(), h), exact) < 2.3


class AdamsBashforth:
    """Two steps for half of the advection, Crank-Nicolson for linear terms."""

    def __init__(self, growth, dispersion=0.0):
        self.growth, self.dispersion = growth, dispersion

    def step(self, x, t, dt):
        half = law("u*u_x", [-0.5])
        k = GRID.radius
        L = 0.5 * dt * (self.growth * k**2 - 0.2j * self.dispersion * k**3 - k**4)
        products = 1.5 * half.rhs(x[1]) - 0.5 * half.rhs(x[0])
        v = (1 + L) * GRID.to_modes(x[1]) + dt * GRID.to_modes(products)
        return GRID.from_modes(v / (1 - L))


def test_correcting_a_multi_step_solver_keeps_its_order():
    corrected = CorrectedSolver(Solver(AdamsBashforth(1.0), history=2), law("u*u_x", [-0.5]))

    def ended(h):
        states = [run(ks(), smooth(), h, 0.0), run(ks(), smooth(), 0.0025, h)]
        for i in range(1, round(0.4 / h)):
            states.append(corrected.step(np.array(states[-2:]), i * h, h))
        return states[-1]

    exact = run(ks(), smooth(), 0.0025)
    assert 1.8 < slope(ended, exact, (0.02, 0.01)) < 2.3


def test_a_law_and_its_error_are_stepped_as_one():
    corrected = CorrectedSolver(
        Solver(law("u*u_x, u_xxxx", [-1.0, -0.5])), law("u_xx, u_xxxx", [-1.0, -0.5])
    )
    one = ks().step(smooth(), 0.0, 0.1)
    np.testing.assert_allclose(corrected.step(smooth(), 0.0, 0.1), one, atol=1e-13)
    np.testing.assert_allclose(corrected.rhs(smooth()), ks().rhs(smooth()), atol=1e-9)


def test_exponentials_of_many_matrices():
    A = 8.0 * np.random.default_rng(0).standard_normal((3, 6, 6)) - 5.0 * np.eye(6)
    E, phi = exponential(A)
    exact = expm(A)
    np.testing.assert_allclose(E, exact, rtol=1e-9, atol=1e-9 * np.abs(exact).max())
    np.testing.assert_allclose(A @ phi, exact - np.eye(6), atol=1e-9 * np.abs(exact).max())


def test_multi_step_solvers_get_their_history():
    seen = []

    def adams_bashforth(x, t, dt):
        seen.append(x.shape)
        return x[-1] - dt * (1.5 * x[-1] - 0.5 * x[-2])

    solver = Solver(adams_bashforth, history=2)
    found = solver.tendency(np.array([[2.0, -1.0]]), np.zeros(1), 0.1)
    assert seen[0] == (2, 2)
    np.testing.assert_allclose(found, [[-2.0, 1.0]], atol=1e-9)


def test_a_solver_that_blows_up_says_so():
    with pytest.raises(SimulationError, match="NaN or infinity"):
        Solver(lambda x, t, dt: x * np.nan).step(np.ones((1, 3)), np.zeros(1), 0.1)


@pytest.fixture(scope="module")
def galerkin():
    table = JetLibrary(3, 4).build(jet_names(["u"], ["x"], 4))
    theta = np.zeros(table.n_terms)
    for name, value in {"u*u_x": -1.0, "u_xx": -1.0, "u_xxxx": -1.0, "u_xxx": 0.2}.items():
        theta[table.names.index(name)] = value
    basis = FourierTests(GRID, 4.3)

    def flow(theta):
        return GalerkinFlow(basis, GRID, FieldTerms(table, ("u",)), theta)

    return flow, theta, basis.project(GRID, smooth()[None]), table


def test_galerkin_coordinates_go_back_and_forth():
    grid = Grid((Axis.box("x", 12, 1.0), Axis.box("y", 10, 1.0)))
    basis = FourierTests(grid, 20.0)
    rows = np.random.default_rng(0).standard_normal((3, basis.n_rows))
    np.testing.assert_allclose(basis.project(grid, basis.expand(grid, rows)), rows, atol=1e-13)


def test_galerkin_flow_agrees_with_the_law_on_the_grid(galerkin):
    flow, theta, rows, _ = galerkin
    whole = law("u*u_x, u_xx, u_xxxx, u_xxx", [-1.0, -1.0, -1.0, 0.2])
    found = flow(theta).basis.expand(GRID, flow(theta).advance(rows, 0.02))[0]
    np.testing.assert_allclose(found, run(whole, smooth(), 0.001, 0.02), atol=2e-7)


def test_galerkin_tangents_and_sensitivities_match_differences(galerkin):
    flow, theta, rows, table = galerkin
    h, eps = 0.01, 1e-5
    law_, end = flow(theta), flow(theta).advance(rows, 0.01)
    M = law_.tangents(rows, end, h)[0]
    v = np.random.default_rng(1).standard_normal(rows.shape) * np.abs(rows).max() * 0.1
    difference = (law_.advance(rows + eps * v, h) - law_.advance(rows - eps * v, h))[0] / (2 * eps)
    np.testing.assert_allclose(M @ v[0], difference, atol=2e-3 * np.abs(difference).max())
    terms = 0.5 * (law_.term_rows(rows) + law_.term_rows(end))
    S = law_.sensitivities(terms, h)[0]
    for name in ("u*u_x", "u_xx", "u**2*u_x"):
        k = table.names.index(name)
        unit = eps * np.eye(len(theta))[k]
        up, down = flow(theta + unit).advance(rows, h), flow(theta - unit).advance(rows, h)
        exact = (up - down)[0] / (2 * eps)
        np.testing.assert_allclose(S[:, k], exact, atol=0.02 * np.abs(exact).max())


@pytest.mark.parametrize("fixed_step", [None, 0.002])
def test_a_black_box_and_its_error_flow_like_the_whole_law(galerkin, fixed_step):
    """Steps, tangents and sensitivities; the solver is a two-step scheme without growth."""
    flow, theta, rows, table = galerkin
    error = np.zeros(len(theta))
    for name, value in {"u*u_x": -0.5, "u_xx": -1.0}.items():
        error[table.names.index(name)] = value
    whole, basis = flow(theta), flow(theta).basis
    solver = Solver(AdamsBashforth(0.0, 1.0), history=2, fixed_step=fixed_step)
    seen = ProjectedSolver(solver, GRID, basis, np.ones(basis.n_rows), 0.002)
    kind = SteppedFlow if fixed_step else TendencyFlow
    both, h, times = kind(seen, flow(error)), 0.04, np.zeros(1)
    end = whole.advance(rows, h)
    size = np.abs(end - rows).max()
    np.testing.assert_allclose(
        both.advance(rows, h, times), end, atol=(1e-3 if fixed_step else 1e-5) * size
    )
    np.testing.assert_allclose(
        both.tangents(rows, end, h, times), whole.tangents(rows, end, h), atol=0.02
    )
    terms = 0.5 * (whole.term_rows(rows) + whole.term_rows(end))
    found, exact = both.sensitivities(terms, h)[0], whole.sensitivities(terms, h)[0]
    for name in ("u*u_x", "u_xx"):
        k = table.names.index(name)
        np.testing.assert_allclose(found[:, k], exact[:, k], atol=0.05 * np.abs(exact[:, k]).max())
