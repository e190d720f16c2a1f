"""Lyapunov exponents of a law, by the growth of tangent vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from discover.dynamics.integrators import simulate
from discover.exceptions import SimulationError
from discover.kernels import integrators, tangents
from discover.typing import FloatArray

__all__ = ["LyapunovSpectrum", "kaplan_yorke_dimension", "lyapunov_spectrum"]

_BLOCKS = 1_000  # growth is recorded over this many stretches
_BATCHES = 25  # and its scatter is taken over this many
_AT_ONCE = 20  # stretches per call of the kernel: between calls the keyboard is heard
_SAMPLES = 500  # of the run that tells the size of the states
_MOST_STEPS = 10_000_000  # per call


@dataclass(frozen=True, eq=False)
class LyapunovSpectrum:
    """Lyapunov exponents and how well they are known.

    Parameters
    ----------
    exponents : ndarray of shape (n_exponents,)
        Per unit of time, the largest first.
    standard_errors : ndarray of shape (n_exponents,)
        From the scatter over 25 stretches of the run.
    times : ndarray of shape (n_records,)
        Time averaged over so far; the last is the whole duration.
    history : ndarray of shape (n_records, n_exponents)
        The exponents at these times.
    final_state : ndarray of shape (n_states,)
        Where the run ended, on the attractor.
    n_states : int
    """

    exponents: FloatArray
    standard_errors: FloatArray
    times: FloatArray
    history: FloatArray
    final_state: FloatArray
    n_states: int

    @property
    def largest(self) -> float:
        """The largest exponent."""
        return float(self.exponents[0])

    @property
    def lyapunov_time(self) -> float:
        """Time in which small errors grow by a factor e; infinite without growth."""
        return 1.0 / self.largest if self.largest > 0 else np.inf

    @property
    def dimension(self) -> float:
        """Kaplan-Yorke dimension; NaN when the exponents at hand do not decide it."""
        partial = len(self.exponents) < self.n_states
        if partial and np.cumsum(self.exponents)[-1] >= 0:
            return np.nan
        return kaplan_yorke_dimension(self.exponents)

    def __repr__(self) -> str:
        pairs = zip(self.exponents, self.standard_errors, strict=True)
        numbers = ", ".join(f"{value:.4g} +- {error:.2g}" for value, error in pairs)
        return f"LyapunovSpectrum({numbers}; over {self.times[-1]:g})"


def lyapunov_spectrum(
    model: Any,
    x0: ArrayLike,
    duration: float,
    *,
    n_exponents: int | None = None,
    transient: float | None = None,
    t0: float = 0.0,
    rtol: float = 1e-8,
) -> LyapunovSpectrum:
    """Estimate the Lyapunov exponents of a law.

    Parameters
    ----------
    model : SymbolicModel
        A flow, a map or an increment, without controls.
    x0 : array-like of shape (n_states,)
        A state from which the attractor is reached.
    duration : float
        Time to average over, in the units of the law (for a map without ``dt``: steps).
        Several hundred of the characteristic times; see the standard errors.
    n_exponents : int, optional
        How many, from the largest on; by default all. One is cheapest.
    transient : float, optional
        Time left for the state to reach the attractor, and again for the tangents to find
        their directions. By default a tenth of `duration` each.
    t0 : float, default=0.0
        Time at the start, for laws that depend on it.
    rtol : float, default=1e-8
        Bound on the error of one step, of the states and of the unit tangents.

    Returns
    -------
    LyapunovSpectrum

    Raises
    ------
    ValueError
        If an argument does not fit, or the law has controls.
    SimulationError
        If the run cannot reach its end.

    Notes
    -----
    Benettin, Galgani, Giorgilli and Strelcyn, Meccanica 15 (1980) 9-30: tangent vectors
    follow the variational equations ``dQ/dt = J(x(t)) Q`` and are made orthonormal; the
    mean logarithm of their lengths before that gives the exponents. The sum of all
    exponents is the mean divergence of the law. Exponents do not depend on units, and
    neither do their errors: tangents are measured in units of the size of each state.

    Examples
    --------
    >>> import numpy as np
    >>> from discover import SymbolicLibrary, SymbolicModel
    >>> table = SymbolicLibrary("x, y").build(["x", "y"])
    >>> saddle = SymbolicModel(table, [[-2.0, 0.0], [1.0, 0.5]], ["x", "y"])
    >>> np.round(lyapunov_spectrum(saddle, [1.0, 0.0], 20.0).exponents, 3)
    array([ 0.5, -2. ])
    """
    wait = _checked(model, x0, duration, n_exponents, transient, rtol)
    m = model.n_states if n_exponents is None else int(n_exponents)
    x, scale = _settle(model, np.asarray(x0, dtype=np.float64), t0, wait, rtol)
    y = np.concatenate([x[:, None], np.eye(len(x), m)], axis=1)
    follower = _Follower(model, scale, rtol, t0 + wait)
    if wait > 0:
        follower.grow(y, wait, 1)
    lengths, growth = follower.grow(y, float(duration), _BLOCKS)
    return _spectrum(lengths, growth, y[:, 0].copy())


def kaplan_yorke_dimension(exponents: ArrayLike) -> float:
    """Return the dimension of an attractor from its Lyapunov exponents.

    Parameters
    ----------
    exponents : array-like of shape (n_states,)
        All of them, in any order.

    Returns
    -------
    float
        ``j + sum(first j) / |next one|`` for the largest `j` whose sum is not negative; the
        number of exponents when their sum is not negative, 0 when all are negative.

    Notes
    -----
    Kaplan and Yorke, Lecture Notes in Math. 730 (1979) 204-227.

    Examples
    --------
    >>> round(kaplan_yorke_dimension([0.9056, 0.0, -14.5723]), 4)
    2.0621
    """
    ordered = np.sort(np.asarray(exponents, dtype=np.float64))[::-1]
    sums = np.cumsum(ordered)
    negative = np.flatnonzero(sums < 0)
    if not len(negative):
        return float(len(ordered))
    j = int(negative[0])
    return j + float(sums[j - 1]) / abs(float(ordered[j])) if j else 0.0


def _checked(
    model: Any, x0: ArrayLike, duration: float, n: int | None, transient: float | None, rtol: float
) -> float:
    """Check the arguments of lyapunov_spectrum; returns the transient."""
    if not hasattr(model, "program") or model.kind == "direct" or model.n_controls:
        raise ValueError(
            "lyapunov_spectrum: model must be a SymbolicModel of a flow or a map without "
            f"controls; got {type(model).__name__} of kind {getattr(model, 'kind', None)!r}."
        )
    if np.shape(x0) != (model.n_states,):
        raise ValueError(
            f"lyapunov_spectrum: x0 must have shape ({model.n_states},) for the states "
            f"{list(model.state_names)}; got {np.shape(x0)}."
        )
    wait = 0.1 * duration if transient is None else float(transient)
    if not (0 < duration < np.inf and 0 <= wait < np.inf):
        raise ValueError(
            "lyapunov_spectrum: duration must be positive and transient not negative; "
            f"got {duration} and {transient}."
        )
    if n is not None and not 1 <= n <= model.n_states:
        raise ValueError(
            f"lyapunov_spectrum: n_exponents must be from 1 to {model.n_states}; got {n}."
        )
    if not 1e-13 <= rtol < 1:
        raise ValueError(f"lyapunov_spectrum: rtol must be in [1e-13, 1); got {rtol}.")
    return wait


def _settle(
    model: Any, x: FloatArray, t0: float, wait: float, rtol: float
) -> tuple[FloatArray, FloatArray]:
    """Follow the state through the transient; returns its end and the size of each state."""
    if model.kind == "continuous":
        times: Any = t0 + wait * np.linspace(0.0, 1.0, _SAMPLES if wait > 0 else 1)
    else:
        times = t0 + (model.dt or 1.0) * np.arange(round(wait / (model.dt or 1.0)) + 1)
    states = np.asarray(simulate(model, x, times, rtol=rtol))
    size = np.abs(states[len(states) // 2 :]).max(axis=0)
    return states[-1], np.where(size > 0, size, size.max() or 1.0)


class _Follower:
    """Carries state and tangents through stretches of time."""

    def __init__(self, model: Any, scale: FloatArray, rtol: float, t: float) -> None:
        self.model, self.scale, self.rtol, self.t = model, scale, rtol, t
        self.size = np.full(1, np.inf)
        self.law = (*model.program, len(model.table.inputs))

    def grow(self, y: FloatArray, duration: float, n: int) -> tuple[FloatArray, FloatArray]:
        """Follow `y`, in place, through `n` stretches; returns their lengths and the growth."""
        if self.model.kind != "continuous":
            return self._iterate(y, duration, n)
        times = self.t + duration * np.linspace(0.0, 1.0, n + 1)
        growth = np.zeros((n, y.shape[1] - 1))
        if not np.isfinite(self.size[0]):
            self.size[0] = 1e-6 * duration
        for first in range(0, n, _AT_ONCE):
            rows = slice(first, min(first + _AT_ONCE, n))
            part = times[rows.start : rows.stop + 1]
            self._judge(
                *tangents.follow_tangents(
                    *self.law, self.scale, y, part, self.rtol, _MOST_STEPS, self.size, growth[rows]
                )
            )
        self.t = float(times[-1])
        return np.diff(times), growth

    def _iterate(self, y: FloatArray, duration: float, n: int) -> tuple[FloatArray, FloatArray]:
        dt = self.model.dt or 1.0
        total = max(round(duration / dt), 1)
        n_steps = max(total // n, 1)
        n = total // n_steps
        growth = np.zeros((n, y.shape[1] - 1))
        rule = integrators.MAP if self.model.kind == "map" else integrators.INCREMENT
        for first in range(0, n, _AT_ONCE):
            rows = growth[first : first + _AT_ONCE]
            status, end = tangents.iterate_tangents(
                *self.law, rule, dt, self.scale, y, self.t, n_steps, rows
            )
            self._judge(status, end)
            self.t = end
        return np.full(n, n_steps * dt), growth

    def _judge(self, status: int, t: float) -> None:
        if status == integrators.DONE:
            return
        reason = {
            integrators.STEP_TOO_SMALL: "no step is small enough: the law blows up or jumps",
            integrators.TOO_MANY_STEPS: f"{_MOST_STEPS:,} steps were not enough: is it stiff?",
        }.get(status, "the state is not finite")
        raise SimulationError(f"lyapunov_spectrum: at t = {t:.9g}, {reason}.", time=float(t))


def _spectrum(lengths: FloatArray, growth: FloatArray, end: FloatArray) -> LyapunovSpectrum:
    """Average the growth, and its scatter over batches."""
    times = np.cumsum(lengths)
    history = np.cumsum(growth, axis=0) / times[:, None]
    order = np.argsort(-history[-1], kind="stable")
    batches = np.array_split(np.arange(len(times)), min(_BATCHES, len(times)))
    means = np.array([growth[rows].sum(axis=0) / lengths[rows].sum() for rows in batches])
    errors = (
        means.std(axis=0, ddof=1) / np.sqrt(len(means)) if len(means) > 1 else means[0] * np.nan
    )
    return LyapunovSpectrum(
        history[-1][order], errors[order], times, history[:, order], end, len(end)
    )
