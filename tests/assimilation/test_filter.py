"""The filter in time: operators, times, faults, checkpoints, parameters, diagnostics."""

import numpy as np
import pytest
from joblib import parallel_config
from scipy import sparse

from discover.assimilation import (
    AdaptiveInflation,
    Covariance,
    EnsembleKalmanFilter,
    Localization,
    RelaxToPriorPerturbations,
    RelaxToPriorSpread,
    crps,
    rank_histogram,
    with_parameters,
)
from discover.assimilation.twins import lorenz63, lorenz96, sakov_oke_2008
from discover.exceptions import AssimilationError, AssimilationWarning, DataError
from discover.libraries import SymbolicLibrary
from discover.symbolic import SymbolicModel

M = np.array([[0.9, 0.2, 0.0], [-0.2, 0.9, 0.1], [0.0, 0.0, 0.95]])
H = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
R = np.array([0.3, 0.2])


def linear(E, t, dt):
    return E @ M.T


def kalman_filter(y, mean, P):
    means, covariances = [], []
    for row in y:
        mean, P = M @ mean, M @ P @ M.T
        seen = ~np.isnan(row)
        h, r = H[seen], np.diag(R[seen])
        K = P @ h.T @ np.linalg.inv(h @ P @ h.T + r)
        mean, P = mean + K @ (row[seen] - h @ mean), P - K @ h @ P
        means.append(mean)
        covariances.append(np.diag(P))
    return np.array(means), np.array(covariances)


def exact_ensemble(N, n, rng):
    """Draw an ensemble with mean 0 and covariance 1, exactly."""
    X = rng.normal(size=(N, n))
    X -= X.mean(axis=0)
    return X @ np.linalg.inv(np.linalg.cholesky(np.cov(X.T))).T


def linear_observations(K=12, seed=0):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=3), []
    for _ in range(K):
        x = M @ x
        y.append(H @ x + np.sqrt(R) * rng.normal(size=2))
    y = np.array(y)
    y[3, 1] = y[5, 0] = np.nan
    y[7] = np.nan
    return y


@pytest.mark.parametrize("scheme", ["etkf", "ensrf"])
def test_square_root_filters_are_the_kalman_filter_from_an_exact_ensemble(scheme):
    y, rng = linear_observations(), np.random.default_rng(1)
    found = EnsembleKalmanFilter(scheme, 10, rotate=True, random_state=2).assimilate(
        linear, H, R, y, np.arange(1.0, 13.0), initial=exact_ensemble(10, 3, rng), start=0.0
    )
    mean, variance = kalman_filter(y, np.zeros(3), np.eye(3))
    np.testing.assert_allclose(found.mean, mean, atol=1e-11)
    np.testing.assert_allclose(found.spread**2, variance, atol=1e-11)
    assert np.isnan(found.chi_squared[7])


@pytest.mark.parametrize("scheme", ["etkf", "stochastic", "enkfn"])
def test_filters_converge_to_the_kalman_filter_as_members_grow(scheme):
    y = linear_observations()
    mean, _ = kalman_filter(y, np.zeros(3), np.eye(3))

    def error(N):
        runs = [
            EnsembleKalmanFilter(scheme, N, random_state=s).assimilate(
                linear, H, R, y, np.arange(1.0, 13.0), initial=(np.zeros(3), 1.0), start=0.0
            )
            for s in range(25)
        ]
        return np.sqrt(np.mean([(run.mean - mean) ** 2 for run in runs]))

    rate = np.log(error(40) / error(640)) / np.log(16)
    assert 0.35 < rate < 0.7


def test_every_form_of_an_operator_gives_the_same_run():
    y, times = (
        linear_observations(),
        np.cumsum(np.r_[0.5, np.random.default_rng(0).uniform(0.1, 1, 11)]),
    )
    E = np.random.default_rng(1).normal(size=(8, 3))

    def run(observe, y=y):
        return (
            EnsembleKalmanFilter("etkf", 8)
            .assimilate(linear, observe, R, y, times, initial=E, start=0.0)
            .mean
        )

    plain = run(H)
    for observe in (
        sparse.csr_array(H),
        lambda E: E @ H.T,
        lambda E, t: E @ H.T,
        [H] * 12,
        [H if k % 2 else sparse.csc_array(H) for k in range(12)],
    ):
        np.testing.assert_allclose(run(observe), plain, atol=1e-13)
    first = EnsembleKalmanFilter("etkf", 8).assimilate(
        linear, [0], 0.3, y[:, 0], times, initial=E, start=0.0
    )
    other = EnsembleKalmanFilter("etkf", 8).assimilate(
        linear, H[:1], 0.3, y[:, :1], times, initial=E, start=0.0
    )
    np.testing.assert_allclose(first.mean, other.mean, atol=1e-13)


@pytest.mark.filterwarnings("ignore:EnsembleKalmanFilter. the filter has lost")
@pytest.mark.parametrize("scheme", ["etkf", "denkf", "ensrf", "enkfn", "letkf"])
def test_nan_is_the_same_as_another_operator_at_irregular_times(scheme):
    rng = np.random.default_rng(3)
    law = lorenz96(12)
    times = np.cumsum(rng.uniform(0.02, 0.1, 15))
    y = rng.normal(3.0, 3.0, size=(15, 12))  # not of this law: only the algebra is compared
    seen = rng.random(y.shape) < 0.6
    E = rng.normal(2.0, 2.0, size=(9, 12))
    ring = Localization.on_grid((12,), 2.0) if scheme == "letkf" else None
    masked = EnsembleKalmanFilter(scheme, 9, 1.03, ring).assimilate(
        law, None, 1.0, np.where(seen, y, np.nan), times, initial=E, start=0.0, dt=0.05
    )
    if scheme == "letkf":
        E_now, t_now = E, 0.0
        from discover.assimilation import analyze
        from discover.assimilation.forecast import as_forecast

        forecast = as_forecast(law, 12, 0.05)
        for k in range(15):
            E_now, t_now = forecast(E_now, t_now, times[k]), times[k]
            where = Localization(2.0, np.arange(12.0), np.flatnonzero(seen[k]), 12.0)
            E_now = analyze(
                E_now,
                E_now[:, seen[k]],
                y[k, seen[k]],
                1.0,
                scheme="letkf",
                rng=None,
                localization=where,
            )
            E_now = E_now.mean(axis=0) + 1.03 * (E_now - E_now.mean(axis=0))
        np.testing.assert_allclose(masked.mean[-1], E_now.mean(axis=0), atol=1e-11)
        return
    rows = [row[s] for row, s in zip(y, seen, strict=True)]
    chosen = [np.flatnonzero(s) for s in seen]
    removed = EnsembleKalmanFilter(scheme, 9, 1.03).assimilate(
        law, chosen, 1.0, rows, times, initial=E, start=0.0, dt=0.05
    )
    np.testing.assert_allclose(masked.mean, removed.mean, rtol=0, atol=1e-12)


def test_a_law_an_object_and_a_function_make_the_same_forecasts():
    law, E = lorenz63(), np.random.default_rng(0).normal(size=(6, 3)) * 3 + 5
    y = np.random.default_rng(1).normal(size=(4, 3)) + 5
    times = np.array([0.05, 0.11, 0.12, 0.3])

    class Plain:
        def rhs(self, x, t=0.0, u=None):
            return law.rhs(x)

    def run(dynamics, **options):
        return EnsembleKalmanFilter("etkf", 6).assimilate(
            dynamics, None, 1.0, y, times, initial=E, start=0.0, **options
        )

    one = run(law, dt=0.01).mean
    np.testing.assert_allclose(run(Plain(), dt=0.01).mean, one, atol=1e-10)
    np.testing.assert_allclose(
        run(lambda E, t, h: law.step(E, t, h), dt=0.01).mean, one, atol=1e-10
    )
    np.testing.assert_allclose(run(law).mean, run(law, dt=0.002).mean, atol=1e-4)
    with parallel_config(backend="threading"):
        shared = run(Plain(), dt=0.01, n_jobs=2).mean
    np.testing.assert_allclose(shared, one, atol=1e-10)


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path):
    twin = sakov_oke_2008()
    times, truth, y = twin.draw(30, rng=np.random.default_rng(0))
    file = tmp_path / "run.npz"

    def run(n, **options):
        return EnsembleKalmanFilter(
            "stochastic", 20, AdaptiveInflation(), rotate=True, random_state=3, keep="ensembles"
        ).assimilate(
            twin.dynamics,
            None,
            1.0,
            y[:n],
            times[:n],
            initial=(truth[0], 1.0),
            dt=0.05,
            truth=truth[:n],
            **options,
        )

    whole = run(30)

    class Stop(Exception):
        pass

    calls = []

    def fragile(E):
        calls.append(1)
        if len(calls) == 18:
            raise Stop
        return E

    def interrupted():
        return EnsembleKalmanFilter(
            "stochastic", 20, AdaptiveInflation(), rotate=True, random_state=3, keep="ensembles"
        ).assimilate(
            twin.dynamics,
            fragile,
            1.0,
            y,
            times,
            initial=(truth[0], 1.0),
            dt=0.05,
            truth=truth,
            checkpoint=file,
            checkpoint_every=5,
        )

    with pytest.raises(Stop):
        interrupted()
    calls.extend([1] * 100)
    resumed = interrupted()
    np.testing.assert_array_equal(resumed.ensembles, whole.ensembles)
    np.testing.assert_array_equal(resumed.inflation, whole.inflation)
    np.testing.assert_array_equal(resumed.rmse, whole.rmse)
    with pytest.raises(ValueError, match="belongs to another run"):
        run(29, checkpoint=file)


def test_parameters_are_states_that_stay():
    table = SymbolicLibrary(["x", "y", "rho*x", "x*z", "x*y", "z"]).build(["x", "y", "z", "rho"])
    names = table.names
    coefficients = np.zeros((3, len(names)))
    for i, term, value in (
        (0, "x", -10.0),
        (0, "y", 10.0),
        (1, "x*rho", 1.0),
        (1, "y", -1.0),
        (1, "x*z", -1.0),
        (2, "x*y", 1.0),
        (2, "z", -8 / 3),
    ):
        coefficients[i, names.index(term if term in names else "rho*x")] = value
    controlled = SymbolicModel(table, coefficients, ("x", "y", "z"), ("rho",))
    by_input = with_parameters(controlled, ["rho"])
    by_coefficient = with_parameters(lorenz63(), {"rho": ("y", "x")})
    both = with_parameters(lorenz63(), {"sigma": {("x", "y"): 1, ("x", "x"): -1}})
    x = np.random.default_rng(0).normal(size=(5, 3))
    expected = np.c_[lorenz63(rho=30.0).rhs(x), np.zeros(5)]
    for law in (by_input, by_coefficient):
        np.testing.assert_allclose(law.rhs(np.c_[x, np.full(5, 30.0)]), expected, atol=1e-12)
    np.testing.assert_allclose(
        both.rhs(np.c_[x, np.full(5, 7.0)])[:, :3], lorenz63(sigma=7.0).rhs(x), atol=1e-12
    )
    with pytest.raises(ValueError, match="'rho' must be an input of the law"):
        with_parameters(lorenz63(), ["rho"])
    with pytest.raises(ValueError, match="coefficient of a term in an equation"):
        with_parameters(lorenz63(), {"rho": ("y", "x*x")})


def test_a_drifting_parameter_is_tracked():
    """Lorenz-63, rho from 28 to 32; the short version of the replication."""
    law, rng = with_parameters(lorenz63(), {"rho": ("y", "x")}), np.random.default_rng(0)
    times = np.arange(1, 241) * 0.25
    x, truth = np.array([1.5, -1.5, 25.5]), []
    for t in times:
        rho = 28 + 4 * t / 60
        x = np.asarray(lorenz63(rho=28 + 4 * (t - 0.125) / 60).simulate(x, [0, 0.25]))[-1]
        truth.append([*x, rho])
    truth = np.array(truth)
    y = truth[:, :3] + rng.normal(size=(240, 3))
    found = EnsembleKalmanFilter(
        "etkf", 20, rotate=True, random_state=0, model_noise=[0, 0, 0, 0.02]
    ).assimilate(
        lorenz63(),
        None,
        1.0,
        y,
        times,
        initial=([*y[0], 27.0], [1, 1, 1, 4.0]),
        parameters={"rho": ("y", "x")},
        dt=0.01,
        truth=truth,
    )
    assert law.state_names == found.state_names
    error = np.abs(found["rho"] / truth[:, 3] - 1)[80:]
    assert np.sqrt(np.mean(error**2)) < 0.02


def test_divergence_is_said_and_a_healthy_filter_says_nothing():
    twin = sakov_oke_2008()
    healthy = twin.run(EnsembleKalmanFilter("etkf", 28, 1.02, rotate=True), 120, seed=1)
    assert healthy.message == ""
    assert healthy.average(60)["chi_squared"] == pytest.approx(1.0, abs=0.1)
    with pytest.warns(AssimilationWarning, match="has lost the observations by t ="):
        lost = twin.run(EnsembleKalmanFilter("etkf", 8, 1.0), 300, seed=1)
    assert lost.average(100)["rmse"] > 2.0


def test_members_that_blow_up_are_replaced_or_refused():
    def explosive(E, t, dt):
        out = E.copy()
        out[np.abs(E[:, 0]) > 1.5] = np.inf
        return out

    start = np.random.default_rng(0).normal(size=(20, 2))
    assert (np.abs(start[:, 0]) > 1.5).any()
    arguments = (explosive, None, 1.0, np.zeros((3, 2)), [1.0, 2.0, 3.0])
    options = {"initial": start, "start": 0.0}
    with pytest.warns(AssimilationWarning, match="members blew up and were replaced"):
        found = EnsembleKalmanFilter("etkf", 20, random_state=0).assimilate(*arguments, **options)
    assert np.isfinite(found.mean).all()
    assert found.replaced >= 1
    with pytest.raises(AssimilationError, match="of 20 members are not finite at t = 1"):
        EnsembleKalmanFilter("etkf", 20, on_blow_up="raise").assimilate(*arguments, **options)
    with pytest.raises(AssimilationError, match="20 of 20 members"):
        EnsembleKalmanFilter("etkf", 20).assimilate(
            lambda E, t, dt: E * np.nan, *arguments[1:], **options
        )


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"t": [1.0, 3.0, 2.0]}, r"strictly increasing; t\[1\] = 3 is followed by 2"),
        ({"t": [1.0, 2.0]}, "one time per row of observations"),
        ({"observations": np.full((3, 2), np.nan)}, "all NaN"),
        ({"observe": np.ones((2, 4))}, r"observe must have shape \(2, 3\)"),
        ({"observe": [0, 5]}, "observe must pick 2 of the 3 states"),
        ({"observe": lambda E: E}, r"observe must return the shape \(10, 2\)"),
        ({"R": np.eye(3)}, "R must be a number or have shape"),
        ({"initial": np.ones((4, 3))}, "initial must have n_members = 10 rows"),
        ({"initial": None}, "initial must say what is known"),
        ({"start": 5.0}, "start must not be after the first observation"),
        ({"truth": np.ones((2, 3))}, r"truth must have shape \(3, 3\)"),
        ({"dynamics": 3}, "dynamics must be a SymbolicModel"),
        ({"dynamics": lambda E, t, dt: E[:, :2]}, "must return the shape"),
        ({"parameters": ["a"]}, "parameters are inputs or coefficients of a SymbolicModel"),
    ],
)
def test_errors_say_what_was_wrong(change, complaint):
    given = {
        "dynamics": linear,
        "observe": H,
        "R": 1.0,
        "observations": np.zeros((3, 2)),
        "t": [1.0, 2.0, 3.0],
        "initial": (np.zeros(3), 1.0),
        "start": 0.0,
    } | change
    names = ("dynamics", "observe", "R", "observations", "t")
    positional = [given.pop(name) for name in names]
    with pytest.raises((ValueError, DataError), match=complaint):
        EnsembleKalmanFilter("etkf", 10).assimilate(*positional, **given)


def test_relaxation_brings_back_spread_or_perturbations():
    rng = np.random.default_rng(0)
    forecast, analysis = rng.normal(size=(9, 4)) * 2, rng.normal(size=(9, 4)) + 1
    whole = RelaxToPriorSpread(1.0).after(analysis, forecast)
    np.testing.assert_allclose(whole.std(axis=0), forecast.std(axis=0), rtol=1e-12)
    np.testing.assert_allclose(whole.mean(axis=0), analysis.mean(axis=0), atol=1e-12)
    mixed = RelaxToPriorPerturbations(1.0).after(analysis, forecast)
    np.testing.assert_allclose(
        mixed - mixed.mean(axis=0), forecast - forecast.mean(axis=0), atol=1e-12
    )
    for kind in (RelaxToPriorSpread, RelaxToPriorPerturbations):
        np.testing.assert_allclose(kind(0.0).after(analysis, forecast), analysis, atol=1e-12)
        with pytest.raises(ValueError, match="amount must be in"):
            kind(1.5)


def test_adaptive_inflation_finds_the_factor_that_is_missing():
    """A forecast whose variance is a third of what it should be."""
    rng, inflation = np.random.default_rng(0), AdaptiveInflation(growth=1.1)
    memory, kept = inflation.start(), []
    for _ in range(600):
        d = np.sqrt(1.0 + 3.0 * 0.5) * rng.normal(size=30)
        memory = inflation.learn(memory, d @ d, 0.5 * 30, 30)
        kept.append(memory)
    assert np.mean(kept[100:]) == pytest.approx(3.0, rel=0.06)


def test_crps_is_the_integral_of_its_definition():
    rng = np.random.default_rng(0)
    E, truth = rng.normal(size=(7, 1)), np.array([0.3])
    grid = np.linspace(-8, 8, 400_001)
    step = (E[:, 0][:, None] <= grid).mean(axis=0) - (truth <= grid)
    empirical = np.trapezoid(step**2, grid)
    pairs = np.abs(E - E.T).sum() / 2
    fair = empirical + pairs / 49 - pairs / (7 * 6)
    assert crps(E, truth)[0] == pytest.approx(fair, abs=1e-4)
    # of a normal variable with a normal ensemble: (sqrt(2) - 1) / sqrt(pi)
    values = crps(rng.normal(size=(50, 100_000)), np.zeros(100_000))
    exact = (np.sqrt(2) - 1) / np.sqrt(np.pi)
    assert values.mean() == pytest.approx(exact, rel=0.01)


def test_ranks_of_an_honest_ensemble_are_flat():
    from discover.assimilation import rank_of

    rng = np.random.default_rng(0)
    draws = rng.normal(size=(10, 20_000))
    counts = rank_histogram(rank_of(draws[1:], draws[0]), 9)
    expected = 2000
    assert ((counts - expected) ** 2 / expected).sum() < 27.9  # 99.9 % of chi-squared, 9 d.o.f.


def test_result_goes_to_xarray_and_to_a_picture():
    y = linear_observations()
    found = EnsembleKalmanFilter("etkf", 10, keep="ensembles", random_state=0).assimilate(
        linear,
        H,
        Covariance(R, 2),
        y,
        np.arange(1.0, 13.0),
        initial=(np.zeros(3), 1.0),
        start=0.0,
        truth=np.zeros((12, 3)),
        progress=False,
    )
    data = found.to_xarray()
    assert data["ensembles"].dims == ("time", "member", "state")
    np.testing.assert_array_equal(data["mean"].sel(state="x1"), found["x1"])
    assert found.rank_histogram().sum() == 36
    panels = found.plot(np.zeros((12, 3)), states=["x0", "x2"])
    assert [panel.get_ylabel() for panel in panels] == ["x0", "x2"]
