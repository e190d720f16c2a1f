"""Networks as surrogate: the peer of sparse laws in the same loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from discover.control import SINDyRL, Surrogate
from discover.control.surrogate import Rollouts
from discover.control.transitions import Transitions
from discover.libraries.termtable import TermTable
from discover.typing import FloatArray, IntArray

__all__ = ["NetworkLoop", "NeuralSurrogate"]

_MEMBERS = 5
_UNITS = (64, 64)
_DECAY = 1e-2  # of weights; of 1e-4, 1e-2 and 1e-1 the best on held-out steps, by little
_ITERATIONS = 1000
_REPACK = 25  # steps after which rollouts that are over are left out

#: Weights and offsets of the layers, tangents between them.
Layers = Sequence[tuple[FloatArray, FloatArray]]


@dataclass(frozen=True, eq=False)
class NeuralSurrogate(Surrogate):
    """A surrogate whose increments are an ensemble of networks, in place of laws.

    Parameters
    ----------
    networks : sequence of Layers
        Over observations and actions; the first and the last layer hold the scaling.

    Notes
    -----
    Five networks of two layers of 64 hyperbolic tangents, as in Zolman et al.,
    arXiv:2403.09110, each on its own bag. They stop early there; with so few steps that
    leaves errors four times larger on held-out steps than L-BFGS does, which fits them here.
    """

    networks: Sequence[Layers] = ()

    @property
    def n_members(self) -> int:
        """Number of networks."""
        return len(self.networks)

    @classmethod
    def beside(cls, world: Surrogate, data: Transitions, n_members: int, seed: int) -> Self:
        """Fit networks to all steps, for the place of the laws in a surrogate.

        The states of its dynamics must be the observations themselves.
        """
        inputs = np.concatenate([data.states, data.actions], axis=1)
        targets = data.next_states - data.states
        rng = np.random.default_rng(seed)
        bags = [rng.integers(len(inputs), size=len(inputs)) for _ in range(n_members)]
        networks = [_fitted(inputs[bag], targets[bag], seed + k) for k, bag in enumerate(bags)]
        return cls(
            world.dynamics, world.outcome, world.box, world.bounds,
            reward_range=world.reward_range, networks=networks,
        )  # fmt: skip

    def rollouts(
        self,
        table: TermTable,
        coefficients: FloatArray,
        starts: FloatArray,
        horizon: int,
        *,
        members: int | None = None,
        trace: bool = False,
        rng: np.random.Generator | None = None,
    ) -> Rollouts:
        """Run policies from starts, with every network; see :meth:`Surrogate.rollouts`."""
        shape = (self.n_members if members is None else members, len(coefficients), len(starts))
        network, candidate, start = np.indices(shape).reshape(3, -1)
        job = np.arange(len(network))
        seen, going = np.array(starts, dtype=np.float64)[start], np.ones(len(job), dtype=bool)
        total, lengths = np.zeros(len(job)), np.zeros(len(job), dtype=np.int64)
        kept = np.zeros((len(job), horizon if trace else 0))
        policy, low, high = coefficients[candidate], *self.limits
        for step in range(horizon):
            if step % _REPACK == 0:
                job, seen, policy = job[going], seen[going], policy[going]
                going = going[going]
                if not len(job):
                    break
            u = self.box.saturate((policy @ table.evaluate(seen)[:, :, None])[:, :, 0])
            seen = self._moved(np.concatenate([seen, u], axis=1), network[job])
            lengths[job] += going
            going &= ((seen >= low) & (seen <= high)).all(axis=1)
            known = np.concatenate([seen, u], axis=1)
            rewards = going * (self.outcome.table.evaluate(known) @ self.outcome.coefficients[0])
            total[job] += rewards
            if trace:
                kept[job, step] = rewards
        ended = lengths < horizon
        ended[job] |= ~going

        def by_candidate(values: Any) -> Any:
            return np.swapaxes(values.reshape(*shape, *values.shape[1:]), 0, 1)

        return Rollouts(
            by_candidate(total), by_candidate(lengths), by_candidate(ended),
            by_candidate(kept) if trace else None,
        )  # fmt: skip

    def _moved(self, inputs: FloatArray, network: IntArray) -> FloatArray:
        """Take one step; `network` says by row whose it is, in order."""
        edges = np.searchsorted(network, np.arange(1, self.n_members))
        parts: list[Any] = np.split(inputs.astype(np.float32), edges)  # half the time
        change = [_output(*one) for one in zip(self.networks, parts, strict=True)]
        seen = inputs[:, : -len(self.box.names)] + np.concatenate(change)
        for c, s in self._circles:
            seen[:, [c, s]] /= np.hypot(seen[:, c], seen[:, s])[:, None]
        return seen


def _output(layers: Layers, inputs: FloatArray) -> FloatArray:
    y = inputs
    for weights, offsets in layers[:-1]:
        y = np.tanh(y @ weights + offsets)
    return y @ layers[-1][0] + layers[-1][1]


def _fitted(inputs: FloatArray, targets: FloatArray, seed: int) -> Layers:
    """Fit one network, and put the scaling of inputs and targets into its layers."""
    from sklearn.neural_network import MLPRegressor

    shift, scale = inputs.mean(axis=0), inputs.std(axis=0)
    center, size = targets.mean(axis=0), targets.std(axis=0)
    net = MLPRegressor(
        hidden_layer_sizes=_UNITS, activation="tanh", solver="lbfgs", alpha=_DECAY,
        max_iter=_ITERATIONS, random_state=seed,
    )  # fmt: skip
    net.fit((inputs - shift) / scale, (targets - center) / size)
    layers = list(zip(net.coefs_, net.intercepts_, strict=True))
    first, last = layers[0], layers[-1]
    layers[0] = (first[0] / scale[:, None], first[1] - (shift / scale) @ first[0])
    layers[-1] = (last[0] * size, last[1] * size + center)
    return [(w.astype(np.float32), b.astype(np.float32)) for w, b in layers]


class NetworkLoop(SINDyRL):
    """The loop of :class:`SINDyRL`, all of it, with networks in place of the laws."""

    def _fit(self) -> Surrogate:
        world, plant = super()._fit(), self.plant_
        self.surrogate_ = NeuralSurrogate.beside(world, plant.data, _MEMBERS, plant.seed)
        return self.surrogate_
