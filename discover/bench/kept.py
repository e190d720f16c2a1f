"""Truths that take long to make: kept from run to run, in the temporary folder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from discover.typing import FloatArray

__all__ = ["kept_arrays"]


def kept_arrays(name: str, make: Callable[[], Mapping[str, FloatArray]]) -> dict[str, FloatArray]:
    """Return arrays as an earlier run kept them, or make and keep them.

    Parameters
    ----------
    name : str
        Of the file, which appears all at once: other processes may look for it.
    make : callable
        Returns arrays by name.
    """
    path = Path(tempfile.gettempdir()) / f"discover_{name}.npz"
    if not path.exists():
        made: dict[str, Any] = dict(make())
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as file:
            np.savez(file, **made)
        Path(file.name).replace(path)
    with np.load(path) as data:
        return dict(data)
