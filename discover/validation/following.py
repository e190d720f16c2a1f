"""Let a law run through observations: which states were seen, where it starts, what drives it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from discover.dynamics import Simulation
from discover.observations import Trajectory
from discover.observations.interpolation import interpolate_columns
from discover.symbolic import SymbolicModel
from discover.typing import FloatArray, IntArray

__all__ = ["Follower", "matching_columns"]

_WARM_UP = 0.2  # share of a run that may be used to find its start
_NOISE = 1e-3  # of the spread: below it a sample is as good as a fitted start


def matching_columns(
    wanted: Sequence[str], there: Sequence[str], prefix: str, owner: str, what: str
) -> list[int]:
    """Find columns by name, or by position where the data came without names.

    Raises
    ------
    ValueError
        If a wanted column is not there.
    """
    if set(wanted) <= set(there):
        return [there.index(name) for name in wanted]
    unnamed = all(name == f"{prefix}{i}" for i, name in enumerate(there))
    if unnamed and len(there) == len(wanted):
        return list(range(len(wanted)))
    where = "X" if prefix == "x" else prefix
    raise ValueError(
        f"{owner}: {where} must have the {what} {list(wanted)} of the law; got {list(there)}."
    )


@dataclass(frozen=True, eq=False)
class Follower:
    """One run as a law sees it.

    Parameters
    ----------
    law : SymbolicModel
    run : Trajectory
        Holds the states of the law; velocities of second-order laws may be missing.
    owner : str
        Begins every message.
    """

    law: SymbolicModel
    run: Trajectory
    owner: str = "validate"

    @cached_property
    def observed(self) -> IntArray:
        """Which states of the law are in the data, shape (n_observed,)."""
        hidden = set(self.law.velocities.values())
        seen = [
            i
            for i, name in enumerate(self.law.state_names)
            if i not in hidden or name in self.run.state_names
        ]
        return np.array(seen, dtype=np.int64)

    @cached_property
    def columns(self) -> list[int]:
        """Where these are among the columns of the run."""
        names = [self.law.state_names[i] for i in self.observed]
        return matching_columns(names, self.run.state_names, "x", self.owner, "states")

    @property
    def names(self) -> tuple[str, ...]:
        """The observed states."""
        return tuple(self.law.state_names[i] for i in self.observed)

    @cached_property
    def values(self) -> FloatArray:
        """The observed states, NaN where one is missing, shape (n_samples, n_observed)."""
        return np.ascontiguousarray(self.run.states[:, self.columns])

    @cached_property
    def first(self) -> int:
        """The first sample at which every observed state was seen."""
        whole = np.flatnonzero(np.isfinite(self.values).all(axis=1))
        if not len(whole):
            raise ValueError(f"{self.owner}: needs one sample without NaN to start from; got none.")
        return int(whole[0])

    def controls(self, times: FloatArray) -> FloatArray | None:
        """Read the controls at these times, across missing ones; None where there are none."""
        law, run = self.law, self.run
        if not law.n_controls:
            return None
        places = matching_columns(law.control_names, run.control_names, "u", self.owner, "controls")
        given = np.empty((len(run), 0)) if run.controls is None else run.controls[:, places]
        if np.array_equal(times, run.times) and np.isfinite(given).all():
            return given
        columns = []
        for value in given.T:
            ok = np.isfinite(value)
            inside = np.clip(times, run.times[ok][0], run.times[ok][-1])
            columns.append(interpolate_columns(value[ok, None], run.times[ok], inside)[:, 0])
        return np.column_stack(columns)

    def simulate(self, x0: FloatArray, times: FloatArray, **options: Any) -> Simulation:
        """Follow the law from a state; a failure is kept, not raised."""
        options = {"on_failure": "return", **options}
        if self.law.kind != "continuous" and len(times) > 1:
            grid = self.law.dt or float(np.median(np.diff(times)))
            n = round((times[-1] - times[0]) / grid)
            full = times[0] + grid * np.arange(n + 1)
            found = self.law.simulate(x0, full, self.controls(full), **options)
            return _thinned(found, np.searchsorted(full, times - 0.5 * grid), times)
        return self.law.simulate(x0, times, self.controls(times), **options)

    def bands(
        self,
        x0: FloatArray,
        times: FloatArray,
        *,
        x0_error: FloatArray,
        noise: FloatArray,
        n_draws: int,
        level: float,
        rng: np.random.Generator,
    ) -> tuple[Simulation, FloatArray, FloatArray]:
        """Follow the law and draws from its posterior; bounds of what would be observed.

        Parameters
        ----------
        x0 : ndarray of shape (n_states,)
        times : ndarray of shape (n_times,)
        x0_error : ndarray of shape (n_states,)
        noise : ndarray of shape (n_observed,)
            Standard deviation of the measurements, on top of the spread of the laws.
        n_draws : int
        level : float
        rng : numpy.random.Generator

        Returns
        -------
        simulation : Simulation
        low, high : ndarray of shape (n_times, n_observed)
        """
        found = self.simulate(x0, times, n_draws=n_draws, x0_error=x0_error, rng=rng)
        assert found.draws is not None
        draws = found.draws[:, :, self.observed]
        noisy = draws + noise * rng.standard_normal(draws.shape)
        return found, *replace(found, draws=noisy).band(level)

    # -- where it starts -----------------------------------------------------------

    def start(self, index: int, spread: FloatArray, noise: FloatArray, window: int) -> FloatArray:
        """Estimate the state at a sample.

        Parameters
        ----------
        index : int
            A sample at which every observed state was seen.
        spread, noise : ndarray of shape (n_observed,)
            Standard deviations of the observed states and of their noise.
        window : int
            How many samples may be used to find the start; they are counted by
            :meth:`warm_up`.

        Returns
        -------
        ndarray of shape (n_states,)

        Notes
        -----
        The sample itself where everything is measured without visible noise; else the
        state whose run fits the first samples best (least squares by Gauss-Newton steps),
        if that fits better than the sample does.
        """
        x0 = self._raw_start(index, window)
        if window <= len(x0) + 1 or not self.fits_start(spread, noise):
            return x0
        from scipy.optimize import least_squares

        rows = slice(index, index + window)
        times, Y = self.run.times[rows], self.values[rows]
        scale = self._state_scale(x0, spread, times)

        def misfit(z: FloatArray) -> FloatArray:
            path = np.asarray(self.simulate(x0 + scale * z, times))[:, self.observed]
            error = np.nan_to_num((path - Y) / spread, nan=1e3, posinf=1e3, neginf=-1e3)
            return np.where(np.isfinite(Y), error, 0.0).ravel()

        fitted = least_squares(misfit, np.zeros(len(x0)), method="trf", max_nfev=12, diff_step=1e-4)
        better = float((misfit(fitted.x) ** 2).sum()) < float((misfit(0 * fitted.x) ** 2).sum())
        return np.asarray(x0 + scale * fitted.x) if better else x0

    def fits_start(self, spread: FloatArray, noise: FloatArray) -> bool:
        """Whether a start is fitted to samples rather than read off one."""
        hidden = len(self.observed) < self.law.n_states
        return bool(hidden or (noise > _NOISE * spread).any())

    def warm_up(self, n_samples: int, period: float) -> int:
        """Return how many samples may be used to find a start: a quarter of a period."""
        at_least = max(2 * self.law.n_states + 2, int(0.25 * period / max(self.run.dt, 1e-300)))
        return min(at_least, int(_WARM_UP * n_samples), 200)

    def _raw_start(self, index: int, window: int) -> FloatArray:
        """Take the sample, and hidden velocities from a parabola through the first few."""
        x0 = np.zeros(self.law.n_states)
        x0[self.observed] = self.values[index]
        velocities = self.law.velocities
        rows = slice(index, index + max(window, 3))
        t = self.run.times[rows] - self.run.times[index]
        for position, velocity in velocities.items():
            if velocity in self.observed:
                continue
            y = self.values[rows, self.observed.tolist().index(position)]
            ok = np.isfinite(y)
            degree = min(2, int(ok.sum()) - 1)
            if degree > 0:
                x0[velocity] = np.polyfit(t[ok], y[ok], degree)[-2]
        return x0

    def _state_scale(self, x0: FloatArray, spread: FloatArray, times: FloatArray) -> FloatArray:
        scale = np.ones(len(x0))
        scale[self.observed] = spread
        for position, velocity in self.law.velocities.items():
            if velocity not in self.observed:
                where = self.observed.tolist().index(position)
                scale[velocity] = max(abs(x0[velocity]), spread[where] / (times[-1] - times[0]))
        return scale


def _thinned(found: Simulation, rows: IntArray, times: FloatArray) -> Simulation:
    """Keep the rows of a run at the times that were sampled."""
    if len(rows) == len(found.times):
        return found
    return replace(
        found,
        times=times,
        states=found.states[..., rows, :],
        controls=None if found.controls is None else found.controls[..., rows, :],
        draws=None if found.draws is None else found.draws[:, rows],
    )
