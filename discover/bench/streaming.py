"""Data on disk: memory and time of a fit in one pass, against the same pieces in memory."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from discover.bench import lorenz
from discover.bench.fresh import peak_bytes, run_fresh
from discover.bench.rows import Row
from discover.observations import Trajectory
from discover.typing import FloatArray

__all__ = ["fit_from_disk", "fit_from_memory", "run", "write_runs"]

_STEP = 0.002
_PIECE = 1 << 18
_RUN = 1_000_000
_TASK = """
import json
from discover.bench.streaming import {task}
print(json.dumps({task}({path!r}, {n})))
"""


def run(quick: bool = False) -> list[Row]:
    """Fit Lorenz at degree 5 from a file, each time in a process of its own."""
    n = 600_000 if quick else 100_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "states.f64"
        write_runs(path, n)
        disk = run_fresh(_TASK.format(task="fit_from_disk", path=str(path), n=n))
        memory = run_fresh(_TASK.format(task="fit_from_memory", path=str(path), n=n))
    detail = f"{n:,} x 3, 56 terms, {24 * n / 1e9:.3g} GB in pieces of {_PIECE:,} rows"
    times = f"CPU {disk['seconds']:.3g} s against {memory['seconds']:.3g} s; {detail}"
    same = float(np.abs(np.subtract(disk["coefficients"], memory["coefficients"])).max())
    return [
        Row("streaming: peak memory of the process", disk["peak"] / 1e6, "MB", detail, "<= 500"),
        Row("streaming: disk over memory", disk["seconds"] / memory["seconds"], "x", times,
            "<= 1.5"),
        Row("streaming: difference of coefficients", same, "", "disk and memory", "<= 0"),
    ]  # fmt: skip


def write_runs(path: Path, n: int) -> None:
    """Write noisy runs of Lorenz, a million samples each, one after the other."""
    clean = np.asarray(lorenz.law().simulate(lorenz.STARTS[0], _STEP * np.arange(min(n, _RUN))))
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        for start in range(0, n, _RUN):
            rows = clean[: min(_RUN, n - start)]
            file.write((rows + 0.01 * rng.standard_normal(rows.shape)).tobytes())


def pieces_on_disk(path: str, n: int) -> Iterator[Trajectory]:
    """Read pieces of the runs, one at a time."""
    with open(path, "rb") as file:
        for start, stop in _bounds(n):
            rows = np.fromfile(file, count=3 * (stop - start)).reshape(-1, 3)
            yield _piece(rows, start)


def _bounds(n: int) -> Iterator[tuple[int, int]]:
    for begin in range(0, n, _RUN):
        end = min(begin + _RUN, n)
        for start in range(begin, end, _PIECE):
            yield start, min(start + _PIECE, end)


def _piece(rows: FloatArray, start: int) -> Trajectory:
    first = start % _RUN
    times: FloatArray = _STEP * np.arange(first, first + len(rows), dtype=np.float64)
    return Trajectory(rows, times, state_names=("x", "y", "z"), name=f"run {start // _RUN}")


def fit_from_disk(path: str, n: int) -> dict[str, object]:
    """Fit the file; what it took."""
    return _measured(lambda: pieces_on_disk(path, n))


def fit_from_memory(path: str, n: int) -> dict[str, object]:
    """Fit the same pieces from one array in memory."""
    rows = np.fromfile(path).reshape(-1, 3)
    return _measured(lambda: (_piece(rows[start:stop], start) for start, stop in _bounds(n)))


def _measured(read: object) -> dict[str, object]:
    from discover.libraries import PolynomialLibrary
    from discover.problems import FiniteDifference
    from discover.regression import STLSQ
    from discover.sindy import SINDy

    model = SINDy(PolynomialLibrary(5), STLSQ(0.1), method=FiniteDifference(2))
    model.fit_stream([_warm_up()])
    begin = time.process_time()
    model.fit_stream(read)  # type: ignore[arg-type]
    seconds = time.process_time() - begin
    found = model.symbolic_.coefficients.tolist()
    return {"seconds": seconds, "peak": peak_bytes(), "coefficients": found}


def _warm_up() -> Trajectory:
    X = np.asarray(lorenz.law().simulate(lorenz.STARTS[0], _STEP * np.arange(5000)))
    return _piece(X, 0)
