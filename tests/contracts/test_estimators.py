"""Every estimator keeps scikit-learn's contract."""

import pickle

import numpy as np
import pandas as pd
import pysindy
import pytest
from sklearn.base import clone
from sklearn.linear_model import OrthogonalMatchingPursuit
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from discover import (
    STLSQ,
    BestSubsetRegressor,
    BlockedSplit,
    DiscreteSINDy,
    EnsembleRegressor,
    ForeignRegressor,
    FourierLibrary,
    PolynomialLibrary,
    ReducedLibrary,
    RelevanceVectorRegressor,
    SINDy,
    SymbolicLibrary,
)

LIBRARIES = [
    PolynomialLibrary(2),
    FourierLibrary(2),
    SymbolicLibrary("1, x0, sin(x0), x0**2"),
    PolynomialLibrary(1) + FourierLibrary(1),
    PolynomialLibrary(1) * FourierLibrary(1),
    ReducedLibrary(PolynomialLibrary(2), "x0**2 - 1"),
]
REGRESSORS = [
    STLSQ(),
    STLSQ(0.1),
    STLSQ(0.1, threshold_on="coefficient", ridge=0.01),
    STLSQ(shared=True),
    STLSQ(criterion="bic"),
    ForeignRegressor(OrthogonalMatchingPursuit(fit_intercept=False)),
    ForeignRegressor(pysindy.SR3()),
    BestSubsetRegressor(),
    RelevanceVectorRegressor(),
    RelevanceVectorRegressor("cv"),
    RelevanceVectorRegressor("ebic", uncertainty="sandwich"),
]
ENSEMBLES = [
    EnsembleRegressor(n_members=20, random_state=0),
    EnsembleRegressor(n_members=20, by="both", aggregate="mean", random_state=0),
    EnsembleRegressor(n_members=20, aggregate="stability", random_state=0),
    EnsembleRegressor(STLSQ(ridge=0.01, threshold=0.05), n_members=3, random_state=0),
]


# some checks make collinear columns on purpose; a plain fit warns of them
@pytest.mark.filterwarnings("ignore::discover.exceptions.DataWarning")
@parametrize_with_checks([*LIBRARIES, *REGRESSORS])
def test_estimator_follows_scikit_learn(estimator, check):
    check(estimator)


# bootstrap draws cannot know that a row of weight two is two rows
WEIGHTS = {
    "check_sample_weight_equivalence_on_dense_data": "rows are drawn at random",
    "check_sample_weight_equivalence_on_sparse_data": "rows are drawn at random",
}


@pytest.mark.filterwarnings("ignore::discover.exceptions.DataWarning")
@parametrize_with_checks(ENSEMBLES, expected_failed_checks=lambda _: WEIGHTS)
def test_ensemble_follows_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def oscillator():
    """A driven, damped oscillator: times, states, control."""
    t = np.linspace(0, 30, 1500)
    u = np.sin(0.7 * t)
    step = t[1] - t[0]
    x = np.zeros((len(t), 2))
    x[0] = [1.0, 0.0]

    def rate(s, v):
        return np.array([s[1], -s[0] - 0.2 * s[1] + v])

    for k in range(len(t) - 1):
        middle = np.sin(0.7 * (t[k] + step / 2))
        a = rate(x[k], u[k])
        b = rate(x[k] + step / 2 * a, middle)
        c = rate(x[k] + step / 2 * b, middle)
        d = rate(x[k] + step * c, u[k + 1])
        x[k + 1] = x[k] + step / 6 * (a + 2 * b + 2 * c + d)
    return t, x, u


GRID = {"library__degree": [1, 2], "regressor__threshold": [0.01, 0.1]}


def test_grid_search_gives_finite_scores_and_finds_the_law(oscillator):
    t, x, _ = oscillator
    t, x = t[:400], np.column_stack([np.cos(t[:400]), np.sin(t[:400])])
    search = GridSearchCV(
        SINDy(library=PolynomialLibrary(), regressor=STLSQ()), GRID, cv=BlockedSplit(5)
    ).fit(x, t)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ > 0.999
    assert search.best_estimator_.symbolic_.complexity == 2


@pytest.mark.parametrize("frame", [False, True])
def test_grid_search_works_with_controls_among_the_columns(oscillator, frame):
    t, x, u = oscillator
    X = np.column_stack([x, u])
    if frame:
        X = pd.DataFrame(X, columns=["q", "p", "force"])
    model = SINDy(
        library=PolynomialLibrary(), regressor=STLSQ(), controls=["force"] if frame else [2]
    )
    search = GridSearchCV(model, GRID, cv=BlockedSplit(5)).fit(X, t)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    law = search.best_estimator_.symbolic_
    assert law.complexity == 4
    np.testing.assert_allclose(law.coefficients[1, [1, 2, 3]], [-1.0, -0.2, 1.0], rtol=1e-3)
    assert np.isfinite(search.best_estimator_.predict(X)).all()


def test_grid_search_works_with_controls_as_an_argument_and_routing(oscillator):
    from sklearn import config_context

    t, x, u = oscillator
    with config_context(enable_metadata_routing=True):
        model = SINDy(library=PolynomialLibrary(), regressor=STLSQ())
        model.set_fit_request(u=True).set_score_request(u=True)
        search = GridSearchCV(model, GRID, cv=BlockedSplit(4)).fit(x, t, u=u)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ > 0.99


def test_grid_search_over_a_list_of_runs():
    t = np.linspace(0, 6, 300)
    runs = [np.column_stack([a * np.cos(t), a * np.sin(t)]) for a in (0.5, 1, 2, 3)]
    search = GridSearchCV(SINDy(library=PolynomialLibrary()), {"library__degree": [1, 2]}, cv=2)
    search.fit(runs, [t] * 4)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("kind", [SINDy, DiscreteSINDy])
def test_clone_and_pickle_keep_parameters_and_the_fitted_law(kind):
    t = np.arange(200) * 0.1
    x = np.column_stack([np.cos(t), np.sin(t)])
    model = kind(PolynomialLibrary(2), STLSQ(0.05), names=["a", "b"]).fit(x, t)
    copy = clone(model)
    assert repr(copy.get_params()) == repr(model.get_params())
    assert not hasattr(copy, "symbolic_")
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))
    assert repr(loaded) == repr(model)


def test_fitting_does_not_change_the_parameters_it_was_given():
    library, regressor = PolynomialLibrary(2), STLSQ(0.05)
    before = dict(vars(library)), dict(vars(regressor))
    t = np.arange(100) * 0.1
    SINDy(library, regressor).fit(np.column_stack([np.cos(t), np.sin(t)]), t)
    assert (vars(library), vars(regressor)) == before


def test_libraries_and_regressors_compose_in_a_pipeline():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"])
    y = 2 * X["a"] * X["b"] - 1
    pipe = make_pipeline(PolynomialLibrary(3).set_output(transform="pandas"), STLSQ()).fit(X, y)
    assert pipe.score(X, y) == pytest.approx(1.0)
    names = pipe[:-1].get_feature_names_out()
    assert set(names[pipe[-1].support_[0]]) == {"1", "a*b"}
