"""Validated observations: the runs every method of this package learns from."""

from __future__ import annotations

from discover.observations.columns import find_columns, read_names, take_columns
from discover.observations.field import Field
from discover.observations.grid import Axis, Grid
from discover.observations.intake import as_trajectories
from discover.observations.naming import velocity_name
from discover.observations.trajectory import Trajectory, default_max_gap
from discover.observations.unobserved import (
    hidden_names,
    unobserved_states,
    with_unobserved,
    without_states,
)

__all__ = [
    "Axis",
    "Field",
    "Grid",
    "Trajectory",
    "as_trajectories",
    "default_max_gap",
    "find_columns",
    "hidden_names",
    "read_names",
    "take_columns",
    "unobserved_states",
    "velocity_name",
    "with_unobserved",
    "without_states",
]
