"""Both ways with pysindy: the same numbers on either side."""

import pickle

import numpy as np
import pysindy as ps
import pytest
from sklearn.linear_model import Lasso, LassoCV

from discover import (
    STLSQ,
    DiscreteSINDy,
    EnsembleRegressor,
    FiniteDifference,
    ForeignRegressor,
    PolynomialLibrary,
    SINDy,
    SymbolicLibrary,
    SymbolicModel,
    from_pysindy,
    to_pysindy,
)
from discover.exceptions import ExpressionError

NAMES = ["x", "y", "z"]
TRUTH = np.zeros((3, 10))
TRUTH[[0, 0, 1, 1, 1, 2, 2], [1, 2, 1, 2, 6, 3, 5]] = -10, 10, 28, -1, -1, -8 / 3, 1


@pytest.fixture(scope="module")
def lorenz():
    """Times and states, with a little noise."""
    t = np.arange(3000) * 0.005
    law = SymbolicModel(PolynomialLibrary(2).build(NAMES), TRUTH, NAMES)
    X = np.asarray(law.simulate([-5, -4, 25], t))
    return t, X + 0.01 * np.random.default_rng(0).normal(size=X.shape)


LIBRARIES = [
    ps.PolynomialLibrary(3),
    ps.PolynomialLibrary(3, include_bias=False, interaction_only=True),
    ps.PolynomialLibrary(3, include_interaction=False),
    ps.FourierLibrary(2),
    ps.IdentityLibrary(),
    ps.CustomLibrary(
        [lambda a: np.exp(-0.1 * a**2), lambda a, b: np.sin(a) * b / (1 + np.abs(b)) - a],
        include_bias=True,
        interaction_only=False,
    ),
    ps.PolynomialLibrary(2) + ps.PolynomialLibrary(1) + ps.FourierLibrary(1),
    ps.PolynomialLibrary(1) * ps.FourierLibrary(1, include_cos=False),
    ps.GeneralizedLibrary(
        [ps.PolynomialLibrary(2), ps.FourierLibrary(1), ps.PolynomialLibrary(1)],
        tensor_array=[[1, 1, 0]],
        inputs_per_library=[[0, 1], [2], [0, 2]],
        exclude_libraries=[2],
    ),
]


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda lib: type(lib).__name__)
@pytest.mark.parametrize("controlled", [False, True])
def test_a_law_read_from_pysindy_predicts_what_pysindy_predicts(lorenz, library, controlled):
    t, X = lorenz
    X, u = (X[:, :2], X[:, 2:] / 10) if controlled else (X, None)
    theirs = ps.SINDy(ps.STLSQ(threshold=1e-3), library).fit(X / 10, t=t, u=u)
    law = from_pysindy(theirs)
    assert law.control_names == (("u0",) if controlled else ())
    expected = np.asarray(theirs.predict(X / 10, u=u))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(law.rhs(X / 10, u=u), expected, rtol=1e-9, atol=1e-11 * scale)
    assert law.to_sympy()


def test_coefficients_read_from_pysindy_are_its_own_to_the_bit(lorenz):
    t, X = lorenz
    theirs = ps.SINDy(ps.STLSQ(threshold=0.1)).fit(X, t=t, feature_names=NAMES)
    law = from_pysindy(theirs)
    np.testing.assert_array_equal(law.coefficients, theirs.coefficients())
    assert law.state_names == tuple(NAMES)
    maps = ps.DiscreteSINDy(ps.STLSQ(threshold=1e-3)).fit(X / 10, t=1)
    assert from_pysindy(maps).kind == "map"
    np.testing.assert_array_equal(from_pysindy(maps).coefficients, maps.coefficients())


def test_what_cannot_be_written_as_an_expression_is_refused(lorenz):
    t, X = lorenz
    for function in (
        lambda a: np.where(a > 0, a, 0.0),
        lambda a: np.convolve(a, [1.0]),
        lambda a: a if (a > 0) is True else -a,
    ):
        theirs = ps.SINDy(ps.STLSQ(), ps.CustomLibrary([function])).fit(X, t=t)
        with pytest.raises(ExpressionError, match=r"cannot be written|other values"):
            from_pysindy(theirs)
    with pytest.raises(TypeError, match="must be fitted"):
        from_pysindy(ps.SINDy())
    with pytest.raises(TypeError, match="must be a pysindy"):
        from_pysindy(STLSQ())


def constraint():
    """x' depends on y - x: coefficients of x and y add up to zero."""
    row = np.zeros((1, 30))
    row[0, [1, 2]] = 1.0
    return {
        "constraint_lhs": row,
        "constraint_rhs": np.zeros(1),
        "constraint_order": "target",
        "equality_constraints": True,
    }


OPTIMIZERS = [
    ps.STLSQ(threshold=0.1, alpha=1e-8),
    ps.STLSQ(threshold=0.1, normalize_columns=False, unbias=False),
    ps.SR3(reg_weight_lam=0.005, regularizer="L0"),
    ps.SR3(reg_weight_lam=0.05, regularizer="L1", unbias=False),
    ps.SSR(kappa=1e-3),
    ps.FROLS(kappa=1e-3),
    ps.ConstrainedSR3(reg_weight_lam=0.005, regularizer="L0", **constraint()),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda opt: type(opt).__name__)
def test_their_optimizers_find_here_what_they_find_there(lorenz, optimizer):
    t, X = lorenz
    theirs = ps.SINDy(
        optimizer, ps.PolynomialLibrary(2), differentiation_method=ps.FiniteDifference()
    ).fit(X, t=t)
    expected = np.array(theirs.coefficients())
    ours = SINDy(PolynomialLibrary(2), optimizer, method=FiniteDifference(2), names=NAMES)
    found = ours.fit(X, t).symbolic_.coefficients
    np.testing.assert_array_equal(found != 0, expected != 0)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max())


@pytest.mark.filterwarnings("ignore")
def test_trapping_runs_on_the_rows_of_the_statistics():
    law = SymbolicModel(PolynomialLibrary(2).build(NAMES), TRUTH, NAMES)
    t = np.arange(0, 5, 0.005)
    X = np.asarray(law.simulate([-5, -4, 25], t)) / 20
    optimizer = ps.TrappingSR3(_n_tgts=3, _include_bias=True, reg_weight_lam=0.0, max_iter=50)
    theirs = ps.SINDy(optimizer, differentiation_method=ps.FiniteDifference()).fit(X, t=t)
    expected = np.array(theirs.coefficients())
    found = SINDy(PolynomialLibrary(2), optimizer, method=FiniteDifference(2)).fit(X, t)
    np.testing.assert_allclose(
        found.symbolic_.coefficients, expected, atol=1e-3 * np.abs(expected).max()
    )


def test_losses_that_are_means_over_rows_keep_their_meaning():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 6))
    Y = X[:, [1, 2]] * [2.0, -1.0] + 0.1 * rng.normal(size=(500, 2))
    lasso = Lasso(0.05, fit_intercept=False, tol=1e-10)
    found = ForeignRegressor(lasso).fit(X, Y)
    np.testing.assert_allclose(found.coef_, lasso.fit(X, Y).coef_, rtol=1e-6, atol=1e-9)


def test_optimizers_that_look_at_single_rows_are_refused():
    X = np.ones((5, 1))
    cases = [
        (LassoCV(), "looks at single rows"),
        (ps.EnsembleOptimizer(ps.STLSQ(), bagging=True), "EnsembleRegressor"),
        (ps.SR3(trimming_fraction=0.1), "trimming_fraction"),
        (Lasso(), "fit_intercept must be False"),
    ]
    for optimizer, message in cases:
        with pytest.raises(ValueError, match=message):
            ForeignRegressor(optimizer).fit(X, X[:, 0])
    with pytest.raises(TypeError, match="regressor must be one of"):
        SINDy(regressor="lasso").fit(np.cos(0.1 * np.arange(100)), 0.1)


def test_their_optimizers_are_members_of_our_ensembles_and_ours_of_theirs(lorenz):
    t, X = lorenz
    ours = EnsembleRegressor(ForeignRegressor(ps.STLSQ(threshold=0.1)), 10, random_state=0)
    model = SINDy(PolynomialLibrary(2), ours, method=FiniteDifference(2), names=NAMES).fit(X, t)
    np.testing.assert_array_equal(model.symbolic_.support, TRUTH != 0)
    bagged = ps.EnsembleOptimizer(to_pysindy(STLSQ()), bagging=True, n_models=5)
    theirs = ps.SINDy(bagged, ps.PolynomialLibrary(2)).fit(X, t=t)
    np.testing.assert_array_equal(theirs.coefficients() != 0, TRUTH != 0)
    assert len(bagged.coef_list) == 5


def test_our_parts_inside_pysindy_find_what_they_find_here(lorenz):
    t, X = lorenz
    regressor = STLSQ(0.1, threshold_on="coefficient")
    library = SymbolicLibrary("1, x0, x1, x2, x0*x1, x0*x2, sin(x0)")
    theirs = ps.SINDy(to_pysindy(regressor), to_pysindy(library)).fit(X, t=t)
    ours = SINDy(library, regressor, method=FiniteDifference(2)).fit(X, t)
    np.testing.assert_allclose(theirs.coefficients(), ours.symbolic_.coefficients, rtol=1e-9)
    assert theirs.get_feature_names()[4] == "x0*x1"
    copy = pickle.loads(pickle.dumps(theirs))
    np.testing.assert_allclose(copy.predict(X[:9]), ours.predict(X[:9]), rtol=1e-9)
    both = ps.ConcatLibrary([to_pysindy(library), ps.FourierLibrary(1)])
    assert ps.SINDy(ps.STLSQ(), both).fit(X, t=t).coefficients().shape == (3, 13)


@pytest.mark.parametrize("kind", [SINDy, DiscreteSINDy])
def test_their_libraries_are_read_where_ours_go(lorenz, kind):
    t, X = lorenz
    theirs = ps.GeneralizedLibrary(
        [ps.PolynomialLibrary(2), ps.FourierLibrary(1)], inputs_per_library=[[0, 1, 2], [0]]
    )
    ours = PolynomialLibrary(2)
    a, b = kind(theirs, names=NAMES).fit(X, t), kind(ours, names=NAMES).fit(X, t)
    assert a.symbolic_.term_names[:10] == b.symbolic_.term_names
    assert a.symbolic_.term_names[10:] == ("sin(x)", "cos(x)")
