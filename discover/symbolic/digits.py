"""Numbers for people: as many digits as the uncertainty supports, and never a false zero."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext

__all__ = ["Rounded", "latex_number", "round_number", "text_number"]

_PLAIN_DIGITS = 6  # without an uncertainty
_DOUBLE_DIGITS = 17  # beyond these a double has nothing to say
_LONGEST_UNCERTAINTY = 4  # digits in brackets; a longer one is written out with +-
_FIXED_FROM, _FIXED_TO = -4, 5  # decimal exponents written without a power of ten


@dataclass(frozen=True)
class Rounded:
    """A rounded number, ready for any notation.

    Parameters
    ----------
    negative : bool
    digits : str
        The magnitude, such as ``"9.98"``.
    uncertainty : str, default=""
        Standard error in units of the last digit: the ``3`` of ``9.98(3)``.
    exponent : int, default=0
        Power of ten that multiplies the digits.
    spread : Rounded, optional
        The standard error, when it is too large beside the value for brackets.
    """

    negative: bool
    digits: str
    uncertainty: str = ""
    exponent: int = 0
    spread: Rounded | None = None


def round_number(value: float, error: float = math.nan, digits: int | None = None) -> Rounded:
    """Round a number where its standard error says it stops being known.

    Parameters
    ----------
    value : float
        Finite.
    error : float, default=nan
        Standard error. One digit of it is kept, two when the first is 1 or 2. Without a
        positive finite one, or with one below the resolution of a double, the value alone
        is rounded: to six significant digits, or to all it has.
    digits : int, optional
        Significant digits of the value, instead of what the error suggests; the error is
        then left out.

    Returns
    -------
    Rounded
        A number other than zero keeps at least one digit other than zero.

    Raises
    ------
    ValueError
        If `value` is not finite or `digits` is not between 1 and 17.

    Examples
    --------
    >>> text_number(round_number(9.9812, 0.031)), text_number(round_number(-1.2341e-5, 5.6e-7))
    ('9.98(3)', '1.23(6)e-5')
    """
    if not math.isfinite(value) or (digits is not None and not 1 <= digits <= _DOUBLE_DIGITS):
        raise ValueError(
            f"round_number: value must be finite and digits between 1 and {_DOUBLE_DIGITS}; "
            f"got {value} and {digits}."
        )
    negative = math.copysign(1.0, value) < 0
    with localcontext(Context(prec=60)):  # the caller's own context must not matter
        size = Decimal(abs(value))
        if digits is not None:
            return _plain(negative, size, digits, trim=False)
        if not (math.isfinite(error) and error > 0):
            return _plain(negative, size, _PLAIN_DIGITS)
        return _with_error(negative, size, Decimal(error))


def _plain(negative: bool, size: Decimal, digits: int, trim: bool = True) -> Rounded:
    if not size:
        return Rounded(negative, "0")
    rounded = Context(prec=digits).plus(size)
    rounded = _at(rounded, rounded.adjusted() - digits + 1)
    if trim:
        rounded = rounded.normalize()
        if 0 <= rounded.adjusted() <= _FIXED_TO:
            rounded = _at(rounded, min(int(rounded.as_tuple().exponent), 0))
    text, exponent = _layout(rounded, rounded.adjusted())
    return Rounded(negative, text, exponent=exponent)


def _with_error(negative: bool, size: Decimal, error: Decimal) -> Rounded:
    kept = 2 if error.as_tuple().digits[0] in (1, 2) else 1
    last = error.adjusted() - kept + 1  # the decimal place where the error is rounded
    place = min(last, size.adjusted()) if size else last
    if size and size.adjusted() - place >= _DOUBLE_DIGITS:
        return _plain(negative, size, _DOUBLE_DIGITS)
    counts = f"{_at(error, last).scaleb(-place):f}"
    if len(counts) > _LONGEST_UNCERTAINTY:
        value, spread = _plain(negative, size, 2), _plain(False, error, kept)
        return Rounded(negative, value.digits, "", value.exponent, spread)
    rounded = _at(size, place)
    text, exponent = _layout(rounded, rounded.adjusted() if size else error.adjusted())
    return Rounded(negative, text, counts, exponent)


def _at(size: Decimal, place: int) -> Decimal:
    """Round to a decimal place, ``-2`` for hundredths."""
    return size.quantize(Decimal((0, (1,), place)))


def _layout(rounded: Decimal, lead: int) -> tuple[str, int]:
    """Digits and power of ten; `lead` is the place of the first digit."""
    if int(rounded.as_tuple().exponent) <= 0 and _FIXED_FROM <= lead <= _FIXED_TO:
        return f"{rounded:f}", 0
    return f"{rounded.scaleb(-lead):f}", lead


def text_number(number: Rounded) -> str:
    """Write the magnitude as text: ``9.98(3)``, ``1.23(6)e-5`` or ``(1e-12 ± 0.5)``."""
    text = number.digits + (f"({number.uncertainty})" if number.uncertainty else "")
    text += f"e{number.exponent}" if number.exponent else ""
    return text if number.spread is None else f"({text} ± {text_number(number.spread)})"


def latex_number(number: Rounded) -> str:
    r"""Write the magnitude as LaTeX: ``9.98(3)`` or ``1.23(6) \times 10^{-5}``."""
    text = number.digits + (f"({number.uncertainty})" if number.uncertainty else "")
    text += rf" \times 10^{{{number.exponent}}}" if number.exponent else ""
    if number.spread is None:
        return text
    return rf"\left({text} \pm {latex_number(number.spread)}\right)"
