"""What a fleet is: the part of the configuration that bears on results, resolved, frozen and with a digest."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from gaugecast.shapes import Home, Shape
from gaugecast.threshold import Threshold as Threshold
from gaugecast.watching import AnomalySettings

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
#: What `is_fleet_name` asks for, in words.
NAME_RULE = "a name of 1 to 64 letters, digits, `_`, `.`, `-` that is neither `.` nor `..`"

#: Ticks; a listed horizon is at most so long.
MOST_HORIZON = 100_000
#: Ticks: horizons up to here see every value of the past, far ones see blocks of ticks.
FINE = 63

Aggregate = Literal["last", "final", "mean", "min", "max", "sum"]
Role = Literal["forecast", "input"]
Rows = Literal["per_feature", "joint"]
PayloadFormat = Literal["json", "ndjson", "number", "csv", "influx", "senml", "cbor", "msgpack", "sparkplug"]
TimeUnit = Literal["s", "ms", "us", "ns", "iso8601"]


@dataclass(frozen=True, slots=True)
class Feature:
    """One measured quantity of a stream.

    Attributes:
        path: Where the payload has it, as keys from the outside in: `("data", "p")`.
            Empty for a bare number.
        role: `forecast`, or `input` (a set-point: fed to the model, not forecast).
        valid_min, valid_max: Readings outside are refused; infinities where there is no bound. In the unit that is
            forecast: behind `scale` and `offset`.
        aggregate: Of several readings in one tick. `last`: the first whole reading steps at once; `final`: the tick
            waits for its end, and the last counts.
        scale, offset: What came times `scale` plus `offset` is the value.
        missing: Numbers, as they come, and words that say that there is no value now.
        boolean: Whether true, false and the usual words for them are 1 and 0; always so for a role `input`.
        true_values, false_values: Words for 1 and 0, in lower case; empty = the usual ones, where `boolean`.
        quality_path: Where the reading has the quality of this value; `None` = nowhere.
        good: Qualities, as lower-case text, with which the value counts.
        topic: Pattern of the topics that bring this feature and no other; empty = those of the fleet.
        match: Globs of other names under which the feature comes; one that begins with `!` excludes.
        counter: It counts up: what is modelled is its rate; that it begins again, and a lone zero, is seen.
        per_ns: What the rate of a counter is of.
    """

    name: str
    unit: str = ""
    path: tuple[str, ...] = ()
    role: Role = "forecast"
    valid_min: float = float("-inf")
    valid_max: float = float("inf")
    aggregate: Aggregate = "last"
    scale: float = 1.0
    offset: float = 0.0
    missing: tuple[float | str, ...] = ()
    boolean: bool = False
    true_values: tuple[str, ...] = ()
    false_values: tuple[str, ...] = ()
    quality_path: tuple[str, ...] | None = None
    good: tuple[str, ...] = ()
    topic: str = ""
    match: tuple[str, ...] = ()
    counter: bool = False
    per_ns: int = 10**9


#: No instant is earlier.
NO_FLOOR_NS = -4_417_977_600 * 10**9

#: 2000-01-01: what says less is a clock that was never set, or counts from a start. That of all fleets whose files
#: say nothing else; it bears on payloads only, and configurations that were written without it go on as they are.
FLOOR_NS = 946_684_800 * 10**9


def forecast_places(features: Sequence[Feature]) -> tuple[int, ...]:
    """Positions of the features that are forecast, rising."""
    return tuple(i for i, f in enumerate(features) if f.role == "forecast")


@dataclass(frozen=True, slots=True)
class Fleet:
    """Streams of one kind: the same features, one period, one model.

    Attributes:
        subscribe: Topic patterns with captures in braces, `plant/{site}/{tank}/telemetry`.
        stream: Template of the stream's id, from captures and payload fields: `{site}/{tank}`, `{$.device}`.
        payload: How payloads are written.
        records_path: Where a JSON payload has its reading or its array of readings; empty = the payload itself.
        time_path: Where a reading has its event time; `None` = arrival time.
        time_unit: `s`, `ms`, `us`, `ns` or `iso8601`.
        timezone: IANA zone of ISO times without offset.
        sequence_path: Where a reading has a sequence number, if it has no time.
        feature_capture: Name of the capture that names the feature (`plant/{tank}/{feature}`), or empty.
        period_ns: Distance of two ticks.
        bridge: Longest gap, in ticks, that is rolled through in closed loop; a longer one resets the state.
        grace_ns: How long an open tick may wait for absent features, from its first reading, in arrival time.
        horizon: H ≥ 1; forecasts for 1…H ticks ahead. 1 where `horizons` are listed.
        horizons: Instead: ticks ahead that are forecast, rising from 1, by experts and with intervals.
        intervals: Levels of those, rising; empty = none.
        stale_after_ns, park_after_ns: Silence after which a stream is stale, and parked (arrival time).
        ignore: Topic filters of what is not the fleet's, although `subscribe` matches it.
        where: A field's path or a capture, `{name}`, and globs, of which one must match and none with `!` may.
        name_path, value_path: Where a record has the name of its one feature, and the value; `None` = it is a reading.
        columns, separator: Of a CSV line; an empty column is skipped.
        time_format: `strptime` format of times in text; empty = as `time_unit` says.
        time_offset_ns: Added to every event time.
        time_floor_ns: Event times before are those of no clock that was ever set.
        on_arrival: Whether a reading without event time takes the tick of its arrival; else each is a tick of its own.
        hold_ns: For so long silence means that a value is what it was; 0 = nothing is known then.
        lateness_ns: For so long a reading behind a gap waits for those that belong into it; 0 = it does not wait.
        tolerant: Readings are taken as sensors really send them: a tick that is taken gives way to the next, a stamp
            far ahead of its stream is refused, a sequence that falls to about 0 begins anew, and a feature that never
            comes is not waited for. False: as configurations of old meant it.
        begins_path: Where a reading names its sequence, such as a batch; another one resets the state.
        begins_at: Or minutes of the local day at which one begins, such as a shift.
        thresholds: Values whose crossing is foretold; only where `horizons` are listed.
        rebirth: Whether an edge node of Sparkplug B is asked for the births that name its aliases.
        shapes: How forecasts are said, where that is not JSON at `output` alone; the first of them is at `output`.
        home: How streams are announced to Home Assistant; `None` = they are not.
        notices: Where crossings are told, before what names each; empty = at `output`, as ledgers of old mean it.
        anomaly: How anomalies are looked for; `None` = they are not.
        clocked: Whether far horizons have experts that know the time of day; of old they had not.
    """

    name: str
    subscribe: tuple[str, ...]
    stream: str
    features: tuple[Feature, ...]
    period_ns: int
    payload: PayloadFormat = "json"
    records_path: tuple[str, ...] = ()
    time_path: tuple[str, ...] | None = None
    time_unit: TimeUnit = "s"
    timezone: str = "UTC"
    sequence_path: tuple[str, ...] | None = None
    feature_capture: str = ""
    bridge: int = 5
    grace_ns: int = 0
    horizon: int = 1
    horizons: tuple[int, ...] = ()
    intervals: tuple[float, ...] = ()
    rows: Rows = "per_feature"
    output: str = "gaugecast/{fleet}/{stream}"
    output_qos: int = 1
    input_qos: int = 1
    retain: bool = False
    accept_retained: bool = False
    stale_after_ns: int = 0
    park_after_ns: int = 0
    ignore: tuple[str, ...] = ()
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()
    name_path: tuple[str, ...] | None = None
    value_path: tuple[str, ...] | None = None
    columns: tuple[str, ...] = ()
    separator: str = ","
    time_format: str = ""
    time_offset_ns: int = 0
    time_floor_ns: int = NO_FLOOR_NS
    on_arrival: bool = False
    hold_ns: int = 0
    lateness_ns: int = 0
    tolerant: bool = False
    begins_path: tuple[str, ...] | None = None
    begins_at: tuple[int, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    rebirth: bool = False
    shapes: tuple[Shape, ...] = ()
    notices: str = ""
    home: Home | None = None
    anomaly: AnomalySettings | None = None
    clocked: bool = False

    @property
    def all_shapes(self) -> tuple[Shape, ...]:
        """How forecasts are said."""
        return self.shapes or (Shape("json", self.output, qos=self.output_qos, retain=self.retain),)

    @property
    def notices_at(self) -> str:
        """Template of where crossings and anomalies are told, before what names each."""
        return self.notices or self.output

    @property
    def has_sequences(self) -> bool:
        """Whether something other than a gap begins a stream anew."""
        return self.begins_path is not None or bool(self.begins_at)

    @property
    def forecast_places(self) -> tuple[int, ...]:
        """Where among `features` those stand that are forecast (role `forecast`), rising; G of them."""
        return forecast_places(self.features)

    @property
    def forecast_features(self) -> tuple[Feature, ...]:
        """The features that are forecast, in the order of `features`."""
        return tuple(self.features[i] for i in self.forecast_places)

    @property
    def ahead(self) -> tuple[int, ...]:
        """Ticks ahead that a message speaks of, rising."""
        return self.horizons or tuple(range(1, self.horizon + 1))

    @property
    def aggregated(self) -> bool:
        """Whether a feature is made of all readings of a tick: such a tick stays open to its end."""
        return any(f.aggregate != "last" for f in self.features)

    @property
    def on_clock(self) -> bool:
        """Whether ticks stay on the clock: windows, and who reports on change, have no phase of their own."""
        return self.aggregated or self.hold_ns > 0

    @property
    def joined(self) -> bool:
        """Whether a step may need several messages: features in separate topics, or aggregates over a tick."""
        return bool(self.feature_capture) or self.aggregated

    @property
    def unbridged_ticks(self) -> int:
        """Two steps that lie so many ticks apart, or more, have a gap between them that is too long to bridge."""
        return self.bridge + 2  # n ticks apart means a gap of n − 1, and a gap of `bridge` is still bridged

    @property
    def timed(self) -> bool:
        """Whether payloads bring their event time."""
        return self.time_path is not None

    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 over everything here that bears on results."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """Canonical JSON for its event. Later keys that say nothing are left out: who uses none keeps the digest."""
        raw = _without_defaults(asdict(self), self, _LATER_FLEET_KEYS)
        raw["features"] = [_without_defaults(asdict(each), each, _LATER_FEATURE_KEYS) for each in self.features]
        raw["time_floor_ns"] = self.time_floor_ns
        if self.time_floor_ns == FLOOR_NS:
            del raw["time_floor_ns"]
        return json.dumps(raw, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Fleet:
        """Inverse of `to_json`."""
        raw: dict[str, Any] = {key: _frozen(value) for key, value in json.loads(text).items() if key != "features"}
        raw.setdefault("time_floor_ns", FLOOR_NS)
        features = json.loads(text)["features"]
        raw["thresholds"] = tuple(Threshold(**each) for each in raw.get("thresholds", ()))
        if "anomaly" in raw:
            raw["anomaly"] = AnomalySettings(**{key: _frozen(value) for key, value in raw["anomaly"].items()})
        raw["shapes"] = tuple(Shape(**each) for each in raw.get("shapes", ()))
        raw["home"] = Home(**raw["home"]) if raw.get("home") else None
        return cls(**raw, features=tuple(Feature(**{k: _frozen(v) for k, v in each.items()}) for each in features))


def _names_from(kind: type[Fleet] | type[Feature], first: str) -> tuple[str, ...]:
    names = [f.name for f in fields(kind)]
    return tuple(names[names.index(first) :])


_LATER_FLEET_KEYS = ("horizons", "intervals", *_names_from(Fleet, "ignore"))
_LATER_FEATURE_KEYS = _names_from(Feature, "scale")


def _without_defaults(raw: dict[str, Any], one: Fleet | Feature, later: Sequence[str]) -> dict[str, Any]:
    said = {f.name: f.default for f in fields(one) if f.name in later}
    return {key: value for key, value in raw.items() if key not in said or getattr(one, key) != said[key]}


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value


def is_fleet_name(name: str) -> bool:
    """Whether a fleet may be called so: its name is a folder's name and part of topics, too."""
    return _NAME.fullmatch(name) is not None and name not in (".", "..")


def fleet_name_of(text: str) -> str:
    """A fleet's name made from any text, such as a file's name."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", text)[:64]
    return name if is_fleet_name(name) else "series"
