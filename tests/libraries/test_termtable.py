"""Term tables: exact names, exact values, true derivatives."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discover.exceptions import ExpressionError
from discover.kernels import opcodes as oc
from discover.libraries.parse import parse_expression, split_terms
from discover.libraries.termtable import TermTableBuilder

INPUTS = ["x", "y", "z"]
NUMPY = {
    "neg": np.negative,
    **{name: getattr(np, name) for name in oc.UNARY if name != "neg"},
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "min": np.minimum,
    "max": np.maximum,
}


def trees():
    leaves = st.one_of(
        st.sampled_from(INPUTS),
        st.floats(-8, 8, allow_nan=False).map(lambda v: round(v, 3)),
        st.integers(-3, 5),
    )

    def grow(inner):
        unary = st.tuples(st.sampled_from(sorted(oc.UNARY)), inner).map(list)
        binary = st.tuples(st.sampled_from(sorted(oc.BINARY)), inner, inner).map(list)
        return st.one_of(unary, binary)

    return st.recursive(leaves, grow, max_leaves=12)


def table_of(*expressions):
    builder = TermTableBuilder(INPUTS)
    return builder.table([builder.expression(tree) for tree in expressions])


def numpy_twin(tree, columns):
    if isinstance(tree, str):
        return columns[tree]
    if not isinstance(tree, list):
        return np.full(len(columns["x"]), float(tree))
    return NUMPY[tree[0]](*(numpy_twin(argument, columns) for argument in tree[1:]))


@given(trees(), st.integers(0, 2**31))
def test_numba_and_numpy_agree_on_any_expression(tree, seed):
    X = np.random.default_rng(seed).normal(scale=2.0, size=(70, 3))
    table = table_of(tree)
    with np.errstate(all="ignore"):
        columns = dict(zip(INPUTS, X.T, strict=True))
        expected = numpy_twin(table.expression(table.outputs[0]), columns)
    np.testing.assert_allclose(table.evaluate(X)[:, 0], expected, rtol=1e-13, atol=1e-300)


@given(trees(), st.integers(0, 2**31))
def test_names_parse_to_the_same_term_with_the_same_bits(tree, seed):
    table = table_of(tree)
    builder = TermTableBuilder(INPUTS)
    again = builder.table([parse_expression(table.names[0], builder)])
    assert again.names == table.names
    X = np.random.default_rng(seed).normal(size=(9, 3))
    np.testing.assert_array_equal(again.evaluate(X), table.evaluate(X))


@given(st.lists(trees(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_values_do_not_depend_on_the_order_of_construction(expressions, random):
    shuffled = list(expressions)
    random.shuffle(shuffled)
    table, other = table_of(*expressions), table_of(*shuffled)
    X = np.random.default_rng(0).normal(size=(5, 3))
    values = dict(zip(other.names, other.evaluate(X).T, strict=True))
    for name, column in zip(table.names, table.evaluate(X).T, strict=True):
        np.testing.assert_array_equal(column, values[name])


@given(trees(), st.integers(0, 2**31))
def test_jacobian_agrees_with_central_differences(tree, seed):
    X = np.random.default_rng(seed).uniform(0.2, 1.5, size=(4, 3))
    table = table_of(tree)
    exact = table.jacobian(X)[:, 0]
    assert exact.shape == (4, 3)
    step = 1e-6
    for j in range(3):
        shift = np.zeros(3)
        shift[j] = step
        ahead, behind = table.evaluate(X + shift)[:, 0], table.evaluate(X - shift)[:, 0]
        at = table.evaluate(X)[:, 0]
        # infinite values, and one-sided slopes that disagree: a kink or a pole, where no
        # derivative exists
        if not np.isfinite([ahead, behind, at]).all():
            continue
        smooth = np.isclose(ahead - at, at - behind, rtol=1e-3, atol=1e-9) & np.isfinite(
            exact[:, j]
        )
        smooth &= np.abs(at) < 1e6
        slope = (ahead - behind) / (2 * step)
        limit = 2e-3 * np.abs(slope) + 1e-6 * (1 + np.abs(at))
        assert (np.abs(exact[:, j] - slope) <= limit)[smooth].all()


def test_equal_terms_share_one_slot_however_they_are_written():
    builder = TermTableBuilder(INPUTS)
    slots = [parse_expression(text, builder) for text in ("x*y*x", "x**2*y", "y*(x*x)", "x^2*y")]
    assert len(set(slots)) == 1
    assert builder.table(slots).names == ("x**2*y",)


@pytest.mark.parametrize("n", [0, 1, 3, 7, 8, 63, 64, 65, 200])
def test_rows_do_not_depend_on_how_many_are_evaluated_together(n):
    builder = TermTableBuilder(INPUTS)
    table = builder.table([parse_expression(s, builder) for s in split_terms("x*y, sin(z)/x, z")])
    X = np.random.default_rng(1).normal(size=(n, 3))
    rows = [table.evaluate(row[None])[0] for row in X]
    np.testing.assert_array_equal(table.evaluate(X), np.array(rows).reshape(n, 3))


def test_names_do_not_grow_without_end_where_expressions_are_used_again_and_again():
    builder = TermTableBuilder(["x"])
    slot = 0
    for _ in range(60):
        slot = builder.binary("add", builder.unary("sin", slot), builder.unary("cos", slot))
    (name,) = builder.table([slot]).names
    assert len(name) <= 10_000


def test_select_keeps_values_and_drops_instructions():
    builder = TermTableBuilder(INPUTS)
    table = builder.table([parse_expression(s, builder) for s in split_terms("x, sin(x*y), z**3")])
    X = np.random.default_rng(1).normal(size=(5, 3))
    part = table.select([2])
    np.testing.assert_array_equal(part.evaluate(X)[:, 0], table.evaluate(X)[:, 2])
    assert len(part.program) == 2


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "x.real",
        "x[0]",
        "lambda: x",
        "x if y else z",
        "open('f')",
        "x == y",
        "[x]",
        "'x'",
        "True",
        "1j",
        "unknown",
        "sin(x, y)",
        "sin",
        "x y",
        "",
        "x +",
        "f'{x}'",
        "1e999",
        "(" * 500 + "x" + ")" * 500,
        "-" * 500 + "x",
    ],
)
def test_anything_but_arithmetic_is_refused(text):
    with pytest.raises(ExpressionError, match="library"):
        parse_expression(text, TermTableBuilder(INPUTS))


def test_constants_and_aliases():
    builder = TermTableBuilder(["x"])
    table = builder.table([parse_expression(s, builder) for s in ("2*pi*x", "atan(x)", "ln(x)")])
    expected = [2 * math.pi * 0.3, math.atan(0.3), math.log(0.3)]
    np.testing.assert_allclose(table.evaluate([[0.3]])[0], expected, rtol=1e-15)
