"""Noise with a memory: its likelihood, its estimate, and what it means for a law."""

import numpy as np
import pytest

from discover import JointFit, PolynomialLibrary, SINDy
from discover.dynamics.catalogue import load_system
from discover.estimation.collocation import Grid
from discover.estimation.coloured import NoiseMoments, memory_of
from discover.estimation.marginal import BandedInformation
from discover.exceptions import DataWarning

TIMES = np.arange(1500) * 0.01


def remembering(t, time, rng, d=1):
    """Draw an Ornstein-Uhlenbeck process of unit variance."""
    e = rng.standard_normal((len(t), d))
    for k in range(1, len(t)):
        phi = np.exp(-(t[k] - t[k - 1]) / time)
        e[k] = phi * e[k - 1] + np.sqrt(1 - phi**2) * e[k]
    return e


@pytest.fixture(scope="module")
def lorenz():
    return np.asarray(load_system("Lorenz").model.simulate([-8.0, 7.0, 27.0], TIMES).states)


def test_information_of_remembering_noise_is_that_of_its_dense_covariance():
    rng = np.random.default_rng(0)
    t = np.cumsum(rng.uniform(0.5, 1.5, 14))
    y = rng.normal(size=(14, 2))
    y[[2, 3, 7], 0] = y[5, 1] = np.nan
    grid, times, sigma = Grid(t, np.empty((14, 0)), y), np.array([2.0, 0.0]), np.array([0.5, 2.0])
    memory = memory_of(grid, times)
    misfit = np.where(grid.measured, -y, 0.0)
    precision = grid.measured / sigma**2 / memory.new_share
    info = BandedInformation(28, memory.reach * 2 + 1)
    memory.inform(info, misfit, precision)
    H, half = np.zeros((28, 28)), info.band.shape[1] - 1
    for r in range(28):
        for c in range(max(0, r - half), r + 1):
            H[r, c] = H[c, r] = info.band[r, half + c - r]
    expected, gradient, cost = np.zeros((28, 28)), np.zeros(28), 0.0
    for i in range(2):
        seen = np.flatnonzero(grid.measured[:, i])
        lags = np.abs(t[seen, None] - t[seen])
        C = sigma[i] ** 2 * (np.exp(-lags / times[i]) if times[i] else np.eye(len(seen)))
        place = np.ix_(2 * seen + i, 2 * seen + i)
        expected[place] = np.linalg.inv(C)
        gradient[2 * seen + i] = np.linalg.solve(C, misfit[seen, i])
        cost += misfit[seen, i] @ np.linalg.solve(C, misfit[seen, i])
    np.testing.assert_allclose(H, expected, atol=1e-12)
    np.testing.assert_allclose(info.gradient, gradient, atol=1e-12)
    assert (precision * memory.innovations(misfit) ** 2).sum() == pytest.approx(cost)


def moments_of(e, t):
    lags = np.diff(t)
    return NoiseMoments(e[:1] ** 2, e[1:] ** 2, e[1:] * e[:-1], e[:-1] ** 2, lags)


def test_correlation_times_are_found_at_irregular_times_and_not_imagined():
    rng = np.random.default_rng(1)
    t = np.cumsum(rng.uniform(0.5, 1.5, 8000))
    e = 3.0 * remembering(t, 12.0, rng)[:, 0]
    found = moments_of(e, t).correlation_time()
    assert found == pytest.approx(12.0, rel=0.12)
    assert moments_of(e, t).variance(found) == pytest.approx(9.0, rel=0.1)
    white = rng.standard_normal(8000)
    assert moments_of(white, t).correlation_time() == 0.0
    opposed = white[1:] - 0.8 * white[:-1]  # negatively correlated: no memory of this kind
    assert moments_of(opposed, t[1:]).correlation_time() == 0.0


def test_a_law_is_found_in_noise_with_a_memory_which_white_noise_would_hide(lorenz):
    rng = np.random.default_rng(3)
    noise = 0.05 * lorenz.std(axis=0)
    y = lorenz + noise * remembering(TIMES, 0.1, rng, 3)
    y[rng.random(y.shape) < 0.1] = np.nan
    truth = {(0, 1), (0, 2), (1, 1), (1, 2), (1, 6), (2, 3), (2, 5)}

    def terms(found):
        return {(int(i), int(j)) for i, j in np.argwhere(found.estimate_.support)}

    found = SINDy(PolynomialLibrary(2)).fit(y, TIMES)  # by itself
    assert terms(found) == truth
    assert "it is correlated" in found.method_
    np.testing.assert_allclose(found.estimate_.noise_memory, 0.1, rtol=0.35)
    np.testing.assert_allclose(found.estimate_.measurement_noise, noise, rtol=0.2)
    z = found.estimate_.coefficients[found.estimate_.support] - [-10, 10, 28, -1, -1, -8 / 3, 1]
    assert np.abs(z / np.sqrt(np.diag(found.estimate_.covariance))).max() < 4
    told = SINDy(PolynomialLibrary(2), method=JointFit(noise_memory=0.1)).fit(y, TIMES)
    assert terms(told) == truth
    white = SINDy(PolynomialLibrary(2), method=JointFit(noise_memory=None)).fit(y, TIMES)
    assert terms(white) != truth


def test_white_noise_stays_white(lorenz):
    y = lorenz + 0.1 * lorenz.std(axis=0) * np.random.default_rng(5).standard_normal(lorenz.shape)
    found = SINDy(PolynomialLibrary(2), method="joint").fit(y, TIMES).estimate_
    assert found.noise_memory is None
    assert not found.correlation_left.any()


def test_a_wrong_law_is_not_taken_for_coloured_noise():
    t = np.arange(1500) * 0.02
    x = np.empty((len(t), 2))
    x[0] = 2.4, 0.0
    for k in range(1, len(t)):  # a damped pendulum, by small steps
        angle, rate = x[k - 1]
        for _ in range(20):
            rate += 0.001 * (-0.25 * rate - 6.0 * np.sin(angle))
            angle += 0.001 * rate
        x[k] = angle, rate
    y = x + 0.02 * x.std(axis=0) * np.random.default_rng(0).standard_normal(x.shape)
    with pytest.warns(DataWarning, match="given up for the weak form"):
        found = SINDy(PolynomialLibrary(2)).fit(y, t)
    assert found.score(x, t) > 0.95


def test_a_memory_that_is_none_is_refused(lorenz):
    with pytest.raises(ValueError, match="noise_memory must be 'auto'"):
        SINDy(method=JointFit(noise_memory=[1.0, -1.0, 0.0])).fit(lorenz, TIMES)
