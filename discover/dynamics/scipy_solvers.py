"""SciPy's solvers, driven along one member with the compiled law."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from discover.dynamics.run import Run
from discover.kernels import integrators as kernel
from discover.kernels import terms
from discover.typing import FloatArray

__all__ = ["MEMORY", "Follower"]

IMPLICIT = ("LSODA", "Radau", "BDF")
MEMORY = 1e-3  # the tolerance of a state keeps this fraction of its largest size


class Follower:
    """Drives one of SciPy's solvers along one member."""

    def __init__(self, run: Run, member: int, method: str) -> None:
        self.run, self.member, self.method = run, member, method
        self.program = run.program_of(member)
        self.interval, self.n_steps, self.next = 0, 0, 1
        self.n_states, n_controls = run.x0.shape[1], run.controls.shape[2]
        self.row = np.empty((1, self.n_states + n_controls + run.law.timed))
        self.slope_before = np.zeros(self.n_states)

    # the law, as SciPy calls it

    def slope(self, t: float, x: FloatArray) -> FloatArray:
        """Evaluate the law at one state."""
        run = self.run
        run.counts[self.member, 2] += 1
        if run.law.program:
            out = np.empty((1, self.n_states))
            terms.model_values(*self.program, self._inputs(t, x), out)
            self.slope_before = out[0]
        else:
            u = self._controls(t) if run.controls.shape[2] else None
            self.slope_before = np.array(run.law.dynamics.rhs(x, t, u), dtype=np.float64)
        return self.slope_before

    def jacobian(self, t: float, x: FloatArray) -> FloatArray:
        """Differentiate the law at one state."""
        out = np.empty((1, self.n_states, self.row.shape[1]))
        terms.model_jacobian(*self.program, self._inputs(t, x), out)
        return out[0, :, : self.n_states]

    def _controls(self, t: float) -> FloatArray:
        u = self.run.controls_at(t, self.interval)
        return np.asarray(u[self.member if len(u) > 1 else 0])

    def _inputs(self, t: float, x: FloatArray) -> FloatArray:
        row, n, m = self.row, self.n_states, self.run.controls.shape[2]
        row[0, :n] = x
        if m:
            row[0, n : n + m] = self._controls(t)
        if self.run.law.timed:
            row[0, -1] = t
        return row

    # the way

    def follow(self) -> None:
        """Integrate from sample to sample of the controls, or in one go without."""
        run, member = self.run, self.member
        x, times, size = run.x0[member], run.times, None
        if not run.passes(member, x, times[0]):
            return
        run.states[member, 0] = x
        if len(times) == 1:
            return
        sampled = run.control is None and run.controls.shape[2] > 0
        stops = times[1:] if sampled else times[-1:]
        start, atol = times[0], self._absolute_tolerance()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"scipy\.")  # failures are ours to report
            for self.interval, stop in enumerate(stops):
                solver = self._solver(start, x, stop, atol, size)
                if not self._reach_end(solver):
                    return
                start, x, size = stop, solver.y, getattr(solver, "h_abs", solver.step_size)

    def _solver(
        self, t: float, x: FloatArray, stop: float, atol: FloatArray, size: float | None
    ) -> Any:
        from scipy import integrate

        run, options = self.run, dict[str, Any]()
        if self.method in IMPLICIT and run.law.program:
            options["jac"] = self.jacobian
        if size is not None:
            options["first_step"] = min(size, abs(stop - t))
        return getattr(integrate, self.method)(
            self.slope, t, x, stop, rtol=run.rtol, atol=atol, max_step=run.max_step, **options
        )

    def _absolute_tolerance(self) -> FloatArray:
        """Return `atol`, by default from the sizes now and one characteristic time later."""
        run, x, t = self.run, self.run.x0[self.member], self.run.times[0]
        if run.atol is not None:
            return run.atol
        speed = np.abs(self.slope(t, x))
        moving = (speed > 0) & (x != 0)
        span = abs(run.times[-1] - t)
        tau = min(span, np.min(np.abs(x[moving]) / speed[moving])) if moving.any() else 1e-3 * span
        h = tau if run.times[-1] > t else -tau
        later = x + h * self.slope(t + 0.5 * h, x + 0.5 * h * self.slope(t, x))
        size = np.maximum(np.abs(x), np.nan_to_num(np.abs(later), posinf=0.0))
        return np.asarray(run.rtol * MEMORY * np.where(size > 0, size, size.max() or 1.0))

    def _reach_end(self, solver: Any) -> bool:
        """Step until the solver is done; returns whether the member is still good."""
        while solver.status == "running":
            status = self._step(solver)
            if status != kernel.DONE:
                state = int(np.argmax(np.abs(solver.f if hasattr(solver, "f") else solver.y)))
                self.run.fail(self.member, status, state, solver.t, solver.y[state])
                return False
            if not self._write(solver):
                return False
        return True

    def _step(self, solver: Any) -> int:
        """Take one step; returns a status."""
        before = solver.t
        try:
            solver.step()
        except (ValueError, np.linalg.LinAlgError):
            if not self.run.law.program and np.isfinite(self.slope_before).all():
                raise  # not SciPy's complaint about infinite numbers
            return kernel.NOT_FINITE
        self.n_steps += 1
        if not np.isfinite(solver.y).all():
            return kernel.NOT_FINITE
        if solver.status == "failed" or solver.t == before:
            finite = np.isfinite(self.slope_before).all()
            return kernel.STEP_TOO_SMALL if finite else kernel.NOT_FINITE
        if self.n_steps >= self.run.max_steps and solver.status == "running":
            return kernel.TOO_MANY_STEPS
        return kernel.DONE

    def _write(self, solver: Any) -> bool:
        """Write the outputs of one step, up to the crossing of a bound."""
        run, sign = self.run, solver.direction
        end = np.searchsorted(sign * run.times, sign * solver.t, side="right")
        due = run.times[self.next : end]
        dense = solver.dense_output() if len(due) and due[0] != solver.t else None
        inside = solver.t_old
        for t in (*due, solver.t):
            x = solver.y if t == solver.t or dense is None else dense(t)
            status, state = kernel.judge(x, run.lower, run.upper)
            if status != kernel.DONE:
                self._fail_at_crossing(solver.dense_output(), inside, t, state)
                return False
            if self.next < end:
                run.states[self.member, self.next] = x
                self.next += 1
            inside = t
        return True

    def _fail_at_crossing(self, dense: Any, inside: float, outside: float, state: int) -> None:
        """Bisect the interpolant for the crossing of a bound."""
        for _ in range(52):
            middle = 0.5 * (inside + outside)
            status, which = kernel.judge(dense(middle), self.run.lower, self.run.upper)
            if status == kernel.DONE:
                inside = middle
            else:
                outside, state = middle, which
        value = dense(outside)[state]
        self.run.fail(self.member, kernel.OUT_OF_BOUNDS, state, outside, value)
