"""Memory: plants that were met before, as formulas; none of their data are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from discover.control.plant import Plant
from discover.control.policy import ActionBox, act
from discover.control.surrogate import Surrogate
from discover.control.training import SINDyRL
from discover.control.transitions import Episode
from discover.symbolic import SymbolicModel
from discover.typing import FloatArray

__all__ = ["KnownPlant", "PlantMemory", "RecallingPolicy"]

_MEDIAN = np.array([-1])


@dataclass(frozen=True, eq=False)
class KnownPlant:
    """A plant that was learned: its laws and its policy.

    Parameters
    ----------
    surrogate : Surrogate
        Dynamics and reward, as formulas.
    policy : SymbolicModel
    misfit : float
        Mean square of the one-step errors when it was learned, in units of `scale`.
    scale : ndarray of shape (n_observations,)
        Root-mean-square of the changes of the observations then.
    """

    surrogate: Surrogate
    policy: SymbolicModel
    misfit: float
    scale: FloatArray

    def errors(self, seen: FloatArray, actions: FloatArray, after: FloatArray) -> FloatArray:
        """Return mean squares of one-step errors over observations, shape (n,).

        Parameters
        ----------
        seen : ndarray of shape (n, n_observations)
        actions : ndarray of shape (n, n_actions)
        after : ndarray of shape (n, n_observations)
        """
        states = self.surrogate.dynamics.coordinates.states(seen)
        which = np.repeat(_MEDIAN, len(seen))
        _, predicted, _, _ = self.surrogate.step(states, actions, which)
        off = np.nan_to_num((predicted - after) / self.scale, nan=np.inf)
        return np.asarray(np.mean(off**2, axis=1))


def _remember(agent: SINDyRL) -> KnownPlant:
    if agent.plant_.modes is not None:
        raise ValueError(
            "PlantMemory: agents must learn in the observations themselves, as modes of one plant "
            f"are not those of another; got modes={agent.modes}."
        )
    data = agent.plant_.data
    scale = np.sqrt(np.mean((data.next_states - data.states) ** 2, axis=0))
    scale = np.where(scale > 0, scale, 1.0)
    plant = KnownPlant(agent.surrogate_, agent.policy_, 0.0, scale)
    errors = plant.errors(data.states, data.actions, data.next_states)
    # contacts and other rows that the law does not claim are no part of the misfit
    return KnownPlant(agent.surrogate_, agent.policy_, float(np.median(errors)), scale)


@dataclass(eq=False)
class RecallingPolicy:
    """Act as the known plant asks for that explains this episode best.

    A policy with a memory: observations must come one by one, in order.

    Parameters
    ----------
    plants : list of KnownPlant
    box : ActionBox
    forget : float
        Factor by which an old error counts less with every step.

    Attributes
    ----------
    scores : ndarray of shape (n_plants,)
        Sums of the errors of this episode.

    Notes
    -----
    One predictor for every plant, and the controller of the one that has erred least lately:
    K. S. Narendra and J. Balakrishnan, IEEE Trans. Autom. Control 42 (1997) 171-187. Until
    something has moved, the plant met last is taken.
    """

    plants: list[KnownPlant]
    box: ActionBox
    forget: float = 0.99
    scores: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        """Begin an episode."""
        self.restart()

    def restart(self) -> None:
        """Begin another episode."""
        self.scores = np.zeros(len(self.plants))
        self._before: tuple[FloatArray, FloatArray] | None = None

    @property
    def chosen(self) -> int:
        """The plant it takes this for; of equals the one met last."""
        return int(len(self.scores) - 1 - np.argmin(self.scores[::-1]))

    def rhs(self, seen: FloatArray) -> FloatArray:
        """Return the saturated action of one observation, shape (n_actions,)."""
        if self._before is not None:
            seen_before, action = self._before
            errors = [p.errors(seen_before[None], action[None], seen[None])[0] for p in self.plants]
            self.scores = self.forget * self.scores + np.array(errors)
        action = act(self.plants[self.chosen].policy, seen, self.box)
        self._before = (np.array(seen), action)
        return action


class PlantMemory:
    """Learn one plant after the other, and know again those that were met before.

    Parameters
    ----------
    make : callable
        ``env -> SINDyRL``: how a plant that is not known is learned.
    probe : int, default=20
        First real steps with a plant, that tell whether it is known; they count.
    tolerance : float, default=1e-3
        Mean square of the one-step errors, relative to the changes of the observations, up to
        which a known law explains a plant; at least four times what it left unexplained when it
        was learned.

    Attributes
    ----------
    plants_ : list of KnownPlant
        In the order of their first meeting. Formulas: no transition of the past is kept.
    steps_ : int
        Real steps taken.

    Notes
    -----
    Nobody says when the plant changes, or into what: the errors of the laws do. What is
    remembered of a plant does not grow with the time spent with it, and learning another plant
    cannot spoil it. Compare Y. Huang et al., "Continual model-based reinforcement learning with
    hypernetworks", ICRA 2021, who are told which plant they act on.
    """

    def __init__(
        self, make: Callable[[Any], SINDyRL], *, probe: int = 20, tolerance: float = 1e-3
    ) -> None:
        if probe < 1 or not tolerance > 0:
            raise ValueError(
                f"PlantMemory: probe must be at least 1 and tolerance positive; got {probe}, "
                f"{tolerance}."
            )
        self.make, self.probe, self.tolerance = make, probe, tolerance
        self.plants_: list[KnownPlant] = []
        self.steps_ = 0

    def learn(self, env: Any, real_steps: int, seed: int = 0) -> int:
        """Meet a plant: know it again, or learn it.

        Parameters
        ----------
        env : gymnasium.Env or str
            The plant as it is now; its actions and observations must be those of the others.
        real_steps : int
            Budget, the probe included. A plant that is known again costs the probe alone.
        seed : int, default=0

        Returns
        -------
        int
            Which of ``plants_`` it is.
        """
        used = 0
        if self.plants_:
            episode = self._try_known(env, min(self.probe, real_steps), seed)
            used = len(episode)
            self.steps_ += used
            known = self.recognize(episode)
            if known is not None:
                return known
        agent = self.make(env).learn(max(real_steps - used, 1), seed=seed)
        self.steps_ += agent.plant_.steps
        self.plants_.append(_remember(agent))
        return len(self.plants_) - 1

    def recognize(self, episode: Episode) -> int | None:
        """Return which known plant explains an episode, or None.

        Parameters
        ----------
        episode : Episode
        """
        if not self.plants_ or not len(episode):
            return None
        seen, after = episode.observations[:-1], episode.observations[1:]
        errors = [float(np.median(p.errors(seen, episode.actions, after))) for p in self.plants_]
        best = int(np.argmin(errors))
        allowed = max(self.tolerance, 4.0 * self.plants_[best].misfit)
        return best if errors[best] <= allowed else None

    def policy(self) -> RecallingPolicy:
        """Return a policy for any of the known plants, that finds out which it acts on.

        Raises
        ------
        ValueError
            If no plant is known.
        """
        if not self.plants_:
            raise ValueError("PlantMemory: no plant is known; call learn first.")
        return RecallingPolicy(self.plants_, self.plants_[0].surrogate.box)

    def _try_known(self, env: Any, n_steps: int, seed: int) -> Episode:
        """Move a plant a little: random actions tell laws apart where a good policy rests."""
        agent = self.make(env)
        plant = Plant(env, observation_names=agent.observation_names, seed=seed)
        rng = np.random.default_rng([seed, self.steps_])

        def shaken(seen: FloatArray) -> FloatArray:
            return plant.box.from_unit(rng.choice([-1.0, 1.0], len(plant.box.names)))

        return plant.run(shaken, n_steps, purpose="explore")
