"""Somebody's solver, seen as a dynamical law: its steps, and the tendency it stands for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from discover.dynamics.classical import runge_kutta_step
from discover.exceptions import SimulationError
from discover.typing import FloatArray

__all__ = ["Solver"]

_FINEST = 250.0  # the first of the small steps, as a fraction of the step between observations


class _Slot(NamedTuple):
    """Whether a function takes controls behind its other arguments, and cannot do without."""

    taken: bool
    needed: bool


def _slot(function: Callable[..., Any], place: int) -> _Slot:
    """Look for controls at a place among the arguments of a function.

    An argument with a default is one only if it is called `u`; compiled functions, which
    cannot be asked, are given controls where there are some.
    """
    try:
        given = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return _Slot(True, False)
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    behind = [p for p in given if p.kind in kinds][place : place + 1]
    needed = any(p.default is inspect.Parameter.empty for p in behind)
    return _Slot(needed or any(p.name == "u" for p in behind), needed)


@dataclass(frozen=True, eq=False)
class Solver:
    """A solver under test.

    Parameters
    ----------
    dynamics : Dynamics or callable
        Something with ``rhs(x, t)`` or ``step(x, t, dt)``, or a function
        ``step(x, t, dt)``, that returns the state one step later. Any of them may take
        controls, too: ``rhs(x, t, u)``, ``step(x, t, dt, u)``.
    history : int, default=1
        How many past states a step needs: a multi-step scheme receives `x` of shape
        ``(history, *state)``, oldest first.
    vectorized : bool, default=False
        Whether a step, or `rhs`, takes many states at once, shape ``(..., *state)``.
    fixed_step : float, optional
        The only step the solver can take. Its discretisation error cannot be told from a
        model error then.

    Notes
    -----
    The tendency behind a scheme of any order is the limit of ``(step(x, h) - x) / h`` for
    small steps. It is extrapolated from three of them (Richardson), which removes two
    orders of the error; a multi-step scheme is started from a constant past.
    """

    dynamics: Any
    history: int = 1
    vectorized: bool = False
    fixed_step: float | None = None

    def __post_init__(self) -> None:
        if not (hasattr(self.dynamics, "rhs") or hasattr(self.dynamics, "step")
                or callable(self.dynamics)):  # fmt: skip
            raise TypeError(
                "Solver: dynamics must have rhs(x, t) or step(x, t, dt), or be a function "
                f"step(x, t, dt); got {self.dynamics!r}."
            )
        if self.history < 1:
            raise ValueError(f"Solver: history must be at least 1; got {self.history}.")

    @property
    def _step(self) -> Callable[..., Any]:
        if hasattr(self.dynamics, "step"):
            return self.dynamics.step  # type: ignore[no-any-return]
        return self.dynamics if callable(self.dynamics) else self._runge_kutta

    @cached_property
    def _slots(self) -> tuple[_Slot, _Slot]:
        """Return how the tendency and the step take controls."""
        names = getattr(self.dynamics, "control_names", None)
        if names is not None:  # a law: its arguments are the same with and without controls
            law = _Slot(bool(names), bool(names))
            return law, law
        rate = _slot(self.dynamics.rhs, 2) if self.knows_tendency else _Slot(False, False)
        return rate, rate if self._step == self._runge_kutta else _slot(self._step, 3)

    @property
    def takes_controls(self) -> bool:
        """Whether the solver can be given controls."""
        return any(slot.taken for slot in self._slots)

    @property
    def needs_controls(self) -> bool:
        """Whether the solver cannot do without controls."""
        return any(slot.needed for slot in self._slots)

    def _runge_kutta(self, x: FloatArray, t: float, dt: float, *u: FloatArray) -> FloatArray:
        """Step a tendency that comes without a scheme: the classical one of order four."""

        def rate(x: FloatArray, t: Any) -> FloatArray:
            return np.asarray(self.dynamics.rhs(x, t, *u))

        return runge_kutta_step(rate, x, t, dt)

    @property
    def _steps_many(self) -> bool:
        return self.vectorized or bool(getattr(self.dynamics, "vectorized", False))

    @property
    def knows_tendency(self) -> bool:
        """Whether the tendency is given, not found from small steps."""
        return hasattr(self.dynamics, "rhs")

    def step(
        self,
        states: FloatArray,
        times: FloatArray,
        dt: float,
        controls: FloatArray | None = None,
    ) -> FloatArray:
        """Advance many states by one step.

        Parameters
        ----------
        states : ndarray of shape ``(n, *state)``, or ``(n, history, *state)``
        times : ndarray of shape (n,)
        dt : float
        controls : ndarray of shape (n, n_controls), optional
            Held over the step; a solver that takes none is not given them.

        Returns
        -------
        ndarray of shape ``(n, *state)``

        Raises
        ------
        SimulationError
            If the solver returns something that is not finite or of another shape.
        """
        more = (controls,) if controls is not None and self._slots[1].taken else ()
        if self._steps_many:
            past = np.moveaxis(states, 1, 0) if self.history > 1 else states
            out = np.asarray(self._step(past, times, dt, *more), dtype=np.float64)
        else:
            rows = zip(states, times, *more, strict=True)
            out = np.array([self._step(x, float(t), dt, *u) for x, t, *u in rows], dtype=np.float64)
        wanted = states.shape[:1] + states.shape[1 + (self.history > 1) :]
        if out.shape != wanted or not np.isfinite(out).all():
            raise SimulationError(
                f"Solver: a step of {dt:.3g} must return finite states of shape {wanted[1:]}; got "
                f"shape {out.shape[1:]}{'' if np.isfinite(out).all() else ' with NaN or infinity'}."
            )
        return out

    def advance(
        self, x: FloatArray, t: float, dt: float, u: FloatArray | None = None
    ) -> FloatArray:
        """Return one state a step later; `x` is ``(history, *state)`` where there is one."""
        controls = None if u is None else np.asarray(u, dtype=np.float64).reshape(1, -1)
        return np.asarray(self.step(np.asarray(x)[None], np.array([t]), dt, controls)[0])

    def steady(self, states: FloatArray) -> FloatArray:
        """Return states with a constant past, as multi-step schemes are started."""
        return states if self.history == 1 else np.stack([states] * self.history, axis=1)

    def tendency(
        self,
        states: FloatArray,
        times: FloatArray,
        dt: float,
        controls: FloatArray | None = None,
    ) -> FloatArray:
        """Return the time derivative the solver stands for.

        Parameters
        ----------
        states : ndarray of shape ``(n, *state)``
        times : ndarray of shape (n,)
        dt : float
            The scale of time: the step between observations.
        controls : ndarray of shape (n, n_controls), optional

        Returns
        -------
        ndarray of shape ``(n, *state)``
        """
        if self.knows_tendency:
            return self._rates(states, times, controls)
        if self.fixed_step is not None:
            return self._slope(states, times, self.fixed_step, controls)
        coarse, middle, fine = self._slopes(states, times, dt, controls)
        first, second = 2.0 * middle - coarse, 2.0 * fine - middle
        return np.asarray((4.0 * second - first) / 3.0)

    def _slopes(
        self, states: FloatArray, times: FloatArray, dt: float, controls: FloatArray | None
    ) -> list[FloatArray]:
        """Return the slopes over three tiny steps, each half of the one before."""
        steps = [dt / (_FINEST * 2**level) for level in range(3)]
        return [self._slope(states, times, h, controls) for h in steps]

    def extrapolation(
        self,
        states: FloatArray,
        times: FloatArray,
        dt: float,
        controls: FloatArray | None = None,
    ) -> tuple[float, float]:
        """Return how far the tendency is in doubt, and how fast tiny steps converge to it.

        Parameters
        ----------
        states, times, dt, controls
            As for :meth:`tendency`.

        Returns
        -------
        doubt : float
            Root-mean-square difference of the two once-extrapolated slopes, of which the
            tendency is made; of the tendency's unit.
        rate : float
            By how much the slope's change shrinks when the step is halved: 2 where the
            error of a step is in its asymptotic range, 4 and more for schemes whose first
            error vanishes; infinite where nothing changes.

        Notes
        -----
        The check that goes with every Richardson extrapolation (Roache, J. Fluids Eng. 116
        (1994) 405-413): the observed order must be that of the theory. A tolerance, a least
        step or a switch inside of a solver shows as a rate near 1 or below.
        """
        if self.knows_tendency or self.fixed_step is not None:
            return 0.0, np.inf
        coarse, middle, fine = self._slopes(states, times, dt, controls)
        change, left = (float(np.sqrt(np.mean(d**2))) for d in (coarse - middle, middle - fine))
        doubt = 2.0 * (fine - middle) - (middle - coarse)
        return float(np.sqrt(np.mean(doubt**2))), change / left if left else np.inf

    def _rates(
        self, states: FloatArray, times: FloatArray, controls: FloatArray | None
    ) -> FloatArray:
        """Return the tendency that is given."""
        more = (controls,) if controls is not None and self._slots[0].taken else ()
        rhs = self.dynamics.rhs
        if not self._steps_many:
            rows = zip(states, times, *more, strict=True)
            return np.asarray([rhs(x, float(t), *u) for x, t, *u in rows], dtype=np.float64)
        out = np.asarray(rhs(states, times, *more), dtype=np.float64)
        if out.shape != states.shape:
            raise SimulationError(
                f"Solver: vectorized, rhs must return an array of the shape {states.shape} of many "
                f"states; got {out.shape}."
            )
        return out

    def _slope(
        self, states: FloatArray, times: FloatArray, h: float, controls: FloatArray | None
    ) -> FloatArray:
        return (self.step(self.steady(states), times, h, controls) - states) / h

    def truncation(
        self,
        states: FloatArray,
        times: FloatArray,
        dt: float,
        controls: FloatArray | None = None,
    ) -> FloatArray:
        """Return one whole step's slope minus the tendency's, midway: its own error.

        Of second order in `dt`: the tendency is taken at the middle of the step.
        """
        whole = self._slope(states, times, dt, controls)
        start = self.tendency(states, times, dt, controls)
        middle = self.tendency(states + 0.5 * dt * start, times + 0.5 * dt, dt, controls)
        return whole - middle
