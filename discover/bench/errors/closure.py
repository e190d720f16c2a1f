"""Two-scale Lorenz-96: the closure polynomial of a model of the slow scale (Wilks, 2005)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.polynomial.polynomial import polyfit, polyval

from discover.bench.errors.results import Setting, noisy
from discover.bench.kept import kept_arrays
from discover.bench.medida import Result
from discover.bench.rows import Row
from discover.dynamics.classical import runge_kutta_step
from discover.dynamics.two_scale import TwoScaleLorenz96, lorenz96_rate
from discover.dynamics.valid_time import valid_prediction_time
from discover.medida import ModelErrorDiscovery
from discover.observations import Axis, Field, Grid
from discover.typing import FloatArray

__all__ = ["SETTINGS", "measure", "rows"]

_SYSTEM = TwoScaleLorenz96()  # K 8, J 32, F 20, h 1, b 10, c 10
_DT = 0.0025  # of the truth
_MEMBERS, _APART = 100, 0.5  # runs of the truth, and the time between bursts of one run
_STARTS, _LEAD, _EVERY = 300, 4.0, 0.01  # forecasts

SETTINGS = tuple(
    Setting(f"two-scale Lorenz-96, {100 * noise:g} %, 2,000 bursts at {spacing:g}", noise, 2000,
            spacing, seeds=3)
    for noise in (0.01, 0.05) for spacing in (0.005, 0.02, 0.05)
)  # fmt: skip
_LEAST = 1.15  # valid prediction time of a closure, in units of time, at 1 % of noise


def _advance(states: FloatArray, span: float) -> FloatArray:
    for _ in range(round(span / _DT)):
        states = _SYSTEM.step(states, 0.0, _DT)
    return states


@cache
def _truth() -> tuple[FloatArray, FloatArray]:
    """Return states of both scales, (2,000, n_states), and records of the slow one.

    The records, (n_starts, n_times, n_slow), begin 5 time units after the last state.
    """
    kept = kept_arrays("errors_two_scale", _run)
    return kept["states"], kept["records"]


def _run() -> dict[str, FloatArray]:
    rng, n = np.random.default_rng(0), _SYSTEM.n_slow
    slow = 5.0 + 3.0 * rng.standard_normal((_MEMBERS, n))
    fast = 0.1 * rng.standard_normal((_MEMBERS, _SYSTEM.n_states - n))
    x, states = _advance(np.hstack([slow, fast]), 5.0), []
    for _ in range(2000 // _MEMBERS):
        states.append(x)
        x = _advance(x, _APART)
    starts = []
    for _ in range(_STARTS // _MEMBERS):
        x = _advance(x, 5.0)
        starts.append(x)
    runs = [np.concatenate(starts)]
    for _ in range(round(_LEAD / _EVERY)):
        runs.append(_advance(runs[-1], _EVERY))
    records = np.swapaxes(np.array(runs)[..., :n], 0, 1)
    return {"states": np.concatenate(states), "records": records}


def truncated(x: FloatArray, t: Any, dt: float) -> FloatArray:
    """Step the model under test: the slow scale alone."""
    return runge_kutta_step(lambda x, _: lorenz96_rate(x, _SYSTEM.forcing), x, t, dt)


def _closed(coefficients: FloatArray) -> Callable[..., FloatArray]:
    """Return the model with a polynomial for what the fast sites do."""

    def rate(x: FloatArray, t: Any) -> FloatArray:
        return lorenz96_rate(x, _SYSTEM.forcing) + polyval(x, coefficients)

    return lambda x, t, dt: runge_kutta_step(rate, x, t, dt)


def valid_time(step: Callable[..., FloatArray]) -> float:
    """Return the mean valid prediction time over all starts, in units of time."""
    states, records = _truth()
    run = [records[:, 0]]
    for _ in range(records.shape[1] - 1):
        run.append(step(run[-1], 0.0, _EVERY))
    n = _SYSTEM.n_slow
    scale = np.full(n, states[:, :n].std())
    times = _EVERY * np.arange(records.shape[1])
    forecasts = np.swapaxes(np.array(run), 0, 1)
    return float(np.mean(valid_prediction_time(records, forecasts, times, scale=scale)))


@cache
def _direct(degree: int) -> FloatArray:
    """Return the polynomial of the slow scale that fits the true forcing best."""
    states, _ = _truth()
    x = states[:, : _SYSTEM.n_slow].ravel()
    return np.asarray(polyfit(x, _SYSTEM.subgrid(states).ravel(), degree))


def measure(setting: Setting, seed: int) -> Iterator[Result]:
    """Find the closure, and run it beside no closure and those fitted to the true forcing.

    The error of a result is that of its curve against the direct quartic, over the standard
    deviation of the true forcing; a closure has no right terms, so `exact` only says that
    it could be run.
    """
    states, _ = _truth()
    triples = [states]
    for _ in range(2):
        triples.append(_advance(triples[-1], setting.spacing))
    clean = np.stack(triples, axis=1)[..., : _SYSTEM.n_slow]
    x = noisy(setting, clean, seed)
    times = np.arange(len(x))[:, None] + setting.spacing * np.arange(3)
    ring = Axis.ring("k", _SYSTEM.n_slow)
    begin = time.perf_counter()
    found = ModelErrorDiscovery(truncated, vectorized=True).fit(
        Field(x.reshape(-1, _SYSTEM.n_slow), times.ravel(), Grid((ring,)), ("X",))
    )
    seconds = time.perf_counter() - begin
    slow = states[:, : _SYSTEM.n_slow].ravel()
    best = polyval(slow, _direct(4))
    curves: dict[str, tuple[Any, FloatArray]] = {
        "closure": (found.corrected_.step, found.error_.rhs(slow[:, None])[:, 0])
    }
    if seed == 0:
        curves["none"] = (truncated, np.zeros(len(slow)))
        curves |= {
            name: (_closed(_direct(degree)), np.asarray(polyval(slow, _direct(degree)), np.float64))
            for name, degree in (("direct linear", 1), ("direct quartic", 4))
        }
    spread = _SYSTEM.subgrid(states).std()
    for name, (step, curve) in curves.items():
        error = float(np.sqrt(np.mean((curve - best) ** 2)) / spread)
        terms = int(found.estimate_.support.sum()) if name == "closure" else 0
        spent = seconds if name == "closure" else 0.0
        yield Result(setting.name, seed, name, True, error, 0, terms, spent, valid_time(step))


def rows(setting: Setting, results: Sequence[Result]) -> list[Row]:
    """Return the bars of one setting."""
    mine = [r for r in results if r.case == "closure"]
    valid = np.array([r.valid for r in mine] or [0.0])
    error = np.array([r.error for r in mine] or [np.inf])
    others = ", ".join(f"{r.case} {r.valid:.3g}" for r in results if r.case != "closure")
    name = f"errors, {setting.name}"
    return [
        Row(f"{name}: shortest valid prediction time of a closure", float(valid.min()), "",
            f"median {np.median(valid):.3g} of {len(mine)} seeds, {_STARTS} starts; {others}",
            f">= {_LEAST}" if setting.noise <= 0.01 else ""),
        Row(f"{name}: largest error of the curve", float(error.max()), "",
            "against the direct quartic, over the standard deviation of the forcing"),
    ]  # fmt: skip
