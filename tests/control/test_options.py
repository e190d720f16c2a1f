"""Options and records that cannot be meant are refused before a real step is taken."""

import numpy as np
import pytest

from discover import SINDyRL, Trajectory
from discover.cli import main
from discover.control import (
    DynamicsLearner,
    Episode,
    HarvestPlanner,
    Symmetry,
    Transitions,
    read_transitions,
    transitions_of,
)
from discover.exceptions import DataError

NAMES = ("cos_th", "sin_th", "th_dot")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modes": 12}, "modes must be at most 3"),
        ({"modes": 0}, "modes must be a whole number >= 1; got 0"),
        ({"modes": 2.5}, "modes must be a whole number >= 1; got 2.5"),
        ({"horizon": 0}, "horizon must be a whole number >= 1"),
        ({"starts": "observd"}, "starts must be one of .* got 'observd'"),
        ({"plausible": np.nan}, "plausible must be >= 0; got nan"),
        ({"hold": (5, 2)}, r"hold must be \(least, most\)"),
        ({"dynamics": "rk4"}, "dynamics must be a DynamicsLearner; got 'rk4'"),
        ({"symmetry": ([0, 1, 2], [0])}, "symmetry must be a Symmetry"),
        ({"bounds": {"z": (-1, 1)}}, "bounds has 'z'; the observations are cos_th, sin_th, th_dot"),
        ({"bounds": {"th_dot": (1, -1)}}, "bounds of 'th_dot' must be"),
        ({"reward": "-q**2"}, "SINDyRL: reward: unknown name 'q'"),
        ({"terminal": "abs(q) - 1"}, "SINDyRL: terminal: unknown name 'q'"),
    ],
)
def test_options_are_checked_before_a_step_is_taken(options, message):
    agent = SINDyRL("Pendulum-v1", observation_names=NAMES, **options)
    with pytest.raises(ValueError, match=message):
        agent.learn(600)
    assert not hasattr(agent, "plant_")


def steps(n=40, hole=None):
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(n + 1, 2))
    if hole is not None:
        seen[hole] = np.nan
    data = Transitions(("x", "v"), ("u",))
    data.add(Episode(seen, rng.normal(size=(n, 1)), np.zeros(n)))
    return data


def test_records_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"data must be Transitions.* got str"):
        SINDyRL().fit("log.csv")
    with pytest.raises(DataError, match="data must be finite; episode 0 is not"):
        SINDyRL().fit(steps(hole=3))
    with pytest.raises(DataError, match="none of the 40 steps is within bounds"):
        DynamicsLearner(bounds={"x": (100, 200)}).fit(steps())
    with pytest.raises(ValueError, match="must have the shapes"):
        steps().add(Episode(np.zeros((5, 2)), np.zeros((4, 1)), np.zeros(7)))
    run = Trajectory(np.zeros((5, 1)), np.arange(5.0), np.zeros((5, 1)), ("x",), ("u",))
    with pytest.raises(DataError, match="must be a list of trajectories"):
        transitions_of(run)
    with pytest.raises(DataError, match="terminated must have one entry per run, 2; got 1"):
        transitions_of([run, run], terminated=[True])
    (tmp_path / "log.csv").write_text("xv,u,over\n1,0,0\n2,1,0\n4,0,-1\n")
    one = read_transitions(tmp_path / "log.csv", "xv", "u", ended="over")
    assert (one.observation_names, one.episodes[0].terminated) == (("xv",), True)
    with pytest.raises(ValueError, match="observations must hold every number"):
        Symmetry([0.5, 1.2], [0])
    with pytest.raises(ValueError, match="n_levels must be 2 or more"):
        HarvestPlanner(n_levels=1).fit([1.0, 2.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--from", "log.csv", "--resume"], "it goes without --from"),
        (["train", "Pendulum-v1", "--paid", "r"], "it goes with --from"),
        (["train", "Pendulum-v1", "--from", "log.csv", "--limits", "u=-1:1"], "ENV has its own"),
        (["train", "Pendulum-v1", "--bounds", "x=2:-2"], "low must be below high"),
        (["train", "Pendulum-v1", "--resume", "--out", "."], "there is no run to go on from"),
        (["train", "Pendulum-v1", "--resume", "--out", "damaged"], "is damaged"),
        (["distill", "."], "must be the folder of a run"),
    ],
)
def test_the_command_line_says_what_is_wrong(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "checkpoint.npz").write_bytes(b"PK")
    assert main(arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())
