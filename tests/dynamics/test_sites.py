"""Rings of sites: the two-scale system, and laws that hold at every site."""

import numpy as np
import pytest

from discover import Axis, Field, Grid, SymbolicLibrary, SymbolicModel
from discover.assimilation.twins import lorenz96
from discover.dynamics.field_law import FieldLaw
from discover.dynamics.site_law import SiteLaw
from discover.dynamics.two_scale import TwoScaleLorenz96, lorenz96_rate
from discover.exceptions import DataError, ExpressionError
from discover.observations.jets import Jet, jet_rows

RING = Grid((Axis.ring("k", 8),))


def law(terms, *coefficients, grid=RING):
    table = SymbolicLibrary(terms).fit_names(["X", "X_km2", "X_km1", "X_kp1"]).terms()
    model = SymbolicModel(table, [coefficients], table.inputs, target_names=["X_t"], kind="direct")
    return SiteLaw(model, grid, ("X",))


def test_the_two_scale_system_is_the_one_of_the_docstring():
    system = TwoScaleLorenz96(4, 5, forcing=7.0, coupling=0.8, amplitude_ratio=9.0, time_ratio=6.0)
    x = np.random.default_rng(0).standard_normal(system.n_states)
    X, Y = x[:4], x[4:]
    slow = [
        X[k - 1] * (X[(k + 1) % 4] - X[k - 2])
        - X[k]
        + 7.0
        - 0.8 * 6 / 9 * sum(Y[5 * k : 5 * k + 5])
        for k in range(4)
    ]
    fast = [
        -6 * 9 * Y[(j + 1) % 20] * (Y[(j + 2) % 20] - Y[j - 1]) - 6 * Y[j] + 0.8 * 6 / 9 * X[j // 5]
        for j in range(20)
    ]
    assert np.allclose(system.rhs(x), slow + fast, rtol=0, atol=1e-12)
    assert np.allclose(system.rhs(np.stack([x, 2 * x]))[0], system.rhs(x))


def test_coupling_and_advection_of_the_two_scales_keep_energy():
    system = TwoScaleLorenz96()
    x = np.random.default_rng(0).standard_normal(system.n_states)
    X, Y = x[:8], x[8:]
    power = -np.sum(X**2) - 10.0 * np.sum(Y**2) + 20.0 * X.sum()
    assert x @ system.rhs(x) == pytest.approx(power, rel=1e-12)


def test_a_site_law_is_the_ring_it_stands_for():
    ring = law("1, X, X_km1*X_kp1, X_km2*X_km1", 8.0, -1.0, 1.0, -1.0)
    x = np.random.default_rng(0).standard_normal((3, 8))
    assert np.allclose(ring.rhs(x), lorenz96_rate(x, 8.0), atol=1e-13)
    assert np.allclose(ring.rhs(x), lorenz96(8).rhs(x), atol=1e-13)
    coarse = ring.step(ring.step(x, 0.0, 0.01), 0.01, 0.01)
    assert np.abs(coarse - ring.step(x, 0.0, 0.02)).max() < 1e-6


def test_neighbours_have_names():
    assert Jet.parse("X_km2", ["X"], ["k"]) == Jet("X", (0,), (-2,))
    assert Jet("X", (0, 0), (1, -2)).name(["i", "j"]) == "X_ip1jm2"
    values = np.arange(8.0)[None]
    rows = jet_rows(RING, {"X": values}, ["X", "X_kp1", "X_km2"])
    assert rows[0].tolist() == [0.0, 1.0, 6.0]


def test_sites_are_not_points_of_a_smooth_field():
    with pytest.raises(DataError, match="no derivatives along"):
        Field(np.zeros((1, 8)), [0.0], RING, "X").derivative("X_k")
    with pytest.raises(ExpressionError, match="neighbour on a ring"):
        jet_rows(Grid((Axis.box("k", 8, 1.0),)), {"X": np.zeros((1, 8))}, ["X_kp1"])
    with pytest.raises(DataError, match="all rings of sites, or none"):
        Grid((Axis.ring("k", 8), Axis.box("x", 8, 1.0)))
    with pytest.raises(DataError, match="must form a ring"):
        Axis("k", np.arange(8.0), periodic=False, discrete=True)
    model = law("X", 1.0).model
    with pytest.raises(ValueError, match="use SiteLaw"):
        FieldLaw(model, RING, ("X",))
    with pytest.raises(ValueError, match="use FieldLaw"):
        SiteLaw(model, Grid((Axis.box("k", 8, 1.0),)), ("X",))
