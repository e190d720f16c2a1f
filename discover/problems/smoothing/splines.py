"""Integrated Wiener processes, whose means are smoothing splines."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from math import factorial
from numbers import Integral
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from discover.kernels import smoother as kernel
from discover.problems.smoothing.base import Signal, Smoother
from discover.typing import BoolArray, FloatArray

__all__ = ["RauchTungStriebel", "SmoothingSpline"]

_MOST_SELECTED = 4_000  # samples the amount of smoothing is chosen on
_RANGE = (-30.0, 12.0)  # of log10 of the ratio of driving noise to measurement noise
_GRID = 22
_ORDERS = (3, 4, 5)
_LEAST_FREE = 1.0  # degrees of freedom left to the residual


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

    def _smooth_one(self, t: FloatArray, y: FloatArray, column: int) -> Signal:
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

    def _smooth_one(self, t: FloatArray, y: FloatArray, column: int) -> Signal:
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
        return Signal(
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

    def signal(self, ratio: float, noise: float | None) -> Signal:
        """Return the smoothed signal; its noise is the likeliest where none is given."""
        z, P, variance = self.solve(ratio)
        std = float(np.sqrt(variance)) if noise is None else noise
        errors = std * np.sqrt(P[:, :2]) / [1.0, self.unit]
        slopes = z[:, 1] / self.unit
        return Signal(z[:, 0].copy(), slopes, std, errors[:, 0], errors[:, 1], ratio)

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
