"""What a fleet is: the part of the configuration that bears on results, resolved, frozen and with a digest."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
#: What `is_fleet_name` asks for, in words.
NAME_RULE = "a name of 1 to 64 letters, digits, `_`, `.`, `-` that is neither `.` nor `..`"

#: Ticks; a listed horizon is at most so long.
MOST_HORIZON = 100_000

Aggregate = Literal["last", "mean", "min", "max", "sum"]
Role = Literal["forecast", "input"]
Rows = Literal["per_feature", "joint"]


@dataclass(frozen=True, slots=True)
class Feature:
    """One measured quantity of a stream.

    Attributes:
        path: Where the payload has it, as keys from the outside in: `("data", "p")`.
            Empty for a bare number.
        role: `forecast`, or `input` (a set-point: fed to the model, not forecast).
        valid_min, valid_max: Readings outside are refused; infinities where there is no bound.
    """

    name: str
    unit: str = ""
    path: tuple[str, ...] = ()
    role: Role = "forecast"
    valid_min: float = float("-inf")
    valid_max: float = float("inf")
    aggregate: Aggregate = "last"


def forecast_places(features: Sequence[Feature]) -> tuple[int, ...]:
    """Positions of the features that are forecast, rising."""
    return tuple(i for i, f in enumerate(features) if f.role == "forecast")


@dataclass(frozen=True, slots=True)
class Fleet:
    """Streams of one kind: the same features, one period, one model.

    Attributes:
        subscribe: Topic patterns with captures in braces, `plant/{site}/{tank}/telemetry`.
        stream: Template of the stream's id, from captures and payload fields: `{site}/{tank}`, `{$.device}`.
        payload: `json` or `number`.
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
        stale_after_ns: Silence after which a stream is stale (arrival time).
        park_after_ns: Silence after which a stream is parked (arrival time).
    """

    name: str
    subscribe: tuple[str, ...]
    stream: str
    features: tuple[Feature, ...]
    period_ns: int
    payload: Literal["json", "number"] = "json"
    records_path: tuple[str, ...] = ()
    time_path: tuple[str, ...] | None = None
    time_unit: Literal["s", "ms", "us", "ns", "iso8601"] = "s"
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
        """Canonical JSON, the payload of the fleet's configuration event."""
        spec = asdict(self)
        if not self.horizons:  # events of before there were any keep their digests
            del spec["horizons"], spec["intervals"]
        return json.dumps(spec, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Fleet:
        """Inverse of `to_json`."""
        raw: dict[str, Any] = json.loads(text)
        raw["features"] = tuple(Feature(**{**f, "path": tuple(f["path"])}) for f in raw["features"])
        for key in ("subscribe", "records_path", "horizons", "intervals"):
            raw[key] = tuple(raw.get(key, ()))
        for key in ("time_path", "sequence_path"):
            raw[key] = None if raw[key] is None else tuple(raw[key])
        return cls(**raw)


def is_fleet_name(name: str) -> bool:
    """Whether a fleet may be called so: its name is a folder's name and part of topics, too."""
    return _NAME.fullmatch(name) is not None and name not in (".", "..")


def fleet_name_of(text: str) -> str:
    """A fleet's name made from any text, such as a file's name."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", text)[:64]
    return name if is_fleet_name(name) else "series"
