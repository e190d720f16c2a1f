"""The vorticity equation: waves that are exact solutions, invariants, and refusals."""

import numpy as np
import pytest

from discover import Axis, Grid
from discover.dynamics.vorticity import VorticityEquation, stream_function

GRID = Grid((Axis.box("x", 32, 2 * np.pi), Axis.box("y", 24, 4.0)))
X, Y = np.meshgrid(*(axis.points for axis in GRID.axes), indexing="ij")
K, L = 3.0, 2.0 * 2 * np.pi / 4.0


def test_one_rossby_wave_is_followed_exactly():
    """It does not advect itself: it drifts westward and decays."""
    nu, mu, beta, dt = 0.01, 0.3, 2.0, 0.5
    flow = VorticityEquation(GRID, nu, mu, beta)
    squared = K**2 + L**2
    later = np.exp(-(nu * squared + mu) * dt) * np.cos(K * X + L * Y + beta * K / squared * dt)
    assert np.abs(flow.step(np.cos(K * X + L * Y), 0.0, dt) - later).max() < 1e-12


def random_flow(seed=0):
    w = np.random.default_rng(seed).standard_normal(GRID.shape)
    return GRID.from_modes(GRID.to_modes(w) * (GRID.radius < 6) * (GRID.radius > 0))


def test_advection_keeps_energy_and_enstrophy():
    w = random_flow()
    rate = VorticityEquation(GRID, beta=1.5).rhs(w)
    psi = stream_function({"w": w}, GRID)["psi"]
    assert abs(np.mean(w * rate)) < 1e-12 * np.std(w) * np.std(rate)
    assert abs(np.mean(psi * rate)) < 1e-12 * np.std(psi) * np.std(rate)


def test_the_equation_is_the_one_of_the_docstring():
    w, (nu, mu, beta) = random_flow(), (0.02, 0.1, 1.3)
    d = lambda f, *orders: GRID.derivative(f, orders)  # noqa: E731
    psi = stream_function({"w": w}, GRID)["psi"]
    forcing = np.cos(4 * X)
    products = d(psi, 0, 1) * d(w, 1, 0) - d(psi, 1, 0) * d(w, 0, 1)
    linear = nu * (d(w, 2, 0) + d(w, 0, 2)) - mu * w - beta * d(psi, 1, 0)
    rate = VorticityEquation(GRID, nu, mu, beta, forcing).rhs(w)
    low = lambda f: GRID.to_modes(f)[:6, :6]  # noqa: E731  products are cut off beyond
    assert np.allclose(low(rate), low(products + linear + forcing), rtol=0, atol=1e-12)


def test_steps_converge_at_order_four_and_many_flows_step_as_each_alone():
    flow = VorticityEquation(GRID, 0.01, 0.1, 1.0)
    w = 3.0 * random_flow()

    def run(n):
        x = w
        for _ in range(n):
            x = flow.step(x, 0.0, 0.4 / n)
        return x

    exact = run(128)
    errors = [np.abs(run(n) - exact).max() for n in (8, 16)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4.0, abs=0.5)
    both = flow.step(np.stack([w, random_flow(1)]), 0.0, 0.01)
    assert np.allclose(both[0], flow.step(w, 0.0, 0.01), atol=1e-13)


def test_other_grids_and_forcings_are_refused():
    with pytest.raises(ValueError, match="two periodic axes"):
        VorticityEquation(Grid((GRID.axes[0],)))
    with pytest.raises(ValueError, match="forcing must have the shape"):
        VorticityEquation(GRID, forcing=np.zeros(3))
