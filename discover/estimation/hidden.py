"""The joint fit where some states were never measured: unknown trajectories like the others."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from discover.estimation.collocation import Linearized
from discover.estimation.eliminating import Elimination, JointState
from discover.estimation.entries import (
    Entrances,
    Entry,
    Pin,
    first_entry,
    shifted_entries,
    stiffness_of,
)
from discover.estimation.gridding import measured_spread, pieces_of
from discover.estimation.joint import Engine, JointEstimate, JointFit
from discover.estimation.search import InformationSearch
from discover.exceptions import DataError, DataWarning, NotIdentifiableError
from discover.libraries.termtable import TermTable
from discover.observations import Trajectory, unobserved_states
from discover.typing import BoolArray, FloatArray, IntArray

__all__ = ["HiddenStateFit"]

_ANCHOR = 30.0  # standard deviations of the guess: how far one step may move the hidden state
_HELD = 1e8  # times the information of the data: that the first coefficient is one
_FINALISTS = 3  # entries that are followed to the end although one explains the data
_PROMISING = 1.5  # times the expected cost: entries that are
_EXPLAINED = 1.5  # times the noise of the data or its inverse: what a law may leave of it
_HOPELESS = 10.0  # times the expected cost: a law that is not followed any further
_LENGTHS = (range(3), range(3, 100))  # factors of the products tried first, and then


class HiddenStateFit(JointFit):
    """Estimate a law together with the trajectories of states that nobody measured.

    Parameters
    ----------
    noise, penalty
        As for :class:`JointFit`.
    noise_memory
        Not used: the noise is white.
    n_jobs
        As for :class:`JointFit`.

    Attributes
    ----------
    entry_ : str
        How the hidden states enter the law, in words.

    Notes
    -----
    Data tell a hidden state z only up to a change of coordinates: any ``a z + b(others)``
    serves as well. It is made unique by the way it enters: in one equation there is a term
    ``g(others) * z`` with coefficient one, and no term g, which a shift of z would supply. That
    is the equation of a measured state, or, for the second hidden state and later ones, of a
    hidden state before.

    For every equation and every such product among the candidates, z is first a coefficient that
    varies smoothly in time. From there the joint fit takes over, with the equation of z as
    open as the others. Entries are compared by likelihood and penalties. For the best, terms
    ``g * b(others)`` of its equation are then given to z, wherever that saves terms. The
    law is the sparsest that was found, in the coordinates in which it is sparsest.
    """

    def identify(
        self,
        runs: Sequence[Trajectory],
        table: TermTable,
        *,
        allowed: BoolArray | None = None,
        include_time: bool = False,
    ) -> JointEstimate:
        """Estimate the law; states without any measurement are the hidden ones.

        Parameters
        ----------
        runs, table, allowed, include_time
            As for :meth:`JointFit.identify`.

        Returns
        -------
        JointEstimate
            Its `measurement_noise` is NaN for hidden states; `smoothed_errors` include what is
            not known of the law.

        Raises
        ------
        DataError
            If no state is hidden, or all are, or no run has eight samples.
        NotIdentifiableError
            If no candidate lets measured states feel the hidden ones, or none could be followed.
        """
        pieces = pieces_of(runs)
        hidden = _hidden(pieces)
        noise = self._noise(pieces).copy()
        noise[list(hidden)] = 1.0  # replaced when there is a guess of the hidden states
        if allowed is None:
            allowed = np.ones((len(noise), table.n_terms), dtype=bool)
        with ThreadPoolExecutor(max(1, int(self.n_jobs))) as pool:
            rest = (table, noise, allowed, include_time, self.penalty)
            contest = _Contest(hidden, pieces, *rest, each=pool.map if self.n_jobs > 1 else map)
            with contest.progress:
                best = contest.best()
        self.entry_ = "; ".join(
            _in_words(pin, pieces[0].state_names, table) for pin in best.engine.entry.pins
        )
        left = float(np.max(best.engine.noise_left(best.state)))
        if left > _EXPLAINED or not contest.fits(best):
            size = np.sqrt(best.state.cost / best.engine.n_measured)
            much = (
                f"{left:.2g} times their noise" if left > _EXPLAINED
                else f"misfits {size:.2g} times as large as their noise allows"
            )  # fmt: skip
            warnings.warn(
                f"HiddenStateFit: no law was found that explains the data; this one leaves {much}. "
                f"Offer other terms, or measure another state.",
                DataWarning,
                stacklevel=4,
            )
        return best.engine.estimate(best.state)


def _in_words(pin: Pin, names: Sequence[str], table: TermTable) -> str:
    return (
        f"{names[pin.state]} was not measured, and is what has the coefficient 1 as "
        f"{table.names[pin.product]} in {names[pin.equation]}'"
    )


class _PinnedElimination(Elimination):
    """Normal equations of a law with some coefficients that are known."""

    def __init__(self, table: TermTable, d: int, pins: Sequence[Pin]) -> None:
        super().__init__(table, d)
        self.pins = pins

    def marginal(
        self, runs: list[Linearized], terms: IntArray, support: BoolArray | None = None
    ) -> Any:
        """Eliminate the trajectories; within a support, hold the coefficients that are known."""
        S, gradient, cost, parts = super().marginal(runs, terms, support)
        if support is not None:
            width = len(S) // self.d
            for pin in self.pins:
                at = pin.equation * width + int(support[pin.equation, : pin.product].sum())
                S[at, at] *= _HELD
        return S, gradient, cost, parts


class _HiddenEngine(Engine):
    """The steps of the joint fit, with states that are seen through the law alone."""

    def __init__(
        self, entry: Entry, hidden: Sequence[int], pieces: list[Trajectory], *rest: Any
    ) -> None:
        super().__init__(pieces, *rest)
        self.entry, self.hidden = entry, np.isin(np.arange(self.d), hidden)
        self.elimination = _PinnedElimination(self.table, self.d, entry.pins)
        wide = measured_spread(np.concatenate(entry.guess))
        spread = measured_spread(np.concatenate([run.states for run in pieces]))
        seen = ~self.hidden
        least, share = self.least[seen] / spread[seen], self.sigma[seen] / spread[seen]
        self.least = np.where(seen, self.least, least.min() * wide)
        self.sigma = np.where(seen, self.sigma, np.median(share) * wide)
        self.anchor = np.where(seen, 0.0, 1.0 / (_ANCHOR * wide) ** 2)
        self.allowed = self.allowed & ~entry.closed
        self.pinned = np.zeros((self.d, self.p), dtype=bool)
        for pin in entry.pins:
            self.pinned[pin.equation, pin.product] = True

    def first_guess(self, i: int) -> list[FloatArray]:
        """Smooth a measured state; the hidden ones are guessed already."""
        return [x[:, i] for x in self.entry.guess] if self.hidden[i] else super().first_guess(i)

    def start(self) -> JointState:
        """Begin with the terms that are known."""
        coefficients = np.ascontiguousarray(self.pinned.T.astype(np.float64))
        return replace(super().start(), coefficients=coefficients, support=self.pinned.copy())

    def linearize(self, state: JointState, level: float) -> list[Linearized]:
        """Linearise every run; a weak tie holds the hidden states where they are."""
        runs = super().linearize(state, level)
        return [replace(run, precision=run.precision + self.anchor) for run in runs]

    def search(self, state: JointState, level: float, open_to: BoolArray) -> InformationSearch:
        """Return the normal equations of all candidate terms but those that are known."""
        search = super().search(state, level, open_to | self.pinned)
        for place in np.flatnonzero(self.pinned):
            search.pin(int(place), 1.0)
        return search

    def noise_of(
        self, state: JointState, runs: list[Linearized], variances: list[FloatArray]
    ) -> FloatArray:
        """Return the standard deviation of the noise; that of a hidden state is a mere scale."""
        return np.where(self.hidden, self.sigma, super().noise_of(state, runs, variances))

    def noise_left(self, state: JointState) -> FloatArray:
        """Return what the law leaves, relative to the noise of the data, shape (d,)."""
        return np.asarray(state.sigma / self.sigma)

    def score(self, state: JointState) -> float:
        """Return minus twice the log-likelihood, with the noise, and the penalties."""
        seen = np.sum([grid.measured.sum(axis=0) for grid in state.grids], axis=0)
        noise = 2.0 * float(seen @ np.log(self.noise_left(state)))
        return state.cost + state.excused + noise + float(self.penalty[state.support.ravel()].sum())

    def met(self, state: JointState) -> Entry:
        """Return the entry with the trajectories of a state, on the grids of the start."""
        guess = tuple(
            x[np.isin(grid.times, first.times)]
            for x, grid, first in zip(state.x, state.grids, self.grids, strict=True)
        )
        return replace(self.entry, guess=guess)

    def estimate(self, state: JointState) -> JointEstimate:
        """Read the law off, some coefficients of which are known without error."""
        found = super().estimate(state)
        known = self.pinned[state.support]
        C = found.covariance
        C = C - C[:, known] @ np.linalg.solve(C[np.ix_(known, known)], C[known])
        C[known] = C[:, known] = 0.0
        extra = self.elimination.law_variances(state, self.linearize(state, 0.0), C)
        errors = tuple(
            np.sqrt(error**2 + more[np.isin(grid.times, run.times)])
            for error, more, grid, run in zip(
                found.smoothed_errors, extra, state.grids, self.pieces, strict=True
            )
        )
        return replace(
            found,
            coefficients=np.where(self.pinned, 1.0, found.coefficients),  # but for rounding
            covariance=C,
            smoothed_errors=errors,
            measurement_noise=np.where(self.hidden, np.nan, np.array(found.measurement_noise)),
        )


@dataclass(frozen=True, eq=False)
class _Law:
    """A law on its way: what it is worth, and where it stands."""

    worth: float  # smaller is better
    engine: _HiddenEngine
    state: JointState


class _Contest:
    """Laws that the hidden states enter in different ways."""

    def __init__(
        self,
        hidden: tuple[int, ...],
        pieces: list[Trajectory],
        table: TermTable,
        noise: FloatArray,
        allowed: BoolArray,
        include_time: bool,
        penalty: float | None,
        each: Any,
    ) -> None:
        self.hidden, self.pieces, self.each = hidden, pieces, each
        self.rest = (table, noise, allowed, include_time, penalty)
        engine = Engine(pieces, *self.rest)
        self.progress: tqdm[Any] = engine.progress
        self.grids, self.table = engine.grids, table
        first = first_entry(engine.grids, engine.sigma, table.n_terms)
        stiffness = stiffness_of(engine.grids, first.guess, engine.sigma, hidden)
        self.entrances = Entrances(engine.grids, table, allowed, first, hidden, stiffness)

    def best(self) -> _Law:
        """Return the best law, simple products first."""
        laws: list[_Law] = []
        for lengths in _LENGTHS:
            laws += self.followed(self.entrances.entries(lengths))
            if laws and self.explains(self.chosen(laws)):
                break
        if not laws:
            raise NotIdentifiableError(
                "HiddenStateFit: no candidate is a product of a hidden state and others that the "
                "data determine, so that nothing measured feels it; offer other terms, or "
                "measure another state."
            )
        best = self.chosen(laws)
        coefficients = best.state.coefficients
        moved = shifted_entries(best.engine.met(best.state), coefficients, self.grids, self.table)
        return self.chosen([best, *self.followed(moved)])

    def followed(self, entries: Iterable[Entry]) -> list[_Law]:
        """Follow entries to the end, the best first, until one explains the data.

        Then others that are promising, as they may lead to a shorter law.
        """
        begun = [law for law in self.each(self.begun, entries) if law is not None]
        ended: list[_Law] = []
        for law in sorted(begun, key=lambda law: law.worth):
            late = len(ended) >= _FINALISTS or law.state.cost > _PROMISING * law.engine.n_measured
            if late and ended and self.explains(self.chosen(ended)):
                break
            end = self.ended(law)
            if end is not None:
                ended.append(end)
        return ended

    def begun(self, entry: Entry) -> _Law | None:
        """Select at the first levels; None where the data do not determine the trajectory."""
        engine = _HiddenEngine(entry, self.hidden, self.pieces, *self.rest)
        engine.progress.close()
        engine.progress = self.progress
        try:
            best = min(engine.begun(engine.start()), key=engine.judged)
        except (NotIdentifiableError, np.linalg.LinAlgError):
            return None
        return _Law(engine.judged(best), engine, best)

    def ended(self, law: _Law) -> _Law | None:
        """Select at the later levels, as long as the law is any good."""
        engine, state = law.engine, law.state
        try:
            for now in engine.lowered(law.state):
                state = now
                if not self.fits(replace(law, state=state)):
                    break
        except (NotIdentifiableError, np.linalg.LinAlgError):
            return None
        return _Law(engine.score(state), engine, state)

    def explains(self, law: _Law) -> bool:
        """Say whether a law leaves the noise of the data; if it leaves less, it follows it."""
        left = np.abs(np.log(law.engine.noise_left(law.state))).max()
        return bool(self.fits(law) and left < np.log(_EXPLAINED))

    def fits(self, law: _Law) -> bool:
        """Say whether the cost of a law is of the order it should be."""
        return bool(law.state.cost < _HOPELESS * law.engine.n_measured)

    def chosen(self, laws: Iterable[_Law]) -> _Law:
        """Return the best of the laws that explain the data, or of all."""
        return min(laws, key=lambda law: (not self.explains(law), law.worth))


def _hidden(pieces: Sequence[Trajectory]) -> tuple[int, ...]:
    """Return the states without measurements."""
    names, none = pieces[0].state_names, unobserved_states(pieces)
    if not 0 < len(none) < len(names):
        raise DataError(
            "HiddenStateFit: some states must be without any measurement, and some not; got "
            f"{len(none)} without, of {len(names)}."
        )
    return tuple(names.index(name) for name in none)
