"""What is right for each folder of the field: what to say in its configuration, and what must then come out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from field.stage import NOW_NS, Played, play, readings_of

Check = Callable[[Played], None]
Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One way to configure a folder, and what is right then.

    Attributes:
        changes: To the folder's fleets; `None` takes a key away.
        steps: Steps by stream; `None` = not asked.
        rejects: By reason.
        not_ours: `None` = not asked.
        says: Words that a complaint must have.
    """

    folder: str
    changes: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, int] | None = None
    rejects: dict[str, int] = field(default_factory=dict)
    not_ours: int | None = 0
    says: str = ""
    check: Check = lambda _: None
    extra: tuple[Message, ...] = ()

    def run(self) -> None:
        """Play it, and hold what came against what is right."""
        played = play(self.folder, self.changes, list(self.extra))
        if self.steps is not None:
            assert played.counts() == self.steps
        assert dict(played.rejects) == self.rejects, played.details[:3]
        assert self.not_ours is None or played.not_ours == self.not_ours
        assert self.says in " ".join(played.details)
        self.check(played)


def fleet(**keys: Any) -> dict[str, Any]:
    """Changes to the fleet `x`."""
    return {"x": keys}


def feature(name: str, **keys: Any) -> dict[str, Any]:
    """Changes to a feature."""
    return {name: keys}


def first(stream: str, name: str, *values: float) -> Check:
    """The first values of a feature."""

    def check(played: Played) -> None:
        assert played.values(stream, name)[: len(values)] == list(values)

    return check


def rising(stream: str) -> Check:
    """Steps lie in order of time, none twice."""

    def check(played: Played) -> None:
        at_s = played.at_s[stream]
        assert all(a < b for a, b in pairwise(at_s))

    return check


def every_five_minutes(played: Played) -> None:
    """A step a period, without a gap; what is not said is what was."""
    at_s = played.at_s["a"]
    assert all(b - a == 300 for a, b in pairwise(at_s))
    assert None not in played.values("a", "temperature")


def all_equal(played: Played) -> None:
    """The first six readings of 47 say the same number in six ways."""
    assert [values for _, values in readings_of(played, "x")][:6] == [[20.9]] * 6


def _tasmota(number: str, power: float) -> Message:
    payload = f'{{"Time":"<<isolocal -300>>","ENERGY":{{"Power":{power}}}}}'
    return {"topic": f"tele/{number}/SENSOR", "payload": payload}


def _openems(power: float) -> Message:
    return {
        "topic": "openems/edge/edge0/data",
        "payload": f'{{"timestamp":<<ms -1>>,"_sum/GridActivePower":{power},"_sum/EssSoc":60}}',
    }


def _rtl(played: Played) -> None:
    assert played.verdicts["DUPLICATE"] == 40


def _two_sentinels(played: Played) -> None:
    assert -127 not in played.values("heat", "boiler")
    assert 85 not in played.values("heat", "boiler") + played.values("heat", "cellar")


def _named_values(played: Played) -> None:
    """A message with one value does not turn a temperature into a pressure."""
    assert max(played.values("plc1/default", "pressure")) < 10 < min(played.values("plc1/default", "temperature"))


def _two_powers(played: Played) -> None:
    assert played.values("c0ffee", "Power")[0] == -300
    assert played.values("c0ffee", "PvPower")[0] == 2500


def _heating(played: Played) -> None:
    assert [values[1] for _, values in readings_of(played, "x")][:3] == [1, 1, 0]


VICTRON_TOPICS = {
    "subscribe": [],
    "features": {
        "Power": {"topic": "N/{portal}/system/0/Dc/Battery/Power"},
        "PvPower": {"path": "$.value", "topic": "N/{portal}/system/0/Dc/Pv/Power"},
    },
}
BERLIN = {"timezone": "Europe/Berlin"}
PLUG = {"plug1": 40}

CASES = (
    Case("01-tasmota-energy", {}, PLUG),
    Case("02-tasmota-no-timezone", {}, {}, {"far_future": 40}, says="set timezone"),
    Case("02-tasmota-no-timezone", fleet(**BERLIN), PLUG),
    Case(
        "03-tasmota-prefix-in-level", fleet(**BERLIN), {"7": 1}, not_ours=1,
        extra=(_tasmota("tasmota_7", 5), _tasmota("other_7", 5)),
    ),
    Case("04-shelly-gen1-emeter", {}, {"shellyem3-AA11/0": 14, "shellyem3-AA11/1": 14}, not_ours=84),
    Case("05-shelly-gen1-ht", {}, {"shellyht-BB22": 12}, not_ours=48),
    Case("06-shelly-gen2-status", {}, {"shellyplus1pm-cc33": 14}),
    Case("07-shelly-gen2-events", {}, {"shellypro3em-dd44": 40}, not_ours=15),
    Case("09-esphome", {}, {"livingroom": 14}, {"not_finite": 2}, 14),
    Case("09-esphome", fleet(features=feature("temperature", missing=["nan"])), {"livingroom": 14}, {}, 16),
    Case("10-openmqttgateway-two-gateways", {}, {"A4C138000001": 15}, not_ours=1),
    Case("11-rtl433-events", fleet(where={"$.model": "Prologue-TH"}), {"Prologue-TH/138": 40}, not_ours=22, check=_rtl),
    Case("12-chirpstack-v4", {}, {"cellar 1": 40}),
    Case("14-victron-battery", {}, {"c0ffee": 15}, not_ours=17),
    Case("15-victron-two-parents", {}, {"c0ffee": 10}, {"two_topics": 10}, says="topic ="),
    Case("15-victron-two-parents", fleet(**VICTRON_TOPICS), {"c0ffee": 10}, check=_two_powers),
    Case("16-homie", {}, {"d1/climate": 13}, not_ours=3),
    Case("17-sparkplug-b", {}, {}, {"not_utf8": 5}, says='this looks like Sparkplug B: set payload = "sparkplug"'),
    Case(
        "17-sparkplug-b", fleet(payload="sparkplug"), None,
        check=lambda p: _equal([values for _, values in readings_of(p, "x")], [[61.4], [61.8], [62.1]]),
    ),
    Case("18-senml-json", {}, {}, {"missing_field": 40}, says='this looks like SenML: set payload = "senml"'),
    Case(
        "18-senml-json",
        fleet(payload="senml", time=None, features={"temperature": {"path": "$.values.temp"}, "hum": {}}),
        {"dev1": 20}, check=first("dev1", "temperature", 20.9, 21.32),
    ),
    Case("19-senml-cbor", {}, {}, {"not_utf8": 4}, says='this looks like SenML: set payload = "senml"'),
    Case(
        "19-senml-cbor", fleet(payload="senml", features=feature("temperature", path="$.values.temp")), {"dev1": 1},
        check=first("dev1", "temperature", 21.4),
    ),
    Case("20-telegraf-influx", {}, {}, {"not_json": 20}, says='InfluxDB line protocol: set payload = "influx"'),
    Case("20-telegraf-influx", fleet(payload="influx"), {"srv1/cpu": 20}, check=first("srv1/cpu", "usage_idle", 89.9)),
    Case(
        "21-telegraf-json-batch", {}, {"srv1/cpu0": 40, "srv1/cpu1": 40, "srv1/cpu-total": 40}, {"missing_field": 1},
        says="expected readings at $.metrics",
    ),
    Case("22-nodered-ms", {}, {"office": 40}, check=_heating),
    Case(
        "23-siemens-ie-position",
        fleet(features={
            "pressure": {"path": "$.vals[?@.id=='101'].val"}, "temperature": {"path": "$.vals[?@.id=='102'].val"},
        }),
        {"plc1/default": 40}, check=_named_values,
    ),
    Case(
        "23-siemens-ie-position",
        fleet(
            records="$.vals", name="$.id", value="$.val", time="$.ts",
            features={
                "pressure": {"path": None, "match": ["101"], "quality": "$.qc", "good": [3]},
                "temperature": {"path": None, "match": ["102"], "quality": "$.qc", "good": [3]},
            },
        ),
        {"plc1/default": 40}, check=_named_values,
    ),
    Case("25-opcua-pubsub", {}, {"line1/1": 40}),
    Case("27-openems-edge", {}, {"edge0": 1}, extra=(_openems(5),), check=first("edge0", "_sum/GridActivePower", 5)),
    Case("28-openems-edge-renamed", {}, {"edge0": 40}),
    Case("29-evcc", {}, {"home": 14}, not_ours=84),
    Case("30-opendtu", {}, {"116400000001": 14}, not_ours=56),
    Case("31-dsmr-reader-topics", {}, {"house": 14}, not_ours=56),
    Case("32-dsmr-reader-json", {}, {"house": 40}, check=first("house", "power", 0.3, 0.47)),
    Case("34-ecowitt2mqtt", {}, {"ab12": 12}),
    Case("35-octoprint", {}, {"printer": 40}),
    Case("36-moonraker-monotonic", {}, {}, {"bad_time": 50}, says="leave `time` out"),
    Case("36-moonraker-monotonic", fleet(time=None, period="50ms"), {"extruder": 50}),
    Case("38-neuron-values", {}, {"modbus/grp": 40}),
    Case("40-wirenboard", {}, {"wb-msw_12": 12}, not_ours=12),
    Case("41-knx-group-address", {}, {"3/1/0": 12, "3/1/1": 12}),
    Case("42-ruuvi-gateway", {}, {"CA:56/C3:32": 20}, says="hexadecimal text is not read"),
    Case("43-meshtastic-json", {}, {"2102560276": 40}, not_ours=20),
    Case("44-aws-shadow", {}, {"boiler": 40}),
    Case("46-thingsboard-device", {}, {"a": 40}),
    Case("47-decimal-comma-and-unit", {}, None, check=all_equal),
    Case("48-ha-statestream", {}, {"ha": 14}, not_ours=None),
    Case(
        "50-sentinels", fleet(features={"boiler": {"missing": [-127, 85]}, "cellar": {"missing": [-127, 85]}}),
        {"heat": 40}, check=_two_sentinels,
    ),
    Case("52-batch-newest-first", {}, {"a": 40}, check=rising("a")),
    Case("54-rtl433-repeats-and-clock-steps", {}, {"a": 40}, check=rising("a")),
    Case("56-same-topic-single-stream-two-devices", {}, {"boiler": 1}),
    Case("58-omg-doubles-with-mean", {}, {"A4C138000001": 15}),
    Case("59-on-change-with-bridge", fleet(hold="2h"), {"a": 281}, check=every_five_minutes),
    Case("61-last-takes-the-first", {}, {"a": 5}, check=first("a", "v", 24, 84, 144, 204, 264)),
    Case("62-text-number", {}, {"a": 5}, check=first("a", "v", 0, 1, 2, 3, 4)),
    Case("63-iso-without-time-unit", {}, {}, {"bad_time": 5}, says='set time_unit = "iso8601"'),
    Case("63-iso-without-time-unit", fleet(time_unit="iso8601"), {"a": 5}),
)  # fmt: skip


def _equal(got: list[list[float]], expected: list[list[float]]) -> None:
    assert len(got) == 5
    assert max(abs(a[0] - b[0]) for a, b in zip(got, got[:1] or expected, strict=False)) < 1


#: Of 51: what the file says, and what to say where that is not right: the complaint names it.
TIMES: dict[str, dict[str, Any] | None] = {
    "iso-space-local": None,
    "iso-dots": {"time_format": "%Y.%m.%d %H:%M:%S"},
    "german": {"time_format": "%d.%m.%Y %H:%M:%S"},
    "us-date": {"time_unit": "us"},
    "dsmr-tst": {"time_format": "%y%m%d%H%M%SW"},
    "rfc2822": {"time_format": "%a, %d %b %Y %H:%M:%S %z"},
    "ctime": {"time_format": "%a %b %d %H:%M:%S %Y"},
    "iso-basic": None,
    "compact14": {"time_format": "%Y%m%d%H%M%S"},
    "slash": {"time_format": "%Y/%m/%d %H:%M:%S"},
    "epoch-text": None,
    "epoch-float-text": None,
    "ms-given-as-s": {"time_unit": "ms"},
    "s-given-as-ms": {"time_unit": "s"},
    "ms-text": None,
    "ns": None,
    "iso-given-default-unit": {"time_unit": "iso8601"},
    "epoch-given-as-iso": {"time_unit": "s", "timezone": None},
    "local-as-utc-epoch": {"time_offset": "-1h"},
    "iso-no-colon-offset": None,
    "only-clock": {"time": None, "time_unit": None, "timezone": None},
    "only-day": {"time": None, "time_unit": None, "timezone": None},
}


def check_times() -> None:
    """Each fleet of 51 reads its times right, or says which key mends that; with that key it reads them right."""
    said, mended = play("51-time-formats"), play("51-time-formats", {k: v for k, v in TIMES.items() if v})
    expected = [NOW_NS - seconds * 10**9 for seconds in range(120, 0, -10)]
    for name, keys in TIMES.items():
        assert _near(readings_of(said, name), expected if keys is None else []), name
        assert _near(readings_of(mended, name), expected if keys is None or "time" not in keys else None), name
    for words in ("time_format", "time_unit", "time_offset", "leave `time` out"):
        assert words in " ".join(said.details)


def _near(got: list[tuple[int, list[float]]], expected: list[int] | None) -> bool:
    if expected is None:
        return len(got) == 12
    return len(got) == len(expected) and all(
        abs(at - right) < 10**9 for (at, _), right in zip(got, expected, strict=True)
    )
