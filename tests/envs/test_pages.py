"""Pages, scores and the command line of the environments."""

from pathlib import Path

import numpy as np
import pytest

from discover_envs import ENVIRONMENTS
from discover_envs.pages import page, read_scores
from discover_envs.references import REFERENCES
from discover_envs.scores import random_policy, score

PAGES = Path(__file__).parents[2] / "docs" / "environments"


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_page_says_what_the_class_says(name):
    written = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert written == page(name, read_scores(PAGES)[name])
    assert (PAGES / f"{name}.png").is_file()
    assert f"\n{name}\n" in (PAGES / "index.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", REFERENCES)
def test_a_reference_is_far_better_than_chance_and_earns_its_committed_score(name):
    n_actions = 1
    chance = score(name, random_policy(n_actions, np.random.default_rng(0)), 50, seed=9)
    committed = {row[0]: [float(cell) for cell in row[1:]] for row in read_scores(PAGES)[name]}
    for title, make in REFERENCES[name].items():
        found = score(name, make(), 50, seed=9)
        mean, deviation = committed[title]
        assert found.mean() > chance.mean() + 2 * deviation / np.sqrt(50)
        assert abs(found.mean() - mean) < 5 * deviation / np.sqrt(50) + 1e-3 * abs(mean)


def test_the_command_line_lists_shows_and_plays(capsys, tmp_path):
    from discover.cli import main

    assert main(["env", "list"]) == 0
    assert "CartPoleSwingup" in capsys.readouterr().out
    assert main(["env", "show", "discover/PendulumSwingup-v0"]) == 0
    assert "## Action Space" in capsys.readouterr().out
    film = tmp_path / "film.gif"
    assert (
        main(["env", "rollout", "PendulumSwingup", "--policy", "zero", "--record", str(film)]) == 0
    )
    assert "over 20 episodes" in capsys.readouterr().out
    assert film.read_bytes()[:3] == b"GIF"
    assert main(["env", "show", "Nothing"]) == 2


def test_a_model_file_is_a_policy(capsys, tmp_path):
    from discover import SymbolicLibrary, SymbolicModel
    from discover.cli import main

    names = ["x", "y", "z"]
    table = SymbolicLibrary(["y"]).build(names)
    model = SymbolicModel(table, [[-20.0]], names, target_names=("rotation",), kind="direct")
    model.save(tmp_path / "policy.json")
    arguments = [
        "env",
        "rollout",
        "CylinderWakeMeanField",
        "--policy",
        str(tmp_path / "policy.json"),
    ]
    assert main(arguments) == 0
    quiet = float(capsys.readouterr().out.split(": ")[1].split(" ")[0])
    assert quiet > -600.0
