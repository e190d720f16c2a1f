"""Broken files and broken command lines, without end and the same for one seed."""

# ruff: noqa: E501

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.io
import xarray as xr

from discover import SymbolicLibrary, SymbolicModel
from discover.symbolic.model_file import to_json

__all__ = ["broken_files", "broken_lines", "whole_files"]

T = np.linspace(0.0, 4.0, 41)
TABLE = pd.DataFrame({"t [s]": T, "x [cm]": np.cos(T), "y": np.sin(T) + 2})
NASTY = (
    "1e999", "-1e999", "nan", "inf", "1e308", "1e-320", "0x1F", "1_0", "−1", "1,5", "1.5.2", "", " ",
    "\0", "\x1b[31m", "ERR", "#REF!", "=1+1", "'; rm -rf", "__import__('os')", "9" * 400, "١٢", '"',
    '""', "\ufeff", "\u202e", "2020-01-01", "99:99", "True", "1e", "--", "[", "{", "\r", "\n", ",", ";",
)  # fmt: skip


def law() -> SymbolicModel:
    """Return a small law with uncertainty and controls."""
    table = SymbolicLibrary("x, y, x*y, sin(x), u").build(["x", "y", "u"])
    coefficients = [[0.5, -1.0, 0.0, 0.25, 1.0], [0.0, 1.0, -2.0, 0.0, 0.0]]
    return SymbolicModel(table, coefficients, ["x", "y"], ["u"], covariance=0.01 * np.eye(6))


def whole_files() -> dict[str, bytes]:
    """Return one good file of every kind that is read."""
    columns = {"t": T, "h": TABLE.to_numpy()[:, 1:]}
    data = xr.Dataset({"x": ("time", np.cos(T)), "y": ("time", np.sin(T))}, {"time": T})
    comma = TABLE.to_csv(index=False)
    spaces = io.StringIO()
    np.savetxt(spaces, TABLE.to_numpy(), header="t x y")
    written: dict[str, Callable[[Path], Any]] = {
        "a.parquet": TABLE.to_parquet,
        "a.nc": lambda path: data.to_netcdf(path, engine="h5netcdf"),
        "b.nc": lambda path: data.to_netcdf(path, engine="scipy"),
        "a.npz": lambda path: np.savez_compressed(path, **columns),
        "a.npy": lambda path: np.save(path, TABLE.to_numpy()),
        "a.mat": lambda path: scipy.io.savemat(path, columns, do_compression=True),
        "b.mat": lambda path: scipy.io.savemat(path, {"log": columns}),
        "c.mat": _write_hdf5,
    }
    files = {
        "a.csv": comma.encode(),
        "b.csv": TABLE.to_csv(index=False, sep=";", decimal=",").encode(),
        "c.tsv": TABLE.to_csv(index=False, sep="\t").encode("utf-16"),
        "d.txt": spaces.getvalue().encode(),
        "model.json": to_json(law()).encode(),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, write in written.items():
            write(Path(folder) / name)
            files[name] = (Path(folder) / name).read_bytes()
    for name in ("a.mat", "b.mat"):  # without the date of today
        files[name] = b"MATLAB 5.0 MAT-file".ljust(116) + files[name][116:]
    return files


def _write_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["t"], file["h"] = T[:, None], TABLE.to_numpy()[:, 1:].T


# -- files -----------------------------------------------------------------------------


def broken_files(seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of damaged files, without end."""
    rng = np.random.default_rng(seed)
    files = whole_files()
    yield from _made_by_hand(files)
    names = list(files)
    while True:
        name = names[rng.integers(len(names))]
        content = files[name]
        for _ in range(int(rng.integers(1, 4))):
            is_text = name.endswith((".csv", ".tsv", ".txt", ".json"))
            ways = [*_BYTES, *(_TEXT if is_text else ())]
            content = ways[rng.integers(len(ways))](content, rng)
        if rng.random() < 0.1:  # a wrong name
            name = (
                name.partition(".")[0] + [".csv", ".mat", ".npz", ".nc", ".json"][rng.integers(5)]
            )
        if content != files.get(name):
            yield name, content


def _made_by_hand(files: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    for name in files:
        yield name, b""
        yield name, b"\0" * 4096
        yield name, bytes(range(256)) * 8
        yield name, b"\n\n\n"
        yield name, files[name][:20]
    for word in NASTY:
        yield "a.csv", f"t,x\n0,1\n1,{word}\n2,3\n".encode("utf-8", "surrogatepass")
        yield "a.csv", f"t,{word}\n0,1\n1,2\n2,3\n".encode("utf-8", "surrogatepass")
    yield "a.csv", b"t,x\n" + b"1," * 30_000 + b"\n"
    yield "a.csv", b"t,x\n0,1\n1," + b"9" * 300_000 + b"\n"
    yield "a.csv", b't,x\n0,"' + b"a\n" * 100_000
    yield "a.csv", b"x" * 400_000
    yield "model.json", b"[" * 100_000
    yield "model.json", b"9" * 100_000
    document = json.loads(files["model.json"])
    for key in document:
        for value in (None, -1, 1e308, "x", [], {}, [[]], ["mul"] * 9, "__import__('os')"):
            yield "model.json", json.dumps({**document, key: value}).encode()


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: rng.integers(len(content) + 1)]


def _flip(content: bytes, rng: np.random.Generator) -> bytes:
    damaged = bytearray(content)
    for _ in range(int(rng.integers(1, 20))):
        if damaged:
            damaged[rng.integers(len(damaged))] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def _junk(content: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(content) + 1))
    return content[:at] + rng.bytes(int(rng.integers(1, 60))) + content[at:]


def _drop(content: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(content) + 1))
    return content[:start] + content[start + int(rng.integers(1, 200)) :]


def _repeat(content: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(content) + 1))
    piece = content[start : start + int(rng.integers(1, 400))]
    return content[:start] + piece * int(rng.integers(2, 5)) + content[start:]


def _blank(content: bytes, rng: np.random.Generator) -> bytes:
    start, length = int(rng.integers(len(content) + 1)), int(rng.integers(1, 100))
    return content[:start] + b"\xff" * length + content[start + length :]


def _nasty_word(content: bytes, rng: np.random.Generator) -> bytes:
    """Put a word in the place of a number."""
    parts = content.split(b",")
    word = NASTY[rng.integers(len(NASTY))].encode("utf-8", "surrogatepass")
    parts[rng.integers(len(parts))] = word
    return b",".join(parts)


def _shuffle(content: bytes, rng: np.random.Generator) -> bytes:
    lines = content.split(b"\n")
    rng.shuffle(lines)
    return b"\n".join(lines)


def _other_separator(content: bytes, rng: np.random.Generator) -> bytes:
    return content.replace(b",", [b";", b"\t", b"|", b" ", b""][rng.integers(5)])


_BYTES = (_cut, _flip, _junk, _drop, _repeat, _blank)
_TEXT = (_nasty_word, _shuffle, _other_separator, _nasty_word)


# -- command lines ---------------------------------------------------------------------


def broken_lines(seed: int, files: dict[str, str], out: str) -> Iterator[list[str]]:
    """Yield command lines with something wrong in them, without end.

    Parameters
    ----------
    seed : int
    files : dict
        Paths of good files, by the names of `whole_files`.
    out : str
        A folder that may be written.
    """
    rng = np.random.default_rng(seed)
    table, model = files["a.csv"], files["model.json"]
    good = [
        ["look", table],
        ["fit", table, "--time", "t", "--state", "x,y"],
        ["fit", table, "--dt", "0.1", "--degree", "2", "--library", "x, y, x*y"],
        ["fit", table, "--time", "t", "--rows", "0:30", "--input", "y", "--holdout", "0.2"],
        ["fit", files["a.mat"], "--time", "t", "--out", out, "--json"],
        ["show", model, "--latex"],
        ["show", model, "--table"],
        ["simulate", model, "--x0", "1,2", "--t", "0:1:0.1", "--input", files["b.csv"]],
    ]
    words = (
        *NASTY, "-", "--", "---", "--x", "-1", "1e999", "0", "99999999999999999999", "x,x", ",", ":", "a:b",
        "../../etc/passwd", "/dev/null", "/", ".", "~", "*", "%s", "{0}", "\\", "t", "x=1,y=", "0:1:-1",
        "x**x**x**x", "x/0", "(" * 300, "x+" * 300, "lambda: 0", "x.__class__", "[x for x in y]", "sin()",
    )  # fmt: skip
    options = (
        "--time", "--rate", "--dt", "--state", "--input", "--run", "--rows", "--library",
        "--method", "--regressor", "--holdout", "--encoding", "--x0", "--t", "--draws", "--seed",
        "--latex", "--c", "--nonsense", "-z", "--version=3", "--json=1", "--order", "--degree",
    )  # fmt: skip
    yield from (
        [],
        [""],
        ["--"],
        ["fit"],
        ["FIT", table],
        ["fit", ""],
        ["show", table],
        ["fit", model],
    )
    while True:
        line = list(good[rng.integers(len(good))])
        for _ in range(int(rng.integers(1, 4))):
            at = int(rng.integers(len(line) + 1))
            word = words[rng.integers(len(words))].replace("\0", "")
            way = rng.integers(5)
            if way == 0 and at < len(line):
                line[at] = word
            elif way == 1:
                line[at:at] = [options[rng.integers(len(options))], word]
            elif way == 2 and at < len(line):
                del line[at]
            elif way == 3:
                line.insert(at, options[rng.integers(len(options))])
            else:
                line.append(word)
        yield line
