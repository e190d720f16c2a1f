"""``discover doctor``: whether this installation is all right."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

import discover
from discover.cli.app import app, examples
from discover.cli.boundary import FAILED

_CORE = (
    "numpy",
    "scipy",
    "scikit-learn",
    "numba",
    "pandas",
    "pyarrow",
    "xarray",
    "pysindy",
    "sympy",
)
_EXTRAS = {
    "dask": ("dask", "distributed"),
    "rl": ("torch", "stable-baselines3"),
    "bench": ("cvxpy", "filterpy"),
}


class Finding(NamedTuple):
    """One line of the examination; `fine` is None for mere information."""

    subject: str
    found: str
    fine: bool | None = None


@app.command(epilog=examples("discover doctor"))
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Examine the installation, and fit a law whose answer is known."""
    findings = []
    for finding in _examination():
        findings.append(finding)
        if not as_json:
            mark = {None: " ", True: "+", False: "!"}[finding.fine]
            typer.echo(f"{mark} {finding.subject:<14}{finding.found}")
    well = all(finding.fine is not False for finding in findings)
    if as_json:
        import json

        typer.echo(json.dumps({"well": well, "findings": [f._asdict() for f in findings]}))
    else:
        typer.echo("All is well." if well else "Lines marked with ! need attention.")
    if not well:
        raise typer.Exit(FAILED)


def _examination() -> Iterator[Finding]:
    yield Finding("discover", f"{discover.__version__}, {Path(discover.__file__).parent}")
    yield Finding(
        "python", f"{sys.version.split()[0]}, {sys.executable}", sys.version_info >= (3, 11)
    )
    for package in _CORE:
        version = _version(package)
        yield Finding(package, version or "missing: pip install discover-dynamics", bool(version))
    for extra, packages in _EXTRAS.items():
        absent = [package for package in packages if not _version(package)]
        advice = f"not installed: pip install 'discover-dynamics[{extra}]'"
        yield Finding(f"extra {extra}", advice if absent else "installed")
    yield _threads()
    yield _cache()
    yield _writable("this folder", Path.cwd())
    yield _writable("temporary", Path(tempfile.gettempdir()))
    yield _fit()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _threads() -> Finding:
    named = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    limits = [f"{name}={os.environ[name]}" for name in named if name in os.environ]
    return Finding(
        "threads", f"{os.cpu_count()} processors; {', '.join(limits) or 'no limits set'}"
    )


def _cache() -> Finding:
    """Say where compiled kernels are kept, how many there are, and whether more may come."""
    elsewhere = os.environ.get("NUMBA_CACHE_DIR")
    home = Path(elsewhere or Path(discover.__file__).parent / "kernels" / "__pycache__")
    kernels = len(list(home.rglob("*.nbi"))) if home.is_dir() else 0
    state = f"{kernels} functions" if kernels else "empty: the first fit compiles for some seconds"
    if _can_write(home):
        return Finding("kernel cache", f"{state}, {home}", True)
    advice = "set NUMBA_CACHE_DIR to a folder that can be written, or every start compiles anew"
    return Finding("kernel cache", f"{state}; {home} cannot be written: {advice}", bool(kernels))


def _writable(subject: str, folder: Path) -> Finding:
    fine = _can_write(folder)
    return Finding(subject, f"{folder}{'' if fine else ' cannot be written'}", fine)


def _can_write(folder: Path) -> bool:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _fit() -> Finding:
    """Fit a damped oscillation whose law is known: q' = -0.1 q + 2 p, p' = -2 q - 0.1 p."""
    import numpy as np

    from discover.sindy import SINDy

    truth = np.array([[-0.1, 2.0], [-2.0, -0.1]])
    t = np.linspace(0.0, 10.0, 1000)
    X = np.column_stack([np.cos(2 * t), -np.sin(2 * t)]) * np.exp(-0.1 * t)[:, None]
    start = time.perf_counter()
    law = SINDy(names=["q", "p"]).fit(X, t).symbolic_
    seconds = time.perf_counter() - start
    found = {name: law.coefficients[:, k] for k, name in enumerate(law.term_names)}
    error = max(np.abs(found[name] - truth[:, k]).max() for k, name in enumerate(("q", "p")))
    fine = bool(error < 1e-4 and law.complexity == 4)
    text = f"{law.complexity} terms of 4, error {error:.1e}, {seconds:.2f} s"
    return Finding("a known law", text, fine)
