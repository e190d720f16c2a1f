"""Smoothers: what later observations say about earlier states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from discover.assimilation.analysis import depart
from discover.assimilation.filter import Course, Cycle, EnsembleKalmanFilter
from discover.assimilation.request import Request
from discover.assimilation.result import Assimilation
from discover.assimilation.updates import Departures, Update, rotation
from discover.typing import FloatArray

__all__ = ["EnsembleKalmanSmoother", "EnsembleRTSSmoother", "IterativeEnsembleSmoother"]


def _check(settings: EnsembleKalmanFilter, course: Course, owner: str) -> None:
    if settings.localization is not None:
        raise ValueError(
            f"{owner}: localization has no one set of weights to apply to the past; leave it out."
        )
    if course.checkpoint is not None:
        raise ValueError(f"{owner}: checkpoint= is for filters; leave it out.")


@dataclass
class EnsembleKalmanSmoother(EnsembleKalmanFilter):
    """The ensemble Kalman smoother: the weights of each analysis, applied to the past too.

    Parameters
    ----------
    lag : int or None, default=None
        How many analyses back; None for all. The rest as for
        :class:`~discover.assimilation.EnsembleKalmanFilter`.

    Notes
    -----
    Inflation acts on the present alone. Memory: ``8 lag n_members n_states`` bytes.

    References
    ----------
    G. Evensen, P. J. van Leeuwen, Mon. Weather Rev. 128 (2000) 1852-1867.
    """

    lag: int | None = None

    def _run(self, request: Request, rng: np.random.Generator, course: Course) -> Assimilation:
        _check(self, course, "EnsembleKalmanSmoother")
        if self.lag is not None and self.lag < 1:
            raise ValueError(f"EnsembleKalmanSmoother: lag must be 1 or more; got {self.lag}.")
        cycle = Cycle.prepare(self, request, rng)
        past: dict[int, FloatArray] = {}
        for k in course.steps(0, len(request.times)):
            cycle.advance(k)
            if cycle.update is not None:
                past = {j: cycle.update.apply(E) for j, E in past.items()}
            past[k] = cycle.E
            if self.lag is not None and k - self.lag in past:
                cycle.recorder.analysis(k - self.lag, past.pop(k - self.lag))
        for k, E in past.items():
            cycle.recorder.analysis(k, E)
        return cycle.recorder.result(cycle.complain())


@dataclass
class EnsembleRTSSmoother(EnsembleKalmanFilter):
    """The Rauch-Tung-Striebel smoother of an ensemble: a filter, then one sweep back.

    Parameters
    ----------
    cutoff : float, default=1e-10
        Singular values of the forecast anomalies below this share of the largest are
        taken as zero. The rest as for :class:`~discover.assimilation.EnsembleKalmanFilter`.

    Notes
    -----
    Keeps all ensembles: ``16 n_times n_members n_states`` bytes.

    References
    ----------
    P. N. Raanes, Q. J. R. Meteorol. Soc. 142 (2016) 1259-1264.
    """

    cutoff: float = 1e-10

    def _run(self, request: Request, rng: np.random.Generator, course: Course) -> Assimilation:
        _check(self, course, "EnsembleRTSSmoother")
        cycle = Cycle.prepare(self, request, rng)
        analyses, forecasts = [], []
        for k in course.steps(0, len(request.times)):
            cycle.forecast(float(request.times[k]))
            cycle.E = cycle.inflation.before(cycle.E, cycle.memory)
            forecasts.append(cycle.E)
            cycle.recorder.forecast(k, cycle.E)
            cycle.analyze(k)
            cycle.recorder.arrays["inflation"][k] = cycle.memory
            analyses.append(cycle.E)
        E = analyses[-1]
        cycle.recorder.analysis(len(analyses) - 1, E)
        for k in range(len(analyses) - 2, -1, -1):
            A = analyses[k] - analyses[k].mean(axis=0)
            F = forecasts[k + 1] - forecasts[k + 1].mean(axis=0)
            back = (E - forecasts[k + 1]) @ np.linalg.pinv(F, rcond=self.cutoff)
            E = analyses[k] + back @ A
            cycle.recorder.analysis(k, E)
        return cycle.recorder.result(cycle.complain())


@dataclass
class IterativeEnsembleSmoother(EnsembleKalmanFilter):
    """The iterative ensemble Kalman smoother: the past is corrected until the present fits.

    Parameters
    ----------
    lag : int, default=1
        Analyses between the state that is corrected and the observation that corrects it.
    max_iter : int, default=10
    tol : float, default=1e-4
        Iterations stop when the weights change by less, in standard deviations. The rest as
        for :class:`~discover.assimilation.EnsembleKalmanFilter`; `scheme` is not used.

    Notes
    -----
    Gauss-Newton steps in the space of the members, with the "transform" form of the
    sensitivities; every observation is used once [1]_. The result at each time is the
    corrected past, forecast to that time; `inflation` and `rotate` act on the past.

    References
    ----------
    .. [1] M. Bocquet, P. Sakov, Q. J. R. Meteorol. Soc. 140 (2014) 1521-1535.
    """

    lag: int = 1
    max_iter: int = 10
    tol: float = 1e-4

    def _run(self, request: Request, rng: np.random.Generator, course: Course) -> Assimilation:
        _check(self, course, "IterativeEnsembleSmoother")
        cycle = Cycle.prepare(self, request, rng)
        times = [request.start, *request.times.tolist()]
        for k in course.steps(0, len(request.times)):
            base = max(0, k + 1 - self.lag)  # place in `times` of the state that is corrected
            if base > 0:
                cycle.forecast(times[base])
            self._correct(cycle, k, times[base])
        return cycle.recorder.result(cycle.complain())

    def _correct(self, cycle: Cycle, k: int, start: float) -> None:
        """Fit the state at `start` to observation `k`."""
        request, end = cycle.request, float(cycle.request.times[k])

        def ahead(E: FloatArray) -> FloatArray:
            return request.forecast(E, start, end) if end > start else E

        now = ahead(cycle.E)
        cycle.recorder.forecast(k, now)
        y, before = request.y[k], cycle.E
        observed = ~np.isnan(y)
        if observed.any():
            update, first, HE = self._iterate(cycle, k, now, ahead, observed)
            if self.rotate:
                update = update.rotated(rotation(self.n_members, rng=cycle.rng))
            cycle.E = update.apply(before)
            cycle.compare(k, first, HE, y)
            cycle.E = cycle.inflation.after(cycle.E, before)
            now = ahead(cycle.E)
        cycle.recorder.analysis(k, now)
        cycle.recorder.arrays["inflation"][k] = cycle.memory

    def _iterate(
        self, cycle: Cycle, k: int, now: FloatArray, ahead: Any, observed: Any
    ) -> tuple[Update, Departures, FloatArray]:
        """Return the update of the past; also what the first forecast looked like."""
        request, N = cycle.request, self.n_members
        y, error, operator = request.y[k], request.R[k], request.operator(k)
        w, T, inverse, first, predicted = np.zeros(N), np.eye(N), np.eye(N), None, None
        for _ in range(self.max_iter):
            HE = operator(now)
            seen = depart(HE, y, error, observed)
            first, predicted = first or seen, HE if predicted is None else predicted
            S = inverse @ seen.S
            values, V = np.linalg.eigh(S @ S.T)
            values = np.maximum(values, 0.0)
            step = V @ ((V.T @ (S @ seen.d - w)) / (1.0 + values))
            w = w + step
            T = (V / np.sqrt(1.0 + values)) @ V.T
            inverse = (V * np.sqrt(1.0 + values)) @ V.T
            if step @ step < self.tol**2:
                break
            now = ahead(Update(T + w / np.sqrt(N - 1)).apply(cycle.E))
        assert first is not None
        assert predicted is not None
        return Update(T + w / np.sqrt(N - 1)), first, predicted
