"""The only place that imports pysindy."""

from __future__ import annotations

from typing import Any

__all__ = ["load_pysindy"]


def load_pysindy() -> Any:
    """Return the module pysindy, imported on first use (it takes about a second).

    Raises
    ------
    ImportError
        If it is not installed; says what to type.
    """
    try:
        import pysindy
    except ImportError as error:
        raise ImportError("pysindy is needed here: pip install 'pysindy>=2.1,<2.2'.") from error
    return pysindy
