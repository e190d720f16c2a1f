"""Options of SINDyRL, checked before a real step is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from discover.control.outcome import given_outcome
from discover.control.symmetry import Symmetry
from discover.control.transitions import Transitions
from discover.exceptions import DataError, ExpressionError

if TYPE_CHECKING:
    from discover.control.training import SINDyRL

__all__ = ["check_bounds", "check_options", "check_records"]

_STARTS = ("reset", "observed")


def check_options(agent: SINDyRL, observations: Sequence[str], actions: Sequence[str]) -> None:
    """Raise ValueError unless the options make sense for what a plant shows and takes.

    Parameters
    ----------
    agent : SINDyRL
    observations, actions : sequence of str
    """
    for name, least in (("explore", 1), ("horizon", 1), ("modes", 1)):
        value = getattr(agent, name)
        if value is not None and not (isinstance(value, Integral) and int(value) >= least):
            raise ValueError(f"SINDyRL: {name} must be a whole number >= {least}; got {value!r}.")
    if agent.modes is not None and agent.modes > len(observations):
        raise ValueError(
            f"SINDyRL: modes must be at most {len(observations)}, the number of observations; "
            f"got {agent.modes}."
        )
    if agent.starts not in _STARTS:
        raise ValueError(f"SINDyRL: starts must be one of {_STARTS}; got {agent.starts!r}.")
    if agent.plausible is not None and not agent.plausible >= 0:
        raise ValueError(f"SINDyRL: plausible must be >= 0; got {agent.plausible!r}.")
    if not 1 <= agent.hold[0] <= agent.hold[1]:
        raise ValueError(f"SINDyRL: hold must be (least, most), from 1 on; got {agent.hold!r}.")
    if agent.dynamics is not None and not hasattr(agent.dynamics, "fit"):
        raise ValueError(f"SINDyRL: dynamics must be a DynamicsLearner; got {agent.dynamics!r}.")
    if agent.symmetry is not None:
        if not isinstance(agent.symmetry, Symmetry):
            raise ValueError(f"SINDyRL: symmetry must be a Symmetry; got {agent.symmetry!r}.")
        agent.symmetry.check(len(observations), len(actions))
    if agent.modes is not None and (agent.reward, agent.terminal, agent.bounds) != (None,) * 3:
        raise ValueError(
            "SINDyRL: with modes, reward, terminal and bounds must be None: the amplitudes "
            "that they would be about are not known before; leave them out."
        )
    check_bounds("SINDyRL", agent.bounds, observations)
    for name in ("reward", "terminal"):
        _check_expression(name, getattr(agent, name), observations, actions)


def _check_expression(
    name: str, text: Any, observations: Sequence[str], actions: Sequence[str]
) -> None:
    if not isinstance(text, str):
        return
    try:
        given_outcome(text, observations, actions)
    except ExpressionError as error:
        what = str(error).removeprefix("library: ")
        raise ExpressionError(f"SINDyRL: {name}: {what}") from None


def check_bounds(
    owner: str, bounds: Mapping[str, tuple[float, float]] | None, names: Sequence[str]
) -> None:
    """Raise ValueError unless bounds are of known observations, and low is below high."""
    for name, (low, high) in (bounds or {}).items():
        if name not in names:
            raise ValueError(
                f"{owner}: bounds has {name!r}; the observations are {', '.join(names)}."
            )
        if not low < high:
            raise ValueError(
                f"{owner}: bounds of {name!r} must be (low, high), low below high; "
                f"got {low:g} and {high:g}."
            )


def check_records(data: Any) -> None:
    """Raise unless these are transitions, with a step, and finite.

    Raises
    ------
    ValueError
        If they are something else, or none.
    DataError
        If an observation or action is not finite.
    """
    if not isinstance(data, Transitions):
        raise ValueError(
            "SINDyRL: data must be Transitions, as read_transitions and transitions_of return "
            f"them; got {type(data).__name__}."
        )
    if not len(data):
        raise ValueError("SINDyRL: data must have a step; got none.")
    for k, e in enumerate(data.episodes):
        if not (np.isfinite(e.observations).all() and np.isfinite(e.actions).all()):
            raise DataError(
                f"SINDyRL: data must be finite; episode {k} is not. transitions_of leaves "
                "incomplete steps out."
            )
