"""RelevanceVectorRegressor: evidence, search, selection, correlated errors, honest intervals."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import multivariate_normal

from discover import STLSQ, RelevanceVectorRegressor
from discover.bench.regression import CELLS, draw, draws_found
from discover.kernels import occam
from discover.kernels.relevance import invert, relevance_path, sequential_relevance
from discover.regression import blocked_cv, criterion_values, find_knee
from discover.regression.base import ArrayRows, WhitenedRows
from discover.regression.normal import NormalEquations
from discover.regression.selection import penalties
from discover.regression.window import Moments, evidence_of, occam_window


def problem(n=300, p=8, noise=0.3, seed=0, rho=0.0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) + 0.3 * rng.normal(size=(n, 1))
    X = lfilter([1.0], [1.0, -0.9], X, axis=0) if rho else X
    truth = np.zeros((2, p))
    truth[0, [1, 4]] = [3.0, -0.7]
    truth[1, [0, 4, 6]] = [-1.0, 0.5, 2.0]
    errors = rng.normal(size=(n, 2))
    errors[1:] *= np.sqrt(1 - rho**2)
    return X, X @ truth.T + noise * lfilter([1.0], [1.0, -rho], errors, axis=0), truth


def moments_of(X, y):
    equations = NormalEquations(ArrayRows(X, y.reshape(len(X), -1)).statistics(1))
    return Moments.of(equations, 0, equations.usable)


# -- evidence ----------------------------------------------------------------------


def test_evidence_equals_the_dense_gaussian_formula():
    X, Y, _ = problem(n=60)
    found = RelevanceVectorRegressor().fit(X, Y)
    for j, y in enumerate(Y.T):
        chosen = found.support_[j]
        fitted = evidence_of(moments_of(X, y), np.flatnonzero(chosen).tolist())
        columns, size = X[:, chosen], np.sqrt(np.mean(y**2))
        width = size**2 / (fitted.alpha * np.mean(columns**2, axis=0))
        dense = (columns * width) @ columns.T + np.eye(len(y)) * size**2 / fitted.beta
        expected = multivariate_normal(np.zeros(len(y)), dense).logpdf(y)
        assert found.log_evidence_[j] == pytest.approx(expected, rel=1e-10)


def test_evidence_is_at_its_maximum_over_widths_and_noise():
    X, Y, _ = problem(n=60)
    y, columns = Y[:, 1], X[:, [0, 4, 6]]
    fitted = evidence_of(moments_of(X, y), [0, 4, 6])

    def log_evidence(log_alpha, log_beta):
        size = np.sqrt(np.mean(y**2))
        width = size**2 / (np.exp(log_alpha) * np.mean(columns**2, axis=0))
        dense = (columns * width) @ columns.T + np.eye(len(y)) * size**2 / np.exp(log_beta)
        return multivariate_normal(np.zeros(len(y)), dense).logpdf(y)

    alpha, beta = np.log(fitted.alpha), np.log(fitted.beta)
    best = log_evidence(alpha, beta)
    for step in (-0.1, 0.1):
        assert log_evidence(alpha, beta + step) < best
        for i in range(3):
            assert log_evidence(alpha + step * np.eye(3)[i], beta) < best


def test_mean_and_covariance_are_those_of_the_posterior():
    X, Y, _ = problem(n=80)
    found = RelevanceVectorRegressor().fit(X, Y[:, 0])
    chosen = found.support_[0]
    fitted = evidence_of(moments_of(X, Y[:, 0]), np.flatnonzero(chosen).tolist())
    columns, size = X[:, chosen], np.mean(Y[:, 0] ** 2)
    prior = fitted.alpha * np.mean(columns**2, axis=0) / size
    noise = found.noise_variance_[0]
    posterior = np.linalg.inv(columns.T @ columns / noise + np.diag(prior))
    np.testing.assert_allclose(found.covariance_, posterior, rtol=2e-3)
    mean = posterior @ columns.T @ Y[:, 0] / noise
    np.testing.assert_allclose(found.coef_[0, chosen], mean, rtol=1e-6)
    plain, deviation = found.predict(X[:5], return_std=True)
    expected = np.sqrt(noise + np.einsum("ij,jk,ik->i", columns, found.covariance_, columns))
    np.testing.assert_allclose(deviation, expected[:5], rtol=1e-12)
    np.testing.assert_array_equal(plain, found.predict(X[:5]))


# -- kernels -----------------------------------------------------------------------


def test_invert_equals_numpy():
    A = np.random.default_rng(0).normal(size=(9, 6))
    A = A.T @ A
    inverse = A.copy()
    assert invert(inverse, 6) == pytest.approx(np.linalg.slogdet(A)[1], rel=1e-12)
    np.testing.assert_allclose(inverse, np.linalg.inv(A), rtol=1e-9)


def test_sequential_steps_end_where_no_step_raises_the_evidence():
    """Tipping and Faul's conditions: alpha = s^2 / (q^2 - s) inside, q^2 <= s outside."""
    X, Y, _ = problem(n=100, noise=1.0)
    moments = moments_of(X, Y[:, 1])
    C, c, n = moments.C, moments.c, moments.n
    alpha, support = np.ones(8), np.zeros(8, dtype=bool)
    beta, steps = sequential_relevance(C, c, moments.usable, n, 1e-15, 0.0, 500, alpha, support)
    assert steps < 500
    for j in range(8):
        others = support.copy()
        others[j] = False
        H = beta * n * C[np.ix_(others, others)] + np.diag(alpha[others])
        gain = beta * n * np.linalg.solve(H, np.stack([C[others, j], c[others]], axis=1))
        s = beta * n * (C[j, j] - C[others, j] @ gain[:, 0])
        q = beta * n * (c[j] - C[others, j] @ gain[:, 1])
        if support[j]:
            assert alpha[j] == pytest.approx(s**2 / (q**2 - s), rel=1e-2)
        else:
            assert q**2 <= s * (1 + 1e-9)


def test_threshold_path_is_mackays_fixed_point():
    X, Y, _ = problem(n=100)
    moments = moments_of(X, Y[:, 0])
    C, c, n = moments.C, moments.c, moments.n
    thresholds, rounds = np.logspace(6, 0, 7), np.full(7, 4)
    supports = np.zeros((7, 8), dtype=bool)
    relevance_path(C, c, moments.usable, n, 1e-15, 1.0, thresholds, rounds, supports)
    alpha, beta, active = np.ones(8), 1.0, np.arange(8)
    for level, threshold in enumerate(thresholds):
        for _ in range(4 if len(active) else 0):
            G = C[np.ix_(active, active)]
            sigma = np.linalg.inv(beta * n * G + np.diag(alpha[active]))
            mean = beta * n * sigma @ c[active]
            gamma = 1 - alpha[active] * np.diag(sigma)
            share = 1 - 2 * mean @ c[active] + mean @ G @ mean
            new, old = gamma / mean**2, beta
            beta = (n - gamma.sum()) / (n * share)
            change = max(np.abs(np.log(new / alpha[active])).max(), abs(np.log(beta / old)))
            alpha[active] = new
            pruned = (new > threshold).any()
            active = active[new <= threshold]
            if not len(active):
                break
            if change < 0.01 and not pruned:
                break
        np.testing.assert_array_equal(np.flatnonzero(supports[level]), active)


@pytest.mark.parametrize("by_triangle", [False, True])
def test_expansion_knows_what_every_change_of_terms_does(by_triangle):
    """Scores of all neighbours against refitting each of them from the rows."""
    X, Y, _ = problem(n=50, noise=1.0)
    y = Y[:, 1]
    A, b = X / np.linalg.norm(X, axis=0), y / np.linalg.norm(y)
    R = np.linalg.qr(np.column_stack([A, b]), mode="r")
    triangle = np.ascontiguousarray(R[:, :8]) if by_triangle else np.zeros((0, 8))
    start = np.zeros((1, 8), dtype=bool)
    start[0, [0, 3, 6]] = True
    pool, sizes = np.zeros((100, 6), dtype=np.int64), np.zeros(100, dtype=np.int64)
    scores, shares = np.zeros(100), np.zeros(100)
    penalty = 2.0 * np.arange(7)
    count, _ = occam.occam_window(
        triangle, A.T @ A, A.T @ b, np.ascontiguousarray(R[:, 8]), np.ones(8, dtype=bool),
        np.random.default_rng(0).integers(1, 2**62, 8), 50.0, 1e-15, penalty, True, start, 1e9, 1,
        np.zeros(1024, dtype=np.int64), pool, sizes, scores, shares,
    )  # fmt: skip
    assert count == 1 + 5 + 3 + 3 * 5
    for i in range(count):
        terms = pool[i, : sizes[i]]
        m, rss = np.linalg.lstsq(A[:, terms], b, rcond=None)[:2]
        inverse = np.diag(np.linalg.inv(A[:, terms].T @ A[:, terms]))
        factor = np.log(np.maximum(50 * m**2 / rss[0], inverse)).sum()
        factor += np.linalg.slogdet(A[:, terms].T @ A[:, terms])[1]
        expected = (
            25 * np.log(rss[0]) + 2.0 * len(terms) + 0.5 * max(factor, 0.0) + 0.5 * len(terms)
        )
        assert shares[i] == pytest.approx(rss[0], rel=1e-9)
        assert scores[i] == pytest.approx(expected, rel=1e-9)


def test_laplace_score_ranks_as_the_evidence_does():
    X, Y, _ = problem(n=400)
    moments = moments_of(X, Y[:, 1])
    free = np.zeros(moments.most + 1)
    models = occam_window(moments, free, np.zeros((1, 8), dtype=bool), 50.0, by_evidence=False)
    constant = 0.5 * moments.n * (1 + np.log(2 * np.pi))
    for terms in [(0, 4, 6), (0, 6), (4, 6)]:
        T, z, _ = moments.reduced(terms)
        m = np.linalg.solve(T, z)
        share = 1 - z @ z
        laplace = 0.5 * moments.n * np.log(share) + 0.5 * np.linalg.slogdet(T.T @ T)[1]
        laplace += 0.5 * len(terms) + 0.5 * np.log(np.maximum(moments.n * m**2 / share, 1.0)).sum()
        assert -evidence_of(moments, terms).log_evidence - constant == pytest.approx(
            laplace, abs=0.5
        )
    assert models[0].score <= min(model.score for model in models)


# -- the search --------------------------------------------------------------------


def test_the_model_found_is_the_best_of_all_subsets():
    for seed in range(6):
        problem = draw(CELLS["A"], 10.0, seed)
        X = problem.X[:, 1:11]
        moments = moments_of(X, problem.y)
        penalty = penalties("ebic", moments.most, moments.n, 10)
        best = min(
            0.5 * moments.n * np.log(moments.reduced(terms)[2]) + penalty[len(terms)]
            for k in range(1, 11)
            for terms in itertools.combinations(range(10), k)
        )
        found = RelevanceVectorRegressor("ebic").fit(X, problem.y).estimate_
        assert min(model.criterion for model in found.path) == pytest.approx(best, abs=1e-6)


def test_true_terms_are_found_among_collinear_ones():
    """A slice of the cells of ``discover bench regression``; rates are asserted there."""
    for cell, decibel, seeds in (("A", 20.0, 12), ("A", 10.0, 12), ("B", 10.0, 2)):
        problems = [draw(CELLS[cell], decibel, seed) for seed in range(seeds)]
        hits = [
            draws_found(RelevanceVectorRegressor().fit(p.X, p.y).support_[0], p) for p in problems
        ]
        assert np.mean(hits) >= (0.7 if decibel < 15 and cell == "A" else 0.9)


@settings(max_examples=25)
@given(
    st.lists(st.integers(-9, 9), min_size=10, max_size=10),
    st.sampled_from([{}, {"criterion": "ebic"}, {"criterion": "cv"}, {"correlation": "auto"}]),
)
def test_powers_of_ten_on_every_column_and_target_change_units_and_nothing_else(powers, options):
    X, Y, _truth = problem(rho=0.8 if "correlation" in options else 0.0)
    scale = 10.0 ** np.array(powers)
    plain = RelevanceVectorRegressor(**options).fit(X, Y)
    found = RelevanceVectorRegressor(**options).fit(X * scale[:8], Y * scale[8:])
    np.testing.assert_array_equal(found.support_, plain.support_)
    np.testing.assert_allclose(found.coef_, plain.coef_ * scale[8:, None] / scale[:8], rtol=1e-6)
    np.testing.assert_allclose(found.noise_variance_, plain.noise_variance_ * scale[8:] ** 2, 1e-6)


@settings(max_examples=25)
@given(st.permutations(range(8)), st.integers(0, 2**31))
def test_neither_the_order_of_terms_nor_that_of_rows_matters(order, seed):
    X, Y, _ = problem(n=100, noise=1.0)
    rows = np.random.default_rng(seed).permutation(len(X))
    found = RelevanceVectorRegressor().fit(X[np.ix_(rows, order)], Y[rows])
    plain = RelevanceVectorRegressor().fit(X, Y)
    np.testing.assert_array_equal(found.support_, plain.support_[:, order])
    np.testing.assert_allclose(found.coef_, plain.coef_[:, order], rtol=1e-6)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("uncertainty", ["posterior", "sandwich"])
def test_the_order_of_rows_does_not_matter_where_all_terms_interpolate(uncertainty, seed):
    rng = np.random.RandomState(seed)
    X, y, times = rng.rand(15, 30), rng.randint(0, 3, size=15), rng.randint(0, 5, size=15)
    order = rng.permutation(15)
    model = RelevanceVectorRegressor("ebic", uncertainty=uncertainty)
    repeated = model.fit(X.repeat(times, axis=0), y.repeat(times)).support_
    weighted = model.fit(X[order], y[order], sample_weight=times[order]).support_
    np.testing.assert_array_equal(weighted, repeated)


def test_terms_that_are_the_same_column_share_the_blame():
    X, Y, _truth = problem()
    twice = np.column_stack([X, X[:, 1]])
    found = RelevanceVectorRegressor().fit(twice, Y)
    assert found.support_[0, [1, 8]].sum() == 1
    rival = found.estimate_.rivals[0]
    assert rival.target == 0
    assert rival.behind == pytest.approx(0.0, abs=1e-6)
    assert {1, 8} & set(rival.terms)


# -- selection ---------------------------------------------------------------------


def test_criteria_agree_with_their_formulas():
    variance, k = np.array([1.0, 0.1]), np.array([0, 2])
    bic = 100 * np.log(variance) + k * np.log(100)
    np.testing.assert_allclose(criterion_values("bic", variance, k, 100.0, 7), bic)
    np.testing.assert_allclose(
        criterion_values("ebic", variance, k, 100.0, 7), bic + 2 * k * np.log(7)
    )
    aicc = 100 * np.log(variance) + 2 * k * 100 / (99 - k)
    np.testing.assert_allclose(criterion_values("aicc", variance, k, 100.0, 7), aicc)


@pytest.mark.parametrize("criterion", ["penalized_evidence", "ebic", "bic", "cv", "lcurve"])
def test_every_criterion_finds_plain_terms(criterion):
    X, Y, truth = problem()
    found = RelevanceVectorRegressor(criterion).fit(X, Y)
    np.testing.assert_array_equal(found.support_, truth != 0)


def test_bare_evidence_keeps_a_third_of_the_irrelevant_terms():
    """Its test statistic is chi-squared with one degree of freedom above one: P = 0.317."""
    kept = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        X, y = np.linalg.qr(rng.normal(size=(400, 20)))[0], rng.normal(size=400)
        kept.append(RelevanceVectorRegressor("evidence").fit(X, y).support_.mean())
    assert np.mean(kept) == pytest.approx(0.317, abs=0.06)


def test_blocked_cross_validation_equals_leaving_rows_out():
    X, Y, _ = problem(n=100)
    stats = ArrayRows(X, Y).statistics(5)
    supports = [np.arange(8) < 2, np.arange(8) < 8]
    error, _ = blocked_cv(stats, 0, supports)
    for i, support in enumerate(supports):
        folds = []
        for rows in np.array_split(np.arange(100), 5):
            rest = np.setdiff1d(np.arange(100), rows)
            w = np.linalg.lstsq(X[rest][:, support], Y[rest, 0], rcond=None)[0]
            folds.append(np.mean((Y[rows, 0] - X[rows][:, support] @ w) ** 2))
        assert error[i] == pytest.approx(np.mean(folds) / np.mean(Y[:, 0] ** 2), rel=1e-9)
    with pytest.raises(ValueError, match="at least 2 blocks"):
        blocked_cv(ArrayRows(X, Y).statistics(1), 0, supports)


def test_the_knee_is_where_misfit_stops_falling():
    assert find_knee(np.arange(7), np.array([1.0, 0.5, 1e-3, 9e-4, 8e-4, 8e-4, 8e-4])) == 2


# -- correlated errors and honest intervals -------------------------------------------


def test_whitened_rows_have_the_moments_of_whitened_statistics():
    X, Y, _ = problem(n=300)
    rows = ArrayRows(X, Y)
    rows.edges = np.array([0, 120, 300])
    expected = rows.statistics(1, lags=True).whitened(0.7)
    white = WhitenedRows(rows, 0.7)
    out = np.empty((10, 300))
    for start in range(0, 300, 77):
        white.write(start, min(start + 77, 300), np.ones(10), out[:, start : start + 77])
    np.testing.assert_allclose(
        out @ out.T, expected.total * np.outer(expected.scale, expected.scale), rtol=1e-10
    )


def test_correlation_is_found_where_there_is_one_and_only_there():
    X, Y, truth = problem(n=2000, rho=0.9)
    found = RelevanceVectorRegressor(correlation="auto").fit(X, Y)
    np.testing.assert_allclose(found.correlation_, 0.9, atol=0.03)
    np.testing.assert_array_equal(found.support_, truth != 0)
    np.testing.assert_allclose(found.noise_variance_, 0.09, rtol=0.3)
    white = RelevanceVectorRegressor(correlation="auto").fit(*problem(n=2000)[:2])
    np.testing.assert_array_equal(white.correlation_, 0.0)


def test_coefficients_under_correlation_are_generalised_least_squares():
    X, Y, _truth = problem(n=200, rho=0.8)
    found = RelevanceVectorRegressor(correlation=0.8).fit(X, Y[:, 0])
    chosen = found.support_[0]
    lag = np.abs(np.subtract.outer(np.arange(200), np.arange(200)))
    weight = np.linalg.inv(0.8**lag)
    A = X[:, chosen]
    best = np.linalg.solve(A.T @ weight @ A, A.T @ weight @ Y[:, 0])
    error = np.sqrt(np.diag(found.covariance_))
    assert (np.abs(found.coef_[0, chosen] - best) < 0.02 * error).all()


@pytest.mark.parametrize(
    ("rho", "options"),
    [
        (0.0, {}),
        (0.9, {"correlation": "auto"}),
        (0.0, {"uncertainty": "sandwich"}),
        (0.5, {"uncertainty": "sandwich"}),
    ],
)
def test_intervals_cover_the_truth_given_the_right_terms(rho, options):
    inside, total = 0, 0
    for seed in range(120):
        X, Y, truth = problem(n=2000, seed=seed, rho=rho)
        found = RelevanceVectorRegressor(**options).fit(X, Y)
        if (found.support_ != (truth != 0)).any():
            continue
        z = (found.coef_ - truth)[found.support_] / np.sqrt(np.diag(found.covariance_))
        inside += int((np.abs(z) < 1.96).sum())
        total += len(z)
    assert total > 400
    assert 0.92 <= inside / total <= 0.98


# -- errors ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"criterion": "aic"}, "criterion must be one of"),
        ({"correlation": 1.5}, "correlation must be None, 'auto' or between -1 and 1; got 1.5"),
        ({"uncertainty": "none"}, "uncertainty must be"),
        ({"window": -1}, "window must be at least 0"),
    ],
)
def test_wrong_parameters_are_named(parameters, message):
    X, Y, _ = problem(n=40)
    with pytest.raises(ValueError, match=message):
        RelevanceVectorRegressor(**parameters).fit(X, Y)


def test_weights_and_an_order_in_time_exclude_each_other():
    X, Y, _ = problem(n=40)
    with pytest.raises(ValueError, match="sample_weight must be equal"):
        RelevanceVectorRegressor(correlation="auto").fit(X, Y, sample_weight=np.arange(40.0))


def test_the_default_of_sindy_and_the_relevance_vectors_agree_on_clean_data():
    X, Y, _truth = problem(noise=1e-3)
    np.testing.assert_array_equal(
        RelevanceVectorRegressor().fit(X, Y).support_, STLSQ().fit(X, Y).support_
    )
