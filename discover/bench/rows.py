"""Row: one measured number and what it is held against."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Row", "format_table"]

_COMPARE = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True)
class Row:
    """One line of a benchmark.

    Parameters
    ----------
    bar : str
        What is measured, in words.
    value : float
    unit : str
        ``"x"`` for a ratio; empty for counts and relative errors.
    detail : str
        The numbers behind it.
    target : str
        Such as ``"<= 1.8"`` or ``">= 10"``; empty for a number that is only reported.
    """

    bar: str
    value: float
    unit: str = ""
    detail: str = ""
    target: str = ""

    def __post_init__(self) -> None:
        """Refuse a target that could not be judged."""
        if self.target:
            self._limit()

    def _limit(self) -> tuple[str, float]:
        sign, _, number = self.target.partition(" ")
        if sign not in _COMPARE:
            raise ValueError(f"Row: target must be like '<= 1.8' or '>= 10'; got {self.target!r}.")
        return sign, float(number)

    @property
    def passed(self) -> bool | None:
        """Whether the target is met; None without a target."""
        if not self.target:
            return None
        sign, limit = self._limit()
        return bool(_COMPARE[sign](self.value, limit))

    @property
    def text(self) -> str:
        """The value with its unit, to three digits."""
        return with_unit(_three_digits(self.value), self.unit)


def with_unit(number: str, unit: str) -> str:
    """Write ``12x``, ``3.1 us`` or ``4``."""
    return number + ("" if unit in ("", "x") else " ") + unit


def _three_digits(value: float) -> str:
    if value == 0 or not 1e-3 <= abs(value) < 1e6:
        return f"{value:.3g}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def format_table(rows: Sequence[Row]) -> str:
    """Align rows as bar, measured, target and verdict, each with its detail below."""
    cells = [("", "measured", "target", ""), *map(_cells, rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(3)]
    details = ["", *(row.detail for row in rows)]
    lines = []
    for (bar, value, target, verdict), detail in zip(cells, details, strict=True):
        line = f"{bar:<{widths[0]}}  {value:>{widths[1]}}  {target:>{widths[2]}}  {verdict}"
        lines.append(line.rstrip())
        if detail:
            lines.append(f"    {detail}")
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, str, str, str]:
    target = with_unit(row.target, row.unit) if row.target else ""
    return row.bar, row.text, target, {None: "", True: "pass", False: "FAIL"}[row.passed]
