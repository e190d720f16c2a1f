"""Where in the caller's data something is wrong, and the error that says so."""

from __future__ import annotations

from dataclasses import dataclass

from discover.exceptions import DataError

__all__ = ["Place"]


@dataclass(frozen=True)
class Place:
    """Who asks for the data, which run is being read, and what its parameters are called.

    Parameters
    ----------
    owner : str
        The estimator or function the user called.
    run : int, optional
        Position of the run, counted from 0; None when there is only one.
    data, clock, inputs : str
        The owner's names for the states, the times and the controls.
    split : str
        What to do with several experiments in one table.
    """

    owner: str
    run: int | None = None
    data: str = "X"
    clock: str = "t"
    inputs: str = "u"
    split: str = "Pass a list of runs."

    def error(
        self,
        must: str,
        found: str,
        *,
        row: int | None = None,
        column: str | int | None = None,
        advice: str = "",
    ) -> DataError:
        """Return (not raise) the error: owner, what must hold, where, what came, what to do."""
        spots = [
            "" if self.run is None else f"run {self.run}",
            "" if row is None else f"row {row}",
            "" if column is None else f"column {column!r}",
        ]
        spot = ", ".join(filter(None, spots))
        message = f"{self.owner}: {must}; {spot}{': ' if spot else ''}{found}. {advice}"
        return DataError(message.rstrip())
