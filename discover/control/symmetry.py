"""Symmetry: a rearrangement of what is seen and done that leaves a world as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from discover.control.modes import Modes
from discover.control.policy import PolicyForm
from discover.control.transitions import Transitions
from discover.typing import FloatArray, IntArray

__all__ = ["Symmetry"]

_LONGEST = 1000  # repetitions until all is as before
_NONE = 1e-8  # of a singular value: what is below it is no constraint


@dataclass(frozen=True, eq=False)
class Symmetry:
    """Where a world, rearranged, goes on as the same world.

    Parameters
    ----------
    observations : sequence of int or ndarray of int
        The rearranged observation is ``seen[observations]``: a field on a ring, moved on by
        a quarter, is ``np.roll(np.arange(64), 16)``.
    actions : sequence of int or ndarray of int
        What it does to the actions: four jets, moved on by one, ``[3, 0, 1, 2]``.

    Notes
    -----
    The best policy of such a world acts on a rearranged observation as on the observation
    itself, rearranged: Zeng and Graham, Phys. Rev. E 104 (2021) 014210. Steps, rearranged,
    are steps too.
    """

    observations: Sequence[int] | IntArray
    actions: Sequence[int] | IntArray

    def __post_init__(self) -> None:
        """Keep both as tuples, and check that they are rearrangements."""
        for name in ("observations", "actions"):
            given = np.asarray(getattr(self, name))
            places = tuple(given.ravel().tolist())
            object.__setattr__(self, name, places)
            if given.dtype.kind not in "iu" or sorted(places) != list(range(len(places))):
                raise ValueError(
                    f"Symmetry: {name} must hold every number from 0 to {len(places) - 1} once; "
                    f"got {places}."
                )

    def check(self, n_observations: int, n_actions: int) -> None:
        """Raise ValueError unless the numbers are those of the world."""
        own = (len(self.observations), len(self.actions))
        if own != (n_observations, n_actions):
            raise ValueError(
                f"Symmetry: observations and actions must have {n_observations} and {n_actions} "
                f"entries, as those of the environment; got {own[0]} and {own[1]}."
            )

    @property
    def order(self) -> int:
        """After how many repetitions all is as before."""
        places = np.array([*self.observations, *(len(self.observations) + k for k in self.actions)])
        moved = places
        for count in range(1, _LONGEST):
            if (moved == np.arange(len(places))).all():
                return count
            moved = moved[places]
        raise ValueError(f"Symmetry: all must be as before after {_LONGEST} repetitions.")

    def spread(self, data: Transitions, modes: Modes | None = None) -> Transitions:
        """Return all steps, seen through modes if there are any, and what they are rearranged."""
        move, act = self.through(modes).T, list(self.actions)
        found, latest = list(data.episodes), data.episodes
        for _ in range(self.order - 1):
            latest = [
                replace(e, observations=e.observations @ move, actions=e.actions[:, act])
                for e in latest
            ]
            found += latest
        return replace(data, episodes=found)

    def through(self, modes: Modes | None) -> FloatArray:
        """Return the matrix that rearranges what is seen, shape (n, n), of amplitudes or not."""
        moved = np.eye(len(self.observations))[list(self.observations)]
        return moved if modes is None else modes.vectors @ moved @ modes.vectors.T

    def share(self, form: PolicyForm, modes: Modes | None = None) -> PolicyForm:
        """Return the policies of a form that act alike on what is alike.

        Raises
        ------
        ValueError
            If no policy of the form does.
        """
        move, n_terms = self.through(modes), form.table.n_terms
        rng = np.random.default_rng(0)
        points = rng.normal(size=(2 * n_terms + 10, len(move)))
        shape = (len(points), len(self.actions), -1)
        single = form.coefficients(np.eye(form.n_weights))
        there = np.einsum("np,wap->naw", form.table.evaluate(points @ move.T), single)
        here = np.einsum("np,wap->naw", form.table.evaluate(points), single)
        off = (there - here[:, list(self.actions)]).reshape(shape[0] * shape[1], -1)
        _, sizes, rows = np.linalg.svd(off, full_matrices=True)
        rank = int((sizes > _NONE * sizes[0]).sum()) if sizes[0] > 0 else 0
        if rank == form.n_weights:
            raise ValueError(
                "Symmetry: no policy of this library acts alike on what is alike; add the "
                "rearranged terms to policy_library."
            )
        return replace(form, shared=rows[rank:] * np.sqrt(len(self.actions)))
