"""Validation: what observations say of a law, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from discover.dynamics import Simulation
from discover.observations import Trajectory
from discover.typing import FloatArray
from discover.validation.residuals import Innovations, Whiteness
from discover.validation.verdict import Verdict

__all__ = ["Baseline", "FreeRun", "Validation"]


@dataclass(frozen=True, eq=False)
class Baseline:
    """How a trivial model does on the same observations.

    Parameters
    ----------
    name : str
    nrmse : float
        Root mean square error of its free run over the standard deviation of the data, the
        root mean square over states.
    one_step : float
        The same for one step; NaN where it has none.
    valid_time : float
        Median over the starts, in units of time.
    """

    name: str
    nrmse: float
    one_step: float
    valid_time: float


@dataclass(frozen=True, eq=False)
class FreeRun:
    """The law let loose on one run: it sees the start and the controls, nothing else.

    Parameters
    ----------
    run : Trajectory
    columns : tuple of int
        Where the observed states are among those of the run.
    start : int
        The sample it starts from.
    scored_from : int
        The first sample that counts; those before were used to find the start.
    simulation : Simulation
        At the times of the run from `start` on.
    low, high : ndarray of shape (n_times, n_observed), optional
        Bounds for the observations, measurement noise included.
    start_error : ndarray of shape (n_states,), optional
        Standard error of the start.
    """

    run: Trajectory
    columns: tuple[int, ...]
    start: int
    scored_from: int
    simulation: Simulation
    low: FloatArray | None = None
    high: FloatArray | None = None
    start_error: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Validation:
    """What happened when a law met observations.

    Parameters
    ----------
    names : tuple of str
        The observed states; the arrays below have one entry for each.
    units : mapping of str to str
    n_samples, n_runs : int
    span : float
        Time they cover, in the units of the data.
    seen_before : bool
        Whether the law was fitted to these observations.
    explained : ndarray
        ``1 - mean squared error / variance`` of the free run; minus infinity where it
        diverges. At most 1.
    spread : ndarray
        Standard deviation of the data, those of the training included, in units.
    rmse, nrmse : ndarray
        Root mean square error of the free run, in units and over the standard deviation.
    one_step : ndarray
        Root mean square of the innovations, in units; NaN when the filter fails.
    one_step_skill : float
        Share of the mean squared change from sample to sample that one step predicts.
    valid_time : float
        Median over starts of the time until the error of a forecast, in standard deviations
        and as a root mean square over states, exceeds 0.4.
    valid_to_end : float
        Share of the starts whose forecast stays below it to the end.
    exponent, exponent_error : float
        Largest Lyapunov exponent of the law; NaN where it was not computed.
    chaotic : bool
    diverged : float
        Time from the start after which a free run blows up or leaves the range of the data
        by ten spans; infinite when none does.
    whiteness : tuple of Whiteness
    missing : tuple of (state, term, correlation, p_value)
        Terms outside the law that the innovations go with, strongest first.
    level : float
    coverage : float
        Share of the observations inside their `level` bands; NaN without bands.
    n_independent : float
        About how many independent observations the coverage is judged on.
    n_draws, n_lost : int
        Laws drawn from the posterior, and how many of them did not reach the end.
    noise : ndarray
        Standard deviation of the measurement noise, in units, as the filter sees it.
    baselines : tuple of Baseline
    period : float
        Of the fastest state, in units of time.
    runs : tuple of FreeRun
    innovations : tuple of Innovations
    innovations_seen : bool
        Whether the innovations include observations the law was fitted to.
    verdict : Verdict
    """

    names: tuple[str, ...]
    units: Mapping[str, str]
    n_samples: int
    n_runs: int
    span: float
    seen_before: bool
    explained: FloatArray
    spread: FloatArray
    rmse: FloatArray
    nrmse: FloatArray
    one_step: FloatArray
    one_step_skill: float
    valid_time: float
    valid_to_end: float
    exponent: float
    exponent_error: float
    chaotic: bool
    diverged: float
    whiteness: tuple[Whiteness, ...]
    missing: tuple[tuple[str, str, float, float], ...]
    level: float
    coverage: float
    n_independent: float
    n_draws: int
    n_lost: int
    noise: FloatArray
    baselines: tuple[Baseline, ...]
    period: float
    runs: tuple[FreeRun, ...] = field(repr=False)
    innovations: tuple[Innovations, ...] = field(repr=False)
    innovations_seen: bool
    verdict: Verdict

    @property
    def lyapunov_times(self) -> float:
        """The valid time in Lyapunov times; NaN when the law is not chaotic."""
        return self.valid_time * self.exponent if self.chaotic else np.nan

    def to_dict(self) -> dict[str, Any]:
        """Return the scores and the verdict as plain data that JSON can hold."""
        scores = {
            name: _plain(getattr(self, name))
            for name in (
                "n_samples", "n_runs", "span", "seen_before", "one_step_skill", "valid_time",
                "valid_to_end", "exponent", "exponent_error", "chaotic", "lyapunov_times",
                "diverged", "level", "coverage", "n_draws", "n_lost", "period",
            )
        }  # fmt: skip
        per_state = ("explained", "rmse", "nrmse", "one_step", "noise")
        states = {
            name: {key: _plain(getattr(self, key)[j]) for key in per_state}
            | {"whiteness_p": _plain(self.whiteness[j].p_value if self.whiteness else np.nan)}
            for j, name in enumerate(self.names)
        }
        baselines = {
            b.name: {"nrmse": _plain(b.nrmse), "one_step": _plain(b.one_step),
                     "valid_time": _plain(b.valid_time)}
            for b in self.baselines
        }  # fmt: skip
        return scores | {
            "states": states,
            "baselines": baselines,
            "verdict": self.verdict.to_dict(),
        }

    def __repr__(self) -> str:
        return str(self.verdict)


def _plain(value: Any) -> Any:
    """Return what JSON can hold: numbers that are not finite become None."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    return float(value) if np.isfinite(value) else None
