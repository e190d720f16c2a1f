"""Parameters as states: a law whose named parameters are estimated with the state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from discover.libraries import TermTable, TermTableBuilder
from discover.symbolic import SymbolicModel

__all__ = ["with_parameters"]


def with_parameters(
    law: SymbolicModel, parameters: Sequence[str] | Mapping[str, Any]
) -> SymbolicModel:
    """Return a law whose parameters are further states, constant in time.

    Parameters
    ----------
    law : SymbolicModel
    parameters : sequence of str, or mapping
        Names of parameters. A name is an input of the law (a control), such as ``rho`` in
        a law with the term ``rho*x``; or a mapping says which coefficients a name stands
        for: ``{"rho": ("y", "x")}`` is the coefficient of ``x`` in the equation of ``y``, and
        ``{"sigma": {("x", "y"): 1, ("x", "x"): -1}}`` two coefficients, ``sigma`` and
        ``-sigma``.

    Returns
    -------
    SymbolicModel
        With the states of `law`, then the parameters. In a map the parameters stay.

    Raises
    ------
    ValueError
        If a parameter is not an input of the law, or a coefficient not one of its.
    """
    names = list(parameters)
    chosen = dict(parameters) if isinstance(parameters, Mapping) else dict.fromkeys(names)
    controls = [c for c in law.control_names if c not in names]
    _check(law, chosen, controls)
    time = () if law.time_name is None else (law.time_name,)
    builder = TermTableBuilder((*law.state_names, *names, *controls, *time))
    slots = builder.copy(law.table, law.table.outputs.tolist())
    entries = _entries(law, builder, slots)
    for name, coefficients in chosen.items():
        if coefficients is not None:
            _promote(law, builder, slots, entries, name, coefficients)
    if law.kind == "map":
        for i, name in enumerate(names):
            entries[law.n_states + i, builder.input(name)] = 1.0
    table = builder.table([slot for _, slot in entries])
    return SymbolicModel(
        table, _matrix(entries, table, law.n_states + len(names)),
        (*law.state_names, *names), controls, (), law.time_name, law.kind, law.dt,
    )  # fmt: skip


def _check(law: SymbolicModel, chosen: Mapping[str, Any], controls: Sequence[str]) -> None:
    for name, coefficients in chosen.items():
        if coefficients is None and name not in law.control_names:
            raise ValueError(
                f"parameters: {name!r} must be an input of the law, one of "
                f"{list(law.control_names)}; or say which coefficients it is: "
                f"{{{name!r}: (equation, term)}}, with terms among {list(law.term_names)[:12]}."
            )
        if coefficients is not None and name in (*law.state_names, *law.control_names):
            raise ValueError(f"parameters: {name!r} is a state or an input of the law already.")
    if controls:
        raise ValueError(f"parameters: the law has further inputs {list(controls)}; name them too.")


Entries = dict[tuple[int, int], float]


def _entries(law: SymbolicModel, builder: TermTableBuilder, slots: Sequence[int]) -> Entries:
    targets, terms = np.nonzero(law.coefficients)
    return {(int(i), slots[int(k)]): float(law.coefficients[i, k]) for i, k in
            zip(targets, terms, strict=True)}  # fmt: skip


def _promote(
    law: SymbolicModel, builder: TermTableBuilder, slots: Sequence[int], entries: Entries,
    name: str, coefficients: Any,
) -> None:  # fmt: skip
    """Replace coefficients by a parameter times a factor."""
    factors = coefficients if isinstance(coefficients, Mapping) else {tuple(coefficients): 1.0}
    for (equation, term), factor in factors.items():
        if equation not in law.target_names or term not in law.term_names:
            raise ValueError(
                f"parameters: {name!r} must be the coefficient of a term in an equation, among "
                f"{list(law.target_names)} and {list(law.term_names)[:12]}; got "
                f"({equation!r}, {term!r})."
            )
        i, slot = law.target_names.index(equation), slots[law.term_names.index(term)]
        entries.pop((i, slot), None)
        product = builder.binary("mul", builder.input(name), slot)
        entries[i, product] = entries.get((i, product), 0.0) + float(factor)


def _matrix(entries: Entries, table: TermTable, n_targets: int) -> Any:
    place = {slot: k for k, slot in enumerate(table.outputs.tolist())}
    coefficients = np.zeros((n_targets, table.n_terms))
    for (i, slot), value in entries.items():
        coefficients[i, place[slot]] += value
    return coefficients
