"""The joint fit recovers laws from noisy runs."""

import numpy as np
import pytest

from discover import JointFit, PolynomialLibrary, SINDy
from discover.dynamics import simulate
from discover.dynamics.catalogue import load_system
from discover.exceptions import DataWarning


class Lorenz:
    def rhs(self, x, t=0.0, u=None):
        return np.stack(
            [
                10 * (x[..., 1] - x[..., 0]),
                x[..., 0] * (28 - x[..., 2]) - x[..., 1],
                x[..., 0] * x[..., 1] - 8 / 3 * x[..., 2],
            ],
            axis=-1,
        )


TIMES = np.linspace(0, 7.5, 1000)
TRUE = np.zeros((3, 10))
TRUE[0, [1, 2]] = -10, 10
TRUE[1, [1, 2, 6]] = 28, -1, -1
TRUE[2, [3, 5]] = -8 / 3, 1


@pytest.fixture(scope="module")
def clean():
    return np.asarray(simulate(Lorenz(), [-8.0, 7.0, 27.0], TIMES, rtol=1e-11, atol=1e-11).states)


def noisy(clean, level, seed):
    rng = np.random.default_rng(seed)
    return clean + level * clean.std(axis=0) * rng.standard_normal(clean.shape)


@pytest.mark.parametrize("level", [0.01, 0.05, 0.1])
def test_lorenz_is_recovered_from_one_noisy_run(clean, level):
    found = SINDy(PolynomialLibrary(3), method="joint").fit(noisy(clean, level, 1), TIMES)
    support = found.estimate_.support
    np.testing.assert_array_equal(support[:, :10], TRUE != 0)
    assert not support[:, 10:].any()
    z = (found.estimate_.coefficients[:, :10] - TRUE)[TRUE != 0]
    z /= np.sqrt(np.diag(found.estimate_.covariance))
    assert np.abs(z).max() < 4
    noise = found.estimate_.measurement_noise / clean.std(axis=0)
    np.testing.assert_allclose(noise, level, rtol=0.08)
    error = found.smoothed_[0].states - clean
    assert np.sqrt(np.mean(error**2, axis=0)).max() < 0.35 * level * clean.std(axis=0).max()


def test_support_does_not_depend_on_units(clean):
    data = noisy(clean, 0.05, 2)
    first = SINDy(method="joint").fit(data, TIMES)
    scales = np.array([1e3, 1e-4, 7.0])
    second = SINDy(method="joint").fit(data * scales, 60 * TIMES)
    np.testing.assert_array_equal(first.estimate_.support, second.estimate_.support)
    np.testing.assert_allclose(
        second.smoothed_[0].states, first.smoothed_[0].states * scales, rtol=1e-5, atol=1e-5
    )


def test_data_without_noise_give_the_law_to_the_accuracy_of_collocation(clean):
    found = SINDy(method="joint").fit(clean, TIMES)
    np.testing.assert_array_equal(found.estimate_.support, TRUE != 0)
    np.testing.assert_allclose(found.estimate_.coefficients, TRUE, atol=1e-3)


def test_missing_and_irregular_samples_are_used_as_they_are(clean):
    rng = np.random.default_rng(4)
    data = noisy(clean, 0.02, 3)
    data[rng.random(data.shape) < 0.2] = np.nan
    kept = np.sort(rng.permutation(len(TIMES))[:800])
    found = SINDy(method="joint").fit(data[kept], TIMES[kept])
    np.testing.assert_array_equal(found.estimate_.support, TRUE != 0)
    assert len(found.smoothed_[0]) == 800
    assert np.isfinite(found.smoothed_[0].states).all()
    assert not found.left_out_


def test_stretches_too_short_for_the_joint_fit_are_left_out_and_said(clean):
    rows = np.r_[:900, 950:955]  # five samples behind a gap
    found = SINDy(method="joint").fit(noisy(clean, 0.02, 3)[rows], TIMES[rows])
    assert found.left_out_ == ("5 samples in stretches of fewer than 8 were left out",)


def test_a_regressor_beside_the_joint_fit_is_refused(clean):
    from discover import STLSQ

    with pytest.raises(ValueError, match="selects its terms itself"):
        SINDy(regressor=STLSQ(), method="joint").fit(clean, TIMES)
    with pytest.raises(ValueError, match="noise must be positive"):
        SINDy(method=JointFit(noise=-1.0)).fit(clean, TIMES)
    with pytest.raises(AttributeError, match="smoothed trajectories"):
        _ = SINDy().fit(clean, TIMES).smoothed_


def test_noisy_data_get_the_joint_fit_by_themselves_and_clean_ones_do_not(clean):
    rough = SINDy().fit(noisy(clean, 0.05, 5), TIMES)
    assert rough.method_.startswith("joint fit: the noise is about 0.0")
    assert "joint fit" in repr(rough)
    smooth = SINDy().fit(clean, TIMES)
    assert smooth.method_ == "weak"
    assert "joint" not in repr(smooth)


def test_an_interrupted_fit_keeps_the_best_law_so_far(clean, monkeypatch):
    from sklearn.exceptions import ConvergenceWarning

    from discover.estimation import joint

    def interrupt(self, state, level):
        raise KeyboardInterrupt

    monkeypatch.setattr(joint.Engine, "with_noise", interrupt)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        found = SINDy(method="joint").fit(noisy(clean, 0.05, 1), TIMES)
    np.testing.assert_array_equal(found.estimate_.support, TRUE != 0)


def test_outliers_change_neither_the_law_nor_the_noise(clean):
    rng = np.random.default_rng(6)
    data = noisy(clean, 0.01, 6)
    wrong = rng.random(data.shape) < 0.05
    wild = data + 10 * clean.std(axis=0) * rng.standard_normal(data.shape)
    found = SINDy(method="joint").fit(np.where(wrong, wild, data), TIMES)
    np.testing.assert_array_equal(found.estimate_.support, TRUE != 0)
    noise = found.estimate_.measurement_noise / clean.std(axis=0)
    np.testing.assert_allclose(noise, 0.01, rtol=0.1)


def test_runs_are_shared_among_threads_without_a_trace(clean):
    runs = [noisy(clean, 0.05, 8)[:500], noisy(clean, 0.05, 9)[500:]]
    times = [TIMES[:500], TIMES[:500]]
    alone = SINDy(method="joint").fit(runs, times)
    shared = SINDy(method=JointFit(n_jobs=2)).fit(runs, times)
    np.testing.assert_array_equal(alone.estimate_.coefficients, shared.estimate_.coefficients)


def test_controls_are_inputs_of_the_law():
    t = np.linspace(0, 30, 1500)
    u = np.sin(1.3 * t)

    class Driven:
        def rhs(self, x, t=0.0, u=None):
            force = np.sin(1.3 * np.asarray(t))
            v = x[..., 1]
            return np.stack([v, -x[..., 0] - 0.2 * v + 0.5 * force], axis=-1)

    x = np.asarray(simulate(Driven(), [1.0, 0.0], t, rtol=1e-10, atol=1e-10).states)
    data = x + 0.05 * x.std(axis=0) * np.random.default_rng(1).standard_normal(x.shape)
    found = SINDy(method="joint", names=["x", "v"]).fit(data, t, u)
    law = found.symbolic_
    terms = {(int(i), law.term_names[j]) for i, j in np.argwhere(law.support)}
    assert terms == {(0, "v"), (1, "x"), (1, "v"), (1, "u0")}


def test_runs_of_different_laws_are_not_forced_into_one():
    """Where the joint law leaves far more than the noise, "auto" takes the weak form."""
    lorenz = load_system("Lorenz").model
    rng = np.random.default_rng(0)
    t, runs = np.arange(800) * 0.01, []
    for rho in (28.0, 40.0):
        coefficients = lorenz.coefficients.copy()
        place = np.argwhere(np.isclose(coefficients, 28.0))[0]
        coefficients[tuple(place)] = rho
        x = np.asarray(lorenz.with_coefficients(coefficients).simulate([1.0, 2.0, 20.0], t).states)
        runs.append(x + 0.01 * x.std(axis=0) * rng.standard_normal(x.shape))
    with pytest.warns(DataWarning, match="given up for the weak form"):
        model = SINDy().fit(runs, [t, t])
    assert model.method_.startswith("weak")
    assert model.symbolic_.support.any()
