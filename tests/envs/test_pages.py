"""Pages, scores and the command line of the environments."""

from pathlib import Path

import numpy as np
import pytest

from discover_envs import ENVIRONMENTS
from discover_envs.pages import environment_class, overview, page, read_scores
from discover_envs.references import EXPENSIVE, REFERENCES
from discover_envs.scores import random_policy, score

PAGES = Path(__file__).parents[2] / "docs" / "environments"


SCORES = read_scores(PAGES / "scores.csv")
PLANNED_AHEAD = [
    (name, list(REFERENCES[name])[-1])
    for name, makers in REFERENCES.items()
    if list(makers.values())[-1] in EXPENSIVE
]
CHEAP = [
    (name, title)
    for name, makers in REFERENCES.items()
    for title in makers
    if (name, title) not in PLANNED_AHEAD
]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_page_says_what_the_class_says(name):
    written = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert written == page(name, SCORES[name])
    assert (PAGES / f"{name}.png").is_file()
    assert f"\n{name}\n" in (PAGES / "index.md").read_text(encoding="utf-8")


def test_the_overview_holds_every_committed_score():
    assert (PAGES / "scores.md").read_text(encoding="utf-8") == overview(SCORES)
    assert set(SCORES) == set(ENVIRONMENTS)


def check_reference(name, title, episodes):
    """Compare with chance, and with the committed score as far as so few episodes can tell."""
    world = environment_class(name).world
    chance = score(name, random_policy(len(world.actions), np.random.default_rng(0)), 50, seed=9)
    committed = {one.policy: one for one in SCORES[name]}[title]
    found = score(name, REFERENCES[name][title](), episodes, seed=9)
    error = committed.deviation * np.sqrt(1 / episodes + 1 / committed.episodes)
    assert found.mean() > chance.mean() + 2 * error
    assert abs(found.mean() - committed.mean) < 5 * error + 1e-3 * abs(committed.mean)


@pytest.mark.parametrize(("name", "title"), CHEAP)
def test_a_reference_is_far_better_than_chance_and_earns_its_committed_score(name, title):
    check_reference(name, title, 4 if title == "receding horizon" else 50)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "title"), PLANNED_AHEAD)
def test_a_plan_ahead_is_far_better_than_chance_and_earns_its_committed_score(name, title):
    check_reference(name, title, 4)


def test_the_best_reference_is_the_best_of_the_committed_scores():
    for name, makers in REFERENCES.items():
        assert max(SCORES[name], key=lambda one: one.mean).policy == list(makers)[-1]


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
    assert main(["env", "rollout", "PendulumSwingup", "--record", "film.mp4"]) == 2
    assert "must end in .gif" in capsys.readouterr().err


def test_the_command_line_plays_the_reference_and_films_it_from_its_first_step(capsys, tmp_path):
    from discover.cli import main

    film = tmp_path / "film.gif"
    arguments = ["env", "rollout", "FisheryTippingPoint", "--policy", "reference"]
    assert main([*arguments, "--episodes", "1", "--record", str(film)]) == 0
    played, filmed = capsys.readouterr().out.splitlines()
    assert f" {filmed.rsplit(' ', 1)[1]} +-" in played  # dynamic programming counts the years


def test_the_command_line_scores_and_replaces_one_environment_in_the_file(capsys, tmp_path):
    from discover.cli import main

    path = tmp_path / "scores.csv"
    path.write_text((PAGES / "scores.csv").read_text(encoding="utf-8"), encoding="utf-8")
    assert (
        main(["env", "scores", "FisheryTippingPoint", "--episodes", "3", "--out", str(path)]) == 0
    )
    assert "dynamic programming" in capsys.readouterr().out
    after = read_scores(path)
    assert {one.episodes for one in after.pop("FisheryTippingPoint")} == {3}
    assert after == {name: rows for name, rows in SCORES.items() if name in after}


@pytest.mark.parametrize("names", [["x", "y", "z"], ["y"], ["o0", "y0", "o2"]])
def test_a_model_file_is_a_policy(capsys, tmp_path, names):
    from discover import SymbolicLibrary, SymbolicModel
    from discover.cli import main

    table = SymbolicLibrary(["y" if "y" in names else "y0"]).build(names)
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


@pytest.mark.parametrize(
    ("names", "targets", "message"),
    [
        (["x", "w"], ["rotation"], "must be among the observations x, y, z; got x, w"),
        (["x", "y"], ["a", "b"], "with 1 targets, the actions; got 'direct' with 2"),
    ],
)
def test_a_policy_for_something_else_is_refused(capsys, tmp_path, names, targets, message):
    from discover import SymbolicLibrary, SymbolicModel
    from discover.cli import main

    table = SymbolicLibrary(["x"]).build(names)
    model = SymbolicModel(table, [[1.0]] * len(targets), names, target_names=targets, kind="direct")
    model.save(tmp_path / "policy.json")
    path = str(tmp_path / "policy.json")
    assert main(["env", "rollout", "CylinderWakeMeanField", "--policy", path]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
