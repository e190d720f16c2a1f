"""Forms: each poses a problem that the true law solves, to its stated accuracy."""

import numpy as np
import pytest

from discover import FiniteDifference, SavitzkyGolay, SmoothingSpline, Spectral, WeakForm
from discover.exceptions import DataError
from discover.observations import Trajectory, as_trajectories
from discover.problems import StrongForm, Transition, as_differentiator, noise_level, time_scale


def waves(t):
    return np.column_stack([np.sin(2 * t), np.cos(2 * t) + 0.3 * np.sin(5 * t)])


def slopes(t):
    return np.column_stack([2 * np.cos(2 * t), -2 * np.sin(2 * t) + 1.5 * np.cos(5 * t)])


def irregular(n, seed=0):
    steps = np.random.default_rng(seed).uniform(0.5, 1.5, n)
    return np.cumsum(steps) * 2 * np.pi / steps.sum()


@pytest.mark.parametrize("order", [1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("bend", [0.0, 0.04])
def test_finite_differences_converge_at_their_order(order, bend):
    errors = []
    sizes = [160, 320, 640] if order < 6 else [100, 200, 400]
    for n in sizes:
        share = np.linspace(0, 1, n)
        t = 6 * (share + bend * np.sin(6 * np.pi * share) / 3)
        _, found = FiniteDifference(order).differentiate(waves(t), t)
        errors.append(np.abs(found - slopes(t)).max())
    slope = np.log2(errors[0] / errors[2]) / 2
    assert slope > order - 0.35


def test_second_order_differences_agree_with_pysindy():
    from discover.interop.pysindy import load_pysindy

    t = irregular(50)
    theirs = load_pysindy().FiniteDifference(order=2)(waves(t), t=t)
    np.testing.assert_allclose(FiniteDifference(2).differentiate(waves(t), t)[1], theirs, rtol=1e-8)


@pytest.mark.parametrize(
    ("method", "grid", "tolerance"),
    [
        (SavitzkyGolay(9, 4), np.linspace(0, 6, 400), 1e-4),
        (SavitzkyGolay(9, 4), irregular(400), 1e-4),
        (SmoothingSpline(), irregular(400), 1e-2),
        (Spectral(), np.arange(128) * 2 * np.pi / 128, 1e-10),
        (Spectral(), np.arange(129) * 2 * np.pi / 129, 1e-10),
    ],
)
def test_differentiators_are_accurate(method, grid, tolerance):
    smooth, found = method.differentiate(waves(grid), grid)
    inside = slice(5, -5)
    assert np.abs(found - slopes(grid))[inside].max() < 10 * tolerance
    assert np.abs(smooth - waves(grid))[inside].max() < tolerance


def test_irregular_savitzky_golay_is_the_regular_one_on_a_regular_grid():
    from discover.problems.smoothing.polynomials import _local_polynomials, _uniform_windows

    t = np.linspace(0, 3, 60)
    x = waves(t)[:, 0] + 0.1 * np.random.default_rng(0).normal(size=60)
    for ours, scipys in zip(
        _local_polynomials(t, x, t, 9, 3), _uniform_windows(t, x, 9, 3), strict=True
    ):
        np.testing.assert_allclose(ours, scipys, atol=1e-10)


def test_differentiators_of_other_packages_plug_in():
    import derivative

    from discover.interop.pysindy import load_pysindy

    ps = load_pysindy()
    t = np.linspace(0, 6, 300)
    for method in (
        derivative.FiniteDifference(k=2),
        derivative.SavitzkyGolay(left=0.1, right=0.1, order=3),
        ps.SmoothedFiniteDifference(),
        ps.SINDyDerivative(kind="finite_difference", k=2),
    ):
        x, found = as_differentiator(method).differentiate(waves(t), t)
        assert x.shape == found.shape == (300, 2)
        assert np.abs(found - slopes(t))[10:-10].max() < 0.05
    with pytest.raises(TypeError, match="differentiator"):
        as_differentiator(3)


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize(
    "grid", [np.linspace(0, 20, 1200), np.linspace(0, 20, 180), irregular(900)]
)
def test_weak_rows_integrate_by_parts(grid, offset):
    # with the true derivative as a term, the row operator must give the targets
    run = Trajectory(states=waves(grid), times=grid + offset)
    problem = WeakForm().pose([run], include_time=True)
    exact = slopes(problem.inputs[:, -1] - offset)
    error = problem.apply(exact) - problem.targets
    scale = np.sqrt(np.mean(problem.targets**2, axis=0))
    assert np.abs(error / scale).max() < 2e-3


def test_weak_rows_are_accurate_to_the_stated_floor_on_clean_regular_data():
    t = np.linspace(0, 20, 2000)
    problem = WeakForm().pose(as_trajectories(waves(t), t), include_time=True)
    error = problem.apply(slopes(problem.inputs[:, -1])) - problem.targets
    assert (np.abs(error).max(axis=0) < problem.floor).all()


def test_windows_follow_the_units_of_time():
    t = np.linspace(0, 20, 500)
    x = waves(t) + 0.02 * np.random.default_rng(0).normal(size=(500, 2))
    seconds = WeakForm().resolved([Trajectory(states=x, times=t)])
    years = WeakForm().resolved([Trajectory(states=x * [1e5, 1e-7], times=t * 1e-9)])
    assert years.width == pytest.approx(seconds.width * 1e-9, rel=1e-6)
    assert years.power == seconds.power


@pytest.mark.parametrize("form", [WeakForm(), StrongForm()])
def test_the_order_of_runs_and_gaps_do_not_leak_between_rows(form):
    t = np.linspace(0, 10, 400)
    runs = [Trajectory(states=a * waves(t), times=t) for a in (1.0, 2.0, 3.0)]
    together = form.pose(runs)
    assert len(together.edges) == 4
    for k, run in enumerate(runs):
        rows = slice(together.edges[k], together.edges[k + 1])
        alone = StrongForm().pose([run]) if isinstance(form, StrongForm) else None
        if alone is not None:
            np.testing.assert_allclose(together.targets[rows], alone.targets)
    np.testing.assert_allclose(
        3 * together.targets[: together.edges[1]],
        together.targets[together.edges[2] :],
        rtol=1e-9, atol=1e-9,
    )  # fmt: skip


def test_what_is_missing_is_left_out_and_said():
    t = np.linspace(0, 10, 400)
    x = waves(t)
    x[50, 0] = np.nan
    x[200:240] = np.nan
    problem = WeakForm().pose(as_trajectories(x, t))
    assert np.isfinite(problem.targets).all()
    assert np.isfinite(problem.inputs).all()
    assert any("41 incomplete samples" in note for note in problem.left_out)
    assert any("2 stretches" in note for note in problem.left_out)


def test_data_without_a_usable_stretch_are_refused():
    run = Trajectory(states=np.array([[1.0], [np.nan], [np.nan]]), times=np.arange(3.0))
    with pytest.raises(DataError, match="WeakForm: needs a stretch of at least 2 complete"):
        WeakForm().pose([run])


def test_pairs_of_samples_are_mean_derivatives():
    runs = [
        Trajectory(states=np.array([[a], [a + 2.0]]), times=np.array([0.0, 0.5])) for a in (1, 5)
    ]
    np.testing.assert_allclose(WeakForm().pose(runs).targets, 4.0, rtol=1e-9)


def test_transitions_pair_neighbours_and_skip_gaps():
    times = np.array([0, 1, 2, 5, 6.0, 7.0])
    states = np.array([1.0, 2, 4, 8, 16, 32])[:, None]
    run = Trajectory(states=states, times=times)
    problem = Transition().pose([run])
    np.testing.assert_array_equal(problem.targets[:, 0], 2 * problem.inputs[:, 0])
    assert problem.n_rows == 4
    assert problem.dt == 1.0
    step = Transition("increment").pose([run])
    np.testing.assert_array_equal(step.targets, step.inputs)
    with pytest.raises(DataError, match="equally spaced"):
        Transition().pose([Trajectory(states=states, times=np.geomspace(1, 9, 6))])


@pytest.mark.parametrize("level", [1e-3, 1e-2, 0.1, 0.3])
def test_noise_and_period_are_estimated_from_noisy_data(level):
    t = np.linspace(0, 40, 4000)
    x = np.sin(2 * np.pi * t / 1.7)[:, None]
    noisy = x + level * x.std() * np.random.default_rng(0).normal(size=x.shape)
    run = Trajectory(states=noisy, times=t)
    assert noise_level([run])[0] == pytest.approx(level * x.std(), rel=0.1)
    assert time_scale([run], noise_level([run])) == pytest.approx(1.7, rel=0.1)
