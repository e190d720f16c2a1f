"""The law as a Python function without dependencies."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from discover.kernels import opcodes as oc
from discover.symbolic.straight_line import (
    C_FUNCTIONS,
    LINE,
    RESERVED,
    Dialect,
    Signed,
    StraightLine,
    check_name,
    description,
    fill,
    safe_names,
    sum_parts,
)

if TYPE_CHECKING:
    from discover.symbolic.model import SymbolicModel

__all__ = ["to_python"]

_RESULT = {"continuous": "d{}", "map": "{}_next", "increment": "{}_change", "direct": "{}"}
_HELPERS = {
    oc.SIGN: "def {}(a):\n    return a if a != a else float((a > 0.0) - (a < 0.0))\n",
    oc.MIN: "def {}(a, b):\n    return a if a <= b or a != a else b\n",
    oc.MAX: "def {}(a, b):\n    return a if a >= b or a != a else b\n",
}


def to_python(model: SymbolicModel, name: str = "rhs") -> str:
    """Return the source of a Python module with one function.

    Parameters
    ----------
    model : SymbolicModel
    name : str, default="rhs"
        Name of the function, ``NAME(x, t=0.0, u=None) -> list``.

    Returns
    -------
    str
        Needs nothing but the standard library.

    Raises
    ------
    ValueError
        If `name` cannot name a function.

    Notes
    -----
    The operations and their order are those of :meth:`SymbolicModel.rhs`, and every
    number is written so that it reads back to the same bits. Where the law, or a step on
    the way to it, is not a finite number, Python raises (``ValueError``,
    ``ZeroDivisionError`` or ``OverflowError``) while :meth:`SymbolicModel.rhs` goes on with
    nan or inf.
    """
    check_name(name)
    code = StraightLine(model, _dialect(name), _names(model, {*RESERVED, name}))
    helpers = [text.format(code.functions[op]) for op, text in _HELPERS.items() if op in code.used]
    results = safe_names(
        [_RESULT[model.kind].format(target) for target in model.target_names],
        {*RESERVED, name, "x", "t", "u", *code.taken},
    )
    body = [*_docstring(model), *_unpacked(model, code.names), *code.statements]
    for i, (result, terms) in enumerate(zip(results, code.sums, strict=True)):
        body += [*_assignments(result, terms), *_saturated(model, result, i)]
    body.append(f"return [{', '.join(results)}]")
    definition = [f"def {name}(x, t=0.0, u=None):", *(f"    {line}".rstrip() for line in body)]
    function = "\n".join(definition) + "\n"
    rounded = model.saturation is not None and np.any(model.saturation.whole)
    imports = ["import math\n"] if rounded or code.used & C_FUNCTIONS.keys() else []
    return "\n\n".join([*imports, *helpers, function])


def _dialect(name: str) -> Dialect:
    functions = {op: f"math.{word}" for op, word in C_FUNCTIONS.items()}
    own = {oc.SIGN: f"_{name}_sign", oc.MIN: f"_{name}_min", oc.MAX: f"_{name}_max"}
    return Dialect(repr, functions | {oc.ABS: "abs"} | own, "{} = {}")


def _names(model: SymbolicModel, taken: Collection[str]) -> list[str]:
    """Name the inputs; a state may shadow `x` and `u`, which are unpacked before it."""
    time = ["t"] if model.time_name is not None else []
    states = safe_names(model.state_names, {*taken, *time})
    controls = safe_names(model.control_names, {*taken, *time, *states, "x"})
    return [*states, *controls, *time]


def _unpacked(model: SymbolicModel, names: Sequence[str]) -> list[str]:
    states, n = names[: model.n_states], model.n_states
    controls = names[n : n + model.n_controls]
    lines = [(controls, "u")] if controls else []
    return [f"[{', '.join(group)}] = {source}" for group, source in [*lines, (states, "x")]]


def _docstring(model: SymbolicModel) -> list[str]:
    lines = description(model, "The result is")
    lines += [
        "",
        "Raises ValueError, ZeroDivisionError or OverflowError where a step is not finite.",
    ]
    text = "\n".join(lines).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    first, *rest = text.splitlines()
    return [f'"""{first}', *rest, '"""']


def _assignments(left: str, terms: Sequence[Signed]) -> list[str]:
    lines = []
    for part in sum_parts(left, terms):
        filled = fill(part, LINE - 12 - len(left))
        if len(filled) == 1:
            lines.append(f"{left} = {filled[0]}")
        else:
            lines += [f"{left} = (", *(f"    {line}" for line in filled), ")"]
    return lines


def _saturated(model: SymbolicModel, value: str, target: int) -> list[str]:
    if model.saturation is None:
        return []
    low, high, whole = model.saturation.limits(target)
    lines = [f"{value} = min(max({value}, {low!r}), {high!r})"]
    return [*lines, f"{value} = float(math.floor({value} + 0.5))"] if whole else lines
