"""Identifiability: what these data can and cannot tell apart, said in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from discover.regression.base import Estimate, Rival
from discover.regression.normal import NormalEquations
from discover.regression.selection import penalties
from discover.regression.window import Moments, Scored, evidence_of, occam_window
from discover.statistics import SufficientStatistics
from discover.typing import BoolArray, FloatArray

__all__ = [
    "CollinearTerms",
    "IdentifiabilityReport",
    "join_reports",
    "report_identifiability",
    "rival_of",
]

_WORRYING_INDEX = 30.0  # condition index from which Belsley, Kuh and Welsch speak of harm
_SHARE = 0.5  # of a coefficient's variance that lies along one weak direction
_EQUAL = 1.0  # nats behind up to which two laws are called equally good
_MOST_GROUPS = 10
_MOST_RIVALS = 20


@dataclass(frozen=True)
class CollinearTerms:
    """Candidate terms that are nearly a combination of each other.

    Parameters
    ----------
    terms : tuple of str
    condition_index : float
        Errors of the data come out larger by up to this factor in their coefficients.
    chosen : bool
        Whether one of them is in the law.
    """

    terms: tuple[str, ...]
    condition_index: float
    chosen: bool


@dataclass(frozen=True, eq=False)
class IdentifiabilityReport:
    """What the data can and cannot tell apart.

    Parameters
    ----------
    condition_number : float
        Of all candidate columns, at unit norm.
    law_condition : ndarray of shape (n_targets,)
        Of the columns of each equation; 1 where it has none.
    groups : tuple of CollinearTerms
        Worst first.
    rivals : tuple of Rival
        Models within `within` nats of the chosen ones, or better, best first for every
        target.
    within : float
    term_names, target_names : tuple of str
    """

    condition_number: float
    law_condition: FloatArray
    groups: tuple[CollinearTerms, ...]
    rivals: tuple[Rival, ...]
    within: float
    term_names: tuple[str, ...]
    target_names: tuple[str, ...]

    @property
    def unique(self) -> bool:
        """Whether no other law explains the data nearly as well."""
        return not self.rivals

    def rivals_of(self, target: int | str) -> tuple[Rival, ...]:
        """Return the rivals of one equation, best first."""
        j = self.target_names.index(target) if isinstance(target, str) else target
        return tuple(rival for rival in self.rivals if rival.target == j)

    def equation(self, rival: Rival) -> str:
        """Return a rival as text, its coefficients with their standard errors."""
        from discover.symbolic.digits import round_number, text_number

        parts = []
        for term, value, error in zip(
            rival.terms, rival.coefficients, rival.standard_errors, strict=True
        ):
            number = round_number(float(value), float(error))
            name = self.term_names[term]
            sign = "-" if number.negative else "+"
            parts.append(f"{sign} {text_number(number)}{'' if name == '1' else ' ' + name}")
        text = " ".join(parts) or "0"
        return f"-{text[2:]}" if text.startswith("- ") else text.removeprefix("+ ")

    def table(self) -> Any:
        """Return one row per rival.

        Returns
        -------
        pandas.DataFrame
            Columns target, nats_behind, odds (of the chosen law against it),
            unexplained (share of the variance), law.
        """
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "target": self.target_names[rival.target],
                    "nats_behind": rival.behind,
                    "odds": float(np.exp(min(rival.behind, 700.0))),
                    "unexplained": rival.variance,
                    "law": self.equation(rival),
                }
                for rival in self.rivals
            ],
            columns=["target", "nats_behind", "odds", "unexplained", "law"],
        )

    def notes(self) -> list[str]:
        """Return one line per equation that another one equals; none where all is well."""
        lines = []
        for j, name in enumerate(self.target_names):
            equal = [rival for rival in self.rivals_of(j) if rival.behind < _EQUAL]
            if equal:
                lines.append(
                    f"{name}: {len(equal)} other law{'s' * (len(equal) > 1)} would explain these "
                    f"data equally well: {self.equation(equal[0])}; see identifiability_"
                )
        return lines

    def sentences(self) -> list[str]:
        """Say in plain language what the data can and cannot tell apart."""
        return [*self._on_rivals(), *self._on_conditioning(), *map(_on_group, self._harmful())]

    def _harmful(self) -> list[CollinearTerms]:
        return [group for group in self.groups if group.chosen]

    def _on_rivals(self) -> list[str]:
        if self.unique:
            return [
                f"No other law that was tried comes within {self.within:g} nats "
                f"(odds of {np.exp(self.within):.0f} to 1) of the one chosen."
            ]
        said = []
        for j, name in enumerate(self.target_names):
            for rival in self.rivals_of(j)[:3]:
                if not rival.terms:
                    said.append(
                        f"For {name}, the data hardly suffice to say that it depends on anything: "
                        f"no law at all is {rival.behind:.1f} nats behind."
                    )
                    continue
                said.append(
                    f"For {name}, the law {self.equation(rival)} explains the data "
                    f"{_compared(rival.behind)}; it leaves {rival.variance:.2g} of the mean "
                    "square unexplained."
                )
        if any(rival.behind < 3.0 for rival in self.rivals):
            said.append("These data do not decide between them; only other data can.")
        return said

    def _on_conditioning(self) -> list[str]:
        worst = int(np.argmax(self.law_condition)) if len(self.law_condition) else 0
        if not len(self.law_condition) or self.law_condition[worst] < _WORRYING_INDEX:
            return []
        return [
            f"The terms chosen for {self.target_names[worst]} are nearly dependent (condition "
            f"number {self.law_condition[worst]:.2g}): their sum is known better than each of "
            "them."
        ]

    def __repr__(self) -> str:
        """Return the sentences, and a table of the rivals if there are any."""
        lines = self.sentences()
        if self.rivals:
            lines += ["", "  nats behind  unexplained  law"]
            for rival in self.rivals[:_MOST_RIVALS]:
                lines.append(
                    f"  {rival.behind:11.1f}  {rival.variance:11.2g}  "
                    f"{self.target_names[rival.target]}: {self.equation(rival)}"
                )
        return "\n".join(lines)


def _compared(behind: float) -> str:
    if behind < -0.5:
        return f"better (by {-behind:.1f} nats)"
    if behind < _EQUAL:
        return f"equally well ({behind:.1f} nats behind)"
    return f"nearly as well ({behind:.1f} nats behind, odds of {np.exp(behind):.0f} to 1)"


def _on_group(group: CollinearTerms) -> str:
    names = ", ".join(group.terms[:6]) + (", ..." if len(group.terms) > 6 else "")
    return (
        f"The candidates {names} are nearly dependent on these data (condition index "
        f"{group.condition_index:.2g}): they can stand in for each other."
    )


def report_identifiability(
    stats: SufficientStatistics,
    estimate: Estimate,
    *,
    term_names: Sequence[str] | None = None,
    target_names: Sequence[str] | None = None,
    allowed: BoolArray | None = None,
    within: float = 3.0,
    search: bool = True,
) -> IdentifiabilityReport:
    """Report what the data can and cannot tell apart.

    Parameters
    ----------
    stats : SufficientStatistics
        That the estimate was made from.
    estimate : Estimate
        Of any regressor. Where it has no rivals, they are searched around its
        support and scored by penalised evidence.
    term_names, target_names : sequence of str, optional
    allowed : ndarray of bool, shape (n_targets, n_terms), optional
        Terms each target may use.
    within : float, default=3.0
        Nats up to which a law counts as a rival; 3 are odds of 20 to 1.
    search : bool, default=True
        Whether to search for rivals where the estimate has none: not under constraints,
        which the search does not know.

    Returns
    -------
    IdentifiabilityReport

    Notes
    -----
    Nearly dependent terms are found by Belsley, Kuh and Welsch (Regression Diagnostics,
    Wiley 1980): weak directions of the columns at unit norm, with a condition index
    above 30, on which more than half of the variance of two or more coefficients rests.
    Rivals are the members of Occam's window, see
    :class:`discover.regression.RelevanceVectorRegressor`.
    """
    equations = NormalEquations(stats)
    terms = tuple(map(str, term_names if term_names is not None else range(stats.n_terms)))
    targets = tuple(map(str, target_names if target_names is not None else range(stats.n_targets)))
    rivals = estimate.rivals
    if estimate.log_evidence is None and search:
        rivals = _rivals(equations, estimate.support, allowed, within)
    return IdentifiabilityReport(
        condition_number=stats.condition_number,
        law_condition=np.array([_condition(equations, row) for row in estimate.support]),
        groups=_collinear_groups(equations, np.asarray(estimate.support.any(axis=0)), terms),
        rivals=tuple(rival for rival in rivals if rival.behind <= within),
        within=within,
        term_names=terms,
        target_names=targets,
    )


def join_reports(reports: Sequence[IdentifiabilityReport]) -> IdentifiabilityReport:
    """Put the reports of single targets, which were asked of rows of their own, into one."""
    groups = {group.terms: group for report in reports for group in report.groups}
    return IdentifiabilityReport(
        condition_number=max(report.condition_number for report in reports),
        law_condition=np.concatenate([report.law_condition for report in reports]),
        groups=tuple(sorted(groups.values(), key=lambda group: -group.condition_index)),
        rivals=tuple(
            replace(rival, target=j) for j, report in enumerate(reports) for rival in report.rivals
        ),
        within=reports[0].within,
        term_names=reports[0].term_names,
        target_names=tuple(name for report in reports for name in report.target_names),
    )


def rival_of(
    moments: Moments, equations: NormalEquations, target: int, model: Scored, best: float
) -> Rival:
    """Describe a model as the rival of one with the score `best`."""
    stats, terms = equations.stats, list(model.terms)
    support = model.mask(stats.n_terms)
    unit = equations.solve(support, target)
    noise = max(model.share, moments.least) * moments.energy / moments.n
    variance = np.diag(equations.inverse(support)) * noise
    return Rival(
        target=target,
        terms=model.terms,
        coefficients=(unit * equations.to_units[target])[terms],
        standard_errors=np.sqrt(variance) * np.abs(equations.to_units[target, terms]),
        behind=model.score - best,
        variance=model.share,
    )


def _rivals(
    equations: NormalEquations, support: BoolArray, allowed: BoolArray | None, within: float
) -> tuple[Rival, ...]:
    """Search Occam's window around supports that another regressor chose."""
    found = []
    for j, row in enumerate(support):
        usable = equations.usable if allowed is None else equations.usable & allowed[j]
        moments = Moments.of(equations, j, usable)
        if not moments.usable.any() or row.sum() > moments.most:
            continue
        penalty = penalties("penalized_evidence", moments.most, moments.n, int(usable.sum()))
        models = occam_window(moments, penalty, row[None], max(within, 1.0), True)
        chosen = tuple(np.flatnonzero(row).tolist())
        scores = {model.terms: model.score for model in models}
        if chosen not in scores:
            constant = 0.5 * moments.n * (1.0 + np.log(2.0 * np.pi))
            evidence = evidence_of(moments, chosen).log_evidence
            scores[chosen] = float(penalty[len(chosen)]) - evidence - constant
        found += [
            rival_of(moments, equations, j, model, scores[chosen])
            for model in models
            if model.terms != chosen and model.score <= scores[chosen] + within
        ]
    return tuple(found)


def _singular(equations: NormalEquations, chosen: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return singular values and right vectors of unit-norm columns."""
    if equations.stats.factor is not None:
        columns = equations.triangle[:, : equations.stats.n_terms][:, chosen]
        _, singular, right = np.linalg.svd(columns, full_matrices=False)
        return singular, right
    values, vectors = np.linalg.eigh(equations.gram[np.ix_(chosen, chosen)])
    return np.sqrt(np.maximum(values[::-1], 0.0)), vectors.T[::-1]


def _condition(equations: NormalEquations, row: BoolArray) -> float:
    if row.sum() < 2:
        return 1.0
    singular, _ = _singular(equations, row)
    return float(singular[0] / max(singular[-1], np.finfo(float).tiny))


def _collinear_groups(
    equations: NormalEquations, in_law: BoolArray, names: Sequence[str]
) -> tuple[CollinearTerms, ...]:
    usable = np.flatnonzero(equations.usable)
    if len(usable) < 2:
        return ()
    singular, right = _singular(equations, equations.usable)
    floor = np.finfo(float).eps * len(singular) * singular[0]
    variance = (right / np.maximum(singular, floor)[:, None]) ** 2
    shares = variance / variance.sum(axis=0)
    index = singular[0] / np.maximum(singular, floor)
    groups = []
    for i in np.argsort(-index)[:_MOST_GROUPS]:
        members = usable[shares[i] > _SHARE]
        if index[i] > _WORRYING_INDEX and len(members) > 1:
            groups.append(
                CollinearTerms(
                    tuple(names[term] for term in members),
                    float(index[i]),
                    bool(in_law[members].any()),
                )
            )
    return tuple(groups)
