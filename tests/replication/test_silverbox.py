"""The Silverbox, a measured Duffing oscillator.

Wigren and Schoukens, "Three free data sets for development and benchmarking in nonlinear
system identification", European Control Conference 2013. Simulated from rest on the part of
the record that was not used; linear models leave 14 mV there, the output has 53 mV.
"""

import numpy as np
import pytest

from discover import PolynomialLibrary, SINDy


@pytest.mark.slow
def test_silverbox_is_followed_within_a_millivolt(measured):
    u, y = np.genfromtxt(
        measured("silverbox_SNLS80mV.csv"), delimiter=",", skip_header=1, usecols=(0, 1)
    ).T
    dt, fit = 1 / 610.35, slice(40_650, 127_400)
    model = SINDy(PolynomialLibrary(3), names=["y"], control_names=["u"], order=2, refine=True)
    model.fit(y[fit], dt, u[fit])
    assert model.symbolic_.complexity <= 7
    run = model.simulate([0.0, 0.0], dt * np.arange(40_600), u[:40_600])
    assert np.sqrt(np.mean((run["y"] - y[:40_600]) ** 2)) <= 1e-3
