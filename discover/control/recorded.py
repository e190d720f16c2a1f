"""Records: real steps that somebody else took, and a plant that takes no more of them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from discover.control.plant import Plant
from discover.control.policy import ActionBox
from discover.control.starts import like_those_seen
from discover.control.transitions import Episode, Transitions
from discover.exceptions import DataError, DataWarning
from discover.observations import Trajectory
from discover.typing import FloatArray

__all__ = ["RecordedPlant", "read_transitions", "transitions_of"]


class RecordedPlant:
    """What is left of a plant: its records. No step can be taken.

    Parameters
    ----------
    data : Transitions
    box : ActionBox, optional
        Limits of the actions; by default the least and largest that were taken.
    horizon : int, optional
        Steps of an episode; by default those of the longest recorded one.
    seed : int

    Attributes
    ----------
    env, modes : None
    resets : int
        0: nothing was started.
    """

    env = None
    modes = None

    def __init__(
        self,
        data: Transitions,
        box: ActionBox | None = None,
        horizon: int | None = None,
        seed: int = 0,
    ) -> None:
        self.data, self.seed, self.resets = data, seed, 0
        self.box = _range(data) if box is None else box
        if self.box.names != tuple(data.action_names):
            raise ValueError(
                f"RecordedPlant: box must name the recorded actions, {tuple(data.action_names)}; "
                f"got {self.box.names}."
            )
        self.horizon = horizon or max(map(len, data.episodes))

    @property
    def steps(self) -> int:
        """Recorded real steps."""
        return len(self.data)

    def starts(self, rng: np.random.Generator, n: int) -> FloatArray:
        """Draw starts: half of them like those of the episodes, half any recorded state."""
        begun = like_those_seen(self.data.starts, rng, n)
        seen = self.data.states
        anywhere = seen[rng.integers(len(seen), size=n)]
        return np.where(rng.random((n, 1)) < 0.5, begun, anywhere)


def adopt(plant: Plant, data: Transitions) -> Plant:
    """Give a real plant, whose resets are used but no step is taken, what was recorded.

    Actions are called as in the data.

    Raises
    ------
    ValueError
        If it takes another number of actions.
    """
    if len(plant.box.names) != len(data.action_names):
        raise ValueError(
            f"SINDyRL: data must have the {len(plant.box.names)} actions of env; got "
            f"{tuple(data.action_names)}."
        )
    plant.box = replace(plant.box, names=tuple(data.action_names))
    plant.data = Transitions(
        data.observation_names, data.action_names, list(data.episodes), plant.data.limits,
        plant.data.levels,
    )  # fmt: skip
    return plant


def _range(data: Transitions) -> ActionBox:
    levels = np.array(data.levels or [0] * len(data.action_names), dtype=np.int64)
    low, high = data.actions.min(axis=0), data.actions.max(axis=0)
    if not (high > low).all():
        j = int(np.argmin(high - low))
        raise ValueError(
            f"RecordedPlant: action {data.action_names[j]!r} is {low[j]:g} in all of the data; "
            "a law of what it does needs another value."
        )
    return ActionBox(tuple(data.action_names), low, high, levels)


def transitions_of(
    runs: Sequence[Trajectory],
    rewards: Sequence[FloatArray] | None = None,
    terminated: Sequence[bool] | None = None,
) -> Transitions:
    """Return recorded runs as transitions.

    Parameters
    ----------
    runs : sequence of Trajectory
        States are the observations; the controls of a row are the actions taken then, held
        to the next row. Those of a last row are not used. Steps with something that was not
        observed are left out.
    rewards : sequence of ndarray of shape (n_samples - 1,), optional
        What each step paid; NaN without.
    terminated : sequence of bool, optional
        Whether the world itself ended each run.

    Raises
    ------
    DataError
        If there is no complete step, a run has no controls or other columns than the first,
        or rewards or terminated have another length.
    """
    if isinstance(runs, Trajectory):
        raise DataError("Transitions: runs must be a list of trajectories; got one: put it in [].")
    if not runs or runs[0].controls is None:
        raise DataError("Transitions: runs must have states and controls (the actions).")
    for name, given in (("rewards", rewards), ("terminated", terminated)):
        if given is not None and len(given) != len(runs):
            raise DataError(
                f"Transitions: {name} must have one entry per run, {len(runs)}; got {len(given)}."
            )
    first = runs[0]
    found = Transitions(first.state_names, first.control_names)
    for k, run in enumerate(runs):
        if (run.state_names, run.control_names) != (first.state_names, first.control_names):
            raise DataError(f"Transitions: run {k} has other columns than run 0.")
        paid = np.full(len(run) - 1, np.nan) if rewards is None else np.asarray(rewards[k])
        if paid.shape != (len(run) - 1,):
            raise DataError(
                f"Transitions: rewards of run {k} must have one entry per step, "
                f"({len(run) - 1},); got {paid.shape}."
            )
        ended = terminated is not None and bool(terminated[k])
        for episode in _stretches(run, paid, ended, rewards is not None):
            found.add(episode)
    if not len(found):
        raise DataError("Transitions: no step of the runs is complete.")
    return found


def _stretches(run: Trajectory, paid: FloatArray, ended: bool, is_paid: bool) -> Iterator[Episode]:
    """Yield the uncut stretches of complete steps."""
    actions = np.asarray(run.controls)[:-1]
    seen = np.all(np.isfinite(run.states), axis=1)
    complete = np.column_stack([seen[:-1], seen[1:], np.isfinite(actions)])
    if is_paid:
        complete = np.column_stack([complete, np.isfinite(paid)])
    whole = complete.all(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], whole.astype(int), [0]])))
    for begin, end in edges.reshape(-1, 2):
        last = ended and end == len(actions)
        yield Episode(
            run.states[begin : end + 1], actions[begin:end], paid[begin:end], last, "recorded"
        )


def read_transitions(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    observations: str | Sequence[str],
    actions: str | Sequence[str],
    *,
    reward: str | None = None,
    run: str | None = None,
    ended: str | None = None,
) -> Transitions:
    """Read transitions from tables: CSV and other text, Parquet, NetCDF, npz, MATLAB.

    Parameters
    ----------
    paths : path, or iterable of paths
    observations, actions : str or sequence of str
        Columns. A row is what was seen, the action taken then, and what that step paid; the
        last row of a run only says where its last step led.
    reward : str, optional
        The column of what steps paid; without it a reward has to be given to learn.
    run : str, optional
        The column that tells runs apart; by default each file is one.
    ended : str, optional
        A column that is not 0 in the last step of a run that the world itself ended.

    Raises
    ------
    DataError
        If a file cannot be read or used.
    """
    from discover.observations.readers import read_runs

    observations, actions = (
        [names] if isinstance(names, str) else list(names) for names in (observations, actions)
    )
    extra = [name for name in (reward, ended) if name is not None]
    with warnings.catch_warnings():
        if extra:  # a reward may never change
            warnings.simplefilter("ignore", DataWarning)
        every = read_runs(paths, dt=1.0, states=[*observations, *extra], inputs=actions, run=run)
    n = len(observations)
    runs = [
        Trajectory(
            one.states[:, :n], one.times, one.controls, state_names=one.state_names[:n],
            control_names=one.control_names,
        )
        for one in every
    ]  # fmt: skip
    rewards = None if reward is None else [one.states[:-1, n] for one in every]
    marks = (
        None
        if ended is None
        else [bool(np.any(np.nan_to_num(one.states[-2:, -1]))) for one in every]
    )
    return transitions_of(runs, rewards, marks)
