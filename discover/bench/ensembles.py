"""Ensembles: a thousand members against one fit, and against pysindy's EnsembleOptimizer."""

from __future__ import annotations

from typing import Any

import numpy as np

from discover.bench import lorenz
from discover.bench.peers import quietly
from discover.bench.rows import Row
from discover.bench.timing import compared, take_turns
from discover.interop.pysindy import load_pysindy
from discover.libraries import PolynomialLibrary
from discover.problems import FiniteDifference
from discover.regression import STLSQ, EnsembleRegressor
from discover.sindy import SINDy
from discover.typing import FloatArray

__all__ = ["run"]

_STEP = 0.002


def run(quick: bool = False) -> list[Row]:
    """Bag a thousand members, on many rows and on few."""
    return [_against_one_fit(quick), *_against_pysindy(quick)]


def _noisy(n: int) -> FloatArray:
    X = np.asarray(lorenz.law().simulate(lorenz.STARTS[0], _STEP * np.arange(n)))
    return X + 0.01 * np.random.default_rng(0).standard_normal(X.shape)


def _against_one_fit(quick: bool) -> Row:
    n, n_members = (100_000, 100) if quick else (1_000_000, 1000)
    X = _noisy(n)
    one = SINDy(PolynomialLibrary(5), STLSQ(), method=FiniteDifference(2))
    many = SINDy(
        PolynomialLibrary(5),
        EnsembleRegressor(STLSQ(), n_members, random_state=0),
        method=FiniteDifference(2),
    )
    timings = take_turns(
        {"ensemble": lambda: many.fit(X, _STEP), "one fit": lambda: one.fit(X, _STEP)},
        repeats=2 if quick else 7,
    )
    detail = f"{n:,} x 3, 56 terms, {n_members:,} members: {compared(timings)}"
    ratio = timings["ensemble"] / timings["one fit"]
    return Row("ensembles: all members over one fit", ratio, "x", detail, "<= 2")


def _against_pysindy(quick: bool) -> list[Row]:
    """Bag the same rows, 20 terms, with the same threshold; time per member."""
    n, ours, theirs = (10_000, 100, 10) if quick else (10_000, 1000, 50)
    X = _noisy(n)
    Theta = PolynomialLibrary(3).build(["x", "y", "z"]).evaluate(X)
    times: FloatArray = _STEP * np.arange(n, dtype=np.float64)
    Y = FiniteDifference(2).differentiate(X, times)[1]
    regressor = EnsembleRegressor(STLSQ(0.1, threshold_on="coefficient"), ours, random_state=0)
    timings = take_turns(
        {"ours": lambda: regressor.fit(Theta, Y), "pysindy": lambda: _bagged(Theta, Y, theirs)},
        repeats=2 if quick else 5,
    )
    per_member = (timings["pysindy"] / timings["ours"]) * ours / theirs
    detail = f"{n:,} x 20, 3 targets; {ours:,} members against {theirs}: {compared(timings)}"
    medians = [regressor.coef_, _bagged(Theta, Y, theirs).coef_]
    differ = int(((medians[0] != 0) != (medians[1] != 0)).sum())
    return [
        Row("ensembles: pysindy over ours, per member", per_member, "x", detail, ">= 50"),
        Row("ensembles: terms that differ from pysindy's", differ, "", "of the medians", "<= 0"),
    ]


def _bagged(Theta: FloatArray, Y: FloatArray, n_models: int) -> Any:
    pysindy = load_pysindy()
    optimizer = pysindy.EnsembleOptimizer(
        pysindy.STLSQ(threshold=0.1), bagging=True, n_models=n_models
    )
    with quietly():
        return optimizer.fit(Theta, Y)
