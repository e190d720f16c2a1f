"""Ensembles: members are honest refits, and what they agree on is the law."""

import numpy as np
import pytest

from discover import STLSQ, EnsembleRegressor, PolynomialLibrary, SINDy, SymbolicModel
from discover.kernels.members import exclude_term
from discover.regression.base import ArrayRows


def problem(n=400, p=8, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) + 0.3 * rng.normal(size=(n, 1))
    truth = np.zeros((2, p))
    truth[0, [1, 4]] = [3.0, -0.7]
    truth[1, [0, 4, 6]] = [-1.0, 0.5, 2.0]
    return X, X @ truth.T + noise * rng.normal(size=(n, 2)), truth


def test_excluding_a_term_equals_refitting_without_it():
    rng = np.random.default_rng(0)
    A, y = rng.normal(size=(50, 6)), rng.normal(size=50)
    H = np.linalg.inv(A.T @ A)
    c = H @ A.T @ y
    terms = np.arange(6)
    before = ((y - A @ c) ** 2).sum()
    for k, j in ((6, 2), (5, 4), (4, 0)):
        gone = terms[j]
        rise = exclude_term(H, c, terms, j, k)
        rest = terms[: k - 1]
        assert gone not in rest
        best = np.linalg.lstsq(A[:, rest], y, rcond=None)[0]
        np.testing.assert_allclose(c[: k - 1], best, rtol=1e-10)
        after = ((y - A[:, rest] @ best) ** 2).sum()
        assert rise == pytest.approx(after - before, rel=1e-9)
        before = after


@pytest.mark.parametrize(
    "regressor",
    [
        STLSQ(),
        STLSQ(criterion="aicc"),
        STLSQ(0.1),
        STLSQ(0.3, threshold_on="coefficient"),
        STLSQ(forbidden={0: [1]}),
    ],
)
@pytest.mark.parametrize("by", ["rows", "terms", "both"])
def test_a_compiled_member_is_what_its_regressor_finds_on_the_weighted_rows(regressor, by):
    X, Y, _ = problem()
    X = X * 10.0 ** np.arange(-4, 4)
    ensemble = EnsembleRegressor(regressor, 6, by=by, random_state=1)
    found = ensemble.fit(X, Y)
    stats = ArrayRows(X, Y).statistics()
    rng = np.random.default_rng(1)
    draw = ensemble._draw(stats, np.ones((2, 8), dtype=bool), rng)
    for w, offered, member in zip(draw.weights, draw.offered, found.member_coef_, strict=True):
        rows = np.repeat(np.arange(400), w.repeat(2).astype(int))  # 200 blocks of two rows
        alone = ArrayRows(X[rows], Y[rows]).statistics(1)
        expected = regressor.fit_statistics(alone, allowed=offered).coefficients
        np.testing.assert_allclose(member, expected, rtol=1e-8)


def test_the_scatter_of_the_members_is_the_standard_error():
    inside, total = 0, 0
    for seed in range(60):
        X, Y, truth = problem(seed=seed)
        found = EnsembleRegressor(n_members=200, random_state=seed).fit(X, Y)
        if (found.support_ != (truth != 0)).any():
            continue
        z = (found.coef_ - truth)[found.support_] / np.sqrt(np.diag(found.covariance_))
        inside += int((np.abs(z) < 1.96).sum())
        total += len(z)
    assert total > 200
    assert 0.90 < inside / total < 0.98


def test_blocks_carry_correlated_errors_where_rows_do_not():
    from scipy.signal import lfilter

    rng = np.random.default_rng(0)
    z = []
    for seed in range(40):
        X = lfilter([1.0], [1.0, -0.95], rng.normal(size=(20000, 2)), axis=0)
        y = X @ [1.0, -1.0] + lfilter([1.0], [1.0, -0.95], rng.normal(size=20000))
        found = EnsembleRegressor(STLSQ(0.0), 200, random_state=seed).fit(X, y)
        z.append((found.coef_[0] - [1.0, -1.0]) / np.sqrt(np.diag(found.covariance_)))
    # independent rows would make these 4.4 times too large: sqrt((1 + r) / (1 - r)), r = .95^2
    assert 0.8 < np.std(z) < 1.25


@pytest.mark.parametrize("aggregate", ["median", "mean", "stability"])
def test_support_and_probabilities_do_not_depend_on_units(aggregate):
    X, Y, truth = problem()
    ensemble = EnsembleRegressor(n_members=50, aggregate=aggregate, random_state=0)
    plain = ensemble.fit(X, Y)
    probabilities, coefficients = plain.inclusion_probabilities_, plain.coef_
    scale = 10.0 ** np.array([3, -2, 5, 0, -7, 1, 2, -4])
    other = ensemble.fit(X * scale, Y * [1e6, 1e-6])
    np.testing.assert_array_equal(other.inclusion_probabilities_, probabilities)
    np.testing.assert_array_equal(other.support_, truth != 0)
    expected = coefficients * [[1e6], [1e-6]] / scale
    np.testing.assert_allclose(other.coef_, expected, rtol=1e-9)


def test_stability_selection_keeps_its_bound_on_noise_alone():
    false, bound = 0, 0.0
    rng = np.random.default_rng(0)
    for seed in range(40):
        found = EnsembleRegressor(
            STLSQ(criterion="aicc"), 50, aggregate="stability", inclusion=0.75, random_state=seed
        ).fit(rng.normal(size=(200, 20)), rng.normal(size=200))
        false += int(found.support_.sum())
        bound += float(found.false_terms_bound_[0])
    assert false <= bound


def test_stability_coefficients_are_least_squares_on_all_rows():
    X, Y, truth = problem()
    found = EnsembleRegressor(aggregate="stability", random_state=0).fit(X, Y)
    for coefficients, true, y in zip(found.coef_, truth, Y.T, strict=True):
        best = np.linalg.lstsq(X[:, true != 0], y, rcond=None)[0]
        np.testing.assert_allclose(coefficients[true != 0], best, rtol=1e-12)


def test_neither_the_number_of_workers_nor_the_compiled_road_matters():
    X, Y, _ = problem()
    # a ridge is nothing that compiled members know of; one this small changes nothing
    general = STLSQ(0.05, ridge=1e-14)
    fits = [
        EnsembleRegressor(regressor, 12, by="both", random_state=3, n_jobs=n_jobs).fit(X, Y)
        for regressor, n_jobs in ((STLSQ(0.05), None), (STLSQ(0.05), 2), (general, 1), (general, 2))
    ]
    compiled, compiled_2, slow, slow_2 = (fit.member_coef_ for fit in fits)
    np.testing.assert_array_equal(compiled, compiled_2)
    np.testing.assert_array_equal(slow, slow_2)
    np.testing.assert_allclose(compiled, slow, rtol=1e-8)


def test_members_are_laws_of_their_own():
    names = ["x", "y", "z"]
    truth = np.zeros((3, 10))
    truth[[0, 0, 1, 1, 1, 2, 2], [1, 2, 1, 2, 6, 3, 5]] = -10, 10, 28, -1, -1, -8 / 3, 1
    lorenz = SymbolicModel(PolynomialLibrary(2).build(names), truth, names)
    t = np.arange(3000) * 0.005
    X = np.asarray(lorenz.simulate([-5, -4, 25], t))
    X += 0.02 * X.std(axis=0) * np.random.default_rng(0).normal(size=X.shape)
    model = SINDy(regressor=EnsembleRegressor(n_members=30, random_state=0), names=names).fit(X, t)
    np.testing.assert_array_equal(model.symbolic_.support, truth != 0)
    assert (model.inclusion_probabilities_[truth != 0] > 0.9).all()
    members = model.members_
    assert len(members) == 30
    assert len({m.coefficients[0, 1] for m in members}) > 20
    assert all(len(m.simulate([-5, -4, 25], t[:50]).states) == 50 for m in members[:3])
    with pytest.raises(AttributeError, match="EnsembleRegressor"):
        _ = SINDy(names=names).fit(X, t).members_


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_members": 0}, "n_members must be at least 1; got 0"),
        ({"by": "columns"}, "by must be one of"),
        ({"aggregate": "max"}, "aggregate must be one of"),
        ({"inclusion": 0.4, "aggregate": "stability"}, r"inclusion must be above 0\.5"),
        ({"by": "terms", "dropped": 8}, "dropped must leave out from 1 to 7 of 8 terms; got 8"),
    ],
)
def test_wrong_parameters_are_named(parameters, message):
    X, Y, _ = problem()
    with pytest.raises(ValueError, match=message):
        EnsembleRegressor(**parameters).fit(X, Y)
