"""Refine: by how much trajectory matching improves on the weak form, and the Silverbox."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from discover.bench import lorenz
from discover.bench.rows import Row
from discover.estimation import refine
from discover.libraries import PolynomialLibrary, SymbolicLibrary
from discover.regression import STLSQ
from discover.sindy import SINDy
from discover.symbolic import SymbolicModel
from discover.typing import FloatArray

__all__ = ["run", "silverbox"]

_SAMPLES = 1_000
_NOISE = 0.05  # of the standard deviation of each state
_SPACINGS = (0.01, 0.03, 0.05)  # 13, 40 and 67 turns of Lorenz' butterfly in 1,000 points
_BURN_IN = 10.0
#: The terms of other laws: equations, a start, the sampling interval.
_SYSTEMS: dict[str, tuple[dict[str, dict[str, float]], tuple[float, ...], float]] = {
    "Rossler": (
        {
            "x": {"y": -1.0, "z": -1.0},
            "y": {"x": 1.0, "y": 0.2},
            "z": {"1": 0.2, "z": -5.7, "x*z": 1.0},
        },
        (1.0, -4.0, 0.1),
        0.06,
    ),
    "Sprott B": (
        {"x": {"y*z": 1.0}, "y": {"x": 1.0, "y": -1.0}, "z": {"1": 1.0, "x*y": -1.0}},
        (0.3, -0.5, 1.0),
        0.05,
    ),
    "Van der Pol": (
        {"x": {"v": 1.0}, "v": {"x": -1.0, "v": 1.5, "x**2*v": -1.5}},
        (2.0, 0.0),
        0.05,
    ),
}
_FILE = "silverbox_SNLS80mV.csv"  # Wigren and Schoukens, European Control Conference 2013
_RATE, _FIT, _TEST = 610.35, slice(40_650, 127_400), slice(0, 40_600)


def run(quick: bool = False) -> list[Row]:
    """Compare with the start of the same terms; follow the Silverbox where it is at hand."""
    seeds = 2 if quick else 10
    rows = [row for dt in _SPACINGS[: 1 if quick else None] for row in _lorenz(dt, seeds)]
    for name in list(_SYSTEMS)[: 1 if quick else None]:
        rows.append(_other(name, 2 if quick else 5))
    return rows + ([] if quick else silverbox())


@dataclass(frozen=True)
class _Errors:
    """Largest relative errors of a coefficient, one per seed, and normalised errors."""

    start: FloatArray
    refined: FloatArray
    z: FloatArray

    @property
    def gain(self) -> float:
        """Ratio of the root-mean-square errors."""
        return float(np.sqrt(np.mean(self.start**2) / np.mean(self.refined**2)))


def _lorenz(dt: float, n_seeds: int) -> Iterator[Row]:
    names = ("x", "y", "z")
    equations = dict(zip(names, lorenz.EQUATIONS, strict=True))
    errors = _errors(equations, lorenz.STARTS[0], dt, n_seeds)
    where = f"refine, Lorenz, dt={dt:g}, 5 % noise"
    ratios = errors.start / errors.refined
    detail = f"{n_seeds} seeds, {_SAMPLES:,} points: {_listed(ratios)}"
    yield Row(f"{where}: seeds with 3 times less error", int((ratios >= 3).sum()), "",
              f"start over refined, {detail}", f">= {n_seeds}")  # fmt: skip
    yield Row(f"{where}: start over refined", errors.gain, "x",
              "root-mean-square over seeds of the largest relative error of a coefficient: "
              f"{_rms(errors.start):.2%} and {_rms(errors.refined):.2%}", ">= 3")  # fmt: skip
    yield Row(
        f"{where}: errors over standard errors",
        _rms(errors.z),
        "",
        "root-mean-square; 1 means that no unbiased estimate does better",
        "<= 1.3",
    )


def _other(name: str, n_seeds: int) -> Row:
    errors = _errors(*_SYSTEMS[name], n_seeds)
    detail = f"start {_rms(errors.start):.2%}, refined {_rms(errors.refined):.2%}; {n_seeds} seeds"
    return Row(f"refine, {name}, 5 % noise: start over refined", errors.gain, "x", detail)


def _errors(
    equations: dict[str, dict[str, float]], start: tuple[float, ...], dt: float, n_seeds: int
) -> _Errors:
    """Fit the right terms by the weak form and refine, for several noises and stretches."""
    truth = _law(equations)
    found = []
    for seed in range(n_seeds):
        rng = np.random.default_rng(seed)
        first = np.asarray(start) * (1 + 0.1 * rng.normal(size=len(start)))
        t = np.arange(0, _BURN_IN + _SAMPLES * dt, dt)
        X = np.asarray(truth.simulate(first, t, rtol=1e-11))[-_SAMPLES:]
        noisy = X + _NOISE * X.std(axis=0) * rng.normal(size=X.shape)
        libraries = {name: SymbolicLibrary(list(terms)) for name, terms in equations.items()}
        weak = SINDy(libraries, STLSQ(0.0), names=list(equations)).fit(noisy, dt)
        found.append((weak.symbolic_, refine(weak, noisy, dt).model))
    active = np.asarray(truth.support)
    true = truth.coefficients[active]
    # the library of the fit holds the terms in its own order
    order = [found[0][0].term_names.index(name) for name in truth.term_names]
    off = [[law.coefficients[:, order][active] - true for law in pair] for pair in found]
    start_off, refined_off = np.abs(np.array(off) / true).max(axis=2).T
    z = [
        pair[1] / law.standard_errors[:, order][active]
        for pair, (_, law) in zip(off, found, strict=True)
    ]
    return _Errors(start_off, refined_off, np.array(z))


def _law(equations: dict[str, dict[str, float]]) -> SymbolicModel:
    terms = list(dict.fromkeys(term for terms in equations.values() for term in terms))
    table = SymbolicLibrary(terms).build(list(equations))
    values = [[row.get(name, 0.0) for name in table.names] for row in equations.values()]
    return SymbolicModel(table, np.array(values), list(equations))


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _listed(values: FloatArray) -> str:
    return ", ".join(f"{value:.1f}" for value in np.sort(values))


# -- a measured oscillator -----------------------------------------------------------


def silverbox() -> list[Row]:
    """Identify a measured Duffing oscillator, and simulate it from rest on other data.

    The file of the Silverbox benchmark is looked for in the folder DISCOVER_DATA; without
    it there are no rows.
    """
    path = Path(os.environ.get("DISCOVER_DATA", "")) / _FILE
    if not path.is_file():
        return []
    u, y = np.genfromtxt(path, delimiter=",", skip_header=1, usecols=(0, 1)).T
    model = SINDy(PolynomialLibrary(3), names=["y"], control_names=["u"], order=2)
    weak = model.fit(y[_FIT], 1 / _RATE, u[_FIT]).symbolic_
    found = refine(weak, y[_FIT], 1 / _RATE, u[_FIT])
    errors = [_error_from_rest(law, u[_TEST], y[_TEST]) for law in (weak, found.model)]
    text = " ".join(weak.equations()[0].split())
    spread = f"of an output with standard deviation {1e3 * y[_TEST].std():.1f} mV"
    return [
        Row("silverbox: terms of the law", weak.complexity, "", text, "<= 7"),
        Row("silverbox: simulation error on test data", errors[0], "mV", spread, "<= 4.8"),
        Row("silverbox: simulation error after refine", errors[1], "mV", spread, "<= 1"),
    ]


def _error_from_rest(law: SymbolicModel, u: FloatArray, y: FloatArray) -> float:
    """Return the root-mean-square error of a simulation from rest, in mV."""
    run = law.simulate([0.0, 0.0], np.arange(len(u)) / _RATE, u)
    return 1e3 * float(np.sqrt(np.mean((run["y"] - y) ** 2)))
