"""Two-dimensional flow on a beta plane: wrong viscosity, no drag, no gradient of rotation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from discover.bench.errors.results import Setting, noisy, score
from discover.bench.kept import kept_arrays
from discover.bench.medida import Result
from discover.dynamics.vorticity import VorticityEquation, stream_function
from discover.medida import ModelErrorDiscovery
from discover.observations import Axis, Field, Grid
from discover.typing import FloatArray

__all__ = ["CASES", "LIBRARY", "SETTINGS", "measure"]

_POINTS, _DT = 64, 0.02
_SPIN_UP, _APART = 50.0, 2.0  # time before the first burst, and between bursts
_GRID = Grid((Axis.box("x", _POINTS, 2 * np.pi), Axis.box("y", _POINTS, 2 * np.pi)))

#: candidates: what an equation of vorticity may have wrong, and what it never has
LIBRARY = (
    "w, psi, psi_x, psi_y, w_x, w_y, w_xx + w_yy, w_xxxx + 2*w_xxyy + w_yyyy, "
    "psi_x*w_y - psi_y*w_x, w**2, w**3, psi*w, psi**2, psi_x**2 + psi_y**2, w_x**2 + w_y**2"
)
#: what the solver has wrong; the term, and what is missing in units of the true coefficient
CASES: dict[str, tuple[dict[str, float], str, float]] = {
    "viscosity": ({"viscosity": 0.5}, "w_xx + w_yy", 0.5),
    "drag": ({"drag": 0.0}, "w", -1.0),
    "beta": ({"beta": 0.0}, "psi_x", -1.0),
}
_EARTH = {"viscosity": 5e-3, "drag": 0.05, "beta": 1.0}
_OTHER = {"viscosity": 1e-2, "drag": 0.1, "beta": 3.0}

SETTINGS = (
    Setting("flow 64 x 64, 2 %, 50 bursts", 0.02, 50, _DT, seeds=3, worst=0.03),
    Setting("flow 64 x 64, 2 %, 50 bursts, other parameters", 0.02, 50, _DT, system="other",
            seeds=3, worst=0.03),
    Setting("flow 64 x 64, 2 %, 51 states in 17 bursts", 0.02, 17, _DT, seeds=3),
)  # fmt: skip


def _parameters(setting: Setting) -> dict[str, float]:
    return _OTHER if setting.system else _EARTH


def _equation(parameters: dict[str, float]) -> VorticityEquation:
    X, Y = np.meshgrid(*(axis.points for axis in _GRID.axes), indexing="ij")
    return VorticityEquation(_GRID, forcing=np.cos(4 * X + 1.0) + np.cos(4 * Y), **parameters)


@cache
def _truth(other: bool) -> FloatArray:
    """Return fifty bursts of three states, shape (50, 3, n_x, n_y); kept from run to run."""
    name = f"errors_flow_{'other' if other else 'first'}"
    return kept_arrays(name, lambda: {"bursts": _bursts(other)})["bursts"]


def _bursts(other: bool) -> FloatArray:
    flow = _equation(_OTHER if other else _EARTH)
    rng = np.random.default_rng(1 if other else 0)
    waves = _GRID.to_modes(rng.standard_normal(_GRID.shape))
    w = 5.0 * _GRID.from_modes(waves * np.exp(-((_GRID.radius / 5.0) ** 2)))
    bursts = []
    for step in range(round((_SPIN_UP + 50 * _APART) / _DT)):
        w = flow.step(w, 0.0, _DT)
        if step * _DT >= _SPIN_UP and step % round(_APART / _DT) == 0:
            second = flow.step(w, 0.0, _DT)
            bursts.append([w, second, flow.step(second, 0.0, _DT)])
    return np.array(bursts)


def measure(setting: Setting, seed: int) -> Iterator[Result]:
    """Run all cases of one setting and seed."""
    clean = _truth(bool(setting.system))
    chosen = np.linspace(0, len(clean) - 1, setting.n).astype(int)
    w = noisy(setting, clean[chosen], seed)
    times = _APART * chosen[:, None] + setting.spacing * np.arange(3)
    field = Field(w.reshape(-1, *_GRID.shape), times.ravel(), _GRID, ("w",))
    true = _parameters(setting)
    for case, (wrong, term, share) in CASES.items():
        (name,) = wrong
        solver = _equation(true | {name: wrong[name] * true[name]})
        begin = time.perf_counter()
        found = ModelErrorDiscovery(
            solver.step, LIBRARY, vectorized=True, auxiliary=stream_function, random_state=seed
        ).fit(field)
        seconds = time.perf_counter() - begin
        missing: dict[Any, float] = {("w_t", term): share * true[name]}
        yield score(setting, seed, case, found, missing, seconds)
