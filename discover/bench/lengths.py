"""A pendulum of five lengths in turn: what is left of the first when the last is learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from discover.bench.rows import Row
from discover.bench.worlds import pendulum
from discover.typing import FloatArray

if TYPE_CHECKING:
    from discover.control.policy import Policy

__all__ = ["LENGTHS", "Lived", "live", "run"]

LENGTHS = (0.6, 0.8, 1.0, 1.2, 1.4)
_STEPS, _EPISODES = 400, 50


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


def run(quick: bool = False) -> list[Row]:
    """Live ten lives, or one with `quick`."""
    lives = [live(seed) for seed in range(1 if quick else 10)]
    losses = np.array([(one.alone - one.after) / np.abs(one.alone) for one in lives])
    detail = f"{len(lives)} seeds, lengths {LENGTHS}, {_EPISODES} episodes each"
    means = np.mean([one.after for one in lives], axis=0).round(1).tolist()
    name = "pendulum of five lengths"
    return [
        Row(f"{name}: loss against a policy trained on it alone, worst length of all seeds",
            float(losses.max()), "", f"{detail}; mean returns {means}", "<= 0.1"),
        Row(f"{name}: loss, worst length, mean of seeds", float(losses.mean(axis=0).max()), "",
            detail, "<= 0.1"),
        Row(f"{name}: lives in which a length was taken for another",
            sum(not one.known for one in lives), "", detail, "<= 0"),
        Row(f"{name}: most real steps on one", max(one.real_steps for one in lives), "", detail,
            f"<= {_STEPS}"),
    ]  # fmt: skip
