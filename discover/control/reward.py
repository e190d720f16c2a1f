"""Rewards, learned: families of terms compete for the rows that they have not seen."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, clone

from discover.control.competition import fit_sparse, most_predictive
from discover.control.outcome import with_end
from discover.control.reward_families import reward_families
from discover.control.termination import learn_termination
from discover.control.transitions import Transitions
from discover.libraries import FeatureLibrary
from discover.libraries.termtable import TermTable
from discover.symbolic import SymbolicModel
from discover.typing import BoolArray, FloatArray

__all__ = ["RewardLearner"]


class RewardLearner(BaseEstimator):
    """Learn the reward as a sparse law of the next observation, or the last one, and the action.

    Parameters
    ----------
    library : FeatureLibrary, optional
        Over next observations and actions by name; by default quadratic terms, of the
        observations or with angles for their cosines and sines, after and before the step,
        compete with bounded terms (:func:`reward_families`).
    threshold : float, default=1e-3
        Of STLSQ, on contributions.

    Notes
    -----
    The reward of step k belongs to observation k + 1 (Zolman et al., arXiv:2403.09110), but
    some worlds pay for observation k. The family whose fits to four fifths of the rows, in
    contiguous stretches of time, predict the last fifth best is fitted to all. What ends
    the world may pay a bonus: it is the mean of what the last steps got over the fit to all
    other steps.
    """

    def __init__(self, library: FeatureLibrary | None = None, *, threshold: float = 1e-3) -> None:
        self.library = library
        self.threshold = threshold

    def fit(self, data: Transitions, terminal: str | None = None) -> SymbolicModel:
        """Learn from all transitions.

        Parameters
        ----------
        data : Transitions
        terminal : str, optional
            Expression above 0 where the world ends; by default learned from the steps that
            ended it, if any (:func:`learn_termination`).

        Returns
        -------
        SymbolicModel
            Kind "direct", target ``reward`` and, if the world ends, ``terminal``.
        """
        inputs, rewards = _inputs(data), data.rewards
        going = ~data.terminated if (~data.terminated).any() else np.ones(len(data), dtype=bool)
        tables = self._tables(data)
        designs = [table.evaluate(inputs[:, : table.n_inputs]) for table in tables]
        paid = rewards[going, None]
        k = most_predictive([theta[going] for theta in designs], paid, self.threshold)
        fitted = fit_sparse(designs[k][going], paid, self.threshold)[0]
        seen = tuple(data.observation_names)
        law = SymbolicModel(
            tables[k], fitted[None], seen, tables[k].inputs[len(seen) :],
            target_names=("reward",), kind="direct",
        ).pruned()  # fmt: skip
        end = learn_termination(data) if terminal is None else terminal
        if end is None:
            return law
        return with_end(law, end, _bonus(rewards - designs[k] @ fitted, data.terminated))

    def _tables(self, data: Transitions) -> list[TermTable]:
        if self.library is None:
            return reward_families(data)
        return [clone(self.library).build((*data.observation_names, *data.action_names))]


def _inputs(data: Transitions) -> FloatArray:
    """Return next observations, actions and last observations of every step."""
    return np.concatenate([data.next_states, data.actions, data.states], axis=1)


def _bonus(surplus: FloatArray, ended: BoolArray) -> float:
    return float(surplus[ended].mean()) if ended.any() else 0.0
