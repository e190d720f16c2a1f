"""Run: one request to follow a law, checked, and what has been reached of it."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from discover.dynamics.simulation import Simulation
from discover.kernels import integrators as kernel
from discover.observations.interpolation import interval_slopes, is_curved, is_stepped
from discover.typing import BoolArray, FloatArray, IntArray

__all__ = ["Bound", "Control", "Method", "Reading", "Run", "sample_controls"]

Reading = Literal["auto", "linear", "cubic", "previous"]
Method = Literal["dopri5", "rk4", "step", "DOP853", "RK45", "LSODA", "Radau", "BDF"]
Bound: TypeAlias = "float | ArrayLike | None"
Control: TypeAlias = Callable[[float], ArrayLike]


@dataclass(frozen=True)
class Law:
    """What simulate needs to know of a dynamics, whoever made it."""

    dynamics: Any
    kind: str
    state_names: tuple[str, ...]
    control_names: tuple[str, ...] | None  # None: not known
    timed: bool
    dt: float | None
    program: tuple[NDArray[Any], ...]  # empty: a Python object

    @classmethod
    def read(cls, dynamics: Any, n_states: int) -> Law:
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


def _read_times(law: Law, t: ArrayLike) -> FloatArray:
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


def _read_start(law: Law, x0: FloatArray) -> FloatArray:
    """Return the initial states as rows."""
    names = law.state_names
    if x0.ndim not in (1, 2) or x0.shape[-1] != len(names):
        raise ValueError(
            f"simulate: x0 must have shape ({len(names)},) or (n_members, {len(names)}) for the "
            f"states {list(names)}; got {x0.shape}."
        )
    return np.array(x0, ndmin=2, order="C")


def _read_controls(law: Law, u: Any, times: FloatArray, n_members: int | None) -> FloatArray:
    """Return the controls at the output times, (1 or n_members, n_times, n_controls)."""
    known, n_times = law.control_names, len(times)
    if u is None:
        if known:
            raise ValueError(f"simulate: u is needed: controls {list(known)}.")
        return np.empty((1, n_times, 0))
    if known == ():
        raise ValueError("simulate: u was given, but the law has no controls; leave it out.")
    U = sample_controls(u, times) if callable(u) else np.array(u, dtype=np.float64)
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


def sample_controls(u: Control, times: FloatArray) -> FloatArray:
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
        self.law = law = Law.read(dynamics, start.shape[-1])
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
        self.atol = None if atol is None else self.per_state("atol", atol)
        self.max_step = np.inf if max_step is None else float(max_step)
        self.max_steps, self.n_substeps = int(max_steps), int(n_substeps)

    def per_state(self, name: str, value: ArrayLike) -> FloatArray:
        """Return the numbers of an argument that may be one for all states."""
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
        if self.reading != kernel.CURVE:
            return self.controls
        each = zip(self.controls, self.curved, self.stepped, strict=True)
        slopes = [interval_slopes(U, self.times, curved, held) for U, curved, held in each]
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

    @cached_property
    def stepped(self) -> BoolArray:
        """Which controls are held between samples, (1 or n_members, n_controls)."""
        if self.held or self.control is not None or self.u_interpolation != "auto":
            return np.zeros((len(self.controls), self.controls.shape[2]), dtype=bool)
        return np.array([is_stepped(U) for U in self.controls])

    @property
    def reading(self) -> int:
        """How the kernels read the controls."""
        if self.held:
            return kernel.HELD
        return kernel.CURVE if (self.curved | self.stepped).any() else kernel.LINEAR

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
            begin, end = U[:, j, m : 2 * m], U[:, j, 2 * m :]
            u += h * w * (1.0 - w) * ((1.0 - w) * (begin - slope) - w * (end - slope))
            u = np.where(np.isnan(begin), U[:, j, :m], u)
            u = np.where(np.isnan(end), U[:, j + 1, :m], u)
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
