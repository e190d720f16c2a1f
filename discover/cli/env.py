"""``discover env``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
        "discover env rollout CartPoleSwingup --policy policy.json --record swing.gif",
    )
)
def rollout(
    name: Annotated[str, typer.Argument(metavar="ID", help="A name from the list.")],
    policy: Annotated[
        str, typer.Option(help="random, zero, or a model file from observations to actions.")
    ] = "random",
    episodes: Annotated[int, typer.Option(min=1, max=100_000, help="To score.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of the first episode.")] = 0,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The first episode as a GIF.")
    ] = None,
) -> None:
    """Play episodes with a policy and say what they earn."""
    import numpy as np

    from discover_envs import scores
    from discover_envs.pages import environment_class

    short = _short(name)
    n_actions = len(environment_class(short).world.actions)
    if policy == "zero":
        chosen = scores.zero_policy(n_actions)
    elif policy == "random":
        chosen = scores.random_policy(n_actions, np.random.default_rng(seed))
    else:
        chosen = scores.load_policy(Path(policy))
    found = scores.score(short, chosen, episodes, seed=seed)
    typer.echo(
        f"{short}, {policy}: {found.mean():.4g} +- {found.std():.3g} over {episodes} episodes"
    )
    if record is not None:
        from PIL import Image

        pictures, total = scores.record(short, chosen, seed=seed, every=4)
        frames = [Image.fromarray(one).quantize(32) for one in pictures]
        frames[0].save(record, save_all=True, append_images=frames[1:], duration=50, loop=0)
        typer.echo(f"{record}: one episode that earns {total:.4g}")
