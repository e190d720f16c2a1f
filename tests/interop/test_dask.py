"""Dask: the law of one process, from chunks that stay where they are."""

import os

import numpy as np
import pytest

from discover import (
    STLSQ,
    DiscreteSINDy,
    FiniteDifference,
    PolynomialLibrary,
    SINDy,
    WeakForm,
)
from discover.bench import lorenz
from discover.exceptions import DataError
from discover.observations import as_trajectories

da = pytest.importorskip("dask.array")
xr = pytest.importorskip("xarray")
NAMES = ["x", "y", "z"]
N, DT = 30_000, 0.002


@pytest.fixture(scope="module")
def data():
    X = np.asarray(lorenz.law().simulate(lorenz.STARTS[0], np.arange(N) * DT))
    return X + 0.01 * np.random.default_rng(0).normal(size=X.shape)


@pytest.fixture(scope="module")
def cluster():
    """Two workers in processes of their own."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0
        ) as made,
        Client(made) as client,
    ):
        yield client


def models(data):
    form = WeakForm().resolved(as_trajectories(data, DT, names=NAMES))
    per_state = {"x": PolynomialLibrary(2), "y": PolynomialLibrary(2), "z": PolynomialLibrary(5)}
    return [
        SINDy(PolynomialLibrary(3), STLSQ(0.02), method=form, names=NAMES),
        SINDy(per_state, STLSQ(0.1), method=FiniteDifference(4), names=NAMES),
        DiscreteSINDy(PolynomialLibrary(2), STLSQ(1e-3), names=NAMES),
    ]


@pytest.mark.parametrize("kind", range(3))
def test_two_workers_find_the_coefficients_of_one_process(cluster, data, kind):
    model = models(data)[kind]
    expected = model.fit(data, DT).symbolic_
    if isinstance(model, SINDy):
        assert expected.pruned().term_names == ("x", "y", "z", "x*y", "x*z")
        assert expected.complexity == 7
    n_samples = model.statistics_.n_samples
    found = model.fit(da.from_array(data, chunks=(7000, 2)), DT)
    assert found.statistics_.n_samples == n_samples
    np.testing.assert_array_equal(found.symbolic_.support, expected.support)
    scale = np.abs(expected.coefficients).max(axis=1, keepdims=True)
    error = np.abs(found.symbolic_.coefficients - expected.coefficients) / scale
    assert error.max() < 1e-12


def test_xarray_keeps_names_and_units_and_its_times(cluster, data):
    t = 5.0 + np.arange(N) * DT
    array = xr.DataArray(data, dims=("time", "state"), coords={"time": t, "state": NAMES}, name="s")
    dataset = array.to_dataset("state")
    dataset["y"].attrs["units"] = "m"
    model = SINDy(method=FiniteDifference(2), include_time=True)
    expected = model.fit(dataset).symbolic_
    for lazy in (dataset.chunk(time=8000), array.chunk(time=5000)):
        found = model.fit(lazy).symbolic_
        assert found.state_names == tuple(NAMES)
        np.testing.assert_allclose(found.coefficients, expected.coefficients, rtol=1e-9, atol=1e-9)
    assert model.fit(dataset.chunk(time=8000)).symbolic_.units == expected.units


def test_controls_and_holes_are_handled_in_the_chunks(cluster, data):
    u = np.sin(np.arange(N) * DT)
    holed = data.copy()
    holed[9_000:9_500, 1] = np.nan
    form = WeakForm(0.2, spacing=0.02, power=4, max_gap=0.1)
    model = SINDy("x, y, z, x*z, x*y, u", method=form, names=NAMES, control_names=["u"])
    expected = model.fit(holed, DT, u).symbolic_
    found = model.fit(da.from_array(holed, chunks=(7000, 3)), DT, u[:, None]).symbolic_
    np.testing.assert_array_equal(found.support, expected.support)
    np.testing.assert_allclose(found.coefficients, expected.coefficients, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_a_lost_worker_costs_only_its_work(cluster, data, tmp_path):
    model = models(data)[1]
    expected = model.fit(data, DT).symbolic_
    marker = tmp_path / "died"

    def die_once(block, marker):  # sent by value: workers do not see the tests
        from distributed import get_worker

        try:
            get_worker()
        except ValueError:  # not on a worker
            return block
        if not os.path.exists(marker):
            with open(marker, "w"):
                pass
            os._exit(1)
        return block

    lazy = da.from_array(data, chunks=(5000, 3)).map_blocks(
        die_once, str(marker), dtype=float, meta=np.empty((0, 3))
    )
    head = da.from_array(data[:20_000], chunks=-1)
    lazy = da.concatenate([head, lazy[20_000:]])  # automatic choices are made before the loss
    found = model.fit(lazy, DT).symbolic_
    assert marker.exists()
    np.testing.assert_allclose(found.coefficients, expected.coefficients, rtol=1e-10)


def test_what_has_no_length_is_refused():
    unknown = da.from_array(np.ones((10, 2)), chunks=(5, 2))
    unknown = unknown[unknown[:, 0] > 0]
    with pytest.raises(DataError, match="compute_chunk_sizes"):
        SINDy().fit(unknown, 1.0)
