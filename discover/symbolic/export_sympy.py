"""Equations as sympy objects, built from the table; no text is parsed on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from discover.kernels import opcodes as oc
from discover.libraries.termtable import TermTable
from discover.symbolic.jets import axes_of, read_jets

if TYPE_CHECKING:
    from discover.symbolic.model import SymbolicModel

__all__ = ["parameters", "to_sympy"]

_DIGITS = 17  # enough for any double; sympy's own default of 15 is not


def to_sympy(
    model: SymbolicModel, form: Literal["eq", "expr"] = "eq", values: bool = True
) -> list[Any]:
    """Return the law as sympy objects, one per target.

    The exception are equations of second-order laws, ``Eq(Derivative(y(t), (t, 2)), ...)``
    in ``y(t)`` and ``Derivative(y(t), t)``: there is one for each coordinate.

    Parameters
    ----------
    model : SymbolicModel
    form : {"eq", "expr"}, default="eq"
        "eq" for equations: ``Eq(Derivative(x(t), t), ...)`` in the functions ``x(t)`` for a
        continuous law, ``Eq(x(k + 1), ...)`` and ``Eq(x(k + 1) - x(k), ...)`` in ``x(k)``
        for maps and increments, ``Eq(y, ...)`` in symbols for direct laws; those over jets
        are partial differential equations, ``u_xx`` is ``Derivative(u(x, t), (x, 2))``.
        "expr" for the right-hand sides alone, in real symbols of the names of the inputs.
    values : bool, default=True
        Whether to write the coefficients as numbers. Otherwise they are the symbols
        ``theta_i_j`` (equation i, term j) that :func:`parameters` explains.

    Returns
    -------
    list of sympy.Eq or sympy.Expr

    Raises
    ------
    ValueError
        If `form` is neither "eq" nor "expr".

    Notes
    -----
    Every number is a ``Float`` of 17 digits that converts back to the same double, save
    that sympy has no negative zero; whole exponents are ``Integer``. Where sympy's own
    arithmetic would merge, round or drop a number, the sum or product is left unevaluated.
    ``str``, ``pycode`` and ``lambdify`` with a module other than mpmath print 15 digits:
    take code from :meth:`SymbolicModel.to_python`.
    """
    import sympy

    if form not in ("eq", "expr"):
        raise ValueError(f"to_sympy: form must be 'eq' or 'expr'; got {form!r}.")
    model = model.pruned() if values else model
    clock, inputs = _inputs(model, form)
    terms = _terms(model.table, inputs)
    sides = [_right_side(model, i, terms, values) for i in range(len(model.target_names))]
    if form == "expr":
        return sides
    lefts = _left_sides(model, clock, inputs)
    said = [i for i in range(len(sides)) if i not in model.velocities]
    return [sympy.Eq(lefts[i], sides[i], evaluate=False) for i in said]


def parameters(model: SymbolicModel) -> dict[Any, tuple[float, float]]:
    """Return the coefficients behind the symbols of ``to_sympy(values=False)``.

    Parameters
    ----------
    model : SymbolicModel

    Returns
    -------
    dict of sympy.Symbol to (value, standard error)
        In the order of ``np.argwhere(model.support)``, which is that of the covariance.
        The standard error is NaN where none is known.
    """
    errors = model.standard_errors
    return {
        _parameter(model, i, k): (float(model.coefficients[i, k]), float(errors[i, k]))
        for i, k in np.argwhere(np.asarray(model.support)).tolist()
    }


def _parameter(model: SymbolicModel, target: int, term: int) -> Any:
    import sympy

    taken = {*model.table.inputs, *model.target_names}
    name = f"theta_{target}_{term}"
    while name in taken:
        name += "_"
    return sympy.Symbol(name, real=True)


# -- sides -----------------------------------------------------------------------------


def _inputs(model: SymbolicModel, form: str) -> tuple[Any, list[Any]]:
    """Return the independent variable and one sympy object per input of the table."""
    import sympy

    jets = read_jets(model)
    if jets and form == "eq":
        return sympy.Symbol("t", real=True), [_derivative(jets, n) for n in model.table.inputs]
    continuous = model.kind == "continuous"
    name = (model.time_name or "t") if continuous else "k"
    while name in (*model.state_names, *model.control_names):
        name += "_"
    clock = sympy.Symbol(name, real=True) if continuous else sympy.Symbol(name, integer=True)
    if form == "expr" or model.kind == "direct":
        return clock, [sympy.Symbol(name, real=True) for name in model.table.inputs]
    inputs = [sympy.Function(n)(clock) for n in (*model.state_names, *model.control_names)]
    for coordinate, velocity in model.velocities.items():
        inputs[velocity] = sympy.Derivative(inputs[coordinate], clock)
    if model.time_name is not None:
        inputs.append(clock if continuous else sympy.Symbol(model.time_name, real=True))
    return clock, inputs


def _derivative(jets: dict[str, tuple[str, str]], name: str) -> Any:
    """Return a jet as the derivative of a function of the axes and of time."""
    import sympy

    symbols = {axis: sympy.Symbol(axis, real=True) for axis in (*axes_of(jets), "t")}
    base, letters = jets[name]
    value = sympy.Function(base)(*symbols.values())
    orders = [(symbols[axis], letters.count(axis)) for axis in symbols if axis in letters]
    return sympy.Derivative(value, *orders) if orders else value


def _left_sides(model: SymbolicModel, clock: Any, inputs: Sequence[Any]) -> list[Any]:
    import sympy

    jets = read_jets(model)
    if jets:
        return [_derivative(jets, name) for name in model.target_names]
    if model.kind == "direct":
        return [sympy.Symbol(name, real=True) for name in model.target_names]
    states = inputs[: model.n_states]
    if model.kind == "continuous":
        return [sympy.Derivative(state, clock) for state in states]
    following = [state.func(clock + 1) for state in states]
    if model.kind == "map":
        return following
    return [after - now for after, now in zip(following, states, strict=True)]


def _right_side(model: SymbolicModel, target: int, terms: Sequence[Any], values: bool) -> Any:
    import sympy

    products = []
    for k in np.flatnonzero(np.asarray(model.support)[target]).tolist():
        number = _number(model.coefficients[target, k])
        factor = number if values else _parameter(model, target, k)
        products.append(factor if terms[k] == 1 else _joined(sympy.Mul, [factor, terms[k]]))
    return _saturated(model, target, _joined(sympy.Add, products))


def _saturated(model: SymbolicModel, target: int, value: Any) -> Any:
    import sympy

    if model.saturation is None:
        return value
    low, high, whole = model.saturation.limits(target)
    clipped = sympy.Max(_number(low), value, evaluate=False)
    clipped = sympy.Min(_number(high), clipped, evaluate=False)
    if not whole:
        return clipped
    shifted = sympy.Add(clipped, sympy.Rational(1, 2), evaluate=False)
    return sympy.floor(shifted, evaluate=False)


# -- terms -----------------------------------------------------------------------------


def _number(value: float) -> Any:
    import sympy

    return sympy.Float(float(value), _DIGITS)


def _joined(kind: Any, arguments: Sequence[Any]) -> Any:
    """Add or multiply; without evaluation where that would change a part."""
    parts = [part for argument in arguments for part in kind.make_args(argument)]
    value = kind(*arguments)
    if Counter(kind.make_args(value)) == Counter(parts):
        return value
    return kind(*parts, evaluate=False)


def _power(base: Any, exponent: Any) -> Any:
    """Raise to a power; without evaluation where that would change a number."""
    import sympy

    value = sympy.Pow(base, exponent)
    numbers = base.atoms(sympy.Float) | exponent.atoms(sympy.Float)
    # else evaluated: sympy's code printers misread an unevaluated 1/(1/x)
    if value.atoms(sympy.Float) != numbers:
        return sympy.Pow(base, exponent, evaluate=False)
    return value


def _terms(table: TermTable, inputs: Sequence[Any]) -> list[Any]:
    """Return one expression per term; the constant 1 becomes the integer."""
    slots = list(inputs)
    factors: list[Counter[int]] = [Counter({i: 1}) for i in range(len(slots))]
    constants = _Constants(table)
    for slot, (op, a, b) in enumerate(table.program.tolist(), start=len(slots)):
        product = factors[a] + factors[b] if op == oc.MUL else Counter({slot: 1})
        factors.append(product)
        slots.append(_slot(op, a, b, product, slots, constants))
    return [1 if constants.get(slot) == 1.0 else slots[slot] for slot in table.outputs.tolist()]


class _Constants(dict[int, float]):
    """The number in every slot that holds one."""

    def __init__(self, table: TermTable) -> None:
        numbers = table.constants.tolist()
        for slot, (op, a, _) in enumerate(table.program.tolist(), start=table.n_inputs):
            if op == oc.CONST:
                self[slot] = numbers[a]


def _slot(
    op: int, a: int, b: int, product: Counter[int], slots: list[Any], constants: _Constants
) -> Any:
    """Return the expression of one instruction."""
    import sympy

    if op == oc.CONST:
        return _number(constants[len(slots)])
    if op == oc.MUL:
        powers = [_power(slots[s], sympy.Integer(e)) for s, e in product.items()]
        return _joined(sympy.Mul, powers)
    if op == oc.POW:
        exponent = constants.get(b)
        whole = exponent is not None and exponent == int(exponent)
        return _power(slots[a], sympy.Integer(int(exponent or 0)) if whole else slots[b])
    if op == oc.DIV:
        inverse = _power(slots[b], sympy.Integer(-1))
        return inverse if constants.get(a) == 1.0 else _joined(sympy.Mul, [slots[a], inverse])
    return _binary(op, slots[a], slots[b]) if op < oc.NEG else _unary(op, slots[a])


def _binary(op: int, left: Any, right: Any) -> Any:
    import sympy

    if op == oc.ADD:
        return _joined(sympy.Add, [left, right])
    if op == oc.SUB:
        return _joined(sympy.Add, [left, _negative(right)])
    return (sympy.Min if op == oc.MIN else sympy.Max)(left, right, evaluate=False)


def _negative(value: Any) -> Any:
    import sympy

    return _joined(sympy.Mul, [sympy.Integer(-1), value])


def _unary(op: int, value: Any) -> Any:
    import sympy

    if op == oc.NEG:
        return _negative(value)
    if op == oc.SQRT:
        return _power(value, sympy.Rational(1, 2))
    if op == oc.EXPM1:
        return _joined(sympy.Add, [sympy.exp(value, evaluate=False), sympy.Integer(-1)])
    if op == oc.LOG1P:
        return sympy.log(_joined(sympy.Add, [sympy.Integer(1), value]), evaluate=False)
    return _function(op)(value, evaluate=False)


def _function(op: int) -> Callable[..., Any]:
    import sympy

    special = {oc.ABS: "Abs", oc.ARCSIN: "asin", oc.ARCCOS: "acos", oc.ARCTAN: "atan"}
    name = special.get(op) or next(name for name, code in oc.UNARY.items() if code == op)
    function: Callable[..., Any] = getattr(sympy, name)
    return function
