"""Somebody's solver, seen as a dynamical law: its steps, and the tendency it stands for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from discover.exceptions import SimulationError
from discover.typing import FloatArray

__all__ = ["Solver"]

_FINEST = 250.0  # the first of the small steps, as a fraction of the step between observations


@dataclass(frozen=True, eq=False)
class Solver:
    """A solver under test.

    Parameters
    ----------
    dynamics : Dynamics or callable
        Something with ``rhs(x, t)`` or ``step(x, t, dt)``, or a function
        ``step(x, t, dt)``, that returns the state one step later.
    history : int, default=1
        How many past states a step needs: a multi-step scheme receives `x` of shape
        ``(history, *state)``, oldest first.
    vectorized : bool, default=False
        Whether a step takes many states at once, shape ``(..., *state)``.
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

    def _runge_kutta(self, x: FloatArray, t: float, dt: float) -> FloatArray:
        """Step a tendency that comes without a scheme: the classical one of order four."""
        rate = self.dynamics.rhs
        a = rate(x, t)
        b = rate(x + 0.5 * dt * a, t + 0.5 * dt)
        c = rate(x + 0.5 * dt * b, t + 0.5 * dt)
        d = rate(x + dt * c, t + dt)
        return np.asarray(x + dt / 6.0 * (a + 2.0 * (b + c) + d))

    @property
    def _steps_many(self) -> bool:
        return self.vectorized or bool(getattr(self.dynamics, "vectorized", False))

    @property
    def knows_tendency(self) -> bool:
        """Whether the tendency is given, not found from small steps."""
        return hasattr(self.dynamics, "rhs")

    def step(self, states: FloatArray, times: FloatArray, dt: float) -> FloatArray:
        """Advance many states by one step.

        Parameters
        ----------
        states : ndarray of shape ``(n, *state)``, or ``(n, history, *state)``
        times : ndarray of shape (n,)
        dt : float

        Returns
        -------
        ndarray of shape ``(n, *state)``

        Raises
        ------
        SimulationError
            If the solver returns something that is not finite or of another shape.
        """
        if self._steps_many:
            past = np.moveaxis(states, 1, 0) if self.history > 1 else states
            out = np.asarray(self._step(past, times, dt), dtype=np.float64)
        else:
            pairs = zip(states, times, strict=True)
            out = np.array([self._step(x, float(t), dt) for x, t in pairs], dtype=np.float64)
        wanted = states.shape[:1] + states.shape[1 + (self.history > 1) :]
        if out.shape != wanted or not np.isfinite(out).all():
            raise SimulationError(
                f"Solver: a step of {dt:.3g} must return finite states of shape {wanted[1:]}; got "
                f"shape {out.shape[1:]}{'' if np.isfinite(out).all() else ' with NaN or infinity'}."
            )
        return out

    def advance(self, x: FloatArray, t: float, dt: float) -> FloatArray:
        """Return one state a step later; `x` is ``(history, *state)`` where there is one."""
        return np.asarray(self.step(np.asarray(x)[None], np.array([t]), dt)[0])

    def steady(self, states: FloatArray) -> FloatArray:
        """Return states with a constant past, as multi-step schemes are started."""
        return states if self.history == 1 else np.stack([states] * self.history, axis=1)

    def tendency(self, states: FloatArray, times: FloatArray, dt: float) -> FloatArray:
        """Return the time derivative the solver stands for.

        Parameters
        ----------
        states : ndarray of shape ``(n, *state)``
        times : ndarray of shape (n,)
        dt : float
            The scale of time: the step between observations.

        Returns
        -------
        ndarray of shape ``(n, *state)``
        """
        if self.knows_tendency:
            rates = [self.dynamics.rhs(x, float(t)) for x, t in zip(states, times, strict=True)]
            return np.asarray(rates, dtype=np.float64)
        if self.fixed_step is not None:
            return self._slope(states, times, self.fixed_step)
        coarse, middle, fine = (
            self._slope(states, times, dt / (_FINEST * 2**level)) for level in range(3)
        )
        first, second = 2.0 * middle - coarse, 2.0 * fine - middle
        return np.asarray((4.0 * second - first) / 3.0)

    def _slope(self, states: FloatArray, times: FloatArray, h: float) -> FloatArray:
        return (self.step(self.steady(states), times, h) - states) / h

    def truncation(self, states: FloatArray, times: FloatArray, dt: float) -> FloatArray:
        """Return one whole step's slope minus the tendency's, midway: its own error.

        Of second order in `dt`: the tendency is taken at the middle of the step.
        """
        whole = self._slope(states, times, dt)
        start = self.tendency(states, times, dt)
        middle = self.tendency(states + 0.5 * dt * start, times + 0.5 * dt, dt)
        return whole - middle
