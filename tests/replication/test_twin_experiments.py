"""Published errors of ensemble Kalman filters, from runs of 4,000 analyses.

The papers and the numbers are in :mod:`discover.assimilation.twins`; the tolerances are the
second digit of what was published, and the scatter between runs.
"""

import numpy as np
import pytest

from discover.assimilation.twins import bocquet_2019, sakov_2012, sakov_oke_2008, track_drifting_rho

SETTINGS = [
    (sakov_2012, 0, 0.61),
    (sakov_2012, 1, 0.55),
    (sakov_2012, 2, 0.57),
    (sakov_oke_2008, 0, 0.19),
    (sakov_oke_2008, 1, 0.22),
    (sakov_oke_2008, 2, 0.19),
    (sakov_oke_2008, 3, 0.23),
    (sakov_oke_2008, 4, 0.19),
    (sakov_oke_2008, 5, 0.23),
]
NAMES = [f"{make().name}, {make().published[k].name}" for make, k, _ in SETTINGS]


@pytest.mark.slow
@pytest.mark.parametrize(("make", "number", "bar"), SETTINGS, ids=NAMES)
def test_published_error_is_reached_by_the_mean_of_five_runs(make, number, bar):
    twin = make()
    assert twin.rmse(twin.published[number].method, 4000, range(5)).mean() <= bar


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::discover.exceptions.AssimilationWarning")
@pytest.mark.parametrize(("number", "bar"), [(0, 0.12), (1, 0.15)])
def test_published_error_on_kuramoto_sivashinsky_is_that_of_most_runs(number, bar):
    """The median: within 4,000 analyses one run in three or so is lost, here as with DAPPER."""
    twin = bocquet_2019()
    assert np.median(twin.rmse(twin.published[number].method, 4000, range(5))) <= bar


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_parameter_that_drifts_for_two_hundred_time_units_is_tracked(seed):
    times, error = track_drifting_rho(200.0, seed=seed)
    assert np.sqrt(np.mean(error[times > 20] ** 2)) <= 0.02


@pytest.mark.parametrize(
    ("number", "bar"), [(0, 0.21), (1, 0.25), (5, 0.25)], ids=["ETKF", "EnKF-N", "LETKF"]
)
def test_a_short_run_on_lorenz_96_is_near_the_published_error(number, bar):
    twin = sakov_oke_2008()
    assert 0.7 * bar < twin.rmse(twin.published[number].method, 400, [0]).mean() <= bar
