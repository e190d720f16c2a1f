"""The only place that imports pysindy."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from discover.typing import FloatArray, IntArray

__all__ = ["load_pysindy", "weak_rows"]


def load_pysindy() -> Any:
    """Return the module pysindy, imported on first use (it takes about a second).

    Raises
    ------
    ImportError
        If it is not installed; says what to type.
    """
    try:
        import pysindy
    except ImportError as error:
        raise ImportError("pysindy is needed here: pip install 'pysindy>=2.1,<2.2'.") from error
    return pysindy


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
    state = np.random.get_state()  # noqa: NPY002 - it is the one pysindy draws from
    np.random.seed(seed)  # noqa: NPY002
    try:
        library = pysindy.WeakPDELibrary(
            function_library=functions,
            spatiotemporal_grid=t,
            K=n_windows,
            H_xt=half_width,
            p=power,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = pysindy.AxesArray(x, pysindy.utils.comprehend_axes(x))
            library.fit([data])
            Theta = np.array(library.transform([data])[0])
            Y = np.array(library.convert_u_dot_integral(data))
    finally:
        np.random.set_state(state)  # noqa: NPY002
    powers = np.array(functions.fit(x).powers_)
    return Theta, Y, powers
