"""Dynamics: how states move, and how to follow them in time."""

from discover.dynamics.integrators import simulate
from discover.dynamics.lyapunov import (
    LyapunovSpectrum,
    kaplan_yorke_dimension,
    lyapunov_spectrum,
)
from discover.dynamics.simulation import Simulation
from discover.dynamics.valid_time import valid_prediction_time

__all__ = [
    "LyapunovSpectrum",
    "Simulation",
    "kaplan_yorke_dimension",
    "lyapunov_spectrum",
    "simulate",
    "valid_prediction_time",
]
