"""Records: policies from steps that somebody else took, and steps that are not plausible."""

import numpy as np
import pandas as pd
import pytest

import discover_envs
from discover import SINDyRL, SymbolicModel, Trajectory
from discover.cli import main
from discover.control import (
    ActionBox,
    CMAAgent,
    DynamicsLearner,
    Plant,
    PolicyForm,
    Surrogate,
    act,
    given_outcome,
    read_transitions,
    transitions_of,
)
from discover.control.training import score_policy
from discover.exceptions import DataError
from discover.libraries import PolynomialLibrary
from discover_envs.runs import Recorder

NAMES = ("cos_th", "sin_th", "th_dot")
COST = "-(2*arctan(sin_th/(1.000001 + cos_th)))**2 - 0.1*th_dot**2 - 0.001*u**2"


@pytest.fixture(scope="module")
def swung():
    """400 steps of a pendulum under held random torques."""
    plant, rng = Plant("Pendulum-v1", observation_names=NAMES, seed=0), np.random.default_rng(0)
    while plant.steps < 400:
        turn = iter(np.repeat(rng.uniform(-2, 2, 40), 5))
        plant.run(lambda seen, turn=turn: np.array([next(turn)]), 200)
    return plant.data


def table_of(data):
    rows = []
    for k, e in enumerate(data.episodes):
        actions, rewards = np.append(e.actions, [[np.nan]], axis=0), np.append(e.rewards, np.nan)
        rows.append(np.column_stack([np.full(len(e) + 1, k), e.observations, actions, rewards]))
    return pd.DataFrame(np.concatenate(rows), columns=["run", *NAMES, "u", "paid"])


def test_a_table_of_records_gives_a_policy_that_swings_the_plant_up(swung, tmp_path):
    table_of(swung).to_csv(tmp_path / "log.csv", index=False)
    data = read_transitions(tmp_path / "log.csv", NAMES, ["u"], reward="paid", run="run")
    np.testing.assert_allclose(data.next_states, swung.next_states)
    np.testing.assert_allclose(data.rewards, swung.rewards)
    agent = SINDyRL(
        agent=CMAAgent(generations=40, n_starts=8, members=1, restarts=0), reward=COST, horizon=200
    ).fit(data, out=tmp_path / "run")
    assert agent.plant_.env is None
    assert agent.plant_.steps == 400
    assert np.isnan(agent.real_return_)
    again = SINDyRL.load(tmp_path / "run")
    np.testing.assert_array_equal(again.dynamics_.coefficients, agent.dynamics_.coefficients)
    np.testing.assert_array_equal(again.policy_.coefficients, agent.policy_.coefficients)
    assert agent.dynamics_.pruned().complexity == 5
    assert score_policy(agent.policy_, "Pendulum-v1", 20, 10**6).mean() > -250


def test_the_command_line_learns_from_a_table(swung, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table_of(swung).to_csv("log.csv", index=False)
    options = ["--from", "log.csv", "--names", ",".join(NAMES), "--run", "run", "--preset", "quick"]
    assert main(["train", *options, "--actions", "u", "--reward", COST, "--horizon", "50",
                 "--limits", "u=-2:2"]) == 0  # fmt: skip
    assert "400 recorded steps" in capsys.readouterr().out
    policy = SymbolicModel.load("runs/log-0/policy.json")
    assert (policy.saturation.low, policy.saturation.high) == (-2.0, 2.0)
    assert main(["train", *options]) == 2
    assert main(["train", *options, "--actions", "u", "--limits", "force=-2:2"]) == 2
    assert main(["train"]) == 2


def test_runs_of_the_environments_become_transitions():
    env = Recorder(discover_envs.make("discover/PendulumSwingup-v0"), of="observations")
    for seed in range(2):
        env.reset(seed=seed)
        for k in range(30):
            env.step(np.array([np.sin(k)], dtype=np.float32))
    data = transitions_of(env.runs(), env.rewards())
    assert len(data) == 60
    np.testing.assert_array_equal(data.rewards, np.concatenate(env.rewards()))
    np.testing.assert_array_equal(data.starts, [run.states[0] for run in env.runs()])


def test_steps_with_something_missing_are_left_out_and_cut_episodes():
    states = np.arange(14.0).reshape(7, 2)
    actions = np.array([0.1, -0.2, 0.3, 0.1, np.nan, 0.2, np.nan])[:, None]
    states[2, 1] = np.nan
    run = Trajectory(states, np.arange(7.0), actions, ("a", "b"), ("u",))
    data = transitions_of([run], terminated=[True])
    assert [len(e) for e in data.episodes] == [1, 1, 1]  # steps 0, 3 and 5
    assert [e.terminated for e in data.episodes] == [False, False, True]
    np.testing.assert_array_equal(data.states[:, 0], [0.0, 6.0, 10.0])
    with pytest.raises(DataError, match="one entry per step"):
        transitions_of([run], [np.zeros(3)])
    with pytest.raises(DataError, match="no step"):
        transitions_of([Trajectory(states, np.arange(7.0), np.full((7, 1), np.nan))])


def test_what_records_cannot_tell_is_asked_for(swung):
    with pytest.raises(ValueError, match="env must be given"):
        SINDyRL(reward=COST).learn(100)
    run = Trajectory(swung.states, np.arange(400.0), swung.actions, NAMES, ("u",))
    with pytest.raises(ValueError, match="reward must be given"):
        SINDyRL().fit(transitions_of([run]))
    with pytest.raises(ValueError, match="box must name"):
        SINDyRL(reward=COST).fit(swung, box=ActionBox(("push",), np.zeros(1), np.ones(1)))
    with pytest.raises(ValueError, match="must have 2 names"):
        SINDyRL("MountainCarContinuous-v0", reward=COST).fit(swung)


def test_a_rollout_ends_where_members_disagree_and_the_steps_left_are_lost(swung):
    learned = DynamicsLearner(PolynomialLibrary(2), coordinates="observed").fit(swung)
    box, horizon = ActionBox(("u",), np.array([-2.0]), np.array([2.0])), 40
    form = PolicyForm.over(None, NAMES, swung.states, box, [(0, 1)])
    weights = np.random.default_rng(1).normal(size=form.n_weights)
    outcome, starts = given_outcome("cos_th", NAMES, box.names), swung.states[::80]
    limit = float(np.quantile(learned.disagreement(swung.states, swung.actions), 0.95))
    surrogate = Surrogate(learned, outcome, box, limit=limit, lost=-3.0)
    run = surrogate.rollouts(
        form.table, form.coefficients(weights[None]), starts, horizon, trace=True
    )
    policy = form.model(weights)
    for m, s in np.ndindex(len(learned.members), len(starts)):
        z, rewards, law = learned.coordinates.states(starts[s]), [], learned.member(m)
        for _ in range(horizon):
            u = act(policy, z, box)
            doubt = learned.disagreement(z[None], u[None])[0]
            z = law.step(z, u=u)
            z[:2] /= np.hypot(*z[:2])
            if doubt > limit:
                break
            rewards.append(z[0])
        rewards += [-3.0] * (horizon - len(rewards))
        np.testing.assert_allclose(run.trace[0, m, s], rewards, atol=1e-8)
        assert run.returns[0, m, s] == pytest.approx(sum(rewards), abs=1e-7)
    assert 0 < run.ended.sum() < run.ended.size
