"""Runs on the grids of their trajectories: what was measured, and what of it counts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from discover.estimation.collocation import Grid
from discover.exceptions import DataError
from discover.observations import Trajectory
from discover.observations.interpolation import is_stepped
from discover.problems.base import cut_notes
from discover.problems.scales import noise_level
from discover.typing import BoolArray, FloatArray

__all__ = [
    "SHORTEST",
    "excess_of",
    "filled_misfit",
    "grid_of",
    "isolated",
    "left_out",
    "measured_noise",
    "measured_scale",
    "measured_spread",
    "misfit_of",
    "pieces_of",
]

SHORTEST = 8  # samples of a run
_LONGEST_GAP = 10.0  # sampling intervals that the law may bridge
_ISOLATED = 8.0  # distances of an outlier from its neighbours
_STILL = 1e-12  # spread of rounding, relative to the size
_CHANCE = 3.0  # times the variance of the noise: more than the mean of seven squares shows


def measured_noise(pieces: Sequence[Trajectory]) -> FloatArray:
    """Estimate the noise of each state from the samples that have it; 0 where none has."""
    levels = []
    for i in range(pieces[0].n_states):
        seen = [np.isfinite(run.states[:, i]) for run in pieces]
        alone = [
            Trajectory(run.states[rows, i : i + 1], run.times[rows])
            for run, rows in zip(pieces, seen, strict=True)
            if rows.any()
        ]
        levels.append(noise_level(alone)[0] if alone else 0.0)
    return np.array(levels)


def measured_spread(states: FloatArray) -> FloatArray:
    """Return the standard deviation of every column over its measurements, 0 without any."""
    seen = np.isfinite(states)
    count = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, states, 0.0).sum(axis=0) / count
    return np.asarray(np.sqrt((np.where(seen, states - mean, 0.0) ** 2).sum(axis=0) / count))


def measured_scale(states: FloatArray) -> FloatArray:
    """Return the spread of every column; of one that never moves its size, or one if it is 0."""
    wide = measured_spread(states)
    size = np.where(np.isfinite(states), np.abs(states), 0.0).max(axis=0)
    return np.asarray(np.where(wide > _STILL * size, wide, np.where(size > 0, size, 1.0)))


def pieces_of(runs: Sequence[Trajectory]) -> list[Trajectory]:
    """Cut runs at gaps; samples that miss some states stay."""
    pieces = []
    for run in runs:
        cuts = np.flatnonzero(np.diff(run.times) > _LONGEST_GAP * run.dt) + 1
        edges = [0, *cuts.tolist(), len(run)]
        stretches = [run.select(slice(a, b)) for a, b in pairwise(edges)]
        pieces += [s for s in stretches if len(s) >= SHORTEST]
    if not pieces:
        raise DataError(f"JointFit: needs a run of at least {SHORTEST} samples without a gap.")
    return pieces


def left_out(runs: Sequence[Trajectory], pieces: Sequence[Trajectory]) -> tuple[str, ...]:
    """Say what of runs is in none of their pieces; samples that miss some states are."""
    short = sum(map(len, runs)) - sum(map(len, pieces))
    return tuple(cut_notes(len(runs), len(pieces), short, SHORTEST))


def grid_of(run: Trajectory, step: float, include_time: bool) -> Grid:
    """Return the grid of a run, with points inside the gaps between its samples."""
    gaps = np.diff(run.times)
    extra = np.maximum(np.ceil(gaps / step - 0.5).astype(np.int64) - 1, 0)
    after = np.repeat(np.arange(len(gaps)), extra)
    share = np.concatenate([np.arange(1, n + 1) / (n + 1) for n in extra]) if len(after) else 0.0
    inside = run.times[after] + share * gaps[after]
    known, before = _known(run, include_time)
    between = known[after] + np.reshape(share, (-1, 1)) * (before[after + 1] - known[after])
    switches = bool((before != known).any())
    return Grid(
        np.insert(run.times, after + 1, inside),
        np.insert(known, after + 1, between, axis=0),
        np.insert(run.states, after + 1, np.nan, axis=0),
        before=np.insert(before, after + 1, between, axis=0) if switches else None,
    )


def _known(run: Trajectory, include_time: bool) -> tuple[FloatArray, FloatArray]:
    """Return controls and time, the inputs of the law that are no unknowns; also just before.

    Controls that come in steps hold from their sample on.
    """
    parts = [np.empty((len(run), 0))]
    if run.controls is not None:
        parts.append(np.column_stack([_filled(run.times, u) for u in run.controls.T]))
    if include_time:
        parts.append(run.times[:, None])
    known = np.hstack(parts)
    before = known.copy()
    if run.controls is not None:
        held = np.flatnonzero(is_stepped(parts[1]))
        before[1:, held] = known[:-1, held]
    return known, before


def _filled(times: FloatArray, values: FloatArray) -> FloatArray:
    seen = np.isfinite(values)
    return np.asarray(np.interp(times, times[seen], values[seen]))


def isolated(y: FloatArray, sigma: FloatArray, window: int = 7) -> BoolArray:
    """Find single samples far from all others around them, shape (n, d).

    Far is eight times the median distance of the neighbours from their median, or of the
    noise. Samples of a short spike may be among them; they are looked at again when the law is
    known.
    """
    far = np.zeros(y.shape, dtype=bool)
    for i, column in enumerate(y.T):
        rows = np.flatnonzero(np.isfinite(column))
        if len(rows) < window:
            continue
        padded = np.pad(column[rows], window // 2, mode="edge")
        around = np.lib.stride_tricks.sliding_window_view(padded, window)
        middle = np.median(around, axis=1)
        reach = np.median(np.abs(around - middle[:, None]), axis=1) / 0.6745
        distance = np.abs(column[rows] - middle)
        far[rows, i] = distance > _ISOLATED * np.maximum(reach, sigma[i])
    return far


def misfit_of(grid: Grid, x: FloatArray) -> FloatArray:
    """Return the trajectory less the measurements; NaN where none counts."""
    return np.where(grid.measured, x - grid.y, np.nan)


def filled_misfit(grid: Grid, x: FloatArray) -> FloatArray:
    """Return the trajectory less all measurements, zero where none was made."""
    return np.where(np.isfinite(grid.y), x - grid.y, 0.0)


def excess_of(misfit: FloatArray, sigma: FloatArray, window: int = 7) -> FloatArray:
    """Return by how much a smoothed run misses its data, per interval; 0 if by noise alone."""
    seen = np.isfinite(misfit)
    kernel = np.ones(window)
    out = np.empty((len(misfit) - 1, misfit.shape[1]))
    for i, (square, here) in enumerate(
        zip(np.where(seen, misfit, 0.0).T ** 2, seen.T, strict=True)
    ):
        count = np.maximum(np.convolve(here, kernel, mode="same"), 1.0)
        mean = np.convolve(square, kernel, mode="same") / count
        excess = np.sqrt(np.where(mean > _CHANCE * sigma[i] ** 2, mean, 0.0))
        out[:, i] = np.maximum(excess[1:], excess[:-1])
    return out
