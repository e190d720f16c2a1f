"""Twin experiments: a truth that is known, seen through instruments that are known.

Each setting is named after the paper it is from and carries the numbers published for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from discover.assimilation.filter import Assimilator, EnsembleKalmanFilter
from discover.assimilation.localization import Localization
from discover.assimilation.request import read_request
from discover.assimilation.result import Assimilation
from discover.dynamics.etdrk4 import kuramoto_sivashinsky
from discover.libraries import TermTableBuilder
from discover.symbolic import SymbolicModel
from discover.typing import FloatArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Published",
    "Twin",
    "bocquet_2019",
    "lorenz63",
    "lorenz96",
    "sakov_2012",
    "sakov_oke_2008",
    "sweep",
    "track_drifting_rho",
]


@dataclass(frozen=True)
class Published:
    """A setting and the analysis error it was published with.

    Parameters
    ----------
    name : str
    method : Assimilator
    rmse : float
        Time average of the root mean square error of the analysis.
    """

    name: str
    method: Assimilator
    rmse: float


@dataclass(frozen=True, eq=False)
class Twin:
    """A model, its instruments and a clock.

    Parameters
    ----------
    name : str
    reference : str
    dynamics : SymbolicModel or Dynamics
    x0 : ndarray of shape (n_states,)
        A state on the attractor, or near it.
    dt : float
        Step of the model.
    interval : float
        Time between observations.
    R : float
        Variance of the observation errors.
    observe : indices or None, default=None
        Which states are observed; all by default.
    burn_in : int
        Analyses left out of averages.
    settle : float
        Time from `x0` to the attractor.
    first_guess : float, optional
        Variance of the error of the first guess; by default `R`: as good as an observation
        of every state.
    published : tuple of Published
    """

    name: str
    reference: str
    dynamics: Any
    x0: FloatArray
    dt: float
    interval: float
    R: float
    observe: Any = None
    burn_in: int = 400
    settle: float = 20.0
    first_guess: float | None = None
    published: tuple[Published, ...] = field(default_factory=tuple)

    def draw(
        self, n_analyses: int, *, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Draw a truth and observe it.

        Returns
        -------
        times : ndarray of shape (n_analyses,)
        truth : ndarray of shape (n_analyses, n_states)
        observations : ndarray of shape (n_analyses, n_obs)
        """
        n = len(self.x0)
        request = read_request(
            self.dynamics, None, 1.0, [[0.0] * n], [0.0], initial=(self.x0, 1.0), start=None,
            truth=None, parameters=None, dt=self.dt, n_jobs=None,
        )  # fmt: skip
        start = self.x0 + 1e-2 * np.abs(self.x0).max() * rng.standard_normal(n)
        x = request.forecast(start[None], 0.0, self.settle * rng.uniform(1.0, 2.0))
        times = self.interval * np.arange(1, n_analyses + 1)
        truth = np.empty((n_analyses, n))
        for k, t in enumerate(times):
            x = request.forecast(x, t - self.interval, t)
            truth[k] = x[0]
        seen = truth if self.observe is None else truth[:, self.observe]
        errors = np.sqrt(self.R) * rng.standard_normal(seen.shape)
        return np.asarray(times), truth, np.asarray(seen + errors)

    def run(self, method: Assimilator, n_analyses: int, *, seed: int) -> Assimilation:
        """Track one truth; `seed` decides about truth, errors and the method's own draws."""
        variance = self.R if self.first_guess is None else self.first_guess
        truth_rng, start_rng, own = np.random.default_rng(seed).spawn(3)
        times, truth, y = self.draw(n_analyses, rng=truth_rng)
        guess = truth[0] + np.sqrt(variance) * start_rng.standard_normal(len(self.x0))
        return replace_random_state(method, own).assimilate(
            self.dynamics, self.observe, self.R, y, times, initial=(guess, variance), truth=truth,
            dt=self.dt,
        )  # fmt: skip

    def rmse(self, method: Assimilator, n_analyses: int, seeds: Iterable[int]) -> FloatArray:
        """Return the time-averaged analysis error after burn-in, one number per seed."""
        runs = (self.run(method, n_analyses + self.burn_in, seed=seed) for seed in seeds)
        return np.array([run.average(self.burn_in)["rmse"] for run in runs])


def replace_random_state(method: Assimilator, rng: np.random.Generator) -> Assimilator:
    """Return the same method with a generator of its own."""
    return replace(method, random_state=rng)  # type: ignore[type-var]


def sweep(
    twin: Twin,
    methods: Mapping[str, Assimilator],
    n_analyses: int = 1000,
    seeds: Sequence[int] = (0,),
) -> pd.DataFrame:
    """Compare methods on the same truths.

    Parameters
    ----------
    twin : Twin
    methods : mapping of str to Assimilator
    n_analyses : int, default=1000
        After the burn-in of the twin.
    seeds : sequence of int, default=(0,)

    Returns
    -------
    pandas.DataFrame
        One row per method and seed: averages of the diagnostics, and what went wrong.
    """
    import pandas as pd

    rows = []
    for name, method in methods.items():
        for seed in seeds:
            found = twin.run(method, n_analyses + twin.burn_in, seed=seed)
            rows.append({"method": name, "seed": seed, **found.average(twin.burn_in),
                         "message": found.message})  # fmt: skip
    return pd.DataFrame(rows)


def track_drifting_rho(duration: float, *, seed: int) -> tuple[FloatArray, FloatArray]:
    """Track rho of Lorenz-63 while it drifts from 28 to 32; all states are seen every 0.25.

    Parameters
    ----------
    duration : float
        Of the drift.
    seed : int
        Decides about the errors of the observations, of variance 1, and the filter's draws.

    Returns
    -------
    times : ndarray of shape (n_times,)
    error : ndarray of shape (n_times,)
        Relative error of the estimate.
    """
    rng = np.random.default_rng(seed)
    times = np.arange(0.25, duration + 0.125, 0.25)
    x, truth = np.array([1.5, -1.5, 25.5]), []
    for t in times:
        rho = 28.0 + 4.0 * (t - 0.125) / duration
        x = np.asarray(lorenz63(rho=rho).simulate(x, [0.0, 0.25]))[-1]
        truth.append(x)
    y = np.array(truth) + rng.normal(size=(len(times), 3))
    found = EnsembleKalmanFilter(
        "etkf", 20, rotate=True, model_noise=[0.0, 0.0, 0.0, 0.004], random_state=seed
    ).assimilate(
        lorenz63(), None, 1.0, y, times, initial=([*y[0], 26.0], [1.0, 1.0, 1.0, 9.0]),
        parameters={"rho": ("y", "x")}, dt=0.01,
    )  # fmt: skip
    return times, np.asarray(found["rho"] / (28.0 + 4.0 * times / duration) - 1.0)


# -- models ------------------------------------------------------------------------


@cache
def lorenz63(sigma: float = 10.0, rho: float = 28.0, beta: float = 8.0 / 3.0) -> SymbolicModel:
    """Return the convection model of Lorenz (1963)."""
    builder = TermTableBuilder(("x", "y", "z"))
    exponents = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 0)]
    table = builder.table([builder.monomial(e) for e in exponents])
    coefficients = [[-sigma, sigma, 0, 0, 0], [rho, -1, 0, -1, 0], [0, 0, -beta, 0, 1]]
    return SymbolicModel(table, np.array(coefficients), ("x", "y", "z"))


@cache
def lorenz96(n: int = 40, forcing: float = 8.0) -> SymbolicModel:
    """Return the ring of Lorenz (1996): ``x_i' = (x_{i+1} - x_{i-2}) x_{i-1} - x_i + F``."""
    if n < 4:
        raise ValueError(f"lorenz96: n must be 4 or more; got {n}.")
    names = tuple(f"x{i}" for i in range(n))
    builder = TermTableBuilder(names)
    slots: dict[tuple[int, ...], int] = {(): builder.constant(1.0)} | {(i,): i for i in range(n)}
    laws: list[dict[tuple[int, ...], float]] = []
    for i in range(n):
        ahead, behind = (i + 1) % n, (i - 2) % n
        pairs = [tuple(sorted(((i - 1) % n, other))) for other in (ahead, behind)]
        for a, b in pairs:
            slots.setdefault((a, b), builder.binary("mul", a, b))
        laws.append({pairs[0]: 1.0, pairs[1]: -1.0, (i,): -1.0, (): forcing})
    keys = list(slots)
    coefficients = np.array([[law.get(key, 0.0) for key in keys] for law in laws])
    return SymbolicModel(builder.table(list(slots.values())), coefficients, names)


# -- settings ----------------------------------------------------------------------


@cache
def sakov_2012() -> Twin:
    """Return Lorenz-63 as in Sakov, Oliver & Bertino (2012): all states, every 0.25."""
    F = EnsembleKalmanFilter
    return Twin(
        "Lorenz-63", "P. Sakov, D. S. Oliver, L. Bertino, Mon. Weather Rev. 140 (2012) 1988-2004",
        lorenz63(), np.array([1.509, -1.531, 25.46]), dt=0.01, interval=0.25, R=2.0,
        published=(
            Published("ETKF, N=10", F("etkf", 10, 1.02, rotate=True), 0.60),
            Published("EnKF-N, N=10", F("enkfn", 10, rotate=True), 0.54),
            Published("stochastic, N=100", F("stochastic", 100, 1.01), 0.56),
        ),
    )  # fmt: skip


@cache
def sakov_oke_2008() -> Twin:
    """Return Lorenz-96 as in Sakov & Oke (2008): 40 states, all seen every 0.05."""
    F, n = EnsembleKalmanFilter, 40
    x0 = np.full(n, 8.0)
    x0[0] += 0.01
    ring = Localization.on_grid((n,), 4.0)
    return Twin(
        "Lorenz-96", "P. Sakov, P. R. Oke, Tellus A 60 (2008) 361-371",
        lorenz96(n), x0, dt=0.05, interval=0.05, R=1.0,
        published=(
            Published("ETKF, N=28", F("etkf", 28, 1.02, rotate=True), 0.18),
            Published("EnKF-N, N=24", F("enkfn", 24, rotate=True), 0.21),
            Published("DEnKF, N=40", F("denkf", 40, 1.01), 0.18),
            Published("stochastic, N=40", F("stochastic", 40, 1.06), 0.22),
            Published("EnSRF, N=28", F("ensrf", 28, 1.02, rotate=True), 0.18),
            Published("LETKF, N=7", F("letkf", 7, 1.04, ring, rotate=True), 0.22),
        ),
    )  # fmt: skip


@cache
def bocquet_2019() -> Twin:
    """Return Kuramoto-Sivashinsky as in Bocquet & Farchi (2019): 128 points, every 1.0."""
    F, n = EnsembleKalmanFilter, 128
    grid = 32.0 * np.pi * np.arange(1, n + 1) / n

    def local(radius: float) -> Localization:
        return Localization.on_grid((n,), radius / 1.82)  # published: half the support

    return Twin(
        "Kuramoto-Sivashinsky",
        "M. Bocquet, A. Farchi, Tellus A 71 (2019) 1662691, figure 4",
        kuramoto_sivashinsky(n), np.cos(grid / 16) * (1 + np.sin(grid / 16)),
        dt=0.5, interval=1.0, R=1.0, burn_in=1000, settle=150.0,
        first_guess=1e-3,  # twenty members cannot span the errors of 128 independent points
        published=(
            Published("ETKF, N=20", F("etkf", 20, 1.03, rotate=True), 0.115),
            Published("LETKF, N=6", F("letkf", 6, 1.06, local(25), rotate=True), 0.14),
            Published("LETKF, N=16", F("letkf", 16, 1.02, local(51), rotate=True), 0.11),
        ),
    )  # fmt: skip
