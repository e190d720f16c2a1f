"""The joint fit where one state was never measured: an unknown trajectory like the others."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from discover.estimation.collocation import Linearized
from discover.estimation.eliminating import Elimination, JointState
from discover.estimation.entries import Entrances, Entry
from discover.estimation.gridding import measured_spread, pieces_of
from discover.estimation.joint import Engine, JointEstimate, JointFit
from discover.estimation.search import InformationSearch
from discover.exceptions import DataError, DataWarning, NotIdentifiableError
from discover.libraries.termtable import TermTable
from discover.observations import Trajectory
from discover.typing import BoolArray, FloatArray, IntArray

__all__ = ["HiddenStateFit"]

_ANCHOR = 30.0  # standard deviations of the guess: how far one step may move the hidden state
_HELD = 1e8  # times the information of the data: that the first coefficient is one
_FINALISTS = 3  # entries that are followed to the end although one explains the data
_PROMISING = 1.5  # times the expected cost: entries that are
_EXPLAINED = 1.5  # times the noise of the data or its inverse: what a law may leave of it
_HOPELESS = 10.0  # times the expected cost: a law that is not followed any further
_LEFT = 3.0  # times the noise of the data: a law that leaves more is not to be trusted


class HiddenStateFit(JointFit):
    """Estimate a law together with the trajectory of a state that nobody measured.

    Parameters
    ----------
    noise, penalty, n_jobs
        As for :class:`JointFit`.

    Attributes
    ----------
    entry_ : str
        How the hidden state enters the law, in words.

    Notes
    -----
    Data tell a hidden state z only up to a change of coordinates: any ``a z + b(measured)``
    serves as well. It is made unique by the way it enters: in one equation there is a term
    ``g(measured) * z`` with coefficient one, and no term g, which a shift of z would supply.

    For every equation and every such product among the candidates, z is first a coefficient that
    varies smoothly in time. From there the joint fit takes over, with the equation of z as
    open as the others. Entries are compared by likelihood and penalties. For the best, terms
    ``g * b(measured)`` of its equation are then given to z, wherever that saves terms. The
    law is the sparsest that was found, in the coordinate in which it is sparsest.
    """

    def identify(
        self,
        runs: Sequence[Trajectory],
        table: TermTable,
        *,
        allowed: BoolArray | None = None,
        include_time: bool = False,
    ) -> JointEstimate:
        """Estimate the law; the state without any measurement is the hidden one.

        Parameters
        ----------
        runs, table, allowed, include_time
            As for :meth:`JointFit.identify`.

        Returns
        -------
        JointEstimate
            Its `measurement_noise` is NaN for the hidden state.

        Raises
        ------
        DataError
            If not exactly one state is hidden, or no run has eight samples.
        NotIdentifiableError
            If no candidate lets a measured state feel the hidden one, or none could be followed.
        """
        pieces = pieces_of(runs)
        hidden = _hidden(pieces)
        noise = self._noise(pieces).copy()
        noise[hidden] = 1.0  # replaced when there is a guess of the hidden state
        if allowed is None:
            allowed = np.ones((len(noise), table.n_terms), dtype=bool)
        with ThreadPoolExecutor(max(1, int(self.n_jobs))) as pool:
            rest = (table, noise, allowed, include_time, self.penalty)
            contest = _Contest(hidden, pieces, *rest, each=pool.map if self.n_jobs > 1 else map)
            with contest.progress:
                best = contest.best()
        names, i = pieces[0].state_names, best.engine.entry.equation
        term = table.names[best.engine.entry.product]
        self.entry_ = (
            f"{names[hidden]} was not measured, and is what has the coefficient 1 as {term} in "
            f"{names[i]}'"
        )
        left = float(np.max(best.engine.noise_left(best.state)))
        if left > _LEFT:
            warnings.warn(
                f"HiddenStateFit: the law leaves {left:.2g} times the noise of the data: none was "
                "found that explains them. Offer other terms, or measure another state.",
                DataWarning,
                stacklevel=2,
            )
        return best.engine.estimate(best.state)


class _PinnedElimination(Elimination):
    """Normal equations of a law with one coefficient that is known."""

    def __init__(self, table: TermTable, d: int, entry: Entry) -> None:
        super().__init__(table, d)
        self.entry = entry

    def marginal(
        self, runs: list[Linearized], terms: IntArray, support: BoolArray | None = None
    ) -> Any:
        """Eliminate the trajectories; within a support, hold the coefficient that is known."""
        S, gradient, cost, parts = super().marginal(runs, terms, support)
        if support is not None:
            i, width = self.entry.equation, len(S) // self.d
            at = i * width + int(support[i, : self.entry.product].sum())
            S[at, at] *= _HELD
        return S, gradient, cost, parts


class _HiddenEngine(Engine):
    """The steps of the joint fit, with one state that is seen through the law alone."""

    def __init__(self, entry: Entry, hidden: int, pieces: list[Trajectory], *rest: Any) -> None:
        super().__init__(pieces, *rest)
        self.entry, self.hidden = entry, hidden
        self.elimination = _PinnedElimination(self.table, self.d, entry)
        wide = float(measured_spread(np.concatenate(entry.guess)[:, None])[0])
        spread = measured_spread(np.concatenate([run.states for run in pieces]))
        seen = np.arange(self.d) != hidden
        self.least[hidden] = self.least[seen].min() / spread[seen].max() * wide
        self.sigma[hidden] = np.median(self.sigma[seen] / spread[seen]) * wide
        self.anchor = np.where(seen, 0.0, 1.0 / (_ANCHOR * wide) ** 2)
        self.allowed = self.allowed.copy()
        self.allowed[entry.equation, entry.closed] = False

    def first_guess(self, i: int) -> list[FloatArray]:
        """Smooth a measured state; the hidden one is guessed already."""
        return list(self.entry.guess) if i == self.hidden else super().first_guess(i)

    def start(self) -> JointState:
        """Begin with the one term that is known."""
        state = super().start()
        coefficients, support = state.coefficients.copy(), state.support.copy()
        coefficients[self.entry.product, self.entry.equation] = 1.0
        support[self.entry.equation, self.entry.product] = True
        return replace(state, coefficients=coefficients, support=support)

    def linearize(self, state: JointState, level: float) -> list[Linearized]:
        """Linearise every run; a weak tie holds the hidden state where it is."""
        runs = super().linearize(state, level)
        return [replace(run, precision=run.precision + self.anchor) for run in runs]

    def search(self, state: JointState, level: float, open_to: BoolArray) -> InformationSearch:
        """Return the normal equations of all candidate terms but the one that is known."""
        open_to = open_to.copy()
        open_to[self.entry.equation, self.entry.product] = True
        search = super().search(state, level, open_to)
        search.pin(self.entry.equation * self.p + self.entry.product, 1.0)
        return search

    def noise_of(
        self, state: JointState, runs: list[Linearized], variances: list[FloatArray]
    ) -> FloatArray:
        """Return the standard deviation of the noise; that of the hidden state is a mere scale."""
        noise = super().noise_of(state, runs, variances).copy()
        noise[self.hidden] = self.sigma[self.hidden]
        return noise

    def noise_left(self, state: JointState) -> FloatArray:
        """Return what the law leaves, relative to the noise of the data, shape (d,)."""
        return np.asarray(state.sigma / self.sigma)

    def score(self, state: JointState) -> float:
        """Return minus twice the log-likelihood, with the noise, and the penalties."""
        seen = np.sum([grid.measured.sum(axis=0) for grid in state.grids], axis=0)
        noise = 2.0 * float(seen @ np.log(self.noise_left(state)))
        return state.cost + state.excused + noise + float(self.penalty[state.support.ravel()].sum())

    def on_first_grid(self, state: JointState) -> list[FloatArray]:
        """Return the trajectories at the points that were there from the start."""
        return [
            x[np.isin(grid.times, first.times)]
            for x, grid, first in zip(state.x, state.grids, self.grids, strict=True)
        ]

    def estimate(self, state: JointState) -> JointEstimate:
        """Read the law off, one coefficient of which is known without error."""
        found = super().estimate(state)
        C = found.covariance
        at = int(state.support.ravel()[: self.entry.equation * self.p + self.entry.product].sum())
        C = C - np.outer(C[:, at], C[at]) / C[at, at]
        C[at] = C[:, at] = 0.0
        coefficients = found.coefficients.copy()
        coefficients[self.entry.equation, self.entry.product] = 1.0  # but for rounding
        noise = np.array(found.measurement_noise)
        noise[self.hidden] = np.nan
        return replace(found, coefficients=coefficients, covariance=C, measurement_noise=noise)


@dataclass(frozen=True, eq=False)
class _Law:
    """A law on its way: what it is worth, and where it stands."""

    worth: float  # smaller is better
    engine: _HiddenEngine
    state: JointState


class _Contest:
    """Laws that the hidden state enters in different ways."""

    def __init__(
        self,
        hidden: int,
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
        self.entrances = Entrances(engine.grids, table, engine.sigma, hidden, allowed)

    def best(self) -> _Law:
        """Return the best law, simple products first."""
        tiers = self.entrances.tiers()
        if not tiers:
            raise NotIdentifiableError(
                "HiddenStateFit: no candidate is a product of the hidden state and measured ones, "
                "so that nothing measured feels it; add such terms to the library."
            )
        laws: list[_Law] = []
        for pairs in tiers:
            laws += self.followed(self.entrances.entries(pairs))
            if laws and self.explains(self.chosen(laws)):
                break
        if not laws:
            raise NotIdentifiableError(
                "HiddenStateFit: the data do not determine the hidden state by any of the "
                "candidates; offer other terms, or measure another state."
            )
        best = self.chosen(laws)
        return self.chosen([best, *self.followed(self.shifted(best))])

    def shifted(self, law: _Law) -> Iterator[Entry]:
        """Yield entries in which the hidden state takes over some terms of a law."""
        engine, state = law.engine, law.state
        coefficients = state.coefficients[:, engine.entry.equation]
        return self.entrances.shifted(engine.entry, coefficients, engine.on_first_grid(state))

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
                if not state.cost < _HOPELESS * engine.n_measured:
                    break
        except (NotIdentifiableError, np.linalg.LinAlgError):
            return None
        return _Law(engine.score(state), engine, state)

    def explains(self, law: _Law) -> bool:
        """Say whether a law leaves the noise of the data; if it leaves less, it follows it."""
        fits = law.state.cost < _HOPELESS * law.engine.n_measured
        left = np.abs(np.log(law.engine.noise_left(law.state))).max()
        return bool(fits and left < np.log(_EXPLAINED))

    def chosen(self, laws: Iterable[_Law]) -> _Law:
        """Return the best of the laws that explain the data, or of all."""
        return min(laws, key=lambda law: (not self.explains(law), law.worth))


def _hidden(pieces: Sequence[Trajectory]) -> int:
    """Return the one state without measurements."""
    seen = np.any([np.isfinite(run.states).any(axis=0) for run in pieces], axis=0)
    if len(seen) - seen.sum() != 1:
        raise DataError(
            "HiddenStateFit: exactly one state must be without any measurement; got "
            f"{len(seen) - seen.sum()} of {len(seen)}."
        )
    return int(np.argmin(seen))
