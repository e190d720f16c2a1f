"""The instruction set of a term table: one integer per operation."""

from __future__ import annotations

CONST, ADD, SUB, MUL, DIV, POW, MIN, MAX = range(8)
NEG = 8
ABS, SIGN, SQRT, EXP, LOG, EXPM1, LOG1P = range(9, 16)
SIN, COS, TAN, ARCSIN, ARCCOS, ARCTAN = range(16, 22)
SINH, COSH, TANH = range(22, 25)

BINARY = {"add": ADD, "sub": SUB, "mul": MUL, "div": DIV, "pow": POW, "min": MIN, "max": MAX}
UNARY = {
    "neg": NEG,
    "abs": ABS,
    "sign": SIGN,
    "sqrt": SQRT,
    "exp": EXP,
    "log": LOG,
    "expm1": EXPM1,
    "log1p": LOG1P,
    "sin": SIN,
    "cos": COS,
    "tan": TAN,
    "arcsin": ARCSIN,
    "arccos": ARCCOS,
    "arctan": ARCTAN,
    "sinh": SINH,
    "cosh": COSH,
    "tanh": TANH,
}
