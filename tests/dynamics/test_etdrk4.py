"""Periodic fields: orders, exact linear terms, closed forms."""

import numpy as np
import pytest

from discover.dynamics import ETDRK4, kuramoto_sivashinsky, simulate, wavenumbers


def test_etdrk4_converges_at_order_four():
    model = kuramoto_sivashinsky(64, 16 * np.pi)
    x = 16 * np.pi * np.arange(64) / 64
    start = np.cos(x / 8) * (1 + np.sin(x / 8))

    def end(n_steps):
        u = start
        for _ in range(n_steps):
            u = model.step(u, 0.0, 2.0 / n_steps)
        return u

    fine = end(2048)
    errors = [np.abs(end(n) - fine).max() for n in (64, 128, 256)]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (np.abs(orders - 4.0) < 0.1).all()


def test_linear_terms_are_exact_at_any_step():
    (k,) = wavenumbers((32,), (2 * np.pi,))
    heat_and_drift = ETDRK4(-(k**2) - 3j * k, lambda v, u: 0.0 * v, (32,))
    x = 2 * np.pi * np.arange(32) / 32
    found = heat_and_drift.step(np.sin(2 * x), 0.0, 0.7)
    np.testing.assert_allclose(found, np.exp(-4 * 0.7) * np.sin(2 * (x - 3 * 0.7)), atol=1e-14)


def test_two_dimensions_and_two_components_move_as_they_should():
    kx, ky = wavenumbers((16, 12), (2 * np.pi, 2 * np.pi))
    symbol = np.stack([-(kx**2) - ky**2, -2.0 * (kx**2 + ky**2)])
    model = ETDRK4(symbol, lambda v, u: 0.0 * v, (16, 12), n_components=2)
    x, y = np.meshgrid(
        2 * np.pi * np.arange(16) / 16, 2 * np.pi * np.arange(12) / 12, indexing="ij"
    )
    u = np.stack([np.cos(x + 2 * y), np.sin(y)]).reshape(1, -1)
    found = model.step(u, 0.0, 0.3).reshape(2, 16, 12)
    np.testing.assert_allclose(found[0], np.exp(-5 * 0.3) * np.cos(x + 2 * y), atol=1e-13)
    np.testing.assert_allclose(found[1], np.exp(-2 * 0.3) * np.sin(y), atol=1e-13)


def test_members_do_not_see_each_other():
    model = kuramoto_sivashinsky(32, 22.0)
    E = np.random.default_rng(0).normal(size=(5, 32))
    together = model.step(E, 0.0, 0.1)
    np.testing.assert_allclose(together[3], model.step(E[3], 0.0, 0.1), atol=1e-14)
    slope = (model.step(E, 0.0, 1e-6) - E) / 1e-6
    np.testing.assert_allclose(model.rhs(E), slope, rtol=1e-3, atol=1e-2 * np.abs(slope).max())


def test_kuramoto_sivashinsky_has_its_published_energy():
    """On 32 pi the variance of u settles near 1.3 squared, as twin experiments report."""
    model = kuramoto_sivashinsky()
    x = 32 * np.pi * np.arange(128) / 128
    run = simulate(
        model,
        np.cos(x / 16) * (1 + np.sin(x / 16)),
        np.arange(0.0, 601.0, 2.0),
        method="step",
        n_substeps=8,
    )
    assert np.asarray(run)[75:].std() == pytest.approx(1.3, abs=0.1)


def test_a_symbol_of_another_grid_is_refused():
    with pytest.raises(ValueError, match=r"symbol must have the shape \(17,\)"):
        ETDRK4(np.zeros(16), lambda v, u: v, (32,))
    with pytest.raises(ValueError, match=r"x must have shape \(..., 32\)"):
        kuramoto_sivashinsky(32).step(np.zeros(31), 0.0, 0.1)
