"""A pendulum of five lengths in turn, and one whose length drifts: what is remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from discover.bench.rows import Row
from discover.bench.worlds import PENDULUM_COST, pendulum
from discover.typing import FloatArray

if TYPE_CHECKING:
    from discover.control.policy import Policy

__all__ = ["LENGTHS", "Lived", "live", "run"]

LENGTHS = (0.6, 0.8, 1.0, 1.2, 1.4)
_STEPS, _EPISODES = 400, 50
_DRIFT, _DRIFT_STEPS, _FORGETTING = (0.8, 1.2), 2000, 0.98


@dataclass(frozen=True, eq=False)
class Lived:
    """One life: mean returns on every length, and whether all were told apart.

    Parameters
    ----------
    alone : ndarray of shape (n_lengths,)
        Of a policy that was trained on the length alone.
    after : ndarray of shape (n_lengths,)
        Of what is remembered when the last length has been learned.
    known : bool
        Whether every length was new when it came first, and known when it came again.
    real_steps : int
        Most that were spent on one length.
    """

    alone: FloatArray
    after: FloatArray
    known: bool
    real_steps: int


def _pendulum(length: float) -> Any:
    from discover.control import Plant

    env = Plant("Pendulum-v1").env
    env.unwrapped.l = length
    return env


def _score(policy: Policy, length: float) -> float:
    from discover.control.training import score_policy

    return float(score_policy(policy, _pendulum(length), _EPISODES, seed=12345).mean())


def live(seed: int) -> Lived:
    """Learn all lengths in turn, meet them again, and score what is remembered."""
    from discover.control import PlantMemory

    memory, spent = PlantMemory(pendulum), []
    first = []
    for length in LENGTHS:
        before = memory.steps_
        first.append(memory.learn(_pendulum(length), _STEPS, seed=seed))
        spent.append(memory.steps_ - before)
    after = np.array([_score(memory.policy(), length) for length in LENGTHS])
    again = [memory.learn(_pendulum(length), _STEPS, seed=1000 + seed) for length in LENGTHS]
    alone = []
    for length in LENGTHS:
        agent = pendulum(_pendulum(length)).learn(_STEPS, seed=seed)
        alone.append(_score(agent.policy_, length))
    return Lived(np.array(alone), after, first == again == list(range(len(LENGTHS))), max(spent))


def drift(seed: int, forgetting: float) -> tuple[float, float]:
    """Learn a pendulum whose length drifts, from sums that fade, and score a policy at its end.

    Returns
    -------
    error : float
        Of the gravity term, relative, at the end; largest over the last half of the drift.
    score : float
        Mean return at the last length, of a policy searched in what is remembered.
    """
    from discover.control import (
        CMAAgent,
        DynamicsLearner,
        Plant,
        PolicyForm,
        Surrogate,
        given_outcome,
    )

    env, rng = _pendulum(_DRIFT[0]), np.random.default_rng(seed)
    plant = Plant(env, observation_names=["cos_th", "sin_th", "th_dot"], seed=seed)
    learner, errors = DynamicsLearner(forgetting=forgetting), []
    for done in range(0, _DRIFT_STEPS, 100):
        begin = len(plant.data.episodes)
        plant.run(_held(env, rng, done), 100, purpose="explore")
        latest = replace(plant.data, episodes=plant.data.episodes[begin:])
        found = learner.partial_fit(latest)
        gravity = found.model.coefficients[1, found.model.term_names.index("sin(th)")]
        errors.append(abs(gravity / (0.75 / env.unwrapped.l) - 1))
    outcome = given_outcome(PENDULUM_COST, plant.data.observation_names, plant.box.names)
    surrogate = Surrogate(found, outcome, plant.box)
    form = PolicyForm.over(None, plant.data.observation_names, latest.states, plant.box, [(0, 1)])
    search = CMAAgent(n_starts=16, members=1, restarts=2).search(
        surrogate, form, plant.starts, 200, rng=rng
    )
    return max(errors[len(errors) // 2 :]), _score(search.policy, _DRIFT[1])


def _held(env: Any, rng: np.random.Generator, done: int) -> Callable[[FloatArray], FloatArray]:
    """Return held random torques, under which the length drifts."""
    torques = iter(np.repeat(rng.uniform(-2, 2, 20), 5))
    count = iter(range(done, done + 100))

    def policy(seen: FloatArray) -> FloatArray:
        share = next(count) / (_DRIFT_STEPS - 1)
        env.unwrapped.l = _DRIFT[0] + share * (_DRIFT[1] - _DRIFT[0])
        return np.array([next(torques)])

    return policy


def _drift_rows(n_seeds: int) -> list[Row]:
    name, detail = f"pendulum whose length drifts, {_DRIFT_STEPS} steps", f"{n_seeds} seeds"
    fading, keeping = (
        np.array([drift(seed, share) for seed in range(n_seeds)]) for share in (_FORGETTING, 1.0)
    )
    last = _pendulum(_DRIFT[1])
    alone = np.array(
        [_score(pendulum(last).learn(_STEPS, seed=s).policy_, _DRIFT[1]) for s in range(n_seeds)]
    )
    loss, kept = ((alone - one[:, 1]) / np.abs(alone) for one in (fading, keeping))
    return [
        Row(f"{name}: error of its gravity, forgetting {_FORGETTING:g}", float(fading[:, 0].max()),
            "", f"{detail}; {keeping[:, 0].max():.2g} where nothing is forgotten"),
        Row(f"{name}: loss against a policy trained on the last length alone", float(loss.max()),
            "", f"{detail}; {kept.max():.2g} where nothing is forgotten", "<= 0.1"),
    ]  # fmt: skip


def run(quick: bool = False) -> list[Row]:
    """Live ten lives, or one with `quick`; and as many drifts."""
    lives = [live(seed) for seed in range(1 if quick else 10)]
    losses = np.array([(one.alone - one.after) / np.abs(one.alone) for one in lives])
    detail = f"{len(lives)} seeds, lengths {LENGTHS}, {_EPISODES} episodes each"
    means = np.mean([one.after for one in lives], axis=0).round(1).tolist()
    name = "pendulum of five lengths"
    return [
        *_drift_rows(len(lives)),
        Row(f"{name}: loss against a policy trained on it alone, worst length of all seeds",
            float(losses.max()), "", f"{detail}; mean returns {means}", "<= 0.1"),
        Row(f"{name}: loss, worst length, mean of seeds", float(losses.mean(axis=0).max()), "",
            detail, "<= 0.1"),
        Row(f"{name}: lives in which a length was taken for another",
            sum(not one.known for one in lives), "", detail, "<= 0"),
        Row(f"{name}: most real steps on one", max(one.real_steps for one in lives), "", detail,
            f"<= {_STEPS}"),
    ]  # fmt: skip
