"""Files: an existing one is replaced in one step, or left as it was."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["replacing", "write_text"]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a draft beside a file; it takes the place of the file when it is complete.

    A reader finds the old file or the new one, never a part. Whatever goes wrong, the
    draft is removed and the old file untouched. A link stays a link.

    Parameters
    ----------
    path : Path

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    place = path.resolve()
    draft = place.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(draft, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, place)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, with the line ends it has, in one step; see :func:`replacing`."""
    with replacing(path) as file:
        file.write(text.encode("utf-8"))
