"""Published parameters of the hares and lynxes.

Carpenter, "Predator-Prey Population Dynamics: the Lotka-Volterra model in Stan" (2018),
fits the same 21 years by Hamiltonian Monte Carlo with log-normal errors. Posterior means
and standard deviations, as printed there: growth of the hares 0.55 (0.07), predation
0.028 (0.004), death of the lynxes 0.80 (0.10), growth of the lynxes 0.024 (0.004).
"""

import numpy as np
import pytest

from discover import SINDy, load_hare_lynx

PUBLISHED = {
    ("hare", "hare"): (0.55, 0.07),
    ("hare", "hare*lynx"): (-0.028, 0.004),
    ("lynx", "lynx"): (-0.80, 0.10),
    ("lynx", "hare*lynx"): (0.024, 0.004),
}


def test_coefficients_agree_with_a_bayesian_fit_of_the_known_law():
    table = SINDy().fit(load_hare_lynx()).symbolic_.coefficient_table()
    assert len(table) == 4
    for row in table.itertuples():
        mean, deviation = PUBLISHED[row.target, row.term]
        # the two methods share the data, not the noise model: two standard deviations
        spread = np.hypot(deviation, row.standard_error)
        assert row.coefficient == pytest.approx(mean, abs=2 * spread)
