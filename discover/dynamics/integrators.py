"""simulate: follow a law in time, one run or a batch of them, flow or map."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from discover.dynamics.scipy_solvers import MEMORY, Follower
from discover.dynamics.simulation import Simulation
from discover.exceptions import SimulationError
from discover.kernels import integrators as kernel
from discover.observations.interpolation import interval_slopes, is_curved
from discover.typing import BoolArray, FloatArray, IntArray

__all__ = ["Method", "Reading", "simulate"]

Reading = Literal["auto", "linear", "cubic", "previous"]
Method = Literal["dopri5", "rk4", "step", "DOP853", "RK45", "LSODA", "Radau", "BDF"]
OnFailure = Literal["raise", "warn", "return"]
Bound: TypeAlias = "float | ArrayLike | None"
Control: TypeAlias = Callable[[float], ArrayLike]

_MOST_STEPS = 10_000_000
_DRAW_EFFORT = 20  # steps of a draw over evaluations of the law itself


def simulate(
    dynamics: Any,
    x0: ArrayLike,
    t: ArrayLike,
    u: ArrayLike | Control | None = None,
    *,
    method: Method = "dopri5",
    rtol: float = 1e-8,
    atol: ArrayLike | None = None,
    max_step: float | None = None,
    max_steps: int = _MOST_STEPS,
    n_substeps: int = 1,
    bounds: tuple[Bound, Bound] | None = None,
    u_interpolation: Reading = "auto",
    on_failure: OnFailure | None = None,
    n_draws: int | None = None,
    x0_error: ArrayLike = 0.0,
    rng: np.random.Generator | None = None,
) -> Simulation:
    """Follow a law from an initial state, or from many; and what its errors make of it.

    Parameters
    ----------
    dynamics : SymbolicModel or Dynamics
        A discovered law (integrated by compiled loops), or any object with
        ``rhs(x, t, u)`` or ``step(x, t, dt, u)``.
    x0 : array-like of shape (n_states,) or (n_members, n_states)
        One initial state, or a batch of them; every member of a batch gets its own
        steps, and the same numbers as if it were run alone.
    t : array-like of shape (n_times,), or int
        Output times, the first being that of `x0`; increasing, or decreasing to follow
        a flow backwards. For maps and increments also the number of steps; an array
        must advance by the ``dt`` of the law.
    u : array-like or callable, optional
        Controls at `t`, of shape (n_times, n_controls) or (n_members, n_times,
        n_controls); (n_times,) will do for one control. Or a function of time, exact
        at every stage: with ``method="dopri5"`` it is followed by SciPy's DOP853.
        A map reads row `k` for its step from `k` to ``k + 1``, and may lack the last row.
    method : str, default="dopri5"
        ``"dopri5"``: adaptive, order 5. ``"rk4"``: `n_substeps` fixed steps of order 4
        between outputs. ``"LSODA"``, ``"Radau"``, ``"BDF"`` (for stiff laws),
        ``"DOP853"``, ``"RK45"``: SciPy's solvers, with the exact Jacobian of a
        discovered law. ``"step"``: `n_substeps` calls of the object's own ``step``.
        Python objects with ``rhs`` are followed by DOP853 when asked for dopri5, those
        with ``step`` only by ``"step"``. Maps have no methods.
    rtol : float, default=1e-8
        Bound on the error of one step, relative to the size of each state.
    atol : float or array-like of shape (n_states,), optional
        Absolute bound in the units of the states. By default 1e-3 of `rtol` times the
        largest size the state has had, so that the result does not depend on units
        (SciPy's solvers, which need it in advance: the size at the start and one
        characteristic time later).
    max_step : float, optional
        Longest step of the adaptive methods, in the units of `t`.
    max_steps : int, default=10_000_000
        Most steps of an adaptive method, for each member.
    n_substeps : int, default=1
        Steps of ``"rk4"`` and ``"step"`` between consecutive times.
    bounds : (lower, upper), optional
        Where the states must stay; each a number, an array of shape (n_states,), or
        None. Leaving them is a failure.
    u_interpolation : {"auto", "linear", "cubic", "previous"}, default="auto"
        How controls given as an array are read between samples: on straight lines, by a
        cubic spline, or held from the earlier sample on. "auto" takes, for each control,
        the line or the cubic, whichever predicts left-out samples better. Adaptive
        methods end a step at every sample.
    on_failure : {"raise", "warn", "return"}, optional
        Default: ``"raise"`` for one run, ``"warn"`` for a batch.
    n_draws : int, optional
        Also follow this many laws drawn from the posterior of a SymbolicModel, from one
        `x0`; see :meth:`Simulation.band`. They take ``8 * n_draws * n_times * n_states``
        bytes. A draw that blows up is kept as far as it goes, and counted.
    x0_error : float or array-like of shape (n_states,), default=0
        Standard error of `x0`, in the units of the states, drawn with the coefficients.
    rng : numpy.random.Generator, optional
        Needed with `n_draws`.

    Returns
    -------
    Simulation

    Raises
    ------
    SimulationError
        If a run cannot reach its last time: blow-up, a bound, too many steps. The
        message names time, state and value; ``error.time`` is the time.
    ValueError
        If an argument does not fit the law.

    Notes
    -----
    ``"dopri5"`` is the 5(4) pair of Dormand and Prince with its fourth-order dense
    output [1]_: steps follow the error, not the spacing of `t`. A finite-time blow-up
    ends it within milliseconds. The compiled loops cannot be interrupted from the
    keyboard; ten million steps take a few seconds.

    References
    ----------
    .. [1] E. Hairer, S. P. Norsett, G. Wanner, "Solving Ordinary Differential Equations
       I", 2nd ed., Springer 1993, sections II.4 to II.6.
    """
    run = Run(dynamics, x0, t, u, bounds, u_interpolation)
    run.set_accuracy(method, rtol, atol, max_step, max_steps, n_substeps)
    if on_failure not in (None, *get_args(OnFailure)):
        raise ValueError(
            f"simulate: on_failure must be one of {get_args(OnFailure)}; got {on_failure!r}."
        )
    with np.errstate(all="ignore"):  # what is not finite is reported as a failure
        used = _follow(run, method)
    found = run.result(used)
    if found.message:
        _complain(found, on_failure or ("warn" if run.batch else "raise"))
    if n_draws is None:
        return found
    return replace(found, draws=_follow_draws(run, method, found, n_draws, x0_error, rng))


# -- reading the arguments ---------------------------------------------------------


@dataclass(frozen=True)
class _Law:
    """What simulate needs to know of a dynamics, whoever made it."""

    dynamics: Any
    kind: str
    state_names: tuple[str, ...]
    control_names: tuple[str, ...] | None  # None: not known
    timed: bool
    dt: float | None
    program: tuple[NDArray[Any], ...]  # empty: a Python object

    @classmethod
    def read(cls, dynamics: Any, n_states: int) -> _Law:
        """Read a law by its attributes; those of a plain Python object are optional."""
        program = tuple(getattr(dynamics, "program", ()))
        if not program and not (hasattr(dynamics, "rhs") or hasattr(dynamics, "step")):
            raise ValueError(
                "simulate: dynamics must be a SymbolicModel, or have rhs(x, t, u) or "
                f"step(x, t, dt, u); got {type(dynamics).__name__}."
            )
        kind = getattr(dynamics, "kind", "continuous")
        if kind not in ("continuous", "map", "increment"):
            raise ValueError(
                f"simulate: a law of kind {kind!r} gives values, not motion; it must be "
                "'continuous', 'map' or 'increment'."
            )
        names = getattr(dynamics, "state_names", None) or [f"x{i}" for i in range(n_states)]
        controls = getattr(dynamics, "control_names", () if program else None)
        return cls(
            dynamics,
            kind,
            tuple(names),
            None if controls is None else tuple(controls),
            getattr(dynamics, "time_name", None) is not None,
            getattr(dynamics, "dt", None),
            program,
        )


def _read_times(law: _Law, t: ArrayLike) -> FloatArray:
    """Return the output times of a run."""
    discrete, dt = law.kind != "continuous", law.dt
    if isinstance(t, int | np.integer) and discrete:
        if t < 0:
            raise ValueError(f"simulate: the number of steps t must not be negative; got {t}.")
        return np.arange(int(t) + 1, dtype=np.float64) * (1.0 if dt is None else float(dt))
    times = np.array(t, dtype=np.float64, order="C")
    steps = np.diff(times) if times.ndim == 1 else np.empty(0)
    monotone = (steps > 0).all() or ((steps < 0).all() and not discrete)
    if times.ndim != 1 or not times.size or not np.isfinite(times).all() or not monotone:
        form = "increasing" if discrete else "increasing or decreasing"
        number = ", or a number of steps" if discrete else ""
        raise ValueError(
            f"simulate: t must be a 1-D array of finite, strictly {form} times{number}; "
            f"got shape {times.shape}."
        )
    if discrete and dt is not None and not np.allclose(steps, dt, rtol=1e-6, atol=0.0):
        worst = steps[np.argmax(np.abs(steps - dt))]
        raise ValueError(
            f"simulate: this law steps by dt = {dt:g}, so must t; got a step of {worst:g}. "
            "Pass the number of steps instead."
        )
    return times


def _read_start(law: _Law, x0: FloatArray) -> FloatArray:
    """Return the initial states as rows."""
    names = law.state_names
    if x0.ndim not in (1, 2) or x0.shape[-1] != len(names):
        raise ValueError(
            f"simulate: x0 must have shape ({len(names)},) or (n_members, {len(names)}) for the "
            f"states {list(names)}; got {x0.shape}."
        )
    return np.array(x0, ndmin=2, order="C")


def _read_controls(law: _Law, u: Any, times: FloatArray, n_members: int | None) -> FloatArray:
    """Return the controls at the output times, (1 or n_members, n_times, n_controls)."""
    known, n_times = law.control_names, len(times)
    if u is None:
        if known:
            raise ValueError(f"simulate: u is needed: controls {list(known)}.")
        return np.empty((1, n_times, 0))
    if known == ():
        raise ValueError("simulate: u was given, but the law has no controls; leave it out.")
    U = _sample(u, times) if callable(u) else np.array(u, dtype=np.float64)
    U = U[:, None] if U.ndim == 1 else U
    if law.kind != "continuous" and U.ndim > 1 and U.shape[-2] == n_times - 1 > 0:
        U = np.concatenate([U, U[..., -1:, :]], axis=-2)
    m = U.shape[-1] if known is None and U.ndim else len(known or ())
    shapes = [(n_times, m)] + ([] if n_members is None else [(n_members, n_times, m)])
    if U.shape not in shapes:
        raise ValueError(
            f"simulate: u must have shape {' or '.join(map(str, shapes))} (times, controls); "
            f"got {U.shape}."
        )
    U = np.ascontiguousarray(U.reshape(-1, n_times, m))
    finite = np.isfinite(U).all(axis=(0, 2))
    if not finite.all():
        raise ValueError(f"simulate: u must be finite; it is not at t = {times[~finite][0]:g}.")
    return U


def _sample(u: Control, times: FloatArray) -> FloatArray:
    """Evaluate a control function at every time: (n_times, n_controls)."""
    rows = [np.atleast_1d(np.asarray(u(float(s)), dtype=np.float64)) for s in times]
    return np.array(rows, dtype=np.float64)


def _read_bounds(
    bounds: tuple[Bound, Bound] | None, names: tuple[str, ...]
) -> tuple[FloatArray, FloatArray]:
    """Return lower and upper bounds of every state."""
    lower, upper = (None, None) if bounds is None else bounds
    try:
        return (
            np.full(len(names), -np.inf if lower is None else lower, dtype=np.float64),
            np.full(len(names), np.inf if upper is None else upper, dtype=np.float64),
        )
    except ValueError:
        raise ValueError(
            f"simulate: bounds must be (lower, upper), each a number, None or of shape "
            f"({len(names)},); got {bounds}."
        ) from None


# -- one request and its answer ----------------------------------------------------


class Run:
    """One request to simulate: the checked arguments, and what has been reached."""

    def __init__(
        self,
        dynamics: Any,
        x0: ArrayLike,
        t: ArrayLike,
        u: Any,
        bounds: tuple[Bound, Bound] | None,
        u_interpolation: str,
    ) -> None:
        start = np.array(x0, dtype=np.float64, ndmin=1)
        self.law = law = _Law.read(dynamics, start.shape[-1])
        self.batch = start.ndim == 2
        self.x0 = _read_start(law, start)
        self.times = _read_times(law, t)
        self.controls = _read_controls(law, u, self.times, len(start) if self.batch else None)
        self.control: Control | None = u if callable(u) else None
        if u_interpolation not in get_args(Reading):
            raise ValueError(
                f"simulate: u_interpolation must be one of {get_args(Reading)}; "
                f"got {u_interpolation!r}."
            )
        self.held = u_interpolation == "previous" or law.kind != "continuous"
        self.u_interpolation = u_interpolation
        self.lower, self.upper = _read_bounds(bounds, law.state_names)
        self.weights: FloatArray | None = None  # of each member, where members differ in law
        self._clear()

    def _clear(self) -> None:
        """Forget what has been reached."""
        n_members, n_states = self.x0.shape
        self.states = np.full((n_members, len(self.times), n_states), np.nan)
        self.counts: IntArray = np.zeros((n_members, 3), dtype=np.int64)
        self.places = np.zeros((n_members, 2))

    def with_draws(self, x0: FloatArray, weights: FloatArray) -> Run:
        """Return the same request for members that have a law each."""
        run = copy(self)
        run.x0, run.weights, run.batch = x0, weights, True
        run._clear()
        return run

    def program_of(self, member: int) -> tuple[NDArray[Any], ...]:
        """Return the law of a member, as the kernels read it."""
        if self.weights is None:
            return self.law.program
        return (*self.law.program[:-1], self.weights[member])

    def set_accuracy(
        self,
        method: str,
        rtol: float,
        atol: ArrayLike | None,
        max_step: float | None,
        max_steps: int,
        n_substeps: int,
    ) -> None:
        """Check and keep the options of the methods."""
        if method not in get_args(Method):
            raise ValueError(f"simulate: method must be one of {get_args(Method)}; got {method!r}.")
        if not 1e-13 <= rtol < 1:
            raise ValueError(f"simulate: rtol must be in [1e-13, 1); got {rtol}.")
        if n_substeps < 1 or max_steps < 1 or (max_step is not None and not max_step > 0):
            raise ValueError(
                "simulate: n_substeps, max_steps and max_step must be positive; got "
                f"{n_substeps}, {max_steps} and {max_step}."
            )
        self.rtol = float(rtol)
        self.atol = None if atol is None else self._per_state("atol", atol)
        self.max_step = np.inf if max_step is None else float(max_step)
        self.max_steps, self.n_substeps = int(max_steps), int(n_substeps)

    def _per_state(self, name: str, value: ArrayLike) -> FloatArray:
        array = np.asarray(value, dtype=np.float64)
        n = self.x0.shape[1]
        if array.shape not in ((), (n,)) or not (array >= 0).all():
            raise ValueError(
                f"simulate: {name} must be a number or of shape ({n},), not negative; "
                f"got {value!r}."
            )
        return np.array(np.broadcast_to(array, (n,)))

    @cached_property
    def intervals(self) -> FloatArray:
        """The controls; when they are held, row `k` acts between times `k` and ``k + 1``."""
        if self.held and self.times[-1] < self.times[0]:
            return np.concatenate([self.controls[:, 1:], self.controls[:, -1:]], axis=1)
        if not self.curved.any():
            return self.controls
        pairs = zip(self.controls, self.curved, strict=True)
        slopes = [interval_slopes(U, self.times, curved) for U, curved in pairs]
        begin, end = (np.array(side) for side in zip(*slopes, strict=True))
        return np.concatenate([self.controls, begin, end], axis=2)

    @cached_property
    def curved(self) -> BoolArray:
        """Which controls are read by a cubic spline, (1 or n_members, n_controls)."""
        shape = (len(self.controls), self.controls.shape[2])
        if self.held or self.control is not None or self.u_interpolation == "linear":
            return np.zeros(shape, dtype=bool)
        if self.u_interpolation == "cubic":
            return np.full(shape, len(self.times) > 2)
        return np.array([is_curved(U, self.times) for U in self.controls])

    @property
    def reading(self) -> int:
        """How the kernels read the controls."""
        if self.held:
            return kernel.HELD
        return kernel.CURVE if self.curved.any() else kernel.LINEAR

    def controls_at(self, t: float, j: int) -> FloatArray:
        """Read the controls at a time in interval `j`: (1 or n_members, n_controls)."""
        if self.control is not None:
            return np.array(self.control(t), dtype=np.float64).reshape(1, -1)
        U, m = self.intervals, self.controls.shape[2]
        if self.held or not m:
            return U[:, j]
        h = self.times[j + 1] - self.times[j]
        w = (t - self.times[j]) / h
        u = (1.0 - w) * U[:, j, :m] + w * U[:, j + 1, :m]
        if U.shape[2] > m:
            slope = (U[:, j + 1, :m] - U[:, j, :m]) / h
            begin, end = U[:, j, m : 2 * m] - slope, U[:, j, 2 * m :] - slope
            u += h * w * (1.0 - w) * ((1.0 - w) * begin - w * end)
        return np.asarray(u)

    def fail(self, member: int, status: int, state: int, t: float, value: float) -> None:
        """Write down why and where a member stopped, as the kernels do."""
        self.counts[member, :2] = status, state
        self.places[member] = t, value

    def passes(self, member: int, x: FloatArray, t: float) -> bool:
        """Judge a state; a failure is written down."""
        status, state = kernel.judge(x, self.lower, self.upper)
        if status != kernel.DONE:
            self.fail(member, status, state, t, x[state])
        return bool(status == kernel.DONE)

    def result(self, method: str) -> Simulation:
        """Return what has been reached."""
        failed = self.counts[:, 0] != kernel.DONE
        times = np.where(failed, self.places[:, 0], np.nan)
        one = not self.batch
        controls = None
        if self.controls.shape[2]:
            controls = self.controls[0] if len(self.controls) == 1 else self.controls
        return Simulation(
            self.times,
            self.states[0] if one else self.states,
            self.law.state_names,
            not failed[0] if one else ~failed,
            self._message(np.flatnonzero(failed), method),
            float(times[0]) if one else times,
            int(self.counts[:, 2].sum()),
            method,
            controls,
            self._control_names(),
        )

    def _control_names(self) -> tuple[str, ...]:
        if self.law.control_names is not None:
            return self.law.control_names
        return tuple(f"u{i}" for i in range(self.controls.shape[2]))

    def _message(self, failed: NDArray[np.intp], method: str) -> str:
        if not len(failed):
            return ""
        first = int(failed[0])
        text = self._explanation(first, method)
        if not self.batch:
            return f"simulate: {text}"
        return f"simulate: {len(failed)} of {len(self.x0)} members failed; member {first}: {text}"

    def _explanation(self, member: int, method: str) -> str:
        """Say what happened to a member, where, and what to do."""
        status, state, _ = self.counts[member]
        t, value = self.places[member]
        name, reached = self.law.state_names[state], np.isfinite(self.states[member, :, 0]).sum()
        where = f"at t = {t:.9g}, where {name} = {value:.6g}"
        advice = (
            f"{reached} of {len(self.times)} times were reached. End the run earlier, pass "
            "bounds=, or keep what was reached with on_failure='return'."
        )
        if status == kernel.OUT_OF_BOUNDS:
            span = f"[{self.lower[state]:g}, {self.upper[state]:g}]"
            return f"{name} left its bounds {span} {where}; {advice}"
        if status == kernel.STEP_TOO_SMALL:
            return f"the solution blows up or jumps {where}: no step is small enough; {advice}"
        if status == kernel.TOO_MANY_STEPS:
            return (
                f"{self.max_steps:,} steps were not enough; they ended {where}. A stiff law needs "
                "method='LSODA' or 'Radau'; else raise max_steps= or rtol=."
            )
        if t == self.times[0] and not np.isfinite(value):
            return f"x0 must be finite; got {name} = {value}."
        finer = " More n_substeps= may help." if method in ("rk4", "step") else ""
        return f"the law or its solution is not finite {where}; {advice}{finer}"


def _complain(found: Simulation, on_failure: OnFailure) -> None:
    """Raise or warn; a warning points at the first line outside this package."""
    if on_failure == "raise":
        times = np.atleast_1d(found.failure_time)
        raise SimulationError(found.message, time=float(times[~np.isnan(times)][0]))
    if on_failure == "warn":
        frame, level = sys._getframe(1), 2
        while frame.f_back and frame.f_globals.get("__name__", "").startswith("discover."):
            frame, level = frame.f_back, level + 1
        warnings.warn(found.message, RuntimeWarning, stacklevel=level)


# -- methods -----------------------------------------------------------------------


def _follow(run: Run, method: Method) -> str:
    """Run the method, or the one that stands for it; returns its name."""
    law, compiled = run.law, bool(run.law.program)
    has_rhs = compiled or hasattr(law.dynamics, "rhs")
    if law.kind != "continuous":
        if compiled:
            _fixed_steps(run, kernel.MAP if law.kind == "map" else kernel.INCREMENT)
        else:
            _step_along(run, _own_step, 1)
        return "iteration"
    if method == "step" or (method == "dopri5" and not has_rhs):
        _step_along(run, _own_step, run.n_substeps)
        return "step"
    if not has_rhs:
        raise ValueError(f"simulate: method {method!r} needs dynamics with rhs(x, t, u).")
    if method == "rk4":
        if compiled:
            _fixed_steps(run, kernel.RK4)
        else:
            _step_along(run, _rk4_step, run.n_substeps)
        return "rk4"
    if method == "dopri5" and compiled and run.control is None:
        _dopri5(run)
        return "dopri5"
    name = "DOP853" if method == "dopri5" else method
    for member in range(len(run.x0)):
        Follower(run, member, name).follow()
    return name


def _laws(run: Run) -> Iterator[tuple[tuple[Any, ...], slice]]:
    """Yield what every kernel is told first, law and number of inputs, and for which members."""
    d = run.x0.shape[1] + run.controls.shape[2] + run.law.timed
    if run.weights is None:
        yield (*run.law.program, d), slice(None)
        return
    for member in range(len(run.x0)):
        yield (*run.program_of(member), d), slice(member, member + 1)


def _fixed_steps(run: Run, rule: int) -> None:
    U, reading = run.intervals, run.reading
    if run.control is not None and rule == kernel.RK4:
        U, reading = _sample(run.control, _stage_times(run))[None], kernel.STAGES
    for law, rows in _laws(run):
        kernel.fixed_steps(
            *law,
            run.x0[rows],
            run.times,
            U,
            reading,
            rule,
            run.n_substeps if rule == kernel.RK4 else 1,
            run.lower,
            run.upper,
            run.states[rows],
            run.counts[rows],
            run.places[rows],
        )


def _stage_times(run: Run) -> FloatArray:
    """Return the ends and middles of all fixed steps."""
    starts, h = run.times[:-1, None], np.diff(run.times)[:, None] / run.n_substeps
    stages = starts + 0.5 * h * np.arange(2 * run.n_substeps)
    return np.append(stages.ravel(), run.times[-1])


def _dopri5(run: Run) -> None:
    n_states = run.x0.shape[1]
    for law, rows in _laws(run):
        kernel.dopri5(
            *law,
            run.x0[rows],
            run.times,
            run.intervals,
            run.reading,
            run.rtol,
            np.zeros(n_states) if run.atol is None else run.atol,
            MEMORY if run.atol is None else 0.0,
            run.max_step,
            run.max_steps,
            run.lower,
            run.upper,
            np.empty((17, n_states)),
            np.empty(len(law[0]) + law[-1]),
            run.states[rows],
            run.counts[rows],
            run.places[rows],
        )


# -- draws -------------------------------------------------------------------------


def _follow_draws(
    run: Run,
    method: Method,
    found: Simulation,
    n_draws: int,
    x0_error: ArrayLike,
    rng: np.random.Generator | None,
) -> FloatArray:
    """Follow laws drawn from the posterior: (n_draws, n_times, n_states)."""
    if rng is None or n_draws < 1 or run.batch or not hasattr(run.law.dynamics, "draw_weights"):
        raise ValueError(
            "simulate: n_draws must be positive, and needs a SymbolicModel with a covariance, one "
            f"x0 and rng=; got n_draws={n_draws}, {type(run.law.dynamics).__name__}, "
            f"x0 {'in a batch' if run.batch else 'alone'} and rng={rng!r}."
        )
    weights = run.law.dynamics.draw_weights(rng, n_draws)
    errors = run._per_state("x0_error", x0_error)
    x0 = run.x0 + errors * rng.standard_normal((n_draws, len(errors)))
    drawn = run.with_draws(x0, weights)
    # a draw that works much harder than the law itself is on its way to nowhere
    drawn.max_steps = min(run.max_steps, _DRAW_EFFORT * max(found.n_rhs, 1_000))
    with np.errstate(all="ignore"):
        _follow(drawn, method)
    return drawn.states


Advance: TypeAlias = Callable[[Run, FloatArray, float, float, int], ArrayLike]


def _step_along(run: Run, advance: Advance, n_substeps: int) -> None:
    """Take fixed steps with a Python object, all members at once."""
    x = run.x0.copy()
    _judge_all(run, x, run.times[0])
    run.states[:, 0] = x
    for j, h in enumerate(np.diff(run.times) / n_substeps):
        for t in run.times[j] + h * np.arange(n_substeps):
            now = advance(run, x if run.batch else x[0], float(t), float(h), j)
            x = np.array(now, dtype=np.float64).reshape(run.x0.shape)
            _judge_all(run, x, t + h)
        run.states[:, j + 1] = x
        if run.counts[:, 0].all():
            break


def _judge_all(run: Run, x: FloatArray, t: float) -> None:
    """Judge a batch of states; those of failed members become NaN."""
    for member in np.flatnonzero(run.counts[:, 0] == kernel.DONE):
        run.passes(int(member), x[member], t)
    x[run.counts[:, 0] != kernel.DONE] = np.nan


def _row_of_controls(run: Run, t: float, j: int) -> FloatArray | None:
    """Return controls for all members, in the shape the states have."""
    u = run.controls_at(t, j)
    if not u.shape[1]:
        return None
    return np.broadcast_to(u, (len(run.x0), u.shape[1])) if run.batch else u[0]


def _own_step(run: Run, x: FloatArray, t: float, h: float, j: int) -> ArrayLike:
    if not hasattr(run.law.dynamics, "step"):
        raise ValueError("simulate: method 'step' needs dynamics with step(x, t, dt, u).")
    run.counts[:, 2] += 1
    return np.asarray(run.law.dynamics.step(x, t, h, _row_of_controls(run, t, j)))


def _rk4_step(run: Run, x: FloatArray, t: float, h: float, j: int) -> ArrayLike:
    run.counts[:, 2] += 4
    rhs = run.law.dynamics.rhs
    u = [_row_of_controls(run, s, j) for s in (t, t + 0.5 * h, t + h)]
    k1 = np.asarray(rhs(x, t, u[0]))
    k2 = np.asarray(rhs(x + 0.5 * h * k1, t + 0.5 * h, u[1]))
    k3 = np.asarray(rhs(x + 0.5 * h * k2, t + 0.5 * h, u[1]))
    k4 = np.asarray(rhs(x + h * k3, t + h, u[2]))
    return np.asarray(x + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4))
