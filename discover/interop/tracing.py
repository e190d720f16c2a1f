"""Read the expression behind a Python function, by calling it with stand-ins for numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from discover.exceptions import ExpressionError
from discover.libraries.termtable import TermTableBuilder

__all__ = ["trace"]

_BINARY = {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div",
    "power": "pow",
    "float_power": "pow",
    "minimum": "min",
    "maximum": "max",
}
_UNARY = {
    "negative": "neg",
    "absolute": "abs",
    "fabs": "abs",
    **{
        name: name
        for name in (
            "sign sqrt exp log expm1 log1p sin cos tan arcsin arccos arctan sinh cosh tanh"
        ).split()
    },
}


class _Value:
    """Stands for a number; remembers what is done to it."""

    def __init__(self, builder: TermTableBuilder, slot: int) -> None:
        self.builder, self.slot = builder, slot

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        name = ufunc.__name__
        if method != "__call__" or options:
            return NotImplemented
        found = [_slot(self.builder, value) for value in inputs]
        slots = [slot for slot in found if slot is not None]
        if len(slots) < len(found):
            return NotImplemented
        if name in _UNARY:
            return _Value(self.builder, self.builder.unary(_UNARY[name], *slots))
        if name in _BINARY:
            return _Value(self.builder, self.builder.binary(_BINARY[name], *slots))
        if name == "square":
            return self**2
        if name == "reciprocal":
            return 1.0 / self
        return NotImplemented

    def _apply(self, name: str, left: Any, right: Any) -> Any:
        a, b = _slot(self.builder, left), _slot(self.builder, right)
        if a is None or b is None:
            return NotImplemented
        return _Value(self.builder, self.builder.binary(name, a, b))

    def __add__(self, other: Any) -> Any:
        return self._apply("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return self._apply("add", other, self)

    def __sub__(self, other: Any) -> Any:
        return self._apply("sub", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self._apply("sub", other, self)

    def __mul__(self, other: Any) -> Any:
        return self._apply("mul", self, other)

    def __rmul__(self, other: Any) -> Any:
        return self._apply("mul", other, self)

    def __truediv__(self, other: Any) -> Any:
        return self._apply("div", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._apply("div", other, self)

    def __pow__(self, other: Any) -> Any:
        return self._apply("pow", self, other)

    def __rpow__(self, other: Any) -> Any:
        return self._apply("pow", other, self)

    def __neg__(self) -> Any:
        return _Value(self.builder, self.builder.unary("neg", self.slot))

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return _Value(self.builder, self.builder.unary("abs", self.slot))

    def __bool__(self) -> bool:
        raise TypeError("it decides by the value of a column")


def _slot(builder: TermTableBuilder, value: Any) -> int | None:
    if isinstance(value, _Value):
        return value.slot
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        return builder.constant(float(value))
    return None


def trace(function: Callable[..., Any], builder: TermTableBuilder, slots: Sequence[int]) -> int:
    """Add what a function computes and return its slot.

    Parameters
    ----------
    function : callable
        Of as many numbers as there are slots; made of arithmetic and NumPy's functions.
    builder : TermTableBuilder
    slots : sequence of int
        The arguments.

    Raises
    ------
    ExpressionError
        If it does anything else; says what.
    """
    name = getattr(function, "__name__", repr(function))
    try:
        result = function(*(_Value(builder, slot) for slot in slots))
    except Exception as error:  # whatever a user's function may raise
        raise ExpressionError(
            f"library: the function {name!r} cannot be written as an expression ({error}); use "
            "arithmetic and NumPy's functions of numbers, or SymbolicLibrary."
        ) from error
    slot = _slot(builder, result)
    if slot is None:
        raise ExpressionError(
            f"library: the function {name!r} cannot be written as an expression (it returned a "
            f"{type(result).__name__}); use arithmetic and NumPy's functions of numbers, or "
            "SymbolicLibrary."
        )
    return slot
