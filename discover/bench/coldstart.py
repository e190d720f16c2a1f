"""Start from nothing: import, and the first fit with and without compiled kernels on disk."""

from __future__ import annotations

import tempfile
from statistics import median

from discover.bench.fresh import run_fresh
from discover.bench.rows import Row

__all__ = ["run"]

_IMPORT = """
import json, time
start = time.perf_counter()
import numpy
middle = time.perf_counter()
import discover
end = time.perf_counter()
from discover import SINDy
last = time.perf_counter()
print(json.dumps({"discover": end - middle, "SINDy": last - middle, "numpy": middle - start}))
"""
_FIT = """
import json, time
from discover import SINDy
from discover.observations.datasets import load_hare_lynx
frame = load_hare_lynx()
start = time.perf_counter()
SINDy().fit(frame)
print(json.dumps({"fit": time.perf_counter() - start}))
"""


def run(quick: bool = False) -> list[Row]:
    """Time imports and first fits in fresh interpreters; wall time."""
    return [*_imports(3 if quick else 9), *_first_fits(1 if quick else 5)]


def _imports(repeats: int) -> list[Row]:
    runs = [run_fresh(_IMPORT) for _ in range(repeats)]
    seconds = {key: median(run[key] for run in runs) for key in ("discover", "SINDy", "numpy")}
    detail = f"after numpy ({seconds['numpy']:.2f} s); median of {repeats}"
    return [
        Row("coldstart: import discover", seconds["discover"], "s", detail, "<= 0.3"),
        Row("coldstart: from discover import SINDy", seconds["SINDy"], "s", detail),
    ]


def _first_fits(repeats: int) -> list[Row]:
    """Fit 21 samples of two states, first with an empty cache of kernels, then with a full one."""
    with tempfile.TemporaryDirectory() as cache:
        cold = run_fresh(_FIT, NUMBA_CACHE_DIR=cache)
        warm = [run_fresh(_FIT, NUMBA_CACHE_DIR=cache) for _ in range(repeats)]
    fit, process = (median(run[key] for run in warm) for key in ("fit", "process"))
    detail = f"whole process {cold['process']:.2f} s"
    return [
        Row("coldstart: first fit, nothing compiled", cold["fit"], "s", detail, "<= 20"),
        Row("coldstart: first fit, kernels on disk", fit, "s", f"median of {repeats}", "<= 1"),
        Row("coldstart: whole process, kernels on disk", process, "s", f"median of {repeats}"),
    ]
