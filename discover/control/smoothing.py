"""Noisy observations of a plant: its states, and the law that moves them, found together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from discover.control.coordinates import Coordinates, Drift
from discover.control.transitions import Transitions
from discover.estimation.collocation import law_on
from discover.estimation.marginal import BandedInformation, Sensitivities, inverse_scaled
from discover.estimation.search import InformationSearch
from discover.libraries.termtable import TermTable
from discover.observations import Trajectory
from discover.problems.scales import noise_level
from discover.typing import BoolArray, FloatArray, IntArray

__all__ = ["SmoothedLaw", "Stretch", "noise_of", "smooth_law", "stretches"]

_LEVELS = (0.3, 0.1, 0.03, 0.01, 0.003)  # defects granted, in steps of the trajectory
_FITS = 1.3  # times the expected cost: above it the law, not the noise, is to blame
_MOST_STEPS, _MOST_ROUNDS = 6, 3  # of Gauss and Newton, and of selection, per level
_ESTIMATES = 2  # of the noise
_LEAST_NOISE = 1e-4  # of the spread
_SHORTEST = 8  # steps
_LONG = 50
_NEGLIGIBLE = 1e-3  # noise, relative to the spread of a state
_OPPOSED = -0.2  # correlation of consecutive steps; -0.5 if all is noise


@dataclass(frozen=True, eq=False)
class Stretch:
    """One stretch of real steps, in the coordinates of the surrogate.

    Parameters
    ----------
    seen : ndarray of shape (n_steps + 1, n_states)
        Measured states; angles go on continuously.
    actions : ndarray of shape (n_steps, n_actions)
    """

    seen: FloatArray
    actions: FloatArray


def stretches(data: Transitions, coordinates: Coordinates, inside: BoolArray) -> list[Stretch]:
    """Cut the real steps at episodes, and where the law does not hold.

    Parameters
    ----------
    data : Transitions
    coordinates : Coordinates
    inside : ndarray of bool, shape (n_steps,)
    """
    angles = [i for i, _, _ in coordinates.circles]
    found, first = [], 0
    for episode in data.episodes:
        z = coordinates.states(episode.observations)
        z[:, angles] = np.unwrap(z[:, angles], axis=0)
        here = inside[first : first + len(episode)]
        edges = np.flatnonzero(np.diff(np.concatenate([[False], here, [False]]).astype(int)))
        for a, b in zip(edges[::2], edges[1::2], strict=True):
            if b - a >= _SHORTEST:
                found.append(Stretch(z[a : b + 1], episode.actions[a:b]))
        first += len(episode)
    return found


def noise_of(
    runs: Sequence[Stretch], table: TermTable, drifts: Sequence[Drift]
) -> FloatArray | None:
    """Estimate the noise of the observations, or return None where it does not matter.

    Parameters
    ----------
    runs : sequence of Stretch
    table : TermTable
        Candidate terms over states and actions.
    drifts : sequence of Drift

    Returns
    -------
    ndarray of shape (n_states,) or None
        Standard deviation in states; None if it is below a thousandth of their spread, or
        if the steps are random rather than what is seen of them.

    Notes
    -----
    The smallest estimate of any long stretch: actions that jump at every step look like
    noise. The noise of a state enters two consecutive increments with opposite signs
    (R. Roll, J. Finance 39 (1984) 1127-1139), which random steps and a wrong law do not.
    """
    long = [run for run in runs if len(run.actions) >= _LONG] or list(runs)
    if not long:
        return None
    levels = [noise_level([Trajectory(r.seen, np.arange(float(len(r.seen))))]) for r in long]
    level = np.asarray(np.min(levels, axis=0))
    negligible = _NEGLIGIBLE * np.concatenate([run.seen for run in runs]).std(axis=0)
    if (level <= negligible).all():
        return None
    variance, succession = _successive(runs, table, drifts)
    noisy = (succession < _OPPOSED * variance) & (-succession > negligible**2)
    return level if (noisy & (level > negligible)).any() else None


def _successive(
    runs: Sequence[Stretch], table: TermTable, drifts: Sequence[Drift]
) -> tuple[FloatArray, FloatArray]:
    """Return variance and covariance of consecutive residuals of the steps, (n_states,) both."""
    theta = [table.evaluate(np.hstack([run.seen[:-1], run.actions])) for run in runs]
    change = [np.diff(run.seen, axis=0) for run in runs]
    X, y = np.concatenate(theta), np.concatenate(change)
    size = np.sqrt(np.mean(X**2, axis=0))
    X = X / np.where(size > 0, size, 1.0)
    left = y - X @ np.linalg.lstsq(X, y, rcond=1e-10)[0]
    for d in drifts:
        moves = [
            d.before * r.seen[:-1, d.velocity] + d.after * r.seen[1:, d.velocity] for r in runs
        ]
        left[:, d.position] = y[:, d.position] - np.concatenate(moves)
    parts = np.split(left, np.cumsum([len(c) for c in change])[:-1])
    shared = np.concatenate([part[1:] * part[:-1] for part in parts])
    return np.mean(left**2, axis=0), np.mean(shared, axis=0)


@dataclass(frozen=True, eq=False)
class SmoothedLaw:
    """A law of increments and the trajectories that it and noisy observations agree on.

    Parameters
    ----------
    coefficients : ndarray of shape (n_states, n_terms)
        Of the states that terms move; rows of positions are zero.
    support : ndarray of bool, same shape
    states : list of ndarray of shape (n_steps + 1, n_states)
    noise : ndarray of shape (n_states,)
        Standard deviation of the observations, in states.
    precision : ndarray of shape (n, n)
        Marginal precision of the coefficients of the support, state by state.
    """

    coefficients: FloatArray
    support: BoolArray
    states: list[FloatArray]
    noise: FloatArray
    precision: FloatArray

    def draws(self, rng: np.random.Generator, n: int) -> FloatArray:
        """Draw laws from the posterior, shape (n, n_states, n_terms), in opposite pairs."""
        width, axes = np.linalg.eigh(inverse_scaled(self.precision))
        z = np.repeat(rng.normal(size=((n + 1) // 2, len(width))), 2, axis=0)[:n]
        z[1::2] *= -1.0
        members = np.repeat(self.coefficients[None], n, axis=0)
        members[:, self.support] += (z * np.sqrt(np.maximum(width, 0.0))) @ axes.T
        return members


def smooth_law(
    runs: Sequence[Stretch],
    table: TermTable,
    drifts: Sequence[Drift],
    noise: FloatArray,
    penalty: float | None = None,
) -> SmoothedLaw:
    """Estimate states and a sparse law of their increments together.

    Parameters
    ----------
    runs : sequence of Stretch
    table : TermTable
        Candidate terms over states and actions.
    drifts : sequence of Drift
        Positions and their velocities; positions have no terms.
    noise : ndarray of shape (n_states,)
        First guess.
    penalty : float, optional
        What a term must improve minus twice the log-likelihood by; by default
        ``log(n_steps) + 2 log(n_terms)``, the extended Bayesian criterion (Chen and Chen,
        Biometrika 95 (2008) 759-771).

    Returns
    -------
    SmoothedLaw

    Notes
    -----
    Weak-constraint 4D-Var over states and coefficients in discrete time: minimises
    ``|z - y|^2 / noise^2 + |z[k+1] - z[k] - theta(z[k], u[k]) Xi|^2 / q^2``. States are
    eliminated (a banded Cholesky factorisation), which leaves normal equations for all
    candidate terms in which supports are searched, as :class:`discover.JointFit` does in
    continuous time. `q` is lowered while the law fits the data.
    """
    return _Smoother(runs, table, drifts, noise, penalty).run()


@dataclass(frozen=True, eq=False)
class _Linear:
    """Defects of one stretch, and their derivatives."""

    r: FloatArray
    J: FloatArray
    inputs: FloatArray
    first: IntArray
    weight: FloatArray
    misfit: FloatArray
    precision: FloatArray

    @property
    def cost(self) -> float:
        return float(self.weight @ self.r**2 + (self.precision * self.misfit**2).sum())


@dataclass(frozen=True, eq=False)
class _State:
    z: list[FloatArray]
    xi: FloatArray  # (n_states, n_terms)
    support: BoolArray
    noise: FloatArray
    cost: float = np.inf


class _Smoother:
    def __init__(
        self,
        runs: Sequence[Stretch],
        table: TermTable,
        drifts: Sequence[Drift],
        noise: FloatArray,
        penalty: float | None,
    ) -> None:
        self.runs, self.table, self.drifts = runs, table, drifts
        self.d, self.p = runs[0].seen.shape[1], table.n_terms
        moved = {d.position for d in drifts}
        self.kicked = np.array([i for i in range(self.d) if i not in moved])
        every = np.concatenate([run.seen for run in runs])
        self.least = _LEAST_NOISE * every.std(axis=0)
        self.first_noise = np.maximum(noise, self.least)
        change = np.concatenate([np.diff(run.seen, axis=0) for run in runs])
        total = np.mean(change**2, axis=0) - 2.0 * self.first_noise**2
        self.speed = np.sqrt(np.maximum(total, 0.0)) + 1e-3 * every.std(axis=0)
        self.n_measured, self.n_steps = every.size, len(change)
        usual = float(np.log(self.n_steps) + 2.0 * np.log(self.p))
        self.penalty = usual if penalty is None else penalty

    # -- defects -----------------------------------------------------------------------

    def granted(self, level: float) -> FloatArray:
        """Return the standard deviation granted to the defects of a step, shape (d,)."""
        q: FloatArray = level * self.speed
        for d in self.drifts:  # what a velocity is off by within a step moves its position
            q[d.position] = (abs(d.before) + abs(d.after)) * q[d.velocity]
        return q

    def linearize(self, state: _State, level: float) -> list[_Linear]:
        weight = 1.0 / self.granted(level) ** 2
        return [
            self._of_run(run, z, state, weight) for run, z in zip(self.runs, state.z, strict=True)
        ]

    def _of_run(self, run: Stretch, z: FloatArray, state: _State, weight: FloatArray) -> _Linear:
        n, d = len(run.actions), self.d
        inputs = np.ascontiguousarray(np.hstack([z[:-1], run.actions]))
        f, slopes = law_on(self.table, state.xi.T, inputs)
        r = z[1:] - z[:-1] - f
        J = np.zeros((n, d, 2 * d))
        J[:, :, :d] = -slopes
        index = np.arange(d)
        J[:, index, index] -= 1.0
        J[:, index, d + index] += 1.0
        for m in self.drifts:
            q, v = m.position, m.velocity
            r[:, q] -= m.before * z[:-1, v] + m.after * z[1:, v]
            J[:, q, v] -= m.before
            J[:, q, d + v] -= m.after
        return _Linear(
            r.ravel(), J.reshape(n * d, 2 * d), inputs, np.repeat(np.arange(n) * d, d),
            np.tile(weight, n), z - run.seen, np.tile(1.0 / state.noise**2, (n + 1, 1)),
        )  # fmt: skip

    # -- normal equations --------------------------------------------------------------

    def _information(self, run: _Linear) -> BandedInformation:
        info = BandedInformation(run.misfit.size, 2 * self.d)
        info.add(run.first, run.J, run.r, run.weight)
        info.add_direct(run.misfit.ravel(), run.precision.ravel())
        info.factor()
        return info

    def _eliminated(self, run: _Linear) -> tuple[FloatArray, FloatArray, BandedInformation]:
        info = self._information(run)
        rows, B = self._sensitivities(run)
        G, b = B.products(run.r[rows], run.weight[rows])
        reduction, gradient, _ = info.eliminated(run.first[rows], run.J[rows], run.weight[rows], B)
        return G - reduction, b - gradient, info

    def _sensitivities(self, run: _Linear) -> tuple[IntArray, Sensitivities]:
        theta = self.table.evaluate(run.inputs)
        n, k = len(theta), len(self.kicked)
        rows = (np.arange(n)[:, None] * self.d + self.kicked).ravel()
        offset = np.tile(np.arange(k) * self.p, n)
        return rows, Sensitivities(-theta, np.repeat(np.arange(n), k), offset, k * self.p)

    def marginal(
        self, runs: list[_Linear]
    ) -> tuple[FloatArray, FloatArray, list[BandedInformation]]:
        parts = [self._eliminated(run) for run in runs]
        G = np.sum([part[0] for part in parts], axis=0)
        gradient = np.sum([part[1] for part in parts], axis=0)
        return G, gradient, [part[2] for part in parts]

    def moved(
        self, state: _State, runs: list[_Linear], infos: list[BandedInformation], xi: FloatArray
    ) -> list[FloatArray]:
        """Return the trajectories that go with other coefficients, to first order."""
        step = (xi - state.xi)[self.kicked].ravel()
        out = []
        for z, run, info in zip(state.z, runs, infos, strict=True):
            rows, B = self._sensitivities(run)
            g = info.gradient + info.coupling(
                run.first[rows], run.J[rows], run.weight[rows], B.applied(step)
            )
            out.append(z - info.solve(g).reshape(z.shape))
        return out

    # -- the whole ---------------------------------------------------------------------

    def run(self) -> SmoothedLaw:
        """Lower the defects level by level, while the law fits the data."""
        nothing = np.zeros((self.d, self.p))
        seen = [run.seen.copy() for run in self.runs]
        state, last = _State(seen, nothing, nothing != 0, self.first_noise), _LEVELS[0]
        for level in _LEVELS:
            tried = self.settled(state, level)
            if level < last and not tried.cost <= _FITS * self.n_measured:
                break
            state, last = tried, level
        for _ in range(_ESTIMATES):  # while defects are free, they take noise upon themselves
            state = self.settled(self.with_noise(state, last), last)
        G, _, _ = self.marginal(self.linearize(state, last))
        flat = state.support[self.kicked].ravel()
        return SmoothedLaw(state.xi, state.support, state.z, state.noise, G[np.ix_(flat, flat)])

    def settled(self, state: _State, level: float) -> _State:
        """Select among all terms, and relax, until the support stays."""
        for _ in range(_MOST_ROUNDS):
            before = state.support
            state = self.relaxed(self.selected(state, level), level)
            if (state.support == before).all():
                break
        return state

    def selected(self, state: _State, level: float) -> _State:
        """Search a support in the normal equations of all terms."""
        runs = self.linearize(state, level)
        search, infos = self.search(state, runs)
        price = np.full(len(self.kicked) * self.p, self.penalty)
        flat = search.best(price, state.support[self.kicked].ravel())
        support = np.zeros_like(state.support)
        support[self.kicked] = flat.reshape(len(self.kicked), self.p)
        return self.stepped(replace(state, support=support), runs, search, infos)

    def relaxed(self, state: _State, level: float) -> _State:
        """Gauss-Newton on states and coefficients, with damped steps."""
        runs = self.linearize(state, level)
        cost = sum(run.cost for run in runs)
        for _ in range(_MOST_STEPS):
            end, share = self.stepped(state, runs, *self.search(state, runs)), 1.0
            while True:
                moved = _between(state, end, share)
                trial = self.linearize(moved, level)
                new = sum(run.cost for run in trial)
                if new < cost or share < 0.05:
                    break
                share *= 0.5
            if not new < cost:
                break
            gain, cost, state, runs = cost - new, new, moved, trial
            if gain < 0.1 + 1e-4 * cost:
                break
        return replace(state, cost=cost)

    def search(
        self, state: _State, runs: list[_Linear]
    ) -> tuple[InformationSearch, list[BandedInformation]]:
        """Return the normal equations of all candidate terms, and what leads back to states."""
        G, gradient, infos = self.marginal(runs)
        return InformationSearch(G, G @ state.xi[self.kicked].ravel() - gradient), infos

    def stepped(
        self,
        state: _State,
        runs: list[_Linear],
        search: InformationSearch,
        infos: list[BandedInformation],
    ) -> _State:
        """Return where a whole step leads, with the support of `state`."""
        xi = np.zeros_like(state.xi)
        flat = state.support[self.kicked].ravel()
        xi[self.kicked] = search.solve(flat)[0].reshape(len(self.kicked), self.p)
        return replace(state, xi=xi, z=self.moved(state, runs, infos, xi))

    def with_noise(self, state: _State, level: float) -> _State:
        """Estimate the noise from the misfit, with the degrees of freedom it has left."""
        square, left = np.zeros(self.d), np.zeros(self.d)
        for run in self.linearize(state, level):
            variances = self._information(run).variances().reshape(run.misfit.shape)
            square += (run.misfit**2).sum(axis=0)
            left += (1.0 - variances * run.precision).sum(axis=0)
        noise = np.sqrt(square / np.maximum(left, 1.0))
        return replace(state, noise=np.maximum(noise, self.least))


def _between(state: _State, end: _State, share: float) -> _State:
    z = [a + share * (b - a) for a, b in zip(state.z, end.z, strict=True)]
    return replace(end, xi=state.xi + share * (end.xi - state.xi), z=z)
