"""Terms of partial differential equations: powers of fields times one derivative."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations_with_replacement
from numbers import Integral

from discover.libraries.base import FeatureLibrary
from discover.libraries.termtable import TermTable, TermTableBuilder
from discover.observations.jets import jet_names

__all__ = ["JetLibrary", "offered_jets"]

_HIGHEST = 4  # order of the derivatives that are offered to a library that names none
_LETTERS = re.compile(r"_([a-zA-Z]{1,8})\b")
_NEIGHBOUR = re.compile(r"\b\w+_(?:[a-zA-Z][pm]\d+)+\b")


class JetLibrary(FeatureLibrary):
    """Monomials of the components, alone and times one derivative: ``u, u**2, u_x, u*u_x``.

    Parameters
    ----------
    degree : int, default=4
        Largest degree of the monomial of components.
    order : int, default=4
        Largest order of the derivative.
    include_bias : bool, default=False
        Whether the constant 1 is a term.

    Notes
    -----
    The inputs are jets: components and derivatives of them, named as by
    :func:`discover.observations.jets.jet_names`; a name whose last part follows a
    component's name is a derivative of it. With degree and order 4 in one dimension this
    is the library of Mojgani, Chattopadhyay and Hassanzadeh, Chaos 32, 061105 (2022).

    Examples
    --------
    >>> library = JetLibrary(1, 2).fit_names(["u", "u_x", "u_xx"])
    >>> list(library.get_feature_names_out())
    ['u', 'u_x', 'u*u_x', 'u_xx', 'u*u_xx']
    """

    def __init__(self, degree: int = 4, order: int = 4, *, include_bias: bool = False) -> None:
        self.degree = degree
        self.order = order
        self.include_bias = include_bias

    def build(self, inputs: Sequence[str]) -> TermTable:
        """Return the table: monomials first, then by derivative, as the inputs come."""
        for name, value in (("degree", self.degree), ("order", self.order)):
            if not isinstance(value, Integral) or value < 0:
                raise ValueError(
                    f"JetLibrary: {name} must be an integer of at least 0; got {value!r}."
                )
        builder = TermTableBuilder(inputs)
        orders = [_order(name, inputs) for name in inputs]
        bases = [i for i, order in enumerate(orders) if order == 0]
        monomials = [
            factors
            for degree in range(int(self.degree) + 1)
            for factors in combinations_with_replacement(bases, degree)
        ]
        powers = [builder.monomial([f.count(i) for i in range(len(inputs))]) for f in monomials]
        slots = powers if self.include_bias else powers[1:]
        for i, order in enumerate(orders):
            if 0 < order <= self.order:
                slots = slots + [builder.mul(power, i) for power in powers]
        if not slots:
            raise ValueError("JetLibrary: there are no terms; raise degree or order.")
        return builder.table(slots)


def _order(name: str, inputs: Sequence[str]) -> int:
    """Return the order of a derivative: the letters after the name of another input."""
    base, _, letters = name.rpartition("_")
    return len(letters) if base in inputs else 0


def offered_jets(
    library: FeatureLibrary,
    components: Sequence[str],
    axes: Sequence[str],
    *,
    discrete: bool = False,
) -> tuple[str, ...]:
    """Return the names of the jets a library may use: up to the highest order it names.

    Parameters
    ----------
    library : FeatureLibrary
    components, axes : sequence of str
    discrete : bool, default=False
        Whether the axes are rings of sites: then the neighbours that the library names.
    """
    if discrete:
        return (*components, *_named_neighbours(library))
    if isinstance(library, JetLibrary):
        return jet_names(components, axes, int(library.order))
    words = _LETTERS.findall(_text(library))
    named = [len(word) for word in words if set(word) <= set(axes)]
    return jet_names(components, axes, max(named, default=_HIGHEST))


def _text(library: FeatureLibrary) -> str:
    texts = getattr(library, "expressions", "")
    return texts if isinstance(texts, str) else ", ".join(texts)


def _named_neighbours(library: FeatureLibrary) -> list[str]:
    """Return the neighbours that expressions, or inputs that were chosen, name."""
    chosen = [str(name) for name in getattr(library, "inputs", None) or ()]
    return list(dict.fromkeys(_NEIGHBOUR.findall(", ".join([_text(library), *chosen]))))
