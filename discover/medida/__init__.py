"""MEDIDA: what somebody's solver gets wrong, as a formula."""

from discover.medida.answer import ErrorFit, Innovations
from discover.medida.cycle import CycleFit
from discover.medida.discovery import ModelErrorDiscovery

__all__ = ["CycleFit", "ErrorFit", "Innovations", "ModelErrorDiscovery"]
