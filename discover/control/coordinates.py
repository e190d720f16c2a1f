"""Coordinates: what the surrogate's states are, and how observations follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from discover.control.stops import observed_stops
from discover.control.transitions import Episode, Transitions
from discover.libraries.termtable import TermTable, TermTableBuilder
from discover.typing import FloatArray

__all__ = ["Coordinates", "Drift", "circle_pairs", "detect_coordinates", "observed_coordinates"]

_ON_CIRCLE = 0.05  # rms of c^2 + s^2 - 1 up to which a pair is cosine and sine
_ROUNDING = 1e-9  # below which pairs are as good
_KINEMATIC = 0.99  # share of a position's motion that its velocity must explain
_MEAN = (0.5, 0.5)  # of the velocities before and after a step
_CLEAR = 4.0  # standard errors
_FORCED = 0.02  # share of its steps that anything else may explain
_WINDOW = 20  # steps over which that is judged: noise of a position averages out


@dataclass(frozen=True)
class Drift:
    """A position that its velocity moves: ``q' = q + before * v + after * v'``."""

    position: int
    velocity: int
    before: float
    after: float


@dataclass(frozen=True, eq=False)
class Coordinates:
    """States of a surrogate and their relation to the observations.

    Parameters
    ----------
    observation_names, state_names : tuple of str
    circles : tuple of (int, int, int)
        State that is an angle, and the observations that are its cosine and sine.
    plain : tuple of (int, int)
        State, and the observation that it is.
    drifts : tuple of Drift
    projected : tuple of (int, int)
        States that are cosine and sine of one angle, put back on the circle every step.
    """

    observation_names: tuple[str, ...]
    state_names: tuple[str, ...]
    circles: tuple[tuple[int, int, int], ...]
    plain: tuple[tuple[int, int], ...]
    drifts: tuple[Drift, ...] = ()
    projected: tuple[tuple[int, int], ...] = ()

    def states(self, observations: FloatArray) -> FloatArray:
        """Return the states of observations, shape (..., n_states); angles in (-pi, pi]."""
        z = np.empty((*observations.shape[:-1], len(self.state_names)))
        for i, j in self.plain:
            z[..., i] = observations[..., j]
        for i, c, s in self.circles:
            z[..., i] = np.arctan2(observations[..., s], observations[..., c])
        return z

    def increments(self, before: FloatArray, after: FloatArray) -> FloatArray:
        """Return the changes between states, those of angles the short way round."""
        change = after - before
        for i, _, _ in self.circles:
            change[:, i] = (change[:, i] + np.pi) % (2 * np.pi) - np.pi
        return change

    def noise(self, states: FloatArray) -> FloatArray:
        """Return deviations of observations from those of states; cosines as their angle."""
        out = np.empty(len(self.observation_names))
        for i, j in self.plain:
            out[j] = states[i]
        for i, c, s in self.circles:
            out[c] = out[s] = states[i]
        return out

    def observe(self) -> TermTable:
        """Return the table of observations as terms of the states."""
        builder = TermTableBuilder(self.state_names)
        slots = [0] * len(self.observation_names)
        for i, j in self.plain:
            slots[j] = i
        for i, c, s in self.circles:
            slots[c], slots[s] = builder.unary("cos", i), builder.unary("sin", i)
        return builder.table(slots)


def observed_coordinates(names: Sequence[str], data: Transitions) -> Coordinates:
    """Take the observations themselves as states; circles among them are kept by projection."""
    n = tuple(names)
    every = tuple((i, i) for i in range(len(n)))
    return Coordinates(n, n, (), every, (), tuple(circle_pairs(data)))


def detect_coordinates(data: Transitions) -> Coordinates:
    """Find angles behind cosines and sines, and positions that velocities move.

    Notes
    -----
    A pair of observations on the unit circle is an angle. A state is a position of another
    one if the time integral of that one, over windows of 20 steps, explains 99 % of its
    motion, and nothing else explains any of it; whether the velocity before the step, after
    it, or their mean moves it is decided by the smallest residual, if noise does not hide
    the difference. Steps that ended at a stop tell nothing of that.
    """
    names = tuple(data.observation_names)
    pairs = circle_pairs(data)
    state_names, circles, plain = list[str](), [], []
    for j, name in enumerate(names):
        pair = next((p for p in pairs if j in p), None)
        if pair is None:
            plain.append((len(state_names), j))
            state_names.append(name)
        elif pair[0] == j:
            circles.append((len(state_names), *pair))
            state_names.append(_angle_name(name))
    found = Coordinates(names, tuple(state_names), tuple(circles), tuple(plain))
    drifts = tuple(_drifts(found, data))
    return Coordinates(names, found.state_names, found.circles, found.plain, drifts)


def _angle_name(cosine: str) -> str:
    name = cosine.removeprefix("cos_")
    return name if name != cosine and name.isidentifier() else f"angle_{cosine}"


def circle_pairs(data: Transitions) -> list[tuple[int, int]]:
    """Return the observations that are cosine and sine of one angle.

    Pairs nearest to the circle come first: a sine that stays small and some other cosine
    that stays near 1 are near it too. Which of two is the cosine is told by a velocity that
    moves the angle forwards, if there is any; else it is the first.
    """
    seen = np.concatenate([data.states, data.next_states])
    near = []
    for c, s in combinations(range(seen.shape[1]), 2):
        apart = float(np.sqrt(np.mean((seen[:, c] ** 2 + seen[:, s] ** 2 - 1.0) ** 2)))
        varies = min(np.ptp(seen[:, c]), np.ptp(seen[:, s])) > 1e-3
        if apart < _ON_CIRCLE and varies:
            near.append((max(apart, _ROUNDING), c, s))
    found, used = [], set[int]()
    for _, c, s in sorted(near):
        if not used & {c, s}:
            found.append((c, s))
            used |= {c, s}
    return [_turned(pair, used, data) for pair in sorted(found)]


def _turned(pair: tuple[int, int], used: set[int], data: Transitions) -> tuple[int, int]:
    """Swap cosine and sine if only that lets a velocity move the angle forwards."""
    others = [v for v in range(len(data.observation_names)) if v not in used]
    paths = []
    for episode in _blind(data):
        seen = episode.observations
        angle = np.unwrap(np.arctan2(seen[:, pair[1]], seen[:, pair[0]]))
        paths.append(np.column_stack([angle, -angle, seen[:, others]]))
    forwards, backwards = (
        max((_explained(paths, q, 2 + k) for k in range(len(others))), default=0.0) for q in (0, 1)
    )
    return pair[::-1] if backwards >= _KINEMATIC > forwards else pair


def _blind(data: Transitions) -> list[Episode]:
    """Return episodes whose actions do not follow what was seen, if there are any."""
    return [e for e in data.episodes if e.purpose == "explore"] or data.episodes


def _drifts(coordinates: Coordinates, data: Transitions) -> list[Drift]:
    # where a policy reacts to the noise of what it sees, velocities go with it
    blind = _blind(data)
    paths = [coordinates.states(e.observations) for e in blind]
    angles = [i for i, _, _ in coordinates.circles]
    for path in paths:
        path[:, angles] = np.unwrap(path[:, angles], axis=0)
    candidates: list[tuple[float, int, int]] = []
    n = len(coordinates.state_names)
    for q in range(n):
        for v in range(n):
            share = _explained(paths, q, v) if v != q and v not in angles else 0.0
            if share >= _KINEMATIC:
                candidates.append((share, q, v))
    found, taken = [], set[int]()
    paths, actions = _free_paths(paths, blind, coordinates, observed_stops(data))
    for _, q, v in sorted(candidates, reverse=True):
        if q in taken or v in taken:
            continue
        drift = _best_drift(paths, q, v)
        if _left_over(paths, actions, drift) < _FORCED:
            found.append(drift)
            taken |= {q, v}
    return sorted(found, key=lambda d: d.position)


def _free_paths(
    paths: list[FloatArray],
    episodes: list[Episode],
    coordinates: Coordinates,
    stops: tuple[FloatArray, FloatArray],
) -> tuple[list[FloatArray], FloatArray]:
    """Cut paths at the steps that ended at a stop; the actions of the other steps go along."""
    low, high = stops
    plain = [j for _, j in coordinates.plain]
    found, actions = [], []
    for path, episode in zip(paths, episodes, strict=True):
        seen = episode.observations[1:, plain]
        stopped = ((seen <= low[plain]) | (seen >= high[plain])).any(axis=1)
        found += np.split(path, np.flatnonzero(stopped) + 1)  # the step between two is left out
        actions.append(episode.actions[~stopped])
    return found, np.concatenate(actions)


def _windows(
    paths: list[FloatArray], q: int, v: int, share: tuple[float, float], most: int
) -> tuple[FloatArray, FloatArray]:
    """Return motions of a state over windows, and the sums of the other one over them."""
    moved, area = [np.empty(0)], [np.empty(0)]
    for path in paths:
        w = min(most, len(path) - 1)
        if w < 1:
            continue
        steps = share[0] * path[:-1, v] + share[1] * path[1:, v]
        total = np.concatenate([[0.0], np.cumsum(steps)])
        moved.append(path[w:, q] - path[:-w, q])
        area.append(total[w:] - total[:-w])
    return np.concatenate(moved), np.concatenate(area)


def _explained(paths: list[FloatArray], q: int, v: int) -> float:
    """Return the share of a state's motion over windows that the other's integral explains."""
    y, x = _windows(paths, q, v, _MEAN, _WINDOW)
    if not (x @ x > 0 and y @ y > 0):
        return 0.0
    return float((x @ y) ** 2 / (x @ x) / (y @ y)) if x @ y > 0 else 0.0


def _left_over(paths: list[FloatArray], actions: FloatArray, drift: Drift) -> float:
    """Return the share of a position's steps that states and actions explain beyond the drift.

    The velocity alone moves a position: what a force moves as well is none. An oscillator's
    states follow from each other's integrals too.
    """
    before = np.concatenate([p[:-1] for p in paths])
    after = np.concatenate([p[1:] for p in paths])
    steps = after[:, drift.position] - before[:, drift.position]
    v, w = before[:, drift.velocity], after[:, drift.velocity]
    rest = steps - drift.before * v - drift.after * w
    known = np.concatenate([np.ones((len(rest), 1)), before, actions], axis=1)
    known = known / np.maximum(np.sqrt(np.mean(known**2, axis=0)), 1e-300)
    explained = known @ np.linalg.lstsq(known, rest, rcond=1e-10)[0]
    return float(np.sqrt((explained @ explained) / (steps @ steps)))


def _best_drift(paths: list[FloatArray], q: int, v: int) -> Drift:
    """Decide which velocity moves a position: their mean, unless the data clearly object."""
    for most in (1, _WINDOW):  # exact data show it in single steps, noisy ones over windows
        steps, misfits = [], []
        for share in (_MEAN, (0.0, 1.0), (1.0, 0.0)):
            y, x = _windows(paths, q, v, share, most)
            steps.append(float(x @ y / (x @ x)))
            misfits.append((y - steps[-1] * x) ** 2)
        best = int(np.argmin([m.mean() for m in misfits]))
        gain = misfits[0] - misfits[best]
        if gain.mean() > _CLEAR * gain.std() / np.sqrt(len(gain) / most):
            break
        best = 0
    a, b = (_MEAN, (0.0, 1.0), (1.0, 0.0))[best]
    return Drift(q, v, a * steps[best], b * steps[best])
