"""Transforms of many fields against NumPy's."""

import numpy as np
import pytest

from discover.kernels.fourier import real_inverse, real_transform


def tables(n_points):
    angles = 2 * np.pi * np.arange(n_points // 2 + 1) / n_points
    return np.cos(angles), np.sin(angles)


def transform(u):
    n_points, n_lanes = u.shape
    modes = np.empty((2, n_points // 2 + 1, n_lanes))
    work = np.empty((4, n_points // 2, n_lanes))
    real_transform(u, work, *tables(n_points), modes[0], modes[1])
    return modes


@pytest.mark.parametrize("n_points", [4, 8, 64, 256])
def test_modes_are_numpys_and_lead_back(n_points):
    u = np.random.default_rng(n_points).standard_normal((n_points, 5))
    modes = transform(u)
    np.testing.assert_allclose(modes[0] + 1j * modes[1], np.fft.rfft(u, axis=0), atol=1e-13)
    again = np.empty_like(u)
    work = np.empty((4, n_points // 2, 5))
    real_inverse(modes[0], modes[1], work, *tables(n_points), again)
    np.testing.assert_allclose(again, u, atol=1e-14)


def test_a_lane_does_not_depend_on_its_neighbours():
    u = np.random.default_rng(0).standard_normal((64, 33))
    together = transform(u)
    for i in (0, 7, 32):
        alone = transform(np.ascontiguousarray(u[:, i : i + 1]))
        np.testing.assert_array_equal(alone[:, :, 0], together[:, :, i])
