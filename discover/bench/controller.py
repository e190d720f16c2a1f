"""A policy in C: what a step costs, how much memory it takes, and whether it is the policy."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from discover.bench.exports import c_library, c_values
from discover.bench.rows import Row
from discover.libraries import PolynomialLibrary
from discover.libraries.parse import parse_expression
from discover.libraries.termtable import TermTableBuilder
from discover.symbolic import SymbolicModel
from discover.symbolic.saturation import Saturation
from discover.typing import FloatArray

__all__ = ["run"]

_NAMES = ("x", "cos_theta", "sin_theta", "x_dot", "theta_dot")
#: Swings the pole up and holds it, with forces of at most 1.
_SPARSE = {
    "theta_dot": 15.64, "cos_theta*sin_theta": 61.4, "cos_theta**2*x_dot": 10.55,
    "x_dot**3": -7.9875,
}  # fmt: skip
_FLAGS = ["-std=c99", "-pedantic", "-O2", "-Wall", "-Wextra", "-Werror", "-fstack-usage"]
_CLOCK = """
#include <stdio.h>
#include <time.h>
void policy(const double x[5], double dx[1]);
int main(void)
{
    double x[5] = {0.1, -0.9, 0.4, 0.3, -2.0}, dx[1] = {0.0};
    const long n = %d;
    const clock_t start = clock();
    for (long k = 0; k < n; k++) {
        x[4] = -2.0 + 1e-3 * dx[0];
        policy(x, dx);
    }
    printf("%%.17g\\n", 1e9 * (double)(clock() - start) / CLOCKS_PER_SEC / (double)n);
    return dx[0] > 10.0;
}
"""


def run(quick: bool = False) -> list[Row]:
    """Measure a sparse policy and a full cubic one; every step waits for the one before it."""
    rows = []
    for name, model in (("4 terms", _sparse()), ("56 terms", _dense())):
        with tempfile.TemporaryDirectory() as folder:
            rows += _measured(name, model, Path(folder), 10_000 if quick else 20_000_000)
    apart, steps = closed_loop_gap(_sparse(), "discover/CartPoleSwingup-v0")
    detail = f"largest difference of an observation or action, {steps} steps of a swing-up"
    return [
        *rows,
        Row("controller in C: closed loop against Python", apart, "", detail, "<= 1e-12"),
    ]


def _measured(name: str, model: SymbolicModel, folder: Path, n_steps: int) -> list[Row]:
    """Compile apart from its caller, so that nothing of a step is done ahead of it."""
    for stem, code in (("policy", model.to_c("policy")), ("clock", _CLOCK % n_steps)):
        (folder / f"{stem}.c").write_text(code, encoding="utf-8")
        _say(folder, "cc", *_FLAGS, "-c", f"{stem}.c")
    _say(folder, "cc", "policy.o", "clock.o", "-o", "clock", "-lm")
    nanoseconds = float(_say(folder, "./clock"))
    text, data, bss = map(int, _say(folder, "size", "policy.o").splitlines()[1].split()[:3])
    stack = int((folder / "policy.su").read_text().split("\t")[1])
    detail = f"{text} bytes of code and constants, {stack} of stack"
    return [
        Row(f"controller in C, {name}: one step", nanoseconds, "ns", detail, "<= 1000"),
        Row(f"controller in C, {name}: memory kept", data + bss, "bytes", detail, "<= 0"),
    ]


def _say(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def closed_loop_gap(model: SymbolicModel, env: str, seed: int = 0) -> tuple[float, int]:
    """Play one episode with the policy in C and one in Python, from the same start.

    Parameters
    ----------
    model : SymbolicModel
        Kind "direct", observations to actions, with its saturation.
    env : str
    seed : int

    Returns
    -------
    gap : float
        Largest difference of an observation or an action.
    steps : int
    """
    with tempfile.TemporaryDirectory() as folder:
        function = c_library(model.to_c("policy"), Path(folder)).policy
        ours = _episode(model, env, seed)
        theirs = _episode(lambda seen: c_values(model, function, seen[None])[0], env, seed)
    if ours.shape != theirs.shape:
        return float("inf"), len(ours)
    return float(np.abs(ours - theirs).max()), len(ours)


def _episode(policy: Any, name: str, seed: int) -> FloatArray:
    """Return observations and actions of every step."""
    import discover_envs  # noqa: F401 - its environments are known by their ids then
    from discover.control import Plant

    plant = Plant(name, seed=seed)
    episode = plant.run(policy, plant.horizon)
    return np.concatenate([episode.observations[1:], episode.actions], axis=1)


def _sparse() -> SymbolicModel:
    builder = TermTableBuilder(_NAMES)
    table = builder.table([parse_expression(term, builder) for term in _SPARSE])
    return _policy(table, list(_SPARSE.values()))


def _dense() -> SymbolicModel:
    table = PolynomialLibrary(3).build(_NAMES)
    return _policy(table, np.random.default_rng(0).normal(size=table.n_terms))


def _policy(table: Any, coefficients: Any) -> SymbolicModel:
    return SymbolicModel(
        table, coefficients, _NAMES, target_names=("force",), kind="direct",
        saturation=Saturation(-np.ones(1), np.ones(1)),
    )  # fmt: skip
