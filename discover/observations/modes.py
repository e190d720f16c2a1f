"""Proper orthogonal modes: the few directions in which observations vary most."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from discover.typing import FloatArray

__all__ = ["proper_modes"]


def proper_modes(snapshots: ArrayLike, n_modes: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the modes that hold the most variance: proper orthogonal decomposition.

    Parameters
    ----------
    snapshots : array_like of shape (n_samples, n_observations)
    n_modes : int

    Returns
    -------
    modes : ndarray of shape (n_modes, n_observations)
        Orthonormal rows; the largest entry of each is positive.
    mean : ndarray of shape (n_observations,)
    energy : ndarray of shape (n_modes,)
        Share of the variance in each.

    Raises
    ------
    ValueError
        If there are fewer snapshots or observations than modes.

    Notes
    -----
    The singular value decomposition of the snapshots without their mean (L. Sirovich,
    Q. Appl. Math. 45 (1987) 561-571). No weights: on a grid of unequal cells, scale first.
    """
    seen = np.asarray(snapshots, dtype=np.float64)
    if seen.ndim != 2 or not 1 <= n_modes <= min(seen.shape):
        raise ValueError(
            f"proper_modes: n_modes must be between 1 and both sizes of snapshots, "
            f"{seen.shape}; got {n_modes}."
        )
    mean = seen.mean(axis=0)
    _, sizes, modes = np.linalg.svd(seen - mean, full_matrices=False)
    modes = modes[:n_modes]
    largest = np.abs(modes).argmax(axis=1)
    modes = modes * np.sign(modes[np.arange(n_modes), largest])[:, None]
    return modes, mean, sizes[:n_modes] ** 2 / np.sum(sizes**2)
