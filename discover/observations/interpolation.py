"""Between the samples: which columns run in curves, in straight lines, or in steps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.interpolate import CubicSpline

from discover.typing import BoolArray, FloatArray

__all__ = ["column_path", "interpolate_columns", "interval_slopes", "is_curved", "is_stepped"]

_MOST_SAMPLES = 5_000
_FEWEST_SAMPLES = 6
_RESTS = 0.5  # share of the intervals over which a stepped column does not change at all
_ALONE = 0.5  # share of its changes that have none right before or after


def is_stepped(values: FloatArray) -> BoolArray:
    """Tell the columns that are held from one switch to the next, as commands are.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_columns)
        Finite.

    Returns
    -------
    ndarray of bool, shape (n_columns,)

    Notes
    -----
    They stay the same, to the last bit, over most intervals, and most of their changes come
    alone; or they know two values only. A wave that is clipped rests too, but its changes
    follow one another.
    """
    changes = np.diff(values[:_MOST_SAMPLES], axis=0) != 0
    count = changes.sum(axis=0)
    around = np.pad(changes, ((1, 1), (0, 0)))
    alone = (changes & ~around[:-2] & ~around[2:]).sum(axis=0)
    rests = count <= (1 - _RESTS) * len(changes)
    stepped = (count > 0) & rests & (alone >= _ALONE * count)
    return np.asarray(stepped | np.array([_is_binary(column) for column in values.T], dtype=bool))


def _is_binary(column: FloatArray) -> bool:
    column = column[:_MOST_SAMPLES]
    low, high = column.min(), column.max()
    enough = len(column) >= _FEWEST_SAMPLES and low < high
    return bool(enough and ((column == low) | (column == high)).all())


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
    straight line, four by a cubic. Pulses and noise speak for the line, whatever
    is smooth on the scale of the samples for the cubic. Columns of zeros count as straight;
    those in steps are not curved (:func:`is_stepped`).
    """
    values, times = values[:_MOST_SAMPLES], times[:_MOST_SAMPLES]
    if len(times) < _FEWEST_SAMPLES:
        return np.zeros(values.shape[1], dtype=bool)
    straight, cubic = (_left_out_error(values, times, reach) for reach in (1, 2))
    return np.asarray((cubic < straight) & ~is_stepped(values))


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
    values: FloatArray, times: FloatArray, curved: BoolArray, stepped: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Return the slopes with which each interval begins and ends.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_columns)
    times : ndarray of shape (n_samples,)
        Strictly monotone.
    curved : ndarray of bool, shape (n_columns,)
        Columns read by a cubic spline; the others are read on straight lines.
    stepped : ndarray of bool, shape (n_columns,)
        Columns held from the earlier sample on.

    Returns
    -------
    begin, end : ndarray of shape (n_samples, n_columns)
        Row `k` is about the interval from sample `k` to the next; the last row is zero. Of
        columns that are held, the slope at the sample whose value acts is NaN.
    """
    begin = np.zeros_like(values)
    begin[:-1] = np.diff(values, axis=0) / np.diff(times)[:, None]
    end = begin.copy()
    forward = times[-1] > times[0]
    if curved.any():
        order = slice(None) if forward else slice(None, None, -1)
        spline = CubicSpline(times[order], values[order][:, curved], axis=0)
        slopes = spline(times, 1)
        begin[:-1, curved], end[:-1, curved] = slopes[:-1], slopes[1:]
    (begin if forward else end)[:-1, stepped] = np.nan
    return begin, end


def interpolate_columns(values: FloatArray, times: FloatArray, at: FloatArray) -> FloatArray:
    """Read columns at other times: by a cubic spline, in steps, or on straight lines.

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
    stepped = is_stepped(values)
    curved = is_curved(values, times)
    spline = CubicSpline(times, values[:, curved], axis=0) if curved.any() else None

    def at(wanted: FloatArray) -> FloatArray:
        inside = np.clip(wanted, times[0], times[-1])
        out = np.column_stack([np.interp(inside, times, column) for column in values.T])
        if spline is not None:
            out[:, curved] = spline(inside)
        before = np.searchsorted(times, inside, side="right") - 1
        out[:, stepped] = values[before][:, stepped]
        return out

    return at
