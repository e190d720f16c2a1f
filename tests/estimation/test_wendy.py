"""The re-weighted weak form."""

import numpy as np

from discover import PolynomialLibrary, SINDy

OMEGA = 2.0
TIMES = np.linspace(0, 12, 600)


def oscillator(level, seed):
    x = np.column_stack([np.cos(OMEGA * TIMES), -np.sin(OMEGA * TIMES)])
    return x + level * np.random.default_rng(seed).standard_normal(x.shape)


def test_an_oscillator_is_recovered_and_its_intervals_cover_the_truth():
    z = []
    for seed in range(20):
        found = SINDy(PolynomialLibrary(1), method="wendy").fit(oscillator(0.03, seed), TIMES)
        support = found.estimate_.support
        if seed < 5:
            assert np.flatnonzero(support[0]).tolist() == [2]
            assert np.flatnonzero(support[1]).tolist() == [1]
        if support.sum() == 2 and support[0, 2] and support[1, 1]:
            values = found.estimate_.coefficients[[0, 1], [2, 1]]
            z.append((values - [OMEGA, -OMEGA]) / np.sqrt(np.diag(found.estimate_.covariance)))
    z = np.concatenate(z)
    assert 0.85 <= np.mean(np.abs(z) < 1.96) <= 1.0
    assert 0.5 < z.std() < 1.5


def test_units_do_not_matter():
    data = oscillator(0.03, 3)
    plain = SINDy(PolynomialLibrary(1), method="wendy").fit(data, TIMES)
    scaled = SINDy(PolynomialLibrary(1), method="wendy").fit(data * [1e3, 1e-3], 60 * TIMES)
    np.testing.assert_array_equal(plain.estimate_.support, scaled.estimate_.support)
    assert plain.method_ == "re-weighted weak form"
