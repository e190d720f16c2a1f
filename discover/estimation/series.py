"""The joint smoother: a trajectory and the coefficients of its law, from a noisy series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from discover.estimation.tridiagonal import eliminate
from discover.exceptions import DataError, SimulationError
from discover.regression import Estimate, SparseRegressor
from discover.statistics import SufficientStatistics
from discover.typing import FloatArray, IntArray

__all__ = [
    "SCHEDULE",
    "Flow",
    "Linearisation",
    "Observed",
    "Series",
    "SeriesFit",
    "cumulative",
    "fit_series",
    "innovation_misfit",
    "linearise",
    "time_grid",
]


class Flow(Protocol):
    """A law that can step many states, and knows its tangents."""

    n_states: int
    n_terms: int

    def advance(self, rows: FloatArray, h: float, times: FloatArray) -> FloatArray:
        """Return states one step after times (n,), shape (n, n_states)."""
        ...

    def tangents(
        self, start: FloatArray, end: FloatArray, h: float, times: FloatArray
    ) -> FloatArray:
        """Return derivatives of a step by the state, (n, n_states, n_states)."""
        ...

    def term_rows(self, rows: FloatArray, times: FloatArray) -> FloatArray:
        """Return all candidate terms at states and times (n,), (n, n_states, n_terms)."""
        ...

    def sensitivities(self, terms: FloatArray, h: float) -> FloatArray:
        """Return derivatives of a step by the coefficients, (n, n_states, n_terms)."""
        ...


@dataclass(frozen=True, eq=False)
class Observed:
    """Observations of states on a time grid.

    Parameters
    ----------
    at : ndarray of int, shape (n_observed,)
        Positions on the time grid.
    precision : ndarray of shape (n_observed, n_states, n_states) or (n_states,)
        ``H' R^-1 H``; a vector where it is the same diagonal for all.
    information : ndarray of shape (n_observed, n_states)
        ``H' R^-1 y``.
    energy : float
        ``y' R^-1 y``, summed.
    n_values : int
        How many numbers were observed.
    """

    at: IntArray
    precision: FloatArray
    information: FloatArray
    energy: float
    n_values: int

    def blocks(self, i: int) -> FloatArray:
        """Return ``H' R^-1 H`` of one observation."""
        return np.diag(self.precision) if self.precision.ndim == 1 else self.precision[i]

    def misfit(self, states: FloatArray) -> float:
        """Return ``|y - H x|^2`` weighted by the inverse of R."""
        x = states[self.at]
        if self.precision.ndim == 1:
            inner = float(np.sum(self.precision * x**2))
        else:
            inner = float(np.einsum("ij,ijk,ik->", x, self.precision, x))
        return self.energy - 2.0 * float(np.sum(self.information * x)) + inner


@dataclass(frozen=True, eq=False)
class Linearisation:
    """Marginal normal equations of the coefficients, and the trajectory that goes with them.

    Parameters
    ----------
    G : ndarray of shape (n_terms, n_terms)
        Marginal precision of the coefficients: the states are integrated out.
    b : ndarray of shape (n_terms,)
        ``G`` times the best coefficients (not times their change).
    energy : float
        Weighted misfit at the present coefficients, states at their best.
    states : ndarray of shape (n_times, n_states)
        The trajectory of the present coefficients, smoothed.
    columns : ndarray of shape (n_times, n_states, n_terms)
        How it moves with the coefficients.
    theta : ndarray of shape (n_terms,)
        The present coefficients.
    """

    G: FloatArray
    b: FloatArray
    energy: float
    states: FloatArray
    columns: FloatArray
    theta: FloatArray

    def misfit(self, theta: FloatArray) -> float:
        """Return the weighted misfit of other coefficients, states at their best."""
        step = theta - self.theta
        return (
            self.energy
            - 2.0 * float(step @ (self.b - self.G @ self.theta))
            + float(step @ self.G @ step)
        )

    def trajectory(self, theta: FloatArray) -> FloatArray:
        """Return the trajectory that goes with other coefficients, to first order."""
        return self.states + self.columns @ (theta - self.theta)


def linearise(
    flow: Flow,
    theta: FloatArray,
    states: FloatArray,
    steps: FloatArray,
    observed: Observed,
    scale: FloatArray,
    q: float,
    begin: float = 0.0,
) -> Linearisation:
    """Smooth a trajectory about itself, with one sensitivity column per candidate term.

    Parameters
    ----------
    flow : Flow
        The law with the present coefficients.
    theta : ndarray of shape (n_terms,)
    states : ndarray of shape (n_times, n_states)
        The present trajectory; it need not obey the law.
    steps : ndarray of shape (n_times - 1,)
    observed : Observed
    scale : ndarray of shape (n_states,)
        Standard deviation of the states: unit of the prior and of the process noise.
    q : float
        Process noise: standard deviation over `scale` per root of unit time.
    begin : float, default=0.0
        Time of the first state.

    Returns
    -------
    Linearisation

    Notes
    -----
    Gauss-Newton step of weak-constraint 4D-Var over states and coefficients. With
    ``z`` the states' change in units of `scale`, the defects are
    ``D z - C theta + e`` and the marginal precision of the coefficients is the Schur
    complement ``C'C - C'D H^-1 D'C`` (innovations whitened by S in the language of the
    Kalman filter). The law is linearised about the trajectory, not about a free run.
    """
    n, d = states.shape
    forward = np.empty((n - 1, d))
    M = np.empty((n - 1, d, d))
    S = np.empty((n - 1, d, flow.n_terms))
    times = begin + np.concatenate([[0.0], np.cumsum(steps)])
    terms = flow.term_rows(states, times)
    for h in np.unique(steps):
        these = np.flatnonzero(steps == h)
        start, end = states[these], states[these + 1]
        forward[these] = flow.advance(start, float(h), times[these])
        M[these] = flow.tangents(start, end, float(h), times[these])
        S[these] = flow.sensitivities(0.5 * (terms[these] + terms[these + 1]), float(h))
    weight = 1.0 / (q * np.sqrt(steps)[:, None] * scale)  # of every defect
    e = weight * (states[1:] - forward)
    B = weight * scale  # D acts as B on the later state and as -A on the earlier one
    A = weight[:, :, None] * M * scale
    C = weight[:, :, None] * S
    diagonal = np.zeros((n, d, d))
    diagonal[0] += np.eye(d)
    diagonal[:-1] += np.swapaxes(A, 1, 2) @ A
    index = np.arange(d)
    diagonal[1:, index, index] += B**2
    upper = -np.swapaxes(A, 1, 2) * B[:, None, :]
    for i, at in enumerate(observed.at):
        diagonal[at] += scale[:, None] * observed.blocks(i) * scale
    p = flow.n_terms
    columns = np.zeros((n, d, p + 1))
    columns[:-1, :, :p] -= np.swapaxes(A, 1, 2) @ C  # D'C
    columns[1:, :, :p] += B[:, :, None] * C
    columns[:-1, :, p] += np.einsum("jab,ja->jb", A, e)  # -D'e
    columns[1:, :, p] -= B * e
    columns[0, :, p] -= states[0] / scale
    for i, at in enumerate(observed.at):
        columns[at, :, p] += scale * (observed.information[i] - observed.blocks(i) @ states[at])
    solved = eliminate(diagonal, upper, columns)
    Q = solved.quadratic()
    G = np.einsum("jab,jac->bc", C, C) - Q[:p, :p]
    c = np.einsum("jab,ja->b", C, e) + Q[:p, p]
    G = 0.5 * (G + G.T)
    energy = float(np.sum(e**2)) + observed.misfit(states) + float(np.sum((states[0] / scale) ** 2))
    z = solved.solve() * scale[:, None]
    return Linearisation(
        G, c + G @ theta, energy - float(Q[p, p]), states + z[:, :, p], z[:, :, :p], theta
    )


# -- the engine --------------------------------------------------------------------------

#: Process noise of the rounds, in units of the states' spread per root of unit time: the
#: trajectory is bound to the law step by step.
SCHEDULE = (0.1, 0.03, 0.01, 0.005)
_MOST_ROUNDS = 3  # at the last process noise
_SETTLED = 0.3  # standard errors by which coefficients may still move


@dataclass(frozen=True, eq=False)
class Series:
    """A noisy series, ready to be smoothed jointly with the coefficients of its law.

    Parameters
    ----------
    flow : callable
        ``flow(theta)`` returns the :class:`Flow` with these coefficients.
    observed : Observed
    steps : ndarray of shape (n_times - 1,)
        Steps of the time grid, in units of time.
    scale : ndarray of shape (n_states,)
    guess : ndarray of shape (n_times, n_states)
        First guess of the trajectory.
    time_scale : float
        Unit of time of the process noise.
    begin : float, default=0.0
        Time of the first state.
    is_clean : bool, default=False
        Whether the errors of the observations stand for what no law explains better: then a
        misfit below what they allow is no reason to believe more.
    """

    flow: Callable[[FloatArray], Flow]
    observed: Observed
    steps: FloatArray
    scale: FloatArray
    guess: FloatArray
    time_scale: float = 1.0
    begin: float = 0.0
    is_clean: bool = False

    @property
    def times(self) -> FloatArray:
        """Times of the grid, shape (n_times,)."""
        return self.begin + np.concatenate([[0.0], np.cumsum(self.steps)])


@dataclass(frozen=True, eq=False)
class SeriesFit:
    """What the joint smoother found.

    Parameters
    ----------
    estimate : Estimate
        Of the coefficients, as one target.
    states : list of ndarray of shape (n_times, n_states)
        The smoothed trajectories, run by run.
    G, b, theta : ndarray
        Marginal normal equations about them; see :class:`Linearisation`.
    misfit : float
        Smallest weighted misfit.
    n_values : int
        How many numbers were observed.
    """

    estimate: Estimate
    states: list[FloatArray]
    G: FloatArray
    b: FloatArray
    theta: FloatArray
    misfit: float
    n_values: int

    @property
    def coefficients(self) -> FloatArray:
        """Coefficients that were chosen, shape (n_terms,)."""
        return np.asarray(self.estimate.coefficients[0])

    @property
    def chi2(self) -> float:
        """Misfit per observed number: about 1, or below where the trajectory is free."""
        return self.misfit / self.n_values

    def statistics(self, known: FloatArray | None = None) -> SufficientStatistics:
        """Return the marginal normal equations as any regressor takes them.

        Parameters
        ----------
        known : ndarray of shape (n_terms,), optional
            Coefficients that are not in question: the regression is for what must be
            added to them. So one smoothing answers for many solvers.
        """
        return _as_statistics(self.G, self.b, self.misfit, self.n_values, known)


def _as_statistics(
    G: FloatArray, b: FloatArray, misfit: float, n_values: int, known: FloatArray | None = None
) -> SufficientStatistics:
    p = len(b)
    if known is not None:
        b = b - G @ known
    moments = np.zeros((1, p + 1, p + 1))
    moments[0, :p, :p] = G
    moments[0, :p, p] = moments[0, p, :p] = b
    moments[0, p, p] = max(misfit, 0.0) + float(b @ np.linalg.lstsq(G, b, rcond=1e-12)[0])
    return SufficientStatistics(
        moments, np.zeros(p + 1, dtype=np.int64), np.array([float(n_values)]), 1
    )


def fit_series(
    runs: Sequence[Series],
    regressor: SparseRegressor,
    theta: FloatArray,
    term_names: Sequence[str],
    sparse: FloatArray | None = None,
) -> SeriesFit:
    """Smooth trajectories and select the terms of their law, in turns.

    Parameters
    ----------
    runs : sequence of Series
        Of one law.
    regressor : SparseRegressor
    theta : ndarray of shape (n_terms,)
        First coefficients, for instance of the weak form on the first guess.
    term_names : sequence of str
    sparse : ndarray of shape (n_terms,), optional
        Other first coefficients, of fewer terms.

    Returns
    -------
    SeriesFit

    Notes
    -----
    Selection works on the marginal normal equations of *all* candidate terms, so a term
    that was dropped can come back, and one that was wrong can leave. The first guess obeys
    no law, and terms evaluated on it carry its errors; where candidates nearly depend on
    each other, as on a few solitons, terms that fit these errors stay, but do not settle. Then
    the guess is smoothed with the sparse start before anything is selected, its terms are
    held until the trajectory is bound to them, and the better law of the two is returned.
    """
    states = [run.guess for run in runs]
    fit, settled = _in_turns(runs, regressor, theta, states, term_names)
    if settled or sparse is None or not sparse.any():
        return fit
    states = [
        _linearised(run, sparse, x, SCHEDULE[0]).states for run, x in zip(runs, states, strict=True)
    ]
    held, _ = _in_turns(runs, regressor, sparse, states, term_names, held=True)
    return min(fit, held, key=lambda one: _price(runs, one))


def _in_turns(
    runs: Sequence[Series],
    regressor: SparseRegressor,
    theta: FloatArray,
    states: Sequence[FloatArray],
    term_names: Sequence[str],
    held: bool = False,
) -> tuple[SeriesFit, bool]:
    """Smooth and select round by round; return whether the last round changed nothing."""
    n = sum(run.observed.n_values for run in runs)
    least = float(sum(run.observed.n_values for run in runs if run.is_clean))
    rounds = [*SCHEDULE, *[SCHEDULE[-1]] * (_MOST_ROUNDS - 1)]
    first = (theta != 0)[None]
    for number, q in enumerate(rounds):
        found = [_linearised(run, theta, x, q) for run, x in zip(runs, states, strict=True)]
        G = np.sum([lin.G for lin in found], axis=0)
        b = np.sum([lin.b for lin in found], axis=0)
        misfit = max(_smallest_misfit(found, G, b), least)
        estimate = regressor.fit_statistics(
            _as_statistics(G, b, misfit, n), term_names=term_names,
            allowed=first if held and q > SCHEDULE[-1] else None,
        )  # fmt: skip
        new = estimate.coefficients[0]
        states = [lin.trajectory(new) for lin in found]
        fit = SeriesFit(estimate, states, G, b, theta, misfit, n)
        settled = _is_settled(theta, new, estimate)
        theta = new
        if settled and number >= len(SCHEDULE) - 1:
            break
    return fit, settled


def _price(runs: Sequence[Series], fit: SeriesFit) -> float:
    """Return the misfit of a law on its own trajectory, and what its terms cost.

    The extended information criterion (Chen and Chen, Biometrika 95 (2008) 759-771).
    """
    pairs = zip(runs, fit.states, strict=True)
    misfit = sum(_linearised(run, fit.coefficients, x, SCHEDULE[-1]).energy for run, x in pairs)
    each = np.log(fit.n_values) + 2.0 * np.log(len(fit.theta))
    return float(misfit + each * np.count_nonzero(fit.coefficients))


def innovation_misfit(
    runs: Sequence[Series], theta: FloatArray, states: Sequence[FloatArray] | None = None
) -> float:
    """Smooth with given coefficients; return the mean square of the normalised innovations.

    Parameters
    ----------
    runs : sequence of Series
    theta : ndarray of shape (n_terms,)
    states : sequence of ndarray, optional
        Trajectories to start from; by default the first guesses.

    Returns
    -------
    float
        The smallest misfit is the sum of the squared innovations, each over its variance:
        about 1 per observed number for the right law, or below where the guess of the
        noise is high; infinite where the law cannot be followed at all.
    """
    n = sum(run.observed.n_values for run in runs)
    total = 0.0
    for i, run in enumerate(runs):
        x = run.guess if states is None else states[i]
        energy = np.inf
        for q in SCHEDULE if states is None else SCHEDULE[-1:] * 2:
            try:
                with np.errstate(all="ignore"):
                    found = _linearised(run, theta, x, q)
            except (SimulationError, np.linalg.LinAlgError, ValueError):
                return float("inf")
            x, energy = found.states, found.energy
            if not np.isfinite(x).all():
                return float("inf")
        total += energy
    return total / n


def _linearised(run: Series, theta: FloatArray, states: FloatArray, q: float) -> Linearisation:
    return linearise(
        run.flow(theta), theta, states, run.steps, run.observed, run.scale,
        q / np.sqrt(run.time_scale), run.begin,
    )  # fmt: skip


def _smallest_misfit(found: Sequence[Linearisation], G: FloatArray, b: FloatArray) -> float:
    """Return the misfit of all runs at the coefficients that suit them together."""
    best = np.asarray(np.linalg.lstsq(G, b, rcond=1e-12)[0], dtype=np.float64)
    return float(sum(lin.misfit(best) for lin in found))


def _is_settled(old: FloatArray, new: FloatArray, estimate: Estimate) -> bool:
    """Whether the support stayed and no coefficient moved by much of its error."""
    if not np.array_equal(old != 0, new != 0):
        return False
    errors = np.sqrt(np.diag(estimate.covariance))
    return bool((np.abs(new - old)[new != 0] <= _SETTLED * errors).all())


# -- the time grid ------------------------------------------------------------------


def cumulative(values: FloatArray, steps: FloatArray) -> FloatArray:
    """Integrate from the start by the trapezoidal rule, along the first axis."""
    middle = 0.5 * (values[1:] + values[:-1]) * steps[:, None, None]
    zero = np.zeros((1, *values.shape[1:]))
    return np.concatenate([zero, np.cumsum(middle, axis=0)])


def time_grid(
    times: FloatArray, longest: float, unit: float | None = None
) -> tuple[FloatArray, IntArray]:
    """Cut the intervals between observations into steps; also where the observations are.

    Parameters
    ----------
    times : ndarray of shape (n_observed,)
    longest : float
    unit : float, optional
        Of which every step must be a multiple.

    Returns
    -------
    steps : ndarray of shape (n_steps,)
    at : ndarray of int, shape (n_observed,)

    Raises
    ------
    DataError
        If an interval is no multiple of the unit.

    Notes
    -----
    Intervals that agree to a millionth get the very same step, so that they are advanced
    together.
    """
    intervals = np.diff(times)
    if unit is not None:
        return _steps_of(intervals, longest, unit)
    counts = np.maximum(1, np.ceil(intervals / longest - 1e-9)).astype(np.int64)
    lengths = intervals / counts
    lengths = np.array([float(f"{length:.9g}") for length in lengths])
    return np.repeat(lengths, counts), np.concatenate([[0], np.cumsum(counts)])


def _steps_of(intervals: FloatArray, longest: float, unit: float) -> tuple[FloatArray, IntArray]:
    """Cut intervals into steps that are multiples of a unit, as even as they can be."""
    units = np.rint(intervals / unit).astype(np.int64)
    off = np.abs(units * unit - intervals)
    if (units < 1).any() or (off > 1e-4 * unit).any():
        worst = float(intervals[int(np.argmax(off))])
        raise DataError(
            "ModelErrorDiscovery: fixed_step must divide the intervals between the observations; "
            f"got {unit:.6g} for an interval of {worst:.6g}."
        )
    most = max(1, int(longest / unit + 1e-9))
    cuts = [np.array_split(np.ones(n), -(-n // most)) for n in units.tolist()]
    steps = np.array([unit * len(part) for cut in cuts for part in cut])
    return steps, np.concatenate([[0], np.cumsum([len(cut) for cut in cuts])])
