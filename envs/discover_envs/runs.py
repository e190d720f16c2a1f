"""Runs: what environments go through, as trajectories for the methods and as Parquet."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper

from discover import Trajectory
from discover_envs.env import WorldVectorEnv
from discover_envs.scores import Policy
from discover_envs.wrappers import observation_names, steps_per_action

__all__ = ["Recorder", "RecorderVector", "record_runs", "write_runs"]

_KINDS = ("states", "observations")


class _Log:
    """Rows of all members, step by step, and where episodes begin.

    Row ``k`` of a member follows from row ``k - 1`` by the action stored with it, unless an
    episode begins there. A last row that a new episode took the place of is kept aside.
    """

    def __init__(self, env: Any, of: str) -> None:
        if of not in _KINDS:
            names = " or ".join(map(repr, _KINDS))
            raise ValueError(f"Recorder: of must be {names}; got {of!r}.")
        self.of, world = of, getattr(env.unwrapped, "world", None)
        if world is None:
            raise ValueError(f"Recorder: env must be of this package; got {env.unwrapped}.")
        if of == "states":
            self.names = world.states
        else:
            self.names = observation_names(env)
        self.units = tuple(world.units.get(name) for name in self.names)
        self.actions_of, self.n_actions = world.actions, len(world.actions)
        dt = env.unwrapped.parameters.get("dt", 1.0)
        self.dt = dt * steps_per_action(env)
        self.clear()

    def clear(self) -> None:
        self.rows: list[np.ndarray] = []
        self.actions: list[np.ndarray] = []
        self.rewards: list[np.ndarray] = []
        self.begins: list[np.ndarray] = []
        self.aside: dict[tuple[int, int], np.ndarray] = {}

    def begin(self, rows: np.ndarray, which: np.ndarray) -> None:
        """Note rows with which some members begin; the others stay where they are."""
        idle = np.full((len(rows), self.n_actions), np.nan)
        self.add(rows, idle, np.full(len(rows), np.nan), which)

    def add(
        self, rows: np.ndarray, actions: np.ndarray, rewards: np.ndarray, begins: np.ndarray
    ) -> None:
        self.rows.append(rows)
        self.actions.append(actions)
        self.rewards.append(rewards)
        self.begins.append(begins)

    def episodes(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield rows, actions and rewards of every episode, member by member."""
        if not self.rows:
            return
        rows, begins = np.array(self.rows), np.array(self.begins)
        actions, rewards = np.array(self.actions), np.array(self.rewards)
        for m in range(rows.shape[1]):
            edges = [*np.flatnonzero(begins[:, m]), len(rows)]
            for first, last in pairwise(edges):
                run, to = rows[first:last, m], last
                if (last, m) in self.aside:
                    run, to = np.concatenate([run, self.aside[last, m][None]]), last + 1
                yield run, actions[first + 1 : to, m], rewards[first + 1 : to, m]

    def trajectories(self) -> list[Trajectory]:
        return [self._trajectory(rows, actions) for rows, actions, _ in self.episodes()]

    def _trajectory(self, rows: np.ndarray, actions: np.ndarray) -> Trajectory:
        controls = np.full((len(rows), self.n_actions), np.nan)
        controls[:-1] = actions
        return Trajectory(
            rows,
            self.dt * np.arange(len(rows)),
            controls,
            state_names=self.names,
            control_names=self.actions_of,
            state_units=self.units,
        )


class Recorder(gymnasium.Wrapper, RecordConstructorArgs):  # type: ignore[type-arg]
    """Keep what one environment goes through, whoever steps it.

    Parameters
    ----------
    env : gymnasium.Env
        Of this package, wrapped or not. Under the recorder, wrappers are part of what is
        recorded; the actions are those that acted, in [-1, 1].
    of : {"states", "observations"}
        The state of the world; or what is seen through the wrappers below.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], of: str = "states") -> None:
        RecordConstructorArgs.__init__(self, of=of)
        super().__init__(env)
        self._log = _Log(env, of)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode and a run."""
        seen, info = self.env.reset(seed=seed, options=options)
        self._log.begin(self._rows(seen), np.ones(1, dtype=bool))
        return seen, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take one step and keep it."""
        seen, reward, terminated, truncated, info = self.env.step(action)
        acted = self.unwrapped.action[None]  # type: ignore[attr-defined]
        self._log.add(self._rows(seen), acted, np.array([reward]), np.zeros(1, dtype=bool))
        return seen, reward, terminated, truncated, info

    def _rows(self, seen: np.ndarray) -> np.ndarray:
        one = self.unwrapped.state if self._log.of == "states" else seen  # type: ignore[attr-defined]
        return np.array(one, dtype=float)[None]

    def runs(self) -> list[Trajectory]:
        """Return one trajectory per episode; see `record_runs` for what is in them."""
        return self._log.trajectories()

    def rewards(self) -> list[np.ndarray]:
        """Return the rewards of each run, shape (n_samples - 1,)."""
        return [rewards for _, _, rewards in self._log.episodes()]

    def clear(self) -> None:
        """Forget everything; what comes before the next reset is not recorded."""
        self._log.clear()


class RecorderVector(VectorWrapper):  # type: ignore[type-arg]
    """`Recorder` of a batch; runs come member by member, in the order of time."""

    def __init__(self, env: VectorEnv[Any, Any, Any], of: str = "states") -> None:
        super().__init__(env)
        mode = env.metadata.get("autoreset_mode")
        if mode not in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
            raise ValueError(
                f"RecorderVector: env must have autoreset_mode NEXT_STEP or SAME_STEP; got {mode}."
            )
        self._same_step = mode is AutoresetMode.SAME_STEP
        self._log = _Log(env, of)
        self._next = np.zeros(env.num_envs, dtype=bool)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode and a run of every member."""
        if options is not None and "reset_mask" in options:
            raise ValueError("RecorderVector: members must start together; got a reset_mask.")
        seen, info = self.env.reset(seed=seed, options=options)
        self._next[:] = False
        self._log.begin(self._rows(seen), np.ones(self.num_envs, dtype=bool))
        return seen, info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Take one step with every member and keep it."""
        seen, rewards, terminated, truncated, info = self.env.step(actions)
        done = terminated | truncated
        begins, self._next = self._next, done
        if self._same_step:
            begins = done
            self._keep_aside(info)
        acted = self.unwrapped.actions  # type: ignore[attr-defined]
        self._log.add(self._rows(seen), acted, rewards, begins)
        return seen, rewards, terminated, truncated, info

    def _keep_aside(self, info: dict[str, Any]) -> None:
        if "final_obs" not in info:
            return
        finals = info["final_obs"]
        if self._log.of == "states":
            finals = self.unwrapped.last_states  # type: ignore[attr-defined]
        for m in np.flatnonzero(info["_final_obs"]):
            self._log.aside[len(self._log.rows), m] = finals[m]

    def _rows(self, seen: np.ndarray) -> np.ndarray:
        every = self.unwrapped.states if self._log.of == "states" else seen  # type: ignore[attr-defined]
        return np.array(every, dtype=float)

    runs, rewards, clear = Recorder.runs, Recorder.rewards, Recorder.clear


def record_runs(
    batch: WorldVectorEnv, policy: Policy, n_steps: int, *, seed: int
) -> list[Trajectory]:
    """Step a batch and return its states and actions, one trajectory per episode.

    Parameters
    ----------
    batch : WorldVectorEnv
    policy : callable
        ``(n_members, n_observations) -> (n_members, n_actions)``, in [-1, 1] and clipped to it.
    n_steps : int
        Of the batch; with ``autoreset_mode`` NEXT_STEP, the step in which a member starts
        again belongs to no run.
    seed : int

    Returns
    -------
    list of Trajectory
        Member by member, in the order of time. The control of a row is the action, in
        [-1, 1], held from its time to the next; that of the last row is NaN. Times count
        from the start of the episode, in units of `dt` where the world has one.
    """
    recorder = RecorderVector(batch)
    seen, _ = recorder.reset(seed=seed)
    for _ in range(n_steps):
        seen, *_ = recorder.step(policy(seen))
    return recorder.runs()


def write_runs(runs: Sequence[Trajectory], path: str | os.PathLike[str]) -> None:
    """Write runs to a Parquet file, one row per sample.

    Parameters
    ----------
    runs : sequence of Trajectory
        With the same names and units.
    path : path
        The columns are ``run``, counted from 0, ``t``, the states and the controls; a unit
        follows its name in brackets. ``read_runs(path, time="t", run="run", inputs=[...])``
        reads them back.

    Raises
    ------
    ValueError
        If there are none, or their names or units differ.
    """
    import pyarrow
    from pyarrow import parquet

    labels = {_labels(run) for run in runs}
    if len(labels) != 1:
        raise ValueError(
            "write_runs: runs must be one or more, with the same names and units; got "
            f"{len(runs)} with {len(labels)} sets of them."
        )
    numbers = np.repeat(np.arange(len(runs)), [len(run) for run in runs])
    columns = {"run": numbers, "t": np.concatenate([run.times for run in runs])}
    parts = [
        run.states if run.controls is None else np.hstack([run.states, run.controls])
        for run in runs
    ]
    columns |= dict(zip(labels.pop(), np.concatenate(parts).T, strict=True))
    parquet.write_table(pyarrow.table(columns), path)


def _labels(run: Trajectory) -> tuple[str, ...]:
    names = [*run.state_names, *run.control_names]
    units = [*run.state_units, *run.control_units]
    pairs = zip(names, units, strict=True)
    return tuple(name if unit is None else f"{name} [{unit}]" for name, unit in pairs)
