"""Multiple shooting: trajectories in segments, and Gauss-Newton steps for states and law."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from discover.estimation.observing import Samples
from discover.exceptions import SimulationError
from discover.kernels import integrators
from discover.kernels import shooting as kernel
from discover.symbolic import SymbolicModel
from discover.typing import BoolArray, FloatArray, IntArray

__all__ = ["Shooting", "Solution", "cut", "rms", "settle_substeps"]

_RULES = {"continuous": integrators.RK4, "map": integrators.MAP, "increment": integrators.INCREMENT}
_LEAST_DAMPING, _MOST_DAMPING = 1e-12, 1e10
_MOST_SUBSTEPS = 64
_ROUNDING = 1e-13  # of the largest observation
_WORST = 1e-14  # eigenvalue, at unit diagonal, below which equations are singular
_SEGMENTS_TO_ASK = 500


def cut(edges: IntArray, length: int) -> tuple[IntArray, BoolArray]:
    """Cut pieces into segments of about `length` samples.

    Returns
    -------
    starts : ndarray of int, shape (n_segments + 1,)
    linked : ndarray of bool, shape (n_segments,)
        Whether the next segment belongs to the same piece.
    """
    starts, linked = [], []
    for first, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        count = max(1, round((stop - first) / length))
        bounds = np.linspace(first, stop, count + 1).astype(np.int64)
        starts.append(bounds[:-1])
        linked.append(np.arange(count) < count - 1)
    return np.concatenate([*starts, edges[-1:]]), np.concatenate(linked)


@dataclass(frozen=True, eq=False)
class Solution:
    """Coefficients and initial states, and what following them gives.

    `cost` is infinite where a segment diverged.
    """

    coefficients: FloatArray
    x0: FloatArray
    cost: float
    predicted: FloatArray
    ends: FloatArray
    gaps: FloatArray
    links: FloatArray
    hessians: FloatArray
    gradients: FloatArray


@dataclass(eq=False)
class Shooting:
    """The problem of fitting segments of a law to samples.

    Parameters
    ----------
    model : SymbolicModel
    samples : Samples
    starts, linked : ndarray
        As :func:`cut` returns them.
    n_substeps : ndarray of int, shape (n_samples,)
    weights : ndarray of shape (n_samples, n_states)
        Inverse variances of the observations; 0 where there is none.
    stiffness : ndarray of shape (n_states,)
        Inverse variances of the gaps between segments.
    free : ndarray of bool, shape (n_active,)
        Which coefficients move.
    """

    model: SymbolicModel
    samples: Samples
    starts: IntArray
    linked: BoolArray
    n_substeps: IntArray
    weights: FloatArray
    stiffness: FloatArray
    free: BoolArray
    _places: NDArray[np.int32] = field(init=False)

    def __post_init__(self) -> None:
        n, order = self.samples.Y.shape[1], np.cumsum(self.free) - 1
        self._places = np.where(self.free, n + order, -1).astype(np.int32)

    @property
    def n_free(self) -> int:
        """Number of coefficients that move."""
        return int(self.free.sum())

    def alone(self, first: int, last: int) -> Shooting:
        """Return the problem of some segments, the last of them not linked."""
        rows = slice(int(self.starts[first]), int(self.starts[last]) + 1)
        samples = replace(
            self.samples,
            times=self.samples.times[rows],
            Y=self.samples.Y[rows],
            U=self.samples.U[rows],
        )
        return replace(
            self,
            samples=samples,
            starts=self.starts[first : last + 1] - self.starts[first],
            linked=np.append(self.linked[first : last - 1], False),
            n_substeps=self.n_substeps[rows],
            weights=self.weights[rows],
        )

    def follow(
        self, coefficients: FloatArray, x0: FloatArray, *, sensitivities: bool = True
    ) -> Solution:
        """Follow every segment from its initial state."""
        n_segments, n = x0.shape
        q = n + self.n_free if sensitivities else 0
        predicted = np.full(self.samples.Y.shape, np.nan)
        ends, links = np.zeros((n_segments, n)), np.zeros((n_segments, n, q))
        hessians, gradients = np.zeros((n_segments, q, q)), np.zeros((n_segments, q))
        program, constants, indptr, slots, _ = self.model.program
        code = kernel.shoot(
            program, constants, indptr, slots, coefficients, self._places,
            len(self.model.table.inputs), self.samples.times, self.samples.U,
            self.samples.reading, _RULES[self.model.kind], self.n_substeps, x0, self.starts,
            self.linked, self.samples.Y, self.weights, q, predicted, ends, links, hessians,
            gradients,
        )  # fmt: skip
        gaps = np.zeros_like(ends)
        gaps[:-1] = np.where(self.linked[:-1, None], x0[1:] - ends[:-1], 0.0)
        cost = np.inf
        if code == kernel.SHOT:
            with np.errstate(over="ignore", invalid="ignore"):
                seen = (self.weights > 0) & ~np.isnan(predicted)
                residual = np.where(seen, self.samples.Y - predicted, 0.0)
                misfit = (self.weights * residual**2).sum() + (self.stiffness * gaps**2).sum()
                cost = float(misfit) if np.isfinite(misfit) else np.inf
        return Solution(coefficients, x0, cost, predicted, ends, gaps, links, hessians, gradients)

    def step(self, here: Solution, damping: float) -> tuple[FloatArray, FloatArray] | None:
        """Return steps of the coefficients and states; None where the equations are singular."""
        eliminated = self._eliminate(here, damping)
        if eliminated is None:
            return None
        work, schur, right = eliminated
        inverse = _inverse(schur)
        if inverse is None:
            return None
        change, moves = np.asarray(inverse @ right), np.empty_like(here.x0)
        kernel.substitute(work, self.linked, change, moves)
        return (change, moves) if np.isfinite(moves).all() else None

    def covariance(self, here: Solution) -> FloatArray | None:
        """Return the covariance of the free coefficients, states profiled out.

        None where the data do not determine all of them.
        """
        eliminated = self._eliminate(here, 0.0)
        return None if eliminated is None else _inverse(eliminated[1])

    def _eliminate(
        self, here: Solution, damping: float
    ) -> tuple[FloatArray, FloatArray, FloatArray] | None:
        """Return what the kernel leaves behind, and the equations of the coefficients."""
        p, n = self.n_free, here.x0.shape[1]
        work = np.empty((len(self.linked), n, 2 * n + p + 1))
        schur, right = np.empty((p, p)), np.empty(p)
        code = kernel.eliminate(
            here.hessians, here.gradients, here.links, here.gaps, self.linked, self.stiffness,
            damping, work, schur, right,
        )  # fmt: skip
        return (work, schur, right) if code == kernel.SOLVED else None

    def descent(self, here: Solution, tolerance: float) -> Iterator[Solution]:
        """Yield better and better solutions (Levenberg and Marquardt).

        Ends when the cost falls by less than a share `tolerance`, no further, or to what
        rounding makes of it.
        """
        damping, here = 1e-3, self.follow(here.coefficients, here.x0)
        size = np.abs(self.samples.Y).max(axis=0, initial=0.0)
        rounding = float((self.weights * (_ROUNDING * size) ** 2).sum())
        while rounding < here.cost < np.inf:
            trial, damping = self._improve(here, damping)
            if trial is None:
                return
            gain, here = here.cost - trial.cost, trial
            yield here
            if gain <= tolerance * here.cost:
                return

    def settled(self, here: Solution, tolerance: float, max_iter: int) -> Solution:
        """Return the last solution of :meth:`descent`."""
        for better, _ in zip(self.descent(here, tolerance), range(max_iter), strict=False):
            here = better
        return here

    def _improve(self, here: Solution, damping: float) -> tuple[Solution | None, float]:
        """Return a solution of lower cost and the damping to go on with."""
        factor = 10.0
        while damping <= _MOST_DAMPING:
            found = self.step(here, damping)
            if found is not None:
                coefficients = here.coefficients.copy()
                coefficients[self.free] += found[0]
                trial = self.follow(coefficients, here.x0 + found[1])
                if trial.cost < here.cost:
                    return trial, max(damping / 10, _LEAST_DAMPING)
            damping, factor = factor * damping, 10 * factor
        return None, damping


def _inverse(matrix: FloatArray) -> FloatArray | None:
    """Invert a symmetric positive definite matrix, scaled to a unit diagonal."""
    diagonal = np.diag(matrix)
    if not (np.isfinite(matrix).all() and (diagonal > 0).all()):
        return None
    scale = 1 / np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(matrix * np.outer(scale, scale))
    if values.min(initial=1.0) <= _WORST:
        return None
    return np.asarray((vectors / values) @ vectors.T * np.outer(scale, scale))


def settle_substeps(problem: Shooting, x0: FloatArray, tolerance: FloatArray) -> IntArray:
    """Return steps between samples that are fine enough.

    Doubles the number of steps until predictions at the samples change by less than
    `tolerance` (n_states), on some hundred segments.

    Raises
    ------
    SimulationError
        If the law diverges within segments.
    """
    samples = problem.samples
    steps = np.ones(len(samples.times), dtype=np.int64)
    if problem.model.kind != "continuous":
        return steps
    intervals = np.append(np.diff(samples.times), 0.0)
    intervals[samples.edges[1:] - 1] = 0.0
    usual = float(np.median(intervals[intervals > 0]))
    few = min(len(problem.linked), _SEGMENTS_TO_ASK)
    head = problem.alone(0, few)
    count, before, coarser = 1, None, steps
    while count <= _MOST_SUBSTEPS:
        steps = np.maximum(np.ceil(count * intervals / usual - 1e-6), 1).astype(np.int64)
        head.n_substeps = steps[: len(head.n_substeps)]
        now = head.follow(problem.model.program[4], x0[:few], sensitivities=False)
        if np.isfinite(now.cost):
            change = np.inf if before is None else np.abs(now.predicted - before)
            if not np.any(change > tolerance):  # NaN beyond the last segment
                return coarser
            before, coarser = now.predicted, steps
        count *= 2
    if before is None:
        raise SimulationError(
            "refine: the law diverges within a few samples of the data; refine a law that can "
            "follow them for a while."
        )
    return steps


def rms(values: FloatArray, where: BoolArray) -> FloatArray:
    """Return the root mean square of each column over the entries in `where`; NaN if none."""
    counts = where.sum(axis=0)
    total = (np.where(where, values, 0.0) ** 2).sum(axis=0)
    return np.asarray(np.sqrt(total / np.where(counts > 0, counts, np.nan)))


def first_states(problem: Shooting, guess: FloatArray) -> FloatArray:
    """Return the initial states of the segments to begin with.

    Parameters
    ----------
    problem : Shooting
    guess : ndarray of shape (n_samples, n_states)
        NaN where nothing is known: a segment then begins where the one before leads, and
        the first of a piece at 0.

    Returns
    -------
    ndarray of shape (n_segments, n_states)
    """
    x0 = np.ascontiguousarray(guess[problem.starts[:-1]])
    unknown = np.isnan(x0)
    x0[unknown] = 0.0
    follows = np.append(False, problem.linked[:-1])
    for segment in np.flatnonzero(unknown.any(axis=1) & follows).tolist():
        before = problem.alone(segment - 1, segment)
        before.linked[:] = True
        found = before.follow(problem.model.program[4], x0[[segment - 1]], sensitivities=False)
        if np.isfinite(found.cost):
            x0[segment, unknown[segment]] = found.ends[0, unknown[segment]]
    return x0
