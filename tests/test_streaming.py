"""Data that come in pieces give the law of the whole."""

import numpy as np
import pytest

from discover import (
    STLSQ,
    DiscreteSINDy,
    EnsembleRegressor,
    FiniteDifference,
    PolynomialLibrary,
    SavitzkyGolay,
    SINDy,
    SmoothingSpline,
    SymbolicModel,
    Trajectory,
    WeakForm,
)
from discover.exceptions import DataError
from discover.problems import StrongForm, Transition, pose_stream
from discover.regression.base import ArrayRows

NAMES = ("x", "y", "z")


@pytest.fixture(scope="module")
def lorenz():
    """Times and noisy states of two runs, 12,000 and 5,000 samples."""
    truth = np.zeros((3, 10))
    truth[[0, 0, 1, 1, 1, 2, 2], [1, 2, 1, 2, 6, 3, 5]] = -10, 10, 28, -1, -1, -8 / 3, 1
    law = SymbolicModel(PolynomialLibrary(2).build(NAMES), truth, NAMES)
    rng = np.random.default_rng(0)
    runs = []
    for n, start in ((12000, [-5, -4, 25]), (5000, [3, 8, 20])):
        t = np.arange(n) * 0.002
        X = np.asarray(law.simulate(start, t)) + 0.01 * rng.normal(size=(n, 3))
        runs.append(Trajectory(X, t, state_names=NAMES))
    return runs


def cut(run, sizes, name=None):
    """Cut a run into pieces of these sizes, again and again."""
    pieces, i, k = [], 0, 0
    while i < len(run):
        n = sizes[k % len(sizes)]
        rows = slice(i, i + n)
        controls = None if run.controls is None else run.controls[rows]
        pieces.append(
            Trajectory(run.states[rows], run.times[rows], controls, state_names=NAMES, name=name)
        )
        i, k = i + n, k + 1
    return pieces


def forms(runs):
    return [
        WeakForm().resolved(runs),
        StrongForm(FiniteDifference(2)),
        StrongForm(FiniteDifference(5)),
        StrongForm(SavitzkyGolay(11, 3)),
        Transition("increment"),
    ]


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize("sizes", [[4096], [1500, 1, 37, 700, 2]])
def test_rows_of_pieces_are_the_rows_of_the_run(lorenz, kind, sizes):
    form = forms(lorenz)[kind]
    whole = form.pose(lorenz)
    pieces = [piece for run in lorenz for piece in cut(run, sizes)]
    parts = list(pose_stream(pieces, form))
    assert sum(part.n_rows for part in parts) == whole.n_rows
    scale = np.abs(whole.targets).max()
    targets = np.concatenate([part.targets for part in parts])
    np.testing.assert_allclose(targets, whole.targets, atol=1e-10 * scale)
    columns = np.concatenate([part.apply(part.inputs**2) for part in parts])
    np.testing.assert_allclose(columns, whole.apply(whole.inputs**2), rtol=1e-9)
    assert sum(p.n_effective for p in parts) == pytest.approx(whole.n_effective, rel=0.005)


@pytest.mark.parametrize("kind", range(3))
@pytest.mark.parametrize("again", [True, False])
def test_a_streamed_law_is_the_law_in_memory(lorenz, kind, again):
    form = forms(lorenz)[kind]
    model = SINDy(PolynomialLibrary(3), method=form)
    expected = model.fit(lorenz).symbolic_
    pieces = [piece for run in lorenz for piece in cut(run, [2500, 900])]
    found = model.fit_stream(pieces if again else iter(pieces)).symbolic_
    np.testing.assert_array_equal(found.support, expected.support)
    np.testing.assert_allclose(found.coefficients, expected.coefficients, rtol=1e-9)
    errors = found.standard_errors[found.support]
    np.testing.assert_allclose(errors, expected.standard_errors[expected.support], rtol=0.05)


def test_a_zarr_array_is_read_chunk_by_chunk(lorenz, tmp_path):
    zarr = pytest.importorskip("zarr")
    run = lorenz[0]
    shape = run.states.shape
    zarr.open_array(tmp_path / "x", mode="w", shape=shape, chunks=(1700, 3), dtype="f8")[:] = (
        run.states
    )

    def read():
        stored = zarr.open_array(tmp_path / "x", mode="r")
        for start in range(0, len(run), stored.chunks[0]):
            rows = slice(start, start + stored.chunks[0])
            yield Trajectory(stored[rows], run.times[rows], state_names=NAMES)

    model = SINDy(PolynomialLibrary(2), method=WeakForm().resolved([run]))
    expected = model.fit([run]).symbolic_
    found = model.fit_stream(read).symbolic_
    np.testing.assert_array_equal(found.support, expected.support)
    assert found.complexity == 7
    np.testing.assert_allclose(found.coefficients, expected.coefficients, rtol=1e-9)


def test_partial_fit_continues_runs_and_ends_where_one_fit_does(lorenz):
    run = lorenz[0]
    form = WeakForm().resolved([run])
    expected = SINDy(PolynomialLibrary(3), method=form).fit([run]).symbolic_
    model = SINDy(PolynomialLibrary(3), method=form)
    counts = []
    for piece in cut(run, [1000]):
        model.partial_fit([piece])
        counts.append(model.statistics_.n_samples)
    assert counts == sorted(counts)
    np.testing.assert_allclose(model.symbolic_.coefficients, expected.coefficients, rtol=1e-8)
    assert len(model.stream_._open) < 600
    model.fit([run])
    assert not hasattr(model, "stream_")


def test_maps_and_controls_and_libraries_per_state_stream_too(lorenz):
    run = lorenz[0]
    u = np.sin(run.times)[:, None]
    run = Trajectory(run.states, run.times, u, state_names=NAMES, control_names=("u",))
    library = {"x": PolynomialLibrary(1), "y": PolynomialLibrary(2), "z": PolynomialLibrary(2)}
    for model in (DiscreteSINDy(library, STLSQ(1e-3)), SINDy(library, method="derivative")):
        expected = model.fit([run]).symbolic_
        pieces = [
            Trajectory(p.states, p.times, p.controls, state_names=NAMES, control_names=("u",))
            for p in cut(Trajectory(run.states, run.times, u), [3000])
        ]
        found = model.fit_stream(pieces).symbolic_
        assert found.control_names == ("u",)
        assert found.dt == expected.dt
        np.testing.assert_allclose(found.coefficients, expected.coefficients, rtol=1e-8, atol=1e-12)


def test_gaps_and_missing_samples_cut_runs_as_in_memory(lorenz):
    run = lorenz[0]
    keep = np.ones(len(run), dtype=bool)
    keep[3000:3300] = False
    holed = Trajectory(run.states[keep], run.times[keep], state_names=NAMES)
    states = holed.states.copy()
    states[7000:7400, 1] = np.nan
    holed = Trajectory(states, holed.times, state_names=NAMES)
    form = WeakForm(0.2, spacing=0.02, power=4, max_gap=0.1)
    whole = form.pose([holed])
    parts = list(pose_stream(cut(holed, [1024]), form))
    assert sum(part.n_rows for part in parts) == whole.n_rows
    targets = np.concatenate([part.targets for part in parts])
    np.testing.assert_allclose(targets, whole.targets, atol=1e-9 * np.abs(targets).max())


def test_irregular_samples_lose_nothing_but_the_places_of_the_windows(lorenz):
    run = lorenz[0]
    rows = np.sort(np.random.default_rng(1).choice(len(run), 8000, replace=False))
    thin = Trajectory(run.states[rows], run.times[rows], state_names=NAMES)
    form = WeakForm().resolved([thin])
    expected = SINDy(PolynomialLibrary(2), method=form).fit([thin]).symbolic_
    found = SINDy(PolynomialLibrary(2), method=form).fit_stream(cut(thin, [1500])).symbolic_
    np.testing.assert_array_equal(found.support, expected.support)
    gap = np.abs(found.coefficients - expected.coefficients)[found.support]
    assert (gap < 2 * expected.standard_errors[found.support]).all()


def test_names_tell_runs_apart_where_times_would_not(lorenz):
    run = lorenz[0]
    half = len(run) // 2
    first = Trajectory(run.states[:half], run.times[:half], state_names=NAMES, name="a")
    second = Trajectory(run.states[half:], run.times[half:], state_names=NAMES, name="b")
    form = StrongForm(FiniteDifference(2))
    apart = sum(p.n_rows for p in pose_stream([first, second], Transition()))
    assert apart == len(run) - 2
    assert sum(p.n_rows for p in pose_stream([first, second], form)) == len(run)


def test_blocks_of_a_stream_are_about_equally_long(lorenz):
    stats = None
    for i in range(700):
        X = np.random.default_rng(i).normal(size=(100, 3))
        part = ArrayRows(X, X[:, :1]).statistics(5)
        stats = part if stats is None else stats + part
    assert 100 <= stats.n_blocks <= 200
    assert stats.n_samples == 70000
    even = stats.merged(int(stats.n_samples / stats.counts.max()))
    assert even.n_blocks >= 40
    assert even.counts.max() < 2.5 * even.counts.mean()


def test_partial_fit_of_a_regressor_equals_one_fit_to_the_last_digits():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(900, 6)) @ np.diag([1, 1e3, 1e-3, 1, 1, 1])
    X[:, 5] = X[:, 0] + 1e-7 * X[:, 5]  # condition number 1e7
    y = X @ [1.0, 0, 0, 0, -2.0, 1.0] + 1e-9 * rng.normal(size=900)
    whole = STLSQ().fit(X, y)
    parts = STLSQ()
    for rows in np.array_split(np.arange(900), 9):
        parts.partial_fit(X[rows], y[rows])
    assert parts.statistics_.n_samples == 900
    np.testing.assert_array_equal(parts.support_, whole.support_)
    np.testing.assert_allclose(parts.coef_, whole.coef_, rtol=1e-8)
    assert not hasattr(parts.fit(X, y), "statistics_")


def test_ensembles_learn_from_parts(lorenz):
    ensemble = EnsembleRegressor(n_members=50, random_state=0)
    model = SINDy(regressor=ensemble, method=WeakForm().resolved(lorenz))
    whole = model.fit(lorenz).symbolic_
    pieces = [piece for run in lorenz for piece in cut(run, [1000])]
    found = model.fit_stream(pieces)
    np.testing.assert_array_equal(found.symbolic_.support, whole.support)
    change = np.abs(found.symbolic_.coefficients - whole.coefficients)[whole.support]
    assert (change < whole.standard_errors[whole.support]).all()
    assert len(found.members_) == 50


def test_what_cannot_be_streamed_is_refused_by_name(lorenz):
    with pytest.raises(ValueError, match="SmoothingSpline needs whole runs"):
        SINDy(method=SmoothingSpline()).fit_stream(lorenz)
    with pytest.raises(DataError, match="at least one Trajectory"):
        SINDy().fit_stream([])
    with pytest.raises(
        ValueError, match="velocities, joint fits and hidden states need whole runs"
    ):
        SINDy(order=2).fit_stream(lorenz)
    other = Trajectory(lorenz[1].states, lorenz[1].times, state_names=("a", "b", "c"))
    with pytest.raises(DataError, match="same columns"):
        SINDy().fit_stream([lorenz[0], other])
