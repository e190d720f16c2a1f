"""What a law is matched to: observed states at sample times, and how its motion may begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from discover.dynamics.integrators import Reading
from discover.exceptions import DataError
from discover.kernels import integrators
from discover.observations import (
    Trajectory,
    as_trajectories,
    default_max_gap,
    read_names,
)
from discover.observations.interpolation import interval_slopes, is_curved, is_stepped
from discover.problems import noise_level, time_scale
from discover.problems.velocities import smooth_positions, with_velocities
from discover.symbolic import SymbolicModel
from discover.typing import BoolArray, FloatArray, IntArray

__all__ = ["Samples", "observe", "read_runs"]

_SMOOTHED = 1 / 8  # of the period: what a first guess of the states leaves out
_FEWEST_IN_SEGMENT = 6
_SEGMENT_OF_A_MAP = 2


@dataclass(frozen=True, eq=False)
class Samples:
    """All runs, one after the other, as the kernels read them.

    Parameters
    ----------
    times : ndarray of shape (n_samples,)
    Y : ndarray of shape (n_samples, n_states)
        Observations; 0 where there was none.
    seen : ndarray of bool, shape (n_samples, n_states)
        Where there was one.
    U : ndarray of shape (n_samples, n_controls or 3 n_controls)
    reading : int
        How the kernels read the controls.
    edges : ndarray of int
        Where pieces (stretches of a run without a break) begin, and n_samples.
    rows : list of (int, ndarray of int)
        For every piece its run and the rows there.
    guess : ndarray of shape (n_samples, n_states)
        Smoothed observations, and velocities made of them; NaN for states without.
    noise : ndarray of shape (n_states,)
        Estimated from the data.
    spread : ndarray of shape (n_states,)
        Standard deviation of the guess, 1 where there is none.
    segment : int
        Samples in half of the period of the fastest state.
    """

    times: FloatArray
    Y: FloatArray
    seen: BoolArray
    U: FloatArray
    reading: int
    edges: IntArray
    rows: list[tuple[int, IntArray]]
    guess: FloatArray
    noise: FloatArray
    spread: FloatArray
    segment: int


def read_runs(
    law: SymbolicModel, X: Any, t: Any, u: Any, observed: Sequence[str] | None
) -> list[Trajectory]:
    """Return runs whose states are called as in the law.

    Raises
    ------
    DataError
        If columns cannot be matched to states.
    """
    first = X[0] if isinstance(X, list | tuple) and len(X) else X
    columns = getattr(first, "columns", None)
    controls = None
    if columns is not None and u is None and law.control_names:
        names = read_names(columns, "refine")
        controls = [name for name in law.control_names if name in names] or None
    runs = as_trajectories(X, t, u, names=observed, controls=controls, owner="refine")
    found = runs[0].state_names
    if not set(found) <= set(law.state_names):
        coordinates = tuple(law.state_names[i] for i in law.velocities)
        named = {len(coordinates): coordinates, law.n_states: law.state_names}
        labelled = observed is not None or columns is not None or isinstance(first, Trajectory)
        if len(found) not in named or labelled:
            raise DataError(
                f"refine: the columns of X must be among the states {list(law.state_names)}; "
                f"got {list(found)}. Rename them, or say which states they are: observed=."
            )
        runs = [replace(run, state_names=tuple(named[len(found)])) for run in runs]
    if runs[0].n_controls != law.n_controls:
        raise DataError(
            f"refine: u must have the controls {list(law.control_names)}; got "
            f"{list(runs[0].control_names)}."
        )
    return runs


def observe(law: SymbolicModel, runs: Sequence[Trajectory], u_interpolation: Reading) -> Samples:
    """Lay out runs as the kernels read them.

    Raises
    ------
    DataError
        If no stretch has enough observations to place the law's state.
    """
    where = [list(law.state_names).index(name) for name in runs[0].state_names]
    pieces = [
        (number, rows) for number, run in enumerate(runs) for rows in _pieces(run, law.n_states)
    ]
    if not pieces:
        raise DataError(
            f"refine: needs a stretch of at least {law.n_states + 1} observations without a gap "
            "in times and controls."
        )
    cut = [_without_controls(runs[number].select(rows)) for number, rows in pieces]
    known = [run.select(run.complete) for run in cut]
    noise, period = np.full(law.n_states, np.nan), np.nan
    noise[where] = noise_level(known)
    if law.kind == "continuous":
        period = time_scale(known, noise[where])
    times = np.concatenate([run.times for run in cut])
    states = np.full((len(times), law.n_states), np.nan)
    states[:, where] = np.concatenate([run.states for run in cut])
    guess = np.concatenate([_guess(law, run, where, period) for run in cut])
    spread = np.array([_spread(column) for column in guess.T])
    relative = np.nanmax(noise / spread)
    U, reading = _controls(
        [runs[number].select(rows) for number, rows in pieces], law, u_interpolation
    )
    seen = ~np.isnan(states)
    return Samples(
        times=times,
        Y=np.where(seen, states, 0.0),
        seen=seen,
        U=U,
        reading=reading,
        edges=np.concatenate([[0], np.cumsum([len(run) for run in cut])]).astype(np.int64),
        rows=pieces,
        guess=guess,
        noise=np.where(np.isnan(noise), relative * spread, noise),
        spread=spread,
        segment=_segment(law, cut, period),
    )


def _pieces(run: Trajectory, n_states: int) -> list[IntArray]:
    """Cut the rows of a run where controls are unknown and at gaps between times."""
    rows = np.arange(len(run))
    if run.controls is not None:
        rows = rows[~np.isnan(run.controls).any(axis=1)]
    if not len(rows):
        return []
    cuts = np.flatnonzero(np.diff(run.times[rows]) > default_max_gap(run.times[rows])) + 1
    observed = ~np.isnan(run.states)
    kept = []
    for piece in np.split(rows, cuts):
        some = np.flatnonzero(observed[piece].any(axis=1))
        if len(some) > n_states:  # nothing is known before the first and after the last
            kept.append(piece[some[0] : some[-1] + 1])
    return kept


def _without_controls(run: Trajectory) -> Trajectory:
    return replace(run, controls=None, control_names=(), control_units=())


def _controls(
    runs: Sequence[Trajectory], law: SymbolicModel, u_interpolation: Reading
) -> tuple[FloatArray, int]:
    """Return the controls at the samples and how to read them in between."""
    if not law.n_controls:
        return np.empty((sum(map(len, runs)), 0)), integrators.LINEAR
    values = [np.ascontiguousarray(run.controls) for run in runs]
    if law.kind != "continuous" or u_interpolation == "previous":
        return np.concatenate(values), integrators.HELD
    if u_interpolation == "linear":
        return np.concatenate(values), integrators.LINEAR
    parts = []
    for run, U in zip(runs, values, strict=True):
        curved, held = np.full(law.n_controls, len(run) > 2), np.zeros(law.n_controls, dtype=bool)
        if u_interpolation == "auto":
            held, curved = is_stepped(U), is_curved(U, run.times)
        parts.append(np.concatenate([U, *interval_slopes(U, run.times, curved, held)], axis=1))
    return np.concatenate(parts), integrators.CURVE


def _guess(law: SymbolicModel, run: Trajectory, where: Sequence[int], period: float) -> FloatArray:
    """Guess the states at the samples of one piece."""
    guess = np.full((len(run), law.n_states), np.nan)
    for place, column in zip(where, run.states.T, strict=True):
        seen = np.flatnonzero(~np.isnan(column))
        if not len(seen):
            continue
        times, values = run.times[seen], column[seen, None]
        if law.kind != "continuous":
            guess[:, place] = np.interp(run.times, times, values[:, 0])
            continue
        smooth = smooth_positions(values, times, _SMOOTHED * period)
        position, velocity = with_velocities(smooth, times, np.clip(run.times, *times[[0, -1]]))
        guess[:, place] = position[:, 0]
        hidden = law.velocities.get(place)
        if hidden is not None and hidden not in where:
            guess[:, hidden] = velocity[:, 0]
    return guess


def _spread(column: FloatArray) -> float:
    """Return the standard deviation of what is known; its size where it is constant."""
    known = column[~np.isnan(column)]
    if not len(known):
        return 1.0
    return float(known.std()) or float(np.abs(known).max()) or 1.0


def _segment(law: SymbolicModel, runs: Sequence[Trajectory], period: float) -> int:
    if law.kind != "continuous":
        return _SEGMENT_OF_A_MAP
    dt = float(np.median(np.concatenate([np.diff(run.times) for run in runs])))
    return max(_FEWEST_IN_SEGMENT, round(0.5 * period / dt))
