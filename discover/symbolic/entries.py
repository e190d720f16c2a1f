"""Entries of a model file: each is what it must be, or refused with its place in the file."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import Any

from discover.exceptions import ModelFileError

__all__ = ["boolean", "error", "listing", "name", "number", "one_of", "record", "text"]

_LONGEST_NAME = 1_000


def error(place: str, must: str, got: Any = ...) -> ModelFileError:
    """Return the error of an entry: where it stands, what it must be, what came."""
    shown = "" if got is ... else f"; got {_short(got)}"
    return ModelFileError(f"SymbolicModel: {place} {must}{shown}.")


def _short(value: Any) -> str:
    """Describe a value in a few characters, however large it is."""
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return f"a whole number of {value.bit_length()} bits"
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:80]}..."


def listing(value: Any, place: str) -> list[Any]:
    """Return a list."""
    if not isinstance(value, list):
        raise error(place, "must be a list", value)
    return value


def text(value: Any, place: str) -> str:
    """Return printable text."""
    if not isinstance(value, str) or len(value) > _LONGEST_NAME or not value.isprintable():
        raise error(place, f"must be printable text, {_LONGEST_NAME} characters at most", value)
    return value


def name(value: Any, place: str) -> str:
    """Return an identifier."""
    if not text(value, place).isidentifier():
        raise error(place, "must be an identifier", value)
    return str(value)


def number(value: Any, place: str) -> float:
    """Return a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise error(place, "must be a number", value)
    with contextlib.suppress(OverflowError):
        if math.isfinite(found := float(value)):
            return found
    raise error(place, "must be a finite number", value)


def boolean(value: Any, place: str) -> bool:
    """Return a truth value."""
    if not isinstance(value, bool):
        raise error(place, "must be true or false", value)
    return value


def one_of(value: Any, place: str, allowed: Sequence[str]) -> str:
    """Return one of some words."""
    if not isinstance(value, str) or value not in allowed:
        raise error(place, f"must be one of {list(allowed)}", value)
    return value


def record(value: Any, place: str, keys: Sequence[str]) -> dict[str, Any]:
    """Return an object with just these keys."""
    if not isinstance(value, dict) or set(value) != set(keys):
        raise error(place, f"must be an object with the keys {list(keys)}", value)
    return value
