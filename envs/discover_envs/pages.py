"""Pages: the documentation of an environment, written from the docstring of its class.

``discover env scores --out docs/environments/scores.csv`` plays the episodes behind the scores;
``python -m discover_envs.pages docs/environments`` draws the pictures and writes the pages.
"""

from __future__ import annotations

import csv
import importlib
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discover_envs import ENVIRONMENTS
from discover_envs.references import Score
from discover_envs.scores import random_policy, record

__all__ = [
    "environment_class",
    "overview",
    "page",
    "read_scores",
    "score_table",
    "write_pages",
    "write_scores",
]

_READABLE = 12  # terms of a law that a page shows


def environment_class(name: str) -> Any:
    """Return the class of an environment."""
    module, _ = ENVIRONMENTS[name]
    return getattr(importlib.import_module(f"discover_envs.{module}"), name)


def score_table(scores: Sequence[Score]) -> list[tuple[str, ...]]:
    """Return the cells of a table, the first row its header."""
    rows = [
        (
            one.policy,
            f"{one.mean:.4g}",
            f"{one.deviation:.3g}",
            f"{one.worst:.4g}",
            str(one.episodes),
        )
        for one in scores
    ]
    return [("policy", "mean", "deviation", "worst", "episodes"), *rows]


def page(name: str, scores: Sequence[Score]) -> str:
    """Return the page of an environment.

    Parameters
    ----------
    name : str
    scores : sequence of Score
    """
    found, steps = environment_class(name), ENVIRONMENTS[name][1]
    world, parameters = found.world, found.world.values(name, {})
    summary, _, rest = inspect.getdoc(found).partition("\n\n")
    actions = f"{len(world.actions)} in [-1, 1]"
    lines = [
        f"# {name}",
        summary,
        f"![{name}]({name}.png)",
        "| | |\n|---|---|\n"
        f'| make | `gymnasium.make("discover/{name}-v0")` after `import discover_envs` |\n'
        f"| actions | {actions}; or `discrete=` levels of each |\n"
        f"| observations | {len(world.observations)} |\n"
        f"| longest episode | {steps} steps |",
        rest,
        "## Scores",
        "Sums of rewards, of episodes with the seeds 0, 1, ...; `discover env scores "
        f"{name}` plays them again.",
        _markdown(score_table(scores)),
    ]
    law = world.law(parameters)
    if law is not None and law.complexity <= _READABLE:
        lines += [
            "## The law",
            "With the default parameters and the actions in [-1, 1], as `env.unwrapped.law()` "
            "gives it:",
            f"$$\n{law.to_latex(environment='aligned', digits=5).strip()}\n$$",
        ]
    return "\n\n".join(lines) + "\n"


def overview(scores: Mapping[str, Sequence[Score]]) -> str:
    """Return the page of all scores."""
    rows = [
        ("" if k else f"[{name}]({name}.md)", *row)
        for name, found in scores.items()
        for k, row in enumerate(score_table(found)[1:])
    ]
    header = ("environment", *score_table(())[0])
    return (
        "# Scores\n\nWhat doing nothing, chance and the best controllers known earn: sums of "
        "rewards, of episodes with the seeds 0, 1, ...\n`discover env scores` plays all of them "
        "again, `discover env rollout ID --policy reference` the best of one.\n\n"
        f"{_markdown([header, *rows])}\n"
    )


def _markdown(table: Sequence[Sequence[str]]) -> str:
    header, *rows = (f"| {' | '.join(row)} |" for row in table)
    return "\n".join([header, "|" + "---|" * len(table[0]), *rows])


def read_scores(path: Path) -> dict[str, list[Score]]:
    """Return the scores in a file, by the name of the environment."""
    scores: dict[str, list[Score]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for name, policy, episodes, *numbers in list(csv.reader(file))[1:]:
            found = Score(policy, int(episodes), *map(float, numbers))
            scores.setdefault(name, []).append(found)
    return scores


def write_scores(scores: Mapping[str, Sequence[Score]], path: Path) -> None:
    """Write scores to a file; what is there of other environments stays, in their order."""
    kept = read_scores(path) if path.exists() else {}
    every = {name: rows for name in ENVIRONMENTS if (rows := scores.get(name, kept.get(name)))}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["environment", *Score._fields])
        for name, rows in every.items():
            for policy, episodes, *numbers in rows:
                writer.writerow([name, policy, episodes, *(f"{one:.6g}" for one in numbers)])


def write_pages(folder: Path) -> None:
    """Draw the pictures and write the pages; the scores come from `scores.csv` in the folder."""
    from PIL import Image

    scores = read_scores(folder / "scores.csv")
    for name in ENVIRONMENTS:
        policy = random_policy(len(environment_class(name).world.actions), np.random.default_rng(1))
        pictures, _ = record(name, policy, seed=1, every=5)
        Image.fromarray(pictures[min(4, len(pictures) - 1)]).quantize(32).save(
            folder / f"{name}.png", optimize=True
        )
        (folder / f"{name}.md").write_text(page(name, scores[name]), encoding="utf-8")
    (folder / "scores.md").write_text(overview(scores), encoding="utf-8")


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
