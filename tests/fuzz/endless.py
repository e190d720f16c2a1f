"""Look for inputs that make a reader raise what it must not: ``make fuzz``.

Usage: ``python tests/fuzz/endless.py readers|model [options of libFuzzer] [FOLDER]``. Inputs
that were found are kept in FOLDER; one that fails is written to a file and its trace is shown.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["discover.observations.readers", "discover.symbolic"]):
    from discover.observations.readers import read_runs
    from discover.symbolic.model_file import from_json

from broken import whole_files

from discover.exceptions import DataError, ModelFileError

FILE = Path(tempfile.mkdtemp()) / "any"


def readers(content: bytes) -> None:
    """Read runs from any bytes."""
    FILE.write_bytes(content)
    try:
        read_runs(FILE, dt=0.1)
    except DataError as error:
        if str(FILE) not in str(error):
            raise RuntimeError("the message does not name the file") from error


def model(content: bytes) -> None:
    """Read a law from any text."""
    try:
        from_json(content.decode("utf-8", "replace"))
    except ModelFileError:
        pass


def main() -> None:
    """Run libFuzzer, starting from one good file of every kind."""
    warnings.simplefilter("ignore")
    target = {"readers": readers, "model": model}[sys.argv[1]]
    seeds = Path(tempfile.mkdtemp())
    for name, content in whole_files().items():
        if (name == "model.json") == (target is model):
            (seeds / name).write_bytes(content)
    atheris.Setup([sys.argv[0], *sys.argv[2:], str(seeds)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
