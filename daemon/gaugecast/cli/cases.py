"""Cases of `gaugecast test`: a message, and what is to become of it. Read, judged, and the first ones written."""

from __future__ import annotations

import base64
import binascii
import math
import struct
import tomllib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from gaugecast.config import Settings, resolve_fleets
from gaugecast.config.toml_text import read_toml, toml_value
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.history import parse_time
from gaugecast.payloads import Decoded, Decoder
from gaugecast.payloads.discovery import Heard, Stanza, joined
from gaugecast.records import REJECT_REASONS, Input, Kind, Message

_TOLERANCE_NS = 1000  # a text or a number says microseconds
_MOST_TOPICS = 2  # of each fleet, for the first cases
_MOST_READINGS, _MOST_BYTES = 10, 4096
_Instant = Any  # a date and time of TOML, a text, or seconds since 1970; looked at when it is read

HEADER: Final = """\
# Cases of `gaugecast test`: what is to become of a message. In each: topic, payload (or payload_base64), and one of
#   stream, time, values   the reading that it is; of values those that are named are looked at
#   readings = [{ … }]     of a message with several
#   reject = "…"           the reason for which it is refused
#   not_ours = true        it names no feature of the fleet
# received is when it came, if that matters; retain = true: the broker had kept it.
"""


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reading; what is not said is not looked at."""

    stream: str | None = None
    time: _Instant = None
    values: dict[str, float] = {}


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message, and what is to become of it."""

    topic: str
    payload: str | None = None
    payload_base64: str | None = None
    name: str = ""
    received: _Instant = None
    retain: bool = False
    stream: str | None = None
    time: _Instant = None
    values: dict[str, float] = {}
    readings: list[Expected] = []
    reject: str = ""
    not_ours: bool = False

    @property
    def expected(self) -> list[Expected]:
        """The readings that are expected."""
        if self.readings:
            return self.readings
        said = self.stream is not None or self.time is not None or self.values
        return [Expected(stream=self.stream, time=self.time, values=self.values)] if said else []

    def bytes_of_payload(self) -> bytes:
        """What came."""
        if self.payload_base64 is not None:
            return base64.b64decode(self.payload_base64, validate=True)
        return (self.payload or "").encode()


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    case: list[Case]


def cases_beside(config: Path) -> Path:
    """Where the cases of a configuration are: `gaugecast.tests.toml` beside `gaugecast.toml`."""
    return config.with_suffix(".tests.toml")


def read_cases(path: Path) -> list[Case]:
    """The cases of a file.

    Raises:
        ConfigError: It cannot be read, or a case makes no sense; the message says which and why.
    """
    raw = read_toml(path)
    try:
        cases = msgspec.convert(raw, type=_File).case
    except msgspec.ValidationError as exc:
        raise ConfigError(f"{path}: {_in_words(str(exc))}") from exc
    for number, case in enumerate(cases, 1):
        fault = _fault_of(case)
        if fault:
            raise ConfigError(f"{path}: case {number}, {case.topic}: {fault}")
    return cases


def _in_words(complaint: str) -> str:
    """msgspec's complaint, with cases counted from 1."""
    what, _, place = complaint.partition(" - at `$")
    if not place:
        return f"{what[:1].lower()}{what[1:]}; expected [[case]] tables with topic and payload"
    parts = place.rstrip("`").strip(".").replace("[", ".").replace("]", "").split(".")
    named = [f"case {int(part) + 1}" if part.isdecimal() and at == 1 else part for at, part in enumerate(parts)]
    return f"{' '.join(named[1:] or named)}: {what[:1].lower()}{what[1:]}"


def _fault_of(case: Case) -> str:
    """What makes no sense in a case."""
    if (case.payload is None) == (case.payload_base64 is None):
        return "expected either payload or payload_base64"
    said = [bool(case.expected), bool(case.reject), case.not_ours]
    if sum(said) != 1:
        return "expected one of: stream, time and values (or readings); reject; not_ours = true"
    if case.reject and case.reject not in REJECT_REASONS:
        return f"reject: expected one of {', '.join(REJECT_REASONS)}, got {case.reject!r}"
    try:
        case.bytes_of_payload()
        for instant in (case.received, *(one.time for one in case.expected)):
            if instant is not None:
                _ns_of(instant)
    except binascii.Error as exc:
        return f"payload_base64: {exc}"
    except ValueError as exc:
        return f"expected a time in ISO 8601 or seconds since 1970: {exc}"
    return ""


def _ns_of(instant: _Instant) -> int:
    if not isinstance(instant, datetime | str | int | float) or isinstance(instant, bool):
        raise ValueError(f"got {instant!r}")
    return parse_time(instant.isoformat() if isinstance(instant, datetime) else str(instant))


class Judge:
    """Reads cases in their order by one decoder, which may remember what came before: a birth, say."""

    def __init__(self, settings: Settings, now_ns: int) -> None:
        self._fleets = {fleet.name: fleet for fleet in resolve_fleets(settings)}
        self._decoder = Decoder(list(self._fleets.values()), settings.loop)
        self._now_ns, self._mid = now_ns, 0

    def faults(self, case: Case) -> list[str]:
        """What became of a case otherwise than expected; none where it is right."""
        self._mid = self._mid % 65_535 + 1
        message = Message(case.topic, case.bytes_of_payload(), 1, False, case.retain, self._mid, 1)
        decoded = self._decoder.decode([message], self._received(case))
        readings = [one for one in decoded.inputs if one.kind is Kind.READING]
        came = _came(decoded, readings)
        if case.reject:
            reasons = {refused.reason for refused in decoded.refused}
            return [] if case.reject in reasons else [f"expected it to be refused as {case.reject}, got {came}"]
        if case.not_ours:
            return (
                [] if not decoded.inputs and decoded.not_ours.total() else [f"expected it not to be ours, got {came}"]
            )
        if len(readings) != len(case.expected):
            return [f"expected {_counted(len(case.expected))}, got {came}"]
        return [
            fault
            for place, (one, got) in enumerate(zip(case.expected, readings, strict=True))
            for fault in self._differences(one, got, f"readings[{place}]." if len(readings) > 1 else "")
        ]

    def _received(self, case: Case) -> int:
        """When it came: as said, else when what it says was measured, else now."""
        if case.received is not None:
            return _ns_of(case.received)
        times = [_ns_of(one.time) for one in case.expected if one.time is not None]
        return max(times, default=self._now_ns)

    def _differences(self, expected: Expected, got: Input, place: str) -> Iterator[str]:
        if expected.stream is not None and expected.stream != got.stream:
            yield f"{place}stream: expected {expected.stream!r}, got {got.stream!r}"
        if expected.time is not None and abs(_ns_of(expected.time) - got.at_ns) > _TOLERANCE_NS:
            yield f"{place}time: expected {_shown(_ns_of(expected.time))}, got {_shown(got.at_ns)}"
        values = dict(_values(self._fleets[got.fleet], got))
        for name, wanted in expected.values.items():
            if name not in values:
                yield f"{place}values.{name}: expected one of {', '.join(values)}, which [fleet.{got.fleet}] has"
            elif math.isnan(values[name]):
                yield f"{place}values.{name}: expected {wanted:g}, got none"
            elif not math.isclose(values[name], wanted, rel_tol=1e-9, abs_tol=1e-12):
                yield f"{place}values.{name}: expected {wanted!r}, got {values[name]!r}"


def _values(fleet: Fleet, got: Input) -> Iterator[tuple[str, float]]:
    yield from zip(
        (feature.name for feature in fleet.features), struct.unpack(f"<{len(fleet.features)}d", got.values), strict=True
    )


def _came(decoded: Decoded, readings: Sequence[Input]) -> str:
    if readings:
        return _counted(len(readings))
    if decoded.refused:
        return f"a reject, {decoded.refused[0].reason}: {decoded.refused[0].detail or 'no fleet reads this topic'}"
    return "what is not ours: it names no feature of the fleet" if decoded.not_ours.total() else "nothing"


def _counted(count: int) -> str:
    return "a reading" if count == 1 else f"{count} readings"


def _shown(at_ns: int) -> str:
    text = datetime.fromtimestamp(at_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{at_ns % 10**9:09d}".rstrip("0")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


# -- the first ones


def first_cases(stanzas: Sequence[Stanza], heard: Heard) -> str:
    """What was heard, as cases that are right: the newest message of some topics of each fleet, as TOML."""
    settings = Settings.model_validate(tomllib.loads(joined(stanzas)))
    fleets = resolve_fleets(settings)
    decoder = Decoder(fleets, settings.loop)
    by_name = {fleet.name: fleet for fleet in fleets}
    texts = [HEADER]
    for stanza in stanzas:
        written = 0
        for topic in dict.fromkeys(stanza.topics):
            came = next((one for one in reversed(heard[topic]) if one.payload), None)
            if came is None or len(came.payload) > _MOST_BYTES or written >= _MOST_TOPICS:
                continue
            decoded = decoder.decode([Message(topic, came.payload, 1, False, False, 1, 1)], came.at_ns)
            readings = [one for one in decoded.inputs if one.kind is Kind.READING]
            if 0 < len(readings) <= _MOST_READINGS and not decoded.refused:
                written += 1
                texts.append("\n".join(_case_lines(topic, came.payload, came.at_ns, readings, by_name)) + "\n")
    return "\n".join(texts)


def _case_lines(
    topic: str, payload: bytes, at_ns: int, readings: Sequence[Input], fleets: dict[str, Fleet]
) -> Iterator[str]:
    yield "[[case]]"
    yield f"topic = {toml_value(topic)}"
    try:
        yield f"payload = {toml_value(payload.decode())}"
    except UnicodeDecodeError:
        yield f'payload_base64 = "{base64.b64encode(payload).decode()}"'
    yield f'received = "{_shown(at_ns)}"'
    told = [_reading_text(one, fleets[one.fleet]) for one in readings]
    if len(told) == 1:
        yield from (f"{key} = {text}" for key, text in told[0].items())
    else:
        rows = ["{ " + ", ".join(f"{key} = {text}" for key, text in one.items()) + " }" for one in told]
        yield "readings = [\n" + "".join(f"  {row},\n" for row in rows) + "]"


def _reading_text(one: Input, fleet: Fleet) -> dict[str, str]:
    values = ", ".join(
        f"{toml_value(name)} = {value!r}" for name, value in _values(fleet, one) if not math.isnan(value)
    )
    return {"stream": toml_value(one.stream), "time": f'"{_shown(one.at_ns)}"', "values": f"{{ {values} }}"}


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet.

    Raises:
        ConfigError: It is, or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as exc:
        raise ConfigError(f"{path} exists already; name another, or remove it") from exc
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be written: {exc.strerror}") from exc
