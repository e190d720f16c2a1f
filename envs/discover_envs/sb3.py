"""A batch of environments as stable-baselines3 wants it."""

from __future__ import annotations

from discover.control.sb3 import to_sb3

__all__ = ["to_sb3"]
