"""The front door: whatever users hold becomes a list of `Trajectory`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from discover.exceptions import DataWarning
from discover.observations.casting import as_matrix, as_times, is_number
from discover.observations.checks import constant_columns, refuse_unobserved
from discover.observations.naming import (
    TIME,
    Column,
    Columns,
    read_columns,
    refuse_repeats,
    split_unit,
)
from discover.observations.place import Place
from discover.observations.tables import Table, clock_of, is_labelled, open_table
from discover.observations.trajectory import Trajectory, default_names
from discover.typing import FloatArray

__all__ = ["as_trajectories"]

Labels: TypeAlias = "str | int | Sequence[str | int]"


@dataclass(frozen=True)
class _Run:
    """One run on its way in: its states (and all else in X), times and controls."""

    place: Place
    data: Table
    times: FloatArray
    time_unit: str | None
    inputs: Table | None


def as_trajectories(
    X: Any,
    t: Any = None,
    u: Any = None,
    *,
    names: str | Sequence[str] | None = None,
    control_names: str | Sequence[str] | None = None,
    controls: Labels | None = None,
    owner: str = "SINDy",
) -> list[Trajectory]:
    """Validate observations in any of the usual forms; drop nothing, repair nothing.

    NaN, None, pandas' NA and masked entries are missing observations and stay, as NaN.
    float64 arrays in C order are passed through without a copy.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_states) or (n_samples,), table, or list of these
        One run, or a list (or tuple) of runs of any lengths.

        - a list of numbers, or of rows of numbers, is one run; a list of arrays or tables
          is a list of runs;
        - pandas DataFrame or Series: column names become state names;
        - xarray DataArray (time x variable) or Dataset (one variable per state);
        - `Trajectory` objects, which are returned as they are.

        A header such as ``"h1 [cm]"`` is a name and a unit. Names become identifiers:
        ``"heart rate"`` is ``heart_rate``, ``"2nd"`` is ``_2nd``, ``"lambda"`` and ``"t"``
        are ``lambda_`` and ``t_``, column label 3 is ``x3``. Without names: x0, x1, ...
        Later runs are put in the order of the first by name; runs without names are taken
        to be in that order.
    t : float, array_like of shape (n_samples,), str, or list of these, optional
        The sampling interval dt; the sample times; or the name of the column (coordinate)
        of `X` that holds them. A list has one entry per run; one array, not in a list of
        that length, serves all runs. Dates become seconds from the first sample of each
        run, durations become seconds, both with time unit "s".

        None takes the index of a pandas table, or the time coordinate of an xarray one. A
        plain integer index (row numbers) is then time too, in steps of 1 if it is 0, 1,
        2, ...; it must be strictly increasing, and no column may be called t or time.
    u : array_like of shape (n_samples, n_controls) or (n_samples,), table, callable, optional
        Controls at the sample times, or a list of one such entry per run. A callable gets
        one time, as a float, and returns the vector of controls. A table must have the
        same row labels as `X`.
    names, control_names : str or sequence of str, optional
        Names (with units, if you like) of the states and controls in order; they replace
        those of the tables. With `controls`, `names` may cover all columns of `X`.
    controls : str, int or sequence of these, optional
        Columns of `X` that are controls, instead of `u`: by name, or by position (by
        label, if the labels are integers).
    owner : str, optional
        Who asks; begins every message.

    Returns
    -------
    list of Trajectory
        One per run, with the same names in the same order.

    Raises
    ------
    DataError
        If the data cannot be used as they are. Rows, columns and runs are counted from 0.

    Warns
    -----
    DataWarning
        If a state is constant in every run.
    """
    given = {"t": t, "u": u, "names": names, "control_names": control_names, "controls": controls}
    raw_runs, several = _split_runs(X, owner)
    if any(isinstance(run, Trajectory) for run in raw_runs):
        return _already_trajectories(raw_runs, given, owner)
    if u is not None and controls is not None:
        raise Place(owner).error("controls must come from u or from X", "got both u and controls")
    places = [
        Place(owner, i if several else None, inputs="u" if controls is None else "X")
        for i in range(len(raw_runs))
    ]
    clocks = _one_per_run(t, several, places, "t")
    inputs = _one_per_run(u, several, places, "u")
    runs = [_read_run(*parts) for parts in zip(places, raw_runs, clocks, inputs, strict=True)]
    trajectories = _assemble(_aligned(runs), names, control_names, controls)
    _warn_constant(trajectories, owner)
    return trajectories


def _split_runs(X: Any, owner: str) -> tuple[list[Any], bool]:
    """Return the runs, and whether they came as a list."""
    if not isinstance(X, list | tuple):
        return [X], False
    if not X:
        raise Place(owner).error("X must hold at least one run", "got an empty list")
    if any(_is_block(item) for item in X):
        return list(X), True
    return [list(X)], False


def _is_block(item: Any) -> bool:
    """Whether an item of a list is a run by itself, and not a row or a number."""
    if isinstance(item, list | tuple):
        return bool(item) and (isinstance(item[0], list | tuple) or _has_axes(item[0]))
    return isinstance(item, Trajectory) or is_labelled(item) or _has_axes(item)


def _has_axes(item: Any) -> bool:
    return bool(getattr(item, "shape", ()))


def _already_trajectories(
    runs: Sequence[Any], given: dict[str, Any], owner: str
) -> list[Trajectory]:
    first, extra = runs[0], [name for name, value in given.items() if value is not None]
    if extra:
        found = f"got {', '.join(extra)} too"
        raise Place(owner).error("a Trajectory must come alone: it has times and names", found)
    for i, run in enumerate(runs):
        if not isinstance(run, Trajectory) or not isinstance(first, Trajectory):
            must = "X must hold only Trajectory objects, or none"
            raise Place(owner, i).error(must, f"got a {type(run).__name__}")
        theirs, ours = run.state_names + run.control_names, first.state_names + first.control_names
        if theirs != ours or run.n_states != first.n_states:
            found = f"{', '.join(theirs)} where run 0 has {', '.join(ours)}"
            raise Place(owner, i).error("runs must have the same states and controls", found)
    return list(runs)


def _one_per_run(value: Any, several: bool, places: Sequence[Place], what: str) -> list[Any]:
    """Return the entry of `t` or `u` that belongs to each run."""
    n_runs, is_list = len(places), isinstance(value, list | tuple)
    if not several:
        return [value]
    if is_list and len(value) == n_runs:
        return list(value)
    if is_list and (what == "u" or any(_is_block(item) for item in value)):
        found = f"{what} has {len(value)} entries, X has {n_runs} runs"
        raise Place(places[0].owner).error(f"{what} must have one entry per run", found)
    if what == "u" and n_runs > 1 and value is not None and not callable(value):
        found = f"one {type(value).__name__} for {n_runs} runs"
        raise Place(places[0].owner).error("u must be a list with one entry per run", found)
    return [value] * n_runs


def _read_run(place: Place, X: Any, t: Any, u: Any) -> _Run:
    label = str(t) if isinstance(t, str) else None
    data = open_table(X, place, "X", "x", label)
    if len(data.values) < 2:
        found = "got one row" if len(data.values) else "got no rows"
        raise place.error("X must have at least two rows (samples)", found)
    times, unit = _read_times(data, t, place)
    inputs = None if u is None else _read_inputs(u, times, place)
    if inputs is not None:
        _refuse_other_rows(data.index, inputs.index, "u", place)
    return _Run(place, data, times, unit, inputs)


def _read_times(data: Table, t: Any, place: Place) -> tuple[FloatArray, str | None]:
    """Take times from dt, from an array, or from the clock that came with the table."""
    if t is not None and not isinstance(t, str | list | tuple) and np.ndim(t) == 0:
        times = np.arange(len(data.values), dtype=np.float64)
        times *= _interval(t, place)
        return times, None
    clock = data.clock if t is None or isinstance(t, str) else clock_of(t)
    if clock is None:
        advice = "Pass the sample times (n_samples,), or the sampling interval as a number."
        if getattr(data.index, "nlevels", 1) > 1:
            advice = "Pass a list of runs: [run.droplevel(0) for _, run in X.groupby(level=0)]."
        raise place.error("t must be given", "these data carry no times", advice=advice)
    if t is None:
        _refuse_forgotten_time(data, place)
    _refuse_other_rows(data.index, clock.index, "t", place)
    times, unit = as_times(clock.raw, place)
    return times, unit or clock.known_unit


def _refuse_forgotten_time(data: Table, place: Place) -> None:
    """Raise DataError for a column called time beside an index of mere row numbers."""
    if getattr(getattr(data.index, "dtype", None), "kind", "O") not in "iu":
        return
    for column in data.columns or ():
        header = split_unit(str(column.label))[0]
        if header == TIME or header.lower() == "time":  # T is a temperature
            found = f"X has a column {column.label!r} and only row numbers as index"
            advice = f"Pass t={column.label!r}; if it is a state, rename it."
            raise place.error("t must be given", found, advice=advice)


def _interval(dt: Any, place: Place) -> float:
    value = dt[()] if isinstance(dt, np.ndarray) else dt
    if not is_number(value) or not 0 < value < np.inf:
        raise place.error("t must be sample times or a positive interval", f"got {value!r}")
    return float(value)


def _read_inputs(u: Any, times: FloatArray, place: Place) -> Table:
    if not callable(u):
        return open_table(u, place, "u", "u")
    rows = [np.atleast_1d(np.asarray(u(float(time)))) for time in times]
    shapes = {row.shape for row in rows}
    if len(shapes) != 1 or rows[0].ndim != 1:
        found = f"got shapes {', '.join(map(str, sorted(shapes)))}"
        raise place.error("u(t) must return a vector of one length", found)
    return Table(as_matrix(np.stack(rows), place, "u"))


def _refuse_other_rows(ours: Any, theirs: Any, what: str, place: Place) -> None:
    """Raise DataError if two tables disagree on row labels: they would be paired wrongly."""
    if ours is None or theirs is None or len(ours) != len(theirs):
        return  # unequal lengths are refused with the run itself
    left, right = np.asarray(ours), np.asarray(theirs)
    different = (left != right) & ((left == left) | (right == right))  # NaN agrees with NaN
    if np.any(different):
        row = int(np.argmax(different))
        found = f"{theirs[row]} in {what}, {ours[row]} in X"
        advice = f"Align them by label, or pass {what}.to_numpy() to pair them by position."
        raise place.error(f"{what} must have the row labels of X", found, row=row, advice=advice)


def _aligned(runs: Sequence[_Run]) -> list[_Run]:
    """Put all runs in the column order of the first, by name."""
    places = [run.place for run in runs]
    data = _align_tables([run.data for run in runs], places, "X")
    given = [run.inputs for run in runs]
    _refuse_other_units([run.time_unit for run in runs], places, "t")
    if all(table is None for table in given):
        return [replace(run, data=table) for run, table in zip(runs, data, strict=True)]
    for table, place in zip(given, places, strict=True):
        if table is None:
            raise place.error("u must be given for every run or for none", "u is missing")
    inputs = _align_tables([table for table in given if table is not None], places, "u")
    parts = zip(runs, data, inputs, strict=True)
    return [replace(run, data=table, inputs=control) for run, table, control in parts]


def _align_tables(tables: list[Table], places: Sequence[Place], what: str) -> list[Table]:
    named = [table.columns for table in tables if table.columns is not None]
    reference = named[0] if named else None
    count = tables[0].values.shape[1]
    aligned = []
    for table, place in zip(tables, places, strict=True):
        if reference is None or table.columns is None:
            if table.values.shape[1] != count:
                found = f"{table.values.shape[1]} where run 0 has {count}"
                raise place.error(f"{what} must have as many columns in every run", found)
            aligned.append(replace(table, columns=reference))
        else:
            aligned.append(_in_order(table, table.columns, reference, place, what))
    return aligned


def _in_order(table: Table, columns: Columns, reference: Columns, place: Place, what: str) -> Table:
    ours, theirs = [c.name for c in reference], [c.name for c in columns]
    missing = [name for name in ours if name not in theirs]
    surplus = [name for name in theirs if name not in ours]
    if missing or surplus:
        lacks = f"{', '.join(missing)} missing" if missing else ""
        adds = f"{', '.join(surplus)} not in the first run" if surplus else ""
        must = f"{what} must have the same columns in every run"
        raise place.error(must, ", ".join(filter(None, [lacks, adds])))
    ordered = table.take([theirs.index(name) for name in ours])
    for ours_, theirs_ in zip(reference, ordered.columns or (), strict=True):
        _refuse_other_units([ours_.unit, theirs_.unit], [place, place], what, theirs_.name)
    return ordered


def _refuse_other_units(
    units: Sequence[str | None], places: Sequence[Place], what: str, column: str | None = None
) -> None:
    known = [unit for unit in units if unit is not None]
    for unit, place in zip(units, places, strict=True):
        if unit is not None and unit != known[0]:
            found = f"{unit!r} here, {known[0]!r} before"
            raise place.error(f"{what} must have one unit in all runs", found, column=column)


def _assemble(
    runs: Sequence[_Run],
    names: str | Sequence[str] | None,
    control_names: str | Sequence[str] | None,
    controls: Labels | None,
) -> list[Trajectory]:
    """Settle names, take controls out of X, and build the validated runs."""
    place = Place(runs[0].place.owner)
    columns, n_columns = runs[0].data.columns, runs[0].data.values.shape[1]
    if controls is not None and _count(names) == n_columns:
        columns, names = _named(names, columns, n_columns, place, "names", "x"), None
    taken = _control_positions(controls, columns, n_columns, place)
    kept = [j for j in range(n_columns) if j not in taken]
    if not kept:
        raise place.error("X must keep at least one state", "every column is a control")
    if taken:
        runs = [replace(run, inputs=_controls_of(run.data, taken, columns)) for run in runs]
    inputs = runs[0].inputs
    width = inputs.values.shape[1] if inputs else 0
    ours = _named(names, _pick(columns, kept), len(kept), place, "names", "x", n_inputs=width)
    labelled = inputs.columns if inputs else None
    theirs = _named(control_names, labelled, width, place, "control_names", "u")
    refuse_repeats(ours + theirs, place)
    return [_build(run, kept, ours, theirs) for run in runs]


def _controls_of(data: Table, taken: Sequence[int], columns: Columns | None) -> Table:
    return replace(data.take(taken), columns=_pick(columns, taken))


def _build(run: _Run, kept: Sequence[int], states: Columns, controls: Columns) -> Trajectory:
    trajectory = Trajectory(
        run.data.take(kept).values,
        run.times,
        run.inputs.values if run.inputs else None,
        state_names=tuple(column.name for column in states),
        control_names=tuple(column.name for column in controls),
        state_units=tuple(column.unit for column in states),
        control_units=tuple(column.unit for column in controls),
        time_unit=run.time_unit,
        name=None if run.place.run is None else f"run {run.place.run}",
        place=run.place,
    )
    refuse_unobserved(trajectory.states, trajectory.state_names, run.place, "X")
    if trajectory.controls is not None:
        names, what = trajectory.control_names, run.place.inputs
        refuse_unobserved(trajectory.controls, names, run.place, what)
    return trajectory


def _count(names: str | Sequence[str] | None) -> int:
    return 0 if names is None else 1 if isinstance(names, str) else len(names)


def _pick(columns: Columns | None, positions: Sequence[int]) -> Columns | None:
    return None if columns is None else tuple(columns[j] for j in positions)


def _named(
    given: str | Sequence[str] | None,
    columns: Columns | None,
    count: int,
    place: Place,
    what: str,
    prefix: str,
    *,
    n_inputs: int = 0,
) -> Columns:
    """Return the user's names, else those of the table, else ``x0, x1, ...``."""
    if given is None:
        defaults = tuple(Column(name, None, name) for name in default_names(prefix, count))
        return defaults if columns is None else columns
    if _count(given) != count:
        advice = "Name the controls with control_names." if n_inputs else ""
        found = f"got {_count(given)}"
        raise place.error(f"{what} must have {count} entries", found, advice=advice)
    chosen = read_columns([given] if isinstance(given, str) else given, place, prefix)
    if columns is None:
        return chosen
    own, new = [column.name for column in columns], [column.name for column in chosen]
    if own != new and sorted(own) == sorted(new):
        found = f"columns {', '.join(own)} would be called {', '.join(new)}"
        advice = "To change the order of the columns, reorder the table."
        raise place.error(f"{what} must not swap the names of columns", found, advice=advice)
    pairs = zip(chosen, columns, strict=True)
    return tuple(replace(new, unit=new.unit or old.unit) for new, old in pairs)


def _control_positions(
    controls: Labels | None, columns: Columns | None, n_columns: int, place: Place
) -> list[int]:
    """Return where in X the controls are, in the order they were named."""
    labels: Any = () if controls is None else controls
    labels = [controls] if isinstance(controls, str | int | np.integer) else labels
    positions = [_control_position(label, columns, n_columns, place) for label in labels]
    if len(set(positions)) < len(positions):
        raise place.error("controls must name different columns of X", f"got {list(labels)!r}")
    return positions


def _control_position(
    label: str | int, columns: Columns | None, n_columns: int, place: Place
) -> int:
    for position, column in enumerate(columns or ()):
        if column.answers_to(label):
            return position
    by_label = any(column.is_counted for column in columns or ())
    if isinstance(label, int | np.integer) and not isinstance(label, bool) and not by_label:
        if -n_columns <= label < n_columns:
            return int(label) % n_columns
    known = ", ".join(str(column.label) for column in columns or ()) or f"0 to {n_columns - 1}"
    raise place.error("controls must name columns of X", f"got {label!r}; there are {known}")


def _warn_constant(trajectories: Sequence[Trajectory], owner: str) -> None:
    """Warn of states that never move: they have no dynamics, and alias the constant term."""
    constant = set(constant_columns(trajectories[0].states))
    for trajectory in trajectories[1:]:
        constant &= set(constant_columns(trajectory.states)) if constant else set()
    if constant:
        listed = ", ".join(repr(trajectories[0].state_names[j]) for j in sorted(constant))
        warnings.warn(
            f"{owner}: constant in every run: {listed}. A state that never changes has only the "
            f"derivative 0 and cannot be told from the constant term. Leave it out, or "
            f"pass it as a control if it differs between runs.",
            DataWarning,
            stacklevel=3,
        )
