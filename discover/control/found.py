"""FoundPolicy: what can be made of a policy that was found in a surrogate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from discover.control.distillation import Distillation
from discover.control.policy import PolicyForm
from discover.control.pruning import Pruning
from discover.control.sparse import PolicyPath
from discover.control.stability import ClosedLoop, closed_loop
from discover.control.surrogate import Surrogate
from discover.libraries import FeatureLibrary
from discover.symbolic import SymbolicModel
from discover.typing import FloatArray

__all__ = ["FoundPolicy"]


class FoundPolicy(ABC):
    """Shorter policies, imitated ones, and closed loops; SINDyRL learns the policy.

    With modes, what is seen here are their amplitudes: ``plant_.modes.lift`` makes a policy
    over them act on the observations.
    """

    policy_: Any
    plant_: Any
    surrogate_: Surrogate
    _policy: Any  # over what the plant shows
    _form: PolicyForm | None

    @abstractmethod
    def _sample_starts(self, rng: np.random.Generator, n: int) -> FloatArray:
        """Draw starts of episodes in the surrogate, shape (n, n_observations)."""

    def sparsify(
        self, max_terms: int | None = None, *, pruning: Pruning | None = None, seed: int = 0
    ) -> PolicyPath:
        """Shorten the policy in the last surrogate; no real step is taken.

        Parameters
        ----------
        max_terms : int, optional
            Of the policy that is chosen.
        pruning : Pruning, optional
        seed : int

        Returns
        -------
        PolicyPath
            Returns against the number of terms; ``.policy`` is the shortest policy about as
            good as the best one.
        """
        form = self._known_form("sparsify", max_terms)
        return (pruning or Pruning()).run(
            self.surrogate_, form, self._policy, self._sample_starts, self.plant_.horizon,
            rng=np.random.default_rng(seed), max_terms=max_terms,
        )  # fmt: skip

    def distill(
        self,
        teacher: Any,
        max_terms: int | None = None,
        *,
        library: FeatureLibrary | None = None,
        distillation: Distillation | None = None,
        seed: int = 0,
    ) -> PolicyPath:
        """Imitate a teacher by formulas, in the last surrogate; no real step is taken.

        Parameters
        ----------
        teacher : object
            With ``predict(observations, deterministic=True)``, as those of
            stable-baselines3, or callable: observations to actions.
        max_terms : int, optional
            Of the policy that is chosen.
        library : FeatureLibrary, optional
            Terms of the formulas; by default those of the agent's own policy.
        distillation : Distillation, optional
        seed : int
        """
        form = self._known_form("distill", max_terms)
        if library is not None:
            data = self.plant_.data
            form = PolicyForm.over(library, data.observation_names, data.states, form.box)
        return (distillation or Distillation()).run(
            teacher, self.surrogate_, form, self._sample_starts, self.plant_.horizon,
            rng=np.random.default_rng(seed), max_terms=max_terms,
        )  # fmt: skip

    def eigenvalues(self, target: Any, policy: SymbolicModel | None = None) -> ClosedLoop:
        """Linearise the last surrogate with a policy, by default the agent's, near a target.

        Parameters
        ----------
        target : array-like of shape (n_observations,), or mapping
            An observation; by name, those left out are 0.
        policy : SymbolicModel, optional
        """
        self._known_form("eigenvalues")
        return closed_loop(self.surrogate_, self._policy if policy is None else policy, target)

    def _known_form(self, owner: str, max_terms: int | None = None) -> PolicyForm:
        form: PolicyForm | None = getattr(self, "_form", None)
        if form is None or not hasattr(self, "policy_"):
            raise ValueError(f"SINDyRL: {owner} needs a policy; call learn() first.")
        if owner != "distill" and not isinstance(self.policy_, SymbolicModel):
            raise ValueError(
                f"SINDyRL: {owner} needs a policy that is a formula, not a planner; search one "
                "with another agent."
            )
        if max_terms is not None and not max_terms >= 1:
            raise ValueError(f"SINDyRL: {owner}: max_terms must be 1 or more; got {max_terms}.")
        return form.free
