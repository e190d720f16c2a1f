"""Observing: what a state looks like through the instruments, at any time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from discover.typing import FloatArray

__all__ = ["Operator", "as_operators"]

Operator = Callable[[FloatArray], FloatArray]


def as_operators(
    observe: Any, times: FloatArray, sizes: Sequence[int], state_names: Sequence[str]
) -> Callable[[int], Operator]:
    """Return, for the number of an observation, the function from ensemble to predictions.

    Parameters
    ----------
    observe : None, callable, indices, names, matrix, sparse matrix, or list of these
        None: every state is observed. A function gets the ensemble, or the ensemble and the
        time, and returns (n_members, n_obs). Indices or names pick states. A matrix has
        shape (n_obs, n_states). A list with one entry per time changes with time.
    times : ndarray of shape (n_times,)
    sizes : sequence of int
        Number of observations at every time.
    state_names : sequence of str
    """
    if _one_per_time(observe, len(times)):
        each = [_operator(o, float(t), p, state_names) for o, t, p in
                zip(observe, times, sizes, strict=True)]  # fmt: skip
        return lambda k: each[k]
    if callable(observe) and not _is_matrix(observe) and _wants_time(observe):
        return lambda k: _checked(lambda E: observe(E, float(times[k])), sizes[k])
    kept = {p: _operator(observe, None, p, state_names) for p in set(sizes)}
    return lambda k: kept[sizes[k]]


def _one_per_time(observe: Any, n_times: int) -> bool:
    """Whether `observe` is a list of operators, rather than one of indices or names."""
    if not isinstance(observe, list | tuple) or len(observe) != n_times:
        return False
    return not all(isinstance(o, int | np.integer | str | float) for o in observe) and not (
        np.ndim(observe[0]) == 1 and np.asarray(observe[0]).dtype.kind == "f"
    )


def _is_matrix(observe: Any) -> bool:
    return hasattr(observe, "shape") and hasattr(observe, "dtype")


def _wants_time(function: Callable[..., Any]) -> bool:
    import inspect

    try:
        known = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.default is p.empty and p.kind in positional for p in known) >= 2


def _operator(observe: Any, t: float | None, n_obs: int, state_names: Sequence[str]) -> Operator:
    n = len(state_names)
    if observe is None:
        return _checked(lambda E: E, n_obs)
    if callable(observe) and not _is_matrix(observe):
        if t is not None and _wants_time(observe):
            return _checked(lambda E: observe(E, t), n_obs)
        return _checked(observe, n_obs)
    if hasattr(observe, "tocsr"):
        H = observe.tocsr()
        _check_matrix(H.shape, n_obs, n)
        return lambda E: np.ascontiguousarray((H @ E.T).T)
    if isinstance(observe, str):
        observe = [observe]
    array = np.asarray(observe)
    if array.dtype.kind in "US":
        array = np.array([_position(str(name), state_names) for name in array])
    if array.ndim == 1 and array.dtype.kind in "iub":
        return _picking(array, n_obs, n)
    H = array.astype(np.float64)
    _check_matrix(H.shape, n_obs, n)
    return lambda E: E @ H.T


def _picking(array: Any, n_obs: int, n: int) -> Operator:
    indices = np.flatnonzero(array) if array.dtype.kind == "b" else array.astype(np.intp)
    if len(indices) != n_obs or (len(indices) and not -n <= indices.min() <= indices.max() < n):
        raise ValueError(
            f"assimilate: observe must pick {n_obs} of the {n} states, as there are {n_obs} "
            f"observations; got {indices.tolist()[:10]}."
        )
    return lambda E: E[:, indices]


def _position(name: str, state_names: Sequence[str]) -> int:
    if name not in state_names:
        raise ValueError(
            f"assimilate: observe must name states among {list(state_names)[:12]}; got {name!r}."
        )
    return list(state_names).index(name)


def _check_matrix(shape: tuple[int, ...], n_obs: int, n_states: int) -> None:
    if shape != (n_obs, n_states):
        raise ValueError(
            f"assimilate: observe must have shape ({n_obs}, {n_states}) for {n_obs} "
            f"observations of {n_states} states; got {shape}."
        )


def _checked(function: Callable[[FloatArray], Any], n_obs: int) -> Operator:
    def operator(E: FloatArray) -> FloatArray:
        HE = np.asarray(function(E), dtype=np.float64)
        if HE.shape != (len(E), n_obs):
            raise ValueError(
                f"assimilate: observe must return the shape ({len(E)}, {n_obs}), one row per "
                f"member; got {HE.shape}."
            )
        return HE

    return operator
