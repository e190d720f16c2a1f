"""Turn measurements into closed forms: sparse equations with honest uncertainty."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from discover.assimilation import EnsembleKalmanFilter as EnsembleKalmanFilter
    from discover.assimilation import Localization as Localization
    from discover.assimilation import analyze as analyze
    from discover.control import SINDyRL as SINDyRL
    from discover.dynamics import Simulation as Simulation
    from discover.estimation import JointFit as JointFit
    from discover.estimation import Refinement as Refinement
    from discover.estimation import ReweightedWeakForm as ReweightedWeakForm
    from discover.estimation import refine as refine
    from discover.interop import BlockedSplit as BlockedSplit
    from discover.interop import ForeignRegressor as ForeignRegressor
    from discover.interop.pysindy import from_pysindy as from_pysindy
    from discover.interop.pysindy import to_pysindy as to_pysindy
    from discover.libraries import FourierLibrary as FourierLibrary
    from discover.libraries import JetLibrary as JetLibrary
    from discover.libraries import PolynomialLibrary as PolynomialLibrary
    from discover.libraries import ReducedLibrary as ReducedLibrary
    from discover.libraries import SymbolicLibrary as SymbolicLibrary
    from discover.medida import ModelErrorDiscovery as ModelErrorDiscovery
    from discover.observations import Axis as Axis
    from discover.observations import Field as Field
    from discover.observations import Grid as Grid
    from discover.observations import Trajectory as Trajectory
    from discover.observations.datasets import load_hare_lynx as load_hare_lynx
    from discover.observations.readers import read_runs as read_runs
    from discover.problems import FiniteDifference as FiniteDifference
    from discover.problems import RauchTungStriebel as RauchTungStriebel
    from discover.problems import SavitzkyGolay as SavitzkyGolay
    from discover.problems import SmoothingSpline as SmoothingSpline
    from discover.problems import Spectral as Spectral
    from discover.problems import StrongForm as StrongForm
    from discover.problems import TotalVariation as TotalVariation
    from discover.problems import Transition as Transition
    from discover.problems import WeakForm as WeakForm
    from discover.regression import STLSQ as STLSQ
    from discover.regression import BestSubsetRegressor as BestSubsetRegressor
    from discover.regression import EnsembleRegressor as EnsembleRegressor
    from discover.regression import RelevanceVectorRegressor as RelevanceVectorRegressor
    from discover.reports import report as report
    from discover.sindy import DiscreteSINDy as DiscreteSINDy
    from discover.sindy import SINDy as SINDy
    from discover.statistics import SufficientStatistics as SufficientStatistics
    from discover.symbolic import SymbolicModel as SymbolicModel
    from discover.validation import hold_out as hold_out
    from discover.validation import validate as validate

# Where each public name lives; imported on first use, so that `import discover` is quick.
_HOMES = {
    "Axis": "discover.observations",
    "BestSubsetRegressor": "discover.regression",
    "BlockedSplit": "discover.interop",
    "DiscreteSINDy": "discover.sindy",
    "EnsembleKalmanFilter": "discover.assimilation",
    "EnsembleRegressor": "discover.regression",
    "Field": "discover.observations",
    "FiniteDifference": "discover.problems",
    "ForeignRegressor": "discover.interop",
    "FourierLibrary": "discover.libraries",
    "Grid": "discover.observations",
    "JetLibrary": "discover.libraries",
    "JointFit": "discover.estimation",
    "Localization": "discover.assimilation",
    "ModelErrorDiscovery": "discover.medida",
    "PolynomialLibrary": "discover.libraries",
    "RauchTungStriebel": "discover.problems",
    "ReducedLibrary": "discover.libraries",
    "Refinement": "discover.estimation",
    "RelevanceVectorRegressor": "discover.regression",
    "ReweightedWeakForm": "discover.estimation",
    "SINDy": "discover.sindy",
    "SINDyRL": "discover.control",
    "STLSQ": "discover.regression",
    "SavitzkyGolay": "discover.problems",
    "Simulation": "discover.dynamics",
    "SmoothingSpline": "discover.problems",
    "Spectral": "discover.problems",
    "StrongForm": "discover.problems",
    "SufficientStatistics": "discover.statistics",
    "SymbolicLibrary": "discover.libraries",
    "SymbolicModel": "discover.symbolic",
    "TotalVariation": "discover.problems",
    "Trajectory": "discover.observations",
    "Transition": "discover.problems",
    "WeakForm": "discover.problems",
    "analyze": "discover.assimilation",
    "from_pysindy": "discover.interop.pysindy",
    "hold_out": "discover.validation",
    "load_hare_lynx": "discover.observations.datasets",
    "read_runs": "discover.observations.readers",
    "refine": "discover.estimation",
    "report": "discover.reports",
    "to_pysindy": "discover.interop.pysindy",
    "validate": "discover.validation",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'discover' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
