"""The data sets that are shipped."""

import numpy as np

from discover.observations import as_trajectories
from discover.observations.datasets import load_hare_lynx


def test_hare_lynx_is_a_table_of_21_years():
    frame = load_hare_lynx()
    assert frame.index.name == "year"
    assert list(frame.index) == list(range(1900, 1921))
    assert list(frame.columns) == ["hare", "lynx"]
    assert (frame.dtypes == np.float64).all()


def test_hare_lynx_holds_the_published_counts():
    frame = load_hare_lynx()
    assert frame.loc[1903].tolist() == [77.4, 35.2]
    assert frame["lynx"].idxmax() == 1904
    assert frame.sum().round(1).tolist() == [715.7, 423.5]


def test_years_are_the_times_of_the_run():
    (run,) = as_trajectories(load_hare_lynx())
    assert run.times.tolist() == list(range(1900, 1921))
    assert run.state_names == ("hare", "lynx")


def test_every_call_gives_its_own_table():
    frame = load_hare_lynx()
    frame.loc[1900, "hare"] = -1.0
    assert load_hare_lynx().iloc[0, 0] == 30.0
