"""An assimilation: what the ensemble says, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from discover.plotting.style import DATA, LAW, make_panels, tidy

__all__ = ["plot_assimilation", "plot_rank_histogram"]

_MOST_PANELS = 6
_TRUTH: dict[str, Any] = {"color": "0.15", "linewidth": 0.9, "linestyle": "--"}


def plot_assimilation(
    found: Any, truth: Any = None, *, states: Sequence[str] | None = None, axes: Any = None
) -> Any:
    """Plot the mean of states over time, with a band of two standard deviations.

    Parameters
    ----------
    found : Assimilation
    truth : array-like of shape (n_times, n_true), optional
        Drawn as a dashed line.
    states : sequence of str, optional
        Which; by default the first six.
    axes : array of matplotlib Axes, optional
        One per state; by default a new figure.

    Returns
    -------
    ndarray of Axes
    """
    names = list(found.state_names[:_MOST_PANELS] if states is None else states)
    unknown = [name for name in names if name not in found.state_names]
    if unknown:
        raise ValueError(
            f"plot_assimilation: states must be among {list(found.state_names)[:12]}; "
            f"got {unknown}."
        )
    panels = make_panels(len(names), 1)[:, 0] if axes is None else np.atleast_1d(axes)
    true = None if truth is None else np.asarray(truth)
    for panel, name in zip(panels, names, strict=True):
        j = found.state_names.index(name)
        _draw(panel, found.times, found.mean[:, j], found.spread[:, j])
        if true is not None and j < true.shape[1]:
            panel.plot(found.times, true[:, j], label="truth", **_TRUTH)
        panel.set_ylabel(name)
        tidy(panel)
    panels[-1].set_xlabel("t")
    panels[0].legend(frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    return panels


def _draw(panel: Any, times: Any, mean: Any, spread: Any) -> None:
    band = {"color": LAW["color"], "alpha": 0.25, "linewidth": 0}
    panel.fill_between(times, mean - 2 * spread, mean + 2 * spread, label="2 sd", **band)
    panel.plot(times, mean, label="mean", **LAW)


def plot_rank_histogram(counts: Any, *, axes: Any = None) -> Any:
    """Plot how often the truth had each rank among the members; flat is as it should be.

    Parameters
    ----------
    counts : array-like of int, shape (n_members + 1,)
        From ``Assimilation.rank_histogram``.
    axes : matplotlib Axes, optional
    """
    if axes is None:
        axes = make_panels(1, 1)[0, 0]
    counts = np.asarray(counts)
    axes.bar(np.arange(len(counts)), counts / counts.sum(), color=LAW["color"], width=0.9)
    axes.axhline(1.0 / len(counts), color=DATA["color"], linewidth=0.9, linestyle="--")
    axes.set(xlabel="members below the truth", ylabel="share")
    tidy(axes)
    return axes
