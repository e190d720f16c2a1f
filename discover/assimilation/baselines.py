"""Baselines: what a method must beat, and exact answers for small problems."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from discover.assimilation.covariance import Covariance
from discover.assimilation.filter import Assimilator, Course, read_noise
from discover.assimilation.observing import Operator
from discover.assimilation.request import Request
from discover.assimilation.result import Assimilation, Keep, Recorder
from discover.typing import FloatArray

__all__ = [
    "BootstrapParticleFilter",
    "Climatology",
    "ExtendedKalmanFilter",
    "OptimalInterpolation",
    "ThreeDVar",
    "flow_jacobian",
    "operator_jacobian",
]

_STEP = 1e-6  # of finite differences, relative to the size of a state


def operator_jacobian(operator: Operator, x: FloatArray) -> FloatArray:
    """Differentiate an operator by central differences, all at once: (n_obs, n_states)."""
    h = _STEP * np.maximum(np.abs(x), 1.0)
    steps = np.diag(h)
    up, down = operator(x + steps), operator(x - steps)
    return np.asarray(((up - down) / (2.0 * h)[:, None]).T)


def flow_jacobian(forecast: Any, x: FloatArray, start: float, end: float) -> tuple[Any, Any]:
    """Return a forecast and its derivative (n_states, n_states), from one batch of members."""
    n = len(x)
    h = _STEP * np.maximum(np.abs(x), 1.0)
    steps = np.diag(h)
    E = forecast(np.concatenate([x[None], x + steps, x - steps]), start, end)
    return E[0], ((E[1 : n + 1] - E[n + 1 :]) / (2.0 * h)[:, None]).T


@dataclass
class _Gaussian(Assimilator):
    """A method that carries a mean and a covariance."""

    random_state: int | np.random.Generator | None = None

    n_members = 1
    keep: Keep = "moments"

    def _run(self, request: Request, rng: np.random.Generator, course: Course) -> Assimilation:
        if course.checkpoint is not None:
            raise ValueError(f"{type(self).__name__}: checkpoint= is for filters; leave it out.")
        recorder = Recorder(
            request.times, request.state_names, 1, "moments", request.truth,
            [len(y) for y in request.y],
        )  # fmt: skip
        covariance = request.covariance
        P = np.cov(request.initial.T) if request.initial is not None else covariance.dense()  # type: ignore[union-attr]
        x, P, time = request.mean.copy(), np.atleast_2d(P), request.start
        for k in course.steps(0, len(request.times)):
            end = float(request.times[k])
            x, P = self._forecast(request, x, P, time, end)
            time = end
            recorder.gaussian(k, x, np.diag(P), "forecast_")
            x, P = self._analyze(request, recorder, k, x, P)
            recorder.gaussian(k, x, np.diag(P), "")
        return recorder.result()

    @abstractmethod
    def _forecast(
        self, request: Request, x: FloatArray, P: FloatArray, start: float, end: float
    ) -> tuple[FloatArray, FloatArray]:
        """Return mean and covariance at `end`."""

    def _analyze(
        self, request: Request, recorder: Recorder, k: int, x: FloatArray, P: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the Kalman analysis; the covariance in Joseph's form."""
        y = request.y[k]
        seen = ~np.isnan(y)
        if not seen.any():
            return x, P
        operator = request.operator(k)
        H = operator_jacobian(operator, x)[seen]
        d = (y - operator(x[None])[0])[seen]
        R = request.R[k].block(np.flatnonzero(seen))
        total = H @ P @ H.T + R
        K = np.linalg.solve(total, H @ P).T
        whole = np.full(len(y), np.nan)
        whole[seen] = d
        recorder.innovation(k, whole, float(d @ np.linalg.solve(total, d)), len(d))
        rest = np.eye(len(x)) - K @ H
        return x + K @ d, rest @ P @ rest.T + K @ R @ K.T


@dataclass
class ExtendedKalmanFilter(_Gaussian):
    """The extended Kalman filter: the mean by the model, the covariance by its derivative.

    Parameters
    ----------
    inflation : float, default=1.0
        Factor on the covariance per unit of time.
    model_noise : float, array-like or Covariance, optional
        Covariance of model errors per unit of time.

    Notes
    -----
    For linear dynamics and operators this is the Kalman filter. Derivatives by central
    differences: ``2 n_states`` more members.
    """

    inflation: float = 1.0
    model_noise: Any = None

    def _forecast(
        self, request: Request, x: FloatArray, P: FloatArray, start: float, end: float
    ) -> tuple[FloatArray, FloatArray]:
        if end <= start:
            return x, P
        x, M = flow_jacobian(request.forecast, x, start, end)
        P = M @ P @ M.T * self.inflation ** (end - start)
        noise = read_noise(self.model_noise, len(x))
        if noise is not None:
            root = noise(np.eye(len(x)))
            P = P + (end - start) * root.T @ root
        return x, P


@dataclass
class ThreeDVar(_Gaussian):
    """3D-Var: the state by the model, a background covariance that never changes.

    Parameters
    ----------
    B : array-like of shape (n_states,) or (n_states, n_states), number, or Covariance
        Background-error covariance; often a few per cent of the climatological one.
    """

    B: Any = 1.0

    def _forecast(
        self, request: Request, x: FloatArray, P: FloatArray, start: float, end: float
    ) -> tuple[FloatArray, FloatArray]:
        B = Covariance(self.B, len(x), "ThreeDVar", "B").dense()
        return (request.forecast(x[None], start, end)[0] if end > start else x), B


@dataclass
class OptimalInterpolation(_Gaussian):
    """Optimal interpolation: climatology corrected by the observations of the moment.

    Parameters
    ----------
    mean : array-like of shape (n_states,)
    covariance : number, array-like of shape (n_states,) or (n_states, n_states), or Covariance
        Of the climate.
    """

    mean: ArrayLike = 0.0
    covariance: Any = 1.0

    def _forecast(
        self, request: Request, x: FloatArray, P: FloatArray, start: float, end: float
    ) -> tuple[FloatArray, FloatArray]:
        mean = np.broadcast_to(np.asarray(self.mean, dtype=np.float64), x.shape).copy()
        owner = type(self).__name__
        return mean, Covariance(self.covariance, len(x), owner, "covariance").dense()


@dataclass
class Climatology(OptimalInterpolation):
    """The climate itself, whatever is observed; parameters as for optimal interpolation."""

    def _analyze(
        self, request: Request, recorder: Recorder, k: int, x: FloatArray, P: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        return x, P


@dataclass
class BootstrapParticleFilter(Assimilator):
    """The bootstrap particle filter, resampled and regularised.

    Parameters
    ----------
    n_members : int, default=1000
    threshold : float, default=0.5
        Resample when the effective number of particles falls below this share.
    jitter : float, default=1.0
        Bandwidth of the noise that tells copies apart, in units of Silverman's rule; 0 for
        none, which needs `model_noise`.
    model_noise : float, array-like or Covariance, optional
        Covariance of model errors per unit of time.
    keep : {"moments", "ensembles"}, default="moments"
        Ensembles are those after resampling by the weights of each analysis.
    random_state : int, Generator or None, default=None

    References
    ----------
    N. J. Gordon, D. J. Salmond, A. F. M. Smith, IEE Proc. F 140 (1993) 107-113;
    C. Musso, N. Oudjane, F. Le Gland, in "Sequential Monte Carlo Methods in Practice",
    Springer 2001, chapter 12.
    """

    n_members: int = 1000
    threshold: float = 0.5
    jitter: float = 1.0
    model_noise: Any = None
    keep: Keep = "moments"
    random_state: int | np.random.Generator | None = None

    def _run(self, request: Request, rng: np.random.Generator, course: Course) -> Assimilation:
        if course.checkpoint is not None:
            raise ValueError("BootstrapParticleFilter: checkpoint= is for ensemble filters.")
        recorder = Recorder(
            request.times, request.state_names, self.n_members, self.keep, request.truth,
            [len(y) for y in request.y],
        )  # fmt: skip
        E, time = request.ensemble(self.n_members, rng=rng), request.start
        logs = np.zeros(self.n_members)
        noise = read_noise(self.model_noise, request.n_states)
        for k in course.steps(0, len(request.times)):
            end = float(request.times[k])
            if end > time:
                E = request.forecast(E, time, end)
                if noise is not None:
                    E = E + np.sqrt(end - time) * noise(rng.standard_normal(E.shape))
            time = end
            recorder.forecast(k, E)
            logs = self._weigh(request, recorder, k, E, logs)
            weights = np.exp(logs - logs.max())
            weights /= weights.sum()
            mean = weights @ E
            recorder.gaussian(k, mean, weights @ (E - mean) ** 2, "")
            if self.keep == "ensembles":
                recorder.arrays["ensembles"][k] = E[self._choose(weights, rng)]
            if 1.0 / (weights @ weights) < self.threshold * self.n_members:
                E = self._resample(E, weights, rng)
                logs = np.zeros(self.n_members)
        return recorder.result()

    def _weigh(
        self, request: Request, recorder: Recorder, k: int, E: FloatArray, logs: FloatArray
    ) -> FloatArray:
        """Return the log-weights after observation `k`."""
        y = request.y[k]
        seen = ~np.isnan(y)
        if not seen.any():
            return logs
        HE = request.operator(k)(E)[:, seen]
        d = request.R[k].whiten(y[seen] - HE, seen)
        whole = np.full(len(y), np.nan)
        whole[seen] = y[seen] - HE.mean(axis=0)
        recorder.innovation(k, whole, np.nan, int(seen.sum()))
        logs = logs - 0.5 * np.einsum("ij,ij->i", d, d)
        return np.asarray(np.where(np.isfinite(logs), logs, -np.inf))

    def _choose(self, weights: FloatArray, rng: np.random.Generator) -> Any:
        """Draw members by systematic resampling."""
        N = self.n_members
        edges = np.cumsum(weights)
        edges[-1] = 1.0
        return np.searchsorted(edges, (rng.random() + np.arange(N)) / N)

    def _resample(self, E: FloatArray, weights: FloatArray, rng: np.random.Generator) -> FloatArray:
        N, n = E.shape
        mean = weights @ E
        X = np.sqrt(weights)[:, None] * (E - mean)
        E = E[self._choose(weights, rng)]
        if self.jitter == 0.0:
            return E
        bandwidth = self.jitter * (4.0 / (N * (n + 2.0))) ** (1.0 / (n + 4.0))
        return np.asarray(E + bandwidth * rng.standard_normal((N, N)) @ X)
