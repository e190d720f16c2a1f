"""Swing-ups: against gymnasium's own step, conserved energy and the order of the step."""

import gymnasium
import numpy as np
import pytest

import discover_envs  # noqa: F401  registers


def test_pendulum_moves_and_pays_as_gymnasium_does():
    ours = gymnasium.make("discover/PendulumSwingup-v0")
    theirs = gymnasium.make("Pendulum-v1")
    theirs.reset(seed=0)
    start = theirs.unwrapped.state.copy()
    ours.reset(options={"state": start})
    rng = np.random.default_rng(0)
    for _ in range(200):
        action = rng.uniform(-1, 1, 1)
        a, b = ours.step(action), theirs.step(2.0 * action)
        np.testing.assert_allclose(a[0], b[0], atol=2e-6)  # theirs are single precision
        np.testing.assert_allclose(a[1], b[1], rtol=1e-9)
        assert a[2:4] == b[2:4]


def energy(state, p):
    """Kinetic and potential energy of cart and pole."""
    _, theta, v, w = state
    m, length = p["pole_mass"], p["pole_half_length"]
    moving = 0.5 * (p["cart_mass"] + m) * v**2 + m * length * v * w * np.cos(theta)
    turning = 0.5 * (p["pole_inertia"] + m * length**2) * w**2
    return moving + turning + m * p["gravity"] * length * np.cos(theta)


def swung(dt, duration=2.0):
    env = gymnasium.make(
        "discover/CartPoleSwingup-v0", cart_damping=0.0, hinge_damping=0.0, rail=100.0, dt=dt
    ).unwrapped
    env.reset(options={"state": [0.0, 1.0, 0.3, 0.5]})
    before = energy(env.state, env.parameters)
    for _ in range(round(duration / dt)):
        env.step(np.zeros(1))
    return env.state, energy(env.state, env.parameters) - before


def test_cart_pole_keeps_its_energy_without_friction():
    assert abs(swung(0.01, duration=10.0)[1]) < 1e-7


def test_cart_pole_converges_at_order_four():
    exact = swung(0.000625)[0]
    errors = [np.abs(swung(dt)[0] - exact).max() for dt in (0.005, 0.0025)]
    assert 13 < errors[0] / errors[1] < 19


def test_the_end_stop_holds_the_cart_and_returns_it():
    env = gymnasium.make("discover/CartPoleSwingup-v0").unwrapped
    env.reset(seed=0)
    positions = [env.step(np.ones(1))[0][0] for _ in range(300)]
    assert 1.8 < max(positions) < 2.1
    for _ in range(300):
        seen, *_ = env.step(-np.ones(1))
    assert -2.1 < seen[0] < 0.0


def test_cart_pole_is_the_same_seen_from_behind():
    env = gymnasium.make("discover/CartPoleSwingup-v0").unwrapped
    rng = np.random.default_rng(1)
    actions, paths = rng.uniform(-1, 1, (400, 1)), []
    for sign in (1.0, -1.0):
        env.reset(options={"state": sign * np.array([0.1, 0.4, -0.2, 1.0])})
        paths.append([sign * (env.step(sign * action), env.state)[1] for action in actions])
    np.testing.assert_allclose(paths[0], paths[1], atol=1e-12)


def test_a_perfect_cart_pole_earns_one_a_step():
    env = gymnasium.make("discover/CartPoleSwingup-v0").unwrapped
    env.reset(options={"state": np.zeros(4)})
    assert env.step(np.zeros(1))[1] == pytest.approx(1.0, abs=1e-12)


def acrobot_energy(state, p):
    """Kinetic and potential energy of both links."""
    a, b, v, w = state
    m1, m2, l1, c1, c2 = (
        p[name]
        for name in ("upper_mass", "lower_mass", "upper_length", "upper_centre", "lower_centre")
    )
    elbow = l1 * v * np.array([np.cos(a), np.sin(a)])
    centre = elbow + c2 * (v + w) * np.array([np.cos(a + b), np.sin(a + b)])
    moving = 0.5 * (m1 * (c1 * v) ** 2 + m2 * centre @ centre)
    turning = 0.5 * (p["upper_inertia"] * v**2 + p["lower_inertia"] * (v + w) ** 2)
    height = -m1 * c1 * np.cos(a) - m2 * (l1 * np.cos(a) + c2 * np.cos(a + b))
    return moving + turning + p["gravity"] * height


def test_acrobot_keeps_its_energy_and_the_motor_adds_its_work():
    env = gymnasium.make(
        "discover/AcrobotSwingup-v0", dt=0.002, lower_mass=1.3, upper_centre=0.4, lower_centre=0.6
    ).unwrapped
    start = np.array([1.0, 0.5, 0.3, -0.2])
    for torque in (0.0, 1.0):
        env.reset(options={"state": start})
        before, work, bend = acrobot_energy(start, env.parameters), 0.0, start[1]
        for _ in range(1000):
            env.step(np.array([torque]))
            work, bend = work + torque * (env.state[1] - bend), env.state[1]
        assert acrobot_energy(env.state, env.parameters) - before == pytest.approx(work, abs=1e-7)
