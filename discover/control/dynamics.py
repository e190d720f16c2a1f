"""Surrogate dynamics: increments as sparse ensembles, from statistics that grow with the data."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.base import BaseEstimator, clone

from discover.control.candidates import candidate_libraries
from discover.control.competition import most_predictive
from discover.control.coordinates import Coordinates, detect_coordinates, observed_coordinates
from discover.control.forgetting import Memory, Sizes, weighted_statistics
from discover.control.options import check_bounds
from discover.control.smoothing import noise_of, smooth_law, stretches
from discover.control.stages import RateFit
from discover.control.stops import Stops, detect_stops
from discover.control.transitions import Transitions
from discover.exceptions import DataError, DataWarning
from discover.libraries import FeatureLibrary
from discover.libraries.termtable import TermTable, TermTableBuilder
from discover.problems.base import DesignRows, Problem
from discover.regression import STLSQ, EnsembleRegressor
from discover.statistics import SufficientStatistics, accumulate
from discover.symbolic import SymbolicModel
from discover.typing import BoolArray, FloatArray

__all__ = ["SCHEMES", "DynamicsLearner", "LearnedDynamics"]

SCHEMES = ("increments", "rk4")
_ROWS_PER_BLOCK = 10
_TRIED = 4  # rounds of a fit of rates, by which families compete


@dataclass(frozen=True, eq=False)
class LearnedDynamics:
    """What was learned of the transitions.

    Parameters
    ----------
    model : SymbolicModel
        Kind "increment" over states and actions: the median of the members.
    members : ndarray of shape (n_members, n_states, n_terms)
        Their coefficients, on the terms of `model`.
    coordinates : Coordinates
    n_rows : int
        Steps that the fit used.
    scale : ndarray of shape (n_states,)
        Root-mean-square of the increments.
    stops : Stops, optional
        Limits at which states are cut off; by default none.
    noise : ndarray of shape (n_observations,), optional
        Standard deviation of the noise of observations; None where it is negligible.
    rates : SymbolicModel, optional
        Kind "continuous", time in steps: the law of which `model` is one Runge-Kutta step, if
        rates were learned.
    """

    model: SymbolicModel
    members: FloatArray
    coordinates: Coordinates
    n_rows: int
    scale: FloatArray
    stops: Stops | None = None
    noise: FloatArray | None = None
    rates: SymbolicModel | None = None

    @property
    def law(self) -> SymbolicModel:
        """The law as people read it: of rates if these were learned, else of increments."""
        return self.model if self.rates is None else self.rates

    def member(self, k: int) -> SymbolicModel:
        """Return one member as a model of its own."""
        return self.model.with_coefficients(self.members[k])

    def variance(self, states: FloatArray, actions: FloatArray) -> FloatArray:
        """Return the ensemble's variance of the increments, ``theta C theta'`` per state.

        Parameters
        ----------
        states : ndarray of shape (n, n_states)
        actions : ndarray of shape (n, n_actions)

        Returns
        -------
        ndarray of shape (n, n_states)
        """
        theta = self.model.table.evaluate(np.concatenate([states, actions], axis=1))
        apart = self.members - self.members.mean(axis=0)
        values = np.einsum("np,kip->kni", theta, apart)
        return np.asarray((values**2).sum(axis=0) / max(len(apart) - 1, 1))

    def disagreement(self, states: FloatArray, actions: FloatArray) -> FloatArray:
        """Return the root of the mean variance over states, in units of the increments.

        Returns
        -------
        ndarray of shape (n,)
        """
        return np.asarray(np.sqrt((self.variance(states, actions) / self.scale**2).mean(axis=1)))


class DynamicsLearner(BaseEstimator):
    """Learn how states change, as an ensemble of sparse laws.

    Parameters
    ----------
    library : FeatureLibrary, optional
        Candidate terms over the states and actions by name; by default those of
        :func:`candidate_libraries`, of which the family is taken that predicts held-out
        stretches of time best.
    coordinates : {"auto", "observed"} or Coordinates, default="auto"
        "auto" finds angles and velocities (:func:`detect_coordinates`); "observed" takes
        the observations as they are.
    threshold : float, default=3e-3
        Of STLSQ, on contributions: no unit.
    n_members : int, default=5
    bounds : mapping of str to (low, high), optional
        Box of observations in which the law holds; rows that leave it (contacts) are masked.
    noise : {"auto"} or None, default="auto"
        "auto" looks for noise in the observations; above a thousandth of their spread,
        states and law are estimated together (:func:`smooth_law`). None regresses on the
        observations as they are.
    scheme : {"increments", "rk4"}, default="increments"
        What is sparse: the increments of a step, or, for long steps, the rates of change that
        the classical Runge-Kutta scheme integrates over it (:func:`averaged_terms`); noise is
        not looked for then.
    forgetting : float, default=1.0
        Factor by which a step counts less than the one after it: 0.99 remembers about the last
        100, and follows a plant that changes slowly. Below 1, noise is not looked for.
    random_state : int

    Attributes
    ----------
    memory_ : Memory
        After :meth:`partial_fit`: all that is kept of the steps so far.

    Notes
    -----
    With velocities known, positions drift, velocities are kicked, positions drift: all
    terms are evaluated at the drifted positions, so that fit and rollout are one map
    (Stoermer and Verlet's scheme; Hairer, Lubich and Wanner, Acta Numerica 12 (2003) 399).
    The bag of a member is as large as the data.
    """

    def __init__(
        self,
        library: FeatureLibrary | None = None,
        *,
        coordinates: str | Coordinates = "auto",
        threshold: float = 3e-3,
        n_members: int = 5,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        noise: str | None = "auto",
        scheme: str = "increments",
        forgetting: float = 1.0,
        random_state: int = 0,
    ) -> None:
        self.library = library
        self.coordinates = coordinates
        self.threshold = threshold
        self.n_members = n_members
        self.bounds = bounds
        self.noise = noise
        self.scheme = scheme
        self.forgetting = forgetting
        self.random_state = random_state

    def fit(self, data: Transitions) -> LearnedDynamics:
        """Learn from all transitions."""
        self._check()
        found = self._coordinates(data)
        stops = detect_stops(found, data)
        rows = _rows(data, found, stops, self.bounds)
        rows.check()
        if self.scheme == "rk4":
            table, members, rates = self._fit_rates(found, data, rows.inputs, rows.change)
            weights = np.ones(len(rows.change))
            return _learned(table, members, found, stops, _sizes(rows.change, weights), rates=rates)
        memory = self._remember(data, rows, found, stops)
        noise = None
        if self.noise is not None and self.forgetting == 1:
            runs = stretches(data, found, rows.inside)
            noise = noise_of(runs, memory.table, found.drifts)
        if noise is None:
            return self._recall(memory)
        law = smooth_law(runs, memory.table, found.drifts, noise)
        draws = law.draws(np.random.default_rng(self.random_state), self.n_members - 1)
        kicks = np.concatenate([law.coefficients[None], draws])[:, _forced(found)]
        return self._recall(memory, kicks, found.noise(law.noise))

    def partial_fit(self, data: Transitions) -> LearnedDynamics:
        """Learn from further transitions, without the earlier ones.

        Parameters
        ----------
        data : Transitions
            Steps that followed those of the calls before.

        Returns
        -------
        LearnedDynamics
            As `fit` would find it from the steps of all calls, but that coordinates and
            library are those of the first call, a stop is none before it is reached, and
            noise is not looked for.

        Notes
        -----
        What is kept are sums: recursive least squares with exponential forgetting (Ljung,
        System Identification, 2nd ed., sec. 11.2), of all candidate terms, so that every
        call selects anew.
        """
        self._check(streams=True)
        known: Memory | None = getattr(self, "memory_", None)
        found = self._coordinates(data) if known is None else known.coordinates
        stops = detect_stops(found, data)
        if known is not None:
            stops = known.stops.joined(stops)
        rows = _rows(data, found, stops, self.bounds)
        memory = self._remember(data, rows, found, stops, known)
        if known is not None:
            memory = known.faded(self.forgetting ** len(data)).joined(memory)
        self.memory_ = memory
        return self._recall(memory)

    def _check(self, streams: bool = False) -> None:
        if self.scheme not in SCHEMES:
            raise ValueError(
                f"DynamicsLearner: scheme must be one of {SCHEMES}; got {self.scheme!r}."
            )
        if not 0 < self.forgetting <= 1:
            raise ValueError(
                f"DynamicsLearner: forgetting must be above 0 and at most 1; got {self.forgetting}."
            )
        if self.scheme != "increments" and (streams or self.forgetting < 1):
            raise ValueError(
                "DynamicsLearner: scheme must be 'increments' to forget, or to learn bit by bit; "
                f"got {self.scheme!r}."
            )

    def _coordinates(self, data: Transitions) -> Coordinates:
        if isinstance(self.coordinates, Coordinates):
            return self.coordinates
        if self.coordinates == "observed":
            return observed_coordinates(data.observation_names, data)
        return detect_coordinates(data)

    def _remember(
        self,
        data: Transitions,
        rows: _Rows,
        found: Coordinates,
        stops: Stops,
        known: Memory | None = None,
    ) -> Memory:
        """Return the sums over some steps, of the terms known or of those that predict best."""
        weights = (self.forgetting ** np.arange(len(data) - 1, -1, -1.0))[rows.inside]
        targets = rows.change[:, _forced(found)]
        if known is None:
            roots = np.sqrt(weights)[:, None]
            built = [_drifted(library, found, data) for library in self._libraries(found, data)]
            designs = [roots * table.evaluate(rows.inputs) for table, _ in built]
            best = most_predictive(designs, roots * targets, self.threshold)
            table, velocities = built[best]
        else:
            table, velocities = known.table, known.velocities
        stats = self._statistics(table, rows.inputs, targets, weights)
        sizes = _sizes(rows.change, weights)
        return Memory(found, stops, table, velocities, stats, sizes)

    def _recall(
        self, memory: Memory, kicks: FloatArray | None = None, noise: FloatArray | None = None
    ) -> LearnedDynamics:
        """Return the ensemble behind sums; or with given members."""
        found = memory.coordinates
        if kicks is None:
            kicks = self._regress(memory.stats)
        members = _with_drifts(kicks, _forced(found), found, memory.velocities, memory.table)
        return _learned(memory.table, members, found, memory.stops, memory.sizes, noise=noise)

    def _fit_rates(
        self, found: Coordinates, data: Transitions, inputs: FloatArray, change: FloatArray
    ) -> tuple[TermTable, FloatArray, SymbolicModel]:
        """Return the terms averaged over Runge-Kutta stages, members, and the law of rates."""
        kept = _forced(found)
        resting = replace(found, drifts=tuple(replace(d, before=0.0) for d in found.drifts))
        built = [_drifted(library, resting, data) for library in self._libraries(found, data)]
        fits = [
            RateFit(table, velocities, found, inputs, change, self.threshold)
            for table, velocities in built
        ]
        if len(fits) > 1:
            designs = [fit.averaged(_TRIED).evaluate(inputs) for fit in fits]
            fits = [fits[most_predictive(designs, change[:, kept], self.threshold)]]
        averaged = fits[0].averaged()
        rng = np.random.default_rng(self.random_state)
        members = fits[0].members(averaged.evaluate(inputs), self.n_members, rng)
        law = SymbolicModel(
            fits[0].table, np.median(members, axis=0), found.state_names, tuple(data.action_names)
        )
        return averaged, members, law

    def _libraries(self, found: Coordinates, data: Transitions) -> list[FeatureLibrary]:
        return candidate_libraries(found, data) if self.library is None else [clone(self.library)]

    def _statistics(
        self, table: TermTable, inputs: FloatArray, targets: FloatArray, weights: FloatArray
    ) -> SufficientStatistics:
        problem = Problem(
            np.ascontiguousarray(inputs), np.ascontiguousarray(targets), table.inputs,
            tuple(f"d{i}" for i in range(targets.shape[1])), "increment", None,
            np.array([0, len(inputs)]), float(len(inputs)), np.zeros(targets.shape[1]),
        )  # fmt: skip
        blocks = max(2, len(inputs) // _ROWS_PER_BLOCK)
        rows = DesignRows(problem, table)
        if self.forgetting == 1:
            return accumulate(rows, n_blocks=blocks)
        return weighted_statistics(rows, weights, blocks)

    def _regress(self, stats: SufficientStatistics) -> FloatArray:
        ensemble = EnsembleRegressor(
            STLSQ(self.threshold), self.n_members, random_state=self.random_state
        )
        with warnings.catch_warnings():  # early data cannot tell all candidates apart
            warnings.simplefilter("ignore", DataWarning)
            found = ensemble.fit_statistics(stats)
        assert found.members is not None
        return found.members


@dataclass(frozen=True)
class _Rows:
    """The steps that a fit may use, in states: which they are, inputs of the law, changes."""

    inside: BoolArray
    inputs: FloatArray
    change: FloatArray

    def check(self) -> None:
        if not len(self.change):
            raise DataError(
                f"DynamicsLearner: none of the {len(self.inside)} steps is within bounds and ends "
                "off the stops; widen the bounds."
            )


def _rows(
    data: Transitions,
    found: Coordinates,
    stops: Stops,
    bounds: Mapping[str, tuple[float, float]] | None,
) -> _Rows:
    inside = _inside(data, bounds) & ~stops.reached(found.states(data.next_states))
    before = found.states(data.states)[inside]
    change = found.increments(before, found.states(data.next_states)[inside])
    return _Rows(inside, np.concatenate([before, data.actions[inside]], axis=1), change)


def _sizes(change: FloatArray, weights: FloatArray) -> Sizes:
    return Sizes(weights @ change**2, float(weights.sum()), len(change))


def _learned(
    table: TermTable,
    members: FloatArray,
    found: Coordinates,
    stops: Stops,
    sizes: Sizes,
    *,
    noise: FloatArray | None = None,
    rates: SymbolicModel | None = None,
) -> LearnedDynamics:
    actions = table.inputs[len(found.state_names) :]
    model = SymbolicModel(
        table, np.median(members, axis=0), found.state_names, actions, kind="increment"
    )
    return LearnedDynamics(model, members, found, sizes.n_rows, sizes.scale, stops, noise, rates)


def _inside(data: Transitions, bounds: Mapping[str, tuple[float, float]] | None) -> BoolArray:
    check_bounds("DynamicsLearner", bounds, data.observation_names)
    inside = np.ones(len(data), dtype=bool)
    for name, (low, high) in (bounds or {}).items():
        j = list(data.observation_names).index(name)
        for seen in (data.states[:, j], data.next_states[:, j]):
            inside &= (seen >= low) & (seen <= high)
    return inside


def _forced(coordinates: Coordinates) -> list[int]:
    """Return the states whose motion has to be learned: all but drifting positions."""
    moved = {d.position for d in coordinates.drifts}
    return [i for i in range(len(coordinates.state_names)) if i not in moved]


def _drifted(
    library: FeatureLibrary, coordinates: Coordinates, data: Transitions
) -> tuple[TermTable, dict[int, int]]:
    """Return the library at drifted positions, and where the velocities are among its terms."""
    inputs = (*coordinates.state_names, *data.action_names)
    table = library.build(inputs)
    builder = TermTableBuilder(inputs)
    at = list(range(len(inputs)))
    for drift in coordinates.drifts:
        if drift.before:
            moved = builder.mul(builder.constant(drift.before), drift.velocity)
            at[drift.position] = builder.binary("add", drift.position, moved)
    slots = builder.copy(table, table.outputs.tolist(), at)
    slots += [drift.velocity for drift in coordinates.drifts]
    result = builder.table(slots)
    where = result.outputs.tolist()
    return result, {d.position: where.index(d.velocity) for d in coordinates.drifts}


def _with_drifts(
    kicks: FloatArray,
    kept: Sequence[int],
    coordinates: Coordinates,
    velocities: Mapping[int, int],
    table: TermTable,
) -> FloatArray:
    members = np.zeros((len(kicks), len(coordinates.state_names), table.n_terms))
    members[:, list(kept)] = kicks
    for d in coordinates.drifts:
        members[:, d.position] = d.after * members[:, d.velocity]
        members[:, d.position, velocities[d.position]] += d.before + d.after
    return members
