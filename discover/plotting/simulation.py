"""Data and the law's own run through them, state by state."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from discover.dynamics import Simulation
from discover.observations import Trajectory, as_trajectories
from discover.plotting.style import DATA, LAW, label, make_panels, tidy
from discover.problems import noise_level, time_scale
from discover.symbolic import SymbolicModel
from discover.validation.following import Follower

__all__ = ["follow", "plot_simulation"]

_LOOSE = 150  # samples that are drawn at full size; more are drawn smaller
_FINE = 1_000  # times at which a flow is drawn
_MOST_POINTS = 2_000  # points of a state that are drawn; more are thinned out


def plot_simulation(
    model: Any, X: Any, t: Any = None, u: Any = None, *, axes: Any = None
) -> NDArray[Any]:
    """Plot observations as points and the law's simulation of them as lines.

    The law starts from the first complete sample and sees nothing of the rest but the
    controls.

    Parameters
    ----------
    model : fitted SINDy or DiscreteSINDy, or SymbolicModel
    X : array-like of shape (n_samples, n_states), table, or list of runs
        As for :meth:`discover.SINDy.fit`; columns are matched by name where they have
        names.
    t, u : optional
        As for :meth:`discover.SINDy.fit`.
    axes : matplotlib Axes, or array of Axes, optional
        One per state, or one per state and run, (n_states, n_runs); by default a new
        figure.

    Returns
    -------
    ndarray of Axes
        (n_states,) for one run, (n_states, n_runs) for a list of runs.

    Warns
    -----
    RuntimeWarning
        If a simulation cannot reach the end; it is drawn as far as it goes.

    Notes
    -----
    Of more than 2,000 samples every k-th is drawn. Controls are joined by straight lines.
    """
    law: SymbolicModel = getattr(model, "symbolic_", model)
    runs = _runs(model, law, X, t, u)
    shape = (len(Follower(law, runs[0], "plot_simulation").columns), len(runs))
    panels = make_panels(*shape) if axes is None else _given_panels(axes, shape)
    for column, run in zip(panels.T, runs, strict=True):
        _draw(column, law, run)
    panels[0, 0].legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    several = isinstance(X, list | tuple) and len(runs) > 1
    return panels if several else np.asarray(panels[:, 0])


def _given_panels(axes: Any, shape: tuple[int, int]) -> NDArray[Any]:
    panels = np.atleast_1d(np.asarray(axes, dtype=object))
    if panels.size != shape[0] * shape[1]:
        raise ValueError(
            f"plot_simulation: axes must be {shape[0]} x {shape[1]} (states, runs); "
            f"got {panels.size}."
        )
    return panels.reshape(shape)


# -- reading -----------------------------------------------------------------------


def _runs(model: Any, law: SymbolicModel, X: Any, t: Any, u: Any) -> list[Trajectory]:
    """Read the data as the model did when it was fitted."""
    options = {}
    if model is not law:
        options = {key: getattr(model, key) for key in ("names", "control_names", "controls")}
    return as_trajectories(X, t, u, owner="plot_simulation", **options)


# -- simulating --------------------------------------------------------------------


def follow(law: SymbolicModel, run: Trajectory) -> Simulation:
    """Simulate a run from its first complete sample, on a grid fine enough to draw.

    Raises
    ------
    ValueError
        If no sample is complete, or states or controls of the law are not in the run.
    """
    follower = Follower(law, run, "plot_simulation")
    first = follower.first
    times = run.times[first:]
    pieces = [piece for piece in run.segments() if len(piece) > 2] or [run]
    noise = noise_level(pieces)
    period = time_scale(pieces, noise)
    window = follower.warm_up(len(times), period) if len(follower.observed) < law.n_states else 1
    spread = np.nanstd(follower.values, axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    x0 = follower.start(first, spread, noise[follower.columns], window)
    if law.kind == "continuous":
        times = np.union1d(times, np.linspace(times[0], times[-1], _FINE))
    return follower.simulate(x0, times, on_failure="warn")


# -- drawing -----------------------------------------------------------------------


def _draw(column: NDArray[Any], law: SymbolicModel, run: Trajectory) -> None:
    """Draw one run into one axes per state."""
    found, follower = follow(law, run), Follower(law, run, "plot_simulation")
    step = -(-len(run) // _MOST_POINTS)
    size = DATA["markersize"] * min(1.0, (_LOOSE / len(run)) ** 0.5)
    points = {**DATA, "markersize": max(size, 1.2), "label": "data"}
    for axes, name, j in zip(column, follower.names, follower.columns, strict=True):
        axes.plot(run.times[::step], run.states[::step, j], **points)
        axes.plot(found.times, found[name], label="law", **LAW)
        axes.set_ylabel(label(name, run.state_units[j] or law.units.get(name)))
        tidy(axes)
    column[-1].set_xlabel(label("t", run.time_unit or law.units.get("t")))
    if run.name:
        column[0].set_title(run.name, loc="left")
