"""SINDy: the law comes out, on the defaults, whatever the shape and units of the data."""

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp

from discover import (
    STLSQ,
    DiscreteSINDy,
    FiniteDifference,
    FourierLibrary,
    PolynomialLibrary,
    SavitzkyGolay,
    SINDy,
    SymbolicLibrary,
    WeakForm,
)
from discover.exceptions import DataError, DataWarning, NotIdentifiableError
from discover.observations.datasets import load_hare_lynx

LORENZ = {
    "x": {"x": -10.0, "y": 10.0},
    "y": {"x": 28.0, "y": -1.0, "x*z": -1.0},
    "z": {"z": -8 / 3, "x*y": 1.0},
}


def law_of(model):
    law = model.symbolic_
    return {
        target: {
            name: value
            for name, value, active in zip(law.term_names, row, support, strict=True)
            if active
        }
        for target, row, support in zip(
            law.target_names, law.coefficients, law.support, strict=True
        )
    }


def assert_law(model, truth, rtol):
    found = law_of(model)
    assert {k: set(v) for k, v in found.items()} == {k: set(v) for k, v in truth.items()}
    for target, terms in truth.items():
        for term, value in terms.items():
            assert found[target][term] == pytest.approx(value, rel=rtol)


def lorenz(x, t=0.0):
    return [10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]]


def run_of(rate, x0, t):
    solution = solve_ivp(
        lambda s, x: rate(x, s), (t[0], t[-1]), x0, t_eval=t, method="DOP853", rtol=1e-12,
        atol=1e-12,
    )  # fmt: skip
    return solution.y.T.copy()


@pytest.fixture(scope="module")
def lorenz_run():
    t = np.arange(4000) * 0.005
    return t, run_of(lorenz, [-5.0, -4.0, 25.0], t)


def test_hares_and_lynxes_obey_lotka_and_volterra_on_the_defaults():
    frame = load_hare_lynx()
    model = SINDy().fit(frame)
    found = law_of(model)
    assert set(found["hare"]) == {"hare", "hare*lynx"}
    assert set(found["lynx"]) == {"lynx", "hare*lynx"}
    assert found["hare"]["hare"] > 0 > found["hare"]["hare*lynx"]
    assert found["lynx"]["hare*lynx"] > 0 > found["lynx"]["lynx"]
    years = frame.index.to_numpy(dtype=float)
    fine = np.linspace(years[0], years[-1], 2001)
    path = np.asarray(model.simulate(frame.to_numpy(dtype=float)[0], fine))
    for j, column in enumerate(frame.columns):
        for half in (slice(0, 9), slice(9, 21)):  # one peak in each: two cycles
            seen = years[half][np.argmax(frame[column].to_numpy()[half])]
            window = (fine >= years[half][0]) & (fine <= years[half][-1])
            simulated = fine[window][np.argmax(path[window, j])]
            assert abs(simulated - seen) <= 2.0


@pytest.mark.parametrize("degree", [2, 5, 7])
def test_lorenz_is_exact_from_exact_data(lorenz_run, degree):
    t, x = lorenz_run
    model = SINDy(PolynomialLibrary(degree), names=["x", "y", "z"]).fit(x, t)
    assert_law(model, LORENZ, 1e-6)


@pytest.mark.parametrize("method", ["derivative", FiniteDifference(2), FiniteDifference(6)])
def test_lorenz_comes_out_of_derivatives_too(lorenz_run, method):
    t, x = lorenz_run
    model = SINDy(PolynomialLibrary(3), names=["x", "y", "z"], method=method).fit(x, t)
    assert_law(model, LORENZ, 0.03)


@pytest.mark.parametrize("scale", [[1e6, 1e-4, 30.0], [1e-12, 1e12, 1.0]])
def test_support_does_not_depend_on_units(lorenz_run, scale):
    t, x = lorenz_run
    noisy = x + 0.02 * x.std(axis=0) * np.random.default_rng(0).normal(size=x.shape)
    plain = SINDy(PolynomialLibrary(2), names=["x", "y", "z"]).fit(noisy, t)
    assert_law(plain, LORENZ, 0.2)
    scaled = SINDy(PolynomialLibrary(2), names=["x", "y", "z"]).fit(noisy * scale, t * 1e-3)
    np.testing.assert_array_equal(scaled.symbolic_.support, plain.symbolic_.support)


@pytest.mark.parametrize("seed", range(5))
def test_one_percent_of_noise_leaves_the_quadratic_law(lorenz_run, seed):
    t, x = lorenz_run
    noisy = x + 0.01 * x.std(axis=0) * np.random.default_rng(seed).normal(size=x.shape)
    assert_law(SINDy(names=["x", "y", "z"]).fit(noisy, t), LORENZ, 0.1)


def test_irregular_and_missing_samples_are_used_as_they_are(lorenz_run):
    t, x = lorenz_run
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(len(t), 2600, replace=False))
    irregular = x[rows].copy()
    irregular[rng.choice(2600, 60, replace=False), 1] = np.nan
    model = SINDy(names=["x", "y", "z"]).fit(irregular, t[rows])
    assert_law(model, LORENZ, 2e-2)
    assert any("60 incomplete samples" in note for note in model.left_out_)
    assert "60 incomplete samples" in repr(model)


def test_input_types_give_the_same_law(lorenz_run):
    xarray = pytest.importorskip("xarray")
    t, x = lorenz_run[0][:1500], lorenz_run[1][:1500]
    names = ["x", "y", "z"]
    frame = pd.DataFrame(x, columns=names, index=pd.Index(t, name="time"))
    array = xarray.DataArray(x, dims=("time", "v"), coords={"time": t, "v": names})
    expected = SINDy(names=names).fit(x, t).symbolic_.coefficients
    for data, times in (
        (frame, None),
        (frame.reset_index(), "time"),
        (array, None),
        ([x], [t]),
        (x, t[1] - t[0]),
    ):
        model = SINDy(names=None if hasattr(data, "columns") or data is array else names)
        np.testing.assert_allclose(
            model.fit(data, times).symbolic_.coefficients, expected, rtol=1e-8, atol=1e-10
        )


def test_runs_of_different_lengths_are_one_data_set():
    def damped(x, t):
        return [x[1], -x[0] - 0.3 * x[1] + 0.5 * x[0] ** 3]

    starts = ([0.9, 0], [0.5, 0.6], [-0.7, 0.2])
    times = [np.linspace(0, T, n) for T, n in ((6, 300), (9, 700), (4, 250))]
    runs = [run_of(damped, x0, t) for x0, t in zip(starts, times, strict=True)]
    model = SINDy(PolynomialLibrary(3), names=["q", "p"]).fit(runs, times)
    assert_law(model, {"q": {"p": 1.0}, "p": {"q": -1, "p": -0.3, "q**3": 0.5}}, 1e-6)
    predictions = model.predict(runs)
    assert [len(p) for p in predictions] == [300, 700, 250]
    assert model.score(runs, times) > 0.999999


def test_controls_and_time_are_inputs():
    def driven(x, t):
        return [x[1], -2 * x[0] + np.sin(3 * t) + 0.5 * np.cos(t)]

    t = np.linspace(0, 20, 2000)
    x = run_of(driven, [1.0, 0.0], t)
    model = SINDy(PolynomialLibrary(2), names=["q", "p"], control_names=["f"])
    model.fit(x, t, u=np.sin(3 * t) + 0.5 * np.cos(t))
    assert_law(model, {"q": {"p": 1.0}, "p": {"q": -2.0, "f": 1.0}}, 1e-5)
    library = PolynomialLibrary(1, inputs=["q", "p"]) + SymbolicLibrary(
        "sin(3*t), cos(t), cos(3*t)"
    )
    timed = SINDy(library, names=["q", "p"], include_time=True).fit(x, t)
    assert_law(timed, {"q": {"p": 1.0}, "p": {"q": -2.0, "sin(3*t)": 1.0, "cos(t)": 0.5}}, 1e-5)
    again = np.asarray(timed.simulate(x[0], t))
    np.testing.assert_allclose(again, x, atol=1e-4)


def test_each_state_may_have_its_own_library():
    t = np.linspace(0, 12, 1200)
    x = run_of(lambda x, t: [x[1], -np.sin(x[0])], [2.0, 0.0], t)
    library = {"th": PolynomialLibrary(1), "om": FourierLibrary(2, inputs=["th"])}
    model = SINDy(library, names=["th", "om"]).fit(x, t)
    assert_law(model, {"th": {"om": 1.0}, "om": {"sin(th)": -1.0}}, 1e-6)
    with pytest.raises(ValueError, match=r"missing \['om'\], unknown \['q'\]"):
        SINDy({"th": PolynomialLibrary(1), "q": PolynomialLibrary(1)}, names=["th", "om"]).fit(x, t)


def test_rational_and_root_terms_are_terms_like_others():
    t = np.linspace(0, 30, 1500)
    x = run_of(lambda h, t: [0.8 - 0.4 * np.sqrt(h[0]) + 0.1 / (1 + h[0])], [0.5], t)
    runs = [x, run_of(lambda h, t: [0.8 - 0.4 * np.sqrt(h[0]) + 0.1 / (1 + h[0])], [9.0], t)]
    model = SINDy(SymbolicLibrary("1, h, h**2, sqrt(h), 1/(1+h)"), names=["h"]).fit(runs, [t, t])
    assert_law(model, {"h": {"1": 0.8, "sqrt(h)": -0.4, "1/(1 + h)": 0.1}}, 1e-4)


def test_maps_are_identified_and_iterated():
    x = [np.array([0.1, 0.1])]
    for _ in range(300):
        a, b = x[-1]
        x.append(np.array([1 - 1.4 * a * a + b, 0.3 * a]))
    x = np.array(x)
    model = DiscreteSINDy(names=["a", "b"]).fit(x, 1.0)
    assert_law(model, {"a": {"1": 1.0, "a**2": -1.4, "b": 1.0}, "b": {"a": 0.3}}, 1e-10)
    np.testing.assert_allclose(np.asarray(model.simulate(x[0], 10)), x[:11], rtol=1e-9)
    step = DiscreteSINDy(names=["a", "b"], kind="increment").fit(x, 1.0)
    np.testing.assert_allclose(step.symbolic_.step(x[:5]), x[1:6], rtol=1e-9)


def test_predict_takes_one_state_many_states_tables_and_runs(lorenz_run):
    t, x = lorenz_run
    model = SINDy(names=["x", "y", "z"]).fit(x, t)
    many = model.predict(x[:7])
    np.testing.assert_allclose(model.predict(x[3]), many[3], rtol=1e-12)
    frame = pd.DataFrame(x[:7], columns=["x", "y", "z"])
    np.testing.assert_array_equal(model.predict(frame[["z", "x", "y"]]), many)
    np.testing.assert_array_equal(model.predict([x[:7], x[:3]])[0], many)


def test_smoothing_differentiators_help_with_noise(lorenz_run):
    t, x = lorenz_run
    noisy = x + 0.002 * x.std(axis=0) * np.random.default_rng(1).normal(size=x.shape)
    model = SINDy(names=["x", "y", "z"], method=SavitzkyGolay(21, 4)).fit(noisy, t)
    assert_law(model, LORENZ, 0.05)


def test_errors_say_who_and_what():
    t = np.linspace(0, 10, 300)
    x = np.column_stack([np.cos(t), np.sin(t)])
    with pytest.raises(ValueError, match="SINDy: method must be one of"):
        SINDy(method="magic").fit(x, t)
    with pytest.raises(TypeError, match="SINDy: regressor must be one of discover's"):
        SINDy(regressor=PolynomialLibrary()).fit(x, t)
    with pytest.raises(DataError, match="SINDy: t must"):
        SINDy().fit(x, t[::-1])
    with pytest.raises(ValueError, match="WeakForm: width must be positive"):
        SINDy(method=WeakForm(width=-1.0)).fit(x, t)
    with pytest.raises(NotIdentifiableError, match="collinear"):
        SINDy(SymbolicLibrary("x0, x1, x1*(x0**2 + x1**2)"), STLSQ(0.1)).fit(x, t)


def test_exactly_collinear_columns_do_not_hide_the_law_from_the_automatic_path():
    t = np.linspace(0, 10, 300)
    x = np.column_stack([np.cos(t), np.sin(t)])  # x0**2 + x1**2 = 1
    model = SINDy(PolynomialLibrary(2)).fit(x, t)
    assert_law(model, {"x0": {"x1": -1.0}, "x1": {"x0": 1.0}}, 1e-6)


def test_a_term_that_is_not_defined_everywhere_is_named_with_the_row():
    t = np.linspace(0, 10, 300)
    x = np.column_stack([np.cos(t), np.sin(t)])
    with pytest.raises(DataError, match=r"'log\(x0\)' is not finite at row 47, where"):
        SINDy(SymbolicLibrary("x0, x1, log(x0)")).fit(x, t)


def test_a_constant_state_gets_an_empty_equation_and_disturbs_nothing():
    t = np.linspace(0, 10, 300)
    x = np.column_stack([np.cos(t), np.sin(t), np.full(300, 7.0)])
    with pytest.warns(DataWarning, match="constant"):
        model = SINDy(names=["a", "b", "c"]).fit(x, t)
    assert_law(model, {"a": {"b": -1.0}, "b": {"a": 1.0}, "c": {}}, 1e-6)


def test_too_little_data_is_called_a_guess():
    t = np.arange(3) * 0.1
    with pytest.warns(DataWarning, match="independent rows"):
        SINDy().fit(np.column_stack([np.cos(t), np.sin(t)]), t)


def test_headers_with_units_name_controls_and_initial_states():
    t = np.linspace(0, 20, 800)
    u = np.sin(0.7 * t)
    x = run_of(lambda h, s: [1.5 - 0.5 * h[0] + np.sin(0.7 * s)], [3.0], t)
    table = pd.DataFrame({"time [s]": t, "level [cm]": x[:, 0], "pump [V]": u})
    model = SINDy(PolynomialLibrary(1), controls=["pump"]).fit(table, "time")
    assert_law(model, {"level": {"1": 1.5, "level": -0.5, "pump": 1.0}}, 1e-3)
    assert model.symbolic_.units == {"level": "cm", "pump": "V", "t": "s"}
    expected = model.predict(table.drop(columns="time [s]"))
    np.testing.assert_array_equal(model.predict(np.column_stack([x, u])), expected)
    np.testing.assert_array_equal(model.predict(x, u=u[:, None]), expected)
    start = table[["level [cm]"]].iloc[0]
    by_name = np.asarray(model.simulate(start, t, u=u))
    np.testing.assert_array_equal(by_name, np.asarray(model.simulate(x[0], t, u=u)))


def test_initial_states_are_matched_by_name():
    t = np.linspace(0, 10, 300)
    model = SINDy(names=["a", "b"]).fit(np.column_stack([np.cos(t), -2 * np.sin(t)]), t)
    swapped = pd.Series({"b": 0.5, "a": 1.0})
    for start in (swapped, {"b": 0.5, "a": 1.0}):
        np.testing.assert_array_equal(
            np.asarray(model.simulate(start, t)), np.asarray(model.simulate([1.0, 0.5], t))
        )
    with pytest.raises(ValueError, match=r"must name the states \['a', 'b'\]"):
        model.simulate({"a": 1.0, "c": 2.0}, t)


def test_stretches_too_short_for_a_stencil_are_left_out_and_said(lorenz_run):
    t, x = lorenz_run
    holed = x.copy()
    holed[[100, 101, 102, 106, 107, 108]] = np.nan
    for method in ("derivative", SavitzkyGolay(9, 4)):
        model = SINDy(names=["x", "y", "z"], method=method).fit(holed, t)
        assert_law(model, LORENZ, 0.03)
        assert any("fewer than" in note for note in model.left_out_)


def test_text_is_a_library_for_all_states_or_for_each():
    t = np.linspace(0, 10, 400)
    x = np.column_stack([np.cos(t), np.sin(t)])
    for library in ("a, b, a*b", {"a": "a, b", "b": "a, a*b"}):
        model = SINDy(library, names=["a", "b"]).fit(x, t)
        assert_law(model, {"a": {"b": -1.0}, "b": {"a": 1.0}}, 1e-6)


def test_a_law_that_depends_on_time_does_not_guess_the_time():
    t = np.linspace(0, 20, 1000)
    x = run_of(lambda x, s: [np.cos(3 * s) - x[0]], [1.0], t)
    model = SINDy("x0, cos(3*t)", include_time=True).fit(x, t)
    with pytest.raises(ValueError, match="t is needed"):
        model.predict(x)
    np.testing.assert_allclose(model.predict(x, t=t)[:, 0], np.cos(3 * t) - x[:, 0], atol=1e-4)
