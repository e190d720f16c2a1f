"""WorldEnv and WorldVectorEnv: any world as a gymnasium environment, one or many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from discover_envs.canvas import Canvas
from discover_envs.closed_loop import Played, play
from discover_envs.screen import Screen
from discover_envs.world import World

if TYPE_CHECKING:
    from discover import SymbolicModel

__all__ = ["WorldEnv", "WorldVectorEnv", "rollout"]

_FIRST = np.zeros(1, dtype=np.int64)
_BLOCK = 128  # steps of noise drawn at once: a call of a generator costs more than a number


class _Members:
    """States of the members of a batch, and all that it takes to move them.

    One environment is a batch of one, which is why a batch equals its members bit for bit.
    """

    def __init__(
        self, owner: str, world: World, count: int, changed: Mapping[str, Any], discrete: Any
    ) -> None:
        self.world, self.count = world, count
        self.parameters = world.values(owner, changed)
        self.p = world.pack(self.parameters)
        self.states = np.zeros((count, len(world.states)))
        self.actions = np.zeros((count, len(world.actions)))
        self.seen = np.zeros((count, len(world.observations)))
        self.rewards, self.ended = np.zeros(count), np.zeros(count, dtype=bool)
        self.idle = np.zeros(count, dtype=bool)
        self.noise = np.zeros((count, _BLOCK if world.n_noise else 1, world.n_noise))
        self.position = np.zeros(count, dtype=np.int64)
        self._left = 0
        self.levels = None if discrete is None else _levels(owner, discrete)

    def observation_space(self) -> spaces.Box:
        low, high = self.world.bounds()
        return spaces.Box(low, high, dtype=np.float64)

    def action_space(self) -> spaces.Space[Any]:
        n_actions = len(self.world.actions)
        if self.levels is None:
            return spaces.Box(-1.0, 1.0, (n_actions,), dtype=np.float32)
        if n_actions == 1:
            return spaces.Discrete(len(self.levels))
        return spaces.MultiDiscrete([len(self.levels)] * n_actions)

    def start(self, which: np.ndarray, rngs: Sequence[np.random.Generator], given: Any) -> None:
        """Start the members `which`, whose generators are `rngs`."""
        draws = self.world.draws(rngs)
        if given is not None:
            self.states[which] = given[which]
        self.world.start(self.states, which, draws, given is not None, self.p, self.seen)

    def fill(self, which: Iterable[int], rngs: Sequence[np.random.Generator]) -> None:
        """Draw new blocks of noise; the stream goes on from one episode to the next."""
        for m, rng in zip(which, rngs, strict=True):
            rng.standard_normal(out=self.noise[m])
            self.position[m] = 0
        self._left = _BLOCK - int(self.position.max())

    def move(self, actions: Any, rngs: Sequence[np.random.Generator]) -> None:
        if self.levels is None:
            self.actions[...] = actions
        else:
            self.actions[...] = self.levels[np.asarray(actions)].reshape(self.actions.shape)
        self.world.step(
            self.states,
            self.actions,
            self.noise,
            self.position,
            self.p,
            self.idle,
            self.seen,
            self.rewards,
            self.ended,
        )
        if self.world.n_noise:
            self._left -= 1
            if self._left == 0:
                used = np.flatnonzero(self.position == _BLOCK)
                self.fill(used, [rngs[m] for m in used])

    def given_states(self, owner: str, options: Mapping[str, Any] | None) -> Any:
        given = None if options is None else options.get("state")
        if given is None:
            return None
        given = np.asarray(given, dtype=np.float64)
        if given.shape not in (self.states.shape, self.states.shape[1:]):
            raise ValueError(
                f"{owner}: options['state'] must have shape {self.states.shape[1:]} "
                f"({', '.join(self.world.states)}); got {given.shape}."
            )
        return np.broadcast_to(given, self.states.shape)

    def picture(self, m: int) -> np.ndarray:
        canvas = Canvas()
        if self.world.draw is not None:
            self.world.draw(canvas, self.states[m], self.parameters)
        return canvas.pixels()


def _levels(owner: str, discrete: Any) -> np.ndarray:
    if not (isinstance(discrete, (int, np.integer)) and discrete >= 2):
        raise ValueError(
            f"{owner}: discrete must be a number of levels, 2 or more; got {discrete!r}."
        )
    return np.linspace(-1.0, 1.0, int(discrete))


def _checked_mode(owner: str, mode: str | None, known: Sequence[str]) -> str | None:
    if mode is not None and mode not in known:
        names = " or ".join(repr(one) for one in (None, *known))
        raise ValueError(f"{owner}: render_mode must be {names}; got {mode!r}.")
    return mode


class _Truth:
    """What one environment and a batch know of their world."""

    world: ClassVar[World]
    _members: _Members

    @property
    def parameters(self) -> dict[str, float]:
        """Parameters of the world, by name."""
        return dict(self._members.parameters)

    def law(self) -> Any:
        """Return the true right-hand side as a SymbolicModel, or None where it has none."""
        return self.world.law(self.parameters)

    def play(
        self,
        policy: SymbolicModel,
        states: np.ndarray,
        n_steps: int,
        *,
        rng: np.random.Generator,
        weights: np.ndarray | None = None,
        keep: bool = False,
    ) -> Played:
        """Play a policy, or many that share its terms, from given states in one compiled loop.

        See :func:`discover_envs.closed_loop.play`. The episode of the environment itself goes
        on where it was.
        """
        if self._members.levels is not None:
            raise ValueError(f"{type(self).__name__}: play needs continuous actions.")
        return play(
            self.world, self.parameters, policy, states, n_steps,
            rng=rng, weights=weights, keep=keep,
        )  # fmt: skip


class WorldEnv(_Truth, gymnasium.Env[np.ndarray, Any]):
    """One environment; a subclass names its world and documents it.

    Parameters
    ----------
    render_mode : {"human", "rgb_array"}, optional
        In a window, after every step; or as an array, when asked.
    discrete : int, optional
        Offer this many equally spaced levels of each action instead of [-1, 1].
    **parameters : float or str
        Parameters of the world by name.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Give every environment the frame rate of its own time step."""
        super().__init_subclass__(**kwargs)
        cls.metadata = {"render_modes": ["human", "rgb_array"], "render_fps": _frames(cls.world)}

    def __init__(
        self, render_mode: str | None = None, discrete: int | None = None, **parameters: Any
    ) -> None:
        owner = type(self).__name__
        self.render_mode = _checked_mode(owner, render_mode, self.metadata["render_modes"])
        self._screen = Screen(owner, self.metadata["render_fps"])
        self._members = _Members(owner, self.world, 1, parameters, discrete)
        self.observation_space = self._members.observation_space()
        self.action_space = self._members.action_space()
        self._filled = False

    @property
    def state(self) -> np.ndarray:
        """A copy of the state of the world."""
        return self._members.states[0].copy()

    @property
    def action(self) -> np.ndarray:
        """The action of the last step as it acted, in [-1, 1]."""
        return np.clip(self._members.actions[0], -1.0, 1.0)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode; ``options={"state": ...}`` says where."""
        super().reset(seed=seed)
        given = self._members.given_states(type(self).__name__, options)
        if seed is not None or not self._filled:
            self._members.fill(_FIRST, (self.np_random,))
            self._filled = True
        self._members.start(_FIRST, (self.np_random,), given)
        self._show()
        return self._members.seen[0].copy(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Take one step; an action outside [-1, 1] acts like the nearest one inside."""
        members = self._members
        members.move(action, (self.np_random,))
        self._show()
        return members.seen[0].copy(), float(members.rewards[0]), bool(members.ended[0]), False, {}

    def render(self) -> np.ndarray | None:
        """Return a picture of the state, shape (height, width, 3), uint8; or show it."""
        if self.render_mode == "rgb_array":
            return self._members.picture(0)
        self._show()
        return None

    def _show(self) -> None:
        if self.render_mode == "human":
            self._screen.show(self._members.picture(0))

    def close(self) -> None:
        """Close the window, if there is one."""
        self._screen.close()


def member_seeds(seed: int | Sequence[int | None] | None, count: int) -> Sequence[int | None]:
    """Return the seed of each member of a batch."""
    if isinstance(seed, Sequence):
        return seed
    return [None if seed is None else seed + m for m in range(count)]


def _frames(world: World) -> int:
    return max(1, min(60, round(1.0 / world.parameters.get("dt", 0.1))))


class WorldVectorEnv(_Truth, VectorEnv[np.ndarray, Any, np.ndarray]):
    """A batch of environments that moves in one compiled loop.

    Parameters
    ----------
    num_envs : int, default=1
    max_episode_steps : int, optional
        Steps after which an episode is truncated.
    render_mode : {"rgb_array"}, optional
    discrete : int, optional
    autoreset_mode : AutoresetMode or str, default=NEXT_STEP
        NEXT_STEP starts a new episode in the step after the last one, which ignores its
        action; SAME_STEP in the same step, the last observation being in
        ``info["final_obs"]``; with DISABLED, members that have ended wait for
        ``reset(options={"reset_mask": ...})``.
    **parameters : float or str

    Notes
    -----
    Member ``i`` of a batch reset with ``seed`` is the single environment reset with
    ``seed + i``, bit for bit.
    """

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        discrete: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **parameters: Any,
    ) -> None:
        owner = type(self).__name__
        mode = AutoresetMode(autoreset_mode)
        self.render_mode = _checked_mode(owner, render_mode, ["rgb_array"])
        self.num_envs, self.max_episode_steps = num_envs, max_episode_steps
        self._mode = mode
        self.metadata = {
            "render_modes": ["rgb_array"],
            "render_fps": _frames(self.world),
            "autoreset_mode": mode,
        }
        self._members = _Members(owner, self.world, num_envs, parameters, discrete)
        self.single_observation_space = self._members.observation_space()
        self.single_action_space = self._members.action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._rngs: list[np.random.Generator] = []
        self._steps = np.zeros(num_envs, dtype=np.int64)
        self._last_states = np.full_like(self._members.states, np.nan)

    @property
    def states(self) -> np.ndarray:
        """A copy of the states, shape (num_envs, n_states)."""
        return self._members.states.copy()

    @property
    def actions(self) -> np.ndarray:
        """Actions of the last step as they acted, in [-1, 1], shape (num_envs, n_actions)."""
        return np.clip(self._members.actions, -1.0, 1.0)

    @property
    def last_states(self) -> np.ndarray:
        """A copy of the last states of the episodes that ended last, shape (num_envs, n_states).

        SAME_STEP keeps them here, since a new episode takes their place at once.
        """
        return self._last_states.copy()

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode of every member, or of those where ``options["reset_mask"]`` is True.

        ``options={"state": ...}`` says where. Without a seed the random numbers go on.
        """
        which = np.flatnonzero(self._mask(options))
        self._seed(seed, which)
        given = self._members.given_states(type(self).__name__, options)
        self._members.start(which, [self._rngs[m] for m in which], given)
        self._steps[which] = 0
        self._members.idle[which] = False
        return self._members.seen.copy(), {}

    def _mask(self, options: Mapping[str, Any] | None) -> np.ndarray:
        if options is None or "reset_mask" not in options:
            return np.ones(self.num_envs, dtype=bool)
        owner, mask = type(self).__name__, np.asarray(options["reset_mask"])
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ValueError(
                f"{owner}: options['reset_mask'] must be {self.num_envs} booleans, one of them "
                f"True; got {options['reset_mask']!r}."
            )
        if not self._rngs and not mask.all():
            raise gymnasium.error.ResetNeeded(f"{owner}: the first reset must be of every member.")
        return mask

    def _seed(self, seed: int | Sequence[int | None] | None, which: np.ndarray) -> None:
        seeds = member_seeds(seed, self.num_envs)
        if len(seeds) != self.num_envs:
            raise ValueError(
                f"{type(self).__name__}: seed must be one number or {self.num_envs} of them; got "
                f"{len(seeds)}."
            )
        new = [m for m in which if seeds[m] is not None or not self._rngs]
        if not new:
            return
        super().reset(seed=seeds[0])
        rngs = [gymnasium.utils.seeding.np_random(seeds[m])[0] for m in new]
        if self._rngs:
            for m, rng in zip(new, rngs, strict=True):
                self._rngs[m] = rng
        else:
            self._rngs = rngs
        self._members.fill(new, rngs)

    def step(
        self, actions: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take one step with every member."""
        return self.hold(actions, 1)

    def hold(
        self, actions: Any, n_steps: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take several steps with the same actions, or fewer where an episode ends before.

        Returns what `step` does; the rewards are summed.
        """
        members = self._members
        if not self._rngs:
            raise gymnasium.error.ResetNeeded(f"{type(self).__name__}: call reset before step.")
        waiting = np.flatnonzero(members.idle)
        if waiting.size and self._mode is AutoresetMode.DISABLED:
            raise gymnasium.error.ResetNeeded(
                f"{type(self).__name__}: members {waiting[:5].tolist()} have ended; call "
                "reset(options={'reset_mask': terminated | truncated}) before the next step."
            )
        rewards = np.zeros(self.num_envs)
        terminated, truncated = np.zeros((2, self.num_envs), dtype=bool)
        for _ in range(n_steps):
            members.move(actions, self._rngs)
            rewards += members.rewards
            terminated |= members.ended
            self._steps += ~members.idle
            if self.max_episode_steps is not None:
                truncated |= ~members.idle & (self._steps >= self.max_episode_steps)
            members.idle |= terminated | truncated
        info: dict[str, Any] = {}
        if self._mode is AutoresetMode.SAME_STEP:
            members.idle[:] = False
            self._restart_now(terminated | truncated, info)
        elif waiting.size:
            self._restart(waiting)
            members.idle[waiting] = False
        return members.seen.copy(), rewards, terminated, truncated, info

    def _restart_now(self, done: np.ndarray, info: dict[str, Any]) -> None:
        which = np.flatnonzero(done)
        if which.size == 0:
            return
        final = np.full(self.num_envs, None, dtype=object)
        for m in which:
            final[m] = self._members.seen[m].copy()
        self._last_states[which] = self._members.states[which]
        self._restart(which)
        info |= {"final_obs": final, "_final_obs": done.copy()}
        info |= {"final_info": {}, "_final_info": done.copy()}

    def _restart(self, which: np.ndarray) -> None:
        self._members.start(which, [self._rngs[m] for m in which], None)
        self._steps[which] = 0

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Return a picture of every member."""
        if self.render_mode is None:
            return None
        return tuple(self._members.picture(m) for m in range(self.num_envs))


def rollout(
    world: World,
    states: np.ndarray,
    actions: np.ndarray,
    *,
    rng: np.random.Generator,
    **parameters: Any,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Follow given actions from given states, in one compiled loop.

    Parameters
    ----------
    world : World
    states : ndarray of shape (n_members, n_states)
    actions : ndarray of shape (n_members, n_steps, n_actions)
        In [-1, 1]; clipped to it.
    rng : numpy.random.Generator
        For the noise of the transitions.
    **parameters : float or str

    Returns
    -------
    path : ndarray of shape (n_members, n_steps + 1, n_states)
        States; after the end of an episode the last one.
    rewards : ndarray of shape (n_members, n_steps)
    lengths : ndarray of int, shape (n_members,)
        Steps until the episode ended.
    """
    states = np.ascontiguousarray(states, dtype=np.float64)
    actions = np.ascontiguousarray(actions, dtype=np.float64)
    expected = (states.shape[0], actions.shape[1] if actions.ndim == 3 else -1, len(world.actions))
    if states.ndim != 2 or states.shape[1] != len(world.states) or actions.shape != expected:
        raise ValueError(
            f"rollout: states and actions must have shapes (n_members, {len(world.states)}) and "
            f"(n_members, n_steps, {len(world.actions)}); got {states.shape} and {actions.shape}."
        )
    p = world.pack(world.values("rollout", parameters))
    count, n_steps = actions.shape[:2]
    noise = rng.standard_normal((count, n_steps, world.n_noise))
    path = np.empty((count, n_steps + 1, states.shape[1]))
    rewards, lengths = np.empty((count, n_steps)), np.empty(count, dtype=np.int64)
    world.rollout(states, actions, noise, p, path, rewards, lengths)
    return path, rewards, lengths
