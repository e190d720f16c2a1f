"""The page: one file of HTML that needs nothing else."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from importlib.resources import files

import numpy as np

from discover.reports.contents import Contents, equations_html
from discover.symbolic import SymbolicModel
from discover.symbolic.digits import round_number, text_number
from discover.symbolic.export_mathml import mathml_left, mathml_name, mathml_terms
from discover.symbolic.text import coefficient_unit, units_line
from discover.validation import Validation

__all__ = ["GENERATOR", "render"]

GENERATOR = "discover report"
_MARKS = {"good": "✓", "doubt": "?", "bad": "✕", "note": "·"}
_WORDS = {"good": "in favour", "doubt": "doubtful", "bad": "against", "note": "note"}
_NORMAL_95 = 1.959963984540054
_e = html.escape


def render(contents: Contents, title: str, facts: Sequence[tuple[str, str]]) -> str:
    """Return the page.

    Parameters
    ----------
    contents : Contents
    title : str
    facts : sequence of (str, str)
        What was run, on what, with what, when; shown at the end.

    Returns
    -------
    str
        Every name, unit and text that came from outside is escaped.
    """
    parts = [
        _head(contents, title),
        _verdict(contents.validation),
        _equations(contents.law),
        _forecast(contents),
        _coefficients(contents.law),
        _scores(contents.validation),
        _path(contents),
        _residuals(contents.validation),
        _phase(contents),
        _left_out(contents),
        _facts(facts),
    ]
    data = json.dumps(contents.to_dict(), allow_nan=False, separators=(",", ":"))
    return _TEMPLATE.format(
        title=_e(title),
        generator=GENERATOR,
        style=_asset("report.css"),
        body="\n".join(filter(None, parts)),
        data=_inert(data),
        script=_asset("report.js"),
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
<script type="application/json" id="data">{data}</script>
<script>
{script}</script>
</body>
</html>
"""


def _asset(name: str) -> str:
    return (files("discover.reports") / "assets" / name).read_text(encoding="utf-8")


def _inert(text: str) -> str:
    """Keep JSON from ending the element it stands in."""
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _table(head: str, rows: str) -> str:
    """Wrap a table, so that names of any length scroll in it and not the page."""
    return f'<div class="scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _section(name: str, heading: str, content: str, lead: str = "") -> str:
    intro = f'<p class="lead">{lead}</p>' if lead else ""
    return (
        f'<section id="{name}" aria-labelledby="h-{name}">\n<h2 id="h-{name}">{heading}</h2>\n'
        f"{intro}{content}\n</section>"
    )


# -- what was found ----------------------------------------------------------------


def _head(contents: Contents, title: str) -> str:
    validation, unit = contents.validation, contents.law.units.get("t")
    n_train = sum(len(run) for run in contents.train)
    held = f"{validation.n_samples:,} held out" if not validation.seen_before else "none held out"
    span = f"{validation.span:.4g} {_e(unit)}" if unit else f"{validation.span:.4g} units of time"
    return (
        f'<header><h1>{_e(title)}</h1><p class="meta">{n_train:,} samples taught the law, {held}'
        f" · judged over {span}</p></header>"
    )


def _verdict(validation: Validation) -> str:
    verdict = validation.verdict
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


def _equations(law: SymbolicModel) -> str:
    note = _e(units_line(law))
    plain = _e("\n".join(law.equations()))
    latex = _e(law.to_latex())
    return _section(
        "law",
        "The law",
        f'<div class="equations">{equations_html(law)}</div>'
        f'<p class="small">{note}{". " if note else ""}Digits in brackets are the standard error '
        "of the last digits.</p>"
        f'<details><summary>As text</summary><pre tabindex="0">{plain}</pre></details>'
        f'<details><summary>As LaTeX</summary><pre tabindex="0">{latex}</pre></details>',
    )


def _coefficients(law: SymbolicModel) -> str:
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
    return _section(
        "coefficients",
        "Coefficients",
        _table(head, "".join(rows)),
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


# -- how well it does ----------------------------------------------------------------


def _forecast(contents: Contents) -> str:
    validation = contents.validation
    what = "the data" if validation.seen_before else "data it has not seen"
    bands = (
        f" The band should hold {100 * validation.level:.0f} % of the samples."
        if np.isfinite(validation.coverage)
        else ""
    )
    runs = f" Run shown: the longest of {validation.n_runs}." if validation.n_runs > 1 else ""
    more = len(validation.names) - len(contents.states)
    hidden = f" {more} more states are not drawn." if more > 0 else ""
    return _section(
        "forecast",
        "Left to itself",
        f'<div id="runs" class="charts" role="img" aria-label="{_e(_run_alt(validation))}"></div>'
        f'<p class="key"><span class="dot"></span> data <span class="line"></span> law'
        f"{'<span class=swatch></span> band' if bands else ''}</p>{_NO_SCRIPT}",
        f"The law starts from one state and runs through {what}; it sees the inputs and nothing "
        f"else.{bands}{runs}{hidden}",
    )


_NO_SCRIPT = "<noscript><p>The same pictures lie beside this page as PNG files.</p></noscript>"


def _run_alt(validation: Validation) -> str:
    shares = ", ".join(
        f"{name} {max(share, 0):.1%}"
        for name, share in zip(validation.names, validation.explained, strict=True)
    )
    return f"Data and law over time; share of the variance explained: {shares}"


def _scores(validation: Validation) -> str:
    relative = float(np.sqrt(np.mean(validation.nrmse**2)))
    with np.errstate(invalid="ignore"):
        one = float(np.sqrt(np.mean((validation.one_step / validation.spread) ** 2)))
    lines = [_score_row("this law", relative, one, validation.valid_time, True)]
    lines += [_score_row(b.name, b.nrmse, b.one_step, b.valid_time) for b in validation.baselines]
    head = (
        '<tr><th></th><th class="number">free run</th><th class="number">one step</th>'
        '<th class="number">valid time</th></tr>'
    )
    states = "".join(
        f"<tr><td>{mathml_name(name)}</td><td class=number>{_short(validation.rmse[j])}</td>"
        f"<td class=number>{_short(validation.noise[j])}</td>"
        f'<td class="unit">{_e(validation.units.get(name, ""))}</td></tr>'
        for j, name in enumerate(validation.names)
    )
    by_state = _table(
        '<tr><th>state</th><th class="number">error of the free run</th>'
        '<th class="number">noise</th><th>unit</th></tr>',
        states,
    )
    return _section(
        "scores",
        "Against trivial models",
        _table(head, "".join(lines)) + by_state,
        "Errors in standard deviations of the data. The valid time is how long a forecast stays "
        "within 0.4 of them.",
    )


def _score_row(name: str, free: float, one: float, valid: float, ours: bool = False) -> str:
    cells = "".join(f'<td class="number">{_short(value)}</td>' for value in (free, one, valid))
    return f"<tr{' class=ours' if ours else ''}><td>{_e(name)}</td>{cells}</tr>"


def _short(value: float) -> str:
    if np.isnan(value):
        return "–"
    return "∞" if np.isinf(value) else f"{value:.3g}".replace("-", "−")


def _path(contents: Contents) -> str:
    models = contents.path
    if len(models) < 2:
        return ""
    chosen = next(i for i, model in enumerate(models) if model.chosen)
    return _section(
        "path",
        "Simpler and richer laws",
        '<div class="path"><div id="pareto" class="charts"></div>'
        '<div class="slide"><label for="slider">Terms</label>'
        f'<input type="range" id="slider" min="0" max="{len(models) - 1}" value="{chosen}">'
        '<output id="which" for="slider"></output></div>'
        '<button type="button" id="back">Back to the chosen law</button>'
        '<div id="candidate" class="equations" aria-live="polite"></div>'
        '<div id="candidate-runs" class="charts"></div></div>',
        "Every law that was compared, one for each number of terms. Move the slider to see its "
        "equations, and what it does when left to itself.",
    )


def _residuals(validation: Validation) -> str:
    if not validation.innovations:
        return ""
    where = " Training data are included: few samples were held out." if (
        validation.innovations_seen and not validation.seen_before
    ) else ""  # fmt: skip
    return _section(
        "residuals",
        "What is left over",
        '<div id="left" class="charts pair"></div>',
        "What each sample says that the law, run up to the sample before, did not know, in units "
        "of its own error. Where the law is right this is white noise: no pattern over time, and "
        f"correlations inside the grey band.{where}",
    )


def _phase(contents: Contents) -> str:
    if contents.law.n_states < 2:
        return ""
    return _section("phase", "State against state", '<div id="plane" class="charts square"></div>')


# -- where it comes from ---------------------------------------------------------------


def _left_out(contents: Contents) -> str:
    notes = list(getattr(contents.found, "left_out_", ()))
    items = "".join(f"<li>{_e(note)}</li>" for note in notes) or "<li>nothing</li>"
    return _section("left-out", "Left out of the data", f"<ul>{items}</ul>")


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{_e(key)}</dt><dd>{_e(value)}</dd>" for key, value in facts if value)
    return _section("made", "How this was made", f"<dl>{rows}</dl>")
