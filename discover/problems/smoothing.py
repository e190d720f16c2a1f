"""Smoothers: values, derivatives and the noise of one run, behind one interface.

Each has ``smooth(t, y) -> Smoothed`` and is a differentiator, so ``SINDy(method=...)`` takes it.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from math import factorial
from numbers import Integral
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solveh_banded
from scipy.optimize import brentq, minimize_scalar
from sklearn.base import BaseEstimator

from discover.exceptions import DataError
from discover.kernels import smoother as kernel
from discover.problems.differentiation import is_uniform
from discover.problems.noise import noise_by_differences
from discover.typing import BoolArray, FloatArray

__all__ = [
    "RauchTungStriebel",
    "SavitzkyGolay",
    "Smoothed",
    "Smoother",
    "SmoothingSpline",
    "TotalVariation",
]

_MOST_SELECTED = 4_000  # samples the amount of smoothing is chosen on
_RANGE = (-30.0, 12.0)  # of log10 of the ratio of driving noise to measurement noise
_GRID = 22
_ORDERS = (3, 4, 5)
_MOST_STEPS = 100  # of the interior-point method; about 30 are usual
_GAP = 1e-6
_LEAST_FREE = 1.0  # degrees of freedom left to the residual


@dataclass(frozen=True, eq=False)
class Smoothed:
    """A smoothed run.

    Parameters
    ----------
    times : ndarray of shape (n_samples,)
    values, derivative : ndarray of shape (n_samples, n_states)
        At all times, also where nothing was observed.
    noise_std : ndarray of shape (n_states,)
        Standard deviation of the measurement noise, in units of the states.
    value_errors, derivative_errors : ndarray of shape (n_samples, n_states), or None
        Standard errors of the values and derivatives from the noise (and, where the smoother
        has a model of the signal, from that); None where the smoother gives none.
    smoothing : ndarray of shape (n_states,)
        The amount of smoothing that was used, in the smoother's own terms.
    """

    times: FloatArray
    values: FloatArray
    derivative: FloatArray
    noise_std: FloatArray
    value_errors: FloatArray | None
    derivative_errors: FloatArray | None
    smoothing: FloatArray


@dataclass(frozen=True, eq=False)
class _Signal:
    """One smoothed state."""

    values: FloatArray
    derivative: FloatArray
    noise: float
    value_errors: FloatArray | None
    derivative_errors: FloatArray | None
    smoothing: float


class Smoother(BaseEstimator, metaclass=ABCMeta):
    """Base class of the smoothers: a subclass smooths one state."""

    @property
    @abstractmethod
    def fewest_samples(self) -> int:
        """Samples a run must have."""

    @abstractmethod
    def _check(self) -> None:
        """Check the parameters."""

    @abstractmethod
    def _smooth_one(self, t: FloatArray, y: FloatArray, column: int) -> _Signal:
        """Smooth the state in a column, NaN where nothing was observed."""

    def smooth(self, t: ArrayLike, y: ArrayLike) -> Smoothed:
        """Smooth one run.

        Parameters
        ----------
        t : array-like of shape (n_samples,)
            Strictly increasing, any spacing.
        y : array-like of shape (n_samples,) or (n_samples, n_states)
            NaN where a state was not observed.

        Returns
        -------
        Smoothed

        Raises
        ------
        DataError
            If there are too few observations, or times do not increase.
        """
        self._check()
        times, data = np.asarray(t, dtype=np.float64), np.asarray(y, dtype=np.float64)
        data = data[:, None] if data.ndim == 1 else data
        owner = type(self).__name__
        if data.ndim != 2 or times.shape != data.shape[:1] or not (np.diff(times) > 0).all():
            raise DataError(
                f"{owner}: t must be increasing, of shape (n_samples,), and y of shape "
                f"(n_samples, n_states); got {times.shape} and {np.shape(y)}."
            )
        counts = np.isfinite(data).sum(axis=0)
        if not len(data) or counts.min() < self.fewest_samples:
            raise DataError(
                f"{owner}: {self.fewest_samples} samples per run are needed; got "
                f"{int(counts.min(initial=len(data)))}."
            )
        signals = [
            self._smooth_one(times, np.ascontiguousarray(row), j) for j, row in enumerate(data.T)
        ]
        return Smoothed(
            times,
            np.column_stack([s.values for s in signals]),
            np.column_stack([s.derivative for s in signals]),
            np.array([s.noise for s in signals]),
            _joined([s.value_errors for s in signals]),
            _joined([s.derivative_errors for s in signals]),
            np.array([s.smoothing for s in signals]),
        )

    def differentiate(self, x: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the smoothed states and their derivatives, both (n_samples, n_states)."""
        found = self.smooth(t, x)
        return found.values, found.derivative


def _joined(columns: list[FloatArray | None]) -> FloatArray | None:
    known = [column for column in columns if column is not None]
    return np.column_stack(known) if len(known) == len(columns) else None


# -- local polynomials -------------------------------------------------------------


class SavitzkyGolay(Smoother):
    """Local polynomial smoothing and differentiation.

    Parameters
    ----------
    window_length : int, default=11
        Samples per window, odd.
    polyorder : int, default=3

    Notes
    -----
    Savitzky and Golay, Anal. Chem. 36 (1964) 1627-1639; on an irregular grid, or where samples
    are missing, every window gets its own least-squares polynomial. The half windows at the two
    ends are fitted by the first and the last polynomial. The noise is what the polynomials leave
    over, corrected for what they absorb; a window too long for the signal leaves some of that
    as well.
    """

    def __init__(self, window_length: int = 11, polyorder: int = 3) -> None:
        self.window_length = window_length
        self.polyorder = polyorder

    @property
    def fewest_samples(self) -> int:
        """Length of the window."""
        return int(self.window_length)

    @property
    def reach(self) -> int:
        """How many samples away a derivative looks, away from the ends."""
        return int(self.window_length) // 2

    def _check(self) -> None:
        w, k = self.window_length, self.polyorder
        if not (isinstance(w, Integral) and w % 2 == 1 and isinstance(k, Integral) and 1 <= k < w):
            raise ValueError(
                "SavitzkyGolay: window_length must be odd and larger than polyorder >= 1; "
                f"got window_length={w!r}, polyorder={k!r}."
            )

    def _smooth_one(self, t: FloatArray, y: FloatArray, column: int) -> _Signal:
        w, k = int(self.window_length), int(self.polyorder)
        observed = np.isfinite(y)
        if observed.all() and is_uniform(t):
            values, slopes, share, gain = _uniform_windows(t, y, w, k)
        else:
            values, slopes, share, gain = _local_polynomials(t[observed], y[observed], t, w, k)
        left = y[observed] - values[observed]
        inner = slice(w // 2, -(w // 2) or None)
        freedom = np.maximum(1.0 - share[observed][inner], 1e-12)
        noise = float(np.sqrt(np.mean(left[inner] ** 2 / freedom)))
        return _Signal(values, slopes, noise, noise * np.sqrt(share), noise * gain, float(w))


def _uniform_windows(
    t: FloatArray, y: FloatArray, window: int, degree: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Smooth on a uniform grid; see :func:`_local_polynomials`."""
    from scipy.signal import savgol_coeffs, savgol_filter

    dt, n, half = (t[-1] - t[0]) / (len(t) - 1), len(t), window // 2
    values = savgol_filter(y, window, degree)
    slopes = savgol_filter(y, window, degree, deriv=1, delta=dt)
    share, gain = np.empty(n), np.empty(n)
    for i in range(half + 1):  # places in the first window; the last mirrors them
        weights = savgol_coeffs(window, degree, pos=i)
        rates = savgol_coeffs(window, degree, deriv=1, delta=dt, pos=i)
        share[[i, n - 1 - i]], gain[[i, n - 1 - i]] = weights @ weights, np.linalg.norm(rates)
    share[half : n - half], gain[half : n - half] = share[half], gain[half]
    return values, slopes, share, gain


def _local_polynomials(
    t: FloatArray, y: FloatArray, at: FloatArray, window: int, degree: int, chunk: int = 4096
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Fit a polynomial to the samples around every time.

    Returns
    -------
    values, slopes : ndarray
        At the times `at`.
    share : ndarray
        Variance of the values in units of that of the noise; at a sample, the share of
        itself in its smoothed value.
    gain : ndarray
        Standard deviation of the slopes in units of that of the noise.
    """
    values, slopes, share, gain = (np.empty(len(at)) for _ in range(4))
    first = np.clip(np.searchsorted(t, at) - window // 2, 0, len(t) - window)
    for start in range(0, len(at), chunk):
        rows = slice(start, min(start + chunk, len(at)))
        index = first[rows, None] + np.arange(window)
        reach = t[index[:, -1]] - t[index[:, 0]]
        local = (t[index] - at[rows, None]) / reach[:, None]
        weights = np.linalg.pinv(local[..., None] ** np.arange(degree + 1))
        values[rows] = np.einsum("rw,rw->r", weights[:, 0], y[index])
        slopes[rows] = np.einsum("rw,rw->r", weights[:, 1], y[index]) / reach
        share[rows] = (weights[:, 0] ** 2).sum(axis=1)
        gain[rows] = np.sqrt((weights[:, 1] ** 2).sum(axis=1)) / reach
    return values, slopes, share, gain


# -- integrated Wiener processes ---------------------------------------------------


class RauchTungStriebel(Smoother):
    """Smooth with a Gaussian prior: a derivative of the signal is a random walk.

    Parameters
    ----------
    order : int or "auto", default="auto"
        Which derivative is white noise: 3 makes the curvature a random walk. Automatic: the
        likeliest of 3, 4 and 5; the cleaner the data, the higher.
    noise_std : float or array-like of shape (n_states,), optional
        Standard deviation of the measurement noise; by default estimated with the amount of
        smoothing by maximum likelihood.

    Notes
    -----
    The smoother of Rauch, Tung and Striebel, AIAA J. 3 (1965) 1445-1450, in square-root
    information form (Paige and Saunders, SIAM J. Numer. Anal. 14 (1977) 180-193) with a diffuse
    start; the likelihood is that of the data given nothing of the start, maximised over the
    ratio of driving to measurement noise (on the middle 4,000 samples of longer runs). The mean is
    the smoothing spline of degree ``2 order - 1`` (Wahba, J. R. Statist. Soc. B 40 (1978)
    364-372). Cost O(n_samples order^3) per trial. Irregular and missing samples are no
    approximation.
    """

    def __init__(
        self, order: int | Literal["auto"] = "auto", noise_std: float | ArrayLike | None = None
    ) -> None:
        self.order = order
        self.noise_std = noise_std

    @property
    def fewest_samples(self) -> int:
        """Two more than fix the polynomial part."""
        return max(self._orders()) + 2

    def _orders(self) -> tuple[int, ...]:
        return _ORDERS if self.order == "auto" else (int(self.order),)

    def _check(self) -> None:
        number = isinstance(self.order, Integral) and 2 <= int(self.order) <= 5
        if not number and self.order != "auto":
            raise ValueError(
                "RauchTungStriebel: order must be an integer from 2 to 5 or 'auto'; got "
                f"{self.order!r}."
            )
        known = self.noise_std
        if known is not None and not (np.asarray(known, dtype=np.float64) > 0).all():
            raise ValueError(f"RauchTungStriebel: noise_std must be positive; got {known!r}.")

    def _level(self, column: int) -> float | None:
        if self.noise_std is None:
            return None
        levels = np.asarray(self.noise_std, dtype=np.float64)
        if levels.ndim == 1 and column < len(levels):
            return float(levels[column])
        if levels.ndim:
            raise ValueError(
                "RauchTungStriebel: noise_std must be a number or one per state; got shape "
                f"{levels.shape}."
            )
        return float(levels)

    def _smooth_one(self, t: FloatArray, y: FloatArray, column: int) -> _Signal:
        known = self._level(column)
        tried = [_Spline(*_middle(t, y), order) for order in self._orders()]
        logs = [_lowest(partial(spline.deviance, noise=known)) for spline in tried]
        scores = [
            spline.deviance(log, known) + spline.constant
            for spline, log in zip(tried, logs, strict=True)
        ]
        best = int(np.argmin(scores))
        whole = _Spline(t, y, tried[best].m)
        ratio = 10.0 ** logs[best] * (whole.unit / tried[best].unit) ** (2 * whole.m - 1)
        return whole.signal(ratio, known)


class SmoothingSpline(Smoother):
    """Cubic smoothing spline per state; the smoothing by generalised cross-validation.

    Parameters
    ----------
    lam : float, optional
        Weight of the integral of the squared second derivative against the sum of squared
        residuals; by default chosen per state.

    Notes
    -----
    Generalised cross-validation: Craven and Wahba, Numer. Math. 31 (1979) 377-403. The noise
    is the residual over what the spline leaves free, their ``tr(I - A)``; the standard errors are
    those of the Gaussian process whose mean the spline is.
    """

    def __init__(self, lam: float | None = None) -> None:
        self.lam = lam

    @property
    def fewest_samples(self) -> int:
        """What a cubic smoothing spline needs."""
        return 5

    def _check(self) -> None:
        if self.lam is not None and not self.lam > 0:
            raise ValueError(f"SmoothingSpline: lam must be positive; got {self.lam!r}.")

    def _smooth_one(self, t: FloatArray, y: FloatArray, column: int) -> _Signal:
        whole = _Spline(t, y, 2)
        if self.lam is None:
            part = _Spline(*_middle(t, y), 2)
            ratio = 10.0 ** _lowest(part.cross_validation)
            ratio *= (whole.unit / part.unit) ** 3
        else:
            ratio = whole.unit**3 / self.lam
        found = whole.signal(ratio, None)
        noise = whole.residual_noise(ratio)
        scale = noise / found.noise if found.noise > 0 else 1.0
        assert found.value_errors is not None
        assert found.derivative_errors is not None
        return _Signal(
            found.values,
            found.derivative,
            noise,
            scale * found.value_errors,
            scale * found.derivative_errors,
            whole.unit**3 / ratio,
        )


def _middle(t: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the middle of a long run."""
    start = max(0, (len(t) - _MOST_SELECTED) // 2)
    rows = slice(start, start + _MOST_SELECTED)
    enough = np.isfinite(y[rows]).sum() >= min(100, len(t))
    return (t[rows], y[rows]) if enough else (t, y)


def _lowest(criterion: Callable[[float], float]) -> float:
    """Minimise over log10 of the ratio: a grid, then Brent's method around its lowest point."""
    grid = np.linspace(*_RANGE, _GRID)
    values = np.array([criterion(x) for x in grid])
    i = int(np.argmin(np.where(np.isfinite(values), values, np.inf)))
    low, high = grid[max(i - 1, 0)], grid[min(i + 1, _GRID - 1)]
    found = minimize_scalar(
        criterion, bounds=(low, high), method="bounded", options={"xatol": 1e-3}
    )
    return float(found.x)


@cache
def _whitener(m: int) -> FloatArray:
    """Return the inverse Cholesky factor of the covariance of one unit step."""
    i = np.arange(m)
    f = np.array([factorial(m - 1 - k) for k in i], dtype=np.float64)
    Q = 1.0 / ((2 * m - 1 - i[:, None] - i) * f[:, None] * f)
    return np.asarray(np.linalg.inv(np.linalg.cholesky(Q)))


class _Spline:
    """One signal under the prior, for any ratio of driving to measurement noise."""

    def __init__(self, t: FloatArray, y: FloatArray, order: int) -> None:
        n, m = len(t), order
        intervals = np.diff(t)
        self.unit = float(np.median(intervals))
        self.y, self.m, self.steps = y, m, intervals / self.unit
        self.observed: BoolArray = np.isfinite(y)
        self.count = int(self.observed.sum())
        self.whitener = _whitener(m)
        self.factors = np.empty((n, m, m)), np.empty((n, m, m)), np.empty((n, m))
        self.work = np.empty((2 * m + 1, 2 * m + 1))

    def eliminate(self, ratio: float) -> tuple[float, float]:
        """Return the residual sum of squares and the log determinant."""
        rss, logdet = kernel.eliminate(
            self.y, self.steps, ratio, self.whitener, *self.factors, self.work
        )
        return max(rss, np.finfo(float).tiny), logdet

    @property
    def constant(self) -> float:
        """What the deviance lacks to be compared between orders."""
        return float(-2.0 * len(self.steps) * np.log(np.diag(self.whitener)).sum())

    def deviance(self, log_ratio: float, noise: float | None) -> float:
        """Return minus twice the log likelihood at 10 to a power, up to a constant."""
        rss, logdet = self.eliminate(10.0**log_ratio)
        free = self.count - self.m
        fit = free * np.log(rss) if noise is None else rss / noise**2
        return float(fit + 2.0 * logdet + len(self.steps) * self.m * np.log(10.0) * log_ratio)

    def solve(self, ratio: float) -> tuple[FloatArray, FloatArray, float]:
        """Return states, their variances in units of the noise, and the squared noise."""
        rss, _ = self.eliminate(ratio)
        z, P = np.empty((len(self.y), self.m)), np.empty((len(self.y), self.m))
        kernel.substitute(*self.factors, z, P, np.empty((4, self.m, self.m)))
        return z, P, rss / (self.count - self.m)

    def signal(self, ratio: float, noise: float | None) -> _Signal:
        """Return the smoothed signal; its noise is the likeliest where none is given."""
        z, P, variance = self.solve(ratio)
        std = float(np.sqrt(variance)) if noise is None else noise
        errors = std * np.sqrt(P[:, :2]) / [1.0, self.unit]
        slopes = z[:, 1] / self.unit
        return _Signal(z[:, 0].copy(), slopes, std, errors[:, 0], errors[:, 1], ratio)

    def cross_validation(self, log_ratio: float) -> float:
        """Return the generalised cross-validation score at 10 to a power."""
        left, free = self._left(10.0**log_ratio)
        if free < _LEAST_FREE:  # both vanish, and their ratio means nothing
            return np.inf
        return float(np.log(left) - 2.0 * np.log(free))

    def residual_noise(self, ratio: float) -> float:
        """Return the standard deviation of the noise by the residuals."""
        left, free = self._left(ratio)
        return float(np.sqrt(left / free))

    def _left(self, ratio: float) -> tuple[float, float]:
        z, P, _ = self.solve(ratio)
        left = np.sum((self.y - z[:, 0])[self.observed] ** 2)
        free = self.count - P[self.observed, 0].sum()
        smallest = np.finfo(float).tiny
        return max(float(left), smallest), max(float(free), smallest)


# -- total variation ---------------------------------------------------------------


class TotalVariation(Smoother):
    """Keep the total variation of the derivative small: for signals with kinks.

    Parameters
    ----------
    alpha : float, optional
        Weight of the total variation of the derivative, in units of the state times the time.
        By default the residual is given the size of the noise, estimated from differences.

    Notes
    -----
    Minimises ``1/2 sum (y - x)^2 + alpha sum |change of slope of x|``: the regularised
    differentiation of Chartrand, ISRN Appl. Math. 2011, 164564, with the constant of integration
    free, also known as trend filtering. Solved to a relative duality gap of 1e-6 by the
    primal-dual interior-point method of Kim, Koh, Boyd and Gorinevsky, SIAM Rev. 51 (2009)
    339-360, with pentadiagonal systems: O(n_samples) per step. Slopes are constant between
    kinks, and the derivative at a sample is the mean of those on its two sides. Missing
    samples lie on straight lines, which cost nothing. There are no standard errors.
    """

    def __init__(self, alpha: float | None = None) -> None:
        self.alpha = alpha

    @property
    def fewest_samples(self) -> int:
        """What the estimate of the noise needs."""
        return 5

    def _check(self) -> None:
        if self.alpha is not None and not self.alpha > 0:
            raise ValueError(f"TotalVariation: alpha must be positive; got {self.alpha!r}.")

    def _smooth_one(self, t: FloatArray, y: FloatArray, column: int) -> _Signal:
        observed = np.isfinite(y)
        trend = _Trend(t[observed], y[observed])
        if self.alpha is not None:
            alpha, x = float(self.alpha), trend.solve(float(self.alpha))
            noise = float(np.sqrt(np.mean((trend.y - x) ** 2)))
        else:
            noise = float(noise_by_differences(t[observed], y[observed, None])[0])
            alpha, x = trend.match(noise)
        values = trend.at(t, x)
        slopes = np.diff(values) / np.diff(t)
        ends = np.concatenate([slopes[:1], slopes, slopes[-1:]])
        return _Signal(values, 0.5 * (ends[1:] + ends[:-1]), noise, None, None, alpha)


class _Trend:
    """Trend filtering of one signal; `D` takes the changes of slope, in rows of unit norm."""

    def __init__(self, t: FloatArray, y: FloatArray) -> None:
        self.t, self.y = t, y
        self.unit = float(np.mean(np.diff(t)))
        rate = self.unit / np.diff(t)
        diagonals = np.array([rate[:-1], -(rate[:-1] + rate[1:]), rate[1:]])
        self.weight = np.linalg.norm(diagonals, axis=0)  # unequal intervals, unequal rows
        self.a, self.b, self.c = diagonals / self.weight
        bands = np.zeros((3, len(y) - 2))  # of D D'
        bands[2] = self.a**2 + self.b**2 + self.c**2
        bands[1, 1:] = self.b[:-1] * self.a[1:] + self.c[:-1] * self.b[1:]
        bands[0, 2:] = self.c[:-2] * self.a[2:]
        self.bands, self.kinks = bands, self._kinks(y)
        self.line = np.polyval(np.polyfit(t - t[0], y, 1), t - t[0])
        # the dual solution of the straight line, by summing its residual twice
        dual = np.cumsum(np.diff(t) * np.cumsum(y - self.line)[:-1])[:-1]
        self.largest = float(np.abs(dual).max())

    def _kinks(self, x: FloatArray) -> FloatArray:
        return np.asarray(self.a * x[:-2] + self.b * x[1:-1] + self.c * x[2:])

    def _adjoint(self, z: FloatArray) -> FloatArray:
        out = np.zeros(len(self.y))
        out[:-2] += self.a * z
        out[1:-1] += self.b * z
        out[2:] += self.c * z
        return out

    def at(self, t: FloatArray, x: FloatArray) -> FloatArray:
        """Continue the straight pieces to other times."""
        found = np.interp(t, self.t, x)
        for side, (i, j) in ((t < self.t[0], (0, 1)), (t > self.t[-1], (-1, -2))):
            slope = (x[j] - x[i]) / (self.t[j] - self.t[i])
            found[side] = x[i] + slope * (t[side] - self.t[i])
        return found

    def solve(self, alpha: float) -> FloatArray:
        """Minimise by steps towards the central path of the dual, ``|z| <= bound``."""
        if alpha >= self.largest:
            return self.line
        bound = alpha / self.unit * self.weight
        n = len(self.kinks)
        z, above, below = np.zeros(n), np.ones(n), np.ones(n)
        sharpness, slope = 1e-10, -self.kinks  # the slope is minus the kinks of the solution
        left = np.zeros(len(self.y))
        for _ in range(_MOST_STEPS):
            primal = 0.5 * float(left @ left) + float(bound @ np.abs(slope))
            dual = float(self.kinks @ z) - 0.5 * float(left @ left)
            if primal - dual <= _GAP * primal:
                break
            over, under = z - bound, -z - bound
            if max(over.max(), under.max()) >= 0:
                break
            gap = -float(above @ over + below @ under)
            sharpness = max(4.0 * n / max(gap, 1e-300), 1.2 * sharpness)
            matrix = self.bands.copy()
            matrix[2] -= above / over + below / under
            side = -slope + (1.0 / over - 1.0 / under) / sharpness
            try:
                dz = solveh_banded(matrix, side, check_finite=False)
            except np.linalg.LinAlgError:  # rounding: no closer solution can be told
                break
            d_above = -above - (1.0 / sharpness + above * dz) / over
            d_below = -below - (1.0 / sharpness - below * dz) / under
            s = min(_longest(above, d_above), _longest(below, d_below))
            s = min(s, _longest(-over, -dz), _longest(-under, dz))
            z, above, below = z + s * dz, above + s * d_above, below + s * d_below
            left = self._adjoint(z)
            slope = self._kinks(left) - self.kinks
        return self.y - left

    def match(self, noise: float) -> tuple[float, FloatArray]:
        """Choose `alpha` so that the residual has the size of the noise."""
        if not noise > 1e-12 * float(np.abs(self.y).max()):
            return 0.0, self.y

        def excess(log_share: float) -> float:
            left = self.y - self.solve(self.largest * 10.0**log_share)
            return float(np.log(np.sqrt(np.mean(left**2)) / noise))

        if excess(0.0) <= 0:  # even the straight line fits to the noise
            return self.largest, self.line
        low = -6.0
        while excess(low) > 0:
            low -= 3.0
        alpha = self.largest * 10.0 ** float(brentq(excess, low, 0.0, xtol=1e-2))
        return alpha, self.solve(alpha)


def _longest(value: FloatArray, change: FloatArray) -> float:
    """Return the largest step, at most one, that keeps positive numbers positive."""
    shrinks = change < 0
    if not shrinks.any():
        return 1.0
    return min(1.0, 0.99 * float(np.min(-value[shrinks] / change[shrinks])))
