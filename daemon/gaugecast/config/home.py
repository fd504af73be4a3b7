"""From `[homeassistant]` to how a fleet's streams are announced there."""

from __future__ import annotations

from dataclasses import replace

from gaugecast.config.schema import Settings
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.shapes import Home, Shape
from gaugecast.topics import topic_fault


def at_home(fleet: Fleet, settings: Settings) -> Fleet:
    """The fleet, announced where that is wanted.

    Raises:
        ConfigError: The prefix makes no topic, or nothing is said in a shape that Home Assistant reads.
    """
    table = settings.homeassistant
    if not table.discovery:
        return fleet
    fault = topic_fault(f"{table.prefix}/device/x/config")
    if fault:
        raise ConfigError(f"[homeassistant] prefix: {table.prefix!r} cannot be published to: {fault}")
    if read_by_home(fleet) is None:
        raise ConfigError(
            f"[homeassistant] discovery: [fleet.{fleet.name}] has no shape that Home Assistant reads; add format = "
            '"json" or "flat", without `batch`'
        )
    return replace(fleet, home=Home(table.prefix, settings.mqtt.own_status_topic))


def read_by_home(fleet: Fleet) -> Shape | None:
    """The shape that Home Assistant reads: the first of JSON, else flat, a message a step."""
    found = [shape for shape in fleet.all_shapes if shape.format in ("json", "flat") and not shape.batch]
    return min(found, key=lambda shape: shape.format == "flat", default=None)
