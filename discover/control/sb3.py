"""A batch of environments as stable-baselines3 wants it."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

AnyArray: TypeAlias = NDArray[Any]

__all__ = ["load_sb3", "to_sb3"]


def to_sb3(batch: VectorEnv[Any, Any, Any]) -> Any:
    """Return a batch as a `stable_baselines3.common.vec_env.VecEnv`.

    Parameters
    ----------
    batch : gymnasium.vector.VectorEnv
        Made with ``autoreset_mode="SameStep"``; wrapped or not.

    Returns
    -------
    VecEnv
        Steps, rewards in single precision, ``terminal_observation`` and
        ``TimeLimit.truncated`` are those of `DummyVecEnv` on single environments.

    Raises
    ------
    ValueError
        If the batch starts new episodes in another way.
    ImportError
        Without stable-baselines3.
    """
    mode = batch.metadata.get("autoreset_mode")
    if mode is not AutoresetMode.SAME_STEP:
        raise ValueError(
            f"to_sb3: batch must start new episodes in the step that ends the last; got {mode}; "
            "make it with autoreset_mode='SameStep'."
        )
    return _adaptor()(batch)


def load_sb3() -> Any:
    """Return the module stable_baselines3, imported on first use (it takes some seconds).

    Raises
    ------
    ImportError
        Without the extra that installs it.
    """
    try:
        import stable_baselines3
    except ImportError as error:
        raise ImportError(
            "stable-baselines3 and torch are needed here: pip install 'discover-dynamics[rl]'."
        ) from error
    return stable_baselines3


@cache
def _adaptor() -> Any:
    load_sb3()
    from stable_baselines3.common.vec_env import VecEnv

    class BatchVecEnv(VecEnv):
        """Every attribute, method and option of the batch is one for all of its members."""

        def __init__(self, batch: VectorEnv[Any, Any, Any]) -> None:
            self.batch = batch
            super().__init__(
                batch.num_envs, batch.single_observation_space, batch.single_action_space
            )
            self.metadata = batch.metadata

        def reset(self) -> Any:
            seeds: Any = None if self._seeds[0] is None else self._seeds
            options = self._options[0] or None
            if any((one or None) != options for one in self._options):
                raise ValueError("to_sb3: options must be the same for all members.")
            seen, _ = self.batch.reset(seed=seeds, options=options)
            self._reset_seeds()
            self._reset_options()
            return seen

        def step_async(self, actions: AnyArray) -> None:
            self._actions = actions

        def step_wait(self) -> tuple[AnyArray, AnyArray, AnyArray, list[dict[str, Any]]]:
            seen, rewards, terminated, truncated, info = self.batch.step(self._actions)
            done = terminated | truncated
            infos: list[dict[str, Any]] = [
                {"TimeLimit.truncated": late} for late in (truncated & ~terminated).tolist()
            ]
            for m in np.flatnonzero(done):
                infos[m]["terminal_observation"] = info["final_obs"][m]
            return seen, rewards.astype(np.float32), done, infos

        def close(self) -> None:
            self.batch.close()

        def get_images(self) -> list[AnyArray]:
            pictures: Any = self.batch.render()
            return list(pictures or ())

        def _count(self, indices: Any) -> int:
            return len(list(self._get_indices(indices)))

        def _find(self, name: str) -> Any:
            env = self.batch
            while not hasattr(env, name) and env.unwrapped is not env:
                env = env.env  # type: ignore[attr-defined]
            return getattr(env, name)

        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            return [self._find(attr_name)] * self._count(indices)

        def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
            if self._count(indices) != self.num_envs:
                raise ValueError("to_sb3: set_attr must set an attribute of all members at once.")
            setattr(self.batch, attr_name, value)

        def env_method(self, method_name: str, *args: Any, indices: Any = None, **kw: Any) -> Any:
            if self._count(indices) != self.num_envs:
                raise ValueError("to_sb3: env_method must be called for all members at once.")
            return [self._find(method_name)(*args, **kw)] * self.num_envs

        def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
            return [False] * self._count(indices)

    return BatchVecEnv
