"""``discover systems`` and ``discover bench chaos``."""

import numpy as np
import pandas as pd
import pytest

from discover import SymbolicModel, cli
from discover.bench import chaos
from discover.dynamics import list_systems, load_system


def test_list_has_one_line_per_system_and_filters(capsys):
    assert cli.main(["systems", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list_systems()
    assert cli.main(["systems", "list", "--states", "4", "--benchmark"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert names == list_systems(dimension=4, benchmark=True)


def test_show_prints_the_card_and_a_model_file_that_loads(capsys, tmp_path):
    assert cli.main(["systems", "show", "rossler"]) == 0
    card = capsys.readouterr().out
    assert card.startswith("Rossler: ")
    for part in ("y' =  1 x + 0.2 y", "a = 0.2, b = 0.2, c = 5.7", "397-398", "5.9086"):
        assert part in card
    assert cli.main(["systems", "show", "Rossler", "--json"]) == 0
    (tmp_path / "law.json").write_text(capsys.readouterr().out)
    law, system = SymbolicModel.load(tmp_path / "law.json"), load_system("Rossler")
    x = system.initial_state
    np.testing.assert_array_equal(law.rhs(x), system.model.rhs(x))


def test_simulate_writes_the_runs_of_the_catalogue_to_the_last_bit(capsys, tmp_path):
    path = tmp_path / "runs.csv"
    command = ["systems", "simulate", "Lorenz", "--runs", "2", "--periods", "2", "--noise", "0.1"]
    assert cli.main([*command, "--seed", "3", "--out", str(path)]) == 0
    table = pd.read_csv(path)
    runs = load_system("Lorenz").trajectories(2, 2, noise=0.1, rng=np.random.default_rng(3))
    for k, run in enumerate(runs):
        part = table[table["run"] == k]
        np.testing.assert_array_equal(part[["x", "y", "z"]], run.states)
        np.testing.assert_array_equal(part["t"], run.times)
    assert cli.main(["systems", "simulate", "Lorenz", "--periods", "1", "--points", "5"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "t,x,y,z"


def test_bench_chaos_goes_on_from_its_table(capsys, tmp_path, monkeypatch):
    asked = []

    def stub(case):
        asked.append(case)
        score = chaos.Score(1, 1.0, 0, 0, 1e-3, 5, 5)
        return chaos.Result(case, score, 0.5)

    monkeypatch.setattr(chaos, "attempt", stub)
    out = ["--out", str(tmp_path / "chaos.csv"), "--method", "weak", "--noise", "0.01,0.1"]
    assert cli.main(["bench", "chaos", "--systems", "Lorenz", "--seeds", "0", *out]) == 0
    first = capsys.readouterr().out
    assert "Lorenz, 5 runs, 1 %, seed 0, weak: exact; error 1.0e-03" in first
    assert "| 5 | 10 % | weak | 1.0 of 1 | 1.0e-03 | 1.00 | 0.5 |" in first
    assert cli.main(["bench", "chaos", "--systems", "Lorenz", "--seeds", "0,1", *out]) == 0
    assert [(case.noise, case.seed) for case in asked] == [(0.01, 0), (0.1, 0), (0.01, 1), (0.1, 1)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["systems", "show", "Lorentz"], "did you mean Lorenz"),
        (["bench", "fit", "--seeds", "0"], "belong to 'discover bench chaos'"),
        (["bench", "chaos", "--noise", "x"], "numbers separated by commas"),
        (["bench", "chaos", "--runs", "3"], "each must be 1 or 5"),
        (["bench", "chaos", "--method", "magic", "--out", "t.csv"], "method must be one of"),
        (["bench", "chaos", "--systems", "Chua"], "names of polynomial systems"),
    ],
)
def test_misuse_exits_with_two_and_says_what_to_do(arguments, message, capsys):
    assert cli.main(arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())
