"""``discover train`` and ``discover evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discover.cli.app import app, examples, one_thread

if TYPE_CHECKING:
    from discover.control import ActionBox, Tracker, Transitions


@app.command(
    epilog=examples(
        "discover train discover/CartPoleSwingup-v0 --seed 0 --bounds x=-1.75:1.75 --target 850",
        "discover train Pendulum-v1 --names cos_th,sin_th,th_dot --real-steps 400 --terms 6",
        "discover train Pendulum-v1 --preset many-starts --real-steps 400",
        "discover train --from log.csv --names x,v --actions u --reward '-x**2 - 0.1*u**2' "
        "--plausible 0.5",
    )
)
def train(
    env: Annotated[
        str | None, typer.Argument(metavar="ENV", help="The id of an environment.")
    ] = None,
    method: Annotated[str, typer.Option(help="sindy-rl.")] = "sindy-rl",
    agent: Annotated[
        str, typer.Option(help="What searches the policy: cma, gradient, mppi, ppo or sac.")
    ] = "cma",
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="quick: a sixth of the search, to see whether it works; thorough: twice the "
            "search, from 8 starts with all members, and up to two fresh ones; many-starts: "
            "episodes that begin anywhere: 16 starts with one member, a short exploration.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    real_steps: Annotated[int, typer.Option(min=1, help="Budget; all of them count.")] = 2500,
    reward: Annotated[
        str | None, typer.Option(help="Expression over next observations; else it is learned.")
    ] = None,
    terminal: Annotated[
        str | None, typer.Option(help="Expression above 0 where the world ends; else learned.")
    ] = None,
    scheme: Annotated[
        str, typer.Option(help="What is sparse: increments, or rk4: rates, for long steps.")
    ] = "increments",
    bounds: Annotated[
        list[str] | None, typer.Option(metavar="NAME=LOW:HIGH", help="Where the law holds.")
    ] = None,
    target: Annotated[float | None, typer.Option(help="Return that is good enough.")] = None,
    names: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Of the observations: x,v,angle.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="By default runs/ENV-SEED.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    track: Annotated[
        str | None, typer.Option(metavar="WHERE", help="tensorboard or wandb, as it goes.")
    ] = None,
    video: Annotated[bool, typer.Option("--video", help="Film the policy: policy.gif.")] = False,
    page: Annotated[bool, typer.Option("--report", help="Write a page to report/.")] = False,
    terms: Annotated[
        int | None, typer.Option(min=1, help="Also a policy of so many terms at most.")
    ] = None,
    records: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="FILE", help="Learn from recorded steps; none is taken."),
    ] = None,
    actions: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Columns of --from that are actions.")
    ] = None,
    limits: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=LOW:HIGH", help="Of the actions; else as recorded."),
    ] = None,
    paid: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Of --from: what steps paid.")
    ] = None,
    run: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Of --from: what tells runs apart.")
    ] = None,
    ended: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Of --from: not 0 where the world ended.")
    ] = None,
    horizon: Annotated[int | None, typer.Option(min=1, help="Steps of an episode.")] = None,
    plausible: Annotated[
        float | None,
        typer.Option(min=0, help="Disagreement, in steps' size, at which a learned world ends."),
    ] = None,
) -> None:
    """Learn dynamics, reward and policy of an environment from few real steps."""
    one_thread()
    import discover_envs  # noqa: F401 - its environments are known by their ids then
    from discover.control import DynamicsLearner, SINDyRL
    from discover.control.dynamics import SCHEMES

    if method != "sindy-rl":
        raise typer.BadParameter(f"it must be sindy-rl; got {method!r}.", param_hint="--method")
    if scheme not in SCHEMES:
        what = f"it must be one of {', '.join(SCHEMES)}; got {scheme!r}."
        raise typer.BadParameter(what, param_hint="--scheme")
    box = _read_limits(bounds, "--bounds")
    if video and env is None:
        raise typer.BadParameter("a film needs an environment.", param_hint="--video")
    if env is None and not records:
        raise typer.BadParameter("give an environment, or records by --from.", param_hint="ENV")
    pointless = {"--resume": resume, "--track": track} if records else {
        "--actions": actions, "--limits": limits, "--paid": paid, "--run": run, "--ended": ended,
    }  # fmt: skip
    for option, value in pointless.items():
        if value:
            what = f"it goes {'without' if records else 'with'} --from."
            raise typer.BadParameter(what, param_hint=option)
    if limits and env is not None:
        raise typer.BadParameter("ENV has its own.", param_hint="--limits")
    name = records[0].stem if env is None and records else str(env).split("/")[-1]
    folder = out or Path("runs") / f"{name}-{seed}"
    options = {"agent": agent} | _read_preset(preset, agent)
    learner = SINDyRL(
        env, reward=reward, terminal=terminal, bounds=box, target=target,
        dynamics=DynamicsLearner(bounds=box, scheme=scheme),
        observation_names=_read_names(names) or None, horizon=horizon,
        plausible=plausible, **options,
    )  # fmt: skip
    if records:
        data = _read_records(records, names, actions, paid, run, ended)
        found = learner.fit(data, seed, folder, box=_action_box(data, limits))
        typer.echo(f"{found.plant_.steps} recorded steps; nothing was tried")
    else:
        tracker = _tracker(track, folder, {"env": env, "agent": agent, "seed": seed})
        try:
            found = learner.learn(real_steps, seed, folder, resume, tracker)
        finally:
            if tracker is not None:
                tracker.close()
    for turn in found.rounds_:
        whole = "whole episode" if turn.complete else "cut short"
        typer.echo(
            f"{turn.real_steps} real steps: {turn.surrogate_score:.4g} in the surrogate, "
            f"{turn.real_return:.4g} in the real world ({whole})"
        )
    policy = "no policy.json, as a planner is no formula" if agent == "mppi" else "policy.json"
    files = f"model.json, reward.json, metrics.csv, config.json, {policy}"
    if terms is not None:
        path = found.sparsify(terms, seed=seed)
        path.save(folder)
        typer.echo(f"\nReturns in the surrogate:\n{path}\n")
        files += ", sparse.json, sparse.csv"
    typer.echo(f"{folder}: {files}")
    if page:
        from discover.reports import report

        typer.echo(f"{report(found, folder / 'report', title=env or name) / 'report.html'}")
    if video and env is not None:
        from discover.control import film

        earned = film(found.policy_, env, folder / "policy.gif", seed=1_000_000 + seed)
        typer.echo(f"{folder / 'policy.gif'}: a fresh episode that earned {earned:.5g}")


def _read_names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _read_preset(name: str | None, agent: str) -> dict[str, Any]:
    from discover.control import PRESETS

    if name is None:
        return {}
    if name not in PRESETS:
        what = f"it must be one of {', '.join(PRESETS)}; got {name!r}."
        raise typer.BadParameter(what, param_hint="--preset")
    if agent != "cma":
        what = f"presets are settings of the agent cma; got --agent {agent}."
        raise typer.BadParameter(what, param_hint="--preset")
    return dict(PRESETS[name].options)


def _read_records(
    files: list[Path],
    names: str | None,
    actions: str | None,
    paid: str | None,
    run: str | None,
    ended: str | None,
) -> Transitions:
    from discover.control import read_transitions

    for text, option in ((names, "--names"), (actions, "--actions")):
        if not text:
            raise typer.BadParameter("--from needs the columns.", param_hint=option)
    return read_transitions(
        files, _read_names(names), _read_names(actions), reward=paid, run=run, ended=ended
    )


def _action_box(data: Transitions, texts: list[str] | None) -> ActionBox | None:
    import numpy as np

    from discover.control import ActionBox

    limits, names = _read_limits(texts, "--limits"), tuple(data.action_names)
    if limits is None:
        return None
    if set(limits) != set(names):
        what = f"it must be given for {', '.join(names)}; got {', '.join(limits)}."
        raise typer.BadParameter(what, param_hint="--limits")
    low, high = (np.array([limits[name][k] for name in names]) for k in (0, 1))
    return ActionBox(names, low, high)


def _tracker(name: str | None, folder: Path, config: dict[str, Any]) -> Tracker | None:
    from discover.control import make_tracker

    if name is None:
        return None
    try:
        return make_tracker(name, folder, folder.name, config)
    except (ValueError, ImportError) as error:
        raise typer.BadParameter(str(error), param_hint="--track") from None


def _read_limits(texts: list[str] | None, option: str) -> dict[str, tuple[float, float]] | None:
    found = {}
    for text in texts or []:
        name, _, limits = text.partition("=")
        low, _, high = limits.partition(":")
        try:
            found[name] = (float(low), float(high))
        except ValueError:
            what = f"it must be like x=-1.75:1.75; got {text!r}."
            raise typer.BadParameter(what, param_hint=option) from None
        if not found[name][0] < found[name][1]:
            what = f"low must be below high; got {text!r}."
            raise typer.BadParameter(what, param_hint=option)
    return found or None


@app.command(
    epilog=examples(
        "discover evaluate runs/CartPoleSwingup-v0-0/policy.json "
        "--env discover/CartPoleSwingup-v0 --episodes 20"
    )
)
def evaluate(
    policy: Annotated[Path, typer.Argument(metavar="POLICY", help="A policy file.")],
    env: Annotated[str, typer.Option(metavar="ID", help="The environment.")],
    episodes: Annotated[int, typer.Option(min=1, max=100_000, help="Fresh ones.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of the episodes.")] = 1_000_000,
) -> None:
    """Score a frozen policy on fresh episodes of an environment."""
    one_thread()
    import discover_envs  # noqa: F401 - its environments are known by their ids then
    from discover import SymbolicModel
    from discover.control.training import score_policy

    model = SymbolicModel.load(policy)
    if model.kind != "direct":
        what = f"{policy} must hold a policy, of kind 'direct'; got {model.kind!r}."
        raise typer.BadParameter(what, param_hint="POLICY")
    found = score_policy(model, env, episodes, seed)
    typer.echo(
        f"{env}: {found.mean():.5g} +- {found.std():.3g} over {episodes} episodes, "
        f"worst {found.min():.5g}"
    )
