"""Data assimilation: track reality with a model, and know how well."""

from discover.assimilation.analysis import analyze
from discover.assimilation.covariance import Covariance
from discover.assimilation.diagnostics import crps, rank_histogram, rank_of, rmse, spread
from discover.assimilation.filter import EnsembleKalmanFilter
from discover.assimilation.inflation import (
    AdaptiveInflation,
    MultiplicativeInflation,
    RelaxToPriorPerturbations,
    RelaxToPriorSpread,
)
from discover.assimilation.localization import Localization, gaspari_cohn
from discover.assimilation.parameters import with_parameters
from discover.assimilation.result import Assimilation

__all__ = [
    "AdaptiveInflation",
    "Assimilation",
    "Covariance",
    "EnsembleKalmanFilter",
    "Localization",
    "MultiplicativeInflation",
    "RelaxToPriorPerturbations",
    "RelaxToPriorSpread",
    "analyze",
    "crps",
    "gaspari_cohn",
    "rank_histogram",
    "rank_of",
    "rmse",
    "spread",
    "with_parameters",
]
