"""STLSQ: right terms, in any units, under constraints, with calibrated errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discover import STLSQ
from discover.exceptions import DataWarning, NotIdentifiableError
from discover.kernels.elimination import backward_elimination
from discover.regression.base import ArrayRows, identify


def problem(n=300, p=8, noise=0.05, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) + 0.3 * rng.normal(size=(n, 1))
    truth = np.zeros((2, p))
    truth[0, [1, 4]] = [3.0, -0.7]
    truth[1, [0, 4, 6]] = [-1.0, 0.5, 2.0]
    return X, X @ truth.T + noise * rng.normal(size=(n, 2)), truth


@pytest.mark.parametrize("method", [STLSQ(), STLSQ(0.08), STLSQ(0.3, threshold_on="coefficient")])
def test_true_terms_are_found(method):
    X, Y, truth = problem()
    found = method.fit(X, Y)
    np.testing.assert_array_equal(found.support_, truth != 0)
    np.testing.assert_allclose(found.coef_, truth, atol=0.02)


@given(st.lists(st.integers(-9, 9), min_size=10, max_size=10), st.sampled_from(["auto", 0.08]))
def test_support_does_not_depend_on_units(powers, threshold):
    X, Y, truth = problem()
    scale = 10.0 ** np.array(powers)
    found = STLSQ(threshold).fit(X * scale[:8], Y * scale[8:])
    np.testing.assert_array_equal(found.support_, truth != 0)
    expected = STLSQ(threshold).fit(X, Y).coef_ * scale[8:, None] / scale[:8]
    np.testing.assert_allclose(found.coef_, expected, rtol=1e-9)


@given(st.permutations(range(8)))
def test_support_does_not_depend_on_the_order_of_terms(order):
    X, Y, truth = problem()
    found = STLSQ().fit(X[:, order], Y)
    np.testing.assert_array_equal(found.support_, truth[:, order] != 0)


def test_coefficients_are_least_squares_on_the_support():
    X, Y, _ = problem(noise=1.0)
    found = STLSQ().fit(X, Y)
    for row, coefficients, y in zip(found.support_, found.coef_, Y.T, strict=True):
        best = np.linalg.lstsq(X[:, row], y, rcond=None)[0]
        np.testing.assert_allclose(coefficients[row], best, rtol=1e-12)


def test_backward_elimination_equals_refitting_from_scratch():
    rng = np.random.default_rng(3)
    A, Y = rng.normal(size=(50, 6)), rng.normal(size=(50, 1))
    A /= np.linalg.norm(A, axis=0)
    R = np.linalg.qr(np.concatenate([A, Y], axis=1), mode="r")
    removed, scores = np.full(6, -1), np.zeros(6)
    explained = np.zeros((6, 1))
    backward_elimination(
        R[:6, :6].copy(), R[:6, 6:].copy(), np.zeros(6, dtype=bool), np.linalg.norm(Y, axis=0),
        1e-14, removed, scores, explained,
    )  # fmt: skip
    active = list(range(6))
    rss = np.linalg.lstsq(A, Y, rcond=None)[1][0]
    for step in range(6):
        c = np.abs(np.linalg.lstsq(A[:, active], Y, rcond=None)[0][:, 0])
        assert removed[step] == active[int(np.argmin(c))]
        assert scores[step] == pytest.approx(c.min() / np.linalg.norm(Y))
        active.remove(removed[step])
        rest = A[:, active]
        left = ((Y - rest @ np.linalg.lstsq(rest, Y, rcond=None)[0]) ** 2).sum()
        assert explained[step, 0] == pytest.approx(left - rss, rel=1e-9)
        rss = left


def test_agrees_with_pysindy_at_a_coefficient_threshold():
    from discover.interop.pysindy import load_pysindy

    X, Y, _ = problem()
    theirs = load_pysindy().STLSQ(threshold=0.1, alpha=1e-10).fit(X, Y).coef_
    ours = STLSQ(0.1, threshold_on="coefficient").fit(X, Y).coef_
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)


def test_fixed_forbidden_and_shared_terms_are_obeyed():
    X, Y, _ = problem()
    fixed = STLSQ(fixed={0: {1: 2.9, 7: 0.0}}, forbidden={1: [4]}).fit(X, Y)
    assert fixed.coef_[0, 1] == 2.9
    assert fixed.coef_[0, 7] == 0.0
    assert not fixed.support_[1, 4]
    rest = Y[:, 0] - 2.9 * X[:, 1]
    assert fixed.coef_[0, 4] == pytest.approx(X[:, 4] @ rest / (X[:, 4] @ X[:, 4]), rel=1e-9)
    shared = STLSQ(shared=True).fit(X, Y).support_
    np.testing.assert_array_equal(shared[0], shared[1])
    assert shared[0, [0, 1, 4, 6]].all()


@pytest.mark.parametrize("threshold", ["auto", 0.05])
def test_linear_constraints_hold_across_targets_in_any_units(threshold):
    X, Y, _ = problem()
    rule = [({(0, 4): 1.0, (1, 4): 2.0}, 0.0), ({(0, 1): 1.0, (1, 6): -1.0}, 1.0)]
    found = STLSQ(threshold, constraints=rule).fit(X, Y)
    c = found.coef_
    assert c[0, 4] + 2 * c[1, 4] == pytest.approx(0.0, abs=1e-12)
    assert c[0, 1] - c[1, 6] == pytest.approx(1.0, abs=1e-12)
    scale = 1e6
    again = [({(0, 4): 1.0 / scale, (1, 4): 2.0}, 0.0), ({(0, 1): 1 / scale, (1, 6): -1.0}, 1.0)]
    other = STLSQ(threshold, constraints=again).fit(X, Y * [scale, 1.0])
    np.testing.assert_allclose(other.coef_, c * [[scale], [1.0]], rtol=1e-6, atol=1e-9)


def test_constraints_give_the_least_squares_solution_that_satisfies_them():
    X, Y, _ = problem(noise=0.5)
    y = Y[:, :1]
    found = STLSQ(0.0, constraints=[({(0, 0): 1.0, (0, 1): 1.0}, 5.0)]).fit(X, y).coef_[0]
    free = np.column_stack([X[:, 1] - X[:, 0], X[:, 2:]])
    best = np.linalg.lstsq(free, y[:, 0] - 5 * X[:, 0], rcond=None)[0]
    np.testing.assert_allclose(found[1:], best, rtol=1e-9, atol=1e-12)


def test_contradicting_constraints_are_an_error():
    X, Y, _ = problem()
    rule = [({(0, 1): 1.0}, 1.0), ({(0, 1): 1.0}, 2.0)]
    with pytest.raises(NotIdentifiableError, match="contradict"):
        STLSQ(constraints=rule).fit(X, Y)


def test_standard_errors_are_calibrated_for_independent_rows():
    inside, total = 0, 0
    for seed in range(150):
        X, Y, truth = problem(noise=0.3, seed=seed)
        found = STLSQ(fixed=None).fit(X, Y)
        if (found.support_ != (truth != 0)).any():
            continue
        error = np.sqrt(np.diag(found.covariance_))
        z = (found.coef_ - truth)[found.support_] / error
        inside += int((np.abs(z) < 1.96).sum())
        total += len(z)
    assert 0.92 < inside / total < 0.98
    assert total > 500


def test_collinear_terms_are_named_or_warned_about():
    X, Y, _ = problem(noise=0.0)
    twice = np.column_stack([X, X[:, 1]])
    with pytest.warns(DataWarning, match=r"'1' and '8'|'8' and '1'"):
        STLSQ(0.05).fit(twice, Y)
    rows = ArrayRows(twice, Y)
    names = [f"c{i}" for i in range(9)]
    with pytest.raises(NotIdentifiableError, match=r"'c1' and 'c8'|'c8' and 'c1'"):
        identify(rows, rows.statistics(), STLSQ(0.05), term_names=names)


def test_the_path_goes_from_the_full_library_to_the_empty_one():
    X, Y, _ = problem()
    path = [c for c in STLSQ().fit(X, Y).estimate_.path if c.target == 0]
    assert [len(c.terms) for c in path] == list(range(8, -1, -1))
    variances = [c.variance for c in path]
    assert variances == sorted(variances)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"threshold": -1}, "threshold must be 'auto' or at least 0; got -1"),
        ({"threshold": "big"}, "got 'big'"),
        ({"threshold_on": "size"}, "threshold_on"),
        ({"criterion": "aic"}, "criterion must be one of"),
        ({"ridge": -0.1}, "ridge"),
        ({"forbidden": {0: ["nothing"]}}, "'nothing' is not a term"),
        ({"fixed": {5: {0: 1.0}}}, "5 is not a target"),
    ],
)
def test_wrong_parameters_are_named(parameters, message):
    X, Y, _ = problem()
    with pytest.raises(ValueError, match=message):
        STLSQ(**parameters).fit(X, Y)


def test_knowledge_about_one_target_does_not_touch_the_others():
    rng = np.random.default_rng(1)
    A = rng.normal(size=(500, 4))
    A[:, 3] = A[:, 2] + 1e-3 * A[:, 3]
    Y = np.column_stack([A[:, 0], A @ [1.0, 2, 3, 4] + 5 * rng.normal(size=500)])
    free = STLSQ(0.0).fit(A, Y)
    fixed = STLSQ(0.0, fixed={0: {0: 1.0}}).fit(A, Y)
    np.testing.assert_allclose(fixed.coef_[1], free.coef_[1], rtol=1e-9)
    errors = [np.sqrt(np.diag(m.covariance_))[-4:] for m in (free, fixed)]
    np.testing.assert_allclose(errors[1], errors[0], rtol=1e-6)


def test_standard_errors_under_constraints_are_those_of_the_reduced_problem():
    X, Y, _ = problem(noise=0.5)
    y = Y[:, 0]
    found = STLSQ(0.0, constraints=[({(0, 0): 1.0, (0, 1): 1.0}, 5.0)]).fit(X, y)
    free = np.column_stack([X[:, 1] - X[:, 0], X[:, 2:]])
    rss = np.linalg.lstsq(free, y - 5 * X[:, 0], rcond=None)[1]
    expected = np.sqrt(np.diag(np.linalg.inv(free.T @ free)) * rss[0] / (len(y) - 8))
    np.testing.assert_allclose(np.sqrt(np.diag(found.covariance_))[1:], expected, rtol=1e-6)


def test_shared_support_holds_with_fixed_terms_and_refuses_different_candidates():
    X, Y, _ = problem()
    both = STLSQ(shared=True, fixed={0: {1: 3.0}}).fit(X, Y)
    np.testing.assert_array_equal(both.support_[0], both.support_[1])
    assert both.coef_[0, 1] == 3.0
    with pytest.raises(ValueError, match="shared=True needs the same candidate terms"):
        STLSQ(shared=True, forbidden={0: [1]}).fit(X, Y)


def test_contradicting_knowledge_is_refused():
    X, Y, _ = problem()
    with pytest.raises(ValueError, match="'1' is not open to target 0"):
        STLSQ(fixed={0: {1: 1.0}}, forbidden={0: [1]}).fit(X, Y)
    with pytest.raises(ValueError, match="ridge goes with a given threshold"):
        STLSQ(ridge=0.1).fit(X, Y)


def test_models_too_large_for_the_data_are_not_chosen():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(5, 5))
    y = A[:, :4].sum(axis=1) + 0.01 * rng.normal(size=5)
    found = STLSQ(fixed={0: {0: 1.0, 1: 1.0, 2: 1.0, 3: 1.0}}).fit(A, y)
    np.testing.assert_array_equal(found.support_, [[True, True, True, True, False]])


def test_inequalities_give_the_least_squares_solution_that_obeys_them():
    from scipy.optimize import lsq_linear

    rng = np.random.default_rng(4)
    for seed in range(5):
        X, Y, _ = problem(noise=0.5, seed=seed)
        signs = [({(0, j): -1.0}, 0.0) for j in range(8)]  # every coefficient at least 0
        found = STLSQ(0.0, inequalities=signs).fit(X, Y)
        best = lsq_linear(X, Y[:, 0], (0, np.inf), tol=1e-14).x
        np.testing.assert_allclose(found.coef_[0], best, atol=1e-8)
        free = np.linalg.lstsq(X, Y[:, 1], rcond=None)[0]
        np.testing.assert_allclose(found.coef_[1], free, rtol=1e-9)
        low = rng.normal(size=8)
        caps = [({(0, j): 1.0}, float(low[j] + 0.1)) for j in range(8)]
        caps += [({(0, j): -1.0}, float(-low[j])) for j in range(8)]
        found = STLSQ(0.0, inequalities=caps).fit(X, Y)
        best = lsq_linear(X, Y[:, 0], (low, low + 0.1), tol=1e-14).x
        np.testing.assert_allclose(found.coef_[0], best, atol=1e-8)


def test_inequalities_tie_targets_in_any_units_and_matter_only_where_they_are_tight():
    X, Y, truth = problem()
    loose = [({(0, 4): 1.0, (1, 4): 2.0}, 5.0)]
    free, obeyed = STLSQ().fit(X, Y), STLSQ(inequalities=loose).fit(X, Y)
    np.testing.assert_array_equal(obeyed.support_, truth != 0)
    np.testing.assert_allclose(obeyed.coef_, free.coef_, rtol=1e-9, atol=1e-12)
    tight = STLSQ(inequalities=[({(0, 4): 1.0, (1, 4): 2.0}, 0.1)]).fit(X, Y).coef_
    assert tight[0, 4] + 2 * tight[1, 4] == pytest.approx(0.1, abs=1e-10)
    equal = STLSQ(constraints=[({(0, 4): 1.0, (1, 4): 2.0}, 0.1)]).fit(X, Y).coef_
    np.testing.assert_allclose(tight, equal, rtol=1e-8, atol=1e-12)
    scale = 1e6
    rule = [({(0, 4): 1.0 / scale, (1, 4): 2.0}, 0.1)]
    other = STLSQ(inequalities=rule).fit(X, Y * [scale, 1.0]).coef_
    np.testing.assert_allclose(other, tight * [[scale], [1.0]], rtol=1e-6, atol=1e-9)
