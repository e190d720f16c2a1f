"""Pages: the documentation of an environment, written from the docstring of its class.

``python -m discover_envs.pages docs/environments`` plays the episodes behind the scores, draws
the pictures and writes every page.
"""

from __future__ import annotations

import csv
import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

import numpy as np

from discover_envs import ENVIRONMENTS
from discover_envs.references import REFERENCES
from discover_envs.scores import random_policy, record, score, zero_policy

__all__ = ["environment_class", "page", "write_pages"]

_EPISODES, _SEED = 200, 0
_READABLE = 12  # terms of a law that a page shows


def environment_class(name: str) -> Any:
    """Return the class of an environment."""
    module, _ = ENVIRONMENTS[name]
    return getattr(importlib.import_module(f"discover_envs.{module}"), name)


def page(name: str, scores: list[list[str]]) -> str:
    """Return the page of an environment.

    Parameters
    ----------
    name : str
    scores : list of list of str
        Policy, mean and standard deviation.
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
        f"Sum of rewards over {_EPISODES} episodes from seed {_SEED}.",
        "| policy | mean | standard deviation |\n|---|---|---|\n"
        + "\n".join(f"| {' | '.join(row)} |" for row in scores),
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


def measure(name: str) -> list[list[str]]:
    """Play the episodes of every simple policy and of the reference, if there is one."""
    n_actions = len(environment_class(name).world.actions)
    policies = {
        "zero": zero_policy(n_actions),
        "random": random_policy(n_actions, np.random.default_rng(_SEED)),
        **{title: make() for title, make in REFERENCES.get(name, {}).items()},
    }
    rows = []
    for title, policy in policies.items():
        found = score(name, policy, _EPISODES, seed=_SEED)
        rows.append([title, f"{found.mean():.4g}", f"{found.std():.3g}"])
    return rows


def read_scores(folder: Path) -> dict[str, list[list[str]]]:
    """Return the scores in a folder of pages."""
    scores: dict[str, list[list[str]]] = {}
    with (folder / "scores.csv").open(newline="", encoding="utf-8") as file:
        for name, *row in list(csv.reader(file))[1:]:
            scores.setdefault(name, []).append(row)
    return scores


def write_pages(folder: Path) -> None:
    """Measure the scores, draw the pictures and write all pages."""
    from PIL import Image

    table = [["environment", "policy", "mean", "deviation"]]
    for name in ENVIRONMENTS:
        rows = measure(name)
        table += [[name, *row] for row in rows]
        policy = random_policy(len(environment_class(name).world.actions), np.random.default_rng(1))
        pictures, _ = record(name, policy, seed=1, every=5)
        Image.fromarray(pictures[min(4, len(pictures) - 1)]).quantize(32).save(
            folder / f"{name}.png", optimize=True
        )
        (folder / f"{name}.md").write_text(page(name, rows), encoding="utf-8")
    with (folder / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(table)


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
