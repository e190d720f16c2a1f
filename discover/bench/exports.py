"""Do coefficients survive every export bit for bit? A count over random models.

Every model goes out and comes back through a model file, sympy, Python and C. Two things
are compared with the model: the bits of its coefficients, and values at random points, as
an error in units of ``4 eps sum |coefficient * term|``. Values from Python and C are
compared with :meth:`SymbolicModel.rhs`; values from sympy, which orders its sums itself,
with the table, both evaluated with 40 digits. C may differ in the last bit where the
compiler evaluates a function of a constant itself, with better rounding than the library.
"""

from __future__ import annotations

import ast
import ctypes
import importlib
import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discover.kernels import opcodes as oc
from discover.libraries.termtable import TermTable, TermTableBuilder
from discover.symbolic import SymbolicModel
from discover.symbolic.model_file import from_json, to_json
from discover.typing import FloatArray

__all__ = [
    "Count",
    "c_library",
    "c_literals",
    "c_values",
    "error_units",
    "law_coefficients",
    "python_function",
    "python_literals",
    "random_model",
    "random_points",
    "run",
    "same_bits",
    "sympy_coefficients",
]

_N_POINTS = 5
_NUMBERS = (0.1, 1.0, -1.0, 3.0, -2.5, 1e300, -1e-300, 5e-324, -2.2e-308, 2.0**53, -0.0)
_POWERS = (2.0, 3.0, -1.0, -2.0, 0.5, 1.5, -0.7)
_FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")


@dataclass
class Count:
    """What happened to the models on one road.

    Parameters
    ----------
    target : str
    models : int
    mismatches : int
        Coefficients whose bits changed, or that came back in the wrong number.
    worst : float
        Largest error of a value, in units of ``4 eps sum |coefficient * term|``.
    values : int
        How many values were compared.
    """

    target: str
    models: int = 0
    mismatches: int = 0
    worst: float = 0.0
    values: int = 0

    def add(self, mismatches: int, errors: FloatArray) -> None:
        """Count one more model."""
        self.models += 1
        self.mismatches += mismatches
        self.worst = max(self.worst, errors.max(initial=0.0))
        self.values += errors.size

    def __str__(self) -> str:
        return (
            f"{self.target:8} {self.models:6} models  {self.mismatches:4} coefficient mismatches  "
            f"max error {self.worst:.3g} of 4 eps sum|terms| over {self.values} values"
        )


def run(n_models: int = 1000, seed: int = 0) -> list[Count]:
    """Send random models through every export, count what changed, and print it.

    Parameters
    ----------
    n_models : int, default=1000
    seed : int, default=0

    Returns
    -------
    list of Count
        For the model file, sympy, Python and C.
    """
    rng = np.random.default_rng(seed)
    models = [random_model(rng) for _ in range(n_models)]
    points = [random_points(rng, model) for model in models]
    counts = [through_files(models, points), through_sympy(models, points)]
    counts += [through_python(models, points), through_c(models, points)]
    for count in counts:
        print(count)
    return counts


# -- random models -----------------------------------------------------------------------


def random_model(rng: np.random.Generator) -> SymbolicModel:
    """Return a law with random terms from the whole list of functions.

    Parameters
    ----------
    rng : numpy.random.Generator

    Returns
    -------
    SymbolicModel
        One to three states, up to two controls, with or without time; up to eight terms,
        nested up to three deep, that are finite somewhere; coefficients plain, whole, huge,
        tiny, subnormal, -0.0.
    """
    while True:
        model = _random_law(rng)
        points = rng.uniform(-2.0, 2.0, (32, model.table.n_inputs))
        if np.isfinite(all_slots(model, points)).all(axis=1).any():
            return model


def _random_law(rng: np.random.Generator) -> SymbolicModel:
    states = [f"x{i}" for i in range(rng.integers(1, 4))]
    controls = [f"u{i}" for i in range(rng.integers(0, 3))]
    time = "t" if rng.random() < 0.3 else None
    builder = TermTableBuilder([*states, *controls, *([] if time is None else [time])])
    table = builder.table([_tree(rng, builder, 3) for _ in range(rng.integers(1, 9))])
    support = rng.random((len(states), table.n_terms)) < 0.7
    coefficients = np.where(support, _numbers(rng, support.shape), 0.0)
    return SymbolicModel(
        table, coefficients, states, controls, time_name=time, support=support
    ).pruned()


def _tree(rng: np.random.Generator, builder: TermTableBuilder, depth: int) -> int:
    draw = rng.random()
    if depth == 0 or draw < 0.3:
        return int(rng.integers(len(builder.inputs)))
    if draw < 0.4:
        return builder.constant(float(rng.choice([rng.normal(), float(rng.integers(-3, 4)), 0.1])))
    if draw < 0.55:
        exponent = builder.constant(float(rng.choice(_POWERS)))
        return builder.pow(_tree(rng, builder, depth - 1), exponent)
    if draw < 0.75:
        return builder.unary(str(rng.choice([*oc.UNARY])), _tree(rng, builder, depth - 1))
    name = str(rng.choice([*oc.BINARY]))
    return builder.binary(name, *(_tree(rng, builder, depth - 1) for _ in range(2)))


def _numbers(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Draw doubles of every kind: from bits, decimals, whole numbers, corner cases."""
    bits = rng.integers(0, 2**64, shape, dtype=np.uint64).view(np.float64)
    kinds = [
        np.where(np.isfinite(bits), bits, 0.3),
        rng.normal(size=shape),
        rng.normal(size=shape) * 10.0 ** rng.integers(-12, 12, shape),
        np.round(rng.normal(size=shape) * 10, 2),
        rng.integers(-20, 20, shape).astype(np.float64),
        rng.choice(_NUMBERS, shape),
    ]
    return np.choose(rng.integers(len(kinds), size=shape), kinds)


def random_points(rng: np.random.Generator, model: SymbolicModel) -> FloatArray:
    """Return inputs ``(n_points, n_inputs)``: states, controls, time."""
    return rng.uniform(-2.0, 2.0, (_N_POINTS, model.table.n_inputs))


# -- comparing ---------------------------------------------------------------------------


def law_coefficients(model: SymbolicModel) -> list[list[float]]:
    """Return the coefficients in the law, by target."""
    support = np.asarray(model.support)
    return [row[s].tolist() for row, s in zip(model.coefficients, support, strict=True)]


def same_bits(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]]) -> int:
    """Return how many numbers of two lists of lists differ in their bits."""
    wrong = abs(len(a) - len(b))
    for first, second in zip(a, b, strict=False):
        wrong += abs(len(first) - len(second))
        wrong += sum(p.hex() != q.hex() for p, q in zip(first, second, strict=False))
    return wrong


def model_values(model: SymbolicModel, points: FloatArray) -> FloatArray:
    """Evaluate the law on rows of states, controls and time."""
    x, u, t = split(model, points)
    return model.rhs(x, t, u if model.n_controls else None)


def split(model: SymbolicModel, points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Split rows of inputs into states, controls and times."""
    n, m = model.n_states, model.n_controls
    timed = model.time_name is not None
    times = points[:, -1] if timed else np.zeros(len(points))
    return points[:, :n], points[:, n : n + m], times


def all_slots(model: SymbolicModel, points: FloatArray) -> FloatArray:
    """Evaluate every step of the law's program on every point."""
    program, constants, *_ = model.program
    n_slots = model.table.n_inputs + len(program)
    slots = np.arange(n_slots, dtype=np.int32)
    return TermTable(model.table.inputs, program, constants, slots).evaluate(points)


def error_units(
    model: SymbolicModel, points: FloatArray, found: FloatArray, expected: FloatArray | None = None
) -> FloatArray:
    """Return errors in units of ``4 eps sum |coefficient * term|``, where that is finite.

    Parameters
    ----------
    model : SymbolicModel
    points : ndarray of shape (n_points, n_inputs)
    found : ndarray of shape (n_points, n_targets)
    expected : ndarray of shape (n_points, n_targets), optional
        By default the values of the model.

    Returns
    -------
    ndarray of shape (n_compared,)
        Infinite where only one of the two is a number.
    """
    expected = model_values(model, points) if expected is None else expected
    with np.errstate(all="ignore"):
        terms = np.abs(model.table.evaluate(points))
        size = terms @ np.abs(model.coefficients).T
        unit = np.maximum(4 * np.finfo(float).eps * size, np.finfo(float).smallest_subnormal)
        error = np.abs(found - expected) / unit
    equal = (found == expected) | (np.isnan(found) & np.isnan(expected))
    error = np.where(equal, 0.0, np.where(np.isnan(error), np.inf, error))
    return np.asarray(error[np.isfinite(size)])


# -- the roads ---------------------------------------------------------------------------


def through_files(models: Sequence[SymbolicModel], points: Sequence[FloatArray]) -> Count:
    """Write and read every model as a file's text; values must be the same to the bit."""
    count = Count("file")
    for model, X in zip(models, points, strict=True):
        back = from_json(to_json(model))
        changed = same_bits(law_coefficients(model), law_coefficients(back))
        same = model_values(model, X).tobytes() == model_values(back, X).tobytes()
        count.add(changed, np.where(same, 0.0, np.inf) * np.ones(len(X)))
    return count


def through_sympy(models: Sequence[SymbolicModel], points: Sequence[FloatArray]) -> Count:
    """Read the coefficients out of sympy's expressions and evaluate those with 40 digits."""
    count = Count("sympy")
    for model, X in zip(models, points, strict=True):
        sides = model.to_sympy(form="expr")
        signless = [sorted(c + 0.0 for c in row) for row in law_coefficients(model)]
        changed = same_bits(signless, [sorted(sympy_coefficients(side)) for side in sides])
        tame = X[(np.abs(all_slots(model, X)) < 1e3).all(axis=1)]
        count.add(changed, _sympy_errors(model, sides, tame))
    return count


def sympy_coefficients(side: Any) -> list[float]:
    """Return the coefficients of a right-hand side; sympy has no negative zero."""
    from sympy import Add

    parts = [] if side == 0 and not side.is_Float else Add.make_args(side)
    return [float(part.as_coeff_Mul()[0]) for part in parts]


def _sympy_errors(model: SymbolicModel, sides: Sequence[Any], points: FloatArray) -> FloatArray:
    import sympy

    mpmath = _mpmath()

    symbols = [sympy.Symbol(name, real=True) for name in model.table.inputs]
    function = sympy.lambdify(symbols, list(sides), "mpmath")
    errors = []
    with mpmath.workdps(40):
        for point in points.tolist():
            found = function(*map(mpmath.mpf, point))
            for value, (total, size) in zip(found, _exact(model, point), strict=True):
                unit = mpmath.mpf(4 * np.finfo(float).eps) * size
                difference = abs(value - total)
                errors.append(float(difference / unit) if difference else 0.0)
    return np.array(errors)


def _mpmath() -> Any:
    return importlib.import_module("mpmath")  # untyped, and there wherever sympy is


def _exact(model: SymbolicModel, point: Sequence[float]) -> list[tuple[Any, Any]]:
    """Return value and size of every target, from the table with mpmath."""
    mpmath = _mpmath()

    program, constants, indptr, slots, weights = (part.tolist() for part in model.program)
    v = [mpmath.mpf(value) for value in point]
    for op, a, b in program:
        v.append(mpmath.mpf(constants[a]) if op == oc.CONST else _mp(op)(v[a], v[b]))
    results = []
    for start, stop in pairwise(indptr):
        products = [mpmath.mpf(weights[e]) * v[slots[e]] for e in range(start, stop)]
        results.append((mpmath.fsum(products), mpmath.fsum(map(abs, products))))
    return results


def _mp(op: int) -> Callable[[Any, Any], Any]:
    """Return an operation on two mpmath numbers; unary ones ignore the second."""
    mpmath = _mpmath()

    binary: dict[int, Callable[[Any, Any], Any]] = {
        oc.ADD: lambda a, b: a + b,
        oc.SUB: lambda a, b: a - b,
        oc.MUL: lambda a, b: a * b,
        oc.DIV: lambda a, b: a / b,
        oc.POW: mpmath.power,
        oc.MIN: min,
        oc.MAX: max,
        oc.NEG: lambda a, b: -a,
        oc.ABS: lambda a, b: abs(a),
        oc.ARCSIN: lambda a, b: mpmath.asin(a),
        oc.ARCCOS: lambda a, b: mpmath.acos(a),
        oc.ARCTAN: lambda a, b: mpmath.atan(a),
    }
    word = next((word for word, code in oc.UNARY.items() if code == op), "")
    return binary.get(op) or (lambda a, b: getattr(mpmath, word)(a))


def through_python(models: Sequence[SymbolicModel], points: Sequence[FloatArray]) -> Count:
    """Read the coefficients out of the Python source, run it, and compare values."""
    count = Count("python")
    for model, X in zip(models, points, strict=True):
        source = model.to_python()
        found = [[float(text) for text in row] for row in python_literals(source)]
        values, reached = _python_values(model, python_function(source), X)
        stopped = ~reached & np.isfinite(all_slots(model, X)).all(axis=1)  # must not happen
        changed = same_bits(written_coefficients(model), found) + int(stopped.sum())
        count.add(changed, error_units(model, X[reached], values[reached]))
    return count


def _python_values(
    model: SymbolicModel, function: Callable[..., list[float]], points: FloatArray
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Run the function on every point; False where it raised."""
    states, controls, times = (part.tolist() for part in split(model, points))
    values = np.zeros((len(points), len(model.target_names)))
    reached = np.ones(len(points), dtype=bool)
    for i, (x, u, t) in enumerate(zip(states, controls, times, strict=True)):
        try:
            values[i] = function(x, t, u)
        except (ValueError, ZeroDivisionError, OverflowError):
            reached[i] = False
    return values, reached


def python_function(source: str, name: str = "rhs") -> Callable[..., list[float]]:
    """Return the function that exported source defines."""
    namespace: dict[str, Any] = {}
    exec(compile(source, "<exported>", "exec"), namespace)
    function: Callable[..., list[float]] = namespace[name]
    return function


def through_c(models: Sequence[SymbolicModel], points: Sequence[FloatArray]) -> Count:
    """Compile all laws in one file, and read their coefficients as the compiler did."""
    count = Count("c")
    parts = []
    for i, model in enumerate(models):
        source = model.to_c(f"law_{i}")
        rows = [", ".join(row) for row in c_literals(source, len(model.target_names))]
        parts += [source, f"const double coefficients_{i}[] = {{{', '.join(rows)}}};\n"]
    with tempfile.TemporaryDirectory() as folder:
        library = c_library("\n".join(parts), Path(folder))
        for i, (model, X) in enumerate(zip(models, points, strict=True)):
            expected = [[*chain.from_iterable(written_coefficients(model))]]
            found = (ctypes.c_double * len(expected[0])).in_dll(library, f"coefficients_{i}")
            values = c_values(model, getattr(library, f"law_{i}"), X)
            count.add(same_bits(expected, [list(found)]), error_units(model, X, values))
    return count


def c_library(source: str, folder: Path) -> ctypes.CDLL:
    """Compile C99 source, with warnings as errors, and load it."""
    file, binary = folder / "laws.c", folder / "laws.so"
    file.write_text(source, encoding="utf-8")
    subprocess.run(["cc", *_FLAGS, str(file), "-o", str(binary), "-lm"], check=True)
    return ctypes.CDLL(str(binary))


def c_values(model: SymbolicModel, function: Any, points: FloatArray) -> FloatArray:
    """Call a compiled law on every point: ``(n_points, n_targets)``."""
    pointer = ctypes.POINTER(ctypes.c_double)
    function.restype = None
    values = np.full((len(points), len(model.target_names)), np.nan)
    for x, u, t, out in zip(*split(model, points), values, strict=True):
        arguments: list[Any] = [np.ascontiguousarray(x).ctypes.data_as(pointer)]
        if model.n_controls:
            arguments.append(np.ascontiguousarray(u).ctypes.data_as(pointer))
        if model.time_name is not None:
            arguments.append(ctypes.c_double(t))
        function(*arguments, out.ctypes.data_as(pointer))
    return values


# -- coefficients in source text -----------------------------------------------------------


def written_coefficients(model: SymbolicModel) -> list[list[float]]:
    """Return the numbers that source code adds up: 0.0 for an equation without terms."""
    return [row or [0.0] for row in law_coefficients(model)]


def python_literals(source: str, name: str = "rhs") -> list[list[str]]:
    """Return the coefficients in exported Python, as text, by target."""
    (function,) = (
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name == name
    )
    *assignments, last = function.body
    assert isinstance(last, ast.Return)
    assert isinstance(last.value, ast.List)
    rows: dict[str, list[str]] = {ast.unparse(target): [] for target in last.value.elts}
    lines = source.encode().split(b"\n")
    for node in assignments:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in rows:
            rows[ast.unparse(node.targets[0])] += _sum_literals(lines, node.value)
    return list(rows.values())


def c_literals(source: str, n_targets: int) -> list[list[str]]:
    """Return the coefficients in exported C, as text, by target; a sum reads as in Python."""
    rows: list[list[str]] = [[] for _ in range(n_targets)]
    for target, text in re.findall(r"dx\[(\d+)\] = ([^;]*);", source):
        expression = f"({text})"
        lines = expression.encode().split(b"\n")
        rows[int(target)] += _sum_literals(lines, ast.parse(expression, mode="eval").body)
    return rows


def _sum_literals(lines: Sequence[bytes], node: ast.expr) -> list[str]:
    """Return the numbers that lead the products of a sum, from left to right."""
    found = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        sign = "-" if isinstance(node.op, ast.Sub) else ""
        found.append(sign + _leading(lines, node.right))
        node = node.left
    if not isinstance(node, ast.Name | ast.Subscript):  # else: the sum goes on from there
        found.append(_leading(lines, node))
    return found[::-1]


def _leading(lines: Sequence[bytes], node: ast.expr) -> str:
    """Return the text of a number as it stands; `ast` counts in bytes."""
    node = node.left if isinstance(node, ast.BinOp) else node
    return lines[node.lineno - 1][node.col_offset : node.end_col_offset].decode()
