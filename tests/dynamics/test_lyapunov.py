"""Lyapunov exponents and valid prediction times."""

import numpy as np
import pytest

from discover import SymbolicLibrary, SymbolicModel
from discover.bench.lorenz import law
from discover.dynamics import kaplan_yorke_dimension, lyapunov_spectrum, valid_prediction_time
from discover.exceptions import SimulationError


def model(terms, coefficients, names="xyz", **options):
    table = SymbolicLibrary(terms).build([*names, *filter(None, [options.get("time_name")])])
    return SymbolicModel(table, coefficients, list(names), **options)


ROSSLER = model(
    "1, x, y, z, x*z", [[0, 0, -1, -1, 0], [0, 1, 0.2, 0, 0], [0.2, 0, 0, -5.7, 1]]
)  # fmt: skip
HENON = model("1, x, y, x**2", [[1, 0, 1, -1.4], [0, 0.3, 0, 0]], "xy", kind="map")


def test_exponents_of_a_linear_law_are_the_real_parts_of_its_eigenvalues():
    A = np.array([[-0.3, 1.0, 0.4], [-1.0, -0.3, 0.2], [0.0, 0.0, -1.5]])
    found = lyapunov_spectrum(model("x, y, z", A), [1.0, 1.0, 1.0], 60.0, rtol=1e-10)
    # a rotating pair leaves a remainder of the order of 1 / duration
    np.testing.assert_allclose(found.exponents[:2].sum(), -0.6, atol=1e-6)
    np.testing.assert_allclose(found.exponents, [-0.3, -0.3, -1.5], atol=0.02)


def test_sum_of_exponents_is_the_divergence_and_converges_with_the_tolerance():
    errors = [
        abs(lyapunov_spectrum(law(), [1.0, 1.0, 20.0], 50.0, rtol=rtol).exponents.sum() + 41 / 3)
        for rtol in (1e-4, 1e-6, 1e-8)
    ]
    assert errors[0] < 1e-2
    assert errors[1] < 1e-4
    assert errors[2] < 1e-6


@pytest.mark.parametrize(
    ("system", "start", "duration", "published"),
    [
        # Sprott, Chaos and Time-Series Analysis, Oxford 2003, appendix A
        (law(), [1.0, 1.0, 20.0], 3000.0, [0.9056, 0.0, -14.5723]),
        (ROSSLER, [1.0, 1.0, 1.0], 6000.0, [0.0714, 0.0, -5.3943]),
        (HENON, [0.1, 0.1], 100_000.0, [0.41922, -1.62319]),
    ],
)
def test_spectrum_agrees_with_published_values(system, start, duration, published):
    found = lyapunov_spectrum(system, start, duration)
    assert (found.standard_errors < 0.01).all()
    z = (found.exponents - published) / np.maximum(found.standard_errors, 5e-5)
    assert (np.abs(z) < 4).all()
    assert found.dimension == pytest.approx(kaplan_yorke_dimension(published), abs=5e-3)


def test_error_shrinks_as_the_run_grows_and_covers_the_truth():
    short, long = (
        lyapunov_spectrum(law(), [1.0, 1.0, 20.0], T, n_exponents=1) for T in (100, 1600)
    )
    assert long.standard_errors[0] < 0.5 * short.standard_errors[0]
    assert abs(long.largest - 0.9056) < 4 * long.standard_errors[0]
    assert long.lyapunov_time == pytest.approx(1 / long.largest)
    assert np.isnan(long.dimension)  # one exponent does not decide it


def test_spectrum_does_not_depend_on_the_units_of_states():
    # y in units of 2**20: the terms of the law are scaled by powers of two, exactly
    s = np.array([1.0, 2.0**20, 2.0**-10])
    scaled = model(
        "1, x, y, z, x*z",
        [
            [0, 0, -1 / s[1], -1 / s[2], 0],
            [0, s[1], 0.2, 0, 0],
            [0.2 * s[2], 0, 0, -5.7, 1],
        ],
    )
    one = lyapunov_spectrum(ROSSLER, np.ones(3), 100.0)
    other = lyapunov_spectrum(scaled, s, 100.0)
    np.testing.assert_allclose(one.exponents, other.exponents, atol=1e-6)


def test_law_that_depends_on_time_gives_the_exponents_of_its_autonomous_form():
    duffing = "x, v, x**3, cos({})"
    coefficients = [[0, 1, 0, 0], [1, -0.25, -1, 0.3]]
    timed = model(duffing.format("t"), coefficients, "xv", time_name="t")
    phase = model(
        "1, " + duffing.format("s"), [[0, *row] for row in coefficients] + [[1, 0, 0, 0, 0]], "xvs"
    )
    one = lyapunov_spectrum(timed, [0.1, 0.1], 40.0, transient=1.0, rtol=1e-11).exponents
    other = lyapunov_spectrum(phase, [0.1, 0.1, 0.0], 40.0, transient=1.0, rtol=1e-11).exponents
    assert one.sum() == pytest.approx(-0.25, abs=1e-8)
    assert other.sum() == pytest.approx(-0.25, abs=1e-8)


def test_blow_up_is_reported_with_its_time():
    with pytest.raises(SimulationError, match="at t = "):
        lyapunov_spectrum(model("x**2", [[1.0]], "x"), [1.0], 10.0)


@pytest.mark.parametrize(
    ("exponents", "dimension"),
    [([-1.0, -2.0], 0.0), ([0.0, -1.0], 1.0), ([1.0, -0.5, -1.0], 2.5), ([0.5, -0.1], 2.0)],
)
def test_kaplan_yorke_dimension_by_hand(exponents, dimension):
    assert kaplan_yorke_dimension(exponents[::-1]) == pytest.approx(dimension)


def test_valid_time_of_a_growing_error_is_the_logarithm_of_its_growth():
    rng = np.random.default_rng(0)
    t = np.linspace(5.0, 25.0, 20_001)
    truth = rng.standard_normal((3, len(t), 2)) * [1.0, 1e6]
    spread = truth.reshape(-1, 2).std(axis=0)
    start, rate = np.array([1e-4, 1e-3, 1e-2]), 0.9
    growth = start[:, None] * np.exp(rate * (t - t[0]))
    forecast = truth + growth[..., None] * spread
    found = valid_prediction_time(truth, forecast, t, exponent=rate)
    np.testing.assert_allclose(found, np.log(0.4 / start), atol=2e-3)
    one = valid_prediction_time(truth[0], forecast[0], t, scale=spread)
    assert one * rate == pytest.approx(found[0], abs=2e-3)


def test_forecast_that_blows_up_is_lost_and_a_perfect_one_never():
    t = np.arange(10.0)
    truth = np.column_stack([np.sin(t), np.ones(10)])
    blown = truth.copy()
    blown[4:] = np.nan
    assert valid_prediction_time(truth, blown, t) == 3.0
    assert valid_prediction_time(truth, truth, t) == 9.0
