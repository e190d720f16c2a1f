"""Rounds: what a turn of the loop promised and earned."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Round", "is_kept", "tracked"]

_KEPT = 0.1  # relative error up to which a promise is kept


@dataclass(frozen=True)
class Round:
    """One turn of the loop: what was searched, what it promised and earned in the real world.

    Parameters
    ----------
    real_steps : int
        All that were taken so far.
    surrogate_score : float
        Of the search.
    promised : float
        Return that the members predict for the steps of the real episode, from its start, on
        average.
    real_return : float
    complete : bool
        Whether the episode ran to its end.
    surrogate_steps : int
    terms : int
        Of the dynamics.
    trusted : bool
        Whether the episode earned what was promised, and was whole, or cut by the number of
        steps alone and more than half of one.
    """

    real_steps: int
    surrogate_score: float
    promised: float
    real_return: float
    complete: bool
    surrogate_steps: int
    terms: int
    trusted: bool


def tracked(turn: Round) -> dict[str, float]:
    """Return what is tracked of a round; its return only if the episode was whole."""
    values = {
        "score": turn.surrogate_score, "promised": turn.promised, "terms": float(turn.terms)
    }  # fmt: skip
    return values | ({"earned": turn.real_return} if turn.complete else {})


def is_kept(promised: float, earned: float) -> bool:
    """Return whether a real episode earned what had been promised for its steps."""
    return abs(earned - promised) <= _KEPT * max(abs(promised), abs(earned))
