"""Networks as surrogate: the peer of sparse laws in the same loop."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from discover.control import SINDyRL, Surrogate
from discover.control.surrogate import Rollouts, _dense_sums, _program
from discover.control.transitions import Transitions
from discover.kernels.networks import network_rollouts
from discover.libraries.termtable import TermTable
from discover.typing import FloatArray

__all__ = ["NetworkLoop", "NeuralSurrogate"]

_MEMBERS = 5
_UNITS = (64, 64)
_DECAY = 1e-2  # of weights; of 1e-4, 1e-2 and 1e-1 the best on held-out steps, by little
_ITERATIONS = 500

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
    leaves errors two to five times larger on held-out steps than L-BFGS does.
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
        candidate, start = np.indices(shape[1:]).reshape(2, -1)
        begins = np.ascontiguousarray(np.asarray(starts, dtype=np.float64)[start])
        returns, lengths = np.zeros((shape[0], len(start))), np.zeros((shape[0], len(start)), int)
        kept = np.zeros((shape[0], *((len(start), horizon) if trace else (0, 0))))
        weights = np.ascontiguousarray(coefficients.reshape(len(coefficients), -1))
        for k in range(shape[0]):
            network_rollouts(
                tuple(self.networks[k]), _program(table), _dense_sums(*coefficients.shape[1:]),
                weights, self._actions, self._circles, *self._outcome, self._bounds, candidate,
                begins, horizon, returns[k], lengths[k], kept[k],
            )  # fmt: skip
        by_candidate = [np.swapaxes(v.reshape(shape), 0, 1) for v in (returns, lengths)]
        return Rollouts(
            by_candidate[0], np.abs(by_candidate[1]), by_candidate[1] < 0,
            np.swapaxes(kept.reshape(*shape, horizon), 0, 1) if trace else None,
        )  # fmt: skip


def _fitted(inputs: FloatArray, targets: FloatArray, seed: int) -> Layers:
    """Fit one network, and put the scaling of inputs and targets into its layers."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    shift, scale = inputs.mean(axis=0), inputs.std(axis=0)
    center, size = targets.mean(axis=0), targets.std(axis=0)
    net = MLPRegressor(
        hidden_layer_sizes=_UNITS, activation="tanh", solver="lbfgs", alpha=_DECAY,
        max_iter=_ITERATIONS, random_state=seed,
    )  # fmt: skip
    with warnings.catch_warnings():  # more iterations gain little on held-out steps
        warnings.simplefilter("ignore", ConvergenceWarning)
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
