"""What others need for a swing-up, and PPO for a field: every real step counted, a row per run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from discover.bench.control import SWINGUP_REWARD, Result, results_table
from discover.bench.networks import NetworkLoop
from discover.bench.record import table_path
from discover.bench.rows import Row
from discover.control import CMAAgent, DynamicsLearner, Plant, PolicyForm, SINDyRL, to_sb3
from discover.control.policy import actor
from discover.control.surrogate import Rollouts
from discover.libraries import PolynomialLibrary
from discover.typing import FloatArray

__all__ = ["BASELINES", "Baseline", "run"]

_ENV = "discover/CartPoleSwingup-v0"
_FIELD = "discover/KuramotoSivashinsky-v0"
_RAIL = {"x": (-1.75, 1.75)}

#: ``(env, real_steps, seed) -> (policy, real steps taken)``.
Learner = Callable[[Any, int, int], tuple[Any, int]]


@dataclass(frozen=True)
class Baseline:
    """A way to learn.

    Parameters
    ----------
    learn : Learner
    real_steps : int
        Budget.
    seeds : int
        Runs of the benchmark.
    env : str
        Its id.
    """

    learn: Learner
    real_steps: int
    seeds: int = 1
    env: str = _ENV


# -- the same loop with another part -------------------------------------------------


def _loop(loop: type[SINDyRL] = SINDyRL, **options: Any) -> Learner:
    def learn(env: Any, real_steps: int, seed: int) -> tuple[Any, int]:
        agent = loop(env, bounds=_RAIL, target=850.0, reward=SWINGUP_REWARD, **options)
        agent.learn(real_steps, seed=seed)
        return agent.policy_, agent.plant_.steps

    return learn


#: Linear in observations and actions: dynamic mode decomposition with control.
_LINEAR = DynamicsLearner(
    PolynomialLibrary(1), coordinates="observed", threshold=0.0, bounds=_RAIL, noise=None
)


# -- no surrogate at all -------------------------------------------------------------


def _held(rng: np.random.Generator) -> Callable[[FloatArray], FloatArray]:
    """Hold uniform actions for random times, whatever is seen."""
    actions = iter(np.repeat(rng.uniform(-1, 1, 200), rng.integers(5, 21, 200)))
    return lambda seen: np.array([next(actions)])


def _cma(env: Any, real_steps: int, seed: int) -> tuple[Any, int]:
    """Search the same closed form with CMA-ES, every candidate in a real episode."""
    rng, plant = np.random.default_rng(seed), Plant(env, seed=seed)
    plant.run(_held(rng), 500)
    form = PolicyForm.over(
        None, plant.data.observation_names, plant.data.states, plant.box, [(1, 2)]
    )
    steps = [plant.steps]

    def rollouts(table: Any, coefficients: FloatArray, starts: Any, horizon: int, **_: Any) -> Any:
        returns = []
        for one in coefficients:
            model = form.model(np.zeros(form.n_weights)).with_coefficients(one)
            fresh = Plant(env, seed=seed + steps[0])
            episode = fresh.run(actor(model, fresh.box), horizon)
            steps[0] += len(episode)
            returns.append(episode.rewards.sum())
        shaped = np.array(returns)[:, None, None]
        return Rollouts(shaped, np.full(shaped.shape, horizon), np.zeros(shaped.shape, dtype=bool))

    generations = max(1, (real_steps - steps[0]) // (32 * plant.horizon))
    agent = CMAAgent(generations=generations, n_starts=1, restarts=0)
    world: Any = SimpleNamespace(n_members=1, rollouts=rollouts)
    search = agent.search(world, form, plant.starts, plant.horizon, rng=rng)
    return search.policy, steps[0]


class _Network:
    """A policy of stable-baselines3 that holds its actions; `look` scales what it sees."""

    def __init__(self, model: Any, hold: int, look: Any = None) -> None:
        self.model, self.hold, self.look = model, hold, look
        self.restart()

    def restart(self) -> None:
        """Begin an episode."""
        self._steps, self._action = 0, np.zeros(0)

    def rhs(self, seen: FloatArray) -> FloatArray:
        if self._steps % self.hold == 0:
            shown = seen if self.look is None else self.look(seen)
            action, _ = self.model.predict(shown, deterministic=True)
            self._action = np.asarray(action, dtype=np.float64)
        self._steps += 1
        return self._action


def _networks() -> dict[str, Any]:
    """Return the options of all agents; afresh, because these write into them."""
    return {"policy_kwargs": {"net_arch": [64, 64]}, "device": "cpu"}


def _ppo(env: Any, real_steps: int, seed: int) -> tuple[Any, int]:
    """Train PPO in eight copies of the world."""
    from stable_baselines3 import PPO

    from discover_envs import make_vec

    batch: Any = make_vec(_ENV, num_envs=8, autoreset_mode="SameStep")
    model = PPO(
        "MlpPolicy", to_sb3(batch), seed=seed, n_steps=512, batch_size=512, gamma=0.995,
        use_sde=True, sde_sample_freq=8, **_networks(),
    )  # fmt: skip
    model.learn(real_steps)
    return _Network(model, 1), int(model.num_timesteps)


def _ppo_of_fields(env: Any, real_steps: int, seed: int) -> tuple[Any, int]:
    """Train PPO in eight copies of a field, on scaled observations and rewards."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import VecNormalize

    from discover_envs import make_vec

    batch: Any = make_vec(_FIELD, num_envs=8, autoreset_mode="SameStep")
    scaled = VecNormalize(to_sb3(batch), gamma=0.99)
    model = PPO(
        "MlpPolicy", scaled, seed=seed, n_steps=512, batch_size=128, gamma=0.99,
        learning_rate=lambda left: 3e-4 * left, policy_kwargs={"net_arch": [128, 128]},
        device="cpu",
    )  # fmt: skip
    model.learn(real_steps)
    return _Network(model, 1, scaled.normalize_obs), int(model.num_timesteps)


def _sac(env: Any, real_steps: int, seed: int, hold: int = 5) -> tuple[Any, int]:
    """Train SAC on actions that are held for five steps."""
    from stable_baselines3 import SAC

    from discover_envs.wrappers import HeldAction

    model = SAC("MlpPolicy", HeldAction(env, hold), seed=seed, learning_rate=1e-3, **_networks())
    model.learn(real_steps // hold)
    return _Network(model, hold), hold * int(model.num_timesteps)


#: By name: the loop with other agents and other surrogates, and learners without one.
BASELINES: dict[str, Baseline] = {
    "swing-up, physics, gradient": Baseline(_loop(agent="gradient"), 2500),
    "swing-up, physics, mppi": Baseline(_loop(agent="mppi"), 2500),
    "swing-up, physics, ppo": Baseline(_loop(agent="ppo"), 2500),
    "swing-up, linear surrogate": Baseline(_loop(dynamics=_LINEAR), 2500, 3),
    "swing-up, linear surrogate, 5,000 steps": Baseline(_loop(dynamics=_LINEAR), 5000, 3),
    "swing-up, network surrogate": Baseline(_loop(NetworkLoop, dynamics=_LINEAR), 2500, 3),
    "swing-up, network surrogate, 5,000 steps": Baseline(
        _loop(NetworkLoop, dynamics=_LINEAR), 5000, 3
    ),
    "swing-up, CMA-ES without surrogate": Baseline(_cma, 500_000),
    "swing-up, PPO without surrogate": Baseline(_ppo, 300_000, 3),
    "swing-up, SAC without surrogate": Baseline(_sac, 50_000, 2),
    "Kuramoto-Sivashinsky, PPO without surrogate": Baseline(_ppo_of_fields, 400_000, 1, _FIELD),
}  # fmt: skip


def measure(name: str, seed: int) -> Result:
    """Learn once, and score the frozen policy on 20 fresh episodes."""
    from discover.control.training import score_policy
    from discover_envs import make

    baseline = BASELINES[name]
    started = time.process_time()
    policy, steps = baseline.learn(make(baseline.env), baseline.real_steps, seed)
    seconds = time.process_time() - started
    scored = score_policy(policy, make(baseline.env), 20, seed=10**6 + seed)
    return Result(name, seed, steps, float(scored.mean()), float(scored.min()), seconds)


def run(quick: bool = False, path: Path | None = None) -> list[Row]:
    """Measure what the table of `discover bench control` does not hold yet; `quick` one of them."""
    if quick:
        return [_row([measure("swing-up, physics, mppi", 0)])]
    results = results_table(table_path().with_name("control.csv") if path is None else path)
    jobs = [(name, seed) for name, one in BASELINES.items() for seed in range(one.seeds)]
    found = results.complete(jobs, lambda r: (r.task, r.seed), lambda job: [measure(*job)])
    return [_row([r for r in found if r.task == name]) for name in BASELINES]


def _row(results: Sequence[Result]) -> Row:
    mean, steps = (np.median([getattr(r, c) for r in results]) for c in ("mean", "real_steps"))
    detail = (
        f"{len(results)} seeds, median {steps:,.0f} real steps, "
        f"{max(r.seconds for r in results):.0f} s of CPU"
    )
    return Row(f"baselines, {results[0].task}: median return", float(mean), "", detail)
