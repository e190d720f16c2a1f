"""Best subsets: what brute force finds, without looking at everything."""

from itertools import combinations

import numpy as np
import pytest

from discover import STLSQ, BestSubsetRegressor
from discover.regression import criterion_values


@pytest.mark.parametrize("criterion", ["ebic", "bic", "aicc"])
@pytest.mark.parametrize("seed", range(3))
def test_the_best_supports_are_those_of_brute_force(criterion, seed):
    rng = np.random.default_rng(seed)
    n, p = 60, 9
    X = rng.normal(size=(n, p)) @ (np.eye(p) + 0.7 * rng.normal(size=(p, p)))
    y = X @ (rng.normal(size=p) * (rng.random(p) < 0.4)) + 2 * rng.normal(size=n)
    scored = []
    for k in range(p + 1):
        for terms in combinations(range(p), k):
            A = X[:, terms]
            rss = ((y - A @ np.linalg.lstsq(A, y, rcond=None)[0]) ** 2).sum() if k else (y**2).sum()
            score = criterion_values(criterion, np.array([rss / n]), np.array([k]), n, p)[0]
            scored.append((score, terms))
    expected = sorted(scored)[:10]
    path = BestSubsetRegressor(criterion, n_best=10).fit(X, y).estimate_.path
    assert [model.terms for model in path] == [terms for _, terms in expected]
    # criteria are known up to a constant: the unit of the target
    ours = [m.criterion - path[0].criterion for m in path]
    np.testing.assert_allclose(ours, [s - expected[0][0] for s, _ in expected], atol=1e-9)


def test_thirty_terms_are_searched_and_greedy_paths_never_beat_it():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(500, 30)) + 0.8 * rng.normal(size=(500, 1))
    y = X[:, :4] @ [1.0, -0.5, 0.4, 0.3] + rng.normal(size=500)
    best = BestSubsetRegressor().fit(X, y)
    greedy = STLSQ().fit(X, y)
    chosen = min(c.criterion for c in greedy.estimate_.path)
    assert best.estimate_.path[0].criterion <= chosen + 1e-9


def test_units_do_not_matter():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(100, 8))
    Y = X[:, [1, 5]] @ [[1.0, 2.0], [0.0, -1.0]] + rng.normal(size=(100, 2))
    scale = 10.0 ** rng.integers(-8, 9, size=8)
    a = BestSubsetRegressor().fit(X, Y)
    support, coefficients = a.support_, a.coef_
    b = BestSubsetRegressor().fit(X * scale, Y * [1e7, 1e-7])
    np.testing.assert_array_equal(b.support_, support)
    np.testing.assert_allclose(b.coef_, coefficients * [[1e7], [1e-7]] / scale, rtol=1e-9)
