"""Formats that are text: JSON, JSON a line, CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from gaugecast.errors import DecodeError
from gaugecast.payloads.wording import cut

_DEEP = "nested too deep"


def _decimal(text: str) -> Decimal:
    """A JSON number exactly; beyond the exponents that `Decimal` can hold, infinity or zero."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal(0) if "e-" in text.lower() else Decimal("-Infinity" if text.startswith("-") else "Infinity")


_JSON = msgspec.json.Decoder(float_hook=_decimal)


def decode_utf8(payload: bytes) -> str:
    """The text of a payload.

    Raises:
        DecodeError: `not_utf8`.
    """
    try:
        return payload.decode()
    except UnicodeDecodeError as exc:
        raise DecodeError("not_utf8", f"expected UTF-8, got the byte {payload[exc.start]:#04x}") from exc


def parse_json(payload: bytes, text: str) -> Any:
    """JSON with decimals as `Decimal`; `NaN` and `Infinity`, which JSON has not, as floats for a reason each.

    Blanks, NUL and a byte order mark around it do not matter, and nothing but those is nothing: `{}`.

    Raises:
        DecodeError: `not_json`.
    """
    try:
        return _JSON.decode(payload)
    except RecursionError as exc:
        raise DecodeError("not_json", _DEEP) from exc
    except (msgspec.MsgspecError, ValueError, ArithmeticError) as exc:
        stripped = text.strip(" \t\r\n\x00\ufeff")
        if not stripped:
            return {}
        if stripped != text:
            return parse_json(stripped.encode(), stripped)
        if "NaN" not in text and "Infinity" not in text:
            raise DecodeError("not_json", cut(str(exc))) from exc
    try:
        return json.loads(text, parse_float=_decimal, parse_constant=float)
    except (ValueError, ArithmeticError) as exc:
        raise DecodeError("not_json", cut(str(exc))) from exc
    except RecursionError as exc:
        raise DecodeError("not_json", _DEEP) from exc


def parse_ndjson(text: str) -> list[Any]:
    """A JSON value a line; the elements of a line that is an array are readings, too.

    Raises:
        DecodeError: `not_json`, with the number of the line.
    """
    found: list[Any] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip(" \t\r\x00\ufeff"):
            continue
        try:
            value = parse_json(line.encode(), line)
        except DecodeError as exc:
            raise DecodeError(exc.reason, f"line {number}: {exc.detail}") from exc
        found += value if isinstance(value, list) else [value]
    return found


class CsvFormat:
    """CSV lines, each a reading: texts by the names of their columns.

    Args:
        columns: Names in order; one that is empty is skipped.
    """

    def __init__(self, columns: Sequence[str], separator: str) -> None:
        self._columns, self._separator = tuple(columns), separator

    def parse(self, text: str) -> list[dict[str, str]]:
        """All lines but empty ones, comments (`#`), and a head that repeats the columns' names.

        Raises:
            DecodeError: `malformed`: not CSV, or a line with more columns than there are names.
        """
        readings: list[dict[str, str]] = []
        lines = [line for line in text.strip("\ufeff\x00").splitlines() if line.strip() and not line.startswith("#")]
        try:
            rows = list(csv.reader(lines, delimiter=self._separator, skipinitialspace=True))
        except csv.Error as exc:
            raise DecodeError("malformed", cut(f"expected CSV: {exc}")) from exc
        for number, row in enumerate(rows, 1):
            cells = [cell.strip() for cell in row]
            if len(cells) > len(self._columns):
                raise DecodeError(
                    "malformed", f"line {number}: expected {len(self._columns)} columns, got {len(cells)}"
                )
            if number > 1 or tuple(cells) != self._columns:
                readings.append({name: cell for name, cell in zip(self._columns, cells, strict=False) if name})
        return readings
