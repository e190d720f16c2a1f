"""Readers: any table in a file becomes runs, or an error that names the file.

What a file is, its first bytes say. Each kind has a :class:`Source`, which knows its
columns before it reads them, and reads them at once or piece by piece.
"""

from __future__ import annotations

from discover.observations.readers.runs import open_source, parse_rows, read_chunks, read_runs
from discover.observations.readers.source import Header, Source

__all__ = ["Header", "Source", "open_source", "parse_rows", "read_chunks", "read_runs"]
