"""Pruning: fewer and fewer terms, re-tuned in the surrogate after each one that goes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from discover.control.agents import CMAAgent, cautious
from discover.control.policy import PolicyForm
from discover.control.sparse import Judge, PolicyPath, SparsePolicy
from discover.control.starts import StartSampler, spread_starts
from discover.control.surrogate import Surrogate
from discover.symbolic import SymbolicModel
from discover.typing import FloatArray

__all__ = ["LOST", "Pruning", "Tuner", "below"]

LOST = 0.3  # of the best return: below it, still fewer terms are not worth a search
_AT_ONCE = 0.02  # of the return that may go before terms are re-tuned
_WARM_SIGMA = 0.15  # with which CMAAgent begins near a known policy


class Tuner:
    """Changes policies in one surrogate, and judges them in the same episodes.

    Parameters
    ----------
    surrogate : Surrogate
    form : PolicyForm
        The family that all policies belong to; a policy is its weights, 0 for a term that
        is not there.
    starts : StartSampler
    horizon : int
    rng : numpy.random.Generator
    population : int, default=20
    judged, confirmed : int
        Starts that policies are judged from within a search, and after it.
    digits : int, default=4

    Attributes
    ----------
    judge, jury : Judge
        Of `judged` and of `confirmed` starts.
    steps : int
        Surrogate steps taken by searches.
    """

    def __init__(
        self,
        surrogate: Surrogate,
        form: PolicyForm,
        starts: StartSampler,
        horizon: int,
        rng: np.random.Generator,
        *,
        population: int = 20,
        judged: int = 32,
        confirmed: int = 512,
        digits: int = 4,
    ) -> None:
        self.surrogate, self.form, self.starts = surrogate, form, starts
        self.horizon, self.rng, self.population = horizon, rng, population
        self.judge, self.jury = (
            Judge(surrogate, spread_starts(starts, rng, n), horizon, digits)
            for n in (judged, confirmed)
        )
        self.steps = 0

    def judged(self, weights: FloatArray) -> SparsePolicy:
        """Judge a policy by its weights."""
        return self.judge(*self._alone(weights))

    def confirmed(self, weights: FloatArray) -> SparsePolicy:
        """Judge a policy from so many starts that one in a few hundred that fails is seen."""
        return self.jury(*self._alone(weights))

    def tuned(self, weights: FloatArray, generations: int) -> FloatArray:
        """Search near a policy among those with its terms; return the better of the two."""
        form, begin = self._alone(weights)
        size = np.sqrt(np.mean(begin**2))  # the search begins with steps relative to it
        found = CMAAgent(self.population, generations, restarts=0).search(
            self.surrogate, replace(form, scale=form.scale / size), self.starts, self.horizon,
            rng=self.rng, warm=begin / size,
        )  # fmt: skip
        self.steps += found.surrogate_steps
        after = weights.copy()
        after[weights != 0] = found.weights * size
        return max(weights, after, key=lambda one: self.judged(one).score)

    def costs(self, weights: FloatArray) -> FloatArray:
        """Return what is left of the score when each term goes, shape (n_terms_there,)."""
        form, there = self._alone(weights)
        without = np.where(np.eye(len(there), dtype=bool), 0.0, there)
        run = self.surrogate.rollouts(
            form.table, form.coefficients(without), self.judge.starts[:4], self.horizon
        )
        self.steps += int(run.lengths.sum())
        return cautious(run.returns)

    def _alone(self, weights: FloatArray) -> tuple[PolicyForm, FloatArray]:
        support = self.form.support.copy()
        support[self.form.support] = weights != 0
        return self.form.restricted(support), weights[weights != 0]


@dataclass(frozen=True)
class Pruning:
    """Take terms off a policy, and search near what is left.

    Parameters
    ----------
    generations : int, default=60
        Of a search after a term went.
    polish : int, default=100
        Of the last search for a number of terms.
    careful : int, default=16
        From so many terms on they go one by one; before, up to a fifth at a time.
    rivals : int, default=3
        Terms that are tried as the next one to go, with a third of the generations; three
        times as many where the return falls.
    judged : int, default=32
        Starts from which policies are judged within a search, with every member.
    confirmed : int, default=512
        Starts from which they are judged after it: a short policy may fail from rare ones.
    digits : int, default=4
        Significant digits of coefficients: what is printed is what is flown.

    Notes
    -----
    Backward elimination on closed-loop returns: the term goes without which the policy
    still earns most. Once all sizes are there, each goes up again from the one below, with
    one term of its own more, so that a longer policy is not worse than a shorter one.
    """

    generations: int = 60
    polish: int = 100
    careful: int = 16
    rivals: int = 3
    judged: int = 32
    confirmed: int = 512
    digits: int = 4

    def run(
        self,
        surrogate: Surrogate,
        form: PolicyForm,
        policy: SymbolicModel,
        starts: StartSampler,
        horizon: int,
        *,
        rng: np.random.Generator,
        max_terms: int | None = None,
    ) -> PolicyPath:
        """Prune a policy.

        Parameters
        ----------
        surrogate : Surrogate
        form : PolicyForm
            The family `policy` is from.
        policy : SymbolicModel
        starts : StartSampler
        horizon : int
        rng : numpy.random.Generator
        max_terms : int, optional
            Longer policies are not polished, and not chosen.
        """
        tuner = Tuner(surrogate, form, starts, horizon, rng, judged=self.judged,
                      confirmed=self.confirmed, digits=self.digits)  # fmt: skip
        return self.shorten(tuner, form.weights(policy.coefficients), max_terms)

    def shorten(self, tuner: Tuner, weights: FloatArray, max_terms: int | None) -> PolicyPath:
        """Prune the policy with these weights, with the searches and the judge of a tuner."""
        found = _Best(tuner)
        most = self.careful if max_terms is None else max_terms
        self._down(tuner, weights, most, found)
        self._up(tuner, found, most)
        return found.path(max_terms)

    def _down(self, tuner: Tuner, weights: FloatArray, most: int, found: _Best) -> None:
        first = found.add(weights)
        now, enough = first, below(first.mean, LOST)
        while (n := np.count_nonzero(weights)) > 1 and (n > most or now.mean >= enough):
            if n > self.careful:
                goal = max(self.careful, int(0.8 * n))
                weights = _without_many(tuner, weights, goal, below(now.mean, _AT_ONCE))
            else:
                weights = self._without_one(tuner, weights)
            weights = tuner.tuned(weights, self.generations)
            now = found.add(weights)

    def _without_one(self, tuner: Tuner, weights: FloatArray) -> FloatArray:
        """Try the cheapest terms, and further ones where all of those turn out dear."""
        order = np.argsort(-tuner.costs(weights), kind="stable")[: 3 * self.rivals]
        floor = below(tuner.judged(weights).score, _AT_ONCE)
        tried: list[FloatArray] = []
        for count, k in enumerate(order, start=1):
            tried.append(tuner.tuned(_without(weights, k), self.generations // 3))
            best = max(tried, key=lambda one: tuner.judged(one).score)
            if count % self.rivals == 0 and tuner.judged(best).score >= floor:
                break
        return best

    def _up(self, tuner: Tuner, found: _Best, most: int) -> None:
        for n in [n for n in sorted(found.weights) if 1 <= n <= most]:
            shorter = found.weights.get(n - 1)
            if shorter is not None and shorter.any():
                more = np.flatnonzero((found.weights[n] != 0) & (shorter == 0))[0]
                grown = shorter.copy()
                grown[more] = 1e-3 * np.sqrt(np.mean(shorter[shorter != 0] ** 2))
                found.add(grown)
            found.add(tuner.tuned(found.weights[n], self.polish))


class _Best:
    """The best policy so far, for every number of terms."""

    def __init__(self, tuner: Tuner) -> None:
        self.tuner = tuner
        self.weights: dict[int, FloatArray] = {}
        self.judged: dict[int, SparsePolicy] = {}

    def add(self, weights: FloatArray) -> SparsePolicy:
        one, n = self.tuner.confirmed(weights), int(np.count_nonzero(weights))
        if n not in self.judged or one.score > self.judged[n].score:
            self.weights[n], self.judged[n] = weights, one
        return one

    def path(self, max_terms: int | None) -> PolicyPath:
        every = [self.judged[n] for n in sorted(self.judged, reverse=True)]
        return PolicyPath(every, max_terms, surrogate_steps=self.tuner.steps)


def below(value: float, share: float) -> float:
    """Return a return that is worse by a share."""
    return value - share * abs(value)


def _without(weights: FloatArray, k: int) -> FloatArray:
    """Take off the k-th of the terms that are there."""
    fewer = weights.copy()
    fewer[np.flatnonzero(weights)[k]] = 0.0
    return fewer


def _without_many(tuner: Tuner, weights: FloatArray, goal: int, floor: float) -> FloatArray:
    """Take off terms down to a goal, one at least, as long as the score stays above a floor."""
    n = np.count_nonzero(weights)
    while np.count_nonzero(weights) > goal:
        left = tuner.costs(weights)
        k = int(np.argmax(left))
        if np.count_nonzero(weights) < n and left[k] < floor:
            break
        weights = _without(weights, k)
    return weights
