"""Dynamics: how states move, and how to follow them in time."""

from discover.dynamics.integrators import simulate
from discover.dynamics.simulation import Simulation

__all__ = ["Simulation", "simulate"]
