"""A state that was never measured is found by what it does to the others."""

import numpy as np
import pytest

from discover import JointFit, SINDy, Trajectory
from discover.dynamics.catalogue import load_system
from discover.estimation.entries import varying_coefficient
from discover.estimation.search import InformationSearch
from discover.exceptions import NotIdentifiableError

TIMES = 0.01 * np.arange(600)
# with z = 28 - w, which makes the coefficient of x*w one and x superfluous
LAW = {("x", "x"): -10, ("x", "y"): 10, ("y", "y"): -1, ("y", "x*w"): 1}
LAW |= {("w", "1"): 28 * 8 / 3, ("w", "w"): -8 / 3, ("w", "x*y"): -1}


@pytest.fixture(scope="module")
def lorenz():
    model = load_system("Lorenz").model
    return np.asarray(model.simulate([-8.0, 7.0, 27.0], TIMES, rtol=1e-10, atol=1e-10).states)


@pytest.fixture(scope="module")
def found(lorenz):
    noise = 0.01 * lorenz.std(axis=0) * np.random.default_rng(1).standard_normal(lorenz.shape)
    return SINDy(method="joint", hidden=["w"], names=["x", "y"]).fit((lorenz + noise)[:, :2], TIMES)


def test_lorenz_is_found_without_its_third_state(found):
    law = found.symbolic_
    assert law.state_names == ("x", "y", "w")
    terms = {(law.state_names[i], law.term_names[j]) for i, j in np.argwhere(law.support)}
    assert terms == set(LAW)
    values = np.array(
        [LAW[law.state_names[i], law.term_names[j]] for i, j in np.argwhere(law.support)]
    )
    errors = np.sqrt(np.diag(found.estimate_.covariance))
    misses = law.coefficients[law.support] - values
    assert (np.abs(misses) <= 4 * errors).all()
    assert law.coefficients[1, law.term_names.index("x*w")] == 1.0
    assert (errors == 0).sum() == 1
    assert "w was not measured" in found.method_


def test_lorenz_is_found_from_its_first_state_alone(lorenz):
    x = lorenz[:, :1]
    noisy = x + 0.005 * x.std() * np.random.default_rng(3).standard_normal(x.shape)
    law = SINDy(method="joint", hidden=["v", "w"], names=["x"]).fit(noisy, TIMES).symbolic_
    # with v = x' and w = 270 - 10 z
    right = {"x": {"v": 1}, "v": {"v": -11, "x*w": 1}}
    right["w"] = {"1": 720, "w": -8 / 3, "x**2": -10, "x*v": -1}
    for state, row in zip(law.state_names, law.coefficients, strict=True):
        found = {law.term_names[j]: row[j] for j in np.flatnonzero(row)}
        assert found == pytest.approx(right[state], rel=0.02)


def test_the_hidden_trajectory_comes_with_honest_errors(found, lorenz):
    smoothed, errors = found.smoothed_[0], found.estimate_.smoothed_errors[0]
    miss = smoothed.states[:, 2] - (28 - lorenz[:, 2])
    assert np.sqrt(np.mean(miss**2)) < 0.01 * lorenz[:, 2].std()
    assert np.isnan(found.estimate_.measurement_noise[2])
    assert np.mean(np.abs(miss) <= 3 * errors[:, 2]) > 0.9


def test_a_column_without_measurements_is_a_hidden_state(lorenz):
    data = np.column_stack([lorenz[:, :2], np.full(len(lorenz), np.nan)])
    run = Trajectory(data, TIMES, state_names=("x", "y", "z"))
    with pytest.raises(ValueError, match="'z' was not measured; only method='joint'"):
        SINDy(method="weak").fit([run])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 0}, "names of states that were not measured, or their number"),
        ({"hidden": "y"}, "'y' is a column of X"),
        ({"hidden": "w", "refine": True}, "without regressor, order=2 or refine"),
        ({"hidden": "w", "method": "derivative"}, "only method='joint'"),
    ],
)
def test_what_cannot_be_hidden_is_refused_at_the_door(lorenz, options, message):
    with pytest.raises(ValueError, match=message):
        SINDy(names=["x", "y"], **options).fit(lorenz[:, :2], TIMES)


def test_noise_is_given_for_the_measured_states(lorenz):
    model = SINDy(method=JointFit(noise=[0.1, 0.1, 0.1]), hidden="w", names=["x", "y"])
    with pytest.raises(ValueError, match="one number or 2, one per measured state"):
        model.fit(lorenz[:, :2], TIMES)


def test_a_library_in_which_nothing_feels_the_hidden_state_is_refused(lorenz):
    with pytest.raises(NotIdentifiableError, match="nothing measured feels it"):
        SINDy("x, y, x*y", hidden="w", names=["x", "y"]).fit(lorenz[:, :2], TIMES)


def test_a_varying_coefficient_is_found_beside_constant_ones():
    rng = np.random.default_rng(0)
    t = np.linspace(0, 10, 800)
    g, other, slow = 1 + rng.random(800), rng.standard_normal((800, 2)), np.sin(t)
    target = g * slow + other @ [2.0, -3.0] + 0.01 * rng.standard_normal(800)
    (w,) = varying_coefficient([t], [target], [other], [g], 1e-3, ridge=0.0)
    np.testing.assert_allclose(w, slow, atol=0.01)


def test_a_pinned_coefficient_leaves_the_others_what_it_does_not_explain():
    rng = np.random.default_rng(2)
    A, y = rng.standard_normal((50, 4)), rng.standard_normal(50)
    search = InformationSearch(A.T @ A, A.T @ y, offset=float(y @ y))
    search.pin(2, 0.7)
    support = np.array([True, True, True, False])
    xi, _, misfit = search.solve(support)
    rest = y - 0.7 * A[:, 2]
    expected, (residual,) = np.linalg.lstsq(A[:, :2], rest)[:2]
    np.testing.assert_allclose(xi, [*expected, 0.7, 0.0], atol=1e-12)
    np.testing.assert_allclose(misfit, residual, rtol=1e-10)
