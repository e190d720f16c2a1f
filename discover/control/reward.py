"""Rewards of a surrogate: given as expressions, or learned on (next observation, action)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.base import BaseEstimator, clone

from discover.control.transitions import Transitions
from discover.exceptions import DataWarning
from discover.libraries import FeatureLibrary
from discover.libraries.parse import parse_expression
from discover.libraries.termtable import TermTable, TermTableBuilder
from discover.regression import STLSQ
from discover.symbolic import SymbolicModel

__all__ = ["BumpLibrary", "RewardLearner", "given_outcome"]


def given_outcome(
    reward: str, observations: Sequence[str], actions: Sequence[str], terminal: str | None = None
) -> SymbolicModel:
    """Return a reward, and an end, written as expressions.

    Parameters
    ----------
    reward : str
        Over the names of the next observations and of the actions.
    observations, actions : sequence of str
    terminal : str, optional
        The world ends where this is above 0.

    Returns
    -------
    SymbolicModel
        Kind "direct", targets ``reward`` and, if given, ``terminal``.
    """
    builder = TermTableBuilder((*observations, *actions))
    texts = [reward] if terminal is None else [reward, terminal]
    slots = [parse_expression(text, builder) for text in texts]
    table = builder.table(slots)
    outputs = table.outputs.tolist()
    coefficients = np.zeros((len(texts), len(outputs)))
    for i, slot in enumerate(slots):
        coefficients[i, outputs.index(slot)] = 1.0
    return SymbolicModel(
        table, coefficients, tuple(observations), tuple(actions),
        target_names=("reward", "terminal")[: len(texts)], kind="direct",
    )  # fmt: skip


class BumpLibrary(FeatureLibrary):
    """Products of bounded terms: a reward written in them cannot run away.

    Observations in [-1, 1] enter by themselves, all others by bumps ``exp(-(x / w)^2)`` of
    a few widths; actions by their squares.

    Parameters
    ----------
    bounded, unbounded, actions : sequence of str
    widths : sequence of sequence of float
        Of the bumps, for each unbounded observation.
    """

    def __init__(
        self,
        bounded: Sequence[str],
        unbounded: Sequence[str],
        actions: Sequence[str],
        widths: Sequence[Sequence[float]],
    ) -> None:
        self.bounded = bounded
        self.unbounded = unbounded
        self.actions = actions
        self.widths = widths

    def build(self, inputs: Sequence[str]) -> TermTable:
        """Return the table of products."""
        builder = TermTableBuilder(inputs)
        groups = [["1", *self.bounded]]
        for name, widths in zip(self.unbounded, self.widths, strict=True):
            groups.append(["1", *(f"exp(-({name}/{w!r})**2)" for w in widths)])
        groups.append(["1", *(f"{u}**2" for u in self.actions)])
        slots = [builder.constant(1.0)]
        for group in groups:
            terms = [parse_expression(text, builder) for text in group]
            slots = [builder.mul(a, b) for a in slots for b in terms]
        return builder.table(slots)


class RewardLearner(BaseEstimator):
    """Learn the reward as a sparse law of the next observation and the action.

    Parameters
    ----------
    library : FeatureLibrary, optional
        Over observations and actions by name; by default a :class:`BumpLibrary`.
    threshold : float, default=1e-3
        Of STLSQ, on contributions.

    Notes
    -----
    The reward of step k belongs to observation k + 1 (Zolman et al., arXiv:2403.09110).
    """

    def __init__(self, library: FeatureLibrary | None = None, *, threshold: float = 1e-3) -> None:
        self.library = library
        self.threshold = threshold

    def fit(self, data: Transitions) -> SymbolicModel:
        """Learn from all transitions; kind "direct", target ``reward``."""
        names = (*data.observation_names, *data.action_names)
        library = _bumps(data) if self.library is None else clone(self.library)
        table = library.build(names)
        theta = table.evaluate(np.concatenate([data.next_states, data.actions], axis=1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            found = STLSQ(self.threshold, ridge=1e-9).fit(theta, data.rewards)
        coefficients = np.atleast_2d(found.coef_)
        return SymbolicModel(
            table, coefficients, tuple(data.observation_names), tuple(data.action_names),
            target_names=("reward",), kind="direct",
        ).pruned()  # fmt: skip


def _bumps(data: Transitions) -> BumpLibrary:
    seen = data.next_states
    peak = np.abs(seen).max(axis=0)
    names = list(data.observation_names)
    bounded = [n for n, top in zip(names, peak, strict=True) if top <= 1.0 + 1e-9]
    free = [n for n in names if n not in bounded]
    widths = []
    for name in free:
        top = float(np.ldexp(1.0, round(float(np.log2(max(peak[names.index(name)], 1e-6))))))
        widths.append([top, 0.5 * top])
    return BumpLibrary(bounded, free, list(data.action_names), widths)
