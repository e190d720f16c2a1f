"""The law as a C99 function: no heap, no globals, nothing but ``math.h``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discover.kernels import opcodes as oc
from discover.symbolic.straight_line import (
    C_FUNCTIONS,
    LINE,
    RESERVED,
    Dialect,
    StraightLine,
    check_name,
    description,
    fill,
    safe_names,
    sum_parts,
)

if TYPE_CHECKING:
    from discover.symbolic.model import SymbolicModel

__all__ = ["to_c"]

_HELPERS = {
    oc.SIGN: "static inline double {}(double a)\n"
    "{{\n    return a != a ? a : (double)((a > 0.0) - (a < 0.0));\n}}\n",
    oc.MIN: "static inline double {}(double a, double b)\n"
    "{{\n    return (a <= b || a != a) ? a : b;\n}}\n",
    oc.MAX: "static inline double {}(double a, double b)\n"
    "{{\n    return (a >= b || a != a) ? a : b;\n}}\n",
}


def to_c(model: SymbolicModel, name: str = "rhs") -> str:
    """Return C99 source of one function.

    Parameters
    ----------
    model : SymbolicModel
    name : str, default="rhs"
        Name of the function, ``void NAME(const double x[N], double dx[N])``; laws with
        controls take ``const double u[M]``, laws with time ``double t``, after `x`.

    Returns
    -------
    str
        Needs ``math.h`` only; several such sources can stand in one file.

    Raises
    ------
    ValueError
        If `name` cannot name a function.

    Notes
    -----
    The operations and their order are those of :meth:`SymbolicModel.rhs`, as long as the
    compiler keeps to ISO C (no ``-ffast-math``), and numbers read back to the same bits.
    """
    check_name(name)
    taken = {*RESERVED, name, "x", "u", "t", "dx"}
    time = ["t"] if model.time_name is not None else []
    names = safe_names([*model.state_names, *model.control_names], taken) + time
    code = StraightLine(model, _dialect(name), names)
    helpers = [text.format(code.functions[op]) for op, text in _HELPERS.items() if op in code.used]
    body = [*_loads(model, code), *code.statements]
    for i, terms in enumerate(code.sums):
        for part in sum_parts(f"dx[{i}]", terms):
            body.append(f"dx[{i}] = " + "\n        ".join(fill(part, LINE - 16)) + ";")
        body += _saturated(model, f"dx[{i}]", i)
    text = "".join(f"    {line}\n" for line in body)
    function = f"{_comment(model)}void {name}({_arguments(model)})\n{{\n{text}}}\n"
    return "\n".join(["#include <math.h>\n", *helpers, function])


def _dialect(name: str) -> Dialect:
    own = {oc.SIGN: f"{name}_sign", oc.MIN: f"{name}_min", oc.MAX: f"{name}_max"}
    functions = {**C_FUNCTIONS, oc.ABS: "fabs", **own}
    return Dialect(_literal, functions, "const double {} = {};")


def _literal(value: float) -> str:
    """Write a number with the fewest digits that read back to the same bits."""
    return repr(value)


def _arguments(model: SymbolicModel) -> str:
    parts = [f"const double x[{model.n_states}]"]
    parts += [f"const double u[{model.n_controls}]"] if model.n_controls else []
    parts += ["double t"] if model.time_name is not None else []
    return ", ".join([*parts, f"double dx[{len(model.target_names)}]"])


def _loads(model: SymbolicModel, code: StraightLine) -> list[str]:
    """Read the inputs that are used before anything is written, and name the others."""
    n, used = model.n_states, sorted(code.used_inputs)
    places = [f"x[{i}]" for i in range(n)] + [f"u[{j}]" for j in range(model.n_controls)]
    lines = [f"const double {code.names[i]} = {places[i]};" for i in used if i < len(places)]
    unused = [] if any(i < n for i in used) else ["x"]
    unused += ["u"] if model.n_controls and not any(n <= i < len(places) for i in used) else []
    unused += ["t"] if model.time_name is not None and len(places) not in used else []
    return [*lines, *(f"(void){argument};" for argument in unused)]


def _saturated(model: SymbolicModel, value: str, target: int) -> list[str]:
    if model.saturation is None:
        return []
    low, high, whole = model.saturation.limits(target)
    a, b = _literal(low), _literal(high)
    lines = [f"{value} = {value} < {a} ? {a} : {value} > {b} ? {b} : {value};"]
    return [*lines, f"{value} = floor({value} + 0.5);"] if whole else lines


def _comment(model: SymbolicModel) -> str:
    lines = description(model, "dx receives")
    lines.append("dx may be the same array as x. Nothing is allocated or kept between calls.")
    lines.append("Compile as ISO C, without -ffast-math.")
    first, *rest = map(_harmless, lines)
    return "\n".join([f"/* {first}", *(f" * {line}".rstrip() for line in rest), " */\n"])


def _harmless(line: str) -> str:
    """Keep a line from ending or nesting the comment."""
    return line.replace("*/", "* /").replace("/*", "/ *")
