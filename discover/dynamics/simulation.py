"""Simulation: what an integration reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import DTypeLike, NDArray

from discover.typing import BoolArray, FloatArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Simulation"]


@dataclass(frozen=True, eq=False, repr=False)
class Simulation(NDArrayOperatorsMixin):
    """States over time, and whether they are all there.

    It can be plotted, indexed, subtracted and handed to NumPy as if it were the array of
    its states; a string in brackets picks one state by name.

    Parameters
    ----------
    times : ndarray of shape (n_times,)
    states : ndarray of shape (n_times, n_states) or (n_members, n_times, n_states)
        NaN from the moment of a failure on.
    state_names : tuple of str
    success : bool, or ndarray of bool, shape (n_members,)
        Whether the last time was reached.
    message : str
        What went wrong; empty when nothing did.
    failure_time : float, or ndarray of shape (n_members,)
        NaN when there was no failure.
    n_rhs : int
        Evaluations of the law, over all members.
    method : str
        The method that was used.
    controls : ndarray of shape (n_times, n_controls) or (n_members, n_times, n_controls), optional
        The controls at `times`.
    control_names : tuple of str
    """

    times: FloatArray
    states: FloatArray
    state_names: tuple[str, ...]
    success: bool | BoolArray
    message: str
    failure_time: float | FloatArray
    n_rhs: int
    method: str
    controls: FloatArray | None = None
    control_names: tuple[str, ...] = ()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.states, dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: np.ufunc, call: str, *inputs: Any, **options: Any) -> Any:
        arrays = [i.states if isinstance(i, Simulation) else i for i in inputs]
        return getattr(ufunc, call)(*arrays, **options)

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            return self.states[key]
        if key not in self.state_names:
            raise KeyError(f"Simulation: no state {key!r}; the states are {self.state_names}.")
        return self.states[..., self.state_names.index(key)]

    def __iter__(self) -> Iterator[FloatArray]:
        return iter(self.states)

    def __len__(self) -> int:
        return len(self.states)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the states."""
        return self.states.shape

    @property
    def ndim(self) -> int:
        """Number of axes of the states: 2 for one run, 3 for a batch."""
        return self.states.ndim

    def to_frame(self) -> pd.DataFrame:
        """Return a table with one row per time (and member), states and controls in columns.

        Returns
        -------
        pandas.DataFrame
            Indexed by ``t``, or by ``(member, t)`` for a batch.
        """
        import pandas as pd

        index = pd.Index(self.times, name="t")
        columns = list(self.state_names)
        values = self.states
        if self.controls is not None:
            shape = (*self.states.shape[:-1], self.controls.shape[-1])
            values = np.concatenate([values, np.broadcast_to(self.controls, shape)], axis=-1)
            columns += self.control_names
        if self.ndim == 3:
            members = range(len(self.states))
            index = pd.MultiIndex.from_product([members, self.times], names=["member", "t"])
        return pd.DataFrame(values.reshape(-1, len(columns)), index=index, columns=columns)

    def __repr__(self) -> str:
        who = ", ".join(self.state_names[:6]) + (", ..." if len(self.state_names) > 6 else "")
        members = f"{len(self.states):,} members, " if self.ndim == 3 else ""
        span = f"{len(self.times):,} times from {self.times[0]:g} to {self.times[-1]:g}"
        text = f"Simulation({who}: {members}{span}; {self.method}, {self.n_rhs:,} evaluations"
        if np.all(self.success):
            return text + ")"
        if self.ndim == 3:
            return f"{text}; {np.sum(~np.asarray(self.success)):,} members FAILED)"
        return f"{text}; FAILED at t = {self.failure_time:g})"
