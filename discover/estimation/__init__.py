"""Engines that re-form their problem each round."""

from __future__ import annotations

from discover.estimation.joint import JointEstimate, JointFit

__all__ = ["JointEstimate", "JointFit"]
