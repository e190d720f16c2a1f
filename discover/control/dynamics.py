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
from discover.control.smoothing import noise_of, smooth_law, stretches
from discover.control.stages import RateFit
from discover.control.stops import Stops, detect_stops
from discover.control.transitions import Transitions
from discover.exceptions import DataWarning
from discover.libraries import FeatureLibrary
from discover.libraries.termtable import TermTable, TermTableBuilder
from discover.problems.base import DesignRows, Problem
from discover.regression import STLSQ, EnsembleRegressor
from discover.statistics import accumulate
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
    random_state : int

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
        random_state: int = 0,
    ) -> None:
        self.library = library
        self.coordinates = coordinates
        self.threshold = threshold
        self.n_members = n_members
        self.bounds = bounds
        self.noise = noise
        self.scheme = scheme
        self.random_state = random_state

    def fit(self, data: Transitions) -> LearnedDynamics:
        """Learn from all transitions."""
        if self.scheme not in SCHEMES:
            raise ValueError(
                f"DynamicsLearner: scheme must be one of {SCHEMES}; got {self.scheme!r}."
            )
        if isinstance(self.coordinates, Coordinates):
            found = self.coordinates
        elif self.coordinates == "observed":
            found = observed_coordinates(data.observation_names, data)
        else:
            found = detect_coordinates(data)
        stops = detect_stops(found, data)
        inside = _inside(data, self.bounds) & ~stops.reached(found.states(data.next_states))
        before = found.states(data.states)[inside]
        change = found.increments(before, found.states(data.next_states)[inside])
        inputs = np.concatenate([before, data.actions[inside]], axis=1)
        noise = rates = None
        if self.scheme == "rk4":
            table, members, rates = self._fit_rates(found, data, inputs, change)
        else:
            table, members, noise = self._fit_increments(found, data, inside, inputs, change)
        model = SymbolicModel(
            table, np.median(members, axis=0), found.state_names, tuple(data.action_names),
            kind="increment",
        )  # fmt: skip
        size = np.sqrt(np.mean(change**2, axis=0))
        scale = np.where(size > 0, size, 1.0)
        return LearnedDynamics(model, members, found, int(inside.sum()), scale, stops, noise, rates)

    def _fit_increments(
        self,
        found: Coordinates,
        data: Transitions,
        inside: BoolArray,
        inputs: FloatArray,
        change: FloatArray,
    ) -> tuple[TermTable, FloatArray, FloatArray | None]:
        """Return the terms of the increments, members, and the noise of the observations."""
        kept = _forced(found)
        built = [_drifted(library, found, data) for library in self._libraries(found, data)]
        designs = [table.evaluate(inputs) for table, _ in built]
        table, velocities = built[most_predictive(designs, change[:, kept], self.threshold)]
        runs = stretches(data, found, inside)
        noise = None if self.noise is None else noise_of(runs, table, found.drifts)
        if noise is None:
            kicks = self._regress(table, inputs, change[:, kept])
        else:
            law = smooth_law(runs, table, found.drifts, noise)
            noise = found.noise(law.noise)
            draws = law.draws(np.random.default_rng(self.random_state), self.n_members - 1)
            kicks = np.concatenate([law.coefficients[None], draws])[:, kept]
        return table, _with_drifts(kicks, kept, found, velocities, table), noise

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

    def _regress(self, table: TermTable, inputs: FloatArray, targets: FloatArray) -> FloatArray:
        problem = Problem(
            np.ascontiguousarray(inputs), np.ascontiguousarray(targets), table.inputs,
            tuple(f"d{i}" for i in range(targets.shape[1])), "increment", None,
            np.array([0, len(inputs)]), float(len(inputs)), np.zeros(targets.shape[1]),
        )  # fmt: skip
        blocks = max(2, len(inputs) // _ROWS_PER_BLOCK)
        stats = accumulate(DesignRows(problem, table), n_blocks=blocks)
        ensemble = EnsembleRegressor(
            STLSQ(self.threshold), self.n_members, random_state=self.random_state
        )
        with warnings.catch_warnings():  # early data cannot tell all candidates apart
            warnings.simplefilter("ignore", DataWarning)
            found = ensemble.fit_statistics(stats)
        assert found.members is not None
        return found.members


def _inside(data: Transitions, bounds: Mapping[str, tuple[float, float]] | None) -> BoolArray:
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
