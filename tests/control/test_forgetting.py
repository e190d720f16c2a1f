"""Forgetting: laws of plants that change, from sums that fade."""

import gymnasium
import numpy as np
import pytest

from discover.control import DynamicsLearner, Plant, Transitions
from discover.libraries import SymbolicLibrary

NAMES = ("cos_th", "sin_th", "th_dot")


def swinging(n_steps, lengths, seed=0):
    """Swing a pendulum by held random torques; its length changes with every step."""
    env = gymnasium.make("Pendulum-v1", max_episode_steps=n_steps)
    plant = Plant(env, observation_names=NAMES, seed=seed)
    rng, count = np.random.default_rng(seed), iter(range(n_steps))
    held = np.repeat(rng.uniform(-2, 2, n_steps // 5 + 1), 5)

    def policy(seen):
        k = next(count)
        env.unwrapped.l = lengths[k]
        return np.array([held[k]])

    plant.run(policy, n_steps)
    return plant.data


def parts(data, size):
    """Cut one episode into consecutive ones."""
    (whole,) = data.episodes
    found = []
    for first in range(0, len(whole), size):
        last = min(first + size, len(whole))
        piece = Transitions(data.observation_names, data.action_names, limits=data.limits)
        piece.add(
            type(whole)(
                whole.observations[first : last + 1], whole.actions[first:last],
                whole.rewards[first:last],
            )
        )  # fmt: skip
        found.append(piece)
    return found


@pytest.fixture(scope="module")
def drifting():
    return swinging(2000, np.linspace(0.8, 1.2, 2000))


def learner(**options):
    library = SymbolicLibrary(["sin(th)", "cos(th)", "u", "th_dot", "1"])
    return DynamicsLearner(library, noise=None, **options)


def test_sums_that_fade_are_those_of_weighted_least_squares(drifting):
    fading = learner(forgetting=0.99)
    pieces = parts(drifting, 150)
    for piece in pieces:
        fading.partial_fit(piece)
    memory = fading.memory_
    found, stops = memory.coordinates, memory.stops
    before, after = found.states(drifting.states), found.states(drifting.next_states)
    used = ~stops.reached(after)
    theta = memory.table.evaluate(np.concatenate([before, drifting.actions], axis=1)[used])
    change = found.increments(before, after)[used][:, [1]]
    weights = 0.99 ** np.arange(len(drifting) - 1, -1, -1.0)[used]
    rows = np.sqrt(weights)[:, None] * np.concatenate([theta, change], axis=1)
    scale = memory.stats.scale
    ours = memory.stats.total * np.outer(scale, scale)
    np.testing.assert_allclose(ours, rows.T @ rows, rtol=1e-9, atol=1e-9)
    assert memory.stats.n_samples == pytest.approx(weights.sum(), rel=1e-10)
    p = theta.shape[1]
    solved = np.linalg.solve(ours[:p, :p], ours[:p, p:])
    np.testing.assert_allclose(solved, np.linalg.lstsq(rows[:, :p], rows[:, p:])[0], atol=1e-8)


def test_steps_in_pieces_are_learned_like_steps_at_once(drifting):
    whole = learner(forgetting=0.99, threshold=0.01).fit(drifting)
    pieces = learner(forgetting=0.99, threshold=0.01)
    for piece in parts(drifting, 100):
        found = pieces.partial_fit(piece)
    assert found.n_rows == whole.n_rows
    np.testing.assert_allclose(found.model.coefficients, whole.model.coefficients, atol=0.01)
    np.testing.assert_allclose(found.scale, whole.scale, rtol=1e-9)


def gravity(found):
    return found.model.coefficients[1, found.model.term_names.index("sin(th)")]


def test_a_length_that_drifts_is_followed_where_old_steps_are_forgotten(drifting):
    fading, keeping = learner(forgetting=0.98), learner()
    errors = {0.98: [], 1.0: []}
    for k, piece in enumerate(parts(drifting, 100)):
        true = 0.75 / np.linspace(0.8, 1.2, 2000)[100 * k + 99]
        errors[0.98].append(abs(gravity(fading.partial_fit(piece)) / true - 1))
        errors[1.0].append(abs(gravity(keeping.partial_fit(piece)) / true - 1))
    assert max(errors[0.98]) < 0.03
    assert errors[1.0][-1] > 0.1


def test_what_is_kept_does_not_grow_without_end():
    data = swinging(3000, np.ones(3000))
    fading = learner(forgetting=0.9)
    sizes = [
        fading.partial_fit(piece) and fading.memory_.stats.n_blocks for piece in parts(data, 60)
    ]
    assert max(sizes[10:]) <= max(sizes[:10])


@pytest.mark.parametrize("value", [0.0, 1.5, -1.0])
def test_forgetting_is_a_share(drifting, value):
    with pytest.raises(ValueError, match="forgetting must be above 0"):
        learner(forgetting=value).fit(drifting)
