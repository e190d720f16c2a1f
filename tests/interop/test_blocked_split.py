"""BlockedSplit keeps neighbours in time on one side."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discover import BlockedSplit


@given(st.integers(2, 60), st.data())
def test_every_sample_is_tested_once_and_blocks_are_contiguous(n, data):
    n_splits = data.draw(st.integers(2, n))
    gap = data.draw(st.integers(0, 3))
    tested = []
    for train, test in BlockedSplit(n_splits, gap=gap).split(np.zeros((n, 2))):
        assert (np.diff(test) == 1).all()
        assert (np.abs(np.subtract.outer(train, test)) > gap).all()
        tested += list(test)
    assert tested == list(range(n))


def test_runs_are_kept_whole_and_impossible_splits_are_refused():
    runs = [np.zeros((5, 1)), np.zeros((9, 1)), np.zeros((2, 1))]
    assert [list(test) for _, test in BlockedSplit(3).split(runs)] == [[0], [1], [2]]
    with pytest.raises(ValueError, match="from 2 to 3, the number of samples; got 4"):
        next(BlockedSplit(4).split(runs))
