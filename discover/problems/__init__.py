"""Problems: what is regressed on what, and through which operator on the rows."""

from discover.problems.base import DesignRows, Form, Problem
from discover.problems.differentiation import (
    FiniteDifference,
    Spectral,
    as_differentiator,
)
from discover.problems.noise import estimate_noise
from discover.problems.piecewise import (
    PartedRows,
    Piecewise,
    Stream,
    StreamedRows,
    part_statistics,
    pose_stream,
)
from discover.problems.scales import noise_level, time_scale
from discover.problems.smoothing import (
    RauchTungStriebel,
    SavitzkyGolay,
    Smoothed,
    Smoother,
    SmoothingSpline,
    TotalVariation,
)
from discover.problems.strong import StrongForm
from discover.problems.transition import Transition
from discover.problems.weak import WeakForm

__all__ = [
    "DesignRows",
    "FiniteDifference",
    "Form",
    "PartedRows",
    "Piecewise",
    "Problem",
    "RauchTungStriebel",
    "SavitzkyGolay",
    "Smoothed",
    "Smoother",
    "SmoothingSpline",
    "Spectral",
    "Stream",
    "StreamedRows",
    "StrongForm",
    "TotalVariation",
    "Transition",
    "WeakForm",
    "as_differentiator",
    "estimate_noise",
    "noise_level",
    "part_statistics",
    "pose_stream",
    "time_scale",
]
