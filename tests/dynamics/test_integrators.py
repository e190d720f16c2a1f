import numpy as np
import pytest
from scipy.integrate import RK45

from discover.dynamics import Simulation, simulate
from discover.exceptions import SimulationError
from discover.kernels import integrators as kernel
from discover.libraries.parse import parse_expression
from discover.libraries.termtable import TermTableBuilder
from discover.symbolic.model import SymbolicModel


def law(equations, controls=(), time_name=None, **options):
    """Build a model from one expression per state."""
    time = () if time_name is None else (time_name,)
    builder = TermTableBuilder([*equations, *controls, *time])
    slots = [parse_expression(text, builder) for text in equations.values()]
    table = builder.table(slots)
    coefficients = (np.array(slots)[:, None] == table.outputs).astype(float)
    return SymbolicModel(
        table, coefficients, list(equations), controls, time_name=time_name, **options
    )


LORENZ = law({"x": "10*(y - x)", "y": "x*(28 - z) - y", "z": "x*y - 8/3*z"})
OSCILLATOR = law({"x": "y", "y": "-x"})
DRIVEN = law({"x": "u - x"}, ["u"])
BLOW_UP = law({"x": "x**2"})
START = [-8.0, 8.0, 27.0]


class PythonLaw:
    """A law known only by its right-hand side."""

    def __init__(self, model):
        self.rhs = model.rhs


def slope_of(errors, factor=2.0):
    return np.log(errors[:-1] / errors[1:]) / np.log(factor)


# -- accuracy ----------------------------------------------------------------------


def test_the_tableau_is_the_one_scipy_has():
    np.testing.assert_array_equal(kernel.DOPRI5_A[:6, :5], RK45.A)
    np.testing.assert_array_equal(kernel.DOPRI5_A[6], RK45.B)
    np.testing.assert_allclose(kernel.DOPRI5_E, -RK45.E, rtol=1e-15)


def test_rk4_converges_at_order_four():
    exact = [np.cos(2), -np.sin(2)]
    runs = [OSCILLATOR.simulate([1, 0], [0, 2], method="rk4", n_substeps=n) for n in (8, 16, 32)]
    errors = np.array([np.abs(run[-1] - exact).max() for run in runs])
    np.testing.assert_allclose(slope_of(errors), 4, atol=0.1)


def test_dopri5_converges_at_order_five_and_its_dense_output_at_order_four():
    t = np.linspace(0, 4, 101)
    exact = np.stack([np.cos(t), -np.sin(t)], axis=1)
    ends, between = [], []
    for h in (0.2, 0.1, 0.05):
        # a tolerance that is always met leaves the steps to max_step
        run = OSCILLATOR.simulate([1, 0], t, rtol=0.5, atol=1.0, max_step=h)
        error = np.abs(run - exact).max(axis=1)
        ends.append(error[-1])
        between.append(error.max())
    np.testing.assert_allclose(slope_of(np.array(ends)), 5, atol=0.3)
    assert (slope_of(np.array(between)) > 3.8).all()


def test_the_error_follows_the_tolerance():
    exact = [np.cos(10), -np.sin(10)]
    for rtol in (1e-4, 1e-7, 1e-10):
        error = np.abs(OSCILLATOR.simulate([1, 0], [0, 10], rtol=rtol)[-1] - exact).max()
        assert rtol / 100 < error < 30 * rtol


def test_dopri5_agrees_with_dop853_on_lorenz():
    t = np.linspace(0, 3, 31)
    ours = LORENZ.simulate(START, t, rtol=1e-12)
    theirs = LORENZ.simulate(START, t, rtol=1e-12, method="DOP853")
    assert theirs.method == "DOP853"
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-8)


def test_outputs_do_not_depend_on_their_spacing():
    fine = LORENZ.simulate(START, np.arange(2001) / 1000)
    coarse = LORENZ.simulate(START, [0, 0.5, 2])
    np.testing.assert_array_equal(fine[[0, 500, 2000]], coarse)
    assert fine.n_rhs == coarse.n_rhs


def test_backwards_returns_to_the_start():
    t = np.linspace(0, 0.3, 11)
    there = LORENZ.simulate(START, t, rtol=1e-12)
    back = LORENZ.simulate(there[-1], t[::-1], rtol=1e-12)
    np.testing.assert_allclose(back[::-1], there, rtol=1e-7)


def test_a_law_may_depend_on_time():
    model = law({"x": "2*t"}, time_name="t")
    t = np.linspace(1, 3, 5)
    for method in ("dopri5", "rk4", "DOP853", "Radau"):
        run = model.simulate([1.0], t, method=method)
        np.testing.assert_allclose(run["x"], t**2, rtol=1e-7, err_msg=method)


@pytest.mark.parametrize("method", ["LSODA", "Radau", "BDF"])
def test_stiff_solvers_follow_a_relaxation_oscillation(method):
    model = law({"x": "y", "y": "1000*(1 - x**2)*y - x"})
    t = np.linspace(0, 20, 4)
    reference = model.simulate([2, 0], t, rtol=1e-9)
    run = model.simulate([2, 0], t, rtol=1e-6, method=method)
    np.testing.assert_allclose(run["x"], reference["x"], rtol=1e-4)
    assert run.n_rhs < reference.n_rhs / 100


# -- batches, units, objects -------------------------------------------------------


@pytest.mark.parametrize("method", ["dopri5", "rk4", "DOP853"])
def test_a_member_of_a_batch_is_the_same_run_alone(method):
    rng = np.random.default_rng(0)
    model = law({"x": "y", "y": "u - sin(x) - 0.1*y"}, ["u"])
    t = np.linspace(0, 2, 9)
    x0, u = rng.normal(size=(5, 2)), rng.normal(size=(5, 9, 1))
    batch = model.simulate(x0, t, u, method=method)
    assert batch.shape == (5, 9, 2)
    assert batch.success.all()
    for k in range(5):
        np.testing.assert_array_equal(batch[k], model.simulate(x0[k], t, u[k], method=method))
    shared = model.simulate(x0, t, u[3], method=method)
    np.testing.assert_array_equal(shared[3], batch[3])


@pytest.mark.parametrize("scale", [2.0**40, 2.0**-40, 1e6])
@pytest.mark.parametrize("start", [START, [0.0, 1.0, 0.0]])
def test_the_trajectory_does_not_depend_on_units(scale, start):
    scaled = law(
        {"x": "10*(y - x)", "y": f"x*(28 - z*{1 / scale}) - y", "z": f"x*y*{1 / scale} - 8/3*z"}
    )
    t = np.linspace(0, 2, 21)
    expected = LORENZ.simulate(start, t) * scale
    run = scaled.simulate(np.multiply(start, scale), t)
    tolerance = 0 if np.log2(scale) % 1 == 0 else 1e-8
    np.testing.assert_allclose(run, expected, rtol=tolerance, atol=tolerance * scale)
    theirs = scaled.simulate(np.multiply(start, scale), t, method="DOP853")
    np.testing.assert_allclose(theirs, expected, rtol=1e-5)


def test_states_that_start_at_zero_need_no_absolute_tolerance():
    resting = law({"x": "-x", "y": "x*y"}).simulate([0, 0], [0, 1])
    np.testing.assert_array_equal(resting, 0)
    # flat beyond the order of the method: no step makes the first relative error small
    flat = law({"s": "1", "x": "s**12"}).simulate([0, 0], [0, 1, 2])
    np.testing.assert_allclose(flat["x"], np.array([0, 1, 2]) ** 13 / 13, rtol=1e-7)


def test_python_objects_are_simulated_too():
    t = np.linspace(0, 1, 11)
    python, compiled = PythonLaw(LORENZ), LORENZ.simulate([START, START], t, method="rk4")
    adaptive = simulate(python, START, t)
    assert adaptive.method == "DOP853"
    assert adaptive.state_names == ("x0", "x1", "x2")
    np.testing.assert_allclose(adaptive, LORENZ.simulate(START, t), rtol=1e-6)
    np.testing.assert_array_equal(simulate(python, [START, START], t, method="rk4"), compiled)
    np.testing.assert_array_equal(simulate(LORENZ, START, t, method="step"), compiled[0])


def test_python_objects_receive_controls_and_may_only_have_a_step():
    class Adder:
        control_names = ("a", "b")

        def step(self, x, t, dt, u):
            return x + dt * (u[..., :1] + u[..., 1:])

    u = np.arange(8.0).reshape(4, 2)
    run = simulate(Adder(), [[0.0], [1.0]], [0, 1, 2, 3], u, u_interpolation="previous")
    np.testing.assert_array_equal(run[..., 0], [[0, 1, 6, 15], [1, 2, 7, 16]])
    assert run.control_names == ("a", "b")


# -- controls ----------------------------------------------------------------------


def exact_driven(t, u, held):
    """Solve x' = u - x from zero, for u on straight lines or held, in closed form."""
    x = np.zeros(len(t))
    for k, h in enumerate(np.diff(t)):
        slope = 0.0 if held else (u[k + 1] - u[k]) / h
        x[k + 1] = np.exp(-h) * (x[k] - u[k] + slope) + u[k] + slope * (h - 1)
    return x


@pytest.mark.parametrize("method", ["dopri5", "DOP853", "LSODA"])
@pytest.mark.parametrize("reading", ["linear", "previous"])
def test_controls_are_followed_through_their_kinks(method, reading):
    t = np.array([0, 0.3, 1.0, 1.1, 2.5])
    u = np.array([1.0, -2.0, 0.5, 3.0, 7.0])
    run = DRIVEN.simulate([0.0], t, u, method=method, u_interpolation=reading, rtol=1e-10)
    np.testing.assert_allclose(run["x"], exact_driven(t, u, reading == "previous"), atol=1e-8)
    np.testing.assert_array_equal(run.controls[:, 0], u)


@pytest.mark.parametrize("method", ["dopri5", "rk4", "LSODA"])
def test_cubic_controls_converge_at_order_four_and_are_chosen_for_smooth_ones(method):
    errors = []
    for n in (21, 41, 81):
        t = np.linspace(0, 4, n)
        options = {"method": method, "rtol": 1e-11, "n_substeps": 20}
        cubic = DRIVEN.simulate([-0.5], t, np.sin(t), u_interpolation="cubic", **options)
        chosen = DRIVEN.simulate([-0.5], t, np.sin(t), **options)
        np.testing.assert_array_equal(cubic, chosen)
        errors.append(np.abs(cubic["x"] - 0.5 * (np.sin(t) - np.cos(t))).max())
    assert np.all(-np.diff(np.log2(errors)) > 3.5)


@pytest.mark.parametrize("method", ["dopri5", "rk4", "LSODA"])
def test_each_control_is_read_in_its_own_way(method):
    t = np.linspace(0, 10, 101)
    rough = np.random.default_rng(0).normal(size=len(t))
    u = np.column_stack([np.sin(t), np.where(t % 2 < 1, 1.0, 0.0), rough])
    each = law({"x": "p", "y": "q", "z": "r"}, ["p", "q", "r"])
    rule = {"method": method, "rtol": 1e-10, "n_substeps": 5}
    run = each.simulate([0.0, 0.0, 0.0], t, u, **rule)
    np.testing.assert_allclose(run["x"], 1 - np.cos(t), atol=2e-6)
    held = each.simulate([0.0, 0.0, 0.0], t, u, u_interpolation="previous", **rule)
    np.testing.assert_allclose(run["y"], held["y"], atol=1e-9)
    straight = each.simulate([0.0, 0.0, 0.0], t, u, u_interpolation="linear", **rule)
    np.testing.assert_allclose(run["z"], straight["z"], atol=1e-9)
    assert np.abs(straight["x"] - 1 + np.cos(t)).max() > 1e-4
    back = each.simulate(run.states[-1], t[::-1], u[::-1], **rule)
    np.testing.assert_allclose(back.states[::-1], run.states, atol=1e-6)


@pytest.mark.parametrize("method", ["dopri5", "rk4", "DOP853"])
@pytest.mark.parametrize("reading", ["linear", "cubic", "previous"])
def test_controls_are_followed_backwards(method, reading):
    t, u = np.linspace(0, 1, 5), np.array([1.0, -2.0, 0.5, 3.0, 7.0])
    options = {"method": method, "u_interpolation": reading, "rtol": 1e-10, "n_substeps": 20}
    there = DRIVEN.simulate([0.5], t, u, **options)
    back = DRIVEN.simulate(there[-1], t[::-1], u[::-1], **options)
    np.testing.assert_allclose(back[::-1], there, atol=1e-7)


def test_a_short_pulse_is_not_stepped_over():
    t = np.linspace(0, 100, 1001)
    u = np.where(np.arange(1001) == 500, 1.0, 0.0)
    run = law({"x": "u"}, ["u"]).simulate([1.0], t, u)
    np.testing.assert_allclose(run["x"][-1], 1.1, rtol=1e-12)


@pytest.mark.parametrize("method", ["dopri5", "rk4", "LSODA"])
def test_a_control_function_is_exact_at_every_stage(method):
    t = np.linspace(0, 3, 4)
    run = DRIVEN.simulate([-0.5], t, np.sin, method=method, n_substeps=50)
    np.testing.assert_allclose(run["x"], 0.5 * (np.sin(t) - np.cos(t)), atol=2e-7)
    np.testing.assert_array_equal(run.controls[:, 0], np.sin(t))
    python = simulate(PythonLaw(DRIVEN), [-0.5], t, np.sin, method=method, n_substeps=50)
    np.testing.assert_allclose(python, run, atol=1e-12)


# -- maps --------------------------------------------------------------------------


def test_a_map_equals_plain_iteration():
    model = law({"x": "3.9*x*(1 - x)"}, kind="map", dt=0.5)
    x = [0.3]
    for _ in range(100):
        x.append(3.9 * x[-1] * (1 - x[-1]))
    run = model.simulate([0.3], 100)
    np.testing.assert_array_equal(run["x"], x)
    np.testing.assert_array_equal(run.times, np.arange(101) * 0.5)
    np.testing.assert_array_equal(model.simulate([[0.3]], run.times)[0], run)


def test_increments_add_up_under_their_controls_and_times():
    model = law({"x": "u*x + t"}, ["u"], "t", kind="increment", dt=2.0)
    u = np.array([0.5, -0.25, 1.0])
    run = model.simulate([1.0], 3, u)
    np.testing.assert_array_equal(run, model.simulate([1.0], 3, [*u, 99.0]))
    x = [1.0]
    for k in range(3):
        x.append(x[-1] + (u[k] * x[-1] + 2.0 * k))
    np.testing.assert_array_equal(run["x"], x)
    np.testing.assert_array_equal(model.simulate([1.0], 3, lambda t: u[int(t / 2) % 3]), run)


# -- failures ----------------------------------------------------------------------


@pytest.mark.parametrize("method", ["dopri5", "LSODA", "DOP853"])
def test_a_blow_up_is_reported_with_its_time(method):
    with pytest.raises(SimulationError, match=r"blows up.* at t = .*, where x = .*bounds=") as info:
        BLOW_UP.simulate([1.0], np.linspace(0, 2, 11), method=method)
    assert info.value.time == pytest.approx(1.0, abs=1e-3)


def test_what_was_reached_before_a_failure_is_kept():
    t = np.array([0, 0.5, 0.9, 1.5, 2.0])
    run = BLOW_UP.simulate([1.0], t, on_failure="return")
    assert not run.success
    assert run.failure_time == pytest.approx(1.0, abs=1e-8)
    assert run.n_rhs < 10_000
    np.testing.assert_allclose(run["x"][:3], [1, 2, 10], rtol=1e-6)
    assert np.isnan(run["x"][3:]).all()
    assert "FAILED at t = 1" in repr(run)


def test_a_batch_goes_on_without_the_members_that_fail():
    t = np.linspace(0, 1.5, 4)
    with pytest.warns(
        RuntimeWarning, match=r"1 of 3 members failed; member 1: .* at t = 1"
    ) as seen:
        run = BLOW_UP.simulate([[0.5], [1.0], [-1.0]], t)
    assert seen[0].filename == __file__
    np.testing.assert_array_equal(run.success, [True, False, True])
    np.testing.assert_array_equal(np.isnan(run.failure_time), run.success)
    np.testing.assert_allclose(run[2, :, 0], -1 / (1 + t), rtol=1e-6)
    with pytest.raises(SimulationError, match="member 1"):
        BLOW_UP.simulate([[0.5], [1.0]], t, on_failure="raise")


@pytest.mark.parametrize("method", ["dopri5", "DOP853", "rk4", "step"])
def test_leaving_the_bounds_ends_a_run_where_it_happens(method):
    t = np.linspace(0, 7, 8)
    bounds = ([-1.5, -0.25], None)  # y = -sin(t)
    with pytest.raises(SimulationError, match=r"y left its bounds \[-0.25, inf\]") as info:
        OSCILLATOR.simulate([1, 0], t, method=method, bounds=bounds, n_substeps=1000)
    located = 1e-6 if method in ("dopri5", "DOP853") else 1.1e-3
    assert info.value.time == pytest.approx(np.arcsin(0.25), abs=located)


@pytest.mark.parametrize("method", ["dopri5", "DOP853"])
def test_a_bound_met_within_rounding_is_never_a_silent_end(method):
    model = law({"x": "1"})
    for upper in np.linspace(0.1, 0.9, 33):
        run = model.simulate(
            [0.0], [0, upper, 1], method=method, bounds=(None, upper), on_failure="return"
        )
        assert run.failure_time == pytest.approx(upper, rel=1e-12)
        assert np.isnan(run[-1, 0])


def test_an_excursion_between_two_steps_is_seen_at_the_outputs():
    t = np.linspace(0, 2, 41)
    run = law({"x": "1 - t"}, time_name="t").simulate(
        [1.0], t, rtol=1e-3, atol=1.0, bounds=(None, 1.495), on_failure="return"
    )
    assert run.failure_time == pytest.approx(0.9, abs=1e-6)
    assert np.nanmax(run) < 1.495


def test_maps_and_fixed_steps_report_overflow():
    with pytest.raises(SimulationError, match=r"not finite at t = 10, where x = inf"):
        law({"x": "x*x"}, kind="map").simulate([2.0], 20)
    with pytest.raises(SimulationError, match=r"not finite .* n_substeps="):
        BLOW_UP.simulate([1.0], [0, 1, 2, 3, 4], method="rk4")


def test_other_failures_say_what_to_do():
    with pytest.raises(SimulationError, match=r"100 steps were not enough.*method='LSODA'"):
        LORENZ.simulate(START, [0, 100], max_steps=100)
    with pytest.raises(SimulationError, match=r"x0 must be finite; got y = nan"):
        LORENZ.simulate([1, np.nan, 1], [0, 1])
    with pytest.raises(SimulationError, match=r"not finite at t = 2") as info:
        law({"x": "-(x**0.5)"}).simulate([1.0], [0, 5])
    assert info.value.time == pytest.approx(2.0, abs=1e-3)


# -- the answer and the arguments --------------------------------------------------


def test_a_simulation_is_used_like_the_array_of_its_states():
    t = np.linspace(0, 1, 6)
    run = OSCILLATOR.simulate([1, 0], t)
    assert isinstance(run, Simulation)
    assert np.shares_memory(np.asarray(run), run.states)
    assert len(run) == 6
    assert run.shape == (6, 2)
    np.testing.assert_array_equal(np.mean(run, axis=0), run.states.mean(axis=0))
    np.testing.assert_array_equal(run - run, 0)
    np.testing.assert_array_equal(run["y"], run[:, 1])
    with pytest.raises(KeyError, match="no state 'q'"):
        run["q"]
    assert repr(run).startswith("Simulation(x, y: 6 times from 0 to 1; dopri5, ")


def test_a_simulation_becomes_a_table():
    u = np.ones((3, 1))
    frame = DRIVEN.simulate([0.0], [0, 1, 2], u).to_frame()
    assert list(frame.columns) == ["x", "u"]
    assert list(frame.index) == [0, 1, 2]
    batch = DRIVEN.simulate([[0.0], [1.0]], [0, 1, 2], u)
    assert batch.to_frame().loc[(1, 0), "x"] == 1
    assert repr(batch).startswith("Simulation(x: 2 members, 3 times")


@pytest.mark.parametrize(
    ("model", "x0", "t", "options", "message"),
    [
        (LORENZ, [1, 2], [0, 1], {}, r"x0 must have shape \(3,\) or \(n_members, 3\)"),
        (LORENZ, START, [0, 1, 1], {}, r"t must be .* strictly increasing"),
        (LORENZ, START, 5, {}, r"t must be a 1-D array"),
        (LORENZ, START, [0, 1], {"u": [1, 2]}, r"the law has no controls"),
        (LORENZ, START, [0, 1], {"method": "euler"}, r"method must be one of"),
        (LORENZ, START, [0, 1], {"rtol": 0}, r"rtol must be in"),
        (LORENZ, START, [0, 1], {"atol": -1}, r"atol must be"),
        (LORENZ, START, [0, 1], {"bounds": ([0, 1], 2)}, r"bounds must be"),
        (LORENZ, START, [0, 1], {"on_failure": "ignore"}, r"on_failure must be"),
        (LORENZ, START, [0, 1], {"n_substeps": 0}, r"n_substeps, max_steps and max_step"),
        (DRIVEN, [1], [0, 1], {}, r"u is needed: controls \['u'\]"),
        (DRIVEN, [1], [0, 1], {"u": [1, 2, 3]}, r"u must have shape \(2, 1\)"),
        (DRIVEN, [1], [0, 1], {"u": [1, np.nan]}, r"u must be finite; it is not at t = 1"),
        (DRIVEN, [1], [0, 1], {"u": [1, 2], "u_interpolation": "quintic"}, r"u_interpolation must"),
        (law({"x": "x"}, kind="map", dt=0.1), [1], [0, 0.2], {}, r"steps by dt = 0.1"),
        (law({"x": "x"}, kind="direct"), [1], [0, 0.2], {}, r"kind 'direct'"),
        (PythonLaw(LORENZ), START, [0, 1], {"method": "step"}, r"needs dynamics with step"),
        (object(), [1], [0, 1], {}, r"dynamics must be a SymbolicModel"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(model, x0, t, options, message):
    with pytest.raises(ValueError, match=message):
        simulate(model, x0, t, **options)
