"""One restrained look for all pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DATA", "LAW", "PALETTE", "label", "make_panels", "tidy"]

#: Okabe and Ito, "Color Universal Design" (2008), without yellow and black.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DATA: dict[str, Any] = {"color": "0.3", "marker": "o", "markersize": 3.5, "linestyle": "none"}
LAW: dict[str, Any] = {"color": PALETTE[0], "linewidth": 1.6}
_PANEL = (6.0, 1.9)  # inches


def make_panels(n_rows: int, n_columns: int) -> NDArray[Any]:
    """Return new axes (n_rows, n_columns) in a figure of its own; columns share their x axis."""
    import matplotlib.pyplot as plt

    width = _PANEL[0] if n_columns == 1 else 0.6 * _PANEL[0] * n_columns
    _, axes = plt.subplots(
        n_rows,
        n_columns,
        sharex="col",
        squeeze=False,
        figsize=(width, max(_PANEL[1] * n_rows, 2.6)),
        layout="constrained",
    )
    return np.asarray(axes)


def tidy(axes: Any) -> None:
    """Leave out the frame above and to the right."""
    axes.spines[["top", "right"]].set_visible(False)


def label(name: str, unit: str | None) -> str:
    """Write a name with its unit."""
    return f"{name} [{unit}]" if unit else name
