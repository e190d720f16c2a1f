"""Problems: what is regressed on what, and through which operator on the rows."""

from discover.problems.base import DesignRows, Form, Problem
from discover.problems.differentiation import (
    FiniteDifference,
    SavitzkyGolay,
    SmoothingSpline,
    Spectral,
    as_differentiator,
)
from discover.problems.scales import noise_level, time_scale
from discover.problems.strong import StrongForm
from discover.problems.transition import Transition
from discover.problems.weak import WeakForm

__all__ = [
    "DesignRows",
    "FiniteDifference",
    "Form",
    "Problem",
    "SavitzkyGolay",
    "SmoothingSpline",
    "Spectral",
    "StrongForm",
    "Transition",
    "WeakForm",
    "as_differentiator",
    "noise_level",
    "time_scale",
]
