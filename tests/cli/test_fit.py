"""From a file to a law, and back to numbers, on the command line."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from discover import SINDy, SymbolicLibrary, SymbolicModel, cli

T = np.linspace(0, 40, 2001)
PUMP = np.sin(2 * T)
LEVEL = (
    3 + 0.8 * np.exp(-0.5 * T) + (0.5 * np.sin(2 * T) - 2 * np.cos(2 * T)) / 4.25
)  # h' = 1.5 - h/2 + u
TABLE = pd.DataFrame({"time [s]": T, "level [cm]": LEVEL, "pump [V]": PUMP})


@pytest.fixture
def tank(tmp_path):
    TABLE.to_csv(tmp_path / "tank.csv", index=False)
    return tmp_path / "tank.csv"


def run(capsys, *arguments):
    status = cli.main([str(argument) for argument in arguments])
    return status, *capsys.readouterr()


def test_fit_prints_the_law_of_the_file(tank, capsys):
    status, out, err = run(capsys, "fit", tank, "--input", "pump", "--degree", 1)
    assert (status, err) == (0, "")
    assert out.startswith("tank.csv: 2,001 samples of level, driven by pump; t = 0 to 40 s\n")
    assert "level' =  1.5" in out
    assert "units: level cm, pump V, t s" in out
    assert "of those it had not seen." in out


def test_fit_is_what_sindy_finds_in_the_part_not_held_out(tank, tmp_path, capsys):
    status, out, _ = run(capsys, "fit", tank, "-u", "pump", "--json", "--out", tmp_path / "law")
    told = json.loads(out)
    model = SINDy(controls=["pump"]).fit(TABLE.iloc[:1601], t="time")
    assert status == 0
    assert told["equations"] == model.equations()
    assert (told["samples"], told["samples_held_out"]) == (1601, 400)
    assert told["r2_held_out"] > 0.999
    law = SymbolicModel.load(tmp_path / "law" / "model.json")
    np.testing.assert_array_equal(law.coefficients, model.symbolic_.coefficients)
    assert {path.name for path in (tmp_path / "law").iterdir()} >= {
        "model.json",
        "coefficients.csv",
    }


def test_validate_tells_the_right_law_from_a_wrong_one(tank, tmp_path, capsys):
    table = SymbolicLibrary("1, level, pump").build(["level", "pump"])
    for name, rate, status in (("right", -0.5, 0), ("wrong", -0.1, 1)):
        law = SymbolicModel(table, [[1.5, rate, 1.0]], ["level"], ["pump"])
        law.save(tmp_path / f"{name}.json")
        told = run(capsys, "validate", tmp_path / f"{name}.json", tank, "--json")
        assert (told[0], told[2]) == (status, "")
        outcome = json.loads(told[1])["verdict"]["outcome"]
        assert outcome == ("fails" if status else "holds")


def test_terms_may_be_given_in_words_and_use_the_time(tmp_path, capsys):
    t = np.linspace(0, 10, 501)
    frame = pd.DataFrame({"t": t, "x": np.sin(t) + 0.1 * t**2})
    frame.to_csv(tmp_path / "a.csv", index=False)
    terms = "t, cos(t), 1"
    _, out, _ = run(capsys, "fit", tmp_path / "a.csv", "--library", terms, "--json")
    law = SymbolicModel.from_dict(json.loads(out)["model"])
    assert law.time_name == "t"
    assert [n for n, kept in zip(law.term_names, law.support[0], strict=True) if kept] == [
        "t",
        "cos(t)",
    ]


def test_a_large_file_is_fitted_in_pieces_to_the_same_law(tank, monkeypatch, capsys):
    arguments = ["fit", tank, "-u", "pump", "--degree", "1", "--json"]
    whole = json.loads(run(capsys, *arguments, "--holdout", "0")[1])
    monkeypatch.setattr("discover.cli.fit.LARGE", 1000)
    monkeypatch.setattr("discover.observations.readers.text._BYTES_PER_BLOCK", 30_000)
    status, out, err = run(capsys, *arguments)
    pieces = json.loads(out)
    assert (status, err) == (0, "")
    assert 0 < pieces["samples_held_out"] < 2001 - pieces["samples"] + 1
    assert pieces["r2_held_out"] > 0.999
    laws = [SymbolicModel.from_dict(told["model"]) for told in (whole, pieces)]
    np.testing.assert_allclose(laws[0].coefficients, laws[1].coefficients, atol=1e-3)


@pytest.mark.parametrize("method", ["auto", "joint", "wendy"])
def test_methods_for_noise_choose_their_terms_themselves(method, tmp_path, capsys):
    t = np.linspace(0, 20, 400)
    X = np.column_stack([np.cos(2 * t), -np.sin(2 * t)])
    X += 0.03 * np.random.default_rng(0).normal(size=X.shape)
    frame = pd.DataFrame({"t": t, "q": X[:, 0], "p": X[:, 1]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    status, out, _ = run(capsys, "fit", tmp_path / "a.csv", "--method", method, "--json")
    law = SymbolicModel.from_dict(json.loads(out)["model"])
    assert status == 0
    assert law.support.sum() == 2
    np.testing.assert_allclose(law.rhs([1.0, 1.0]), [2.0, -2.0], atol=0.05)


def test_second_order_laws_are_found_and_refined(tmp_path, capsys):
    t = np.linspace(0, 20, 1001)
    y = np.exp(-0.1 * t) * np.cos(2 * t) + 0.01 * np.random.default_rng(0).normal(size=t.size)
    pd.DataFrame({"t": t, "y": y}).to_csv(tmp_path / "a.csv", index=False)
    arguments = ["fit", tmp_path / "a.csv", "--order", 2, "--library", "y, y_dot, y**3", "--refine"]
    status, out, _ = run(capsys, *arguments, "--json")
    law = SymbolicModel.from_dict(json.loads(out)["model"])
    assert status == 0
    assert law.state_names == ("y", "y_dot")
    values = dict(zip(law.term_names, law.coefficients[1], strict=True))
    assert values["y"] == pytest.approx(-4.01, abs=0.02)
    assert values["y_dot"] == pytest.approx(-0.2, abs=0.01)
    assert "simulation error" in json.loads(out)["refinement"][0]


def test_simulate_follows_the_law_with_the_inputs_of_a_file(tank, tmp_path, capsys):
    run(capsys, "fit", tank, "-u", "pump", "--degree", 1, "--out", tmp_path / "law")
    model, out = tmp_path / "law" / "model.json", tmp_path / "run.csv"
    start = ["--x0", f"level={LEVEL[0]}"]
    assert run(capsys, "simulate", model, *start, "--input", tank, "--out", out) == (0, "", "")
    path = pd.read_csv(out)
    assert list(path.columns) == ["t [s]", "level [cm]", "pump [V]"]
    np.testing.assert_allclose(path["level [cm]"], LEVEL, atol=1e-3)
    _, text, _ = run(capsys, "simulate", model, *start, "-u", tank, "--t", "0:1:0.25", "--draws", 3)
    draws = pd.read_csv(io.StringIO(text))
    assert (len(draws), draws["draw"].nunique()) == (15, 3)


def test_look_shows_columns_as_they_are_read(tank, capsys):
    status, out, _ = run(capsys, "look", tank, "--json")
    columns = json.loads(out)["columns"]
    assert status == 0
    assert [(c["name"], c["unit"], c["rows"], c["missing"]) for c in columns] == [
        ("time", "s", 2001, 0), ("level", "cm", 2001, 0), ("pump", "V", 2001, 0)
    ]  # fmt: skip
    assert columns[1]["low"] == LEVEL.min()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rate", "10", "--time", "time"], "give one of --time, --rate"),
        (["--dt", "-1"], "-1.0 is not a positive number"),
        (["--rate", "1e-320"], "is not a positive number"),
        (["--library", "level +"], "level +"),
        (["--library", "__import__('os')"], "__import__"),
        (["--library", "lev"], "lev"),
        (["--regressor", "magic"], "'magic' is not one of"),
        (["--method", "magic"], "'magic' is not one of weak, derivative, joint"),
        (["--state", "lev"], "Did you mean 'level'?"),
        (["--state", "time"], "the column 'time' is given two parts to play"),
        (["--rows", "5000:"], "no two rows to use"),
        (["--rows", "1-2"], "rows must be ranges"),
        (["--degree", "99"], "less than or equal to 12"),
        (["--run", "time", "--dt", "1"], "Every run has a single row"),
    ],
)
def test_what_the_user_can_put_right_is_named_and_exits_with_two(arguments, said, tank, capsys):
    status, out, err = run(capsys, "fit", tank, *arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert "unexpected" not in err


@pytest.mark.filterwarnings("ignore")
def test_data_that_never_change_have_a_law_and_no_defect(tmp_path, capsys):
    rows = "".join(f"{k},0\n" for k in range(41))
    (tmp_path / "a.csv").write_text(f"t,x\n{rows}", encoding="utf-8")
    status, out, err = run(capsys, "fit", tmp_path / "a.csv", "--out", tmp_path / "law")
    assert status == 0
    assert "x' =  0" in out
    assert "'x' never changes" in err
    assert (tmp_path / "law" / "report.html").is_file()


def test_a_state_that_never_moves_does_not_hide_the_law_of_the_others(tmp_path, capsys):
    noise = 1e-3 * np.random.default_rng(0).normal(size=(2, len(T)))
    x, y = np.exp(-0.1 * T) * np.array([np.cos(2 * T), np.sin(2 * T)]) + noise
    table = pd.DataFrame({"t": T, "x": x, "y": y, "fixed": 7.0})
    table.to_csv(tmp_path / "a.csv", index=False)
    status, out, _ = run(capsys, "fit", tmp_path / "a.csv", "--degree", 1)
    assert status == 0
    assert "fixed' =  0" in out
    assert "Free run: it explains 99.9" in out


def test_nothing_is_fitted_when_the_answer_could_not_be_written(tank, capsys):
    status, out, err = run(capsys, "fit", tank, "--out", tank)
    assert (status, out) == (2, "")
    assert "is there and is not a folder" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--x0", "1,2", "--t", "0:1:0.1"], "each of level once"),
        (["--x0", "x", "--t", "0:1:0.1"], "'x' is not a finite number"),
        (["--x0", "1", "--t", "0:1"], "start:end:step"),
        (["--x0", "1", "--t", "0:1:0"], "is not between 1 and"),
        (["--x0", "1", "--t", "0:1e300:1e-300"], "is not between 1 and"),
        (["--x0", "1"], "such as --t 0:10:0.01"),
        (["--x0", "1", "--t", "0:1:0.1", "--input", "tank.csv"], "this law has no inputs"),
    ],
)
def test_misuse_of_simulate_is_named(arguments, said, tmp_path, capsys):
    law = SymbolicModel(SymbolicLibrary("level").build(["level"]), [[-1.0]], ["level"])
    law.save(tmp_path / "model.json")
    status, _, err = run(capsys, "simulate", tmp_path / "model.json", *arguments)
    assert status == 2
    assert said in err
