"""Between the samples: which columns run in curves, and which in straight lines."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.interpolate import CubicSpline

from discover.typing import BoolArray, FloatArray

__all__ = ["column_path", "interpolate_columns", "interval_slopes", "is_curved"]

_MOST_SAMPLES = 5_000
_FEWEST_SAMPLES = 6


def is_curved(values: FloatArray, times: FloatArray) -> BoolArray:
    """Tell the columns that cubics predict better than straight lines.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_columns)
        Finite.
    times : ndarray of shape (n_samples,)
        Strictly monotone.

    Returns
    -------
    ndarray of bool, shape (n_columns,)

    Notes
    -----
    Every sample is left out in turn and predicted from its neighbours: two of them by a
    straight line, four by a cubic. Steps, pulses and noise speak for the line, whatever
    is smooth on the scale of the samples for the cubic. Columns of zeros count as straight.
    """
    values, times = values[:_MOST_SAMPLES], times[:_MOST_SAMPLES]
    if len(times) < _FEWEST_SAMPLES:
        return np.zeros(values.shape[1], dtype=bool)
    straight, cubic = (_left_out_error(values, times, reach) for reach in (1, 2))
    return np.asarray(cubic < straight)


def _left_out_error(values: FloatArray, times: FloatArray, reach: int) -> FloatArray:
    """Sum the squared errors of predicting each sample from `reach` neighbours a side."""
    n = len(times)
    at = np.arange(2, n - 2)
    nodes = [k for k in range(-reach, reach + 1) if k]
    predicted = np.zeros((len(at), values.shape[1]))
    for k in nodes:
        weight = np.ones(len(at))
        for other in nodes:
            if other != k:
                weight *= (times[at] - times[at + other]) / (times[at + k] - times[at + other])
        predicted += weight[:, None] * values[at + k]
    return np.asarray(((values[at] - predicted) ** 2).sum(axis=0))


def interval_slopes(
    values: FloatArray, times: FloatArray, curved: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Return the slopes with which each interval begins and ends.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_columns)
    times : ndarray of shape (n_samples,)
        Strictly monotone.
    curved : ndarray of bool, shape (n_columns,)
        Columns read by a cubic spline; the others are read on straight lines.

    Returns
    -------
    begin, end : ndarray of shape (n_samples, n_columns)
        Row `k` is about the interval from sample `k` to the next; the last row is zero.
    """
    begin = np.zeros_like(values)
    begin[:-1] = np.diff(values, axis=0) / np.diff(times)[:, None]
    end = begin.copy()
    if curved.any():
        order = slice(None) if times[-1] > times[0] else slice(None, None, -1)
        spline = CubicSpline(times[order], values[order][:, curved], axis=0)
        slopes = spline(times, 1)
        begin[:-1, curved], end[:-1, curved] = slopes[:-1], slopes[1:]
    return begin, end


def interpolate_columns(values: FloatArray, times: FloatArray, at: FloatArray) -> FloatArray:
    """Read columns at other times: curved ones by a cubic spline, others on straight lines.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_columns)
    times : ndarray of shape (n_samples,)
        Strictly increasing.
    at : ndarray of shape (n_times,)
        Between the first and the last of `times`.

    Returns
    -------
    ndarray of shape (n_times, n_columns)
    """
    return column_path(values, times)(at)


def column_path(values: FloatArray, times: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """Return the columns as a function of time; see :func:`interpolate_columns`.

    Outside of `times` the function is constant.
    """
    curved = is_curved(values, times)
    spline = CubicSpline(times, values[:, curved], axis=0) if curved.any() else None

    def at(wanted: FloatArray) -> FloatArray:
        inside = np.clip(wanted, times[0], times[-1])
        out = np.column_stack([np.interp(inside, times, column) for column in values.T])
        if spline is not None:
            out[:, curved] = spline(inside)
        return out

    return at
