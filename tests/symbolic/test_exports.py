"""Every export keeps every bit; every printout keeps every term."""

import ast
import html
import math
import re
import shutil
from dataclasses import replace
from decimal import Decimal, localcontext

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.mathtext import MathTextParser

from discover.bench.exports import (
    all_slots,
    c_library,
    c_values,
    error_units,
    law_coefficients,
    model_values,
    python_function,
    python_literals,
    random_model,
    random_points,
    run,
    same_bits,
    sympy_coefficients,
    written_coefficients,
)
from discover.libraries.parse import parse_expression
from discover.libraries.termtable import TermTableBuilder
from discover.symbolic import SymbolicModel
from discover.symbolic.digits import latex_number, round_number, text_number
from discover.symbolic.export_latex import latex_lines, latex_name
from discover.symbolic.export_sympy import parameters
from discover.symbolic.text import coefficient_unit, equation_lines, time_unit

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
NAN = math.nan
DOUBLES = st.floats(allow_nan=False, allow_infinity=False)


def law(inputs, terms, coefficients, **options):
    builder = TermTableBuilder(inputs)
    table = builder.table([parse_expression(term, builder) for term in terms])
    return SymbolicModel(table, np.array(coefficients, dtype=float), **options)


def pelts(**options):
    return law(
        ["h", "l"],
        ["h", "l", "h*l"],
        [[0.5471, 0, -0.02812], [0, -0.84, 0.0263]],
        state_names=["h", "l"],
        **{
            "covariance": np.diag([0.012, 0.0007, 0.03, 0.0012]) ** 2,
            "units": {"h": "pelts", "l": "pelts", "t": "year"},
            **options,
        },
    )


def renamed(model, names):
    """The same law with names that no parser would read."""
    table = model.table.rename(names)
    new = {
        f"{group}_names": [names.get(n, n) for n in getattr(model, f"{group}_names")]
        for group in ("state", "control", "target")
    }
    return replace(model, table=table, time_name=names.get(model.time_name), **new)


@st.composite
def models(draw):
    model = random_model(np.random.default_rng(draw(st.integers(0, 2**32 - 1))))
    coefficients = model.coefficients.copy()
    for i, k in np.argwhere(model.support)[:3]:
        coefficients[i, k] = draw(DOUBLES)
    return model.with_coefficients(coefficients)


def points_of(model):
    return random_points(np.random.default_rng(0), model)


# -- digits ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (9.9812, 0.031, "9.98(3)"),
        (1.23406e-5, 1.6e-7, "1.234(16)e-5"),
        (0.5471, 0.012, "0.547(12)"),
        (0.02812, 0.0007, "0.0281(7)"),
        (-3.0, 0.00061, "3.0000(6)"),
        (12345.0, 200.0, "1.234(20)e4"),
        (28.0, 10.0, "28(10)"),
        (0.0999, 0.0999, "0.10(10)"),
        (0.001, 0.5, "0.001(500)"),
        (1e-12, 0.5, "(1e-12 ± 0.5)"),
        (0.0, 0.012, "0.000(12)"),
        (9.98, NAN, "9.98"),
        (10.0, NAN, "10"),
        (-0.0, NAN, "0"),
        (8 / 3, NAN, "2.66667"),
        (9.9999999, NAN, "10"),
        (999999.7, NAN, "1e6"),
        (5e-324, NAN, "4.94066e-324"),
        (9.98, math.inf, "9.98"),
        (9.98, 0.0, "9.98"),
        (0.1 + 0.2, 1e-20, "0.30000000000000004"),
        (3.0, 5e-324, "3"),
    ],
)
def test_digits_follow_the_uncertainty(value, error, text):
    assert text_number(round_number(value, error)) == text


@given(value=DOUBLES, error=st.floats(min_value=0))
def test_a_number_keeps_its_size_and_never_becomes_zero(value, error):
    number = round_number(value, error)
    read, size = Decimal(f"{number.digits}e{number.exponent}"), Decimal(abs(value))
    assert (read == 0) == (value == 0)
    assert number.negative == (math.copysign(1, value) < 0)
    known = 0 < error < math.inf
    assert abs(read - size) <= (max(Decimal(error), size / 2) if known else size / 10**5)


@given(value=DOUBLES.filter(bool))
def test_seventeen_digits_are_the_number(value):
    assert float(text_number(round_number(abs(value), digits=17))) == abs(value)


def test_rounding_does_not_depend_on_the_callers_decimal_context():
    with localcontext() as context:
        context.prec = 2
        assert text_number(round_number(8 / 3)) == "2.66667"


@pytest.mark.parametrize(("value", "digits"), [(NAN, None), (math.inf, 3), (1.0, 0), (1.0, 18)])
def test_what_cannot_be_rounded_is_refused(value, digits):
    with pytest.raises(ValueError, match="value must be finite and digits between 1 and 17"):
        round_number(value, digits=digits)


def test_latex_numbers_use_powers_of_ten():
    assert latex_number(round_number(1.234e-5, 5.6e-7)) == r"1.23(6) \times 10^{-5}"
    assert r"\pm" in latex_number(round_number(1e-12, 0.5))


# -- text --------------------------------------------------------------------------------


def test_the_text_is_aligned_signed_and_has_units():
    assert str(pelts()).splitlines() == [
        "h' =  0.547(12) h - 0.0281(7) h*l",
        "l' = -0.840(30) l + 0.0263(12) h*l",
        "units: h pelts, l pelts, t year",
    ]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("continuous", "x'  = -2 x + 3"),
        ("map", "x[k+1]  = -2 x + 3"),
        ("increment", "x[k+1] - x[k]   = -2 x + 3"),
        ("direct", "x  = -2 x + 3"),
    ],
)
def test_the_left_side_says_the_kind(kind, text):
    model = law(["x", "yy"], ["x", "1"], [[-2, 3], [0, 0]], state_names=["x", "yy"], kind=kind)
    first, second = model.equations()
    assert first == text
    assert second.endswith("=  0")
    assert first.index("=", 10 if kind == "increment" else 0) > 0
    assert first.index(" = ") == second.index(" = ")


def test_a_direct_law_is_named_by_its_target():
    model = law(["x"], ["x"], [[2]], state_names=["x"], target_names=["r"], kind="direct")
    assert model.equations() == ["r =  2 x"]


def test_no_term_of_the_law_is_dropped_from_the_text():
    model = law(
        ["x"], ["x", "x**2", "x**3"], [[5e-324, 0.0, 1e-30]], state_names=["x"],
        support=[[True, True, True]], covariance=np.eye(3),
    )  # fmt: skip
    (line,) = model.equations()
    assert line == "x' =  (4.9e-324 ± 1) x + 0.0(10) x**2 + (1e-30 ± 1) x**3"


def test_terms_that_are_sums_numbers_or_quotients_can_be_read_after_a_number():
    terms = ["x + 1", "-x", "-2", "3*x", "1/x", "x - 1"]
    model = law(["x"], terms, [[2, 2, 2, 2, 2, -2]], state_names=["x"])
    assert model.equations() == ["x' =  2 (1 + x) + 2 (-x) + 2 (-2) + 2*3*x + 2/x - 2 (x - 1)"]


def test_long_equations_are_wrapped_with_a_hanging_indent():
    terms = [f"sin({n}*x)" for n in range(1, 40)]
    model = law(["x"], terms, [np.linspace(-1, 1, 39)], state_names=["x"])
    (text,) = model.equations()
    lines = text.splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) <= 100
    assert all(re.match(r"     [+-] ", line) for line in lines[1:])
    (whole,) = equation_lines(model, width=None)
    assert whole.split() == text.split()


@settings(max_examples=50)
@given(model=models())
def test_every_random_term_is_in_the_text(model):
    for i, line in enumerate(equation_lines(model, width=None)):
        count = int(model.support[i].sum())
        for k in np.flatnonzero(model.support[i]):
            name = model.term_names[k]
            assert name == "1" or name.removeprefix("1/") in line
        assert count or line.endswith("=  0")


def test_the_unit_of_time_is_not_that_of_a_state_called_t():
    model = law(["t"], ["t"], [[1]], state_names=["t"], units={"t": "m"})
    assert time_unit(model) is None
    assert "units: t m" in str(model)


# -- the table of coefficients -----------------------------------------------------------


def test_the_table_has_one_row_per_term_with_intervals_and_units():
    table = pelts().coefficient_table()
    assert list(table.columns) == [
        "target", "term", "coefficient", "standard_error", "low", "high", "unit",
    ]  # fmt: skip
    assert table["term"].tolist() == ["h", "h*l", "l", "h*l"]
    assert table["unit"].tolist() == ["1/year", "1/(pelts*year)"] * 2
    width = table["high"] - table["low"]
    np.testing.assert_allclose(width, 2 * 1.959964 * table["standard_error"], rtol=1e-6)
    np.testing.assert_allclose((table["high"] + table["low"]) / 2, table["coefficient"])


def test_what_is_not_known_is_missing_from_the_table():
    table = pelts(covariance=None, units={"h": "pelts"}).coefficient_table()
    assert table[["standard_error", "low", "high"]].isna().all(axis=None)
    assert table["unit"].tolist() == [None] * 4


def test_the_table_of_a_law_without_terms_is_empty():
    table = law(["x"], ["x"], [[0]], state_names=["x"]).coefficient_table()
    assert len(table) == 0
    assert "unit" in table.columns


@pytest.mark.parametrize(
    ("units", "kind", "term", "unit"),
    [
        ({"x": "m", "v": "m/s", "t": "s"}, "continuous", "v", "1"),
        ({"x": "m", "v": "m/s", "t": "s"}, "continuous", "1", "m/s"),
        ({"x": "m", "v": "m/s", "t": "s"}, "continuous", "x**2*v", "1/m^2"),
        ({"x": "m", "v": "m/s", "t": "s"}, "map", "v", "s"),
        ({"x": "m", "v": "m*s^-2", "t": "s"}, "increment", "v", "s^2"),
        ({"x": "m", "v": "kg m", "t": "s"}, "continuous", "v", "m/(s*(kg m))"),
        ({"x": "m", "v": "1", "t": "s"}, "continuous", "v", "m/s"),
        ({"x": "m", "v": "s", "t": "s"}, "continuous", "3*v", "m/s^2"),
        ({"x": "m", "v": "m"}, "continuous", "v", None),
        ({"x": "m", "t": "s"}, "continuous", "v", None),
        ({"x": "m", "v": "m", "t": "s"}, "continuous", "sin(v)", None),
        ({"x": "m", "v": "m", "t": "s"}, "continuous", "1/v", None),
    ],
)
def test_units_of_coefficients(units, kind, term, unit):
    model = law(
        ["x", "v"], [term], [[1], [0]], state_names=["x", "v"], kind=kind, units=units
    )  # fmt: skip
    assert coefficient_unit(model, 0, 0) == unit


# -- LaTeX and HTML ----------------------------------------------------------------------

RICH = [
    "1", "x0**3", "alpha*heart_rate", "sin(x0)**2", "x0+alpha", "sqrt(abs(x0-alpha))", "1/x0**2",
    "exp(-x0)/(1+alpha)", "log1p(x0)*expm1(x0)", "x0**0.5", "(x0+1)**2.5", "min(x0,2*alpha)",
    "sign(sin(pi*x0))", "max(-x0,1e-20)", "-(x0*alpha)", "3*x0*2", "tanh(x0)**x0", "-x0 - -2",
]  # fmt: skip


def rich(**options):
    coefficients = np.random.default_rng(0).normal(size=(3, len(RICH)))
    names = ["x0", "alpha", "heart_rate"]
    return law(names, RICH, coefficients, state_names=names, **options)


def balanced(text):
    """Whether braces and left/right pairs are closed in order."""
    depth = 0
    for token in re.findall(r"\\[{}]|[{}]", text):
        depth += (token == "{") - (token == "}")
        assert depth >= 0
    return depth == 0 and text.count(r"\left") == text.count(r"\right")


@pytest.mark.parametrize(
    ("name", "latex"),
    [
        ("x", "x"),
        ("x0", "x_{0}"),
        ("x_1", "x_{1}"),
        ("x_1_2", "x_{1,2}"),
        ("theta", r"\theta"),
        ("theta1", r"\theta_{1}"),
        ("θ", r"\theta"),
        ("λ", r"\lambda"),
        ("T_in", r"T_{\mathrm{in}}"),
        ("omega_x", r"\omega_{x}"),
        ("hare", r"\mathrm{hare}"),
        ("pop12", r"\mathrm{pop}_{12}"),
        ("heart_rate", r"\mathrm{heart\_rate}"),
        ("x_", r"\mathrm{x\_}"),
        ("50% {a}$", r"\mathrm{50\%\ \{a\}\$}"),
    ],
)
def test_names_in_latex(name, latex):
    assert latex_name(name) == latex


def test_latex_has_aligned_equations_digits_and_units():
    assert pelts().to_latex().splitlines() == [
        r"\begin{align*}",
        r"\dot{h} &= 0.547(12)\,h - 0.0281(7)\,h\,l \quad \left[\mathrm{pelts/year}\right] \\",
        r"\dot{l} &= -0.840(30)\,l + 0.0263(12)\,h\,l \quad \left[\mathrm{pelts/year}\right]",
        r"\end{align*}",
    ]


def test_digits_of_latex_can_be_chosen():
    first, _ = latex_lines(pelts(units={}), digits=2)
    assert first == r"\dot{h} = 0.55\,h - 0.028\,h\,l"


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("continuous", r"\dot{x}_{0} = 2\,x_{0}\,\alpha"),
        ("map", r"x_{0,k+1} = 2\,x_{0,k}\,\alpha_{k}"),
        ("increment", r"\Delta x_{0,k} = 2\,x_{0,k}\,\alpha_{k}"),
        ("direct", r"x_{0} = 2\,x_{0}\,\alpha"),
    ],
)
def test_latex_says_the_kind(kind, line):
    names = ["x0", "alpha"]
    model = law(names, ["x0*alpha"], [[2], [0]], state_names=names, kind=kind)
    assert latex_lines(model)[0] == line
    assert latex_lines(model)[1].endswith("= 0")


@pytest.mark.parametrize(
    ("term", "latex"),
    [
        ("sin(x)**2", r"\sin^{2}\left(x\right)"),
        ("x/(y+1)", r"\frac{x}{1 + y}"),
        ("sqrt(x)", r"\sqrt{x}"),
        ("abs(x)", r"\left|x\right|"),
        ("arcsin(x)", r"\arcsin\left(x\right)"),
        ("sign(x)", r"\operatorname{sgn}\left(x\right)"),
        ("log1p(x)", r"\ln\left(1 + x\right)"),
        ("(x+y)**0.5", r"\left(x + y\right)^{0.5}"),
        ("x - (y - x)", r"\left(x - \left(y - x\right)\right)"),
        ("sin(pi*x)", r"\sin\left(\pi\,x\right)"),
    ],
)
def test_terms_in_latex(term, latex):
    (line, _) = latex_lines(law(["x", "y"], [term], [[2], [0]], state_names=["x", "y"]))
    assert line == rf"\dot{{x}} = 2\,{latex}"


@pytest.mark.parametrize("kind", ["continuous", "map", "increment"])
def test_latex_of_all_functions_is_balanced_and_read_by_a_parser(kind):
    model = rich(kind=kind, units={"x0": "°C/m^2 s", "t": "%"})
    parser = MathTextParser("path")
    for line in model.to_latex(environment="").splitlines():
        assert balanced(line)
        parser.parse(f"${line}$")
    assert balanced(model.to_latex())


@settings(max_examples=25)
@given(model=models())
def test_latex_of_random_models_is_balanced_and_read_by_a_parser(model):
    parser = MathTextParser("path")
    for line in latex_lines(model):
        assert balanced(line)
        parser.parse(f"${line}$")


def test_environments():
    assert pelts().to_latex(environment="aligned").startswith(r"\begin{aligned}")
    assert "&" not in pelts().to_latex(environment="gather*")
    with pytest.raises(ValueError, match=r"environment must be one of .*; got 'table'"):
        pelts().to_latex(environment="table")


def test_html_is_typeset_escaped_and_carries_the_text():
    found = pelts()._repr_html_()
    assert r"$$" in found
    assert r"\begin{aligned}" in found
    assert "&amp;=" in found
    assert html.escape(str(pelts())) in found


def test_html_does_not_trust_names_or_units():
    names = {"h": "<script>alert(1)</script>", "l": "a&b"}
    model = renamed(pelts(units={}), names)
    found = replace(model, units={"a&b": "<img src=x>"})._repr_html_()
    assert "<script" not in found
    assert "<img" not in found
    assert set(re.findall(r"</?(\w+)", found)) == {"div", "details", "summary", "pre"}


# -- sympy -------------------------------------------------------------------------------


@settings(max_examples=200)
@given(model=models())
def test_every_number_in_sympy_is_a_number_of_the_law(model):
    law_numbers = {c + 0.0 for row in law_coefficients(model) for c in row}
    numbers = law_numbers | {c + 0.0 for c in model.table.constants.tolist()}
    sides = model.to_sympy(form="expr")
    for side, row in zip(sides, law_coefficients(model), strict=True):
        assert {float(atom) for atom in side.atoms(sympy.Float)} <= numbers
        signless = sorted(c + 0.0 for c in row)
        assert same_bits([signless], [sorted(sympy_coefficients(side))]) == 0


def test_a_continuous_law_is_a_differential_equation():
    t, x, y = sympy.Symbol("t", real=True), sympy.Function("x"), sympy.Function("y")
    model = law(["x", "y"], ["x", "x*y"], [[0.1, 0], [0, 3]], state_names=["x", "y"])
    first, second = model.to_sympy()
    c = sympy.Float(0.1, 17)
    assert first == sympy.Eq(sympy.Derivative(x(t), t), c * x(t))
    assert second == sympy.Eq(sympy.Derivative(y(t), t), sympy.Float(3.0, 17) * x(t) * y(t))


def test_controls_and_time_are_functions_and_the_variable():
    model = law(
        ["x", "u", "tau"], ["u", "sin(tau)"], [[1, 2]], state_names=["x"], control_names=["u"],
        time_name="tau",
    )  # fmt: skip
    (equation,) = model.to_sympy()
    tau = sympy.Symbol("tau", real=True)
    assert equation.lhs == sympy.Derivative(sympy.Function("x")(tau), tau)
    assert equation.rhs.atoms(sympy.core.function.AppliedUndef) == {sympy.Function("u")(tau)}
    assert equation.rhs.has(sympy.sin(tau))


@pytest.mark.parametrize("kind", ["map", "increment"])
def test_maps_are_recurrences(kind):
    k, x = sympy.Symbol("k", integer=True), sympy.Function("x")
    (equation,) = law(["x"], ["x**2"], [[0.5]], state_names=["x"], kind=kind).to_sympy()
    left = x(k + 1) - (x(k) if kind == "increment" else 0)
    assert equation == sympy.Eq(left, sympy.Float(0.5, 17) * x(k) ** 2)


def test_direct_laws_are_equations_in_symbols():
    model = law(["x"], ["x"], [[2]], state_names=["x"], target_names=["r"], kind="direct")
    r, x = sympy.symbols("r x", real=True)
    assert model.to_sympy() == [sympy.Eq(r, sympy.Float(2.0, 17) * x)]


def test_a_state_may_be_called_like_the_variable():
    model = law(["t", "k"], ["t"], [[1], [1]], state_names=["t", "k"])
    left = model.to_sympy()[0].lhs
    assert left.args[0].func == sympy.Function("t")
    assert str(left.args[1][0]) == "t_"


def test_coefficients_can_stay_symbols():
    (equation, _) = pelts().to_sympy(form="expr", values=False)
    values = parameters(pelts())
    assert [str(symbol) for symbol in values] == [
        "theta_0_0", "theta_0_2", "theta_1_1", "theta_1_2",
    ]  # fmt: skip
    assert equation.free_symbols & set(values) == set(list(values)[:2])
    value, error = values[sympy.Symbol("theta_0_0", real=True)]
    assert value == 0.5471
    assert error == pytest.approx(0.012)
    numbers = {symbol: sympy.Float(c, 17) for symbol, (c, _) in values.items()}
    assert equation.subs(numbers) == pelts().to_sympy(form="expr")[0]


def test_symbols_of_coefficients_do_not_collide_with_inputs():
    model = law(["theta_0_0"], ["theta_0_0"], [[2]], state_names=["theta_0_0"])
    assert [str(symbol) for symbol in parameters(model)] == ["theta_0_0_"]


@pytest.mark.parametrize(
    "term",
    ["exp(2)*x", "x + 1 + 2", "3*x*2", "2**3", "sin(0.1)", "(x + 1)*2", "x - -2", "x/3/7",
     "max(1, 2)", "log1p(0.1)", "sqrt(2)*x", "0.1*(0.2*x)"],
)  # fmt: skip
def test_sympy_does_not_merge_numbers_inside_terms(term):
    model = law(["x"], [term, "x"], [[0.1, 0.7]], state_names=["x"])
    (side,) = model.to_sympy(form="expr")
    numbers = set(model.coefficients.ravel()) | set(model.table.constants)
    assert {float(atom) for atom in side.atoms(sympy.Float)} <= numbers
    assert 0.1 in {float(atom) for atom in side.atoms(sympy.Float)}


@pytest.mark.parametrize("term", ["x + x", "x - x", "x/x", "-(-x)", "sqrt(x**2)", "1/(1/x)"])
def test_terms_that_sympy_would_simplify_stay_terms_of_the_law(term):
    model = law(["x"], [term, "x"], [[0.1, 0.7]], state_names=["x"])
    (side,) = model.to_sympy(form="expr")
    assert sorted(sympy_coefficients(side)) == [0.1, 0.7]
    value = sympy.lambdify([sympy.Symbol("x", real=True)], side, "mpmath")(1.5)
    assert float(value) == pytest.approx(float(model.rhs([1.5])[0]), rel=1e-14)


def test_whole_exponents_are_integers():
    (side,) = law(
        ["x"], ["x**3", "x**100", "1/x**2"], [[1.5, 2.5, 3.5]], state_names=["x"]
    ).to_sympy(form="expr")
    exponents = {power.exp for power in side.atoms(sympy.Pow)}
    assert exponents == {sympy.Integer(3), sympy.Integer(100), sympy.Integer(-2)}


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match="form must be 'eq' or 'expr'; got 'matrix'"):
        pelts().to_sympy(form="matrix")


# -- Python ------------------------------------------------------------------------------


@settings(max_examples=200)
@given(model=models())
def test_python_source_keeps_coefficients_and_values(model):
    source = model.to_python()
    found = [[float(text) for text in row] for row in python_literals(source)]
    assert same_bits(written_coefficients(model), found) == 0
    function, points = python_function(source), points_of(model)
    finite = np.isfinite(all_slots(model, points)).all(axis=1)
    n, m = model.n_states, model.n_controls
    for point in points[finite]:
        values = function(point[:n].tolist(), float(point[-1]), point[n : n + m].tolist())
        assert error_units(model, point[None], np.array([values])).max(initial=0) <= 1


def test_python_source_is_plain_and_shares_what_is_used_twice():
    source = pelts().to_python("pelts_rhs")
    assert "import" not in source
    (function,) = ast.parse(source).body
    assert [ast.unparse(node) for node in function.body[1:]] == [
        "[h, l] = x",
        "h_l = h * l",
        "dh = 0.5471 * h - 0.02812 * h_l",
        "dl = -0.84 * l + 0.0263 * h_l",
        "return [dh, dl]",
    ]
    assert "h [pelts/year]" in ast.get_docstring(function)
    assert "h' =  0.547(12) h" in ast.get_docstring(function)


def test_python_may_call_states_and_controls_like_its_arguments():
    model = law(
        ["x", "u", "math"], ["x*u", "sin(math)"], [[2, 0], [0, 3]], state_names=["x", "u"],
        control_names=["math"],
    )  # fmt: skip
    function = python_function(model.to_python())
    assert function([0.5, 0.25], u=[1.5]) == model.rhs([0.5, 0.25], u=[1.5]).tolist()


def test_python_helpers_follow_the_kernel_with_nan():
    terms = ["sign(x)", "min(x, y)", "max(x, y)"]
    model = law(["x", "y"], terms, [[1, 10, 100], [0, 0, 0]], state_names=["x", "y"])
    function = python_function(model.to_python())
    for point in ([NAN, 1.0], [1.0, NAN], [-2.0, 3.0], [0.0, -0.0], [-0.0, 1.0]):
        np.testing.assert_array_equal(function(point), model.rhs(point))


def test_python_raises_where_the_kernel_goes_on():
    model = law(["x"], ["log(x)"], [[1]], state_names=["x"])
    assert model.rhs([0.0])[0] == -math.inf
    function = python_function(model.to_python())
    assert "Raises ValueError" in function.__doc__
    with pytest.raises(ValueError, match=r"math domain|expected a positive"):
        function([0.0])


WILD = {"x0": 'a"""b\\', "x1": "lambda", "x2": "2 x", "u0": "*/ x", "t": "θ"}


def wild():
    terms = ["x0*x1", "x0*x1*x2", "sin(t)*u0", "min(x0,x1)", "max(x2,t)", "sign(u0)", "x2**1.5"]
    model = law(
        ["x0", "x1", "x2", "u0", "t"], terms, np.arange(1, 22).reshape(3, 7) / 8,
        state_names=["x0", "x1", "x2"], control_names=["u0"], time_name="t",
        units={"*/ x": "/* m */", "lambda": '"""'},
    )  # fmt: skip
    return renamed(model, WILD)


def test_python_survives_any_name_and_unit():
    model, point = wild(), np.array([0.3, -0.2, 0.7, 1.1, 0.4])
    function = python_function(model.to_python())
    found = function(point[:3].tolist(), 0.4, [1.1])
    assert error_units(model, point[None], np.array([found])).max() <= 1


@pytest.mark.parametrize("name", ["lambda", "sin", "2x", "a b", "", "é", "double", "x;y"])
def test_names_that_cannot_name_a_function_are_refused(name):
    for export in (pelts().to_python, pelts().to_c):
        with pytest.raises(ValueError, match="name must be an identifier of Python and C"):
            export(name)


def dense(n_terms):
    names = [f"x{i}" for i in range(60)]
    terms = [f"{a}*{b}" for a in names for b in names if a <= b][:n_terms]
    coefficients = np.zeros((60, n_terms))
    coefficients[0] = np.random.default_rng(0).normal(size=n_terms)
    return law(names, terms, coefficients, state_names=names)


def test_sums_of_more_than_a_thousand_terms_compile():
    model = dense(1500)
    source = model.to_python()
    assert max(map(len, source.splitlines())) < 400  # the names and results of 60 states
    found = [[float(text) for text in row] for row in python_literals(source)]
    assert same_bits(written_coefficients(model), found) == 0
    x = np.random.default_rng(1).normal(size=60)
    assert python_function(source)(x.tolist())[0] == model.rhs(x)[0]


# -- C -----------------------------------------------------------------------------------


@needs_cc
def test_two_hundred_random_models_survive_every_export(capsys):
    counts = run(n_models=200, seed=7)
    assert [count.target for count in counts] == ["file", "sympy", "python", "c"]
    for count in counts:
        assert count.models == 200
        assert count.mismatches == 0
        assert count.values > 500
        assert count.worst <= 1
    assert len(capsys.readouterr().out.splitlines()) == 4


@needs_cc
def test_c_survives_any_name_and_unit_without_a_warning(tmp_path):
    model, points = wild(), np.random.default_rng(0).normal(size=(20, 5))
    found = c_values(model, c_library(model.to_c(), tmp_path).rhs, points)
    assert error_units(model, points, found).max() <= 1


@needs_cc
def test_c_does_not_warn_of_arguments_that_are_not_used(tmp_path):
    model = law(
        ["x", "y", "u", "t"], ["1", "y"], [[2, 0], [0, 0]], state_names=["x", "y"],
        control_names=["u"], time_name="t",
    )  # fmt: skip
    found = c_values(model, c_library(model.to_c(), tmp_path).rhs, np.ones((2, 4)))
    assert found.tolist() == [[2, 0], [2, 0]]


@needs_cc
def test_c_may_write_over_its_input(tmp_path):
    model = law(
        ["x", "y"], ["x", "y", "x*y"], [[1, 2, 0], [3, 0, 4]], state_names=["x", "y"], kind="map"
    )
    function = c_library(model.to_c(), tmp_path).rhs
    state = np.array([0.5, 0.25])
    pointer = np.ctypeslib.as_ctypes(state)
    expected = model.step(state)
    function(pointer, pointer)
    np.testing.assert_array_equal(state, expected)


@needs_cc
def test_long_sums_compile_in_c(tmp_path):
    model, x = dense(1500), np.random.default_rng(1).normal(size=(1, 60))
    found = c_values(model, c_library(model.to_c(), tmp_path).rhs, x)
    assert found[0, 0] == model_values(model, x)[0, 0]


def test_c_source_says_what_it_computes():
    model = law(
        ["h", "l", "f", "time"], ["h", "h*l", "f", "sin(time)"], [[0.1, 2, 3, 0], [0, 1, 0, 4]],
        state_names=["h", "l"], control_names=["f"], time_name="time", kind="map", dt=0.5,
        units={"h": "pelts"},
    )  # fmt: skip
    source = model.to_c("advance")
    assert "void advance(const double x[2], const double u[1], double t, double dx[2])\n" in source
    assert "Law of kind 'map', dt = 0.5." in source
    assert "h[k+1] =  0.1 h + 2 h*l + 3 f" in source
    assert "x holds the states h [pelts], l." in source
    assert "dx[0] = 0.1*h + 2.0*h_l + 3.0*f;" in source
    assert "malloc" not in source
    assert source.count("*/") == 1
    assert not re.search(r"^(static|double|const)", source, re.MULTILINE)
