"""Harvest under uncertainty: plans from 40 years without harvest, played in the true fishery."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from discover.bench.rows import Row
from discover.typing import FloatArray

__all__ = ["GaussianProcessPlan", "Played", "observe", "play", "run"]

_ENV = "discover/FisheryTippingPoint-v0"
_CAPACITY, _TIPPING, _START, _FIRST = 8.0, 5.0, 10.0, 5.5
_YEARS = 50
_COLLAPSED = 1.0


class GaussianProcessPlan:
    """Gaussian-process dynamic programming: the peer.

    Parameters
    ----------
    stocks : ndarray of shape (n_years,)
        Observed without harvest.
    top : float, default=15.0
        Of the grid of stocks.
    n_points : int, default=301
    discount : float, default=0.01
        A harvest a year later is worth ``1 / (1 + discount)``.

    Notes
    -----
    The process from the stock that is left to the stock a year later goes through 0, with a
    squared exponential kernel and hyperparameters of greatest likelihood; the policy is that of
    value iteration to the fixed point under its predictive distribution, which is drawn anew
    every year. C. Boettiger, M. Mangel, S. B. Munch, Proc. R. Soc. B 282 (2015) 20141631;
    their hyperparameters are averaged over a posterior instead.
    """

    def __init__(
        self, stocks: FloatArray, *, top: float = 15.0, n_points: int = 301, discount: float = 0.01
    ) -> None:
        left, after = np.append(0.0, stocks[:-1]), np.append(0.0, stocks[1:])
        kernel = ConstantKernel(50.0, (0.1, 1e4)) * RBF(3.0, (0.3, 30.0)) + WhiteKernel(0.1)
        process = GaussianProcessRegressor(kernel, n_restarts_optimizer=3, random_state=0)
        self.grid = np.linspace(0.0, top, n_points)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            mean, deviation = process.fit(left[:, None], after).predict(
                self.grid[:, None], return_std=True
            )
        self.leave = self._iterate(_transitions(self.grid, mean, deviation), discount)

    def _iterate(self, transitions: FloatArray, discount: float) -> FloatArray:
        """Return the best stock to leave of every stock on the grid."""
        value = self.grid
        for _ in range(500):
            kept = transitions @ value / (1.0 + discount) - self.grid
            value = self.grid + np.maximum.accumulate(kept)
        best = np.maximum.accumulate(kept)
        return self.grid[np.searchsorted(best, best)]  # the least stock that is as good

    def predict(self, stocks: FloatArray) -> FloatArray:
        """Return the harvests of stocks."""
        return np.maximum(0.0, stocks - np.interp(stocks, self.grid, self.leave))


def _transitions(grid: FloatArray, mean: FloatArray, deviation: FloatArray) -> FloatArray:
    """Return probabilities of the grid's cells, those of nothing staying there."""
    edges = np.concatenate([[-np.inf], (grid[1:] + grid[:-1]) / 2, [np.inf]])
    found = np.diff(norm.cdf((edges - mean[:, None]) / deviation[:, None]), axis=1)
    found[0] = np.eye(len(grid))[0]
    return np.asarray(found)


@dataclass(frozen=True)
class Played:
    """What a plan earned: the mean sum of harvests, and the share of runs that collapsed."""

    harvest: float
    collapsed: float


def observe(seed: int, n_years: int = 40) -> FloatArray:
    """Return stocks of a fishery that nobody fishes, shape (n_years + 1,)."""
    from discover_envs import make

    env = make(_ENV, x0=_FIRST)
    stock, _ = env.reset(seed=seed)
    seen = [stock]
    for _ in range(n_years):
        seen.append(env.step(np.array([-1.0]))[0])
    return np.concatenate(seen)


def play(plan: Callable[[FloatArray], FloatArray], n_runs: int = 1000, seed: int = 99) -> Played:
    """Fish for fifty years, many times, with the same years for every plan."""
    from discover_envs.fishery import FisheryTippingPointVector

    env = FisheryTippingPointVector(num_envs=n_runs, x0=_START, max_episode_steps=_YEARS)
    stock, _ = env.reset(seed=seed)
    total, alive = np.zeros(n_runs), np.ones(n_runs, dtype=bool)
    for _ in range(_YEARS):
        action = np.clip(plan(stock) / _CAPACITY - 1.0, -1.0, 1.0)
        stock, harvest, ended, _, _ = env.step(action)
        total += alive * harvest
        alive &= ~ended
    last = np.where(alive, stock[:, 0], 0.0)
    return Played(float(total.mean()), float((last < _COLLAPSED).mean()))


def _leave(level: float) -> Callable[[FloatArray], FloatArray]:
    return lambda stock: np.maximum(0.0, stock - level)


def _best_known() -> float:
    """Return what the best stock to leave earns, all being known."""
    return max(play(_leave(level)).harvest for level in np.linspace(6.0, 7.2, 25))


def _plans(stocks: FloatArray) -> tuple[Played, Played, Played]:
    """Return what our plan earns, the peer's, and the largest yield of a logistic law."""
    from discover.control import HarvestPlanner

    ours = HarvestPlanner(start=_START).fit(stocks)
    theirs = GaussianProcessPlan(stocks)
    # a straight line through the yearly growth, the stock with the greatest surplus of it
    slope, level = np.polyfit(stocks[:-1], stocks[1:] / stocks[:-1] - 1.0, 1)
    half = -level / slope / 2.0 if slope < 0 else 0.0
    return play(ours.predict), play(theirs.predict), play(_leave(half))


def run(quick: bool = False) -> list[Row]:
    """Plan from a hundred data sets (three with `quick`), and fish each of them."""
    wanted, seed = 3 if quick else 100, 0
    found: list[tuple[Played, Played, Played]] = []
    while len(found) < wanted:  # a stock that is lost before the first harvest teaches nothing
        stocks = observe(seed)
        seed += 1
        if stocks.min() > 0.8 * _TIPPING:
            found.append(_plans(stocks))
    best = _best_known()
    ours, theirs, logistic = np.mean(
        [[(p.harvest, p.collapsed) for p in plans] for plans in found], axis=0
    )
    data = f"{wanted} data sets of {seed}, the others died out; best known escapement {best:.4g}"
    name = "fishery, 40 years without harvest"
    return [
        Row(f"{name}: yield over the best stationary one", ours[0] / best, "", data, ">= 0.95"),
        Row(f"{name}: collapsed runs less those of the Gaussian process", ours[1] - theirs[1], "",
            f"ours {ours[1]:.3g}, Gaussian process {theirs[1]:.3g}", "<= 0"),
        Row(f"{name}: yield over that of the Gaussian process", ours[0] / theirs[0], "x",
            f"Gaussian process {theirs[0]:.4g}", ""),
        Row(f"{name}: yield over that of a logistic law's MSY", ours[0] / max(logistic[0], 1e-9),
            "x", f"logistic law {logistic[0]:.4g}, collapsed {logistic[1]:.3g}", ""),
    ]  # fmt: skip
