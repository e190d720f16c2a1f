"""When noise calls for the joint fit, and when its law is not to be trusted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from discover.estimation.gridding import SHORTEST
from discover.estimation.joint import JointEstimate
from discover.libraries.termtable import TermTable
from discover.observations import Trajectory
from discover.problems.scales import noise_level, spread, time_scale

__all__ = ["joint_fit_warranted", "unexplained"]

_LEFT = 3.0  # times the noise of the data: a law that leaves more explains too little
_FORETOLD = 0.1  # autocorrelation of what law and noise leave
_NOISY = 1e-3  # noise, relative to the spread
_DENSE = 20.0  # samples in a period of the fastest state
_FEWEST_SAMPLES, _MOST_SAMPLES, _MOST_COEFFICIENTS = 200, 200_000, 700


def joint_fit_warranted(runs: Sequence[Trajectory], table: TermTable) -> str | None:
    """Say why data call for the joint fit, or return None.

    Parameters
    ----------
    runs : sequence of Trajectory
    table : TermTable

    Returns
    -------
    str or None
        None for clean data, for data too few or too coarse to be smoothed, and for libraries
        so large that the fit would take minutes.
    """
    d, n = runs[0].n_states, sum(len(run) for run in runs)
    if n < _FEWEST_SAMPLES or d * table.n_terms > _MOST_COEFFICIENTS or n > _MOST_SAMPLES:
        return None
    pieces = [piece for run in runs for piece in run.segments() if len(piece) >= SHORTEST]
    if not pieces:
        return None
    sigma, wide = noise_level(pieces), spread(pieces)
    share = float(np.max(sigma[wide > 0] / wide[wide > 0], initial=0.0))
    dense = time_scale(pieces, sigma) >= _DENSE * max(pieces, key=len).dt
    if not (share > _NOISY and dense):
        return None
    return f"the noise is about {share:.1g} of the spread"


def unexplained(estimate: JointEstimate, runs: Sequence[Trajectory]) -> str | None:
    """Say that a joint fit's law does not explain the data, or return None.

    What the law leaves is counted as noise. Where the law is right, that is hardly more than
    the noise of the data alone, from their highest differences, or it has the memory
    of coloured noise; and nothing in it can be foretold.
    """
    pieces = [piece for run in runs for piece in run.segments() if len(piece) >= SHORTEST]
    left, coloured = estimate.measurement_noise, estimate.noise_memory
    if left is None or not pieces:
        return None
    excess = left / np.maximum(noise_level(pieces), np.finfo(float).tiny)
    worst = float(np.max(excess if coloured is None else excess[coloured == 0], initial=0.0))
    if worst > _LEFT:
        return f"its law leaves {worst:.1f} times the noise of the data"
    lasting = float(np.abs(estimate.correlation_left).max())
    if lasting > _FORETOLD:
        return (
            "what its law leaves is neither white noise nor noise with a memory "
            f"(autocorrelation {lasting:.2f})"
        )
    return None
