"""The page: one file of HTML that needs nothing else."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from discover.reports.contents import Contents
from discover.reports.markup import (
    coefficients_section,
    equations_section,
    facts_section,
    put_together,
    section,
    table,
    verdict_section,
)
from discover.symbolic.export_mathml import mathml_name
from discover.validation import Validation

__all__ = ["render"]

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
        verdict_section(contents.validation.verdict),
        equations_section(contents.law),
        _forecast(contents),
        coefficients_section(contents.law),
        _scores(contents.validation),
        _path(contents),
        _residuals(contents.validation),
        _phase(contents),
        _left_out(contents),
        facts_section(facts),
    ]
    return put_together(title, parts, contents.to_dict())


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
    return section(
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
    by_state = table(
        '<tr><th>state</th><th class="number">error of the free run</th>'
        '<th class="number">noise</th><th>unit</th></tr>',
        states,
    )
    return section(
        "scores",
        "Against trivial models",
        table(head, "".join(lines)) + by_state,
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
    return section(
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
    return section(
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
    return section("phase", "State against state", '<div id="plane" class="charts square"></div>')


# -- where it comes from ---------------------------------------------------------------


def _left_out(contents: Contents) -> str:
    notes = list(getattr(contents.found, "left_out_", ()))
    items = "".join(f"<li>{_e(note)}</li>" for note in notes) or "<li>nothing</li>"
    return section("left-out", "Left out of the data", f"<ul>{items}</ul>")
