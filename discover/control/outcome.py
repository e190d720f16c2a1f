"""Outcome: what a step pays and where the world ends, written as expressions."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from discover.control.transitions import Transitions
from discover.libraries.parse import parse_expression
from discover.libraries.termtable import TermTableBuilder
from discover.symbolic import SymbolicModel
from discover.typing import FloatArray

__all__ = ["before", "given_outcome", "paid", "with_end"]


def before(name: str) -> str:
    """Return the name of an observation before the step."""
    return f"{name}_before"


def given_outcome(
    reward: str, observations: Sequence[str], actions: Sequence[str], terminal: str | None = None
) -> SymbolicModel:
    """Return a reward, and an end, written as expressions.

    Parameters
    ----------
    reward : str
        Over the names of the next observations, of the actions, and of the observations
        before the step: ``x_before`` for the observation ``x``.
    observations, actions : sequence of str
    terminal : str, optional
        The world ends where this is above 0.

    Returns
    -------
    SymbolicModel
        Kind "direct", targets ``reward`` and, if given, ``terminal``.
    """
    texts = [reward] if terminal is None else [reward, terminal]
    used = set(re.findall(r"[^\W\d]\w*", " ".join(texts)))
    earlier = [before(name) for name in observations if before(name) in used]
    builder = TermTableBuilder((*observations, *actions, *earlier))
    slots = [parse_expression(text, builder) for text in texts]
    table = builder.table(slots)
    outputs = table.outputs.tolist()
    coefficients = np.zeros((len(texts), len(outputs)))
    for i, slot in enumerate(slots):
        coefficients[i, outputs.index(slot)] = 1.0
    return SymbolicModel(
        table, coefficients, tuple(observations), (*actions, *earlier),
        target_names=("reward", "terminal")[: len(texts)], kind="direct",
    )  # fmt: skip


def paid(outcome: SymbolicModel, data: Transitions) -> FloatArray:
    """Return what an outcome pays for recorded steps, shape (n_steps,)."""
    names = (*data.observation_names, *data.action_names, *map(before, data.observation_names))
    columns = np.concatenate([data.next_states, data.actions, data.states], axis=1)
    which = [names.index(name) for name in outcome.table.inputs]
    return np.asarray(outcome.table.evaluate(columns[:, which]) @ outcome.coefficients[0])


def with_end(reward: SymbolicModel, terminal: str, bonus: float = 0.0) -> SymbolicModel:
    """Return a learned reward together with an end.

    Parameters
    ----------
    reward : SymbolicModel
        Kind "direct", target ``reward``.
    terminal : str
        Expression over the inputs of the reward; the world ends where it is above 0.
    bonus : float, default=0.0
        What the step that ends the world pays on top.
    """
    builder = TermTableBuilder(reward.table.inputs)
    slots = builder.copy(reward.table, reward.table.outputs.tolist())
    end = parse_expression(terminal, builder)
    over = parse_expression(f"max(0, sign({terminal}))", builder)
    table = builder.table([*slots, over, end])
    outputs = table.outputs.tolist()
    coefficients = np.zeros((2, len(outputs)))
    for slot, value in zip(slots, reward.coefficients[0], strict=True):
        coefficients[0, outputs.index(slot)] += value
    coefficients[0, outputs.index(over)] += bonus
    coefficients[1, outputs.index(end)] = 1.0
    return SymbolicModel(
        table, coefficients, reward.state_names, reward.control_names,
        target_names=("reward", "terminal"), kind="direct",
    )  # fmt: skip
