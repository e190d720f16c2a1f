"""One large CSV file: read and fitted in one pass, against pandas that only parses it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from discover.bench.fresh import run_fresh
from discover.bench.rows import Row

__all__ = ["run", "write_csv"]

_BYTES, _QUICK_BYTES = 1_000_000_000, 20_000_000
_BLOCK = 200_000  # rows written at once
_PARSE = """
import json, sys, time
from discover.bench.fresh import peak_bytes
import pandas
start = time.perf_counter()
rows = len(pandas.read_csv({path!r}))
print(json.dumps({{"seconds": time.perf_counter() - start, "peak": peak_bytes(), "rows": rows}}))
"""
_FIT = """
import json, time
from discover.bench.fresh import peak_bytes
from discover import SINDy
from discover.observations.readers import read_chunks
import pyarrow.csv
start = time.perf_counter()
model = SINDy().fit_stream(read_chunks({path!r}, time="t", inputs=["u"]))
seconds = time.perf_counter() - start
law = model.symbolic_
terms = {{f"{{target}}: {{term}}": float(c)
         for target, row in zip(law.target_names, law.coefficients)
         for term, c in zip(law.term_names, row) if c}}
print(json.dumps({{"seconds": seconds, "peak": peak_bytes(), "terms": terms}}))
"""
# a damped oscillation driven at two frequencies: x' = v, v' = -x - 0.1 v + u
_TRUTH = {"x: v": 1.0, "v: x": -1.0, "v: v": -0.1, "v: u": 1.0}


def write_csv(path: Path, size: int) -> None:
    """Write a driven oscillation with noise, about `size` bytes of it."""
    import pyarrow as pa
    from pyarrow.csv import CSVWriter

    rng = np.random.default_rng(0)
    dt, start = 0.02, 0
    w1, w2 = 0.7, 1.9
    steady = [(a, _response(w)) for a, w in ((1.0, w1), (0.5, w2))]
    schema = pa.schema([(name, pa.float64()) for name in ("t", "x", "v", "u")])
    with path.open("wb") as file, CSVWriter(file, schema) as writer:
        while file.tell() < size:
            t = dt * (start + np.arange(_BLOCK))
            x, v, u = np.zeros((3, _BLOCK))
            for (amplitude, (gain, lag)), w in zip(steady, (w1, w2), strict=True):
                u += amplitude * np.cos(w * t)
                x += amplitude * gain * np.cos(w * t - lag)
                v -= amplitude * gain * w * np.sin(w * t - lag)
            noise = 0.01 * rng.normal(size=(2, _BLOCK))
            columns = [np.round(t, 2), x + noise[0], v + noise[1], u]
            writer.write(pa.record_batch([pa.array(column) for column in columns], schema))
            start += _BLOCK


def _response(w: float) -> tuple[float, float]:
    """Return gain and lag of x'' + 0.1 x' + x = cos(w t)."""
    transfer = 1 / complex(1 - w**2, 0.1 * w)
    return abs(transfer), -float(np.angle(transfer))


def run(quick: bool = False) -> list[Row]:
    """Time both in fresh interpreters, pandas before and after; wall time, file in the cache."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.csv"
        write_csv(path, _QUICK_BYTES if quick else _BYTES)
        size = path.stat().st_size
        before = run_fresh(_PARSE.format(path=str(path)))
        fits = [run_fresh(_FIT.format(path=str(path))) for _ in range(2)]
        after = run_fresh(_PARSE.format(path=str(path)))
    fit = min(fits, key=lambda found: float(found["seconds"]))
    pandas = min(before["seconds"], after["seconds"])
    error = _error(fit["terms"])
    gigabytes = f"{size / 1e9:.3g} GB, {before['rows']:,} rows"
    detail = f"{gigabytes}; pandas {pandas:.1f} s and {before['peak'] / 1e6:.0f} MB to parse"
    return [
        Row("files: read and fit over pandas' parse", fit["seconds"] / pandas, "x", detail, "<= 3"),
        Row("files: peak memory", fit["peak"] / 1e6, "MB", gigabytes, "<= 1000"),
        Row("files: error of the law", error, "", f"{len(fit['terms'])} terms", "<= 0.01"),
    ]


def _error(terms: dict[str, float]) -> float:
    """Return the largest error of a coefficient; infinite for a wrong set of terms."""
    if set(terms) != set(_TRUTH):
        return float("inf")
    return max(abs(terms[name] - value) for name, value in _TRUTH.items())
