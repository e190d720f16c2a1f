"""Candidate terms of surrogates, where the user gives none."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, combinations_with_replacement

from discover.control.coordinates import Coordinates
from discover.control.transitions import Transitions
from discover.libraries import FeatureLibrary, PolynomialLibrary
from discover.libraries.parse import parse_expression
from discover.libraries.termtable import TermTable, TermTableBuilder

__all__ = ["BumpLibrary", "ProductLibrary", "candidate_libraries"]

_MOST_TERMS = 150
_MOST_LEVELS = 5  # of a discrete action, that powers of it tell apart
_INERTIA = 5  # degree up to which the inverse of an inertia is developed
_WAVES = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (3, 0), (2, 1))  # s^2 = 1 - c^2 is left out


class ProductLibrary(FeatureLibrary):
    """Every product of one expression from each list, over named columns.

    Parameters
    ----------
    groups : sequence of sequence of str
    extra : sequence of str, default=()
        Further terms, not multiplied.
    """

    def __init__(self, groups: Sequence[Sequence[str]], extra: Sequence[str] = ()) -> None:
        self.groups = groups
        self.extra = extra

    def build(self, inputs: Sequence[str]) -> TermTable:
        """Return the table of products, then the extra terms."""
        builder = TermTableBuilder(inputs)
        slots = [builder.constant(1.0)]
        for group in self.groups:
            terms = [parse_expression(text, builder) for text in group]
            slots = [builder.mul(a, b) for a in slots for b in terms]
        slots += [parse_expression(text, builder) for text in self.extra]
        return builder.table(slots)


class BumpLibrary(FeatureLibrary):
    """Products of bounded terms: a reward written in them cannot run away.

    Observations in [-1, 1] enter by themselves, all others by bumps ``exp(-(x / w)^2)`` of
    a few widths; actions by their squares.

    Parameters
    ----------
    bounded, unbounded, actions : sequence of str
    widths : sequence of sequence of float
        Of the bumps, for each unbounded observation.
    """

    def __init__(
        self,
        bounded: Sequence[str],
        unbounded: Sequence[str],
        actions: Sequence[str],
        widths: Sequence[Sequence[float]],
    ) -> None:
        self.bounded = bounded
        self.unbounded = unbounded
        self.actions = actions
        self.widths = widths

    def build(self, inputs: Sequence[str]) -> TermTable:
        """Return the table of products."""
        groups = [["1", *self.bounded]]
        for name, widths in zip(self.unbounded, self.widths, strict=True):
            groups.append(["1", *(f"exp(-({name}/{w!r})**2)" for w in widths)])
        groups.append(["1", *(f"{u}**2" for u in self.actions)])
        return ProductLibrary(groups).build(inputs)


def candidate_libraries(coordinates: Coordinates, data: Transitions) -> list[FeatureLibrary]:
    """Return families of terms that suit the coordinates, the simplest first.

    With angles: trigonometric monomials of degree 3, each times 1, the velocities, their
    squares and the actions, and the positions. With two angles or more, also the terms of
    linkages (:func:`_linkages`). Else: monomials of the states up to degree 3
    (2 where there would be more than 150 terms), each times 1 and the actions; monomials of
    states and actions together; and, where there is one position, waves of it with one to
    three periods in 2 pi, each times 1, the other states, their squares and the actions.
    """
    names = coordinates.state_names
    angles = [names[i] for i, _, _ in coordinates.circles]
    positions = [names[d.position] for d in coordinates.drifts]
    rates = [n for n in names if n not in angles and n not in positions]
    acted = _forces(data)
    forces = ["1", *rates, *(f"{v}**2" for v in rates), *acted]
    if angles:
        trig = [[_trig(k, m, a) for k, m in _WAVES] for a in angles]
        if len(angles) > 1:
            trig = [[_trig(k, m, a) for k, m in _WAVES[:5]] for a in angles]
        extra = [p for p in positions if p not in angles]
        linkages = _linkages(angles, rates, data.action_names, extra)
        return [ProductLibrary([*trig, forces], extra), *linkages]
    found: list[FeatureLibrary] = [
        ProductLibrary([_monomials(names, _degree(len(names), 1 + len(acted))), ["1", *acted]])
    ]
    if not any(data.levels):
        found.append(PolynomialLibrary(_degree(len(names) + len(acted), 1)))
    if len(positions) == 1:
        waves = [f"{f}({k}*{positions[0]})" for k in (1, 2, 3) for f in ("cos", "sin")]
        found.append(ProductLibrary([["1", *waves], forces], positions))
    return found


def _linkages(
    angles: Sequence[str], rates: Sequence[str], actions: Sequence[str], extra: Sequence[str]
) -> list[FeatureLibrary]:
    """Return families for linked bodies: inertia that depends on one angle between two of them.

    That angle is an observed one, or the difference of two. Its trigonometric monomials up to
    degree 5 stand for the inverse of the inertia; they multiply what gravity adds at the other
    angles, the velocities, the products of two of them (centrifugal and Coriolis forces) and
    the actions (Featherstone, Rigid Body Dynamics Algorithms, 2008, section 3.3).
    """
    if len(angles) < 2:
        return []
    between = [*angles, *(f"({a} - {b})" for a, b in combinations(angles, 2))]
    turning = ["*".join(pair) for pair in combinations_with_replacement(rates, 2)]
    found: list[FeatureLibrary] = []
    for shape in between:
        waves = ["1"] + [_trig(k - m, m, shape) for k in range(1, _INERTIA + 1) for m in (0, 1)]
        weights = [f"{f}({a})" for a in angles if a != shape for f in ("cos", "sin")]
        found.append(ProductLibrary([waves, ["1", *weights, *rates, *turning, *actions]], extra))
    return found


def _forces(data: Transitions) -> list[str]:
    """Return the actions, and the powers that tell the levels of discrete ones apart."""
    texts = list(data.action_names)
    for name, levels in zip(data.action_names, data.levels or [0] * len(texts), strict=True):
        texts += [f"{name}**{k}" for k in range(2, min(levels, _MOST_LEVELS))]
    return texts


def _degree(columns: int, factors: int) -> int:
    cubic = (columns + 1) * (columns + 2) * (columns + 3) // 6
    return 3 if cubic * factors <= _MOST_TERMS else 2


def _monomials(names: Sequence[str], degree: int) -> list[str]:
    powers = range(1, degree + 1)
    return ["1", *("*".join(m) for k in powers for m in combinations_with_replacement(names, k))]


def _trig(cosines: int, sines: int, angle: str) -> str:
    factors = [f"cos({angle})"] * cosines + [f"sin({angle})"] * sines
    return "*".join(factors) or "1"
