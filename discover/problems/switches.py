"""Controls that come in steps: quadrature over the times at which they switch."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from discover.observations import Trajectory
from discover.observations.interpolation import is_stepped
from discover.typing import FloatArray, IntArray

__all__ = ["split_at_switches"]


def split_at_switches(
    run: Trajectory, inputs: FloatArray, times: FloatArray, first: int, operator: csr_array
) -> tuple[FloatArray, csr_array]:
    """Take the nodes at which a control switches twice: before and after.

    Parameters
    ----------
    run : Trajectory
        Controls in steps hold from their sample on.
    inputs : ndarray of shape (n_nodes, n_inputs)
    times : ndarray of shape (n_nodes,)
        Of the nodes, from the begin to the end of the run.
    first : int
        Column of the first control.
    operator : csr_array of shape (n_rows, n_nodes)
        Quadrature over the nodes.

    Returns
    -------
    inputs : ndarray of shape (n_nodes + n_switches, n_inputs)
    operator : csr_array of shape (n_rows, n_nodes + n_switches)

    Notes
    -----
    The integrand jumps at a switch. A node counts for all that is nearer to it than to others; of
    this interval, the part before the switch gets the law with the controls as they were. Where
    the switch is a node itself, this is the trapezoidal rule on either side.
    """
    if run.controls is None:
        return inputs, operator
    held = is_stepped(run.controls)
    switches = 1 + np.flatnonzero((np.diff(run.controls[:, held], axis=0) != 0).any(axis=1))
    if not len(switches):
        return inputs, operator
    edges = np.concatenate([times[:1], 0.5 * (times[1:] + times[:-1]), times[-1:]])
    at = run.times[switches]
    nodes, chosen = np.unique(np.searchsorted(edges[1:-1], at, side="right"), return_index=True)
    columns = first + np.flatnonzero(held)
    before, after = inputs[nodes], inputs.copy()
    before[:, columns] = run.controls[switches[chosen] - 1][:, held]
    after[np.ix_(nodes, columns)] = run.controls[switches[chosen]][:, held]
    share = (at[chosen] - edges[nodes]) / (edges[nodes + 1] - edges[nodes])
    split = csr_array(operator @ _shares(len(times), nodes, share))
    return np.insert(after, nodes, before, axis=0), split


def _shares(n_nodes: int, nodes: IntArray, share: FloatArray) -> csr_array:
    """Hand `share` of what a node counts to the row inserted before it."""
    place = np.arange(n_nodes) + np.searchsorted(nodes, np.arange(n_nodes), side="right")
    weight = np.ones(n_nodes)
    weight[nodes] -= share
    rows, columns = np.append(np.arange(n_nodes), nodes), np.append(place, place[nodes] - 1)
    shape = (n_nodes, n_nodes + len(nodes))
    return csr_array((np.append(weight, share), (rows, columns)), shape=shape)
