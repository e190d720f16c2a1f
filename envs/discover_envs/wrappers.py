"""Wrappers: what a laboratory puts between an environment and who learns from it.

Each comes for one environment and, with `Vector` at the end of its name, for a batch. Member
``i`` of a wrapped batch reset with ``seed`` is the wrapped single environment reset with
``seed + i``, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from discover.libraries.parse import parse_expression
from discover.libraries.termtable import TermTableBuilder
from discover.observations.modes import proper_modes
from discover_envs.env import WorldVectorEnv, member_seeds

__all__ = [
    "ComputedObservation",
    "ComputedObservationVector",
    "HeldAction",
    "HeldActionVector",
    "ModalObservation",
    "ModalObservationVector",
    "NoisyObservation",
    "NoisyObservationVector",
    "PartialObservation",
    "PartialObservationVector",
    "observation_names",
    "proper_modes",
    "steps_per_action",
]


class _Lens:
    """What becomes of observations, row by row, and of the box they are in."""

    def __init__(self, box: spaces.Box, names: tuple[str, ...], n_draws: int = 0) -> None:
        self.box, self.names, self.n_draws = box, names, n_draws

    def see(self, rows: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Return what is seen of rows (n_rows, n_inner), given n_draws normal numbers for each."""
        raise NotImplementedError


class _Noise(_Lens):
    def __init__(self, owner: str, inner: spaces.Box, names: tuple[str, ...], sd: Any) -> None:
        try:
            self.sd = np.broadcast_to(np.asarray(sd, dtype=float), inner.shape).copy()
        except ValueError:
            self.sd = np.full(1, np.nan)
        if not (np.isfinite(self.sd).all() and (self.sd >= 0).all()):
            raise ValueError(
                f"{owner}: sd must be one standard deviation, or {inner.shape[0]} of them, finite "
                f"and not negative; got {sd!r}."
            )
        low = np.where(self.sd > 0, -np.inf, inner.low)
        high = np.where(self.sd > 0, np.inf, inner.high)
        super().__init__(spaces.Box(low, high, dtype=np.float64), names, inner.shape[0])

    def see(self, rows: np.ndarray, draws: np.ndarray) -> np.ndarray:
        return rows + self.sd * draws


class _Part(_Lens):
    def __init__(self, owner: str, inner: spaces.Box, names: tuple[str, ...], part: Any) -> None:
        known = {name: j for j, name in enumerate(names)}
        chosen = [known.get(one, one) for one in part]
        valid = [isinstance(j, (int, np.integer)) and 0 <= j < inner.shape[0] for j in chosen]
        if not chosen or not all(valid) or len(set(chosen)) < len(chosen):
            raise ValueError(
                f"{owner}: part must be different names among {', '.join(names)}, or positions "
                f"below {inner.shape[0]}; got {list(part)!r}."
            )
        self.columns = np.array(chosen)
        low, high = inner.low[self.columns], inner.high[self.columns]
        super().__init__(spaces.Box(low, high, dtype=np.float64), tuple(names[j] for j in chosen))

    def see(self, rows: np.ndarray, draws: np.ndarray) -> np.ndarray:
        return np.asarray(rows[:, self.columns], dtype=np.float64)


class _Computed(_Lens):
    def __init__(
        self,
        owner: str,
        inner: spaces.Box,
        known: tuple[str, ...],
        expressions: Mapping[str, str],
        names: Sequence[str] | None,
    ) -> None:
        seen = known if names is None else tuple(names)
        if len(seen) != inner.shape[0] or len(set(seen)) < len(seen):
            raise ValueError(
                f"{owner}: names must be {inner.shape[0]} different ones, one per observation; "
                f"got {list(seen)!r}."
            )
        if not expressions:
            raise ValueError(f"{owner}: expressions must have one at least; got none.")
        builder = TermTableBuilder(seen)
        slots = [parse_expression(text, builder) for text in expressions.values()]
        self.table = builder.table(slots)
        self.order = [self.table.outputs.tolist().index(slot) for slot in slots]
        bound = np.full(len(slots), np.inf)
        super().__init__(spaces.Box(-bound, bound, dtype=np.float64), tuple(expressions))

    def see(self, rows: np.ndarray, draws: np.ndarray) -> np.ndarray:
        inner = np.ascontiguousarray(rows, dtype=np.float64)
        return np.asarray(self.table.evaluate(inner)[:, self.order])


class _Modes(_Lens):
    def __init__(self, owner: str, inner: spaces.Box, modes: Any, mean: Any) -> None:
        self.modes = np.atleast_2d(np.asarray(modes, dtype=float))
        n_inner = inner.shape[0]
        self.mean = np.zeros(n_inner) if mean is None else np.asarray(mean, dtype=float)
        if self.modes.shape[1:] != (n_inner,) or self.mean.shape != (n_inner,):
            raise ValueError(
                f"{owner}: modes must have shape (n_modes, {n_inner}) and mean ({n_inner},); got "
                f"{self.modes.shape} and {self.mean.shape}."
            )
        bound = np.full(len(self.modes), np.inf)
        names = tuple(f"a{k}" for k in range(len(self.modes)))
        super().__init__(spaces.Box(-bound, bound, dtype=np.float64), names)

    def see(self, rows: np.ndarray, draws: np.ndarray) -> np.ndarray:
        # a product of matrices rounds differently for other numbers of rows; a sum does not
        return ((rows - self.mean)[:, None, :] * self.modes).sum(axis=-1)


def observation_names(env: gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> tuple[str, ...]:
    """Return the names of what an environment shows, through the wrappers of this module.

    Returns
    -------
    tuple of str
        ``o0, o1, ...`` where nobody knows better.
    """
    space = _inner_box(env)
    while True:
        if isinstance(env, (_Seen, _SeenVector)):
            names = env.lens.names
        else:
            names = getattr(getattr(env, "world", None), "observations", ())
        if names or env.unwrapped is env:
            break
        env = env.env  # type: ignore[union-attr]
    known = len(names) == space.shape[0]
    return tuple(names) if known else tuple(f"o{j}" for j in range(space.shape[0]))


def steps_per_action(env: Any) -> int:
    """Return for how many steps of the world an action is held by wrappers of this module."""
    count = 1
    while env.unwrapped is not env:
        if isinstance(env, (HeldAction, HeldActionVector)):
            count *= env.n_steps
        env = env.env
    return count


def _inner_box(env: Any) -> spaces.Box:
    space = getattr(env, "single_observation_space", None) or env.observation_space
    if not (isinstance(space, spaces.Box) and len(space.shape) == 1):
        raise ValueError(f"wrappers: observations must be a Box of one dimension; got {space}.")
    return space


def _generator(env: Any, seed: int | None) -> np.random.Generator:
    depth = 0  # two noisy wrappers, one in the other, must not draw the same
    while env.unwrapped is not env:
        depth += isinstance(env, (_Seen, _SeenVector))
        env = env.env
    return np.random.default_rng(None if seed is None else (seed, depth))


class _Seen(gymnasium.Wrapper, RecordConstructorArgs):  # type: ignore[type-arg]
    """One environment through a lens."""

    def __init__(self, env: gymnasium.Env[Any, Any], lens: _Lens, **arguments: Any) -> None:
        RecordConstructorArgs.__init__(self, **arguments)
        super().__init__(env)
        self.lens, self.observation_space = lens, lens.box
        self._rng: np.random.Generator | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode; the noise goes on unless `seed` is given."""
        seen, info = self.env.reset(seed=seed, options=options)
        if seed is not None or self._rng is None:
            self._rng = _generator(self, seed)
        return self._look(seen), info

    def step(self, action: Any) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        """Take one step."""
        seen, reward, terminated, truncated, info = self.env.step(action)
        return self._look(seen), reward, terminated, truncated, info

    def _look(self, seen: np.ndarray) -> np.ndarray:
        return self.lens.see(seen[None], _draws((self._rng,), self.lens.n_draws))[0]


class _SeenVector(VectorWrapper):  # type: ignore[type-arg]
    """A batch through a lens."""

    def __init__(self, env: VectorEnv[Any, Any, Any], lens: _Lens) -> None:
        super().__init__(env)
        self.lens, self.single_observation_space = lens, lens.box
        self.observation_space = batch_space(lens.box, env.num_envs)
        self._rngs: dict[int, np.random.Generator] = {}
        self._last = np.empty(self.observation_space.shape)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode of every member, or of those of ``options["reset_mask"]``.

        The noise goes on unless `seed` is given; members that go on look the same.
        """
        seen, info = self.env.reset(seed=seed, options=options)
        which = np.arange(self.num_envs)
        if options is not None and "reset_mask" in options:
            which = np.flatnonzero(options["reset_mask"])
        if seed is not None or not self._rngs:
            seeds = member_seeds(seed, self.num_envs)
            self._rngs |= {m: _generator(self, seeds[m]) for m in which}
        self._last[which] = self._look(seen[which], which)
        return self._last.copy(), info

    def step(
        self, actions: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take one step with every member."""
        seen, rewards, terminated, truncated, info = self.env.step(actions)
        if "final_obs" in info:
            info = info | {"final_obs": info["final_obs"].copy()}
            for m in np.flatnonzero(info["_final_obs"]):
                last = info["final_obs"][m][None]
                info["final_obs"][m] = self._look(last, [m])[0]
        self._last = self._look(seen, range(self.num_envs))
        return self._last.copy(), rewards, terminated, truncated, info

    def _look(self, rows: np.ndarray, which: Iterable[int]) -> np.ndarray:
        return self.lens.see(rows, _draws([self._rngs[m] for m in which], self.lens.n_draws))


def _draws(rngs: Sequence[Any], n_draws: int) -> np.ndarray:
    if n_draws == 0:
        return np.empty((len(rngs), 0))
    return np.array([rng.standard_normal(n_draws) for rng in rngs])


class NoisyObservation(_Seen):
    """Add independent normal noise to every observation.

    Parameters
    ----------
    env : gymnasium.Env
    sd : float or array_like of shape (n_observations,)
        Standard deviations, in the units of the observations; 0 leaves one as it is.

    Notes
    -----
    The noise has a generator of its own, seeded by ``reset(seed=...)``: the world does the
    same with and without it.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], sd: Any) -> None:
        box, names = _inner_box(env), observation_names(env)
        super().__init__(env, _Noise("NoisyObservation", box, names, sd), sd=sd)


class NoisyObservationVector(_SeenVector):
    """`NoisyObservation` of a batch."""

    def __init__(self, env: VectorEnv[Any, Any, Any], sd: Any) -> None:
        box, names = _inner_box(env), observation_names(env)
        super().__init__(env, _Noise("NoisyObservationVector", box, names, sd))


class PartialObservation(_Seen):
    """Show some of the observations only.

    Parameters
    ----------
    env : gymnasium.Env
    part : sequence of str or int
        Names or positions, in the order wanted.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], part: Sequence[str | int]) -> None:
        box, names = _inner_box(env), observation_names(env)
        super().__init__(env, _Part("PartialObservation", box, names, part), part=part)


class PartialObservationVector(_SeenVector):
    """`PartialObservation` of a batch."""

    def __init__(self, env: VectorEnv[Any, Any, Any], part: Sequence[str | int]) -> None:
        box, names = _inner_box(env), observation_names(env)
        super().__init__(env, _Part("PartialObservationVector", box, names, part))


class ComputedObservation(_Seen):
    """Show what expressions of the observations say: other coordinates, or fewer.

    Parameters
    ----------
    env : gymnasium.Env
    expressions : mapping of str to str
        Names of what is shown, and how it follows from the observations.
    names : sequence of str, optional
        Of the observations, where the environment has none.

    Raises
    ------
    ValueError
        If `names` do not match the observations, or an expression is none of them.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        expressions: Mapping[str, str],
        names: Sequence[str] | None = None,
    ) -> None:
        box, known = _inner_box(env), observation_names(env)
        lens = _Computed("ComputedObservation", box, known, expressions, names)
        super().__init__(env, lens, expressions=expressions, names=names)


class ComputedObservationVector(_SeenVector):
    """`ComputedObservation` of a batch."""

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        expressions: Mapping[str, str],
        names: Sequence[str] | None = None,
    ) -> None:
        box, known = _inner_box(env), observation_names(env)
        super().__init__(
            env, _Computed("ComputedObservationVector", box, known, expressions, names)
        )


class ModalObservation(_Seen):
    """Show amplitudes of modes instead of the field: ``a = modes @ (seen - mean)``.

    Parameters
    ----------
    env : gymnasium.Env
    modes : array_like of shape (n_modes, n_observations)
        Such as those of `proper_modes`.
    mean : array_like of shape (n_observations,), optional
        Zero by default.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], modes: Any, mean: Any = None) -> None:
        lens = _Modes("ModalObservation", _inner_box(env), modes, mean)
        super().__init__(env, lens, modes=modes, mean=mean)


class ModalObservationVector(_SeenVector):
    """`ModalObservation` of a batch."""

    def __init__(self, env: VectorEnv[Any, Any, Any], modes: Any, mean: Any = None) -> None:
        super().__init__(env, _Modes("ModalObservationVector", _inner_box(env), modes, mean))


class HeldAction(gymnasium.Wrapper, RecordConstructorArgs):  # type: ignore[type-arg]
    """Hold every action for several steps; the rewards are summed.

    Parameters
    ----------
    env : gymnasium.Env
        Its limit of steps, if any, goes on counting the steps of the world.
    n_steps : int
    """

    def __init__(self, env: gymnasium.Env[Any, Any], n_steps: int) -> None:
        RecordConstructorArgs.__init__(self, n_steps=n_steps)
        super().__init__(env)
        self.n_steps = _checked_count("HeldAction", n_steps)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take the steps, or fewer if the episode ends before."""
        total = 0.0
        for _ in range(self.n_steps):
            seen, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        return seen, total, terminated, truncated, info


class HeldActionVector(VectorWrapper):  # type: ignore[type-arg]
    """`HeldAction` of a batch; it goes directly around the batch, under other wrappers."""

    def __init__(self, env: WorldVectorEnv, n_steps: int) -> None:
        if not isinstance(env, WorldVectorEnv):
            raise ValueError(
                f"HeldActionVector: env must be a batch of this package without other wrappers, "
                f"which go around this one; got {type(env).__name__}."
            )
        super().__init__(env)
        self.n_steps = _checked_count("HeldActionVector", n_steps)

    def step(
        self, actions: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take the steps, or fewer with members whose episode ends before."""
        return self.env.hold(actions, self.n_steps)  # type: ignore[attr-defined, no-any-return]


def _checked_count(owner: str, n_steps: Any) -> int:
    if not (isinstance(n_steps, (int, np.integer)) and n_steps >= 1):
        raise ValueError(f"{owner}: n_steps must be a whole number, 1 or more; got {n_steps!r}.")
    return int(n_steps)
