"""Rewards of a surrogate: given as expressions, or learned on (next observation, action)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, clone

from discover.control.candidates import BumpLibrary
from discover.control.transitions import Transitions
from discover.exceptions import DataWarning
from discover.libraries import FeatureLibrary
from discover.libraries.parse import parse_expression
from discover.libraries.termtable import TermTableBuilder
from discover.regression import STLSQ
from discover.symbolic import SymbolicModel
from discover.typing import FloatArray

__all__ = ["RewardLearner", "given_outcome"]

_IN_THE_UNIT = 1.2  # peak of a cosine, with noise
_ROWS = 600  # that judge the widths


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
    The reward of step k belongs to observation k + 1 (Zolman et al., arXiv:2403.09110). The
    widths of the bumps are found by variable projection (Golub and Pereyra, SIAM J. Numer.
    Anal. 10 (1973) 413-432): for each choice the terms are fitted by least squares.
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
    """Choose one width per observation, those with which the terms explain the rewards best."""
    seen, names = data.next_states, list(data.observation_names)
    peak = np.abs(seen).max(axis=0)
    bounded = [n for n, top in zip(names, peak, strict=True) if top <= _IN_THE_UNIT + 1e-9]
    free = [n for n in names if n not in bounded]
    rows = np.linspace(0, len(seen) - 1, min(len(seen), _ROWS)).astype(int)
    inputs = np.concatenate([seen, data.actions], axis=1)[rows]
    rewards = data.rewards[rows]

    def library(logs: FloatArray) -> BumpLibrary:
        widths = [[float(w)] for w in np.exp(logs)]
        return BumpLibrary(bounded, free, list(data.action_names), widths)

    def misfit(logs: FloatArray) -> float:
        theta = library(logs).build((*names, *data.action_names)).evaluate(inputs)
        size = np.sqrt((theta**2).sum(axis=0))
        unit = theta / np.where(size > 0, size, 1.0)
        fitted = unit @ np.linalg.lstsq(unit, rewards, rcond=1e-10)[0]
        return float(np.log(((rewards - fitted) ** 2).mean() + 1e-26))

    if not free:
        return library(np.zeros(0))
    typical = np.sqrt(np.mean(seen[:, [names.index(n) for n in free]] ** 2, axis=0))
    begin = np.log(np.maximum(2.0 * typical, 1e-6))
    options = {"maxfev": 100 * len(free), "xatol": 1e-7, "fatol": 1e-4,
               "initial_simplex": _simplex(begin)}  # fmt: skip
    return library(minimize(misfit, begin, method="Nelder-Mead", options=options).x)


def _simplex(center: FloatArray) -> FloatArray:
    """Return the center and a point half an octave from it along every axis."""
    return np.concatenate([center[None], center + 0.5 * np.eye(len(center))])
