"""Second-order laws from measured coordinates: y'' = f(y, y', u, t)."""

import numpy as np
import pandas as pd
import pytest
import sympy
from scipy.integrate import solve_ivp

from discover import FiniteDifference, PolynomialLibrary, SavitzkyGolay, SINDy, SymbolicModel
from discover.dynamics import simulate
from discover.observations import as_trajectories
from discover.problems import StrongForm, WeakForm
from discover.problems.velocities import smooth_positions

T = np.arange(2000) * 0.03


def run_of(acceleration, start, t):
    """Follow q'' = acceleration(t, q, v) from (q, v); returns the coordinates."""
    n = len(start) // 2

    def rate(s, x):
        return np.concatenate([x[n:], np.atleast_1d(acceleration(s, x[:n], x[n:]))])

    found = solve_ivp(rate, (t[0], t[-1]), start, t_eval=t, method="DOP853", rtol=1e-11, atol=1e-11)
    return found.y[:n].T.copy()


@pytest.fixture(scope="module")
def van_der_pol():
    return run_of(lambda s, y, v: (1 - y**2) * v - y, [2.0, 0.0], T)


def accelerations(model):
    law = model.symbolic_
    n = len(law.state_names) // 2
    return [
        {law.term_names[k]: law.coefficients[i, k] for k in np.flatnonzero(law.support[i])}
        for i in range(n, 2 * n)
    ]


VAN_DER_POL = {"y": -1.0, "y_dot": 1.0, "y**2*y_dot": -1.0}


@pytest.mark.parametrize(("noise", "rtol"), [(0.0, 1e-8), (1e-3, 2e-3), (1e-2, 1e-2), (0.05, 0.06)])
def test_van_der_pol_comes_out_of_its_position(van_der_pol, noise, rtol):
    rng = np.random.default_rng(3)
    y = van_der_pol + noise * van_der_pol.std() * rng.normal(size=van_der_pol.shape)
    model = SINDy(PolynomialLibrary(3), names=["y"], order=2).fit(y, T)
    (found,) = accelerations(model)
    assert set(found) == set(VAN_DER_POL)
    for term, value in VAN_DER_POL.items():
        assert found[term] == pytest.approx(value, rel=rtol)


@pytest.mark.parametrize("method", ["derivative", FiniteDifference(6), SavitzkyGolay(9, 5)])
def test_derivatives_can_be_taken_twice(van_der_pol, method):
    model = SINDy(PolynomialLibrary(3), names=["y"], order=2, method=method).fit(van_der_pol, T)
    (found,) = accelerations(model)
    assert set(found) == set(VAN_DER_POL)
    assert found["y**2*y_dot"] == pytest.approx(-1, rel=1e-3)
    assert model.score(van_der_pol, T) > 0.999


def test_coupled_coordinates_controls_gaps_and_irregular_times_go_together():
    rng = np.random.default_rng(0)
    runs, times, inputs = [], [], []
    for seed, push in enumerate((lambda s: np.sin(0.9 * s), lambda s: np.cos(2.1 * s))):
        t = np.sort(rng.uniform(0, 50, 3000))

        def acceleration(s, q, v, push=push):
            return [-q[0] - 0.1 * v[0] + 0.3 * q[1], -4 * q[1] - q[1] ** 3 + push(s)]

        q = run_of(acceleration, [1.0 + seed, 0.5, 0.0, 0.3], t)
        q[500:505, 0] = np.nan
        runs.append(q)
        times.append(t)
        inputs.append(push(t))
    library = "a, b, a_dot, b_dot, a**3, b**3, f"
    model = SINDy(library, names=["a", "b"], control_names=["f"], order=2)
    a, b = accelerations(model.fit(runs, times, inputs))
    assert a == pytest.approx({"a": -1, "a_dot": -0.1, "b": 0.3}, rel=2e-3)
    assert b == pytest.approx({"b": -4, "b**3": -1, "f": 1}, rel=2e-3)
    assert model.symbolic_.state_names == ("a", "b", "a_dot", "b_dot")
    assert len(model.equations()) == 2


def test_law_reads_as_one_equation_of_second_order_everywhere(van_der_pol):
    table = pd.DataFrame({"y [mV]": van_der_pol[:, 0], "time [s]": T})
    model = SINDy("y, y_dot, y**2*y_dot, y**3", order=2).fit(table, "time")
    law = model.symbolic_
    (text,) = law.equations()
    assert text.startswith("y'' = -1.0")
    assert "y**2*y_dot" in text
    assert law.units == {"y": "mV", "y_dot": "mV/s", "t": "s"}
    assert law.complexity == 3
    rows = law.coefficient_table()
    assert list(rows.target) == ["y_dot"] * 3
    assert list(rows.unit) == ["1/s^2", "1/s", "1/(mV^2*s)"]
    assert law.to_latex(environment="", digits=2).startswith(r"\ddot{y} = -1.0\,y + 1.0\,\dot{y} -")
    (equation,) = law.to_sympy()
    t = sympy.Symbol("t", real=True)
    y = sympy.Function("y")(t)
    assert equation.lhs == sympy.Derivative(y, (t, 2))
    assert equation.rhs.has(y**2 * sympy.Derivative(y, t))
    assert len(law.to_sympy(form="expr")) == 2
    again = SymbolicModel.from_dict(law.to_dict())
    assert again.equations() == law.equations()
    np.testing.assert_allclose(again.covariance, law.covariance, rtol=1e-14)
    assert again.velocities == {0: 1}


def test_law_is_simulated_from_position_and_velocity(van_der_pol):
    model = SINDy("y, y_dot, y**2*y_dot", names=["y"], order=2).fit(van_der_pol, T)
    run = simulate(model.symbolic_, [2.0, 0.0], T[:400])
    np.testing.assert_allclose(run["y"], van_der_pol[:400, 0], atol=1e-5)
    np.testing.assert_array_equal(model.predict([[2.0, 0.5]])[:, 0], 0.5)
    assert model.score(van_der_pol, T) > 1 - 1e-9


def test_kinematics_are_exact(van_der_pol):
    law = SINDy(PolynomialLibrary(3), names=["y"], order=2).fit(van_der_pol, T).symbolic_
    for draw in law.sample(np.random.default_rng(0), 3):
        assert draw.velocities == {0: 1}
    assert law.standard_errors[0, law.support[0]] == 0
    assert not law.with_coefficients(np.where(law.support, 1.1, 0.0)).velocities


@pytest.mark.parametrize(("length", "clock"), [(1e-6, 1.0), (1e4, 1e-3)])
def test_support_does_not_depend_on_units(van_der_pol, length, clock):
    y = van_der_pol + 0.01 * np.random.default_rng(0).normal(size=van_der_pol.shape)
    laws = [
        SINDy(PolynomialLibrary(3), names=["y"], order=2).fit(*data).symbolic_
        for data in ((y, T), (length * y, clock * T))
    ]
    np.testing.assert_array_equal(laws[0].support, laws[1].support)
    k = laws[0].term_names.index("y_dot")
    ratio = laws[1].coefficients[1, k] / laws[0].coefficients[1, k]
    assert ratio * clock == pytest.approx(1, rel=1e-6)


def test_a_library_per_coordinate_is_named_after_it(van_der_pol):
    model = SINDy({"y": "y, y_dot, y**2*y_dot"}, names=["y"], order=2).fit(van_der_pol, T)
    assert set(accelerations(model)[0]) == set(VAN_DER_POL)
    with pytest.raises(ValueError, match=r"unknown \['y_dot'\]"):
        SINDy({"y_dot": "y"}, names=["y"], order=2).fit(van_der_pol, T)


def test_a_measured_velocity_is_not_shadowed(van_der_pol):
    both = np.column_stack([van_der_pol, np.gradient(van_der_pol[:, 0], T)])
    with pytest.raises(ValueError, match="'y_dot', and so is a column"):
        SINDy(names=["y", "y_dot"], order=2).fit(both, T)
    with pytest.raises(ValueError, match="order must be 1 or 2; got 3"):
        SINDy(order=3).fit(van_der_pol, T)


def test_smoothing_keeps_parabolas_and_halves_the_cutoff():
    t = np.linspace(0, 10, 1001)
    parabola = np.column_stack([1 + t - 0.3 * t**2])
    np.testing.assert_allclose(smooth_positions(parabola, t, 1.0), parabola, atol=1e-8)
    wave = np.sin(2 * np.pi * t)[:, None]
    middle = slice(300, 700)
    for cutoff, kept in ((1.0, 0.5), (0.5, 1 / (1 + 2.0**-6))):
        smooth = smooth_positions(wave, t, cutoff)
        np.testing.assert_allclose(smooth[middle], kept * wave[middle], atol=2e-3)


@pytest.mark.parametrize("form", [WeakForm(width=1.0, power=8), StrongForm(FiniteDifference(4))])
def test_targets_are_second_derivatives(form):
    t = np.linspace(0, 20, 2001)
    problem = form.pose(as_trajectories(np.sin(t), t, names=["q"]), order=2)
    assert problem.input_names == ("q", "q_dot")
    np.testing.assert_allclose(problem.targets, problem.apply(-problem.inputs[:, :1]), atol=1e-5)


def test_silverbox_is_a_duffing_oscillator(measured):
    u, y = np.genfromtxt(
        measured("silverbox_SNLS80mV.csv"), delimiter=",", skip_header=1, usecols=(0, 1)
    ).T
    dt, fit, test = 1 / 610.35, slice(40_650, 127_400), slice(0, 40_600)
    model = SINDy(PolynomialLibrary(3), names=["y"], control_names=["u"], order=2)
    model.fit(y[fit], dt, u[fit])
    (found,) = accelerations(model)
    assert set(found) >= {"1", "y", "y_dot", "u", "y**3"}
    assert len(found) <= 7
    run = model.simulate([0.0, 0.0], dt * np.arange(40_600), u[test])
    assert np.sqrt(np.mean((run["y"] - y[test]) ** 2)) <= 4.8e-3
