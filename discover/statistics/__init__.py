"""Sufficient statistics: all that a linear regression needs of the data, additively."""

from discover.statistics.accumulation import (
    WORST_GRAM_CONDITION,
    RowSource,
    accumulate,
    orthogonalize,
)
from discover.statistics.monomials import MonomialRows
from discover.statistics.sufficient import SufficientStatistics

__all__ = [
    "WORST_GRAM_CONDITION",
    "MonomialRows",
    "RowSource",
    "SufficientStatistics",
    "accumulate",
    "orthogonalize",
]
