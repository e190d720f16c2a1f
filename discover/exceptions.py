"""What can go wrong, by cause.

Every message says who complains, about which parameter, what it must be, what came,
and what to do.
"""

from __future__ import annotations

__all__ = [
    "AssimilationError",
    "AssimilationWarning",
    "DataError",
    "DataWarning",
    "DiscoverError",
    "ExpressionError",
    "ModelFileError",
    "NotIdentifiableError",
    "SimulationError",
]


class DiscoverError(Exception):
    """Base class of the errors this package raises on purpose."""


class DataError(DiscoverError, ValueError):
    """Observations that cannot be used as they are; names the run, row and column."""


class ExpressionError(DiscoverError, ValueError):
    """Text that is not an expression over the known columns and functions."""


class ModelFileError(DiscoverError, ValueError):
    """A model file that does not follow the schema; nothing in it was evaluated."""


class NotIdentifiableError(DiscoverError, ValueError):
    """These data cannot tell the candidate terms apart."""


class SimulationError(DiscoverError, RuntimeError):
    """A simulation that could not reach its end; carries what was reached.

    Parameters
    ----------
    message : str
    time : float, optional
        The time of the failure, in the units of the run.
    """

    def __init__(self, message: str, time: float | None = None) -> None:
        super().__init__(message)
        self.time = time


class AssimilationError(SimulationError):
    """An ensemble that could not be carried on; says when."""


class AssimilationWarning(UserWarning):
    """An assimilation that went on, but should not be trusted as it is; says why."""


class DataWarning(UserWarning):
    """Something in the data was repaired or left out; says what and how much."""
