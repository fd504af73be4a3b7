"""The tables of a fleet and of its features: `[fleet.NAME]`, `[fleet.NAME.features.FEATURE]`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from gaugecast.config.table import Table


class FeatureTable(Table):
    """One measured quantity."""

    path: str = Field(default="", description="where the reading has it, `$.data.p` or `$['x y']`; default: its name")
    unit: str = Field(default="", max_length=32, description="for people: `bar`, `°C`")
    role: Literal["forecast", "input"] = Field(
        default="forecast", description="`forecast`, or `input`: fed to the model, not forecast (a set-point)"
    )
    valid: tuple[float, float] | None = Field(
        default=None, description="[min, max]; values outside are refused", examples=["[0, 10]"]
    )
    aggregate: Literal["first", "last", "mean", "min", "max", "sum"] = Field(
        default="first",
        description="of several readings in one period; `first` steps at once, the others wait for the period's end",
    )
    kind: Literal["number", "boolean", "counter"] = Field(
        default="number",
        description="`number`; `boolean`: true, on, open and the like are 1, as for any `input`; `counter`: its "
        "rate is forecast",
    )
    per: str | float = Field(default="1s", description="of a counter's rate: `1h` makes kW of kWh")
    scale: float = Field(default=1.0, description="what came is multiplied by this")
    offset: float = Field(default=0.0, description="and then this is added; `valid` is asked of the result")
    missing: list[float | str] = Field(
        default=[], description="numbers and words, as they come, that mean: no value", examples=["[-127, 85]"]
    )
    true_values: list[str] = Field(default=[], description="words for 1 in place of the usual ones")
    false_values: list[str] = Field(default=[], description="words for 0 in place of the usual ones")
    quality: str | None = Field(
        default=None, description="path of the value's quality; only `good` ones count", examples=['"$.qc"']
    )
    good: list[int | float | bool | str] | None = Field(
        default=None, description="qualities with which the value counts", examples=["[3]"]
    )
    topic: str = Field(default="", description="a topic, as in `subscribe`, that brings this feature and no other")
    match: list[str] = Field(
        default=[], description="other names under which it comes, with `*` and `?`; `!name` excludes"
    )


class ThresholdTable(Table):
    """A value whose crossing is foretold."""

    feature: str = Field(min_length=1, description="which forecast feature", examples=['"pressure"'])
    above: float | None = Field(default=None, description="crossed upwards", examples=["8.2"])
    below: float | None = Field(default=None, description="crossed downwards; one of the two", examples=["1.5"])
    within: str | float = Field(description="how far it is foretold, a duration", examples=['"1h"'])


class AnomalyTable(Table):
    """Anomalies: a score in each forecast, and events with a reason. The table, even an empty one, turns it on."""

    enabled: bool = Field(default=True, description="`false`: nobody looks, whatever else stands here")
    healthy: str | float | None = Field(
        default=None,
        description="so long from its first reading a stream is known to be healthy, a duration; default: found out",
        examples=['"1d"'],
    )
    hold: str | float | None = Field(
        default=None,
        description="how long something is strange before it is told, a duration; default: 5 periods",
        examples=['"30s"'],
    )
    settle: str | float | None = Field(
        default=None,
        description="so long after a gap, or a change of an `input` feature, nothing is judged; default: 60 periods",
        examples=['"2m"'],
    )
    tolerance: float = Field(
        default=1.0, gt=0.0, description="limits are taken times this; more = fewer events (`gaugecast evaluate`)"
    )
    mode: str = Field(
        default="",
        description="an `input` feature that says the machine's state, or a set-point: each of its four newest values "
        "has limits of its own; after a change nothing is judged for `settle`",
        examples=['"running"'],
    )
    off: list[float] = Field(
        default=[], description="values of `mode` with which the machine is off: nothing is judged, nor learned"
    )
    refit: str | float | None = Field(
        default=None,
        description="so long without an event, and a reference that was frozen is fitted anew, at least 256 periods; "
        "default: never",
        examples=['"30d"'],
    )
    least: dict[str, float] = Field(
        default={}, description="by feature, in its unit: smaller deviations count for nothing"
    )
    direction: dict[str, Literal["above", "below"]] = Field(
        default={}, description="by feature: only deviations `above`, or `below`, what is expected count"
    )


class ShapeTable(Table):
    """One more way of saying what is forecast, beside the first."""

    output: str = Field(min_length=1, description="topic", examples=['"flat/{fleet}/{stream}"'])
    format: Literal["json", "flat", "number", "influx"] = Field(default="json", description="as that of the fleet")
    batch: bool = Field(default=False, description="as that of the fleet")
    qos: Literal[0, 1] | None = Field(default=None, description="0 or 1; default: `output_qos`")
    retain: bool | None = Field(default=None, description="default: as that of the fleet")


class FleetTable(Table):
    """Streams of one kind: the same features, one period, one model."""

    subscribe: list[str] = Field(
        default=[],
        description="topics; `{site}` captures a level, `+` and `#` do not, `{feature}` names the feature",
        examples=['["plant/{site}/{tank}/telemetry"]'],
    )
    ignore: list[str] = Field(default=[], description="topics among them that are no business of the fleet")
    where: dict[str, Any] | None = Field(
        default=None,
        description="what a field or a captured level must be, with `*` and `?`; `!text` excludes; others are not ours",
        examples=['{"$.model" = ["Prologue-*"], "{site}" = "!test"}'],
    )
    stream: str = Field(
        default="",
        description="id of a stream, of captures and payload fields: `{site}/{$.device}`; default: all captures",
    )
    payload: Literal["json", "ndjson", "number", "csv", "influx", "senml", "cbor", "msgpack", "sparkplug"] = Field(
        default="json",
        description="`json`, `ndjson`: JSON a line, `number`: nothing but one, `csv`, `influx`: line protocol, "
        "`senml`: in JSON or CBOR, `cbor`, `msgpack`, `sparkplug`: B",
    )
    rebirth: bool = Field(
        default=False, description="with `sparkplug`: ask an edge node for the birth that names its aliases"
    )
    columns: list[str] = Field(
        default=[], description="names of CSV's columns, empty = not needed; default: the features"
    )
    separator: str = Field(default=",", min_length=1, max_length=1, description="between CSV's columns")
    records: str = Field(
        default="$", description="where the payload has its reading or array of readings; `*` is all members"
    )
    name: str | None = Field(
        default=None, description="path of a record's name, where each record is one feature", examples=['"$.id"']
    )
    value: str | None = Field(default=None, description="path of such a record's value", examples=['"$.val"'])
    time: str | None = Field(
        default=None, description="path of the event time; absent = time of arrival", examples=['"$.t"']
    )
    time_unit: Literal["s", "ms", "us", "ns", "iso8601"] = Field(
        default="s", description="of numbers since 1970-01-01 UTC: s, ms, us, ns; or iso8601 text"
    )
    timezone: str = Field(
        default="UTC",
        description="of ISO 8601 times without offset, e.g. Europe/Berlin; of a repeated hour the pass nearer to now",
    )
    time_format: str = Field(
        default="", description="`strptime` format of times in text, in place of `time_unit`", examples=['"%d.%m.%Y"']
    )
    time_offset: str | float = Field(default="0s", description="added to every event time; `-1h` = they are ahead")
    time_floor: int = Field(
        default=2000, ge=1830, le=2100, description="year before which an event time is that of a clock never set"
    )
    untimed: Literal["tick", "step"] = Field(
        default="tick", description="without `time`: a reading takes the `tick` of its arrival, or each is a `step`"
    )
    sequence: str | None = Field(
        default=None, description="path of a running number, if there is no time", examples=['"$.seq"']
    )
    period: str | float = Field(
        description="distance of two readings: `500ms`, `1s`, `5m`, `1h`, `1d`, or seconds", examples=['"1s"']
    )
    hold: str | float | None = Field(
        default=None,
        description="for so long silence means the same value, a duration; for sensors that report on change",
        examples=['"2h"'],
    )
    bridge: int = Field(
        default=5, ge=0, le=10_000, description="periods of silence that are bridged; a longer gap resets the state"
    )
    grace: str | float | None = Field(
        default=None,
        description="wait for absent features, a duration; default: half a period, with `hold` a tenth",
        examples=['"500ms"'],
    )
    lateness: str | float | None = Field(
        default=None,
        description="a reading behind a gap waits so long for those that belong into it, a duration",
        examples=['"10m"'],
    )
    strict: bool = Field(
        default=False,
        description="take times as the first version did: jitter is late, a stamp ahead is believed, all is waited for",
    )
    begins: str | None = Field(
        default=None,
        description="path of what names a sequence, a batch; another one resets the state",
        examples=['"$.batch"'],
    )
    begins_at: list[str] = Field(
        default=[],
        max_length=48,
        description="instead: times of the day, in `timezone`, at which a shift begins; each resets the state",
        examples=['["06:00", "14:00", "22:00"]'],
    )
    horizon: int = Field(default=1, ge=1, le=1000, description="forecasts for 1 to this many periods ahead")
    horizons: list[str | float] = Field(
        default=[],
        max_length=64,
        description="instead: how far ahead, durations that are multiples of the period; the next step is always told",
        examples=['["1s", "1m", "15m", "1h"]'],
    )
    intervals: list[float] = Field(
        default=[0.8, 0.95],
        max_length=4,
        description="with `horizons`: levels of the intervals, from 0.5 to 0.999; `[]` = none",
    )
    threshold: list[ThresholdTable] = Field(
        default=[],
        max_length=16,
        description="with `horizons`: values whose crossing is foretold, each a table `[[fleet.NAME.threshold]]` of "
        "`feature`, `above` or `below`, and `within`",
        examples=['[{feature = "pressure", above = 8.2, within = "1h"}]'],
    )
    anomaly: AnomalyTable | None = Field(default=None, description="anomalies, a table `[fleet.NAME.anomaly]`")
    rows: Literal["per_feature", "joint"] | None = Field(
        default=None,
        description="one LSTM row a feature or one for all; default: per_feature up to 8 forecast features",
        examples=['"joint"'],
    )
    output: str = Field(
        default="gaugecast/{fleet}/{stream}", min_length=1, description="topic of the forecasts; `{stream}` may be deep"
    )
    format: Literal["json", "flat", "number", "influx"] = Field(
        default="json",
        description="`json`: all that there is to say; `flat`: numbers alone, at the top level; `number`: one a topic, "
        "with `{feature}` and `{horizon}` in `output`; `influx`: line protocol",
    )
    batch: bool = Field(
        default=False, description="one message for all that is forecast at once; `output` is then without `{stream}`"
    )
    shape: list[ShapeTable] = Field(
        default=[],
        max_length=8,
        description="more ways of saying it, beside the first, each a table `[[fleet.NAME.shape]]` of `output`, "
        "`format`, `batch`, `qos` and `retain`",
        examples=['[{format = "flat", output = "flat/{fleet}/{stream}"}]'],
    )
    notices: str = Field(
        default="gaugecast-notices/{fleet}/{stream}",
        min_length=1,
        description="with `threshold` or `anomaly`: topics of crossings and anomalies, before what names each",
    )
    output_qos: Literal[0, 1] = Field(default=1, description="0, or 1: at least once")
    input_qos: Literal[0, 1] = Field(default=1, description="0, or 1: nothing is lost while we are away")
    retain: bool = Field(default=False, description="whether the broker keeps each stream's last forecast")
    accept_retained: bool = Field(default=False, description="whether retained readings count; they may be old")
    stale_after: str | float | None = Field(
        default=None,
        description="silence until `stale`, a duration; default: 10 periods, at least 10s and `hold`",
        examples=['"10s"'],
    )
    park_after: str | float | None = Field(
        default=None, description="silence until a stream leaves memory, a duration; default: 7d", examples=['"7d"']
    )
    features: dict[str, FeatureTable] = Field(min_length=1, description="what is measured, each a table of its own")

    @field_validator("input_qos", "output_qos", mode="before")
    @classmethod
    def _refuse_qos_2(cls, qos: object) -> object:
        if qos == 2:
            raise ValueError(
                "0 or 1 (at QoS 2 the client would keep half-finished handshakes in memory only and lose them in a "
                "crash; QoS 1 with our own removal of duplicates gives what QoS 2 promises)"
            )
        return qos
