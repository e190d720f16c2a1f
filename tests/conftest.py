"""What every test relies on: one thread, no window, repeatable examples."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # read once, when numpy is imported
os.environ["MPLBACKEND"] = "Agg"
os.environ["SDL_VIDEODRIVER"] = "dummy"

settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(scope="session")
def measured():
    """Return the path of a file in the folder DISCOVER_DATA; skip where it is absent."""

    def find(name: str) -> Path:
        folder = os.environ.get("DISCOVER_DATA")
        if not folder:
            pytest.skip("DISCOVER_DATA names no folder with measured data")
        path = Path(folder) / name
        if not path.is_file():
            pytest.skip(f"there is no {path}")
        return path

    return find
