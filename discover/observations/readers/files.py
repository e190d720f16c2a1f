"""What a file is, by its first bytes, and the errors that name it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from discover.exceptions import DataError

__all__ = ["describe", "file_error", "kind_of", "shown"]

_MAGIC = (
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"CDF\x01", "netcdf3"),
    (b"CDF\x02", "netcdf3"),
    (b"CDF\x05", "netcdf3"),
    (b"PAR1", "parquet"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x93NUMPY", "npy"),
    (b"MATLAB 5.0 MAT-file", "mat"),
    (b"MATLAB 7.3 MAT-file", "mat73"),  # HDF5 after 512 bytes of MATLAB's own
)
_REFUSED = (
    (b"\x1f\x8b", "gzip-compressed; decompress it first: gunzip FILE"),
    (b"BZh", "bzip2-compressed; decompress it first"),
    (b"\xfd7zXZ", "xz-compressed; decompress it first"),
    (b"(\xb5/\xfd", "zstandard-compressed; decompress it first"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook; save it as CSV"),
    (b"\x80\x02", "a pickle; loading one may run any program, so none is loaded"),
    (b"\x80\x03", "a pickle; loading one may run any program, so none is loaded"),
    (b"\x80\x04", "a pickle; loading one may run any program, so none is loaded"),
    (b"\x80\x05", "a pickle; loading one may run any program, so none is loaded"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"\x7fELF", "a program"),
)
_SPECIAL = (
    (stat.S_ISDIR, "a folder; name the files in it"),
    (stat.S_ISFIFO, "a pipe; write the data to a file first"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_MOST_SHOWN = 60


def file_error(path: Path, what: str, advice: str = "") -> DataError:
    """Return (not raise) the error about a file: its name, what is wrong, what to do."""
    return DataError(f"{path}: {what}. {advice}".rstrip())


def shown(text: object) -> str:
    """Quote other people's text in a few characters."""
    quoted = repr(str(text))
    return quoted if len(quoted) <= _MOST_SHOWN else f"{quoted[:_MOST_SHOWN]}...'"


def describe(error: BaseException) -> str:
    """Return the first line of a foreign error, without its full stop."""
    lines = str(error).strip().splitlines() or [""]
    text = lines[0].strip().rstrip(".:")[:200]
    return text or type(error).__name__


def kind_of(path: Path) -> str:
    """Return ``text``, ``parquet``, ``hdf5``, ``netcdf3``, ``mat``, ``mat73``, ``zip`` or ``npy``.

    Raises
    ------
    DataError
        If there is no such file, it is not a regular file, it is empty, it cannot be read,
        or it is of a kind that holds no table.
    """
    first = _first_bytes(path)
    for magic, kind in _MAGIC:
        if first.startswith(magic):
            return kind
    for magic, what in _REFUSED:
        if first.startswith(magic):
            raise file_error(path, f"this is {what}")
    return "text"


def _first_bytes(path: Path) -> bytes:
    try:
        mode = os.stat(path).st_mode
        special = next((what for is_special, what in _SPECIAL if is_special(mode)), None)
        if special:
            raise file_error(path, f"this is {special}")
        with open(path, "rb") as file:
            first = file.read(512)
    except DataError:
        raise
    except FileNotFoundError:
        raise file_error(path, "there is no such file", _similar(path)) from None
    except PermissionError:
        raise file_error(path, "permission to read it is denied") from None
    except (OSError, ValueError) as error:  # a name too long, a loop of links, a NUL
        raise file_error(path, f"it cannot be opened: {describe(error)}") from None
    if not first:
        raise file_error(path, "the file is empty")
    return first


def _similar(path: Path) -> str:
    """Suggest a file of a similar name in the same folder."""
    import difflib

    try:
        names = [entry.name for entry in path.parent.iterdir()][:10_000]
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"Did you mean {close[0]}?" if close else ""


def guarded(path: Path, what: str, read: Any) -> Any:
    """Call a foreign reader; whatever a broken file makes it raise becomes a DataError.

    Parsers written for whole files raise anything on broken ones, from KeyError to
    struct.error; only this file's name is known for sure.
    """
    try:
        return read()
    except DataError:
        raise
    except Exception as error:
        raise file_error(path, f"it cannot be read as {what}: {describe(error)}") from None
