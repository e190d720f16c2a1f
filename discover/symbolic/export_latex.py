"""Equations typeset: LaTeX source, and HTML that a notebook renders."""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from discover.kernels import opcodes as oc
from discover.symbolic.digits import latex_number, round_number
from discover.symbolic.jets import axes_of, read_jets
from discover.symbolic.text import equation_unit, equations_text
from discover.symbolic.writer import ATOM, FACTOR, PRODUCT, SUM, Formula, Writer, constant_of

if TYPE_CHECKING:
    from discover.symbolic.model import SymbolicModel

__all__ = ["latex_lines", "latex_name", "to_html", "to_latex"]

_ALIGNED = ("align*", "align", "aligned")
_CENTRED = ("gather*", "gather", "gathered")
_WIDTH = 90  # visible characters before an equation is broken
_GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau "
    "upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega".split()
)
_COMMANDS = {
    oc.SIGN: r"\operatorname{sgn}",
    oc.EXP: r"\exp",
    oc.LOG: r"\ln",
    oc.SIN: r"\sin",
    oc.COS: r"\cos",
    oc.TAN: r"\tan",
    oc.ARCSIN: r"\arcsin",
    oc.ARCCOS: r"\arccos",
    oc.ARCTAN: r"\arctan",
    oc.SINH: r"\sinh",
    oc.COSH: r"\cosh",
    oc.TANH: r"\tanh",
}
_POWERED = {oc.SIN, oc.COS, oc.TAN, oc.SINH, oc.COSH, oc.TANH, oc.LOG}  # \sin^{2}(x) is usual
_DERIVATIVE = 3  # holds together more than a product, less than a factor


# -- documents -------------------------------------------------------------------------


def to_latex(model: SymbolicModel, environment: str = "align*", digits: int | None = None) -> str:
    r"""Return the equations as LaTeX source.

    Parameters
    ----------
    model : SymbolicModel
    environment : str, default="align*"
        ``align*``, ``align`` or ``aligned``; ``gather*``, ``gather`` or ``gathered``
        without alignment; empty for bare lines, one per equation, without either.
    digits : int, optional
        Significant digits of every coefficient; by default the standard errors decide,
        and are printed as in ``9.98(3)``.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the environment is not one of these.
    """
    if environment == "":
        return "\n".join(latex_lines(model, digits=digits))
    if environment not in (*_ALIGNED, *_CENTRED):
        raise ValueError(
            f"to_latex: environment must be one of {[*_ALIGNED, *_CENTRED, '']}; "
            f"got {environment!r}."
        )
    lines = latex_lines(model, digits=digits, align=environment in _ALIGNED)
    body = " \\\\\n".join(lines)
    return f"\\begin{{{environment}}}\n{body}\n\\end{{{environment}}}"


def to_html(model: SymbolicModel) -> str:
    """Return HTML for a notebook: typeset equations, and the same as plain text.

    Parameters
    ----------
    model : SymbolicModel

    Returns
    -------
    str
        Escaped throughout, whatever the names and units are.
    """
    formula = html.escape(to_latex(model, environment="aligned"))
    text = html.escape(equations_text(model))
    return (
        f'<div class="discover-model">\n<div>$$\n{formula}\n$$</div>\n'
        f"<details><summary>Plain text</summary>\n<pre>{text}</pre>\n</details>\n</div>"
    )


def latex_lines(
    model: SymbolicModel, *, digits: int | None = None, align: bool = False
) -> list[str]:
    r"""Return one LaTeX line per equation.

    Parameters
    ----------
    model : SymbolicModel
    digits : int, optional
        As for :func:`to_latex`.
    align : bool, default=False
        Whether to mark the equals sign with ``&`` and to break long equations.

    Returns
    -------
    list of str
    """
    model = model.pruned()
    terms = _term_texts(model)
    said = [i for i in range(len(model.target_names)) if i not in model.velocities]
    return [_equation(model, i, terms, digits, align) for i in said]


def _equation(
    model: SymbolicModel, target: int, terms: list[str], digits: int | None, align: bool
) -> str:
    pieces = []
    for k in np.flatnonzero(np.asarray(model.support)[target]).tolist():
        error = math.nan if digits is not None else float(model.standard_errors[target, k])
        number = round_number(float(model.coefficients[target, k]), error, digits)
        text = _times(latex_number(number), terms[k]) if terms[k] else latex_number(number)
        pieces.append(("-" if number.negative else "+", text))
    unit = equation_unit(model, target)
    tail = rf" \quad \left[{_latex_unit(unit)}\right]" if unit else ""
    equals = " &= " if align else " = "
    before, after = _around(model, target)
    return _left_side(model, target) + equals + before + _sum(pieces, align) + after + tail


def _around(model: SymbolicModel, target: int) -> tuple[str, str]:
    r"""Return what clips a sum, in brackets that may stand on different lines."""
    if model.saturation is None:
        return "", ""
    low, high, whole = model.saturation.limits(target)
    before, after = (
        r"\operatorname{clip}\bigl(",
        rf",\, {_constant(low)[0]},\, {_constant(high)[0]}\bigr)",
    )
    if whole:
        return r"\operatorname{round}\bigl(" + before, after + r"\bigr)"
    return before, after


def _sum(pieces: list[tuple[str, str]], align: bool) -> str:
    if not pieces:
        return "0"
    line = ("-" if pieces[0][0] == "-" else "") + pieces[0][1]
    width = _visible(line)
    for sign, text in pieces[1:]:
        width += 3 + _visible(text)
        if align and width > _WIDTH:
            line, width = line + " \\\\\n&\\quad", _visible(text)
        line += f" {sign} {text}"
    return line


def _visible(text: str) -> int:
    return len(re.sub(r"\\[A-Za-z]+|[\\{}_^ ]", "", text))


def _left_side(model: SymbolicModel, target: int) -> str:
    jets = read_jets(model)
    if jets:
        return _partial(jets, model.target_names[target])
    coordinate = next((i for i, j in model.velocities.items() if j == target), None)
    base, below = _name_parts(model.target_names[target if coordinate is None else coordinate])
    if coordinate is not None:
        return _subscripted(rf"\ddot{{{base}}}", below)
    if model.kind == "continuous":
        return _subscripted(rf"\dot{{{base}}}", below)
    if model.kind == "map":
        return _subscripted(base, [*below, "k+1"])
    if model.kind == "increment":
        return r"\Delta " + _subscripted(base, [*below, "k"])
    return _subscripted(base, below)


# -- names and units -------------------------------------------------------------------


def latex_name(name: str) -> str:
    r"""Return a name in LaTeX.

    Examples
    --------
    >>> latex_name("theta"), latex_name("x0"), latex_name("T_in"), latex_name("heart_rate")
    ('\\theta', 'x_{0}', 'T_{\\mathrm{in}}', '\\mathrm{heart\\_rate}')
    >>> latex_name("X_km1")
    'X_{k-1}'
    """
    return _subscripted(*_name_parts(name))


def _name_parts(name: str) -> tuple[str, list[str]]:
    """Return the letter or word of a name and its subscripts."""
    found = re.fullmatch(r"([^\W\d_]+)(\d*)((?:_[^\W_]+)*)", name)
    if found is None:
        return rf"\mathrm{{{_escaped(name)}}}", []
    head, digits, tail = found.groups()
    symbol = _symbol(head)
    if tail and symbol is None:  # heart_rate is one word, x_1 is a letter with an index
        return rf"\mathrm{{{_escaped(name)}}}", []
    below = [digits] if digits else []
    below += [
        _neighbour(part) or _symbol(part) or rf"\mathrm{{{part}}}" for part in tail.split("_")[1:]
    ]
    return symbol or rf"\mathrm{{{head}}}", below


def _neighbour(part: str) -> str | None:
    """Return ``k-1`` for km1, a neighbour on a ring of sites; None for anything else."""
    found = re.fullmatch(r"([a-zA-Z])([pm])([1-9]\d*)", part)
    return None if found is None else f"{found[1]}{'+' if found[2] == 'p' else '-'}{found[3]}"


def _partial(jets: dict[str, tuple[str, str]], name: str) -> str:
    r"""Return a jet in LaTeX: ``\partial_{x}^{2} u``."""
    base, letters = jets[name]
    text = ""
    for axis in ("t", *axes_of(jets)):
        order = letters.count(axis)
        power = f"^{{{order}}}" if order > 1 else ""
        text += rf"\partial_{{{axis}}}{power} " if order else ""
    return text + latex_name(base)


def _symbol(part: str) -> str | None:
    """Return a letter, a Greek letter or a number; None for a word."""
    if len(part) == 1 and not part.isascii():
        part = unicodedata.name(part, "").removeprefix("GREEK SMALL LETTER ").lower() or part
        part = "lambda" if part == "lamda" else part  # Unicode spells it so
    if part in _GREEK:
        return "\\" + part
    return part if len(part) == 1 or part.isdigit() else None


def _subscripted(base: str, below: list[str]) -> str:
    return f"{base}_{{{','.join(below)}}}" if below else base


def _escaped(text: str) -> str:
    text = re.sub(r"[\\^~\s]+", " ", text)
    return re.sub(r"([#$%&_{}])", r"\\\1", text).replace(" ", r"\ ")


def _latex_unit(unit: str) -> str:
    pieces = re.split(r"(\^-?\d+|\*\*-?\d+|[*·\s]+|°|%)", unit)
    words = {"°": r"^{\circ}", "%": r"\%"}
    text = ""
    for piece in pieces:
        power = re.fullmatch(r"(?:\^|\*\*)(-?\d+)", piece)
        if power:
            text += f"^{{{power[1]}}}"
        elif re.fullmatch(r"[*·\s]+", piece):
            text += r"\,"
        else:
            text += words.get(piece) or _escaped(piece)
    return rf"\mathrm{{{text}}}"


# -- terms -----------------------------------------------------------------------------


def _term_texts(model: SymbolicModel) -> list[str]:
    """LaTeX of every term, ready to follow a coefficient; empty for the constant 1."""
    table = model.table
    step = ["k"] if model.kind in ("map", "increment") else []
    names = []
    coordinates = {j: i for i, j in model.velocities.items()}
    for place in range(table.n_inputs):
        base, below = _name_parts(table.inputs[coordinates.get(place, place)])
        base = rf"\dot{{{base}}}" if place in coordinates else base
        names.append((_subscripted(base, below + step), ATOM))
    jets = read_jets(model)
    if jets:
        names = [(_partial(jets, n), _DERIVATIVE if jets[n][1] else ATOM) for n in table.inputs]
    texts = _LatexWriter(table, names).texts
    chosen = [texts[slot] for slot in table.outputs.tolist()]
    one = [constant_of(table, slot) == 1.0 for slot in table.outputs.tolist()]
    return ["" if is_one else _held(t, PRODUCT) for t, is_one in zip(chosen, one, strict=True)]


class _LatexWriter(Writer):
    """Writes LaTeX."""

    def _constant(self, value: float) -> Formula:
        return _constant(value)

    def _product(self, factors: Counter[int]) -> str:
        text, last = "", next(reversed(factors))
        for slot, exponent in factors.items():
            factor = self._power(slot, str(exponent)) if exponent > 1 else None
            derivative = self.texts[slot][1] == _DERIVATIVE and slot != last
            factor = factor or _held(self.texts[slot], FACTOR if derivative else PRODUCT)
            text = _times(text, factor) if text else factor
        return text

    def _power(self, slot: int, exponent: str) -> str:
        k = slot - self.table.n_inputs
        op = int(self.table.program[k, 0]) if k >= 0 else None
        if op in _POWERED and exponent.isdigit():
            argument = _bracketed(self.texts[self.table.program[k, 1]][0])
            return rf"{_COMMANDS[op]}^{{{exponent}}}{argument}"
        return f"{_held(self.texts[slot], ATOM)}^{{{exponent}}}"

    def _binary(self, op: int, a: int, b: int) -> Formula:
        left, right = self.texts[a], self.texts[b]
        if op == oc.ADD:
            negative = right[0].startswith("-")
            return f"{left[0]} - {right[0][1:]}" if negative else f"{left[0]} + {right[0]}", SUM
        if op == oc.SUB:
            return f"{left[0]} - {_held(right, PRODUCT)}", SUM
        if op == oc.DIV:
            return rf"\frac{{{left[0]}}}{{{right[0]}}}", FACTOR
        if op == oc.POW:
            return self._power(a, right[0]), FACTOR
        command = r"\min" if op == oc.MIN else r"\max"
        return command + _bracketed(f"{left[0]}, {right[0]}"), FACTOR

    def _unary(self, op: int, of: Formula) -> Formula:
        if op == oc.NEG:
            return "-" + _held(of, PRODUCT), SUM
        if op == oc.ABS:
            return rf"\left|{of[0]}\right|", ATOM
        if op == oc.SQRT:
            return rf"\sqrt{{{of[0]}}}", FACTOR
        if op == oc.EXPM1:
            return rf"\exp{_bracketed(of[0])} - 1", SUM
        if op == oc.LOG1P:
            return r"\ln" + _bracketed(f"1 + {_held(of, PRODUCT)}"), FACTOR
        return _COMMANDS[op] + _bracketed(of[0]), FACTOR


def _constant(value: float) -> Formula:
    """Return a number inside a term, with all its digits."""
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if abs(value) == math.pi:
        return sign + r"\pi", SUM if sign else ATOM
    mantissa, _, exponent = repr(abs(value)).partition("e")
    text = sign + mantissa.removesuffix(".0")
    text += rf" \times 10^{{{int(exponent)}}}" if exponent else ""
    return text, SUM if sign else PRODUCT if exponent else ATOM


def _times(left: str, right: str) -> str:
    """Write a product; a dot only where two numbers would run together."""
    return left + (r" \cdot " if right[0].isdigit() else r"\,") + right


def _held(text: Formula, strength: int) -> str:
    return text[0] if text[1] >= strength else _bracketed(text[0])


def _bracketed(text: str) -> str:
    return rf"\left({text}\right)"
