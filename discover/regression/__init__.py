"""Sparse regression: which few terms, with which coefficients."""

from discover.regression.base import Candidate, Estimate, Rival, SparseRegressor, identify
from discover.regression.ensemble import EnsembleEstimate, EnsembleRegressor
from discover.regression.exhaustive import BestSubsetRegressor
from discover.regression.groups import fit_groups
from discover.regression.identifiability import IdentifiabilityReport, report_identifiability
from discover.regression.relevance import RelevanceVectorRegressor
from discover.regression.selection import blocked_cv, criterion_values, find_knee
from discover.regression.stlsq import STLSQ

__all__ = [
    "STLSQ",
    "BestSubsetRegressor",
    "Candidate",
    "EnsembleEstimate",
    "EnsembleRegressor",
    "Estimate",
    "IdentifiabilityReport",
    "RelevanceVectorRegressor",
    "Rival",
    "SparseRegressor",
    "blocked_cv",
    "criterion_values",
    "find_knee",
    "fit_groups",
    "identify",
    "report_identifiability",
]
