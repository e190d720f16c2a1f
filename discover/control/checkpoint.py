"""Checkpoints: all that a loop needs to go on as if nothing had happened."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from discover.control.modes import Modes
from discover.control.transitions import Episode
from discover.exceptions import DataError
from discover.files import replacing
from discover.typing import FloatArray

__all__ = ["Checkpoint", "read_checkpoint", "write_checkpoint"]

_FILE = "checkpoint.npz"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a loop between two rounds.

    Parameters
    ----------
    episodes : list of Episode
    n_resets : int
        Episodes that were started.
    n_form : int
        Episodes that had been seen when the form of the policy was chosen.
    warm, kept : ndarray or None
        Weights of the last and of the best policy.
    best : float
        What the best one earned.
    seed : int
    rng : dict
        State of the generator.
    rounds : list of dict
    modes : Modes, optional
        Through which the episodes were seen.
    """

    episodes: list[Episode]
    n_resets: int
    n_form: int
    warm: FloatArray | None
    kept: FloatArray | None
    best: float
    seed: int
    rng: dict[str, Any]
    rounds: list[dict[str, Any]]
    modes: Modes | None = None


def write_checkpoint(state: Checkpoint, folder: Path) -> None:
    """Write a checkpoint; an older one is replaced in one step."""
    arrays: dict[str, Any] = {}
    for k, e in enumerate(state.episodes):
        arrays |= {f"o{k}": e.observations, f"a{k}": e.actions, f"r{k}": e.rewards}
    arrays |= {n: w for n, w in (("warm", state.warm), ("kept", state.kept)) if w is not None}
    if state.modes is not None:
        arrays |= {"modes": state.modes.vectors, "mean": state.modes.mean}
    facts = {
        "observed": None if state.modes is None else state.modes.observation_names,
        "marks": [[e.terminated, e.purpose] for e in state.episodes],
        "n_resets": state.n_resets, "n_form": state.n_form, "best": state.best,
        "seed": state.seed, "rng": state.rng, "rounds": state.rounds,
    }  # fmt: skip
    with replacing(folder / _FILE) as file:
        np.savez(file, facts=np.array(json.dumps(facts)), **arrays)


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint; nothing in it is executed.

    Raises
    ------
    FileNotFoundError
        If the folder has none.
    DataError
        If the file is not one.
    """
    if not (folder / _FILE).is_file():
        raise FileNotFoundError(f"SINDyRL: there is no run to go on from: {folder} has no {_FILE}.")
    try:
        with np.load(folder / _FILE, allow_pickle=False) as stored:
            return _checkpoint(stored)
    except (BadZipFile, EOFError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"SINDyRL: {folder / _FILE} is damaged, or no checkpoint; {error}"
        ) from None


def _checkpoint(stored: Any) -> Checkpoint:
    facts = json.loads(str(stored["facts"]))
    episodes = [
        Episode(stored[f"o{k}"], stored[f"a{k}"], stored[f"r{k}"], bool(ended), str(purpose))
        for k, (ended, purpose) in enumerate(facts["marks"])
    ]
    warm, kept = (stored[n] if n in stored else None for n in ("warm", "kept"))
    modes = None
    if "modes" in stored:
        modes = Modes(stored["modes"], stored["mean"], tuple(facts["observed"]))
    return Checkpoint(
        episodes, facts["n_resets"], facts["n_form"], warm, kept, facts["best"], facts["seed"],
        facts["rng"], facts["rounds"], modes,
    )  # fmt: skip


def rounds_as_data(rounds: list[Any]) -> list[dict[str, Any]]:
    """Return rounds as plain data."""
    return [asdict(one) for one in rounds]
