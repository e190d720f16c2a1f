"""Measure in a fresh interpreter: imports, first calls, peak memory."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["peak_bytes", "run_fresh"]

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run_fresh(code: str, **environment: str) -> dict[str, Any]:
    """Run code in a new interpreter that sees the same packages.

    Parameters
    ----------
    code : str
        Ends by printing one line of JSON, an object.
    **environment : str
        Variables to set.

    Returns
    -------
    dict
        What was printed, and ``"process"``: seconds from start to end.

    Raises
    ------
    RuntimeError
        If the code fails; with what it wrote to standard error.
    """
    variables = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1"), **environment}
    variables["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=variables, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"bench: a fresh interpreter failed:\n{done.stderr}")
    return {**json.loads(done.stdout.splitlines()[-1]), "process": seconds}


def peak_bytes() -> int:
    """Return the most memory this process has held so far, in bytes.

    Notes
    -----
    On Linux ``VmHWM``: the ``ru_maxrss`` of a new process starts from that of its parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(encoding="ascii"), re.MULTILINE)
        if found:
            return 1024 * int(found[1])
    import resource

    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size * (1 if sys.platform == "darwin" else 1024)
