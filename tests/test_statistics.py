"""Sufficient statistics: additive, exact, and as good as the rows themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discover import STLSQ, PolynomialLibrary, SymbolicLibrary
from discover.problems import Problem
from discover.regression.base import ArrayRows, identify
from discover.statistics import accumulate, orthogonalize
from discover.statistics.monomials import plan_moments


def rows(n=500, p=6, q=2, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * scale
    return X, X[:, :q] * 3 + rng.normal(size=(n, q))


@given(
    st.integers(1, 400), st.integers(1, 7), st.integers(0, 2**31), st.integers(1, 50),
    st.lists(st.integers(-30, 30), min_size=5, max_size=5),
)  # fmt: skip
def test_moments_are_those_of_the_rows(n, q, seed, n_blocks, powers):
    X, Y = rows(n, 5, min(q, 5), seed, 10.0 ** np.array(powers))
    stats = accumulate(ArrayRows(X, Y), n_blocks=n_blocks)
    Z = np.concatenate([X, Y], axis=1)
    unscaled = stats.total * np.outer(stats.scale, stats.scale)
    length = np.linalg.norm(Z, axis=0)
    np.testing.assert_allclose(unscaled / np.outer(length, length),
                               (Z / length).T @ (Z / length), atol=1e-13)  # fmt: skip
    assert stats.n_samples == n
    assert (np.frexp(stats.scale)[0] == 0.5).all()  # powers of two: exact


def test_sum_of_parts_is_the_whole_whatever_their_scales():
    X, Y = rows(600)
    X[300:] *= 1e4
    whole = accumulate(ArrayRows(X, Y))
    parts = accumulate(ArrayRows(X[:250], Y[:250])) + accumulate(ArrayRows(X[250:], Y[250:]))
    unit = np.outer(parts.scale, parts.scale) / np.outer(whole.scale, whole.scale)
    np.testing.assert_allclose(parts.total * unit, whole.total, rtol=1e-12)
    assert parts.n_samples == 600


@pytest.mark.parametrize("exactly", [False, True])
def test_shifted_targets_are_those_of_shifted_rows(exactly):
    X, Y = rows(300)
    X[:, 1] *= 1e5
    change = np.arange(12.0).reshape(2, 6)
    one, other = (accumulate(ArrayRows(X, y), lags=True) for y in (Y, Y + X @ change.T))
    if exactly:
        one, other = (
            orthogonalize(ArrayRows(X, y), s) for y, s in ((Y, one), (Y + X @ change.T, other))
        )
    found, wanted = one.shifted(change), other.rescaled(one.exponents)
    for name in ("moments", "lagged", "ends", "triangle"):
        a, b = getattr(found, name), getattr(wanted, name)
        np.testing.assert_allclose(np.abs(a), np.abs(b), rtol=1e-9, atol=1e-9 * np.abs(b).max())


def test_reweighted_blocks_are_repeated_rows():
    X, Y = rows(400)
    stats = accumulate(ArrayRows(X, Y), n_blocks=4)
    doubled = stats.reweighted(np.array([2.0, 0.0, 1.0, 1.0]))
    again = np.r_[0:100, 0:100, 200:400]
    direct = accumulate(ArrayRows(X[again], Y[again]), exponents=stats.exponents)
    np.testing.assert_allclose(doubled.total, direct.total, rtol=1e-12)
    assert doubled.n_samples == 400


@pytest.mark.parametrize("rho", [-0.5, 0.3, 0.95])
@pytest.mark.parametrize("n_blocks", [1, 3])
def test_whitening_equals_dense_generalised_least_squares(rho, n_blocks):
    X, Y = rows(30, 3, 1)
    stats = accumulate(ArrayRows(X, Y), n_blocks=n_blocks, lags=True).whitened(rho)
    Z = np.concatenate([X, Y], axis=1) / stats.scale
    expected = np.zeros((4, 4))
    for part in np.array_split(Z, n_blocks):
        n = len(part)
        covariance = rho ** np.abs(np.subtract.outer(np.arange(n), np.arange(n))) / (1 - rho**2)
        expected += part.T @ np.linalg.solve(covariance, part)
    np.testing.assert_allclose(stats.total, expected, rtol=1e-10, atol=1e-12)


def test_lags_do_not_cross_runs():
    X, Y = rows(60, 2, 1)
    source = ArrayRows(X, Y)
    source.edges = np.array([0, 25, 60])
    stats = accumulate(source, n_blocks=1, lags=True)
    Z = np.concatenate([X, Y], axis=1) / stats.scale
    expected = Z[:24].T @ Z[1:25] + Z[25:59].T @ Z[26:60]
    np.testing.assert_allclose(stats.lagged[0], expected, rtol=1e-12)


def collinear(condition, n=2000, p=8, seed=0):
    rng = np.random.default_rng(seed)
    U = np.linalg.qr(rng.normal(size=(n, p)))[0]
    V = np.linalg.qr(rng.normal(size=(p, p)))[0]
    return U * np.geomspace(1, 1 / condition, p) @ V.T


@pytest.mark.parametrize("condition", [1e1, 1e4, 1e6, 1e9])
def test_condition_number_is_that_of_the_unit_norm_columns(condition):
    X = collinear(condition)
    source = ArrayRows(X, X[:, :1])
    stats = accumulate(source)
    if condition > 1e6:
        stats = orthogonalize(source, stats)
    expected = np.linalg.cond(X / np.linalg.norm(X, axis=0))
    assert stats.condition_number == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("condition", [1e1, 1e3, 1e5, 1e7, 1e9])
@pytest.mark.parametrize("noise", [0.0, 1e-3, 1.0])
def test_no_digit_is_lost_to_the_gram_matrix(condition, noise):
    X = collinear(condition)
    rng = np.random.default_rng(1)
    y = X @ np.arange(1.0, 9.0) + noise * np.std(X) * rng.normal(size=len(X))
    unit = np.linalg.norm(X, axis=0)
    found = STLSQ(0.0).fit(X, y).coef_[0] * unit
    best = np.linalg.lstsq(X / unit, y, rcond=None)[0]
    limit = 10 * np.finfo(float).eps * np.linalg.cond(X / unit)
    assert np.linalg.norm(found - best) <= limit * np.linalg.norm(best)


def test_factors_of_parts_add_up():
    X = collinear(1e8)
    y = X @ np.ones(8)
    halves = [ArrayRows(X[:900], y[:900, None]), ArrayRows(X[900:], y[900:, None])]
    parts = [orthogonalize(half, accumulate(half)) for half in halves]
    merged = parts[0] + parts[1]
    whole = ArrayRows(X, y[:, None])
    estimate = identify(whole, merged, STLSQ(0.0))
    np.testing.assert_allclose(estimate.coefficients[0], 1.0, rtol=1e-6)


def test_many_parts_do_not_grow_without_bound():
    X, Y = rows(40)
    stats = accumulate(ArrayRows(X, Y))
    total = stats
    for _ in range(20):
        total = total + stats
    assert total.n_blocks <= 200
    assert total.n_samples == 21 * 40


@pytest.mark.parametrize(("degree", "n_inputs"), [(4, 3), (5, 3), (7, 2)])
@pytest.mark.parametrize("bias", [True, False])
def test_distinct_products_give_the_moments_of_the_rows(degree, n_inputs, bias):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1300, n_inputs)) * [1e6, 1e-3, 1.0][:n_inputs]
    y = rng.normal(size=(1300, 2))
    names = tuple(f"x{i}" for i in range(n_inputs))
    table = PolynomialLibrary(degree, include_bias=bias).build(names)
    problem = Problem(
        x, y, names, ("a", "b"), "continuous", None, np.array([0, 1300]), 1300.0, np.zeros(2)
    )
    source = problem.source(table)
    assert plan_moments(source.monomials.powers, 2) is not None
    fast = accumulate(source, n_blocks=7)
    slow = accumulate(ArrayRows(table.evaluate(x), y), n_blocks=7, exponents=fast.exponents)
    length = np.sqrt(np.diag(slow.total))
    np.testing.assert_allclose(
        fast.moments / np.outer(length, length), slow.moments / np.outer(length, length),
        atol=1e-13,
    )  # fmt: skip


def test_terms_that_are_not_monomials_or_do_not_repeat_take_the_plain_road():
    inputs = ("x0", "x1")
    assert SymbolicLibrary("x0, sin(x1)").build(inputs).powers() is None
    assert SymbolicLibrary("x0, 2*x1").build(inputs).powers() is None
    assert plan_moments(PolynomialLibrary(1).build(inputs).powers(), 1) is None
