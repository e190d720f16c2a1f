"""SINDyRL: learn a world and a policy as closed forms, from few real steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from discover.control.actor_critic import PPOAgent, SACAgent
from discover.control.agents import Agent, CMAAgent, Search
from discover.control.checkpoint import (
    Checkpoint,
    read_checkpoint,
    rounds_as_data,
)
from discover.control.dynamics import DynamicsLearner
from discover.control.expectation import Expectation
from discover.control.found import FoundPolicy
from discover.control.gradient import GradientAgent
from discover.control.modes import Modes
from discover.control.mppi import MPPIAgent
from discover.control.options import check_options, check_records
from discover.control.outcome import given_outcome, paid
from discover.control.plant import Plant
from discover.control.policy import ActionBox, PolicyForm, actor
from discover.control.recorded import RecordedPlant, adopt
from discover.control.reward import RewardLearner
from discover.control.rounds import Round, is_kept, tracked
from discover.control.run_folder import read_options, recorded_plant, write_run
from discover.control.scoring import score_policy
from discover.control.starts import like_those_seen, spread_starts
from discover.control.surrogate import Surrogate
from discover.control.symmetry import Symmetry
from discover.control.termination import learn_termination
from discover.control.tracking import Tracker
from discover.control.transitions import Transitions
from discover.libraries import FeatureLibrary, PolynomialLibrary
from discover.symbolic import SymbolicModel
from discover.typing import FloatArray

__all__ = ["Round", "SINDyRL", "score_policy"]

_AGENTS = {
    "cma": CMAAgent, "gradient": GradientAgent, "mppi": MPPIAgent, "ppo": PPOAgent,
    "sac": SACAgent,
}  # fmt: skip
_JUDGED_STARTS = 128
_MOST_POLISHES = 3


class SINDyRL(FoundPolicy):
    """Dyna with sparse laws: explore, fit, search a policy in the fit, try it, repeat.

    Parameters
    ----------
    env : gymnasium.Env or str, optional
        The real world; an id is made by gymnasium ("package:id" imports the package first).
        Without one, :meth:`fit` learns from records.
    agent : {"cma", "gradient", "mppi", "ppo", "sac"} or Agent, default="cma"
        What searches the policy; ppo and sac need the extra ``rl``.
    reward : str, SymbolicModel or None
        Expression over next observations, actions, and, as ``x_before``, the observations
        before the step; None to learn it.
    terminal : str, optional
        Expression that is above 0 where the world ends; by default it is learned from the
        steps that ended the world, once there are any.
    dynamics : DynamicsLearner, optional
    reward_learner : RewardLearner, optional
    policy_library : FeatureLibrary, optional
        By default monomials up to degree 3 of the observations; with `modes`, 1.
    bounds : mapping of str to (low, high), optional
        Box of observations: what leaves it is masked, and ends real and surrogate episodes.
    starts : {"reset", "observed"}, default="reset"
        Surrogate episodes begin where the environment resets to (which takes no step), or
        like the starts that were seen.
    target : float, optional
        Return at which learning stops; by default the threshold of the environment, if any.
    explore : int, default=500
        First steps, of uniform actions held for `hold` steps.
    hold : (int, int), default=(5, 20)
    horizon : int, optional
        Steps of an episode; by default those of the environment.
    patience : float, default=0.1
        Time lag, in episodes, that a real run may have behind the worst member.
    observation_names : sequence of str, optional
    penalty : float, default=0.0
        On disagreement; see :class:`Surrogate`.
    plausible : float, optional
        Disagreement of the members up to which a step of a surrogate is taken for possible,
        in units of the increments. What goes beyond ends there, and every step left pays as
        little as the worst that was recorded. By default all steps are taken for possible.
    modes : int, optional
        Learn in so many amplitudes a0, a1, ... of the modes that hold most of the variance
        of the first steps: for fields, and other observations that are many. Reward and end
        are learned then. ``policy_`` acts on the observations themselves.
    symmetry : Symmetry, optional
        Of the environment: dynamics and reward learn from all rearranged steps too, and
        policies that act alike on what is alike are searched.

    Attributes
    ----------
    dynamics_, reward_, policy_ : SymbolicModel
        The dynamics are increments of a step, or rates of change if these were asked for.
        With "mppi" the policy is a :class:`Planner`.
    plant_ : Plant
        With all real steps in ``plant_.data``.
    rounds_ : list of Round
    real_return_ : float
        Of the policy, in the real episode that chose it; or what is promised, if that one
        was cut short more than half way and had kept its promise so far.

    Notes
    -----
    Zolman, Lagemann, Fasel, Kutz and Brunton, arXiv:2403.09110, with another search, other
    coordinates and fewer steps. Every real step counts, those that judge a policy too. For
    one seed the result is the same bit for bit.
    """

    policy_: Any
    _policy: Any  # over what the plant shows
    _target: float | None
    _kept: FloatArray | None

    def __init__(
        self,
        env: Any = None,
        agent: str | Agent = "cma",
        *,
        reward: str | SymbolicModel | None = None,
        terminal: str | None = None,
        dynamics: DynamicsLearner | None = None,
        reward_learner: RewardLearner | None = None,
        policy_library: FeatureLibrary | None = None,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        starts: str = "reset",
        target: float | None = None,
        explore: int = 500,
        hold: tuple[int, int] = (5, 20),
        horizon: int | None = None,
        patience: float = 0.1,
        observation_names: Sequence[str] | None = None,
        penalty: float = 0.0,
        plausible: float | None = None,
        modes: int | None = None,
        symmetry: Symmetry | None = None,
    ) -> None:
        self.env, self.agent = env, agent
        self.reward, self.terminal = reward, terminal
        self.dynamics, self.reward_learner = dynamics, reward_learner
        self.policy_library, self.bounds = policy_library, bounds
        self.starts, self.target = starts, target
        self.explore, self.hold, self.horizon = explore, hold, horizon
        self.patience, self.observation_names, self.penalty = patience, observation_names, penalty
        self.plausible, self.modes, self.symmetry = plausible, modes, symmetry

    def learn(
        self,
        real_steps: int = 2_500,
        seed: int = 0,
        out: str | Path | None = None,
        resume: bool = False,
        track: Tracker | None = None,
    ) -> Self:
        """Learn until the budget is spent or a whole episode reaches the target, as promised.

        Parameters
        ----------
        real_steps : int
            Budget: exploration, trials and evaluations together.
        seed : int
        out : path, optional
            Folder for config, metrics, models and a checkpoint, written after every round.
        resume : bool, default=False
            Go on from the checkpoint in `out`; the result is that of a run without a break.
        track : Tracker, optional
            Takes the numbers of every round as it ends.

        Returns
        -------
        self
        """
        if not real_steps >= 1:
            raise ValueError(f"SINDyRL: real_steps must be 1 or more; got {real_steps}.")
        self._begin(seed)
        plant = self.plant_
        if resume:
            self._restore(read_checkpoint(Path("." if out is None else out)))
        else:
            self._explore(min(self.explore, real_steps))
        while True:
            try:
                search, surrogate = self._search()
                if plant.steps >= real_steps:
                    self._keep(search, -np.inf)
                    break
                done = self._try(search, surrogate, real_steps)
            except KeyboardInterrupt:  # the best so far is what was asked for
                if not hasattr(self, "policy_"):
                    raise
                return self  # its files are those of the last whole round
            if track is not None:
                track.log(plant.steps, tracked(self.rounds_[-1]))
            if out is not None:
                self.save(Path(out))
            if done or plant.steps >= real_steps:
                break
        if self._is_trusted() and isinstance(self.policy_, SymbolicModel):
            self._polish()
        if out is not None:
            self.save(Path(out))
        return self

    def fit(
        self,
        data: Transitions,
        seed: int = 0,
        out: str | Path | None = None,
        *,
        box: ActionBox | None = None,
    ) -> Self:
        """Learn from recorded steps alone; no real step is taken.

        Parameters
        ----------
        data : Transitions
            As :func:`transitions_of` and :func:`read_transitions` return them.
        seed : int
        out : path, optional
            Folder for config, models and data.
        box : ActionBox, optional
            Limits of the actions, where there is no `env`; by default of those recorded.

        Returns
        -------
        self
            ``real_return_`` is NaN: nothing was tried. With an `env`, episodes begin where it
            resets to.
        """
        if self.modes is not None:
            raise ValueError("SINDyRL: modes must be None to learn from records; project them.")
        check_records(data)
        if box is not None and self.env is not None:
            raise ValueError("SINDyRL: box must be None where there is an env, which has its own.")
        if self.reward is None and not np.isfinite(data.rewards).all():
            raise ValueError("SINDyRL: reward must be given, as the data have none.")
        if self.env is None:
            self._begin(seed, RecordedPlant(data, box, self.horizon, seed))
        else:
            self._begin(seed, adopt(self._plant(seed, data.observation_names), data))
        self._n_form = len(data.episodes)
        search, _ = self._search()
        self._keep(search, -np.inf)
        self.real_return_ = np.nan
        if isinstance(self.policy_, SymbolicModel):
            self._polish()
        if out is not None:
            self.save(Path(out))
        return self

    # -- the steps of the loop --------------------------------------------------------

    def _plant(self, seed: int, names: Sequence[str] | None) -> Plant:
        if self.env is None:
            raise ValueError("SINDyRL: env must be given to take real steps; records need fit().")
        return Plant(self.env, observation_names=names, horizon=self.horizon, seed=seed)

    def _begin(self, seed: int, plant: Plant | RecordedPlant | None = None) -> None:
        if plant is None:
            plant = self._plant(seed, self.observation_names)
        names, actions = plant.data.observation_names, plant.box.names
        check_options(self, names, actions)
        self._rng = np.random.default_rng(seed)
        self.plant_: Any = plant
        self._is_recorded = plant.steps > 0  # and no more steps are taken
        threshold = getattr(getattr(plant.env, "spec", None), "reward_threshold", None)
        self._target = self.target if self.target is not None else threshold
        if isinstance(self.agent, str):
            if self.agent not in _AGENTS:
                raise ValueError(
                    f"SINDyRL: agent must be one of {sorted(_AGENTS)} or an Agent; "
                    f"got {self.agent!r}."
                )
            self._agent: Agent = _AGENTS[self.agent]()
        else:
            self._agent = self.agent
        self.rounds_: list[Round] = []
        self.real_return_ = -np.inf
        self._form: PolicyForm | None = None
        self._n_form = 0
        self._warm: FloatArray | None = None
        self._kept: FloatArray | None = None
        self.__dict__.pop("policy_", None)

    def _explore(self, n_steps: int) -> None:
        """Hold uniform actions for random times: white noise hardly moves anything."""
        plant, rng = self.plant_, self._rng
        while plant.steps < n_steps:
            left, action = [0], [np.zeros(len(plant.box.names))]

            def held(seen: FloatArray, left: Any = left, action: Any = action) -> FloatArray:
                if left[0] == 0:
                    left[0] = int(rng.integers(self.hold[0], self.hold[1] + 1))
                    action[0] = rng.uniform(plant.box.low, plant.box.high)
                left[0] -= 1
                return np.asarray(action[0])

            most = min(n_steps - plant.steps, max(1, plant.horizon // 2))
            plant.run(held, most, purpose="explore", bounds=self.bounds)
        if self.modes is not None:
            names = tuple(plant.data.observation_names)
            plant.show_modes(Modes.of(self._steps().states, names, self.modes))
        self._n_form = len(plant.data.episodes)

    def _restore(self, state: Checkpoint) -> None:
        """Take up a loop where it stopped: its data, its weights and its random numbers."""
        if state.modes is not None:
            self.plant_.show_modes(state.modes)
        for episode in state.episodes:
            self.plant_.data.add(episode)
        self.plant_.resets, self.plant_.seed = state.n_resets, state.seed
        self._n_form, self._warm, self._kept = state.n_form, state.warm, state.kept
        self._rng.bit_generator.state = state.rng
        self.rounds_ = [Round(**one) for one in state.rounds]
        if self._kept is not None and self._kept.size:  # a planner is not a list of numbers
            self._fit()
            assert self._form is not None
            self._choose(self._form.model(self._kept))
            self.real_return_ = state.best

    def _is_trusted(self) -> bool:
        """Return whether the last real episode went as the surrogate had promised."""
        return not self.rounds_ or self.rounds_[-1].trusted

    def _polish(self) -> None:
        """Refit to all steps, search on from the best policy, and keep the safest.

        Policies are compared over all members and many starts, by half the mean of all
        returns and half that of their worst tenth: one that a real episode liked may still
        fail from the next start. One search without a warm start is among them.
        """
        form, candidates = self._form, [(self._policy, self._kept)]
        assert form is not None
        for attempt in range(_MOST_POLISHES):
            self._warm = None if attempt == 1 else self._warm
            search, surrogate = self._search()
            candidates.append((search.policy, search.weights))
            starts = spread_starts(self._sample_starts, self._rng, _JUDGED_STARTS)
            every = form.coefficients(np.array([weights for _, weights in candidates]))
            run = surrogate.rollouts(form.table, every, starts, self.plant_.horizon, rng=self._rng)
            returns = np.sort(run.returns.reshape(len(candidates), -1), axis=1)
            worst = returns[:, : max(1, returns.shape[1] // 10)].mean(axis=1)
            best = int(np.argmax(returns.mean(axis=1) + worst))
            policy, self._warm = candidates[best]
            self._choose(policy)
            if self._target is not None and worst[best] >= self._target:
                break

    def _search(self) -> tuple[Search, Surrogate]:
        """Fit, and search a policy in the fit."""
        surrogate = self._fit()
        assert self._form is not None
        search = self._agent.search(
            surrogate, self._form, self._sample_starts, self.plant_.horizon, rng=self._rng,
            warm=self._warm, target=self._wanted(),
        )  # fmt: skip
        self._warm = search.weights
        return search, surrogate

    def _wanted(self) -> float | None:
        """Return the score below which a search starts afresh.

        Fresh starts cannot mend a first fit; once a whole episode has been too little, the
        whole target is asked for. Without a target only the first fit is told to be good enough.
        """
        if self._is_recorded:
            return self._target
        if not self.rounds_:
            return -np.inf
        if self._target is None:
            return None
        whole = any(one.complete for one in self.rounds_)
        return self._target if whole else _nearly(self._target)

    def _fit(self) -> Surrogate:
        """Learn dynamics and reward from all real steps."""
        plant = self.plant_
        learner = self.dynamics
        if learner is None:
            learner = DynamicsLearner(bounds=self.bounds)
        data = self._steps()
        learned = learner.fit(data)
        names = plant.data.observation_names
        if isinstance(self.reward, str):
            end = learn_termination(plant.data) if self.terminal is None else self.terminal
            outcome = given_outcome(self.reward, names, plant.box.names, end)
        elif self.reward is None:
            outcome = (self.reward_learner or RewardLearner()).fit(data, self.terminal)
        else:
            outcome = self.reward
        surrogate = Surrogate(
            learned, outcome, plant.box, self.bounds, penalty=self.penalty,
            reward_range=self._believable(), **self._filter(outcome),
        )  # fmt: skip
        if self._form is None:
            seen = np.concatenate(
                [e.observations[:-1] for e in plant.data.episodes[: self._n_form]]
            )
            circles = [(c, s) for _, c, s in learned.coordinates.circles]
            circles += list(learned.coordinates.projected)
            self._form = PolicyForm.over(self._terms(), names, seen, plant.box, circles)
            if self.symmetry is not None:
                self._form = self.symmetry.share(self._form, plant.modes)
        self.dynamics_, self.reward_ = learned.law, outcome
        self.surrogate_ = surrogate
        return surrogate

    def _steps(self) -> Transitions:
        """Return the real steps, and what a symmetry makes of them."""
        data: Transitions = self.plant_.data
        return data if self.symmetry is None else self.symmetry.spread(data, self.plant_.modes)

    def _terms(self) -> FeatureLibrary | None:
        """Return the terms of the policy; linear ones of modes, of which there are many."""
        if self.policy_library is None and self.modes is not None:
            return PolynomialLibrary(1)
        return self.policy_library

    def _filter(self, outcome: SymbolicModel) -> dict[str, float]:
        """Return what a surrogate does with steps that are not plausible."""
        if self.plausible is None:
            return {}
        least = float(paid(outcome, self.plant_.data).min())
        return {"limit": self.plausible, "lost": least}

    def _believable(self) -> tuple[float, float]:
        """Return the range of a learned reward: what was seen, and half as much on both sides."""
        if self.reward is not None:
            return (-np.inf, np.inf)
        low, high = float(self.plant_.data.rewards.min()), float(self.plant_.data.rewards.max())
        return (low - 0.5 * (high - low), high + 0.5 * (high - low))

    def _sample_starts(self, rng: np.random.Generator, n: int) -> FloatArray:
        if self.starts == "reset":
            return np.asarray(self.plant_.starts(rng, n))
        return like_those_seen(self.plant_.data.starts, rng, n)

    def _probe(self) -> int:
        """Return the steps of a trial that is not promising: more, where the last told nothing."""
        first = max(1, int(0.3 * self.plant_.horizon))
        if not self.rounds_:
            return first
        last = self.rounds_[-1]
        if not is_kept(last.promised, last.real_return):
            return first
        return max(first, 2 * len(self.plant_.data.episodes[-1]))

    def _try(self, search: Search, surrogate: Surrogate, budget: int) -> bool:
        """Try a policy in the real world; return whether it reached the target as promised."""
        plant, form = self.plant_, self._form
        assert form is not None
        promised, acting = list[Expectation](), actor(search.policy, plant.box)

        def policy(seen: FloatArray) -> FloatArray:
            if not promised:
                lag = max(1, int(self.patience * plant.horizon))
                rewards = search.promised(surrogate, form, seen, plant.horizon, self._rng)
                promised.append(Expectation(rewards, lag))
            return acting(seen)

        good = self._target is None or search.score >= _nearly(self._target)
        most = plant.horizon if good else self._probe()
        most = min(most, budget - plant.steps)
        episode = plant.run(
            policy, most, bounds=self.bounds,
            give_up=lambda steps, total: promised[0].is_missed(steps, total),
        )  # fmt: skip
        total = float(episode.rewards.sum())
        promise = float(promised[0].mean[len(episode) - 1])
        complete = len(episode) >= plant.horizon or episode.terminated
        telling = complete or (len(episode) >= most and 2 * most >= plant.horizon)
        trusted = telling and is_kept(promise, total)
        self.rounds_.append(
            Round(
                plant.steps, search.score, promise, total, complete, search.surrogate_steps,
                surrogate.dynamics.model.complexity, trusted,
            )
        )  # fmt: skip
        if complete or not trusted:
            self._keep(search, total if complete else total - 1e6)
        else:  # it did as promised until the steps were spent
            self._keep(search, search.score)
        # an episode that nobody had promised may have been luck
        return trusted and complete and self._target is not None and total >= self._target

    def _keep(self, search: Search, value: float) -> None:
        """Keep the policy with the best counted real return."""
        if value > self.real_return_ or not hasattr(self, "policy_"):
            self._choose(search.policy)
            self.real_return_ = value
            self._kept = search.weights

    def _choose(self, policy: Any) -> None:
        modes: Modes | None = self.plant_.modes
        self._policy, self.policy_ = policy, policy if modes is None else modes.lift(policy)

    # -- what is left behind ----------------------------------------------------------

    @classmethod
    def load(cls, folder: str | Path, **options: Any) -> Self:
        """Take up a run from its folder, as it was when it was written.

        Parameters
        ----------
        folder : path
            As `learn` and `fit` fill `out`.
        **options
            Take the place of those of the run; those that were objects, such as an
            environment, a library or an agent, have to be given.

        Returns
        -------
        SINDyRL
            Its surrogate is fitted again to the steps of the run.

        Raises
        ------
        DataError
            If there is no run in the folder, or an object is missing.
        """
        folder = Path(folder)
        known, facts = read_options(folder, options)
        agent, state = cls(**known), read_checkpoint(folder)
        recorded = None if agent.env is not None else recorded_plant(facts, state.seed)
        agent._begin(state.seed, recorded)
        agent._restore(state)
        if (folder / "policy.json").exists():
            agent.policy_ = SymbolicModel.load(folder / "policy.json")
            if agent.plant_.modes is None:
                agent._policy = agent.policy_
        if not hasattr(agent, "surrogate_"):  # of a planner nothing was kept
            agent._choose(agent._search()[0].policy)
        return agent

    def save(self, folder: Path) -> Path:
        """Write config.json, metrics (csv and jsonl), the models and checkpoint.npz."""
        state = Checkpoint(
            self.plant_.data.episodes, self.plant_.resets, self._n_form, self._warm, self._kept,
            self.real_return_, self.plant_.seed, dict(self._rng.bit_generator.state),
            rounds_as_data(self.rounds_), self.plant_.modes,
        )  # fmt: skip
        return write_run(self, state, folder)


def _nearly(target: float) -> float:
    """Return the score in a surrogate that is worth a whole real episode."""
    return target - 0.06 * abs(target)
