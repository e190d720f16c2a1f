"""Bridges to other packages."""

from discover.interop.sklearn import BlockedSplit

__all__ = ["BlockedSplit"]
