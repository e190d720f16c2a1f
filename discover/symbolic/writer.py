"""Writer: the terms of a table as formulas, each with how strongly it holds together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence

from discover.kernels import opcodes as oc
from discover.libraries.termtable import TermTable

__all__ = ["ATOM", "FACTOR", "PRODUCT", "SUM", "Formula", "Writer", "constant_of"]

ATOM, FACTOR, PRODUCT, SUM = 9, 5, 2, 1  # how strongly a formula holds together

#: Its text, and how strongly it holds together: what needs more is put in brackets.
Formula = tuple[str, int]


def constant_of(table: TermTable, slot: int) -> float | None:
    """Return the constant in a slot, or None where there is none."""
    k = slot - table.n_inputs
    if k < 0 or table.program[k, 0] != oc.CONST:
        return None
    return float(table.constants[table.program[k, 1]])


class Writer(ABC):
    """Writes every slot of a table; equal factors of a product become powers.

    Parameters
    ----------
    table : TermTable
    names : sequence of Formula
        Of the inputs.

    Attributes
    ----------
    texts : list of Formula
        By slot.
    """

    def __init__(self, table: TermTable, names: Sequence[Formula]) -> None:
        self.table = table
        self.texts = list(names)
        factors = [Counter({i: 1}) for i in range(len(names))]
        for slot, (op, a, b) in enumerate(table.program.tolist(), start=len(names)):
            factors.append(factors[a] + factors[b] if op == oc.MUL else Counter({slot: 1}))
            self.texts.append(self._text(op, a, b, factors[slot]))

    def _text(self, op: int, a: int, b: int, factors: Counter[int]) -> Formula:
        if op == oc.CONST:
            return self._constant(float(self.table.constants[a]))
        if op == oc.MUL:
            return self._product(factors), PRODUCT
        return self._binary(op, a, b) if op < oc.NEG else self._unary(op, self.texts[a])

    @abstractmethod
    def _constant(self, value: float) -> Formula:
        """Write a number inside a term, with all its digits."""

    @abstractmethod
    def _product(self, factors: Counter[int]) -> str:
        """Write a product of slots, each to a whole power."""

    @abstractmethod
    def _binary(self, op: int, a: int, b: int) -> Formula:
        """Write an operation on two slots that is no product."""

    @abstractmethod
    def _unary(self, op: int, of: Formula) -> Formula:
        """Write a function of a formula."""
