"""Hold out the future: what a law is judged on must not have taught it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from discover.exceptions import DataError
from discover.observations import Trajectory

__all__ = ["hold_out"]

_MANY_RUNS = 5
_FEWEST_SAMPLES = 4  # on either side of a cut


def hold_out(
    runs: Sequence[Trajectory], fraction: float = 0.2
) -> tuple[list[Trajectory], list[Trajectory]]:
    """Split runs in time: the last part of each, or the last of many runs, is held out.

    Parameters
    ----------
    runs : sequence of Trajectory
    fraction : float, default=0.2
        Share of the samples of each run that is held out; of five or more runs, the last
        ones whole, up to this share of the samples and at least one.

    Returns
    -------
    train : list of Trajectory
        Views of the same memory. Runs too short to be cut only teach.
    test : list of Trajectory

    Raises
    ------
    DataError
        If no run can be cut.
    ValueError
        If `fraction` is not between 0 and 1.

    Notes
    -----
    Neighbouring samples of a trajectory are nearly copies of each other, so samples drawn
    at random would be known from their neighbours. Time is cut once.

    Examples
    --------
    >>> import numpy as np
    >>> run = Trajectory(np.arange(10.0)[:, None], np.arange(10.0))
    >>> train, test = hold_out([run], 0.4)
    >>> len(train[0]), test[0].times.tolist()
    (6, [6.0, 7.0, 8.0, 9.0])
    """
    if not 0 < fraction < 1:
        raise ValueError(f"hold_out: fraction must be between 0 and 1; got {fraction!r}.")
    runs = list(runs)
    if len(runs) >= _MANY_RUNS:
        n_test = _whole_runs([len(run) for run in runs], fraction)
        return runs[:-n_test], runs[-n_test:]
    train, test = [], []
    for run in runs:
        n_test = max(round(fraction * len(run)), _FEWEST_SAMPLES)
        cut = len(run) - n_test
        if cut < _FEWEST_SAMPLES:
            train.append(run)
            continue
        train.append(run.select(slice(0, cut)))
        test.append(run.select(slice(cut, None)))
    if not test:
        raise DataError(
            f"hold_out: needs a run of at least {2 * _FEWEST_SAMPLES} samples to hold out a part "
            f"of; the longest has {max(map(len, runs), default=0)}."
        )
    return train, test


def _whole_runs(lengths: Sequence[int], fraction: float) -> int:
    """Return how many of the last runs hold about this share of the samples."""
    shares = np.cumsum(lengths[::-1]) / np.sum(lengths)
    return int(np.clip(np.searchsorted(shares, fraction * (1 + 1e-9), side="right"), 1,
                       len(lengths) - 1))  # fmt: skip
