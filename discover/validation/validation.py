"""validate: confront a law with observations it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from discover.dynamics import lyapunov_spectrum, valid_prediction_time
from discover.exceptions import DiscoverError
from discover.observations import Trajectory, as_trajectories
from discover.problems import noise_level, time_scale
from discover.symbolic import SymbolicModel
from discover.typing import BoolArray, FloatArray
from discover.validation.baselines import fit_linear, mean_path, persistence_path
from discover.validation.following import Follower
from discover.validation.residuals import Innovations, judge_whiteness, run_filter
from discover.validation.scores import Baseline, FreeRun, Validation
from discover.validation.verdict import judge

__all__ = ["validate"]

_THRESHOLD = 0.4
_MOST_STARTS = 12
_CLEAR = 4.0  # standard errors by which an exponent must be positive
_MOST_BAND = 2_000_000  # numbers in the draws of one run
_FEWEST_DRAWS = 20
_FEW = 40  # held-out samples below which innovations of the training data are used too


def validate(
    found: Any,
    X: Any,
    t: Any = None,
    u: Any = None,
    *,
    train: Any = None,
    x0: Any = None,
    n_draws: int = 100,
    level: float = 0.9,
    rng: np.random.Generator | None = None,
) -> Validation:
    """Judge a law by observations, best of all by some it has not seen.

    Parameters
    ----------
    found : fitted SINDy or DiscreteSINDy, or SymbolicModel
        A fitted estimator lets the verdict also say what the training data could not tell.
    X, t, u
        Observations, as for :meth:`discover.SINDy.fit`; of the states of a second-order law
        only the coordinates are needed. Missing samples are NaN.
    train : list of Trajectory, or table, optional
        What the law was fitted to: teaches the baselines, and lends its innovations where
        `X` has too few. When it is left out, the baselines are taught by `X` itself, in
        their favour. Pass the same object as `X` to say that the law has seen it all.
    x0 : array-like of shape (n_states,), optional
        State at the first sample of every run, where it is known. By default the first
        whole sample; where states are hidden or the noise is visible, the start whose run
        fits the first quarter of a period best (at most a fifth of a run), which is then
        not scored.
    n_draws : int, default=100
        Laws drawn from the posterior for the bands; 0 for none.
    level : float, default=0.9
        Of the bands.
    rng : numpy.random.Generator, optional
        For the draws; by default a generator of seed 0, so that a report can be repeated.

    Returns
    -------
    Validation

    Raises
    ------
    DataError
        If the observations cannot be used.
    ValueError
        If they lack states or controls of the law, or the law has no dynamics.

    Notes
    -----
    One step is judged by the innovations of an extended Kalman filter
    (:func:`discover.validation.run_filter`), a free run by a simulation from one state with
    the controls. Nothing here depends on units: errors are compared with the spread of the
    data, the residuals with their own noise.
    """
    law: SymbolicModel = getattr(found, "symbolic_", found)
    if law.kind == "direct":
        raise ValueError("validate: a law of kind 'direct' has no motion to compare with data.")
    runs = _read(found, law, X, t, u)
    known = runs if train is X else None if train is None else _read(found, law, train, None, None)
    return _Judge(found, law, runs, known, train is X, x0, n_draws, level, rng).result()


def _read(found: Any, law: SymbolicModel, X: Any, t: Any, u: Any) -> list[Trajectory]:
    """Read the data as the model did when it was fitted."""
    options = {}
    first = X[0] if isinstance(X, list | tuple) and len(X) else X
    if found is not law and not isinstance(first, Trajectory):
        options = {key: getattr(found, key) for key in ("names", "control_names", "controls")}
    return as_trajectories(X, t, u, owner="validate", **options)


class _Judge:
    """The steps of a validation, over what they share."""

    def __init__(
        self,
        found: Any,
        law: SymbolicModel,
        runs: list[Trajectory],
        train: list[Trajectory] | None,
        seen_before: bool,
        x0: Any,
        n_draws: int,
        level: float,
        rng: np.random.Generator | None,
    ) -> None:
        self.found, self.law, self.seen_before, self.level = found, law, seen_before, level
        self.rng = np.random.default_rng(0) if rng is None else rng
        self.n_draws = n_draws if law.covariance is not None else 0
        self.x0 = None if x0 is None else np.asarray(law._named_state(x0), dtype=np.float64)
        self.followers = [Follower(law, run) for run in runs]
        self.known = [Follower(law, run) for run in (runs if train is None else train)]
        self.has_train = train is not None and not seen_before
        self.names = self.followers[0].names
        everything = self.followers + (self.known if self.has_train else [])
        values = np.concatenate([f.values for f in everything])
        self.spread = np.nanstd(values, axis=0)
        size = np.nanmax(np.abs(values), axis=0)
        flat = self.spread <= 1e-12 * size
        self.spread = np.where(flat, np.where(size > 0, size, 1.0), self.spread)
        self.low, self.high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        pieces = [piece for f in everything for piece in _complete(f)]
        pieces = [piece for piece in pieces if len(piece) > 2] or pieces
        self.noise = noise_level(pieces)
        self.period = time_scale(pieces, self.noise)
        self.noise = np.minimum(self.noise, self.spread)

    # -- the free run ----------------------------------------------------------------

    def _start(self, follower: Follower, index: int, n_left: int) -> tuple[FloatArray, int]:
        """Return the state at a sample, and how many samples went into it."""
        if self.x0 is not None and index == follower.first:
            return self.x0, 1
        window = follower.warm_up(n_left, self.period)
        x0 = follower.start(index, self.spread, self.noise, window)
        fitted = window > len(x0) + 1 and follower.fits_start(self.spread, self.noise)
        return x0, window if fitted else 1

    def _free_run(self, follower: Follower, noise: FloatArray) -> FreeRun:
        first = follower.first
        times = follower.run.times[first:]
        x0, window = self._start(follower, first, len(times))
        n_draws = min(self.n_draws, _MOST_BAND // max(times.size * self.law.n_states, 1))
        place = (follower.run, tuple(follower.columns), first, first + window)
        if n_draws < _FEWEST_DRAWS:
            return FreeRun(*place, follower.simulate(x0, times))
        error = np.zeros(self.law.n_states)
        if self.x0 is None:
            error[follower.observed] = noise / np.sqrt(window)
        simulation, low, high = follower.bands(
            x0, times, x0_error=error, noise=noise, n_draws=n_draws, level=self.level, rng=self.rng
        )
        return FreeRun(*place, simulation, low, high, error)

    # -- scores ------------------------------------------------------------------------

    def result(self) -> Validation:
        """Take every step, and judge."""
        innovations, seen = self._innovations()
        noise = self._noise(innovations)
        runs = [self._free_run(f, noise) for f in self.followers]
        explained, rmse = self._explained(runs)
        exponent, error = self._exponent()
        chaotic = bool(
            np.isfinite(exponent) and exponent > _CLEAR * error and self._matters(exponent)
        )
        starts = self._starts()
        times, to_end = self._valid_times(starts)
        block = self._block()
        whiteness = judge_whiteness(innovations, self.names, block) if innovations else ()
        coverage, n_independent = self._coverage(runs)
        one_step = self._one_step(innovations)
        facts: dict[str, Any] = {
            "names": self.names,
            "units": dict(self.law.units),
            "n_samples": sum(len(f.run) for f in self.followers),
            "n_runs": len(self.followers),
            "span": float(sum(f.run.times[-1] - f.run.times[0] for f in self.followers)),
            "seen_before": self.seen_before,
            "explained": explained,
            "spread": self.spread,
            "rmse": rmse,
            "nrmse": rmse / self.spread,
            "one_step": one_step,
            "one_step_skill": self._skill(one_step),
            "valid_time": float(np.median(times)) if len(times) else np.nan,
            "valid_to_end": float(np.mean(to_end)) if len(to_end) else np.nan,
            "exponent": exponent,
            "exponent_error": error,
            "chaotic": chaotic,
            "diverged": self._diverged(runs),
            "whiteness": whiteness,
            "missing": self._missing(innovations),
            "level": self.level,
            "coverage": coverage,
            "n_independent": n_independent,
            "n_draws": min((0 if r.simulation.draws is None else len(r.simulation.draws))
                           for r in runs),
            "n_lost": max(r.simulation.n_lost for r in runs),
            "noise": noise,
            "baselines": self._baselines(runs, starts),
            "period": self.period,
            "runs": tuple(runs),
            "innovations": tuple(innovations),
            "innovations_seen": seen,
        }  # fmt: skip
        return Validation(**facts, verdict=judge(facts, self.found, self.law))

    def _explained(self, runs: Sequence[FreeRun]) -> tuple[FloatArray, FloatArray]:
        """Return the explained variance and the root mean square error of the free runs."""
        errors, truths = [], []
        for follower, run in zip(self.followers, runs, strict=True):
            truth = follower.values[run.scored_from :]
            path = np.asarray(run.simulation.states)[run.scored_from - run.start :]
            errors.append(path[:, follower.observed] - truth)
            truths.append(truth)
        error, truth = np.concatenate(errors), np.concatenate(truths)
        seen = np.isfinite(truth)
        lost = seen & ~np.isfinite(error)
        count = np.maximum(seen.sum(axis=0), 1)
        with np.errstate(over="ignore"):
            square = np.where(seen & ~lost, error, 0.0) ** 2
        mse = np.where(lost.any(axis=0), np.inf, square.sum(axis=0) / count)
        return 1.0 - mse / self.spread**2, np.sqrt(mse)

    def _diverged(self, runs: Sequence[FreeRun]) -> float:
        """Return when the first free run is lost for good."""
        reach = 10.0 * np.maximum(self.high - self.low, self.spread)
        earliest = np.inf
        for follower, run in zip(self.followers, runs, strict=True):
            path = np.asarray(run.simulation.states)[:, follower.observed]
            gone = ~((path > self.low - reach) & (path < self.high + reach)).all(axis=1)
            if gone.any():
                times = run.simulation.times
                earliest = min(earliest, float(times[np.argmax(gone)] - times[0]))
        return earliest

    # -- one step ----------------------------------------------------------------------

    def _innovations(self) -> tuple[list[Innovations], bool]:
        """Filter the runs; where they are short, the training data as well."""
        short = sum(len(f.run) for f in self.followers) < _FEW
        use_train = short and self.has_train
        found = []
        for follower in [*(self.known if use_train else []), *self.followers]:
            if len(follower.run) - follower.first < 4:
                continue
            window = follower.warm_up(len(follower.run) - follower.first, self.period)
            x0 = self.x0
            if x0 is None or follower in self.known:
                x0 = follower.start(follower.first, self.spread, self.noise, window)
            innovations = run_filter(follower, x0, self.spread, self.noise)
            if innovations is None:
                return [], use_train
            found.append(innovations)
        return found, use_train or self.seen_before

    def _noise(self, innovations: Sequence[Innovations]) -> FloatArray:
        if not innovations:
            return self.noise
        return np.asarray(np.median([i.noise for i in innovations], axis=0))

    def _one_step(self, innovations: Sequence[Innovations]) -> FloatArray:
        if not innovations:
            return np.full(len(self.names), np.nan)
        kept = [np.where(np.isfinite(i.scaled), i.raw, np.nan) for i in innovations]
        return np.asarray(np.sqrt(np.nanmean(np.concatenate(kept) ** 2, axis=0)))

    def _skill(self, one_step: FloatArray) -> float:
        """Compare with the change from one sample to the next."""
        steps = np.concatenate([np.diff(f.values, axis=0) for f in self.followers])
        change = np.nanmean(steps**2, axis=0) / self.spread**2
        return float(1.0 - np.mean((one_step / self.spread) ** 2) / max(np.mean(change), 1e-300))

    def _block(self) -> int:
        dt = float(np.median([f.run.dt for f in self.followers]))
        return max(1, int(self.period / 8 / dt)) if dt > 0 else 1

    def _missing(
        self, innovations: Sequence[Innovations]
    ) -> tuple[tuple[str, str, float, float], ...]:
        """Find the terms outside the law that the innovations go with."""
        from discover.validation.verdict import missing_terms

        return missing_terms(self.law, self.names, self.known + self.followers, innovations)

    # -- how long it holds ----------------------------------------------------------------

    def _exponent(self) -> tuple[float, float]:
        """Return the largest Lyapunov exponent of the law on its attractor, and its error."""
        law, follower = self.law, self.followers[0]
        plane = law.kind == "continuous" and law.n_states < 3 and law.time_name is None
        if law.n_controls or plane:
            return np.nan, np.nan
        x0, _ = self._start(follower, follower.first, len(follower.run) - follower.first)
        duration = 200 * self.period
        if law.kind != "continuous":
            duration = 5_000 * (law.dt or 1.0)
        try:
            spectrum = lyapunov_spectrum(
                law, x0, duration, n_exponents=1, t0=float(follower.run.times[follower.first]),
                rtol=1e-6,
            )  # fmt: skip
        except (DiscoverError, ValueError):
            return np.nan, np.nan
        return spectrum.largest, float(spectrum.standard_errors[0])

    def _matters(self, exponent: float) -> bool:
        """Whether errors grow by a factor e at least within five periods."""
        return exponent * 5.0 * self.period > 1.0

    def _starts(self) -> list[tuple[Follower, int]]:
        """Return where forecasts start: the first sample of every run, and more of a long one."""
        starts = []
        each = max(1, _MOST_STARTS // len(self.followers))
        for follower in self.followers[:_MOST_STARTS]:
            n, first = len(follower.run), follower.first
            room = n - first - max(8, int(self.period / max(follower.run.dt, 1e-300)))
            places = np.unique(np.linspace(first, first + max(room * 3 // 4, 0), each).astype(int))
            whole = np.asarray(np.isfinite(follower.values).all(axis=1))
            starts += [(follower, int(k)) for k in places if whole[k] and k < n - 2]
        return starts

    def _valid_times(self, starts: Sequence[tuple[Follower, int]]) -> tuple[FloatArray, BoolArray]:
        times, to_end = [], []
        for follower, index in starts:
            x0, _ = self._start(follower, index, len(follower.run) - index)
            stop = self._horizon(follower, index)
            clock = follower.run.times[index:stop]
            path = np.asarray(follower.simulate(x0, clock).states)[:, follower.observed]
            found = self._valid_time(follower, index, path)
            times.append(found)
            to_end.append(found >= clock[-1] - clock[0])
        return np.array(times), np.array(to_end, dtype=bool)

    def _horizon(self, follower: Follower, index: int) -> int:
        """Return where a forecast ends: after a hundred periods, or with the run."""
        run = follower.run
        return int(np.searchsorted(run.times, run.times[index] + 100 * self.period, side="right"))

    def _valid_time(self, follower: Follower, index: int, path: FloatArray) -> float:
        rows = slice(index, index + len(path))
        truth, clock = follower.values[rows], follower.run.times[rows]
        whole = np.isfinite(truth).all(axis=1)
        return float(
            valid_prediction_time(
                truth[whole], path[whole], clock[whole], threshold=_THRESHOLD, scale=self.spread
            )
        )

    # -- bands and baselines ---------------------------------------------------------------

    def _coverage(self, runs: Sequence[FreeRun]) -> tuple[float, float]:
        """Return the share of observations in their bands, and how many count as independent."""
        inside, seen = 0, 0
        for follower, run in zip(self.followers, runs, strict=True):
            if run.low is None or run.high is None:
                return np.nan, 0.0
            rows = slice(run.scored_from - run.start, None)
            truth = follower.values[run.scored_from :]
            known = np.isfinite(truth)
            low, high = run.low[rows], run.high[rows]
            open_ended = np.isnan(low) | np.isnan(high)
            inside += int((known & (open_ended | ((truth >= low) & (truth <= high)))).sum())
            seen += int(known.sum())
        span = sum(float(f.run.times[-1] - f.run.times[0]) for f in self.followers)
        independent = min(float(seen), max(2.0 * span / self.period, 1.0))
        return (inside / seen if seen else np.nan), independent

    def _baselines(
        self, runs: Sequence[FreeRun], starts: Sequence[tuple[Follower, int]]
    ) -> tuple[Baseline, ...]:
        mean = np.nanmean(np.concatenate([f.values for f in self.known]), axis=0)
        lags = 2 if self.law.velocities else 1
        linear = fit_linear(self.known, lags)
        if linear is not None and not all(
            f.run.is_uniform and np.isclose(f.run.dt, linear.dt, rtol=1e-3) for f in self.followers
        ):
            linear = None
        steps = np.concatenate([np.diff(f.values, axis=0) for f in self.followers])
        off = np.concatenate([f.values - mean for f in self.followers])
        found = [
            self._baseline("persistence", persistence_path, steps, runs, starts),
            self._baseline(
                "mean", lambda f, k, most=None: mean_path(mean, f, k)[:most], off, runs, starts
            ),
        ]
        if linear is not None:
            errors = np.concatenate([linear.one_step(f) for f in self.followers])
            found.append(self._baseline("linear model", linear.path, errors, runs, starts))
        return tuple(found)

    def _baseline(
        self,
        name: str,
        path: Any,
        one_step: FloatArray,
        runs: Sequence[FreeRun],
        starts: Sequence[tuple[Follower, int]],
    ) -> Baseline:
        errors = []
        for follower, run in zip(self.followers, runs, strict=True):
            found = path(follower, run.start)
            if found is None:
                return Baseline(name, np.nan, np.nan, np.nan)
            skipped = run.scored_from - run.start
            errors.append(found[skipped:] - follower.values[run.scored_from :])
        times = []
        for follower, index in starts:
            found = path(follower, index, self._horizon(follower, index) - index)
            if found is not None:
                times.append(self._valid_time(follower, index, found))
        valid = float(np.median(times)) if times else np.nan
        return Baseline(
            name, self._relative(np.concatenate(errors)), self._relative(one_step), valid
        )

    def _relative(self, errors: FloatArray) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            mse = np.nanmean((errors / self.spread) ** 2, axis=0)
        return float(np.sqrt(np.mean(mse)))


def _complete(follower: Follower) -> list[Trajectory]:
    """Return the stretches where the observed states are all there."""
    run = Trajectory(follower.values, follower.run.times)
    return run.segments()
