"""PPOAgent, SACAgent: actor-critic methods of stable-baselines3 whose actor is a closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, ClassVar, Literal

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorWrapper
from gymnasium.vector.utils import batch_space

from discover.control.agents import Search, best_of
from discover.control.environments import SurrogateVectorEnv
from discover.control.policy import PolicyForm
from discover.control.sb3 import load_sb3, to_sb3
from discover.control.starts import StartSampler, spread_starts
from discover.control.surrogate import Surrogate
from discover.typing import FloatArray

__all__ = ["ActorCriticAgent", "PPOAgent", "SACAgent"]

_LARGEST_TERM = 20.0  # what the networks see of a term; beyond it the action saturates anyway
_JUDGED = 8  # starts that judge what was found


@dataclass(frozen=True, kw_only=True)
class ActorCriticAgent:
    """What PPO and SAC have in common: an actor that is linear in the terms of the policy.

    The networks see the terms of the form instead of observations. The actor has no hidden
    layer: what is trained is the closed form itself, and nothing has to be distilled. The
    critics are networks.

    Parameters
    ----------
    steps : int
        Surrogate steps of one search.
    learning_rate : float
    episode : int, default=1000
        Steps of a surrogate episode, at most; they begin where episodes do and, with `mode`
        "member", follow a member each.
    num_envs : int, default=16
        Surrogate episodes side by side.
    mode : {"member", "median"}, default="member"
    gamma : float, default=0.995
    hidden : tuple of int, default=(64, 64)
        Layers of the critics.
    options : mapping, optional
        More keywords of the class of stable-baselines3.
    """

    steps: int
    learning_rate: float
    episode: int = 1000
    num_envs: int = 16
    mode: Literal["member", "median"] = "member"
    gamma: float = 0.995
    hidden: tuple[int, ...] = (64, 64)
    options: Any = None
    #: Class of stable-baselines3, its name for critics, the layer that is the closed form, what
    #: to multiply that by for a policy that is clipped, and other keywords.
    _method: ClassVar[str]
    _critic: ClassVar[str]
    _layer: ClassVar[str]
    _gains: ClassVar[tuple[float, ...]] = (1.0,)
    _settings: ClassVar[Mapping[str, Any]]

    def search(
        self,
        surrogate: Surrogate,
        form: PolicyForm,
        starts: StartSampler,
        horizon: int,
        *,
        rng: np.random.Generator,
        warm: FloatArray | None = None,
        target: float | None = None,
    ) -> Search:
        """Find a policy; see :class:`discover.control.Agent`.

        Raises
        ------
        ImportError
            Without the extra ``rl``.
        """
        load_sb3()
        batch = SurrogateVectorEnv(
            surrogate, starts, min(self.episode, horizon), self.mode, self.num_envs, "SameStep"
        )
        model = self._model(to_sb3(_TermsOfPolicy(batch, form)), int(rng.integers(2**31)))
        layer = attrgetter(self._layer)(model)
        if warm is not None:
            _write(layer, form, warm)
        model.learn(self.steps)
        points = np.array([gain * _read(layer, form) for gain in self._gains])
        begins = spread_starts(starts, rng, _JUDGED)
        return best_of(surrogate, form, points, begins, horizon, int(model.num_timesteps), rng)

    def _model(self, world: Any, seed: int) -> Any:
        networks = {"net_arch": {"pi": [], self._critic: list(self.hidden)}}
        return getattr(load_sb3(), self._method)(
            "MlpPolicy", world, learning_rate=self.learning_rate, gamma=self.gamma, seed=seed,
            device="cpu", policy_kwargs=networks, **{**self._settings, **(self.options or {})},
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PPOAgent(ActorCriticAgent):
    """Proximal policy optimisation, trained in the surrogate.

    Its actions are clipped like those of the form, so that its mean is the policy. Noise is
    a function of what is seen, drawn every 8 steps: white noise hardly moves anything.

    Notes
    -----
    Schulman, Wolski, Dhariwal, Radford and Klimov, arXiv:1707.06347; Raffin, Kober and
    Stulp, arXiv:2005.05719, for the noise.
    """

    steps: int = 400_000
    learning_rate: float = 1e-3

    _method: ClassVar[str] = "PPO"
    _critic: ClassVar[str] = "vf"
    _layer: ClassVar[str] = "policy.action_net"
    _settings: ClassVar[Mapping[str, Any]] = {
        "n_steps": 256, "batch_size": 512, "n_epochs": 10, "gae_lambda": 0.95, "use_sde": True,
        "sde_sample_freq": 8,
    }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SACAgent(ActorCriticAgent):
    """Soft actor-critic, trained in the surrogate.

    Its actions go through a hyperbolic tangent, those of the form are clipped: of a few
    gains, the one that earns most in the surrogate is taken.

    Notes
    -----
    Haarnoja, Zhou, Abbeel and Levine, arXiv:1801.01290.
    """

    steps: int = 30_000
    learning_rate: float = 1e-3

    _method: ClassVar[str] = "SAC"
    _critic: ClassVar[str] = "qf"
    _layer: ClassVar[str] = "actor.mu"
    _gains: ClassVar[tuple[float, ...]] = (0.5, 0.7, 0.85, 1.0, 1.5, 3.0)
    _settings: ClassVar[Mapping[str, Any]] = {
        "learning_starts": 1000, "batch_size": 256, "train_freq": 1, "gradient_steps": 2,
    }  # fmt: skip


class _TermsOfPolicy(VectorWrapper):
    """A batch that shows the terms of a form, and takes actions in [-1, 1]."""

    def __init__(self, env: SurrogateVectorEnv, form: PolicyForm) -> None:
        super().__init__(env)
        self.form = form
        shape = (form.table.n_terms,)
        one = spaces.Box(-_LARGEST_TERM, _LARGEST_TERM, shape, dtype=np.float32)
        self.single_observation_space = one
        self.single_action_space = spaces.Box(-1, 1, (len(form.box.names),), dtype=np.float32)
        self.observation_space = batch_space(one, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        seen, info = self.env.reset(seed=seed, options=options)
        return self._terms(seen), info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        seen, rewards, ended, cut, info = self.env.step(self.form.box.from_unit(actions))
        for m in np.flatnonzero(info.get("_final_obs", ())):
            info["final_obs"][m] = self._terms(info["final_obs"][m][None])[0]
        return self._terms(seen), rewards, ended, cut, info

    def _terms(self, seen: FloatArray) -> Any:
        terms = self.form.table.evaluate(seen) / self.form.scale
        return np.clip(terms, -_LARGEST_TERM, _LARGEST_TERM).astype(np.float32)


def _constant(form: PolicyForm) -> int | None:
    """Return which term is the constant one, if any."""
    return form.table.names.index("1") if "1" in form.table.names else None


def _read(layer: Any, form: PolicyForm) -> FloatArray:
    """Return the weights of the form that a linear layer holds; its bias is the constant's."""
    weights = np.array(layer.weight.detach().numpy(), dtype=np.float64)
    constant = _constant(form)
    if constant is not None:
        weights[:, constant] += layer.bias.detach().numpy()
    return form.gather(weights.ravel())


def _write(layer: Any, form: PolicyForm, weights: FloatArray) -> None:
    import torch

    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(form.spread(weights).reshape(layer.weight.shape)))
        layer.bias.zero_()
