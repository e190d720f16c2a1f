"""Dynamics: how states move, and how to follow them in time."""

from discover.dynamics.catalogue import System, add_noise, list_systems, load_system
from discover.dynamics.etdrk4 import ETDRK4, kuramoto_sivashinsky, wavenumbers
from discover.dynamics.integrators import simulate
from discover.dynamics.lyapunov import (
    LyapunovSpectrum,
    kaplan_yorke_dimension,
    lyapunov_spectrum,
)
from discover.dynamics.simulation import Simulation
from discover.dynamics.valid_time import valid_prediction_time

__all__ = [
    "ETDRK4",
    "LyapunovSpectrum",
    "Simulation",
    "System",
    "add_noise",
    "kaplan_yorke_dimension",
    "kuramoto_sivashinsky",
    "list_systems",
    "load_system",
    "lyapunov_spectrum",
    "simulate",
    "valid_prediction_time",
    "wavenumbers",
]
