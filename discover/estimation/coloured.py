"""Noise with a memory: correlated in time as AR(1), with one correlation time per state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import chi2

from discover.estimation.collocation import Grid, Linearized, Memory
from discover.estimation.marginal import BandedInformation
from discover.typing import FloatArray

__all__ = ["NoiseMoments", "correlation_left", "known_memory", "memory_of", "noise_moments"]

_LONGEST_PAIR = 12  # points of a grid between samples that remember each other
_SHORTEST_MEMORY = 0.1  # sampling intervals: less is white
_SURE, _PER_LOG = 5.0, 2.0  # gain in minus twice the log-likelihood that shows a memory
_LAGS = 20  # samples
_CHANCE = 1e-6  # of a whole law: autocorrelations that large by chance


def known_memory(memory: float | Sequence[float] | str | None, d: int) -> FloatArray | None:
    """Return the correlation times of the noise of `d` states, None where they are sought."""
    if isinstance(memory, str) and memory == "auto":
        return None
    if memory is None:
        return np.zeros(d)
    try:
        times = np.broadcast_to(np.asarray(memory, dtype=np.float64), (d,))
    except ValueError:
        times = np.full(d, np.nan)
    if not (np.isfinite(times).all() and (times >= 0).all()):
        raise ValueError(
            f"JointFit: noise_memory must be 'auto', None, or one time or {d}, not negative; "
            f"got {memory!r}."
        )
    return times


def memory_of(grid: Grid, times: FloatArray) -> Memory | None:
    """Return what the noise of a grid's measurements remembers of the one before.

    Parameters
    ----------
    grid : Grid
    times : ndarray of shape (d,)
        Correlation times; 0 for white noise.

    Notes
    -----
    ``phi = exp(-dt / tau)``: the Ornstein-Uhlenbeck process at any sampling times. Samples
    with many points of the grid between them are taken for independent.
    """
    if not times.any():
        return None
    before = np.zeros(grid.y.shape, dtype=np.int64)
    phi = np.zeros(grid.y.shape)
    for i in np.flatnonzero(times):
        rows = np.flatnonzero(grid.measured[:, i])
        near = np.diff(rows) <= _LONGEST_PAIR
        later, earlier = rows[1:][near], rows[:-1][near]
        before[later, i] = earlier
        phi[later, i] = np.exp(-(grid.times[later] - grid.times[earlier]) / times[i])
    return Memory(before, phi)


@dataclass(frozen=True, eq=False)
class NoiseMoments:
    """Expected squares and products of the noise of one state, given the data.

    Parameters
    ----------
    alone : ndarray of shape (n_alone,)
        Squares of samples that nothing precedes.
    square, product, earlier : ndarray of shape (n_pairs,)
        For neighbours in time: square of the later, their product, square of the earlier.
    lags : ndarray of shape (n_pairs,)
        Times between neighbours.
    """

    alone: FloatArray
    square: FloatArray
    product: FloatArray
    earlier: FloatArray
    lags: FloatArray

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.alone) + len(self.square)

    def variance(self, time: float) -> float:
        """Return the most likely variance of noise with a correlation time."""
        phi = np.exp(-self.lags / time) if time > 0 else np.zeros_like(self.lags)
        innovations = self.square - 2 * phi * self.product + phi**2 * self.earlier
        total = self.alone.sum() + (innovations / (1 - phi**2)).sum()
        return float(total) / self.n_samples

    def deviance(self, time: float) -> float:
        """Return minus twice the log-likelihood of a correlation time, up to a constant."""
        spread = -np.expm1(-2 * self.lags / time) if time > 0 else np.ones_like(self.lags)
        return float(np.log(spread).sum() + self.n_samples * np.log(self.variance(time)))

    def correlation_time(self) -> float:
        """Return the most likely correlation time; 0 where no memory is evident."""
        if len(self.lags) < 2:
            return 0.0
        low, high = _SHORTEST_MEMORY * np.median(self.lags), self.lags.sum()
        found = minimize_scalar(
            lambda s: self.deviance(float(np.exp(s))),
            bounds=(np.log(low), np.log(high)),
            method="bounded",
        )
        gain = self.deviance(0.0) - float(found.fun)
        evident = gain > _SURE + _PER_LOG * np.log(self.n_samples)
        return float(np.exp(found.x)) if evident else 0.0


def noise_moments(
    runs: Sequence[Linearized], information: Sequence[BandedInformation]
) -> Iterator[NoiseMoments]:
    """Yield the moments of the noise of every state, as expectation maximisation needs them.

    The expected product of the noise of two samples is that of the misfits plus the posterior
    covariance of the trajectory there (Shumway and Stoffer, J. Time Series Anal. 3 (1982) 253-264).
    """
    d = runs[0].x.shape[1]
    inverses = [info.inverse() for info in information]
    for i in range(d):
        parts = [_moments(run, inverse, i) for run, inverse in zip(runs, inverses, strict=True)]
        yield NoiseMoments(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _moments(run: Linearized, inverse: FloatArray, i: int) -> tuple[FloatArray, ...]:
    d, last = run.x.shape[1], inverse.shape[1] - 1
    rows = np.flatnonzero(run.grid.measured[:, i])
    m, variance = run.misfit[:, i], inverse[i::d, last]
    near = (np.diff(rows) * d) <= last
    later, earlier = rows[1:][near], rows[:-1][near]
    alone = np.concatenate([rows[:1], rows[1:][~near]])
    covariance = inverse[later * d + i, last - (later - earlier) * d]
    return (
        m[alone] ** 2 + variance[alone],
        m[later] ** 2 + variance[later],
        m[later] * m[earlier] + covariance,
        m[earlier] ** 2 + variance[earlier],
        run.grid.times[later] - run.grid.times[earlier],
    )


def correlation_left(runs: Sequence[Linearized]) -> FloatArray:
    """Return the largest autocorrelation that law and noise leave, shape (d,); 0 if by chance.

    Notes
    -----
    The statistic of Ljung and Box, Biometrika 65 (1978) 297-303, on what is new in the misfits,
    over twenty lags of the samples there are.
    """
    d = runs[0].x.shape[1]
    found = np.zeros(d)
    for i in range(d):
        new = [_innovations(run, i) for run in runs]
        n = sum(len(u) for u in new)
        products = [sum(float(u[lag:] @ u[: len(u) - lag]) for u in new) for lag in _lags(new)]
        if len(products) < 2 or not products[0] > 0:
            continue
        rho = np.array(products[1:]) / products[0]
        statistic = n * (n + 2) * float((rho**2 / (n - np.arange(1, len(rho) + 1))).sum())
        if chi2.sf(statistic, len(rho)) < _CHANCE / d:
            found[i] = rho[np.argmax(np.abs(rho))]
    return found


def _lags(series: Sequence[FloatArray]) -> range:
    return range(min(_LAGS + 1, max(len(u) for u in series) // 2))


def _innovations(run: Linearized, i: int) -> FloatArray:
    """Return what is new in the measurements of one state, in standard deviations."""
    rows = run.grid.measured[:, i]
    return np.asarray(run.new[rows, i] * np.sqrt(run.precision[rows, i]))
