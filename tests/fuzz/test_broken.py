"""Broken files and broken command lines end in one message that names the cause."""

import warnings
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discover import cli
from discover.exceptions import DataError
from discover.observations.readers import open_source, read_runs

from .broken import broken_files, broken_lines, whole_files

SEED = 20


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Write one good file of every kind."""
    folder = tmp_path_factory.mktemp("good")
    for name, content in whole_files().items():
        (folder / name).write_bytes(content)
    return {name: str(folder / name) for name in whole_files()}


def outcome(arguments, capsys):
    status = cli.main(arguments)
    return status, capsys.readouterr().err


def judge(arguments, status, err):
    """Fail for a defect; return whether the command was refused."""
    told = f"{arguments!r:.500} -> {status}: {err[:1000]}"
    assert status in (0, 1, 2), told
    assert "Traceback" not in err, told
    assert "unexpected failure" not in err, told
    if status:
        assert len(err.strip()) > 20, told
    return status != 0


def refuse(name, content, folder, capsys):
    """Show or fit one file; return whether it was refused, with a message that names it."""
    path = folder / name
    path.write_bytes(content)
    arguments = ["show", str(path)] if name.endswith(".json") else ["fit", str(path), "--dt", "0.1"]
    status, err = outcome(arguments, capsys)
    refused = judge((arguments, content), status, err)
    if status == 2:
        assert name in err.strip().splitlines()[-1], (content[:300], err)
    return refused


def check_files(count, stride, folder, capsys):
    """Take every `stride`-th of the broken files until `count` were refused."""
    refused = 0
    for name, content in islice(broken_files(SEED), None, None, stride):
        refused += refuse(name, content, folder, capsys)
        if refused == count:
            return


def check_lines(count, good, folder, capsys):
    refused = 0
    for line in broken_lines(SEED, good, str(folder / "out")):
        refused += judge(line, *outcome(line, capsys))
        if refused == count:
            return


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("count", "stride"), [(80, 13), pytest.param(1000, 1, marks=pytest.mark.slow)]
)
def test_broken_files_are_refused_with_a_reason(count, stride, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    check_files(count, stride, tmp_path, capsys)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", [50, pytest.param(200, marks=pytest.mark.slow)])
def test_broken_command_lines_are_refused_with_a_reason(count, good, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    check_lines(count, good, tmp_path, capsys)


def test_the_good_files_are_read(good):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, path in good.items():
            if not name.endswith(".json"):
                assert read_runs(path, dt=0.1)[0].n_samples == 41


def readable_or_refused(path, content):
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read_runs(path, dt=0.1)
        except DataError as error:
            if str(path) not in str(error):
                raise


@given(content=st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content, tmp_path_factory):
    readable_or_refused(tmp_path_factory.getbasetemp() / "any.csv", content)


CELL = st.one_of(st.floats().map(repr), st.integers().map(str), st.text(max_size=4))


@given(
    rows=st.lists(st.lists(CELL, min_size=1, max_size=4), min_size=1, max_size=8),
    separator=st.sampled_from([",", ";", "\t", " ", "|"]),
)
def test_any_table_of_cells_is_read_or_refused(rows, separator, tmp_path_factory):
    text = "\n".join(separator.join(row) for row in rows)
    content = text.encode("utf-8", "surrogatepass")
    readable_or_refused(tmp_path_factory.getbasetemp() / "table.csv", content)


@given(data=st.data())
def test_damaged_binary_files_are_read_or_refused(data, good, tmp_path_factory):
    name = data.draw(st.sampled_from([n for n in good if n[-3:] in ("npz", "npy", "mat", "uet")]))
    with open(good[name], "rb") as file:
        content = bytearray(file.read())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    readable_or_refused(tmp_path_factory.getbasetemp() / f"damaged-{name}", bytes(content))


def test_a_file_nobody_may_read_is_named(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("t,x\n0,1\n1,2\n", encoding="utf-8")

    def denied(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("discover.observations.readers.files.os.stat", denied)
    with pytest.raises(DataError, match=r"a\.csv: permission to read it is denied"):
        open_source(path)


def test_the_same_seed_breaks_the_same_files():
    assert list(islice(broken_files(3), 300)) == list(islice(broken_files(3), 300))
