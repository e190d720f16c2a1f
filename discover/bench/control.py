"""Control from few real steps: returns of frozen policies, every real step counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discover.bench import worlds
from discover.bench.record import table_path
from discover.bench.rows import Row
from discover.bench.tables import ResultTable
from discover.typing import FloatArray

__all__ = ["TASKS", "Result", "Task", "run"]

_STEEP = 2.302585092994046  # ln 10: a tolerance is 0.1 at its margin
SWINGUP_REWARD = (
    f"(1+cos_theta)/2 * (1+exp(-{_STEEP}*(x/2)**2))/2 * (4+max(0,1-force**2))/5 "
    f"* (1+exp(-{_STEEP}*(theta_dot/5)**2))/2"
)
#: Standard deviations of the observations over swing-ups.
_SPREAD = np.array([0.5, 0.7, 0.7, 1.2, 5.0])
_RAIL = {"x": (-1.75, 1.75)}


@dataclass(frozen=True)
class Task:
    """A way to learn, a budget, and what is asked of it.

    Parameters
    ----------
    env : str or callable
        Its id, or what makes it; policies are scored on fresh episodes of it.
    make : callable
        ``(env) -> SINDyRL``, or anything with its ``learn``, ``plant_`` and ``policy_``.
    real_steps : int
    median, enough : float
        Bars: median return over the seeds, and the return that all but `failures` reach.
    failures : int
    noise : float
        Deviation of the noise on observations, of data and of scores alike.
    seconds : float
        Bar on the CPU time of the slowest seed.
    every : float
        Bar that every scored episode of every seed reaches.
    episodes : int
        That score a policy.
    fixed : bool
        Whether all seeds are scored from the same starts.
    referenced : bool
        Whether policies are scored on the episodes that the reference controllers of
        ``docs/environments/scores.csv`` are scored on.
    """

    env: str | Callable[[], Any]
    make: Callable[..., Any]
    real_steps: int
    median: float
    enough: float = -np.inf
    failures: int = 0
    noise: float = 0.0
    seconds: float = np.inf
    every: float = -np.inf
    episodes: int = 20
    fixed: bool = False
    referenced: bool = False


def _swingup(env: Any, **options: Any) -> Any:
    from discover.control import SINDyRL

    return SINDyRL(env, bounds=_RAIL, target=850.0, **options)


def _physics(env: Any) -> Any:
    return _swingup(env, reward=SWINGUP_REWARD)


def _learned(env: Any) -> Any:
    return _swingup(env, starts="observed")


def _quadratic(env: Any) -> Any:
    """Take the library of Zolman et al.: quadratic in observations, affine in the action."""
    from discover.control import DynamicsLearner
    from discover.libraries import PolynomialLibrary, SymbolicLibrary

    names = ["x", "cos_theta", "sin_theta", "x_dot", "theta_dot"]
    states = PolynomialLibrary(2, inputs=names)
    library = states + states * SymbolicLibrary("force")
    dynamics = DynamicsLearner(library, coordinates="observed", bounds=_RAIL)
    return _swingup(env, reward=SWINGUP_REWARD, dynamics=dynamics)


#: What the best references of ``docs/environments/scores.csv`` earn.
_WAKE_REFERENCE, _LORENZ_REFERENCE, _FISHERY_REFERENCE = -120.724, -15.0713, 34.2959
#: Without control (``scores.csv``), and the best of four PPO runs, of three settings.
_KS_FREE, _KS_PPO = -7.2952, -1.875
_SWINGUP = "discover/CartPoleSwingup-v0"
#: What is learned, by name.
TASKS: dict[str, Task] = {
    "swing-up, physics": Task(_SWINGUP, _physics, 2500, 870.0, 850.0, seconds=60.0),
    "swing-up, quadratic library": Task(_SWINGUP, _quadratic, 3000, 855.0, 800.0, 1),
    "swing-up, reward and starts learned": Task(_SWINGUP, _learned, 5000, 850.0),
    "swing-up, 1 % noise": Task(_SWINGUP, _physics, 4000, 850.0, noise=0.01),
    "pendulum": Task("Pendulum-v1", worlds.pendulum, 400, -160.0, -170.0, episodes=100, fixed=True),
    "mountain car": Task("MountainCarContinuous-v0", worlds.mountain_car, 1000, 93.0, every=90.0,
                         episodes=100),
    "cart-pole": Task("CartPole-v1", worlds.cartpole, 1000, 475.0, 475.0, episodes=100),
    "acrobot": Task("Acrobot-v1", worlds.acrobot, 5000, -100.0, -100.0, seconds=120.0,
                    episodes=100),
    "cylinder wake": Task("discover/CylinderWakeMeanField-v0", worlds.wake, 2000,
                          1.05 * _WAKE_REFERENCE, episodes=100, referenced=True),
    "Lorenz": Task("discover/LorenzControl-v0", worlds.lorenz, 2000, 1.05 * _LORENZ_REFERENCE,
                   episodes=100, referenced=True),
    "fishery": Task("discover/FisheryTippingPoint-v0", worlds.Fishery, 500,
                    0.95 * _FISHERY_REFERENCE, episodes=100, referenced=True),
    "Kuramoto-Sivashinsky": Task("discover/KuramotoSivashinsky-v0", worlds.kuramoto_sivashinsky,
                                 4000, _KS_FREE + 0.9 * (_KS_PPO - _KS_FREE)),
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """One run: its real steps, what fresh episodes earned, its CPU time."""

    task: str
    seed: int
    real_steps: int
    mean: float
    worst: float
    seconds: float


def environment(task: Task) -> Any:
    """Make the environment of a task, with its noise."""
    from discover_envs import make
    from discover_envs.wrappers import NoisyObservation

    if callable(task.env):
        return task.env()
    if not task.env.startswith("discover/"):
        return task.env  # one of gymnasium's own
    env = make(task.env)
    return NoisyObservation(env, task.noise * _SPREAD) if task.noise else env


def measure(name: str, seed: int, tasks: Mapping[str, Task] = TASKS) -> Result:
    """Learn once, and score the frozen policy."""
    task = tasks[name]
    started = time.process_time()
    agent = task.make(environment(task)).learn(task.real_steps, seed=seed)
    seconds = time.process_time() - started
    scored = _score(task, agent, seed)
    return Result(
        name, seed, agent.plant_.steps, float(scored.mean()), float(scored.min()), seconds
    )


def _score(task: Task, agent: Any, seed: int) -> FloatArray:
    """Return what the frozen policy earns in every episode."""
    from discover.control.policy import actor
    from discover.control.training import score_policy
    from discover_envs.scores import score

    if task.referenced:
        acting = actor(agent.policy_, agent.plant_.box)
        return np.asarray(score(task.env, acting, task.episodes, seed=0))
    begin = 10**6 + (0 if task.fixed else seed)
    return score_policy(agent.policy_, environment(task), task.episodes, seed=begin)


def measure_all(
    names: Sequence[str],
    seeds: Sequence[int],
    path: Path,
    report: Callable[[Result], None],
    tasks: Mapping[str, Task] = TASKS,
) -> list[Result]:
    """Measure what a table does not hold yet, adding row by row."""
    return results_table(path).complete(
        [(name, seed) for name in names for seed in seeds],
        lambda r: (r.task, r.seed),
        lambda job: [measure(*job, tasks)],
        report,
    )


def results_table(path: Path) -> ResultTable[Result]:
    """Return the table of runs: of these tasks, and of the baselines."""
    return ResultTable(path, Result, "bench control")


def rows(results: Sequence[Result], tasks: Mapping[str, Task] = TASKS) -> list[Row]:
    """Turn results into rows held against the bars of their tasks."""
    found = []
    for name in dict.fromkeys(r.task for r in results):
        task, mine = tasks[name], [r for r in results if r.task == name]
        means = np.array([r.mean for r in mine])
        steps = int(np.median([r.real_steps for r in mine]))
        detail = f"{len(mine)} seeds, median {steps} real steps, worst seed {means.min():.4g}"
        found.append(
            Row(f"control, {name}: median return", float(np.median(means)), "", detail,
                f">= {task.median:g}")
        )  # fmt: skip
        if np.isfinite(task.enough):
            bad = int((means < task.enough).sum())
            found.append(
                Row(f"control, {name}: seeds below {task.enough:g}", bad, "", detail,
                    f"<= {task.failures}")
            )  # fmt: skip
        if np.isfinite(task.every):
            least = min(r.worst for r in mine)
            found.append(
                Row(f"control, {name}: worst episode", least, "", detail, f">= {task.every:g}")
            )
        most = max(r.real_steps for r in mine)
        found.append(
            Row(f"control, {name}: real steps", most, "", "largest of the seeds",
                f"<= {task.real_steps}")
        )  # fmt: skip
        if np.isfinite(task.seconds):
            slow = max(r.seconds for r in mine)
            found.append(
                Row(f"control, {name}: CPU time", slow, "s", "slowest seed",
                    f"<= {task.seconds:g}")
            )  # fmt: skip
    return found


def run(quick: bool = False) -> list[Row]:
    """Measure all tasks with ten seeds, or with `quick` the first with one."""
    names, seeds = (list(TASKS)[:1], range(1)) if quick else (list(TASKS), range(10))
    if quick:
        return rows([measure(name, seed) for name in names for seed in seeds])
    path = table_path().with_name("control.csv")
    return rows(measure_all(names, list(seeds), path, lambda result: None))
