"""Both ways with pysindy; the only place that imports it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, combinations_with_replacement
from typing import Any

import numpy as np
from sklearn.base import clone

from discover.exceptions import ExpressionError
from discover.interop.tracing import trace
from discover.libraries import FeatureLibrary
from discover.libraries.termtable import TermTable, TermTableBuilder
from discover.observations import read_names
from discover.regression import SparseRegressor
from discover.symbolic import SymbolicModel
from discover.typing import FloatArray

__all__ = [
    "TranslatedLibrary",
    "from_pysindy",
    "is_pysindy_library",
    "load_pysindy",
    "to_pysindy",
]


def load_pysindy() -> Any:
    """Return the module pysindy, imported on first use (it takes about a second).

    Raises
    ------
    ImportError
        If it is not installed; says what to type.
    """
    try:
        import pysindy
    except ImportError as error:
        raise ImportError("pysindy is needed here: pip install 'pysindy>=2.1,<2.2'.") from error
    return pysindy


# -- from pysindy ----------------------------------------------------------------------


def from_pysindy(model: Any) -> SymbolicModel:
    """Read a fitted ``pysindy.SINDy`` or ``DiscreteSINDy`` as a law.

    Parameters
    ----------
    model : pysindy.SINDy or pysindy.DiscreteSINDy
        Fitted, over polynomials, Fourier terms, functions made of arithmetic and NumPy's
        functions (CustomLibrary), and sums, products and selections of these.

    Returns
    -------
    SymbolicModel
        With the same coefficients, bit for bit; those of columns that pysindy's library has
        twice are added. There is no covariance: pysindy has none.

    Raises
    ------
    ExpressionError
        If the library cannot be written as expressions; says which part.
    TypeError
        If `model` is not one of these, or not fitted.

    Examples
    --------
    >>> import numpy as np
    >>> import pysindy
    >>> t = np.linspace(0, 10, 400)
    >>> X = np.column_stack([np.cos(t), -np.sin(t)])
    >>> model = pysindy.SINDy().fit(X, t=t, feature_names=["q", "p"])
    >>> from_pysindy(model)
    q' =  0.999... p
    p' = -0.999... q
    """
    if not (_is_pysindys(model) and hasattr(model, "feature_library")):
        raise TypeError(
            f"from_pysindy: model must be a pysindy.SINDy or DiscreteSINDy; got {model!r:.80}."
        )
    theirs = getattr(model, "feature_names_", None) or getattr(model, "feature_names", None)
    if theirs is None or not hasattr(model.optimizer, "coef_"):
        raise TypeError("from_pysindy: model must be fitted; call its fit first.")
    names = tuple(read_names(theirs, "from_pysindy"))
    table, coefficients = _law(model, names)
    n_states = len(names) - int(model.n_control_features_)
    discrete = type(model).__name__ == "DiscreteSINDy"
    return SymbolicModel(
        table,
        coefficients,
        names[:n_states],
        names[n_states:],
        kind="map" if discrete else "continuous",
    )


def _law(model: Any, names: Sequence[str]) -> tuple[TermTable, FloatArray]:
    builder = TermTableBuilder(names)
    slots = _translate(model.feature_library, builder, list(range(len(names))))
    theirs = np.asarray(model.optimizer.coef_, dtype=np.float64).reshape(-1, len(slots))
    table = builder.table(slots)
    _check_values(model.feature_library, table, slots)
    place = {int(slot): k for k, slot in enumerate(table.outputs)}
    coefficients = np.zeros((len(theirs), table.n_terms))
    for column, slot in zip(theirs.T, slots, strict=True):
        coefficients[:, place[slot]] += column
    return table, coefficients


def _check_values(library: Any, table: TermTable, slots: Sequence[int]) -> None:
    """Refuse a translation that does not give the library's own numbers."""
    X = np.random.default_rng(0).uniform(0.3, 0.9, size=(16, table.n_inputs))
    place = {int(slot): k for k, slot in enumerate(table.outputs)}
    ours = table.evaluate(X)[:, [place[slot] for slot in slots]]
    theirs = np.asarray(library.transform(X))
    if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=1e-9, atol=1e-12):
        raise ExpressionError(
            f"from_pysindy: {type(library).__name__} gives other values than the expressions read "
            "from it; its functions must depend on their arguments alone."
        )


def _translate(library: Any, builder: TermTableBuilder, inputs: Sequence[int]) -> list[int]:
    """Add the terms of a library of pysindy; returns their slots, in its order."""
    name = type(library).__name__
    rule = _RULES.get(name)
    if rule is None:
        raise ExpressionError(
            f"from_pysindy: {name} has no translation; polynomials, Fourier terms, CustomLibrary "
            "and sums, products and selections of these have one."
        )
    return rule(library, builder, inputs)


def _polynomial(library: Any, builder: TermTableBuilder, inputs: Sequence[int]) -> list[int]:
    choices = library._combinations(
        len(inputs),
        library.degree,
        library.include_interaction,
        library.interaction_only,
        library.include_bias,
    )
    return [_product(builder, [inputs[i] for i in choice]) for choice in choices]


def _product(builder: TermTableBuilder, factors: Sequence[int]) -> int:
    slot = builder.constant(1.0)
    for factor in factors:
        slot = builder.mul(slot, factor)
    return slot


def _fourier(library: Any, builder: TermTableBuilder, inputs: Sequence[int]) -> list[int]:
    slots = []
    for k in range(1, library.n_frequencies + 1):
        for i in inputs:
            angle = builder.mul(builder.constant(k), i)
            slots += [builder.unary("sin", angle)] if library.include_sin else []
            slots += [builder.unary("cos", angle)] if library.include_cos else []
    return slots


def _custom(library: Any, builder: TermTableBuilder, inputs: Sequence[int]) -> list[int]:
    choose = combinations if library.interaction_only else combinations_with_replacement
    slots = [builder.constant(1.0)] if library.include_bias else []
    for function in library.functions:
        for chosen in choose(inputs, function.__code__.co_argcount):
            slots.append(trace(function, builder, chosen))
    return slots


def _sum(library: Any, builder: TermTableBuilder, inputs: Sequence[int]) -> list[int]:
    return [slot for part in library.libraries for slot in _translate(part, builder, inputs)]


def _selected(library: Any, k: int, inputs: Sequence[int]) -> list[int]:
    """Return the inputs of part `k`, each once."""
    chosen = library.inputs_per_library
    return [inputs[i] for i in dict.fromkeys(range(len(inputs)) if chosen is None else chosen[k])]


def _tensored(library: Any, builder: TermTableBuilder, inputs: Sequence[int]) -> list[int]:
    return _products(library, range(len(library.libraries)), builder, inputs)


def _products(
    library: Any, parts: Sequence[int], builder: TermTableBuilder, inputs: Sequence[int]
) -> list[int]:
    slots = [builder.constant(1.0)]
    for k in parts:
        terms = _translate(library.libraries[k], builder, _selected(library, k, inputs))
        slots = [builder.mul(a, b) for a in slots for b in terms]
    return slots


def _generalized(library: Any, builder: TermTableBuilder, inputs: Sequence[int]) -> list[int]:
    slots = []
    for k, part in enumerate(library.libraries):
        if k not in library.exclude_libraries:
            slots += _translate(part, builder, _selected(library, k, inputs))
    for row in () if library.tensor_array is None else library.tensor_array:
        slots += _products(library, np.flatnonzero(row).tolist(), builder, inputs)
    return slots


_RULES: dict[str, Callable[[Any, TermTableBuilder, Sequence[int]], list[int]]] = {
    "PolynomialLibrary": _polynomial,
    "FourierLibrary": _fourier,
    "CustomLibrary": _custom,
    "ConcatLibrary": _sum,
    "TensoredLibrary": _tensored,
    "GeneralizedLibrary": _generalized,
}


def _is_pysindys(item: Any) -> bool:
    """Whether an object is pysindy's or made from it, without importing pysindy."""
    classes = type(item).__mro__
    return any(kind.__module__.partition(".")[0] == "pysindy" for kind in classes)


def is_pysindy_library(item: Any) -> bool:
    """Return whether an object is one of pysindy's libraries."""
    return _is_pysindys(item) and hasattr(item, "get_feature_names")


class TranslatedLibrary(FeatureLibrary):
    """The terms of one of pysindy's libraries, as expressions; equal terms appear once.

    Parameters
    ----------
    library : pysindy library
        See :func:`from_pysindy`. ``SINDy(library)`` wraps it by itself.
    """

    def __init__(self, library: Any) -> None:
        self.library = library

    def build(self, inputs: Sequence[str]) -> TermTable:
        """Return the table of the library's terms, in its order."""
        builder = TermTableBuilder(inputs)
        return builder.table(_translate(self.library, builder, list(range(len(inputs)))))

    def __sklearn_clone__(self) -> TranslatedLibrary:
        """Share the library: pysindy's cannot all be cloned, and it is only read."""
        return TranslatedLibrary(self.library)


# -- to pysindy ------------------------------------------------------------------------


def to_pysindy(part: Any) -> Any:
    """Make a regressor or a library usable inside ``pysindy.SINDy``.

    Parameters
    ----------
    part : SparseRegressor or FeatureLibrary

    Returns
    -------
    pysindy optimizer or pysindy feature library
        Also for ``EnsembleOptimizer``, ``ConcatLibrary`` and the like.

    Examples
    --------
    >>> import numpy as np
    >>> import pysindy
    >>> from discover import STLSQ, SymbolicLibrary
    >>> t = np.linspace(0, 10, 400)
    >>> X = np.column_stack([np.cos(t), -np.sin(t)])
    >>> library = to_pysindy(SymbolicLibrary("x0, x1, x0*x1"))
    >>> model = pysindy.SINDy(to_pysindy(STLSQ()), library).fit(X, t=t)
    >>> (model.coefficients() != 0).tolist()
    [[False, True, False], [True, False, False]]
    """
    if isinstance(part, SparseRegressor):
        return _adapter("PysindyOptimizer")(part)
    if isinstance(part, FeatureLibrary):
        return _adapter("PysindyLibrary")(part)
    raise TypeError(
        "to_pysindy: part must be a SparseRegressor such as STLSQ() or a FeatureLibrary such as "
        f"PolynomialLibrary(3); got {part!r}."
    )


def _adapter(name: str) -> Any:
    """Return a class made on first use, because its base class is pysindy's."""
    if name not in globals():
        made = _make_optimizer() if name == "PysindyOptimizer" else _make_library()
        made.__module__, made.__name__, made.__qualname__ = __name__, name, name
        globals()[name] = made
    return globals()[name]


def __getattr__(name: str) -> Any:
    if name in ("PysindyOptimizer", "PysindyLibrary"):  # pickles look them up here
        return _adapter(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _make_optimizer() -> Any:
    class Optimizer(load_pysindy().optimizers.base.BaseOptimizer):  # type: ignore[misc]
        """One of our regressors as an optimizer of pysindy."""

        def __init__(self, regressor: SparseRegressor) -> None:
            super().__init__(unbias=False)
            self.regressor = regressor

        def _reduce(self, x: Any, y: Any) -> None:
            self.regressor_ = clone(self.regressor).fit(np.asarray(x), np.asarray(y))
            self.coef_ = self.regressor_.coef_.copy()
            self.history_.append(self.coef_)

    return Optimizer


def _make_library() -> Any:
    base = load_pysindy().feature_library.base
    axes = load_pysindy().utils

    class Library(base.BaseFeatureLibrary):  # type: ignore[name-defined]
        """One of our libraries as a library of pysindy."""

        def __init__(self, library: FeatureLibrary) -> None:
            self.library = library

        @base.x_sequence_or_item  # type: ignore[untyped-decorator]
        def fit(self, x_full: Any, y: Any = None) -> Any:
            self.library_ = clone(self.library).fit(np.asarray(x_full[0]))
            self.n_features_in_ = self.library_.n_features_in_
            self.n_output_features_ = self.library_.table_.n_terms
            return self

        @base.x_sequence_or_item  # type: ignore[untyped-decorator]
        def transform(self, x_full: Any) -> Any:
            values = [self.library_.transform(np.asarray(x)) for x in x_full]
            return [axes.AxesArray(v, axes.comprehend_axes(v)) for v in values]

        def get_feature_names(self, input_features: Any = None) -> list[str]:
            return list(self.library_.get_feature_names_out(input_features))

    return Library
