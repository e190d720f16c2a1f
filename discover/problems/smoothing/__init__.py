"""Smoothers: values, derivatives and the noise of one run, behind one interface.

Each has ``smooth(t, y) -> Smoothed`` and is a differentiator, so ``SINDy(method=...)`` takes it.
"""

from discover.problems.smoothing.base import Smoothed, Smoother
from discover.problems.smoothing.polynomials import SavitzkyGolay
from discover.problems.smoothing.splines import RauchTungStriebel, SmoothingSpline
from discover.problems.smoothing.variation import TotalVariation

__all__ = [
    "RauchTungStriebel",
    "SavitzkyGolay",
    "Smoothed",
    "Smoother",
    "SmoothingSpline",
    "TotalVariation",
]
