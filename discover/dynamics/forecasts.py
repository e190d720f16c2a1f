"""Forecasts of two laws held against the truth: error by lead time, valid time, spectrum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from discover.dynamics.valid_time import valid_prediction_time
from discover.exceptions import SimulationError
from discover.typing import FloatArray

__all__ = ["ForecastComparison", "blows_up", "compare_forecasts", "follow", "warn_of_blow_up"]

Step = Callable[..., Any]
_TRIAL_STEPS = 400  # over which a corrected solver must not blow up
_BEYOND = 10.0  # times the largest state of the start: an orbit out there has left for good


def follow(
    step: Step, past: FloatArray, times: FloatArray, dt: float, history: int = 1
) -> FloatArray:
    """Return the states of a run at given times; NaN from where it blew up.

    Parameters
    ----------
    step : callable
        ``step(x, t, dt)``.
    past : ndarray of shape (history, *state)
        Last states before and at the first time, a step apart, oldest first.
    times : ndarray of shape (n_times,)
        The first is that of the start.
    dt : float
        Longest step; intervals are cut evenly.
    history : int, default=1
        How many states a step takes.

    Returns
    -------
    ndarray of shape (n_times, *state)
    """
    out = np.full((len(times), *past.shape[1:]), np.nan)
    out[0] = past[-1]
    bound = _BEYOND * (np.abs(past).max() + 1.0) * 1e3
    with np.errstate(all="ignore"):
        for i, (start, end) in enumerate(pairwise(times.tolist())):
            n = max(1, int(np.ceil((end - start) / dt - 1e-9)))
            h = (end - start) / n
            for k in range(n):
                try:
                    new = step(past if history > 1 else past[0], start + k * h, h)
                except (SimulationError, FloatingPointError, OverflowError):
                    return out
                past = np.concatenate([past[1:], np.asarray(new)[None]])
            if not np.isfinite(past).all() or np.abs(past).max() > bound:
                return out
            out[i + 1] = past[-1]
    return out


def blows_up(run: FloatArray) -> bool:
    """Whether a run leaves the neighbourhood of its start, ten times its largest state."""
    return not bool(np.isfinite(run).all() and np.abs(run).max() <= _BEYOND * np.abs(run[0]).max())


def warn_of_blow_up(
    base: Step, corrected: Step, state: FloatArray, dt: float, history: int = 1
) -> str:
    """Run two laws on from a state; say if the second blows up and the first does not.

    Parameters
    ----------
    base, corrected : callable
        ``step(x, t, dt)``.
    state : ndarray
    dt : float
    history : int, default=1
        How many states a step takes; the past is taken to be constant.

    Returns
    -------
    str
        Empty where there is nothing to say.
    """
    past = np.repeat(state[None], history, axis=0)
    times = np.linspace(0.0, dt * _TRIAL_STEPS, _TRIAL_STEPS + 1)
    run = follow(corrected, past, times, dt, history)
    if not blows_up(run) or blows_up(follow(base, past, times, dt, history)):
        return ""
    lost = int(np.argmin(np.isfinite(run.reshape(len(times), -1)).all(axis=1)))
    when = times[lost] if lost else times[-1]
    return (
        f"the corrected solver blows up within {when:.3g} time units of the last state, at "
        f"steps of {dt:.3g}; the solver alone does not: what fits need not run"
    )


@dataclass(frozen=True, eq=False)
class ForecastComparison:
    """Forecasts by a solver and by the corrected one, and what really happened.

    Parameters
    ----------
    lead : ndarray of shape (n_times,)
        Time since the start.
    truth, base, corrected : ndarray of shape ``(n_times, *state)``
        NaN where a run had blown up.
    threshold : float
        Of the valid prediction time, in standard deviations of the truth: of each state, or
        of a component over the whole grid.
    n_axes : int, default=0
        Axes of the grid; 0 where the states are no fields.
    """

    lead: FloatArray
    truth: FloatArray
    base: FloatArray
    corrected: FloatArray
    threshold: float = 0.4
    n_axes: int = 0

    def _rmse(self, forecast: FloatArray) -> FloatArray:
        axes = tuple(range(1, self.truth.ndim))
        return np.asarray(np.sqrt(np.mean((forecast - self.truth) ** 2, axis=axes)))

    @property
    def base_rmse(self) -> FloatArray:
        """Root-mean-square error of the solver at every lead time, in units of the state."""
        return self._rmse(self.base)

    @property
    def corrected_rmse(self) -> FloatArray:
        """The same of the corrected solver."""
        return self._rmse(self.corrected)

    def _valid(self, forecast: FloatArray) -> float:
        flat = (len(self.lead), -1)
        over = tuple(range(1 + self.n_axes))
        spread = np.std(self.truth, axis=over) * np.ones(self.truth.shape[1:])
        unit = np.maximum(spread.ravel(), 1e-12 * np.abs(self.truth).max())
        return float(
            valid_prediction_time(
                self.truth.reshape(flat), forecast.reshape(flat), self.lead,
                threshold=self.threshold, scale=unit,
            )
        )  # fmt: skip

    @property
    def base_valid_time(self) -> float:
        """Time until the solver leaves the truth."""
        return self._valid(self.base)

    @property
    def corrected_valid_time(self) -> float:
        """Time until the corrected solver leaves the truth."""
        return self._valid(self.corrected)

    def spectra(self) -> dict[str, FloatArray]:
        """Return the mean power by wavenumber index along the first axis of a field.

        Returns
        -------
        dict of str to ndarray of shape (n_points // 2 + 1,)
            Of truth, base and corrected, over the times before a run blew up.

        Raises
        ------
        ValueError
            If the states are not fields.
        """
        if not self.n_axes:
            raise ValueError("ForecastComparison: only fields have a spectrum in space.")
        return {name: _power(getattr(self, name)) for name in ("truth", "base", "corrected")}

    def densities(
        self, component: int = 0, n_bins: int = 60
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Return how often which values occur.

        Parameters
        ----------
        component : int, default=0
            State, or component of a field.
        n_bins : int, default=60
            Over the range of the truth, widened by a tenth to either side.

        Returns
        -------
        edges : ndarray of shape (n_bins + 1,)
        densities : dict of str to ndarray of shape (n_bins,)
            Of truth, base and corrected, over the times before a run blew up, per unit of
            the state; the share that lies outside the range is missing from the integral.
        """
        whole = self.truth.ndim == 1 + self.n_axes > 1
        values = {
            name: run.ravel() if whole else run[..., component].ravel()
            for name, run in (
                ("truth", self.truth), ("base", self.base), ("corrected", self.corrected)
            )
        }  # fmt: skip
        low, high = float(values["truth"].min()), float(values["truth"].max())
        margin = 0.1 * (high - low) or 1.0
        edges = np.linspace(low - margin, high + margin, n_bins + 1)
        found = {}
        for name, run in values.items():
            finite = run[np.isfinite(run)]
            counts, _ = np.histogram(finite, edges)
            found[name] = counts / (len(finite) * np.diff(edges))
        return edges, found

    def table(self) -> Any:
        """Return lead time and both errors.

        Returns
        -------
        pandas.DataFrame
            Columns lead, base_rmse, corrected_rmse.
        """
        import pandas as pd

        return pd.DataFrame(
            {
                "lead": self.lead,
                "base_rmse": self.base_rmse,
                "corrected_rmse": self.corrected_rmse,
            }
        )

    def __repr__(self) -> str:
        """Return the valid prediction times."""
        end = self.lead[-1]
        return (
            f"valid prediction time ({self.threshold:g} std, of {end:.4g}): base "
            f"{self.base_valid_time:.4g}, corrected {self.corrected_valid_time:.4g}"
        )


def _power(run: FloatArray) -> FloatArray:
    kept = run[np.isfinite(run.reshape(len(run), -1)).all(axis=1)]
    modes = np.fft.rfft(kept, axis=1, norm="forward")
    axes = (0, *range(2, modes.ndim))
    return np.asarray(np.mean(np.abs(modes) ** 2, axis=axes))


def compare_forecasts(
    base: Step,
    corrected: Step,
    truth: FloatArray,
    times: FloatArray,
    dt: float,
    *,
    history: int = 1,
    threshold: float = 0.4,
    n_axes: int = 0,
    start: FloatArray | None = None,
) -> ForecastComparison:
    """Run two laws from the start of a record and hold them against it.

    Parameters
    ----------
    base, corrected : callable
        ``step(x, t, dt)``.
    truth : ndarray of shape (n_times, *state)
    times : ndarray of shape (n_times,)
    dt : float
        Longest step of the runs.
    history : int, default=1
        How many states a step takes; the past is taken to be constant.
    threshold : float, default=0.4
    n_axes : int, default=0
        Axes of the grid, if the states are fields.
    start : ndarray, optional
        State at the first time; by default the first of the record.

    Returns
    -------
    ForecastComparison
    """
    past = np.repeat(truth[:1] if start is None else start[None], history, axis=0)
    runs = [follow(step, past, times, dt, history) for step in (base, corrected)]
    return ForecastComparison(times - times[0], truth, runs[0], runs[1], threshold, n_axes)
