"""Sparse regression: which few terms, with which coefficients."""

from discover.regression.base import Candidate, Estimate, SparseRegressor, identify
from discover.regression.criteria import criterion_values
from discover.regression.ensemble import EnsembleEstimate, EnsembleRegressor
from discover.regression.stlsq import STLSQ

__all__ = [
    "STLSQ",
    "Candidate",
    "EnsembleEstimate",
    "EnsembleRegressor",
    "Estimate",
    "SparseRegressor",
    "criterion_values",
    "identify",
]
