"""The parts that every page is put together from."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from discover.symbolic import SymbolicModel
from discover.symbolic.digits import round_number, text_number
from discover.symbolic.export_mathml import mathml_equations, mathml_left, mathml_terms
from discover.symbolic.text import coefficient_unit, units_line
from discover.validation import Verdict

__all__ = [
    "GENERATOR",
    "coefficients_section",
    "equations_html",
    "equations_section",
    "facts_section",
    "put_together",
    "section",
    "table",
    "verdict_section",
]

GENERATOR = "discover report"
_MARKS = {"good": "✓", "doubt": "?", "bad": "✕", "note": "·"}
_WORDS = {"good": "in favour", "doubt": "doubtful", "bad": "against", "note": "note"}
_NORMAL_95 = 1.959963984540054
_e = html.escape


def put_together(title: str, parts: Sequence[str], data: Mapping[str, Any] | None = None) -> str:
    """Return the page: sections, and what its script draws, if anything."""
    text = "" if data is None else json.dumps(data, allow_nan=False, separators=(",", ":"))
    return _TEMPLATE.format(
        title=_e(title),
        generator=GENERATOR,
        style=_asset("report.css"),
        body="\n".join(filter(None, parts)),
        script="" if data is None else _SCRIPT.format(data=_inert(text), code=_asset("report.js")),
    )


_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="{generator}">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
{body}
</main>
{script}</body>
</html>
"""
_SCRIPT = """<script type="application/json" id="data">{data}</script>
<script>
{code}</script>
"""


def _asset(name: str) -> str:
    return (files("discover.reports") / "assets" / name).read_text(encoding="utf-8")


def _inert(text: str) -> str:
    """Keep JSON from ending the element it stands in."""
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def table(head: str, rows: str) -> str:
    """Wrap a table, so that names of any length scroll in it and not the page."""
    return f'<div class="scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def section(name: str, heading: str, content: str, lead: str = "") -> str:
    """Wrap a section under its heading, with a sentence to lead in."""
    intro = f'<p class="lead">{lead}</p>' if lead else ""
    return (
        f'<section id="{name}" aria-labelledby="h-{name}">\n<h2 id="h-{name}">{heading}</h2>\n'
        f"{intro}{content}\n</section>"
    )


def verdict_section(verdict: Verdict) -> str:
    """Show a verdict with its reasons."""
    items = "".join(
        f'<li class="{reason.kind}"><span class="mark" aria-hidden="true">{_MARKS[reason.kind]}'
        f'</span><span><span class="hidden">{_WORDS[reason.kind]}: </span>'
        f"{_e(reason.text)}</span></li>"
        for reason in verdict.reasons
    )
    return (
        f'<section id="verdict" class="{verdict.outcome}" aria-labelledby="h-verdict">'
        f'<h2 id="h-verdict">{_e(verdict.headline)}</h2><ul class="reasons">{items}</ul></section>'
    )


def equations_html(law: SymbolicModel) -> str:
    """Return equations as MathML that breaks between terms."""
    lines = []
    for equation in mathml_equations(law):
        terms = "".join(f'<span class="term">{term}</span> ' for term in equation.terms)
        lines.append(
            f'<div class="equation"><span class="left">{equation.left}'
            f"<math><mo>=</mo></math></span> <span>{terms}</span></div>"
        )
    return "".join(lines)


def equations_section(
    law: SymbolicModel, name: str = "law", heading: str = "The law", lead: str = ""
) -> str:
    """Show a law: as mathematics, as text, as LaTeX."""
    note = _e(units_line(law))
    plain = _e("\n".join(law.equations()))
    latex = _e(law.to_latex())
    return section(
        name,
        heading,
        f'<div class="equations">{equations_html(law)}</div>'
        f'<p class="small">{note}{". " if note else ""}Digits in brackets are the standard error '
        "of the last digits.</p>"
        f'<details><summary>As text</summary><pre tabindex="0">{plain}</pre></details>'
        f'<details><summary>As LaTeX</summary><pre tabindex="0">{latex}</pre></details>',
        lead,
    )


def coefficients_section(law: SymbolicModel) -> str:
    """List the coefficients of a law with their intervals."""
    terms, rows = mathml_terms(law), []
    kinematic = set(law.velocities)
    for i, k in np.argwhere(np.asarray(law.support)).tolist():
        if i in kinematic:
            continue
        value, error = float(law.coefficients[i, k]), float(law.standard_errors[i, k])
        number = round_number(value, error)
        sign = "−" if number.negative else ""
        term = f"<math><mrow>{terms[k] or '<mn>1</mn>'}</mrow></math>"
        interval = (
            ""
            if not error >= 0
            else (f"{value - _NORMAL_95 * error:.4g} to {value + _NORMAL_95 * error:.4g}").replace(
                "-", "−"
            )
        )
        unit = coefficient_unit(law, i, k)
        rows.append(
            f"<tr><td>{mathml_left(law, i)}</td><td>{term}</td>"
            f'<td class="number">{sign}{_e(text_number(number))}</td>'
            f'<td class="bar">{_error_bar(value, error)}</td>'
            f'<td class="number wide">{interval}</td><td class="unit">{_e(unit or "")}</td></tr>'
        )  # fmt: skip
    head = (
        "<tr><th>of</th><th>term</th><th class=number>coefficient</th>"
        '<th class="bar">0 … value</th><th class="number wide">95 %</th><th>unit</th></tr>'
    )
    return section(
        "coefficients",
        "Coefficients",
        table(head, "".join(rows)),
        "Bars reach from zero to twice the value; the dark part is the 95 % interval. One that "
        "touches the left edge may be zero.",
    )


def _error_bar(value: float, error: float) -> str:
    """Draw an interval relative to its value: zero at the left edge, the value in the middle."""
    if not (np.isfinite(error) and value):
        return ""
    half = min(_NORMAL_95 * error / abs(value), 1.0)
    low, width = 50 * (1 - half), max(100 * half, 1.5)
    return (
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<line x1="0" y1="5" x2="100" y2="5"/>'
        f'<rect x="{min(low, 99):.2f}" y="2" width="{width:.2f}" height="6"/></svg>'
    )


def facts_section(facts: Sequence[tuple[str, str]]) -> str:
    """List how the page was made."""
    rows = "".join(f"<dt>{_e(key)}</dt><dd>{_e(value)}</dd>" for key, value in facts if value)
    return section("made", "How this was made", f"<dl>{rows}</dl>")
