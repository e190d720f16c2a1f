"""What a run sends on and leaves to look at: metrics, trackers, a film."""

import json
import sys
import types

import numpy as np
import pytest
from PIL import Image

from discover import SINDyRL
from discover.control import CMAAgent, film, given_outcome, make_tracker

NAMES = ("cos_th", "sin_th", "th_dot")


class Listener:
    def __init__(self):
        self.heard = []

    def log(self, real_steps, values):
        self.heard.append((real_steps, dict(values)))

    def close(self):
        self.heard.append("closed")


def test_every_round_is_tracked_and_kept_as_lines_of_json(tmp_path):
    agent = SINDyRL(
        "Pendulum-v1", CMAAgent(8, 3, restarts=0), explore=100, observation_names=NAMES,
        reward="-((1 - cos_th)**2 + 0.1*th_dot**2 + 0.001*u**2)",
    )  # fmt: skip
    listener = Listener()
    agent.learn(400, seed=0, out=tmp_path, track=listener)
    assert [steps for steps, _ in listener.heard] == [one.real_steps for one in agent.rounds_]
    for (_, values), one in zip(listener.heard, agent.rounds_, strict=True):
        assert (values["score"], values["promised"]) == (one.surrogate_score, one.promised)
        assert ("earned" in values) == one.complete
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["real_steps"] for line in lines] == [
        one.real_steps for one in agent.rounds_
    ]


def test_weights_and_biases_gets_config_and_numbers(tmp_path, monkeypatch):
    run = Listener()
    run.log = lambda values, step: run.heard.append((step, values))
    run.finish = run.close
    started = {}
    fake = types.ModuleType("wandb")
    fake.init = lambda **options: started.update(options) or run
    monkeypatch.setitem(sys.modules, "wandb", fake)
    tracker = make_tracker("wandb", tmp_path, "first", {"seed": 3})
    tracker.log(500, {"earned": 1.5})
    tracker.close()
    assert started["name"] == "first"
    assert started["config"] == {"seed": 3}
    assert run.heard == [(500, {"earned": 1.5}), "closed"]


def test_tensorboard_reads_what_was_written(tmp_path):
    pytest.importorskip("torch")
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tracker = make_tracker("tensorboard", tmp_path, "first", {"seed": 3})
    tracker.log(500, {"earned": 1.5})
    tracker.log(800, {"earned": 2.5})
    tracker.close()
    found = accumulator.EventAccumulator(str(tmp_path / "tensorboard" / "first"))
    found.Reload()
    assert [(e.step, e.value) for e in found.Scalars("earned")] == [(500, 1.5), (800, 2.5)]


def test_what_is_missing_or_unknown_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match="pip install wandb"):
        make_tracker("wandb", tmp_path, "first", {})
    with pytest.raises(ValueError, match="must be one of"):
        make_tracker("paper", tmp_path, "first", {})


def test_a_film_moves_and_tells_what_it_shows(tmp_path):
    policy = given_outcome("0.5*sin_theta", ("cos_theta", "sin_theta", "theta_dot"), ())
    env = "discover_envs:discover/PendulumSwingup-v0"
    earned = film(policy, env, tmp_path / "swing.gif", n_steps=30)
    assert np.isfinite(earned)
    assert earned == film(policy, env, tmp_path / "again.gif", n_steps=30)
    with Image.open(tmp_path / "swing.gif") as picture:
        assert picture.n_frames > 5
    with pytest.raises(ValueError, match="film: env"):
        film(policy, "Nowhere-v0", tmp_path / "none.gif")
