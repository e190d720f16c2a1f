"""What is worth saying about data and solver, whatever the states are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from discover.dynamics.solvers import Solver
from discover.estimation.increments import IncrementSource
from discover.estimation.series import SeriesFit
from discover.observations import Trajectory
from discover.observations.field import Field
from discover.problems.bursts import FEWEST_TIMES

__all__ = ["UNCYCLED", "part", "series_note", "truncation_note"]

UNCYCLED = (
    "filter= was not needed: bursts are not cycled, their states are filtered exactly, by their "
    "spectrum"
)

Record = TypeVar("Record", Field, Trajectory)


def part(parts: Sequence[Record]) -> tuple[list[Record], int]:
    """Return the parts that are series, none if there are only bursts; how much they leave."""
    series = [p for p in parts if len(p) >= FEWEST_TIMES]
    return series, sum(map(len, parts)) - sum(map(len, series))


def truncation_note(solver: Solver, source: IncrementSource) -> tuple[str, ...]:
    """Say how the solver's own truncation error compares with what was found."""
    if solver.fixed_step is not None:
        return (
            "the solver takes one step only: its discretisation error cannot be told from "
            "a model error, and is part of what was found",
        )
    if solver.knows_tendency:
        return ()
    own, residual = source.truncation()
    return (
        f"the solver's own truncation error over a step is {own / residual:.2g} of the "
        "residual; it was kept apart",
    )


def series_note(found: SeriesFit) -> str:
    """Say what was smoothed."""
    length = sum(len(states) for states in found.states)
    return (
        f"trajectory and coefficients were smoothed together over {length} states of "
        f"{found.states[0].shape[1]} numbers; misfit per observation {found.chi2:.3g}"
    )
