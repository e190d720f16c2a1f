"""``discover env``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from discover.cli.app import app, examples

env = typer.Typer(
    name="env",
    help="Control problems whose truth is known: list, show and play them.",
    no_args_is_help=True,
)
app.add_typer(env)


@env.command("list", epilog=examples("discover env list"))
def list_() -> None:
    """List the environments."""
    from discover_envs import ENVIRONMENTS
    from discover_envs.pages import environment_class

    rows = [("name", "states", "actions", "steps", "what it is")]
    for name, (_, steps) in ENVIRONMENTS.items():
        found = environment_class(name)
        world, summary = found.world, str(found.__doc__).partition("\n")[0]
        rows.append((name, str(len(world.states)), str(len(world.actions)), str(steps), summary))
    widths = [max(len(row[k]) for row in rows) for k in range(5)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo(line.rstrip())


@env.command(
    epilog=examples("discover env show CartPoleSwingup", "discover env show PendulumSwingup")
)
def show(name: Annotated[str, typer.Argument(metavar="ID", help="A name from the list.")]) -> None:
    """Show an environment: equations, bounds, rewards, start, end and parameters."""
    import inspect

    from discover_envs.pages import environment_class

    typer.echo(inspect.getdoc(environment_class(_short(name))))


def _short(name: str) -> str:
    from discover_envs.scores import full_id

    try:
        return str(full_id(name)).removeprefix("discover/").removesuffix("-v0")
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="ID") from None


@env.command(
    epilog=examples(
        "discover env rollout PendulumSwingup --policy random --episodes 20",
        "discover env rollout CartPoleSwingup --policy reference --record swing.gif",
        "discover env rollout CartPoleSwingup --policy policy.json",
    )
)
def rollout(
    name: Annotated[str, typer.Argument(metavar="ID", help="A name from the list.")],
    policy: Annotated[
        str,
        typer.Option(
            help="random, zero, reference (the best one known), or a model file from observations "
            "to actions."
        ),
    ] = "random",
    episodes: Annotated[int, typer.Option(min=1, max=100_000, help="To score.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of the first episode.")] = 0,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The first episode as a GIF.")
    ] = None,
) -> None:
    """Play episodes with a policy and say what they earn."""
    from discover_envs.scores import score

    if record is not None and record.suffix.lower() != ".gif":
        raise typer.BadParameter(f"must end in .gif; got {record}", param_hint="--record")
    short = _short(name)
    found = score(short, _policy(short, policy, seed), episodes, seed=seed)
    typer.echo(
        f"{short}, {policy}: {found.mean():.4g} +- {found.std():.3g}, worst {found.min():.4g}, "
        f"over {episodes} episodes"
    )
    if record is not None:
        total = _film(short, _policy(short, policy, seed), seed, record)
        typer.echo(f"{record}: one episode that earns {total:.4g}")


def _policy(name: str, chosen: str, seed: int) -> Any:
    import numpy as np

    from discover_envs import references, scores
    from discover_envs.pages import environment_class

    world = environment_class(name).world
    if chosen == "zero":
        return scores.zero_policy(len(world.actions))
    if chosen == "random":
        return scores.random_policy(len(world.actions), np.random.default_rng(seed))
    try:
        if chosen == "reference":
            return references.best_reference(name)
        return scores.load_policy(Path(chosen), world)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--policy") from None


def _film(name: str, policy: Any, seed: int, path: Path, longest: int = 250) -> float:
    """Write an episode as a GIF of so many pictures, and return what it earns."""
    from PIL import Image

    from discover_envs import ENVIRONMENTS
    from discover_envs.pages import environment_class
    from discover_envs.scores import record

    every = -(-ENVIRONMENTS[name][1] // longest)
    pictures, total = record(name, policy, seed=seed, every=every)
    frames = [Image.fromarray(one).quantize(32) for one in pictures]
    pace = 1000 * every // environment_class(name).metadata["render_fps"]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=pace, loop=0)
    return float(total)


@env.command(
    epilog=examples("discover env scores PendulumSwingup", "discover env scores --out scores.csv")
)
def scores(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="By default every one.")
    ] = None,
    episodes: Annotated[int, typer.Option(min=1, help="Of each policy.")] = 100,
    few: Annotated[int, typer.Option(min=1, help="Of a policy that takes seconds for one.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of the first episode.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A CSV file, in which these environments are replaced."),
    ] = None,
) -> None:
    """Play zero, random and reference policies, and say what they earn."""
    from discover_envs import ENVIRONMENTS
    from discover_envs.pages import environment_class, score_table, write_scores
    from discover_envs.references import measure

    for name in map(_short, names or ENVIRONMENTS):
        n_actions = len(environment_class(name).world.actions)
        found = list(measure(name, n_actions, episodes=episodes, few=few, seed=seed))
        typer.echo(name)
        for policy, *numbers in score_table(found):
            typer.echo(f"  {policy:40}" + "".join(f"{cell:>11}" for cell in numbers))
        if out is not None:
            write_scores({name: found}, out)
