"""Engines that re-form their problem each round."""

from __future__ import annotations

from discover.estimation.hidden import HiddenStateFit
from discover.estimation.joint import JointEstimate, JointFit
from discover.estimation.matching import Refinement, refine
from discover.estimation.warrant import joint_fit_warranted, unexplained
from discover.estimation.wendy import ReweightedWeakForm

__all__ = [
    "HiddenStateFit",
    "JointEstimate",
    "JointFit",
    "Refinement",
    "ReweightedWeakForm",
    "joint_fit_warranted",
    "refine",
    "unexplained",
]
