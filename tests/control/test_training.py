"""The loop: budgets, seeds, files, and a swing-up from few steps."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import discover_envs
from discover import SINDyRL, SymbolicModel
from discover.bench.control import SWINGUP_REWARD
from discover.cli import main
from discover.control import PRESETS, CMAAgent, SurrogateEnv, SurrogateVectorEnv
from discover.control.plant import Plant
from discover.control.training import score_policy
from discover.exceptions import DataError
from discover_envs.wrappers import PartialObservation

NAMES = ("cos_th", "sin_th", "th_dot")
REWARD = "-((1 - cos_th)**2 + 0.1*th_dot**2 + 0.001*u**2)"


class Counted(gymnasium.Wrapper):
    steps = 0

    def step(self, action):
        self.steps += 1
        return super().step(action)


def learn(seed=0, real_steps=450, **options):
    env = Counted(gymnasium.make("Pendulum-v1"))
    options = {"reward": REWARD, "explore": 150, "observation_names": NAMES} | options
    agent = SINDyRL(env, CMAAgent(8, 5, restarts=0), **options)
    return agent.learn(real_steps, seed=seed), env


@pytest.fixture(scope="module")
def learned():
    return learn()


def test_every_real_step_is_counted_and_the_budget_is_kept(learned):
    agent, env = learned
    assert env.steps == agent.plant_.steps == 450
    assert agent.rounds_[-1].real_steps == 450


def test_one_seed_gives_one_result_to_the_bit_and_another_seed_another(learned):
    again, _ = learn()
    other, _ = learn(seed=1)
    for name in ("policy_", "dynamics_"):
        mine = getattr(learned[0], name).coefficients
        np.testing.assert_array_equal(mine, getattr(again, name).coefficients)
    assert not np.array_equal(learned[0].policy_.coefficients, other.policy_.coefficients)


def test_a_trial_goes_further_where_the_last_one_kept_its_promise():
    true = "-((2*arctan(sin_th/(1.000001 + cos_th)))**2 + 0.1*th_dot**2 + 0.001*u**2)"
    agent, _ = learn(target=0.0, reward=true)  # a target that no policy promises
    assert [turn.real_steps for turn in agent.rounds_] == [210, 330, 450]


def test_a_search_goes_on_while_it_gains(learned):
    agent, _ = learned
    found = [
        CMAAgent(8, 5, restarts=0).search(
            agent.surrogate_, agent._form, agent._sample_starts, 50, rng=np.random.default_rng(0),
            target=target,
        )
        for target in (None, 0.0)
    ]  # fmt: skip
    assert found[1].score > found[0].score
    assert found[1].surrogate_steps > found[0].surrogate_steps


class Impatient(CMAAgent):
    """Interrupted in its second search."""

    def search(self, surrogate, form, starts, horizon, *, rng, **options):
        found = super().search(surrogate, form, starts, horizon, rng=rng, **options)
        if options["warm"] is not None:
            raise KeyboardInterrupt
        return found


def test_an_interrupted_run_gives_its_best_policy_and_resumes_as_if_unbroken(learned, tmp_path):
    env = gymnasium.make("Pendulum-v1")
    options = {"reward": REWARD, "explore": 150, "observation_names": NAMES}
    broken = SINDyRL(env, Impatient(8, 5, restarts=0), **options).learn(450, out=tmp_path)
    assert broken.rounds_ == learned[0].rounds_[:1]
    assert broken.policy_.kind == "direct"
    whole = SINDyRL(env, CMAAgent(8, 5, restarts=0), **options)
    whole.learn(450, out=tmp_path, resume=True)
    assert whole.rounds_ == learned[0].rounds_
    np.testing.assert_array_equal(whole.policy_.coefficients, learned[0].policy_.coefficients)


def test_surrogate_environments_keep_gymnasiums_contract_and_agree(learned):
    agent, _ = learned
    make = (agent.surrogate_, agent._sample_starts, 20)
    check_env(SurrogateEnv(*make), skip_render_check=True)
    one, many = SurrogateEnv(*make, mode="median"), SurrogateVectorEnv(*make, "median", 1)
    first, _ = one.reset(seed=3)
    batch, _ = many.reset(seed=3)
    np.testing.assert_array_equal(first, batch[0])
    for _ in range(20):
        action = np.array([0.7], dtype=np.float32)
        seen, reward, ended, cut, _ = one.step(action)
        together = many.step(action[None])
        np.testing.assert_array_equal(seen, together[0][0])
        assert (reward, ended, cut) == tuple(x[0] for x in together[1:4])
    assert cut


def test_a_run_leaves_files_that_the_command_line_scores(learned, tmp_path, capsys):
    folder = learned[0].save(tmp_path / "run")
    assert {p.name for p in folder.iterdir()} == {
        "checkpoint.npz", "config.json", "metrics.csv", "metrics.jsonl",
        "model.json", "reward.json", "policy.json",
    }  # fmt: skip
    policy = SymbolicModel.load(folder / "policy.json")
    arguments = ["--env", "Pendulum-v1", "--episodes", "2", "--seed", "5"]
    assert main(["evaluate", str(folder / "policy.json"), *arguments]) == 0
    said = float(capsys.readouterr().out.split()[1])
    assert said == pytest.approx(score_policy(policy, "Pendulum-v1", 2, 5).mean(), rel=1e-4)


def test_presets_are_options_that_the_help_explains(capsys):
    assert main(["train", "--help"]) == 0
    told = "".join(character for character in capsys.readouterr().out if character.isalnum())
    for name, preset in PRESETS.items():
        assert SINDyRL("Pendulum-v1", **preset.options).agent == preset.options["agent"]
        assert "".join(c for c in f"{name}{preset.purpose}" if c.isalnum()) in told
    assert main(["train", "Pendulum-v1", "--preset", "slow"]) == 2
    assert main(["train", "Pendulum-v1", "--preset", "quick", "--agent", "mppi"]) == 2


def test_a_run_is_taken_up_from_its_folder_as_it_was(learned, tmp_path, capsys):
    agent = learned[0]
    folder = agent.save(tmp_path / "run")
    with pytest.raises(DataError, match=r"objects .* pass env="):
        SINDyRL.load(folder)
    again = SINDyRL.load(folder, env="Pendulum-v1")
    assert again.agent == agent.agent
    assert again.rounds_ == agent.rounds_
    np.testing.assert_array_equal(again.policy_.coefficients, agent.policy_.coefficients)
    np.testing.assert_allclose(  # fitted to the last trial too
        again.dynamics_.coefficients, agent.dynamics_.coefficients, atol=1e-6
    )
    assert main(["distill", str(folder), "--terms", "2", "--env", "Pendulum-v1"]) == 0
    assert "sparse.json" in capsys.readouterr().out
    assert SymbolicModel.load(folder / "sparse.json").complexity <= 2
    assert main(["distill", str(tmp_path)]) == 2
    assert "must be the folder of a run" in capsys.readouterr().err


def test_a_plant_names_what_it_sees():
    world = discover_envs.make("discover/PendulumSwingup-v0")
    assert Plant(world).data.observation_names == world.unwrapped.world.observations
    part = PartialObservation(world, ["cos_theta", "sin_theta"])
    assert Plant(part).data.observation_names == ("cos_theta", "sin_theta")
    assert Plant("MountainCarContinuous-v0").data.observation_names == ("o0", "o1")
    with pytest.raises(ValueError, match=r"observation_names must have 2 names"):
        Plant(part, observation_names=["angle"])
    with pytest.raises(ValueError, match=r"env must be .* got 'Nowhere-v0'"):
        Plant("Nowhere-v0")


def test_an_unknown_agent_is_refused_by_name():
    with pytest.raises(ValueError, match=r"agent must be one of .*; got 'sarsa'"):
        SINDyRL("Pendulum-v1", "sarsa").learn(10)


@pytest.mark.slow
def test_the_pole_swings_up_within_2500_real_steps():
    env = discover_envs.make("discover/CartPoleSwingup-v0")
    agent = SINDyRL(env, reward=SWINGUP_REWARD, bounds={"x": (-1.75, 1.75)}, target=850.0)
    agent.learn(2500, seed=0)
    assert agent.plant_.steps <= 2500
    assert score_policy(agent.policy_, env, 20, 10**6).min() > 800
