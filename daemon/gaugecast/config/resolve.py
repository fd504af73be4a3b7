"""From the tables as written to fleets as the pipeline takes them, with the checks within one fleet."""

from __future__ import annotations

import math
import re
import zoneinfo
from collections.abc import Callable, Sequence
from typing import TypeVar

from gaugecast.config import decoding, timing
from gaugecast.config.anomalies import anomaly_of
from gaugecast.config.crosscheck import check_client_ids, check_inputs, check_outputs
from gaugecast.config.home import at_home
from gaugecast.config.saying import check_shapes, output_of, shapes_of
from gaugecast.config.schema import FeatureTable, FleetTable, Settings
from gaugecast.config.thresholds import thresholds_of
from gaugecast.errors import ConfigError
from gaugecast.fleet import FINE, MOST_HORIZON, NAME_RULE, Feature, Fleet, Rows, forecast_places, is_fleet_name
from gaugecast.topics import FieldPath, Pattern, Template, parse_path

FEATURE_CAPTURE = "feature"
MOST_PER_FEATURE = 8  # forecast features above which one joint row a stream is the default
_YEAR_NS = 366 * 86_400 * 10**9
_REACH_NS = 36_525 * 86_400 * 10**9

_FEATURE_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,64}")
_Read = TypeVar("_Read")


def resolve_fleets(settings: Settings) -> tuple[Fleet, ...]:
    """The fleets of a configuration, in the order of the file, defaults filled in.

    Raises:
        ConfigError: A key makes no sense beside the others; the message names file, fleet, key and mend.
    """
    try:
        fleets = tuple(at_home(resolve_fleet(name, table), settings) for name, table in settings.fleet.items())
        check_client_ids(settings.mqtt)
        check_inputs(fleets)
        check_shapes(fleets)
        check_outputs(fleets, settings.mqtt.own_status_topic)
    except ConfigError as exc:
        raise ConfigError(f"{settings.source}: {exc}") from exc
    return fleets


def resolve_fleet(name: str, table: FleetTable) -> Fleet:
    """One fleet, checked on its own.

    Raises:
        ConfigError: As `resolve_fleets`.
    """
    if not is_fleet_name(name):
        raise ConfigError(f"[fleet.{name}]: expected {NAME_RULE}, got {name!r}")
    topics = decoding.topics_of(name, table)
    patterns = [_read(name, "subscribe", Pattern.parse, text) for text in topics.of_fleet]
    alone = [_read(name, "topic", Pattern.parse, text) for text in topics.of_features]
    captures = _common_captures(name, patterns or alone)
    naming = tuple(capture for capture in captures if capture != FEATURE_CAPTURE)
    _check_alone(name, naming, alone)
    features = tuple(_feature(name, key, feature, table) for key, feature in table.features.items())
    feature_capture = FEATURE_CAPTURE if FEATURE_CAPTURE in captures else ""
    _check_features(name, features, table.payload, feature_capture)
    if table.payload == "number":
        _refuse_json_keys(name, table)
    period_ns = timing.duration_ns(name, "period", table.period)
    if period_ns < 1_000_000:
        raise ConfigError(f"[fleet.{name}] period: expected at least 1ms, got {table.period!r}")
    _check_reach(name, table, period_ns)
    anomaly = anomaly_of(name, table, features, period_ns)
    horizons = _horizons(name, table, period_ns)
    return Fleet(
        name=name,
        subscribe=(*topics.of_fleet, *topics.of_features),
        stream=_stream_template(name, table, captures),
        features=features,
        period_ns=period_ns,
        payload=table.payload,
        records_path=_read(name, "records", parse_path, table.records),
        time_path=_time_path(name, table),
        time_unit=decoding.time_unit_of(table),
        timezone=_timezone(name, table.timezone),
        sequence_path=None if table.sequence is None else _read(name, "sequence", parse_path, table.sequence),
        feature_capture=feature_capture,
        bridge=table.bridge,
        horizon=table.horizon,
        horizons=horizons,
        clocked=horizons[-1:] > (FINE,),
        intervals=_intervals(name, table),
        anomaly=anomaly,
        thresholds=thresholds_of(name, table, features, period_ns),
        rows=table.rows or _default_rows(features),
        output=output_of(table),
        output_qos=table.output_qos,
        input_qos=table.input_qos,
        retain=table.retain,
        accept_retained=table.accept_retained,
        shapes=shapes_of(table),
        notices=table.notices if table.threshold or anomaly else "",
        **timing.keys_of(name, table, period_ns),
        **decoding.keys_of(name, table, captures),
    )


def _check_alone(fleet: str, naming: Sequence[str], alone: Sequence[Pattern]) -> None:
    """The topic of a feature names streams as the fleet's other topics do."""
    for pattern in alone:
        if set(pattern.captures) != set(naming):
            raise ConfigError(
                f"[fleet.{fleet}] topic: {pattern.text!r} captures {_names(pattern.captures)}, the fleet's topics "
                f"{_names(naming)}; all of a fleet name their streams alike"
            )


def _check_reach(name: str, table: FleetTable, period_ns: int) -> None:
    """Refuse what would lead out of the years that instants can be counted in."""
    if period_ns > _YEAR_NS:
        raise ConfigError(f"[fleet.{name}] period: expected at most 366d, got {table.period!r}")
    for key, periods in (("horizon", table.horizon), ("bridge", table.bridge)):
        if periods * period_ns > _REACH_NS:
            raise ConfigError(
                f"[fleet.{name}] {key}: expected at most 100 years, got {periods} periods of {table.period}"
            )


def _horizons(name: str, table: FleetTable, period_ns: int) -> tuple[int, ...]:
    """Ticks of the listed durations, the next step among them; empty where none is listed."""
    if not table.horizons:
        return ()
    if table.horizon != 1:
        raise ConfigError(f"[fleet.{name}]: horizon or horizons expected, got both")
    ticks = {1}
    for text in table.horizons:
        count, rest = divmod(timing.duration_ns(name, "horizons", text), period_ns)
        if rest or not 1 <= count <= MOST_HORIZON:
            raise ConfigError(
                f"[fleet.{name}] horizons: multiples of the period of {table.period} expected, 1 to {MOST_HORIZON} "
                f"periods, got {text!r}"
            )
        ticks.add(count)
    return tuple(sorted(ticks))


def _intervals(name: str, table: FleetTable) -> tuple[float, ...]:
    levels = tuple(sorted(set(table.intervals)))
    if levels and not 0.5 <= levels[0] <= levels[-1] <= 0.999:
        raise ConfigError(f"[fleet.{name}] intervals: levels from 0.5 to 0.999 expected, got {table.intervals}")
    return levels if table.horizons else ()


def _read(fleet: str, key: str, parse: Callable[[str], _Read], text: str) -> _Read:
    """What `parse` makes of a key's text, its complaint with the key's place before it."""
    try:
        return parse(text)
    except ConfigError as exc:
        raise ConfigError(f"[fleet.{fleet}] {key}: {exc}") from exc


def _default_rows(features: Sequence[Feature]) -> Rows:
    return "per_feature" if len(forecast_places(features)) <= MOST_PER_FEATURE else "joint"


def _common_captures(fleet: str, patterns: Sequence[Pattern]) -> tuple[str, ...]:
    """Captures of the fleet's patterns; all of them must name the same levels, as they make one kind of id."""
    first = patterns[0]
    for other in patterns[1:]:
        if set(other.captures) != set(first.captures):
            raise ConfigError(
                f"[fleet.{fleet}] subscribe: all topics of a fleet capture the same names; {first.text!r} has "
                f"{_names(first.captures)}, {other.text!r} has {_names(other.captures)}"
            )
    return first.captures


def _names(captures: Sequence[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in captures) or "none"


def _stream_template(fleet: str, table: FleetTable, captures: Sequence[str]) -> str:
    naming = [name for name in captures if name != FEATURE_CAPTURE]
    text = table.stream or "/".join(f"{{{name}}}" for name in naming)
    if not text:
        raise ConfigError(
            f"[fleet.{fleet}] stream: the topics capture nothing that names a stream; capture a level in `subscribe` "
            'as {tank}, take a payload field, stream = "{$.device}", or give the only stream a name, stream = "boiler"'
        )
    template = _read(fleet, "stream", Template.parse, text)
    for name in template.captures:
        if name == FEATURE_CAPTURE:
            raise ConfigError(f"[fleet.{fleet}] stream: {{{FEATURE_CAPTURE}}} names the feature, not the stream")
        if name not in captures:
            raise ConfigError(
                f"[fleet.{fleet}] stream: {{{name}}} is not captured; the topics capture {_names(naming)}"
            )
    if template.paths and table.payload == "number":
        raise ConfigError(f'[fleet.{fleet}] stream: payload = "number" has no fields; name the stream by captures')
    return text


def _feature(fleet: str, name: str, table: FeatureTable, within: FleetTable) -> Feature:
    place, payload = f"[fleet.{fleet}.features.{name}]", within.payload
    if not _FEATURE_NAME.fullmatch(name):
        raise ConfigError(f"{place}: expected a name of 1 to 64 characters without control characters")
    if name == "for":
        raise ConfigError(f"{place}: expected another name, for messages have the forecast's instant under `for`")
    low, high = table.valid or (-math.inf, math.inf)
    if not low < high:
        raise ConfigError(f"{place} valid: expected [min, max] with min < max, got [{low:g}, {high:g}]")
    if table.path and payload == "number":
        raise ConfigError(f'{place} path: payload = "number" has no fields; leave `path` out')
    path: FieldPath = decoding.path_of(name, within)
    if table.path:
        try:
            path = parse_path(table.path)
        except ConfigError as exc:
            raise ConfigError(f"{place} path: {exc}") from exc
    aggregate = decoding.AGGREGATES[table.aggregate]
    return Feature(
        name, table.unit, path, table.role, low, high, aggregate, **decoding.feature_keys_of(place, table, within)
    )


def _check_features(fleet: str, features: Sequence[Feature], payload: str, feature_capture: str) -> None:
    if not forecast_places(features):
        raise ConfigError(f'[fleet.{fleet}] features: at least one needs role = "forecast", all have "input"')
    if feature_capture:
        return
    if payload == "number" and sum(not feature.topic for feature in features) > 1:
        raise ConfigError(
            f'[fleet.{fleet}] features: payload = "number" brings one feature, got {len(features)}; capture the '
            "feature's name in `subscribe`, plant/{tank}/{feature}, or keep one feature"
        )
    by_path: dict[tuple[str, FieldPath], str] = {}
    for feature in features:
        other = by_path.setdefault((feature.topic, feature.path), feature.name)
        if other != feature.name:
            raise ConfigError(
                f"[fleet.{fleet}.features.{feature.name}] path: {other!r} has the same path, so the two would be the "
                "same numbers; give each its own path, or remove one"
            )


def _refuse_json_keys(fleet: str, table: FleetTable) -> None:
    for key in ("time", "sequence", "records"):
        if key in table.model_fields_set and getattr(table, key) not in (None, "$"):
            raise ConfigError(
                f'[fleet.{fleet}] {key}: payload = "number" has no fields; leave `{key}` out, the time is that of '
                'arrival, or set payload = "json"'
            )


def _time_path(fleet: str, table: FleetTable) -> FieldPath | None:
    if table.time is None:
        if table.payload in decoding.OWN_TIME:
            return None if table.sequence is not None else decoding.OWN_TIME[table.payload]
        if "time_unit" in table.model_fields_set:
            raise ConfigError(f'[fleet.{fleet}] time_unit: set without `time`; say where the time is, time = "$.t"')
        return None
    if table.sequence is not None:
        raise ConfigError(
            f"[fleet.{fleet}] sequence: not needed beside `time`, which tells one reading from the next; remove one"
        )
    return _read(fleet, "time", parse_path, table.time)


def _timezone(fleet: str, name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError) as exc:  # ZoneInfoNotFoundError is a KeyError, raised below
        raise ConfigError(f"[fleet.{fleet}] timezone: expected a name such as Europe/Berlin, got {name!r}") from exc
    except zoneinfo.ZoneInfoNotFoundError as exc:
        raise ConfigError(
            f"[fleet.{fleet}] timezone: expected an IANA name such as Europe/Berlin, got {name!r}, which this "
            "system's tzdata does not have"
        ) from exc
    return name
