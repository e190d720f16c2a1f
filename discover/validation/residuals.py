"""Innovations: what each sample says that the law, run up to it, did not know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from discover.kernels import innovations as filter_kernel
from discover.kernels import integrators as kernel
from discover.typing import FloatArray
from discover.validation.following import Follower

__all__ = ["Innovations", "Whiteness", "judge_whiteness", "run_filter"]

_MOST_SAMPLES = 10_000
_TUNING = 3_000  # samples on which steps and noise are tuned
_MOST_SUBSTEPS = 32
_RATIOS = (0.0, 1e-6, 1e-4, 1e-2, 1e-1, 1e0, 1e1, 1e2)  # process over measurement variance
_LAGS = 20
_FEWEST = 12  # innovations below which nothing is said about their correlation


@dataclass(frozen=True, eq=False)
class Innovations:
    """One run's innovations, in units of their own standard deviations.

    Parameters
    ----------
    times : ndarray of shape (n_samples,)
    raw : ndarray of shape (n_samples, n_observed)
        Observation minus prediction, in the units of the states; NaN where unobserved.
    scaled : ndarray of shape (n_samples, n_observed)
        Divided by their standard deviations: independent standard normal numbers when the
        law is right and the noise is white.
    states : ndarray of shape (n_samples, n_states)
        The state of the law after each sample.
    noise : ndarray of shape (n_observed,)
        Standard deviation of the measurement noise the filter settled for.
    process : float
        Variance the states gain per sample, over the variance of the measurement noise.
    """

    times: FloatArray
    raw: FloatArray
    scaled: FloatArray
    states: FloatArray
    noise: FloatArray
    process: float


@dataclass(frozen=True, eq=False)
class Whiteness:
    """Whether the innovations of one state are white.

    Parameters
    ----------
    name : str
    p_value : float
        Of the portmanteau tests, corrected for how many there are; NaN with too few samples.
    n : int
        Innovations.
    correlation : ndarray of shape (n_lags,)
        Autocorrelation at lags 1, 2, ...
    bound : float
        Half width of the 95 % band of one autocorrelation.
    """

    name: str
    p_value: float
    n: int
    correlation: FloatArray
    bound: float


def run_filter(
    follower: Follower, x0: FloatArray, spread: FloatArray, noise: FloatArray
) -> Innovations | None:
    """Follow a run with an extended Kalman filter.

    Parameters
    ----------
    follower : Follower
    x0 : ndarray of shape (n_states,)
        The state at the first whole sample.
    spread, noise : ndarray of shape (n_observed,)
        Standard deviations of the observed states and, roughly, of their noise.

    Returns
    -------
    Innovations or None
        None when the law cannot be followed from one sample to the next.

    Notes
    -----
    Differences between samples and predictions made from noisy samples are correlated even
    for the true law; innovations of the right filter are not (Kailath, IEEE Trans. Autom.
    Control 13 (1968) 646-655), whichever samples are missing and whichever states are seen.
    The ratio of process to measurement noise and the overall level maximise the likelihood
    of the innovations; the level is concentrated out.
    """
    filtering = _Filter(follower, x0, spread, noise)
    found = [(filtering.score(ratio), ratio) for ratio in _RATIOS]
    finite = [pair for pair in found if np.isfinite(pair[0])]
    if not finite:
        return None
    return filtering.innovations(min(finite)[1])


class _Filter:
    """The law, a stretch of samples, and the numbers the kernel wants."""

    def __init__(
        self, follower: Follower, x0: FloatArray, spread: FloatArray, noise: FloatArray
    ) -> None:
        self.law, first = follower.law, follower.first
        rows = slice(first, first + _MOST_SAMPLES)
        self.times, self.Y = follower.run.times[rows], follower.values[rows]
        self.observed, self.x0 = follower.observed, x0
        self.R = np.maximum(noise, 1e-7 * spread) ** 2
        scale = np.zeros(self.law.n_states)
        scale[self.observed] = spread
        exact = list(self.law.velocities)
        for position, velocity in self.law.velocities.items():
            where = self.observed.tolist().index(position)
            slope = np.nanstd(np.diff(self.Y[:, where]) / np.diff(self.times))
            scale[velocity] = scale[velocity] or slope or 1.0
        self.scale = scale
        relative = float(np.sqrt(np.mean(self.R / spread**2)))
        self.Q = (relative * scale) ** 2
        self.Q[exact] = 0.0
        self.P = np.diag(scale**2 * max(relative, 1e-3) ** 2 * 10.0)
        for velocity in self.law.velocities.values():
            self.P[velocity, velocity] = scale[velocity] ** 2
        self.rule = {"continuous": kernel.RK4, "map": kernel.MAP}.get(
            self.law.kind, kernel.INCREMENT
        )
        self.n_substeps = 1
        self.U = self._stages(follower)
        if self.rule == kernel.RK4:
            self._refine_steps(follower, 1e-3 * np.sqrt(self.R))
        self.burn = min(max(2 * self.law.n_states, 3), len(self.times) // 4)

    def _stages(self, follower: Follower) -> FloatArray:
        n, m = len(self.times) - 1, self.law.n_controls
        share = np.arange(2 * self.n_substeps + 1) / (2 * self.n_substeps)
        at = self.times[:-1, None] + np.diff(self.times)[:, None] * share
        U = follower.controls(at.ravel())
        shape = (n, len(share), m)
        return np.empty(shape) if U is None else np.ascontiguousarray(U.reshape(shape))

    def _refine_steps(self, follower: Follower, tolerance: FloatArray) -> None:
        """Halve the steps until predictions stop moving by a thousandth of the noise."""
        before = self._run(0.0, _TUNING)
        while self.n_substeps < _MOST_SUBSTEPS:
            self.n_substeps *= 2
            self.U = self._stages(follower)
            now = self._run(0.0, _TUNING)
            if before is not None and now is not None:
                moved = np.nanmax(np.abs(now[0] - before[0]), axis=0)
                if (moved <= np.maximum(tolerance, 1e-9 * self.scale[self.observed])).all():
                    return
            before = now

    def _run(
        self, ratio: float, most: int | None = None
    ) -> tuple[FloatArray, FloatArray, FloatArray] | None:
        times, Y = self.times[:most], self.Y[:most]
        raw, variance = np.full(Y.shape, np.nan), np.full(Y.shape, np.nan)
        states = np.full((len(times), self.law.n_states), np.nan)
        status, _ = filter_kernel.kalman_innovations(
            *self.law.program, len(self.law.table.inputs), self.rule, self.n_substeps,
            self.x0.copy(), self.P.copy(), times, self.U, self.observed, Y,
            self.R, ratio * self.Q, raw, variance, states,
        )  # fmt: skip
        return None if status != kernel.DONE else (raw, variance, states)

    def score(self, ratio: float) -> float:
        """Return the negative log-likelihood per innovation, the level concentrated out."""
        found = self._run(ratio, _TUNING)
        if found is None:
            return np.inf
        e, s2 = found[0][self.burn :], found[1][self.burn :]
        ok = np.isfinite(e) & (s2 > 0)
        if not ok.any():
            return np.inf
        level = np.mean(e[ok] ** 2 / s2[ok])
        return float(np.log(level) + np.mean(np.log(s2[ok] / np.mean(self.R))))

    def innovations(self, ratio: float) -> Innovations | None:
        """Run through all samples; None when the law cannot be followed to the end."""
        found = self._run(ratio)
        if found is None:
            return None
        raw, variance, states = found
        scaled = raw / np.sqrt(variance)
        level = float(np.nanmean(scaled[self.burn :] ** 2))
        scaled[: self.burn] = np.nan
        size = np.sqrt(level) or 1.0
        return Innovations(self.times, raw, scaled / size, states, size * np.sqrt(self.R), ratio)


# -- are they white? ---------------------------------------------------------------


def judge_whiteness(
    runs: Sequence[Innovations], names: Sequence[str], block: int
) -> tuple[Whiteness, ...]:
    """Test the innovations of every state for correlation in time.

    Parameters
    ----------
    runs : sequence of Innovations
    names : sequence of str
    block : int
        Samples in an eighth of a period.

    Returns
    -------
    tuple of Whiteness

    Notes
    -----
    Ljung and Box, Biometrika 65 (1978) 297-303, once for up to 20 samples and once, where
    there are enough, for up to 10 means over `block` samples, which is where structure
    shows when samples are dense. Pairs with a missing sample do not count. One degree of
    freedom is given for the noise ratio of the filter. The smaller p-value is doubled, and
    multiplied by the number of states.
    """
    found = []
    for j, name in enumerate(names):
        series = [run.scaled[:, j] for run in runs]
        n = sum(int(np.isfinite(s).sum()) for s in series)
        lags = min(_LAGS, n // 5)
        if n < _FEWEST or lags < 2:
            empty: FloatArray = np.zeros(0)
            found.append(Whiteness(name, np.nan, n, empty, np.nan))
            continue
        r, p = _portmanteau(series, lags)
        if block > 1 and n // block >= 40:
            p = 2 * min(p, _portmanteau([_block_means(s, block) for s in series], 10)[1])
        p = min(1.0, p * len(names))
        found.append(Whiteness(name, p, n, r, 1.96 / np.sqrt(n)))
    return tuple(found)


def _portmanteau(series: Sequence[FloatArray], lags: int) -> tuple[FloatArray, float]:
    """Return autocorrelations, and the p-value of Ljung and Box."""
    mean = float(np.nanmean(np.concatenate(series)))
    centred = [s - mean for s in series]
    variance = float(np.nanmean(np.concatenate(centred) ** 2))
    n = sum(int(np.isfinite(s).sum()) for s in centred)
    r, statistic = np.zeros(lags), 0.0
    if variance == 0:  # a state that never moves, and is known not to
        return r, 1.0
    for k in range(1, lags + 1):
        products = np.concatenate([s[:-k] * s[k:] for s in centred if len(s) > k] or [np.zeros(0)])
        pairs = int(np.isfinite(products).sum())
        if pairs:
            r[k - 1] = float(np.nansum(products)) / (n * variance)
            statistic += (n + 2) * n * r[k - 1] ** 2 / pairs
    return r, float(stats.chi2.sf(statistic, lags - 1))


def _block_means(series: FloatArray, block: int) -> FloatArray:
    n = len(series) // block
    parts = series[: n * block].reshape(n, block)
    known = np.isfinite(parts)
    total, count = np.where(known, parts, 0.0).sum(axis=1), known.sum(axis=1)
    enough = count >= 0.5 * block
    return np.where(enough, total / np.sqrt(np.maximum(count, 1)), np.nan)
