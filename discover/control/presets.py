"""Presets: settings of the loop that go together, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from discover.control.agents import CMAAgent

__all__ = ["PRESETS", "Preset"]


@dataclass(frozen=True)
class Preset:
    """Options of :class:`SINDyRL`, and what they are for.

    Parameters
    ----------
    purpose : str
    options : mapping
        ``SINDyRL(env, **preset.options)``.
    """

    purpose: str
    options: Mapping[str, Any]


PRESETS: dict[str, Preset] = {
    "quick": Preset(
        "a sixth of the search, to see whether it works",
        {"agent": CMAAgent(generations=50, restarts=0, extensions=1)},
    ),
    "thorough": Preset(
        "twice the search, from 8 starts with all members, and up to two fresh ones",
        {"agent": CMAAgent(generations=300, n_starts=8, members=5, restarts=2)},
    ),
    "many-starts": Preset(
        "episodes that begin anywhere: 16 starts with one member, a short exploration",
        {"agent": CMAAgent(n_starts=16, members=1, restarts=2), "explore": 200},
    ),
}
