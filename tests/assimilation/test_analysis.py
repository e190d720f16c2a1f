"""One assimilation step: against the Kalman filter, and the schemes against each other."""

import numpy as np
import pytest

from discover.assimilation import Covariance, Localization, analyze
from discover.assimilation.analysis import depart
from discover.assimilation.schemes import SCHEMES, finite_size_factor
from discover.assimilation.updates import rotation

GLOBAL = list(SCHEMES)
SQUARE_ROOTS = ["etkf", "ensrf"]


def a_problem(N, n, p, seed=0, correlated=True):
    rng = np.random.default_rng(seed)
    E = rng.normal(size=(N, n)) @ rng.normal(size=(n, n)) + 3.0
    H = rng.normal(size=(p, n))
    root = rng.normal(size=(p, p))
    R = root @ root.T + np.eye(p) if correlated else rng.uniform(0.5, 2.0, p)
    return E, H, rng.normal(size=p), R


def kalman(mean, P, H, y, R):
    K = P @ H.T @ np.linalg.inv(H @ P @ H.T + R)
    return mean + K @ (y - H @ mean), P - K @ H @ P, K


@pytest.mark.parametrize(("N", "p"), [(8, 3), (8, 20), (40, 6)])
def test_square_roots_are_the_kalman_filter_of_the_ensemble_s_moments(N, p):
    E, H, y, R = a_problem(N, 5, p)
    mean, P, _ = kalman(E.mean(axis=0), np.cov(E.T), H, y, R)
    for scheme in SQUARE_ROOTS:
        found = analyze(E, E @ H.T, y, R, scheme=scheme, rng=None)
        np.testing.assert_allclose(found.mean(axis=0), mean, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(np.cov(found.T), P, atol=1e-10 * np.abs(P).max() + 1e-10)


@pytest.mark.parametrize(("N", "p"), [(8, 20), (40, 6)])
def test_half_gain_leaves_a_quarter_of_the_squared_gain_too_much(N, p):
    E, H, y, R = a_problem(N, 5, p)
    P = np.cov(E.T)
    mean, Pa, K = kalman(E.mean(axis=0), P, H, y, R)
    found = analyze(E, E @ H.T, y, R, scheme="denkf", rng=None)
    np.testing.assert_allclose(found.mean(axis=0), mean, atol=1e-10)
    np.testing.assert_allclose(np.cov(found.T), Pa + K @ H @ P @ H.T @ K.T / 4, atol=1e-9)


@pytest.mark.parametrize("scheme", [s for s in GLOBAL if s != "denkf"])
def test_every_scheme_converges_to_the_kalman_filter_like_one_over_root_n(scheme):
    rng = np.random.default_rng(1)
    n, H, R = 3, np.array([[1.0, 0.0, 0.5], [0.0, 1.0, -1.0]]), np.array([0.5, 0.2])
    root = np.array([[1.0, 0, 0], [0.5, 0.8, 0], [-0.3, 0.2, 0.6]])
    y = np.array([0.7, -0.4])
    mean, P, _ = kalman(np.zeros(n), root @ root.T, H, y, np.diag(R))
    errors = []
    sizes = [32, 512]
    for N in sizes:
        squares = []
        for _ in range(200):
            E = rng.normal(size=(N, n)) @ root.T
            found = analyze(E, E @ H.T, y, R, scheme=scheme, rng=rng)
            off = np.concatenate([found.mean(axis=0) - mean, (np.cov(found.T) - P).ravel()])
            squares.append(off @ off)
        errors.append(np.sqrt(np.mean(squares)))
    rate = np.log(errors[0] / errors[1]) / np.log(sizes[1] / sizes[0])
    assert 0.4 < rate < 0.65


@pytest.mark.parametrize("scheme", GLOBAL)
def test_members_can_be_given_in_any_order(scheme):
    E, H, y, R = a_problem(9, 4, 6)
    order = np.random.default_rng(3).permutation(9)
    if scheme == "stochastic":  # its draws go with the rows: compare what is not drawn

        def found(E):
            return analyze(E, E @ H.T, y, R, scheme=scheme, rng=np.random.default_rng(0)).mean(
                axis=0
            )

        np.testing.assert_allclose(found(E[order]), found(E), atol=1e-11)
        return
    one = analyze(E, E @ H.T, y, R, scheme=scheme, rng=None)
    other = analyze(E[order], E[order] @ H.T, y, R, scheme=scheme, rng=None)
    np.testing.assert_allclose(other, one[order], atol=1e-11)


@pytest.mark.parametrize("scheme", [*GLOBAL, "letkf"])
@pytest.mark.parametrize("form", ["number", "diagonal", "matrix", "factor"])
def test_nan_is_the_same_as_a_row_that_is_not_there(scheme, form):
    rng = np.random.default_rng(5)
    N, n = 7, 12
    E = rng.normal(size=(N, n)) + 1.0
    y = rng.normal(size=n)
    seen = np.ones(n, dtype=bool)
    seen[[0, 4, 5, 9]] = False
    A = rng.normal(size=(n, n + 2))
    R = {
        "number": 0.5,
        "diagonal": rng.uniform(0.5, 2, n),
        "matrix": A @ A.T,
        "factor": Covariance.from_factor(A),
    }[form]
    less = {
        "number": 0.5,
        "diagonal": np.asarray(R)[seen] if form == "diagonal" else None,
        "matrix": (A @ A.T)[np.ix_(seen, seen)],
        "factor": Covariance.from_factor(A[seen]),
    }[form]
    places = np.arange(n, dtype=float)
    local = {} if scheme != "letkf" else {"localization": Localization(3.0, places)}
    fewer = (
        {}
        if scheme != "letkf"
        else {"localization": Localization(3.0, places, observed_at=places[seen])}
    )
    HE = E**2 / 3.0
    masked = analyze(
        E,
        np.where(seen, HE, np.nan),
        np.where(seen, y, np.nan),
        R,
        scheme=scheme,
        rng=np.random.default_rng(0),
        **local,
    )
    removed = analyze(
        E, HE[:, seen], y[seen], less, scheme=scheme, rng=np.random.default_rng(0), **fewer
    )
    np.testing.assert_allclose(masked, removed, rtol=0, atol=1e-12)


def test_forms_of_the_same_covariance_give_the_same_analysis():
    E, H, y, _ = a_problem(10, 4, 6)
    deviations = np.full(6, 0.7)
    forms = [0.49, deviations**2, np.diag(deviations**2), Covariance.from_factor(0.7 * np.eye(6))]
    found = [analyze(E, E @ H.T, y, R, rng=None) for R in forms]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=1e-12)


@pytest.mark.parametrize("scheme", GLOBAL)
def test_both_spaces_give_the_same_update(scheme):
    """Observations of no weight lead to the space of the members, and change nothing."""
    E, H, y, _ = a_problem(12, 5, 4, correlated=False)
    HE = E @ H.T
    mute = np.random.default_rng(7).normal(size=(12, 20))
    few = depart(HE, y, Covariance(1.0, 4), np.ones(4, bool))
    many = depart(
        np.hstack([HE, mute]),
        np.concatenate([y, np.zeros(20)]),
        Covariance(np.r_[np.ones(4), np.full(20, 1e28)], 24),
        np.ones(24, bool),
    )
    if scheme == "stochastic":
        pytest.skip("draws one number per observation")
    one, other = (SCHEMES[scheme](seen, None) for seen in (few, many))
    np.testing.assert_allclose(other.apply(E), one.apply(E), atol=1e-9)
    np.testing.assert_allclose(
        one.dense() @ (E - E.mean(axis=0)) + E.mean(axis=0), one.apply(E), atol=1e-11
    )
    assert few.chi_squared() == pytest.approx(many.chi_squared(), rel=1e-9)


def test_innovation_chi_squared_is_that_of_the_dense_matrix():
    E, H, y, R = a_problem(9, 5, 30)
    seen = depart(E @ H.T, y, Covariance(R, 30), np.ones(30, bool))
    d = y - H @ E.mean(axis=0)
    exact = d @ np.linalg.solve(H @ np.cov(E.T) @ H.T + R, d)
    assert seen.chi_squared() == pytest.approx(exact, rel=1e-8)
    seen.spectrum.values  # noqa: B018  (the other road, through the eigenvalues)
    assert seen.chi_squared() == pytest.approx(exact, rel=1e-8)


def test_finite_size_dual_and_primal_agree():
    """Minimise the cost over the weights themselves (Bocquet 2015, equation 14)."""
    from scipy.optimize import minimize

    E, H, y, R = a_problem(6, 4, 9, seed=2)
    N = len(E)
    seen = depart(E @ H.T, y, Covariance(R, 9), np.ones(9, bool))
    s = seen.spectrum
    values, Sd = s.values, seen.S @ seen.d
    length = finite_size_factor(values, s.project(Sd), N)
    e, c = (N + 1) / N, N / (N - 1)
    share = np.mean(1 / (1 + values))
    e, c = e / (e / c) ** (share / 2), c * (e / c) ** (share / 2)

    def cost(w):
        misfit = seen.d - np.sqrt(N - 1) * w @ seen.S
        slope = -np.sqrt(N - 1) * seen.S @ misfit + c * (N - 1) * w / (e + w @ w)
        return 0.5 * misfit @ misfit + 0.5 * c * (N - 1) * np.log(e + w @ w), slope

    start = np.linalg.solve(np.eye(N) + seen.S @ seen.S.T, Sd) / np.sqrt(N - 1)
    primal = minimize(cost, start, jac=True, method="BFGS", options={"gtol": 1e-9}).x
    dual = length**2 * np.linalg.solve(np.eye(N) + length**2 * seen.S @ seen.S.T, Sd)
    np.testing.assert_allclose(dual / np.sqrt(N - 1), primal, atol=1e-7)
    update = SCHEMES["enkfn"](seen, None)
    moved = update.apply(E).mean(axis=0) - E.mean(axis=0)
    np.testing.assert_allclose(moved, primal @ (E - E.mean(axis=0)), atol=1e-6)


def test_finite_size_ensemble_is_left_alone_where_nothing_is_seen():
    E = np.random.default_rng(0).normal(size=(7, 3))
    found = analyze(E, E[:, :1], [0.0], 1e20, scheme="enkfn", rng=None)
    np.testing.assert_allclose(found, E, atol=1e-8)


@pytest.mark.parametrize("N", [6, 30])
def test_local_analysis_without_limits_is_the_global_one(N):
    rng = np.random.default_rng(4)
    n = 12
    E, y = rng.normal(size=(N, n)), rng.normal(size=n)
    A = rng.normal(size=(n, n))
    everywhere = Localization.on_grid((3, 4), np.inf)
    for R in (0.3, rng.uniform(0.2, 1, n), A @ A.T + np.eye(n)):
        local = analyze(E, E, y, R, scheme="letkf", rng=None, localization=everywhere)
        np.testing.assert_allclose(local, analyze(E, E, y, R, rng=None), atol=1e-11)
    serial = analyze(E, E, y, 0.3, scheme="ensrf", rng=None, localization=everywhere)
    np.testing.assert_allclose(serial, analyze(E, E, y, 0.3, scheme="ensrf", rng=None), atol=1e-11)


def test_local_analysis_is_the_global_one_with_tapered_observations():
    """At each place, by the plain formula: the inverse error variances times the taper."""
    rng = np.random.default_rng(8)
    N, n, radius = 6, 20, 2.0
    E, y = rng.normal(size=(N, n)), rng.normal(size=n)
    ring = Localization.on_grid((n,), radius)
    found = analyze(E, E, y, 0.5, scheme="letkf", rng=None, localization=ring)
    for i in range(n):
        distance = np.minimum(np.abs(np.arange(n) - i), n - np.abs(np.arange(n) - i))
        weight = ring.weigh(distance.astype(float))
        near = weight > 0
        alone = analyze(E, E[:, near], y[near], 0.5 / weight[near], rng=None)
        np.testing.assert_allclose(found[:, i], alone[:, i], atol=1e-12)


def test_serial_analysis_stops_at_the_edge_of_the_taper():
    rng = np.random.default_rng(9)
    E = rng.normal(size=(6, 30))
    line = Localization(2.0, np.arange(30.0), observed_at=[10.0])
    found = analyze(E, E[:, [10]], [3.0], 0.1, scheme="ensrf", rng=None, localization=line)
    reached = np.abs(found - E).max(axis=0) > 1e-12
    assert reached[10]
    assert reached[4:17].all()
    assert not reached[:3].any()
    assert not reached[18:].any()


def test_a_rotation_keeps_mean_and_covariance_and_is_uniform():
    rng = np.random.default_rng(2)
    Lambda = rotation(8, rng=rng)
    np.testing.assert_allclose(Lambda @ Lambda.T, np.eye(8), atol=1e-13)
    np.testing.assert_allclose(Lambda.sum(axis=1), 1.0, atol=1e-13)
    draws = np.array([rotation(5, rng=rng) for _ in range(20_000)])
    np.testing.assert_allclose(
        draws.mean(axis=0), 0.2, atol=0.015
    )  # the ones are all that is fixed
    np.testing.assert_allclose(draws.var(axis=0), 0.8**2 / 4, atol=0.008)  # of a uniform rotation
    E, H, y, R = a_problem(8, 4, 3)
    still = analyze(E, E @ H.T, y, R, rng=None)
    turned = analyze(E, E @ H.T, y, R, rng=rng, rotate=True)
    np.testing.assert_allclose(np.cov(turned.T), np.cov(still.T), atol=1e-11)
    np.testing.assert_allclose(turned.mean(axis=0), still.mean(axis=0), atol=1e-12)
    assert np.abs(turned - still).max() > 0.1


@pytest.mark.parametrize("scheme", [*GLOBAL, "letkf"])
def test_units_of_states_and_observations_do_not_matter(scheme):
    rng = np.random.default_rng(11)
    E, y = rng.normal(size=(6, 8)), rng.normal(size=8)
    a, b = rng.uniform(1e-3, 1e3, 8), rng.uniform(1e-3, 1e3, 8)
    local = {"localization": Localization.on_grid((8,), 2.0)} if scheme == "letkf" else {}
    plain = analyze(E, E, y, 0.5, scheme=scheme, rng=np.random.default_rng(0), **local)
    scaled = analyze(
        E * a, E * b, y * b, 0.5 * b**2, scheme=scheme, rng=np.random.default_rng(0), **local
    )
    np.testing.assert_allclose(scaled / a, plain, atol=1e-10)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"R": np.eye(3)}, r"R must be a number or have shape \(2,\) or \(2, 2\)"),
        ({"R": -1.0}, "positive variances"),
        ({"R": np.array([[1.0, 2.0], [2.0, 1.0]])}, "smallest eigenvalue is -1"),
        ({"R": np.array([[1.0, 0.5], [0.0, 1.0]])}, "must be symmetric"),
        ({"HE": np.ones((4, 2))}, r"HE must have shape \(5, n_obs\)"),
        ({"E": np.full((5, 3), np.nan)}, "member 0 is not"),
        ({"y": [1.0, np.inf]}, "y must be finite, or NaN"),
        ({"scheme": "kalman"}, "scheme must be one of"),
        ({"scheme": "letkf"}, "needs localization="),
        ({"localization": Localization.on_grid((3,), 1.0)}, "localization needs scheme"),
        ({"scheme": "stochastic"}, "pass rng="),
        ({"rotate": True}, "pass rng="),
    ],
)
def test_errors_say_what_was_wrong(change, complaint):
    given = {"E": np.eye(5, 3), "HE": np.eye(5, 2), "y": [1.0, 2.0], "R": 1.0} | change
    positional = [given.pop(name) for name in ("E", "HE", "y", "R")]
    with pytest.raises(ValueError, match=complaint):
        analyze(*positional, rng=None, **given)


def test_nothing_observed_changes_nothing():
    E = np.random.default_rng(0).normal(size=(4, 3))
    np.testing.assert_array_equal(analyze(E, E, np.full(3, np.nan), 1.0, rng=None), E)
