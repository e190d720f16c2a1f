"""pysindy as a peer."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from discover.interop.pysindy import load_pysindy
from discover.typing import FloatArray

__all__ = ["fit_pysindy", "pysindy_library", "quietly", "with_coefficients"]


@contextmanager
def quietly() -> Iterator[None]:
    """Keep a peer's warnings out of the table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def pysindy_library(degree: int, X: FloatArray) -> Any:
    """Return pysindy's polynomials, fitted."""
    pysindy = load_pysindy()

    return pysindy.PolynomialLibrary(degree=degree).fit(X)


def fit_pysindy(X: FloatArray, dt: float, degree: int, threshold: float = 0.1) -> Any:
    """Fit pysindy's SINDy with second-order differences and STLSQ, its defaults otherwise."""
    pysindy = load_pysindy()

    model = pysindy.SINDy(
        optimizer=pysindy.STLSQ(threshold=threshold),
        feature_library=pysindy.PolynomialLibrary(degree=degree),
        differentiation_method=pysindy.FiniteDifference(),
    )
    with quietly():
        return model.fit(X, t=dt)


def with_coefficients(model: Any, coefficients: FloatArray) -> Any:
    """Give a fitted pysindy model other coefficients (n_states, n_terms)."""
    model.optimizer.coef_ = np.array(coefficients)
    return model
