"""Families of terms that rewards are made of, where the user gives none."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
from scipy.optimize import minimize

from discover.control.candidates import BumpLibrary
from discover.control.coordinates import circle_pairs
from discover.control.outcome import before
from discover.control.transitions import Transitions
from discover.libraries import SymbolicLibrary
from discover.libraries.termtable import TermTable
from discover.typing import FloatArray

__all__ = ["reward_families"]

_IN_THE_UNIT = 1.2  # peak of a cosine, with noise
_ROWS = 600  # that judge the widths


def reward_families(data: Transitions) -> list[TermTable]:
    """Return tables of terms, the simplest first.

    Quadratic terms of observations and actions, with angles for their cosines and sines and
    without, after the step and before it; then, unless they are too many, products of bounded
    terms, whose widths are found by variable projection (Golub and Pereyra, SIAM J. Numer.
    Anal. 10 (1973) 413-432): for each choice the terms are fitted by least squares.
    """
    seen, acted = list(data.observation_names), list(data.action_names)
    earlier = [before(name) for name in seen]
    pairs = circle_pairs(data)
    found = []
    for names, inputs in ((seen, [*seen, *acted]), (earlier, [*seen, *acted, *earlier])):
        for variables in [names, *([_with_angles(names, pairs)] if pairs else [])]:
            found.append(SymbolicLibrary(_quadratic([*variables, *acted])).build(inputs))
    bumps = _bumps(data)
    return found if bumps is None else [*found, bumps.build([*seen, *acted])]


def _with_angles(names: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[str]:
    """Replace each pair of cosine and sine by the angle in (-pi, pi)."""
    angles = [f"2*arctan({names[s]}/(1.000001 + {names[c]}))" for c, s in pairs]
    used = {j for pair in pairs for j in pair}
    return [*angles, *(name for j, name in enumerate(names) if j not in used)]


def _quadratic(variables: Sequence[str]) -> list[str]:
    squares = combinations_with_replacement(variables, 2)
    return ["1", *variables, *(f"({a})*({b})" for a, b in squares)]


def _bumps(data: Transitions) -> BumpLibrary | None:
    """Choose one width per observation, those with which the terms explain the rewards best.

    None where there would be more terms than rows that judge the widths: their number doubles
    with every observation.
    """
    seen, names = data.next_states, list(data.observation_names)
    peak = np.abs(seen).max(axis=0)
    bounded = [n for n, top in zip(names, peak, strict=True) if top <= _IN_THE_UNIT + 1e-9]
    free = [n for n in names if n not in bounded]
    if (1 + len(bounded)) * 2.0 ** len(free) * (1 + len(data.action_names)) > _ROWS:
        return None
    rows = np.linspace(0, len(seen) - 1, min(len(seen), _ROWS)).astype(int)
    inputs = np.concatenate([seen, data.actions], axis=1)[rows]
    rewards = data.rewards[rows]

    def library(logs: FloatArray) -> BumpLibrary:
        widths = [[float(w)] for w in np.exp(logs)]
        return BumpLibrary(bounded, free, list(data.action_names), widths)

    def misfit(logs: FloatArray) -> float:
        theta = library(logs).build((*names, *data.action_names)).evaluate(inputs)
        size = np.sqrt((theta**2).sum(axis=0))
        unit = theta / np.where(size > 0, size, 1.0)
        fitted = unit @ np.linalg.lstsq(unit, rewards, rcond=1e-10)[0]
        return float(np.log(((rewards - fitted) ** 2).mean() + 1e-26))

    if not free:
        return library(np.zeros(0))
    typical = np.sqrt(np.mean(seen[:, [names.index(n) for n in free]] ** 2, axis=0))
    begin = np.log(np.maximum(2.0 * typical, 1e-6))
    options = {"maxfev": 100 * len(free), "xatol": 1e-7, "fatol": 1e-4,
               "initial_simplex": _simplex(begin)}  # fmt: skip
    return library(minimize(misfit, begin, method="Nelder-Mead", options=options).x)


def _simplex(center: FloatArray) -> FloatArray:
    """Return the center and a point half an octave from it along every axis."""
    return np.concatenate([center[None], center + 0.5 * np.eye(len(center))])
