"""Libraries: which terms, under which names."""

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import PolynomialFeatures

from discover import FourierLibrary, PolynomialLibrary, ReducedLibrary, SymbolicLibrary
from discover.exceptions import ExpressionError

FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), columns=["h", "l", "w"])


@pytest.mark.parametrize("degree", [0, 1, 3, 5])
@pytest.mark.parametrize("interaction_only", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_polynomials_equal_those_of_scikit_learn(degree, interaction_only, bias):
    if degree == 0 and not bias:
        pytest.skip("an empty library is an error")
    ours = PolynomialLibrary(degree, interaction_only=interaction_only, include_bias=bias).fit(
        FRAME
    )
    theirs = PolynomialFeatures(degree, interaction_only=interaction_only, include_bias=bias)
    np.testing.assert_allclose(ours.transform(FRAME), theirs.fit_transform(FRAME), rtol=1e-14)
    written = [n.replace(" ", "*").replace("^", "**") for n in theirs.get_feature_names_out()]
    assert list(ours.get_feature_names_out()) == written


def test_sums_and_products_have_every_term_once():
    total = (PolynomialLibrary(2) + PolynomialLibrary(3)).fit(FRAME)
    assert list(total.get_feature_names_out()) == list(
        PolynomialLibrary(3).fit(FRAME).get_feature_names_out()
    )
    product = (PolynomialLibrary(1) * PolynomialLibrary(1)).fit(FRAME)
    assert set(product.get_feature_names_out()) == set(
        PolynomialLibrary(2).fit(FRAME).get_feature_names_out()
    )


def test_inputs_restrict_a_library_by_name_or_position():
    by_name = PolynomialLibrary(2, inputs=["l"]).fit(FRAME)
    by_place = PolynomialLibrary(2, inputs=[1]).fit(FRAME)
    assert list(by_name.get_feature_names_out()) == ["1", "l", "l**2"]
    np.testing.assert_array_equal(by_name.transform(FRAME), by_place.transform(FRAME))
    with pytest.raises(ExpressionError, match="'q'"):
        PolynomialLibrary(2, inputs=["q"]).fit(FRAME)


def test_set_output_gives_named_columns_and_the_index():
    frame = FRAME.set_index(FRAME.index + 7)
    out = (
        (SymbolicLibrary("h*l, sqrt(abs(w))") + FourierLibrary())
        .set_output(transform="pandas")
        .fit_transform(frame)
    )
    assert list(out.columns[:3]) == ["h*l", "sqrt(abs(w))", "sin(h)"]
    assert out.index.equals(frame.index)


@pytest.mark.parametrize(
    ("library", "constraint"),
    [
        (PolynomialLibrary(4), "h**2 + l**2 - 1"),
        (SymbolicLibrary("1, sin(w), cos(w)") * SymbolicLibrary("1, sin(w), cos(w), h"),
         "sin(w)**2 + cos(w)**2 - 1"),
        (PolynomialLibrary(3), ["h*l - 2", "w - h"]),
    ],
)  # fmt: skip
def test_reduction_leaves_independent_terms_that_span_the_same_functions(library, constraint):
    angle, other = np.random.default_rng(1).uniform(0, 6, (2, 300))
    frame = {
        "h**2 + l**2 - 1": pd.DataFrame({"h": np.cos(angle), "l": np.sin(angle), "w": other}),
        "sin(w)**2 + cos(w)**2 - 1": pd.DataFrame({"h": other, "l": angle, "w": angle}),
    }.get(str(constraint), pd.DataFrame({"h": angle + 1, "l": 2 / (angle + 1), "w": angle + 1}))
    full = library.fit(frame).transform(frame)
    reduced = ReducedLibrary(library, constraint).fit(frame).transform(frame)
    scale = np.linalg.norm(full, axis=0)
    assert np.linalg.matrix_rank(full / scale, tol=1e-9) < full.shape[1]
    assert reduced.shape[1] == np.linalg.matrix_rank(full / scale, tol=1e-9)
    residual = full - reduced @ np.linalg.lstsq(reduced, full, rcond=None)[0]
    assert np.abs(residual / scale).max() < 1e-8


def test_unknown_columns_are_named():
    with pytest.raises(ExpressionError, match=r"unknown name 'fox'.*\['h', 'l', 'w'\]"):
        SymbolicLibrary("h*fox").fit(FRAME)
