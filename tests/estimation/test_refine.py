"""refine: trajectories, not derivatives, decide; and never a worse law than the start."""

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import least_squares

from discover import DiscreteSINDy, PolynomialLibrary, SINDy, SymbolicLibrary, SymbolicModel, refine
from discover.bench import lorenz
from discover.estimation.matching import Stages, observe, read_runs
from discover.exceptions import DataError, SimulationError
from discover.observations import as_trajectories
from discover.symbolic.second_order import with_kinematics

ROSSLER = {"x": {"y": -1, "z": -1}, "y": {"x": 1, "y": 0.2}, "z": {"1": 0.2, "x*z": 1, "z": -5.7}}
VAN_DER_POL = {"x": {"v": 1}, "v": {"x": -1, "v": 1.5, "x**2*v": -1.5}}
DECAY = {"a": {"a": -0.5, "b": 1.0}, "b": {"a": -1.0, "b": -0.3}}
SPROTT_B = {"x": {"y*z": 1}, "y": {"x": 1, "y": -1}, "z": {"1": 1, "x*y": -1}}


def law(equations, controls=(), **options):
    names = list(equations)
    terms = list(dict.fromkeys(term for terms in equations.values() for term in terms))
    table = SymbolicLibrary(terms).build([*names, *controls])
    values = [[equations[name].get(term, 0.0) for term in table.names] for name in names]
    return SymbolicModel(table, values, names, controls, **options)


def duffing(*values):
    """Return y'' = a y_dot + b y + c y**3 + d f as a law with inputs y, y_dot, f."""
    table = SymbolicLibrary("y_dot, y, y**3, f").build(["y", "y_dot", "f"])
    wider, coefficients, _ = with_kinematics(
        table, np.array([values]), np.ones((1, 4), dtype=bool), ["y_dot"]
    )
    return SymbolicModel(wider, coefficients, ["y", "y_dot"], ["f"])


DUFFING = duffing(-0.2, 1.0, -1.0, 0.3)


def perturbed(model, share, seed=0):
    """Return a law whose free coefficients are off by a share."""
    rng = np.random.default_rng(seed)
    factors = 1 + share * rng.choice([-1.0, 1.0], size=model.coefficients.shape)
    for row in model.velocities:
        factors[row] = 1.0
    return model.with_coefficients(model.coefficients * factors)


def simulated(model, start, t, u=None):
    return np.asarray(model.simulate(start, t, u, rtol=1e-12))


def error_of(found, truth):
    active = np.asarray(truth.support)
    return np.abs(found.coefficients[active] / truth.coefficients[active] - 1).max()


CASES = {
    "lorenz": (lorenz.law().pruned(), [-8.0, 8.0, 27.0], 0.01 * np.arange(800), None),
    "rossler": (law(ROSSLER), [1.0, -4.0, 0.1], 0.05 * np.arange(800), None),
    "sprott": (law(SPROTT_B), [0.3, -0.5, 1.0], 0.08 * np.arange(600), None),
    "van der pol": (law(VAN_DER_POL), [2.0, 0.0], 0.05 * np.arange(500), None),
    "duffing": (DUFFING, [1.0, 0.0], 0.1 * np.arange(600), "forced"),
    "decay": (law(DECAY), [1.0, -2.0], 0.05 * np.arange(200), None),
}


@pytest.mark.parametrize("name", CASES)
def test_exact_data_give_the_coefficients_to_eight_digits(name):
    truth, start, t, forced = CASES[name]
    u = np.cos(1.2 * t) if forced else None
    X = simulated(truth, start, t, u)
    found = refine(perturbed(truth, 0.05), X, t, u)
    assert found.improved
    assert error_of(found.model, truth) < 1e-8


@pytest.mark.parametrize("name", CASES)
def test_noisy_data_never_give_a_worse_match_and_mostly_a_better_law(name):
    truth, start, t, forced = CASES[name]
    u = np.cos(1.2 * t) if forced else None
    X = simulated(truth, start, t, u)
    rng = np.random.default_rng(1)
    noisy = X + 0.05 * X.std(axis=0) * rng.normal(size=X.shape)
    found = refine(perturbed(truth, 0.08), noisy, t, u)
    assert error_of(found.model, truth) < 0.08 / 2
    assert (found.error_after <= found.error_before).all()
    np.testing.assert_allclose(found.noise, 0.05 * X.std(axis=0), rtol=0.12)
    errors = found.model.standard_errors[np.asarray(truth.support)]
    off = np.abs(found.model.coefficients - truth.coefficients)[np.asarray(truth.support)]
    assert (off <= 4 * errors).all()


@pytest.mark.parametrize("kind", ["map", "increment"])
def test_a_chaotic_map_is_matched_through_its_own_orbit(kind):
    x = [0.3]
    for _ in range(199):
        x.append(3.7 * x[-1] * (1 - x[-1]))
    noisy = np.array(x) + 0.02 * np.random.default_rng(0).normal(size=200)
    start = DiscreteSINDy(SymbolicLibrary("x, x**2"), names=["x"], kind=kind).fit(noisy, 1.0)
    truth = np.array([3.7 if kind == "map" else 2.7, -3.7])
    model = refine(start, noisy, 1.0).model
    off = np.abs(model.coefficients[0] - truth)
    assert off.max() < np.abs(start.symbolic_.coefficients[0] - truth).max() / 3
    assert (off < 3 * model.standard_errors[0]).all()


def test_only_positions_of_a_second_order_law_are_needed():
    t = 0.1 * np.arange(800)
    u = np.cos(1.2 * t)
    y = simulated(DUFFING, [1.0, 0.0], t, u)[:, 0]
    clean = refine(perturbed(DUFFING, 0.05), y, t, u)
    assert error_of(clean.model, DUFFING) < 1e-8
    assert np.isnan(clean.noise[1])
    assert np.isfinite(clean.noise[0])
    holed = y + 0.02 * np.random.default_rng(0).normal(size=len(y))
    holed[100:110], holed[[5, 300, 301]] = np.nan, np.nan
    found = refine(perturbed(DUFFING, 0.1), holed, t, u)
    assert error_of(found.model, DUFFING) < 0.03
    np.testing.assert_array_equal(found.model.coefficients[0], DUFFING.coefficients[0])
    assert found.states[0].shape == (800, 2)
    np.testing.assert_allclose(found.states[0][:, 0], y, atol=0.02)


def test_a_state_that_is_never_observed_is_found_too():
    truth, t = law(VAN_DER_POL), 0.05 * np.arange(600)
    X = simulated(truth, [2.0, 0.0], t)
    start = truth.with_coefficients(truth.coefficients * np.where(truth.coefficients == 1, 1, 1.03))
    found = refine(start, X[:, 0], t, observed=["x"])
    # its scale is free, but rates and their products are not
    k = found.model.term_names.index("v")
    assert found.model.coefficients[1, k] == pytest.approx(1.5, rel=1e-5)


def test_sensitivities_are_derivatives_at_order_two_of_differences():
    truth, t = law(VAN_DER_POL), 0.1 * np.arange(12)
    X = simulated(truth, [2.0, 0.0], t)
    samples = observe(truth, read_runs(truth, X, t, None, None), "auto")
    stages = Stages(truth, samples, 12, "squares")
    x0 = stages.prepare()
    problem = stages.problem(1.0, stages.free)
    problem.linked[:] = False
    weights = np.zeros_like(samples.Y)
    weights[-1, 1] = 1.0  # the gradient is then minus the residual's own derivative
    problem.weights, coefficients = weights, truth.program[4] + 0.1
    here = problem.follow(coefficients, x0)
    residual = (samples.Y - here.predicted)[-1, 1]
    exact = here.gradients[0] / residual
    errors = []
    for h in (1e-2, 5e-3, 2.5e-3):
        slopes = []
        for k in range(2 + len(coefficients)):
            ends = []
            for sign in (1, -1):
                c, x = coefficients.copy(), x0.copy()
                target, place = (x[0], k) if k < 2 else (c, k - 2)
                target[place] += sign * h
                ends.append(problem.follow(c, x).predicted[-1, 1])
            slopes.append((ends[0] - ends[1]) / (2 * h))
        errors.append(np.abs(np.array(slopes) - exact).max())
    assert np.all(np.abs(-np.diff(np.log2(errors)) - 2) < 0.05)


def test_one_segment_is_ordinary_least_squares_of_the_trajectory():
    truth, t = law(DECAY), 0.1 * np.arange(60)
    X = simulated(truth, [1.0, -2.0], t)
    noisy = X + 0.03 * np.random.default_rng(0).normal(size=X.shape)
    found = refine(perturbed(truth, 0.1), noisy, t, segment=1000)
    sigma = found.noise

    def residuals(z):
        A = np.array([[z[0], z[1]], [z[2], z[3]]])
        run = solve_ivp(
            lambda _, x: A @ x, (0, t[-1]), z[4:], t_eval=t, method="DOP853", rtol=1e-11, atol=1e-12
        )
        return ((run.y.T - noisy) / sigma).ravel()

    fitted = least_squares(residuals, [-0.4, 1.1, -1.1, -0.2, 1, -2], xtol=1e-14, ftol=1e-14)
    ours = found.model.coefficients[np.asarray(truth.support)]
    np.testing.assert_allclose(ours, fitted.x[:4], rtol=2e-5)
    covariance = np.linalg.inv(fitted.jac.T @ fitted.jac)[:4, :4]
    np.testing.assert_allclose(found.model.covariance, covariance, rtol=1e-3, atol=1e-9)


def test_number_of_segments_does_not_matter_in_the_end():
    truth, t = law(VAN_DER_POL), 0.05 * np.arange(400)
    X = simulated(truth, [2.0, 0.0], t)
    noisy = X + 0.05 * np.random.default_rng(0).normal(size=X.shape)
    laws = [refine(perturbed(truth, 0.03), noisy, t, segment=s).model for s in (10, 40, 1000)]
    for other in laws[1:]:
        np.testing.assert_allclose(other.coefficients, laws[0].coefficients, rtol=1e-4)
        np.testing.assert_allclose(other.standard_errors, laws[0].standard_errors, rtol=1e-2)


@pytest.mark.parametrize(("length", "clock"), [(2.0**20, 1.0), (1e-6, 1e3)])
def test_units_do_not_matter(length, clock):
    truth, t = law(DECAY), 0.1 * np.arange(60)
    X = simulated(truth, [1.0, -2.0], t)
    noisy = X + 0.03 * np.random.default_rng(0).normal(size=X.shape)
    start = perturbed(truth, 0.1)
    plain = refine(start, noisy, t).model
    other = refine(start.with_coefficients(start.coefficients / clock), length * noisy, clock * t)
    np.testing.assert_allclose(clock * other.model.coefficients, plain.coefficients, rtol=1e-6)
    np.testing.assert_allclose(
        clock * other.model.standard_errors, plain.standard_errors, rtol=1e-4
    )


def test_intervals_cover_the_truth_as_often_as_they_say():
    truth, t = law(DECAY), 0.1 * np.arange(80)
    X = simulated(truth, [1.0, -2.0], t)
    rng, inside = np.random.default_rng(0), []
    for _ in range(60):
        found = refine(truth, X + 0.05 * rng.normal(size=X.shape), t).model
        z = (found.coefficients - truth.coefficients) / found.standard_errors
        inside.append(np.abs(z[np.asarray(truth.support)]) < 1.96)
    # 240 intervals, four to a run: three standard deviations of the share are .06
    assert np.mean(inside) == pytest.approx(0.95, abs=0.06)


def test_outliers_are_bounded_by_hubers_loss():
    truth, t = law(DECAY), 0.05 * np.arange(200)
    X = simulated(truth, [1.0, -2.0], t)
    rng = np.random.default_rng(0)
    noisy = X + 0.01 * rng.normal(size=X.shape)
    noisy[rng.choice(200, 10, replace=False), 0] += 1.0
    errors = [
        error_of(refine(perturbed(truth, 0.05), noisy, t, loss=loss).model, truth)
        for loss in ("squares", "huber")
    ]
    assert errors[1] < errors[0] / 3


def test_held_out_samples_are_judged_but_not_fitted():
    truth, t = law(VAN_DER_POL), 0.05 * np.arange(600)
    X = simulated(truth, [2.0, 0.0], t)
    spoiled = X.copy()
    spoiled[450:] = X[450:] + 0.5 * np.random.default_rng(0).normal(size=(150, 2))
    found = refine(perturbed(truth, 0.05), spoiled, t, holdout=0.25)
    assert error_of(found.model, truth) < 1e-8
    assert np.isnan(found.states[0][450:]).all()
    np.testing.assert_allclose(found.error_after, 0.5, rtol=0.2)


def test_interruption_keeps_the_best_law(monkeypatch):
    truth, t = law(DECAY), 0.1 * np.arange(80)
    X = simulated(truth, [1.0, -2.0], t) + 0.03 * np.random.default_rng(0).normal(size=(80, 2))
    start, calls = perturbed(truth, 0.2), []
    follow = Stages.stage

    def stage(self, tightness, *options):
        if calls:
            raise KeyboardInterrupt
        calls.append(tightness)
        follow(self, tightness, *options)

    monkeypatch.setattr(Stages, "stage", stage)
    found = refine(start, X, t)
    assert found.interrupted
    assert "interrupted" in repr(found)
    assert error_of(found.model, truth) < error_of(start, truth) / 3


def test_start_is_returned_where_nothing_better_is_found():
    truth, t = law(DECAY), 0.1 * np.arange(80)
    X = simulated(truth, [1.0, -2.0], t) + 0.03 * np.random.default_rng(0).normal(size=(80, 2))
    best = refine(truth, X, t).model
    again = refine(best, X, t)
    np.testing.assert_allclose(again.model.coefficients, best.coefficients, rtol=1e-6)


def test_estimators_refine_on_request_and_tables_are_matched_by_name():
    truth, t = law(VAN_DER_POL), 0.05 * np.arange(500)
    X = simulated(truth, [2.0, 0.0], t)
    noisy = X + 0.05 * np.random.default_rng(0).normal(size=X.shape)
    options = {"method": "weak", "names": ["x", "v"]}
    plain = SINDy(PolynomialLibrary(3), **options).fit(noisy, t)
    model = SINDy(PolynomialLibrary(3), refine=True, **options).fit(noisy, t)
    assert error_of(plain.symbolic_, model.symbolic_) > 1e-4
    table = pd.DataFrame({"v": noisy[:, 1], "x": noisy[:, 0]}, index=pd.Index(t, name="time"))
    by_name = refine(plain, table)
    np.testing.assert_allclose(
        by_name.model.coefficients, model.symbolic_.coefficients, rtol=1e-6, atol=1e-9
    )
    assert model.refinement_.model is model.symbolic_


def test_several_runs_share_one_law():
    truth = law(DECAY)
    times = [0.1 * np.arange(40), np.sort(np.random.default_rng(0).uniform(0, 5, 60))]
    runs = [simulated(truth, s, t) for s, t in zip(([1.0, -2.0], [0.5, 3.0]), times, strict=True)]
    found = refine(perturbed(truth, 0.1), runs, times)
    assert error_of(found.model, truth) < 1e-8
    assert [len(states) for states in found.states] == [40, 60]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"X": np.ones((3, 2)), "t": 0.1}, "too few for|needs a stretch"),
        ({"X": np.ones((1, 2)), "t": 0.1}, "at least two rows"),
        ({"observed": ["a", "c"]}, r"must be among the states \['a', 'b'\]"),
        ({"loss": "cubes"}, "loss must be"),
        ({"holdout": 1.0}, r"holdout must be in \[0, 1\)"),
        ({"segment": 1}, "segment must be at least 2"),
        ({"max_iter": 0}, "max_iter must be at least 1"),
        ({"u": np.ones(80)}, "u must have the controls"),
    ],
)
@pytest.mark.filterwarnings("ignore::discover.exceptions.DataWarning")
def test_what_cannot_be_refined_is_refused_with_the_reason(options, message):
    t = 0.1 * np.arange(80)
    X = simulated(law(DECAY), [1.0, -2.0], t)
    arguments = {"X": X, "t": t, **options}
    with pytest.raises((DataError, ValueError), match=message):
        refine(law(DECAY), **arguments)
    with pytest.raises(TypeError, match="fitted SINDy"):
        refine("law", X, t)


def test_segments_are_halved_until_the_start_survives_them():
    truth, t = law({"x": {"1": 0.5, "x**2": -1.0}}), 0.05 * np.arange(200)
    X = simulated(truth, [-0.5], t)
    start = truth.with_coefficients([[0.5, 0.3]])  # blows up within three units of time
    found = refine(start, X, t, segment=10_000)
    assert error_of(found.model, truth) < 1e-8


def test_a_law_that_explodes_is_refused():
    t = 0.1 * np.arange(80)
    X = simulated(law(DECAY), [1.0, -2.0], t)
    with pytest.raises(SimulationError, match="diverges"):
        refine(law({"a": {"a**2": 1e3}, "b": {"b": -1.0}}), X, t)


def test_one_missing_sample_costs_next_to_nothing():
    truth, t = law(DECAY), 0.1 * np.arange(80)
    X = simulated(truth, [1.0, -2.0], t)
    X[7, 0] = np.nan
    assert error_of(refine(perturbed(truth, 0.1), X, t).model, truth) < 1e-8
    assert as_trajectories(X, t)[0].n_samples == 80
