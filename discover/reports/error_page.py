"""The page about what a solver gets wrong."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from discover.dynamics.forecasts import ForecastComparison
from discover.reports.drawing import Line, line_chart
from discover.reports.markup import (
    coefficients_section,
    equations_section,
    facts_section,
    put_together,
    section,
    table,
    verdict_section,
)
from discover.validation import Verdict

__all__ = ["render_error"]

_MOST_RIVALS = 12
_MOST_COMPONENTS = 6
_KINDS = {"truth": "truth", "base": "base", "corrected": "law"}
_KEY = (
    '<p class="key"><span class="line truth"></span> observed '
    '<span class="line base"></span> solver <span class="line"></span> corrected solver</p>'
)
_e = html.escape


def render_error(
    found: Any,
    compared: ForecastComparison | None,
    verdict: Verdict,
    title: str,
    facts: Sequence[tuple[str, str]],
    *,
    seen_before: bool,
) -> str:
    """Return the page.

    Parameters
    ----------
    found : fitted ModelErrorDiscovery
    compared : ForecastComparison, optional
        Forecasts of both against a record.
    verdict : Verdict
    title : str
    facts : sequence of (str, str)
    seen_before : bool
        Whether the record is the one that was fitted.
    """
    parts = [
        _head(found, title),
        verdict_section(verdict),
        equations_section(
            found.error_, "law", "What is missing",
            "Truth minus solver: this has to be added to the solver's tendency.",
        ),
        coefficients_section(found.error_) if found.error_.support.any() else "",
        _corrected(found),
        _innovations(found),
        _forecasts(compared, seen_before),
        _climate(compared),
        _rivals(found),
        _notes(found),
        facts_section(facts),
    ]  # fmt: skip
    return put_together(title, parts)


def _head(found: Any, title: str) -> str:
    noise = ", ".join(f"{value:.3g}" for value in np.atleast_1d(found.noise_std_))
    n_terms, n_found = found.error_.support.size, int(found.error_.support.sum())
    return (
        f'<header><h1>{_e(title)}</h1><p class="meta">{n_found} of {n_terms} candidate terms · '
        f"noise of the observations {noise}</p></header>"
    )


def _corrected(found: Any) -> str:
    if hasattr(found, "repaired_"):
        return equations_section(
            found.repaired_, "corrected", "The repaired equation",
            "The guess and its error as one law. Terms without brackets were not corrected; those "
            "that the error takes back are gone.",
        )  # fmt: skip
    return section(
        "corrected",
        "The corrected solver",
        "<p>The solver and what it misses as one law: half a step of the error, a step of the "
        "solver, half a step of the error. Linear terms are applied exactly.</p>",
    )


def _innovations(found: Any) -> str:
    return section(
        "innovations", "Does it explain the observations?",
        _both("mean square", *found.innovations_),
        "What every observation says that was not expected, in units of its standard deviation. "
        "About 1, or less, where the law is right.",
    )  # fmt: skip


def _both(what: str, solver: float, corrected: float) -> str:
    """Return a table of one number for the solver and the corrected solver."""
    rows = "".join(
        f"<tr{' class=ours' if ours else ''}><td>{name}</td><td class=number>{value:.4g}</td></tr>"
        for name, value, ours in (("solver", solver, False), ("corrected solver", corrected, True))
    )
    return table(f'<tr><th></th><th class="number">{what}</th></tr>', rows)


def _forecasts(compared: ForecastComparison | None, seen_before: bool) -> str:
    if compared is None:
        text = "<p>No complete record was at hand; pass one as holdout.</p>"
        return section("forecast", "Left to itself", text)
    chart = line_chart(
        compared.lead, [Line("base", compared.base_rmse), Line("law", compared.corrected_rmse)],
        "lead time", "root-mean-square error",
    )  # fmt: skip
    times = _both("valid prediction time", compared.base_valid_time, compared.corrected_valid_time)
    what = (
        "the series that was fitted, from its smoothed first state; the observations have their "
        "noise, and have been seen"
        if seen_before
        else "a record that was not fitted, from its first state"
    )
    return section(
        "forecast", "Left to itself",
        f'<div class="charts">{chart}</div>{_KEY}{times}',
        f"Both are run without further observations and held against {what}. The valid "
        f"prediction time ends when the error reaches {compared.threshold:g} standard deviations; "
        f"the record is {compared.lead[-1]:.4g} long.",
    )  # fmt: skip


def _climate(compared: ForecastComparison | None) -> str:
    """Show spectrum and distribution of the runs."""
    if compared is None:
        return ""
    charts = []
    if compared.n_axes:
        power = compared.spectra()
        index = np.arange(float(len(power["truth"])))
        lines = [Line(_KINDS[name], power[name]) for name in _KINDS]
        charts.append(line_chart(index, lines, "wavenumber index", "mean power", logarithmic=True))
    has_components = compared.truth.ndim > 1 + compared.n_axes
    n = compared.truth.shape[-1] if has_components else 1
    for component in range(min(n, _MOST_COMPONENTS)):
        edges, density = compared.densities(component)
        name = f"value of component {component + 1}" if n > 1 else "value"
        middle = 0.5 * (edges[1:] + edges[:-1])
        charts.append(
            line_chart(middle, [Line(_KINDS[n], density[n]) for n in _KINDS], name, "density")
        )
    return section(
        "climate", "The same statistics?", f'<div class="charts">{"".join(charts)}</div>{_KEY}',
        "Over the same run, up to where one blew up.",
    )  # fmt: skip


def _rivals(found: Any) -> str:
    report = found.identifiability_
    rows = "".join(
        f"<tr><td>{_e(report.target_names[rival.target])}</td><td>{_e(report.equation(rival))}</td>"
        f"<td class=number>{rival.behind:.3g}</td></tr>"
        for rival in report.rivals[:_MOST_RIVALS]
    )
    head = '<tr><th>of</th><th>error</th><th class="number">nats behind</th></tr>'
    said = "".join(f"<li>{_e(line)}</li>" for line in report.sentences())
    return section(
        "rivals", "What else it could be",
        (table(head, rows) if rows else "<p>No other error comes near.</p>")
        + (f"<ul>{said}</ul>" if said else ""),
        "Other errors over the same candidate terms, by how much less the data speak for them "
        "(below 1: as well).",
    )  # fmt: skip


def _notes(found: Any) -> str:
    items = "".join(f"<li>{_e(note)}</li>" for note in found.notes_)
    return section("notes", "Found out on the way", f"<ul>{items}</ul>") if items else ""
