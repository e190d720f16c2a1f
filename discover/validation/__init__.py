"""Validation: whether to believe a law, and why."""

from discover.validation.following import Follower
from discover.validation.residuals import Innovations, Whiteness, run_filter
from discover.validation.scores import Baseline, FreeRun, Validation
from discover.validation.split import hold_out
from discover.validation.validation import validate
from discover.validation.verdict import Reason, Verdict

__all__ = [
    "Baseline",
    "Follower",
    "FreeRun",
    "Innovations",
    "Reason",
    "Validation",
    "Verdict",
    "Whiteness",
    "hold_out",
    "run_filter",
    "validate",
]
