"""What others need for a swing-up: the same scores, every real step counted, one row per run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from discover.bench.control import SWINGUP_REWARD
from discover.bench.record import table_path
from discover.bench.rows import Row
from discover.bench.tables import append_rows, read_rows
from discover.control import (
    CMAAgent,
    DynamicsLearner,
    Plant,
    PolicyForm,
    SINDyRL,
    given_outcome,
    to_sb3,
)
from discover.control.agents import Search
from discover.control.policy import actor
from discover.control.surrogate import Rollouts
from discover.libraries import PolynomialLibrary
from discover.libraries.termtable import TermTable
from discover.typing import FloatArray

__all__ = ["BASELINES", "Baseline", "NeuralSurrogate", "run"]

_ENV = "discover/CartPoleSwingup-v0"
_RAIL = {"x": (-1.75, 1.75)}
_COLUMNS = ("task", "seed", "real_steps", "mean", "worst", "seconds")


@dataclass(frozen=True)
class Baseline:
    """A way to learn.

    Parameters
    ----------
    learn : callable
        ``(env, real_steps, seed) -> (policy, real steps taken)``.
    real_steps : int
        Budget.
    seeds : int
        Runs of the benchmark.
    """

    learn: Callable[[Any, int, int], tuple[Any, int]]
    real_steps: int
    seeds: int = 1


# -- the same loop with another part -------------------------------------------------


def _loop(**options: Any) -> Callable[[Any, int, int], tuple[Any, int]]:
    def learn(env: Any, real_steps: int, seed: int) -> tuple[Any, int]:
        agent = SINDyRL(env, bounds=_RAIL, target=850.0, reward=SWINGUP_REWARD, **options)
        agent.learn(real_steps, seed=seed)
        return agent.policy_, agent.plant_.steps

    return learn


def _linear(env: Any, real_steps: int, seed: int) -> tuple[Any, int]:
    """Learn with linear dynamics: dynamic mode decomposition with control."""
    linear = DynamicsLearner(
        PolynomialLibrary(1), coordinates="observed", threshold=0.0, bounds=_RAIL
    )
    return _loop(dynamics=linear)(env, real_steps, seed)


# -- networks as surrogate -----------------------------------------------------------


@dataclass
class NeuralSurrogate:
    """An ensemble of networks for the increments, in place of laws.

    Parameters
    ----------
    members : sequence of list of (weights, offsets)
        Layers with hyperbolic tangents between them; the first and the last scale.
    reward : SymbolicModel
    box : ActionBox
    low, high : ndarray of shape (n_observations,)
        Leaving them ends an episode.
    """

    members: Sequence[list[tuple[FloatArray, FloatArray]]]
    reward: Any
    box: Any
    low: FloatArray
    high: FloatArray

    @property
    def n_members(self) -> int:
        """Number of networks."""
        return len(self.members)

    @classmethod
    def fit(cls, plant: Plant, outcome: Any, seed: int, n_members: int = 5) -> NeuralSurrogate:
        """Fit five networks of 2 x 64 units, each to a bag of the steps, stopped early."""
        from sklearn.neural_network import MLPRegressor

        data, rng = plant.data, np.random.default_rng(seed)
        inputs = np.concatenate([data.states, data.actions], axis=1)
        targets = data.next_states - data.states
        shift, scale = inputs.mean(axis=0), inputs.std(axis=0)
        center, size = targets.mean(axis=0), targets.std(axis=0)
        members = []
        for k in range(n_members):
            bag = rng.integers(len(inputs), size=len(inputs))
            net = MLPRegressor(
                hidden_layer_sizes=(64, 64), activation="tanh", max_iter=500,
                early_stopping=True, random_state=seed + k,
            )  # fmt: skip
            net.fit((inputs[bag] - shift) / scale, (targets[bag] - center) / size)
            layers = list(zip(net.coefs_, net.intercepts_, strict=True))
            layers[0] = (layers[0][0] / scale[:, None],
                         layers[0][1] - (shift / scale) @ layers[0][0])  # fmt: skip
            layers[-1] = (layers[-1][0] * size, layers[-1][1] * size + center)
            members.append(layers)
        limits = [_RAIL.get(n, (-np.inf, np.inf)) for n in data.observation_names]
        low, high = np.transpose(limits)
        return cls(members, outcome, plant.box, low, high)

    def rollouts(
        self,
        table: TermTable,
        coefficients: FloatArray,
        starts: FloatArray,
        horizon: int,
        *,
        members: int | None = None,
        rng: Any = None,
    ) -> Rollouts:
        """Run policies from starts, with every network; as those of a Surrogate."""
        k = self.n_members if members is None else members
        shape = (k, len(coefficients), len(starts))
        policy = coefficients[np.indices(shape)[1].ravel()]
        seen = np.array(starts)[np.indices(shape)[2].ravel()]
        total, going = np.zeros(len(seen)), np.ones(len(seen), dtype=bool)
        lengths = np.zeros(len(seen), dtype=np.int64)
        for _ in range(horizon):
            u = self.box.saturate(np.einsum("np,nap->na", table.evaluate(seen), policy))
            moved = seen + self._change(np.concatenate([seen, u], axis=1), k)
            moved[:, 1:3] /= np.hypot(moved[:, 1], moved[:, 2])[:, None]
            seen = np.where(going[:, None], moved, seen)
            lengths += going
            going = going & ((seen >= self.low) & (seen <= self.high)).all(axis=1)
            if not going.any():
                break
            total += going * self.reward.rhs(seen, u=u)[:, 0]
        back = (1, 0, 2)
        return Rollouts(
            total.reshape(shape).transpose(back), lengths.reshape(shape).transpose(back),
            ~going.reshape(shape).transpose(back),
        )  # fmt: skip

    def _change(self, inputs: FloatArray, members: int) -> FloatArray:
        parts = []
        for layers, x in zip(self.members, np.split(inputs, members), strict=False):
            y = x
            for weights, offsets in layers[:-1]:
                y = np.tanh(y @ weights + offsets)
            parts.append(y @ layers[-1][0] + layers[-1][1])
        return np.concatenate(parts)


def _networks(env: Any, real_steps: int, seed: int) -> tuple[Any, int]:
    """Explore, fit networks, search in them with CMA-ES, try, and again."""
    rng, plant = np.random.default_rng(seed), Plant(env, seed=seed)
    while plant.steps < 500:
        plant.run(_held(rng), min(250, 500 - plant.steps), bounds=_RAIL)
    names = plant.data.observation_names
    outcome = given_outcome(SWINGUP_REWARD, names, plant.box.names)
    form = PolicyForm.over(None, names, plant.data.states, plant.box, [(1, 2)])
    agent, best, found = CMAAgent(generations=100, restarts=0), -np.inf, None
    warm = None
    while plant.steps < real_steps:
        surrogate: Any = NeuralSurrogate.fit(plant, outcome, seed)
        search: Search = agent.search(surrogate, form, plant.starts, plant.horizon, rng=rng,
                                      warm=warm)  # fmt: skip
        warm = search.weights
        episode = plant.run(actor(search.policy, plant.box), real_steps - plant.steps, bounds=_RAIL)
        if found is None or episode.rewards.sum() > best:
            best, found = float(episode.rewards.sum()), search.policy
        if best >= 850.0:
            break
    return found, plant.steps


def _held(rng: np.random.Generator) -> Callable[[FloatArray], FloatArray]:
    """Hold uniform actions for random times, whatever is seen."""
    actions = iter(np.repeat(rng.uniform(-1, 1, 200), rng.integers(5, 21, 200)))
    return lambda seen: np.array([next(actions)])


# -- no surrogate at all -------------------------------------------------------------


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
    """A policy of stable-baselines3."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def rhs(self, seen: FloatArray) -> FloatArray:
        return np.asarray(self.model.predict(seen, deterministic=True)[0], dtype=np.float64)


def _sb3(name: str, count: int, **options: Any) -> Callable[[Any, int, int], tuple[Any, int]]:
    """Train an agent of stable-baselines3 with networks, in the real world."""

    def learn(env: Any, real_steps: int, seed: int) -> tuple[Any, int]:  # a batch of its own
        import stable_baselines3

        from discover_envs import make_vec

        batch: Any = make_vec(_ENV, num_envs=count, autoreset_mode="SameStep")
        model = getattr(stable_baselines3, name)(
            "MlpPolicy", to_sb3(batch), seed=seed, device="cpu", **options
        )
        model.learn(real_steps)
        return _Network(model), int(model.num_timesteps)

    return learn


_NETS = {"policy_kwargs": {"net_arch": [64, 64]}}
#: By name: the loop with other agents and other surrogates, and learners without one.
BASELINES: dict[str, Baseline] = {
    "swing-up, physics, gradient": Baseline(_loop(agent="gradient"), 2500),
    "swing-up, physics, mppi": Baseline(_loop(agent="mppi"), 2500),
    "swing-up, physics, ppo": Baseline(_loop(agent="ppo"), 2500),
    "swing-up, linear surrogate": Baseline(_linear, 2500),
    "swing-up, network surrogate": Baseline(_networks, 5000),
    "swing-up, CMA-ES without surrogate": Baseline(_cma, 500_000),
    "swing-up, PPO without surrogate": Baseline(
        _sb3("PPO", 8, n_steps=512, batch_size=512, gamma=0.995, use_sde=True,
             sde_sample_freq=8, **_NETS), 300_000
    ),
    "swing-up, SAC without surrogate": Baseline(
        _sb3("SAC", 1, train_freq=4, gradient_steps=2, use_sde=True, **_NETS), 50_000
    ),
}  # fmt: skip


def measure(name: str, seed: int) -> tuple[Any, ...]:
    """Learn once, and score the frozen policy on 20 fresh episodes."""
    from discover.control.training import score_policy
    from discover_envs import make

    baseline = BASELINES[name]
    started = time.process_time()
    policy, steps = baseline.learn(make(_ENV), baseline.real_steps, seed)
    seconds = time.process_time() - started
    scored = score_policy(policy, make(_ENV), 20, seed=10**6 + seed)
    return name, seed, steps, float(scored.mean()), float(scored.min()), seconds


def run(quick: bool = False, path: Path | None = None) -> list[Row]:
    """Measure what the table of `discover bench control` does not hold yet; `quick` one of them."""
    if quick:
        return [_row("swing-up, physics, mppi", [measure("swing-up, physics, mppi", 0)])]
    path = table_path().with_name("control.csv") if path is None else path
    found = []
    for name, baseline in BASELINES.items():
        known = {int(r["seed"]): tuple(r.values()) for r in read_rows(path, _COLUMNS, "bench")
                 if r["task"] == name}  # fmt: skip
        for seed in range(baseline.seeds):
            if seed not in known:
                known[seed] = measure(name, seed)
                cells = [f"{v:.6g}" if isinstance(v, float) else v for v in known[seed]]
                append_rows(path, _COLUMNS, [cells])
        found.append(_row(name, [known[seed] for seed in range(baseline.seeds)]))
    return found


def _row(name: str, results: Sequence[tuple[Any, ...]]) -> Row:
    means = [float(r[3]) for r in results]
    steps = int(np.median([int(r[2]) for r in results]))
    seconds = max(float(r[5]) for r in results)
    detail = f"{len(results)} seeds, {steps:,} real steps, {seconds:.0f} s of CPU"
    return Row(f"baselines, {name}: median return", float(np.median(means)), "", detail)
