"""How long a forecast of a chaotic system is good."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from discover.typing import FloatArray

__all__ = ["valid_prediction_time"]


def valid_prediction_time(
    truth: ArrayLike,
    forecast: ArrayLike,
    t: ArrayLike,
    *,
    threshold: float = 0.4,
    scale: Literal["std"] | ArrayLike = "std",
    exponent: float | None = None,
) -> Any:
    """Return the time until a forecast first leaves the truth.

    Parameters
    ----------
    truth : array-like of shape (n_times, n_states) or (n_members, n_times, n_states)
    forecast : array-like of the same shape
        May be a :class:`~discover.Simulation`; a value that is not finite has left the truth.
    t : array-like of shape (n_times,)
        Increasing.
    threshold : float, default=0.4
        Error at which the forecast counts as lost: the root mean square over states of
        the error in units of `scale`.
    scale : "std" or array-like of shape (n_states,), default="std"
        Unit of the error of each state; "std" is the standard deviation of the truth over
        time (of all members). A state that does not vary must be met to rounding.
    exponent : float, optional
        Largest Lyapunov exponent; the result is then in Lyapunov times.

    Returns
    -------
    float or ndarray of shape (n_members,)
        In units of `t` from its first value; the whole span when the error stays below.

    Raises
    ------
    ValueError
        If shapes do not match, or the truth is not finite.

    Notes
    -----
    Pathak et al., Phys. Rev. Lett. 120 (2018) 024102 use a threshold of 0.4; the error in
    units of standard deviations is that of Vlachas et al., Neural Networks 126 (2020)
    191-217. The crossing is not interpolated: the result is the last time at which the
    error was still below.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.linspace(0, 10, 101)
    >>> truth = np.sin(t)[:, None]
    >>> round(valid_prediction_time(truth, truth + 0.1 * t[:, None], t), 10)
    2.6
    """
    x, y = np.asarray(truth, dtype=np.float64), np.asarray(forecast, dtype=np.float64)
    times = np.asarray(t, dtype=np.float64)
    if x.ndim not in (2, 3) or x.shape != y.shape or times.shape != x.shape[-2:-1]:
        raise ValueError(
            "valid_prediction_time: truth and forecast must have one shape (..., n_times, "
            f"n_states) and t shape (n_times,); got {x.shape}, {y.shape} and {times.shape}."
        )
    if not np.isfinite(x).all():
        raise ValueError("valid_prediction_time: truth must be finite.")
    if exponent is not None and not exponent > 0:
        raise ValueError(f"valid_prediction_time: exponent must be positive; got {exponent}.")
    with np.errstate(all="ignore"):
        lost = ~(_error(x, y, _unit(x, scale)) <= threshold)
    first = np.where(lost.any(axis=-1), lost.argmax(axis=-1), x.shape[-2])
    found = times[np.maximum(first - 1, 0)] - times[0]
    found = found if exponent is None else found * exponent
    return float(found) if x.ndim == 2 else found


def _unit(x: FloatArray, scale: Any) -> FloatArray:
    if isinstance(scale, str):
        if scale != "std":
            raise ValueError(
                f"valid_prediction_time: scale must be 'std' or an array; got {scale!r}."
            )
        spread = x.reshape(-1, x.shape[-1]).std(axis=0)
        rounding = 1e-12 * np.abs(x).reshape(-1, x.shape[-1]).max(axis=0)
        return np.asarray(np.maximum(spread, rounding))
    unit = np.asarray(scale, dtype=np.float64)
    if unit.shape not in ((), x.shape[-1:]) or not (unit > 0).all():
        raise ValueError(
            f"valid_prediction_time: scale must be positive, of shape ({x.shape[-1]},); "
            f"got {scale!r}."
        )
    return unit


def _error(x: FloatArray, y: FloatArray, unit: FloatArray) -> FloatArray:
    """Return the root mean square error over states, shape (..., n_times)."""
    difference = y - x
    scaled = np.where(difference == 0.0, 0.0, difference / unit)
    return np.asarray(np.sqrt(np.mean(scaled**2, axis=-1)))
