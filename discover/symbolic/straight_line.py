"""A law as straight-line code: what the Python and the C export share."""

from __future__ import annotations

import keyword
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from discover.kernels import opcodes as oc
from discover.symbolic.text import equation_lines, equation_unit, time_unit

if TYPE_CHECKING:
    from discover.symbolic.model import SymbolicModel

__all__ = [
    "C_FUNCTIONS",
    "LINE",
    "RESERVED",
    "Dialect",
    "Signed",
    "StraightLine",
    "check_name",
    "description",
    "fill",
    "safe_names",
    "sum_parts",
]

Signed: TypeAlias = "tuple[bool, str]"

LINE = 96
_LONGEST_INLINE = 40  # characters; a longer expression gets a statement of its own
_LONGEST_NAME = 20
_LONGEST_SUM = 400  # terms in one statement; compilers recurse over long sums
_ATOM, _SIGNED, _PRODUCT, _SUM = 9, 3, 2, 1  # how strongly an expression holds together
_INFIX = {
    oc.ADD: (" + ", _SUM, _PRODUCT),
    oc.SUB: (" - ", _SUM, _PRODUCT),
    oc.MUL: ("*", _PRODUCT, _ATOM),
    oc.DIV: ("/", _PRODUCT, _ATOM),
}  # symbol, own strength and least strength of the left side, least of the right side

_C_WORDS = """
    alignas alignof asm auto bool break case catch char class const constexpr continue default
    delete do double else enum explicit export extern false float for friend goto if inline int
    long mutable namespace new nullptr operator private protected public register restrict
    return short signed sizeof static static_assert struct switch template this throw true try
    typedef typeid typename typeof union unsigned using virtual void volatile while linux unix
    main NAN INFINITY HUGE_VAL NULL EOF errno DOMAIN OVERFLOW UNDERFLOW"""
_FUNCTIONS = """
    math abs float fabs pow sqrt exp log expm1 log1p sin cos tan asin acos atan sinh cosh tanh"""
RESERVED = frozenset((*keyword.kwlist, *keyword.softkwlist, *_C_WORDS.split(), *_FUNCTIONS.split()))

_MEANING = {
    "continuous": "time derivative of the state",
    "map": "state one step later",
    "increment": "change of the state over one step",
    "direct": "value of a function",
}

_WORDS = {code: word for word, code in oc.UNARY.items()}
C_FUNCTIONS: Mapping[int, str] = {
    oc.POW: "pow",
    oc.SQRT: "sqrt",
    oc.EXP: "exp",
    oc.LOG: "log",
    oc.EXPM1: "expm1",
    oc.LOG1P: "log1p",
    oc.SIN: "sin",
    oc.COS: "cos",
    oc.TAN: "tan",
    oc.ARCSIN: "asin",
    oc.ARCCOS: "acos",
    oc.ARCTAN: "atan",
    oc.SINH: "sinh",
    oc.COSH: "cosh",
    oc.TANH: "tanh",
}


def description(model: SymbolicModel, result: str) -> list[str]:
    """Return what a reader of generated code needs: equations, order of values, units.

    Parameters
    ----------
    model : SymbolicModel
    result : str
        How to begin the sentence on the result, such as ``"The result is"``.

    Returns
    -------
    list of str
        Lines without control characters.
    """
    step = f", dt = {model.dt!r}" if model.dt is not None and model.kind != "direct" else ""
    lines = [f"Law of kind {model.kind!r}{step}.", ""]
    for text in equation_lines(model, LINE - 10):
        lines += [f"    {line}" for line in text.split("\n")]
    units = [equation_unit(model, i) for i in range(len(model.target_names))]
    results = _listed(model.target_names, units)
    lines += ["", f"{result} the {_MEANING[model.kind]}: {results}."]
    lines.append(f"x holds the states {_listed(model.state_names, model.units)}.")
    if model.control_names:
        lines.append(f"u holds the controls {_listed(model.control_names, model.units)}.")
    unit = time_unit(model)
    if model.time_name is not None:
        lines.append(f"t is the time {model.time_name}{f' [{unit}]' if unit else ''}.")
    elif unit:
        lines.append(f"The unit of time is {unit}.")
    return ["".join(c if c.isprintable() else " " for c in line) for line in lines]


def _listed(names: Sequence[str], units: Mapping[str, str] | Sequence[str | None]) -> str:
    known = [units.get(n) for n in names] if isinstance(units, Mapping) else units
    return ", ".join(f"{n} [{u}]" if u else n for n, u in zip(names, known, strict=True))


def check_name(name: str) -> None:
    """Raise ValueError unless `name` can name a function in Python and in C."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name in RESERVED:
        raise ValueError(
            f"SymbolicModel: name must be an identifier of Python and C that neither uses "
            f"itself; got {name!r}."
        )


def safe_names(names: Sequence[str], taken: Collection[str]) -> list[str]:
    """Return different identifiers, valid in Python and in C, close to the given names.

    Parameters
    ----------
    names : sequence of str
    taken : collection of str
        Identifiers that may not be used.

    Returns
    -------
    list of str

    Examples
    --------
    >>> safe_names(["θ", "heart rate", "lambda"], {"lambda"})
    ['theta', 'heart_rate', 'lambda_']
    """
    found: list[str] = []
    for name in names:
        safe = "".join(map(_ascii, unicodedata.normalize("NFKC", name))) or "_"
        safe = f"v{safe}" if safe[0].isdigit() else safe
        while safe in taken or safe in found:
            safe += "_"
        found.append(safe)
    return found


def _ascii(letter: str) -> str:
    if letter.isascii():
        return letter if letter.isalnum() else "_"
    *_, word = unicodedata.name(letter, "_").split()
    return word.lower() if word.isalnum() and word.isascii() else "_"


@dataclass(frozen=True)
class Dialect:
    """How a language writes a number, calls a function and names a value.

    Parameters
    ----------
    number : callable
        Writes a number that is not negative.
    functions : mapping of opcode to str
    statement : str
        Template of a statement, for a name and an expression.
    """

    number: Callable[[float], str]
    functions: Mapping[int, str]
    statement: str


class StraightLine:
    """A law as statements, in the order and with the operations of the compiled kernel.

    Parameters
    ----------
    model : SymbolicModel
    dialect : Dialect
    names : sequence of str
        One identifier per input of the table.

    Attributes
    ----------
    statements : list of str
        What is needed more than once, or is long, by name.
    sums : list of list of (bool, str)
        Sign and text of every product of a coefficient and a term, by target.
    used : set of int
        Opcodes of the functions and operators in the code.
    used_inputs : set of int
        Inputs in the code, by position.
    taken : set of str
        Identifiers in the code.
    """

    def __init__(self, model: SymbolicModel, dialect: Dialect, names: Sequence[str]) -> None:
        program, constants, indptr, slots, weights = (part.tolist() for part in model.program)
        self.names = list(names)
        self.functions = dialect.functions
        self.statements: list[str] = []
        self.used: set[int] = set()
        self.taken = {*RESERVED, *names, *dialect.functions.values(), "x", "t", "u", "dx"}
        self._dialect = dialect
        self._constants = constants
        self._hints = list(names)
        self._factors = [Counter({i: 1}) for i in range(len(names))]
        self._texts = [(name, _ATOM) for name in names]
        self._ones = set[int]()
        uses = Counter(slots)
        for op, a, b in program:
            uses.update([] if op == oc.CONST else [a, b] if op < oc.NEG else [a])
        self.used_inputs = {i for i in range(len(names)) if uses[i]}
        for k, (op, a, b) in enumerate(program, start=len(names)):
            self._add(k, op, a, b, uses[k])
        self.sums = [
            [self._product(weights[e], slots[e]) for e in range(start, stop)]
            for start, stop in pairwise(indptr)
        ]

    def _add(self, slot: int, op: int, a: int, b: int, uses: int) -> None:
        """Write one instruction, in place or as a statement."""
        if op == oc.CONST and self._constants[a] == 1.0:
            self._ones.add(slot)
        text = self._constant(a) if op == oc.CONST else self._expression(op, a, b)
        product = self._factors[a] + self._factors[b] if op == oc.MUL else Counter({slot: 1})
        self._factors.append(product)
        self._hints.append("" if op == oc.CONST else self._hint(op, a, product))
        if op != oc.CONST and (uses > 1 or len(text[0]) > _LONGEST_INLINE):
            name = self._new_name(self._hints[slot])
            self.statements.append(self._dialect.statement.format(name, text[0]))
            text = (name, _ATOM)
        self._texts.append(text)

    def _constant(self, index: int) -> tuple[str, int]:
        value = self._constants[index]
        text = self._dialect.number(abs(value))
        return (f"-{text}", _SIGNED) if math.copysign(1.0, value) < 0 else (text, _ATOM)

    def _expression(self, op: int, a: int, b: int) -> tuple[str, int]:
        self.used.add(op)
        left = self._texts[a]
        if op == oc.NEG:
            return "-" + _held(left, _ATOM), _SIGNED
        if op in _INFIX:
            symbol, strength, right = _INFIX[op]
            return _held(left, strength) + symbol + _held(self._texts[b], right), strength
        arguments = [left[0], self._texts[b][0]] if op < oc.NEG else [left[0]]
        return f"{self.functions[op]}({', '.join(arguments)})", _ATOM

    def _hint(self, op: int, a: int, product: Counter[int]) -> str:
        """Suggest a name: ``x2_y`` for a product, ``sin_x`` for a function."""
        if op == oc.MUL:
            parts = [(self._hints[s], str(n) if n > 1 else "") for s, n in product.items()]
            joined = "_".join(h.strip("_") + n for h, n in parts)
            return joined if all(h for h, _ in parts) else ""
        inner = self._hints[a]
        return f"{_WORDS[op]}_{inner}" if op > oc.NEG and inner else ""

    def _new_name(self, hint: str) -> str:
        wanted = hint if 0 < len(hint) <= _LONGEST_NAME else f"w{len(self.statements) + 1}"
        name = safe_names([wanted], self.taken)[0]
        self.taken.add(name)
        return name

    def _product(self, weight: float, slot: int) -> Signed:
        negative, number = math.copysign(1.0, weight) < 0, self._dialect.number(abs(weight))
        if slot in self._ones:
            return negative, number
        return negative, f"{number}*{_held(self._texts[slot], _ATOM)}"


def _held(text: tuple[str, int], strength: int) -> str:
    return text[0] if text[1] >= strength else f"({text[0]})"


def sum_parts(left: str, terms: Sequence[Signed]) -> Iterator[list[str]]:
    """Split a sum into statements that begin with what `left` holds so far.

    Parameters
    ----------
    left : str
    terms : sequence of (bool, str)

    Yields
    ------
    list of str
        The pieces of one statement, operators included.
    """
    pieces = [f"{'-' if negative else '+'} {text}" for negative, text in terms]
    if not pieces:
        yield ["0.0"]
    for start in range(0, len(pieces), _LONGEST_SUM):
        part = pieces[start : start + _LONGEST_SUM]
        if start:
            yield [left, *part]
        else:
            yield [("-" if terms[0][0] else "") + terms[0][1], *part[1:]]


def fill(pieces: Sequence[str], width: int) -> list[str]:
    """Join pieces to lines of at most `width` characters, where they fit."""
    lines = [pieces[0]]
    for piece in pieces[1:]:
        if len(lines[-1]) + len(piece) < width:
            lines[-1] += f" {piece}"
        else:
            lines.append(piece)
    return lines
