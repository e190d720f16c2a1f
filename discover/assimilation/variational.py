"""Weak-constraint 4D-Var: the most probable path, given model errors and observations."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from discover.assimilation.baselines import flow_jacobian, operator_jacobian
from discover.assimilation.covariance import Covariance
from discover.assimilation.filter import Assimilator, Course
from discover.assimilation.request import Request
from discover.assimilation.result import Assimilation, Keep, Recorder
from discover.exceptions import AssimilationWarning
from discover.kernels import banded
from discover.typing import FloatArray, IntArray

__all__ = ["WeakConstraint4DVar"]


@dataclass
class WeakConstraint4DVar(Assimilator):
    """Fit states at all observation times at once, letting the model err a little.

    Parameters
    ----------
    model_noise : number, array-like of shape (n_states,) or (n_states, n_states), or Covariance
        Covariance of model errors per unit of time; positive definite. Small values
        approach strong-constraint 4D-Var.
    max_iter : int, default=30
        Gauss-Newton steps, for each of the model noises that lead to the one asked for.
    tol : float, default=1e-8
        Relative decrease of the cost at which they stop.

    Notes
    -----
    The cost ``|x_0 - x_b|^2_P + sum |y_k - h(x_k)|^2_R + sum |x_k+1 - M(x_k)|^2_Q`` is
    minimised by Levenberg-Marquardt steps, first with a model noise a hundred times that of
    the first guess, so that the path follows the observations, then with ten times less
    until it is `model_noise`: in one go, a chaotic model would end in a local minimum. Where
    some states are never observed, it may still; the cost then is far above the number of
    observations. The normal equations are banded, with half band ``2 n_states - 1``, and are
    solved by the kernels of the joint fit of states and coefficients; the spread is the
    square root of the diagonal of their inverse. The cost of a step is
    O(n_times n_states**3). The forecast that is reported is that from the previous state
    of the path. For linear problems this is the Kalman smoother [1]_.

    References
    ----------
    .. [1] Y. Tremolet, Q. J. R. Meteorol. Soc. 132 (2006) 2483-2504.
    """

    model_noise: Any = 1e-2
    max_iter: int = 30
    tol: float = 1e-8
    random_state: int | np.random.Generator | None = None

    n_members = 1
    keep: Keep = "moments"

    def _run(self, request: Request, rng: np.random.Generator, course: Course) -> Assimilation:
        if course.checkpoint is not None:
            raise ValueError("WeakConstraint4DVar: checkpoint= is for filters; leave it out.")
        owner = "WeakConstraint4DVar"
        path = _Path(request, Covariance(self.model_noise, request.n_states, owner, "model_noise"))
        message = ""
        for scale in course.through(path.scales()):
            path.scale = scale
            message = self._minimize(path)
        if message:
            warnings.warn(message, AssimilationWarning, stacklevel=3)
        return path.result(message)

    def _minimize(self, path: _Path) -> str:
        """Take Levenberg-Marquardt steps until the cost no longer falls."""
        damping, cost = 1e-3, path.linearize()
        for _ in range(self.max_iter):
            trial, new = path.step(damping), np.inf
            while damping < 1e12:
                new = path.cost(trial)
                if new <= cost:
                    break
                damping *= 10.0
                trial = path.step(damping)
            if new > cost:
                return ""
            fell = cost - new
            path.x, damping = trial, max(damping / 10.0, 1e-12)
            cost = path.linearize()
            if fell <= self.tol * cost:
                return ""
        return (
            f"WeakConstraint4DVar: {self.max_iter} steps were not enough; the cost fell by "
            "more than tol in the last one. Raise max_iter=, or start nearer to the truth."
        )


class _Path:
    """States at all times, and the rows of the least-squares problem around them."""

    def __init__(self, request: Request, noise: Covariance) -> None:
        self.request, self.noise, self.scale = request, noise, 1.0
        self.n, self.K = request.n_states, len(request.times)
        if request.initial is not None:
            P = np.atleast_2d(np.cov(request.initial.T))
            self.prior = Covariance(P, self.n, "WeakConstraint4DVar", "covariance of initial")
        else:
            assert request.covariance is not None
            self.prior = request.covariance
        self.times = np.concatenate([[request.start], request.times])
        # the state at `start` is an unknown too, unless the first observation is there
        self.offset = int(request.start < request.times[0])
        self.starts = self.times[1 - self.offset :]
        self.x = self._background()

    def _background(self) -> FloatArray:
        """Follow the model, nudged to the observations by a 3D-Var of the prior."""
        x, rows = self.request.mean.copy(), []
        for k in range(len(self.starts)):
            if k > 0:
                x = self.request.forecast(x[None], self.starts[k - 1], self.starts[k])[0]
            j = k - self.offset
            if j >= 0:
                x = self._nudged(x, j)
            rows.append(x)
        return np.array(rows)

    def _nudged(self, x: FloatArray, k: int) -> FloatArray:
        y = self.request.y[k]
        seen = ~np.isnan(y)
        if not seen.any():
            return x
        operator = self.request.operator(k)
        H = operator_jacobian(operator, x)[seen]
        P = self.prior.dense()
        total = H @ P @ H.T + self.request.R[k].block(np.flatnonzero(seen))
        return np.asarray(x + P @ H.T @ np.linalg.solve(total, (y - operator(x[None])[0])[seen]))

    def scales(self) -> FloatArray:
        """Return factors on the model noise: from far above the first guess's down to 1."""
        ratio = 100.0 * self.prior.variances.mean() / self.noise.variances.mean()
        return np.asarray(10.0 ** np.arange(max(0, np.ceil(np.log10(ratio))), -1, -1))

    def _misfits(self, x: FloatArray) -> list[FloatArray]:
        """Return all whitened residuals: prior, observations, model."""
        request = self.request
        found = [self.prior.whiten(x[0] - request.mean)]
        for k, y in enumerate(request.y):
            seen = ~np.isnan(y)
            Hx = request.operator(k)(x[k + self.offset][None])[0]
            found.append(request.R[k].whiten((Hx - y)[seen], seen))
        for k in range(len(x) - 1):
            ahead = request.forecast(x[k][None], self.starts[k], self.starts[k + 1])[0]
            found.append(self._whitened(x[k + 1] - ahead, k))
        return found

    def _whitened(self, rows: FloatArray, k: int) -> FloatArray:
        length = self.starts[k + 1] - self.starts[k]
        return np.asarray(self.noise.whiten(rows) / np.sqrt(self.scale * length))

    def cost(self, x: FloatArray) -> float:
        """Return the sum of squares."""
        with np.errstate(all="ignore"):
            total = sum(float(r @ r) for r in self._misfits(x))
        return total if np.isfinite(total) else np.inf

    def linearize(self) -> float:
        """Assemble the normal equations around the path; returns the cost."""
        n, request = self.n, self.request
        size = self.x.size
        self.band, self.gradient = np.zeros((size, 2 * n)), np.zeros(size)
        residual = self.prior.whiten(self.x[0] - request.mean)
        total = self._add(0, self.prior.whiten(np.eye(n)).T, residual)
        for k, y in enumerate(request.y):
            seen, place = ~np.isnan(y), k + self.offset
            if seen.any():
                operator, error = request.operator(k), request.R[k]
                H = operator_jacobian(operator, self.x[place])[seen]
                off = (operator(self.x[place][None])[0] - y)[seen]
                J = error.whiten(H.T, seen).T
                total += self._add(place * n, J, error.whiten(off, seen))
        for k in range(len(self.x) - 1):
            ahead, M = flow_jacobian(request.forecast, self.x[k], self.starts[k],
                                     self.starts[k + 1])  # fmt: skip
            J = np.hstack([-M, np.eye(n)])
            off = self._whitened(self.x[k + 1] - ahead, k)
            total += self._add(k * n, self._whitened(J.T, k).T, off)
        return total

    def _add(self, first: int, J: FloatArray, residual: FloatArray) -> float:
        rows: IntArray = np.full(len(J), first, dtype=np.int64)
        banded.add_residuals(
            rows, np.ascontiguousarray(J), residual, np.ones(len(J)), self.band, self.gradient
        )
        return float(residual @ residual)

    def step(self, damping: float) -> FloatArray:
        """Return the path after one damped step."""
        band = self.band.copy()
        band[:, -1] *= 1.0 + damping
        if banded.factor(band) >= 0:
            return np.full_like(self.x, np.inf)
        change = self.gradient.copy()
        banded.solve(band, change)
        return np.asarray(self.x - change.reshape(self.x.shape))

    def result(self, message: str) -> Assimilation:
        """Return path and spread at the times of the observations."""
        request, n = self.request, self.n
        band, inverse = self.band.copy(), np.zeros_like(self.band)
        banded.factor(band)
        banded.selected_inverse(band, inverse)
        variances = inverse[:, -1].reshape(self.x.shape)
        recorder = Recorder(request.times, request.state_names, 1, "moments", request.truth,
                            [len(y) for y in request.y])  # fmt: skip
        for k, y in enumerate(request.y):
            place = k + self.offset
            before = request.mean
            if place > 0:
                before = request.forecast(self.x[place - 1][None], self.starts[place - 1],
                                          self.starts[place])[0]  # fmt: skip
            recorder.gaussian(k, before, np.full(n, np.nan), "forecast_")
            d = y - request.operator(k)(before[None])[0]
            recorder.innovation(k, d, np.nan, int(np.isfinite(y).sum()))
            recorder.gaussian(k, self.x[place], variances[place], "")
        return recorder.result(message)
