"""EnsembleKalmanFilter: forecast, compare, correct, again."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from discover.assimilation.analysis import (
    LOCAL_SCHEMES,
    SchemeName,
    analyze_locally,
    depart,
)
from discover.assimilation.checkpoint import load_checkpoint, save_checkpoint
from discover.assimilation.covariance import Covariance
from discover.assimilation.inflation import Inflation, as_inflation
from discover.assimilation.localization import Localization
from discover.assimilation.request import Request, read_request
from discover.assimilation.result import Assimilation, Keep, Recorder
from discover.assimilation.schemes import SCHEMES
from discover.assimilation.updates import Departures, Update, rotation
from discover.exceptions import AssimilationError, AssimilationWarning
from discover.typing import FloatArray

__all__ = ["Assimilator", "Course", "Cycle", "EnsembleKalmanFilter", "read_noise"]

_BLOWN_UP = 1e100  # its square and sums of squares are still finite
_WINDOW = 20  # analyses over which divergence is judged
_TOO_FAR = 4.0  # squared innovation over its expectation: twice as large as it should be


class Assimilator(ABC):
    """Anything that turns dynamics and observations into states with uncertainty."""

    random_state: int | np.random.Generator | None
    keep: Keep
    n_members: int

    def assimilate(
        self,
        dynamics: Any,
        observe: Any,
        R: Any,
        observations: Any,
        t: ArrayLike | None = None,
        *,
        initial: Any,
        start: float | None = None,
        truth: ArrayLike | None = None,
        parameters: Sequence[str] | Mapping[str, Any] | None = None,
        dt: float | None = None,
        n_jobs: int | None = None,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        checkpoint_every: int = 100,
    ) -> Assimilation:
        """Follow observations with a model.

        Parameters
        ----------
        dynamics : SymbolicModel, Dynamics or callable
            A law (compiled; all members in one call), an object with ``step(x, t, dt, u)``
            or ``rhs(x, t, u)``, or a function ``(E, t, dt)`` of ensembles.
        observe : None, callable, indices, names, matrix, sparse matrix, or list of these
            What is observed. None: the columns of `observations` by name where they have
            names, else every state. A function takes the ensemble (n_members, n_states),
            and the time if it wants two arguments, and returns (n_members, n_obs). A list
            with one entry per time is an operator that changes.
        R : float, array-like of shape (n_obs,) or (n_obs, n_obs), Covariance, or list of these
            Observation-error covariance; a list of arrays has one entry per time.
        observations : array-like of shape (n_times, n_obs), table, Trajectory, or list of vectors
            NaN where nothing was observed. Vectors may have different lengths.
        t : array-like of shape (n_times,), float or str, optional
            Times of the observations, in any spacing, increasing; or the interval; or the
            name of their column.
        initial : (mean, covariance), or array-like of shape (n_members, n_states)
            What is known at `start`, parameters included: a mean with a variance,
            variances or a matrix; or an ensemble.
        start : float, optional
            When `initial` holds; by default at the first observation.
        truth : array-like of shape (n_times, n_states), optional
            To measure errors against. Parameters may be left out.
        parameters : sequence of str, or mapping, optional
            Parameters of a SymbolicModel to estimate with the state; see
            :func:`~discover.assimilation.with_parameters`.
        dt : float, optional
            Longest Runge-Kutta (or own) step. By default laws choose their steps (relative
            error 1e-6) and other objects take one step from observation to observation.
        n_jobs : int, optional
            Processes that share the members of a Python object; -1 for all cores.
        progress : bool, default=False
            Show a progress bar.
        checkpoint : path, optional
            File to write to every `checkpoint_every` analyses. If it is there already, the
            run goes on from it, to the same bits.
        checkpoint_every : int, default=100

        Returns
        -------
        Assimilation

        Raises
        ------
        DataError
            If the observations cannot be used: times out of order, nothing observed.
        ValueError
            If shapes or options do not match.
        AssimilationError
            If too many members blow up, or any with ``on_blow_up="raise"``.

        Warns
        -----
        AssimilationWarning
            If members were replaced, or the filter has lost the observations.
        """
        request = read_request(
            dynamics, observe, R, observations, t, initial=initial, start=start, truth=truth,
            parameters=parameters, dt=dt, n_jobs=n_jobs,
        )  # fmt: skip
        if not any(np.isfinite(row).any() for row in request.y):
            raise ValueError("assimilate: observations are all NaN; there is nothing to use.")
        rng = np.random.default_rng(self.random_state)
        return self._run(request, rng, Course(progress, checkpoint, checkpoint_every))

    @abstractmethod
    def _run(self, request: Request, rng: np.random.Generator, course: Course) -> Assimilation:
        """Assimilate a checked request."""


@dataclass(frozen=True)
class Course:
    """How a run is watched and kept."""

    progress: bool = False
    checkpoint: str | Path | None = None
    every: int = 100

    def steps(self, first: int, last: int) -> Any:
        """Count from `first` to `last`, with a bar if asked for."""
        if not self.progress:
            return range(first, last)
        from tqdm.auto import tqdm

        return tqdm(range(first, last), total=last, initial=first, unit="analysis")

    def through(self, values: Iterable[Any]) -> Any:
        """Go through values, with a bar if asked for."""
        if not self.progress:
            return values
        from tqdm.auto import tqdm

        return tqdm(values)


@dataclass
class EnsembleKalmanFilter(Assimilator):
    """The ensemble Kalman filter, in its published forms.

    Parameters
    ----------
    scheme : str, default="etkf"
        As in :func:`~discover.assimilation.analyze`.
    n_members : int, default=20
    inflation : float or Inflation, default=1.0
        A factor on the anomalies of every analysis, or an object of
        :mod:`discover.assimilation.inflation`. ``"enkfn"`` needs none.
    localization : Localization, optional
        For ``"letkf"`` and ``"ensrf"``.
    rotate : bool, default=False
        Rotate the anomalies at random after every analysis, which keeps square-root
        ensembles from growing outliers.
    model_noise : float, array-like or Covariance, optional
        Covariance of random model errors per unit of time, added to every member; of
        shape () , (n_states,) or (n_states, n_states), parameters included. Zero variances
        are allowed on a diagonal.
    keep : {"moments", "ensembles"}, default="moments"
        Moments take ``32 n_times n_states`` bytes; ensembles ``16 n_times n_members n_states``
        more.
    on_blow_up : {"replace", "raise"}, default="replace"
        Members that are not finite, or beyond 1e100, are replaced by draws from the others
        (their mean plus a random combination of their anomalies) with a warning; an error
        if fewer than half are left, or fewer than two.
    random_state : int, Generator or None, default=None

    Examples
    --------
    Track a decaying state that is observed with errors:

    >>> import numpy as np
    >>> found = EnsembleKalmanFilter("etkf", 20, random_state=0).assimilate(
    ...     lambda E, t, dt: E * np.exp(-dt), None, 0.01, [[0.62], [0.35], [0.24]],
    ...     [0.5, 1.0, 1.5], initial=([1.0], 1.0), start=0.0)
    >>> bool(abs(found.mean[-1, 0] - np.exp(-1.5)) < 0.1)
    True
    """

    scheme: SchemeName = "etkf"
    n_members: int = 20
    inflation: float | Inflation = 1.0
    localization: Localization | None = None
    rotate: bool = False
    model_noise: Any = None
    keep: Keep = "moments"
    on_blow_up: Literal["replace", "raise"] = "replace"
    random_state: int | np.random.Generator | None = None

    def _run(self, request: Request, rng: np.random.Generator, course: Course) -> Assimilation:
        cycle = Cycle.prepare(self, request, rng)
        return cycle.run(course)


@dataclass(eq=False)
class Cycle:
    """The state of a filter between two analyses."""

    settings: EnsembleKalmanFilter
    request: Request
    rng: np.random.Generator
    inflation: Inflation
    noise: Any
    recorder: Recorder
    E: FloatArray
    time: float
    memory: float
    next: int = 0
    recent: deque[bool] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    lost_at: float | None = None
    update: Update | None = None  # what the last analysis did, before inflation

    @classmethod
    def prepare(
        cls, settings: EnsembleKalmanFilter, request: Request, rng: np.random.Generator
    ) -> Cycle:
        """Check the settings against the request and draw the first ensemble."""
        _check(settings)
        inflation = as_inflation(settings.inflation)
        recorder = Recorder(
            request.times, request.state_names, settings.n_members, settings.keep,
            request.truth, [len(y) for y in request.y],
        )  # fmt: skip
        E = request.ensemble(settings.n_members, rng=rng)
        noise = read_noise(settings.model_noise, request.n_states)
        return cls(settings, request, rng, inflation, noise, recorder, E, request.start,
                   inflation.start())  # fmt: skip

    def run(self, course: Course) -> Assimilation:
        """Take every observation."""
        if course.checkpoint is not None:
            load_checkpoint(self, course.checkpoint)
        last = len(self.request.times)
        for k in course.steps(self.next, last):
            self.advance(k)
            self.next = k + 1
            if course.checkpoint is not None and (self.next % course.every == 0):
                save_checkpoint(self, course.checkpoint)
        if course.checkpoint is not None:
            save_checkpoint(self, course.checkpoint)
        return self.recorder.result(self.complain())

    def advance(self, k: int) -> None:
        """Forecast to the time of observation `k` and analyse it."""
        self.forecast(float(self.request.times[k]))
        self.E = self.inflation.before(self.E, self.memory)
        self.recorder.forecast(k, self.E)
        self.analyze(k)
        self.recorder.analysis(k, self.E)
        self.recorder.arrays["inflation"][k] = self.memory

    def forecast(self, end: float) -> None:
        """Move the ensemble to a time."""
        length = end - self.time
        if length > 0:
            self.E = self.request.forecast(self.E, self.time, end)
            if self.noise is not None:
                draws = self.rng.standard_normal(self.E.shape)
                self.E = self.E + np.sqrt(length) * self.noise(draws)
        self.time = end
        if not np.abs(self.E).max() < _BLOWN_UP:
            self._repair()

    def _repair(self) -> None:
        """Replace members that have blown up."""
        alive = (np.abs(self.E) < _BLOWN_UP).all(axis=1)
        n_alive, N = int(alive.sum()), len(self.E)
        if self.settings.on_blow_up == "raise" or n_alive < max(2, N / 2):
            raise AssimilationError(
                f"EnsembleKalmanFilter: {N - n_alive} of {N} members are not finite at "
                f"t = {self.time:g}. The model blows up there: shorten dt=, spread the members "
                "less (inflation, model_noise), or start nearer to the truth.",
                time=self.time,
            )
        good = self.E[alive]
        mean = good.mean(axis=0)
        weights = self.rng.standard_normal((N - n_alive, n_alive)) / np.sqrt(n_alive - 1)
        self.E = self.E.copy()
        self.E[~alive] = mean + weights @ (good - mean)
        self.recorder.replaced += N - n_alive

    def analyze(self, k: int) -> None:
        """Use the observations of time `k`."""
        y, self.update = self.request.y[k], None
        observed = ~np.isnan(y)
        if not observed.any():
            return
        s, error, forecast = self.settings, self.request.R[k], self.E
        HE = self.request.operator(k)(self.E)
        if not np.isfinite(HE[:, observed]).all():
            raise AssimilationError(
                f"EnsembleKalmanFilter: observe gave values that are not finite at "
                f"t = {self.time:g}.", time=self.time,
            )  # fmt: skip
        seen = depart(HE, y, error, observed)
        Lambda = rotation(len(self.E), rng=self.rng) if s.rotate else None
        if s.localization is not None:
            self.E = analyze_locally(self.E, HE, y, error, s.localization, s.scheme)
            if Lambda is not None:
                self.E = Lambda @ self.E
        else:
            update = SCHEMES[s.scheme](seen, self.rng)
            self.update = update if Lambda is None else update.rotated(Lambda)
            self.E = self.update.apply(self.E)
        self.compare(k, seen, HE, y)
        self.E = self.inflation.after(self.E, forecast)

    def compare(self, k: int, seen: Departures, HE: FloatArray, y: FloatArray) -> None:
        """Learn from the innovation, and judge it."""
        n_observed, chi = len(seen.d), seen.chi_squared()
        self.recorder.innovation(k, y - HE.mean(axis=0), chi, n_observed)
        power, trace = float(seen.d @ seen.d), float(np.einsum("ij,ij->", seen.S, seen.S))
        self.memory = self.inflation.learn(self.memory, power, trace / self.memory, n_observed)
        self.recent.append(power > _TOO_FAR * (trace + n_observed))
        if 2 * sum(self.recent) > _WINDOW:  # one far observation does not lose a filter
            self.lost_at = self.time if self.lost_at is None else self.lost_at

    def complain(self) -> str:
        """Warn of what went wrong, once; returns the message."""
        parts = []
        if self.recorder.replaced:
            parts.append(
                f"{self.recorder.replaced} members blew up and were replaced by draws from the rest"
            )
        if self.lost_at is not None:
            parts.append(
                f"the filter has lost the observations by t = {self.lost_at:g}: in most of "
                f"{_WINDOW} analyses innovations were more than twice as large as forecast and "
                "observation errors allow. More members, inflation or model_noise, or "
                "scheme='enkfn', may help; or R is too small"
            )
        if not parts:
            return ""
        message = f"EnsembleKalmanFilter: {'; '.join(parts)}."
        warnings.warn(message, AssimilationWarning, stacklevel=5)
        return message


def _check(s: EnsembleKalmanFilter) -> None:
    known = (*SCHEMES, "letkf")
    if s.scheme not in known:
        raise ValueError(
            f"EnsembleKalmanFilter: scheme must be one of {', '.join(known)}; got {s.scheme!r}."
        )
    if not isinstance(s.n_members, int | np.integer) or s.n_members < 2:
        raise ValueError(f"EnsembleKalmanFilter: n_members must be 2 or more; got {s.n_members}.")
    if (s.scheme == "letkf") > (s.localization is not None):
        raise ValueError("EnsembleKalmanFilter: scheme 'letkf' needs localization=.")
    if s.localization is not None and s.scheme not in LOCAL_SCHEMES:
        raise ValueError(
            f"EnsembleKalmanFilter: localization needs scheme {' or '.join(LOCAL_SCHEMES)}; got "
            f"{s.scheme!r}."
        )
    if s.keep not in ("moments", "ensembles") or s.on_blow_up not in ("replace", "raise"):
        raise ValueError(
            "EnsembleKalmanFilter: keep must be 'moments' or 'ensembles' and on_blow_up 'replace' "
            f"or 'raise'; got {s.keep!r} and {s.on_blow_up!r}."
        )


def read_noise(value: Any, n_states: int) -> Any:
    """Return a function that colours standard normal draws, or None."""
    if value is None:
        return None
    if not isinstance(value, Covariance) and np.ndim(value) < 2:
        variances = np.asarray(value, dtype=np.float64)
        if variances.shape not in ((), (n_states,)) or not (variances >= 0).all():
            raise ValueError(
                f"EnsembleKalmanFilter: model_noise must be variances >= 0 per unit of time, a "
                f"number or of shape ({n_states},), or a matrix; got {value!r}."
            )
        deviations = np.sqrt(variances)
        return lambda draws: draws * deviations
    return Covariance(value, n_states, "EnsembleKalmanFilter", "model_noise").color
