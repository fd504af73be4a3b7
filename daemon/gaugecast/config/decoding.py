"""How a fleet's payloads are read: topics, formats, values and times, from the tables to what the decoder takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeVar

from gaugecast.config.duration import parse_duration_ns
from gaugecast.config.fleet_table import FeatureTable, FleetTable
from gaugecast.errors import ConfigError
from gaugecast.fleet import Aggregate, TimeUnit
from gaugecast.topics import FieldPath, check_filter, parse_path

#: Formats that have a place of their own for the event time, which then needs no key.
OWN_TIME: Final[Mapping[str, FieldPath]] = dict.fromkeys(("influx", "senml", "sparkplug"), ("time",))
#: Where a reading has its features by name, unless `path` says where.
_WITHIN: Final[Mapping[str, FieldPath]] = {"influx": ("fields",), "senml": ("values",), "sparkplug": ("values",)}
_NAMED: Final = "@named"

#: What the key says, and what it is called where it is stored: `last` has always meant there what `first` says here.
AGGREGATES: Final[Mapping[str, Aggregate]] = {
    "first": "last", "last": "final", "mean": "mean", "min": "min", "max": "max", "sum": "sum",
}  # fmt: skip

#: A host that reads DDATA hears of names, and of a device's end, on these.
_SPARKPLUG_BESIDE = {"DDATA": ("DBIRTH", "DDEATH"), "NDATA": ("NBIRTH", "NDEATH")}

_Read = TypeVar("_Read")


class Topics(NamedTuple):
    """What is subscribed, as written."""

    of_fleet: tuple[str, ...]
    of_features: tuple[str, ...]


def topics_of(fleet: str, table: FleetTable) -> Topics:
    """The topics of a fleet, and those that bring single features.

    Raises:
        ConfigError: There is none, or a feature has none.
    """
    of_features = tuple(dict.fromkeys(feature.topic for feature in table.features.values() if feature.topic))
    lacking = [name for name, feature in table.features.items() if not feature.topic]
    if not table.subscribe and (lacking or not of_features):
        name = lacking[0] if lacking else "…"
        raise ConfigError(
            f"[fleet.{fleet}] subscribe: expected at least one topic, or `topic` in each feature; {name!r} has none"
        )
    return Topics(tuple(_with_births(table)), of_features)


def _with_births(table: FleetTable) -> list[str]:
    topics = list(table.subscribe)
    if table.payload == "sparkplug":
        for text in table.subscribe:
            for level, others in _SPARKPLUG_BESIDE.items():
                if level in text.split("/"):
                    topics += [text.replace(f"/{level}/", f"/{other}/") for other in others]
    return list(dict.fromkeys(topics))


def path_of(name: str, table: FleetTable) -> FieldPath:
    """Where a feature is that has no `path`."""
    if table.payload == "number":
        return ()
    if table.name is not None:
        return (_NAMED, name, *(() if table.value is None else parse_path(table.value)))
    return (*_WITHIN.get(table.payload, ()), name)


def time_unit_of(table: FleetTable) -> TimeUnit:
    """Of the event time; formats with one of their own count nanoseconds."""
    if table.time is None and table.payload in OWN_TIME and "time_unit" not in table.model_fields_set:
        return "ns"
    return table.time_unit


def feature_keys_of(place: str, table: FeatureTable, within: FleetTable) -> dict[str, Any]:
    """What a feature's table says of its values.

    Raises:
        ConfigError: A key makes no sense beside the others.
    """
    if table.match and table.path:
        raise ConfigError(f"{place} match: not needed beside `path`, which says where the value is; remove one")
    if (table.quality is None) == bool(table.good):
        raise ConfigError(f'{place} quality: goes with `good`, say quality = "$.qc" and good = [3]')
    _check_counter(place, table)
    if bool(table.true_values) != bool(table.false_values):
        raise ConfigError(f"{place} true_values: goes with `false_values`; give both")
    return {
        "scale": table.scale,
        "offset": table.offset,
        "missing": tuple(float(each) if isinstance(each, (int, float)) else each for each in table.missing),
        "boolean": table.kind == "boolean",
        "true_values": tuple(word.lower() for word in table.true_values),
        "false_values": tuple(word.lower() for word in table.false_values),
        "quality_path": None if table.quality is None else _quality_path(place, table.quality, within),
        "good": tuple(str(each).lower() for each in table.good or ()),
        "topic": table.topic,
        "match": tuple(table.match),
        "counter": table.kind == "counter",
        "per_ns": _per_ns(place, table),
    }


def _check_counter(place: str, table: FeatureTable) -> None:
    if table.kind == "counter" and table.aggregate not in ("first", "last"):
        raise ConfigError(
            f'{place} aggregate: of a counter the "first" or the "last" of a period, got "{table.aggregate}"'
        )
    if table.kind != "counter" and table.per != FeatureTable.model_fields["per"].default:
        raise ConfigError(f'{place} per: is of the rate of a counter; set kind = "counter", or leave it out')


def _per_ns(place: str, table: FeatureTable) -> int:
    per_ns = _checked(f"{place} per", parse_duration_ns, str(table.per))
    if not per_ns:
        raise ConfigError(f"{place} per: expected a duration above zero, got {table.per!r}")
    return per_ns


def _quality_path(place: str, text: str, within: FleetTable) -> FieldPath:
    name = place.removesuffix("]").rpartition(".features.")[2]
    return (*((_NAMED, name) if within.name is not None else ()), *_path(f"{place} quality", text))


def keys_of(fleet: str, table: FleetTable, captures: Sequence[str]) -> dict[str, Any]:
    """What a fleet's table says of its payloads beside the keys of old.

    Raises:
        ConfigError: A key makes no sense, or makes none beside the others.
    """
    place = f"[fleet.{fleet}]"
    for text in table.ignore:
        _checked(f"{place} ignore", check_filter, text)
    if (table.name is None) != (table.value is None):
        raise ConfigError(f'{place} name: goes with `value`, say name = "$.id" and value = "$.val"')
    if table.payload == "number" and table.name is not None:
        raise ConfigError(f'{place} name: payload = "number" has no fields; leave `name` out')
    columns = tuple(table.columns) or tuple(table.features)
    return {
        "ignore": tuple(table.ignore),
        "where": _where(place, table.where or {}, captures),
        "name_path": None if table.name is None else _path(f"{place} name", table.name),
        "value_path": None if table.value is None else _path(f"{place} value", table.value),
        "columns": columns if table.payload == "csv" else (),
        "separator": table.separator,
        "time_format": _time_format(place, table.time_format),
        "time_offset_ns": _signed_ns(f"{place} time_offset", table.time_offset),
        "time_floor_ns": int(datetime(table.time_floor, 1, 1, tzinfo=UTC).timestamp()) * 10**9,
        "on_arrival": table.untimed == "tick" and table.time is None and not _has_key(table),
        "rebirth": _rebirth(place, table),
    }


def _rebirth(place: str, table: FleetTable) -> bool:
    if table.rebirth and table.payload != "sparkplug":
        raise ConfigError(f'{place} rebirth: goes with payload = "sparkplug"; leave it out')
    return table.rebirth


def _has_key(table: FleetTable) -> bool:
    return table.sequence is not None or table.payload in OWN_TIME


def _time_format(place: str, form: str) -> str:
    if form and "%" not in form:
        raise ConfigError(f"{place} time_format: expected a strptime format such as %d.%m.%Y %H:%M:%S, got {form!r}")
    try:
        datetime(2026, 1, 1, tzinfo=UTC).strptime(datetime(2026, 1, 1, tzinfo=UTC).strftime(form), form)
    except ValueError as exc:
        raise ConfigError(f"{place} time_format: {exc}") from exc
    return form


def _where(place: str, said: Mapping[str, Any], captures: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found = []
    for key, value in said.items():
        if key.startswith("{") and key.endswith("}"):
            if key[1:-1] not in captures:
                raise ConfigError(f"{place} where: {key} is not captured by the topics")
        else:
            _path(f"{place} where", key)
        globs = value if isinstance(value, list) else [value]
        if not globs or not all(isinstance(each, (str, int, float, bool)) for each in globs):
            raise ConfigError(f"{place} where: {key}: expected a text, a number or a list of them, got {value!r}")
        found.append((key, tuple(str(each).lower() if isinstance(each, bool) else str(each) for each in globs)))
    return tuple(found)


def _signed_ns(place: str, text: str | float) -> int:
    words = str(text).strip()
    sign = -1 if words.startswith("-") else 1
    try:
        return sign * parse_duration_ns(words.lstrip("+-"))
    except ConfigError as exc:
        raise ConfigError(f"{place}: {exc}") from exc


def _path(place: str, text: str) -> FieldPath:
    return _checked(place, parse_path, text)


def _checked(place: str, check: Callable[[str], _Read], text: str) -> _Read:
    try:
        return check(text)
    except ConfigError as exc:
        raise ConfigError(f"{place}: {exc}") from exc
