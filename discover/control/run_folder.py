"""Run folders: what a run leaves behind, and how it is taken up again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from discover.control.actor_critic import PPOAgent, SACAgent
from discover.control.agents import CMAAgent
from discover.control.checkpoint import Checkpoint, write_checkpoint
from discover.control.dynamics import DynamicsLearner
from discover.control.gradient import GradientAgent
from discover.control.mppi import MPPIAgent
from discover.control.policy import ActionBox
from discover.control.recorded import RecordedPlant
from discover.control.reward import RewardLearner
from discover.control.rounds import Round
from discover.control.symmetry import Symmetry
from discover.control.transitions import Transitions
from discover.exceptions import DataError
from discover.files import write_text
from discover.symbolic import SymbolicModel

if TYPE_CHECKING:
    from discover.control.training import SINDyRL

__all__ = ["read_options", "recorded_plant", "write_run"]

_PARTS: dict[str, Any] = {
    part.__name__: part
    for part in (
        CMAAgent, DynamicsLearner, GradientAgent, MPPIAgent, PPOAgent, RewardLearner, SACAgent,
        Symmetry,
    )
}  # fmt: skip


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
    plant = agent.plant_
    config["plant"] = {
        "observations": list(plant.data.observation_names), "actions": list(plant.box.names),
        "low": plant.box.low.tolist(), "high": plant.box.high.tolist(),
        "levels": plant.box.levels.tolist(), "horizon": plant.horizon,
    }  # fmt: skip
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
    """Return what stands for an option in a file: itself, its options, or how it looks."""
    if value is None or isinstance(value, int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {"mapping": {str(key): _plain(one) for key, one in value.items()}}
    if type(value).__name__ in _PARTS:
        if is_dataclass(value):
            options = {one.name: getattr(value, one.name) for one in fields(value)}
        else:
            options = value.get_params(deep=False)
        plain = {key: _plain(one) for key, one in options.items()}
        return {"part": type(value).__name__, "options": plain}
    return {"object": repr(value)}


def read_options(folder: Path, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of a run, and the facts of its plant.

    Parameters
    ----------
    folder : Path
    given : mapping
        Options that take the place of those in the folder.

    Raises
    ------
    DataError
        If there is no run in the folder, or an option is an object that a file cannot hold and
        is not given.
    """
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        plant = config.pop("plant")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"SINDyRL: {folder} must be the folder of a run, with its config.json; {error!r}."
        ) from None
    if isinstance(config.get("reward"), dict):
        config["reward"] = SymbolicModel.load(folder / "reward.json")
    config |= given
    missing = sorted(key for key, value in config.items() if _is_object(value))
    if missing:
        raise DataError(
            f"SINDyRL: the run in {folder} was made with objects that its files do not hold; "
            f"pass {', '.join(f'{key}=' for key in missing)}."
        )
    return {key: _option(value) for key, value in config.items()}, plant


def _is_object(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return "object" in value or any(map(_is_object, value.get("options", {}).values()))


def _option(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_option, value))
    if isinstance(value, dict) and "mapping" in value:
        return {key: _option(one) for key, one in value["mapping"].items()}
    if isinstance(value, dict) and "part" in value:
        options = {key: _option(one) for key, one in value["options"].items()}
        return _PARTS[value["part"]](**options)
    return value


def recorded_plant(facts: Mapping[str, Any], seed: int) -> RecordedPlant:
    """Return the plant of a run that was made from records, without its steps yet."""
    levels = np.array(facts["levels"], dtype=np.int64)
    box = ActionBox(
        tuple(facts["actions"]), np.array(facts["low"]), np.array(facts["high"]), levels
    )
    data = Transitions(tuple(facts["observations"]), box.names, levels=levels.tolist())
    return RecordedPlant(data, box, facts["horizon"], seed)
