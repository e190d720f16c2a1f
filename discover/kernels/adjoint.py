"""The adjoint of closed loops: how the sum of rewards depends on every action."""

from __future__ import annotations

from numba import njit


@njit(cache=True, error_model="numpy", nogil=True)
def backward(change, hold, look, pay, feed, going, fade, slope, feel, gain):
    """Carry the slope of the return with respect to the state from the last step to the first.

    Parameters
    ----------
    change : ndarray of shape (horizon, n, n_states, n_states + n_actions)
        Derivatives of the increments.
    hold : ndarray of shape (horizon, n, n_states, n_states)
        Of what puts the moved state back where it may be (circles, stops).
    look : ndarray of shape (horizon + 1, n, n_observations, n_states)
        Of the observations.
    pay : ndarray of shape (horizon, n, 2 n_observations + n_actions)
        Of the rewards: with respect to the next observations, the actions, and the
        observations before.
    feed : ndarray of shape (horizon, n, n_actions, n_observations)
        Of the policy; 0 where it saturates.
    going : ndarray of shape (horizon, n)
        1 for steps that were paid, else 0.
    fade : float
        Factor on the slope per step; 1 for exact derivatives.
    slope : ndarray of shape (n_states,)
    feel : ndarray of shape (n_observations,)
        Working space, like `slope`.
    gain : ndarray of shape (horizon, n, n_actions)
        Filled with the slopes of the return with respect to the actions.
    """
    horizon, n, n_z, width = change.shape
    n_u, n_o = width - n_z, feed.shape[3]
    for r in range(n):
        slope[:] = 0.0
        for k in range(horizon - 1, -1, -1):
            if going[k, r] == 0.0:
                gain[k, r, :] = 0.0
                continue
            for i in range(n_z):  # what is seen next pays now
                for j in range(n_o):
                    slope[i] += pay[k, r, j] * look[k + 1, r, j, i]
            free = slope.copy()
            for i in range(n_z):
                slope[i] = 0.0
                for j in range(n_z):
                    slope[i] += hold[k, r, j, i] * free[j]
            for a in range(n_u):
                total = pay[k, r, n_o + a]
                for i in range(n_z):
                    total += change[k, r, i, n_z + a] * slope[i]
                gain[k, r, a] = total
            for j in range(n_o):
                feel[j] = pay[k, r, n_o + n_u + j]
                for a in range(n_u):
                    feel[j] += gain[k, r, a] * feed[k, r, a, j]
            free[:] = slope
            for i in range(n_z):
                for j in range(n_z):
                    slope[i] += change[k, r, j, i] * free[j]
                for j in range(n_o):
                    slope[i] += feel[j] * look[k, r, j, i]
                slope[i] *= fade
