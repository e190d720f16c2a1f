"""Sums, products and reductions of libraries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sklearn.base import clone

from discover.exceptions import ExpressionError
from discover.libraries.base import FeatureLibrary
from discover.libraries.parse import parse_expression
from discover.libraries.termtable import TermTable, TermTableBuilder

__all__ = ["ProductLibrary", "ReducedLibrary", "SumLibrary", "union"]


def union(tables: Sequence[TermTable]) -> TermTable:
    """Return one table with the terms of all; equal terms appear once."""
    builder = TermTableBuilder(tables[0].inputs)
    slots = [s for table in tables for s in builder.copy(table, table.outputs.tolist())]
    return builder.table(slots)


class _Combination(FeatureLibrary):
    """A library made of libraries."""

    def __init__(self, libraries: Sequence[FeatureLibrary]) -> None:
        self.libraries = libraries

    def _tables(self, inputs: Sequence[str]) -> list[TermTable]:
        if not self.libraries:
            raise ValueError(f"{type(self).__name__}: libraries must not be empty.")
        return [clone(library).build(inputs) for library in self.libraries]


class SumLibrary(_Combination):
    """The terms of several libraries; what ``a + b`` makes.

    Parameters
    ----------
    libraries : sequence of FeatureLibrary

    Examples
    --------
    >>> import numpy as np
    >>> from discover import FourierLibrary, PolynomialLibrary
    >>> library = PolynomialLibrary(1) + FourierLibrary(1, include_cos=False)
    >>> list(library.fit(np.ones((1, 1))).get_feature_names_out())
    ['1', 'x0', 'sin(x0)']
    """

    def build(self, inputs: Sequence[str]) -> TermTable:
        """Return the union of the tables."""
        return union(self._tables(inputs))

    def __add__(self, other: FeatureLibrary) -> FeatureLibrary:
        if not isinstance(other, FeatureLibrary):
            return NotImplemented
        return SumLibrary([*self.libraries, other])


class ProductLibrary(_Combination):
    """Every product of one term from each library; what ``a * b`` makes.

    Parameters
    ----------
    libraries : sequence of FeatureLibrary
    """

    def build(self, inputs: Sequence[str]) -> TermTable:
        """Return the table of all products; equal products appear once."""
        builder = TermTableBuilder(inputs)
        products = [builder.constant(1.0)]
        for table in self._tables(inputs):
            terms = builder.copy(table, table.outputs.tolist())
            products = [builder.mul(a, b) for a in products for b in terms]
        return builder.table(products)

    def __mul__(self, other: FeatureLibrary) -> FeatureLibrary:
        if not isinstance(other, FeatureLibrary):
            return NotImplemented
        return ProductLibrary([*self.libraries, other])


class ReducedLibrary(FeatureLibrary):
    """A library without the terms that a known constraint makes redundant.

    Parameters
    ----------
    library : FeatureLibrary
    constraints : str or sequence of str
        Expressions known to vanish, such as ``"c**2 + s**2 - 1"`` or
        ``"cos(th)**2 + sin(th)**2 - 1"``; polynomials in the columns and in functions
        of them.

    Notes
    -----
    On data that satisfy the constraints the terms of `library` are collinear. The terms
    kept are the standard monomials: those that no leading monomial of a Groebner basis
    of the constraints divides (Cox, Little and O'Shea, *Ideals, Varieties, and
    Algorithms*, section 5.3), in graded order with later columns leading; they span the
    same functions and are independent.

    Examples
    --------
    >>> import pandas as pd
    >>> from discover import PolynomialLibrary
    >>> X = pd.DataFrame({"c": [1.0, 0.6], "s": [0.0, 0.8]})
    >>> library = ReducedLibrary(PolynomialLibrary(2), "c**2 + s**2 - 1").fit(X)
    >>> list(library.get_feature_names_out())
    ['1', 'c', 's', 'c**2', 'c*s']
    """

    def __init__(self, library: FeatureLibrary, constraints: str | Sequence[str]) -> None:
        self.library = library
        self.constraints = constraints

    def build(self, inputs: Sequence[str]) -> TermTable:
        """Return the table of the standard monomials of `library`."""
        table: TermTable = clone(self.library).build(inputs)
        texts = [self.constraints] if isinstance(self.constraints, str) else self.constraints
        leading = _leading_monomials(texts, table.inputs)
        kept = [
            k
            for k in range(table.n_terms)
            if not any(_divides(monomial, table.factors(k)) for monomial in leading)
        ]
        if not kept:
            raise ValueError("ReducedLibrary: the constraints leave no term of the library.")
        return table.select(kept)


def _divides(monomial: dict[str, int], factors: dict[str, int]) -> bool:
    return all(factors.get(name, 0) >= power for name, power in monomial.items())


def _leading_monomials(texts: Iterable[str], inputs: Sequence[str]) -> list[dict[str, int]]:
    """Return the leading monomials of a Groebner basis, as powers by factor name."""
    import sympy

    builder = TermTableBuilder(inputs)
    table = builder.table([parse_expression(text, builder) for text in texts])
    atoms: dict[str, Any] = {}
    polynomials = [_to_polynomial(table.expression(s), table, atoms) for s in table.outputs]
    order = {name: i for i, name in enumerate(inputs)}
    names = sorted(atoms, key=lambda name: (order.get(name, len(order)), name), reverse=True)
    try:
        basis = sympy.groebner(polynomials, *(atoms[n] for n in names), order="grevlex")
    except sympy.PolynomialError as error:
        raise ExpressionError(
            f"ReducedLibrary: constraints must be polynomials in the columns and functions of "
            f"them; got {list(texts)}."
        ) from error
    monomials = [p.monoms(order="grevlex")[0] for p in basis.polys]
    return [
        {name: power for name, power in zip(names, monomial, strict=True) if power}
        for monomial in monomials
    ]


def _to_polynomial(tree: Any, table: TermTable, atoms: dict[str, Any]) -> Any:
    """Rewrite an expression as a sympy polynomial over its non-polynomial parts."""
    import sympy

    if isinstance(tree, int | float):
        return sympy.Rational(tree)
    if isinstance(tree, list) and tree[0] in ("add", "sub", "mul", "neg"):
        parts = [_to_polynomial(argument, table, atoms) for argument in tree[1:]]
        match tree[0]:
            case "add":
                return parts[0] + parts[1]
            case "sub":
                return parts[0] - parts[1]
            case "mul":
                return parts[0] * parts[1]
            case _:
                return -parts[0]
    builder = TermTableBuilder(table.inputs)
    name = builder.table([builder.expression(tree)]).names[0]
    return atoms.setdefault(name, sympy.Symbol(name))
