"""Data assimilation: track reality with a model, and know how well."""

from discover.assimilation.analysis import analyze
from discover.assimilation.baselines import (
    BootstrapParticleFilter,
    Climatology,
    ExtendedKalmanFilter,
    OptimalInterpolation,
    ThreeDVar,
)
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
from discover.assimilation.smoothers import (
    EnsembleKalmanSmoother,
    EnsembleRTSSmoother,
    IterativeEnsembleSmoother,
)
from discover.assimilation.variational import WeakConstraint4DVar

__all__ = [
    "AdaptiveInflation",
    "Assimilation",
    "BootstrapParticleFilter",
    "Climatology",
    "Covariance",
    "EnsembleKalmanFilter",
    "EnsembleKalmanSmoother",
    "EnsembleRTSSmoother",
    "ExtendedKalmanFilter",
    "IterativeEnsembleSmoother",
    "Localization",
    "MultiplicativeInflation",
    "OptimalInterpolation",
    "RelaxToPriorPerturbations",
    "RelaxToPriorSpread",
    "ThreeDVar",
    "WeakConstraint4DVar",
    "analyze",
    "crps",
    "gaspari_cohn",
    "rank_histogram",
    "rank_of",
    "rmse",
    "spread",
    "with_parameters",
]
