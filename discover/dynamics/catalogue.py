"""Published chaotic systems: their laws, sizes of time, and Lyapunov exponents, as data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from discover.dynamics.integrators import simulate
from discover.dynamics.simulation import Simulation
from discover.libraries import SymbolicLibrary
from discover.observations import Trajectory
from discover.symbolic.model import SymbolicModel
from discover.typing import FloatArray

__all__ = ["COLLECTION", "System", "add_noise", "list_systems", "load_system"]

#: Where equations, parameters, initial states and periods come from.
COLLECTION = (
    "W. Gilpin, Chaos as an interpretable benchmark for forecasting and data-driven modelling, "
    "NeurIPS Datasets and Benchmarks 2021 (dysts 0.96)"
)
_SETTLE = 20.0  # periods from the initial state to the attractor
_GAP = 3.7  # periods between runs; not a whole number, so that runs start at all phases
_TIGHT = 1e-13  # errors of about 1e-11 of the states over ten periods


@dataclass(frozen=True, eq=False, repr=False)
class System:
    """A published chaotic system.

    Parameters
    ----------
    name : str
    model : SymbolicModel
        The law.
    parameters : mapping
        Parameters by the letters of the collection; their values are in the coefficients
        and terms of the law already.
    initial_state : ndarray of shape (n_states,)
        On the attractor, or near it.
    period : float
        Time of the strongest peak in the spectrum.
    exponents : ndarray of shape (n_states,) or None
        Lyapunov exponents, the largest first, by
        :func:`~discover.dynamics.lyapunov_spectrum`. None where the law jumps: then the
        tangents do too, and the variational equations do not say how.
    exponent_errors : ndarray of shape (n_states,) or None
        Their standard errors.
    reference : str
        Where the system was first published, or a standard work about it.
    description : str
    polynomial : bool
        Whether every term is a monomial.
    conservative : bool
        Whether a quantity is conserved: then the initial state chooses the motion, and a
        law has not one form only.
    benchmark : bool
        Whether it is one of the 70 systems of Kaptanoglu et al., Nonlinear Dyn. 111
        (2023) 13143-13164.
    source : str
        The collection the numbers are from.
    """

    name: str
    model: SymbolicModel
    parameters: Mapping[str, Any]
    initial_state: FloatArray
    period: float
    exponents: FloatArray | None
    exponent_errors: FloatArray | None
    reference: str
    description: str
    polynomial: bool
    conservative: bool
    benchmark: bool
    source: str = field(default=COLLECTION)

    @property
    def dimension(self) -> int:
        """Number of states."""
        return self.model.n_states

    @property
    def degree(self) -> int | None:
        """Degree of a polynomial law; None for the others."""
        powers = self.model.table.powers()
        return None if powers is None else int(powers.sum(axis=1).max())

    @property
    def largest_exponent(self) -> float:
        """The largest Lyapunov exponent; NaN where none is known."""
        return np.nan if self.exponents is None else float(self.exponents[0])

    def simulate(
        self,
        n_periods: float = 10.0,
        points_per_period: int = 100,
        *,
        x0: ArrayLike | None = None,
        **options: Any,
    ) -> Simulation:
        """Follow the system.

        Parameters
        ----------
        n_periods : float, default=10.0
        points_per_period : int, default=100
        x0 : array-like of shape (n_states,) or (n_members, n_states), optional
            By default the initial state of the catalogue.
        **options
            As for :func:`~discover.dynamics.simulate`.

        Returns
        -------
        Simulation
        """
        start = self.initial_state if x0 is None else x0
        return simulate(self.model, start, self._grid(n_periods, points_per_period), **options)

    def trajectories(
        self,
        n_runs: int = 5,
        n_periods: float = 10.0,
        points_per_period: int = 100,
        *,
        noise: float = 0.0,
        rng: np.random.Generator | None = None,
        rtol: float = _TIGHT,
    ) -> list[Trajectory]:
        """Sample runs on the attractor.

        Parameters
        ----------
        n_runs : int, default=5
        n_periods : float, default=10.0
        points_per_period : int, default=100
        noise : float, default=0.0
            Standard deviation of the noise relative to that of each state over all runs.
        rng : numpy.random.Generator, optional
            Needed with noise.
        rtol : float, default=1e-13
            Bound on the error of one step.

        Returns
        -------
        list of Trajectory
            Stretches of one long run, begun 20 periods after the initial state and 3.7
            periods apart. Times start at 0, save where the law depends on them.

        Raises
        ------
        ValueError
            If there is noise and no generator.

        Examples
        --------
        >>> runs = load_system("Lorenz").trajectories(2, 3)
        >>> [run.states.shape for run in runs]
        [(300, 3), (300, 3)]
        """
        grid = self._grid(n_periods, points_per_period)
        starts = self.period * (_SETTLE + (n_periods + _GAP) * np.arange(n_runs))
        times = starts[:, None] + grid
        whole = np.concatenate([[0.0], times.ravel()])
        path = np.asarray(simulate(self.model, self.initial_state, whole, rtol=rtol))
        states = path[1:].reshape(n_runs, len(grid), -1)
        own = times if self.model.time_name is not None else np.broadcast_to(grid, times.shape)
        names = tuple(self.model.state_names)
        runs = [
            Trajectory(np.ascontiguousarray(x), np.array(t), state_names=names, name=self.name)
            for x, t in zip(states, own, strict=True)
        ]
        return add_noise(runs, noise, rng=rng) if noise else runs

    def _grid(self, n_periods: float, points_per_period: int) -> FloatArray:
        n = round(n_periods * points_per_period)
        if n < 2:
            raise ValueError(
                "System: n_periods times points_per_period must be at least 2; got "
                f"{n_periods} and {points_per_period}."
            )
        return n_periods * self.period * np.linspace(0.0, 1.0, n)

    def __repr__(self) -> str:
        return f"{self.name}: {self.description}\n{self.model!r}"


def add_noise(
    runs: Sequence[Trajectory], level: float, *, rng: np.random.Generator | None
) -> list[Trajectory]:
    """Add independent normal noise to every sample.

    Parameters
    ----------
    runs : sequence of Trajectory
    level : float
        Standard deviation relative to that of each state over all runs.
    rng : numpy.random.Generator

    Returns
    -------
    list of Trajectory
    """
    if rng is None or not level >= 0:
        raise ValueError(
            f"add_noise: level must not be negative and rng be a Generator; got {level} and {rng}."
        )
    spread = np.concatenate([run.states for run in runs]).std(axis=0)
    return [
        replace(run, states=run.states + level * spread * rng.standard_normal(run.states.shape))
        for run in runs
    ]


def load_system(name: str) -> System:
    """Load a system of the catalogue.

    Parameters
    ----------
    name : str
        One of :func:`list_systems`; capitals do not matter.

    Returns
    -------
    System

    Raises
    ------
    ValueError
        If there is no such system; suggests similar names.

    Examples
    --------
    >>> lorenz = load_system("Lorenz")
    >>> lorenz.model.equations()[0]
    "x' = -10 x + 10 y"
    >>> lorenz.reference
    'E. N. Lorenz, J. Atmos. Sci. 20 (1963) 130-141'
    """
    known = _records()
    found = {key.lower(): key for key in known}.get(str(name).lower())
    if found is None:
        from difflib import get_close_matches

        near = get_close_matches(str(name), known, 3) or list(known)[:3]
        raise ValueError(
            f"load_system: no system {name!r} among the {len(known)} of the catalogue; did you "
            f"mean {', '.join(near)}? See list_systems()."
        )
    return _system(found)


def list_systems(
    *,
    polynomial: bool | None = None,
    dimension: int | None = None,
    benchmark: bool | None = None,
) -> list[str]:
    """Return the names of the systems in the catalogue.

    Parameters
    ----------
    polynomial : bool, optional
        Only laws that are polynomials, or only the others.
    dimension : int, optional
        Only laws of so many states.
    benchmark : bool, optional
        Only (not) the 70 systems of Kaptanoglu et al., Nonlinear Dyn. 111 (2023).

    Returns
    -------
    list of str

    Examples
    --------
    >>> len(list_systems()), len(list_systems(polynomial=True)), len(list_systems(benchmark=True))
    (129, 82, 70)
    """
    return [
        name
        for name, record in _records().items()
        if polynomial in (None, record["polynomial"])
        and dimension in (None, len(record["states"]))
        and benchmark in (None, record.get("benchmark", False))
    ]


@cache
def _records() -> dict[str, Any]:
    text = (files("discover.dynamics") / "data" / "systems.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@cache
def _system(name: str) -> System:
    record = _records()[name]
    start = np.array(record["start"], dtype=np.float64)
    start.flags.writeable = False
    return System(
        name,
        _model(record),
        record["parameters"],
        start,
        float(record["period"]),
        _frozen(record.get("exponents")),
        _frozen(record.get("exponent_errors")),
        record["reference"],
        record["description"],
        record["polynomial"],
        record.get("conservative", False),
        record.get("benchmark", False),
    )


def _frozen(values: Any) -> FloatArray | None:
    if values is None:
        return None
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


def _model(record: Mapping[str, Any]) -> SymbolicModel:
    """Parse the terms, each a coefficient by its text, into a law."""
    equations: list[dict[str, float]] = record["equations"]
    time = record.get("time")
    texts = list(dict.fromkeys(term for equation in equations for term in equation))
    names = [*record["states"], *([time] if time else [])]
    terms = [SymbolicLibrary([text]).build(names).names[0] for text in texts]
    table = SymbolicLibrary(texts).build(names)
    powers = table.powers()
    if powers is not None:  # as libraries of polynomials order them
        order = sorted(range(len(powers)), key=lambda k: (powers[k].sum(), tuple(-powers[k])))
        table = table.select(order)
    column = {text: table.names.index(term) for text, term in zip(texts, terms, strict=True)}
    coefficients = np.zeros((len(equations), table.n_terms))
    for i, equation in enumerate(equations):
        for text, value in equation.items():
            coefficients[i, column[text]] += value
    return SymbolicModel(table, coefficients, record["states"], time_name=time)
