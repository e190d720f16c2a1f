"""Model errors of the Kuramoto-Sivashinsky equation: 22 wrong solvers, noisy observations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from discover.bench.kept import kept_arrays
from discover.bench.record import table_path
from discover.bench.rows import Row
from discover.bench.tables import ResultTable
from discover.dynamics.etdrk4 import advance_modes, etdrk4_weights
from discover.dynamics.field_law import FieldLaw
from discover.dynamics.galerkin import GalerkinFlow
from discover.dynamics.valid_time import valid_prediction_time
from discover.libraries import SymbolicLibrary
from discover.medida import ModelErrorDiscovery
from discover.observations import Axis, Field, Grid
from discover.observations.jets import jet_names
from discover.problems.field_rows import FieldTerms
from discover.problems.spectra import FourierTests
from discover.regression import Estimate, RelevanceVectorRegressor
from discover.symbolic import SymbolicModel
from discover.typing import FloatArray

__all__ = ["CASES", "SETTINGS", "Result", "Setting", "complete_table", "run"]

_POINTS, _DT = 1024, 0.005
_RUN = 512  # points of forecasts
_TERMS = ("u*u_x", "u_xx", "u_xxxx", "u_xxx", "u**2*u_x")
_TABLE = SymbolicLibrary(list(_TERMS)).build(jet_names(["u"], ["x"], 4))
_TRUTH = np.array([-1.0, -1.0, -1.0, 0.0, 0.0])


def _solver(a1: float, a2: float, a4: float, c3: float = 0.0, c: float = 0.0) -> FloatArray:
    """Return the coefficients of a solver: dispersion c3, cubic flux c along with advection."""
    return np.array([-a1, -a2, -a4, -c3, -1.5 * c * a1])


#: Mojgani, Chattopadhyay and Hassanzadeh, Chaos 32, 061105 (2022): the wrong solvers.
CASES: dict[str, FloatArray] = {
    "1": _solver(0, 1, 1),
    "2": _solver(1, 0, 1),
    "3": _solver(1, 1, 0),
    "4": _solver(1, 0, 0),
    "5": _solver(0, 1, 0),
    "6": _solver(0, 0, 1),
    "7": _solver(0.5, 1, 1),
    "8": _solver(1, 0.5, 1),
    "9": _solver(1, 1, 0.5),
    "10": _solver(2, 2, 2),
    "12": _solver(0.5, 0, 1),
    "P1": _solver(1, 1, 1, 0.1),
    "P2": _solver(1, 1, 1, 0.5),
    "P3": _solver(1, 1, 1, 1.0),
    "P21": _solver(0, 1, 1, 0.5),
    "P22": _solver(1, 0, 1, 0.5),
    "P23": _solver(1, 1, 0, 0.5),
    "Q1": _solver(1, 1, 1, 0, 1.5),
    "Q2": _solver(1, 1, 1, 0, 0.15),
    "Q3": _solver(1, 1, 1, 0, 0.015),
    "Q22": _solver(1, 0, 1, 0, 0.15),
    "Q23": _solver(1, 1, 0, 0, 0.15),
}


@dataclass(frozen=True)
class Setting:
    """What is observed.

    Parameters
    ----------
    name : str
    noise : float
        Standard deviation over that of the field.
    n : int
        Bursts of three states, or states of a series.
    spacing : float
        Time between the states of a series; 0 for bursts.
    stride : int
        Every which grid point is observed.
    points : int
        How many random points of a snapshot are observed; 0 for all.
    generic : bool
        A truth from a random initial condition; the published one is odd-symmetric.
    black_box : bool
        The solver as it is, instead of a law of known terms.
    valid : float
        Bar: valid prediction time of the corrected solvers; 0 where none is measured.
    length : float
        Of the box.
    parameters : tuple of float
        Factors of advection, growth and damping in the truth and in every solver.
    rate, error, worst : float
        Bars: share of cases with the right terms, median and largest relative error.
    """

    name: str
    noise: float
    n: int
    spacing: float = 0.0
    stride: int = 1
    points: int = 0
    generic: bool = False
    black_box: bool = False
    length: float = 100.0
    parameters: tuple[float, float, float] = (1.0, 1.0, 1.0)
    rate: float = 1.0
    error: float = np.inf
    worst: float = np.inf
    valid: float = 0.0

    @property
    def axis(self) -> Axis:
        """Where the solvers work."""
        return Axis.box("x", _POINTS, self.length, -0.5 * self.length)

    @property
    def factors(self) -> FloatArray:
        """Of the coefficients of all terms; the cubic flux goes with the advection."""
        a1, a2, a4 = self.parameters
        return np.array([a1, a2, a4, 1.0, a1])


_OTHER = (1.5, 0.8, 0.6)

SETTINGS = (
    Setting("noise-free, 100 bursts", 0.0, 100, error=1e-6, worst=1e-6),
    Setting("noise-free, one burst", 0.0, 1, error=1e-6, worst=1e-6),
    Setting("1 %, 100 bursts", 0.01, 100, rate=0.97, error=0.008),
    Setting("1 %, every 4th point, 100 bursts", 0.01, 100, stride=4, rate=0.94, error=0.013),
    Setting("5 %, 100 bursts", 0.05, 100, rate=0.92, error=0.03),
    Setting("1 %, 100 bursts, random start", 0.01, 100, generic=True, rate=0.94),
    Setting("5 %, 100 bursts, random start", 0.05, 100, generic=True, rate=0.89),
    Setting("1 %, 100 bursts, length 64", 0.01, 100, length=64.0, rate=0.94),
    Setting("1 %, 100 bursts, other parameters", 0.01, 100, parameters=_OTHER, rate=0.94),
    Setting("5 %, 200 states at 0.5", 0.05, 200, 0.5, error=1e-3, worst=0.03),
    Setting("10 %, 200 states at 0.5", 0.1, 200, 0.5, error=1e-3, worst=0.03),
    Setting("5 %, 200 states at 1.0", 0.05, 200, 1.0, error=1e-3, worst=0.03),
    Setting("10 %, 200 states at 1.0", 0.1, 200, 1.0, error=1e-3, worst=0.03, valid=60.0),
    Setting("10 %, 200 states at 1.0, random start", 0.1, 200, 1.0, generic=True, rate=0.97),
    Setting("10 %, 200 states at 1.0, length 64", 0.1, 200, 1.0, length=64.0, rate=0.97),
    Setting("10 %, 200 states at 1.0, other parameters", 0.1, 200, 1.0, parameters=_OTHER,
            rate=0.97),
    Setting("10 %, 20 states at 1.0", 0.1, 20, 1.0, rate=0.95, error=0.002),
    Setting("50 %, 200 states at 1.0", 0.5, 200, 1.0, rate=0.9),
    Setting("5 %, 32 points, 100 states at 0.5", 0.05, 100, 0.5, points=32, rate=0.9),
    Setting("5 %, 40 states at 0.5, black box", 0.05, 40, 0.5, black_box=True, rate=0.9),
)  # fmt: skip


class CrankNicolsonAdamsBashforth:
    """The published solver under test, on the whole grid; the second step starts by Euler's."""

    def __init__(self, coefficients: FloatArray, axis: Axis) -> None:
        self.n = n_points = axis.n_points
        k = 2 * np.pi / axis.length * np.arange(n_points // 2 + 1)
        a1, a2, a4, c3, cubic = -coefficients
        self.linear = a2 * k**2 - a4 * k**4 + 1j * c3 * k**3
        self.flux = -1j * k * (np.arange(len(k)) <= n_points // 3)
        self.weights = 0.5 * a1, cubic / 3.0

    def _products(self, u: FloatArray) -> Any:
        a, b = self.weights
        return self.flux * np.fft.rfft(u * u * (a + b * u), axis=-1)

    def step(self, x: FloatArray, t: Any, dt: float) -> FloatArray:
        """Advance states (history, n, n_points) by one step."""
        before, now = self._products(x[0]), self._products(x[1])
        half = 0.5 * dt * self.linear
        v = (1 + half) * np.fft.rfft(x[1], axis=-1) + dt * (1.5 * now - 0.5 * before)
        return np.fft.irfft(v / (1 - half), self.n, axis=-1)


def as_law(coefficients: FloatArray, axis: Axis) -> FieldLaw:
    """Return a solver as a law of known terms."""
    model = SymbolicModel(
        _TABLE, coefficients[None], _TABLE.inputs, target_names=["u_t"], kind="direct"
    )
    return FieldLaw(model, Grid((axis,)), ("u",))


def _truth(setting: Setting) -> tuple[FloatArray, FloatArray]:
    """Return states every 0.5 from time 100 on, and the two that follow each by 0.005."""
    return _run_truth(setting.generic, setting.length, setting.parameters)


@cache
def _run_truth(
    generic: bool, length: float, parameters: tuple[float, float, float]
) -> tuple[FloatArray, FloatArray]:
    setting = Setting("", 0.0, 0, generic=generic, length=length, parameters=parameters)
    name = "_".join(map(str, ["random" if generic else "odd", length, *parameters]))
    kept = kept_arrays(f"medida_{name}", lambda: _run_of(setting))
    return kept["states"], kept["bursts"]


def _run_of(setting: Setting) -> dict[str, FloatArray]:
    grid, length = Grid((setting.axis,)), setting.length
    basis = FourierTests(grid, 0.65 * np.pi * _POINTS / length)  # up to the alias-free third
    terms = FieldTerms(_TABLE, ("u",))
    flow = GalerkinFlow(basis, grid, terms, setting.factors * _TRUTH)
    angle = 2 * np.pi * setting.axis.points / length
    start = -np.cos(angle) * (1 + np.sin(-angle))
    if setting.generic:
        rng = np.random.default_rng(1)
        waves = [np.exp(1j * j * angle) for j in range(1, 9)]
        start = sum(rng.standard_normal() * w.real + rng.standard_normal() * w.imag for w in waves)
    rows, saved = basis.project(grid, start[None]), []
    for step in range(1, 60_001):
        rows = flow.advance(rows, _DT)
        if step >= 20_000 and step % 100 == 0:
            saved.append(rows[0])
    first = np.array(saved)
    second = flow.advance(first, _DT)
    third = flow.advance(second, _DT)
    states = basis.expand(grid, first)
    bursts = np.stack([states, basis.expand(grid, second), basis.expand(grid, third)], axis=1)
    return {"states": states, "bursts": bursts}


def observe(setting: Setting, seed: int) -> tuple[Field, dict[str, Any]]:
    """Return the observations, and what else the method is told."""
    states, bursts = _truth(setting)
    rng = np.random.default_rng(seed)
    std = float(states[:200].std())
    if not setting.spacing:
        chosen = np.linspace(0, 199, setting.n).astype(int) if setting.n > 1 else np.array([0])
        u = bursts[chosen][..., :: setting.stride]
        times = 100 + 0.5 * chosen[:, None] + _DT * np.arange(3)
        u = u.reshape(-1, u.shape[-1])
    else:
        chosen = round(2 * setting.spacing) * np.arange(setting.n)
        u, times = states[chosen], 100 + 0.5 * chosen
    u = u + setting.noise * std * rng.standard_normal(u.shape)
    axis = setting.axis
    if setting.stride > 1:
        axis = axis.resampled(_POINTS // setting.stride)
    told: dict[str, Any] = {}
    if setting.points:
        for snapshot in u:
            snapshot[rng.permutation(_POINTS)[setting.points :]] = np.nan
        when = np.arange(100.0, 100.0 + 0.5 * len(states), 0.5)
        climate = Field(states, when, Grid((setting.axis,)))
        told = {"climatology": climate, "noise_std": setting.noise * std}
    return Field(u, np.ravel(times), Grid((axis,))), told


@dataclass(frozen=True)
class Result:
    """One case of one setting and seed."""

    setting: str
    seed: int
    case: str
    exact: bool
    error: float
    covered: int
    terms: int
    seconds: float
    valid: float = np.nan


def score(setting: Setting, seed: int, case: str, names: Any, estimate: Estimate) -> Result:
    """Hold an estimate against what is missing from a solver."""
    missing = dict(zip(_TABLE.names, setting.factors * (_TRUTH - CASES[case]), strict=True))
    truth = np.array([missing.get(name, 0.0) for name in names])
    support = estimate.support[0]
    exact = np.array_equal(support, truth != 0)
    if not exact:
        return Result(setting.name, seed, case, False, np.nan, 0, 0, 0.0)
    off = estimate.coefficients[0, support] - truth[support]
    inside = np.abs(off) <= 1.96 * np.sqrt(np.diag(estimate.covariance))
    error = float(np.max(np.abs(off / truth[support])))
    return Result(setting.name, seed, case, True, error, int(inside.sum()), len(off), 0.0)


def measure(setting: Setting, seed: int) -> Iterator[Result]:
    """Run all cases of one setting and seed.

    Of a series the law as a whole is sought once; each solver's terms are subtracted from it.
    """
    field, told = observe(setting, seed)
    begin = time.perf_counter()
    if setting.black_box or not setting.spacing:
        for case, coefficients in CASES.items():
            found = ModelErrorDiscovery(
                CrankNicolsonAdamsBashforth(setting.factors * coefficients, setting.axis),
                history=2, vectorized=True, grid=setting.axis, random_state=seed, solver_dt=_DT,
            ).fit(field)  # fmt: skip
            yield _timed(
                score(setting, seed, case, found.error_.term_names, found.estimate_), begin
            )
            begin = time.perf_counter()
        return
    found = ModelErrorDiscovery(as_law(setting.factors * CASES["2"], setting.axis), **told).fit(
        field
    )
    names = found.error_.term_names
    for case, coefficients in CASES.items():
        known = np.zeros(len(names))
        known[[names.index(name) for name in _TABLE.names]] = setting.factors * coefficients
        estimate = RelevanceVectorRegressor().fit_statistics(
            found.series_.statistics(known), term_names=names
        )
        result = _timed(score(setting, seed, case, names, estimate), begin)
        if setting.valid:
            whole = (known + estimate.coefficients[0])[[names.index(n) for n in _TABLE.names]]
            result = replace(result, valid=valid_time(whole, seed) if result.exact else 0.0)
        yield result
        begin = time.perf_counter()


def valid_time(coefficients: FloatArray, seed: int) -> float:
    """Return how long a law follows the truth from an exact state, each seed from another.

    Solver and error are stepped as one law, by ETDRK4 and without aliasing, for at most 100
    time units; a forecast is lost when its error reaches 0.4 standard deviations.
    """
    truth = _truth(SETTINGS[0])[0][20 * seed : 20 * seed + 201, :: _POINTS // _RUN]
    k = 2 * np.pi / SETTINGS[0].length * np.arange(_RUN // 2 + 1)
    advection, growth, damping, dispersion, cubic = coefficients
    weights = etdrk4_weights(-growth * k**2 + damping * k**4 - 1j * dispersion * k**3, 0.1)
    flux = 1j * k * (np.arange(len(k)) <= _RUN // 4)

    def products(v: Any) -> Any:
        u = np.fft.irfft(v)
        return flux * np.fft.rfft(u * u * (advection / 2 + cubic / 3 * u))

    v, run = np.fft.rfft(truth[0]), [truth[0]]
    for _ in range(len(truth) - 1):
        for _ in range(5):
            v = advance_modes(v, products, weights)
        run.append(np.fft.irfft(v))
    when = 0.5 * np.arange(len(truth))
    scale = np.full(_RUN, truth.std())
    return float(valid_prediction_time(truth, np.array(run), when, scale=scale))


def _timed(result: Result, begin: float) -> Result:
    return replace(result, seconds=time.perf_counter() - begin)


def efficient_error(setting: Setting, cases: list[str], n_draws: int = 500) -> float:
    """Return the median error of an estimator of bursts that no unbiased one can beat.

    Parameters
    ----------
    setting : Setting
        Of noisy bursts.
    cases : list of str
        Those that count.
    n_draws : int, default=500
        Draws of the noise.

    Returns
    -------
    float
        Median over cases and draws of the largest relative error of a coefficient.

    Notes
    -----
    Cramer-Rao: it knows the states, the noise and which terms are missing; only the slopes
    are noisy. The Fisher matrix is the Gram matrix of the terms in all resolved waves, over
    the variance of a slope.
    """
    states, bursts = _truth(setting)
    chosen = np.linspace(0, 199, setting.n).astype(int)
    grid = Grid((setting.axis,))
    tests = FourierTests(grid, 0.1 * grid.radius.max())
    terms = FieldTerms(_TABLE, ("u",)).project(grid, bursts[chosen, 1][..., None], tests)
    noise = setting.noise * float(states[:200].std())
    variance = noise**2 / (2.0 * _DT**2 * (_POINTS // setting.stride))
    G = np.einsum("jak,jal->kl", terms, terms) / variance
    scores = np.random.default_rng(0).standard_normal((n_draws, len(G))) @ np.linalg.cholesky(G).T
    errors = []
    for case in cases:
        missing = setting.factors * (_TRUTH - CASES[case])
        of = np.flatnonzero(missing)
        off = np.linalg.solve(G[np.ix_(of, of)], scores[:, of].T).T
        errors.append(np.abs(off / missing[of]).max(axis=1))
    return float(np.median(errors))


def complete_table(
    name: str, jobs: Sequence[tuple[str, int]], measure: Callable[[str, int], Iterable[Result]]
) -> list[Result]:
    """Measure the settings and seeds that the table `name` does not hold yet; return them all."""
    table = ResultTable(table_path().with_name(f"{name}.csv"), Result, f"bench {name}", digits=4)
    return table.complete(jobs, lambda r: (r.setting, r.seed), lambda job: measure(*job))


def run(quick: bool = False) -> list[Row]:
    """Run settings and seeds that are not in the table yet; return the bars."""
    if quick:
        chosen = SETTINGS[1:3]
        results = [result for setting in chosen for result in measure(setting, 0)]
        return [row for setting in chosen for row in _rows(setting, results)]
    by_name = {setting.name: setting for setting in SETTINGS}
    jobs = [(s.name, seed) for seed in range(10) for s in SETTINGS if s.noise or seed == 0]
    results = complete_table("medida", jobs, lambda name, seed: measure(by_name[name], seed))
    return [*(row for setting in SETTINGS for row in _rows(setting, results)), _coverage(results)]


def _coverage(results: list[Result]) -> Row:
    """Return the share of coefficients inside their 95 % intervals, of all noisy settings."""
    noisy = [s.name for s in SETTINGS if s.noise]
    shares = []
    for name in noisy:
        mine = [r for r in results if r.exact and r.setting == name]
        shares.append(sum(r.covered for r in mine) / max(1, sum(r.terms for r in mine)))
    right = [r for r in results if r.exact and r.setting in noisy]
    return Row(
        "medida, all noisy settings: coverage of 95 % intervals",
        sum(r.covered for r in right) / sum(r.terms for r in right), "",
        f"from {min(shares):.3f} to {max(shares):.3f}, setting by setting; the 22 cases of a seed "
        "share their noise", ">= 0.9",
    )  # fmt: skip


def _rows(setting: Setting, results: list[Result]) -> list[Row]:
    mine = [r for r in results if r.setting == setting.name]
    right = [r for r in mine if r.exact]
    errors = np.array([r.error for r in right]) if right else np.array([np.inf])
    seeds = len({r.seed for r in mine})
    missed = sorted({r.case for r in mine if not r.exact})
    name = f"medida, {setting.name}"
    seconds = sum(r.seconds for r in mine) / max(seeds, 1)
    limit = ""
    if setting.noise and not setting.spacing and right:
        least = efficient_error(setting, [r.case for r in right if r.seed == right[0].seed])
        limit = f"that of an efficient estimator {least:.3g}; "
    rows = [
        Row(f"{name}: share with the right terms", len(right) / max(len(mine), 1), "",
            f"{len(right)} of {len(mine)}, {seeds} seeds; missed {missed}", f">= {setting.rate}"),
        Row(f"{name}: median error of a coefficient", float(np.median(errors)), "",
            f"largest {errors.max():.2g}; {limit}{seconds:.1f} s per seed",
            f"<= {setting.error}" if np.isfinite(setting.error) else ""),
    ]  # fmt: skip
    if np.isfinite(setting.worst):
        rows.append(
            Row(f"{name}: largest error", float(errors.max()), "", "", f"<= {setting.worst}")
        )
    if setting.black_box and mine:
        longest = max(r.seconds for r in mine)
        rows.append(Row(f"{name}: longest case", longest, "s", "", "<= 60"))
    elif setting.spacing and np.isfinite(setting.worst):
        rows.append(Row(f"{name}: 22 cases of one seed", seconds, "s", "", "<= 20"))
    if setting.valid:
        valid = np.array([r.valid for r in mine])
        rows.append(
            Row(f"{name}: shortest valid prediction time of a corrected solver",
                float(valid.min()), "", f"median {np.median(valid):.3g} of 100 at most",
                f">= {setting.valid}")
        )  # fmt: skip
    terms = sum(r.terms for r in right)
    if setting.noise and terms:
        covered = sum(r.covered for r in right) / terms
        rows.append(
            Row(f"{name}: coverage of 95 % intervals", covered, "", f"{terms} coefficients")
        )
    return rows
