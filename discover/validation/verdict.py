"""The verdict: what the numbers mean, in plain words, each with its number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from discover.symbolic import SymbolicModel
from discover.typing import FloatArray
from discover.validation.following import Follower
from discover.validation.residuals import Innovations

__all__ = ["Reason", "Verdict", "judge", "missing_terms"]

Kind = Literal["good", "doubt", "bad", "note"]
Outcome = Literal["holds", "doubtful", "fails"]

_SIGNIFICANT = 0.01
_GOOD, _FAIR = 0.9, 0.5  # explained variance of a free run
_CLOSE = 0.99  # from which on a law is useful, exact or not
_EXACT = 1e-3  # standard deviations; below, who is nearer is a matter of arithmetic
_GOOD_TIMES, _FAIR_TIMES = 1.0, 0.5  # valid time of chaos, in Lyapunov times
_FEWEST_ROWS = 3.0  # independent rows per coefficient
_FEWEST_SAMPLES = 12
_EQUAL = 1.0  # nats behind up to which another law is as good
_CORRELATED, _COPIES = 0.95, 0.99
_MOST_TERMS = 400
_SYMBOLS = {"good": "+", "doubt": "?", "bad": "-", "note": "*"}
_HEADLINES = {
    "holds": "The law holds out",
    "doubtful": "The law is doubtful",
    "fails": "The law does not hold",
}


@dataclass(frozen=True)
class Reason:
    """One reason of a verdict.

    Parameters
    ----------
    kind : {"good", "doubt", "bad", "note"}
    about : str
        What it is about: ``"free run"``, ``"residuals"``, ``"bands"``, ...
    text : str
        The reason, with its number.
    value : float
        The number; NaN where there is none.
    """

    kind: Kind
    about: str
    text: str
    value: float = np.nan


@dataclass(frozen=True)
class Verdict:
    """Whether to believe a law.

    Parameters
    ----------
    outcome : {"holds", "doubtful", "fails"}
    headline : str
    reasons : tuple of Reason
        Those that decide first.
    """

    outcome: Outcome
    headline: str
    reasons: tuple[Reason, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that JSON can hold."""
        return {
            "outcome": self.outcome,
            "headline": self.headline,
            "reasons": [
                {"kind": r.kind, "about": r.about, "text": r.text,
                 "value": r.value if np.isfinite(r.value) else None}
                for r in self.reasons
            ],
        }  # fmt: skip

    def __str__(self) -> str:
        lines = [f"  {_SYMBOLS[reason.kind]} {reason.text}" for reason in self.reasons]
        return "\n".join([self.headline, *lines])


def judge(facts: Mapping[str, Any], found: Any, law: SymbolicModel) -> Verdict:
    """Turn the numbers of a validation into a verdict.

    Parameters
    ----------
    facts : mapping
        The fields of a Validation.
    found : fitted estimator or SymbolicModel
    law : SymbolicModel

    Returns
    -------
    Verdict

    Notes
    -----
    The free run decides (for chaos the valid time in Lyapunov times): 90 % of the variance
    or one Lyapunov time is good, half of that fair. Structured residuals, bands that are
    too narrow, a baseline that does as well, data that cannot tell terms apart, or too few
    data make a law doubtful that would otherwise hold.
    """
    f = _Facts(facts)
    main = _on_chaos(f) if f.chaotic else _on_free_run(f)
    reasons = [
        *main,
        *_on_divergence(f),
        *_on_baselines(f),
        *_on_residuals(f),
        *_on_bands(f),
        *_on_amount(f, found),
        *_on_terms(found, law),
        *_on_origin(f),
    ]
    kinds = [reason.kind for reason in reasons]
    outcome: Outcome = "holds"
    if "bad" in kinds:
        outcome = "fails"
    elif "doubt" in kinds:
        outcome = "doubtful"
    order = {"bad": 0, "doubt": 1, "good": 2, "note": 3}
    ranked = sorted(reasons, key=lambda reason: order[reason.kind])
    return Verdict(outcome, _headline(outcome, f), tuple(ranked))


class _Facts:
    """The fields of a validation, as attributes."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.__dict__.update(facts)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    @property
    def time(self) -> str:
        unit = self.units.get("t")
        return f" {unit}" if unit else " time units"

    @property
    def data(self) -> str:
        return "data" if self.seen_before else "held-out data"


def _headline(outcome: Outcome, f: _Facts) -> str:
    where = "the data it was fitted to" if f.seen_before else "data it has not seen"
    return f"{_HEADLINES[outcome]} on {where}."


def _percent(share: float) -> str:
    """Write a share of one: 98 %, 99.97 %, never a rounded 100 %."""
    missing = 1.0 - share
    if not np.isfinite(share) or share < 0.99:
        return f"{100 * share:.0f} %"
    if missing < 1e-6:
        return "all but a millionth"
    digits = int(np.ceil(-np.log10(missing))) - 1
    return f"{np.floor(share * 10 ** (digits + 2)) / 10**digits:.{digits}f} %"


def _on_free_run(f: _Facts) -> list[Reason]:
    worst = int(np.argmin(f.explained))
    share = float(f.explained[worst])
    if not np.isfinite(share):
        return []  # the reason is the divergence
    name = f" of {f.names[worst]}" if len(f.names) > 1 else ""
    text = (
        f"Free run: it explains {_percent(max(share, 0.0))} of the variance{name} in the {f.data}"
    )
    if share >= _GOOD:
        return [Reason("good", "free run", text + ".", share)]
    kind: Kind = "doubt" if share >= _FAIR else "bad"
    held = f"; the error passes 0.4 standard deviations after {f.valid_time:.3g}{f.time}"
    in_step = f.valid_time > 5 * f.period  # for long, then out of phase
    if kind == "bad" and share > 0 and (in_step or _within_bands(f)):
        kind = "doubt"
        held += ", which is within its error bars" if _within_bands(f) else ""
    return [Reason(kind, "free run", f"{text}{held}.", share)]


def _within_bands(f: _Facts) -> bool:
    """Whether the observations are where the uncertainty of the law says."""
    if not np.isfinite(f.coverage):
        return False
    scatter = np.sqrt(f.level * (1 - f.level) / max(f.n_independent, 1.0))
    return bool(f.coverage >= f.level - 3 * scatter)


def _on_chaos(f: _Facts) -> list[Reason]:
    times = f.valid_time * f.exponent
    per = f.time.removesuffix("s")
    text = (
        f"Chaotic (largest Lyapunov exponent {f.exponent:.3g} per{per}): judge by the valid time,"
        f" {f.valid_time:.3g}{f.time} or {times:.2g} Lyapunov times"
    )
    if times >= _GOOD_TIMES or f.valid_to_end >= 0.5:
        return [Reason("good", "valid time", text + ".", times)]
    kind: Kind = "doubt" if times >= _FAIR_TIMES else "bad"
    return [Reason(kind, "valid time", text + "; errors should take longer to grow.", times)]


def _on_divergence(f: _Facts) -> list[Reason]:
    if not np.isfinite(f.diverged):
        return []
    text = f"The law diverges after {f.diverged:.3g}{f.time}."
    return [Reason("bad", "divergence", text, f.diverged)]


def _on_baselines(f: _Facts) -> list[Reason]:
    """Compare with the best trivial model, in the score that counts here."""
    if f.chaotic:
        best = max(f.baselines, key=lambda b: np.nan_to_num(b.valid_time, nan=-1.0))
        ours, theirs = f.valid_time, best.valid_time
        if not np.isfinite(theirs) or ours > theirs:
            return []
        text = f"Its forecasts last {ours:.3g}{f.time}, those of the {best.name} {theirs:.3g}."
        return [Reason("bad", "baseline", text, ours / theirs if theirs else np.nan)]
    best = min(f.baselines, key=lambda b: np.nan_to_num(b.nrmse, nan=np.inf))
    ours, theirs = float(np.sqrt(np.mean(f.nrmse**2))), best.nrmse
    if not np.isfinite(theirs) or not np.isfinite(ours):
        return []
    ratio = ours / theirs if theirs else np.nan
    text = f"Error of the free run {ours:.2g} standard deviations, best baseline ({best.name})"
    text += f" {theirs:.2g}"
    floor = float(np.sqrt(np.mean((f.noise / f.spread) ** 2)))
    if ours < theirs:
        return [Reason("note", "baseline", text + ".", ratio)]
    if ours < 1.2 * floor or ours < _EXACT:
        return [Reason("note", "baseline", f"{text}; noise is {floor:.2g}.", ratio)]
    return [
        Reason(
            "bad",
            "baseline",
            f"No better than a trivial model: {text[0].lower()}{text[1:]}.",
            ratio,
        )
    ]


def _on_residuals(f: _Facts) -> list[Reason]:
    if not f.whiteness:
        text = "The law cannot be followed from one sample to the next."
        return [Reason("bad", "residuals", text)]
    known = [w for w in f.whiteness if np.isfinite(w.p_value)]
    if not known:
        text = f"Too few samples ({f.whiteness[0].n}) to say whether the residuals are structured."
        return [Reason("note", "residuals", text, float(f.whiteness[0].n))]
    worst = min(known, key=lambda w: w.p_value)
    hint = f.missing[0] if f.missing else None
    if worst.p_value >= _SIGNIFICANT and hint is None:
        text = f"The residuals look like white noise (p = {worst.p_value:.2g})."
        return [Reason("good", "residuals", text, worst.p_value)]
    text = "The residuals are still structured: something is missing ("
    if worst.p_value < _SIGNIFICANT:
        lag = int(np.argmax(np.abs(worst.correlation)))
        text += (
            f"{worst.name}: p = {max(worst.p_value, 1e-99):.0e}, correlation "
            f"{worst.correlation[lag]:.2f} at lag {lag + 1})"
        )
    else:
        assert hint is not None
        text += f"{hint[0]}: p = {max(hint[3], 1e-99):.0e})"
    if hint is not None:
        text += f"; they go with {hint[1]} (correlation {hint[2]:.2f})"
    small = f.one_step_skill > 1 - 1e-4 and not f.chaotic and np.min(f.explained) > 0.999
    small = small or (f.chaotic and f.one_step_skill > 1 - 1e-6)
    if small:
        text += f", but they are {np.sqrt(1 - f.one_step_skill):.0e} of the motion"
    return [Reason("note" if small else "doubt", "residuals", text + ".", worst.p_value)]


def _on_bands(f: _Facts) -> list[Reason]:
    if not np.isfinite(f.coverage):
        return []
    said = []
    text = f"The {100 * f.level:.0f} % bands hold {100 * f.coverage:.0f} % of the {f.data}"
    narrow = not _within_bands(f)
    if narrow and f.chaotic:
        said.append(Reason("note", "bands", text + ", which chaos leaves.", f.coverage))
    elif narrow:
        close = float(np.min(f.explained)) > _CLOSE
        text += ": its error bars are too narrow" + (
            ", though little is missing." if close else "."
        )
        said.append(Reason("note" if close else "doubt", "bands", text, f.coverage))
    else:
        few = f.n_independent < _FEWEST_SAMPLES
        text += f", about {f.n_independent:.0f} independent times." if few else "."
        said.append(Reason("note" if few else "good", "bands", text, f.coverage))
    if f.n_lost:
        text = f"{f.n_lost} of {f.n_draws} laws drawn within the error bars diverge."
        kind: Kind = "doubt" if f.n_lost > 0.1 * f.n_draws else "note"
        said.append(Reason(kind, "bands", text, f.n_lost / f.n_draws))
    return said


def _on_amount(f: _Facts, found: Any) -> list[Reason]:
    said = []
    estimate = getattr(found, "estimate_", None)
    if estimate is not None and estimate.support.any():
        most = int(estimate.support.sum(axis=1).max())
        share = estimate.n_effective / most
        if share < _FEWEST_ROWS:
            text = (
                f"Too few independent rows: {estimate.n_effective:.0f} for the {most} "
                f"term{'s' * (most > 1)} of one equation."
            )
            said.append(Reason("doubt", "amount", text, share))
    if f.n_samples < _FEWEST_SAMPLES and not f.seen_before:
        text = f"Only {f.n_samples} samples were held out: they can refute a law, not confirm it."
        said.append(Reason("doubt", "amount", text, float(f.n_samples)))
    return said


def _on_terms(found: Any, law: SymbolicModel) -> list[Reason]:
    """Say what the training data could not tell apart."""
    said: list[Reason] = []
    report = getattr(found, "identifiability_", None)
    if report is not None:
        said += _on_rivals(report, found.estimate_)
    if law.covariance is None:
        return said
    places = np.argwhere(np.asarray(law.support))
    spread = np.sqrt(np.clip(np.diag(law.covariance), 0.0, None))
    unit = np.where(spread > 0, spread, 1.0)
    correlation = law.covariance / np.outer(unit, unit)
    for a in range(len(places)):
        for b in range(a + 1, len(places)):
            if places[a, 0] != places[b, 0] or abs(correlation[a, b]) < _CORRELATED:
                continue
            names = [law.term_names[places[k, 1]] for k in (a, b)]
            loose = [abs(law.coefficients[tuple(places[k])]) < 3 * spread[k] for k in (a, b)]
            text = (
                f"{names[0]} and {names[1]} can hardly be told apart on these data "
                f"({law.target_names[places[a, 0]]}: correlation {correlation[a, b]:.3f})."
            )
            if any(loose):
                said.append(Reason("doubt", "identifiability", text, float(correlation[a, b])))
            elif abs(correlation[a, b]) > _COPIES:
                said.append(Reason("note", "identifiability", text, float(correlation[a, b])))
    for k, (i, j) in enumerate(places):
        value = law.coefficients[i, j]
        if spread[k] > 0 and abs(value) < 2 * spread[k]:
            text = (
                f"The coefficient of {law.term_names[j]} in the equation of {law.target_names[i]} "
                f"may be zero: {value:.2g} +- {spread[k]:.1g}."
            )
            said.append(Reason("doubt", "identifiability", text, float(value / spread[k])))
    return said


def _on_rivals(report: Any, estimate: Any) -> list[Reason]:
    """Name other laws, no larger than the chosen one, that explain the data as well."""
    said = []
    for j, name in enumerate(report.target_names):
        size = int(estimate.support[j].sum())
        equal = [
            rival
            for rival in report.rivals_of(j)
            if rival.behind < _EQUAL and 0 < len(rival.terms) <= size
        ]
        if not equal:
            continue
        text = f"The data cannot tell the equation of {name} from {report.equation(equal[0])}"
        if len(equal) > 1:
            text += f", nor from {len(equal) - 1} more"
        said.append(Reason("doubt", "identifiability", text + ".", float(equal[0].behind)))
    return said


def _on_origin(f: _Facts) -> list[Reason]:
    if not f.seen_before:
        return []
    text = "Judged on the data it was fitted to: hold some out for a harder test."
    return [Reason("note", "data", text)]


# -- what is missing ---------------------------------------------------------------


def missing_terms(
    law: SymbolicModel,
    names: Sequence[str],
    followers: Sequence[Follower],
    innovations: Sequence[Innovations],
) -> tuple[tuple[str, str, float, float], ...]:
    """Find terms outside the law that the innovations go with.

    Parameters
    ----------
    law : SymbolicModel
        Its table holds the candidates.
    names : sequence of str
        The observed states.
    followers : sequence of Follower
        Where the controls of the innovations are read.
    innovations : sequence of Innovations

    Returns
    -------
    tuple of (state, term, correlation, p_value)
        At most one per state, the most significant first.

    Notes
    -----
    The partial correlation of each innovation with each candidate at the state before it,
    given the terms of the law; its t statistic with the p-value times the number of
    candidates (Bonferroni).
    """
    if not innovations or law.table.n_terms > _MOST_TERMS:
        return ()
    by_time = {float(f.run.times[f.first]): f for f in followers}
    inputs, errors = [], []
    for found in innovations:
        U = by_time[float(found.times[0])].controls(found.times)
        parts = [found.states, *([] if U is None else [U])]
        if law.time_name is not None:
            parts.append(found.times[:, None])
        inputs.append(np.concatenate(parts, axis=1)[:-1])
        errors.append(found.scaled[1:])
    rows, e = np.concatenate(inputs), np.concatenate(errors)
    with np.errstate(all="ignore"):
        terms = law.table.evaluate(rows)
    said = []
    for j, name in enumerate(names):
        target = law.target_names.index(name)
        target = law.velocities.get(target, target)
        best = _strongest(terms, e[:, j], np.asarray(law.support)[target])
        if best is not None:
            said.append((name, law.term_names[best[0]], best[1], best[2]))
    return tuple(sorted(said, key=lambda item: item[3]))


def _strongest(
    terms: FloatArray, error: FloatArray, inside: Any
) -> tuple[int, float, float] | None:
    """Return the candidate with the largest partial correlation, if it is significant."""
    known = np.isfinite(error) & np.isfinite(terms).all(axis=1)
    candidates = np.flatnonzero(~inside)
    n = int(known.sum())
    base = np.column_stack([np.ones(n), terms[known][:, inside]])
    freedom = n - base.shape[1] - 1
    if freedom < 10 or not len(candidates):
        return None
    base = base / np.maximum(np.abs(base).max(axis=0), 1e-300)
    Q = np.linalg.qr(base)[0]
    e = error[known] - Q @ (Q.T @ error[known])
    C = terms[known][:, candidates]
    length = np.sqrt((C**2).sum(axis=0))
    C = C / np.where(length > 0, length, 1.0)
    C = C - Q @ (Q.T @ C)
    left = np.sqrt((C**2).sum(axis=0))
    usable = left > 1e-6
    r = np.where(usable, C.T @ e / np.where(usable, left, 1.0) / np.sqrt(e @ e or 1.0), 0.0)
    k = int(np.argmax(np.abs(r)))
    score = abs(r[k]) * np.sqrt(freedom / max(1.0 - r[k] ** 2, 1e-300))
    p = float(min(1.0, 2 * stats.t.sf(score, freedom) * len(candidates)))
    return (int(candidates[k]), float(r[k]), p) if p < _SIGNIFICANT else None
