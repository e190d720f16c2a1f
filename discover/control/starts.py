"""Starts: where surrogate episodes begin, spread so that no kind of start is forgotten."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from discover.typing import FloatArray

__all__ = ["StartSampler", "like_those_seen", "spread_starts"]

#: Draws observations from which episodes begin: ``(rng, n) -> (n, n_observations)``.
StartSampler = Callable[[np.random.Generator, int], FloatArray]

_POOL = 4  # starts drawn for each that is used


def spread_starts(sample: StartSampler, rng: np.random.Generator, n: int) -> FloatArray:
    """Draw starts, one from each of `n` equally likely strata.

    Parameters
    ----------
    sample : StartSampler
    rng : numpy.random.Generator
    n : int

    Returns
    -------
    ndarray of shape (n, n_observations)

    Notes
    -----
    Many starts are drawn and halved again and again at the median of the observation that
    varies most over its group, in units of its deviation over all; one is left of each
    group. Means over strata vary less than over as many independent starts (Cochran,
    Sampling Techniques, 3rd ed., ch. 5), and none of them is missed.
    """
    if n < 2:
        return sample(rng, n)
    pool = sample(rng, _POOL * n)
    deviation = pool.std(axis=0)
    scaled = pool / np.where(deviation > 0, deviation, 1.0)
    return pool[[rng.choice(group) for group in _groups(scaled, np.arange(len(pool)), n)]]


def like_those_seen(seen: FloatArray, rng: np.random.Generator, n: int) -> FloatArray:
    """Draw starts from those that were seen, each blurred by their deviation.

    Parameters
    ----------
    seen : ndarray of shape (n_seen, n_observations)
    rng : numpy.random.Generator
    n : int
    """
    chosen = seen[rng.integers(len(seen), size=n)]
    width = seen.std(axis=0) if len(seen) > 2 else np.full(seen.shape[1], 0.01)
    return np.asarray(chosen + rng.normal(size=chosen.shape) * width)


def _groups(points: FloatArray, index: np.ndarray, n: int) -> list[np.ndarray]:
    """Split points into `n` groups of equal size."""
    if n == 1:
        return [index]
    widest = int(np.argmax(np.ptp(points[index], axis=0)))
    ordered = index[np.argsort(points[index, widest], kind="stable")]
    half = n // 2
    cut = len(ordered) * half // n
    return _groups(points, ordered[:cut], half) + _groups(points, ordered[cut:], n - half)
