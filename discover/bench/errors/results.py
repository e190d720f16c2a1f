"""What is observed of a system, and the score of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from discover.bench.medida import Result
from discover.medida import ModelErrorDiscovery
from discover.typing import FloatArray

__all__ = ["Setting", "noisy", "score"]


@dataclass(frozen=True)
class Setting:
    """What is observed.

    Parameters
    ----------
    name : str
    noise : float
        Standard deviation over that of the states, all of them together.
    n : int
        Bursts of three states, or states of a series.
    spacing : float
        Time between the states of a burst, or of the series.
    series : bool, default=False
        Whether the states are a series.
    system : str, default=""
        Which, where a module has several.
    seeds : int, default=10
        How many draws of the noise.
    rate, worst : float
        Bars: share of cases with the right terms, largest relative error of a coefficient.
    """

    name: str
    noise: float
    n: int
    spacing: float
    series: bool = False
    system: str = ""
    seeds: int = 10
    rate: float = 1.0
    worst: float = np.inf


def noisy(setting: Setting, clean: FloatArray, seed: int) -> FloatArray:
    """Return states as they are observed."""
    rng = np.random.default_rng(seed)
    return np.asarray(clean + setting.noise * clean.std() * rng.standard_normal(clean.shape))


def score(
    setting: Setting,
    seed: int,
    case: str,
    found: ModelErrorDiscovery,
    missing: Mapping[tuple[str, str], float],
    seconds: float,
) -> Result:
    """Hold what was found against what is missing.

    Parameters
    ----------
    setting : Setting
    seed : int
    case : str
    found : ModelErrorDiscovery
    missing : mapping of (str, str) to float
        Coefficients by target and term.
    seconds : float
    """
    model = found.error_
    truth = np.zeros(model.coefficients.shape)
    for (target, term), value in missing.items():
        truth[model.target_names.index(target), model.term_names.index(term)] = value
    support = found.estimate_.support
    if not np.array_equal(support, truth != 0):
        return Result(setting.name, seed, case, False, np.nan, 0, 0, seconds)
    off = (model.coefficients - truth)[support]
    inside = np.abs(off) <= 1.96 * np.sqrt(np.diag(found.estimate_.covariance))
    error = float(np.max(np.abs(off / truth[support])))
    return Result(setting.name, seed, case, True, error, int(inside.sum()), len(off), seconds)
