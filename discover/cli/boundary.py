"""The last line: whatever a command raises leaves as one message and an exit code."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Any, TextIO

import typer

__all__ = ["COMMAND", "FAILED", "INTERRUPTED", "MISUSED", "UNEXPECTED", "run"]

FAILED, MISUSED, INTERRUPTED = 1, 2, 130
UNEXPECTED = "unexpected failure"  # how a defect of ours introduces itself
TRACE = "DISCOVER_TRACEBACK"
COMMAND = "what was typed"  # its key in the object of the context


def run(app: typer.Typer, arguments: Sequence[str] | None) -> int:
    """Run the application; return the exit code and raise nothing.

    Parameters
    ----------
    app : typer.Typer
    arguments : sequence of str or None
        None means those of the process.
    """
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        warnings.simplefilter("default")
        try:
            given = list(sys.argv[1:] if arguments is None else arguments)
            command = {COMMAND: shlex.join(["discover", *given])}
            typer.main.get_command(app).main(given, prog_name="discover", obj=command)
        except SystemExit as leaving:
            return _code(leaving)
        except KeyboardInterrupt:
            return _interrupted()
        except BrokenPipeError:
            return _unread()
        except Exception as error:
            return _report(error)
    return 0


def _code(leaving: SystemExit) -> int:
    if leaving.code == INTERRUPTED:
        return _interrupted()
    return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)


def _interrupted() -> int:
    _say("interrupted")
    return INTERRUPTED


def _unread() -> int:
    """Leave quietly when the reader of a pipe, such as ``head``, has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED


def _report(error: Exception) -> int:
    if os.environ.get(TRACE):
        traceback.print_exception(error)
    if is_for_user(error):
        _say(" ".join([str(error), *(f"({note})" for note in getattr(error, "__notes__", ()))]))
        return FAILED if isinstance(error, RuntimeError) else MISUSED
    if isinstance(error, MemoryError):
        _say(f"there is not enough memory. {error}".rstrip())
        return FAILED
    _say(
        f"{UNEXPECTED}: {type(error).__name__}: {error}. This is a defect of discover; please "
        f"report it with what {TRACE}=1 shows in addition."
    )
    return FAILED


def is_for_user(error: Exception) -> bool:
    """Whether an error says what to do: one of ours, or the system's about a file."""
    from discover.exceptions import DiscoverError

    if isinstance(error, DiscoverError | OSError):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = "" if trace is None else trace.tb_frame.f_globals.get("__name__", "")
    return isinstance(error, ValueError) and f"{name}.".startswith("discover.")


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print what we warn of as one line; others' warnings are for developers."""
    if category.__module__.startswith("discover."):
        _say(f"note: {message}")
    elif os.environ.get(TRACE):
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))


def _say(text: str) -> None:
    print(f"discover: {printable(text)}", file=sys.stderr, flush=True)


def printable(text: Any) -> str:
    """Return text without characters that would move the cursor or change colours.

    File names and column headers are other people's text. Line breaks stay.
    """
    kept = (c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in str(text))
    return "".join(kept).encode("utf-8", "backslashreplace").decode("utf-8")
