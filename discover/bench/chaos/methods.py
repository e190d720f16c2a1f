"""The methods: ours, and pysindy's at its fairest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from discover.bench.chaos.cases import DEGREE, Found, candidate_terms, over_candidates
from discover.bench.peers import quietly, weak_rows
from discover.dynamics import System
from discover.interop.pysindy import load_pysindy
from discover.libraries import PolynomialLibrary
from discover.observations import Trajectory
from discover.sindy import SINDy
from discover.typing import FloatArray, IntArray

__all__ = ["METHODS", "Method", "solve"]

Method = Callable[[System, Sequence[Trajectory], float], Found]

_KNEE = 1.3  # the sparsest model whose residual is within this factor of the smallest
_THRESHOLDS = np.geomspace(1e-2, 10.0, 20)
_ROUNDING = 1e-12  # of the total sum of squares: residuals below count as equal
_RIDGE = 1e-12  # times the mean energy of a column: pysindy's own is absolute
_WINDOWS = 200  # per run
_SMOOTHING = ((0.0, 0), (0.002, 5), (0.02, 5), (np.inf, 11))  # window by noise, cubic


def solve(name: str, system: System, runs: Sequence[Trajectory], noise: float) -> Found:
    """Let a method find the law of noisy runs; only the peers are told the noise level.

    Raises
    ------
    ValueError
        If there is no such method.
    """
    if name not in METHODS:
        raise ValueError(f"bench chaos: method must be one of {', '.join(METHODS)}; got {name!r}.")
    return METHODS[name](system, runs, noise)


def _ours(method: str) -> Method:
    def identify(system: System, runs: Sequence[Trajectory], noise: float) -> Found:
        with quietly():
            law = SINDy(PolynomialLibrary(DEGREE), method=method).fit(list(runs)).symbolic_
        return Found(
            over_candidates(system, law.table, law.coefficients),
            over_candidates(system, law.table, law.standard_errors),
        )

    return identify


# -- pysindy -------------------------------------------------------------------------


def pysindy_weak(system: System, runs: Sequence[Trajectory], noise: float) -> Found:
    """Weak form of pysindy, a path of thresholds, the knee of the residual per equation.

    Of the configurations that see the noisy data only, this is the strongest that was
    found: states in standard deviations, time in periods, 200 windows per run of half
    width 0.25 (clean) or 0.1 (noisy) periods, ``p = 4``.
    """
    scaled, spread = _scaled(system, runs)
    width = 0.25 if noise == 0 else 0.1
    parts = [
        weak_rows(x, t, degree=DEGREE, n_windows=_WINDOWS, half_width=width, power=4, seed=k)
        for k, (x, t) in enumerate(scaled)
    ]
    Theta, Y = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    return _knee(system, Theta, Y, parts[0][2], spread)


def pysindy_strong(system: System, runs: Sequence[Trajectory], noise: float) -> Found:
    """Differences of pysindy (order 8, or smoothed), a path of thresholds, the knee."""
    pysindy = load_pysindy()
    scaled, spread = _scaled(system, runs)
    window = next(w for limit, w in _SMOOTHING if noise <= limit)
    method = pysindy.FiniteDifference(order=8)
    if window:
        method = pysindy.SmoothedFiniteDifference(
            smoother_kws={"window_length": window, "polyorder": 3}
        )
    library = pysindy.PolynomialLibrary(degree=DEGREE)
    Theta, Y = [], []
    with quietly():
        for x, t in scaled:
            slopes = np.asarray(method._differentiate(x, t))
            states = np.asarray(getattr(method, "smoothed_x_", x))
            Theta.append(np.asarray(library.fit(states).transform(states)))
            Y.append(slopes)
    powers = np.asarray(library.powers_)
    return _knee(system, np.concatenate(Theta), np.concatenate(Y), powers, spread)


def _scaled(
    system: System, runs: Sequence[Trajectory]
) -> tuple[list[tuple[FloatArray, FloatArray]], FloatArray]:
    """Divide states by their standard deviation and time by the period."""
    spread = np.concatenate([run.states for run in runs]).std(axis=0)
    return [(run.states / spread, run.times / system.period) for run in runs], spread


def _knee(
    system: System, Theta: FloatArray, Y: FloatArray, powers: IntArray, spread: FloatArray
) -> Found:
    """Choose per equation the sparsest model whose residual is near the smallest."""
    pysindy = load_pysindy()
    d = Y.shape[1]
    # the triangular factor poses the same least-squares problem
    factor: FloatArray = np.linalg.qr(np.concatenate([Theta, Y], axis=1)).R
    A, B = factor[:, :-d], factor[:, -d:]
    ridge = _RIDGE * float(np.mean((A**2).sum(axis=0)))
    path = []
    with quietly():
        for threshold in _THRESHOLDS:
            optimizer = pysindy.STLSQ(threshold=threshold, alpha=ridge)
            path.append(np.array(optimizer.fit(A, B).coef_))
    models = np.array(path)  # thresholds, states, terms
    residual = ((np.einsum("rk,tik->tri", A, models) - B) ** 2).sum(axis=1)
    size, total = (models != 0).sum(axis=2), (B**2).sum(axis=0)
    chosen = np.empty_like(models[0])
    for i in range(d):
        limit = max(_KNEE * residual[:, i].min(), _ROUNDING * total[i])
        good = np.flatnonzero(residual[:, i] <= limit)
        chosen[i] = models[good[np.argmin(size[good, i])], i]
    units = np.prod(spread**powers, axis=1)  # of every monomial
    physical = chosen * (spread[:, None] / system.period) / units
    return Found(_in_order(system, powers, physical))


def _in_order(system: System, powers: IntArray, values: FloatArray) -> FloatArray:
    wanted = candidate_terms(system).powers()
    assert wanted is not None
    place = {tuple(row): k for k, row in enumerate(wanted.tolist())}
    out = np.zeros_like(values)
    out[:, [place[tuple(row)] for row in np.asarray(powers).tolist()]] = values
    return out


METHODS: dict[str, Method] = {
    "weak": _ours("weak"),
    "joint": _ours("joint"),
    "auto": _ours("auto"),
    "pysindy-weak": pysindy_weak,
    "pysindy-strong": pysindy_strong,
}
