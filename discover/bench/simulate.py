"""Evaluate and follow the Lorenz law: one state, many states, twenty time units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from discover.bench import lorenz
from discover.bench.peers import fit_pysindy, quietly, with_coefficients
from discover.bench.rows import Row
from discover.bench.timing import compared, take_turns
from discover.libraries import PolynomialLibrary
from discover.sindy import SINDy
from discover.typing import FloatArray

__all__ = ["run"]

_TOLERANCE = 1e-9
_CHAOS = "largest of any state; chaos multiplies an error by exp(0.9 t)"


def run(quick: bool = False) -> list[Row]:
    """Compare evaluation and simulation with pysindy and with SciPy's LSODA."""
    shortest = 0.01 if quick else 0.1
    rows = [_one_state(shortest), _one_prediction(shortest)]
    rows += [_many_states(degree, shortest) for degree in (2, 5)]
    return rows + _twenty_units(500 if quick else 10_000, 2.0 if quick else 20.0)


# -- evaluation --------------------------------------------------------------------


def _one_state(shortest: float) -> Row:
    law, x = lorenz.law(), np.array(lorenz.STARTS[0])
    own = take_turns({"ours": lambda: law(x)}, shortest=shortest)["ours"]
    return Row("simulate: law of one state", own.cpu * 1e6, "us", str(own), "<= 5")


def _one_prediction(shortest: float) -> Row:
    X = np.asarray(lorenz.law().simulate(lorenz.STARTS[0], np.arange(2000) * 0.01))
    model, x = SINDy().fit(X, 0.01), X[:1]
    own = take_turns({"ours": lambda: model.predict(x)}, shortest=shortest)["ours"]
    return Row("simulate: SINDy.predict of one state", own.cpu * 1e6, "us", str(own), "<= 100")


def _many_states(degree: int, shortest: float) -> Row:
    """Evaluate 1,024 states; pysindy evaluates its library, we the terms in the law."""
    law, model = lorenz.law(degree), _pysindy_law(degree)
    X = np.asarray(lorenz.law().simulate(lorenz.STARTS[0], np.arange(1024) * 0.01))
    timings = take_turns(
        {"ours": lambda: law(X), "pysindy": lambda: model.predict(X)}, shortest=shortest
    )
    return Row(
        f"simulate: 1,024 states, degree {degree}, pysindy over ours",
        timings["pysindy"] / timings["ours"], "x", compared(timings), ">= 30",
    )  # fmt: skip


def _pysindy_law(degree: int) -> Any:
    """Return pysindy's model with the exact coefficients of Lorenz."""
    X = np.asarray(lorenz.law().simulate(lorenz.STARTS[0], np.arange(2000) * 0.01))
    names = PolynomialLibrary(degree).build(["x", "y", "z"]).names  # pysindy's order, too
    return with_coefficients(fit_pysindy(X, 0.01, degree), lorenz.coefficients(names))


# -- simulation --------------------------------------------------------------------


def _twenty_units(n_times: int, duration: float) -> list[Row]:
    """Follow one orbit with the same tolerances; the errors are against DOP853 at 1e-13."""
    times, start = np.linspace(0.0, duration, n_times), np.array(lorenz.STARTS[0])
    tasks = {
        "ours": lambda: np.asarray(
            lorenz.law().simulate(start, times, rtol=_TOLERANCE, atol=_TOLERANCE)
        ),
        "LSODA, compiled rhs": _lsoda(start, times),
    }
    slow = {"pysindy": _pysindy(start, times)}
    timings = take_turns(tasks, repeats=7, shortest=0.05) | take_turns(slow, repeats=1)
    reference = lorenz.exact_run(start, times)
    errors = {name: _error(task(), reference) for name, task in (tasks | slow).items()}
    own, where = timings["ours"], f"simulate {duration:g} time units"
    return [
        Row(f"{where}: pysindy over ours", timings["pysindy"] / own, "x",
            f"{n_times:,} times, tolerances {_TOLERANCE:g}: {compared(timings)}", ">= 100"),
        Row(f"{where}: LSODA with a compiled law over ours",
            timings["LSODA, compiled rhs"] / own, "x", "", ">= 1"),
        *(Row(f"{where}: error, {name}", error, "", _CHAOS) for name, error in errors.items()),
    ]  # fmt: skip


def _error(found: FloatArray, reference: FloatArray) -> float:
    return float(np.abs(found - reference).max())


def _lsoda(start: FloatArray, times: FloatArray) -> Callable[[], FloatArray]:
    """Return the run of SciPy's LSODA with a hand-written, compiled right-hand side."""
    from scipy.integrate import solve_ivp

    rhs = _compiled_slope()
    span, options = (times[0], times[-1]), {"rtol": _TOLERANCE, "atol": _TOLERANCE}
    return lambda: solve_ivp(rhs, span, start, method="LSODA", t_eval=times, **options).y.T


def _compiled_slope() -> Any:
    from numba import njit

    @njit
    def slope(t, state):  # type: ignore[no-untyped-def]
        x, y, z = state
        return np.array([10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z])

    return slope


def _pysindy(start: FloatArray, times: FloatArray) -> Callable[[], FloatArray]:
    model = _pysindy_law(2)
    options = {"method": "LSODA", "rtol": _TOLERANCE, "atol": _TOLERANCE}

    def follow() -> FloatArray:
        with quietly():
            return np.asarray(model.simulate(start, times, integrator_kws=options))

    return follow
