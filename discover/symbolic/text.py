"""Equations as text for a terminal, their coefficients as a table, and their units."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from discover.kernels import opcodes as oc
from discover.libraries.termtable import format_number
from discover.symbolic.digits import round_number, text_number

if TYPE_CHECKING:
    from discover.symbolic.model import SymbolicModel

__all__ = [
    "around",
    "coefficient_table",
    "coefficient_unit",
    "equation_lines",
    "equation_unit",
    "equations_text",
    "time_unit",
    "units_line",
]

_COLUMNS = ["target", "term", "coefficient", "standard_error", "low", "high"]
_WIDTH = 100
_NORMAL_95 = 1.959963984540054
_LEFT = {
    "continuous": "{0}'",
    "map": "{0}[k+1]",
    "increment": "{0}[k+1] - {0}[k]",
    "direct": "{0}",
}
_UNIT_FACTOR = re.compile(r"(?P<name>[^\s*/^()]+)(?:(?:\^|\*\*)(?P<power>-?\d{1,3}))?")


def equations_text(model: SymbolicModel) -> str:
    """Return the equations as one text, with a last line for the step and the units.

    Parameters
    ----------
    model : SymbolicModel

    Returns
    -------
    str
    """
    return "\n".join([*equation_lines(model), *filter(None, [units_line(model)])])


def equation_lines(model: SymbolicModel, width: int | None = _WIDTH) -> list[str]:
    """Return one aligned text per equation; a second-order equation is one.

    Parameters
    ----------
    model : SymbolicModel
    width : int or None, default=100
        A longer equation goes on in further lines of the same text, indented; None for
        one line, whatever its length.

    Returns
    -------
    list of str

    Notes
    -----
    Digits follow the standard errors, as in ``h' =  0.547(12) h``; a term of the law is
    printed even where its coefficient is 0.
    """
    lefts = dict(enumerate(_LEFT[model.kind].format(name) for name in model.target_names))
    for coordinate, velocity in model.velocities.items():
        lefts[velocity] = lefts.pop(coordinate) + "'"
    indent = max(map(len, lefts.values()), default=0)
    return [
        _wrapped(f"{left:<{indent}} =", list(_signed_terms(model, i)), width, around(model, i))
        for i, left in sorted(lefts.items())
    ]


def _signed_terms(model: SymbolicModel, target: int) -> Iterator[tuple[bool, str]]:
    """Sign and text of every term of one equation."""
    for k in np.flatnonzero(np.asarray(model.support)[target]):
        number = round_number(model.coefficients[target, k], model.standard_errors[target, k])
        yield number.negative, text_number(number) + _after_number(_factor(model, int(k)))


def _after_number(term: str) -> str:
    if term == "1":
        return ""
    if term.startswith("1/"):
        return term[1:]
    return f"*{term}" if term[0].isdigit() else f" {term}"


def _factor(model: SymbolicModel, term: int) -> str:
    """Text of a term that can stand after its coefficient."""
    table, name = model.table, model.term_names[term]
    k = int(table.outputs[term]) - table.n_inputs
    loose = k >= 0 and table.program[k, 0] in (oc.ADD, oc.SUB)
    return f"({name})" if loose or name.startswith("-") else name


def around(model: SymbolicModel, target: int) -> tuple[str, str]:
    """Return what a saturated value has before and after its terms: ``clip(``, ``, -2, 2)``."""
    if model.saturation is None:
        return "", ""
    low, high, whole = model.saturation.limits(target)
    tail = f", {format_number(low)}, {format_number(high)})"
    return ("round(clip(", tail + ")") if whole else ("clip(", tail)


def _wrapped(
    left: str, terms: list[tuple[bool, str]], width: int | None, outside: tuple[str, str]
) -> str:
    opening, closing = outside
    if not terms:
        return f"{left}  {opening}0{closing}"
    pieces = [*terms[:-1], (terms[-1][0], terms[-1][1] + closing)]
    sign = "-" if pieces[0][0] else "" if opening else " "
    lines = [f"{left} {' ' + opening if opening else ''}{sign}{pieces[0][1]}"]
    for negative, text in pieces[1:]:
        piece = f" {'-' if negative else '+'} {text}"
        if width is not None and len(lines[-1]) + len(piece) > width:
            lines.append(" " * len(left))
        lines[-1] += piece
    return "\n".join(lines)


# -- units ---------------------------------------------------------------------------


def time_unit(model: SymbolicModel) -> str | None:
    """Return the unit of time; an autonomous law keeps it under the name ``t``."""
    others = (*model.state_names, *model.control_names, *model.target_names)
    if model.time_name is None and "t" in others:
        return None
    return model.units.get(model.time_name or "t")


def units_line(model: SymbolicModel) -> str:
    """Return ``"dt = 0.1; units: h pelts, t year"``; empty when nothing is known."""
    names = dict.fromkeys((*model.target_names, *model.state_names, *model.control_names))
    known = [f"{name} {model.units[name]}" for name in names if model.units.get(name)]
    time = time_unit(model)
    known += [f"{model.time_name or 't'} {time}"] if time else []
    step = [f"dt = {model.dt!r}"] if model.dt is not None and model.kind != "direct" else []
    return "; ".join([*step, *(["units: " + ", ".join(known)] if known else [])])


def coefficient_unit(model: SymbolicModel, target: int, term: int) -> str | None:
    """Return the unit of one coefficient, such as ``"1/(pelts*year)"``.

    Parameters
    ----------
    model : SymbolicModel
    target, term : int

    Returns
    -------
    str or None
        ``"1"`` for a pure number; None when the term is not a product of inputs or the
        unit of an input, of the target or of time is not known.

    Notes
    -----
    Units cancel by spelling: ``m`` with ``m``, never ``km`` with ``m``.
    """
    powers = _target_unit(model, target)
    factors = _monomial(model, term)
    if powers is None or factors is None:
        return None
    for name, power in factors.items():
        unit = time_unit(model) if name == model.time_name else model.units.get(name)
        if not unit:
            return None
        _multiply(powers, unit, -power)
    return _unit_text(powers)


def equation_unit(model: SymbolicModel, target: int) -> str | None:
    """Return the unit of both sides of an equation; None when it is not known."""
    powers = _target_unit(model, target)
    return None if powers is None else _unit_text(powers)


def _target_unit(model: SymbolicModel, target: int) -> Counter[str] | None:
    unit, time = model.units.get(model.target_names[target]), time_unit(model)
    if not unit or (model.kind == "continuous" and not time):
        return None
    powers = Counter[str]()
    _multiply(powers, unit, 1)
    if model.kind == "continuous":
        _multiply(powers, str(time), -1)
    return powers


def _monomial(model: SymbolicModel, term: int) -> Counter[str] | None:
    """Powers of the inputs in a term; None when it is not a monomial."""
    table, powers = model.table, Counter[str]()
    pending = [int(table.outputs[term])]
    while pending:
        slot = pending.pop()
        k = slot - table.n_inputs
        if k < 0:
            powers[table.inputs[slot]] += 1
        elif table.program[k, 0] == oc.MUL:
            pending += table.program[k, 1:].tolist()
        elif table.program[k, 0] != oc.CONST:
            return None
    return powers


def _multiply(powers: Counter[str], unit: str, power: int) -> None:
    """Multiply by a power of a unit; what does not read as a product counts as one symbol."""
    pieces = re.split(r"(?<!\*)([*/])(?!\*)", unit.strip().replace("·", "*"))
    matches = [m for m in (_UNIT_FACTOR.fullmatch(p.strip()) for p in pieces[::2]) if m]
    signs = [1, *(1 if symbol == "*" else -1 for symbol in pieces[1::2])]
    if len(matches) < len(signs):
        powers[f"({unit.strip()})"] += power
        return
    for match, sign in zip(matches, signs, strict=True):
        if match["name"] != "1":
            powers[match["name"]] += power * sign * int(match["power"] or 1)


def _unit_text(powers: Counter[str]) -> str:
    above = [_unit_power(name, n) for name, n in powers.items() if n > 0]
    below = [_unit_power(name, -n) for name, n in powers.items() if n < 0]
    text = "*".join(above) or "1"
    if not below:
        return text
    return f"{text}/{below[0]}" if len(below) == 1 else f"{text}/({'*'.join(below)})"


def _unit_power(name: str, power: int) -> str:
    return name if power == 1 else f"{name}^{power}"


# -- table -----------------------------------------------------------------------------


def coefficient_table(model: SymbolicModel) -> Any:
    """Return one row per term in the law.

    Parameters
    ----------
    model : SymbolicModel

    Returns
    -------
    pandas.DataFrame
        Columns ``target, term, coefficient, standard_error, low, high, unit``; `low` and
        `high` bound the 95 % interval of a normal posterior and are NaN, like the standard
        error, where no covariance is known. `unit` is None where
        :func:`coefficient_unit` cannot tell.
    """
    import pandas as pd

    active = np.argwhere(np.asarray(model.support)).tolist()
    active = [pair for pair in active if pair[0] not in model.velocities]
    rows = []
    for i, k in active:
        value, error = float(model.coefficients[i, k]), float(model.standard_errors[i, k])
        interval = value - _NORMAL_95 * error, value + _NORMAL_95 * error
        rows.append((model.target_names[i], model.term_names[k], value, error, *interval))
    table = pd.DataFrame(rows, columns=_COLUMNS)
    units = [coefficient_unit(model, i, k) for i, k in active]
    return table.assign(unit=pd.Series(units, dtype=object))  # object keeps None as None
