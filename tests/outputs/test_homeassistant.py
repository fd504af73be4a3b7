"""What Home Assistant is told, held against its documentation. It was not tried on Home Assistant itself.

The tables are written from https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery, …/sensor.mqtt/ and
…/sensor/#device-class, …/binary_sensor.mqtt/; where a page could not be read in its newest form, from one before.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gaugecast import events
from gaugecast.config import load_settings, resolve_fleets
from gaugecast.config.home import at_home
from gaugecast.config.schema import HomeAssistant, Settings
from gaugecast.errors import ConfigError
from gaugecast.fleet import Feature, Fleet, Threshold
from gaugecast.loop.asides import SLICE, Asides
from gaugecast.loop.orders import Orders, TopicFilters
from gaugecast.outputs.homeassistant import DEVICE_CLASSES, DiscoveryWriter, device_id
from gaugecast.pipeline import Pipeline, state
from gaugecast.records import Input, Message, Order, Output
from gaugecast.shapes import Home, Shape
from gaugecast.streams.snapshot import Slice
from gaugecast.testing import SECOND, T0, feed, fleet_of, outputs_of, pipeline_of, reading, timer
from gaugecast.watching import AnomalySettings

#: Keys that may stand at the root of a device's discovery, those of `device` and of `origin`: needed, and allowed.
ROOT = ({"device", "origin", "components"}, {"state_topic", "command_topic", "qos", "encoding", "availability",
        "availability_topic", "availability_mode", "availability_template", "payload_available",
        "payload_not_available"})  # fmt: skip
DEVICE = ({"identifiers"}, {"name", "manufacturer", "model", "model_id", "sw_version", "hw_version", "serial_number",
          "suggested_area", "via_device", "configuration_url", "connections"})  # fmt: skip
ORIGIN = ({"name"}, {"sw_version", "support_url"})
#: Of a component of the platform `sensor`.
SENSOR = ({"platform", "unique_id"}, {"name", "state_topic", "value_template", "unit_of_measurement", "device_class",
          "state_class", "expire_after", "force_update", "icon", "entity_category", "enabled_by_default", "options",
          "suggested_display_precision", "json_attributes_topic", "json_attributes_template", "default_entity_id",
          "last_reset_value_template", "qos", "encoding"})  # fmt: skip
#: Of one of the platform `binary_sensor`.
BINARY_SENSOR = ({"platform", "unique_id", "state_topic"}, {"name", "value_template", "device_class", "payload_on",
                 "payload_off", "off_delay", "expire_after", "force_update", "icon", "entity_category",
                 "enabled_by_default", "json_attributes_topic", "json_attributes_template", "default_entity_id", "qos",
                 "encoding"})  # fmt: skip
#: Units that a device class of sensors takes, of the classes that we use, and whose `state_class` may be `measurement`.
UNITS = {
    "temperature": {"°C", "°F", "K"},
    "pressure": {"Pa", "kPa", "hPa", "bar", "cbar", "mbar", "mmHg", "inHg", "psi", "mPa", "inH₂O"},
    "power": {"mW", "W", "kW", "MW", "GW", "TW", "BTU/h"},
    "voltage": {"V", "mV", "μV", "kV", "MV"},
    "current": {"A", "mA"},
    "frequency": {"Hz", "kHz", "MHz", "GHz"},
    "volume_flow_rate": {"m³/h", "m³/min", "m³/s", "ft³/min", "L/h", "L/min", "L/s", "gal/h", "gal/min", "mL/s"},
    "speed": {"ft/s", "in/d", "in/h", "in/s", "km/h", "kn", "m/s", "mph", "mm/d", "mm/s"},
    "weight": {"kg", "g", "mg", "µg", "oz", "lb", "st"},
    "distance": {"km", "m", "cm", "mm", "mi", "nmi", "yd", "in"},
    "illuminance": {"lx"},
    "apparent_power": {"mVA", "VA", "kVA"},
}
HOME = Home("homeassistant", "gaugecast-notices/daemon/gaugecast")
HIGH = Threshold("pressure", True, 8.2, 60)


def at_home_of(**keys: Any) -> Fleet:
    """Two features with units, two horizons, a threshold."""
    features = (Feature("pressure", "bar", ("p",)), Feature("it's hot", "°C", ("q",)))
    settings: dict[str, Any] = {"home": HOME, "horizons": (1, 900), "intervals": (0.8,), "thresholds": (HIGH,)}
    return replace(fleet_of("pq"), features=features, notices="told/{fleet}/{stream}", **(settings | keys))


FLEET = at_home_of()
FLAT = at_home_of(shapes=(Shape("flat", "f/{fleet}/{stream}", qos=0),))


def discovery(outputs: list[Output]) -> list[Output]:
    """What is said to Home Assistant."""
    return [one for one in outputs if one.topic.startswith("homeassistant/")]


def check_keys(found: dict[str, Any], table: tuple[set[str], set[str]]) -> None:
    """All that are needed, and none that is not known."""
    needed, allowed = table
    assert needed <= found.keys() <= needed | allowed


@pytest.mark.parametrize("fleet", [FLEET, FLAT])
def test_an_announcement_has_the_keys_that_the_documentation_asks_for(fleet: Fleet) -> None:
    """At the root, of device and origin, and of each component; a unit that its class takes; ids that are unique."""
    writer = DiscoveryWriter(fleet)
    told = msgspec.json.decode(writer.body("north/7"))
    check_keys(told, ROOT)
    check_keys(told["device"], DEVICE)
    check_keys(told["origin"], ORIGIN)
    assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", writer.topic("north/7"))
    for part in told["components"].values():
        check_keys(part, SENSOR)
        assert part["platform"] == "sensor"
        if part.get("device_class") == "timestamp":
            assert not {"state_class", "unit_of_measurement"} & part.keys()
        elif "device_class" in part:
            assert part["unit_of_measurement"] in UNITS[part["device_class"]]
            assert part["state_class"] == "measurement"
    unique = [part["unique_id"] for part in told["components"].values()]
    assert len(set(unique)) == len(unique)
    assert len(told["components"]) == 2 * (2 + 2 * 3) + 1


def test_classes_are_given_to_units_that_they_take() -> None:
    """The whole table of ours."""
    assert all(unit in UNITS[kind] for unit, kind in DEVICE_CLASSES.items())


def test_a_difference_has_no_class_by_which_it_would_be_converted() -> None:
    """1 °C of residual is no 33.8 °F."""
    parts = msgspec.json.decode(DiscoveryWriter(FLEET).body("a"))["components"]
    assert "device_class" not in parts["it_s_hot_residual"]
    assert parts["it_s_hot"]["device_class"] == "temperature"


def test_no_two_streams_are_one_device() -> None:
    """Though the letters that are allowed are the same."""
    assert device_id("f", "a/b") != device_id("f", "a_b")
    assert device_id("f", "x" * 200 + "1") != device_id("f", "x" * 200 + "2")


@pytest.mark.parametrize("fleet", [FLEET, FLAT])
def test_templates_show_what_the_messages_say(fleet: Fleet) -> None:
    """By Jinja, which is what Home Assistant has; a silent stream is unknown, not an error."""
    jinja2 = pytest.importorskip("jinja2")
    pipeline = pipeline_of(replace(fleet, stale_after_ns=5 * SECOND))
    rows = [reading(i, 1.0 + i % 3, 20.0) for i in range(60)]
    said = [one for one in outputs_of(feed(pipeline, [*rows, timer(90)])) if one.forecast]
    parts = msgspec.json.decode(DiscoveryWriter(fleet).body("a"))["components"]

    def shown(message: Output) -> dict[str, str]:
        told = msgspec.json.decode(message.body)
        sensors = {name: part for name, part in parts.items() if "state_topic" not in part}
        return {
            name: jinja2.Template(part["value_template"], undefined=jinja2.StrictUndefined).render(value_json=told)
            for name, part in sensors.items()
        }

    last, silent = shown(said[-2]), shown(said[-1])
    assert float(last["pressure"]) == 3.0
    assert float(last["it_s_hot_forecast_1s"]) == pytest.approx(20.0)
    assert float(last["pressure_low_1s"]) <= float(last["pressure_forecast_1s"]) <= float(last["pressure_high_1s"])
    assert last["pressure_low_15m"] == "None"  # nothing is due yet
    assert (silent["pressure"], silent["pressure_low_1s"]) == ("None", "None")


def test_an_anomaly_is_a_problem_while_it_is_open() -> None:
    """On with its begin and updates, off while silenced, with its end and the empty message behind it."""
    jinja2 = pytest.importorskip("jinja2")
    told = msgspec.json.decode(DiscoveryWriter(at_home_of(anomaly=AnomalySettings())).body("a"))
    part = told["components"]["anomaly"]
    check_keys(part, BINARY_SENSOR)
    assert (part["platform"], part["device_class"]) == ("binary_sensor", "problem")
    assert part["state_topic"] == "told/tanks/a/anomaly"
    template = jinja2.Template(part["value_template"], undefined=jinja2.StrictUndefined)
    shown = [
        template.render(value="…", value_json={"event": event, "severity": severity})
        for event, severity in (
            ("begin", "warning"),
            ("update", "critical"),
            ("update", "silenced"),
            ("end", "critical"),
        )
    ]
    assert [*shown, template.render(value="")] == ["ON", "ON", "OFF", "OFF", "OFF"]
    assert "anomaly" not in msgspec.json.decode(DiscoveryWriter(FLEET).body("a"))["components"]


# -- when


def test_a_stream_is_announced_once_with_its_first_step_and_taken_back_when_it_is_forgotten() -> None:
    """Retained, and an output of the input that did it."""
    pipeline = pipeline_of(FLEET)
    first, second = pipeline.advance([reading(0, 1.0, 2.0)]), pipeline.advance([reading(1, 1.0, 2.0)])
    (told,) = discovery(list(first.outputs))
    assert (told.retain, told.forecast, told.cause) == (True, b"", 0)
    assert discovery(list(second.outputs)) == []
    gone = pipeline.advance([Order(events.StreamForgotten(), "tanks", "a").stamped(T0)])
    assert [(one.topic, one.body, one.retain) for one in discovery(list(gone.outputs))] == [(told.topic, b"", True)]
    (again,) = discovery(list(pipeline.advance([reading(2, 1.0, 2.0)]).outputs))
    assert again.topic == told.topic


def test_a_renamed_stream_is_another_device() -> None:
    """The one goes, the other comes."""
    pipeline = pipeline_of(FLEET)
    feed(pipeline, [reading(0, 1.0, 2.0)])
    renamed = pipeline.advance([Order(events.StreamRenamed("b"), "tanks", "a").stamped(T0)])
    writer = DiscoveryWriter(FLEET)
    told = [(one.topic, one.body == b"") for one in renamed.outputs]
    assert told == [(writer.topic("a"), True), (writer.topic("b"), False)]


def test_a_birth_announces_those_that_are_there() -> None:
    """By an event, so that a replay says the same."""
    pipeline = pipeline_of(FLEET)
    feed(pipeline, [reading(0, 1.0, 2.0), reading(0, 1.0, 2.0, stream="b")])
    born = pipeline.advance([Order(events.Announced(("a", "gone")), "tanks").stamped(T0)])
    assert [one.topic for one in born.outputs] == [DiscoveryWriter(FLEET).topic("a")]


@pytest.mark.parametrize(
    ("after", "taken_back", "told_anew"),
    [
        (replace(FLEET, home=None), True, False),
        (replace(FLEET, home=Home("ha", HOME.availability)), True, True),
        (at_home_of(horizons=(1, 60)), False, True),
        (replace(FLEET, bridge=4), False, False),
    ],
)
def test_another_configuration_is_told_where_it_says_something_else(
    after: Fleet, taken_back: bool, told_anew: bool
) -> None:
    """Switched off, elsewhere, of other horizons; of what is no business of Home Assistant nothing."""
    pipeline = pipeline_of(FLEET)
    feed(pipeline, [reading(0, 1.0, 2.0)])
    change = outputs_of([pipeline.advance([Order.configuring(after).stamped(T0)])])
    later = outputs_of(feed(pipeline, [reading(1, 1.0, 2.0)]))
    assert [one.body for one in discovery(change)] == ([b""] if taken_back else [])
    assert any(one.topic.endswith("/config") for one in later) == told_anew


def test_a_fleet_that_leaves_takes_its_devices_along() -> None:
    """In the order of their names."""
    pipeline = pipeline_of(FLEET)
    feed(pipeline, [reading(0, 1.0, 2.0, stream=stream) for stream in "ba"])
    gone = pipeline.advance([Order(events.FleetRetired(steps_kept=True), "tanks").stamped(T0)])
    writer = DiscoveryWriter(FLEET)
    assert [(one.topic, one.body) for one in discovery(list(gone.outputs))] == [
        (writer.topic("a"), b""),
        (writer.topic("b"), b""),
    ]


def test_what_was_announced_is_remembered_by_a_checkpoint() -> None:
    """Nothing is said twice after a restart."""
    pipeline = pipeline_of(FLEET)
    feed(pipeline, [reading(0, 1.0, 2.0)])
    header, slices = state.begin_snapshot(pipeline)
    slices += state.take_slices(pipeline, 1 << 30)
    again: Pipeline = pipeline_of()
    state.restore(again, header, [Slice(*one) for one in slices])
    assert discovery(outputs_of(feed(again, [reading(1, 1.0, 2.0)]))) == []


# -- the loop


def heard(topic: str, payload: bytes) -> Message:
    """A message at QoS 0."""
    return Message(topic, payload, 0, False, False, 0, 1)


def test_a_birth_is_heard_beside_the_readings_and_answered_in_slices() -> None:
    """Only `online`, only where fleets are announced; each slice is a batch of its own."""
    pipeline = pipeline_of(FLEET)
    feed(pipeline, [reading(0, 1.0, 2.0, stream=f"s{i:03}") for i in range(2 * SLICE + 1)], 1000)
    asides = Asides()
    asides.listen_for([FLEET])
    other = heard("plant/a", b"1")
    assert asides.take_out([other]) == [other]
    assert asides.take_out([heard("homeassistant/status", b"offline"), other]) == [other]
    assert list(asides.announcements(pipeline)) == []
    assert asides.take_out([heard("homeassistant/status", b"online")]) == []
    orders = list(asides.announcements(pipeline))
    assert [len(order.event.streams) for order in orders if isinstance(order.event, events.Announced)] == [100, 100, 1]
    assert list(asides.announcements(pipeline)) == []
    line = Orders()
    for order in orders:
        line.add(order)
    assert [len(line.take()[1]) for _ in orders] == [1, 1, 1]


def test_the_birth_topic_is_subscribed_where_it_is_of_use() -> None:
    """At QoS 0: it is no reading, and nobody acks it."""
    assert ("homeassistant/status", 0) in TopicFilters.of([FLEET], watch_drops=False).filters
    assert TopicFilters.of([fleet_of()], watch_drops=False).filters == (("tank/+", 1),)


def test_drops_are_still_counted() -> None:
    """What the broker says of itself, if it is a number."""
    asides = Asides()
    topic = "$SYS/broker/publish/messages/dropped"
    assert asides.take_out([heard(topic, b"12"), heard(topic, b"x")]) == []
    assert asides.dropped_total == 12


# -- the configuration

FILE = """
[homeassistant]
discovery = true
{home}
[fleet.tanks]
subscribe = ["plant/{{tank}}"]
period = "1s"
{keys}
[fleet.tanks.features.pressure]
unit = "bar"
"""


def resolved(directory: Path, *, home: str = "", keys: str = "") -> Fleet:
    """The fleet of such a file."""
    path = directory / "gaugecast.toml"
    path.write_text(FILE.format(home=home, keys=keys))
    (fleet,) = resolve_fleets(load_settings(path, {}))
    return fleet


def test_discovery_is_switched_on_for_all_fleets(tmp_path: Path) -> None:
    """And off by default, which leaves the fleet's digest as it was."""
    assert resolved(tmp_path).home == HOME
    assert resolved(tmp_path, home='prefix = "ha"').home == replace(HOME, prefix="ha")
    settings = Settings.model_construct(homeassistant=HomeAssistant())
    assert at_home(fleet_of(), settings) == fleet_of()
    assert "home" not in fleet_of().to_json()
    assert Fleet.from_json(FLEET.to_json()) == FLEET


@pytest.mark.parametrize(
    ("keys", "home", "complaint"),
    [
        ('format = "influx"', "", "has no shape that Home Assistant reads"),
        ("batch = true", "", "without `batch`"),
        ("", 'prefix = "home/#"', "prefix: 'home/#' cannot be published to"),
    ],
)
def test_what_home_assistant_cannot_read_is_refused(tmp_path: Path, keys: str, home: str, complaint: str) -> None:
    """At the start."""
    with pytest.raises(ConfigError, match=re.escape(complaint)):
        resolved(tmp_path, home=home, keys=keys)


def test_replaying_in_other_portions_announces_the_same() -> None:
    """Byte for byte."""
    inputs: list[Input] = [reading(i, 1.0, 2.0, stream=stream) for i in range(5) for stream in "abc"]
    whole = outputs_of(feed(pipeline_of(FLEET), inputs, 1000))
    parts = outputs_of(feed(pipeline_of(FLEET), inputs, 2))
    assert [(one.topic, one.body) for one in parts] == [(one.topic, one.body) for one in whole]
