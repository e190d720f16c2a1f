"""The benchmark on published chaotic systems."""

import numpy as np
import pytest

from discover.bench import chaos
from discover.bench.chaos import Case, Found, results, score
from discover.bench.chaos.cases import candidate_terms, true_coefficients
from discover.dynamics import list_systems, load_system


def test_truth_over_the_candidates_is_the_law():
    for name in list_systems(benchmark=True)[::7]:
        system = load_system(name)
        x = np.array([system.initial_state, 1.1 * system.initial_state])
        found = candidate_terms(system).evaluate(x) @ true_coefficients(system).T
        expected = system.model.rhs(x)
        np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())


def test_scores_count_terms_and_intervals():
    system = load_system("SprottB")
    truth = true_coefficients(system)
    perfect = score(system, Found(truth, np.where(truth != 0, 0.1, np.nan)))
    n = int((truth != 0).sum())
    assert (perfect.exact, perfect.missing, perfect.extra, perfect.error) == (1, 0, 0, 0.0)
    assert (perfect.covered, perfect.intervals) == (n, n)
    # two standard errors off, in one coefficient
    shifted = truth + np.where(np.arange(truth.size).reshape(truth.shape) == truth.argmax(), 0.2, 0)
    assert score(system, Found(shifted, np.full(truth.shape, 0.1))).covered == n - 1
    worse = truth.copy()
    worse[0, 0], worse[1][truth[1] != 0] = 1.0, 0.0
    bad = score(system, Found(worse))
    assert (bad.exact, bad.extra, bad.missing) == (0, 1, int((truth[1] != 0).sum()))
    assert bad.equations == pytest.approx(1 / 3)
    assert bad.intervals == 0


def test_methods_see_the_same_arrays_and_seeds_differ():
    one, other = (Case("Rossler", 0.1, 0, 5, m).data() for m in ("weak", "pysindy-weak"))
    again = Case("Rossler", 0.1, 1, 5, "weak").data()
    single = Case("Rossler", 0.1, 0, 1, "weak").data()
    np.testing.assert_array_equal(one[0].states, other[0].states)
    np.testing.assert_array_equal(one[0].states, single[0].states)
    assert len(single) == 1
    assert (one[0].states != again[0].states).all()


def test_interrupted_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    path, asked = tmp_path / "chaos.csv", []

    def stub(name, system, runs, noise):
        asked.append(system.name)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return Found(true_coefficients(system))

    monkeypatch.setattr(chaos, "solve", stub)
    todo = list(chaos.cases(("SprottB", "Lorenz", "Rossler"), (0.0,), (0,), (1,), ("weak",)))
    with pytest.raises(KeyboardInterrupt):
        chaos.measure_cases(todo, path)
    with path.open("a") as file:
        file.write("Lorenz,0.0,0")  # a row cut short by a kill
    found = chaos.measure_cases(todo, path)
    assert asked == ["SprottB", "Lorenz", "Lorenz", "Rossler"]
    assert [r.case for r in chaos.kept_results(path).read()] == todo
    assert [r.score.exact for r in found] == [1, 1, 1]
    assert chaos.measure_cases(todo, path) == chaos.kept_results(path).read()
    assert len(asked) == 4


def test_failure_of_a_method_is_a_wrong_law_with_a_note(tmp_path, monkeypatch):
    def fails(name, system, runs, noise):
        raise ValueError('no, "never", \nat all')

    monkeypatch.setattr(chaos, "solve", fails)
    case = Case("SprottB", 0.0, 0, 1, "weak")
    (result,) = chaos.measure_cases([case], tmp_path / "chaos.csv")
    (kept,) = chaos.kept_results(tmp_path / "chaos.csv").read()
    assert kept.score == result.score
    assert (kept.score.exact, kept.score.error) == (0, 1.0)
    assert kept.note == "no, 'never', at all"


def test_summary_counts_systems_and_pools_intervals(tmp_path):
    def result(system, seed, exact, error, covered):
        case = Case(system, 0.05, seed, 5, "weak")
        return chaos.Result(case, chaos.Score(exact, 1.0, 0, 0, error, covered, 10), 1.0)

    (s,) = chaos.summarize(
        [result("A", 0, 1, 0.1, 10), result("A", 1, 0, 0.2, 0), result("B", 0, 1, 0.3, 8)]
    )
    assert (s.n_systems, s.n_cases, s.error) == (2, 3, 0.2)
    assert s.exact == pytest.approx(2 / 3)
    assert s.coverage == pytest.approx(18 / 30)
    assert "| 5 | 5 % | weak | 1.3 of 2 |" in chaos.summary_table([s])
    results.figure([s], tmp_path / "chaos.svg")
    assert (tmp_path / "chaos.svg").stat().st_size > 0


def test_peer_at_its_fairest_recovers_easy_laws_and_so_do_we():
    todo = chaos.cases(("SprottB",), (0.001, 0.01), (0,), (5,), ("weak", "pysindy-weak"))
    for case in todo:
        found = chaos.attempt(case)
        assert found.note == ""
        assert found.score.exact == 1, case
        assert found.score.error < 0.5 * case.noise


@pytest.mark.parametrize("text", ["", "Chua", "NoSuch"])
def test_systems_must_be_known_polynomials(text):
    with pytest.raises(ValueError, match=r"systems must be|no system"):
        chaos.named_systems(text)


def test_tuning_set_and_benchmark_share_three_systems_only():
    common = set(chaos.named_systems("tuning")) & set(chaos.named_systems("benchmark"))
    assert common == {"Lorenz", "Rossler", "SprottB"}
    assert len(chaos.named_systems("benchmark")) == 70
