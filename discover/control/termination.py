"""Termination: where the world ends, learned from the steps that ended it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from discover.control.transitions import Transitions
from discover.typing import BoolArray, FloatArray

__all__ = ["Edge", "edges_of", "learn_termination"]


@dataclass(frozen=True)
class Edge:
    """One side of the box in which the world goes on.

    Parameters
    ----------
    observation : int
    sign : {-1, 1}
        The world ends above the value (1) or below it (-1).
    value : float
        In the middle between what ended the world and what did not.
    """

    observation: int
    sign: int
    value: float

    def text(self, names: Sequence[str]) -> str:
        """Return the expression that is above 0 beyond the edge."""
        name, value = names[self.observation], f"({self.value!r})"
        return f"{name} - {value}" if self.sign > 0 else f"{value} - {name}"


def edges_of(observations: FloatArray, ended: BoolArray) -> list[Edge]:
    """Return the fewest edges, greedily, that part what ended the world from what did not.

    Parameters
    ----------
    observations : ndarray of shape (n, n_observations)
    ended : ndarray of bool, shape (n,)

    Returns
    -------
    list of Edge
        No observation that went on is beyond any of them. Ends that no edge explains are
        left out.

    Notes
    -----
    The greedy cover of V. Chvatal, Math. Oper. Res. 4 (1979) 233-235. Among edges that
    explain as many ends, the one with the widest gap, in units of what went on, is taken.
    """
    going, over = observations[~ended], observations[ended]
    found: list[Edge] = []
    while len(over) and len(going):
        best = max(_candidates(going, over), key=lambda c: c[:2])
        if best[0] == 0:
            break
        edge = best[2]
        found.append(edge)
        over = over[edge.sign * (over[:, edge.observation] - edge.value) <= 0]
    return found


def _candidates(going: FloatArray, over: FloatArray) -> Iterator[tuple[int, float, Edge]]:
    """Yield edges with the number of ends beyond them and the relative width of the gap."""
    for j in range(going.shape[1]):
        spread = float(np.ptp(going[:, j])) or 1.0
        for sign in (1, -1):
            limit = float((sign * going[:, j]).max())
            beyond = sign * over[:, j][sign * over[:, j] > limit]
            first = float(beyond.min()) if len(beyond) else limit
            edge = Edge(j, sign, sign * 0.5 * (limit + first))
            yield len(beyond), (first - limit) / spread, edge


def learn_termination(data: Transitions) -> str | None:
    """Return an expression over observations that is above 0 where the world ended.

    Returns
    -------
    str or None
        None if nothing ended the world, or no edge of a single observation explains it.
    """
    edges = edges_of(data.next_states, data.terminated)
    if not edges:
        return None
    text = edges[0].text(data.observation_names)
    for edge in edges[1:]:
        text = f"max({text}, {edge.text(data.observation_names)})"
    return text
