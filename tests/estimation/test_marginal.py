"""The elimination of a trajectory: dense formulas, Kalman smoothers, NumPy twins."""

import numpy as np
import pytest

from discover.estimation.collocation import Grid, collocation_weights, linearize
from discover.estimation.marginal import BandedInformation, Sensitivities
from discover.estimation.search import InformationSearch
from discover.exceptions import NotIdentifiableError
from discover.kernels.collocation import law_at_points
from discover.libraries import PolynomialLibrary, SymbolicLibrary


@pytest.fixture
def residuals():
    """Local residuals of a random linear problem with 40 unknowns and 6 parameters."""
    rng = np.random.default_rng(3)
    n, width, n_rows = 40, 7, 60
    first = np.sort(rng.integers(0, n - width + 1, n_rows))
    J, r = rng.normal(size=(n_rows, width)), rng.normal(size=n_rows)
    weight = rng.uniform(0.5, 2.0, n_rows)
    B = Sensitivities(
        rng.normal(size=(30, 3)), np.arange(n_rows) // 2, 3 * (np.arange(n_rows) % 2), 6
    )
    dense_J, dense_B = np.zeros((n_rows, n)), np.zeros((n_rows, 6))
    for k in range(n_rows):
        dense_J[k, first[k] : first[k] + width] = J[k]
        dense_B[k, B.offset[k] : B.offset[k] + 3] = B.columns[B.source[k]]
    info = BandedInformation(n, width)
    info.add(first, J, r, weight)
    info.add_direct(np.arange(n) / n, np.full(n, 0.3))
    H = dense_J.T @ (dense_J * weight[:, None]) + 0.3 * np.eye(n)
    g = dense_J.T @ (weight * r) + 0.3 * np.arange(n) / n
    return info, (first, J, r, weight, B), (dense_J, dense_B, H, g)


def test_marginal_normal_equations_equal_the_dense_schur_complement(residuals):
    info, (first, J, r, weight, B), (dense_J, dense_B, H, g) = residuals
    info.factor()
    reduction, gradient, cost = info.eliminated(first, J, weight, B)
    G, b = B.products(r, weight)
    R = dense_J.T @ (weight[:, None] * dense_B)
    expected = dense_B.T @ (weight[:, None] * dense_B) - R.T @ np.linalg.solve(H, R)
    np.testing.assert_allclose(G - reduction, expected, rtol=1e-10, atol=1e-10)
    right = dense_B.T @ (weight * r) - R.T @ np.linalg.solve(H, g)
    np.testing.assert_allclose(b - gradient, right, rtol=1e-10, atol=1e-10)
    assert cost == pytest.approx(g @ np.linalg.solve(H, g))
    step = np.linspace(-1, 1, 6)
    back = info.gradient + info.coupling(first, J, weight, B.applied(step))
    np.testing.assert_allclose(back, g + R @ step, atol=1e-11)


def test_solutions_variances_and_determinant_are_those_of_the_dense_matrix(residuals):
    info, _, (_, _, H, g) = residuals
    info.factor()
    np.testing.assert_allclose(info.solve(g), np.linalg.solve(H, g), atol=1e-11)
    np.testing.assert_allclose(info.variances(), np.diag(np.linalg.inv(H)), rtol=1e-10)
    assert info.log_determinant == pytest.approx(np.linalg.slogdet(H)[1])


def test_long_trajectories_are_eliminated_in_stretches_without_a_seam():
    n, width = 1500, 5  # three stretches of 512
    rng = np.random.default_rng(0)
    first = np.arange(n - width + 1)
    J, weight = rng.normal(size=(len(first), width)), np.ones(len(first))
    B = Sensitivities(rng.normal(size=(len(first), 2)), first, np.zeros(len(first), int), 2)
    info = BandedInformation(n, width)
    info.add(first, J, np.zeros(len(first)), weight)
    info.add_direct(np.zeros(n), np.ones(n))
    info.factor()
    reduction, _, _ = info.eliminated(first, J, weight, B)
    R = np.column_stack([info.coupling(first, J, weight, column) for column in B.columns.T])
    solved = np.column_stack([info.solve(column) for column in R.T])
    np.testing.assert_allclose(reduction, R.T @ solved, rtol=1e-10)


def test_a_linear_gaussian_model_gives_the_kalman_smoother():
    rng = np.random.default_rng(5)
    F = np.array([[0.9, 0.3], [-0.3, 0.9]])
    Q, R, n = np.diag([0.04, 0.09]), np.diag([0.5, 0.25]), 25
    y = rng.normal(size=(n, 2))
    mean, smooth_P = _smoothed_by_kalman(F, Q, R, y)
    info = BandedInformation(2 * n, 4)
    rows = np.repeat(2 * np.arange(n - 1), 2)
    J = np.tile(np.hstack([-F, np.eye(2)]), (n - 1, 1))
    info.add(rows, J, np.zeros(len(rows)), np.tile(1 / np.diag(Q), n - 1))
    info.add_direct(-y.ravel(), np.tile(1 / np.diag(R), n))
    info.factor()
    np.testing.assert_allclose(-info.solve(info.gradient).reshape(n, 2), mean, atol=1e-9)
    np.testing.assert_allclose(info.variances().reshape(n, 2), smooth_P, rtol=1e-7)


def _smoothed_by_kalman(F, Q, R, y):
    """Smooth backwards after filtering, from a nearly flat prior."""
    n, I2 = len(y), np.eye(2)
    m, P, means, covs = np.zeros(2), 1e9 * I2, [], []
    predicted = []
    for k in range(n):
        if k:
            m, P = F @ m, F @ P @ F.T + Q
        predicted.append((m, P))
        K = P @ np.linalg.inv(P + R)
        m, P = m + K @ (y[k] - m), (I2 - K) @ P @ (I2 - K).T + K @ R @ K.T
        means.append(m)
        covs.append(P)
    for k in range(n - 2, -1, -1):
        m1, P1 = predicted[k + 1]
        G = covs[k] @ F.T @ np.linalg.inv(P1)
        means[k] = means[k] + G @ (means[k + 1] - m1)
        covs[k] = covs[k] + G @ (covs[k + 1] - P1) @ G.T
    return np.array(means), np.array([np.diag(P) for P in covs])


def test_an_open_direction_is_named():
    info = BandedInformation(6, 2)
    with pytest.raises(NotIdentifiableError, match="unknown 0"):
        info.factor()


def test_inner_collocation_weights_are_the_published_ones():
    first, weights = collocation_weights(np.arange(12.0))
    expected = np.array([11, -93, 802, 802, -93, 11]) / 1440
    np.testing.assert_allclose(weights[2:-2], np.tile(expected, (7, 1)), atol=1e-14)
    assert first.tolist() == [0, 0, 0, 1, 2, 3, 4, 5, 6, 6, 6]


@pytest.mark.parametrize(("points", "order"), [(6, 6), (8, 8)])
def test_collocation_has_its_order_everywhere_on_an_uneven_grid(points, order):
    errors = []
    for n in (41, 81):
        s = np.linspace(0, 1, n)
        t = 2 * s + 0.2 * np.sin(2 * np.pi * s) / np.pi
        first, weights = collocation_weights(t, points)
        found = (weights * np.cos(3 * t)[first[:, None] + np.arange(points)]).sum(axis=1)
        errors.append(np.abs(found - np.diff(np.sin(3 * t)) / 3).max())
    assert np.log2(errors[0] / errors[1]) > order + 0.4  # the error of one interval: order + 1


def test_halved_intervals_keep_samples_and_read_cubics_exactly():
    t = np.array([0.0, 1.0, 1.5, 3.0, 3.5, 4.0, 5.0, 6.0])
    y = np.column_stack([t**3, 1 - t])
    slope = np.column_stack([3 * t**2, -np.ones(8)])
    finer, x = Grid(t, np.empty((8, 0)), y).split(np.array([0, 2, 6]), y, slope)
    np.testing.assert_allclose(x, np.column_stack([finer.times**3, 1 - finer.times]), atol=1e-12)
    np.testing.assert_array_equal(finer.times[finer.measured[:, 0]], t)


def test_laws_at_points_agree_with_the_term_table():
    table = (
        SymbolicLibrary("1, x, x*y, sin(y)*u, x**2/(1 + y**2)").fit_names(["x", "y", "u"]).table_
    )
    rng = np.random.default_rng(1)
    X, coefficients = rng.normal(size=(9, 3)), rng.normal(size=(5, 2))
    coefficients[[0, 3], [1, 0]] = 0.0
    f, slopes = np.empty((9, 2)), np.empty((9, 2, 2))
    law_at_points(table.program, table.constants, table.outputs, coefficients, X, f, slopes)
    np.testing.assert_allclose(f, table.evaluate(X) @ coefficients, atol=1e-14)
    expected = np.einsum("npj,pi->nij", table.jacobian(X)[:, :, :2], coefficients)
    np.testing.assert_allclose(slopes, expected, atol=1e-13)


def test_defects_are_differentiated_by_trajectory_and_coefficients():
    rng = np.random.default_rng(2)
    table = PolynomialLibrary(2).fit_names(["x", "y"]).table_
    t = np.cumsum(rng.uniform(0.05, 0.15, 10))
    x, C = rng.normal(size=(10, 2)), rng.normal(size=(6, 2))
    grid = Grid(t, np.empty((10, 0)), x)
    run = linearize(grid, table, C, x)
    dx, dC = 1e-6 * rng.normal(size=x.shape), 1e-6 * rng.normal(size=C.shape)
    up = linearize(grid, table, C + dC, x + dx)
    down = linearize(grid, table, C - dC, x - dx)
    B = run.sensitivities(table)
    reach = run.rows[:, None] + np.arange(run.J.shape[1])
    linear = (run.J * dx.ravel()[reach]).sum(axis=1) + B.applied(dC.T.ravel())
    np.testing.assert_allclose((up.r - down.r) / 2, linear, rtol=1e-6, atol=1e-12)
    support = np.zeros((2, 6), dtype=bool)
    support[0, [1, 4]] = support[1, [0, 2, 5]] = True
    few = run.sensitivities(table, support)
    np.testing.assert_allclose(
        few.applied(np.concatenate([dC.T[0, support[0]], [0.0], dC.T[1, support[1]]])),
        B.applied(np.where(support, dC.T, 0.0).ravel()),
        atol=1e-18,
    )


def test_search_finds_the_best_of_all_supports():
    rng = np.random.default_rng(8)
    n = 7
    X = rng.normal(size=(60, n)) @ (np.eye(n) + 0.6)
    y = X @ np.array([0, 1.0, 0, 0, -0.8, 0.5, 0]) + 0.5 * rng.normal(size=60)
    search = InformationSearch(X.T @ X / 0.25, X.T @ y / 0.25)
    costs = {}
    for code in range(2**n):
        support = np.array([code >> j & 1 for j in range(n)], dtype=bool)
        costs[code] = search.solve(support)[2] + 8.0 * support.sum()
        if support.any():
            exact = np.linalg.lstsq(X[:, support], y)[0]
            np.testing.assert_allclose(search.solve(support)[0][support], exact, atol=1e-8)
    best = min(costs, key=costs.get)
    found = search.best(np.full(n, 8.0))
    assert int(sum(2**j for j in np.flatnonzero(found))) == best


def test_search_honours_terms_that_must_stay_and_must_not_enter():
    rng = np.random.default_rng(8)
    X = rng.normal(size=(50, 4))
    y = X @ np.array([2.0, 0, 0, 1])
    allowed, kept = np.array([True, True, True, False]), np.array([False, True, False, False])
    found = InformationSearch(X.T @ X, X.T @ y, allowed, kept).best(np.full(4, 5.0))
    assert found[0]
    assert found[1]
    assert not found[3]


def test_the_best_pair_is_one_of_terms_that_may_enter():
    rng = np.random.default_rng(9)
    X = rng.normal(size=(50, 5))
    X[:, 1] = 0.0  # a term that is zero everywhere
    y = X @ np.array([2.0, 0, 1.0, 0, 5.0])
    search = InformationSearch(X.T @ X, X.T @ y, np.array([True, True, True, True, False]))
    np.testing.assert_array_equal(np.flatnonzero(search.best_pair()), [0, 2])
