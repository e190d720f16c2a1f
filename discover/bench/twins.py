"""Twin experiments: published settings, their errors averaged over long runs."""

from __future__ import annotations

import warnings

import numpy as np

from discover.assimilation.twins import bocquet_2019, sakov_2012, sakov_oke_2008
from discover.bench.rows import Row
from discover.exceptions import AssimilationWarning

__all__ = ["run"]

#: Twin, number of the published setting, bar.
ERRORS = (
    (sakov_2012, 0, 0.61),
    (sakov_2012, 1, 0.55),
    (sakov_2012, 2, 0.57),
    (sakov_oke_2008, 0, 0.19),
    (sakov_oke_2008, 1, 0.22),
    (sakov_oke_2008, 5, 0.23),
    (bocquet_2019, 0, 0.12),
    (bocquet_2019, 1, 0.15),
    (bocquet_2019, 2, None),
)


def run(quick: bool = False) -> list[Row]:
    """Average the analysis errors of published settings."""
    return _errors(60 if quick else 4000, 1 if quick else 5)


def _errors(n_analyses: int, n_seeds: int) -> list[Row]:
    """Average the analysis error of published settings over runs."""
    rows = []
    for make, number, bar in ERRORS:
        twin = make()
        setting = twin.published[number]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AssimilationWarning)  # the error says it
            errors = twin.rmse(setting.method, n_analyses, range(n_seeds))
        detail = (
            f"published {setting.rmse:g}; median {np.median(errors):.3f} of {n_seeds} runs of "
            f"{n_analyses:,} analyses: " + ", ".join(f"{error:.3f}" for error in errors)
        )
        name = f"twins: RMSE, {twin.name}, {setting.name}"
        target = "" if bar is None else f"<= {bar:g}"
        rows.append(Row(name, float(errors.mean()), "", detail, target))
    return rows
