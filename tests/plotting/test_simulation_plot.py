"""The pictures show the numbers they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from discover import STLSQ, DiscreteSINDy, SINDy
from discover.observations.datasets import load_hare_lynx
from discover.plotting import plot_path, plot_simulation

T = np.linspace(0.0, 10.0, 201)
CIRCLE = np.column_stack([np.cos(T), -np.sin(T)])


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def circle():
    return SINDy(names=["q", "p"]).fit(CIRCLE, T)


def lines(axes):
    return {line.get_label(): line for line in axes.lines}


def test_points_are_the_data_and_the_line_is_the_simulation(circle):
    axes = plot_simulation(circle, CIRCLE, T)
    assert axes.shape == (2,)
    for j, name in enumerate("qp"):
        drawn = lines(axes[j])
        np.testing.assert_array_equal(drawn["data"].get_xdata(), T)
        np.testing.assert_array_equal(drawn["data"].get_ydata(), CIRCLE[:, j])
        times = drawn["law"].get_xdata()
        expected = circle.simulate(CIRCLE[0], times)[name]
        np.testing.assert_array_equal(drawn["law"].get_ydata(), expected)
        assert axes[j].get_ylabel() == name


def test_few_samples_still_give_a_smooth_line():
    frame = load_hare_lynx()
    axes = plot_simulation(SINDy().fit(frame), frame)
    drawn = lines(axes[0])
    assert len(drawn["data"].get_xdata()) == 21
    assert len(drawn["law"].get_xdata()) >= 1000
    assert drawn["law"].get_ydata()[0] == frame["hare"].iloc[0]


def test_labels_carry_the_units_of_the_data():
    frame = pd.DataFrame(CIRCLE, columns=["q [m]", "p [m/s]"], index=pd.Index(T, name="time [s]"))
    axes = plot_simulation(SINDy().fit(frame), frame)
    assert [a.get_ylabel() for a in axes] == ["q [m]", "p [m/s]"]
    assert axes[-1].get_xlabel() == "t [s]"


def test_columns_are_matched_by_name(circle):
    frame = pd.DataFrame(CIRCLE[:, ::-1], columns=["p", "q"], index=T)
    axes = plot_simulation(circle.symbolic_, frame)
    np.testing.assert_array_equal(lines(axes[0])["data"].get_ydata(), CIRCLE[:, 0])


def test_law_alone_takes_unnamed_data_in_order(circle):
    axes = plot_simulation(circle.symbolic_, CIRCLE, T)
    np.testing.assert_array_equal(lines(axes[1])["data"].get_ydata(), CIRCLE[:, 1])


def test_data_of_other_states_are_refused(circle):
    frame = pd.DataFrame(CIRCLE, columns=["a", "b"], index=T)
    with pytest.raises(ValueError, match=r"plot_simulation: X must have the states \['q', 'p'\]"):
        plot_simulation(circle.symbolic_, frame)


def test_every_run_has_its_own_column(circle):
    axes = plot_simulation(circle, [CIRCLE, CIRCLE[:100]], [T, T[:100]])
    assert axes.shape == (2, 2)
    assert len(lines(axes[0, 1])["data"].get_xdata()) == 100


def test_given_axes_are_drawn_on(circle):
    figure, given = plt.subplots(2)
    axes = plot_simulation(circle, CIRCLE, T, axes=given)
    assert list(axes) == list(given)
    assert plt.get_fignums() == [figure.number]
    with pytest.raises(ValueError, match=r"axes must be 2 x 1 \(states, runs\); got 1"):
        plot_simulation(circle, CIRCLE, T, axes=given[0])


def test_simulation_starts_at_the_first_complete_sample(circle):
    holes = CIRCLE.copy()
    holes[:5, 0] = np.nan
    law = lines(plot_simulation(circle, holes, T)[1])["law"]
    assert law.get_xdata()[0] == T[5]
    assert law.get_ydata()[0] == CIRCLE[5, 1]


def test_data_without_a_complete_sample_are_refused(circle):
    holes = CIRCLE.copy()
    holes[::2, 0], holes[1::2, 1] = np.nan, np.nan
    with pytest.raises(ValueError, match="needs one sample without NaN to start from"):
        plot_simulation(circle, holes, T)


def test_controls_drive_the_simulation():
    u = np.sin(3.0 * T)
    x = np.exp(-T) + (np.exp(-T) * 3 + np.sin(3 * T) - 3 * np.cos(3 * T)) / 10  # x' = -x + u
    model = SINDy(names=["x"], control_names=["u"]).fit(x, T, u)
    (axes,) = plot_simulation(model, x, T, u)
    law = lines(axes)["law"]
    at_samples = np.interp(T, law.get_xdata(), law.get_ydata())
    np.testing.assert_allclose(at_samples, x, atol=2e-3)  # controls are joined linearly


def test_maps_are_drawn_at_their_steps():
    x = 0.3 * 0.9 ** np.arange(30.0)
    model = DiscreteSINDy(names=["x"]).fit(x, 1.0)
    (axes,) = plot_simulation(model, x, 1.0)
    np.testing.assert_allclose(lines(axes)["law"].get_ydata(), x, rtol=1e-9)


def test_long_runs_are_thinned(circle):
    t = np.linspace(0, 10, 9001)
    axes = plot_simulation(circle, np.column_stack([np.cos(t), -np.sin(t)]), t)
    assert 1000 < len(lines(axes[0])["data"].get_xdata()) <= 2000


def test_path_shows_every_model_and_rings_the_chosen_one(circle):
    axes = plot_path(circle)
    estimate = circle.estimate_
    for target, name in enumerate("qp"):
        models = [model for model in estimate.path if model.target == target]
        line = lines(axes)[name]
        assert list(line.get_xdata()) == [len(model.terms) for model in models]
    rings = [c.get_offsets() for c in axes.collections if len(c.get_offsets())]
    assert [ring[0, 0] for ring in rings] == estimate.support.sum(axis=1).tolist()


def test_path_of_a_shared_support_is_one_line():
    model = SINDy(regressor=STLSQ(shared=True)).fit(CIRCLE, T)
    assert list(lines(plot_path(model.estimate_))) == ["all targets"]


def test_without_a_path_the_message_says_what_to_do():
    model = SINDy(regressor=STLSQ(0.1)).fit(CIRCLE, T)
    with pytest.raises(ValueError, match=r"fit with STLSQ\(threshold='auto'\)"):
        plot_path(model)
