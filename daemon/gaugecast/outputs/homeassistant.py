"""What Home Assistant is told of a stream: one device with its forecasts, by device-based MQTT discovery.

Keys are those of https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery, spelled out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from gaugecast.config.home import read_by_home
from gaugecast.config.saying import spans_of
from gaugecast.errors import Defect
from gaugecast.fleet import Feature, Fleet
from gaugecast.forecast.templates import encode
from gaugecast.shapes import Side, bound_name, forecast_name, residual_name
from gaugecast.topics import output_topic

_Component = dict[str, Any]
_SIDES: tuple[Side, ...] = ("low", "high")
_IS_OPEN = "{{ 'ON' if value and value_json.event != 'end' else 'OFF' }}"
_IS_LOUD = "{{ 'ON' if value and value_json.event != 'end' and value_json.severity != 'silenced' else 'OFF' }}"
_INSTANT = "{{ (value_json.median | as_datetime).isoformat() if value_json.median else None }}"

#: Device classes of sensors by unit, where a unit leaves no doubt and a measurement is allowed.
DEVICE_CLASSES = {
    **dict.fromkeys(("°C", "°F", "K"), "temperature"),
    **dict.fromkeys(("bar", "cbar", "mbar", "hPa", "kPa", "Pa", "psi", "mmHg", "inHg"), "pressure"),
    **dict.fromkeys(("W", "kW", "MW"), "power"),
    **dict.fromkeys(("V", "mV"), "voltage"),
    **dict.fromkeys(("A", "mA"), "current"),
    **dict.fromkeys(("Hz", "kHz", "MHz", "GHz"), "frequency"),
    **dict.fromkeys(("m³/h", "L/min", "ft³/min"), "volume_flow_rate"),
    **dict.fromkeys(("m/s", "km/h", "mph", "kn"), "speed"),
    **dict.fromkeys(("kg", "g", "mg"), "weight"),
    **dict.fromkeys(("mm", "cm", "m", "km"), "distance"),
    "lx": "illuminance",
    "VA": "apparent_power",
}


class DiscoveryWriter:
    """Writes for one fleet with `home`."""

    def __init__(self, fleet: Fleet) -> None:
        shape = read_by_home(fleet)
        if fleet.home is None or shape is None:
            raise Defect(f"a fleet that is announced expected, got {fleet.name}")
        self._fleet, self._shape, self._home = fleet, shape, fleet.home
        self._spans = spans_of(fleet)

    def topic(self, stream: str) -> str:
        """Where the stream is announced, retained; an empty message takes it back."""
        return f"{self._home.prefix}/device/{device_id(self._fleet.name, stream)}/config"

    def body(self, stream: str) -> bytes:
        """The announcement."""
        fleet, unique = self._fleet, device_id(self._fleet.name, stream)
        components = {
            name: {**part, "unique_id": f"{unique}_{name}"}
            for name, part in [*self._sensors(), *self._crossings(stream), *self._anomaly(stream)]
        }
        return encode({
            "device": {"identifiers": [unique], "name": f"{fleet.name} {stream}", "manufacturer": "gaugecast",
                       "model": f"forecasts of {fleet.name}"},
            "origin": {"name": "gaugecast"},
            "state_topic": output_topic(self._shape.topic, fleet.name, stream),
            "qos": self._shape.qos,
            "availability_topic": self._home.availability,
            "availability_template": "{{ value_json.status }}",
            "components": components,
        })  # fmt: skip

    def _sensors(self) -> Iterator[tuple[str, _Component]]:
        for feature in self._fleet.forecast_features:
            name = feature.name
            yield _key(name), _sensor(feature, name, self._now(feature, "observed", name))
            for h, span in enumerate(self._spans):
                yield _key(forecast_name(name, span)), _sensor(feature, f"{name} in {span}", self._ahead(feature, h))
                for side in _SIDES if self._fleet.intervals else ():
                    yield (
                        _key(f"{name}_{side}_{span}"),
                        _sensor(feature, f"{name} in {span}, {side}", self._bound(feature, h, side)),
                    )
            residual = self._now(feature, "residual", residual_name(name))
            yield _key(residual_name(name)), _sensor(feature, f"{name} residual", residual, difference=True)

    def _now(self, feature: Feature, part: str, flat: str) -> str:
        if self._shape.format == "flat":
            return _shown(_at("value_json", flat))
        return _shown(_at(_at("value_json", part), feature.name))

    def _ahead(self, feature: Feature, h: int) -> str:
        if self._shape.format == "flat":
            return _shown(_at("value_json", forecast_name(feature.name, self._spans[h] if h else "")))
        if h == 0:
            return self._now(feature, "forecast", "")
        return _shown(_at(f"value_json.horizons[{h}].forecast", feature.name), given="value_json.horizons")

    def _bound(self, feature: Feature, h: int, side: Side) -> str:
        if self._shape.format == "flat":
            return _shown(_at("value_json", bound_name(feature.name, side, span=self._spans[h] if h else "")))
        bounds = _at(f"value_json.horizons[{h}].intervals", feature.name)
        level, number = f"{self._fleet.intervals[0]:g}", 0 if side == "low" else 1
        return _shown(f"{_at(bounds, level)}[{number}]", given=f"value_json.horizons and {bounds}")

    def _crossings(self, stream: str) -> Iterator[tuple[str, _Component]]:
        fleet = self._fleet
        for mark in fleet.thresholds:
            yield (
                _key(f"{mark.feature}_{mark.side}_{mark.value:.9g}"),
                {
                    "platform": "sensor",
                    "name": f"{mark.feature} {mark.side} {mark.value:.9g}",
                    "device_class": "timestamp",
                    "state_topic": _notice_topic(fleet, mark.suffix, stream),
                    "value_template": _INSTANT,
                },
            )

    def _anomaly(self, stream: str) -> Iterator[tuple[str, _Component]]:
        fleet = self._fleet
        if fleet.anomaly is not None:
            topic = _notice_topic(fleet, fleet.anomaly.suffix, stream)
            yield (
                "anomaly",
                {
                    "platform": "binary_sensor",
                    "name": "anomaly",
                    "device_class": "problem",
                    "state_topic": topic,
                    "value_template": _IS_LOUD,
                },
            )


def device_id(fleet: str, stream: str) -> str:
    """Letters, digits, `_` and `-`, as Home Assistant has it; no two streams have the same."""
    digest = hashlib.blake2b(f"{fleet}/{stream}".encode(), digest_size=6).hexdigest()
    return f"gaugecast_{_key(fleet)}_{_key(stream)[:48]}_{digest}"


def _notice_topic(fleet: Fleet, suffix: str, stream: str) -> str:
    return output_topic(fleet.notices_at, fleet.name, stream) + suffix


def _sensor(feature: Feature, name: str, template: str, *, difference: bool = False) -> _Component:
    """A number; a difference has no device class, by which it would be converted as if it were an absolute value."""
    device_class = None if difference else DEVICE_CLASSES.get(feature.unit)
    return {
        "platform": "sensor",
        "name": name,
        "state_class": "measurement",
        "value_template": template,
        **({"unit_of_measurement": feature.unit} if feature.unit else {}),
        **({"device_class": device_class} if device_class else {}),
    }


def _at(within: str, key: str) -> str:
    """A member in a template, whatever it is called."""
    quoted = key.replace("\\", "\\\\").replace("'", "\\'")
    return f"{within}['{quoted}']"


def _shown(value: str, *, given: str = "") -> str:
    """The template of a value; what is not known is `None`, which Home Assistant shows as unknown."""
    known = f"({given}) and {value} is defined" if given else f"{value} is defined"
    return f"{{{{ {value} if {known} else None }}}}"


def _key(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)
