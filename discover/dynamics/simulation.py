"""Simulation: what an integration reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import ArrayLike, DTypeLike, NDArray

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
    draws : ndarray of shape (n_draws, n_times, n_states), optional
        The same run by laws drawn from the posterior; NaN from the moment of a failure on.
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
    draws: FloatArray | None = None

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

    @property
    def n_lost(self) -> int:
        """Number of draws that did not reach the last time."""
        return 0 if self.draws is None else int(np.isnan(self.draws[:, -1]).any(axis=-1).sum())

    def quantile(self, q: ArrayLike) -> FloatArray:
        """Return quantiles of the draws.

        Parameters
        ----------
        q : float or array-like of shape (n_quantiles,)
            In [0, 1].

        Returns
        -------
        ndarray of shape (n_times, n_states) or (n_quantiles, n_times, n_states)
            Of the draws that still run. Draws that blew up lie beyond any bound, on a side
            nobody knows: NaN where more of them are lost than a quantile leaves outside.

        Raises
        ------
        ValueError
            If the simulation has no draws.
        """
        if self.draws is None:
            raise ValueError("Simulation: there are no draws; simulate with n_draws= and rng=.")
        levels = np.asarray(q, dtype=np.float64)
        lost = np.asarray(np.isnan(self.draws).any(axis=-1))
        if not lost.any():
            return np.asarray(np.quantile(self.draws, levels, axis=0))
        running = np.where(lost[..., None], np.nan, self.draws)
        some = ~lost.all(axis=0)
        found = np.full((*levels.shape, *self.draws.shape[1:]), np.nan)
        found[..., some, :] = np.nanquantile(running[:, some], levels, axis=0)
        outside = 2 * np.minimum(levels, 1 - levels)
        open_ended = lost.mean(axis=0) > outside[..., None]
        found[open_ended] = np.nan
        return found

    def band(self, level: float = 0.9) -> tuple[FloatArray, FloatArray]:
        """Return the central interval that holds a share `level` of the draws, time by time.

        Parameters
        ----------
        level : float, default=0.9

        Returns
        -------
        low : ndarray of shape (n_times, n_states)
        high : ndarray of shape (n_times, n_states)
            What the uncertainty of the coefficients (and of the start) does to the run; the
            noise of a measurement comes on top. See :meth:`quantile`.
        """
        if not 0 < level < 1:
            raise ValueError(f"Simulation: level must be between 0 and 1; got {level!r}.")
        low, high = self.quantile([(1 - level) / 2, (1 + level) / 2])
        return low, high

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
        if self.draws is not None:
            lost = f" ({self.n_lost:,} lost on the way)" if self.n_lost else ""
            text += f"; {len(self.draws):,} draws{lost}"
        if np.all(self.success):
            return text + ")"
        if self.ndim == 3:
            return f"{text}; {np.sum(~np.asarray(self.success)):,} members FAILED)"
        return f"{text}; FAILED at t = {self.failure_time:g})"
