"""How the law was chosen: misfit against number of terms."""

from __future__ import annotations

from typing import Any

import numpy as np

from discover.plotting.style import PALETTE, make_panels, tidy

__all__ = ["plot_path"]

_LEAST = 1e-32  # an exact fit has no place on a logarithmic axis
_MARKERS = "os^Dvp"


def plot_path(found: Any, *, axes: Any = None) -> Any:
    """Plot the misfit of every model that was compared, with the chosen one marked.

    Parameters
    ----------
    found : Estimate, or fitted SINDy, DiscreteSINDy or SparseRegressor
    axes : matplotlib Axes, optional
        By default those of a new figure.

    Returns
    -------
    matplotlib Axes
        Variance of the residual over the mean square of the target, logarithmic, against
        the number of terms; one line per target. A ring marks the chosen model.

    Raises
    ------
    ValueError
        If no path was followed: the threshold was given, not found.
    """
    estimate = getattr(found, "estimate_", found)
    if not estimate.path:
        raise ValueError("plot_path: there is no path; fit with STLSQ(threshold='auto').")
    if axes is None:
        axes = make_panels(1, 1)[0, 0]
    law = getattr(found, "symbolic_", None)
    names = None if law is None else law.target_names
    targets = list(dict.fromkeys(model.target for model in estimate.path))
    for k, target in enumerate(targets):
        models = [model for model in estimate.path if model.target == target]
        _draw(axes, models, _target_name(target, names), k)
    _finish(axes)
    return axes


def _target_name(target: int | None, names: Any) -> str:
    if target is None:
        return "all targets"
    return f"target {target}" if names is None else str(names[target])


def _draw(axes: Any, models: list[Any], name: str, k: int) -> None:
    """Draw one path and a ring around its best model."""
    terms = [len(model.terms) for model in models]
    variance = [max(model.variance, _LEAST) for model in models]
    color, marker = PALETTE[k % len(PALETTE)], _MARKERS[k % len(_MARKERS)]
    axes.plot(terms, variance, color=color, marker=marker, markersize=4, label=name)
    best = int(np.argmin([model.criterion for model in models]))
    ring = {"facecolor": "none", "edgecolor": color, "s": 130, "linewidth": 1.6, "zorder": 4}
    axes.scatter(terms[best], variance[best], **ring)


def _finish(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("terms")
    axes.set_ylabel("unexplained variance")
    axes.scatter([], [], facecolor="none", edgecolor="0.3", s=130, linewidth=1.6, label="chosen")
    axes.legend(frameon=False)
    tidy(axes)
