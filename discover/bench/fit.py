"""Fit Lorenz: speed and agreement with pysindy, accuracy on exact data, and against lstsq."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from discover.bench import lorenz
from discover.bench.peers import fit_pysindy
from discover.bench.rows import Row
from discover.bench.timing import compared, take_turns
from discover.libraries import PolynomialLibrary
from discover.problems import FiniteDifference
from discover.regression import STLSQ
from discover.sindy import SINDy
from discover.typing import FloatArray

__all__ = ["least_squares_problems", "run"]

_STEPS = (0.001, 0.002, 0.01)
_DEGREES = (5, 7)
_THRESHOLD = 0.1


def run(quick: bool = False) -> list[Row]:
    """Compare with pysindy, with the true law, and with numpy.linalg.lstsq."""
    n = 10_000 if quick else 100_000
    rows = [row for dt in _STEPS for row in _against_pysindy(n, dt, repeats=2 if quick else 9)]
    starts = lorenz.STARTS[:1] if quick else lorenz.STARTS
    rows += [row for degree in _DEGREES for row in _exact_data(degree, starts)]
    return [*rows, _against_lstsq()]


# -- speed and agreement -----------------------------------------------------------


def _against_pysindy(n: int, dt: float, repeats: int) -> list[Row]:
    """Fit the same differences with the same threshold, from a start on the attractor."""
    X = np.asarray(lorenz.law().simulate(lorenz.STARTS[0], np.arange(n) * dt, rtol=1e-12))
    timings = take_turns(
        {"ours": lambda: _fit(X, dt), "pysindy": lambda: fit_pysindy(X, dt, 5)}, repeats=repeats
    )
    ours, theirs = _fit(X, dt).symbolic_.coefficients, fit_pysindy(X, dt, 5).coefficients()
    truth = lorenz.coefficients(PolynomialLibrary(5).build(["x", "y", "z"]).names)
    lorenz_found = bool(((theirs != 0) == (truth != 0)).all())
    where = f"fit, dt={dt:g}"
    detail = f"{n:,} x 3, 56 terms, dt={dt:g}: {compared(timings)}"
    return [
        Row(f"{where}: pysindy over ours", timings["pysindy"] / timings["ours"], "x", detail,
            ">= 25"),
        Row(f"{where}: terms that differ from pysindy's", int(((ours != 0) != (theirs != 0)).sum()),
            "", "both find Lorenz" if lorenz_found else "pysindy does not find Lorenz", "<= 0"),
        Row(f"{where}: difference to pysindy",
            float(np.abs(ours - theirs).max() / np.abs(theirs).max()), "",
            "of coefficients, relative to the largest", "<= 1e-10"),
    ]  # fmt: skip


def _fit(X: FloatArray, dt: float) -> SINDy:
    regressor = STLSQ(_THRESHOLD, threshold_on="coefficient")
    return SINDy(PolynomialLibrary(5), regressor, method=FiniteDifference(2)).fit(X, dt)


# -- accuracy ----------------------------------------------------------------------


def _exact_data(degree: int, starts: tuple[tuple[float, ...], ...]) -> list[Row]:
    """Identify from exact data with nothing set but the degree."""
    cases = [(dt, *_identified(degree, dt, start)) for dt in _STEPS for start in starts]
    wrong = [f"dt={dt:g} ({terms} terms)" for dt, terms, _ in cases if terms]
    worst_dt, _, worst = max(cases, key=lambda case: case[2])
    where = f"fit, exact data, degree {degree}"
    return [
        Row(f"{where}: cases with a wrong term", len(wrong), "",
            f"of {len(cases)}; {', '.join(wrong) or 'none'}", "<= 0"),
        Row(f"{where}: error of a coefficient", worst, "",
            f"largest relative, at dt={worst_dt:g}; 10,000 rows", "<= 1e-6"),
    ]  # fmt: skip


def _identified(degree: int, dt: float, start: tuple[float, ...]) -> tuple[int, float]:
    """Return the number of wrong terms and the largest relative error of the true ones."""
    X = lorenz.exact_run(start, dt * np.arange(10_000.0))
    law = SINDy(PolynomialLibrary(degree), names=["x", "y", "z"]).fit(X, dt).symbolic_
    truth = lorenz.coefficients(law.term_names)
    true = truth != 0
    error = np.abs(law.coefficients[true] / truth[true] - 1.0)
    return int((law.support != true).sum()), float(error.max())


# -- least squares -----------------------------------------------------------------


def _against_lstsq() -> Row:
    """Compare coefficients on the full support with numpy's, in units of ``eps cond``."""
    worst, where = 0.0, ""
    for name, X, y in least_squares_problems():
        expected = np.linalg.lstsq(X, y, rcond=None)[0]
        found = STLSQ(0.0).fit(X, y).coef_[0]
        difference = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        units = float(difference / (np.finfo(float).eps * np.linalg.cond(X)))
        if units >= worst:
            worst, where = units, name
    return Row("fit: difference to lstsq", worst, "eps cond", f"largest; {where}", "<= 10")


def least_squares_problems() -> Iterator[tuple[str, FloatArray, FloatArray]]:
    """Yield name, columns and target: well and ill conditioned, exact and noisy."""
    rng = np.random.default_rng(0)
    for condition in (1e0, 1e2, 1e4, 1e5, 1e6, 1e8, 1e10):
        X = _with_condition(rng, 2000, 10, condition)
        clean = X @ rng.standard_normal(10)
        for noise in (0.0, 1e-8, 1e-3, 0.3):
            spread = noise * clean.std() * rng.standard_normal(len(X))
            yield f"condition {condition:.0e}, noise {noise:g}", X, clean + spread


def _with_condition(rng: np.random.Generator, n: int, p: int, condition: float) -> FloatArray:
    """Return random columns with geometrically spaced singular values."""
    U = np.linalg.qr(rng.standard_normal((n, p)))[0]
    V = np.linalg.qr(rng.standard_normal((p, p)))[0]
    return np.asarray((U * np.geomspace(1.0, 1.0 / condition, p)) @ V.T * np.sqrt(n))
