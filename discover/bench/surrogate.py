"""Step the cart-pole's surrogate: one state and many, against pysindy with the same law."""

from __future__ import annotations

from typing import Any

import numpy as np

from discover.bench.control import SWINGUP_REWARD
from discover.bench.peers import drawing, quietly, with_coefficients
from discover.bench.rows import Row
from discover.bench.timing import Timing, compared, take_turns
from discover.control import (
    Plant,
    PolicyForm,
    Surrogate,
    SurrogateEnv,
    SurrogateVectorEnv,
    given_outcome,
)
from discover.control.coordinates import observed_coordinates
from discover.control.dynamics import LearnedDynamics
from discover.control.transitions import Transitions
from discover.interop.pysindy import from_pysindy, load_pysindy
from discover.typing import FloatArray

__all__ = ["run"]

_BATCH = 1024
_MEMBERS = 20
_ENDLESS = 10**9


def run(quick: bool = False) -> list[Row]:
    """Compare with pysindy on the quadratic library of Zolman et al. (arXiv:2403.09110).

    pysindy steps as their code does: `simulate` over one step for one state. A batch it
    steps with `predict`. Both give next states only; ours gives points put back on their
    circle, observations, rewards and ends as well.
    """
    plant = _explored(1_000 if quick else 8_000)
    model = _fitted(plant.data)
    surrogate = _surrogate(model, plant)
    shortest = 0.01 if quick else 0.1
    rng = np.random.default_rng(0)
    rows = rng.integers(len(plant.data), size=_BATCH)
    x, u = plant.data.states[rows], plant.data.actions[rows]
    median = np.full(_BATCH, -1)
    return [
        *_against_pysindy(model, surrogate, x[:1], u[:1], median[:1], shortest),
        *_against_pysindy(model, surrogate, x, u, median, shortest),
        _difference(model, surrogate, x, u),
        *_environments(surrogate, plant, shortest),
        _closed_loops(surrogate, plant),
    ]


def _explored(n_steps: int) -> Plant:
    """Take random steps, actions held for 5 to 20 of them."""
    from discover_envs import make

    rng = np.random.default_rng(0)
    plant = Plant(make("discover/CartPoleSwingup-v0"), seed=0)
    while plant.steps < n_steps:
        held = np.repeat(rng.uniform(-1, 1, 200), rng.integers(5, 21, 200))
        actions = iter(held)
        plant.run(lambda seen, actions=actions: np.array([next(actions)]), 500)  # type: ignore[misc]
    return plant


def _fitted(data: Transitions) -> Any:
    """Fit pysindy's ensemble with the published settings; it holds the median of members."""
    pysindy = load_pysindy()
    library = pysindy.GeneralizedLibrary(
        [
            pysindy.PolynomialLibrary(2, include_bias=False),
            pysindy.PolynomialLibrary(1, include_bias=False),
        ],
        tensor_array=[[1, 1]],
        inputs_per_library=[[0, 1, 2, 3, 4], [5]],
    )
    optimizer = pysindy.EnsembleOptimizer(
        pysindy.STLSQ(threshold=7e-3, alpha=5e-5), bagging=True, library_ensemble=True,
        n_models=_MEMBERS,
    )  # fmt: skip
    model = pysindy.DiscreteSINDy(optimizer=optimizer, feature_library=library)
    with drawing(0), quietly():
        model.fit(
            [e.observations for e in data.episodes], 1,
            u=[np.concatenate([e.actions, e.actions[-1:]]) for e in data.episodes],
            feature_names=[*data.observation_names, *data.action_names],
        )  # fmt: skip
    return with_coefficients(model, np.median(optimizer.coef_list, axis=0))


def _surrogate(model: Any, plant: Plant) -> Surrogate:
    """Return pysindy's ensemble as a surrogate: maps become increments."""
    median = np.array(model.optimizer.coef_)
    law = from_pysindy(model)
    names = plant.data.observation_names
    identity = np.array([[float(term == name) for term in law.term_names] for name in names])
    members = []
    for coefficients in model.optimizer.coef_list:
        members.append(from_pysindy(with_coefficients(model, coefficients)).coefficients - identity)
    with_coefficients(model, median)
    change = type(law)(
        law.table, law.coefficients - identity, law.state_names, law.control_names, kind="increment"
    )
    data = plant.data
    size = np.sqrt(np.mean((data.next_states - data.states) ** 2, axis=0))
    dynamics = LearnedDynamics(
        change, np.array(members), observed_coordinates(names, data), len(data), size
    )
    outcome = given_outcome(SWINGUP_REWARD, names, plant.box.names)
    return Surrogate(dynamics, outcome, plant.box, {"x": (-1.75, 1.75)})


def _against_pysindy(
    model: Any, surrogate: Surrogate, x: FloatArray, u: FloatArray, which: Any, shortest: float
) -> list[Row]:
    twice = np.concatenate([u[:1], u[:1]])
    peer = (lambda: model.simulate(x[0], 2, u=twice)) if len(x) == 1 else (
        lambda: model.predict(x, u=u)
    )  # fmt: skip
    with quietly():
        timings = take_turns(
            {"ours": lambda: surrogate.step(x, u, which), "pysindy": peer}, shortest=shortest
        )
    own, ratio = timings["ours"], timings["pysindy"] / timings["ours"]
    detail = f"median of {_MEMBERS} members, library of 41 terms: {compared(timings)}"
    if len(x) == 1:
        return [
            Row("surrogate: one step", own.cpu * 1e6, "us", "", "<= 10"),
            Row("surrogate: one step, pysindy over ours", ratio, "x", detail, ">= 1000"),
        ]
    where = f"surrogate: {len(x):,} states"
    return [
        Row(f"{where}, steps a second", len(x) / own.cpu, "/s", "", ">= 1e6"),
        Row(f"{where}, pysindy over ours", ratio, "x", detail, ">= 50"),
    ]


def _difference(model: Any, surrogate: Surrogate, x: FloatArray, u: FloatArray) -> Row:
    with quietly():
        expected = np.array(model.predict(x, u=u))
    expected[:, 1:3] /= np.hypot(expected[:, 1], expected[:, 2])[:, None]
    found = surrogate.step(x, u, np.full(len(x), -1))[0]
    error = float(np.abs(found - expected).max())
    return Row("surrogate: next states, difference to pysindy", error, "", "largest", "<= 1e-12")


def _environments(surrogate: Surrogate, plant: Plant, shortest: float) -> list[Row]:
    """Step the gymnasium environments, every episode with its own member."""
    one = SurrogateEnv(surrogate, plant.starts, _ENDLESS)
    many = SurrogateVectorEnv(surrogate, _stay, _ENDLESS, num_envs=_BATCH)
    one.reset(seed=0)
    many.reset(seed=0)
    action = np.zeros(1, dtype=np.float32)
    actions = np.zeros((_BATCH, 1), dtype=np.float32)
    timings = take_turns(
        {"one": lambda: one.step(action), "many": lambda: many.step(actions)}, shortest=shortest
    )
    return [
        Row("surrogate: step of SurrogateEnv", timings["one"].cpu * 1e6, "us", "", "<= 10"),
        Row(f"surrogate: steps a second of SurrogateVectorEnv, {_BATCH:,}",
            _BATCH / timings["many"].cpu, "/s", "a member per episode", ">= 1e6"),
    ]  # fmt: skip


def _stay(rng: np.random.Generator, n: int) -> FloatArray:
    return np.tile([0.0, -1.0, 0.0, 0.0, 0.0], (n, 1))


def _closed_loops(surrogate: Surrogate, plant: Plant) -> Row:
    """Run cubic policies, as a search does."""
    data = plant.data
    form = PolicyForm.over(None, data.observation_names, data.states, plant.box, [(1, 2)])
    policies = np.random.default_rng(0).normal(0.0, 0.3, (32, form.n_weights))
    starts = _stay(np.random.default_rng(0), 4)
    every = form.coefficients(policies)
    taken = surrogate.rollouts(form.table, every, starts, 1000).lengths.sum()
    timing: Timing = take_turns(
        {"ours": lambda: surrogate.rollouts(form.table, every, starts, 1000)}, repeats=3
    )["ours"]
    detail = f"policies of {form.n_weights} terms, {_MEMBERS} members: {timing}"
    return Row("surrogate: steps a second in closed loops", taken / timing.cpu, "/s", detail,
               ">= 1e6")  # fmt: skip
