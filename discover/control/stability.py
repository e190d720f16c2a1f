"""ClosedLoop: how a surrogate and a policy behave together near a target."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from discover.control.surrogate import Surrogate
from discover.exceptions import DataWarning
from discover.symbolic import SymbolicModel
from discover.typing import BoolArray, FloatArray

__all__ = ["ClosedLoop", "closed_loop"]

_MOST_STEPS = 50
_AT_REST = 1e-10  # of the size of a usual increment
_FAR = 100.0  # usual increments: what rests further away is another place


@dataclass(frozen=True, eq=False)
class ClosedLoop:
    """A closed loop, linearised where it rests.

    Parameters
    ----------
    state_names : tuple of str
    target : ndarray of shape (n_states,)
        As asked for, in states of the surrogate.
    equilibrium : ndarray of shape (n_states,)
        Where the median law with the policy rests, near the target.
    rests : bool
        Whether there is such a point; otherwise the loop is linearised at the target.
    multipliers : ndarray of complex, shape (n_states,)
        Eigenvalues of one step of the median law, largest modulus first.
    member_multipliers : ndarray of complex, shape (n_members, n_states)
        The same of every member, at the same point.
    saturated : ndarray of bool, shape (n_actions,)
        Actions that are at a limit at the target, or discrete: small deviations do not
        change them.
    width : ndarray of shape (n_actions, n_states)
        How far each state alone may be from the point of rest until the linearised action
        is at a limit: beyond it the multipliers say nothing. 0 where it is at one.
    """

    state_names: tuple[str, ...]
    target: FloatArray
    equilibrium: FloatArray
    rests: bool
    multipliers: NDArray[np.complex128]
    member_multipliers: NDArray[np.complex128]
    saturated: BoolArray
    width: FloatArray

    @property
    def is_stable(self) -> bool:
        """Whether all multipliers, of every member too, lie inside the unit circle."""
        largest = max(np.abs(self.multipliers).max(), np.abs(self.member_multipliers).max())
        return bool(self.rests and largest < 1)

    @property
    def spread(self) -> FloatArray:
        """Deviation of the members' moduli, shape (n_states,)."""
        return np.asarray(np.abs(self.member_multipliers).std(axis=0))

    def __str__(self) -> str:
        """Return the multipliers, and what a reader must know before believing in them."""
        place = _listed(self.state_names, self.equilibrium)
        lines = [f"at rest at {place}" if self.rests else f"not at rest near {place}"]
        for value, spread in zip(self.multipliers, self.spread, strict=True):
            turn = f" {value.imag:+.5f}i" if value.imag else ""
            lines.append(f"  {value.real:.5f}{turn}, modulus {abs(value):.5f} +- {spread:.2g}")
        if self.saturated.any():
            target = _listed(self.state_names, self.target)
            lines.append(f"saturated at {target}: small deviations do not change the action")
        for width in self.width[(self.width > 0).all(axis=1)]:
            lines.append(f"linear up to {_listed(self.state_names, width)}, one at a time")
        lines.append("stable" if self.is_stable else "not stable" if self.rests else "no verdict")
        return "\n".join(lines)


def _listed(names: Sequence[str], values: FloatArray) -> str:
    return ", ".join(f"{n} = {v + 0.0:.4g}" for n, v in zip(names, values, strict=True))


def closed_loop(
    surrogate: Surrogate, policy: SymbolicModel, target: ArrayLike | Mapping[str, float]
) -> ClosedLoop:
    """Linearise a policy in a surrogate near a target.

    Parameters
    ----------
    surrogate : Surrogate
    policy : SymbolicModel
        Kind "direct", observations to actions.
    target : array-like of shape (n_observations,), or mapping
        An observation; by name, those left out are 0.

    Returns
    -------
    ClosedLoop

    Raises
    ------
    ValueError
        If the target is not an observation.

    Warns
    -----
    DataWarning
        If an action is saturated there, or nothing rests near the target.

    Notes
    -----
    The derivative of one step is ``I + df/dz + df/du dpi/do do/dz``, from exact Jacobians of
    the three formulas; observed circles are projected after it. The point of rest is found
    by Newton's method with least-norm steps: directions that nothing in the loop depends on
    stay where they are, with a multiplier of 1.
    """
    observed = _observation(surrogate, target)
    begin = surrogate.dynamics.coordinates.states(observed)
    z, rests = _rest(surrogate, policy, begin)
    laws = [surrogate.dynamics.model, *map(surrogate.dynamics.member, range(surrogate.n_members))]
    every = [_eigenvalues(_step_jacobian(surrogate, law, policy, z)) for law in laws]
    found = ClosedLoop(
        tuple(surrogate.dynamics.coordinates.state_names), begin, z, rests, every[0],
        np.array(every[1:]), _room(policy, observed)[0] <= 0, _width(surrogate, policy, z),
    )  # fmt: skip
    _warn(found)
    return found


def _warn(found: ClosedLoop) -> None:
    if found.saturated.any():
        warnings.warn(
            "closed_loop: the policy is saturated at the target: its multipliers are those "
            "without control.", DataWarning, stacklevel=3,
        )  # fmt: skip
    if not found.rests:
        warnings.warn(
            "closed_loop: the loop does not rest near the target; the multipliers are those of a "
            "step from it.", DataWarning, stacklevel=3,
        )  # fmt: skip


def _observation(surrogate: Surrogate, target: ArrayLike | Mapping[str, float]) -> FloatArray:
    names = list(surrogate.dynamics.coordinates.observation_names)
    if isinstance(target, Mapping):
        unknown = [name for name in target if name not in names]
        if unknown:
            raise ValueError(f"closed_loop: target has {unknown}; the observations are {names}.")
        target = [float(target.get(name, 0.0)) for name in names]
    found = np.asarray(target, dtype=np.float64)
    if found.shape != (len(names),) or not np.isfinite(found).all():
        raise ValueError(
            f"closed_loop: target must have {len(names)} finite values, for {names}; got {target}."
        )
    return found


def _room(policy: SymbolicModel, seen: FloatArray) -> tuple[FloatArray, SymbolicModel]:
    """Return how far each action is from its nearest limit, and the policy without limits."""
    limits, free = policy.saturation, replace(policy, saturation=None)
    if limits is None:
        return np.full(len(policy.target_names), np.inf), free
    value = free.rhs(seen)
    room = np.minimum(limits.high - value, value - limits.low)
    return np.where(limits.passes(value), room, 0.0), free


def _width(surrogate: Surrogate, policy: SymbolicModel, z: FloatArray) -> FloatArray:
    observe = surrogate.dynamics.coordinates.observe()
    seen = observe.evaluate(z[None])[0]
    room, free = _room(policy, seen)
    gain = np.abs(free.jacobian(seen) @ observe.jacobian(z[None])[0])
    width = np.full(gain.shape, np.inf)
    np.divide(np.broadcast_to(room[:, None], gain.shape), gain, out=width, where=gain > 0)
    return np.where(room[:, None] > 0, width, 0.0)


def _eigenvalues(J: FloatArray) -> NDArray[np.complex128]:
    values = np.linalg.eigvals(J).astype(np.complex128)
    return values[np.lexsort((-values.imag, -np.abs(values).round(12)))]


def _moved(surrogate: Surrogate, policy: SymbolicModel, z: FloatArray) -> FloatArray:
    """Return what one step of the median law changes."""
    seen = surrogate.dynamics.coordinates.observe().evaluate(z[None])[0]
    after = surrogate.step(z[None], policy(seen)[None], np.array([-1]))[0][0]
    return np.asarray(after - z)


def _rest(surrogate: Surrogate, policy: SymbolicModel, z: FloatArray) -> tuple[FloatArray, bool]:
    """Return where the loop rests, and whether that was found without leaving the target."""
    scale, begin = surrogate.dynamics.scale, z
    for _ in range(_MOST_STEPS):
        change = _moved(surrogate, policy, z)
        if np.abs(change / scale).max() < _AT_REST:
            return z, True
        J = _step_jacobian(surrogate, surrogate.dynamics.model, policy, z) - np.eye(len(z))
        z = z - np.linalg.lstsq(J, change, rcond=1e-9)[0]
        if not (np.abs(z - begin) < _FAR * scale).all():
            break
    return begin, False


def _step_jacobian(
    surrogate: Surrogate, law: SymbolicModel, policy: SymbolicModel, z: FloatArray
) -> FloatArray:
    """Differentiate one step of the closed loop, shape (n_states, n_states)."""
    observe = surrogate.dynamics.coordinates.observe()
    seen = observe.evaluate(z[None])[0]
    u = policy(seen)
    gain = policy.jacobian(seen) @ observe.jacobian(z[None])[0]
    step = np.eye(len(z)) + law.jacobian(z, u=u) + law.jacobian(z, u=u, wrt="controls") @ gain
    after = z + law.rhs(z, u=u)
    for c, s in surrogate.dynamics.coordinates.projected:
        pair = [c, s]
        size = np.hypot(*after[pair])
        unit = after[pair] / size
        step[pair] = (np.eye(2) - np.outer(unit, unit)) / size @ step[pair]
    return np.asarray(step)
