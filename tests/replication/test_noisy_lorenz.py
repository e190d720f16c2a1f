"""Lorenz from one run of 1,000 samples, at noise levels the literature reports."""

import numpy as np
import pytest

from discover import PolynomialLibrary, SINDy
from discover.dynamics import load_system

TIMES = 0.01 * np.arange(1000)
TERMS = {(0, "x"), (0, "y"), (1, "x"), (1, "y"), (1, "x*z"), (2, "z"), (2, "x*y")}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clean():
    model = load_system("Lorenz").model
    return np.asarray(model.simulate([-8.0, 7.0, 27.0], TIMES, rtol=1e-10, atol=1e-10).states)


def is_right(data, degree):
    found = SINDy(PolynomialLibrary(degree), method="joint", names=["x", "y", "z"])
    law = found.fit(data, TIMES).symbolic_
    return {(int(i), law.term_names[j]) for i, j in np.argwhere(law.support)} == TERMS


def successes(clean, scale, degree):
    draws = (np.random.default_rng(seed).standard_normal(clean.shape) for seed in range(10))
    return sum(is_right(clean + scale * draw, degree) for draw in draws)


def test_thirty_percent_of_the_pooled_deviation(clean):
    """The hardest setting of ODR-BINDy (Fung, arXiv 2507.23426, 2025)."""
    assert successes(clean, 0.3 * clean.std(), degree=2) >= 9


def test_ten_percent_with_all_terms_of_degree_five(clean):
    assert successes(clean, 0.1 * clean.std(axis=0), degree=5) >= 9


def test_outliers_of_ten_deviations_in_five_percent_of_the_samples(clean):
    right = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        data = clean + 0.01 * clean.std(axis=0) * rng.standard_normal(clean.shape)
        wrong = rng.random(clean.shape) < 0.05
        wild = 10 * clean.std(axis=0) * rng.standard_normal(clean.shape)
        right += is_right(np.where(wrong, data + wild, data), degree=2)
    assert right >= 9
