"""Total variation of the derivative: signals with kinks."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded
from scipy.optimize import brentq

from discover.problems.noise import noise_by_differences
from discover.problems.smoothing.base import Signal, Smoother
from discover.typing import FloatArray

__all__ = ["TotalVariation"]

_MOST_STEPS = 100  # of the interior-point method; about 30 are usual
_GAP = 1e-6


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

    def _smooth_one(self, t: FloatArray, y: FloatArray, column: int) -> Signal:
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
        return Signal(values, 0.5 * (ends[1:] + ends[:-1]), noise, None, None, alpha)


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
