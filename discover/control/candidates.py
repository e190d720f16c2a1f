"""Candidate terms of surrogates, where the user gives none."""

from __future__ import annotations

from collections.abc import Sequence

from discover.control.coordinates import Coordinates
from discover.control.transitions import Transitions
from discover.libraries import FeatureLibrary, PolynomialLibrary
from discover.libraries.parse import parse_expression
from discover.libraries.termtable import TermTable, TermTableBuilder

__all__ = ["BumpLibrary", "ProductLibrary", "automatic_library"]

_MOST_TERMS = 150
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


def automatic_library(coordinates: Coordinates, data: Transitions) -> FeatureLibrary:
    """Return candidate terms that suit the coordinates.

    With angles: trigonometric monomials of degree 3, each times 1, the velocities, their
    squares and the actions, and the positions. Else: monomials of states and actions, of
    the highest degree up to 3 with at most 150 terms.
    """
    names = coordinates.state_names
    angles = [names[i] for i, _, _ in coordinates.circles]
    actions = list(data.action_names)
    if angles:
        trig = [[_trig(k, m, a) for k, m in _WAVES] for a in angles]
        if len(angles) > 1:
            trig = [[_trig(k, m, a) for k, m in _WAVES[:5]] for a in angles]
        positions = [names[d.position] for d in coordinates.drifts]
        rates = [n for n in names if n not in angles and n not in positions]
        forces = ["1", *rates, *(f"{v}**2" for v in rates), *actions]
        return ProductLibrary([*trig, forces], [p for p in positions if p not in angles])
    columns = len(names) + len(actions)
    degree = 3 if (columns + 1) * (columns + 2) * (columns + 3) / 6 <= _MOST_TERMS else 2
    return PolynomialLibrary(degree)


def _trig(cosines: int, sines: int, angle: str) -> str:
    factors = [f"cos({angle})"] * cosines + [f"sin({angle})"] * sines
    return "*".join(factors) or "1"
