"""Laws drawn from the posterior, followed together."""

import numpy as np
import pytest

from discover import SymbolicLibrary, SymbolicModel

DECAY = SymbolicModel(SymbolicLibrary("x").build(["x"]), [[-1.0]], ["x"], covariance=[[0.01]])


def test_the_band_of_a_decay_is_that_of_its_rate():
    t = np.linspace(0, 3, 7)
    run = DECAY.simulate([2.0], t, n_draws=4000, rng=np.random.default_rng(0))
    low, high = run.band(0.9)
    expected = [2.0 * np.exp((-1.0 + z * 0.1) * t) for z in (-1.645, 1.645)]
    np.testing.assert_allclose(low[:, 0], expected[0], rtol=0.03)
    np.testing.assert_allclose(high[:, 0], expected[1], rtol=0.03)


@pytest.mark.parametrize("method", ["dopri5", "rk4", "LSODA"])
def test_a_draw_is_the_run_of_the_law_that_sample_gives(method):
    t = np.linspace(0, 3, 20)
    run = DECAY.simulate([2.0], t, n_draws=3, rng=np.random.default_rng(5), method=method)
    for path, law in zip(run.draws, DECAY.sample(np.random.default_rng(5), 3), strict=True):
        np.testing.assert_array_equal(path, np.asarray(law.simulate([2.0], t, method=method)))


def test_draws_that_blow_up_are_counted_and_open_the_band():
    law = SymbolicModel(
        SymbolicLibrary("x, x**2").build(["x"]), [[-1.0, 0.4]], ["x"],
        covariance=np.diag([0.0, 0.04]),
    )  # fmt: skip
    run = law.simulate([1.0], np.linspace(0, 20, 50), n_draws=400, rng=np.random.default_rng(0))
    # from x = 1 the run escapes where the second coefficient exceeds 1: three sigma away
    assert run.n_lost <= 4
    run = law.simulate([2.0], np.linspace(0, 20, 50), n_draws=400, rng=np.random.default_rng(0))
    assert run.n_lost == pytest.approx(0.31 * 400, abs=40)  # exceeds 0.5: half a sigma
    assert np.isnan(run.band(0.9)[1][-1]).all()
    assert np.isfinite(run.band(0.9)[1][0]).all()
    assert f"{run.n_lost} lost" in repr(run)


def test_draws_need_a_generator_a_covariance_and_one_start():
    with pytest.raises(ValueError, match="rng="):
        DECAY.simulate([1.0], [0, 1], n_draws=5)
    bare = SymbolicModel(DECAY.table, [[-1.0]], ["x"])
    with pytest.raises(ValueError, match="no covariance"):
        bare.simulate([1.0], [0, 1], n_draws=5, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="there are no draws"):
        DECAY.simulate([1.0], [0, 1]).band()
