"""Progress for what takes longer than two seconds, where somebody watches."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["progress"]

T = TypeVar("T")


def progress(items: Iterable[T], unit: str = "pieces", total: int | None = None) -> Iterator[T]:
    """Yield the items; after two seconds show how many, on a terminal's standard error only."""
    if not sys.stderr.isatty():
        yield from items
        return
    from tqdm import tqdm

    yield from tqdm(items, unit=f" {unit}", total=total, delay=2.0, leave=False, file=sys.stderr)
