"""FeatureLibrary: the scikit-learn transformer every library is."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from discover.exceptions import ExpressionError
from discover.libraries.termtable import TermTable
from discover.typing import FloatArray

__all__ = ["FeatureLibrary", "resolve_inputs"]


class FeatureLibrary(TransformerMixin, BaseEstimator, metaclass=ABCMeta):
    """Base class of the libraries: pointwise functions of the columns of a 2-D array.

    A subclass supplies :meth:`build`, which says what the terms are for given column
    names; everything else lives here.

    Attributes
    ----------
    table_ : TermTable
        The compiled terms.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only when `X` was a table with named columns.

    Notes
    -----
    Libraries add (``+``: the terms of both), multiply (``*``: all products) and are
    cheap to fit: only the number and the names of the columns matter.
    """

    @abstractmethod
    def build(self, inputs: Sequence[str]) -> TermTable:
        """Return the table of terms for these column names.

        Parameters
        ----------
        inputs : sequence of str

        Returns
        -------
        TermTable
        """

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Learn the columns.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_inputs)
        y : ignored

        Returns
        -------
        self
        """
        rows: FloatArray = validate_data(self, X, dtype=np.float64)
        names = getattr(self, "feature_names_in_", None)
        default = [f"x{i}" for i in range(rows.shape[1])]
        self.table_ = self.build(default if names is None else [str(name) for name in names])
        return self

    def fit_names(self, names: Sequence[str]) -> Self:
        """Learn the columns from their names alone.

        Parameters
        ----------
        names : sequence of str

        Returns
        -------
        self
        """
        self.table_ = self.build(names)
        self.n_features_in_ = len(names)
        self.feature_names_in_ = np.array(names, dtype=object)
        return self

    def transform(self, X: ArrayLike) -> FloatArray:
        """Evaluate the terms.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_inputs)

        Returns
        -------
        ndarray of shape (n_samples, n_terms)
        """
        check_is_fitted(self, "table_")
        return self.table_.evaluate(validate_data(self, X, dtype=np.float64, reset=False))

    def jacobian(self, X: ArrayLike) -> FloatArray:
        """Differentiate the terms; shape (n_samples, n_terms, n_inputs)."""
        check_is_fitted(self, "table_")
        return self.table_.jacobian(validate_data(self, X, dtype=np.float64, reset=False))

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Return the names of the terms, in Python syntax.

        Parameters
        ----------
        input_features : array-like of str, optional
            Names for the columns; by default those seen in :meth:`fit`, or x0, x1, ...
        """
        check_is_fitted(self, "table_")
        names = _check_feature_names_in(self, input_features)
        table = self.table_.rename(dict(zip(self.table_.inputs, map(str, names), strict=True)))
        return np.array(table.names, dtype=object)

    def terms(self) -> TermTable:
        """Return the compiled terms."""
        check_is_fitted(self, "table_")
        return self.table_

    def __add__(self, other: FeatureLibrary) -> FeatureLibrary:
        from discover.libraries.algebra import SumLibrary

        return SumLibrary([self, other]) if isinstance(other, FeatureLibrary) else NotImplemented

    def __mul__(self, other: FeatureLibrary) -> FeatureLibrary:
        from discover.libraries.algebra import ProductLibrary

        if not isinstance(other, FeatureLibrary):
            return NotImplemented
        return ProductLibrary([self, other])


def resolve_inputs(
    owner: str, chosen: Sequence[str | int] | None, inputs: Sequence[str]
) -> list[int]:
    """Return the positions of chosen inputs, given by name or position.

    Raises
    ------
    ExpressionError
        If one of them is not among `inputs`.
    """
    if chosen is None:
        return list(range(len(inputs)))
    found = []
    for item in chosen:
        position = inputs.index(item) if item in inputs else item
        if not isinstance(position, int | np.integer) or not 0 <= position < len(inputs):
            raise ExpressionError(
                f"{owner}: inputs must be among the columns {list(inputs)} or their positions; "
                f"got {item!r}."
            )
        found.append(int(position))
    return found
