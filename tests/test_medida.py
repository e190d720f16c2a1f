"""What a solver gets wrong: bursts, series, black boxes; fields and states."""

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp

from discover import (
    Axis,
    EnsembleKalmanFilter,
    Field,
    Grid,
    ModelErrorDiscovery,
    SymbolicModel,
)
from discover.dynamics.field_law import FieldLaw
from discover.dynamics.galerkin import GalerkinFlow
from discover.estimation.series import time_grid
from discover.exceptions import DataError
from discover.libraries import SymbolicLibrary
from discover.observations.field import find_bursts
from discover.observations.jets import jet_names
from discover.problems.field_rows import FieldTerms
from discover.problems.spectra import FourierTests, Spectrum

AXIS = Axis.box("x", 64, 22.0)
GRID = Grid((AXIS,))
TERMS = "u*u_x, u_xx, u_xxxx, u_xxx, u**2*u_x"
TABLE = SymbolicLibrary(TERMS).build(jet_names(["u"], ["x"], 4))
TRUTH = np.array([-1.0, -1.0, -1.0, 0.0, 0.0])
CASES = {
    "no advection": [0.0, -1.0, -1.0, 0.0, 0.0],
    "half the diffusion": [-1.0, -0.5, -1.0, 0.0, 0.0],
    "spurious dispersion": [-1.0, -1.0, -1.0, -0.5, 0.0],
    "advection only": [-1.0, 0.0, 0.0, 0.0, 0.0],
    "cubic flux": [-1.0, -1.0, -1.0, 0.0, -0.225],
}


def as_law(coefficients):
    model = SymbolicModel(TABLE, [coefficients], TABLE.inputs, target_names=["u_t"], kind="direct")
    return FieldLaw(model, GRID, ("u",))


class ImExSolver:
    """Crank-Nicolson for the linear terms, Euler for the products: first order in time."""

    def __init__(self, coefficients):
        self.law = as_law(np.where([1, 0, 0, 0, 1], coefficients, 0.0))
        self.symbol = as_law(np.where([0, 1, 1, 1, 0], coefficients, 0.0)).symbol[..., 0, 0]

    def step(self, u, t, dt):
        v = GRID.to_modes(u) * (1 + dt / 2 * self.symbol) + dt * GRID.to_modes(self.law.rhs(u))
        return GRID.from_modes(v / (1 - dt / 2 * self.symbol))


@pytest.fixture(scope="module")
def truth():
    """A Kuramoto-Sivashinsky run of 60 time units, every 0.01 of it on demand."""
    basis = FourierTests(GRID, 30 * 2 * np.pi / 22)
    flow = GalerkinFlow(basis, GRID, FieldTerms(TABLE, ("u",)), TRUTH)
    rng = np.random.default_rng(3)
    start = 0.5 * rng.standard_normal((1, basis.n_rows)) * (np.arange(basis.n_rows) % 30 < 6)
    start[0, 0] = 0.0
    rows = [start]
    for _ in range(1600):
        rows.append(flow.advance(rows[-1], 0.1))
    rows = np.concatenate(rows[1000:])
    bursts = [rows]
    for _ in range(2):
        bursts.append(flow.advance(bursts[-1], 0.01))
    expand = lambda r: basis.expand(GRID, r)  # noqa: E731
    return np.stack([expand(b) for b in bursts], axis=1)  # (600, 3, 64)


def triples(truth, noise=0.0, every=10, seed=0):
    u = truth[::every]
    u = u + noise * truth.std() * np.random.default_rng(seed).standard_normal(u.shape)
    t = 0.1 * every * np.arange(len(u))[:, None] + [0.0, 0.01, 0.02]
    return Field(u.reshape(-1, 64), t.ravel(), AXIS)


def series(truth, noise, every, seed=0):
    u = truth[::every, 0]
    u = u + noise * truth.std() * np.random.default_rng(seed).standard_normal(u.shape)
    return Field(u, 0.1 * every * np.arange(len(u)), AXIS)


def found_terms(model):
    chosen = np.flatnonzero(model.support[0])
    return {model.term_names[j]: model.coefficients[0, j] for j in chosen}


def missing(case):
    return dict(zip(TABLE.names, TRUTH - CASES[case], strict=True))


def check(model, case, tolerance):
    expected = {name: value for name, value in missing(case).items() if value}
    found = found_terms(model)
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=tolerance)


@pytest.mark.parametrize("case", CASES)
def test_clean_bursts_give_the_missing_terms_to_six_digits(truth, case):
    found = ModelErrorDiscovery(ImExSolver(CASES[case])).fit(triples(truth, every=20))
    check(found.error_, case, 1e-6)
    assert "kept apart" in found.notes_[0]


@pytest.mark.parametrize("case", CASES)
def test_clean_pairs_suffice(truth, case):
    """The trapezoidal rule is off by more than rounding; that must not look like terms."""
    field = triples(truth, every=20)
    pairs = field.select(np.arange(len(field)) % 3 != 2)
    check(ModelErrorDiscovery(ImExSolver(CASES[case])).fit(pairs).error_, case, 1e-4)


@pytest.mark.parametrize("lost", [4, 5])
def test_one_lost_snapshot_does_not_cost_the_other_bursts_their_third(truth, lost):
    field = triples(truth, every=20)
    found = ModelErrorDiscovery(as_law(CASES["half the diffusion"])).fit(
        field.select(np.delete(np.arange(len(field)), lost))
    )
    check(found.error_, "half the diffusion", 1e-6)
    assert "2 states were left out" in found.notes_[-1]


def test_a_gap_and_several_records_are_several_runs_of_one_law(truth):
    whole = series(truth, 0.1, 10)
    with_gap = whole.select(np.r_[0:25, 35:60])
    first, second = whole.select(slice(0, 25)), whole.select(slice(35, 60))
    law = as_law(CASES["half the diffusion"])
    one = ModelErrorDiscovery(law).fit(with_gap)
    two = ModelErrorDiscovery(law).fit([first, second])
    check(one.error_, "half the diffusion", 0.05)
    assert np.array_equal(one.error_.coefficients, two.error_.coefficients)
    other = Field(first.values[:, ::2], first.times, Axis.box("x", 32, 22.0))
    with pytest.raises(DataError, match="all fields must have the grid"):
        ModelErrorDiscovery(law).fit([first, other])


def test_a_guessed_equation_is_repaired_as_it_is(truth):
    guess = as_law(CASES["half the diffusion"]).model
    for field in (triples(truth, every=20), series(truth, 0.1, 10)):
        found = ModelErrorDiscovery(guess).fit(field)
        check(found.error_, "half the diffusion", 0.05)
        assert found.corrected_.step(truth[0, 0], 0.0, 0.1).shape == (64,)


@pytest.mark.parametrize("seen", ["bursts", "series"])
def test_a_guess_with_wrong_missing_and_superfluous_terms_becomes_the_law(truth, seen):
    """Diffusion is wrong, hyperdiffusion missing, and a square has no business there."""
    table = SymbolicLibrary("u*u_x, u_xx, u_xxx, u**2").build(jet_names(["u"], ["x"], 4))
    guess = SymbolicModel(
        table, [[-1.0, -0.4, 0.2, 0.3]], table.inputs, target_names=["u_t"], kind="direct"
    )
    field = triples(truth, every=20) if seen == "bursts" else series(truth, 0.05, 5)
    found = ModelErrorDiscovery(guess).fit(field)
    wanted = {"u_xx": -0.6, "u_xxxx": -1.0, "u_xxx": -0.2, "u**2": -0.3}
    assert found_terms(found.error_) == pytest.approx(wanted, rel=0.02)
    law = {"u*u_x": -1.0, "u_xx": -1.0, "u_xxxx": -1.0}
    assert found_terms(found.repaired_) == pytest.approx(law, rel=0.02)
    assert isinstance(found.corrected_, FieldLaw)
    errors = dict(zip(found.repaired_.term_names, found.repaired_.standard_errors[0], strict=True))
    assert errors["u*u_x"] == 0.0  # as it was given
    assert errors["u_xx"] > 0.0


@pytest.mark.parametrize("case", ["no advection", "half the diffusion", "advection only"])
def test_noisy_bursts_give_the_missing_terms(truth, case):
    found = ModelErrorDiscovery(ImExSolver(CASES[case]), random_state=0).fit(
        triples(truth, noise=0.01)
    )
    check(found.error_, case, 0.1)
    assert found.noise_std_[0] == pytest.approx(0.01 * truth.std(), rel=0.05)


@pytest.mark.parametrize("case", CASES)
def test_a_noisy_series_repairs_a_law(truth, case):
    """Ten per cent of noise, a state per time unit: the law itself is known as terms."""
    found = ModelErrorDiscovery(as_law(CASES[case])).fit(series(truth, 0.1, 10))
    check(found.error_, case, 0.05)


class BlackBox:
    """A solver that shows nothing but its steps, of many states at once."""

    def __init__(self, coefficients):
        self.basis = FourierTests(GRID, 20 * 2 * np.pi / 22)
        terms = FieldTerms(TABLE, ("u",))
        self.flow = GalerkinFlow(self.basis, GRID, terms, np.array(coefficients))

    def step(self, u, t, dt):
        rows = self.flow.advance(self.basis.project(GRID, u), dt)
        return self.basis.expand(GRID, rows)


@pytest.mark.parametrize("told", [{"solver_dt": 0.1}, {"fixed_step": 0.02}])
def test_a_noisy_series_repairs_a_black_box(truth, told):
    solver = BlackBox(CASES["half the diffusion"])
    observed = series(truth[:100], 0.03, 5)
    found = ModelErrorDiscovery(solver, TERMS, vectorized=True, **told).fit(observed)
    check(found.error_, "half the diffusion", 0.05)


def test_the_truncation_error_of_a_black_box_is_kept_apart(truth):
    """A coarse scheme of first order: what is found does not depend on its step."""
    observed = series(truth[:100], 0.03, 5)
    found = [
        ModelErrorDiscovery(ImExSolver(CASES["half the diffusion"]), TERMS, solver_dt=dt)
        .fit(observed)
        .error_.coefficients
        for dt in (0.05, 0.005)
    ]
    np.testing.assert_allclose(found[0], found[1], atol=1e-4)


def test_a_fixed_step_must_divide_the_intervals(truth):
    with pytest.raises(DataError, match="must divide"):
        ModelErrorDiscovery(BlackBox(CASES["no advection"]), TERMS, fixed_step=0.03).fit(
            series(truth[:100], 0.03, 5)
        )
    steps, at = time_grid(np.array([0.0, 0.7, 1.1]), 0.3, 0.1)
    np.testing.assert_allclose(steps, [0.3, 0.2, 0.2, 0.2, 0.2])
    assert at.tolist() == [0, 3, 5]


def test_corrected_solver_forecasts_better(truth):
    law = as_law(CASES["half the diffusion"])
    found = ModelErrorDiscovery(law).fit(series(truth, 0.1, 10))
    compared = found.forecast(Field(truth[:301, 0], 0.1 * np.arange(301), AXIS))
    assert compared.corrected_rmse[60] < 0.1 * compared.base_rmse[60]
    assert compared.corrected_valid_time > 25.0
    assert compared.base_valid_time < 15.0
    power = compared.spectra()
    energetic = power["truth"] > 1e-12 * power["truth"].max()
    np.testing.assert_allclose(power["corrected"][energetic], power["truth"][energetic], rtol=0.05)
    assert not found.stability_
    before, after = found.innovations_
    assert before > 10.0
    assert after == pytest.approx(1.0, abs=0.1)
    assert found.identifiability_.unique


def test_a_correction_that_cannot_run_is_said(truth):
    """Antidiffusion: it fits, by construction, and every run with it blows up."""
    pairs = []
    for u in truth[::20, 0]:
        modes = GRID.to_modes(u) * (GRID.radius < 3.0)
        pairs.append([GRID.from_modes(modes * np.exp(0.01 * k * GRID.radius**2)) for k in range(3)])
    t = np.arange(len(pairs))[:, None] + [0.0, 0.01, 0.02]
    field = Field(np.reshape(pairs, (-1, 64)), t.ravel(), AXIS)
    found = ModelErrorDiscovery(as_law(np.zeros(5)), TERMS).fit(field)
    assert found_terms(found.error_)["u_xx"] == pytest.approx(-1.0, rel=1e-3)
    assert "blows up" in found.stability_
    assert "blows up" in repr(found)


def test_growth_is_not_corrected_on_waves_that_were_not_seen(truth):
    """A solver that damps twice too much: the correction alone would blow up short waves."""
    solver = ImExSolver([-2.0, -2.0, -2.0, 0.0, 0.0])
    found = ModelErrorDiscovery(solver, TERMS, random_state=0).fit(triples(truth, noise=0.01))
    assert found_terms(found.error_)["u_xxxx"] == pytest.approx(1.0, rel=0.1)
    assert not found.stability_


@pytest.mark.parametrize("names", [("u",), ("u", "v")])
def test_many_fields_step_as_each_alone(names):
    table = SymbolicLibrary("u*u_x, u_xx").build(jet_names(names, ["x"], 2))
    model = SymbolicModel(
        table, [[-1.0, 0.1]] * len(names), table.inputs,
        target_names=[f"{name}_t" for name in names], kind="direct",
    )  # fmt: skip
    law = FieldLaw(model, GRID, names)
    shape = (3, 64) if len(names) == 1 else (3, 64, 2)
    many = np.random.default_rng(0).standard_normal(shape)
    together = law.step(many, 0.0, 0.01)
    np.testing.assert_allclose(together, [law.step(one, 0.0, 0.01) for one in many], rtol=1e-12)


def test_few_observed_points_need_a_climatology(truth):
    sparse = series(truth[:400], 0.05, 5)
    values = sparse.values.copy()
    rng = np.random.default_rng(0)
    for snapshot in values:
        snapshot[rng.permutation(64)[16:]] = np.nan
    field = Field(values, sparse.times, AXIS)
    law = as_law(CASES["half the diffusion"])
    with pytest.raises(DataError, match="climatology"):
        ModelErrorDiscovery(law).fit(field)
    record = Field(truth[::5, 0], 0.5 * np.arange(121), AXIS)
    found = ModelErrorDiscovery(law, noise_std=0.05 * truth.std(), climatology=record).fit(field)
    check(found.error_, "half the diffusion", 0.05)


def test_the_answer_does_not_depend_on_the_units(truth):
    scaled = triples(truth, noise=0.01)
    solver = ImExSolver(CASES["half the diffusion"])

    class Rescaled:
        def step(self, u, t, dt):
            return 1024.0 * solver.step(u / 1024.0, t, dt)

    one = ModelErrorDiscovery(solver, random_state=0).fit(scaled)
    other = ModelErrorDiscovery(Rescaled(), random_state=0).fit(
        Field(1024.0 * scaled.values, scaled.times, AXIS)
    )
    assert np.array_equal(one.error_.support, other.error_.support)
    assert found_terms(other.error_)["u_xx"] == pytest.approx(
        found_terms(one.error_)["u_xx"], rel=1e-3
    )


def test_one_seed_repeats(truth):
    field = triples(truth, noise=0.02)
    one, two = (
        ModelErrorDiscovery(ImExSolver(CASES["no advection"]), random_state=1).fit(field)
        for _ in range(2)
    )
    assert np.array_equal(one.error_.coefficients, two.error_.coefficients)


def test_a_fixed_step_is_said_to_hide_the_discretisation_error(truth):
    found = ModelErrorDiscovery(ImExSolver(CASES["no advection"]), fixed_step=0.01).fit(
        triples(truth)
    )
    assert "cannot be told" in found.notes_[0]


def lorenz(x, rho=28.0):
    dx = 10.0 * (x[..., 1] - x[..., 0])
    dy = x[..., 0] * (rho - x[..., 2]) - x[..., 1]
    return np.stack([dx, dy, x[..., 0] * x[..., 1] - 8 / 3 * x[..., 2]], axis=-1)


def stepped(x, h, rate=lorenz):
    a = rate(x)
    b = rate(x + h / 2 * a)
    c = rate(x + h / 2 * b)
    return x + h / 6 * (a + 2 * b + 2 * c + rate(x + h * c))


class WrongLorenz:
    def step(self, x, t, dt):
        return stepped(x, dt, lambda s: lorenz(s, 25.0))


@pytest.fixture(scope="module")
def lorenz_run():
    x = [np.array([1.0, 2.0, 20.0])]
    for _ in range(7000):
        x.append(stepped(x[-1], 0.005))
    return np.array(x[1000:])


class Oscillator:
    """A tendency without a scheme, written for one state; perhaps driven."""

    def __init__(self, drive=0.0):
        self.drive = drive

    def rhs(self, x, t):
        return np.array([x[1], -x[0] + self.drive * np.cos(0.3 * t)])


def test_a_tendency_alone_can_be_corrected_and_stepped():
    t = np.linspace(0, 10, 201)
    X = np.exp(-0.1 * t)[:, None] * np.column_stack([np.cos(t), -np.sin(t)])
    found = ModelErrorDiscovery(Oscillator(), "x0, x1").fit(X, t)
    x = X[0]
    for k in range(200):
        x = found.corrected_.step(x, t[k], t[1])
    np.testing.assert_allclose(x, X[-1], atol=1e-4)


def test_a_series_of_a_driven_oscillator():
    """The solver depends on time and has forgotten the friction."""
    t = np.linspace(3, 43, 401)
    friction = lambda t, x: Oscillator(0.5).rhs(x, t) - [0.0, 0.1 * x[1]]  # noqa: E731
    X = solve_ivp(friction, (3, 43), [1.0, 0.0], t_eval=t, rtol=1e-9).y.T
    X += 0.02 * np.random.default_rng(0).standard_normal(X.shape)
    found = ModelErrorDiscovery(Oscillator(0.5), "x0, x1").fit(X, t)
    np.testing.assert_array_equal(found.error_.support, [[False, False], [False, True]])
    assert found.error_.coefficients[1, 1] == pytest.approx(-0.1, abs=0.01)


def test_irregular_times_are_one_series_and_bursts_are_bursts():
    rng = np.random.default_rng(0)
    for _ in range(50):
        assert len(find_bursts(np.cumsum(rng.exponential(size=200)))) < 10
    triples = (np.arange(20)[:, None] + [0.0, 0.01, 0.02]).ravel()
    assert [len(g) for g in find_bursts(triples)] == [3] * 20


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_a_wrong_parameter_of_an_ordinary_differential_equation(lorenz_run, noise):
    X = lorenz_run[:3000:8]
    X = X + noise * X.std(axis=0) * np.random.default_rng(0).standard_normal(X.shape)
    found = ModelErrorDiscovery(WrongLorenz(), vectorized=True).fit(X, 0.04)
    (place,) = np.argwhere(found.error_.support)
    assert found.error_.term_names[place[1]] == "x0"
    assert place[0] == 1
    assert found.error_.coefficients[1, place[1]] == pytest.approx(3.0, abs=1e-3 + 3 * noise)


def noisy_lorenz(lorenz_run, noise=0.02):
    X = lorenz_run[:1200:8]
    return X + noise * X.std(axis=0) * np.random.default_rng(0).standard_normal(X.shape)


def test_the_plain_cycle_finds_a_term_when_the_filter_distrusts_the_model(lorenz_run):
    wary = EnsembleKalmanFilter("etkf", 20, model_noise=1.0, random_state=0)
    found = ModelErrorDiscovery(WrongLorenz(), vectorized=True, filter=wary).fit(
        noisy_lorenz(lorenz_run), 0.04
    )
    assert [tuple(p) for p in np.argwhere(found.error_.support)] == [(1, 1)]
    assert found.error_.coefficients[1, 1] == pytest.approx(3.0, rel=0.05)
    before, after = found.innovations_
    assert before > 3.0
    assert after < 1.0
    assert not hasattr(found, "series_")


def test_the_plain_cycle_believes_the_wrong_model(truth):
    """Sixty noisy states, from which the joint smoother finds the one term."""
    field = series(truth, 0.1, 10)
    law = as_law(CASES["half the diffusion"])
    cycled = ModelErrorDiscovery(
        law, TERMS, filter=EnsembleKalmanFilter("etkf", 40), random_state=0
    ).fit(field)
    joint = ModelErrorDiscovery(law, TERMS).fit(field)
    check(joint.error_, "half the diffusion", 0.05)
    assert joint.innovations_.after < 2.0
    assert cycled.innovations_.after > 5.0  # and it says so
    assert "lost the observations" in cycled.notes_[0]
    off = abs(found_terms(cycled.error_).get("u_xx", 0.0) + 0.5)
    assert off > 0.1
    again = ModelErrorDiscovery(
        law, TERMS, filter=EnsembleKalmanFilter("etkf", 40), random_state=0
    ).fit(field)
    assert np.array_equal(again.error_.coefficients, cycled.error_.coefficients)


def test_a_filter_is_no_word_and_bursts_are_not_cycled(truth):
    with pytest.raises(TypeError, match="filter must be an EnsembleKalmanFilter"):
        ModelErrorDiscovery(lambda u, t, dt: u, filter="etkf").fit(triples(truth))
    law, field = as_law(CASES["no advection"]), triples(truth, 0.01)
    plain = ModelErrorDiscovery(law, random_state=0).fit(field)
    filtered = ModelErrorDiscovery(law, filter=EnsembleKalmanFilter(), random_state=0).fit(field)
    assert np.array_equal(plain.error_.coefficients, filtered.error_.coefficients)
    assert "not cycled" in filtered.notes_[-1]


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_innovations_of_bursts_are_in_units_of_their_error(truth, noise):
    found = ModelErrorDiscovery(as_law(CASES["no advection"]), random_state=0).fit(
        triples(truth, noise)
    )
    assert found.innovations_.before > 3.0
    assert found.innovations_.after == pytest.approx(1.0, abs=0.1) or not noise
    assert found.innovations_.after < 1.1


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_a_guessed_ordinary_differential_equation_becomes_the_law(lorenz_run, noise):
    """A parameter is wrong, a product missing, and one too many is there."""
    table = SymbolicLibrary("x, y, z, x*z, x*y, y*z, sin(y)").build(["x", "y", "z"])
    rows = [-10, 10, 0, 0, 0, 0.5, 0], [25, -1, 0, -1, 0, 0, 2], [0, 0, -8 / 3, 0, 0, 0, 0]
    guess = SymbolicModel(table, rows, ["x", "y", "z"])
    X = noisy_lorenz(lorenz_run, noise)
    found = ModelErrorDiscovery(guess).fit(pd.DataFrame(X, columns=["x", "y", "z"]), 0.04)
    error = found.error_
    named = {(error.state_names[i], error.term_names[j]): error.coefficients[i, j]
             for i, j in np.argwhere(error.support)}  # fmt: skip
    wanted = {("x", "y*z"): -0.5, ("y", "x"): 3.0, ("y", "sin(y)"): -2.0, ("z", "x*y"): 1.0}
    assert named == pytest.approx(wanted, rel=0.01 + 5 * noise)
    x = np.random.default_rng(1).uniform(-20, 20, (50, 3))
    law = found.repaired_
    assert law.complexity == 7
    np.testing.assert_allclose(law.rhs(x), lorenz(x), rtol=0.01 + 2 * noise, atol=1.0 + 50 * noise)
    assert found.corrected_ is law
    with pytest.raises(DataError, match="a law of the observed states"):
        ModelErrorDiscovery(guess).fit(X, 0.04)


def test_bursts_of_states(lorenz_run):
    at = np.arange(0, 5900, 60)[:, None] + [0, 1, 2]
    found = ModelErrorDiscovery(WrongLorenz(), vectorized=True).fit(
        lorenz_run[at.ravel()], 0.005 * at.ravel()
    )
    assert [tuple(p) for p in np.argwhere(found.error_.support)] == [(1, 1)]
    assert found.error_.coefficients[1, 1] == pytest.approx(3.0, rel=2e-3)


def test_spectrum_finds_the_level_of_white_noise(truth):
    rng = np.random.default_rng(0)
    for level in (1e-3, 0.1):
        noisy = truth[:, 0] + level * rng.standard_normal(truth[:, 0].shape)
        spectrum = Spectrum.estimate(GRID, noisy)
        assert np.sqrt(spectrum.noise_variance) == pytest.approx(level, rel=0.05)
    assert Spectrum.estimate(GRID, truth[:, 0]).is_clean
