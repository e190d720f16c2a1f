"""Whether to believe what was found to be wrong with a solver."""

from __future__ import annotations

from typing import Any

import numpy as np

from discover.dynamics.forecasts import ForecastComparison
from discover.validation import Reason, Verdict

__all__ = ["judge_error"]

_WHITE = 2.0  # mean square of the innovations up to which a law explains the observations
_EQUAL = 1.0  # nats behind up to which another error would do as well


def judge_error(found: Any, compared: ForecastComparison | None) -> Verdict:
    """Turn the numbers of a fit into a verdict.

    Parameters
    ----------
    found : fitted ModelErrorDiscovery
    compared : ForecastComparison, optional

    Returns
    -------
    Verdict
        It fails if the corrected solver does not explain the observations, forecasts worse
        than the solver, or blows up where that does not; it is doubtful if other errors
        would do as well.
    """
    reasons = [*_on_innovations(found), *_on_forecasts(compared), *_on_stability(found),
               *_on_rivals(found)]  # fmt: skip
    kinds = {reason.kind for reason in reasons}
    nothing = not found.error_.support.any()
    if "bad" in kinds:
        return Verdict("fails", "What was found does not repair the solver", tuple(reasons))
    if nothing:
        return Verdict("holds", "These data show no error of the solver", tuple(reasons))
    if "doubt" in kinds:
        return Verdict("doubtful", "What was found is doubtful", tuple(reasons))
    return Verdict("holds", "What was found repairs the solver", tuple(reasons))


def _on_innovations(found: Any) -> list[Reason]:
    before, after = found.innovations_
    text = (
        f"What observations add to what was expected: {before:.3g} times its variance for the "
        f"solver, {after:.3g} times for the corrected one; about 1 or less for the right law."
    )
    return [Reason("good" if after < _WHITE else "bad", "innovations", text, after)]


def _on_forecasts(compared: ForecastComparison | None) -> list[Reason]:
    if compared is None:
        return []
    base, corrected = compared.base_valid_time, compared.corrected_valid_time
    text = (
        f"Forecasts stay within {compared.threshold:g} standard deviations for {base:.4g} time "
        f"units with the solver, for {corrected:.4g} with the corrected one, of "
        f"{compared.lead[-1]:.4g}."
    )
    better = corrected >= base
    return [Reason("good" if better else "bad", "forecasts", text, corrected)]


def _on_stability(found: Any) -> list[Reason]:
    warning = found.stability_
    return [Reason("bad", "stability", f"{warning[0].upper()}{warning[1:]}.")] if warning else []


def _on_rivals(found: Any) -> list[Reason]:
    rivals = found.identifiability_.rivals
    equal = [rival for rival in rivals if rival.behind < _EQUAL]
    if equal:
        first = found.identifiability_.equation(equal[0])
        text = f"{len(equal)} other errors would explain these data as well, such as {first}."
        return [Reason("doubt", "rivals", text, float(len(equal)))]
    text = "No other error over these terms would explain the data as well."
    return [Reason("good", "rivals", text, np.nan)]
