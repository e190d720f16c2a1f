"""States that were never measured: columns that are NaN from top to bottom, in every run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from discover.observations.trajectory import Trajectory

__all__ = ["hidden_names", "unobserved_states", "with_unobserved", "without_states"]


def unobserved_states(runs: Sequence[Trajectory]) -> tuple[str, ...]:
    """Return the names of the states without one measurement in any of the runs."""
    names = runs[0].state_names
    empty = np.ones(len(names), dtype=bool)
    for run in runs:
        for i in np.flatnonzero(empty):
            empty[i] = bool(np.isnan(run.states[:, i]).all())
    return tuple(name for name, none in zip(names, empty, strict=True) if none)


def with_unobserved(
    runs: Sequence[Trajectory], names: Sequence[str], owner: str
) -> list[Trajectory]:
    """Return the runs with further states, which nobody measured.

    Raises
    ------
    ValueError
        If one of them was measured.
    """
    empty = unobserved_states(runs)
    taken = [name for name in names if name in runs[0].state_names and name not in empty]
    if taken:
        raise ValueError(
            f"{owner}: hidden must name states that were not measured; {taken[0]!r} is a column "
            "of X. Choose another name, or leave out the column."
        )
    new = tuple(name for name in names if name not in empty)
    return [
        replace(
            run,
            states=np.hstack([run.states, np.full((len(run), len(new)), np.nan)]),
            state_names=(*run.state_names, *new),
            state_units=(*run.state_units, *(None for _ in new)),
        )
        for run in runs
    ]


def without_states(runs: Sequence[Trajectory], names: Sequence[str]) -> list[Trajectory]:
    """Return the runs without some of their states."""
    if not names:
        return list(runs)
    kept = [i for i, name in enumerate(runs[0].state_names) if name not in names]
    return [
        replace(
            run,
            states=np.ascontiguousarray(run.states[:, kept]),
            state_names=tuple(run.state_names[i] for i in kept),
            state_units=tuple(run.state_units[i] for i in kept),
        )
        for run in runs
    ]


def hidden_names(hidden: int | str | Sequence[str] | None, owner: str) -> list[str]:
    """Return the names of the states that were not measured.

    Raises
    ------
    ValueError
        If it is neither a name, names, nor their number.
    """
    if hidden is None:
        return []
    if isinstance(hidden, str):
        return [hidden]
    if not isinstance(hidden, int):
        return [str(name) for name in hidden]
    if hidden < 1:
        raise ValueError(
            f"{owner}: hidden must be the names of states that were not measured, or their "
            f"number; got {hidden!r}."
        )
    return ["hidden"] if hidden == 1 else [f"hidden{i + 1}" for i in range(hidden)]
