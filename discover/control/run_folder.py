"""Run folders: what a run leaves behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discover.control.checkpoint import Checkpoint, write_checkpoint
from discover.control.rounds import Round
from discover.files import write_text
from discover.symbolic import SymbolicModel

if TYPE_CHECKING:
    from discover.control.training import SINDyRL

__all__ = ["write_run"]


def write_run(agent: SINDyRL, state: Checkpoint, folder: Path) -> Path:
    """Write config.json, metrics (csv and jsonl), the models and checkpoint.npz.

    Parameters
    ----------
    agent : SINDyRL
    state : Checkpoint
    folder : Path
        Made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        key: _plain(value)
        for key, value in vars(agent).items()
        if not key.startswith("_") and not key.endswith("_")
    }
    write_text(folder / "config.json", json.dumps(config, indent=2) + "\n")
    lines = [",".join(Round.__dataclass_fields__)]
    lines += [",".join(map(str, one.values())) for one in state.rounds]
    write_text(folder / "metrics.csv", "\n".join(lines) + "\n")
    objects = "".join(f"{json.dumps(one)}\n" for one in state.rounds)
    write_text(folder / "metrics.jsonl", objects)
    write_checkpoint(state, folder)
    agent.dynamics_.save(folder / "model.json")
    agent.reward_.save(folder / "reward.json")
    if isinstance(getattr(agent, "policy_", None), SymbolicModel):
        agent.policy_.save(folder / "policy.json")
    return folder


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str | None) else repr(value)
