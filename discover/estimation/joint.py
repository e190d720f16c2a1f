"""The joint fit: true trajectories and the law that moves them, found together."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from tqdm import tqdm

from discover.estimation.collocation import Linearized
from discover.estimation.coloured import correlation_left, known_memory, noise_moments
from discover.estimation.eliminating import Elimination, JointState, terms_of, used_columns
from discover.estimation.gridding import (
    excess_of,
    filled_misfit,
    grid_of,
    isolated,
    measured_noise,
    measured_scale,
    misfit_of,
    pieces_of,
)
from discover.estimation.marginal import inverse_scaled
from discover.estimation.search import InformationSearch, factors_of, term_penalties
from discover.estimation.smoothing_start import smoothed_start
from discover.exceptions import DataError
from discover.libraries.termtable import TermTable
from discover.observations import Trajectory, unobserved_states
from discover.regression import Candidate, Estimate
from discover.typing import BoolArray, FloatArray

__all__ = ["Engine", "JointEstimate", "JointFit"]

_LEVELS = (0.3, 0.1, 0.03)  # defects granted on the way, in steps of the trajectory
_LAST = (0.001, 0.01)  # at the end: of a step of the trajectory, and of the noise
_FINEST = 1.0 / 33  # of the sampling interval: the shortest interval of a grid
_RESOLVED = 0.01  # quadrature error below which a grid is fine enough, in noise
_OUTLYING = 5.0  # distance of outliers from the law
_MOST_OUTLIERS = 0.2  # share of the samples
_PRICES = (1.0, 4.0)  # of a term at the start, in penalties
_UNKNOWN = 0.2  # level above which the law is not trusted
_FITS = 1.2  # times the expected cost: a law that fits
_LOST = 3.0  # times the expected cost: a law for which no grid is refined
_MOST_ROUNDS = 6  # of selection per level
_MOST_STEPS = 6  # of Gauss and Newton per round
_LEAST_NOISE = 1e-6  # of the spread: the accuracy of the collocation


@dataclass(frozen=True, eq=False)
class JointEstimate(Estimate):
    """What the joint fit found.

    Parameters
    ----------
    smoothed : tuple of Trajectory
        The trajectories the law and the data agree on, at the times of the samples.
    smoothed_errors : tuple of ndarray of shape (n_samples, n_states)
        Their standard errors, at the law found.
    measurement_noise : ndarray of shape (n_states,)
        Standard deviation of the noise of the measurements.
    noise_memory : ndarray of shape (n_states,), optional
        Correlation times of the noise; 0 where it is white, None where all of it is.
    correlation_left : ndarray of shape (n_states,)
        Largest autocorrelation, over twenty samples, of what law and noise leave; 0 where
        it is no larger than by chance. Anything else says that the law is wrong.
    """

    smoothed: tuple[Trajectory, ...] = ()
    smoothed_errors: tuple[FloatArray, ...] = ()
    measurement_noise: FloatArray | None = None
    noise_memory: FloatArray | None = None
    correlation_left: FloatArray = field(default_factory=lambda: np.zeros(1))


class JointFit(BaseEstimator):
    """Estimate trajectories and a sparse law together, from noisy samples.

    Parameters
    ----------
    noise : float or sequence of float, optional
        Standard deviation of the measurement noise, per state, in its units; by default
        estimated from the data.
    penalty : float, optional
        What a term must improve minus twice the log-likelihood by; by default
        ``log(n_samples) + 2 log(n)``, the extended Bayesian criterion (Chen and Chen,
        Biometrika 95 (2008) 759-771), where `n` is the number of candidates, over all
        equations, with as many factors or fewer: of two terms that explain the data alike, the
        simpler one is taken.
    noise_memory : "auto", None, float or sequence of float, default="auto"
        Correlation time of the noise, per state, in units of time: it is then
        ``phi = exp(-dt / noise_memory)`` from sample to sample (AR(1)); 0 and None are white
        noise. "auto" looks for a memory in what the law for white noise leaves, and where there
        is one, fits anew.
    n_jobs : int, default=1
        Threads that share the runs; the result does not depend on it.

    Notes
    -----
    Minimises ``|x - y|^2 / sigma^2 + |D(x, xi)|^2 / q^2``, where D are the defects of implicit
    collocation of order six, and q is lowered to a thousandth of a step of the trajectory or a
    hundredth of the noise. This is weak-constraint 4D-Var over states and coefficients, or
    total least squares with the errors where they are: in the states. At every trajectory
    all states are eliminated, which leaves normal equations for all candidate terms, with the
    marginal precision of their coefficients; supports are searched there, by additions,
    removals and swaps. Grids are refined where the law is faster than the samples. Samples
    more than five standard deviations of the noise from the trajectory do not count: at
    first those that stand alone among their neighbours, later what the law says.
    """

    def __init__(
        self,
        *,
        noise: float | Sequence[float] | None = None,
        penalty: float | None = None,
        noise_memory: Literal["auto"] | float | Sequence[float] | None = "auto",
        n_jobs: int = 1,
    ) -> None:
        self.noise = noise
        self.penalty = penalty
        self.noise_memory = noise_memory
        self.n_jobs = n_jobs

    def identify(
        self,
        runs: Sequence[Trajectory],
        table: TermTable,
        *,
        allowed: BoolArray | None = None,
        include_time: bool = False,
    ) -> JointEstimate:
        """Estimate the law.

        Parameters
        ----------
        runs : sequence of Trajectory
        table : TermTable
            Candidate terms over states, controls and, perhaps, time.
        allowed : ndarray of bool, shape (n_states, n_terms), optional
        include_time : bool, default=False

        Returns
        -------
        JointEstimate

        Raises
        ------
        DataError
            If no run has eight samples, or a state was never measured.
        ValueError
            If `noise` or `noise_memory` is not one number, or one per state.
        """
        none = unobserved_states(runs)
        if none:
            raise DataError(
                f"JointFit: {none[0]!r} was never measured; use HiddenStateFit, or "
                "SINDy(method='joint'), which does."
            )
        pieces = pieces_of(runs)
        sigma = self._noise(pieces)
        memory = known_memory(self.noise_memory, len(sigma))
        engine = Engine(pieces, table, sigma, allowed, include_time, self.penalty)
        with engine.progress, ThreadPoolExecutor(max(1, int(self.n_jobs))) as pool:
            if self.n_jobs > 1:
                engine.elimination.each = pool.map  # the kernels run without Python's lock
            return engine.estimate(engine.coloured(engine.run(engine.start()), memory))

    def _noise(self, pieces: Sequence[Trajectory]) -> FloatArray:
        if self.noise is None:
            return measured_noise(pieces)
        seen = np.isin(pieces[0].state_names, unobserved_states(pieces), invert=True)
        given = np.asarray(self.noise, dtype=np.float64)
        if given.shape not in ((), (seen.sum(),)) or not (np.isfinite(given) & (given > 0)).all():
            raise ValueError(
                f"JointFit: noise must be positive, one number or {seen.sum()}, one per measured "
                f"state; got {self.noise!r}."
            )
        sigma = np.ones(len(seen))
        sigma[seen] = given
        return sigma


class Engine:
    """The steps of the fit, for given data and library."""

    def __init__(
        self,
        pieces: list[Trajectory],
        table: TermTable,
        sigma: FloatArray,
        allowed: BoolArray | None,
        include_time: bool,
        penalty: float | None,
    ) -> None:
        self.pieces, self.table = pieces, table
        self.d, self.p = pieces[0].n_states, table.n_terms
        self.allowed = np.ones((self.d, self.p), dtype=bool) if allowed is None else allowed
        states = np.concatenate([run.states for run in pieces])
        self.least = _LEAST_NOISE * measured_scale(states)
        self.sigma = np.maximum(sigma, self.least)
        self.step = float(np.median(np.concatenate([np.diff(run.times) for run in pieces])))
        self.n_samples = len(states)
        grids = [grid_of(run, self.step, include_time) for run in pieces]
        self.grids = [g.doubting(isolated(g.y, self.sigma)) for g in grids]
        self.factors = factors_of(table)
        if penalty is None:
            self.penalty = term_penalties(table, self.d, self.n_samples)
        else:
            self.penalty = np.full(self.d * self.p, float(penalty))
        self.n_measured = sum(int(grid.measured.sum()) for grid in self.grids)
        self.elimination = Elimination(table, self.d)
        self.path: list[Candidate] = []
        self.memory: FloatArray | None = None  # of the noise, where it is known
        self.interrupted = False
        self.progress = tqdm(desc="joint fit", unit=" round", disable=None, leave=False)

    # -- the model of the noise ----------------------------------------------------

    def defect_scale(self, state: JointState, level: float) -> list[FloatArray]:
        """Return the standard deviation granted to the defects, per run (n - 1, d).

        A random walk, so that halved intervals get half the variance; and what the grid
        cannot resolve.
        """
        last = np.minimum(_LAST[0] * self.step * self.speed, _LAST[1] * state.sigma)
        granted = np.maximum(level * self.step * self.speed, last)
        return [
            np.sqrt(granted**2 * (grid.steps[:, None] / self.step) + error**2)
            for grid, error in zip(state.grids, state.unresolved, strict=True)
        ]

    def linearize(self, state: JointState, level: float) -> list[Linearized]:
        """Linearise every run."""
        return self.elimination.linearize(state, self.defect_scale(state, level))

    # -- normal equations of the coefficients --------------------------------------

    def search(self, state: JointState, level: float, open_to: BoolArray) -> InformationSearch:
        """Return the normal equations of the terms that may enter."""
        terms = terms_of(open_to | state.support)
        S, gradient, cost, _ = self.elimination.marginal(self.linearize(state, level), terms)
        xi = state.coefficients[terms].T.ravel()
        b = S @ xi - gradient
        offset = cost + float(xi @ (b - gradient))
        n = self.d * self.p
        here = (self.p * np.arange(self.d)[:, None] + terms).ravel()
        among_all, right = np.zeros((n, n)), np.zeros(n)
        among_all[np.ix_(here, here)], right[here] = S, b
        return InformationSearch(among_all, right, open_to.ravel(), offset=offset)

    def with_support(
        self, state: JointState, search: InformationSearch, flat: BoolArray
    ) -> JointState:
        """Move to a support and the coefficients the normal equations give it."""
        xi = search.solve(flat)[0].reshape(self.d, self.p)
        support = flat.reshape(self.d, self.p) & (xi != 0)
        return replace(state, coefficients=np.ascontiguousarray(xi.T), support=support)

    def price(self, cost: float) -> FloatArray:
        """Return what each term must improve the cost by: more where the law misfits the data."""
        return self.penalty * max(1.0, cost / self.n_measured)

    # -- one support ---------------------------------------------------------------

    def relax(self, state: JointState, level: float) -> JointState:
        """Gauss-Newton on trajectories and coefficients, with damped steps."""
        runs = self.linearize(state, level)
        cost = sum(run.cost for run in runs)
        for _ in range(_MOST_STEPS):
            moved, trial, new = self._moved(state, runs, cost, level)
            if not new < cost:
                self.elimination.remember(state, runs)
                break
            gain, cost, state, runs = cost - new, new, moved, trial
            if gain < 0.1 + 1e-5 * cost:
                break
        return replace(state, cost=cost, excused=self.excused(state, runs, level))

    def _moved(
        self, state: JointState, runs: list[Linearized], cost: float, level: float
    ) -> tuple[JointState, list[Linearized], float]:
        dxi, dx = self.elimination.direction(state, runs)
        share = 1.0
        while True:
            moved = replace(
                state,
                coefficients=state.coefficients + share * dxi,
                x=[x + share * step for x, step in zip(state.x, dx, strict=True)],
            )
            trial = self.linearize(moved, level)
            new = sum(run.cost for run in trial)
            if new < cost or share < 0.02:
                return moved, trial, new if np.isfinite(new) else np.inf
            share *= 0.5

    # -- the grid ------------------------------------------------------------------

    def refined(self, state: JointState) -> tuple[JointState, int]:
        """Halve the intervals on which the law is faster than the grid; also how many."""
        grids, xs, added = [], [], 0
        for grid, x, run in zip(state.grids, state.x, self.linearize(state, 1.0), strict=True):
            error = run.resolution / state.sigma
            coarse = error.max(axis=1) > _RESOLVED
            coarse[1:-1] |= coarse[2:] | coarse[:-2]  # neighbours differ by a factor of two
            where = np.flatnonzero(coarse & (grid.steps > _FINEST * self.step))
            grid, x = grid.split(where, x, run.f)
            grids.append(grid)
            xs.append(x)
            added += len(where)
        return self.measured_errors(replace(state, grids=grids, x=xs), 0.0), added

    def measured_errors(self, state: JointState, level: float) -> JointState:
        """Measure what the grids cannot resolve at this law.

        At the first levels also where the trajectory misses the data: there, the law is not
        known yet, or too fast for the samples.
        """
        blank = [np.zeros((len(x) - 1, self.d)) for x in state.x]
        runs = self.linearize(replace(state, unresolved=blank), 1.0)
        errors = [run.resolution for run in runs]
        if level > _UNKNOWN:
            misses = [
                excess_of(misfit_of(grid, x), state.sigma)
                for x, grid in zip(state.x, state.grids, strict=True)
            ]
            errors = [np.maximum(e, m) for e, m in zip(errors, misses, strict=True)]
        return replace(state, unresolved=errors)

    def resolve(self, state: JointState, level: float) -> JointState:
        """Refine the grids until the law is resolved."""
        most = 8 * self.n_samples
        for _ in range(6):
            if sum(len(x) for x in state.x) > most or state.cost > _LOST * self.n_measured:
                break
            finer, added = self.refined(state)
            if not added:
                return finer
            state = self.relax(finer, level)
        return state

    # -- the whole -----------------------------------------------------------------

    def start(self) -> JointState:
        """Smooth the states one by one; there is no law yet."""
        times = [grid.times for grid in self.grids]
        columns = [self.first_guess(i) for i in range(self.d)]
        x = [np.column_stack(run) for run in zip(*columns, strict=True)]
        slopes = [np.gradient(v, t, axis=0) for v, t in zip(x, times, strict=True)]
        speed = np.sqrt(np.mean(np.concatenate(slopes) ** 2, axis=0))
        self.speed = np.maximum(speed, self.sigma / (self.step * self.n_samples))
        errors = [
            grid.quadrature_error(slope) + excess_of(misfit_of(grid, v), self.sigma)
            for grid, slope, v in zip(self.grids, slopes, x, strict=True)
        ]
        nothing = np.zeros((self.d, self.p), dtype=bool)
        return JointState(self.grids, x, errors, self.sigma, np.zeros((self.p, self.d)), nothing)

    def first_guess(self, i: int) -> list[FloatArray]:
        """Smooth one state of every run."""
        return smoothed_start(
            [grid.times for grid in self.grids],
            [np.where(grid.measured, grid.y, np.nan)[:, i] for grid in self.grids],
            float(self.sigma[i]),
        )

    def run(self, state: JointState) -> JointState:
        """Lower the defects level by level; at each, select until the support stays.

        The first levels are tried with simple terms alone and with all of them. The noise is
        estimated anew when the law is known, and once more at the end.
        """
        tries: list[JointState] = []
        best = None
        try:
            for met in self.begun(state):
                tries.append(met)
            for met in self.lowered(min(tries, key=self.judged)):
                best = met
        except KeyboardInterrupt:
            if not tries:
                raise
            best = best or tries[-1]
            self.stop()
        return best or state

    def stop(self) -> None:
        """Say that an interruption ends the fit."""
        self.interrupted = True
        warnings.warn(
            "JointFit: interrupted; the law is the best so far, its intervals are too wide.",
            ConvergenceWarning,
            stacklevel=3,
        )

    def begun(self, state: JointState) -> Iterator[JointState]:
        """Select at the first levels, among simple terms and then among all."""
        early = self.levels()[:-1][:2]
        tries: list[JointState] = []
        for simple in self.simplicities():
            for first in self.started(state, simple):
                tries.append(self.descended(first, early, simple))
                yield tries[-1]
            if self.settled(min(tries, key=self.judged), early[-1]):
                return

    def lowered(self, state: JointState) -> Iterator[JointState]:
        """Select at the later levels, and twice at the last with the noise estimated anew."""
        *levels, last = self.levels()
        state = self.with_trust(state)
        for level in levels[min(1, len(levels) - 1) :]:
            state = self.selected(self.resolve(state, level), level, self.allowed)
            yield state
        for _ in range(2):
            state = self.selected(self.with_noise(state, last), last, self.allowed)
            yield state

    def started(self, state: JointState, open_to: BoolArray) -> list[JointState]:
        """Regress on some terms at the smoothed trajectories, at several prices of a term."""
        search = self.search(state, 1.0, open_to)
        price = self.price(search.full_misfit())
        supports = {s.tobytes(): s for s in (search.best(k * price) for k in _PRICES)}
        return [self.with_support(state, search, support) for support in supports.values()]

    def descended(self, state: JointState, levels: list[float], open_to: BoolArray) -> JointState:
        """Select among some terms at the first levels."""
        for k, level in enumerate(levels):
            if k:
                state = self.resolve(state, level)
            state = self.selected(state, level, open_to)
        return state

    def settled(self, state: JointState, level: float) -> bool:
        """Say whether the law fits the data, and no term at all would still be changed."""
        if state.cost > _FITS * self.n_measured:
            return False
        search = self.search(state, level, self.allowed)
        found = search.improved(state.support.ravel(), self.price(state.cost))
        return bool((found == state.support.ravel()).all())

    def judged(self, state: JointState) -> float:
        """Return cost and penalties: smaller is better."""
        cost = state.cost + state.excused
        return cost + float(self.price(state.cost)[state.support.ravel()].sum())

    def excused(self, state: JointState, runs: list[Linearized], level: float) -> float:
        """Return the log-ratio of the variances granted to the defects with and without errors."""
        blank = [np.zeros_like(error) for error in state.unresolved]
        base = self.defect_scale(replace(state, unresolved=blank), level)
        return -sum(
            float(np.log(run.weight * scale.ravel() ** 2).sum())
            for run, scale in zip(runs, base, strict=True)
        )

    def simplicities(self) -> list[BoolArray]:
        """Return nested sets of terms: of two factors at most, of three, all."""
        sets = [self.allowed & (self.factors <= most) for most in (2, 3)] + [self.allowed]
        different = [s for s, after in pairwise(sets) if (s != after).any()]
        return [*different, sets[-1]]

    def with_noise(self, state: JointState, level: float) -> JointState:
        """Estimate the noise from the misfit, with the degrees of freedom it has left."""
        state = self.with_trust(state)
        if state.memory is not None:
            return self.with_memory(state, level)
        runs = self.linearize(state, level)
        variances = [run.information().variances().reshape(run.x.shape) for run in runs]
        return replace(state, sigma=np.maximum(self.noise_of(state, runs, variances), self.least))

    def with_memory(self, state: JointState, level: float) -> JointState:
        """Estimate noise that is correlated in time: how strong, and for how long."""
        runs = self.linearize(state, level)
        moments = list(noise_moments(runs, [run.information() for run in runs]))
        memory = self.memory
        if memory is None:
            memory = np.array([of_state.correlation_time() for of_state in moments])
            memory[state.sigma <= self.least] = 0.0  # what is left there is no noise
        sigma = np.sqrt([m.variance(time) for m, time in zip(moments, memory, strict=True)])
        return replace(state, sigma=np.maximum(sigma, self.least), memory=memory)

    def coloured(self, state: JointState, memory: FloatArray | None) -> JointState:
        """Where the noise has a memory, known or seen in what a law leaves, fit anew with it."""
        if self.interrupted or (memory is not None and not memory.any()):
            return state
        self.memory = memory
        found = self.with_memory(self.with_trust(state), 0.0)
        if found.memory is None or not found.memory.any():
            return state
        try:
            best = self.remembering(found)
        except KeyboardInterrupt:
            self.stop()
            return state
        return best if best.memory is not None and best.memory.any() else state

    def remembering(self, found: JointState) -> JointState:
        """Fit with noise that has a memory, from a law and from the beginning; the better one."""
        *levels, last = self.levels()
        for level in [*levels[1:], last, last]:
            found = self.selected(self.resolve(found, level), level, self.allowed)
            found = self.with_noise(found, level)
        found = self.selected(found, last, self.allowed)
        begun = replace(self.start(), sigma=found.sigma, memory=found.memory)
        return min((found, self.run(begun)), key=self.judged_with_noise)

    def judged_with_noise(self, state: JointState) -> float:
        """Return cost, penalties and the log-determinant of the noise: smaller is better."""
        total = self.judged(state)
        for run in self.linearize(state, 0.0):
            total -= float(np.log(run.precision[run.precision > 0]).sum())
        return total

    def with_trust(self, state: JointState) -> JointState:
        """Take for outliers what is far from the trajectory, and nothing else."""
        doubts = [
            np.abs(filled_misfit(grid, x)) > _OUTLYING * state.sigma
            for grid, x in zip(state.grids, state.x, strict=True)
        ]
        if np.mean(np.concatenate(doubts)) > _MOST_OUTLIERS:
            return state  # so many: it is the law that is wrong
        grids = [g.doubting(d) for g, d in zip(state.grids, doubts, strict=True)]
        return replace(state, grids=grids)

    def noise_of(
        self, state: JointState, runs: list[Linearized], variances: list[FloatArray]
    ) -> FloatArray:
        """Return the standard deviation of the noise, shape (d,)."""
        seen = np.concatenate([grid.measured for grid in state.grids])
        misfit = np.concatenate([run.misfit for run in runs])
        freedom = (seen * np.concatenate(variances) / state.sigma**2).sum(axis=0)
        left = np.maximum(seen.sum(axis=0) - freedom, 1.0)
        return np.asarray(np.sqrt((misfit**2).sum(axis=0) / left))

    def levels(self) -> list[float]:
        """Return the levels above the last, and 0 for it."""
        last = np.minimum(_LAST[0] * self.step * self.speed, _LAST[1] * self.sigma)
        reach = float((last / (self.step * self.speed)).min())
        levels = [level for level in _LEVELS if level > reach] or [2 * reach]
        while levels[-1] > 40 * reach:
            levels.append(levels[-1] / 20)
        return [*levels, 0.0]

    def selected(self, state: JointState, level: float, open_to: BoolArray) -> JointState:
        """Relax and select in turn until the support stays; the best that was met."""
        met: dict[bytes, JointState] = {}
        for _ in range(_MOST_ROUNDS):
            self.progress.update()
            state = self.measured_errors(self.relax(state, level), level)
            met[state.support.tobytes()] = state
            search = self.search(state, level, open_to)
            self.path.append(self.candidate(state, level))
            best = search.best(self.price(state.cost), state.support.ravel())
            if best.tobytes() in met:
                break
            state = self.with_support(state, search, best)
        return min(met.values(), key=self.judged)

    def candidate(self, state: JointState, level: float) -> Candidate:
        """Record a law that was compared: its level stands for the threshold."""
        terms = tuple((int(i), int(j)) for i, j in np.argwhere(state.support))
        misfit = state.cost / self.n_measured
        return Candidate(None, terms, level, misfit, self.judged(state))

    def estimate(self, state: JointState) -> JointEstimate:
        """Read covariance, noise and smoothed trajectories off the last linearisation."""
        runs = self.linearize(state, 0.0)
        S, _, _, parts = self.elimination.marginal(runs, terms_of(state.support), state.support)
        used = used_columns(state.support)
        covariance = inverse_scaled(S[np.ix_(used, used)])
        variances = [
            part[0].variances().reshape(run.x.shape) for run, part in zip(runs, parts, strict=True)
        ]
        noise = state.sigma if state.memory is not None else self.noise_of(state, runs, variances)
        pairs = zip(state.grids, self.pieces, strict=True)
        kept = [np.isin(grid.times, run.times) for grid, run in pairs]
        return JointEstimate(
            coefficients=np.ascontiguousarray(state.coefficients.T),
            support=state.support,
            covariance=covariance,
            noise_variance=noise**2,
            n_effective=float(self.n_samples),
            condition_number=float("nan"),
            path=tuple(self.path),
            smoothed=tuple(
                replace(run, states=np.ascontiguousarray(x[keep]))
                for run, x, keep in zip(self.pieces, state.x, kept, strict=True)
            ),
            smoothed_errors=tuple(
                np.sqrt(v[keep]) for v, keep in zip(variances, kept, strict=True)
            ),
            measurement_noise=noise,
            noise_memory=state.memory,
            correlation_left=correlation_left(runs),
        )
