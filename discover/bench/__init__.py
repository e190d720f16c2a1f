"""Benchmarks against peers: every ratio is measured in one process, the tasks taking turns."""

from __future__ import annotations

import importlib
from typing import Any

from discover.bench.rows import Row, format_table

__all__ = ["LONG", "NAMES", "Row", "format_table", "measure"]

NAMES = (
    "library", "statistics", "fit", "ensembles", "simulate", "coldstart", "exports",
    "files", "refine", "streaming", "envs", "assimilation", "controller", "surrogate",
)  # fmt: skip
#: Those that take hours, and are asked for by name only.
LONG = (
    "baselines", "chaos", "control", "errors", "fishery",
    "joint", "lengths", "medida", "mujoco", "records", "regression",
    "sparse", "twins",
)  # fmt: skip


def measure(name: str, *, quick: bool = False) -> list[Row]:
    """Run one benchmark.

    Parameters
    ----------
    name : str
        One of `NAMES` or `LONG`.
    quick : bool, default=False
        Smaller data and fewer repeats: shows that it runs, not how fast.

    Returns
    -------
    list of Row
    """
    if name not in (*NAMES, *LONG):
        raise ValueError(f"bench: name must be one of {', '.join((*NAMES, *LONG))}; got {name!r}.")
    module = importlib.import_module(f"discover.bench.{name}")
    if name != "exports":
        return list(module.run(quick))
    return [row for count in module.run(100 if quick else 1000) for row in _of_exports(count)]


def _of_exports(count: Any) -> tuple[Row, Row]:
    """Turn the count of models that went out and came back on one road into rows."""
    changed, error = count.mismatches, float(count.worst)
    models, values = f"{count.models} random models", f"{count.values} values"
    unit = "in units of 4 eps sum |coefficient * term|"
    return (
        Row(f"exports: coefficients changed, {count.target}", changed, "", models, "<= 0"),
        Row(f"exports: error of a value, {count.target}", error, "", f"{values}, {unit}", "<= 1"),
    )
