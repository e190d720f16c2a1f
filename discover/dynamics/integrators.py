"""simulate: follow a law in time, one run or a batch of them, flow or map."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike

from discover.dynamics.run import Bound, Control, Method, Reading, Run, sample_controls
from discover.dynamics.scipy_solvers import MEMORY, Follower
from discover.dynamics.simulation import Simulation
from discover.exceptions import SimulationError
from discover.kernels import integrators as kernel
from discover.typing import FloatArray

__all__ = ["Method", "Reading", "simulate"]

OnFailure = Literal["raise", "warn", "return"]

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
        cubic spline, or held from the earlier sample on. "auto" holds each control that
        rests over most intervals and switches in between, or knows two values only; for
        the others it takes the line or the cubic, whichever predicts left-out samples
        better. Adaptive methods end a step at every sample.
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
        U, reading = sample_controls(run.control, _stage_times(run))[None], kernel.STAGES
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
    errors = run.per_state("x0_error", x0_error)
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
