"""Equations as MathML: typeset by any browser, selectable, without a script or a font."""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from discover.kernels import opcodes as oc
from discover.symbolic.digits import Rounded, round_number
from discover.symbolic.text import equation_unit
from discover.symbolic.writer import ATOM, FACTOR, PRODUCT, SUM, Formula, Writer, constant_of

if TYPE_CHECKING:
    from discover.symbolic.model import SymbolicModel

__all__ = ["MathEquation", "mathml_equations", "mathml_left", "mathml_name", "mathml_terms"]

_FUNCTIONS = {
    oc.SIGN: "sgn", oc.EXP: "exp", oc.LOG: "ln", oc.SIN: "sin", oc.COS: "cos", oc.TAN: "tan",
    oc.ARCSIN: "arcsin", oc.ARCCOS: "arccos", oc.ARCTAN: "arctan", oc.SINH: "sinh",
    oc.COSH: "cosh", oc.TANH: "tanh",
}  # fmt: skip
_THIN = '<mspace width="0.17em"></mspace>'
_DOT = "<mo>\u22c5</mo>"
_PRIMES = {1: "\u2032", 2: "\u2033"}
_DOTS = {1: "\u02d9", 2: "\u00a8"}


@dataclass(frozen=True)
class MathEquation:
    """One equation in pieces, so that a page can break it between terms.

    Parameters
    ----------
    left : str
        MathML of the left side.
    terms : tuple of str
        MathML of the terms, each with its sign.
    unit : str or None
        Of both sides, as plain text.
    """

    left: str
    terms: tuple[str, ...]
    unit: str | None


def mathml_equations(model: SymbolicModel) -> list[MathEquation]:
    """Return one equation per target; exact kinematic equations are left out.

    Parameters
    ----------
    model : SymbolicModel

    Returns
    -------
    list of MathEquation
        Escaped throughout, whatever the names and units are.
    """
    model = model.pruned()
    terms = mathml_terms(model)
    said = [i for i in range(len(model.target_names)) if i not in model.velocities]
    return [
        MathEquation(mathml_left(model, i), _signed(model, i, terms), equation_unit(model, i))
        for i in said
    ]


def mathml_terms(model: SymbolicModel) -> list[str]:
    """Return every term of a law, without ``<math>`` around it; empty for the constant 1."""
    table = model.table
    coordinates = {j: i for i, j in model.velocities.items()}
    names = []
    for place in range(table.n_inputs):
        step = "k" if model.kind in ("map", "increment") else ""
        name = table.inputs[coordinates.get(place, place)]
        names.append((_name(name, dots=int(place in coordinates), step=step), ATOM))
    writer = _MathWriter(table, names)
    return [
        "" if constant_of(table, slot) == 1.0 else _held(writer.texts[slot], PRODUCT)
        for slot in table.outputs.tolist()
    ]


def mathml_left(model: SymbolicModel, target: int) -> str:
    """Return the left side of an equation: a derivative, a next value, a step or a value."""
    return _math(_left_side(model, target))


def mathml_name(name: str) -> str:
    """Return a name as MathML: Greek letters as such, ``h1`` and ``T_in`` with a subscript."""
    return _math(_name(name))


def _math(content: str) -> str:
    return f"<math>{content}</math>"


def _signed(model: SymbolicModel, target: int, terms: list[str]) -> tuple[str, ...]:
    pieces: list[str] = []
    for k in np.flatnonzero(np.asarray(model.support)[target]).tolist():
        number = round_number(
            float(model.coefficients[target, k]), float(model.standard_errors[target, k])
        )
        sign = "\u2212" if number.negative else "+" if pieces else ""
        mark = f'<mo form="{"infix" if pieces else "prefix"}">{sign}</mo>' if sign else ""
        gap = _THIN if terms[k] else ""
        pieces.append(_math(f"<mrow>{mark}{_number(number)}{gap}{terms[k]}</mrow>"))
    return _saturated(model, target, tuple(pieces) or (_math("<mn>0</mn>"),))


def _saturated(model: SymbolicModel, target: int, pieces: tuple[str, ...]) -> tuple[str, ...]:
    if model.saturation is None:
        return pieces
    low, high, whole = model.saturation.limits(target)
    opening = "".join(f"<mi>{w}</mi><mo>(</mo>" for w in (["round"] if whole else []) + ["clip"])
    numbers = "".join(f"<mo>,</mo>{_constant(v)[0]}" for v in (low, high))
    closing = "<mo>)</mo>" * (2 if whole else 1)
    return (_math(opening), *pieces, _math(numbers + closing))


def _number(number: Rounded) -> str:
    text = number.digits + (f"({number.uncertainty})" if number.uncertainty else "")
    out = f"<mn>{text}</mn>"
    if number.exponent:
        power = f"<mn>{number.exponent}</mn>".replace("-", "\u2212")
        out += f"<mo>\u00d7</mo><msup><mn>10</mn>{power}</msup>"
    if number.spread is None:
        return out
    return f"<mo>(</mo>{out}<mo>\u00b1</mo>{_number(number.spread)}<mo>)</mo>"


def _left_side(model: SymbolicModel, target: int) -> str:
    coordinate = next((i for i, j in model.velocities.items() if j == target), None)
    name = model.target_names[target if coordinate is None else coordinate]
    if model.kind == "continuous":
        return _name(name, dots=1 if coordinate is None else 2)
    if model.kind == "map":
        return _name(name, step="k+1")
    if model.kind == "increment":
        return f"<mi>\u0394</mi>{_name(name, step='k')}"
    return _name(name)


# -- names -------------------------------------------------------------------------


def _name(name: str, dots: int = 0, step: str = "") -> str:
    found = re.fullmatch(r"([^\W\d_]+)(\d*)((?:_[^\W_]+)*)", name)
    base, below = f"<mi>{html.escape(name)}</mi>", []
    if found is not None:
        head, digits, tail = found.groups()
        symbol = _symbol(head)
        if not (tail and symbol is None):  # heart_rate is one word, x_1 a letter with an index
            base = f"<mi>{html.escape(symbol or head)}</mi>"
            below = [digits] if digits else []
            below += [_symbol(part) or part for part in tail.split("_")[1:]]
    if dots and base.count("<") == 2 and len(html.unescape(base[4:-5])) > 1:
        # no dot is as wide as a word
        base = f'<mrow>{base}<mo lspace="0" rspace="0">{_PRIMES[dots]}</mo></mrow>'
    elif dots:
        base = f'<mover accent="true">{base}<mo>{_DOTS[dots]}</mo></mover>'
    below += [step] if step else []
    if not below:
        return base
    parts = "<mo>,</mo>".join(
        f"<mn>{part}</mn>" if part.isdigit() else f"<mi>{html.escape(part)}</mi>" for part in below
    )
    return f"<msub>{base}<mrow>{parts}</mrow></msub>"


def _symbol(part: str) -> str | None:
    """Return a letter, Greek ones by name; None for a word."""
    if len(part) == 1 or part.isdigit():
        return part
    kind = "SMALL" if part.islower() else "CAPITAL"
    try:
        word = "LAMDA" if part.lower() == "lambda" else part.upper()
        return unicodedata.lookup(f"GREEK {kind} LETTER {word}")
    except KeyError:
        return None


# -- terms -------------------------------------------------------------------------


class _MathWriter(Writer):
    """Writes MathML."""

    def _constant(self, value: float) -> Formula:
        return _constant(value)

    def _product(self, factors: Counter[int]) -> str:
        powers = [self._power(slot, n) for slot, n in factors.items()]
        words = any(re.search(r"<mi>[^<]{2,}</mi>", power) for power in powers)
        return (_DOT if words else _THIN).join(powers)

    def _power(self, slot: int, exponent: int) -> str:
        if exponent == 1:
            return _held(self.texts[slot], PRODUCT)
        return f"<msup>{_row(_held(self.texts[slot], ATOM))}<mn>{exponent}</mn></msup>"

    def _binary(self, op: int, a: int, b: int) -> Formula:
        left, right = self.texts[a], self.texts[b]
        if op in (oc.ADD, oc.SUB):
            sign = "+" if op == oc.ADD else "\u2212"
            other = right[0] if op == oc.ADD else _held(right, PRODUCT)
            return f"{left[0]}<mo>{sign}</mo>{other}", SUM
        if op == oc.DIV:
            return f"<mfrac>{_row(left[0])}{_row(right[0])}</mfrac>", FACTOR
        if op == oc.POW:
            return f"<msup>{_row(_held(left, ATOM))}{_row(right[0])}</msup>", FACTOR
        word = "min" if op == oc.MIN else "max"
        return f"<mi>{word}</mi>" + _bracketed(f"{left[0]}<mo>,</mo>{right[0]}"), FACTOR

    def _unary(self, op: int, of: Formula) -> Formula:
        if op == oc.NEG:
            return "<mo>\u2212</mo>" + _held(of, PRODUCT), SUM
        if op == oc.ABS:
            return f"<mrow><mo>|</mo>{of[0]}<mo>|</mo></mrow>", ATOM
        if op == oc.SQRT:
            return f"<msqrt>{_row(of[0])}</msqrt>", FACTOR
        if op == oc.EXPM1:
            return f"<mi>exp</mi>{_bracketed(of[0])}<mo>\u2212</mo><mn>1</mn>", SUM
        if op == oc.LOG1P:
            inner = f"<mn>1</mn><mo>+</mo>{_held(of, PRODUCT)}"
            return f"<mi>ln</mi>{_bracketed(inner)}", FACTOR
        return f"<mi>{_FUNCTIONS[op]}</mi>{_bracketed(of[0])}", FACTOR


def _constant(value: float) -> Formula:
    """Return a number inside a term, with all its digits."""
    sign = "<mo>\u2212</mo>" if math.copysign(1.0, value) < 0 else ""
    if abs(value) == math.pi:
        return sign + "<mi>\u03c0</mi>", SUM if sign else ATOM
    mantissa, _, exponent = repr(abs(value)).partition("e")
    text = f"{sign}<mn>{mantissa.removesuffix('.0')}</mn>"
    if exponent:
        text += f"<mo>\u00d7</mo><msup><mn>10</mn><mn>{int(exponent)}</mn></msup>"
    return text, SUM if sign else PRODUCT if exponent else ATOM


def _row(content: str) -> str:
    return f"<mrow>{content}</mrow>"


def _held(text: Formula, strength: int) -> str:
    return text[0] if text[1] >= strength else _bracketed(text[0])


def _bracketed(content: str) -> str:
    return f"<mrow><mo>(</mo>{content}<mo>)</mo></mrow>"
