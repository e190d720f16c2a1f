"""Distillation: any teacher's actions as a formula, learned where the formula itself goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from discover.control.policy import ActionBox, PolicyForm
from discover.control.pruning import LOST, Pruning, Tuner, below
from discover.control.sparse import PolicyPath, SparsePolicy
from discover.control.starts import StartSampler
from discover.control.surrogate import Surrogate
from discover.typing import BoolArray, FloatArray

__all__ = ["Distillation", "as_teacher", "censored_fit", "visited"]

Teacher = Callable[[FloatArray], FloatArray]
_RIDGE = 1e-9  # of the largest entry of the normal equations
_MOST_NEWTON_STEPS = 50


def as_teacher(teacher: Any, box: ActionBox) -> Teacher:
    """Return actions of many observations at once, whatever the teacher is.

    Parameters
    ----------
    teacher : object
        With a method ``predict(observations, deterministic=True)``, as those of
        stable-baselines3, or callable: observations, shape (n, n_observations), to actions,
        shape (n, n_actions) or (n,). A policy of this package is one.
    box : ActionBox
        To which its actions are clipped.

    Raises
    ------
    ValueError
        If it is neither, or its actions have another shape.
    """
    predict = getattr(teacher, "predict", None)
    if predict is None and not callable(teacher):
        raise ValueError(
            "distill: teacher must be callable or have a method predict, as those of "
            f"stable-baselines3; got {type(teacher).__name__}."
        )

    def actions(observations: FloatArray) -> FloatArray:
        said = predict(observations, deterministic=True)[0] if predict else teacher(observations)
        found = np.asarray(said, dtype=np.float64)
        shape = (len(observations), len(box.names))
        if found.size != shape[0] * shape[1]:
            raise ValueError(
                f"distill: teacher must give actions of shape {shape} for observations of shape "
                f"{observations.shape}; got {found.shape}."
            )
        return box.saturate(found.reshape(shape))

    return actions


def visited(surrogate: Surrogate, policy: Teacher, starts: FloatArray, horizon: int) -> FloatArray:
    """Return the observations that a policy meets in the surrogate, shape (n, n_observations).

    Every start is followed once, with the members taking turns.
    """
    seen, kept = np.atleast_2d(starts), []
    z = surrogate.dynamics.coordinates.states(seen)
    member = np.arange(len(seen)) % surrogate.n_members
    for _ in range(horizon):
        kept.append(seen)
        z, seen, _, ended = surrogate.step(z, policy(seen), member)
        z, seen, member = z[~ended], seen[~ended], member[~ended]
        if not len(seen):
            break
    return np.concatenate(kept)


def censored_fit(
    theta: FloatArray, low: FloatArray, high: FloatArray, start: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Fit a linear function to intervals: only what lies outside its own counts.

    Parameters
    ----------
    theta : ndarray of shape (n, n_terms)
    low, high : ndarray of shape (n,)
        Equal for a value that was seen; infinite on one side for one that was clipped.
    start : ndarray of shape (n_terms,), optional

    Returns
    -------
    weights : ndarray of shape (n_terms,)
    hessian : ndarray of shape (n_terms, n_terms)
        Normal matrix of the rows that count.

    Notes
    -----
    Minimises the sum of ``(f - clip(f, low, high))**2``, which is convex, by Newton's method
    with halved steps; the second derivative is that of the rows outside.
    """
    p = theta.shape[1]
    weights = np.zeros(p) if start is None else start.copy()
    loss, gradient, hessian = _misfit(theta, low, high, weights)
    for _ in range(_MOST_NEWTON_STEPS):
        step, length = np.linalg.solve(hessian, gradient), 1.0
        while length > 1e-3:
            trial = _misfit(theta, low, high, weights - length * step)
            if trial[0] < loss:
                break
            length *= 0.5
        else:
            break
        weights = weights - length * step
        settled = loss - trial[0] <= 1e-10 * loss
        loss, gradient, hessian = trial
        if settled:
            break
    return weights, hessian


def _misfit(
    theta: FloatArray, low: FloatArray, high: FloatArray, weights: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    value = theta @ weights
    apart = value - np.clip(value, low, high)
    counts = (apart != 0) | (low == high)
    rows = theta[counts]
    hessian = rows.T @ rows
    largest = max(float(np.abs(theta).max()) ** 2 * len(theta), 1e-300)
    hessian[np.diag_indices_from(hessian)] += _RIDGE * largest
    loss = float(apart @ apart) + _RIDGE * largest * float(weights @ weights)
    return loss, rows.T @ apart[counts] + _RIDGE * largest * weights, hessian


@dataclass(frozen=True)
class Distillation:
    """Imitate a teacher with fewer and fewer terms.

    Parameters
    ----------
    rounds : int, default=4
        In which states that the student visited are labelled, before terms go.
    episodes : int, default=10
        Starts per round.
    again : int, default=1
        Further such rounds for a number of terms with which the student falls behind.
    most_rows : int, default=4000
        States kept of a round.
    pruning : Pruning or None, default=Pruning()
        Takes over from the shortest good student, unless that is short enough; None for
        imitation alone.
    careful : int, default=16
        From so many terms on they go one by one; before, a tenth at a time.
    judged, digits : int
        As for :class:`Pruning`.

    Notes
    -----
    DAgger (Ross, Gordon and Bagnell, AISTATS 2011): all labels are kept, and the states are
    those that the student sees. A teacher that saturates says only on which side its value
    lies; such labels are censored, and those of discrete actions are intervals. The term
    goes whose loss the quadratic model of the misfit puts lowest (Hassibi and Stork,
    NeurIPS 1992). Every size is judged by its returns, not by its misfit: a good policy of
    few terms need not be like any good policy of many, and that is what pruning finds.
    """

    rounds: int = 4
    episodes: int = 10
    again: int = 1
    most_rows: int = 4000
    pruning: Pruning | None = field(default_factory=Pruning)
    careful: int = 16
    judged: int = 32
    digits: int = 4

    def run(
        self,
        teacher: Any,
        surrogate: Surrogate,
        form: PolicyForm,
        starts: StartSampler,
        horizon: int,
        *,
        rng: np.random.Generator,
        max_terms: int | None = None,
    ) -> PolicyPath:
        """Distil a teacher.

        Parameters
        ----------
        teacher : object
            See :func:`as_teacher`.
        surrogate : Surrogate
        form : PolicyForm
            The family of the student.
        starts : StartSampler
        horizon : int
        rng : numpy.random.Generator
        max_terms : int, optional
            Longer policies are not chosen.
        """
        tuner = Tuner(surrogate, form, starts, horizon, rng,
                      judged=self.judged, digits=self.digits)  # fmt: skip
        students = self._students(_Lesson(self, as_teacher(teacher, surrogate.box), tuner))
        every = [tuner.confirmed(weights) for weights in students]
        path = PolicyPath(every, max_terms, surrogate_steps=tuner.steps)
        if self.pruning is None or (max_terms and path.smallest_good.n_terms <= max_terms):
            return path
        weights = students[every.index(path.smallest_good)]
        return path.merged(self.pruning.shorten(tuner, weights, max_terms))

    def _students(self, lesson: _Lesson) -> list[FloatArray]:
        """Return the weights of students by length, as long as they earn something."""
        weights = self._dense(lesson)
        found, now = [weights], lesson.tuner.judged(weights)
        best = now
        while (n := int(np.count_nonzero(weights))) > 1 and now.mean >= below(best.mean, LOST):
            goal = n - 1 if n <= self.careful else max(self.careful, int(0.9 * n))
            now, weights = self._caught_up(lesson, lesson.fewer(weights, goal), best.score)
            found.append(weights)
            best = max(best, now, key=lambda one: one.score)
        return found

    def _dense(self, lesson: _Lesson) -> FloatArray:
        """Learn with all terms, from states of the teacher and then of the student."""
        lesson.add(lesson.teacher)
        best = lesson.fit(np.ones(lesson.tuner.form.n_weights))
        for _ in range(self.rounds):
            lesson.add(lesson.tuner.judged(best).policy)
            best = max(best, lesson.fit(best), key=lambda one: lesson.tuner.judged(one).score)
        return best

    def _caught_up(
        self, lesson: _Lesson, weights: FloatArray, best: float
    ) -> tuple[SparsePolicy, FloatArray]:
        """Ask the teacher again where a shorter student falls behind."""
        tuner, one = lesson.tuner, lesson.tuner.judged(weights)
        for _ in range(self.again):
            if one.score >= below(best, 0.01):
                break
            lesson.add(one.policy)
            trial = lesson.fit(weights)
            if tuner.judged(trial).score > one.score:
                one, weights = tuner.judged(trial), trial
        return one, weights


class _Lesson:
    """What the teacher said of all states so far."""

    def __init__(self, settings: Distillation, teacher: Teacher, tuner: Tuner) -> None:
        self.settings, self.teacher, self.tuner = settings, teacher, tuner
        self.unit = np.abs(tuner.form.coefficients(np.ones(tuner.form.n_weights)))
        self.theta: list[FloatArray] = []
        self.low: list[FloatArray] = []
        self.high: list[FloatArray] = []

    def add(self, policy: Teacher) -> None:
        """Label the states that a policy visits."""
        tuner, most = self.tuner, self.settings.most_rows
        starts = tuner.starts(tuner.rng, self.settings.episodes)
        seen = visited(tuner.surrogate, policy, starts, tuner.horizon)
        tuner.steps += len(seen)
        rows = np.linspace(0, len(seen) - 1, min(len(seen), most)).astype(int)
        low, high = _intervals(self.teacher(seen[rows]), tuner.surrogate.box)
        self.theta.append(tuner.form.table.evaluate(seen[rows]))
        self.low.append(low)
        self.high.append(high)

    def fit(self, weights: FloatArray) -> FloatArray:
        """Fit the terms whose weights are not 0."""
        return self._fitted(weights)[0]

    def fewer(self, weights: FloatArray, goal: int) -> FloatArray:
        """Take off the terms that cost least, one by one, down to a goal, and fit the rest."""
        while np.count_nonzero(weights) > goal:
            fitted, loss = self._fitted(weights)
            weights = fitted.copy()
            weights[int(np.argmin(loss))] = 0.0
        return self.fit(weights)

    def _fitted(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return weights, and what the quadratic model says that each is worth."""
        form = self.tuner.form
        theta = np.concatenate(self.theta)
        low, high = np.concatenate(self.low), np.concatenate(self.high)
        after, loss = np.zeros(form.support.shape), np.full(form.support.shape, np.inf)
        there = np.zeros(form.support.shape, dtype=bool)
        there[form.support] = weights != 0
        before = np.zeros(form.support.shape)
        before[form.support] = weights
        for a, kept in enumerate(there):
            scaled = theta[:, kept] * self.unit[a, kept]
            w, hessian = censored_fit(scaled, low[:, a], high[:, a], before[a, kept])
            after[a, kept] = w
            loss[a, kept] = w**2 / np.diag(np.linalg.inv(hessian))
        return after[form.support], loss[form.support]


def _intervals(actions: FloatArray, box: ActionBox) -> tuple[FloatArray, FloatArray]:
    """Return between what limits the formula must lie for each action, before it is clipped."""
    discrete = box.levels > 1
    half: Any = np.where(discrete, 0.5 * (box.high - box.low) / np.maximum(box.levels - 1, 1), 0.0)
    slack = 1e-9 * (box.high - box.low)
    low: BoolArray = actions <= box.low + slack
    high: BoolArray = actions >= box.high - slack
    return (
        np.where(low, -np.inf, np.where(high, box.high - half, actions - half)),
        np.where(high, np.inf, np.where(low, box.low + half, actions + half)),
    )
