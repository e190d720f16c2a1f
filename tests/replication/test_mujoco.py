"""The cart-pole against MuJoCo, which solves the published model."""

import gymnasium
import numpy as np
import pytest

import discover_envs  # noqa: F401  registers
from discover.bench.cartpole_peer import load_mujoco

pytest.importorskip("mujoco")


class Peer:
    """The model in MuJoCo, its states in our order."""

    def __init__(self):
        self.mujoco, self.model, self.data = load_mujoco()

    def start(self, state):
        self.mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:], self.data.qvel[:] = state[:2], state[2:]

    def step(self, action):
        self.data.ctrl[0] = action[0]
        self.mujoco.mj_step(self.model, self.data)
        return self.state

    @property
    def state(self):
        return np.concatenate([self.data.qpos, self.data.qvel])


def tolerance(value, margin):
    """The suite's Gaussian: 1 at 0 and 0.1 at the margin."""
    return np.exp(-0.5 * (value / margin * np.sqrt(-2 * np.log(0.1))) ** 2)


def published_reward(state, action):
    x, theta, _, spin = state
    upright = (1 + np.cos(theta)) / 2
    centred = (1 + tolerance(x, 2.0)) / 2
    small = (4 + max(0.0, 1 - action[0] ** 2)) / 5
    slow = (1 + tolerance(spin, 5.0)) / 2
    return upright * small * slow * centred


def make():
    return gymnasium.make("discover/CartPoleSwingup-v0").unwrapped


def test_the_constants_are_those_that_mujoco_compiles():
    model, p = Peer().model, make().parameters
    assert model.body_inertia[2, 0] == pytest.approx(p["pole_inertia"], rel=1e-13)
    assert model.body_mass[1:] == pytest.approx([p["cart_mass"], p["pole_mass"]])
    assert model.dof_damping == pytest.approx([p["cart_damping"], p["hinge_damping"]])


def test_a_step_in_free_motion_is_mujocos_to_rounding():
    peer, env = Peer(), make()
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(2000):
        state = rng.uniform([-1.5, -4.0, -3.0, -8.0], [1.5, 4.0, 3.0, 8.0])
        action = rng.uniform(-1, 1, 1)
        env.reset(options={"state": state})
        peer.start(state)
        env.step(action)
        worst = max(worst, np.abs(env.state - peer.step(action)).max())
    print(f"one step in free motion: {worst:.2g}")
    assert worst < 1e-10


def test_episodes_against_the_end_stops_are_mujocos():
    peer, env = Peer(), make()
    worst, worst_reward, farthest = 0.0, 0.0, []
    for seed in range(20):
        env.reset(seed=seed)
        peer.start(env.state)
        rng, positions = np.random.default_rng(seed), []
        for k in range(1000):
            if k % 10 == 0:
                action = rng.uniform(-1, 1, 1)
            reward = env.step(action)[1]
            state = peer.step(action)
            worst = max(worst, np.abs(env.state - state).max())
            worst_reward = max(worst_reward, abs(reward - published_reward(state, action)))
            positions.append(abs(state[0]))
        farthest.append(max(positions))
    stopped = sum(x > 1.8 for x in farthest)
    print(f"20 episodes: {worst:.2g}, rewards {worst_reward:.2g}; {stopped} meet an end stop")
    assert stopped > 10
    assert worst < 1e-6
    assert worst_reward < 1e-6
