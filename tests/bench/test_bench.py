"""The machinery of the benchmarks; how fast anything is, is not asserted here."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest

from discover import bench
from discover.bench import Row, format_table, lorenz, timing
from discover.bench.fit import least_squares_problems
from discover.bench.fresh import run_fresh
from discover.bench.record import record
from discover.bench.timing import take_turns

HEADER = ["bar", "value", "command", "commit"]


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


# -- rows --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "target", "passed"),
    [(1.8, "<= 1.8", True), (1.81, "<= 1.8", False), (10.0, ">= 10", True), (9.9, ">= 10", False)],
)
def test_a_bar_includes_its_limit(value, target, passed):
    assert Row("a", value, "x", target=target).passed is passed


def test_not_a_number_passes_no_bar():
    assert Row("a", float("nan"), target="<= 1").passed is False
    assert Row("a", float("nan"), target=">= 1").passed is False


def test_without_target_there_is_no_verdict():
    assert Row("a", 1.0).passed is None


def test_a_target_that_cannot_be_judged_is_refused():
    with pytest.raises(ValueError, match=r"Row: target must be like '<= 1\.8'"):
        Row("a", 1.0, target="about 3")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.2678, "x", "1.27x"),
        (12345.6, "x", "12346x"),
        (3.14159, "us", "3.14 us"),
        (2.5e-14, "", "2.5e-14"),
        (0, "", "0"),
    ],
)
def test_values_are_written_with_three_digits_and_their_unit(value, unit, text):
    assert Row("a", value, unit).text == text


def test_table_is_aligned_and_says_who_failed():
    rows = [Row("short", 1.0, "x", "how", "<= 2"), Row("a longer name", 30.0, "us", "", "<= 4")]
    lines = format_table(rows).splitlines()
    assert lines[0].split() == ["measured", "target"]
    assert lines[1].split() == ["short", "1x", "<=", "2x", "pass"]
    assert lines[2] == "    how"
    assert lines[3].endswith("30 us  <= 4 us  FAIL")
    assert lines[1].index("1x") + 2 == lines[3].index("30 us") + 5


# -- recording ---------------------------------------------------------------------


def test_rows_are_recorded_once_and_replaced(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_text("bar,value,command,commit\n", encoding="utf-8")
    assert record([Row("a", 2.0, "x", target="<= 3")], "discover bench one", path) == 1
    record([Row("b", 5.0, "s", target="<= 3")], "discover bench two", path)
    record([Row("a", 1.0, "x", target="<= 3")], "discover bench one", path)
    header, *rows = read(path)
    assert header == HEADER
    assert [row[:3] for row in rows] == [
        ["a", "1x", "discover bench one"],
        ["b", "5 s", "discover bench two"],
    ]
    assert all(row[3] for row in rows)
    assert [file.name for file in tmp_path.iterdir()] == ["bars.csv"]


def test_a_bar_that_got_another_name_leaves_nothing_behind(tmp_path):
    path = tmp_path / "bars.csv"
    record([Row("old", 2.0, target="<= 3")], "discover bench one", path)
    record([Row("new", 2.0, target="<= 3")], "discover bench one", path)
    assert [row[0] for row in read(path)[1:]] == ["new"]


def test_numbers_without_target_are_not_bars(tmp_path):
    path = tmp_path / "bars.csv"
    record([Row("b", 2.0, target="<= 3")], "discover bench one", path)
    before = read(path)
    assert record([Row("a", 2.0)], "discover bench one", path) == 0
    assert read(path) == before


def test_bars_with_commas_survive(tmp_path):
    path = tmp_path / "bars.csv"
    record([Row("1,024 states, degree 2", 2.0, target="<= 3")], "discover bench one", path)
    assert read(path)[1][0] == "1,024 states, degree 2"


def test_another_kind_of_table_is_left_alone(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_text("name,value\na,1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="must have the columns bar,value,command,commit"):
        record([Row("a", 2.0, target="<= 3")], "discover bench one", path)
    assert path.read_text(encoding="utf-8") == "name,value\na,1\n"


# -- measuring ---------------------------------------------------------------------


def test_tasks_take_turns():
    order = []
    tasks = {name: lambda name=name: order.append(name) for name in "ab"}
    timings = take_turns(tasks, repeats=3)
    assert order == [*"ab", *"ab" * 3]  # one call each to warm up
    assert timings["a"].repeats == 3
    assert 0 <= timings["a"].cpu <= timings["a"].cpu_median


def test_quick_tasks_are_called_in_a_loop(monkeypatch):
    calls = []

    def clock():
        return 1e-4 * len(calls)  # a call takes this long, whatever the machine does besides

    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=clock, process_time=clock))
    found = take_turns({"a": lambda: calls.append(1)}, repeats=2, shortest=0.001)
    assert found["a"].wall == pytest.approx(1e-4)
    assert len(calls) == 1 + (1 + 2 + 4 + 8 + 16) + 2 * 16


def test_fresh_interpreter_gives_what_it_prints():
    found = run_fresh("import json, os; print(json.dumps({'a': os.environ['A']}))", A="b")
    assert found["a"] == "b"
    assert found["process"] > 0


def test_fresh_interpreter_that_fails_says_why():
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        run_fresh("1 / 0")


def test_lorenz_law_and_slope_agree():
    state = np.array([1.0, 2.0, 3.0])
    for degree in (2, 5):
        np.testing.assert_allclose(lorenz.law(degree)(state), lorenz.slope(0.0, state), rtol=1e-15)


def test_least_squares_problems_have_the_condition_they_are_named_after():
    for name, X, _ in least_squares_problems():
        wanted = float(name.split()[1].rstrip(","))
        assert np.linalg.cond(X) == pytest.approx(wanted, rel=1e-5)


def test_unknown_benchmark_is_named():
    names = ", ".join(bench.NAMES)
    with pytest.raises(ValueError, match=rf"name must be one of {names}.*; got 'speed'"):
        bench.measure("speed")


@pytest.mark.slow
@pytest.mark.parametrize("name", bench.NAMES)
def test_every_benchmark_runs_and_says_what_it_measured(name):
    rows = bench.measure(name, quick=True)
    assert any(row.target for row in rows)
    assert all(np.isfinite(row.value) for row in rows)
    json.dumps([row.text for row in rows])
