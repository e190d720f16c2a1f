"""Forecasts: every member moved from one time to another, whoever knows how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from discover.dynamics.integrators import simulate
from discover.kernels import integrators as kernel
from discover.typing import FloatArray

__all__ = ["Forecast", "as_forecast"]

Forecast = Callable[[FloatArray, float, float], FloatArray]
_RTOL = 1e-6


def as_forecast(
    dynamics: Any, n_states: int, dt: float | None, n_jobs: int | None = None
) -> Forecast:
    """Return a function ``(E, start, end)`` that gives the ensemble at `end`.

    Parameters
    ----------
    dynamics : SymbolicModel, Dynamics or callable
        A law, moved by compiled loops; an object with ``step(x, t, dt, u)`` or
        ``rhs(x, t, u)``; or a function ``(E, t, dt)`` that returns the ensemble `dt` later.
    n_states : int
    dt : float or None
        Longest step of a fixed-step method; None lets laws choose their own steps.
    n_jobs : int, optional
        Processes that share the members of a Python object, through joblib.

    Raises
    ------
    ValueError
        If `dynamics` cannot move a state, or has another number of states.
    """
    if dt is not None and not dt > 0:
        raise ValueError(f"assimilate: dt must be positive; got {dt}.")
    known = getattr(dynamics, "n_states", n_states)
    if known != n_states:
        raise ValueError(
            f"assimilate: dynamics must have the {n_states} states of initial; got {known}."
        )
    if getattr(dynamics, "program", None) is not None:
        return _compiled(dynamics, dt)
    forecast = _python(dynamics, dt)
    return forecast if n_jobs in (None, 1) else _shared(forecast, int(n_jobs or 1))


def _compiled(law: Any, dt: float | None) -> Forecast:
    if law.kind == "direct" or law.n_controls:
        raise ValueError(
            "assimilate: dynamics must be a law of motion without controls; name inputs that "
            f"are to be estimated in parameters=. Got kind {law.kind!r}, controls "
            f"{list(law.control_names)}."
        )
    n, timed = law.n_states, law.time_name is not None
    if law.kind == "continuous" and dt is None:
        return lambda E, start, end: np.ascontiguousarray(
            simulate(law, E, [start, end], rtol=_RTOL, on_failure="return").states[:, -1]
        )
    rule = {"continuous": kernel.RK4, "map": kernel.MAP, "increment": kernel.INCREMENT}[law.kind]
    step = law.dt if law.kind != "continuous" else dt
    program, lower, upper = law.program, np.full(n, -np.inf), np.full(n, np.inf)

    def forecast(E: FloatArray, start: float, end: float) -> FloatArray:
        count = _steps(start, end, step, exact=law.kind != "continuous")
        times = np.array([start, end]) if rule == kernel.RK4 else np.arange(count + 1) * 1.0
        out = np.full((len(E), len(times), n), np.nan)
        kernel.fixed_steps(
            *program, n + timed, np.ascontiguousarray(E), times, np.empty((1, len(times), 0)),
            kernel.HELD, rule, count if rule == kernel.RK4 else 1, lower, upper, out,
            np.zeros((len(E), 3), dtype=np.int64), np.zeros((len(E), 2)),
        )  # fmt: skip
        return np.ascontiguousarray(out[:, -1])

    return forecast


def _steps(start: float, end: float, dt: float | None, *, exact: bool) -> int:
    """Return how many steps of at most `dt` there are between two times."""
    if dt is None:
        dt = 1.0 if exact else end - start
    ratio = (end - start) / dt
    if exact and abs(ratio - round(ratio)) > 1e-6 * max(1.0, ratio):
        raise ValueError(
            f"assimilate: this law steps by dt = {dt:g}, so must the times of the observations; "
            f"got an interval of {end - start:g}."
        )
    return max(1, int(np.ceil(ratio - 1e-6)))


def _python(dynamics: Any, dt: float | None) -> Forecast:
    if hasattr(dynamics, "step"):
        return _stepping(dynamics.step, dt)
    if hasattr(dynamics, "rhs"):
        if dt is None:
            return lambda E, start, end: np.ascontiguousarray(
                simulate(dynamics, E, [start, end], rtol=_RTOL, on_failure="return").states[:, -1]
            )
        return _stepping(lambda x, t, h: _rk4(dynamics.rhs, x, t, h), dt)
    if callable(dynamics):
        return _stepping(dynamics, dt)
    raise ValueError(
        "assimilate: dynamics must be a SymbolicModel, have step(x, t, dt, u) or rhs(x, t, u), "
        f"or be a function (E, t, dt); got {type(dynamics).__name__}."
    )


def _rk4(rhs: Callable[..., Any], x: FloatArray, t: float, h: float) -> FloatArray:
    k1 = np.asarray(rhs(x, t))
    k2 = np.asarray(rhs(x + 0.5 * h * k1, t + 0.5 * h))
    k3 = np.asarray(rhs(x + 0.5 * h * k2, t + 0.5 * h))
    k4 = np.asarray(rhs(x + h * k3, t + h))
    return np.asarray(x + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4))


def _stepping(step: Callable[..., Any], dt: float | None) -> Forecast:
    def forecast(E: FloatArray, start: float, end: float) -> FloatArray:
        count = _steps(start, end, dt, exact=False)
        h, x = (end - start) / count, E
        for k in range(count):
            x = np.asarray(step(x, start + k * h, h), dtype=np.float64)
            if x.shape != E.shape:
                raise ValueError(
                    f"assimilate: dynamics must return the shape {E.shape} it was given, one "
                    f"member per row; got {x.shape}."
                )
        return x

    return forecast


def _shared(forecast: Forecast, n_jobs: int) -> Forecast:
    """Share the members among processes; the result does not depend on their number."""
    from joblib import Parallel, delayed, effective_n_jobs

    pool = Parallel(n_jobs=n_jobs)
    n_blocks = effective_n_jobs(n_jobs)

    def shared(E: FloatArray, start: float, end: float) -> FloatArray:
        blocks = np.array_split(E, min(n_blocks, len(E)))
        return np.concatenate(pool(delayed(forecast)(block, start, end) for block in blocks))

    return shared
