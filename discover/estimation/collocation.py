"""Trajectories on a grid, and how far they are from obeying a law."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from discover.estimation.marginal import BandedInformation, Sensitivities
from discover.exceptions import NotIdentifiableError
from discover.kernels import collocation as kernel
from discover.libraries.termtable import TermTable
from discover.typing import BoolArray, FloatArray, IntArray

__all__ = ["Grid", "Linearized", "collocation_weights", "law_on", "linearize"]

_POINTS = 6  # of the stencil: order six
_FINER = 8  # of the stencil that measures its error
_LEAST_DAMPING, _MOST_DAMPING = 1e-14, 1e-10  # of a diagonal that rounding left singular


def collocation_weights(
    times: FloatArray, n_points: int = _POINTS, breaks: BoolArray | None = None
) -> tuple[IntArray, FloatArray]:
    """Return stencils that integrate every interval of a grid.

    Parameters
    ----------
    times : ndarray of shape (n_samples,)
        Strictly increasing, any spacing.
    n_points : int, default=6
        Points of a stencil; the rule is exact for polynomials of degree ``n_points - 1``.
    breaks : ndarray of bool, shape (n_samples,), optional
        Points at which integrands may jump: no stencil reaches across them. Between breaks
        that are near, fewer points count, and the others have weight zero.

    Returns
    -------
    first : ndarray of int, shape (n_samples - 1,)
        First point of the stencil of each interval: centred inside, one-sided at the ends.
    weights : ndarray of shape (n_samples - 1, n_points)
        ``sum(weights[k] * f[first[k] : first[k] + n_points])`` is the integral of `f` from
        ``times[k]`` to ``times[k + 1]``.

    Notes
    -----
    On a uniform grid the inner weights are (11, -93, 802, 802, -93, 11) h / 1440.
    """
    m = min(n_points, len(times))
    first = np.empty(len(times) - 1, dtype=np.int64)
    weights = np.empty((len(times) - 1, m))
    none = np.zeros(len(times), dtype=np.bool_)
    kernel.interval_weights(times, none if breaks is None else breaks, m, first, weights)
    return first, weights


@dataclass(frozen=True, eq=False)
class Grid:
    """One run on the grid of its trajectory.

    Parameters
    ----------
    times : ndarray of shape (n,)
    known : ndarray of shape (n, n_known)
        Controls and, perhaps, time: inputs of the law that are no unknowns.
    y : ndarray of shape (n, d)
        Measurements; NaN where none was made.
    distrusted : ndarray of bool, shape (n, d), optional
        Measurements that are taken for outliers.
    before : ndarray of shape (n, n_known), optional
        `known` just before every point, where controls switch.
    """

    times: FloatArray
    known: FloatArray
    y: FloatArray
    distrusted: BoolArray | None = None
    before: FloatArray | None = None

    @cached_property
    def measured(self) -> BoolArray:
        """Where there is a measurement that counts."""
        seen = np.isfinite(self.y)
        return seen if self.distrusted is None else seen & ~self.distrusted

    @cached_property
    def stencils(self) -> tuple[IntArray, FloatArray]:
        """See :func:`collocation_weights`."""
        return collocation_weights(self.times, breaks=self.breaks)

    @cached_property
    def finer_stencils(self) -> tuple[IntArray, FloatArray]:
        """Stencils of order eight."""
        return collocation_weights(self.times, _FINER, self.breaks)

    @cached_property
    def breaks(self) -> BoolArray | None:
        """Where controls switch."""
        return None if self.before is None else (self.before != self.known).any(axis=1)

    def doubting(self, distrusted: BoolArray) -> Grid:
        """Return the same grid with other measurements taken for outliers."""
        grid = replace(self, distrusted=distrusted)
        grid.__dict__["stencils"] = self.stencils  # they depend on the times alone
        grid.__dict__["finer_stencils"] = self.finer_stencils
        return grid

    @cached_property
    def steps(self) -> FloatArray:
        """Lengths of the intervals."""
        return np.diff(self.times)

    def quadrature_error(self, f: FloatArray, before: FloatArray | None = None) -> FloatArray:
        """Estimate the error of the integrals of `f`, shape (n - 1, d), in units of the states.

        The distance from the rule of order eight. `before` is `f` just before every point.
        """
        out = np.empty((len(f) - 1, f.shape[1]))
        before = f if before is None else before
        kernel.quadrature_gap(*self.stencils, *self.finer_stencils, f, before, out)
        return out

    def split(self, intervals: IntArray, x: FloatArray, f: FloatArray) -> tuple[Grid, FloatArray]:
        """Halve some intervals; the trajectory is read there along cubics.

        Parameters
        ----------
        intervals : ndarray of int
        x, f : ndarray of shape (n, d)
            The trajectory and its time derivative.

        Returns
        -------
        grid : Grid
        x : ndarray of shape (n + n_intervals, d)
        """
        i = intervals
        quarter = self.steps[i, None] / 8
        middle = 0.5 * (x[i] + x[i + 1]) + quarter * (f[i] - f[i + 1])
        low, high = np.minimum(x[i], x[i + 1]), np.maximum(x[i], x[i + 1])
        middle = np.clip(middle, 2 * low - high, 2 * high - low)  # a wild law must not throw it far
        times = np.insert(self.times, i + 1, 0.5 * (self.times[i] + self.times[i + 1]))
        ends = self.known if self.before is None else self.before
        between = 0.5 * (self.known[i] + ends[i + 1])
        known = np.insert(self.known, i + 1, between, axis=0)
        before = None if self.before is None else np.insert(ends, i + 1, between, axis=0)
        doubts = self.distrusted
        if doubts is not None:
            doubts = np.insert(doubts, i + 1, False, axis=0)
        grid = Grid(times, known, np.insert(self.y, i + 1, np.nan, axis=0), doubts, before)
        return grid, np.insert(x, i + 1, middle, axis=0)


@dataclass(frozen=True, eq=False)
class Memory:
    """What the noise of measurements keeps of the measurement before, as AR(1).

    Parameters
    ----------
    before : ndarray of int, shape (n, d)
        The point of the grid with the measurement before.
    phi : ndarray of shape (n, d)
        The correlation with it; 0 where there is none.
    """

    before: IntArray
    phi: FloatArray

    def innovations(self, misfit: FloatArray) -> FloatArray:
        """Return what is new in the noise: ``m[k] - phi m[before k]``."""
        return misfit - self.phi * np.take_along_axis(misfit, self.before, axis=0)

    @property
    def new_share(self) -> FloatArray:
        """Share of the variance that is new, shape (n, d)."""
        return 1.0 - self.phi**2

    @cached_property
    def reach(self) -> int:
        """How many points of the grid a measurement looks back, at most."""
        k, i = np.nonzero(self.phi)
        return int(np.max(k - self.before[k, i], initial=0))

    def inform(self, info: BandedInformation, misfit: FloatArray, precision: FloatArray) -> None:
        """Add the innovations of measurements to the information on a trajectory."""
        new, d = self.innovations(misfit), misfit.shape[1]
        info.add_direct(new.ravel(), precision.ravel())
        k, i = np.nonzero(self.phi)
        phi, own, past = self.phi[k, i], precision[k, i], self.before[k, i] * d + i
        info.band[k * d + i, info.band.shape[1] - 1 - (k * d + i - past)] -= phi * own
        info.band[past, -1] += phi**2 * own  # no measurement is the past of two
        info.gradient[past] -= phi * own * new[k, i]


@dataclass(frozen=True, eq=False)
class Linearized:
    """Defects of one run and their derivatives, at a trajectory and a law.

    Parameters
    ----------
    grid : Grid
    x, f : ndarray of shape (n, d)
        The trajectory and the law on it.
    r : ndarray of shape (n_rows,)
        Defects, interval by interval, state by state.
    J : ndarray of shape (n_rows, width)
        Their derivatives by the trajectory, from the unknown ``rows[k]`` on.
    rows : ndarray of int, shape (n_rows,)
    weight : ndarray of shape (n_rows,)
        Precision of the defects.
    misfit, precision : ndarray of shape (n, d)
        The trajectory less the measurements, and their precision: 0 where there is none.
    memory : Memory, optional
        Where the noise of the measurements has one; the precision is then that of what is new
        in a measurement.
    """

    grid: Grid
    x: FloatArray
    f: FloatArray
    f_before: FloatArray
    r: FloatArray
    J: FloatArray
    rows: IntArray
    weight: FloatArray
    misfit: FloatArray
    precision: FloatArray
    memory: Memory | None = None

    @property
    def new(self) -> FloatArray:
        """What is new in the misfit: all of it, where the noise has no memory."""
        return self.misfit if self.memory is None else self.memory.innovations(self.misfit)

    @property
    def cost(self) -> float:
        """Minus twice the log-density, up to a constant."""
        return float(self.weight @ self.r**2 + (self.precision * self.new**2).sum())

    @property
    def width(self) -> int:
        """The longest stretch of unknowns that a defect or a measurement touches."""
        measured = 1 if self.memory is None else self.memory.reach * self.x.shape[1] + 1
        return max(int(self.J.shape[1]), measured)

    def information(self) -> BandedInformation:
        """Return the information on the trajectory, factored.

        Where rounding leaves it singular, as a law gone wild does, its diagonal is raised a little.
        """
        damping = 0.0
        while True:
            info = BandedInformation(self.x.size, self.width)
            info.add(self.rows, self.J, self.r, self.weight)
            if self.memory is None:
                info.add_direct(self.misfit.ravel(), self.precision.ravel())
            else:
                self.memory.inform(info, self.misfit, self.precision)
            info.band[:, -1] *= 1.0 + damping
            try:
                info.factor()
            except NotIdentifiableError:
                if damping >= _MOST_DAMPING:
                    raise
                damping = max(100.0 * damping, _LEAST_DAMPING)
            else:
                return info

    def integrals(self, table: TermTable) -> FloatArray:
        """Integrate the terms over the intervals, shape (n - 1, n_terms)."""
        theta = table.evaluate(_inputs(self.grid, self.x))
        switched = _inputs_before(self.grid, self.x)
        before = theta if switched is None else table.evaluate(switched)
        out = np.empty((len(theta) - 1, theta.shape[1]))
        kernel.integrals(*self.grid.stencils, theta, before, out)
        return out

    @property
    def resolution(self) -> FloatArray:
        """The errors of the integrals of the law, shape (n - 1, d); see :class:`Grid`."""
        return self.grid.quadrature_error(self.f, self.f_before)

    def sensitivities(self, table: TermTable, support: BoolArray | None = None) -> Sensitivities:
        """Return the derivatives by the coefficients of terms, equation by equation.

        Of all terms of the table in every equation, or those of a support (d, n_terms); then
        every equation has as many columns as the longest, the rest zero.
        """
        d, n = self.x.shape[1], len(self.grid.times) - 1
        inner = -self.integrals(table)
        if support is None:
            p = table.n_terms
            return Sensitivities(
                inner, np.repeat(np.arange(n), d), np.tile(np.arange(d) * p, n), d * p
            )
        width = max(int(support.sum(axis=1).max()), 1)
        columns = np.zeros((n, d, width))
        for i, row in enumerate(support):
            columns[:, i, : row.sum()] = inner[:, row]
        offset = np.tile(np.arange(d) * width, n)
        return Sensitivities(columns.reshape(n * d, width), np.arange(n * d), offset, d * width)


def _inputs(grid: Grid, x: FloatArray) -> FloatArray:
    return np.ascontiguousarray(np.hstack([x, grid.known]))


def _inputs_before(grid: Grid, x: FloatArray) -> FloatArray | None:
    """Return the inputs just before every point, where controls switch."""
    if grid.before is None:
        return None
    return np.ascontiguousarray(np.hstack([x, grid.before]))


def law_on(
    table: TermTable, coefficients: FloatArray, inputs: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Evaluate a law (n, d) and its Jacobian by the states (n, d, d).

    Parameters
    ----------
    table : TermTable
    coefficients : ndarray of shape (n_terms, d)
    inputs : ndarray of shape (n, n_inputs)
        States first.
    """
    n, d = len(inputs), coefficients.shape[1]
    f, slopes = np.empty((n, d)), np.empty((n, d, d))
    coefficients = np.ascontiguousarray(coefficients)
    kernel.law_at_points(
        table.program, table.constants, table.outputs, coefficients, inputs, f, slopes
    )
    return f, slopes


def linearize(
    grid: Grid,
    table: TermTable,
    coefficients: FloatArray,
    x: FloatArray,
) -> Linearized:
    """Evaluate the defects of a trajectory, and differentiate them.

    Parameters
    ----------
    grid : Grid
    table : TermTable
        The terms of the law.
    coefficients : ndarray of shape (n_terms, d)
    x : ndarray of shape (n, d)

    Returns
    -------
    Linearized
        With precisions one.

    Notes
    -----
    The defect of an interval is ``x[k+1] - x[k]`` less the integral of the law, by a rule of
    order six on the points around it.
    """
    n, d = x.shape
    first, weights = grid.stencils
    m = weights.shape[1]
    f, slopes = law_on(table, coefficients, _inputs(grid, x))
    switched = _inputs_before(grid, x)
    before = (f, slopes) if switched is None else law_on(table, coefficients, switched)
    r, J = np.empty((n - 1) * d), np.empty(((n - 1) * d, m * d))
    kernel.defects(first, weights, np.arange(n - 1), x, f, slopes, *before, r, J)
    return Linearized(
        grid=grid,
        x=x,
        f=f,
        f_before=before[0],
        r=r,
        J=J,
        rows=np.repeat(first * d, d),
        weight=np.ones(len(r)),
        misfit=np.where(grid.measured, x - grid.y, 0.0),
        precision=grid.measured.astype(np.float64),
    )
