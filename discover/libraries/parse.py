"""Turn text into table slots through a whitelisted syntax tree; nothing is executed."""

from __future__ import annotations

import ast
import math

from discover.exceptions import ExpressionError
from discover.kernels import opcodes as oc
from discover.libraries.termtable import TermTableBuilder

__all__ = ["parse_expression", "split_terms"]

_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.Pow: "pow",
}
_ALIASES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "Abs": "abs", "ln": "log"}
_CONSTANTS = {"pi": math.pi}
_LONGEST = 10_000
_DEEPEST = 100


def split_terms(text: str) -> list[str]:
    """Split at the commas that are not inside brackets.

    Examples
    --------
    >>> split_terms("x, max(x, y), sin(x)")
    ['x', 'max(x, y)', 'sin(x)']
    """
    terms, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c in "([") - (c in ")]")
        if c == "," and depth == 0:
            terms.append(text[start:i])
            start = i + 1
    return [term.strip() for term in [*terms, text[start:]] if term.strip()]


def parse_expression(text: str, builder: TermTableBuilder) -> int:
    """Add an expression written in Python syntax and return its slot.

    Parameters
    ----------
    text : str
        Sums, products, quotients and powers of the inputs, of numbers, ``pi``, and of
        the functions in :data:`discover.kernels.opcodes.UNARY`, ``min`` and ``max``.
        ``^`` is read as a power.
    builder : TermTableBuilder

    Raises
    ------
    ExpressionError
        If the text is anything else; it names the offending part.
    """
    if len(text) > _LONGEST:
        raise ExpressionError(
            f"library: an expression may have {_LONGEST} characters; got {len(text)}."
        )
    try:
        tree = ast.parse(text.strip().replace("^", "**"), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = getattr(error, "msg", None) or "it cannot be parsed"
        if "'" in text:
            reason = "a derivative is written with _dot, as in y_dot for y'"
        raise ExpressionError(f"library: {text!r} is not an expression: {reason}.") from None
    return _Reader(builder, text).read(tree.body, 0)


class _Reader:
    """Walks one syntax tree; anything outside the whitelist is an error."""

    def __init__(self, builder: TermTableBuilder, text: str) -> None:
        self.builder = builder
        self.text = text

    def read(self, node: ast.expr, depth: int) -> int:
        if depth > _DEEPEST:
            raise ExpressionError(f"library: {self.text[:60]!r}... is nested too deeply.")
        match node:
            case ast.Constant(value=bool() | complex() | str() | bytes() | None):
                raise self._unknown(node)
            case ast.Constant(value=int() | float() as value):
                return self._number(value)
            case ast.Name(id=name):
                return self._name(name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.builder.unary("neg", self.read(operand, depth + 1))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.read(operand, depth + 1)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                a, b = self.read(left, depth + 1), self.read(right, depth + 1)
                return self.builder.binary(_OPERATORS[type(op)], a, b)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self._call(name, [self.read(a, depth + 1) for a in args])
        raise self._unknown(node)

    def _number(self, value: float) -> int:
        try:
            return self.builder.constant(float(value))
        except OverflowError:
            raise ExpressionError(f"library: a number in {self.text!r} is too large.") from None

    def _name(self, name: str) -> int:
        if name in _CONSTANTS and name not in self.builder.inputs:
            return self.builder.constant(_CONSTANTS[name])
        return self.builder.input(name)

    def _call(self, name: str, arguments: list[int]) -> int:
        known = _ALIASES.get(name, name)
        if known in oc.UNARY and known != "neg" and len(arguments) == 1:
            return self.builder.unary(known, arguments[0])
        if known in ("min", "max") and len(arguments) == 2:
            return self.builder.binary(known, *arguments)
        functions = sorted({*oc.UNARY, "min", "max"} - {"neg"})
        raise ExpressionError(
            f"library: {name!r} with {len(arguments)} arguments in {self.text!r} is not a "
            f"known function; the functions are {', '.join(functions)}."
        )

    def _unknown(self, node: ast.expr) -> ExpressionError:
        part = ast.unparse(node)
        return ExpressionError(
            f"library: {part[:80]!r} in {self.text[:80]!r} is not allowed; use + - * / **, "
            "numbers, column names and functions."
        )
