"""Any expressions over the column names."""

from __future__ import annotations

from collections.abc import Sequence

from discover.exceptions import ExpressionError
from discover.libraries.base import FeatureLibrary
from discover.libraries.parse import parse_expression, split_terms
from discover.libraries.termtable import TermTable, TermTableBuilder

__all__ = ["SymbolicLibrary"]


class SymbolicLibrary(FeatureLibrary):
    """Terms written as text, over the names of the columns.

    Parameters
    ----------
    expressions : str or sequence of str
        ``"x, x*y, sin(theta)*omega**2, sqrt(h1)"``, or one string per term. Columns
        without names are x0, x1, ... Numbers, ``+ - * / **``, ``pi`` and the functions
        abs, sign, sqrt, exp, log, expm1, log1p, sin, cos, tan, arcsin, arccos, arctan,
        sinh, cosh, tanh, min, max are understood; nothing is executed.

    Examples
    --------
    >>> import numpy as np
    >>> library = SymbolicLibrary("x1*x0, exp(-x0**2)").fit(np.ones((1, 2)))
    >>> list(library.get_feature_names_out())
    ['x0*x1', 'exp(-x0**2)']
    """

    def __init__(self, expressions: str | Sequence[str]) -> None:
        self.expressions = expressions

    def build(self, inputs: Sequence[str]) -> TermTable:
        """Return the table of the written terms; equal terms appear once."""
        written = self.expressions
        texts = split_terms(written) if isinstance(written, str) else list(written)
        if not texts or not all(isinstance(text, str) for text in texts):
            raise ExpressionError(
                "SymbolicLibrary: expressions must be text, or a non-empty list of texts; "
                f"got {written!r}."
            )
        builder = TermTableBuilder(inputs)
        return builder.table([parse_expression(text, builder) for text in texts])
