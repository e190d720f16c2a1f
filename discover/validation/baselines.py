"""What a law has to beat: persistence, the mean, and a linear model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from discover.typing import FloatArray
from discover.validation.following import Follower

__all__ = ["LinearModel", "fit_linear", "mean_path", "persistence_path"]


def persistence_path(follower: Follower, index: int, most: int | None = None) -> FloatArray:
    """Return the sample at `index`, held: shape (n_samples - index, n_observed)."""
    return np.tile(follower.values[index], (len(follower.run) - index, 1))[:most]


def mean_path(mean: FloatArray, follower: Follower, index: int) -> FloatArray:
    """Return the mean of the training data, held."""
    return np.tile(mean, (len(follower.run) - index, 1))


@dataclass(frozen=True, eq=False)
class LinearModel:
    """``x[k+1] = A [x[k], ..., u[k], u[k+1], 1]`` on samples.

    Parameters
    ----------
    weights : ndarray of shape (n_columns, n_observed)
    lags : int
    dt : float
    """

    weights: FloatArray
    lags: int
    dt: float

    def path(self, follower: Follower, index: int, most: int | None = None) -> FloatArray | None:
        """Run by itself from the samples at `index`; NaN before, None where it cannot start."""
        values, U = follower.values, follower.controls(follower.run.times)
        n = min(len(values) - index, len(values) if most is None else most)
        start = values[index : index + self.lags]
        if n <= self.lags or not np.isfinite(start).all():
            return None
        out = np.full((n, values.shape[1]), np.nan)
        out[: self.lags] = start
        limit = 1e6 * np.nanmax(np.abs(values))
        for k in range(self.lags, n):
            row = [out[k - 1 - lag] for lag in range(self.lags)]
            out[k] = _row(row, U, index + k) @ self.weights
            if not (np.abs(out[k]) < limit).all():
                break
        return out

    def one_step(self, follower: Follower) -> FloatArray:
        """Return prediction errors of every sample from those before it."""
        X, Y = _rows(follower, self.lags)
        return np.asarray(Y - X @ self.weights)


def _row(past: Sequence[FloatArray], U: FloatArray | None, k: int) -> FloatArray:
    inputs = [] if U is None else [U[k - 1], U[k]]
    return np.concatenate([*past, *inputs, [1.0]])


def _rows(follower: Follower, lags: int) -> tuple[FloatArray, FloatArray]:
    values, U = follower.values, follower.controls(follower.run.times)
    n = len(values)
    parts = [values[lags - 1 - lag : n - 1 - lag] for lag in range(lags)]
    if U is not None:
        parts += [U[lags - 1 : n - 1], U[lags:]]
    X = np.concatenate([*parts, np.ones((n - lags, 1))], axis=1) if n > lags else np.zeros((0, 1))
    return X, values[lags:]


def fit_linear(followers: Sequence[Follower], lags: int) -> LinearModel | None:
    """Fit a linear model to runs by least squares.

    Parameters
    ----------
    followers : sequence of Follower
    lags : int
        Samples it remembers: 1, or 2 for second-order laws.

    Returns
    -------
    LinearModel or None
        None where samples are not evenly spaced, or too few.
    """
    if not followers or not all(f.run.is_uniform for f in followers):
        return None
    pairs = [_rows(f, lags) for f in followers if len(f.run) > lags]
    if not pairs:
        return None
    X, Y = (np.concatenate(side) for side in zip(*pairs, strict=True))
    known = np.isfinite(X).all(axis=1) & np.isfinite(Y).all(axis=1)
    if known.sum() <= 2 * X.shape[1]:
        return None
    X, Y = X[known], Y[known]
    size = np.sqrt(np.mean(X**2, axis=0))
    size = np.where(size > 0, size, 1.0)
    weights = np.linalg.lstsq(X / size, Y, rcond=1e-12)[0] / size[:, None]
    return LinearModel(weights, lags, followers[0].run.dt)
