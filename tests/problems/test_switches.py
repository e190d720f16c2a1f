"""Laws under controls that are held between samples and switch at them."""

import numpy as np
import pytest

from discover import SINDy, SymbolicLibrary
from discover.observations import Trajectory
from discover.problems.switches import split_at_switches

LIBRARY = SymbolicLibrary("1, x, u0, x*u0, u0**2")


def driven(dt, held=0.5, noise=0.0, total=40.0):
    """Solve x' = -0.5 x + 2 u exactly, for u held."""
    rng = np.random.default_rng(3)
    t = np.arange(0, total + dt / 2, dt)
    u = np.repeat(rng.uniform(-1, 1, int(total / held) + 2), round(held / dt))[: len(t)]
    x, q = np.zeros(len(t)), np.exp(-0.5 * dt)
    for k in range(len(t) - 1):
        x[k + 1] = q * x[k] + 4 * (1 - q) * u[k]
    return x + noise * rng.normal(size=len(t)), t, u


def errors(model):
    c = model.coefficient_table().set_index("term")["coefficient"]
    return abs(c["x"] + 0.5) / 0.5, abs(c["u0"] - 2.0) / 2.0


@pytest.mark.parametrize("method", ["weak", "wendy", "joint"])
def test_the_law_does_not_lag_behind_its_controls(method):
    x, t, u = driven(0.05, noise=1e-3)
    model = SINDy(library=LIBRARY, method=method, names=["x"]).fit(x[:, None], t, u)
    assert str(model).count("u0") == 1
    assert max(errors(model.symbolic_)) < 4e-3
    assert model.score(x[:, None], t, u) > 0.999


def test_quadrature_across_switches_converges_at_second_order():
    found = []
    for dt in (0.1, 0.05, 0.025):
        x, t, u = driven(dt)
        found.append(max(errors(SINDy(library=LIBRARY, method="weak", names=["x"])
                                .fit(x[:, None], t, u).symbolic_)))  # fmt: skip
    assert (np.diff(np.log2(found)) < -1.7).all()


def test_a_switch_divides_the_interval_around_its_node():
    run = Trajectory(np.zeros((5, 1)), np.arange(5.0), np.array([[1.0], [1], [3], [3], [3]]))
    nodes = np.array([0.0, 1.0, 1.5, 2.3, 4.0])
    inputs = np.column_stack([np.arange(5.0), [1.0, 1, 1, 3, 3]])
    split, operator = split_at_switches(run, inputs, nodes, 1, np.diag(np.ones(5)))
    np.testing.assert_array_equal(split[:, 0], [0, 1, 2, 3, 3, 4])
    np.testing.assert_array_equal(split[:, 1], [1, 1, 1, 1, 3, 3])
    share = (2.0 - 1.9) / (3.15 - 1.9)
    np.testing.assert_allclose(operator.toarray()[3], [0, 0, 0, share, 1 - share, 0])
