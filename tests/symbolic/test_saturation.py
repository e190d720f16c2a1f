"""Saturated laws: one range in values, derivatives, files and every export."""

import shutil

import numpy as np
import pytest

from discover.bench.exports import c_library, c_values, python_function
from discover.exceptions import ModelFileError
from discover.libraries.termtable import TermTableBuilder
from discover.symbolic import SymbolicModel
from discover.symbolic.export_mathml import mathml_equations
from discover.symbolic.saturation import Saturation

POINTS = np.random.default_rng(0).uniform(-2.0, 2.0, (200, 2))


def law(**saturation):
    builder = TermTableBuilder(("x", "y"))
    table = builder.table([builder.monomial(e) for e in ((1, 0), (2, 1), (0, 0))])
    rows = [[1.1, -0.7, 0.3], [0.4, 0.9, -0.2]]
    limits = {"low": [-1.0, 0.0], "high": [0.5, 3.0], "whole": [False, True]} | saturation
    return SymbolicModel(table, rows, ("x", "y"), target_names=("a", "b"), kind="direct",
                         saturation=Saturation(**limits))  # fmt: skip


def test_values_are_clipped_and_rounded_half_up():
    x, y = POINTS.T
    found = law()(POINTS)
    np.testing.assert_allclose(found[:, 0], np.clip(1.1 * x - 0.7 * x**2 * y + 0.3, -1, 0.5))
    raw = np.clip(0.4 * x + 0.9 * x**2 * y - 0.2, 0, 3)
    np.testing.assert_array_equal(found[:, 1], np.floor(raw + 0.5))
    assert 0.1 < (found[:, 0] == 0.5).mean() < 0.9


def test_the_jacobian_is_zero_where_no_change_comes_through():
    model = law(whole=[False, False])
    h, J = 1e-6, model.jacobian(POINTS)
    for j, e in enumerate(np.eye(2)):
        slope = (model(POINTS + h * e) - model(POINTS - h * e)) / (2 * h)
        np.testing.assert_allclose(J[:, :, j], slope, atol=1e-7)
    assert (J == 0).all(axis=2).any()
    assert not law().jacobian(POINTS)[:, 1].any()


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_c_gives_the_same_bits(tmp_path):
    library = c_library(law().to_c("policy"), tmp_path)
    np.testing.assert_array_equal(c_values(law(), library.policy, POINTS), law()(POINTS))


def test_files_python_and_sympy_keep_the_range(tmp_path):
    model = law()
    again = SymbolicModel.load(model.save(tmp_path / "law.json"))
    np.testing.assert_array_equal(again(POINTS), model(POINTS))
    function = python_function(model.to_python("policy"), "policy")
    assert [function(list(p)) for p in POINTS] == model(POINTS).tolist()
    expressions = model.to_sympy(form="expr")
    for point in POINTS[:20]:
        values = dict(zip("xy", point, strict=True))
        found = [float(e.subs({s: values[s.name] for s in e.free_symbols})) for e in expressions]
        np.testing.assert_allclose(found, model(point), rtol=1e-12)


def test_printed_formulas_say_the_range():
    first, second = law().equations()
    assert first == "a =  clip(1.1 x - 0.7 x**2*y + 0.3, -1, 0.5)"
    assert second == "b =  round(clip(0.4 x + 0.9 x**2*y - 0.2, 0, 3))"
    assert r"\operatorname{clip}\bigl(1.1\,x" in law().to_latex()
    assert "<mi>clip</mi><mo>(</mo>" in mathml_equations(law())[0].terms[0]


def test_what_cannot_be_a_range_is_refused():
    with pytest.raises(ValueError, match="low must be below high"):
        law(low=[1.0, 0.0])
    with pytest.raises(ValueError, match="one pair of limits per target"):
        law(low=[0.0], high=[1.0], whole=[False])
    with pytest.raises(ValueError, match="a saturated law cannot be added"):
        law() + law()
    data = law().to_dict()
    data["saturation"][0]["low"] = "-1"
    with pytest.raises(ModelFileError, match="saturation: low must be a number"):
        SymbolicModel.from_dict(data)
    data = law().to_dict()
    data["saturation"][0]["whole"] = "True"
    with pytest.raises(ModelFileError, match="saturation: whole must be true or false"):
        SymbolicModel.from_dict(data)
