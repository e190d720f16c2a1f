"""Lorenz-63, and rings of Lorenz-96: one term wrong, lost, or too many."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

from discover.bench.errors.results import Setting, noisy, score
from discover.bench.medida import Result
from discover.dynamics.classical import runge_kutta_step
from discover.dynamics.two_scale import lorenz96_rate
from discover.medida import ModelErrorDiscovery
from discover.observations import Axis, Field, Grid
from discover.typing import FloatArray

__all__ = ["SETTINGS", "measure"]

Rate = Callable[[FloatArray], FloatArray]

SETTINGS = tuple(
    setting
    for system in ("Lorenz-63", "Lorenz-96")
    for setting in (
        Setting(f"{system}, 1 %, 500 bursts at 0.02", 0.01, 500, 0.02, system=system, seeds=5),
        Setting(f"{system}, 5 %, series of 400 at 0.05", 0.05, 400, 0.05, series=True,
                system=system, seeds=5),
    )
)  # fmt: skip
_FINE, _SITES = 0.01, 10
_RING = "1, X, X**2, X_km2, X_km1, X_kp1, X_km1*X_kp1, X_km2*X_km1, X*X_kp1, X*X_km1, X**3"


def _lorenz63(x: FloatArray, rho: float = 28.0, *, coupled: bool = True) -> FloatArray:
    a, b, c = np.moveaxis(x, -1, 0)
    return np.stack([10 * (b - a), a * (rho - c) - b, coupled * a * b - 8 / 3 * c], axis=-1)


def _lorenz96(x: FloatArray) -> FloatArray:
    return lorenz96_rate(x, 8.0)


_TRUTH: dict[str, Rate] = {"Lorenz-63": _lorenz63, "Lorenz-96": _lorenz96}
#: the solver's tendency, and what it lacks
_CASES: dict[str, dict[str, tuple[Rate, tuple[str, str], float]]] = {
    "Lorenz-63": {
        "wrong rho": (lambda x: _lorenz63(x, 25.0), ("x1", "x0"), 3.0),
        "missing product": (lambda x: _lorenz63(x, coupled=False), ("x2", "x0*x1"), 1.0),
        "superfluous damping": (
            lambda x: _lorenz63(x) - np.array([0.5, 0.0, 0.0]) * x, ("x0", "x0"), 0.5
        ),
    },
    "Lorenz-96": {
        "wrong forcing": (lambda x: _lorenz96(x) - 2.0, ("X_t", "1"), 2.0),
        "missing damping": (lambda x: _lorenz96(x) + x, ("X_t", "X"), -1.0),
        "weak advection": (
            lambda x: _lorenz96(x) - 0.3 * np.roll(x, 1, -1) * np.roll(x, -1, -1),
            ("X_t", "X_km1*X_kp1"), 0.3,
        ),
    },
}  # fmt: skip


@cache
def _truth(system: str) -> FloatArray:
    """Return 150 time units of a system, every 0.01."""
    n = 3 if system == "Lorenz-63" else _SITES
    x, run = 2.0 + np.random.default_rng(0).standard_normal(n), []
    for step in range(17_000):
        for _ in range(2):
            x = _step(_TRUTH[system])(x, 0.0, _FINE / 2)
        if step >= 2_000:
            run.append(x)
    return np.array(run)


def _step(rate: Rate) -> Callable[[FloatArray, Any, float], FloatArray]:
    return lambda x, t, dt: runge_kutta_step(lambda x, _: rate(x), x, t, dt)


def measure(setting: Setting, seed: int) -> Iterator[Result]:
    """Run all cases of one setting and seed."""
    run, every = _truth(setting.system), round(setting.spacing / _FINE)
    at = every * np.arange(setting.n)
    if not setting.series:
        first = np.linspace(0, len(run) - 1 - 2 * every, setting.n).astype(int)
        at = (first[:, None] + every * np.arange(3)).ravel()
    states = noisy(setting, run[at], seed)
    times = np.asarray(_FINE * at, dtype=np.float64)
    for case, (rate, missing, value) in _CASES[setting.system].items():
        begin = time.perf_counter()
        if setting.system == "Lorenz-63":
            found = ModelErrorDiscovery(_step(rate), vectorized=True).fit(states, times)
        else:
            ring = Field(states, times, Grid((Axis.ring("k", _SITES),)), ("X",))
            found = ModelErrorDiscovery(_step(rate), _RING, vectorized=True).fit(ring)
        seconds = time.perf_counter() - begin
        yield score(setting, seed, case, found, {missing: value}, seconds)
