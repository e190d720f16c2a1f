"""Models as JSON: read without evaluating anything, written in one step, exact to the bit."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import numpy as np

from discover.exceptions import ModelFileError
from discover.files import write_text
from discover.kernels import opcodes as oc
from discover.libraries.termtable import (
    LARGEST_EXPANDED_POWER,
    TermTable,
    TermTableBuilder,
)
from discover.symbolic import entries
from discover.symbolic.saturation import Saturation
from discover.symbolic.text import equation_lines, time_unit
from discover.typing import BoolArray, FloatArray

if TYPE_CHECKING:
    from discover.symbolic.model import SymbolicModel

__all__ = ["FORMAT", "VERSION", "from_dict", "from_json", "load", "save", "to_dict", "to_json"]

FORMAT, VERSION = "discover.SymbolicModel", 1

_KINDS = ("continuous", "map", "increment", "direct")
_NEEDED = ("format", "version", "kind", "states", "targets", "terms", "equations")
_OPTIONAL = (
    "dt", "controls", "time", "time_unit", "covariance", "saturation", "text", "created_with",
)  # fmt: skip
_LARGEST_FILE = 100_000_000  # bytes
_MOST_NODES = 1_000_000  # names, numbers and operations in all terms together
_DEEPEST = 250  # operations inside operations
_MOST_FACTORS = 300  # in one product, once whole powers are written out
_MOST_COEFFICIENTS = 20_000_000  # targets times terms
_ENDS = ("low", "high")
_SAME = 1e-8  # relative asymmetry of a covariance that is taken for rounding


# -- files -----------------------------------------------------------------------------


def save(model: SymbolicModel, path: str | Path) -> Path:
    """Write a model to a JSON file.

    Parameters
    ----------
    model : SymbolicModel
    path : str or Path
        An existing file is replaced in one step: a reader finds the old model or the new
        one, never a part.

    Returns
    -------
    Path

    Raises
    ------
    ModelFileError
        If the model cannot be kept in a file (see :func:`to_dict`).
    OSError
        If the file cannot be written. An older file is then untouched.
    """
    path = Path(path)
    text = to_json(model)
    place = path.resolve()  # a link stays a link
    if place.is_dir():
        raise IsADirectoryError(f"SymbolicModel: {str(path)!r} is a folder; name a file in it.")
    if not place.parent.is_dir():
        raise FileNotFoundError(f"SymbolicModel: there is no folder {str(place.parent)!r}.")
    write_text(place, text)
    return path


def load(path: str | Path) -> SymbolicModel:
    """Read a model from a JSON file; nothing in it is evaluated.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    SymbolicModel

    Raises
    ------
    ModelFileError
        If there is no such file, it cannot be read, or it does not follow the schema; says
        where in the document.
    """
    path = Path(path)
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise ModelFileError(f"SymbolicModel: {str(path)!r} {what}.")
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise ModelFileError(f"SymbolicModel: {str(path)!r} cannot be read: {error}.") from error
    if len(content) > _LARGEST_FILE:
        raise ModelFileError(
            f"SymbolicModel: {str(path)!r} is larger than {_LARGEST_FILE} bytes; not read."
        )
    try:
        return from_json(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ModelFileError(f"SymbolicModel: {str(path)!r} is not UTF-8 text: {error}.") from None
    except ModelFileError as error:
        raise ModelFileError(f"{str(error).rstrip('.')} (in {str(path)!r}).") from None


def to_json(model: SymbolicModel) -> str:
    """Return the text of a model file; see :func:`to_dict`."""
    parts = [f"  {_dump(key)}: {_listed(value)}" for key, value in to_dict(model).items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _listed(value: Any) -> str:
    """Write a list of lists or objects with one entry per line."""
    if not (isinstance(value, list) and value and isinstance(value[0], list | dict | str)):
        return _dump(value)
    return "[\n    " + ",\n    ".join(map(_dump, value)) + "\n  ]"


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def from_json(text: str) -> SymbolicModel:
    """Build a model from the text of a model file.

    Raises
    ------
    ModelFileError
        If the text is not JSON or does not follow the schema.
    """
    try:
        data = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
    except ModelFileError:
        raise
    except RecursionError:
        raise entries.error("the document", "must not be nested so deeply") from None
    except ValueError as error:  # also: a whole number of thousands of digits
        raise ModelFileError(f"SymbolicModel: the document is not JSON: {error}.") from None
    return from_dict(data)


def _no_constant(word: str) -> NoReturn:
    raise entries.error("the document", "must hold finite numbers only", word)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise entries.error("the document", "must not repeat a key in an object", repeated)
    return found


# -- writing ---------------------------------------------------------------------------


def to_dict(model: SymbolicModel) -> dict[str, Any]:
    """Return a model as plain data that JSON can hold.

    Parameters
    ----------
    model : SymbolicModel

    Returns
    -------
    dict
        The schema is in Notes. Units of anything but states, controls, targets and time
        are left out.

    Raises
    ------
    ModelFileError
        If the model would not be accepted back: a name that is not an identifier, a
        covariance that is not one, or terms nested too deeply.

    Notes
    -----
    ``terms`` are trees, ``"x"``, ``2.0`` or ``["mul", "x", "y"]``; ``equations`` hold, by
    target, entries ``{"term": k, "coefficient": c}`` in ascending order of the term;
    ``covariance`` is the lower triangle, row by row, over all entries in order;
    ``saturation``, where there is one, holds ``{"low": -2.0, "high": 2.0, "whole": false}``
    by target; ``text`` is for the reader and ignored by :func:`from_dict`.
    """
    from discover import __version__

    _check_size(model.table)
    data = {
        "format": FORMAT,
        "version": VERSION,
        "kind": str(model.kind),
        "dt": None if model.dt is None else float(model.dt),
        "states": _named(model.state_names, model.units),
        "controls": _named(model.control_names, model.units),
        "time": None if model.time_name is None else str(model.time_name),
        "time_unit": time_unit(model),
        "targets": _named(model.target_names, model.units),
        "terms": [model.table.expression(slot) for slot in model.table.outputs.tolist()],
        "equations": _equations(model),
        "covariance": _packed(model.covariance),
        "text": [line for text in equation_lines(model) for line in text.split("\n")],
        "created_with": f"discover {__version__}",
    }
    if model.saturation is not None:
        limits = map(model.saturation.limits, range(len(model.target_names)))
        data["saturation"] = [dict(zip((*_ENDS, "whole"), each, strict=True)) for each in limits]
    from_dict(data)  # what cannot be read back must not be written
    return data


def _named(names: Iterable[str], units: Mapping[str, str]) -> list[dict[str, str | None]]:
    return [{"name": str(name), "unit": units.get(name)} for name in names]


def _equations(model: SymbolicModel) -> list[list[dict[str, Any]]]:
    support = np.asarray(model.support)
    return [
        [{"term": int(k), "coefficient": float(row[k])} for k in np.flatnonzero(active)]
        for row, active in zip(model.coefficients, support, strict=True)
    ]


def _packed(covariance: FloatArray | None) -> list[float] | None:
    if covariance is None:
        return None
    covariance = np.asarray(covariance, dtype=np.float64)
    scale = np.abs(covariance).max(initial=0.0)
    with np.errstate(invalid="ignore"):
        if (np.abs(covariance - covariance.T) > _SAME * scale).any():
            raise entries.error("covariance", "must be symmetric")
    packed: list[float] = covariance[np.tril_indices(len(covariance))].tolist()
    return packed


def _check_size(table: TermTable) -> None:
    """Refuse terms whose trees would be too large; shared parts count each time."""
    sizes, depths = [1] * table.n_inputs, [0] * table.n_inputs
    for op, a, b in table.program.tolist():
        arguments = [] if op == oc.CONST else [a, b] if op < oc.NEG else [a]
        sizes.append(1 + sum(sizes[s] for s in arguments))
        depths.append(1 + max((depths[s] for s in arguments), default=-1))
    outputs = table.outputs.tolist()
    if max((depths[s] for s in outputs), default=0) > _DEEPEST:
        raise entries.error("terms", f"must not be nested deeper than {_DEEPEST} operations")
    if sum(sizes[s] for s in outputs) > _MOST_NODES:
        raise entries.error("terms", f"must not hold more than {_MOST_NODES} parts")


# -- reading ---------------------------------------------------------------------------


def from_dict(data: Mapping[str, Any]) -> SymbolicModel:
    """Build a model from plain data, checking every part of it.

    Parameters
    ----------
    data : mapping
        As :func:`to_dict` returns it.

    Returns
    -------
    SymbolicModel

    Raises
    ------
    ModelFileError
        If any part does not follow the schema; the message names the part.
    """
    from discover.symbolic.model import SymbolicModel

    _check_header(data)
    units: dict[str, str | None] = {}
    states = _names(data, "states", units)
    controls = _names(data, "controls", units)
    targets = _names(data, "targets", units)
    time = _time(data, units, taken=(*states, *controls, *targets))
    kind = entries.one_of(data["kind"], "kind", _KINDS)
    inputs = (*states, *controls, *(() if time is None else (time,)))
    _check_names(states, controls, targets, inputs, kind)
    table = _table(data["terms"], inputs)
    coefficients, support = _coefficients(data["equations"], len(targets), table.n_terms)
    covariance = _covariance(data.get("covariance"), int(support.sum()))
    try:
        return SymbolicModel(
            table=table,
            coefficients=coefficients,
            state_names=states,
            control_names=controls,
            target_names=targets,
            time_name=time,
            kind=cast(Any, kind),
            dt=_step(data.get("dt")),
            support=support,
            covariance=covariance,
            units={name: unit for name, unit in units.items() if unit is not None},
            saturation=_saturation(data.get("saturation")),
        )
    except ValueError as error:  # a rule of the model that the schema does not know
        raise ModelFileError(f"SymbolicModel: the document is not a model: {error}") from error


def _check_header(data: Any) -> None:
    if not isinstance(data, Mapping):
        raise entries.error("the document", "must be an object", data)
    if data.get("format") != FORMAT:
        raise entries.error("format", f"must be {FORMAT!r}", data.get("format"))
    version = data.get("version")
    if isinstance(version, bool) or not isinstance(version, int) or version != VERSION:
        raise entries.error(
            "version", f"must be {VERSION}, the only one this release reads", version
        )
    for key in _NEEDED:
        if key not in data:
            raise entries.error("the document", f"must have the key {key!r}")
    for key in data:
        if key not in (*_NEEDED, *_OPTIONAL):
            raise entries.error(
                "the document", f"may only have the keys {[*_NEEDED, *_OPTIONAL]}", key
            )


def _names(data: Mapping[str, Any], key: str, units: dict[str, str | None]) -> tuple[str, ...]:
    """Read a list of names; adds what it says about units."""
    names: dict[str, None] = {}
    for i, entry in enumerate(entries.listing(data.get(key, []), key)):
        place = f"{key}[{i}]"
        entry = entries.record(entry, place, ("name", "unit"))
        name = entries.name(entry["name"], f"{place}.name")
        if name in names:
            raise entries.error(f"{place}.name", "must not be repeated", name)
        names[name] = None
        unit = None if entry["unit"] is None else entries.text(entry["unit"], f"{place}.unit")
        if units.setdefault(name, unit) != unit:
            raise entries.error(f"{place}.unit", f"must be {units[name]!r} as before", unit)
    return tuple(names)


def _time(
    data: Mapping[str, Any], units: dict[str, str | None], taken: Sequence[str]
) -> str | None:
    name = None if data.get("time") is None else entries.name(data["time"], "time")
    unit = data.get("time_unit")
    if unit is not None:
        key = name or "t"  # an autonomous law keeps the unit of time under this name
        if key in taken and units[key] != unit:
            raise entries.error(
                "time_unit", f"must be null or the unit of {key!r}, {units[key]!r}", unit
            )
        units[key] = entries.text(unit, "time_unit")
    return name


def _check_names(
    states: tuple[str, ...],
    controls: tuple[str, ...],
    targets: tuple[str, ...],
    inputs: tuple[str, ...],
    kind: str,
) -> None:
    if not states or not targets:
        raise entries.error("states" if not states else "targets", "must have an entry")
    repeated = [name for name, count in Counter(inputs).items() if count > 1]
    if repeated:
        place = "controls" if repeated[0] in controls else "time"
        raise entries.error(place, "must not repeat the name of another input", repeated[0])
    if kind != "direct" and targets != states:
        raise entries.error(
            "targets", f"must be the states, in order, for kind {kind!r}", list(targets)
        )


def _step(value: Any) -> float | None:
    if value is None:
        return None
    step = entries.number(value, "dt")
    if step <= 0:
        raise entries.error("dt", "must be positive or null", value)
    return step


# -- terms -----------------------------------------------------------------------------


def _table(terms: Any, inputs: tuple[str, ...]) -> TermTable:
    reader = _TreeReader(inputs)
    first: dict[int, int] = {}
    slots = []
    for k, tree in enumerate(entries.listing(terms, "terms")):
        try:
            slot = reader.read(tree, f"terms[{k}]")
        except RecursionError:
            raise entries.error(f"terms[{k}]", "must not be nested so deeply") from None
        if slot in first:
            raise entries.error(f"terms[{k}]", f"must not be the same term as terms[{first[slot]}]")
        first[slot] = k
        slots.append(slot)
    table = reader.builder.table(slots)
    _check_size(table)  # once more: whole powers are written out now
    return table


class _TreeReader:
    """Adds trees to a builder without recursion, within limits."""

    def __init__(self, inputs: tuple[str, ...]) -> None:
        self.builder = TermTableBuilder(inputs)
        self.factors: dict[int, int] = {}  # slots that hold products: how many factors
        self.nodes = 0

    def read(self, tree: Any, place: str) -> int:
        """Add one tree; children come before parents."""
        done: list[int] = []
        pending: list[tuple[Any, str, int, bool]] = [(tree, place, 0, False)]
        while pending:
            node, where, depth, entered = pending.pop()
            if entered:
                n = len(node) - 1
                done[-n:] = [self._apply(node[0], done[-n:], where)]
            elif isinstance(node, list):
                self._check(node, where, depth)
                pending.append((node, where, depth, True))
                children = [
                    (node[i], f"{where}[{i}]", depth + 1, False) for i in range(1, len(node))
                ]
                pending += reversed(children)
            else:
                done.append(self._leaf(node, where))
        return done[0]

    def _count(self, place: str) -> None:
        self.nodes += 1
        if self.nodes > _MOST_NODES:
            raise entries.error(place, f"must not bring the terms above {_MOST_NODES} parts in all")

    def _check(self, node: list[Any], place: str, depth: int) -> None:
        self._count(place)
        if depth >= _DEEPEST:
            raise entries.error("terms", f"must not be nested deeper than {_DEEPEST} operations")
        if not node or not isinstance(node[0], str):
            raise entries.error(place, "must be [operation, argument, ...]", node)
        n = 1 if node[0] in oc.UNARY else 2
        if node[0] not in oc.UNARY and node[0] not in oc.BINARY:
            raise entries.error(f"{place}[0]", f"must be one of {[*oc.BINARY, *oc.UNARY]}", node[0])
        if len(node) != n + 1:
            raise entries.error(place, f"must have {n} arguments for {node[0]!r}", node)

    def _leaf(self, node: Any, place: str) -> int:
        self._count(place)
        if isinstance(node, str):
            if node not in self.builder.inputs:
                inputs = list(self.builder.inputs)
                raise entries.error(place, f"must be one of the inputs {inputs}", node)
            return self.builder.input(node)
        if isinstance(node, bool) or not isinstance(node, int | float):
            raise entries.error(place, "must be a name, a number or a list", node)
        return self.builder.constant(entries.number(node, place))

    def _apply(self, name: str, arguments: list[int], place: str) -> int:
        factors = self._factors_of(name, arguments)
        if factors > _MOST_FACTORS:
            raise entries.error(
                place, f"must not multiply more than {_MOST_FACTORS} factors", factors
            )
        if name in oc.UNARY:
            return self.builder.unary(name, arguments[0])
        slot = self.builder.binary(name, *arguments)
        self.factors[slot] = max(self.factors.get(slot, 1), factors)  # a bound: 1/x**2 counts 2
        return slot

    def _factors_of(self, name: str, arguments: list[int]) -> int:
        """Return how many factors the builder will multiply, powers written out."""
        counts = [self.factors.get(slot, 1) for slot in arguments]
        if name == "mul":
            return sum(counts)
        exponent = self.builder.value_of(arguments[1]) if name == "pow" else None
        if exponent is None or exponent != int(exponent) or abs(exponent) > LARGEST_EXPANDED_POWER:
            return 1
        return counts[0] * int(abs(exponent))


# -- coefficients ----------------------------------------------------------------------


def _coefficients(equations: Any, n_targets: int, n_terms: int) -> tuple[FloatArray, BoolArray]:
    if len(entries.listing(equations, "equations")) != n_targets:
        raise entries.error(
            "equations", f"must have {n_targets} entries, one per target", equations
        )
    if n_targets * n_terms > _MOST_COEFFICIENTS:
        must = f"must not have more than {_MOST_COEFFICIENTS} places for coefficients"
        raise entries.error("equations", must, n_targets * n_terms)
    coefficients = np.zeros((n_targets, n_terms))
    support = np.zeros((n_targets, n_terms), dtype=bool)
    for i, equation in enumerate(equations):
        last = -1
        for j, entry in enumerate(entries.listing(equation, f"equations[{i}]")):
            place = f"equations[{i}][{j}]"
            entry = entries.record(entry, place, ("term", "coefficient"))
            last = _term(entry["term"], f"{place}.term", last, n_terms)
            coefficients[i, last] = entries.number(entry["coefficient"], f"{place}.coefficient")
            support[i, last] = True
    return coefficients, support


def _term(value: Any, place: str, last: int, n_terms: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < n_terms:
        raise entries.error(place, f"must be an integer below {n_terms} and not negative", value)
    if value <= last:
        raise entries.error(place, f"must be above the one before it, {last}", value)
    return value


def _saturation(limits: Any) -> Saturation | None:
    if limits is None:
        return None
    rows = [
        entries.record(pair, f"saturation[{i}]", (*_ENDS, "whole"))
        for i, pair in enumerate(entries.listing(limits, "saturation"))
    ]
    low, high = ([entries.number(row[key], f"saturation: {key}") for row in rows] for key in _ENDS)
    whole = [entries.boolean(row["whole"], "saturation: whole") for row in rows]
    return Saturation(np.array(low), np.array(high), np.array(whole))


def _covariance(packed: Any, n: int) -> FloatArray | None:
    if packed is None:
        return None
    length = n * (n + 1) // 2
    if len(entries.listing(packed, "covariance")) != length:
        must = f"must have {length} numbers, the lower triangle over {n} coefficients"
        raise entries.error("covariance", must, packed)
    numbers = [entries.number(value, f"covariance[{i}]") for i, value in enumerate(packed)]
    covariance = np.zeros((n, n))
    rows, columns = np.tril_indices(n)
    covariance[rows, columns] = covariance[columns, rows] = numbers
    negative = np.flatnonzero(np.diag(covariance) < 0)
    if len(negative):
        i = int(negative[0])
        place = f"covariance[{i * (i + 1) // 2 + i}]"
        raise entries.error(place, "is a variance and must not be negative", covariance[i, i])
    return covariance
