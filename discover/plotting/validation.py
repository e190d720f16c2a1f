"""Pictures of a validation: free runs with bands, residuals, phase portraits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from discover.plotting.style import DATA, LAW, PALETTE, label, make_panels, tidy

if TYPE_CHECKING:
    from discover.symbolic import SymbolicModel
    from discover.validation import FreeRun, Validation

__all__ = ["plot_forecast", "plot_phase", "plot_residuals"]

_LOOSE = 150  # samples drawn at full size
_MOST_POINTS = 4_000
_BAND: dict[str, Any] = {"color": PALETTE[5], "alpha": 0.35, "linewidth": 0}


def _longest(validation: Validation) -> FreeRun:
    return max(validation.runs, key=lambda run: len(run.run))


def _points(n: int) -> dict[str, Any]:
    size = DATA["markersize"] * min(1.0, (_LOOSE / max(n, 1)) ** 0.5)
    return {**DATA, "markersize": max(size, 1.2)}


def plot_forecast(validation: Validation, *, axes: Any = None) -> NDArray[Any]:
    """Plot the longest run, the law left to itself, and the band that should hold the data.

    Parameters
    ----------
    validation : Validation
    axes : array of matplotlib Axes, optional
        One per observed state; by default a new figure.

    Returns
    -------
    ndarray of Axes, shape (n_observed,)

    Notes
    -----
    Of more than 4,000 samples every k-th is drawn.
    """
    run, names = _longest(validation), validation.names
    panels = make_panels(len(names), 1)[:, 0] if axes is None else np.atleast_1d(np.asarray(axes))
    step = -(-len(run.run) // _MOST_POINTS)
    times = run.simulation.times[::step]
    for j, (panel, name) in enumerate(zip(panels, names, strict=True)):
        if run.low is not None and run.high is not None:
            edges = run.low[::step, j], run.high[::step, j]
            panel.fill_between(times, *edges, label=f"{validation.level:.0%} band", **_BAND)
        values = run.run.states[::step, run.columns[j]]
        panel.plot(run.run.times[::step], values, label="data", **_points(len(values)))
        panel.plot(times, run.simulation[name][::step], label="law", **LAW)
        panel.set_ylabel(label(name, validation.units.get(name)))
        tidy(panel)
    panels[-1].set_xlabel(label("t", validation.units.get("t")))
    panels[0].legend(frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    return panels


def plot_residuals(validation: Validation, *, axes: Any = None) -> NDArray[Any]:
    """Plot innovations over time, and their autocorrelation with its 95 % band.

    Parameters
    ----------
    validation : Validation
    axes : array of matplotlib Axes, shape (n_observed, 2), optional
        By default a new figure.

    Returns
    -------
    ndarray of Axes, shape (n_observed, 2)

    Raises
    ------
    ValueError
        If there are no innovations: the law could not be followed.
    """
    if not validation.innovations:
        raise ValueError("plot_residuals: the law could not be followed; there are no residuals.")
    n = len(validation.names)
    panels = make_panels(n, 2) if axes is None else np.asarray(axes).reshape(n, 2)
    times = np.concatenate([found.times for found in validation.innovations])
    scaled = np.concatenate([found.scaled for found in validation.innovations])
    step = -(-len(times) // _MOST_POINTS)
    for j, (over_time, correlation) in enumerate(panels):
        over_time.axhline(0, color="0.7", linewidth=0.8)
        over_time.plot(times[::step], scaled[::step, j], **_points(len(times)))
        over_time.set_ylabel(f"residual of {validation.names[j]}")
        white = validation.whiteness[j]
        lags = np.arange(1, len(white.correlation) + 1)
        if len(lags):
            correlation.axhspan(-white.bound, white.bound, color="0.9", linewidth=0)
            correlation.vlines(lags, 0, white.correlation, color=PALETTE[0])
            correlation.set_title(f"p = {white.p_value:.2g}", fontsize="small", loc="right")
        correlation.axhline(0, color="0.7", linewidth=0.8)
        tidy(over_time)
        tidy(correlation)
    panels[-1, 0].set_xlabel(label("t", validation.units.get("t")))
    panels[-1, 1].set_xlabel("lag [samples]")
    return panels


def plot_phase(validation: Validation, law: SymbolicModel, *, axes: Any = None) -> Any:
    """Plot two states against each other: the law left to itself and the data.

    Parameters
    ----------
    validation : Validation
    law : SymbolicModel
    axes : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        A coordinate and its velocity for second-order laws, else the first two states, or
        the first and third of three and more. Hidden states are those of the law alone.
    """
    axes = make_panels(1, 1)[0, 0] if axes is None else axes
    a, b = next(iter(law.velocities.items()), (0, min(2, law.n_states - 1)))
    if law.n_states == 2 and not law.velocities:
        b = 1
    names, run = law.state_names, _longest(validation)
    if names[a] in validation.names and names[b] in validation.names:
        columns = [run.columns[validation.names.index(names[k])] for k in (a, b)]
        values = run.run.states[:_MOST_POINTS, columns]
        axes.plot(values[:, 0], values[:, 1], **_points(len(values)))
    path = np.asarray(run.simulation.states)[:_MOST_POINTS]
    axes.plot(path[:, a], path[:, b], **LAW)
    axes.set_xlabel(label(names[a], validation.units.get(names[a])))
    axes.set_ylabel(label(names[b], validation.units.get(names[b])))
    tidy(axes)
    return axes
