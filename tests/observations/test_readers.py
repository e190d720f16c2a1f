"""Readers: one table, many files; and what is said of files that hold none."""

import io
import os
import zipfile

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from discover.exceptions import DataError, DataWarning
from discover.observations.readers import open_source, parse_rows, read_chunks, read_runs
from discover.observations.readers.layout import number_of
from discover.observations.readers.units import is_unit, same_unit, split_header

T = np.arange(12) * 0.1
H = np.sqrt(1 + T)
PUMP = np.cos(T)
TABLE = pd.DataFrame({"time [s]": T, "h1 [cm]": H, "pump [V]": PUMP})


def csv(tmp_path, text, name="file.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def text_of(separator=",", decimal=".", **options):
    return TABLE.to_csv(index=False, sep=separator, decimal=decimal, **options)


def with_remarks():
    header, *rows = text_of().splitlines()
    return "\n".join([header, *rows[:5], "# the pump was switched here", *rows[5:]])


def savetxt(**options):
    text = io.StringIO()
    np.savetxt(text, TABLE.to_numpy(), fmt="%.17g", **options)
    return text.getvalue()


LAYOUTS = {
    "comma": text_of(),
    "semicolon and decimal comma": text_of(";", ","),
    "tab": text_of("\t"),
    "bar": text_of("|"),
    "commas and spaces": text_of().replace(",", ", "),
    "lines of Windows": text_of(lineterminator="\r\n"),
    "lines of old": text_of(lineterminator="\r"),
    "quotes": text_of(quoting=1),
    "parentheses": text_of().replace("[", "(").replace("]", ")"),
    "row of units": text_of().replace("time [s],h1 [cm],pump [V]", "time,h1,pump\n(s),(cm),(V)"),
    "mark of bytes": "\ufeff" + text_of(),
    "remarks before": "# made on Monday\n#\n" + text_of(),
    "remarks between": with_remarks(),
    "words of a logger": "Logger 5\nSerial: 12\n\n" + text_of(),
    "a comma too many": "".join(f"{line},\n" for line in text_of().splitlines()),
    "signs of typesetters": text_of().replace("-", "\u2212"),
    "header in a remark": savetxt(header="time [s]; h1 [cm]; pump [V]", delimiter=";"),
    "numbers of Fortran": text_of(float_format="%.17E").replace("E", "D"),
}


@pytest.mark.filterwarnings("ignore::discover.exceptions.DataWarning")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_table_in_every_layout_of_text_gives_one_run(layout, tmp_path):
    (run,) = read_runs(csv(tmp_path, LAYOUTS[layout]), time="time", inputs=["pump"])
    assert_is_the_table(run)


def assert_is_the_table(run):
    np.testing.assert_array_equal(run.times, T)
    np.testing.assert_array_equal(run.states[:, 0], H)
    np.testing.assert_array_equal(run.controls[:, 0], PUMP)
    assert (run.state_names, run.control_names) == (("h1",), ("pump",))
    assert (run.state_units, run.control_units, run.time_unit) == (("cm",), ("V",), "s")


def write_parquet(path):
    TABLE.to_parquet(path)


def write_netcdf(path):
    variables = {
        "h1": ("time", H, {"units": "cm"}),
        "pump": ("time", PUMP, {"units": "V"}),
        "station": ("place", [1.0, 2.0]),
    }
    data = xr.Dataset(variables, coords={"time": ("time", T, {"units": "s"})})
    data.to_netcdf(path, engine="scipy" if path.suffix == ".nc3" else "h5netcdf")


@pytest.mark.filterwarnings("ignore::discover.exceptions.DataWarning")
@pytest.mark.parametrize(
    ("name", "write"),
    [("a.parquet", write_parquet), ("a.nc", write_netcdf), ("a.nc3", write_netcdf)],
)
def test_files_that_keep_units_give_the_same_run(name, write, tmp_path):
    write(tmp_path / name)
    (run,) = read_runs(tmp_path / name, time="time", inputs=["pump"])
    assert_is_the_table(run)


def write_npz(path):
    np.savez(path, t=T, h=np.column_stack([H, PUMP]), rate=10.0)


def write_mat5(path):
    scipy.io.savemat(path, {"t": T, "h": np.column_stack([H, PUMP]), "name": "tank"})


def write_struct(path):
    scipy.io.savemat(path, {"log": {"t": T[:, None], "h": np.column_stack([H, PUMP])}})


def write_mat73(path):
    with h5py.File(path, "w", userblock_size=512) as file:
        file["t"], file["h"] = T[:, None], np.column_stack([H, PUMP]).T
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")


@pytest.mark.filterwarnings("ignore::discover.exceptions.DataWarning")
@pytest.mark.parametrize(
    ("name", "write", "prefix"),
    [
        ("a.npz", write_npz, ""),
        ("a.mat", write_mat5, ""),
        ("a.mat", write_struct, "log_"),
        ("a.mat", write_mat73, ""),
    ],
)
def test_files_of_arrays_give_their_columns(name, write, prefix, tmp_path):
    write(tmp_path / name)
    (run,) = read_runs(tmp_path / name, time=f"{prefix}t")
    np.testing.assert_array_equal(run.times, T)
    np.testing.assert_array_equal(run.states, np.column_stack([H, PUMP]))
    assert run.state_names == (f"{prefix}h0", f"{prefix}h1")


# -- time --------------------------------------------------------------------------


def test_without_a_column_of_times_they_follow_from_the_interval(tmp_path):
    path = csv(tmp_path, text_of())
    (run,) = read_runs(path, dt=0.5, states=["h1"], rows="4:9")
    np.testing.assert_allclose(run.times, 0.5 * np.arange(4, 9), rtol=1e-15)


@pytest.mark.parametrize(
    "words", [["2021-03-01 00:00:00", "2021-03-01 00:00:01.5"], ["00:00:00", "00:00:01.5"]]
)
def test_dates_and_durations_become_seconds(words, tmp_path):
    path = csv(tmp_path, f"time,x\n{words[0]},1\n{words[1]},2\n")
    (run,) = read_runs(path)
    assert np.diff(run.times) == [1.5]
    assert run.time_unit == "s"


def test_an_ambiguous_date_is_read_with_a_warning(tmp_path):
    path = csv(tmp_path, "date,x\n01/02/2020,1\n02/02/2020,2\n")
    with pytest.warns(DataWarning, match="read as month, day, year"):
        (run,) = read_runs(path)
    assert run.times[1] == 31 * 86400


# -- runs, rows, files -------------------------------------------------------------


def test_runs_are_told_apart_by_a_column_and_kept_in_order(tmp_path):
    path = csv(tmp_path, "t,x,who\n0,1,b\n0,5,a\n1,2,b\n1,6,a\n2,3,b\n")
    runs = read_runs(path, run="who")
    assert [run.states[:, 0].tolist() for run in runs] == [[1, 2, 3], [5, 6]]
    assert [run.name for run in runs] == ["file.csv, run b", "file.csv, run a"]


def test_every_range_of_rows_is_a_run(tmp_path):
    runs = read_runs(csv(tmp_path, text_of()), time="time", states=["h1"], rows=":3,5:7,-4:")
    assert [run.times.tolist() for run in runs] == [
        T[:3].tolist(),
        T[5:7].tolist(),
        T[-4:].tolist(),
    ]


@pytest.mark.parametrize("text", ["", "3", "a:b", "1:2:3", "1:2,", "9" * 40 + ":"])
def test_ranges_that_are_none_are_refused(text):
    with pytest.raises(DataError, match="rows must be ranges"):
        parse_rows(text)


def test_several_files_are_runs_with_the_columns_of_the_first(tmp_path):
    first = csv(tmp_path, "t,x,y\n0,1,2\n1,2,3\n", "a.csv")
    other = csv(tmp_path, "y,t,x\n5,0,4\n6,1,7\n", "b.csv")
    a, b = read_runs([first, other])
    assert a.state_names == b.state_names == ("x", "y")
    np.testing.assert_array_equal(b.states, [[4, 5], [7, 6]])


@pytest.mark.parametrize(
    ("unit", "said"),
    [("mm", "1 mm is 0.1 cm"), ("V", "do not measure the same kind of thing")],
)
def test_files_must_agree_on_units(unit, said, tmp_path):
    first = csv(tmp_path, "t,h [cm]\n0,1\n1,2\n", "a.csv")
    other = csv(tmp_path, f"t,h [{unit}]\n0,1\n1,2\n", "b.csv")
    with pytest.raises(DataError, match=rf"b\.csv: 'h' is in '{unit}', and in 'cm' in .*{said}"):
        read_runs([first, other])


def test_two_spellings_are_one_unit(tmp_path):
    first = csv(tmp_path, "t [s],h [°C]\n0,1\n1,2\n", "a.csv")
    other = csv(tmp_path, "t [sec],h [degC]\n0,1\n1,2\n", "b.csv")
    assert {run.state_units for run in read_runs([first, other])} == {("°C",)}


def test_a_unit_nobody_knows_is_kept_with_a_warning(tmp_path):
    with pytest.warns(DataWarning, match="the unit 'furlongz' of 'h' is not one that is known"):
        (run,) = read_runs(csv(tmp_path, "t,h [furlongz]\n0,1\n1,2\n"))
    assert run.state_units == ("furlongz",)


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        ("h1 [cm]", ("h1", "cm")),
        ("h1 (cm)", ("h1", "cm")),
        ("speed (max)", ("speed (max)", None)),
        ("v (m s-1)", ("v", "m s-1")),
        ("v", ("v", None)),
    ],
)
def test_parentheses_hold_a_unit_only_if_it_is_one(header, parts):
    assert split_header(header) == parts


@pytest.mark.parametrize(
    "text", ["9**9**9**9", "m**99999999", "(" * 60, "m" * 1000, "__import__('os')"]
)
def test_units_that_would_take_long_or_run_something_are_not_parsed(text):
    assert not is_unit(text)
    assert not same_unit(text, "m")


# -- piece by piece ----------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::discover.exceptions.DataWarning")
@pytest.mark.parametrize("layout", ["comma", "remarks between", "signs of typesetters"])
def test_pieces_joined_are_the_whole(layout, tmp_path):
    path = csv(tmp_path, LAYOUTS[layout])
    pieces = list(read_chunks(path, time="time", rows_per_chunk=5))
    (whole,) = read_runs(path, time="time")
    np.testing.assert_array_equal(np.concatenate([p.states for p in pieces]), whole.states)
    np.testing.assert_array_equal(np.concatenate([p.times for p in pieces]), whole.times)


def test_pieces_of_large_text_respect_rows_and_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("discover.observations.readers.text._BYTES_PER_BLOCK", 2000)
    n = 1000
    frame = pd.DataFrame(
        {"t": np.arange(n) % 250, "x": np.arange(n) ** 0.5, "r": np.arange(n) // 250}
    )
    path = csv(tmp_path, frame.to_csv(index=False))
    pieces = list(read_chunks(path, run="r", rows="100:600,700:"))
    assert len(pieces) > 6
    found = np.concatenate([piece.states[:, 0] for piece in pieces])
    np.testing.assert_array_equal(np.sort(found), frame["x"][[*range(100, 600), *range(700, n)]])
    assert all((np.diff(piece.times) == 1).all() for piece in pieces)


# -- numbers -----------------------------------------------------------------------


@given(st.floats(allow_nan=False))
def test_a_number_written_by_python_is_read_back_bit_for_bit(value):
    assert number_of(repr(value)) == value
    assert number_of(repr(value).replace(".", ","), ",") == value


@given(st.text(max_size=12))
def test_a_cell_is_a_number_missing_or_neither_but_never_a_surprise(cell):
    value = number_of(cell)
    assert value is None or isinstance(value, float)


@pytest.mark.parametrize("cell", ["1_000", "0x10", "1e", "e5", "--1", "1 2", "1,5", "nan(3)", "१"])
def test_what_only_python_takes_for_a_number_is_none(cell):
    assert number_of(cell) is None


# -- what is refused ---------------------------------------------------------------

REFUSED = {
    "empty": ("", "the file is empty"),
    "blank": ("\n\n \n", "only blank lines or remarks"),
    "a header": ("t,x\n", "a header and no rows"),
    "one row": ("t,x\n0,1\n", "no two rows to use among its 1"),
    "words": ("a,b\nx,y\n", "no column holds numbers; the first row begins with 'x'"),
    "a row too long": ("t,x\n0,1\n1,2,3\n2,3\n", "line 3 has 3 fields where most rows have 2"),
    "a row too short": ("t,x,y\n0,1,2\n1,2\n2,3,4\n", "line 3 has 2 fields where most rows have 3"),
    "a header too long": ("t,x,y\n0,1\n1,2\n", "header has 3 names and most rows have 2 fields"),
    "a word": ("t,x\n0,1\n1,ERR\n2,3\n", "line 3, column 'x': 'ERR' is not a number"),
    "one name twice": ("t,x,x\n0,1,2\n1,2,3\n", "two columns are called 'x'"),
    "time backwards": ("t,x\n0,1\n2,2\n1,3\n", "strictly increasing; row 2: 1.0 after 2.0"),
    "several runs": ("t,x\n0,1\n1,2\n0,3\n", "Name the column that tells them apart: --run"),
    "infinity": ("t,x\n0,1\n1,1e999\n", "must be finite.*row 1, column 'x': inf"),
    "no time": ("a,b\n0,1\n1,2\n", "nothing says which column is the time.*--time"),
    "an open quote": ('t,x\n0,"1\n1,2\n', "line 3, column 'x'.*is not a number"),
    "zeros": ("t,x\n0,1\n\0\0", "this is not text: byte 8 is zero"),
    "bells": ("\7" * 100 + "t,x\n0,1\n1,2\n", "characters cannot be printed"),
    "a pickle": ("\x80\x04", "a pickle; loading one may run any program"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_by_file_and_place(case, tmp_path):
    text, said = REFUSED[case]
    path = csv(tmp_path, text, encoding="latin-1")
    with pytest.raises(DataError, match=rf"file\.csv.*: .*{said}"):
        read_runs(path)


def test_a_column_that_is_not_there_gets_the_nearest_name(tmp_path):
    with pytest.raises(
        DataError, match=r"'pmup', and there is no such column. Did you mean 'pump'"
    ):
        read_runs(csv(tmp_path, text_of()), time="time", inputs=["pmup"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
def test_pipes_devices_and_folders_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, what in (
        (tmp_path / "pipe", "a pipe"),
        ("/dev/zero", "a device"),
        (tmp_path, "a folder"),
    ):
        with pytest.raises(DataError, match=f"this is {what}"):
            open_source(path)


def archive(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def npy(shape, content=b""):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header = header.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


def test_objects_in_npz_are_not_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([{}, []], dtype=object))
    with pytest.raises(DataError, match="pickled objects; loading those may run any program"):
        open_source(tmp_path / "a.npz")


def test_an_archive_that_would_fill_the_memory_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda name: 1000)  # two megabytes, half of which
    content = npy((1 << 18,), bytes(8 << 18))
    path = archive(tmp_path / "a.npz", {"x.npy": content})
    assert path.stat().st_size < len(content) / 100
    with pytest.raises(DataError, match=r"declares .* GB of numbers"):
        open_source(path)


@pytest.mark.parametrize("shape", ["(10**12,)", "(1000000000000,)", "(-5,)", "(3, 4)", "'x'"])
def test_a_shape_that_is_not_there_is_refused(shape, tmp_path):
    path = archive(tmp_path / "a.npz", {"x.npy": npy(shape, bytes(16))})
    with pytest.raises(DataError, match=r"a\.npz: "):
        open_source(path)


def test_netcdf_with_everything_in_groups_says_so(tmp_path):
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file["run1/x"] = np.arange(5.0)
    with pytest.raises(DataError, match=r"it keeps them in groups \(run1\)"):
        open_source(tmp_path / "a.nc")


def test_a_workbook_is_called_one(tmp_path):
    with pytest.raises(DataError, match="this is an Excel workbook; save it as CSV"):
        open_source(archive(tmp_path / "a.xlsx", {"xl/workbook.xml": "<a/>"}))


def test_another_encoding_is_read_with_a_note_or_as_told(tmp_path):
    path = csv(tmp_path, "t,Höhe [cm]\n0,1\n1,2\n", encoding="latin-1")
    with pytest.warns(DataWarning, match="not UTF-8, so read as Windows-1252"):
        (run,) = read_runs(path)
    assert run.state_names == ("Höhe",)
    (wide,) = read_runs(csv(tmp_path, "t,Höhe\n0,1\n1,2\n", encoding="utf-16"))
    assert wide.state_names == ("Höhe",)
    with pytest.raises(DataError, match="there is no encoding called 'klingon'"):
        read_runs(path, encoding="klingon")


def test_a_matlab_file_without_numbers_is_refused_by_its_own_name(tmp_path):
    path = tmp_path / "words.mat"
    scipy.io.savemat(path, {"cells": np.array(["a", 2], dtype=object)})
    with pytest.raises(DataError, match=r"words\.mat.*no arrays of numbers"):
        read_runs(path, dt=0.1)
