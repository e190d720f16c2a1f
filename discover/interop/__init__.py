"""Bridges to other packages."""

from discover.interop.foreign import ForeignRegressor, as_regressor
from discover.interop.sklearn import BlockedSplit

__all__ = ["BlockedSplit", "ForeignRegressor", "as_regressor"]
