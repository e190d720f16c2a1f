"""Agents: searches for a policy in a surrogate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from discover.control.policy import Policy, PolicyForm
from discover.control.starts import StartSampler, spread_starts
from discover.control.surrogate import Surrogate
from discover.typing import FloatArray

__all__ = ["Agent", "CMAAgent", "Search", "best_of", "cautious"]

_VERY_BAD = -1e9  # return of a rollout that left the finite numbers
_GROWTH = 0.01  # of a score, by which a search that goes on must gain


@dataclass(frozen=True, eq=False)
class Search:
    """What a search found.

    Parameters
    ----------
    policy : SymbolicModel or Planner
        Its ``rhs`` takes an observation and returns an action; a model is of kind "direct".
    weights : ndarray of shape (n_weights,)
        From which the next search may start; none if the policy is no closed form.
    score : float
        Mean less half the deviation of its returns in the surrogate.
    surrogate_steps : int
    trace : ndarray of shape (n, horizon), optional
        Rewards of every step of some episodes, where the policy is no closed form.
    """

    policy: Policy
    weights: FloatArray
    score: float
    surrogate_steps: int
    trace: FloatArray | None = None

    def promised(
        self,
        surrogate: Surrogate,
        form: PolicyForm,
        start: FloatArray,
        horizon: int,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Return the rewards that every member promises from an observation.

        `rng` draws the noise of what the policy sees.

        Returns
        -------
        ndarray of shape (n, horizon)
        """
        if self.trace is not None:
            return self.trace
        coefficients = form.coefficients(self.weights[None])
        run = surrogate.rollouts(
            form.table, coefficients, start[None], horizon, trace=True, rng=rng
        )
        assert run.trace is not None
        return run.trace[0, :, 0]


class Agent(Protocol):
    """Anything that finds a policy in a surrogate."""

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
        """Find a policy.

        Parameters
        ----------
        surrogate : Surrogate
        form : PolicyForm
            The family to search in.
        starts : StartSampler
        horizon : int
            Steps of an episode.
        rng : numpy.random.Generator
        warm : ndarray of shape (n_weights,), optional
            Weights of an earlier policy.
        target : float, optional
            A score below it is worth fresh starts; None where nobody knows what is good.
        """
        ...


def cautious(returns: FloatArray, caution: float = 0.5) -> FloatArray:
    """Return the mean less some deviations of every candidate's returns, shape (n_candidates,).

    Parameters
    ----------
    returns : ndarray of shape (n_candidates, ...)
        Over members and starts; what is not finite counts as very bad.
    caution : float, default=0.5
        Deviations taken off.
    """
    flat = np.where(np.isfinite(returns), returns, _VERY_BAD).reshape(len(returns), -1)
    return np.asarray(flat.mean(axis=1) - caution * flat.std(axis=1))


def best_of(
    surrogate: Surrogate,
    form: PolicyForm,
    points: FloatArray,
    starts: FloatArray,
    horizon: int,
    steps: int,
    rng: np.random.Generator,
) -> Search:
    """Return the point with the best mean less half the deviation, over members and starts.

    `steps` is what the search took before; `rng` draws the noise of what policies see.
    """
    run = surrogate.rollouts(form.table, form.coefficients(points), starts, horizon, rng=rng)
    scores = cautious(run.returns)
    best, taken = int(np.argmax(scores)), steps + int(run.lengths.sum())
    return Search(form.model(points[best]), points[best], float(scores[best]), taken)


@dataclass(frozen=True)
class CMAAgent:
    """Covariance-matrix adaptation over the weights of a closed form.

    Parameters
    ----------
    population : int, default=32
    generations : int, default=150
    n_starts : int, default=2
        Fresh start states per generation, the same for all candidates.
    members : int, default=3
        Members of the ensemble that every candidate meets.
    caution : float, default=0.5
        Deviations over members and starts taken off the mean return; where starts are worth
        very different amounts, 0 and more `n_starts` are better.
    restarts : int, default=1
        Fresh searches while the score is below the target; all of them if there is none, and
        the best is kept.
    extensions : int, default=2
        Times that a search goes on for as many generations again while its score is below
        the target, and still grows.

    Notes
    -----
    N. Hansen and A. Ostermeier, Evolutionary Computation 9 (2001) 159-195, as implemented
    by the package ``cmaes``. The policy returned is the mean of the last distribution.
    """

    population: int = 32
    generations: int = 150
    n_starts: int = 2
    members: int = 3
    caution: float = 0.5
    restarts: int = 1
    extensions: int = 2

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
        """Find a policy; see :class:`Agent`."""
        best: Search | None = None
        steps = 0
        for attempt in range(self.restarts + 1):
            begin = warm if attempt == 0 else None
            found = self._climb(surrogate, form, starts, horizon, rng, begin, target)
            steps += found.surrogate_steps
            if best is None or found.score > best.score:
                best = found
            if target is not None and best.score >= target:
                break
        assert best is not None
        return Search(best.policy, best.weights, best.score, steps)

    def _climb(
        self,
        surrogate: Surrogate,
        form: PolicyForm,
        starts: StartSampler,
        horizon: int,
        rng: np.random.Generator,
        warm: FloatArray | None,
        target: float | None,
    ) -> Search:
        from cmaes import CMA

        n = form.n_weights
        mean = rng.normal(0.0, 0.3, n) if warm is None else warm
        optimizer = CMA(
            mean=mean, sigma=0.5 if warm is None else 0.15, population_size=self.population,
            seed=int(rng.integers(2**31)),
        )  # fmt: skip
        steps, best = 0, None
        for _ in range(1 + self.extensions):
            for _ in range(self.generations):
                points = np.array([optimizer.ask() for _ in range(self.population)])
                begins = spread_starts(starts, rng, self.n_starts)
                scores, taken = self._scores(surrogate, form, points, begins, horizon, rng)
                steps += taken
                optimizer.tell(list(zip(points, -scores, strict=True)))
                if optimizer.should_stop():
                    break
            center = np.asarray(optimizer.mean)
            begins = spread_starts(starts, rng, max(8, self.n_starts))
            found, taken = self._scores(surrogate, form, center[None], begins, horizon, rng)
            steps, score = steps + taken, float(found[0])
            grown = best is None or score > best.score + _GROWTH * abs(best.score)
            if best is None or score > best.score:
                best = Search(form.model(center), center, score, steps)
            if target is None or score >= target or not grown or optimizer.should_stop():
                break
        assert best is not None
        return replace(best, surrogate_steps=steps)

    def _scores(
        self,
        surrogate: Surrogate,
        form: PolicyForm,
        points: FloatArray,
        starts: FloatArray,
        horizon: int,
        rng: np.random.Generator,
    ) -> tuple[FloatArray, int]:
        members = min(self.members, surrogate.n_members)
        run = surrogate.rollouts(
            form.table, form.coefficients(points), starts, horizon, members=members, rng=rng
        )
        return cautious(run.returns, self.caution), int(run.lengths.sum())
