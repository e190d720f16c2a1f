"""GradientAgent: search along exact derivatives of the return in the surrogate."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from discover.control.agents import Search, best_of
from discover.control.policy import PolicyForm
from discover.control.sensitivity import follow
from discover.control.starts import StartSampler, spread_starts
from discover.control.surrogate import Surrogate
from discover.typing import FloatArray, IntArray

__all__ = ["GradientAgent"]

_FADING, _FADING_SQUARES, _TINY = 0.9, 0.999, 1e-8  # Adam's own
_JUDGED = 8  # starts that judge what was found


@dataclass(frozen=True)
class GradientAgent:
    """Gradient ascent on the return, by back-propagation through rollouts of the surrogate.

    Parameters
    ----------
    iterations : int, default=120
    loops : int, default=64
        Rollouts of an iteration: at first as many policies with one each. After every
        quarter of the iterations the worse half of them goes, and the others meet twice as
        many members and fresh starts.
    rate : float, default=0.1
        Step of a weight at first; it falls to a tenth.
    fade : float, default=0.99
        What is left of a consequence per step; with 1, derivatives are exact, and wild
        where the loop is chaotic.
    slack : float, default=3.0
        How much wider than the bounds of the surrogate rollouts may go: an end has no
        derivative, what lies behind it has.

    Notes
    -----
    Slopes of rollouts are brought to length 1 and averaged; steps are those of Adam (Kingma
    and Ba, arXiv:1412.6980). Actions must be continuous. Where a policy saturates all the
    time, its derivatives vanish.
    """

    iterations: int = 120
    loops: int = 64
    rate: float = 0.1
    fade: float = 0.99
    slack: float = 3.0

    def search(
        self,
        surrogate: Surrogate,
        form: PolicyForm,
        starts: StartSampler,
        horizon: int,
        *,
        rng: np.random.Generator,
        warm: FloatArray | None = None,
        target: float | None = None,
    ) -> Search:
        """Find a policy; see :class:`discover.control.Agent`."""
        points = rng.normal(0.0, 0.3, (self.loops, form.n_weights))
        if warm is not None:
            points[0] = warm
        wide, climb, steps = _widened(surrogate, self.slack), _Adam(points.shape), 0
        quarter, earned = max(1, self.iterations // 4), np.zeros(len(points))
        for k in range(self.iterations):
            each = max(1, self.loops // len(points))
            members = min(each, surrogate.n_members)
            begins = spread_starts(starts, rng, max(1, each // members))
            loops = follow(wide, form, points, begins, horizon, members)
            steps += int(loops.going.sum())
            slopes = _directions(loops.slopes(self.fade))
            rate = self.rate * 0.1 ** (k / self.iterations)
            points = points + rate * climb.step(
                slopes.reshape(len(points), -1, form.n_weights).mean(axis=1)
            )
            earned = 0.8 * earned + 0.2 * loops.returns.reshape(len(points), -1).mean(axis=1)
            if (k + 1) % quarter == 0 and len(points) > 1:
                kept = np.argsort(-earned, kind="stable")[: (len(points) + 1) // 2]
                points, earned = points[kept], earned[kept]
                climb.keep(kept)
        begins = spread_starts(starts, rng, _JUDGED)
        return best_of(surrogate, form, points, begins, horizon, steps, rng)


class _Adam:
    """Averages of slopes and of their squares."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.mean, self.squares, self.count = np.zeros(shape), np.zeros(shape), 0

    def step(self, slopes: FloatArray) -> FloatArray:
        """Return the steps to take, of about 1 per number."""
        self.count += 1
        self.mean = _FADING * self.mean + (1 - _FADING) * slopes
        self.squares = _FADING_SQUARES * self.squares + (1 - _FADING_SQUARES) * slopes**2
        size = np.sqrt(self.squares / (1 - _FADING_SQUARES**self.count)) + _TINY
        return np.asarray(self.mean / (1 - _FADING**self.count) / size)

    def keep(self, rows: IntArray) -> None:
        """Forget all other rows."""
        self.mean, self.squares = self.mean[rows], self.squares[rows]


def _widened(surrogate: Surrogate, slack: float) -> Surrogate:
    """Return the same world with wider bounds."""
    bounds = {}
    for name, (low, high) in (surrogate.bounds or {}).items():
        more = 0.5 * (slack - 1.0) * (high - low)
        bounds[name] = (low - more, high + more)
    return replace(surrogate, bounds=bounds or None)


def _directions(slopes: FloatArray) -> FloatArray:
    """Bring slopes to length 1: one wild loop must not drown the others."""
    sizes = np.linalg.norm(slopes, axis=1, keepdims=True)
    good = np.isfinite(sizes) & (sizes > 0)
    return np.where(good, slopes / np.where(good, sizes, 1.0), 0.0)
