"""The page about a world and a policy that were learned from few real steps."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np

from discover.control import Surrogate, Transitions
from discover.control.trust import (
    DisagreementMap,
    HorizonErrors,
    LearningCurve,
    disagreement_map,
    horizon_errors,
    learning_curve,
)
from discover.reports.drawing import Line, line_chart
from discover.reports.markup import equations_section, facts_section, put_together, section, table

__all__ = ["render_control"]

_HORIZON = 100
_TOLERANCE = 0.3
_e = html.escape


def render_control(
    found: Any, fresh: Transitions | None, title: str, facts: Sequence[tuple[str, str]]
) -> str:
    """Return the page.

    Parameters
    ----------
    found : SINDyRL
        After `learn`.
    fresh : Transitions, optional
        Real steps that taught nothing, to judge the surrogate by.
    title : str
    facts : sequence of (str, str)
    """
    surrogate: Surrogate = found.surrogate_
    data: Transitions = found.plant_.data
    curve = learning_curve(found)
    parts = [
        _head(found, title),
        equations_section(
            found.policy_, "policy", "The policy",
            "From observations to actions, which saturate at the limits of the environment.",
        ),
        _curve(curve),
        equations_section(
            found.dynamics_.pruned(), "law", "The dynamics",
            f"The median of {surrogate.n_members} members, per step.",
        ),
        equations_section(found.reward_, "reward", "The reward", _of_reward(found)),
        _horizon(horizon_errors(surrogate, fresh or data, _HORIZON), fresh is None),
        _map(surrogate, data),
        facts_section(facts),
    ]  # fmt: skip
    return put_together(title, parts)


def _head(found: Any, title: str) -> str:
    steps: dict[str, int] = {}
    for episode in found.plant_.data.episodes:
        steps[episode.purpose] = steps.get(episode.purpose, 0) + len(episode)
    parts = ", ".join(f"{count} {purpose}" for purpose, count in steps.items())
    return (
        f'<header><h1>{_e(title)}</h1><p class="meta">{found.plant_.steps} real steps ({parts}) · '
        f"{found.policy_.complexity} terms in the policy, {found.dynamics_.complexity} in the "
        f"dynamics</p></header>"
    )


def _of_reward(found: Any) -> str:
    what = "It was learned" if found.reward is None else "It was given"
    return f"{what}, on the next observation and the action."


def _curve(curve: LearningCurve) -> str:
    """Show what was promised and earned, round by round."""
    lead = (
        "Every real step counts: exploration, trials that were cut short, evaluations. Where much "
        "more was promised than earned, the search took advantage of an error of the surrogate."
    )
    rows = "".join(
        f"<tr><td class=number>{one['real_steps']}</td><td class=number>{one['score']:.4g}</td>"
        f"<td class=number>{one['promised']:.4g}</td><td class=number>{one['returned']:.4g}"
        f"{', cut short' if np.isnan(one['earned']) else ''}</td>"
        f"<td class=number>{one['promised'] - one['returned']:.3g}</td></tr>"
        for one in curve.table().to_dict("records")
    )
    head = (
        '<tr><th class="number">real steps</th><th class="number">score in the surrogate</th>'
        '<th class="number">promised for the steps taken</th>'
        '<th class="number">earned</th><th class="number">difference</th></tr>'
    )
    chart = ""
    if len(curve.real_steps) > 1:
        chart = line_chart(
            curve.real_steps.astype(float),
            [Line("base", curve.score), Line("law", curve.best)],
            "real steps", "return",
        )  # fmt: skip
        chart = (
            f'<div class="charts">{chart}</div><p class="key"><span class="line base"></span> '
            'score in the surrogate <span class="line"></span> best whole real episode</p>'
        )
    body = table(head, rows) if rows else "<p>No policy was tried in the real world.</p>"
    return section("learning", "Promised and earned", chart + body, lead)


def _horizon(errors: HorizonErrors, seen_before: bool) -> str:
    """Show errors against the number of steps ahead."""
    worst = int(np.argmax(errors.error[-1]))
    name = errors.observation_names[worst]
    error, spread = _visible(errors.error[:, worst]), _visible(errors.spread[:, worst])
    chart = line_chart(
        errors.steps.astype(float), [Line("base", spread), Line("law", error)],
        "steps ahead", f"error of {name}, standard deviations", logarithmic=True,
    ) if len(errors.steps) > 1 else ""  # fmt: skip
    what = (
        "These are the steps that taught the law, which flatters it."
        if seen_before
        else "None of these steps taught the law."
    )
    return section(
        "horizon", "How far it sees",
        f'<div class="charts">{chart}</div><p class="key"><span class="line"></span> error '
        '<span class="line base"></span> what the ensemble expects of itself</p>'
        f"<p>Every observation stays within {_TOLERANCE:g} standard deviations for "
        f"{errors.reach(_TOLERANCE)} of {errors.steps[-1]} steps.</p>",
        f"Recorded actions from recorded states, {errors.n_windows} stretches; {name} is "
        f"predicted worst. {what} An error far above what the ensemble expects is one that its "
        "members share.",
    )  # fmt: skip


def _visible(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)


def _map(surrogate: Surrogate, data: Transitions) -> str:
    """Draw where the members disagree, and where the real steps were."""
    if len(surrogate.dynamics.model.state_names) < 2 or surrogate.n_members < 2:
        return ""
    found = disagreement_map(surrogate.dynamics, data)
    x, y = (_e(name) for name in found.names)
    return section(
        "disagreement", "Where its members disagree",
        f'<img alt="disagreement over {x} and {y}" style="max-width:100%" '
        f'src="data:image/png;base64,{_picture(found)}">',
        f"Root of the variance of the increments, relative to their size; the other states and "
        f"actions are at their medians. Dots are real steps over {x} and {y}.",
    )  # fmt: skip


def _picture(found: DisagreementMap) -> str:
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 3.6), layout="constrained")
    axes = figure.subplots()
    values = found.disagreement
    top = max(float(values.max()), 1e-12)
    low = max(float(values.min()), 1e-6 * top)
    norm = LogNorm(low, top * (1.0 + 1e-9))
    drawn = axes.pcolormesh(found.x, found.y, np.maximum(values, low), norm=norm)
    dots = found.visited[:: max(1, len(found.visited) // 1000)]
    axes.plot(dots[:, 0], dots[:, 1], ".", color="white", markersize=1.5)
    axes.set(xlabel=found.names[0], ylabel=found.names[1])
    figure.colorbar(drawn, label="disagreement")
    out = BytesIO()
    figure.savefig(out, format="png", dpi=110, metadata={"Software": None})
    return base64.b64encode(out.getvalue()).decode("ascii")
