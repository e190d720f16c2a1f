"""Request: the arguments of an assimilation, checked once and put in one form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from discover.assimilation.covariance import Covariance
from discover.assimilation.forecast import Forecast, as_forecast
from discover.assimilation.observing import Operator, as_operators
from discover.assimilation.parameters import with_parameters
from discover.exceptions import DataError
from discover.observations import Trajectory, as_trajectories
from discover.symbolic import SymbolicModel
from discover.typing import FloatArray

__all__ = ["Request", "read_request"]


@dataclass(frozen=True, eq=False)
class Request:
    """What every method of assimilation is given.

    Parameters
    ----------
    forecast : callable
        ``(E, start, end)`` gives the ensemble at `end`.
    operator : callable
        Number of the observation -> function from ensemble to predictions.
    times : ndarray of shape (n_times,)
    y : list of ndarray
        One vector of observations per time; NaN where nothing was observed.
    R : list of Covariance
        One per time; the same object where it does not change.
    start : float
        Time at which the initial ensemble is valid.
    initial : ndarray of shape (n_members, n_states), or None
    mean : ndarray of shape (n_states,)
    covariance : Covariance or None
        Of the initial state, where it is not an ensemble.
    state_names : tuple of str
    truth : ndarray of shape (n_times, n_true) or None
    law : SymbolicModel or None
        The law that is followed, with its parameters as states.
    """

    forecast: Forecast
    operator: Callable[[int], Operator]
    times: FloatArray
    y: list[FloatArray]
    R: list[Covariance]
    start: float
    initial: FloatArray | None
    mean: FloatArray
    covariance: Covariance | None
    state_names: tuple[str, ...]
    truth: FloatArray | None
    law: Any

    @property
    def n_states(self) -> int:
        """Number of states, parameters included."""
        return len(self.mean)

    def ensemble(self, n_members: int, *, rng: np.random.Generator) -> FloatArray:
        """Return the initial ensemble."""
        if self.initial is not None:
            if len(self.initial) != n_members:
                raise ValueError(
                    f"assimilate: initial must have n_members = {n_members} rows; got "
                    f"{len(self.initial)}."
                )
            return self.initial.copy()
        assert self.covariance is not None
        return self.mean + self.covariance.draw(n_members, rng=rng)


def read_request(
    dynamics: Any,
    observe: Any,
    R: Any,
    observations: Any,
    t: ArrayLike | None,
    *,
    initial: Any,
    start: float | None,
    truth: ArrayLike | None,
    parameters: Sequence[str] | Mapping[str, Any] | None,
    dt: float | None,
    n_jobs: int | None,
) -> Request:
    """Check the arguments of ``assimilate``; see :class:`EnsembleKalmanFilter`."""
    law = dynamics
    if parameters:
        if not isinstance(dynamics, SymbolicModel):
            raise ValueError(
                "assimilate: parameters are inputs or coefficients of a SymbolicModel; got "
                f"{type(dynamics).__name__}."
            )
        law = with_parameters(dynamics, parameters)
    times, y, names = _read_observations(observations, t)
    ensemble, mean, covariance = _read_initial(initial)
    state_names = tuple(getattr(law, "state_names", None) or [f"x{i}" for i in range(len(mean))])
    forecast = as_forecast(law, len(mean), dt, n_jobs)
    if start is None:
        start = float(times[0])
    if start > times[0]:
        raise ValueError(
            f"assimilate: start must not be after the first observation at t = {times[0]:g}; "
            f"got {start:g}."
        )
    sizes = [len(row) for row in y]
    if observe is None and names and set(names) <= set(state_names) and names != state_names:
        observe = list(names)
    if observe is None and law is not dynamics and set(sizes) == {dynamics.n_states}:
        observe = np.arange(dynamics.n_states)  # parameters are not seen
    true = None if truth is None else _read_truth(truth, len(times), len(mean))
    return Request(
        forecast, as_operators(observe, times, sizes, state_names), times, y,
        _read_errors(R, sizes), float(start), ensemble, mean, covariance, state_names, true, law,
    )  # fmt: skip


def _read_observations(
    observations: Any, t: ArrayLike | None
) -> tuple[FloatArray, list[FloatArray], tuple[str, ...]]:
    """Return times, one vector per time, and the names of the columns where there are any."""
    if _is_ragged(observations):
        y = [np.atleast_1d(np.asarray(row, dtype=np.float64)) for row in observations]
        if t is None:
            raise DataError("assimilate: t is needed where the number of observations changes.")
        times = np.asarray(t, dtype=np.float64)
        _check_times(times, len(y))
        return times, y, ()
    times_given = None if t is None else t
    if times_given is not None and np.ndim(times_given) == 1 and not isinstance(t, str):
        _check_times(np.asarray(times_given, dtype=np.float64), len(observations))
    if not isinstance(observations, Trajectory) and not hasattr(observations, "columns"):
        array = np.asarray(observations, dtype=np.float64)
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim == 2 and np.isnan(array).all() and t is not None and np.ndim(t) == 1:
            raise DataError("assimilate: observations are all NaN; there is nothing to use.")
        if array.ndim == 2 and t is not None and np.ndim(t) == 1:
            return np.asarray(t, dtype=np.float64), _rows(array), ()
    (run,) = as_trajectories(observations, t, owner="assimilate")
    unnamed = run.state_names == tuple(f"x{i}" for i in range(run.n_states))
    return run.times, _rows(run.states), () if unnamed else run.state_names


def _rows(array: FloatArray) -> list[FloatArray]:
    if np.isinf(array).any():
        row = int(np.argmax(np.isinf(array).any(axis=1)))
        raise DataError(
            f"assimilate: observations must be finite, or NaN where not observed; row {row} is "
            "infinite."
        )
    return list(array)


def _is_ragged(observations: Any) -> bool:
    if not isinstance(observations, list | tuple) or not len(observations):
        return False
    sizes = {np.size(row) for row in observations if not isinstance(row, Trajectory)}
    return len(sizes) > 1


def _check_times(times: FloatArray, n_rows: int) -> None:
    if times.shape != (n_rows,):
        raise DataError(
            f"assimilate: t must have one time per row of observations, {n_rows}; got shape "
            f"{times.shape}."
        )
    late = np.flatnonzero(~(np.diff(times) > 0))
    if len(late) or not np.isfinite(times).all():
        k = int(late[0]) if len(late) else int(np.argmin(np.isfinite(times)))
        raise DataError(
            f"assimilate: t must be finite and strictly increasing; t[{k}] = {times[k]:g}"
            + (f" is followed by {times[k + 1]:g}." if len(late) else ".")
        )


def _read_initial(
    initial: Any,
) -> tuple[FloatArray | None, FloatArray, Covariance | None]:
    """Return ensemble or None, mean, and covariance or None."""
    if isinstance(initial, tuple) and len(initial) == 2:
        mean = np.array(initial[0], dtype=np.float64, ndmin=1)
        if mean.ndim != 1 or not np.isfinite(mean).all():
            raise ValueError(
                f"assimilate: the mean of initial must be finite, of shape (n_states,); got "
                f"{mean.shape}."
            )
        return None, mean, Covariance(initial[1], len(mean), "assimilate", "initial covariance")
    if initial is None:
        raise ValueError(
            "assimilate: initial must say what is known at the start: (mean, covariance), or an "
            "ensemble of shape (n_members, n_states)."
        )
    E = np.array(initial, dtype=np.float64)
    if E.ndim != 2 or len(E) < 2 or not np.isfinite(E).all():
        raise ValueError(
            "assimilate: initial must be (mean, covariance), or a finite ensemble of shape "
            f"(n_members, n_states); got shape {E.shape}."
        )
    return E, E.mean(axis=0), None


def _read_errors(R: Any, sizes: Sequence[int]) -> list[Covariance]:
    if isinstance(R, list) and len(R) == len(sizes) and np.ndim(R[0]) > 0:
        return [Covariance(r, p, "assimilate") for r, p in zip(R, sizes, strict=True)]
    kept = {p: Covariance(R, p, "assimilate") for p in set(sizes)}
    return [kept[p] for p in sizes]


def _read_truth(truth: ArrayLike, n_times: int, n_states: int) -> FloatArray:
    true = np.asarray(truth, dtype=np.float64)
    if true.ndim != 2 or len(true) != n_times or true.shape[1] > n_states:
        raise ValueError(
            f"assimilate: truth must have shape ({n_times}, {n_states}), the states at the times "
            f"of the observations (parameters may be left out); got {true.shape}."
        )
    return true
