"""A folder for people: the law, whether to believe it, and everything behind it."""

from discover.reports.writing import report

__all__ = ["report"]
