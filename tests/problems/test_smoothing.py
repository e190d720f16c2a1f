"""Smoothers and estimators of noise."""

from math import factorial

import numpy as np
import pytest
from scipy.interpolate import make_smoothing_spline

from discover import SINDy
from discover.dynamics import load_system
from discover.exceptions import DataError
from discover.kernels import smoother as kernel
from discover.problems import (
    RauchTungStriebel,
    SavitzkyGolay,
    SmoothingSpline,
    TotalVariation,
    estimate_noise,
)
from discover.problems.smoothing.splines import _Spline
from discover.problems.smoothing.variation import _Trend

ALL = [SavitzkyGolay(), SmoothingSpline(), RauchTungStriebel(), TotalVariation()]
METHODS = ("likelihood", "differences", "spectrum")


def signal(t):
    return np.column_stack([np.sin(t) + 0.3 * np.cos(2 * t), 5.0 * np.cos(t)])


def slope(t):
    return np.column_stack([np.cos(t) - 0.6 * np.sin(2 * t), -5.0 * np.sin(t)])


def noisy(n=1000, level=0.05, seed=0, length=30.0, irregular=False, missing=0.0):
    rng = np.random.default_rng(seed)
    t = np.sort(rng.uniform(0.0, length, n)) if irregular else np.linspace(0.0, length, n)
    scale = level * signal(t).std(axis=0)
    y = signal(t) + scale * rng.standard_normal((n, 2))
    y[rng.random(y.shape) < missing] = np.nan
    return t, y, scale


def dense_posterior(t, y, order, ratio):
    """Mean of x under the prior, by dense least squares over all states."""
    n, m = len(t), order
    h = np.median(np.diff(t))
    rows, right = [], []
    for k, r in enumerate(np.diff(t) / h):
        F = np.array([[r ** (j - i) / factorial(j - i) if j >= i else 0.0
                       for j in range(m)] for i in range(m)])  # fmt: skip
        Q = np.array([[r ** (2 * m - 1 - i - j) / ((2 * m - 1 - i - j)
                       * factorial(m - 1 - i) * factorial(m - 1 - j))
                       for j in range(m)] for i in range(m)])  # fmt: skip
        L = np.linalg.inv(np.linalg.cholesky(ratio * Q))
        row = np.zeros((m, n * m))
        row[:, k * m : (k + 1) * m], row[:, (k + 1) * m : (k + 2) * m] = -L @ F, L
        rows.append(row)
        right.append(np.zeros(m))
    for k in np.flatnonzero(np.isfinite(y)):
        row = np.zeros((1, n * m))
        row[0, k * m] = 1.0
        rows.append(row)
        right.append(y[[k]])
    A, b = np.concatenate(rows), np.concatenate(right)
    x = np.linalg.lstsq(A, b, rcond=None)[0]
    inverse = np.linalg.inv(np.linalg.qr(A).R)
    rss, logdet = np.sum((A @ x - b) ** 2), -np.linalg.slogdet(inverse)[1]
    return x.reshape(n, m), (inverse**2).sum(axis=1).reshape(n, m), rss, logdet


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("ratio", [1e-2, 10.0])
def test_smoother_solves_the_dense_problem_with_gaps_and_unequal_steps(order, ratio):
    t, y, _ = noisy(25, missing=0.2, length=6.0)
    t = t + 0.15 * np.random.default_rng(1).uniform(-0.5, 0.5, 25)
    spline = _Spline(t, y[:, 0].copy(), order)
    z, P, variance = spline.solve(ratio)
    rss, logdet = spline.eliminate(ratio)
    expected, variances, residual, determinant = dense_posterior(t, y[:, 0], order, ratio)
    np.testing.assert_allclose(z, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
    np.testing.assert_allclose(P, variances, rtol=1e-6)
    assert rss == pytest.approx(residual, rel=1e-7)
    assert logdet == pytest.approx(determinant, rel=1e-7)
    assert variance == pytest.approx(residual / (np.isfinite(y[:, 0]).sum() - order), rel=1e-7)


@pytest.mark.parametrize("lam", [1e-4, 1e-1, 1e2])
def test_spline_is_scipys(lam):
    t, y, _ = noisy(200, irregular=True)
    found = SmoothingSpline(lam).smooth(t, y)
    for j in range(2):
        expected = make_smoothing_spline(t, y[:, j], lam=lam)
        np.testing.assert_allclose(found.values[:, j], expected(t), atol=1e-7)
        np.testing.assert_allclose(found.derivative[:, j], expected.derivative()(t), atol=1e-6)


def test_cross_validation_chooses_as_scipy_does():
    t, y, _ = noisy(300, 0.1)
    found = SmoothingSpline().smooth(t, y)
    for j in range(2):
        expected = make_smoothing_spline(t, y[:, j])(t)
        np.testing.assert_allclose(found.values[:, j], expected, atol=1e-4 * np.abs(expected).max())


def test_polynomials_below_the_order_pass_unchanged_however_strong_the_smoothing():
    t, _, _ = noisy(60, irregular=True, length=3.0)
    y = 1.0 - 2.0 * t + 0.5 * t**2
    z, _, _ = _Spline(t, y, 3).solve(1e-12)
    np.testing.assert_allclose(z[:, 0], y, atol=1e-9)
    np.testing.assert_allclose(z[:, 1] / np.median(np.diff(t)), t - 2.0, atol=1e-7)


def test_trend_is_optimal_by_its_dual_certificate():
    t, y, _ = noisy(80, 0.2, irregular=True)
    for alpha in (0.01, 0.3, 3.0):
        trend = _Trend(t, y[:, 0].copy())
        x = trend.solve(alpha)
        change = np.diff(np.diff(x) / np.diff(t))
        # residual summed twice: bounded by alpha, and equal to it where the slope changes
        dual = np.cumsum(np.diff(t) * np.cumsum(y[:, 0] - x)[:-1])[:-1]
        assert np.abs(dual).max() <= alpha * (1 + 1e-6)
        kinks = np.abs(change) > 1e-2 * np.abs(change).max()
        np.testing.assert_allclose(dual[kinks], alpha * np.sign(change[kinks]), rtol=1e-2)
    line = _Trend(t, y[:, 0].copy()).solve(1e9)
    np.testing.assert_allclose(line, np.polyval(np.polyfit(t, y[:, 0], 1), t), atol=1e-9)


def test_total_variation_sees_kinks_that_smooth_priors_round_off():
    rng = np.random.default_rng(3)
    t = np.linspace(0.0, 10.0, 1000)
    x, d = np.abs(t - 4) + 3 * np.maximum(t - 7, 0), np.sign(t - 4) + 3.0 * (t > 7)
    y = x + 0.05 * rng.standard_normal(len(t))
    errors = [
        np.mean(np.abs(s.smooth(t, y).derivative[:, 0] - d))
        for s in (TotalVariation(), RauchTungStriebel(), SmoothingSpline())
    ]
    assert errors[0] < 0.6 * min(errors[1:])


@pytest.mark.parametrize("smoother", ALL, ids=lambda s: type(s).__name__)
def test_smoothers_remove_noise_and_bear_gaps_and_unequal_steps(smoother):
    for irregular, missing in ((False, 0.0), (False, 0.3), (True, 0.1)):
        t, y, scale = noisy(1000, 0.1, irregular=irregular, missing=missing)
        found = smoother.smooth(t, y)
        assert found.values.shape == found.derivative.shape == y.shape
        assert np.isfinite(found.values).all()
        inner = slice(20, -20)
        error = (found.values - signal(t))[inner].std(axis=0)
        assert (error < 0.8 * scale).all()
        if not isinstance(smoother, SavitzkyGolay):  # its windows hold 0.3 units of time only
            assert ((found.derivative - slope(t))[inner].std(axis=0) < 8 * scale).all()
        np.testing.assert_allclose(found.noise_std, scale, rtol=0.2)


@pytest.mark.parametrize("smoother", ALL, ids=lambda s: type(s).__name__)
def test_smoothing_follows_the_units_of_states_and_time(smoother):
    t, y, _ = noisy(200, 0.1, missing=0.1)
    one, other = smoother.smooth(t, y), smoother.smooth(2.0**10 * t, 2.0**-20 * y)
    np.testing.assert_allclose(other.values, 2.0**-20 * one.values, rtol=1e-3, atol=2.0**-30)
    np.testing.assert_allclose(other.derivative, 2.0**-30 * one.derivative, atol=1e-2 * 2.0**-30)
    np.testing.assert_allclose(other.noise_std, 2.0**-20 * one.noise_std, rtol=1e-3)


@pytest.mark.parametrize("smoother", ALL[:3], ids=lambda s: type(s).__name__)
def test_standard_errors_cover_the_truth(smoother):
    inside = []
    for seed in range(5):
        t, y, _ = noisy(600, 0.05, seed)
        found = smoother.smooth(t, y)
        inside.append(np.abs(found.values - signal(t)) < 1.96 * found.value_errors)
        rates = np.abs(found.derivative - slope(t)) < 1.96 * found.derivative_errors
        assert rates.mean() > 0.9
    assert 0.9 < np.mean(inside) < 0.99


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("level", [1e-3, 0.03, 0.3])
@pytest.mark.parametrize("per_period", [100, 1000])
def test_noise_of_well_sampled_signals_is_found(method, level, per_period):
    run = load_system("Rossler").trajectories(1, 2000 / per_period, per_period)[0]
    scale = level * run.states.std(axis=0)
    y = run.states + scale * np.random.default_rng(1).standard_normal(run.states.shape)
    # statistical errors are 3 to 6 %; z moves in spikes that leave traces at 100 per period
    np.testing.assert_allclose(estimate_noise(run.times, y, method=method), scale, rtol=0.2)


@pytest.mark.parametrize("method", METHODS)
def test_noise_alone_is_all_noise(method):
    y = 3.0 * np.random.default_rng(0).standard_normal((3000, 1))
    assert estimate_noise(np.arange(3000.0), y, method=method)[0] == pytest.approx(3.0, rel=0.08)


def test_likelihood_finds_noise_of_coarse_samples_that_differences_mistake():
    t = np.arange(300) * 2 * np.pi / 12  # 12 samples per period
    y = np.sin(t) + 0.05 * np.random.default_rng(0).standard_normal(300)
    by = {m: float(estimate_noise(t, y, method=m)[0]) for m in METHODS}
    assert by["likelihood"] == pytest.approx(0.05, rel=0.3)
    assert by["spectrum"] == pytest.approx(0.05, rel=0.3)
    assert abs(by["likelihood"] - 0.05) < abs(by["differences"] - 0.05)


def test_known_noise_is_used():
    t, y, scale = noisy(400, 0.1)
    known = RauchTungStriebel(3, noise_std=scale).smooth(t, y)
    np.testing.assert_array_equal(known.noise_std, scale)
    free = RauchTungStriebel(3).smooth(t, y)
    np.testing.assert_allclose(known.values, free.values, atol=0.5 * scale.max())
    rough = RauchTungStriebel(3, noise_std=100.0).smooth(t, y).values
    assert rough.std(axis=0)[0] < 0.5 * free.values.std(axis=0)[0]


@pytest.mark.parametrize("smoother", [SmoothingSpline(), RauchTungStriebel()])
def test_sindy_takes_a_smoother_as_its_method(smoother):
    runs = load_system("SprottB").trajectories(3, noise=0.01, rng=np.random.default_rng(0))
    law = SINDy(method=smoother).fit(runs).symbolic_
    found = {(i, law.term_names[k]) for i, k in np.argwhere(law.support).tolist()}
    truth = {(0, "y*z"), (1, "x"), (1, "y"), (2, "1"), (2, "x*y")}
    assert truth <= found


@pytest.mark.parametrize(
    ("smoother", "message"),
    [
        (SavitzkyGolay(10), "window_length must be odd"),
        (SmoothingSpline(-1.0), "lam must be positive"),
        (RauchTungStriebel(9), "order must be an integer from 2 to 5"),
        (RauchTungStriebel(noise_std=0.0), "noise_std must be positive"),
        (TotalVariation(0.0), "alpha must be positive"),
    ],
)
def test_parameters_are_checked(smoother, message):
    with pytest.raises(ValueError, match=message):
        smoother.smooth(np.arange(50.0), np.sin(np.arange(50.0)))


@pytest.mark.parametrize("smoother", ALL, ids=lambda s: type(s).__name__)
def test_too_few_or_disordered_samples_are_refused(smoother):
    with pytest.raises(DataError, match="samples per run are needed"):
        smoother.smooth([0.0, 1.0, 2.0], [1.0, np.nan, 1.0])
    with pytest.raises(DataError, match="t must be increasing"):
        smoother.smooth(np.zeros(50), np.zeros(50))


def test_spectrum_needs_equal_steps():
    t, y, _ = noisy(50, irregular=True)
    with pytest.raises(DataError, match="equally spaced"):
        estimate_noise(t, y, method="spectrum")


def test_householder_triangularizes_as_numpy_does():
    A = np.random.default_rng(0).standard_normal((7, 5))
    W = A.copy()
    kernel.triangularize(W, 7, 5, 5)
    np.testing.assert_allclose(np.abs(W[:5]), np.abs(np.linalg.qr(A).R), atol=1e-12)
    np.testing.assert_allclose(W[5:], 0.0, atol=1e-12)
