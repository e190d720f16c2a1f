"""Units of measurement: taken from headers, checked by pint, never converted."""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from typing import Any

from discover.exceptions import DataWarning
from discover.observations.naming import split_unit

__all__ = ["conversion", "is_unit", "same_unit", "split_header", "warn_unknown"]

_IN_PARENTHESES = re.compile(r"(?P<name>.*\S)\s*\((?P<unit>[^()]*)\)", re.DOTALL)
# words, powers of one or two digits, products and quotients: nothing that takes long
_WORDS = re.compile(r"(?:[^\W\d]|[°%µμ²³⁻¹·*/^ \-+()]|(?<![\d.])\d{1,2}(?![\d.]))+")
_LONGEST = 40
_NONE = ("", "-", "1", "none", "dimensionless", "a.u.", "arb. unit", "arb. units")


@lru_cache(maxsize=1)
def _registry() -> Any:
    import pint

    return pint.UnitRegistry(autoconvert_offset_to_baseunit=True)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Any:
    """Return pint's unit, or None if the text is not one that pint knows."""
    if len(text) > _LONGEST or not _WORDS.fullmatch(text) or re.search(r"(\*\*|\^).*\1.*\1", text):
        return None
    try:
        return _registry().Unit(re.sub(r"(?<=[A-Za-zµμΩ])-(?=\d)", "**-", text))
    except Exception:  # pint raises its own errors, those of its tokenizer, and TypeError
        return None


def is_unit(text: str) -> bool:
    """Whether a text is a unit pint knows, or says that there is none."""
    return text.strip().lower() in _NONE or _parsed(text.strip()) is not None


def split_header(header: str) -> tuple[str, str | None]:
    """Split ``"h1 [cm]"`` or ``"h1 (cm)"`` into name and unit.

    What is in brackets is a unit; what is in parentheses is one if pint knows it, so that
    ``"speed (max)"`` stays a name.
    """
    name, unit = split_unit(header)
    if unit is not None:
        return name, unit
    found = _IN_PARENTHESES.fullmatch(header.strip())
    if found is not None and found["unit"].strip() and is_unit(found["unit"]):
        return found["name"].strip(), found["unit"].strip()
    return name, None


def same_unit(first: str, second: str) -> bool:
    """Whether two texts mean one unit, as ``s`` and ``sec`` do."""
    if first == second:
        return True
    left, right = _parsed(first), _parsed(second)
    if left is None or right is None or left.dimensionality != right.dimensionality:
        return False
    return bool(left == right)


def conversion(first: str, second: str) -> str:
    """Say how two units are related, or that they are not."""
    left, right = _parsed(first), _parsed(second)
    if left is None or right is None:
        return "Bring the files to one unit."
    if left.dimensionality != right.dimensionality:
        return "They do not measure the same kind of thing: is this the right column?"
    try:
        factor = float((1.0 * left).to(right).magnitude)
    except Exception:  # logarithmic units and the like
        return "Convert one of the files."
    return f"Convert one of the files: 1 {first} is {factor:.12g} {second}."


def warn_unknown(owner: str, name: str, unit: str) -> None:
    """Warn once of a unit that pint does not know; the law can do without."""
    if is_unit(unit):
        return
    warnings.warn(
        f"{owner}: the unit {unit!r} of {name!r} is not one that is known; it is printed as it "
        "is, and cannot be compared with others.",
        DataWarning,
        stacklevel=2,
    )
