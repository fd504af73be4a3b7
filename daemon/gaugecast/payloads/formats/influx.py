"""InfluxDB line protocol, as Telegraf and others write it: `cpu,host=a usage=1.5,user=2i 1700000000000000000`.

https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from gaugecast.errors import DecodeError

_MEASUREMENT = re.compile(r"(?:\\.|[^,\s\\\"])(?:\\.|[^, \n\\])*")
_KEY = re.compile(r"(?:\\.|[^,= \n\\])+")
_STRING = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)
_BARE = re.compile(r"[^,\s\"]+")
_TIME = re.compile(r" +(-?[0-9]{1,20})")
_BLANKS = re.compile(" +")
_END = re.compile(r"[ \r]*(?:\n|\Z)")
_SKIP = re.compile(r"(?:[ \t\r\n\x00\ufeff]|#[^\n]*)*")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,4})?")
_WHOLE = re.compile(r"([+-]?[0-9]{1,20})[iu]")
_ESCAPED = re.compile(r"\\([,= \\\"])")
_BOOLEANS = dict.fromkeys(("t", "T", "true", "True", "TRUE"), True) | dict.fromkeys(
    ("f", "F", "false", "False", "FALSE"), False
)


def parse_influx(text: str) -> list[dict[str, Any]]:
    """Each line as `{"measurement": …, "tags": {…}, "fields": {…}, "time": …}`; without `time` where it has none.

    Raises:
        DecodeError: `malformed`, with the place in the text.
    """
    scanner = _Scanner(text)
    found: list[dict[str, Any]] = []
    while scanner.skip():
        found.append(scanner.line())
    return found


class _Scanner:
    """Where we are in a text."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def skip(self) -> bool:
        """Pass empty lines and comments; whether something is left."""
        self._take(_SKIP)
        return self._at < len(self._text)

    def line(self) -> dict[str, Any]:
        line: dict[str, Any] = {"measurement": _plain(self._need(_MEASUREMENT, "a measurement")[0])}
        line["tags"] = self._tags()
        self._need(_BLANKS, "a blank before the fields")
        line["fields"] = self._fields()
        stamp = self._take(_TIME)
        if stamp is not None:
            line["time"] = int(stamp[1])
        self._need(_END, "a time stamp or the end of the line")
        return line

    def _tags(self) -> dict[str, str]:
        tags: dict[str, str] = {}
        while self._literal(","):
            key = self._name()
            tags[key] = _plain(self._need(_KEY, f"the value of the tag {key[:32]!r}")[0])
        return tags

    def _fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        while not fields or self._literal(","):
            name = self._name()
            fields[name] = self._value()
        return fields

    def _name(self) -> str:
        key = _plain(self._need(_KEY, "a name")[0])
        if not self._literal("="):
            raise self._fault(f"`=` behind {key[:32]!r}")
        return key

    def _value(self) -> Any:
        quoted = self._take(_STRING)
        if quoted is not None:
            return _plain(quoted[1])
        word = self._need(_BARE, "a value")[0]
        if word in _BOOLEANS:
            return _BOOLEANS[word]
        whole = _WHOLE.fullmatch(word)
        if whole is not None:
            return int(whole[1])
        if _NUMBER.fullmatch(word):
            return Decimal(word)
        raise self._fault(f"a number, a boolean or a text in quotes before here, got {word[:32]!r}")

    def _literal(self, character: str) -> bool:
        there = self._text.startswith(character, self._at)
        self._at += there
        return there

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def _need(self, pattern: re.Pattern[str], what: str) -> re.Match[str]:
        found = self._take(pattern)
        if found is None:
            raise self._fault(what)
        return found

    def _fault(self, what: str) -> DecodeError:
        line = self._text.count("\n", 0, self._at) + 1
        got = self._text[self._at : self._at + 16]
        return DecodeError("malformed", f"line protocol, line {line}: expected {what}, got {got!r}")


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text
