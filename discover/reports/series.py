"""Series for a picture: few enough numbers to embed, without hiding an extreme."""

from __future__ import annotations

from typing import Any

import numpy as np

from discover.typing import FloatArray

__all__ = ["compact", "envelope"]


def envelope(times: FloatArray, values: FloatArray, n_bins: int) -> tuple[FloatArray, ...]:
    """Return the middle, smallest and largest of consecutive stretches of a series.

    Parameters
    ----------
    times, values : ndarray of shape (n_samples,)
        Values may be NaN.
    n_bins : int

    Returns
    -------
    middle, low, high : ndarray of shape (at most n_bins,)
        Every finite value lies within the bounds of its stretch; NaN where all are NaN.
    """
    edges = np.unique(np.linspace(0, len(values), min(n_bins, len(values)) + 1).astype(int))
    starts = edges[:-1]
    known = np.isfinite(values)
    low = np.minimum.reduceat(np.where(known, values, np.inf), starts)
    high = np.maximum.reduceat(np.where(known, values, -np.inf), starts)
    empty = low > high
    middle = 0.5 * (times[starts] + times[edges[1:] - 1])
    return middle, np.where(empty, np.nan, low), np.where(empty, np.nan, high)


def compact(values: FloatArray, span: float) -> list[Any]:
    """Return numbers for JSON, rounded to a ten-thousandth of `span`; NaN becomes None."""
    digits = int(np.clip(4 - np.floor(np.log10(span)), 0, 30)) if span > 0 else 6
    flat = np.asarray(values, dtype=np.float64)
    small = np.isfinite(flat) & (np.abs(flat) < 1e300)
    out = np.round(np.where(small, flat, 0.0), digits)
    return [float(v) if ok else None for v, ok in zip(out, small, strict=True)]
