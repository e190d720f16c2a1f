"""Fields on grids: derivatives, resampling, names of jets, bursts."""

import numpy as np
import pytest

from discover import Axis, Field, Grid
from discover.exceptions import DataError, ExpressionError
from discover.observations.field import find_bursts
from discover.observations.jets import Jet, jet_names, jet_rows


def box(n, name="x", length=2 * np.pi):
    return Axis.box(name, n, length)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("n", [31, 32])
def test_periodic_derivatives_are_exact_for_resolved_waves(order, n):
    axis = box(n)
    exact = (1j * 3) ** order * np.exp(3j * axis.points)
    found = Grid((axis,)).derivative(np.cos(3 * axis.points), (order,))
    np.testing.assert_allclose(found, exact.real, atol=1e-10)


@pytest.mark.parametrize("order", [1, 2])
def test_open_derivatives_converge_at_order_six(order):
    errors = []
    for n in (40, 80):
        x = np.linspace(0.0, 1.0, n)
        grid = Grid((Axis("x", x, periodic=False),))
        found = grid.derivative(np.exp(np.sin(3 * x)), (order,))
        s, c = np.sin(3 * x), np.cos(3 * x)
        exact = 3 * c * np.exp(s) if order == 1 else (9 * c**2 - 9 * s) * np.exp(s)
        errors.append(np.abs(found - exact)[8:-8].max())
    assert np.log2(errors[0] / errors[1]) > 5.5


def test_mixed_derivatives_of_two_dimensions_are_exact():
    x, y = box(16), box(24, "y", 4 * np.pi)
    grid = Grid((x, y))
    X, Y = np.meshgrid(x.points, y.points, indexing="ij")
    field = Field((np.sin(2 * X) * np.cos(1.5 * Y))[None], [0.0], grid, names="w")
    exact = -2 * np.cos(2 * X) * 1.5 * np.sin(1.5 * Y)
    np.testing.assert_allclose(field.derivative("w_xy")[0], exact, atol=1e-12)


@pytest.mark.parametrize("shape", [(24, 20), (48, 36), (25, 33)])
def test_resampling_keeps_what_both_grids_resolve(shape):
    grid = Grid((box(32), box(30, "y")))
    new = grid.with_shape(shape)

    def wave(g):
        X, Y = np.meshgrid(*(a.points for a in g.axes), indexing="ij")
        return 1 + np.cos(5 * X - 3 * Y) + np.sin(4 * X + 7 * Y)

    np.testing.assert_allclose(grid.resampled(wave(grid), shape), wave(new), atol=1e-12)


def test_every_distinct_mode_is_counted_once():
    """Parseval: a real field's mean square is the zero mode and twice the distinct others."""
    grid = Grid((box(8), box(10, "y")))
    rng = np.random.default_rng(0)
    modes = np.where(grid.distinct, grid.to_modes(rng.standard_normal((8, 10))), 0.0)
    values = np.fft.irfft2(modes, (8, 10), norm="forward")
    # irfft2 adds the conjugates of all but the modes that are their own line's mirror
    full = np.abs(np.fft.fft2(values, norm="forward")) ** 2
    weight = np.where(grid.radius == 0, 1.0, 2.0)
    again = np.abs(grid.to_modes(values)) ** 2 * weight * grid.distinct
    np.testing.assert_allclose(again.sum(), full.sum(), rtol=1e-12)


def test_jet_names_read_back_as_the_derivatives_they_name():
    for name in jet_names(["u", "v_1"], ["x", "y"], 3):
        assert Jet.parse(name, ["u", "v_1"], ["x", "y"]).name(["x", "y"]) == name
    with pytest.raises(ExpressionError, match="neither a component"):
        Jet.parse("u_z", ["u"], ["x"])


def test_jet_rows_hold_one_derivative_a_column():
    axis = box(32)
    rows = jet_rows(Grid((axis,)), {"u": np.sin(axis.points)[None]}, ["u_x", "u"])
    np.testing.assert_allclose(rows, np.stack([np.cos(axis.points), np.sin(axis.points)], 1),
                               atol=1e-13)  # fmt: skip


def test_bursts_are_told_from_series():
    triples = (10.0 * np.arange(4)[:, None] + [0, 0.1, 0.2]).ravel()
    assert [list(b) for b in find_bursts(triples)] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    assert len(find_bursts(np.delete(np.arange(20.0), [5, 11]))) == 1
    assert [list(b) for b in find_bursts(np.array([0.0, 0.1, 5.0, 5.1]))] == [[0, 1], [2, 3]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Axis("xx", np.arange(8.0)), "one letter"),
        (lambda: Axis("x", np.arange(8.0) ** 2), "evenly spaced"),
        (lambda: Field(np.zeros((2, 9)), [0, 1], box(8)), "must have shape"),
        (lambda: Field(np.zeros((2, 8)), [1, 0], box(8)), "strictly increasing"),
        (lambda: Field(np.full((1, 8), np.inf), [0], box(8)), "finite"),
        (lambda: Field(np.zeros((1, 8)), [0], box(8), names="u_x"), "reads as a derivative"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(make, message):
    with pytest.raises(DataError, match=message):
        make()
