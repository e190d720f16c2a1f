"""The identifiability report: two laws that fit equally well are seen as such."""

import numpy as np
import pytest

from discover import STLSQ, PolynomialLibrary, RelevanceVectorRegressor, SINDy
from discover.regression import report_identifiability
from discover.regression.base import ArrayRows, identify


@pytest.mark.parametrize("regressor", [STLSQ(), RelevanceVectorRegressor()])
def test_two_laws_that_fit_equally_well_are_both_shown(regressor):
    rng = np.random.default_rng(0)
    a = rng.normal(size=400)
    X = np.column_stack([a, a + 0.002 * rng.normal(size=400), rng.normal(size=(400, 3))])
    y = 2 * a + X[:, 2] + 0.3 * rng.normal(size=400)
    rows, names = ArrayRows(X, y[:, None]), list("abcde")
    stats = rows.statistics(1)
    report = report_identifiability(
        stats, identify(rows, stats, regressor), term_names=names, target_names=["y"]
    )
    assert not report.unique
    law = report.equation(report.rivals_of("y")[0])
    assert " a " in f" {law} " or " b " in f" {law} "
    assert "c" in law
    assert report.rivals[0].behind < 1.0
    assert len(report.notes()) == 1
    assert "equally well" in report.sentences()[0] or "better" in report.sentences()[0]
    assert "a, b" in report.sentences()[-1]
    assert report.groups[0].terms == ("a", "b")
    assert report.groups[0].condition_index == pytest.approx(
        np.linalg.cond(stats.triangle[:5, :5] / np.linalg.norm(stats.triangle[:5, :5], axis=0)),
        rel=1e-6,
    )
    table = report.table()
    assert list(table["target"].unique()) == ["y"]
    assert (table["odds"] >= np.exp(table["nats_behind"]) * 0.999).all()


def test_a_law_without_rivals_says_so():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(400, 5))
    rows = ArrayRows(X, (2 * X[:, 0] - X[:, 3] + 0.1 * rng.normal(size=400))[:, None])
    stats = rows.statistics(1)
    report = report_identifiability(stats, identify(rows, stats, RelevanceVectorRegressor()))
    assert report.unique
    assert report.notes() == []
    assert report.groups == ()
    assert repr(report).startswith("No other law that was tried comes within 3 nats")


def test_sindy_prints_a_rival_that_fits_equally_well():
    """Two sensors of one quantity: either of them may stand in the law."""
    t = np.linspace(0, 20, 800)
    x = np.column_stack([np.cos(t), -np.sin(t), 3 * np.cos(t)])
    x += 0.01 * np.random.default_rng(0).normal(size=x.shape)
    model = SINDy(PolynomialLibrary(1), RelevanceVectorRegressor(), names=["q", "p", "again"])
    report = model.fit(x, t).identifiability_
    assert report is model.identifiability_
    assert {len(rival.terms) for rival in report.rivals_of("p")} >= {1}
    assert "would explain these data equally well" in repr(model)
    assert any("q, again are nearly dependent" in line for line in report.sentences())


def test_rivals_respect_the_library_of_each_state_and_stay_out_of_constraints():
    t = np.linspace(0, 20, 400)
    x = np.column_stack([np.cos(t), np.sin(t)]) + 0.02 * np.random.default_rng(0).normal(
        size=(400, 2)
    )
    apart = SINDy({"x0": "x0, x1, x1**3", "x1": "x0, x0**3"}, method="weak").fit(x, t)
    for rival in apart.identifiability_.rivals:
        allowed = {"x0": {"x0", "x1", "x1**3"}, "x1": {"x0", "x0**3"}}
        name = apart.identifiability_.target_names[rival.target]
        assert {apart.symbolic_.term_names[k] for k in rival.terms} <= allowed[name]
    tied = SINDy(regressor=STLSQ(fixed={"x0": {"x1": -1.0}})).fit(x, t)
    assert tied.identifiability_.unique
