"""Sparse policies: returns against the number of terms, no real step beyond those of learning."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from discover.bench.control import TASKS, environment
from discover.bench.record import table_path
from discover.bench.rows import Row
from discover.bench.tables import ResultTable

__all__ = ["Result", "measure", "measure_all", "rows", "run"]

_TASK = "swing-up, physics"
_MOST, _FEW = 12, 5


@dataclass(frozen=True)
class Result:
    """What 20 fresh real episodes earned with a policy of so many terms at most.

    Parameters
    ----------
    seed, real_steps : int
    most, terms : int
        Allowed, and used.
    mean, worst : float
    promised : float
        The mean in the surrogate.
    seconds : float
        CPU time of shortening.
    policy : str
    """

    seed: int
    real_steps: int
    most: int
    terms: int
    mean: float
    worst: float
    promised: float
    seconds: float
    policy: str


def measure(seed: int) -> list[Result]:
    """Learn once, shorten the policy, and score it with at most 12, 8 and 5 terms."""
    from discover.control.training import score_policy

    task = TASKS[_TASK]
    agent = task.make(environment(task)).learn(task.real_steps, seed=seed)
    started = time.process_time()
    path = agent.sparsify(_MOST, seed=seed)
    seconds = time.process_time() - started
    found = []
    for most in (_MOST, 8, _FEW):
        one = path.at_most(most)
        scored = score_policy(one.policy, environment(task), 20, seed=10**6 + seed)
        found.append(
            Result(seed, agent.plant_.steps, most, one.n_terms, float(scored.mean()),
                   float(scored.min()), one.mean, seconds, one.policy.equations()[0])
        )  # fmt: skip
    return found


def measure_all(seeds: Sequence[int], path: Path, report: Callable[[Result], None]) -> list[Result]:
    """Measure the seeds that a table does not hold yet, adding rows seed by seed."""
    table = ResultTable(path, Result, "bench sparse")
    return table.complete(seeds, lambda r: r.seed, measure, report)


def rows(results: Sequence[Result]) -> list[Row]:
    """Turn results into rows held against the bars."""
    name = f"control, {_TASK}"
    twelve, five = ([r for r in results if r.most == most] for most in (_MOST, _FEW))
    means = np.array([r.mean for r in twelve])
    best = max(five, key=lambda r: r.mean)
    gap = max(r.mean - r.worst for r in twelve)
    detail = f"{len(twelve)} seeds, median {np.median(means):.4g}, worst seed {means.min():.4g}"
    steps = max(r.real_steps for r in results)
    return [
        Row(f"{name}: seeds below 875 with at most {_MOST} terms", int((means < 875).sum()), "",
            detail, "<= 1"),
        Row(f"{name}: best seed with at most {_FEW} terms", best.mean, "", best.policy, ">= 870"),
        Row(f"{name}: worst of 20 episodes below the mean, {_MOST} terms", gap, "",
            "largest of the seeds", "<= 20"),
        Row(f"{name}: real steps of sparse policies", steps, "", "those of learning", "<= 2500"),
        Row(f"{name}: CPU time of shortening", max(r.seconds for r in results), "s",
            "slowest seed"),
    ]  # fmt: skip


def run(quick: bool = False) -> list[Row]:
    """Measure ten seeds, or with `quick` one."""
    if quick:
        return rows(measure(0))
    path = table_path().with_name("sparse.csv")
    return rows(measure_all(range(10), path, lambda result: None))
