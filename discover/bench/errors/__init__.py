"""Model errors of flows, of rings of sites and of small systems: wrong terms, lost terms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from discover.bench.errors import closure, flow, systems
from discover.bench.errors.results import Setting
from discover.bench.medida import Result, complete_table
from discover.bench.rows import Row

__all__ = ["SETTINGS", "run"]

_SOURCES = {
    setting.name: source for source in (systems, closure, flow) for setting in source.SETTINGS
}
#: what is observed, of all systems
SETTINGS: tuple[Setting, ...] = (*systems.SETTINGS, *closure.SETTINGS, *flow.SETTINGS)


def run(quick: bool = False) -> list[Row]:
    """Run settings and seeds that are not in the table yet; return the bars."""
    if quick:
        setting = SETTINGS[0]
        return _rows(setting, list(systems.measure(setting, 0)))
    by_name = {setting.name: setting for setting in SETTINGS}
    most = max(setting.seeds for setting in SETTINGS)
    jobs = [(s.name, seed) for seed in range(most) for s in SETTINGS if seed < s.seeds]
    results = complete_table(
        "errors", jobs, lambda name, seed: _SOURCES[name].measure(by_name[name], seed)
    )
    return [row for setting in SETTINGS for row in _rows(setting, results)]


def _rows(setting: Setting, results: Sequence[Result]) -> list[Row]:
    """Return the bars of one setting."""
    mine = [r for r in results if r.setting == setting.name]
    if setting in closure.SETTINGS:
        return closure.rows(setting, mine)
    right = [r for r in mine if r.exact]
    errors = np.array([r.error for r in right]) if right else np.array([np.inf])
    seeds, terms = len({r.seed for r in mine}), sum(r.terms for r in right)
    missed = sorted({r.case for r in mine if not r.exact})
    seconds = max((r.seconds for r in mine), default=0.0)
    covered = sum(r.covered for r in right) / max(terms, 1)
    name = f"errors, {setting.name}"
    bar = f"<= {setting.worst}" if np.isfinite(setting.worst) else ""
    return [
        Row(f"{name}: share with the right terms", len(right) / max(len(mine), 1), "",
            f"{len(right)} of {len(mine)}, {seeds} seeds; missed {missed}", f">= {setting.rate}"),
        Row(f"{name}: largest error of a coefficient", float(errors.max()), "",
            f"median {np.median(errors):.2g}; in 95 % intervals {covered:.0%}; "
            f"longest case {seconds:.1f} s", bar),
    ]  # fmt: skip
