"""Trust: how far a surrogate can be believed, and where a search took advantage of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from discover.control.dynamics import LearnedDynamics
from discover.control.surrogate import Surrogate
from discover.control.transitions import Episode, Transitions
from discover.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from discover.control.training import SINDyRL

__all__ = [
    "DisagreementMap",
    "HorizonErrors",
    "LearningCurve",
    "disagreement_map",
    "horizon_errors",
    "learning_curve",
]

_MOST_WINDOWS = 256


@dataclass(frozen=True, eq=False)
class HorizonErrors:
    """Errors of open-loop predictions against the number of steps ahead.

    Parameters
    ----------
    steps : ndarray of int, shape (horizon,)
        1, 2, ...
    error : ndarray of shape (horizon, n_observations)
        Root-mean-square error of the median law, in standard deviations of each observation.
    spread : ndarray of shape (horizon, n_observations)
        Root-mean-square deviation of the members from their mean, in the same unit: the error
        that the ensemble expects of itself.
    n_windows : int
        Stretches of recorded actions that were predicted.
    observation_names : tuple of str
    """

    steps: IntArray
    error: FloatArray
    spread: FloatArray
    n_windows: int
    observation_names: tuple[str, ...]

    def reach(self, tolerance: float = 0.3) -> int:
        """Return the steps for which every observation's error stays below a tolerance."""
        beyond = np.flatnonzero(~(self.error.max(axis=1) <= tolerance))
        return int(self.steps[-1] if len(beyond) == 0 else self.steps[beyond[0]] - 1)


def horizon_errors(
    surrogate: Surrogate, data: Transitions | Episode, horizon: int = 100
) -> HorizonErrors:
    """Predict recorded episodes from their own states and actions, step after step.

    Parameters
    ----------
    surrogate : Surrogate
    data : Transitions or Episode
        Best of episodes that taught nothing; those of the fit flatter it.
    horizon : int, default=100
        Steps ahead; less where no episode is so long.

    Returns
    -------
    HorizonErrors

    Raises
    ------
    ValueError
        If there is no step to predict.

    Notes
    -----
    The windows overlap by half and do not cross the end of an episode. Predictions that leave
    the finite numbers count as errors of infinite size.
    """
    episodes = [data] if isinstance(data, Episode) else data.episodes
    longest = max((len(e) for e in episodes), default=0)
    if not longest or horizon < 1:
        raise ValueError(
            f"horizon_errors: data must have a step, and horizon be positive; got {longest}, "
            f"{horizon}."
        )
    horizon = min(horizon, longest)
    seen, actions = _windows(episodes, horizon)
    deviation = np.concatenate([e.observations for e in episodes]).std(axis=0)
    unit = np.where(deviation > 0, deviation, 1.0)
    truth = seen[:, 1:]
    median = _predict(surrogate, seen[:, 0], actions, np.full(len(seen), -1))
    members = np.array(
        [
            _predict(surrogate, seen[:, 0], actions, np.full(len(seen), k))
            for k in range(surrogate.n_members)
        ]
    )
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.sqrt(np.mean(((median - truth) / unit) ** 2, axis=0))
        apart = np.sqrt(np.mean(members.var(axis=0) / unit**2, axis=0))
    error, apart = np.nan_to_num(error, nan=np.inf), np.nan_to_num(apart, nan=np.inf)
    names = tuple(surrogate.dynamics.coordinates.observation_names)
    return HorizonErrors(np.arange(1, horizon + 1), error, apart, len(seen), names)


def _windows(episodes: list[Episode], horizon: int) -> tuple[FloatArray, FloatArray]:
    """Cut observations and actions into windows, shape (n_windows, horizon (+ 1), ...)."""
    seen, actions = [], []
    for episode in episodes:
        for first in range(0, len(episode) - horizon + 1, max(1, horizon // 2)):
            seen.append(episode.observations[first : first + horizon + 1])
            actions.append(episode.actions[first : first + horizon])
    every = max(1, len(seen) // _MOST_WINDOWS)
    return np.array(seen[::every]), np.array(actions[::every])


def _predict(
    surrogate: Surrogate, starts: FloatArray, actions: FloatArray, member: IntArray
) -> FloatArray:
    """Return observations, shape (n_windows, horizon, n_observations)."""
    states = surrogate.dynamics.coordinates.states(starts)
    found = []
    for k in range(actions.shape[1]):
        states, seen, _, _ = surrogate.step(states, actions[:, k], member)
        found.append(seen)
    return np.stack(found, axis=1)


@dataclass(frozen=True, eq=False)
class DisagreementMap:
    """Where in a plane of states the members of an ensemble disagree.

    Parameters
    ----------
    names : (str, str)
        States on the axes.
    x, y : ndarray of shape (n,)
        Their values.
    disagreement : ndarray of shape (n, n)
        Root of the mean variance of the increments over states, relative to the size of the
        increments; rows belong to `y`.
    visited : ndarray of shape (n_steps, 2)
        Where the real steps were.
    """

    names: tuple[str, str]
    x: FloatArray
    y: FloatArray
    disagreement: FloatArray
    visited: FloatArray


def disagreement_map(
    dynamics: LearnedDynamics,
    data: Transitions,
    names: tuple[str, str] | None = None,
    at: Mapping[str, float] | None = None,
    n: int = 60,
) -> DisagreementMap:
    """Evaluate the exact variance of the ensemble over a plane of states.

    Parameters
    ----------
    dynamics : LearnedDynamics
    data : Transitions
        Set the ranges, and what all other states and actions are: their medians.
    names : (str, str), optional
        States on the axes; by default the two with the largest disagreement along them.
    at : mapping of str to float, optional
        Values of other states or actions.
    n : int, default=60
        Points of an axis.

    Returns
    -------
    DisagreementMap

    Raises
    ------
    ValueError
        If there are less than two states, or a name is not one.
    """
    known = (*dynamics.model.state_names, *dynamics.model.control_names)
    states = dynamics.coordinates.states(data.states)
    rows = np.concatenate([states, data.actions], axis=1)
    chosen = names or _widest(dynamics, rows)
    if len(chosen) != 2 or not {*chosen, *(at or {})} <= set(known):
        raise ValueError(
            f"disagreement_map: names must be two of the states, and at know them: {known}; got "
            f"{chosen} and {tuple(at or {})}."
        )
    i, j = (known.index(name) for name in chosen)
    x, y = (np.linspace(rows[:, k].min(), rows[:, k].max(), n) for k in (i, j))
    points = np.tile(np.median(rows, axis=0), (n * n, 1))
    for name, value in (at or {}).items():
        points[:, known.index(name)] = value
    X, Y = np.meshgrid(x, y)
    points[:, i], points[:, j] = X.ravel(), Y.ravel()
    found = _disagreement(dynamics, points).reshape(n, n)
    return DisagreementMap((chosen[0], chosen[1]), x, y, found, rows[:, [i, j]])


def _disagreement(dynamics: LearnedDynamics, rows: FloatArray) -> FloatArray:
    m = len(dynamics.model.state_names)
    return dynamics.disagreement(rows[:, :m], rows[:, m:])


def _widest(dynamics: LearnedDynamics, rows: FloatArray) -> tuple[str, ...]:
    """Return the two states along whose range the disagreement varies most."""
    names = dynamics.model.state_names
    ranges = []
    for k in range(len(names)):
        line = np.tile(np.median(rows, axis=0), (40, 1))
        line[:, k] = np.linspace(rows[:, k].min(), rows[:, k].max(), 40)
        ranges.append(np.ptp(_disagreement(dynamics, line)))
    first = np.argsort(ranges, kind="stable")[::-1][:2]
    return tuple(names[k] for k in sorted(first.tolist()))


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """What was promised and what was earned, against all real steps taken.

    Parameters
    ----------
    real_steps : ndarray of int, shape (n_rounds,)
        Exploration and evaluation included.
    score : ndarray of shape (n_rounds,)
        Of the policy in the surrogate, over members and starts.
    promised : ndarray of shape (n_rounds,)
        Return that the members predicted, on average, for the steps of the real episode.
    returned : ndarray of shape (n_rounds,)
        What these steps paid.
    earned : ndarray of shape (n_rounds,)
        The same of whole episodes only; NaN where one was cut short.
    best : ndarray of shape (n_rounds,)
        Largest real return of a whole episode so far.
    """

    real_steps: IntArray
    score: FloatArray
    promised: FloatArray
    returned: FloatArray
    earned: FloatArray
    best: FloatArray

    @property
    def exploited(self) -> FloatArray:
        """How much more was promised than paid, for the steps that were taken."""
        return self.promised - self.returned

    def table(self) -> pd.DataFrame:
        """Return a row for every round."""
        return pd.DataFrame({one.name: getattr(self, one.name) for one in fields(self)})


def learning_curve(agent: SINDyRL | Any) -> LearningCurve:
    """Return the learning curve of a run.

    Parameters
    ----------
    agent : SINDyRL
        After `learn`.
    """
    rounds = agent.rounds_
    steps = np.array([one.real_steps for one in rounds], dtype=np.int64)
    score = np.array([one.surrogate_score for one in rounds], dtype=np.float64)
    promised = np.array([one.promised for one in rounds], dtype=np.float64)
    returned = np.array([one.real_return for one in rounds], dtype=np.float64)
    whole = np.array([one.complete for one in rounds], dtype=bool)
    earned = np.where(whole, returned, np.nan)
    best = np.fmax.accumulate(earned) if len(earned) else earned
    return LearningCurve(steps, score, promised, returned, earned, best)
