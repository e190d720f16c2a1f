"""The command line: what it prints, writes and returns."""

import json
import subprocess
import sys
import warnings

import pytest

import discover
from discover import SymbolicLibrary, SymbolicModel, bench, cli
from discover.bench import Row
from discover.exceptions import DataError, DataWarning
from discover.symbolic.model_file import to_json


@pytest.fixture
def measured(monkeypatch):
    """Replace the benchmarks by one that fails its bar."""
    asked = []

    def measure(name, *, quick=False):
        asked.append((name, quick))
        return [Row(f"{name}: ratio", 3.0, "x", target="<= 2")]

    monkeypatch.setattr(bench, "measure", measure)
    return asked


def raising(error):
    def measure(name, *, quick=False):
        raise error

    return measure


def outcome(*arguments):
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, check=False
    )


# -- parsing -----------------------------------------------------------------------


@pytest.mark.parametrize("module", ["discover", "discover.cli"])
def test_version_is_that_of_the_package(module):
    done = outcome(module, "--version")
    assert (done.returncode, done.stdout) == (0, f"discover {discover.__version__}\n")


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["bench"], ["bench", "speed"], ["demo", "--where", "x"]]
)
def test_misuse_exits_with_two_and_the_usage(arguments, capsys):
    assert cli.main(arguments) == 2
    assert "Usage: discover" in capsys.readouterr().err


def test_the_command_line_starts_without_numpy():
    code = "import sys, discover.cli as c; c.main(['--help']); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- errors ------------------------------------------------------------------------


def test_our_errors_are_messages_not_tracebacks(monkeypatch, capsys):
    monkeypatch.setattr(bench, "measure", raising(DataError("SINDy: X must be finite.")))
    assert cli.main(["bench", "fit"]) == 2
    assert capsys.readouterr().err == "discover: SINDy: X must be finite.\n"


def test_value_errors_of_our_own_are_messages(capsys):
    assert cli.main(["bench", "fit", "--quick", "--record"]) == 2
    assert capsys.readouterr().err == (
        "discover: bench: --record keeps full results only; leave out --quick.\n"
    )


def test_a_defect_is_one_line_and_its_traceback_is_for_those_who_ask(monkeypatch, capsys):
    monkeypatch.setattr(bench, "measure", raising(ValueError("not ours")))
    assert cli.main(["bench", "fit"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("discover: unexpected failure: ValueError: not ours.")
    monkeypatch.setenv("DISCOVER_TRACEBACK", "1")
    assert cli.main(["bench", "fit"]) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_our_warnings_are_notes_and_those_of_others_are_not_shown(monkeypatch, capsys):
    def measure(name, *, quick=False):
        warnings.warn("three rows were left out", DataWarning, stacklevel=1)
        warnings.warn("deprecated in another package", RuntimeWarning, stacklevel=1)
        return []

    monkeypatch.setattr(bench, "measure", measure)
    assert cli.main(["bench", "fit"]) == 0
    assert capsys.readouterr().err == "discover: note: three rows were left out\n"


def test_messages_cannot_move_the_cursor(tmp_path, capsys):
    assert cli.main(["show", str(tmp_path / "a\x1b[2Jb\r.json")]) == 2
    assert capsys.readouterr().err.rstrip("\n").isprintable()


def test_a_place_that_cannot_be_written_is_a_message(tmp_path, capsys):
    taken = tmp_path / "file"
    taken.write_text("", encoding="utf-8")
    assert cli.main(["demo", "--out", str(taken)]) == 2
    assert "exists" in capsys.readouterr().err


def test_interrupt_exits_with_130(monkeypatch, capsys):
    monkeypatch.setattr(bench, "measure", raising(KeyboardInterrupt()))
    assert cli.main(["bench", "fit"]) == 130
    assert capsys.readouterr().err == "discover: interrupted\n"


# -- bench -------------------------------------------------------------------------


def test_a_failed_bar_is_shown_and_counts_only_when_checked(measured, capsys):
    assert cli.main(["bench", "fit"]) == 0
    assert "FAIL" in capsys.readouterr().out
    assert cli.main(["bench", "fit", "--check"]) == 1


def test_all_means_every_benchmark_once(measured):
    cli.main(["bench", "all", "fit", "--quick"])
    assert measured == [(name, True) for name in bench.NAMES]


def test_a_name_given_twice_is_measured_once(measured):
    cli.main(["bench", "fit", "library", "fit"])
    assert measured == [("fit", False), ("library", False)]


def test_record_writes_the_table_of_the_clone(measured, monkeypatch, tmp_path, capsys):
    table = tmp_path / "bars.csv"
    monkeypatch.setattr("discover.bench.record.table_path", lambda: table)
    assert cli.main(["bench", "fit", "--record"]) == 0
    assert (
        table.read_text(encoding="utf-8")
        .splitlines()[1]
        .startswith("fit: ratio,3x,discover bench fit,")
    )
    assert "1 bars recorded" in capsys.readouterr().out


# -- demo --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Run the demo once, in a process of its own."""
    out = tmp_path_factory.mktemp("demo") / "new" / "folder"
    done = outcome("discover.cli", "demo", "--out", str(out))
    assert done.returncode == 0, done.stderr
    return done, out


def test_demo_finds_predator_and_prey(demo):
    law = SymbolicModel.load(demo[1] / "law.json")
    names = [
        [n for n, kept in zip(law.term_names, row, strict=True) if kept] for row in law.support
    ]
    assert names == [["hare", "hare*lynx"], ["lynx", "hare*lynx"]]
    signs = [[c > 0 for c in row if c] for row in law.coefficients]
    assert signs == [[True, False], [False, True]]


def test_demo_prints_the_law_with_its_uncertainty(demo):
    for line in SymbolicModel.load(demo[1] / "law.json").equations():
        assert line in demo[0].stdout
        assert "(" in line
    assert "hare peaks   data 1903, 1913   law" in demo[0].stdout
    assert demo[0].stderr == ""


def test_demo_leaves_picture_law_and_latex(demo):
    files = {file.name: file.read_bytes() for file in demo[1].iterdir()}
    assert set(files) == {"hare_lynx.png", "law.json", "law.tex"}
    assert files["hare_lynx.png"].startswith(b"\x89PNG")
    assert files["law.tex"].startswith(b"\\begin{align*}")


def test_demo_ends_with_commands_that_work(demo):
    lines = demo[0].stdout.split("What next\n")[1].splitlines()
    assert len(lines) == 3
    command = lines[0].split(":", 1)[1].strip()
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "hare*lynx" in done.stdout


# -- show --------------------------------------------------------------------------


@pytest.fixture
def law(demo):
    return SymbolicModel.load(demo[1] / "law.json")


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ([], lambda law: repr(law)),
        (["--latex"], lambda law: law.to_latex()),
        (["--c"], lambda law: law.to_c()),
        (["--python"], lambda law: law.to_python()),
        (["--table"], lambda law: law.coefficient_table().to_csv(index=False)),
        (["--sympy"], lambda law: "\n".join(map(str, law.to_sympy()))),
        (["--json"], lambda law: to_json(law)),
    ],
)
def test_show_prints_the_law_in_the_form_asked_for(demo, law, form, text, capsys):
    assert cli.main(["show", str(demo[1] / "law.json"), *form]) == 0
    assert capsys.readouterr().out == text(law).rstrip("\n") + "\n"


def test_show_gives_one_form_at_a_time(demo, capsys):
    assert cli.main(["show", str(demo[1] / "law.json"), "--c", "--latex"]) == 2
    assert "choose one of --latex, --c" in capsys.readouterr().err


# -- doctor ------------------------------------------------------------------------


def test_doctor_fits_a_law_whose_answer_is_known(capsys):
    assert cli.main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["well"] is True
    assert "4 terms of 4" in told["findings"][-1]["found"]


def test_doctor_fails_where_the_answer_is_wrong(monkeypatch, capsys):
    wrong = SymbolicModel(SymbolicLibrary("q, p").build(["q", "p"]), [[1, 2], [-2, 1]], ["q", "p"])
    fitted = type("Fitted", (), {"symbolic_": wrong})
    monkeypatch.setattr("discover.sindy.SINDy.fit", lambda self, X, t: fitted)
    assert cli.main(["doctor"]) == 1
    assert "! a known law" in capsys.readouterr().out
