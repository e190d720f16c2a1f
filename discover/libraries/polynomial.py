"""Monomials of the inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, combinations_with_replacement
from numbers import Integral

from discover.libraries.base import FeatureLibrary, resolve_inputs
from discover.libraries.termtable import TermTable, TermTableBuilder

__all__ = ["PolynomialLibrary"]


class PolynomialLibrary(FeatureLibrary):
    """All monomials of the inputs up to a degree.

    Parameters
    ----------
    degree : int, default=2
    include_bias : bool, default=True
        Whether the constant 1 is a term.
    interaction_only : bool, default=False
        Leave out powers: only products of distinct inputs.
    include_interaction : bool, default=True
        Whether products of distinct inputs are terms.
    inputs : sequence of str or int, optional
        The columns to use, by name or position; by default all.

    Examples
    --------
    >>> import numpy as np
    >>> library = PolynomialLibrary(degree=2).fit(np.ones((1, 2)))
    >>> list(library.get_feature_names_out())
    ['1', 'x0', 'x1', 'x0**2', 'x0*x1', 'x1**2']
    """

    def __init__(
        self,
        degree: int = 2,
        *,
        include_bias: bool = True,
        interaction_only: bool = False,
        include_interaction: bool = True,
        inputs: Sequence[str | int] | None = None,
    ) -> None:
        self.degree = degree
        self.include_bias = include_bias
        self.interaction_only = interaction_only
        self.include_interaction = include_interaction
        self.inputs = inputs

    def build(self, inputs: Sequence[str]) -> TermTable:
        """Return the table of monomials, by degree, then by the order of the inputs."""
        if not isinstance(self.degree, Integral) or self.degree < 0:
            raise ValueError(
                f"PolynomialLibrary: degree must be an integer of at least 0; got {self.degree!r}."
            )
        if self.interaction_only and not self.include_interaction:
            raise ValueError(
                "PolynomialLibrary: interaction_only=True and include_interaction=False leave "
                "nothing but linear terms; choose one of them."
            )
        builder = TermTableBuilder(inputs)
        chosen = resolve_inputs("PolynomialLibrary", self.inputs, list(inputs))
        slots = []
        for factors in self._monomials(chosen):
            exponents = [0] * len(inputs)
            for i in factors:
                exponents[i] += 1
            slots.append(builder.monomial(exponents))
        if not slots:
            raise ValueError(
                "PolynomialLibrary: there are no terms; raise degree or keep the bias."
            )
        return builder.table(slots)

    def _monomials(self, chosen: list[int]) -> Iterator[tuple[int, ...]]:
        choose = combinations if self.interaction_only else combinations_with_replacement
        for degree in range(0 if self.include_bias else 1, int(self.degree) + 1):
            for factors in choose(chosen, degree):
                if self.include_interaction or len(set(factors)) <= 1:
                    yield factors
