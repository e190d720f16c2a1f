"""The plain cycle: assimilate with a law, regress on the increments, correct it, again."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from discover.assimilation import Assimilation, EnsembleKalmanFilter
from discover.estimation.series import Flow, Observed, Series
from discover.exceptions import AssimilationError, AssimilationWarning
from discover.regression import Estimate, SparseRegressor, identify
from discover.regression.base import ArrayRows
from discover.statistics import SufficientStatistics
from discover.typing import FloatArray

__all__ = ["CycleFit", "run_cycle"]

_MOST_ROUNDS = 8
_SETTLED = 0.01  # relative change of the coefficients
_SEEN = 1e-9  # of the largest precision: directions that were observed


@dataclass(frozen=True, eq=False)
class CycleFit:
    """What cycling assimilation and regression found.

    Parameters
    ----------
    estimate : Estimate
        Of the error, as one target.
    statistics : SufficientStatistics
        Of the last regression.
    innovations : tuple of float
        Mean square of the normalised innovations of every round; the first is the solver's.
    assimilations : list of Assimilation
        Of the last round, run by run, in the coordinates of the smoother.
    """

    estimate: Estimate
    statistics: SufficientStatistics
    innovations: tuple[float, ...]
    assimilations: list[Assimilation]

    def note(self) -> str:
        """Say how the cycle went, and whether the last filter lost the observations."""
        lost = "".join(f"; {one.message}" for one in self.assimilations[:1] if one.message)
        return (
            f"{len(self.innovations) - 1} rounds of assimilation and regression: the increments "
            f"believe the model they correct{lost}"
        )


def run_cycle(
    runs: Sequence[Series],
    assimilator: EnsembleKalmanFilter,
    base: FloatArray,
    regressor: SparseRegressor,
    term_names: Sequence[str],
    *,
    rng: np.random.Generator,
) -> CycleFit:
    """Assimilate, regress on the increments, correct, and repeat.

    Parameters
    ----------
    runs : sequence of Series
        Of one law.
    assimilator : EnsembleKalmanFilter
    base : ndarray of shape (n_terms,)
        Coefficients of the solver under test, as the flow of the series counts them.
    regressor : SparseRegressor
    term_names : sequence of str
    rng : numpy.random.Generator
        Seeds an assimilator that has no seed of its own.

    Returns
    -------
    CycleFit

    Raises
    ------
    AssimilationError
        If the solver cannot be followed from observation to observation.

    Notes
    -----
    The increment of an analysis over the interval since the last one is taken for the
    error of the law (Mojgani, Chattopadhyay and Hassanzadeh, Chaos 32, 061105 (2022), there
    for single steps). The analysis has been pulled only part of the way to the
    observations, and between them it follows the law under test: the increments believe
    the wrong model, and their errors enter the terms. It is here to be compared with.
    """
    if assimilator.random_state is None:
        assimilator = replace(assimilator, random_state=int(rng.integers(2**31)))
    theta, innovations = base, []
    for _ in range(_MOST_ROUNDS):
        found = [_follow(run, theta, assimilator) for run in runs]
        innovations.append(_misfit(found))
        rows = [_increments(run, theta, one) for run, one in zip(runs, found, strict=True)]
        terms = np.concatenate([terms for _, terms in rows])
        y = np.concatenate([increment for increment, _ in rows]) + terms @ (theta - base)
        estimate, stats = _regress(y, terms, regressor, term_names)
        new = base + estimate.coefficients[0]
        settled = np.abs(new - theta).max() <= _SETTLED * np.abs(new - base).max()
        theta = new
        if settled:
            break
    return CycleFit(estimate, stats, (*innovations, _last_misfit(runs, theta, assimilator)), found)


class _Steps:
    """A flow as a filter takes it."""

    def __init__(self, flow: Flow) -> None:
        self.flow, self.n_states = flow, flow.n_states

    def step(self, x: FloatArray, t: float, dt: float, u: Any = None) -> FloatArray:
        return self.flow.advance(x, dt, np.full(len(x), t))


def _follow(run: Series, theta: FloatArray, assimilator: EnsembleKalmanFilter) -> Assimilation:
    """Assimilate a series with a law, from the first guess of its first state on."""
    times = run.times[run.observed.at]
    operators, values, noise = _instruments(run.observed)
    precision = np.diag(run.observed.blocks(0))
    variance = 1.0 / (1.0 / run.scale**2 + precision)
    try:
        with warnings.catch_warnings():  # a wrong model loses the observations: see the notes
            warnings.simplefilter("ignore", AssimilationWarning)
            return assimilator.assimilate(
                _Steps(run.flow(theta)), operators, noise, values, times,
                initial=(run.guess[0], variance), dt=float(run.steps.max()),
            )  # fmt: skip
    except AssimilationError as error:
        raise AssimilationError(
            "ModelErrorDiscovery: the solver cannot be followed from observation to observation "
            f"by filter= ({error}). Leave filter= out: the joint smoother does not run it freely.",
            time=error.time,
        ) from error


def _instruments(observed: Observed) -> tuple[Any, list[FloatArray], Any]:
    """Return operators, values and error variances with the given precision and information."""
    if observed.precision.ndim == 1:
        known = observed.information / observed.precision
        return None, list(known), 1.0 / observed.precision
    operators: list[FloatArray] = []
    values: list[FloatArray] = []
    for precision, information in zip(observed.precision, observed.information, strict=True):
        weights, vectors = np.linalg.eigh(precision)
        seen = weights > _SEEN * max(float(weights[-1]), np.finfo(float).tiny)
        root = np.sqrt(weights[seen])
        operators.append((root * vectors[:, seen]).T)
        values.append(vectors[:, seen].T @ information / root)
    return operators, values, 1.0


def _misfit(found: Sequence[Assimilation]) -> float:
    """Return the mean square of the innovations; infinite where a member left for good."""
    total = sum(float(np.nansum(one.chi_squared)) for one in found)
    lost = not 0.0 <= total < 1e30
    return np.inf if lost else total / max(1, sum(int(one.n_observed.sum()) for one in found))


def _last_misfit(
    runs: Sequence[Series], theta: FloatArray, assimilator: EnsembleKalmanFilter
) -> float:
    """Return the misfit of the law that was found; infinite where it cannot be followed."""
    try:
        return _misfit([_follow(run, theta, assimilator) for run in runs])
    except AssimilationError:
        return float("inf")


def _increments(
    run: Series, theta: FloatArray, found: Assimilation
) -> tuple[FloatArray, FloatArray]:
    """Return increments over their intervals, and the mean of the terms on the way.

    Returns
    -------
    increments : ndarray of shape (n_observed - 1, n_states)
    terms : ndarray of shape (n_observed - 1, n_states, n_terms)
    """
    flow, x = run.flow(theta), found.mean[:-1]
    at = run.observed.at
    span = np.add.reduceat(run.steps, at[:-1])
    counts = np.diff(at)
    total = np.zeros((*x.shape, flow.n_terms))
    times = run.times
    terms = flow.term_rows(x, times[at[:-1]])
    for k in range(int(counts.max())):
        going = np.flatnonzero(counts > k)
        x, before = x.copy(), terms[going]
        for h in np.unique(run.steps[at[going] + k]):
            these = going[run.steps[at[going] + k] == h]
            x[these] = flow.advance(x[these], float(h), times[at[these] + k])
        terms[going] = flow.term_rows(x[going], times[at[going] + k + 1])
        total[going] += 0.5 * run.steps[at[going] + k, None, None] * (before + terms[going])
    increments = (found.mean[1:] - found.forecast_mean[1:]) / span[:, None]
    return increments, total / span[:, None, None]


def _regress(
    y: FloatArray, terms: FloatArray, regressor: SparseRegressor, names: Sequence[str]
) -> tuple[Estimate, SufficientStatistics]:
    """Regress increments on terms, every coordinate by what is left of it."""
    p = terms.shape[2]
    rough = np.linalg.lstsq(terms.reshape(-1, p), y.ravel(), rcond=1e-10)[0]
    left = np.sqrt(np.mean((y - terms @ rough) ** 2, axis=0))
    weight = 1.0 / np.maximum(left, 1e-6 * np.sqrt(np.mean(y**2)))
    source = ArrayRows((terms * weight[:, None]).reshape(-1, p), (y * weight).reshape(-1, 1))
    stats = source.statistics(regressor.n_blocks)
    return identify(source, stats, regressor, term_names=names, strict=False), stats
