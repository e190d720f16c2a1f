"""SurrogateEnv and SurrogateVectorEnv: a learned world as a gymnasium environment."""

from __future__ import annotations

from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from discover.control.starts import StartSampler
from discover.control.surrogate import Surrogate
from discover.typing import FloatArray, IntArray

__all__ = ["SurrogateEnv", "SurrogateVectorEnv"]

Mode = Literal["member", "median", "mean"]
_ALL = {"median": -1, "mean": -2}  # of the members, as Surrogate.step names them


class _World:
    """States, ages and members of a batch of surrogate episodes."""

    def __init__(
        self, surrogate: Surrogate, starts: StartSampler, horizon: int, mode: Mode, count: int
    ) -> None:
        if mode not in ("member", *_ALL):
            raise ValueError(
                f"SurrogateVectorEnv: mode must be 'member', 'median' or 'mean'; got {mode!r}."
            )
        self.surrogate, self.starts, self.horizon, self.mode = surrogate, starts, horizon, mode
        coordinates = surrogate.dynamics.coordinates
        self.z = np.zeros((count, len(coordinates.state_names)))
        self.seen = np.zeros((count, len(coordinates.observation_names)))
        self.age = np.zeros(count, dtype=np.int64)
        self.member = np.full(count, _ALL.get(mode, 0), dtype=np.int64)
        box = surrogate.box
        names = coordinates.observation_names
        self.observed = spaces.Box(-np.inf, np.inf, (len(names),), dtype=np.float64)
        if box.levels[0] > 1:
            self.acted: Any = spaces.Discrete(int(box.levels[0]))
        else:
            low, high = box.low.astype(np.float32), box.high.astype(np.float32)
            self.acted = spaces.Box(low, high, dtype=np.float32)

    def begin(self, which: IntArray, rng: np.random.Generator) -> None:
        """Start episodes: new states, and one member for the whole episode."""
        self.seen[which] = self.starts(rng, len(which))
        self.z[which] = self.surrogate.dynamics.coordinates.states(self.seen[which])
        self.age[which] = 0
        if self.mode == "member":
            self.member[which] = rng.integers(self.surrogate.n_members, size=len(which))

    def move(self, actions: Any) -> tuple[FloatArray, Any, Any]:
        """Step all; return rewards, terminated and truncated."""
        u = np.asarray(actions, dtype=np.float64).reshape(len(self.z), -1)
        self.z, self.seen, rewards, ended = self.surrogate.step(self.z, u, self.member)
        self.age += 1
        return rewards, ended, (self.age >= self.horizon) & ~ended


class SurrogateEnv(gymnasium.Env[Any, Any]):
    """One episode at a time in a learned world.

    Parameters
    ----------
    surrogate : Surrogate
    starts : StartSampler
        ``(rng, n) -> observations``; real states for short horizons, for instance.
    horizon : int
        Steps after which an episode is truncated.
    mode : {"member", "median", "mean"}, default="member"
        Each episode follows one member of the ensemble, or all the median or mean of their
        coefficients.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - gymnasium's own form

    def __init__(
        self, surrogate: Surrogate, starts: StartSampler, horizon: int, mode: Mode = "member"
    ) -> None:
        self._world = _World(surrogate, starts, horizon, mode, 1)
        self.observation_space, self.action_space = self._world.observed, self._world.acted

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        self._world.begin(np.zeros(1, dtype=np.int64), self.np_random)
        return self._world.seen[0].copy(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take one step."""
        rewards, ended, cut = self._world.move(action)
        return self._world.seen[0].copy(), float(rewards[0]), bool(ended[0]), bool(cut[0]), {}


class SurrogateVectorEnv(VectorEnv[Any, Any, Any]):
    """Many episodes side by side in a learned world; see :class:`SurrogateEnv`.

    Parameters
    ----------
    surrogate, starts, horizon, mode
        As for :class:`SurrogateEnv`.
    num_envs : int, default=64
    autoreset_mode : AutoresetMode or str, default=NEXT_STEP
        A member whose episode is over starts again in the next step (NEXT_STEP), or in the
        same (SAME_STEP): the last observation is in ``info["final_obs"]`` then.
    """

    def __init__(
        self,
        surrogate: Surrogate,
        starts: StartSampler,
        horizon: int,
        mode: Mode = "member",
        num_envs: int = 64,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        reset_mode = AutoresetMode(autoreset_mode)
        if reset_mode is AutoresetMode.DISABLED:
            raise ValueError(
                "SurrogateVectorEnv: autoreset_mode must be 'NextStep' or 'SameStep'; got "
                f"{autoreset_mode!r}."
            )
        self._world = _World(surrogate, starts, horizon, mode, num_envs)
        self.num_envs = num_envs
        self.metadata = {"render_modes": [], "autoreset_mode": reset_mode}
        self.single_observation_space = self._world.observed
        self.single_action_space = self._world.acted
        self.observation_space = batch_space(self._world.observed, num_envs)
        self.action_space = batch_space(self._world.acted, num_envs)
        self._over = np.zeros(num_envs, dtype=bool)

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode of every member; several seeds are the seed of one generator."""
        if isinstance(seed, list | tuple):
            seed = int(np.random.SeedSequence(list(seed)).generate_state(1)[0])
        super().reset(seed=seed)
        self._world.begin(np.arange(self.num_envs), self.np_random)
        self._over[:] = False
        return self._world.seen.copy(), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Take one step with every member."""
        rewards, ended, cut = self._world.move(actions)
        if self.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP:
            return self._begun(rewards, ended, cut)
        fresh = np.flatnonzero(self._over)
        if fresh.size:
            self._world.begin(fresh, self.np_random)
            rewards[fresh], ended[fresh], cut[fresh] = 0.0, False, False
        self._over = ended | cut
        return self._world.seen.copy(), rewards, ended, cut, {}

    def _begun(
        self, rewards: FloatArray, ended: Any, cut: Any
    ) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Start new episodes in the step that ends the last."""
        done = ended | cut
        fresh = np.flatnonzero(done)
        if not fresh.size:
            return self._world.seen.copy(), rewards, ended, cut, {}
        final = np.full(self.num_envs, None, dtype=object)
        for m in fresh:
            final[m] = self._world.seen[m].copy()
        self._world.begin(fresh, self.np_random)
        info = {"final_obs": final, "_final_obs": done, "final_info": {}, "_final_info": done}
        return self._world.seen.copy(), rewards, ended, cut, info
