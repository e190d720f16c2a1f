"""Helpers for scikit-learn's model selection."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BlockedSplit"]


class BlockedSplit:
    """Cross-validation by contiguous blocks of time.

    Neighbouring samples of a time series are nearly copies of each other; blocks keep
    them on one side. With a list of runs, blocks are made of whole runs.

    Parameters
    ----------
    n_splits : int, default=5
    gap : int, default=0
        Samples left out on either side of the test block.

    Examples
    --------
    >>> for train, test in BlockedSplit(3).split(range(6)):
    ...     print(train, test)
    [2 3 4 5] [0 1]
    [0 1 4 5] [2 3]
    [0 1 2 3] [4 5]
    """

    def __init__(self, n_splits: int = 5, *, gap: int = 0) -> None:
        self.n_splits = n_splits
        self.gap = gap

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits."""
        return self.n_splits

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield row numbers for training and testing.

        Raises
        ------
        ValueError
            If there are fewer samples than splits, or fewer than two splits.
        """
        n = X.shape[0] if hasattr(X, "shape") else len(X)
        if not isinstance(self.n_splits, Integral) or not 2 <= self.n_splits <= n:
            raise ValueError(
                f"BlockedSplit: n_splits must be an integer from 2 to {n}, the number of samples; "
                f"got {self.n_splits!r}."
            )
        edges = np.linspace(0, n, self.n_splits + 1).astype(int)
        rows = np.arange(n)
        for low, high in pairwise(edges):
            yield rows[(rows < low - self.gap) | (rows >= high + self.gap)], rows[low:high]

    def __repr__(self) -> str:
        """Return the call that makes this splitter."""
        return f"BlockedSplit(n_splits={self.n_splits}, gap={self.gap})"
