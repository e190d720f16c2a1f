"""Inflation: what a finite ensemble forgets of its uncertainty, put back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from discover.typing import FloatArray

__all__ = [
    "AdaptiveInflation",
    "Inflation",
    "MultiplicativeInflation",
    "RelaxToPriorPerturbations",
    "RelaxToPriorSpread",
    "as_inflation",
]


class Inflation(Protocol):
    """Changes the anomalies of an ensemble before and after an analysis.

    `memory` is what it has learned: a number that starts at :meth:`start` and is kept by
    the filter, so that an inflation object has no state of its own.
    """

    def start(self) -> float:
        """Return the first value of the memory."""
        ...

    def before(self, E: FloatArray, memory: float) -> FloatArray:
        """Return the forecast to be analysed."""
        ...

    def learn(self, memory: float, power: float, trace: float, n_observed: int) -> float:
        """Return the memory after seeing an innovation.

        Parameters
        ----------
        memory : float
        power : float
            Squared length of the whitened innovation.
        trace : float
            Trace of the whitened predicted covariance, without inflation.
        n_observed : int
        """
        ...

    def after(self, E: FloatArray, forecast: FloatArray) -> FloatArray:
        """Return the analysis to be forecast."""
        ...


class _Still:
    """An inflation that learns nothing and does nothing."""

    def start(self) -> float:
        return 1.0

    def before(self, E: FloatArray, memory: float) -> FloatArray:
        return E

    def learn(self, memory: float, power: float, trace: float, n_observed: int) -> float:
        return memory

    def after(self, E: FloatArray, forecast: FloatArray) -> FloatArray:
        return E


@dataclass(frozen=True)
class MultiplicativeInflation(_Still):
    """Multiply the anomalies of the analysis.

    Parameters
    ----------
    factor : float
        1 or a little more; 1.02 is two per cent more spread.

    Notes
    -----
    Applied to the analysis, and so before the next forecast: the convention of the
    published numbers.
    """

    factor: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.factor < np.inf:
            raise ValueError(
                f"MultiplicativeInflation: factor must be positive; got {self.factor}."
            )

    def after(self, E: FloatArray, forecast: FloatArray) -> FloatArray:
        """Return the analysis to be forecast."""
        if self.factor == 1.0:
            return E
        mean = E.mean(axis=0)
        E = E - mean
        E *= self.factor
        E += mean
        return E


@dataclass(frozen=True)
class RelaxToPriorSpread(_Still):
    """Bring the spread of every state part of the way back to that of the forecast.

    Parameters
    ----------
    amount : float
        0: not at all; 1: all the way.

    References
    ----------
    J. S. Whitaker, T. M. Hamill, Mon. Weather Rev. 140 (2012) 3078-3089.
    """

    amount: float

    def __post_init__(self) -> None:
        _check_share(self)

    def after(self, E: FloatArray, forecast: FloatArray) -> FloatArray:
        """Return the analysis to be forecast."""
        mean = E.mean(axis=0)
        before, now = forecast.std(axis=0, ddof=1), E.std(axis=0, ddof=1)
        lost = np.divide(before - now, now, out=np.zeros_like(now), where=now > 0)
        return np.asarray(mean + (E - mean) * (1.0 + self.amount * lost))


@dataclass(frozen=True)
class RelaxToPriorPerturbations(_Still):
    """Mix the anomalies of the analysis with those of the forecast.

    Parameters
    ----------
    amount : float
        Share of the forecast: 0 leaves the analysis, 1 brings back all anomalies.

    References
    ----------
    F. Zhang, C. Snyder, J. Sun, Mon. Weather Rev. 132 (2004) 1238-1253.
    """

    amount: float

    def __post_init__(self) -> None:
        _check_share(self)

    def after(self, E: FloatArray, forecast: FloatArray) -> FloatArray:
        """Return the analysis to be forecast."""
        mean = E.mean(axis=0)
        anomalies = (1.0 - self.amount) * (E - mean)
        anomalies += self.amount * (forecast - forecast.mean(axis=0))
        return np.asarray(mean + anomalies)


def _check_share(relaxation: Any) -> None:
    if not 0 <= relaxation.amount <= 1:
        raise ValueError(
            f"{type(relaxation).__name__}: amount must be in [0, 1]; got {relaxation.amount}."
        )


@dataclass(frozen=True)
class AdaptiveInflation(_Still):
    """Learn one factor on the covariance of the forecast from the innovations.

    Parameters
    ----------
    growth : float, default=1.03
        How much less certain the factor gets between two analyses; nearer to 1 is slower.
    initial : float, default=1.1
        First factor on the variance.
    bounds : (float, float), default=(0.9, 10.0)
        Where the factor must stay.

    Notes
    -----
    The innovations say ``E d'd = factor tr(S'S) + p``; one innovation is an estimate of the
    factor with relative variance about ``2 / p`` [1]_, [2]_. It is mixed with the last
    factor as a scalar Kalman filter whose error variance grows by `growth` would in the
    long run: weight ``1 - 1/growth``, less where the innovation says less.

    References
    ----------
    .. [1] H. Li, E. Kalnay, T. Miyoshi, Q. J. R. Meteorol. Soc. 135 (2009) 523-533.
    .. [2] T. Miyoshi, Mon. Weather Rev. 139 (2011) 1519-1535.
    """

    growth: float = 1.03
    initial: float = 1.1
    bounds: tuple[float, float] = (0.9, 10.0)

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not (self.growth > 1 and 0 < low <= self.initial <= high):
            raise ValueError(
                "AdaptiveInflation: growth must exceed 1 and initial lie within positive bounds; "
                f"got {self.growth}, {self.initial} and {self.bounds}."
            )

    def start(self) -> float:
        """Return the first factor."""
        return self.initial

    def before(self, E: FloatArray, memory: float) -> FloatArray:
        """Return the forecast to be analysed."""
        mean = E.mean(axis=0)
        return np.asarray(mean + np.sqrt(memory) * (E - mean))

    def learn(self, memory: float, power: float, trace: float, n_observed: int) -> float:
        """Return the factor after seeing an innovation."""
        if not (n_observed and trace > 0):
            return memory
        says = (power - n_observed) / trace
        # how much of d'd is due to the forecast: where it is little, d'd says little
        share = memory * trace / (memory * trace + n_observed)
        weight = (1.0 - 1.0 / self.growth) * share
        limited = np.clip(says, self.bounds[0], self.bounds[1])
        return float(np.clip(memory + weight * (limited - memory), *self.bounds))


def as_inflation(value: float | Inflation) -> Inflation:
    """Return an inflation; a number is a factor on the anomalies of the analysis."""
    if isinstance(value, int | float | np.floating):
        return MultiplicativeInflation(float(value))
    if not all(hasattr(value, name) for name in ("start", "before", "learn", "after")):
        raise ValueError(f"inflation must be a number or an Inflation; got {value!r}.")
    return value
