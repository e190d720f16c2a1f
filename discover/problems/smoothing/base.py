"""Smoother: what all smoothers share, and what they return."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from discover.exceptions import DataError
from discover.typing import FloatArray

__all__ = ["Signal", "Smoothed", "Smoother"]


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
class Signal:
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
    def _smooth_one(self, t: FloatArray, y: FloatArray, column: int) -> Signal:
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
