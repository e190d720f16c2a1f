"""Tracking: the rounds of a run, sent on as they happen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

__all__ = ["TRACKERS", "TensorBoardTracker", "Tracker", "WandbTracker", "make_tracker"]


class Tracker(Protocol):
    """Where the numbers of a run go."""

    def log(self, real_steps: int, values: Mapping[str, float]) -> None:
        """Take the numbers of one round, at so many real steps."""

    def close(self) -> None:
        """Write what is left."""


class TensorBoardTracker:
    """Write scalars that TensorBoard draws.

    Parameters
    ----------
    folder : Path
    name : str
        Of the run; a folder within.
    config : mapping
        What the run was started with.

    Raises
    ------
    ImportError
        If torch or tensorboard is missing.
    """

    def __init__(self, folder: Path, name: str, config: Mapping[str, Any]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError(
                "TensorBoardTracker: torch and tensorboard are needed; "
                "pip install 'discover-dynamics[rl]' tensorboard."
            ) from error
        self._writer: Any = SummaryWriter(str(folder / "tensorboard" / name))
        lines = "\n".join(f"    {key}: {value}" for key, value in config.items())
        self._writer.add_text("config", lines)

    def log(self, real_steps: int, values: Mapping[str, float]) -> None:
        """Write one point of every curve."""
        for key, value in values.items():
            self._writer.add_scalar(key, value, real_steps)
        self._writer.flush()

    def close(self) -> None:
        """Close the files."""
        self._writer.close()


class WandbTracker:
    """Send scalars to Weights & Biases, in the mode that its environment variables ask for.

    Parameters
    ----------
    folder : Path
    name : str
        Of the run; its project is "discover".
    config : mapping
        What the run was started with.

    Raises
    ------
    ImportError
        If wandb is missing.
    """

    def __init__(self, folder: Path, name: str, config: Mapping[str, Any]) -> None:
        try:
            import wandb
        except ImportError as error:
            raise ImportError("WandbTracker: wandb is needed; pip install wandb.") from error
        self._run: Any = wandb.init(
            project="discover", name=name, dir=str(folder), config=dict(config)
        )

    def log(self, real_steps: int, values: Mapping[str, float]) -> None:
        """Send the numbers of one round."""
        self._run.log(dict(values), step=real_steps)

    def close(self) -> None:
        """End the run."""
        self._run.finish()


TRACKERS: dict[str, Callable[[Path, str, Mapping[str, Any]], Tracker]] = {
    "tensorboard": TensorBoardTracker,
    "wandb": WandbTracker,
}


def make_tracker(name: str, folder: Path, run: str, config: Mapping[str, Any]) -> Tracker:
    """Return a tracker by name.

    Parameters
    ----------
    name : {"tensorboard", "wandb"}
    folder : Path
    run : str
        Name of the run.
    config : mapping
        What it was started with.

    Raises
    ------
    ValueError
        If there is none of the name.
    ImportError
        If what it writes with is missing.
    """
    if name not in TRACKERS:
        raise ValueError(f"make_tracker: name must be one of {sorted(TRACKERS)}; got {name!r}.")
    return TRACKERS[name](folder, run, config)
