"""The joint smoother: states are integrated out exactly."""

import numpy as np
import pytest

from discover.estimation.series import Observed, linearise
from discover.estimation.tridiagonal import eliminate


def test_elimination_solves_the_dense_system():
    rng = np.random.default_rng(0)
    n_blocks, n, p = 6, 4, 3
    J = rng.standard_normal((60, n_blocks * n))
    H = J.T @ J + np.eye(n_blocks * n)
    for i in range(n_blocks):
        for j in range(n_blocks):
            if abs(i - j) > 1:
                H[i * n : (i + 1) * n, j * n : (j + 1) * n] = 0.0
    H += 60 * np.eye(len(H))
    blocks = H.reshape(n_blocks, n, n_blocks, n)
    diagonal = np.array([blocks[i, :, i] for i in range(n_blocks)])
    upper = np.array([blocks[i, :, i + 1] for i in range(n_blocks - 1)])
    B = rng.standard_normal((n_blocks, n, p))
    found = eliminate(diagonal, upper, B)
    exact = np.linalg.solve(H, B.reshape(-1, p))
    np.testing.assert_allclose(found.solve().reshape(-1, p), exact, rtol=1e-10)
    np.testing.assert_allclose(found.quadratic(), B.reshape(-1, p).T @ exact, rtol=1e-10)


class LinearFlow:
    """x[k+1] = M x[k] + S theta, exactly."""

    def __init__(self, M, S, theta):
        self.M, self.S, self.theta = M, S, theta
        self.n_states, self.n_terms = S.shape

    def advance(self, rows, h, times):
        return rows @ self.M.T + self.S @ self.theta

    def tangents(self, start, end, h, times):
        return np.broadcast_to(self.M, (len(start), *self.M.shape))

    def term_rows(self, rows, times=None):
        return np.broadcast_to(self.S, (len(rows), *self.S.shape))

    def sensitivities(self, terms, h):
        return terms


@pytest.mark.parametrize("seed", [0, 1])
def test_marginal_precision_is_that_of_the_dense_gaussian(seed):
    """All observations are jointly Gaussian; generalised least squares on them is exact."""
    rng = np.random.default_rng(seed)
    d, p, n, q, r = 3, 2, 8, 0.3, 0.2
    M, S = 0.8 * np.linalg.qr(rng.standard_normal((d, d)))[0], rng.standard_normal((d, p))
    scale, h = np.array([1.0, 2.0, 0.5]), 0.25
    at = np.array([1, 4, 7])
    y = rng.standard_normal((3, d))
    # covariance and sensitivity of the states at `at`, by running the model densely
    covariance = np.diag(scale**2)
    mean = np.zeros((d, p))
    means, cross = [mean], {(0, 0): covariance}
    for k in range(1, n):
        mean = M @ mean + S
        means.append(mean)
        for j in range(k):
            cross[k, j] = M @ cross[k - 1, j]
        cross[k, k] = M @ cross[k - 1, k - 1] @ M.T + np.diag((q * scale) ** 2 * h)
    get = lambda i, j: cross[i, j] if i >= j else cross[j, i].T  # noqa: E731
    K = np.block([[get(i, j) for j in at] for i in at]) + r**2 * np.eye(9)
    Z = np.concatenate([means[i] for i in at])
    G = Z.T @ np.linalg.solve(K, Z)
    b = Z.T @ np.linalg.solve(K, y.ravel())
    theta = rng.standard_normal(p)
    states = rng.standard_normal((n, d))  # linearising about anything gives the same answer
    seen = Observed(at, np.full(d, r**-2), y * r**-2, float(np.sum(y**2)) * r**-2, y.size)
    found = linearise(LinearFlow(M, S, theta), theta, states, np.full(n - 1, h), seen, scale, q)
    np.testing.assert_allclose(found.G, G, rtol=1e-9)
    np.testing.assert_allclose(found.b, b, rtol=1e-9, atol=1e-9)
    best = np.linalg.solve(G, b)
    left = y.ravel() - Z @ best
    np.testing.assert_allclose(found.misfit(best), left @ np.linalg.solve(K, left), rtol=1e-8)
