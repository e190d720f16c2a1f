"""Environments: steps a second, one at a time and in a batch, on one core."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from discover.bench.cartpole_peer import load_mujoco
from discover.bench.rows import Row
from discover.bench.timing import Timing, take_turns
from discover.libraries import PolynomialLibrary
from discover.symbolic import SymbolicModel

__all__ = ["run"]

_PEER = "CartPole-v1 of gymnasium, a batch"
_BARS = {
    "Lorenz96Control": (None, 2e5),  # forty states: no bar for its batch
    "KuramotoSivashinsky": (6e4, None),  # 64 points, five substeps
}
_DM_CONTROL = 2.7e3
_DEFAULT = (2e6, 2e5)
_STEPS = 32  # in a call that is timed


def run(quick: bool = False) -> list[Row]:
    """Step every environment, and gymnasium's own batch of cart-poles beside them.

    Parameters
    ----------
    quick : bool, default=False

    Returns
    -------
    list of Row
    """
    members = 32 if quick else 1024
    names = list(importlib.import_module("discover_envs").ENVIRONMENTS)
    tasks = {name: _batch(f"discover/{name}-v0", members) for name in names}
    tasks[_PEER] = _batch("CartPole-v1", members)
    options: dict[str, Any] = {"repeats": 3 if quick else 7, "shortest": 0.0 if quick else 0.05}
    batches = take_turns(tasks, **options)
    singles = take_turns({name: _single(f"discover/{name}-v0") for name in names}, **options)
    rows = []
    for name in names:
        together, alone = _BARS.get(name, _DEFAULT)
        rate = _rate(batches[name], members)
        rows.append(_row(f"envs: steps a second, {name}, batch of {members:,}", rate, together))
        rows.append(_row(f"envs: steps a second, {name}, single", _rate(singles[name], 1), alone))
    peer = batches[_PEER]
    ratio = peer / batches["CartPoleSwingup"]
    rate = _rate(peer, members)
    detail = f"{_PEER}: {rate:.3g} steps/s, by Euler; ours by Runge-Kutta"
    ours = _rate(batches["CartPoleSwingup"], members)
    mujoco = _mujoco(options)
    quoted = f"{_DM_CONTROL:,.0f} steps/s of its Python interface, one thread; quoted, not measured"
    return [
        *rows,
        Row("envs: cart-pole over gymnasium's", ratio, "x", detail),
        *([] if mujoco is None else [_over_mujoco(ours, mujoco)]),
        *_closed_loop(options),
        Row("envs: cart-pole over dm_control's", ours / _DM_CONTROL, "x", quoted, ">= 500"),
    ]


def _rate(timing: Timing, members: int) -> float:
    return members * _STEPS / timing.cpu


def _row(title: str, rate: float, bar: float | None) -> Row:
    return Row(title, rate, "/s", "", "" if bar is None else f">= {bar:g}")


def _mujoco(options: dict[str, Any]) -> float | None:
    """Return the steps a second of plain MuJoCo on the same cart-pole, if it is installed."""
    try:
        mujoco, model, data = load_mujoco()
    except ImportError:
        return None

    def go() -> None:
        mujoco.mj_step(model, data, _STEPS)

    return _rate(take_turns({"mujoco": go}, **options)["mujoco"], 1)


def _over_mujoco(ours: float, theirs: float) -> Row:
    detail = f"mj_step without Python in between: {theirs:.3g} steps/s of one model"
    return Row("envs: cart-pole over plain MuJoCo's", ours / theirs, "x", detail)


def _closed_loop(options: dict[str, Any]) -> list[Row]:
    """Play a cubic policy of the cart-pole, in the compiled loop and step by step."""
    env: Any = importlib.import_module("discover_envs").make("discover/CartPoleSwingup-v0")
    env, world = env.unwrapped, env.unwrapped.world
    seen, _ = env.reset(seed=0)
    table = PolynomialLibrary(3).fit_names(list(world.observations)).terms()
    weights = np.random.default_rng(0).normal(0.0, 0.3, (1, table.n_terms))
    policy = SymbolicModel(
        table, weights, world.observations, target_names=world.actions, kind="direct"
    )
    start, rng = env.state[None], np.random.default_rng(0)

    def by_step() -> None:
        nonlocal seen
        for _ in range(_STEPS):
            seen = env.step(policy.rhs(seen))[0]

    tasks = {"played": lambda: env.play(policy, start, 10 * _STEPS, rng=rng), "stepped": by_step}
    found = take_turns(tasks, **options)
    played, stepped = 10 * _rate(found["played"], 1), _rate(found["stepped"], 1)
    detail = f"{table.n_terms} terms, one start; step by step from Python: {stepped:.3g} steps/s"
    return [
        Row("envs: closed loop, steps a second of a cubic policy, cart-pole", played, "/s", detail),
        Row("envs: closed loop over step by step", played / stepped, "x"),
    ]


def _batch(name: str, members: int) -> Callable[[], None]:
    make: Any = importlib.import_module("discover_envs").make_vec
    batch = make(name, num_envs=members)
    batch.reset(seed=0)
    batch.action_space.seed(0)
    return _steps(batch, batch.action_space.sample())


def _single(name: str) -> Callable[[], None]:
    make: Any = importlib.import_module("discover_envs").make
    env = make(name).unwrapped
    env.reset(seed=0)
    return _steps(env, np.zeros(env.action_space.shape, dtype=np.float32))


def _steps(env: Any, action: Any) -> Callable[[], None]:
    def go() -> None:
        for _ in range(_STEPS):
            env.step(action)

    return go
