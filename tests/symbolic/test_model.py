"""The law as a value: evaluated in any shape, differentiated, stepped, added, drawn."""

import numpy as np
import pytest

from discover.libraries.parse import parse_expression
from discover.libraries.termtable import TermTableBuilder
from discover.symbolic import SymbolicModel


def law(inputs, terms, coefficients, **options):
    builder = TermTableBuilder(inputs)
    table = builder.table([parse_expression(term, builder) for term in terms])
    return SymbolicModel(table, np.array(coefficients, dtype=float), **options)


def pendulum(**options):
    """A driven, damped pendulum: two states, one control, time."""
    return law(
        ["q", "p", "u", "t"],
        ["p", "sin(q)", "p*abs(p)", "u*cos(2*t)", "exp(-q**2)/(1 + p**2)"],
        [[1, 0, 0, 0, 0.1], [0, -2, -0.3, 1.5, 0.7]],
        state_names=["q", "p"],
        control_names=["u"],
        time_name="t",
        **options,
    )


def by_hand(x, t, u):
    q, p = np.moveaxis(np.asarray(x, dtype=float), -1, 0)
    bump = np.exp(-(q**2)) / (1 + p**2)
    force = np.asarray(u)[..., 0] * np.cos(2 * np.asarray(t))
    acceleration = -2 * np.sin(q) - 0.3 * p * np.abs(p) + 1.5 * force + 0.7 * bump
    return np.stack(np.broadcast_arrays(p + 0.1 * bump, acceleration), axis=-1)


def decay(rate=-0.5, **options):
    return law(["x"], ["x"], [[rate]], state_names=["x"], **options)


# -- values ------------------------------------------------------------------------------


@pytest.mark.parametrize("lead", [(), (1,), (7,), (8,), (200,), (3, 4), (0,), (2, 0)])
def test_values_have_the_shape_of_the_states(lead):
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(*lead, 2)), rng.normal(size=(*lead, 1))
    found = pendulum().rhs(x, 0.3, u)
    assert found.shape == (*lead, 2)
    np.testing.assert_allclose(found, by_hand(x, 0.3, u), rtol=1e-14)


def test_times_and_controls_are_broadcast_over_the_states():
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(5, 3, 2)), rng.normal(size=3)
    np.testing.assert_allclose(pendulum().rhs(x, t, [0.4]), by_hand(x, t, [0.4]), rtol=1e-14)
    u = rng.normal(size=(1, 3, 1))
    np.testing.assert_allclose(pendulum().rhs(x, 0.0, u), by_hand(x, 0.0, u), rtol=1e-14)


def test_one_control_needs_no_axis_of_its_own():
    x, u = np.ones((4, 2)), np.arange(4.0)
    np.testing.assert_array_equal(pendulum().rhs(x, 0, u), pendulum().rhs(x, 0, u[:, None]))


def test_one_row_and_many_rows_agree_to_the_bit():
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(300, 2)), rng.normal(size=(300, 1))
    whole = pendulum().rhs(x, 0.3, u)
    rows = np.stack([pendulum().rhs(a, 0.3, b) for a, b in zip(x, u, strict=True)])
    assert whole.tobytes() == rows.tobytes()


def test_calling_a_law_evaluates_it():
    assert decay()([2.0]).tolist() == [-1.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0, 3.0], 0, [1.0]), r"x must have shape \(..., 2\)"),
        ((1.0, 0, [1.0]), r"x must have shape \(..., 2\)"),
        (([1.0, 2.0],), "u is needed: controls"),
        (([1.0, 2.0], 0, [1.0, 2.0]), r"u must have shape \(..., 1\)"),
    ],
)
def test_wrong_shapes_are_explained(arguments, message):
    with pytest.raises(ValueError, match=message):
        pendulum().rhs(*arguments)


def test_controls_for_a_law_without_controls_are_refused():
    with pytest.raises(ValueError, match="the law has no controls"):
        decay().rhs([1.0], u=[1.0])


# -- derivatives -------------------------------------------------------------------------


def central_differences(function, x, h=1e-6):
    columns = []
    for j in range(x.shape[-1]):
        shift = np.zeros(x.shape[-1])
        shift[j] = h
        columns.append((function(x + shift) - function(x - shift)) / (2 * h))
    return np.stack(columns, axis=-1)


def test_the_jacobian_agrees_with_finite_differences():
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(6, 2)), rng.normal(size=(6, 1))
    model = pendulum()
    states = central_differences(lambda z: model.rhs(z, 0.3, u), x)
    controls = central_differences(lambda z: model.rhs(x, 0.3, z), u)
    times = central_differences(lambda z: model.rhs(x, z[..., 0], u), np.full((6, 1), 0.3))
    for wrt, expected in [("states", states), ("controls", controls), ("time", times)]:
        found = model.jacobian(x, 0.3, u, wrt=wrt)
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-8)
    everything = np.concatenate([states, controls, times], axis=-1)
    np.testing.assert_allclose(
        model.jacobian(x, 0.3, u, wrt="inputs"), everything, rtol=1e-7, atol=1e-8
    )


@pytest.mark.parametrize("lead", [(), (5,), (2, 3)])
def test_the_jacobian_has_a_row_per_target_and_a_column_per_state(lead):
    assert pendulum().jacobian(np.ones((*lead, 2)), 0, [1.0]).shape == (*lead, 2, 2)


def test_an_unknown_argument_of_the_jacobian_is_refused():
    with pytest.raises(ValueError, match=r"wrt must be one of .*; got 'x'"):
        decay().jacobian([1.0], wrt="x")


# -- steps -------------------------------------------------------------------------------


def test_a_step_of_a_continuous_law_has_order_four():
    model, steps = decay(), np.array([0.4, 0.2, 0.1, 0.05])
    errors = [abs(model.step([1.0], dt=h)[0] - np.exp(-0.5 * h)) for h in steps]
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert slope == pytest.approx(5, abs=0.05)  # one step: order four, and one


def test_a_step_sees_time_and_holds_the_control():
    model = law(
        ["x", "u", "t"], ["u*t"], [[1]], state_names=["x"], control_names=["u"], time_name="t"
    )
    found = model.step([1.0], t=2.0, dt=0.5, u=[3.0])
    assert found[0] == pytest.approx(1 + 3 * (2.5**2 - 2**2) / 2)


def test_a_map_gives_the_next_state_and_an_increment_is_added():
    x = np.array([[1.0], [2.0]])
    assert decay(0.5, kind="map").step(x).tolist() == [[0.5], [1.0]]
    assert decay(0.5, kind="increment", dt=0.1).step(x, dt=0.1).tolist() == [[1.5], [3.0]]


def test_steps_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match=r"the step of this map is 0.1; got 0.2"):
        decay(kind="map", dt=0.1).step([1.0], dt=0.2)
    with pytest.raises(ValueError, match="dt is needed"):
        decay().step([1.0])
    with pytest.raises(ValueError, match="'direct' has no step"):
        decay(kind="direct").step([1.0])


# -- new laws from old -------------------------------------------------------------------


def other():
    return law(
        ["q", "p", "v"], ["sin(q)", "q*p", "v"], [[0.5, 0, 1], [0, 2, -1]],
        state_names=["q", "p"], control_names=["v"],
    )  # fmt: skip


def test_the_sum_and_the_difference_of_laws_are_laws_of_the_sum_and_the_difference():
    rng = np.random.default_rng(0)
    x, u, v = rng.normal(size=(9, 2)), rng.normal(size=(9, 1)), rng.normal(size=(9, 1))
    a, b, both = pendulum(), other(), np.concatenate([u, v], axis=-1)
    assert (a + b).control_names == ("u", "v")
    np.testing.assert_allclose(
        (a + b).rhs(x, 0.3, both), a.rhs(x, 0.3, u) + b.rhs(x, 0, v), rtol=1e-13, atol=1e-14
    )
    np.testing.assert_allclose(
        (a - b).rhs(x, 0.3, both), a.rhs(x, 0.3, u) - b.rhs(x, 0, v), rtol=1e-13, atol=1e-14
    )
    np.testing.assert_array_equal((-b).rhs(x, 0, v), -b.rhs(x, 0, v))


def test_shared_terms_are_added_once():
    total = pendulum() + other()
    assert total.term_names.count("sin(q)") == 1
    assert total.table.n_terms == 5 + 3 - 1


def test_errors_of_added_laws_are_independent():
    a = decay(1.0, covariance=np.array([[0.09]]))
    b = decay(2.0, covariance=np.array([[0.16]]))
    for total in (a + b, a - b):
        np.testing.assert_allclose(total.covariance, [[0.25]])
    np.testing.assert_allclose((a + decay()).covariance, [[0.09]])
    assert (decay() + decay()).covariance is None


def test_a_covariance_follows_its_coefficients_into_the_sum():
    covariance = np.array([[4.0, 1.0, 0.5], [1.0, 9.0, 0.2], [0.5, 0.2, 16.0]])
    a = law(
        ["x", "y"], ["y", "x", "x*y"], [[1, 2, 0], [0, 0, 3]], state_names=["x", "y"],
        covariance=covariance,
    )  # fmt: skip
    b = law(["x", "y"], ["x*y", "1"], [[0, 5], [1, 0]], state_names=["x", "y"])
    total = b + a
    place = {
        (int(i), total.term_names[k]): n for n, (i, k) in enumerate(np.argwhere(total.support))
    }
    order = [place[0, "y"], place[0, "x"], place[1, "x*y"]]
    np.testing.assert_array_equal(total.covariance[np.ix_(order, order)], covariance)


def test_laws_that_do_not_match_are_not_added():
    with pytest.raises(ValueError, match="must agree in kind, dt, states and targets"):
        decay() + decay(kind="map")
    with pytest.raises(ValueError, match="must agree"):
        decay() + other()
    with pytest.raises(TypeError):
        decay() + 3


def test_draws_follow_the_posterior_and_are_models():
    covariance = np.array([[0.04, 0.03], [0.03, 0.09]])
    model = law(
        ["x"], ["x", "x**2", "x**3"], [[1.0, 0, -2.0]], state_names=["x"], covariance=covariance
    )
    drawn = model.sample(np.random.default_rng(0), size=4000)
    values = np.array([m.coefficients[0] for m in drawn])
    np.testing.assert_allclose(values.mean(axis=0), [1, 0, -2], atol=0.02)
    np.testing.assert_allclose(np.cov(values[:, [0, 2]].T), covariance, atol=0.006)
    assert not values[:, 1].any()
    assert all(m.covariance is None and (m.support == model.support).all() for m in drawn)
    one = model.sample(np.random.default_rng(0))
    assert isinstance(one, SymbolicModel)
    np.testing.assert_array_equal(
        one.coefficients, model.sample(np.random.default_rng(0)).coefficients
    )


def test_there_is_no_draw_without_a_covariance():
    with pytest.raises(ValueError, match="no covariance to sample from"):
        decay().sample(np.random.default_rng(0))


def test_pruning_keeps_the_law():
    model = law(
        ["x", "y"], ["1", "x", "y", "x*y"], [[0, 2, 0, 0], [0, 0, 0, -1]], state_names=["x", "y"],
        covariance=np.diag([1.0, 4.0]),
    )  # fmt: skip
    small = model.pruned()
    assert small.term_names == ("x", "x*y")
    assert small.complexity == model.complexity == 2
    np.testing.assert_array_equal(small.covariance, model.covariance)
    x = np.random.default_rng(0).normal(size=(5, 2))
    assert small.rhs(x).tobytes() == model.rhs(x).tobytes()


def test_a_law_without_terms_is_zero():
    model = decay(0.0)
    assert model.rhs(np.ones((3, 1))).tolist() == [[0.0]] * 3
    assert model.pruned().table.n_terms == 0
    assert model.jacobian([1.0]).tolist() == [[0.0]]


# -- construction ------------------------------------------------------------------------


def test_a_model_cannot_be_changed():
    model = decay()
    with pytest.raises(AttributeError):
        model.kind = "map"
    with pytest.raises(ValueError, match="read-only"):
        model.coefficients[0, 0] = 1.0


def test_a_model_keeps_its_own_coefficients():
    coefficients = np.array([[2.0]])
    model = SymbolicModel(decay().table, coefficients, ["x"])
    coefficients[0, 0] = 3.0
    assert model.coefficients[0, 0] == 2.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coefficients": np.ones((2, 1))}, r"must have shape \(1, 1\)"),
        ({"coefficients": np.array([[np.nan]])}, "must be finite"),
        ({"support": [[False]]}, "outside the support must be 0"),
        ({"kind": "ode"}, "kind must be one of"),
        ({"kind": "map", "dt": 0.0}, "dt must be positive"),
        ({"state_names": ["y"]}, "the table must have the inputs"),
        ({"target_names": ["r"]}, "the targets of a dynamical law are its states"),
        ({"covariance": np.eye(2)}, r"covariance must be finite, of shape \(1, 1\)"),
    ],
)
def test_parts_that_do_not_fit_are_refused(options, message):
    parts = {"table": decay().table, "coefficients": np.ones((1, 1)), "state_names": ["x"]}
    with pytest.raises(ValueError, match=message):
        SymbolicModel(**{**parts, **options})


def test_standard_errors_are_known_where_the_law_has_terms():
    model = law(
        ["x"],
        ["x", "x**2", "1"],
        [[1.0, 0, 2.0]],
        state_names=["x"],
        covariance=np.diag([4.0, 9.0]),
    )
    np.testing.assert_array_equal(model.standard_errors, [[2.0, np.nan, 3.0]])


def test_a_model_prints_its_equations():
    assert repr(decay()) == "x' = -0.5 x"
