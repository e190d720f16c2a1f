"""Checkpoints: a filter on disk, so that a run can go on where it was stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from discover.files import replacing

if TYPE_CHECKING:
    from discover.assimilation.filter import Cycle

__all__ = ["load_checkpoint", "save_checkpoint"]


def save_checkpoint(cycle: Cycle, path: str | Path) -> None:
    """Write the state of a filter; the file is replaced in one step and holds no code."""
    path = Path(path)
    facts = {
        "next": cycle.next,
        "time": cycle.time,
        "memory": cycle.memory,
        "lost_at": cycle.lost_at,
        "recent": list(cycle.recent),
        "replaced": cycle.recorder.replaced,
        "generator": _plain(cycle.rng.bit_generator.state),
        "settings": _fingerprint(cycle),
    }
    arrays = {f"kept_{name}": value for name, value in cycle.recorder.arrays.items()}
    with replacing(path) as file:
        np.savez(file, E=cycle.E, facts=np.array(json.dumps(facts)), **arrays)


def load_checkpoint(cycle: Cycle, path: str | Path) -> None:
    """Put a filter into the state of a file, if there is one.

    Raises
    ------
    ValueError
        If the file belongs to another run.
    """
    path = Path(path)
    if not path.exists():
        return
    with np.load(path, allow_pickle=False) as file:
        facts = json.loads(str(file["facts"]))
        if facts["settings"] != _fingerprint(cycle):
            raise ValueError(
                f"assimilate: checkpoint {path} belongs to another run (other scheme, members, "
                "states or observations). Remove it, or name another file."
            )
        cycle.E = file["E"]
        for name in cycle.recorder.arrays:
            cycle.recorder.arrays[name] = file[f"kept_{name}"]
    cycle.next, cycle.time, cycle.memory = facts["next"], facts["time"], facts["memory"]
    cycle.lost_at, cycle.recorder.replaced = facts["lost_at"], facts["replaced"]
    cycle.recent.extend(facts["recent"])
    cycle.rng.bit_generator.state = _restored(facts["generator"])


def _fingerprint(cycle: Cycle) -> list[Any]:
    """Say what a run is about: enough to refuse a file that belongs to another."""
    from hashlib import sha256

    digest = sha256(cycle.request.times.tobytes())
    for y in cycle.request.y:
        digest.update(y.tobytes())
    s = cycle.settings
    settings = [s.scheme, s.n_members, s.rotate, s.keep, repr(s.inflation)]
    names = [list(cycle.request.state_names), sorted(cycle.recorder.arrays)]
    return [*settings, *names, digest.hexdigest()]


def _plain(state: Any) -> Any:
    if isinstance(state, dict):
        return {key: _plain(value) for key, value in state.items()}
    if isinstance(state, np.ndarray):
        return {"array": state.tolist(), "dtype": str(state.dtype)}
    return int(state) if isinstance(state, np.integer) else state


def _restored(state: Any) -> Any:
    if isinstance(state, dict):
        if set(state) == {"array", "dtype"}:
            return np.array(state["array"], dtype=state["dtype"])
        return {key: _restored(value) for key, value in state.items()}
    return state
