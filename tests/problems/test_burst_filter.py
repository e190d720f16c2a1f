"""Noisy bursts of a field: filtered states belong to the time of the slope."""

import numpy as np
import pytest

from discover import Axis, Grid
from discover.problems.burst_filter import BurstFilter
from discover.problems.bursts import Bursts
from discover.problems.spectra import Spectrum

GRID = Grid((Axis.box("x", 128, 2 * np.pi),))


def travelling(dt, noise, n=200, seed=0):
    """Waves of random phases that turn by 12 dt, the shortest, within a step."""
    rng = np.random.default_rng(seed)
    k = np.arange(1, 13)
    a = np.exp(-k / 6.0) * rng.standard_normal((n, 12))
    phase = 2 * np.pi * rng.random((n, 12))
    when = dt * np.arange(-1, 2)
    angle = k * GRID.axes[0].points[:, None] - k * when[:, None, None]
    states = np.einsum("nk,mxk,nk->nmx", a, np.cos(angle), np.cos(phase))
    states -= np.einsum("nk,mxk,nk->nmx", a, np.sin(angle), np.sin(phase))
    noisy = states + noise * rng.standard_normal(states.shape)
    times = np.arange(n)[:, None] + when
    return Bursts(states[..., None], times, dt), Bursts(noisy[..., None], times, dt)


def filtered(bursts, noise):
    states = bursts.states.reshape(-1, 128)
    return BurstFilter(bursts, GRID, [Spectrum.estimate(GRID, states, noise**2)])


def test_states_of_long_bursts_are_placed_to_fourth_order():
    """Both the mean state and the mean of its square, which a quadratic law needs."""
    clean, noisy = travelling(0.08, 0.02)
    found = filtered(noisy, 0.02)
    weights = clean.quadrature
    mean = np.tensordot(weights, clean.states, axes=(0, 1))
    square = np.tensordot(weights, clean.states**2, axes=(0, 1))
    moved = [(found.states + tau * found.slopes) ** 2 for tau in noisy.offsets]

    def off(found, truth):
        return np.mean((found - truth) * truth) / np.mean(truth**2)

    assert abs(off(found.states, mean)) < 2e-3
    assert abs(off(clean.means, mean)) > 1e-2
    assert abs(off(np.tensordot(weights, moved, 1), square)) < 4e-3
    assert abs(off(clean.means**2, square)) > 1e-2


def test_short_bursts_are_filtered_by_their_mean_alone():
    _, noisy = travelling(1e-3, 0.05)
    found = filtered(noisy, 0.05)
    spectrum = Spectrum.estimate(GRID, noisy.states.reshape(-1, 128), 0.05**2)
    alone = GRID.from_modes(spectrum.gain(3) * GRID.to_modes(noisy.means[..., 0]))
    assert found.slopes is None
    assert np.array_equal(found.states[..., 0], alone)
    assert np.array_equal(found.posterior[0], spectrum.posterior(3))


def test_the_variance_that_is_left_is_that_of_the_error():
    clean, noisy = travelling(0.08, 0.1)
    found = filtered(noisy, 0.1)
    mean = np.tensordot(clean.quadrature, clean.states, axes=(0, 1))
    error = np.mean((found.states - mean) ** 2)
    modes = found.posterior[0]
    said = modes[0] + 2 * modes[1:].sum()
    assert said == pytest.approx(error, rel=0.15)
