"""One run of observations, and the front door that makes it from whatever users hold."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
import warnings
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from discover.exceptions import DataError, DataWarning
from discover.observations import Trajectory, as_trajectories, default_max_gap

T = 0.1 * np.arange(6)
X = np.column_stack([np.cos(3.0 * T), np.exp(T)])
U = np.sin(7.0 * T)[:, np.newaxis]
FRAME = pd.DataFrame(X, columns=["a", "b"])
DATES = pd.Timestamp("2024-02-29") + pd.to_timedelta(T, unit="s")


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns)


def same_run(one: Trajectory, other: Trajectory) -> bool:
    """Same numbers and names; units and run names may differ."""
    fields = ("states", "times", "controls")
    pairs = [(getattr(one, field), getattr(other, field)) for field in fields]
    numbers = all((p is None and q is None) or np.array_equal(p, q, True) for p, q in pairs)
    names = one.state_names == other.state_names and one.control_names == other.control_names
    return numbers and names


# ---------------------------------------------------------------- the same run in many forms

WITH_NAN = np.where(X == X[2, 1], np.nan, X)
SAME_STATES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "array": lambda: (X, T),
    "read-only view": lambda: (np.broadcast_to(X, X.shape), T),
    "Fortran order": lambda: (np.asfortranarray(X), T),
    "rows of numbers": lambda: (X.tolist(), T.tolist()),
    "times as a column": lambda: (X, T[:, np.newaxis]),
    "list of one run": lambda: ([X], [T]),
    "objects": lambda: (X.astype(object), list(T)),
    "frame and array": lambda: (FRAME, T),
    "frame and series": lambda: (FRAME, pd.Series(T)),
    "frame with time column": lambda: (FRAME.assign(clock=T), "clock"),
    "frame with time header": lambda: (FRAME.assign(**{"clock [s]": T}), "clock"),
    "frame with time index": lambda: (FRAME.set_index(pd.Index(T)), None),
    "frame with time deltas": lambda: (FRAME.set_index(pd.to_timedelta(T, unit="s")), None),
    "frame with dates": lambda: (FRAME.set_index(DATES), None),
    "frame with zoned dates": lambda: (FRAME.set_index(DATES.tz_localize("Asia/Tokyo")), None),
    "frame with a date column": lambda: (FRAME.assign(w=DATES.tz_localize("UTC")), "w"),
    "frame of mixed types": lambda: (FRAME.astype({"b": "Float64"}), T),
    "array of dates": lambda: (X, DATES.to_numpy()),
    "Python dates": lambda: (X, [datetime(2024, 1, 1) + timedelta(seconds=s) for s in T]),
    "data array": lambda: (xr.DataArray(X, {"time": T, "v": ["a", "b"]}, ("time", "v")), None),
    "transposed": lambda: (xr.DataArray(X.T, {"time": T, "v": ["a", "b"]}, ("v", "time")), None),
    "named time": lambda: (xr.DataArray(X, {"s": T, "v": ["a", "b"]}, ("s", "v")), "s"),
    "dataset": lambda: (xr.Dataset({"a": ("s", X[:, 0]), "b": ("s", X[:, 1])}, {"s": T}), None),
    "dataset with time variable": lambda: (xr.Dataset.from_dataframe(FRAME.assign(s=T)), "s"),
}


@pytest.mark.parametrize("form", SAME_STATES)
def test_every_form_of_the_same_run_gives_the_same_trajectory(form: str) -> None:
    data, times = SAME_STATES[form]()
    (run,) = as_trajectories(data, times, names=["a", "b"])
    np.testing.assert_array_equal(run.states, X)
    np.testing.assert_allclose(run.times, T, rtol=0.0, atol=1e-9)
    assert run.state_names == ("a", "b")
    for array in (run.states, run.times):
        assert array.dtype == np.float64
        assert array.flags.c_contiguous


SAME_CONTROLS: dict[str, dict[str, Any]] = {
    "array": {"u": U},
    "vector": {"u": U[:, 0]},
    "list": {"u": U[:, 0].tolist()},
    "frame": {"u": frame(q=U[:, 0])},
    "series": {"u": pd.Series(U[:, 0], name="q")},
    "function": {"u": lambda t: [np.sin(7.0 * t)]},
    "scalar function": {"u": lambda t: np.sin(7.0 * t)},
    "column of X by position": {"X": np.hstack([X, U]), "controls": [2]},
    "column of X from the end": {"X": np.hstack([X, U]), "controls": -1},
    "first column of X": {"X": np.hstack([U, X]), "controls": [0]},
    "column of X by name": {"X": FRAME.assign(q=U[:, 0]), "controls": "q"},
    "column of X by header": {"X": FRAME.assign(**{"q [V]": U[:, 0]}), "controls": ["q"]},
    "list of runs": {"X": [X], "u": [U]},
}


@pytest.mark.parametrize("form", SAME_CONTROLS)
def test_every_form_of_the_same_controls_gives_the_same_trajectory(form: str) -> None:
    given_, expected = {"X": X, "t": T, **SAME_CONTROLS[form]}, Trajectory(X, T, U)
    (run,) = as_trajectories(**given_, names=["x0", "x1"], control_names=["u0"])
    assert same_run(run, expected)


@pytest.mark.parametrize(
    "data",
    [
        WITH_NAN,
        np.ma.masked_equal(X, X[2, 1]),
        np.where(np.isnan(WITH_NAN), None, WITH_NAN.astype(object)),
        pd.DataFrame(WITH_NAN).astype("Float64"),
        pd.DataFrame(WITH_NAN).astype(object).where(~np.isnan(WITH_NAN), pd.NA),
    ],
    ids=["NaN", "masked array", "None", "pandas numbers", "pandas objects"],
)
def test_missing_entries_become_nan_whatever_marks_them(data: Any) -> None:
    (run,) = as_trajectories(data, T)
    np.testing.assert_array_equal(run.states, WITH_NAN)
    assert run.complete.tolist() == [True, True, False, True, True, True]


def test_numbers_of_other_types_are_cast_exactly() -> None:
    single = X.astype(np.float32)
    (run,) = as_trajectories(single, 1)
    assert run.states.dtype == np.float64
    np.testing.assert_array_equal(run.states, single)
    counts = np.array([[True, 3], [False, Fraction(1, 4)]], dtype=object)
    (run,) = as_trajectories(counts, 1)
    np.testing.assert_array_equal(run.states, [[1.0, 3.0], [0.0, 0.25]])


def test_interval_gives_times_from_zero() -> None:
    (run,) = as_trajectories(X, 0.1)
    np.testing.assert_array_equal(run.times, T)
    assert run.dt == 0.1
    assert run.time_unit is None


def test_runs_may_differ_in_length_and_share_or_own_their_times() -> None:
    own = as_trajectories([X, X[:4]], [T, 0.1])
    assert [len(run) for run in own] == [6, 4]
    assert [run.name for run in own] == ["run 0", "run 1"]
    shared = as_trajectories((X, 2 * X), T.tolist(), u=[U, U])
    assert all(np.array_equal(run.times, T) for run in shared)
    nested = as_trajectories([X.tolist(), X.tolist()], 0.1)
    assert len(nested) == 2


def test_a_large_array_is_checked_without_copying_it() -> None:
    states, times = np.random.default_rng(0).normal(size=(500_000, 3)), np.arange(500_000.0)
    tracemalloc.start()
    (run,) = as_trajectories(states, times)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.shares_memory(run.states, states)
    assert np.shares_memory(run.times, times)
    assert peak < 2e6


def test_trajectories_pass_unchanged_and_alone() -> None:
    runs = as_trajectories([X, X], T)
    assert as_trajectories(runs) == runs
    assert as_trajectories(runs[0]) == runs[:1]
    with pytest.raises(DataError, match=r"a Trajectory must come alone.*got t too"):
        as_trajectories(runs, T)
    with pytest.raises(DataError, match="run 1: z, x1 where run 0 has x0, x1"):
        as_trajectories([runs[0], replace(runs[1], state_names=("z", "x1"))])


# ---------------------------------------------------------------- names and units


def test_headers_become_identifiers_and_units() -> None:
    headers = ["h1 [cm]", "heart rate", "2nd", "lambda", "t", "T (°C)", "µ"]
    data = pd.DataFrame(np.random.default_rng(0).normal(size=(6, 7)), columns=headers)
    (run,) = as_trajectories(data, T)
    assert run.state_names == ("h1", "heart_rate", "_2nd", "lambda_", "t_", "T_C", "μ")
    assert run.state_units == ("cm", *[None] * 6)
    assert all(name.isidentifier() for name in run.state_names)


def test_integer_labels_number_the_names() -> None:
    data = pd.DataFrame(np.hstack([X, U]))
    assert as_trajectories(data, T)[0].state_names == ("x0", "x1", "x2")
    assert as_trajectories(data[[0, 2]], T)[0].state_names == ("x0", "x2")
    (run,) = as_trajectories(data[[0, 2]], T, controls=[2])
    assert same_run(run, Trajectory(X[:, :1], T, U, ("x0",), ("x2",)))


def test_names_rename_and_keep_units_but_never_swap_columns() -> None:
    data = FRAME.rename(columns={"a": "a [m]"})
    (run,) = as_trajectories(data, T, names=["p", "q [s]"])
    assert (run.state_names, run.state_units) == (("p", "q"), ("m", "s"))
    with pytest.raises(DataError, match="columns a, b would be called b, a"):
        as_trajectories(data, T, names=["b", "a"])


def test_names_may_cover_all_columns_or_the_states_only() -> None:
    data = np.hstack([X, U])
    (every,) = as_trajectories(data, T, names=["a", "b", "q [V]"], controls="q")
    (states,) = as_trajectories(data, T, names=["a", "b"], controls=2, control_names="q [V]")
    assert same_run(every, states)
    assert every.control_units == states.control_units == ("V",)


def test_units_come_from_attributes_headers_and_dates() -> None:
    time = {"time": ("time", T, {"units": "min"})}
    metres = xr.DataArray(X[:, 0], time, "time", attrs={"units": "m"})
    (run,) = as_trajectories(xr.Dataset({"a": metres, "b [s]": ("time", T)}, time))
    assert run.state_units == ("m", "s")
    assert run.time_unit == "min"
    assert as_trajectories(FRAME.assign(**{"time [h]": T}), "time")[0].time_unit == "h"
    assert as_trajectories(FRAME.set_index(DATES))[0].time_unit == "s"
    with pytest.raises(DataError, match="run 1, column 'a': 'm' here, 'cm' before"):
        as_trajectories([frame(**{"a [cm]": T}), frame(**{"a [m]": T})], 1)


@given(st.permutations(["a", "b [V]", "heart rate", "q"]), st.booleans())
def test_order_of_columns_in_later_runs_does_not_matter(order: list[str], swap: bool) -> None:
    values = np.random.default_rng(0).normal(size=(6, 4))
    data = pd.DataFrame(values, columns=["a", "b [V]", "heart rate", "q"])
    runs = as_trajectories([data, data[order]], T, controls=["q", "a"] if swap else ["a", "q"])
    assert same_run(*runs)
    alone = as_trajectories(data[order], T)[0]
    for label, name in zip(data, ["a", "b", "heart_rate", "q"], strict=True):
        np.testing.assert_array_equal(alone.states[:, alone.state_names.index(name)], data[label])


# ---------------------------------------------------------------- what is refused, and how


def changed(array: np.ndarray, entry: Any, value: Any, dtype: Any = None) -> np.ndarray:
    array = array.astype(dtype or array.dtype)
    array[entry] = value
    return array


DECREASING = [0.0, 0.1, 0.2, 0.15, 0.3, 0.4]
WORDS = frame(a=T, b=["1.5", "2.5", "3.5", "4.5", "5.5", "6.5"])
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    # times
    "decreasing": (
        {"X": [X, X], "t": [T, DECREASING]},
        "SINDy: t must be strictly increasing; run 1, row 3: 0.15 after 0.2 (row 2). "
        "Several experiments in one table? Pass a list of runs.",
    ),
    "repeated": ({"t": changed(T, 3, T[2])}, "row 3: 0.2 again, as in row 2"),
    "shuffled index": ({"X": FRAME.iloc[[1, 0, 2]], "t": None}, "row 1: 0.0 after 1.0 (row 0)"),
    "missing time": ({"t": changed(T, 4, np.nan)}, "t must be known in every row; row 4: NaN"),
    "missing date": (
        {"X": FRAME.assign(w=DATES.where(T != T[4])), "t": "w"},
        "t must be known in every row; row 4: NaN",
    ),
    "infinite time": ({"t": changed(T, 5, np.inf)}, "t must be finite; row 5: inf"),
    "no time": ({"t": None}, "t must be given; these data carry no times. Pass the sample times"),
    "forgotten time": (
        {"X": FRAME.assign(time=T), "t": None},
        "X has a column 'time' and only row numbers as index. Pass t='time'",
    ),
    "two-level index": (
        {"X": FRAME.set_index([[0, 0, 0, 1, 1, 1], T]), "t": None},
        "for _, run in X.groupby(level=0)]",
    ),
    "text index": ({"X": FRAME.set_index(pd.Index(list("pqrstu"))), "t": None}, "row 0: text 'p'"),
    "unknown column": (
        {"X": FRAME, "t": "when"},
        "t must name a column or coordinate of X; got 'when'; there are 'a', 'b'.",
    ),
    "name without table": ({"t": "when"}, "got t='when' with X of type ndarray"),
    "negative interval": ({"t": -0.1}, "sample times or a positive interval; got -0.1"),
    "shape of t": ({"t": np.zeros((6, 2))}, "t must have shape (n_samples,); got (6, 2)"),
    "lengths": ({"t": T[:5]}, "t has 5, X has 6 rows."),
    "transposed": ({"X": X.T}, "t has 6, X has 2 rows. X looks transposed: pass X.T."),
    "number of times": ({"X": [X, X], "t": [T, T, T]}, "t has 3 entries, X has 2 runs"),
    "rows of t": (
        {"X": FRAME, "t": pd.Series(T, index=range(1, 7))},
        "t must have the row labels of X; row 0: 1 in t, 0 in X",
    ),
    # entries
    "text": (
        {"X": changed(X, (3, 1), "n/a", object)},
        "X must hold real numbers; row 3, column 1: text 'n/a'",
    ),
    "text in rows": ({"X": [[1.0, 2.0], [3.0, "bad"]], "t": 1}, "row 1, column 1: text 'bad'"),
    "numbers as text": (
        {"X": WORDS},
        "row 0, column 'b': text '1.5'. Convert numbers stored as text first: pd.to_numeric",
    ),
    "dates as a state": (
        {"X": FRAME.assign(w=DATES)},
        "column 'w': got dates. If this is the time",
    ),
    "complex": ({"X": X + 1j}, "X must hold real numbers; got complex numbers"),
    "infinite": (
        {"X": [X, changed(X, (4, 0), -np.inf)]},
        "X must be finite, or NaN where not observed; run 1, row 4, column 'x0': -inf",
    ),
    "never observed": ({"X": FRAME.assign(c=np.nan)}, "column 'c': all NaN"),
    "ragged": ({"X": [[1, 2], [3]], "t": 1}, "row 1: 1 entries where row 0 has 2 entries"),
    "deep ragged": ({"X": [[1, [2, 3]], [3, 4]], "t": 1}, "rectangular table of numbers"),
    "one row": ({"X": X[:1], "t": [0.0]}, "at least two rows (samples); got one row"),
    "no rows": ({"X": X[:0], "t": []}, "at least two rows (samples); got no rows"),
    "no columns": ({"X": X[:, :0]}, "at least one column; got shape (6, 0)"),
    "stack of runs": ({"X": X[np.newaxis]}, "got shape (1, 6, 2). For several runs pass a list"),
    "no runs": ({"X": []}, "X must hold at least one run; got an empty list"),
    "mapping": ({"X": {"a": T}}, "got one object of type dict"),
    "variables on a grid": (
        {"X": xr.Dataset({"a": (("time", "z"), X)}), "t": T},
        "must lie along time only; got dimensions time, z",
    ),
    # names
    "same name": (
        {"X": pd.DataFrame(X, columns=["a b", "a-b"])},
        "'a b' and 'a-b' both become 'a_b'. Rename one of them.",
    ),
    "no name": ({"X": pd.DataFrame(X, columns=["a", "%"])}, "must hold a letter or a digit; '%'"),
    "number of names": ({"names": ["a"]}, "names must have 2 entries; got 1"),
    "names of controls": ({"u": U, "names": ["a", "b", "u"]}, "got 3. Name the controls with"),
    "state and control": ({"X": FRAME, "u": frame(a=T)}, "'a' and 'a' both become 'a'"),
    "missing column": (
        {"X": [FRAME, FRAME.rename(columns={"a": "z"})]},
        "X must have the same columns in every run; run 1: a missing, z not in the first run",
    ),
    "number of columns": ({"X": [X, X[:, :1]]}, "run 1: 1 where run 0 has 2"),
    # controls
    "controls of one run": ({"X": [X, X], "u": [U, None]}, "run 1: u is missing"),
    "controls shared": ({"X": [X, X], "u": U}, "u must be a list with one entry per run"),
    "number of controls": ({"X": [X, X], "u": [U]}, "u has 1 entries, X has 2 runs"),
    "length of u": ({"u": U[:4]}, "u has 4, X has 6 rows"),
    "infinite control": ({"u": changed(U, (2, 0), np.inf)}, "u must be finite, or NaN where"),
    "rows of u": (
        {"X": FRAME, "u": pd.DataFrame({"q": T}, index=DATES)},
        "u must have the row labels of X; row 0: 2024-02-29 00:00:00 in u, 0 in X",
    ),
    "shape of u(t)": (
        {"u": lambda t: [1.0] * (1 + (t > 0.2))},
        "u(t) must return a vector of one length; got shapes (1,), (2,)",
    ),
    "unknown control": (
        {"controls": [2]},
        "controls must name columns of X; got 2; there are 0 to 1",
    ),
    "unknown name": ({"X": FRAME, "controls": "q"}, "got 'q'; there are a, b"),
    "repeated control": ({"X": FRAME, "controls": ["a", 0]}, "must name different columns of X"),
    "only controls": ({"X": FRAME, "controls": ["a", "b"]}, "every column is a control"),
    "both": ({"u": U, "controls": [0]}, "got both u and controls"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unusable_data_are_refused_with_owner_place_and_reason(case: str) -> None:
    arguments, message = REFUSED[case]
    with pytest.raises(DataError) as refusal:
        as_trajectories(**{"X": X, "t": T, **arguments})
    assert str(refusal.value).startswith("SINDy: ")
    assert message in str(refusal.value)


def test_messages_name_the_owner_and_no_run_when_there_is_one() -> None:
    with pytest.raises(
        DataError, match=r"^MapFit: t must be .*; row 3: 0\.15 after 0\.2 \(row 2\)"
    ):
        as_trajectories(X, DECREASING, owner="MapFit")


def test_a_state_constant_in_every_run_is_named_in_a_warning() -> None:
    still = np.column_stack([X, np.where(T == T[3], np.nan, 2.0)])
    with pytest.warns(DataWarning, match="SINDy: constant in every run: 'x2'"):
        (run,) = as_trajectories(still, T)
    assert run.n_states == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_trajectories([still, np.column_stack([X, T])], T)


# ---------------------------------------------------------------- the noun


def test_trajectory_checks_what_it_is_made_of() -> None:
    run = Trajectory(X, T, U, state_units=("m", None))
    assert (run.n_samples, run.n_states, run.n_controls) == (len(run), 2, 1)
    assert run.control_names == ("u0",)
    with pytest.raises(FrozenInstanceError):
        run.states = X  # type: ignore[misc]
    for arguments, message in [
        ((X, T[::-1]), "Trajectory: times must be strictly increasing; row 1"),
        ((X, T, U[:3]), "controls has 3, states has 6 rows"),
        ((X, T, U, ("a", "u0")), "states and controls must have different names; got a, u0, u0"),
        ((X, T, None, ("a", "t")), "names must be identifiers other than 't'; got 't'"),
        ((X, T, None, ("a",)), "must have 2 entries; got 1 and 2"),
    ]:
        with pytest.raises(DataError) as refusal:
            Trajectory(*arguments)
        assert message in str(refusal.value)


def test_repr_tells_size_span_names_units_and_gaps() -> None:
    run = Trajectory(WITH_NAN, T, U, ("a", "b"), ("q",), ("cm", None), time_unit="s", name="run 3")
    assert repr(run) == (
        "<Trajectory 'run 3': 6 samples, t = 0 to 0.5 s; states a [cm], b; controls q; "
        "1 incomplete>"
    )


@pytest.mark.parametrize("offset", [0.0, 1.7e9], ids=["from zero", "epoch seconds"])
@pytest.mark.parametrize("dt", [1e-3, 0.1, 1 / 3])
def test_a_rounded_grid_is_uniform_and_a_jittered_one_is_not(dt: float, offset: float) -> None:
    times = offset + dt * np.arange(2000)
    run = Trajectory(times, times)
    assert run.is_uniform
    assert run.dt == pytest.approx(dt, rel=1e-6)
    shifted = changed(times, 77, times[77] + max(1e-2 * dt, 2e-6))
    assert not Trajectory(times, shifted).is_uniform


def test_a_grid_in_single_precision_is_uniform() -> None:
    times = np.linspace(0.0, 30.0, 3001, dtype=np.float32)
    run = as_trajectories(times, times)[0]
    assert run.is_uniform
    assert run.dt == pytest.approx(0.01)
    jittered = times + np.random.default_rng(0).uniform(-2e-5, 2e-5, 3001).astype(np.float32)
    assert not as_trajectories(times, jittered)[0].is_uniform


def test_dt_of_irregular_times_is_the_median_interval() -> None:
    run = Trajectory(X, [0.0, 0.1, 0.3, 0.4, 0.9, 1.0])
    assert not run.is_uniform
    assert run.dt == pytest.approx(0.1)
    assert np.isnan(run.select([0]).dt)


def test_select_takes_rows_in_order_of_time_and_slices_share_memory() -> None:
    run = Trajectory(X, T, U, name="run 0")
    for rows in (slice(1, 6, 2), [1, 3, 5], T > 0.4, np.array([5])):
        part = run.select(rows)
        np.testing.assert_array_equal(part.states, X[rows])
        np.testing.assert_array_equal(part.controls, U[rows])
        assert part.name == "run 0"
    assert np.shares_memory(run.select(slice(2, 4)).states, X)
    with pytest.raises(DataError, match="times must be strictly increasing; row 1"):
        run.select([3, 1])
    with pytest.raises(DataError, match="at least one row"):
        run.select(T > 9)


def test_a_single_missing_sample_is_bridged_and_a_held_out_block_is_a_gap() -> None:
    times = 0.1 * np.arange(100)
    one_missing = np.delete(times, 40)
    block_missing = np.delete(times, slice(40, 60))
    assert default_max_gap(times) == pytest.approx(0.25)
    assert len(Trajectory(one_missing, one_missing).segments()) == 1
    assert [len(s) for s in Trajectory(block_missing, block_missing).segments()] == [40, 40]
    assert len(Trajectory(block_missing, block_missing).segments(np.inf)) == 1
    assert len(Trajectory(one_missing, one_missing).segments(0.15)) == 2


def test_poisson_sampling_is_split_at_three_intervals_in_a_thousand() -> None:
    times = np.cumsum(np.random.default_rng(0).exponential(size=200_000))
    splits = len(Trajectory(times, times).segments()) - 1
    # P(interval > 2.5 ln(10) mean) = 10**-2.5; counting error 1 / sqrt(632) = 4 %
    assert splits / len(times) == pytest.approx(10**-2.5, rel=0.2)


@given(st.lists(st.sampled_from([0.1, 0.1, 0.1, 0.2, 1.0]), min_size=2), st.randoms())
def test_every_complete_sample_is_in_exactly_one_segment(steps: list[float], random: Any) -> None:
    times = np.cumsum(steps)
    states = np.array([[np.nan if random.random() < 0.2 else t] for t in times])
    run = Trajectory(states, times, name="run 0")
    for max_gap in (None, 0.25):
        segments = run.segments(max_gap)
        kept = np.concatenate([s.times for s in segments]) if segments else np.empty(0)
        np.testing.assert_array_equal(kept, times[run.complete])
        assert all(segment.complete.all() for segment in segments)
        longest = default_max_gap(kept) if max_gap is None else max_gap
        inside = [np.diff(s.times) for s in segments]
        between = [b.times[0] - a.times[-1] for a, b in pairwise(segments)]
        assert all((steps <= longest).all() for steps in inside)
        assert all(step > longest for step in between)


def test_segments_refuse_a_gap_that_is_not_positive() -> None:
    with pytest.raises(ValueError, match="max_gap must be positive; got 0"):
        Trajectory(X, T).segments(0)


def test_observations_are_imported_without_pandas_or_xarray() -> None:
    code = "import sys, discover.observations; print({'pandas', 'xarray'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
