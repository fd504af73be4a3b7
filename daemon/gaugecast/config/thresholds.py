"""From `[[fleet.NAME.threshold]]` to the thresholds that the pipeline takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gaugecast.config.duration import parse_duration_ns
from gaugecast.config.fleet_table import FleetTable, ThresholdTable
from gaugecast.errors import ConfigError
from gaugecast.fleet import MOST_HORIZON, Feature, Fleet, Threshold
from gaugecast.topics import output_topic, topic_fault


def thresholds_of(fleet: str, table: FleetTable, features: Sequence[Feature], period_ns: int) -> tuple[Threshold, ...]:
    """The thresholds of one fleet, in the order of the file.

    Raises:
        ConfigError: One makes no sense beside the fleet's features, period or output.
    """
    found: list[Threshold] = []
    for number, each in enumerate(table.threshold, 1):
        place = f"[[fleet.{fleet}.threshold]] no. {number}"
        if not table.horizons:
            raise ConfigError(f'{place}: `horizons` expected in [fleet.{fleet}] beside it, such as horizons = ["1m"]')
        one = _threshold(place, each, features, period_ns)
        if one in found:
            raise ConfigError(f"{place}: the same as no. {found.index(one) + 1}; remove one")
        if any(other.suffix == one.suffix for other in found):
            raise ConfigError(f"{place}: the same value as another, with another `within`; one topic has room for one")
        fault = topic_fault(output_topic(table.notices, fleet, "x") + one.suffix)
        if fault:
            raise ConfigError(f"{place} feature: {one.feature!r} gives no topic to publish to: {fault}")
        found.append(one)
    return tuple(found)


def _threshold(place: str, table: ThresholdTable, features: Sequence[Feature], period_ns: int) -> Threshold:
    names = [feature.name for feature in features if feature.role == "forecast"]
    if table.feature not in names:
        raise ConfigError(f"{place} feature: one of {', '.join(names)} expected, got {table.feature!r}")
    if (table.above is None) == (table.below is None):
        raise ConfigError(f"{place}: above or below expected, one of the two")
    value = table.below if table.above is None else table.above
    assert value is not None
    if not math.isfinite(value):
        raise ConfigError(f"{place}: a finite value expected, got {value}")
    try:
        within, rest = divmod(parse_duration_ns(table.within), period_ns)
    except ConfigError as exc:
        raise ConfigError(f"{place} within: {exc}") from exc
    if rest or not 1 <= within <= MOST_HORIZON:
        raise ConfigError(
            f"{place} within: a multiple of the period expected, 1 to {MOST_HORIZON} periods, got {table.within!r}"
        )
    return Threshold(table.feature, table.above is not None, value, within)


def crossing_suffixes(fleet: Fleet) -> list[str]:
    """What stands behind a fleet's `notices` in the topics of its crossings."""
    return [threshold.suffix for threshold in fleet.thresholds]
