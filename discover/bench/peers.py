"""pysindy as a peer."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from discover.interop.pysindy import load_pysindy
from discover.typing import FloatArray, IntArray

__all__ = ["drawing", "fit_pysindy", "pysindy_library", "quietly", "weak_rows", "with_coefficients"]


@contextmanager
def quietly() -> Iterator[None]:
    """Keep a peer's warnings out of the table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def drawing(seed: int) -> Iterator[None]:
    """Let pysindy draw random numbers from a seed: it knows no generator but NumPy's global one."""
    state = np.random.get_state()  # noqa: NPY002 - kept, so that nobody else notices
    np.random.seed(seed)  # noqa: NPY002 - the one pysindy draws from
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002 - put back


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


def weak_rows(
    x: FloatArray,
    t: FloatArray,
    *,
    degree: int,
    n_windows: int,
    half_width: float,
    power: int,
    seed: int,
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Return the rows of pysindy's weak form of one run.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_states)
    t : ndarray of shape (n_samples,)
    degree : int
        Of the monomials.
    n_windows : int
    half_width : float
        In units of `t`.
    power : int
        Degree of the weights.
    seed : int
        Of the places of the windows, which pysindy draws from NumPy's global generator;
        its state is put back.

    Returns
    -------
    Theta : ndarray of shape (n_windows, n_terms)
    Y : ndarray of shape (n_windows, n_states)
        Integrals of the derivatives.
    powers : ndarray of shape (n_terms, n_states)
    """
    pysindy = load_pysindy()
    functions = pysindy.PolynomialLibrary(degree=degree, include_bias=True)
    with drawing(seed):
        library = pysindy.WeakPDELibrary(
            function_library=functions,
            spatiotemporal_grid=t,
            K=n_windows,
            H_xt=half_width,
            p=power,
        )
        with quietly():
            data = pysindy.AxesArray(x, pysindy.utils.comprehend_axes(x))
            library.fit([data])
            Theta = np.array(library.transform([data])[0])
            Y = np.array(library.convert_u_dot_integral(data))
    powers = np.array(functions.fit(x).powers_)
    return Theta, Y, powers
