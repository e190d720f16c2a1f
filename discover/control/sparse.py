"""PolicyPath: policies of fewer and fewer terms, and what each of them earns."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import numpy as np

from discover.control.policy import PolicyForm
from discover.control.surrogate import Surrogate
from discover.files import write_text
from discover.symbolic import SymbolicModel
from discover.symbolic.text import equation_lines
from discover.typing import FloatArray

__all__ = ["Judge", "PolicyPath", "SparsePolicy"]


@dataclass(frozen=True, eq=False)
class SparsePolicy:
    """A policy, and its returns over every member and many starts of the surrogate.

    Parameters
    ----------
    policy : SymbolicModel
        Kind "direct", saturated; its coefficients have few digits.
    mean, worst : float
    """

    policy: SymbolicModel
    mean: float
    worst: float

    @property
    def n_terms(self) -> int:
        """Number of terms, over all actions."""
        return self.policy.complexity

    @property
    def score(self) -> float:
        """By which policies are compared: half the mean, and half the worst episode."""
        return 0.5 * (self.mean + self.worst)


@dataclass(frozen=True, eq=False)
class PolicyPath:
    """Policies by number of terms, with their returns in the surrogate.

    Parameters
    ----------
    policies : sequence of SparsePolicy
        Longest first, the dense one that they come from included.
    max_terms : int, optional
        Of the policy that is chosen.
    tolerance : float, default=0.01
        Share of the best return that the chosen policy may earn less, on average and in
        its worst episode.
    surrogate_steps : int, default=0
        What it took.
    """

    policies: Sequence[SparsePolicy]
    max_terms: int | None = None
    tolerance: float = 0.01
    surrogate_steps: int = 0

    def __iter__(self) -> Iterator[SparsePolicy]:
        """Go through the policies, longest first."""
        return iter(self.policies)

    @property
    def best(self) -> SparsePolicy:
        """The policy with the best score, whatever its length."""
        return max(self.policies, key=lambda one: one.score)

    def at_most(self, n_terms: int) -> SparsePolicy:
        """Return the policy of so many terms or fewer with the best score."""
        few = [one for one in self.policies if one.n_terms <= n_terms]
        if not few:
            least = min(one.n_terms for one in self.policies)
            raise ValueError(f"PolicyPath: n_terms must be at least {least}; got {n_terms}.")
        return max(few, key=lambda one: one.score)

    @property
    def smallest_good(self) -> SparsePolicy:
        """The smallest policy within the tolerance of the best one."""
        best = self.best
        mean = best.mean - self.tolerance * abs(best.mean)
        worst = best.worst - self.tolerance * abs(best.worst)
        good = [one for one in self.policies if one.mean >= mean and one.worst >= worst]
        return min(good, key=lambda one: one.n_terms)

    @property
    def chosen(self) -> SparsePolicy:
        """The smallest good policy, or the best one of at most `max_terms` if it is longer."""
        if self.max_terms is None or self.smallest_good.n_terms <= self.max_terms:
            return self.smallest_good
        return self.at_most(self.max_terms)

    def merged(self, other: PolicyPath) -> PolicyPath:
        """Return the better policy for every number of terms, of two paths with one judge."""
        found: dict[int, SparsePolicy] = {}
        for one in (*self.policies, *other.policies):
            if one.n_terms not in found or one.score > found[one.n_terms].score:
                found[one.n_terms] = one
        every = [found[n] for n in sorted(found, reverse=True)]
        steps = max(self.surrogate_steps, other.surrogate_steps)
        return replace(self, policies=every, surrogate_steps=steps)

    @property
    def policy(self) -> SymbolicModel:
        """The chosen policy."""
        return self.chosen.policy

    def save(self, folder: str | Path) -> Path:
        """Write the chosen policy to sparse.json, and returns and formulas to sparse.csv."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.policy.save(folder / "sparse.json")
        with StringIO(newline="") as text:
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(["terms", "mean", "worst", "policy"])
            for one in self.policies:
                formula = "; ".join(equation_lines(one.policy, None))
                writer.writerow([one.n_terms, one.mean, one.worst, formula])
            write_text(folder / "sparse.csv", text.getvalue())
        return folder

    def __str__(self) -> str:
        """Return a table, the chosen policy marked, and its formula."""
        lines = ["terms       mean      worst"]
        for one in self.policies:
            mark = "  <-" if one is self.chosen else ""
            lines.append(f"{one.n_terms:5d} {one.mean:10.5g} {one.worst:10.5g}{mark}")
        return "\n".join([*lines, "", str(self.policy)])


@dataclass(frozen=True, eq=False)
class Judge:
    """Fixed episodes in a surrogate, the same for all policies.

    Parameters
    ----------
    surrogate : Surrogate
    starts : ndarray of shape (n_starts, n_observations)
    horizon : int
    digits : int
        Significant digits that coefficients are rounded to before.
    """

    surrogate: Surrogate
    starts: FloatArray
    horizon: int
    digits: int = 4

    def __call__(self, form: PolicyForm, weights: FloatArray) -> SparsePolicy:
        """Round a policy and play it from every start with every member."""
        return self.score(form.law(rounded(form.coefficients(weights), self.digits)))

    def score(self, model: SymbolicModel) -> SparsePolicy:
        """Play a policy from every start with every member."""
        run = self.surrogate.rollouts(
            model.table, model.coefficients[None], self.starts, self.horizon
        )
        returns = np.where(np.isfinite(run.returns), run.returns, -np.inf)
        return SparsePolicy(model, float(returns.mean()), float(returns.min()))


def rounded(values: FloatArray, digits: int) -> FloatArray:
    """Round numbers to so many significant digits.

    Examples
    --------
    >>> rounded(np.array([1234.56, -0.00987654, 0.0]), 3).tolist()
    [1230.0, -0.00988, 0.0]
    """
    text = np.array([f"{value:.{digits - 1}e}" for value in values.ravel()])
    return text.astype(np.float64).reshape(values.shape)
