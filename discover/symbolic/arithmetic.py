"""Sums and differences of laws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from discover.libraries.termtable import TermTableBuilder
from discover.typing import BoolArray, FloatArray

if TYPE_CHECKING:
    from discover.symbolic.model import SymbolicModel

__all__ = ["combined", "refuse_saturated"]


def combined(a: SymbolicModel, b: SymbolicModel, sign: float) -> SymbolicModel:
    """Return ``a + sign * b``, term by term; their errors are taken as independent.

    Raises
    ------
    ValueError
        If the laws differ in kind, time step, states, targets or the name of time, or one
        of them is saturated.
    """
    from discover.symbolic.model import SymbolicModel

    refuse_saturated(a, b)
    time = _common_time(a, b)
    controls = tuple(dict.fromkeys((*a.control_names, *b.control_names)))
    builder = TermTableBuilder((*a.state_names, *controls, *(() if time is None else (time,))))
    slots = [builder.copy(law.table, law.table.outputs.tolist()) for law in (a, b)]
    table = builder.table(slots[0] + slots[1])
    place = {slot: k for k, slot in enumerate(table.outputs.tolist())}
    columns = [np.array([place[s] for s in where], dtype=np.intp) for where in slots]
    coefficients = np.zeros((len(a.target_names), table.n_terms))
    support = np.zeros(coefficients.shape, dtype=bool)
    for law, where, factor in ((a, columns[0], 1.0), (b, columns[1], sign)):
        coefficients[:, where] += factor * law.coefficients
        support[:, where] |= np.asarray(law.support)
    covariance = None
    if a.covariance is not None or b.covariance is not None:
        covariance = _spread_covariance(a, columns[0], support)
        covariance += _spread_covariance(b, columns[1], support)
    return SymbolicModel(
        table,
        coefficients,
        a.state_names,
        controls,
        a.target_names,
        time,
        a.kind,
        a.dt,
        support,
        covariance,
        {**b.units, **a.units},
    )


def refuse_saturated(*laws: SymbolicModel) -> None:
    """Raise ValueError if a law is clipped: sums of such laws are not sums of terms."""
    if any(law.saturation is not None for law in laws):
        raise ValueError(
            "SymbolicModel: a saturated law cannot be added or negated; take its saturation off "
            "first: dataclasses.replace(law, saturation=None)."
        )


def _common_time(a: SymbolicModel, b: SymbolicModel) -> str | None:
    """Check that two laws can be added; return what they call the time."""
    facts = [(law.kind, law.dt, law.state_names, law.target_names) for law in (a, b)]
    if facts[0] != facts[1]:
        raise ValueError(
            "SymbolicModel: laws to be added must agree in kind, dt, states and targets; got "
            f"{facts[0]} and {facts[1]}."
        )
    times = {law.time_name for law in (a, b)} - {None}
    if len(times) > 1:
        raise ValueError(f"SymbolicModel: the laws name the time differently: {times}.")
    return next(iter(times), None)


def _spread_covariance(
    law: SymbolicModel, columns: np.ndarray[tuple[int], np.dtype[np.intp]], support: BoolArray
) -> FloatArray:
    """Return the covariance of a law's coefficients among those of the sum."""
    n = int(support.sum())
    spread = np.zeros((n, n))
    if law.covariance is not None:
        order = np.cumsum(support.ravel()).reshape(support.shape) - 1
        targets, terms = np.nonzero(np.asarray(law.support))
        here = order[targets, columns[terms]]
        spread[np.ix_(here, here)] = law.covariance
    return spread
