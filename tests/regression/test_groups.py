"""One support for several experiments, coefficients for each."""

import numpy as np
import pytest

from discover import STLSQ
from discover.regression import fit_groups
from discover.regression.base import ArrayRows


def experiments(n=60, noise=1.0):
    rng = np.random.default_rng(0)
    groups, truths = {}, {}
    for label in ("a", "b", "c", "d", "e", "f"):
        X = rng.normal(size=(n, 8))
        truth = np.zeros((2, 8))
        truth[0, [1, 4]] = rng.uniform(0.25, 0.6, 2) * rng.choice([-1, 1], 2)
        truth[1, [0, 6]] = rng.uniform(0.25, 0.6, 2)
        groups[label] = ArrayRows(X, X @ truth.T + noise * rng.normal(size=(n, 2))).statistics()
        truths[label] = truth
    return groups, truths


def test_experiments_together_find_the_terms_that_none_finds_alone():
    groups, truths = experiments()
    found = fit_groups(groups)
    alone = [STLSQ().fit_statistics(stats).support for stats in groups.values()]
    expected = truths["a"] != 0
    assert sum((support == expected).all() for support in alone) < 3
    for label, estimate in found.items():
        np.testing.assert_array_equal(estimate.support, expected)
        error = np.sqrt(np.diag(estimate.covariance))
        z = (estimate.coefficients - truths[label])[expected] / error
        assert np.abs(z).max() < 4


def test_one_group_is_one_regression_and_different_terms_are_refused():
    groups, _ = experiments(noise=0.1)
    found = fit_groups({"a": groups["a"]})["a"]
    np.testing.assert_array_equal(found.support, STLSQ().fit_statistics(groups["a"]).support)
    other = ArrayRows(np.ones((5, 2)), np.ones((5, 2))).statistics()
    with pytest.raises(ValueError, match="same terms and targets"):
        fit_groups({"a": groups["a"], "b": other})
