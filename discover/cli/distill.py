"""``discover distill``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from discover.cli.app import app, examples, one_thread


@app.command(
    epilog=examples(
        "discover distill runs/CartPoleSwingup-v0-0 --terms 12",
        "discover show runs/CartPoleSwingup-v0-0/sparse.json --c",
    )
)
def distill(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")],
    terms: Annotated[int, typer.Option(min=1, help="Of the policy, at most.")] = 12,
    env: Annotated[
        str | None, typer.Option(metavar="ID", help="The environment, if the run does not say.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
) -> None:
    """Shorten the policy of a run in its learned world; no real step is taken."""
    one_thread()
    import discover_envs  # noqa: F401 - its environments are known by their ids then
    from discover import SymbolicModel
    from discover.control import SINDyRL

    agent = SINDyRL.load(run, **({} if env is None else {"env": env}))
    if isinstance(agent.policy_, SymbolicModel):
        path = agent.sparsify(terms, seed=seed)
    else:  # a planner is imitated
        path = agent.distill(agent.policy_, terms, seed=seed)
    path.save(run)
    modes = agent.plant_.modes
    if modes is not None:  # what is kept acts on the observations, as policy.json does
        modes.lift(path.policy).save(run / "sparse.json")
    typer.echo(f"Returns in the surrogate:\n{path}\n{run}: sparse.json, sparse.csv")
