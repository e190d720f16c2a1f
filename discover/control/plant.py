"""Plant: the real environment, with every step counted and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np

from discover.control.modes import Modes
from discover.control.policy import ActionBox
from discover.control.transitions import Episode, Transitions
from discover.typing import FloatArray

__all__ = ["Plant"]


class Plant:
    """A real environment on a budget.

    Parameters
    ----------
    env : gymnasium.Env or str
        An id such as "Pendulum-v1" or "package:namespace/Name-v0" is made by gymnasium.
    observation_names : sequence of str, optional
        By default those of the environment's world, or of the wrapper that shows something
        else; o0, o1, ... where nobody knows better.
    seed : int

    Attributes
    ----------
    data : Transitions
        All steps taken.
    box : ActionBox
    horizon : int
        Steps of an episode.
    resets : int
        Episodes started so far.
    modes : Modes or None
        Through which observations are seen.
    """

    def __init__(
        self, env: Any, *, observation_names: Any = None, horizon: int | None = None, seed: int = 0
    ) -> None:
        self.env = _made(env) if isinstance(env, str) else env
        space = self.env.observation_space
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise ValueError(f"Plant: env must observe a vector (Box); got {space}.")
        world = getattr(self.env.unwrapped, "world", None)
        n = space.shape[0]
        own = _shown(self.env)
        plain = own if len(own) == n else tuple(f"o{i}" for i in range(n))
        names = tuple(observation_names or plain)
        if len(names) != n:
            raise ValueError(
                f"Plant: observation_names must have {n} names, one per observation; got {names}."
            )
        self.box = _action_box(self.env.action_space, getattr(world, "actions", None))
        limits = (np.asarray(space.low, np.float64), np.asarray(space.high, np.float64))
        self.data = Transitions(
            names, self.box.names, limits=limits, levels=self.box.levels.tolist()
        )
        limit = getattr(self.env.spec, "max_episode_steps", None)
        self.horizon = int(horizon or limit or 1000)
        self.seed, self.resets = seed, 0
        self.modes: Modes | None = None

    @property
    def steps(self) -> int:
        """Real steps taken so far."""
        return len(self.data)

    def show_modes(self, modes: Modes) -> None:
        """Show amplitudes of modes from now on, and of all steps that were taken."""
        taken, self.modes = self.data, modes
        self.data = Transitions(modes.names, self.box.names, levels=self.box.levels.tolist())
        for e in taken.episodes:
            self.data.add(replace(e, observations=modes.amplitudes(e.observations)))

    def _look(self, seen: Any) -> FloatArray:
        rows = np.asarray(seen, dtype=np.float64)
        return rows if self.modes is None else self.modes.amplitudes(rows)

    def start(self) -> FloatArray:
        """Start an episode; its seed depends on the seed and the number of the episode only."""
        sequence = np.random.SeedSequence([self.seed, self.resets])
        self.resets += 1
        seen, _ = self.env.reset(seed=int(sequence.generate_state(1)[0] // 2))
        return self._look(seen)

    def run(
        self,
        policy: Callable[[FloatArray], FloatArray],
        n_steps: int,
        *,
        purpose: str = "policy",
        bounds: Mapping[str, tuple[float, float]] | None = None,
        give_up: Callable[[int, float], bool] | None = None,
    ) -> Episode:
        """Run one episode and keep it.

        Parameters
        ----------
        policy : callable
            Observation to action, shape (n_actions,); it is saturated here.
        n_steps : int
            At most so many.
        purpose : str
        bounds : mapping, optional
            Box of observations; leaving it ends the run.
        give_up : callable, optional
            ``(steps, return) -> bool``; ends the run.
        """
        seen = [self.start()]
        actions, rewards, ended = [], [], False
        box = [(list(self.data.observation_names).index(k), *v) for k, v in (bounds or {}).items()]
        for k in range(min(n_steps, self.horizon)):
            u = self.box.saturate(policy(seen[-1]))
            after, reward, ended, truncated, _ = self.env.step(self.box.to_env(u))
            seen.append(self._look(after))
            actions.append(u)
            rewards.append(float(reward))
            outside = any(not lo <= seen[-1][j] <= hi for j, lo, hi in box)
            if ended or truncated or outside:
                break
            if give_up is not None and give_up(k + 1, float(np.sum(rewards))):
                break
        episode = Episode(
            np.array(seen), np.array(actions).reshape(len(actions), len(self.box.names)),
            np.array(rewards), bool(ended), purpose,
        )  # fmt: skip
        self.data.add(episode)
        return episode

    def starts(self, rng: np.random.Generator, n: int) -> FloatArray:
        """Draw starts by resetting the environment: no step is taken."""
        seeds = rng.integers(2**31, size=n)
        return self._look([self.env.reset(seed=int(s))[0] for s in seeds])


def _made(name: str) -> Any:
    try:
        return gymnasium.make(name)
    except (gymnasium.error.Error, ImportError) as error:
        raise ValueError(
            f"Plant: env must be an environment, or an id known to gymnasium; got {name!r}. {error}"
        ) from None


def _shown(env: Any) -> tuple[str, ...]:
    """Return the names that the outermost wrapper with names, or else the world, goes by."""
    while not hasattr(env, "lens") and env.unwrapped is not env:
        env = env.env
    lens = getattr(env, "lens", None)
    known = getattr(getattr(env, "world", None), "observations", ()) if lens is None else lens.names
    return tuple(known)


def _action_box(space: Any, names: Any) -> ActionBox:
    if isinstance(space, gymnasium.spaces.Discrete):
        high = np.array([float(space.n - 1)])
        return ActionBox(tuple(names or ("u",)), np.zeros(1), high, np.array([int(space.n)]))
    if isinstance(space, gymnasium.spaces.Box) and len(space.shape) == 1:
        n = space.shape[0]
        default = ("u",) if n == 1 else tuple(f"u{i}" for i in range(n))
        if np.isfinite(space.low).all() and np.isfinite(space.high).all():
            low, high = space.low.astype(float), space.high.astype(float)
            return ActionBox(tuple(names or default), low, high)
    raise ValueError(f"Plant: actions must be a bounded Box or Discrete; got {space}.")
