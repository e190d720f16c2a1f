"""The joint fit's time: five runs of 1,000 samples, of systems it may be tuned on."""

from __future__ import annotations

import time
from itertools import product
from statistics import median

from discover.bench.chaos.cases import (
    TUNING,
    Case,
    Found,
    candidate_terms,
    score,
    true_coefficients,
)
from discover.bench.peers import quietly
from discover.bench.rows import Row
from discover.dynamics import load_system
from discover.estimation import JointFit

__all__ = ["run"]

_NOISES = (0.01, 0.05, 0.1)
_SEEDS = (0, 1)
_LIMITS = {3: 2.0, 4: 8.0}  # seconds, by the number of states
_FEW = ("SprottB", "Lorenz96")


def run(quick: bool = False) -> list[Row]:
    """Time the fits on one processor, kernels compiled, all monomials of degree four."""
    found: dict[int, list[tuple[float, str, bool]]] = {d: [] for d in _LIMITS}
    for name in _FEW if quick else TUNING:
        d = len(true_coefficients(load_system(name)))
        if d in found:
            grid = product(_NOISES[:1] if quick else _NOISES, _SEEDS[:1] if quick else _SEEDS)
            found[d] += [_timed(Case(name, noise, seed, 5, "joint")) for noise, seed in grid]
    return [row for d, fits in found.items() for row in _rows(d, fits)]


def _timed(case: Case) -> tuple[float, str, bool]:
    """Return the processor time of a fit, what was fitted, and whether the law is right."""
    system, runs = load_system(case.system), case.data()
    table = candidate_terms(system)
    with quietly():
        JointFit().identify([runs[0].select(slice(0, 100))], table)  # compiles
        started = time.process_time()
        estimate = JointFit().identify(runs, table)
        seconds = time.process_time() - started
    right = score(system, Found(estimate.coefficients)).exact
    return seconds, f"{case.system} at {100 * case.noise:g} %, seed {case.seed}", bool(right)


def _rows(d: int, fits: list[tuple[float, str, bool]]) -> list[Row]:
    where, limit = f"joint fit of 5,000 rows, {d}-D", f"<= {_LIMITS[d]:g}"
    seconds = [fit[0] for fit in fits]
    slowest, which, _ = max(fits)
    exact = f"{sum(right for _, _, right in fits)} of {len(fits)} laws exact"
    return [
        Row(f"{where}: median time", median(seconds), "s", exact, limit),
        Row(f"{where}: longest time", slowest, "s", which, limit),
    ]
