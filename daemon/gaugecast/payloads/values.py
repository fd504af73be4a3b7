"""Values as devices write them: numbers, numbers as text, words for on and off, and words for "there is none"."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from gaugecast.errors import DecodeError
from gaugecast.fleet import Feature
from gaugecast.payloads.wording import cut, named

#: Of a reader of values: the number, or `None` where the device says that it has none.
#: Raises `DecodeError`: `wrong_type`, `not_finite` or `out_of_range`.
ReadValue = Callable[[Any], float | None]

#: Said by a device, or by what stands before it, where there is no value now.
NO_VALUE: Final = frozenset(("", "-", "--", "---", "n/a", "na", "none", "null", "unavailable", "unknown", "undefined"))
TRUE_WORDS: Final = ("true", "on", "yes", "open", "opened", "active", "high", "online", "1")
FALSE_WORDS: Final = ("false", "off", "no", "closed", "inactive", "low", "offline", "0")

_BLANK: Final = " \t\r\n\x00\ufeff\u00a0"
_NUMBER = re.compile(
    r"(?P<number>[+-]?(?:[0-9]{1,40}(?:[.,][0-9]{0,40})?|[.,][0-9]{1,40})(?:[eE][+-]?[0-9]{1,4})?)"
    r"(?P<gap>[ \u00a0\u202f]*)(?P<unit>(?:[^\W\d_]|[%°ʼ'\"²³⁻¹/·*^ ]|(?<=[mM])[23])*)"
)
_HEX_WORD = re.compile(r"[A-Fa-f]{2,}")
_HEX = re.compile(r"(?=.*\d)(?:[0-9A-Fa-f]{2}){4,}")


def value_reader(feature: Feature, no_number: str = "wrong_type") -> ReadValue:
    """What reads the values of a feature: missing ones out, words and texts to numbers, scaled, and within bounds.

    Args:
        no_number: The reason where a text is no number.
    """
    absent = frozenset(_as_key(value) for value in feature.missing)
    words = _words_of(feature)

    def read(raw: Any) -> float | None:
        if raw is None:
            return None
        if type(raw) is str:
            text = bare(raw)
            if text.lower() in NO_VALUE or _as_key(text) in absent:
                return None
            raw = words[text.lower()] if text.lower() in words else _of_text(feature, text, no_number)
        elif type(raw) is bool:
            raw = _of_bool(feature, raw, words)
        elif type(raw) not in (int, float, Decimal):
            raise DecodeError("wrong_type", f"{feature.name}: expected a number, got {named(raw)}")
        if absent and _as_key(raw) in absent:
            return None
        return measured(feature, raw)

    return read


def measured(feature: Feature, raw: int | float | Decimal) -> float:
    """A feature's value: what came, scaled, if it is within bounds.

    Raises:
        DecodeError: `not_finite` or `out_of_range`.
    """
    try:
        number = float(raw)
    except OverflowError:
        number = math.inf
    if feature.scale != 1.0 or feature.offset != 0.0:
        number = number * feature.scale + feature.offset
    if not math.isfinite(number):
        raise DecodeError("not_finite", f"{feature.name}: expected a finite number, got {cut(str(raw)[:40])}")
    if not feature.valid_min <= number <= feature.valid_max:
        raise DecodeError(
            "out_of_range", f"{feature.name}: expected {feature.valid_min:g} to {feature.valid_max:g}, got {number:g}"
        )
    return number


def bare(text: str) -> str:
    """A text without blanks, NUL and byte order mark at its ends, and without quotes around it."""
    text = text.strip(_BLANK)
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip(_BLANK)
    return text


def number_of(text: str) -> float | None:
    """The number that a bare text says, with a decimal point or comma and perhaps a unit behind; `None` = none.

    A comma is always the decimal one: `1,234` is a little more than 1. Hexadecimal text is no number with a unit.
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        return _constant(text)
    unit = found["unit"].strip()
    if len(unit) > 12 or (unit and not found["gap"] and _HEX_WORD.fullmatch(unit)):
        return None
    return float(found["number"].replace(",", "."))


def _constant(text: str) -> float | None:
    """NaN and infinity, which are no values, are to be named as what they are."""
    return float(text) if text.lower().lstrip("+-") in ("nan", "inf", "infinity") else None


def _of_text(feature: Feature, text: str, no_number: str) -> float:
    number = number_of(text)
    if number is not None:
        return number
    remedy = ""
    if text.lower() in TRUE_WORDS or text.lower() in FALSE_WORDS:
        remedy = '; kind = "boolean" reads it as 1 or 0'
    elif _HEX.fullmatch(text):
        remedy = "; hexadecimal text is not read, so take a decoded value"
    raise DecodeError(no_number, f"{feature.name}: expected a number, got {named(text)}{remedy}")


def _of_bool(feature: Feature, raw: bool, words: dict[str, float]) -> float:
    if not words:
        raise DecodeError(
            "wrong_type", f'{feature.name}: expected a number, got {named(raw)}; kind = "boolean" reads it as 1 or 0'
        )
    return float(raw)


def _words_of(feature: Feature) -> dict[str, float]:
    """Words that are numbers; empty where true and false are none."""
    if not (feature.boolean or feature.role == "input" or feature.true_values or feature.false_values):
        return {}
    usual = not (feature.true_values or feature.false_values)
    words = dict.fromkeys(FALSE_WORDS if usual else feature.false_values, 0.0)
    return words | dict.fromkeys(TRUE_WORDS if usual else feature.true_values, 1.0)


def _as_key(value: Any) -> float | str:
    """Numbers by value, so that -127 is -127.0 and "-127"; words in lower case."""
    if type(value) in (int, float, Decimal):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    text = bare(str(value))
    number = number_of(text)
    return text.lower() if number is None or math.isnan(number) else number
