"""Records alone: returns of policies from poor data, with and without a filter of rollouts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from discover.bench.control import TASKS, environment
from discover.bench.record import table_path
from discover.bench.rows import Row
from discover.bench.tables import append_rows, read_rows
from discover.typing import FloatArray

__all__ = ["Result", "measure", "measure_all", "rows", "run"]

_TASK = TASKS["swing-up, quadratic library"]
_STEPS = 1500
_SEEDS = range(10, 15)
_FILTERS = (np.inf, 0.5)


@dataclass(frozen=True)
class Result:
    """What 20 fresh episodes earned with a policy that never met the real world.

    Parameters
    ----------
    data : {"held", "pump"}
        Uniform actions held for random times; or a policy that swings the pole about
        without ever balancing it, with noise.
    plausible : float
        The filter; infinite for none.
    seed : int
    recorded : float
        Return of 1,000 steps of the records.
    promised : float
        Mean return in the surrogate, over members and 64 starts.
    mean, worst : float
    """

    data: str
    plausible: float
    seed: int
    recorded: float
    promised: float
    mean: float
    worst: float


def measure(data: str, plausible: float, seed: int) -> Result:
    """Record, learn from the records alone, and score the policy."""
    from discover.control import CMAAgent
    from discover.control.training import score_policy

    records = _record(data, seed)
    agent = _TASK.make(environment(_TASK))
    agent.agent = CMAAgent(generations=100, restarts=0, extensions=1)
    agent.plausible = plausible if np.isfinite(plausible) else None
    agent.fit(records, seed=seed)
    form, rng = agent._form, np.random.default_rng(seed)
    run = agent.surrogate_.rollouts(
        form.table, agent.policy_.coefficients[None], agent.plant_.starts(rng, 64), 1000
    )
    scored = score_policy(agent.policy_, environment(_TASK), 20, 1_000_000 + seed)
    return Result(
        data, plausible, seed, 1000 * float(records.rewards.mean()), float(run.returns.mean()),
        float(scored.mean()), float(scored.min()),
    )  # fmt: skip


def _record(kind: str, seed: int) -> Any:
    from discover.control import Plant

    plant, rng = Plant(environment(_TASK), seed=seed), np.random.default_rng(seed)
    most = 500 if kind == "held" else 1000
    while plant.steps < _STEPS:
        policy = _held(rng, most) if kind == "held" else _pump(rng)
        plant.run(policy, min(most, _STEPS - plant.steps), bounds={"x": (-1.75, 1.75)})
    return plant.data


def _held(rng: np.random.Generator, n: int) -> Callable[[FloatArray], FloatArray]:
    times = rng.integers(5, 21, size=n)
    turn = iter(np.repeat(rng.uniform(-1, 1, n), times))
    return lambda seen: np.array([next(turn)])


def _pump(rng: np.random.Generator) -> Callable[[FloatArray], FloatArray]:
    def policy(seen: FloatArray) -> FloatArray:
        x, c, _, v, w = seen
        return np.array([-2.0 * c * w - 0.3 * x - 0.2 * v + 0.2 * rng.normal()])

    return policy


def measure_all(seeds: Sequence[int], path: Path, report: Callable[[Result], None]) -> list[Result]:
    """Measure what the table at `path` does not have yet, and add it there."""
    found = [
        Result(r["data"], float(r["plausible"]), int(r["seed"]), float(r["recorded"]),
               float(r["promised"]), float(r["mean"]), float(r["worst"]))
        for r in read_rows(path, [f.name for f in fields(Result)], "bench records")
    ]  # fmt: skip
    done = {(r.data, r.plausible, r.seed) for r in found}
    for seed in seeds:
        for data in ("held", "pump"):
            for plausible in _FILTERS:
                if (data, plausible, seed) in done:
                    continue
                result = measure(data, plausible, seed)
                append_rows(path, [f.name for f in fields(Result)], [astuple(result)])
                report(result)
                found.append(result)
    return found


def rows(results: list[Result]) -> list[Row]:
    """Summarise: the median real return, and how much more was promised."""
    found = []
    for data, plausible in sorted({(r.data, r.plausible) for r in results}):
        mine = [r for r in results if (r.data, r.plausible) == (data, plausible)]
        means = [r.mean for r in mine]
        gap = float(np.median([r.promised - r.mean for r in mine]))
        what = "no filter" if np.isinf(plausible) else f"plausible {plausible:g}"
        detail = f"{len(mine)} seeds, {min(means):.0f} to {max(means):.0f}; promised {gap:+.0f}"
        name = f"records alone, {_STEPS} steps, {data}, {what}: median return"
        found.append(Row(name, float(np.median(means)), "", detail, ""))
    return found


def run(quick: bool = False) -> list[Row]:
    """Measure five seeds, or one with `quick`, without the table."""
    if quick:
        return rows([measure("held", 0.5, 0)])
    return rows(measure_all(_SEEDS, table_path().with_name("records.csv"), lambda result: None))
