"""The answer: a closed form that can be read, run, saved and exported."""

from discover.symbolic.model import SymbolicModel
from discover.symbolic.saturation import Saturation

__all__ = ["Saturation", "SymbolicModel"]
