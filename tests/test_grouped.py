"""Experiments with different parameters: the terms of all, the coefficients of each."""

import numpy as np
import pytest

from discover import (
    STLSQ,
    DiscreteSINDy,
    FiniteDifference,
    PolynomialLibrary,
    SINDy,
    SymbolicModel,
    WeakForm,
)
from discover.observations import as_trajectories

NAMES = ["x", "y", "z"]
LABELS = ["a", "b", "a", "c"]


def lorenz(rho):
    truth = np.zeros((3, 10))
    truth[[0, 0, 1, 1, 1, 2, 2], [1, 2, 1, 2, 6, 3, 5]] = -10, 10, rho, -1, -1, -8 / 3, 1
    return SymbolicModel(PolynomialLibrary(2).build(NAMES), truth, NAMES)


@pytest.fixture(scope="module")
def runs():
    rng = np.random.default_rng(0)
    t = np.arange(500) * 0.005
    starts = ([-5, -4, 25], [3, 8, 20], [1, -6, 15], [4, 4, 30])
    made = []
    for rho, start in zip((28, 35, 28, 45), starts, strict=True):
        X = np.asarray(lorenz(rho).simulate(start, t))
        made.append(X + 0.01 * X.std(axis=0) * rng.normal(size=X.shape))
    return made


def test_every_group_gets_a_law_with_the_terms_of_all(runs):
    model = SINDy(PolynomialLibrary(3), names=NAMES).fit(runs, 0.005, groups=LABELS)
    laws = model.group_models_
    assert list(laws) == ["a", "b", "c"]
    for law, rho in zip(laws.values(), (28, 35, 45), strict=True):
        expected = lorenz(rho)
        np.testing.assert_array_equal(law.support[:, :10], expected.support)
        assert not law.support[:, 10:].any()
        z = (law.coefficients[:, :10] - expected.coefficients)[expected.support]
        assert np.abs(z / law.standard_errors[law.support]).max() < 4
    assert repr(model).splitlines()[1].startswith("a: y' =  2")
    assert model.equations() == repr(model).splitlines()


def test_coefficients_of_a_group_are_least_squares_on_its_runs(runs):
    form = WeakForm().resolved(as_trajectories(runs, 0.005))
    model = SINDy(names=NAMES, method=form).fit(runs, 0.005, groups=LABELS)
    law = model.group_models_["a"]
    own = SINDy(names=NAMES, method=form, regressor=STLSQ(0.0)).fit(runs[::2], 0.005)
    alone = own.regressor_.fit_statistics(own.statistics_, allowed=law.support)
    np.testing.assert_allclose(law.coefficients, alone.coefficients, rtol=1e-8)


def test_the_order_of_runs_and_what_labels_are_do_not_matter(runs):
    model = SINDy(names=NAMES, method=FiniteDifference(4))
    first = model.fit(runs, 0.005, groups=LABELS).group_models_
    again = model.fit(runs[::-1], 0.005, groups=[ord(c) for c in LABELS[::-1]]).group_models_
    for label, law in first.items():
        np.testing.assert_array_equal(again[ord(label)].support, law.support)
        np.testing.assert_allclose(again[ord(label)].coefficients, law.coefficients, rtol=1e-9)


def test_maps_and_libraries_per_state_have_groups_too():
    def logistic(r):
        x = [0.3]
        for _ in range(60):
            x.append(r * x[-1] * (1 - x[-1]))
        return np.array(x)

    model = DiscreteSINDy({"x": "x, x**2, x**3"}, names=["x"])
    model.fit([logistic(3.6), logistic(3.9)], 1.0, groups=[1, 2])
    for label, r in ((1, 3.6), (2, 3.9)):
        np.testing.assert_allclose(model.group_models_[label].coefficients, [[r, -r, 0]], atol=1e-9)


def test_there_is_no_law_of_all_groups_and_the_next_fit_forgets_them(runs):
    model = SINDy(names=NAMES, method="weak").fit(runs, 0.005)
    model.fit(runs, 0.005, groups=LABELS)
    assert not hasattr(model, "symbolic_")
    for ask in (lambda: model.predict(runs[0]), lambda: model.score(runs[0], 0.005)):
        with pytest.raises(AttributeError, match=r"group_models_\[label\]"):
            ask()
    model.fit(runs, 0.005)
    assert not hasattr(model, "group_models_")
    assert model.score(runs, 0.005) > 0.9


def test_what_cannot_be_grouped_is_refused_by_name(runs):
    with pytest.raises(ValueError, match="one label per run, 4 here"):
        SINDy().fit(runs, 0.005, groups=["a", "b"])
    with pytest.raises(ValueError, match="one label per run, 1 here"):
        SINDy().fit(runs[0], 0.005, groups=[0] * len(runs[0]))
    for wrong in ({"method": "joint"}, {"regressor": STLSQ()}, {"refine": True}):
        with pytest.raises(ValueError, match="groups select their terms together"):
            SINDy(**wrong).fit(runs, 0.005, groups=LABELS)
