"""Evaluate all monomials of degree 5 of a million samples: against a fill, and peers."""

from __future__ import annotations

from typing import Any

import numpy as np

from discover.bench.peers import pysindy_library
from discover.bench.rows import Row
from discover.bench.timing import compared, take_turns
from discover.libraries import PolynomialLibrary
from discover.typing import FloatArray

__all__ = ["run"]

_DEGREE = 5


def run(quick: bool = False) -> list[Row]:
    """Compare one transform with writing ones, with pysindy and with scikit-learn."""
    n = 50_000 if quick else 1_000_000
    X = np.random.default_rng(0).standard_normal((n, 3))
    ours, theirs = PolynomialLibrary(_DEGREE).fit(X), _sklearn(X)
    pysindy, shape = pysindy_library(_DEGREE, X), (n, ours.terms().n_terms)
    timings = take_turns(
        {
            "ours": lambda: ours.transform(X),
            "fill": lambda: np.empty(shape).fill(1.0),
            "scikit-learn": lambda: theirs.transform(X),
            "pysindy": lambda: pysindy.transform(X),
        },
        repeats=3 if quick else 7,
    )
    detail = f"{n:,} x 3, {shape[1]} terms: {compared(timings)}"
    own = timings["ours"]
    return [
        Row("library: transform over fill", own / timings["fill"], "x", detail, "<= 1.8"),
        Row("library: pysindy over ours", timings["pysindy"] / own, "x", "", ">= 10"),
        Row("library: scikit-learn over ours", timings["scikit-learn"] / own, "x", "", ">= 3.5"),
        _agreement(ours.transform(X[:10_000]), theirs.transform(X[:10_000])),
    ]


def _sklearn(X: FloatArray) -> Any:
    from sklearn.preprocessing import PolynomialFeatures

    return PolynomialFeatures(_DEGREE).fit(X)


def _agreement(ours: FloatArray, theirs: FloatArray) -> Row:
    """Compare values: five factors can differ by four roundings in their order."""
    error = float(np.max(np.abs(ours - theirs) / np.abs(theirs)))
    return Row(
        "library: relative difference to scikit-learn", error, detail="largest", target="<= 1e-15"
    )
