"""What is worth saying about data and solver, whatever the states are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from discover.dynamics.solvers import Solver
from discover.estimation.increments import IncrementSource
from discover.estimation.series import SeriesFit
from discover.observations import Trajectory
from discover.observations.field import Field
from discover.problems.bursts import FEWEST_TIMES
from discover.typing import FloatArray

__all__ = ["UNCYCLED", "doubtful_tendency", "part", "sampled", "series_note", "truncation_note"]

_DOUBTFUL = 0.01  # of what is to be explained: error of a tendency from which it is spoilt
_CONVERGING = 1.5  # factor by which the change of slopes shrinks when steps are halved
_LOOKED_AT = 8  # states of a series at which the steps of a black box are judged

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
    found = source.truncation()
    if found.doubt > _DOUBTFUL * found.residual and found.rate < _CONVERGING:
        return (_unsettled(found.doubt / found.residual, "the residual", found.rate),)
    return (
        f"the solver's own truncation error over a step is {found.own / found.residual:.2g} of the "
        "residual; it was kept apart",
    )


def doubtful_tendency(
    solver: Solver, states: FloatArray, times: FloatArray, dt: float
) -> tuple[str, ...]:
    """Say if the tendency of a solver cannot be told from its tiny steps, for a series."""
    doubt, rate = solver.extrapolation(states, times, dt)
    if not doubt or rate >= _CONVERGING:
        return ()
    size = float(np.sqrt(np.mean(solver.tendency(states, times, dt) ** 2)))
    share = doubt / max(size, np.finfo(float).tiny)
    return (_unsettled(share, "itself", rate),) if share > _DOUBTFUL else ()


def sampled(states: FloatArray) -> slice:
    """Return some of the states of a series, to look at."""
    return slice(None, None, max(1, len(states) // _LOOKED_AT))


def _unsettled(share: float, of: str, rate: float) -> str:
    return (
        f"the solver's tiny steps do not converge: its tendency is in doubt by {share:.2g} of {of} "
        f"(halving the step shrinks the change by {rate:.2g}, where it should by 2 or more), so "
        "its truncation error cannot be told from a model error. Look for a tolerance, a least "
        "step, single precision or a switch in the solver; or give its usual step as fixed_step="
    )


def series_note(found: SeriesFit) -> str:
    """Say what was smoothed."""
    length = sum(len(states) for states in found.states)
    return (
        f"trajectory and coefficients were smoothed together over {length} states of "
        f"{found.states[0].shape[1]} numbers; misfit per observation {found.chi2:.3g}"
    )
