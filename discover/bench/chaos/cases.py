"""The cases: which system, which noise, which seed, how many runs; and how a law is scored."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from discover.dynamics import System, add_noise, list_systems, load_system
from discover.libraries import PolynomialLibrary, TermTable
from discover.observations import Trajectory
from discover.typing import BoolArray, FloatArray

__all__ = [
    "DEGREE",
    "NOISES",
    "TUNING",
    "Case",
    "Found",
    "Score",
    "cases",
    "named_systems",
    "score",
]

DEGREE = 4
NOISES = (0.0, 0.001, 0.01, 0.05, 0.1, 0.2)
RUNS = 5
#: What methods may be tuned on: three well-known systems, and those outside the benchmark.
TUNING = (
    "Lorenz",
    "Rossler",
    "SprottB",
    *(
        name
        for name in list_systems(polynomial=True, benchmark=False)
        if name != "PanXuZhou"  # its chaos is transient: the runs would rest at a point
    ),
)
_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Case:
    """One question put to a method.

    Parameters
    ----------
    system : str
    noise : float
        Standard deviation relative to that of each state.
    seed : int
    n_runs : int
        1 or 5 runs of 1,000 samples over 10 periods.
    method : str
    """

    system: str
    noise: float
    seed: int
    n_runs: int
    method: str

    def data(self) -> list[Trajectory]:
        """Return the noisy runs; those of one run are the first of the five."""
        name = zlib.crc32(self.system.encode())
        rng = np.random.default_rng([name, round(self.noise * 1e6), self.seed])
        return add_noise(_clean(self.system), self.noise, rng=rng)[: self.n_runs]


@lru_cache(maxsize=2)
def _clean(system: str) -> list[Trajectory]:
    return load_system(system).trajectories(RUNS)


@dataclass(frozen=True)
class Found:
    """What a method says: coefficients and support over all monomials, and their errors.

    Parameters
    ----------
    coefficients : ndarray of shape (n_states, n_terms)
        In the units of the data.
    errors : ndarray of shape (n_states, n_terms), optional
        Standard errors; NaN where none is known.
    """

    coefficients: FloatArray
    errors: FloatArray | None = None


@dataclass(frozen=True)
class Score:
    """How a law compares with the truth.

    Parameters
    ----------
    exact : int
        1 if the support is right in every equation, else 0.
    equations : float
        Fraction of the equations with the right support.
    missing, extra : int
        Terms, over all equations.
    error : float
        Spectral norm of the difference of the coefficients over that of the truth.
    covered, intervals : int
        Of the intervals of 95 % of a law with the right support, those that hold the
        truth, and all.
    """

    exact: int
    equations: float
    missing: int
    extra: int
    error: float
    covered: int
    intervals: int


def cases(
    systems: Sequence[str],
    noises: Sequence[float],
    seeds: Sequence[int],
    runs: Sequence[int],
    methods: Sequence[str],
) -> Iterator[Case]:
    """Yield all combinations, one system after the other."""
    for name, n_runs, noise, seed, method in product(systems, runs, noises, seeds, methods):
        yield Case(name, noise, seed, n_runs, method)


def named_systems(text: str) -> tuple[str, ...]:
    """Read ``"benchmark"``, ``"tuning"`` or names separated by commas."""
    groups = {"benchmark": tuple(list_systems(benchmark=True)), "tuning": TUNING}
    if text in groups:
        return groups[text]
    found = [load_system(name.strip()) for name in text.split(",") if name.strip()]
    wrong = [system.name for system in found if not system.polynomial]
    if wrong or not found:
        raise ValueError(
            "bench chaos: systems must be 'benchmark', 'tuning' or names of polynomial systems "
            f"separated by commas; got {text!r}."
        )
    return tuple(system.name for system in found)


def candidate_terms(system: System) -> TermTable:
    """Return the library all methods choose from: monomials up to degree four."""
    return PolynomialLibrary(DEGREE).build(system.model.state_names)


def true_coefficients(system: System) -> FloatArray:
    """Return the coefficients of the law over :func:`candidate_terms`."""
    return over_candidates(system, system.model.table, system.model.coefficients)


def over_candidates(system: System, table: TermTable, values: FloatArray) -> FloatArray:
    """Put one value per term of a polynomial table in the places of the candidates."""
    powers, wanted = table.powers(), candidate_terms(system).powers()
    assert powers is not None
    assert wanted is not None
    place = {tuple(row): k for k, row in enumerate(wanted.tolist())}
    out = np.zeros((len(values), len(wanted)))
    for column, row in zip(values.T, powers.tolist(), strict=True):
        out[:, place[tuple(row)]] = column
    return out


def score(system: System, found: Found) -> Score:
    """Compare a law with the truth."""
    truth = true_coefficients(system)
    right: BoolArray = (truth != 0) == (found.coefficients != 0)
    exact = bool(right.all())
    known = exact and found.errors is not None
    covered = intervals = 0
    if known:
        assert found.errors is not None
        chosen = (truth != 0) & np.isfinite(found.errors)
        misses = np.abs(found.coefficients - truth) > _NORMAL_95 * found.errors
        covered, intervals = int((chosen & ~misses).sum()), int(chosen.sum())
    return Score(
        int(exact),
        float(right.all(axis=1).mean()),
        int(((truth != 0) & ~right).sum()),
        int(((truth == 0) & ~right).sum()),
        float(np.linalg.norm(found.coefficients - truth, 2) / np.linalg.norm(truth, 2)),
        covered,
        intervals,
    )
