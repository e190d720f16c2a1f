"""The command line: ``discover demo`` and ``discover bench``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import discover
from discover.bench import NAMES

__all__ = ["main"]

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_FAILED, _MISUSED, _INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        0; 1 when a bar fails with ``--check``; 2 for what the user can put right; 130
        when interrupted from the keyboard.
    """
    chosen = _parser().parse_args(arguments)
    try:
        status: int = chosen.command(chosen)
        return status
    except KeyboardInterrupt:
        print("discover: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except (OSError, RuntimeError, ValueError) as error:
        if not _is_for_user(error):
            raise
        print(f"discover: {error}", file=sys.stderr)
        return _MISUSED


def _is_for_user(error: Exception) -> bool:
    """Whether an error says what to do: one of ours, or the system's about a file."""
    from discover.exceptions import DiscoverError

    if isinstance(error, DiscoverError | OSError):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = "" if trace is None else trace.tb_frame.f_globals.get("__name__", "")
    return isinstance(error, ValueError) and f"{name}.".startswith("discover.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="discover", description=discover.__doc__)
    parser.add_argument("--version", action="version", version=f"discover {discover.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_demo(commands.add_parser("demo", help="from measurements to a printed law"))
    _add_bench(commands.add_parser("bench", help="measure against peers"))
    return parser


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.description = "Find the law behind two decades of hare and lynx pelts."
    parser.add_argument(
        "--out", type=Path, default=Path("demo_output"), metavar="DIR",
        help="where to write (default: %(default)s)",
    )  # fmt: skip
    parser.set_defaults(command=_demo)


def _add_bench(parser: argparse.ArgumentParser) -> None:
    parser.description = "Measure against peers; every ratio is measured in one process."
    parser.add_argument(
        "names", nargs="+", choices=(*NAMES, "all"), metavar="NAME",
        help=f"{', '.join(NAMES)}, or all",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="small data: shows that it runs")
    parser.add_argument("--record", action="store_true", help="write docs/benchmarks/bars.csv")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar fails")
    parser.set_defaults(command=_bench)


def _demo(chosen: argparse.Namespace) -> int:
    from discover.demo import run

    run(chosen.out)
    return 0


def _bench(chosen: argparse.Namespace) -> int:
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))  # read once, when numpy is imported
    from discover import bench
    from discover.bench.record import record, table_path

    if chosen.record and chosen.quick:
        raise ValueError("bench: --record keeps full results only; leave out --quick.")
    if chosen.record:
        table_path()  # complain now rather than after an hour
    status = 0
    for name in NAMES if "all" in chosen.names else dict.fromkeys(chosen.names):
        rows = bench.measure(name, quick=chosen.quick)
        print(f"{bench.format_table(rows)}\n", flush=True)
        if chosen.record:
            print(f"{record(rows, f'discover bench {name}')} bars recorded in {table_path()}")
        if chosen.check and any(row.passed is False for row in rows):
            status = _FAILED
    return status


if __name__ == "__main__":
    sys.exit(main())
