"""Localisation: tapers, distances, and twins that need it."""

import numpy as np
import pytest

from discover.assimilation import EnsembleKalmanFilter, Localization, gaspari_cohn
from discover.assimilation.localization import TAPERS
from discover.assimilation.twins import lorenz96, sakov_oke_2008, sweep


@pytest.mark.parametrize("taper", [name for name in TAPERS if name != "step"])
def test_tapers_fall_from_one_and_are_near_exp_minus_one_half_at_the_radius(taper):
    place = Localization(2.0, [0.0], taper=taper)
    weights = place.weigh(np.linspace(0, 30, 3001))
    assert weights[0] == 1.0
    assert (np.diff(weights) <= 1e-15).all()
    assert place.weigh(np.array([2.0]))[0] == pytest.approx(np.exp(-0.5), abs=0.03)
    assert weights[-1] == 0.0


def test_gaspari_cohn_is_smooth_ends_at_two_and_gives_covariances():
    r = np.linspace(0, 3, 30_001)
    values = gaspari_cohn(r)
    assert (values[r >= 2] == 0).all()
    bend = np.diff(values, 2) / (r[1] - r[0]) ** 2
    assert np.abs(np.diff(bend)[1:]).max() < 0.01  # twice differentiable
    points = np.random.default_rng(0).uniform(0, 6, size=(150, 3))
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    assert np.linalg.eigvalsh(gaspari_cohn(distances)).min() > -1e-10


@pytest.mark.parametrize("periodic", [True, False, (True, False)])
def test_neighbors_are_those_of_all_distances(periodic):
    grid = Localization.on_grid((7, 5), 1.2, spacing=(1.0, 0.5), periodic=periodic)
    points, lengths = grid.coordinates, np.array([7.0, 2.5])
    gap = np.abs(points[:, None] - points)
    around = np.broadcast_to(periodic, (2,))
    gap = np.where(around, np.minimum(gap, lengths - gap), gap)
    dense = grid.weigh(np.sqrt((gap**2).sum(axis=-1)))
    near = grid.between(points, points)
    found = np.zeros((35, 35))
    for i in range(35):
        chosen = slice(near.starts[i], near.starts[i + 1])
        found[i, near.columns[chosen]] = near.weights[chosen]
    np.testing.assert_allclose(found, dense, atol=1e-12)


def test_states_at_one_place_are_analysed_together():
    """Two fields on one ring, the second a multiple of the first, stay so."""
    rng = np.random.default_rng(0)
    one, y = rng.normal(size=(6, 10)), rng.normal(size=10)
    both = np.hstack([one, 3.0 * one])
    ring = Localization.on_grid((10,), 2.0, n_components=2, observed_at=np.arange(10.0))
    found = EnsembleKalmanFilter("letkf", 6, localization=ring, keep="ensembles").assimilate(
        lambda E, t, dt: E, np.arange(10), 0.5, [y], [0.0], initial=both
    )
    np.testing.assert_allclose(found.ensembles[0, :, 10:], 3.0 * found.ensembles[0, :, :10])


def test_a_small_ensemble_needs_localization():
    twin = sakov_oke_2008()
    ring = Localization.on_grid((40,), 4.0)
    methods = {
        "global": EnsembleKalmanFilter("etkf", 7, 1.04, rotate=True),
        "letkf": EnsembleKalmanFilter("letkf", 7, 1.04, ring, rotate=True),
        "serial": EnsembleKalmanFilter("ensrf", 7, 1.07, ring, rotate=True),
    }
    with pytest.warns(UserWarning, match="lost the observations"):
        table = sweep(twin, methods, 100).set_index("method")
    assert table.loc["global", "rmse"] > 1.0
    assert (table.loc[["letkf", "serial"], "rmse"] < 0.3).all()
    assert table.loc["letkf", "message"] == ""


def test_lorenz_96_is_its_formula():
    x = np.random.default_rng(0).normal(size=(3, 8))
    exact = (np.roll(x, -1, 1) - np.roll(x, 2, 1)) * np.roll(x, 1, 1) - x + 8.0
    np.testing.assert_allclose(lorenz96(8).rhs(x), exact, atol=1e-14)


def test_errors_say_what_was_wrong():
    with pytest.raises(ValueError, match="radius must be positive"):
        Localization(0.0, [0.0, 1.0])
    with pytest.raises(ValueError, match="taper must be one of"):
        Localization(1.0, [0.0, 1.0], taper="cosine")
    with pytest.raises(ValueError, match="one for each of 2 axes"):
        Localization(1.0, np.zeros((3, 2)), periods=[1.0])
    filter_ = EnsembleKalmanFilter("letkf", 5, localization=Localization(1.0, np.arange(4.0)))
    for n, complaint in ((3, "coordinates of 3 states; got 4"), (4, "need localization with")):
        with pytest.raises(ValueError, match=complaint):
            filter_.assimilate(
                lambda E, t, dt: E, [0], 1.0, [[0.0]], [0.0], initial=(np.zeros(n), 1.0)
            )
