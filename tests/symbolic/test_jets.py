"""Direct laws over jets read as partial differential equations."""

import sympy

from discover.libraries import SymbolicLibrary
from discover.symbolic import SymbolicModel

JETS = ["u", "psi", "u_x", "psi_y", "u_xy", "u_xx"]


def law(text, targets=("u_t",), inputs=JETS):
    table = SymbolicLibrary(text).fit_names(inputs).terms()
    values = [[-0.5 - k for k in range(table.n_terms)]] * len(targets)
    return SymbolicModel(table, values, table.inputs, target_names=targets, kind="direct")


def test_sympy_has_derivatives_of_functions():
    x, y, t = sympy.symbols("x y t", real=True)
    u, psi = sympy.Function("u")(x, y, t), sympy.Function("psi")(x, y, t)
    (equation,) = law("u_xy, psi_y*u_x").to_sympy()
    assert equation.lhs == u.diff(t)
    assert sympy.simplify(equation.rhs + 0.5 * u.diff(x, y) + 1.5 * psi.diff(y) * u.diff(x)) == 0


def test_sympy_expressions_stay_in_symbols():
    (expression,) = law("u_xx").to_sympy(form="expr")
    assert expression.free_symbols == {sympy.Symbol("u_xx", real=True)}


def test_latex_differentiates_only_what_it_should():
    text = law("u_x*u, u_x**2, u_xx", inputs=["u_x", "u_xx", "u"]).to_latex(
        environment="", digits=2
    )
    assert text == (
        r"\partial_{t} u = -0.50\,\left(\partial_{x} u\right)\,u "
        r"- 1.5\,\left(\partial_{x} u\right)^{2} - 2.5\,\partial_{x}^{2} u"
    )


def test_other_direct_laws_keep_their_names():
    plain = law("v, v_in", ("v_t",), ["v", "v_in", "w"])
    assert r"\partial" not in law("v, w", ("y",), ["v", "w"]).to_latex()
    assert plain.to_sympy(form="expr")
