"""What is known to be good in a fishery: dynamic programming, constant escapement, MSY."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from discover_envs.fishery import WORLD, grown

__all__ = ["HarvestPlan", "maximum_sustainable_yield", "plan_harvest", "quota_for"]


@dataclass(frozen=True)
class HarvestPlan:
    """The best harvest.

    Parameters
    ----------
    value : float
        Expected sum of discounted harvests from the starting stock, all of the stock being
        taken in the last year.
    escapements : ndarray of shape (n_steps,)
        Stock to leave in each year; what is above it is the harvest.
    """

    value: float
    escapements: np.ndarray


def plan_harvest(
    n_steps: int = 50, *, discount: float = 0.0, n_points: int = 4001, **parameters: Any
) -> HarvestPlan:
    """Find the best harvest by dynamic programming, year by year from the last.

    Parameters
    ----------
    n_steps : int, default=50
        Years.
    discount : float, default=0.0
        A harvest a year later is worth ``1 / (1 + discount)``.
    n_points : int, default=4001
        Stocks on a grid over [0, 2 K] and the starting stock.
    **parameters : float or str
        Of `FisheryTippingPoint`.

    Returns
    -------
    HarvestPlan

    Notes
    -----
    What a year pays is ``x - s`` for a stock ``x`` and an escapement ``s``, so that one function
    of ``s`` alone, the expected value left minus ``s``, decides for all stocks: the value is
    ``x`` plus its greatest value up to ``x`` (W. J. Reed, J. Environ. Econ. Manage. 6 (1979)
    350-363). The expectation over lognormal years is by Gauss and Hermite.
    """
    p = WORLD.values("plan_harvest", parameters)
    packed = np.array(list(p.values()))
    grid = np.linspace(0.0, max(2.0 * p["K"], p["x0"]), n_points)
    nodes, weights = np.polynomial.hermite_e.hermegauss(21)
    weights = weights / weights.sum()
    after = np.array([grown(s, packed) for s in grid])
    stocks = after[:, None] * np.exp(p["sigma"] * nodes)
    later, escapements = np.zeros_like(grid), np.empty(n_steps)
    for year in reversed(range(n_steps)):
        left = np.interp(stocks, grid, later) @ weights / (1.0 + discount) - grid
        escapements[year] = grid[np.argmax(left)]
        later = grid + np.maximum.accumulate(left)
    return HarvestPlan(float(np.interp(p["x0"], grid, later)), escapements)


def maximum_sustainable_yield(**parameters: Any) -> tuple[float, float]:
    """Return the greatest yearly harvest that an average stock bears, and its escapement."""
    p = WORLD.values("maximum_sustainable_yield", parameters)
    packed = np.array(list(p.values()))
    grid = np.linspace(0.0, 2.0 * p["K"], 160_001)
    surplus = np.array([grown(s, packed) for s in grid]) - grid
    best = int(np.argmax(surplus))
    return float(surplus[best]), float(grid[best])


def quota_for(stock: np.ndarray, escapement: float, capacity: float) -> np.ndarray:
    """Return the action in [-1, 1] that leaves an escapement of a stock.

    Parameters
    ----------
    stock : ndarray
    escapement : float
    capacity : float
        The parameter K.

    Returns
    -------
    ndarray
    """
    return np.clip(np.maximum(0.0, stock - escapement) / capacity - 1.0, -1.0, 1.0)
