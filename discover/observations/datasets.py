"""Public data sets small enough to ship."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load_hare_lynx", "path_of_hare_lynx"]


def path_of_hare_lynx() -> Path:
    """Return the path of the file that :func:`load_hare_lynx` reads."""
    return Path(str(files("discover.observations") / "data" / "lynx_hare.csv"))


def load_hare_lynx() -> pd.DataFrame:
    """Load yearly pelt counts of snowshoe hare and Canada lynx, 1900 to 1920.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``year``; columns ``hare`` and ``lynx``, in thousands of pelts.

    Notes
    -----
    From the fur-trading records of the Hudson's Bay Company, with the numbers as [1]_
    tabulates them; textbooks of ecology such as [2]_ print longer series made from the
    same records. Pelts stand for animals only as far as trapping and trading did not
    change, and hares also cycle where there are no lynx: a law of these data is a
    description, not a proof that either animal drives the other.

    References
    ----------
    .. [1] P. Howard, "Modeling Basics", lecture notes for Math 442, Texas A&M
       University, 2009.
    .. [2] E. P. Odum, "Fundamentals of Ecology", Saunders 1953.

    Examples
    --------
    >>> load_hare_lynx().loc[1900]
    hare    30.0
    lynx     4.0
    Name: 1900, dtype: float64
    """
    import pandas as pd

    dtype = {"hare": float, "lynx": float}
    return pd.read_csv(path_of_hare_lynx(), index_col="year", dtype=dtype)
