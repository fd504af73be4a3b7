"""What came on a topic, taken apart: format, records, and the fields of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from gaugecast.errors import DecodeError
from gaugecast.fleet import Fleet, PayloadFormat
from gaugecast.payloads.formats import Parse, parser_of
from gaugecast.payloads.formats.guess import NAMES, guess_format
from gaugecast.payloads.ours import names_within
from gaugecast.payloads.values import FALSE_WORDS, NO_VALUE, TRUE_WORDS, bare, number_of
from gaugecast.topics import FieldPath


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


#: Formats whose topics are proposed.
READ: tuple[PayloadFormat, ...] = ("json", "ndjson", "number", "influx", "senml", "cbor", "msgpack", "sparkplug")
NAMES_OF_TIME = words(
    "t ts time timestamp _timestamp datetime date eventtime event_time time_utc dt sampled_at measured_at at"
)
_CONTAINERS = words(
    "metrics messages values vals data readings records items points samples sensors measurements results entries "
    "series channels payload body list tags signals"
)
_NAME_KEYS = ("id", "name", "n", "tag", "key", "sensor", "signal", "metric", "point", "channel")
_VALUE_KEYS = ("value", "val", "v", "reading")
_DEEPEST = 5
_LONGEST_TEXT = 200
_WORDS = frozenset(TRUE_WORDS) | frozenset(FALSE_WORDS)


class Came(NamedTuple):
    """One message: when it came, ns, and what; `retained`: the broker had kept it, so when says nothing."""

    at_ns: int
    payload: bytes
    retained: bool = False


#: What came, by topic, in order.
Heard = Mapping[str, Sequence[Came]]


class Layout(NamedTuple):
    """How a topic's payloads are split into readings: the keys of a fleet's table."""

    payload: PayloadFormat
    records: FieldPath = ()
    name: FieldPath | None = None
    value: FieldPath | None = None

    @property
    def within(self) -> FieldPath:
        """Where a reading has its features by name."""
        return names_within(Fleet("x", ("x",), "x", (), 1, payload=self.payload))


class Record(NamedTuple):
    """One reading's fields, and when its message came; `fresh`: just when it was sent.

    Attributes:
        message: Number of the message on its topic.
    """

    at_ns: int
    fresh: bool
    fields: Mapping[FieldPath, Any]
    message: int = 0


class Content(NamedTuple):
    """What a topic brings."""

    layout: Layout
    records: tuple[Record, ...]


def content_of(topic: str, came: Sequence[Came], parsers: dict[str, Parse]) -> Content | str:
    """The records of a topic, or why it has none that could be read.

    Args:
        parsers: By format, kept from topic to topic: a birth of Sparkplug names what comes elsewhere.
    """
    written = [one for one in came if one.payload]
    if not written:
        return "empty payloads"
    found = guess_format(written[-1].payload)
    if found not in READ:
        return f"looks like {NAMES[found]}; write it by hand" if found else _unread(written[-1].payload)
    payload = next(each for each in READ if each == found)
    roots = [(one, root) for one in written if (root := _parsed(topic, one, payload, parsers)) is not None]
    if not roots:
        return "could not be read"
    layout = _layout(payload, roots[-1][1])
    if layout is None:
        return "an array without names"
    records = tuple(
        Record(one.at_ns, not one.retained, fields, number)
        for number, (one, root) in enumerate(roots)
        for fields in _fields_of(layout, root)
    )
    return Content(layout, records) if records else "nothing in it"


def is_number(value: Any) -> bool:
    """Whether it is a number, or a text that says one."""
    if type(value) is str:
        return number_of(bare(value)) is not None
    return type(value) in (int, float, Decimal)


def is_switch(value: Any) -> bool:
    """Whether it is true or false, or a word for it."""
    return type(value) is bool or (type(value) is str and not is_number(value) and bare(value).lower() in _WORDS)


def says_nothing(value: Any) -> bool:
    """Whether it stands where there is no value now."""
    return value is None or (type(value) is str and bare(value).lower() in NO_VALUE)


def _unread(payload: bytes) -> str:
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError:
        return "bytes of no format that is known"
    if text.lower() in _WORDS:
        return 'on and off; payload = "number" with kind = "boolean" reads it'
    return "no number, but a text"


def _parsed(topic: str, one: Came, payload: PayloadFormat, parsers: dict[str, Parse]) -> Any:
    """The payload as plain values; `None` where it is of another format, or damaged."""
    if payload not in parsers:
        parsers[payload] = parser_of(Fleet("x", ("x",), "x", (), 1, payload=payload))
    try:
        return parsers[payload](topic, one.payload, one.at_ns)
    except DecodeError:
        return None


def _layout(payload: PayloadFormat, root: Any) -> Layout | None:
    if payload in ("number", "influx", "senml", "sparkplug"):
        return Layout(payload)
    if isinstance(root, list):
        return _listed(payload, (), root) if _is_table(root) else None
    tables = {key: value for key, value in root.items() if _is_table(value)} if isinstance(root, dict) else {}
    if not tables or any(_measures(path, value) for path, value in leaves(root)):
        return Layout(payload)
    if len(tables) == len(root) and not any(key.lower() in _CONTAINERS for key in tables):
        return Layout(payload, ("*",))
    best = max(tables, key=lambda key: sum(is_number(v) for each in tables[key] for _, v in leaves(each)))
    return _listed(payload, (best,), tables[best])


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(isinstance(each, dict) for each in value)


def _measures(path: FieldPath, value: Any) -> bool:
    """Whether a field of an envelope may be a measurement of its own."""
    return (
        is_number(value)
        and path[-1].lower() not in NAMES_OF_TIME
        and not path[-1].lower().endswith(("id", "seq", "sequence", "number", "count", "version", "time", "timestamp"))
    )


def _listed(payload: PayloadFormat, at: FieldPath, table: Sequence[dict[str, Any]]) -> Layout:
    """Readings one by one, or values by name."""
    shared = set(table[0]).intersection(*table)
    value = next((key for key in _VALUE_KEYS if key in shared and is_number(table[0][key])), None)
    name = next((key for key in _NAME_KEYS if key in shared and type(table[0][key]) in (str, int)), None)
    if name is None or value is None:
        return Layout(payload, at)
    return Layout(payload, at, (name,), (value,))


def _fields_of(layout: Layout, root: Any) -> Iterator[dict[FieldPath, Any]]:
    """The fields of each reading in a payload."""
    if layout.payload == "number":
        yield {(): root}
        return
    if layout.records == ("*",):
        around: dict[FieldPath, Any] = {}
        readings = [{"@key": key, **each} for key, table in root.items() for each in _dicts(table)]
    elif layout.records:
        around = dict(leaves(root)) if isinstance(root, dict) else {}
        readings = _dicts(root.get(layout.records[0])) if isinstance(root, dict) else []
    else:
        around, readings = {}, _dicts(root)
    if layout.name is None or layout.value is None:
        yield from (around | dict(leaves(reading)) for reading in readings)
        return
    yield from _by_name(layout.name[0], layout.value[0], readings, around)


def _by_name(
    name: str, value: str, readings: Sequence[dict[str, Any]], around: dict[FieldPath, Any]
) -> Iterator[dict[FieldPath, Any]]:
    """Values that have one time, as one reading that has them by name."""
    whole: dict[str, dict[FieldPath, Any]] = {}
    for reading in readings:
        stamps = {(key,): each for key, each in reading.items() if key.lower() in NAMES_OF_TIME}
        fields = whole.setdefault(repr(stamps), around | stamps)
        if name in reading and value in reading:
            fields[("@named", str(reading[name]))] = reading[value]
    yield from whole.values()


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]


def leaves(value: dict[str, Any], at: FieldPath = ()) -> Iterator[tuple[FieldPath, Any]]:
    """Fields that are no objects and no arrays, by path."""
    for key, each in value.items():
        if isinstance(each, dict):
            if len(at) < _DEEPEST:
                yield from leaves(each, (*at, key))
        elif not isinstance(each, (list, bytes)) and not ("'" in key and '"' in key):
            yield (*at, key), each[:_LONGEST_TEXT] if type(each) is str else each
