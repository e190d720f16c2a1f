"""The answer: a closed form that can be read, run, saved and exported."""

from discover.symbolic.model import SymbolicModel

__all__ = ["SymbolicModel"]
