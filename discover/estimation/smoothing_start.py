"""A first trajectory: each state smoothed by itself, as much as its noise asks for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from discover.estimation.marginal import BandedInformation
from discover.kernels.differences import derivative_rows
from discover.typing import FloatArray

__all__ = ["roughness", "smoothed_start"]

_ORDER = 3  # the derivative that is kept small
_HALVINGS = np.arange(-6.0, 40.0, 2.0)


def smoothed_start(
    times: Sequence[FloatArray], y: Sequence[FloatArray], sigma: float
) -> list[FloatArray]:
    """Smooth one state of several runs.

    Parameters
    ----------
    times, y : sequence of ndarray of shape (n_samples,)
        NaN where nothing was measured; at least `4` samples and one measurement per run.
    sigma : float
        Standard deviation of the noise.

    Returns
    -------
    list of ndarray of shape (n_samples,)

    Notes
    -----
    Minimises the misfit plus a weight times the integral of the squared third derivative
    (Whittaker 1923; Eilers, Anal. Chem. 75 (2003) 3631-3636). The weight minimises Mallows'
    estimate of the error, the misfit plus ``2 sigma^2`` times the degrees of freedom, over all
    runs.
    """
    rows = [roughness(t) for t in times]
    step = float(np.median(np.concatenate([np.diff(t) for t in times])))
    best, found = np.inf, []
    for halving in _HALVINGS:
        weight = 2.0**halving * step ** (2 * _ORDER - 1)
        tries = [_smooth(v, r, weight) for v, r in zip(y, rows, strict=True)]
        error = sum(misfit + 2 * sigma**2 * freedom for _, misfit, freedom in tries)
        if error < best:
            best, found = error, [x for x, _, _ in tries]
        elif error > 2 * best:
            break
    return found


def roughness(t: FloatArray) -> FloatArray:
    """Return rows whose squares sum to the integral of the squared third derivative."""
    rows = np.empty((len(t) - _ORDER, _ORDER + 1))
    derivative_rows(t, _ORDER, rows)
    span = (t[_ORDER:] - t[:-_ORDER]) / _ORDER
    return np.asarray(rows * np.sqrt(span)[:, None])


def _smooth(y: FloatArray, rows: FloatArray, weight: float) -> tuple[FloatArray, float, float]:
    """Return the smoothed state, its misfit and its degrees of freedom."""
    seen = np.isfinite(y)
    info = BandedInformation(len(y), _ORDER + 1)
    first = np.arange(len(rows))
    info.add(first, rows, np.zeros(len(rows)), np.full(len(rows), weight))
    info.add_direct(np.where(seen, -y, 0.0), seen.astype(np.float64))
    info.factor()
    x = -info.solve(info.gradient)
    misfit = float(((x - y)[seen] ** 2).sum())
    return x, misfit, float(info.variances()[seen].sum())
