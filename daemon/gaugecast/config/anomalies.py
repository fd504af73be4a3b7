"""From `[fleet.NAME.anomaly]` to the settings that the pipeline takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gaugecast.config.duration import parse_duration_ns
from gaugecast.config.fleet_table import AnomalyTable, FleetTable
from gaugecast.errors import ConfigError
from gaugecast.fleet import Feature, Fleet
from gaugecast.topics import output_topic, topic_fault
from gaugecast.watching import MOST_TOGETHER, SHORTEST, AnomalySettings

_FEWEST_HEALTHY, _MOST_HEALTHY = 50, 1_000_000


def anomaly_of(fleet: str, table: FleetTable, features: Sequence[Feature], period_ns: int) -> AnomalySettings | None:
    """What one fleet's table says of anomalies; `None` where nobody looks for them.

    Raises:
        ConfigError: A key makes no sense beside the fleet's features, period or output.
    """
    place, wanted = f"[fleet.{fleet}.anomaly]", table.anomaly
    if wanted is None or not wanted.enabled:
        return None
    if len(features) > MOST_TOGETHER:
        raise ConfigError(f"{place}: at most {MOST_TOGETHER} features expected, got {len(features)}")
    settings = _settings(place, wanted, features, period_ns)
    fault = topic_fault(output_topic(table.notices, fleet, "x") + settings.suffix)
    if fault:
        raise ConfigError(f"{place}: no topic to publish to: {fault}")
    return settings


def _settings(place: str, wanted: AnomalyTable, features: Sequence[Feature], period_ns: int) -> AnomalySettings:
    names = [feature.name for feature in features if feature.role == "forecast"]
    return AnomalySettings(
        healthy=_healthy(place, wanted.healthy, period_ns),
        hold=max(1, _steps(place, "hold", wanted.hold, period_ns)) if wanted.hold is not None else 5,
        settle=_steps(place, "settle", wanted.settle, period_ns) if wanted.settle is not None else 60,
        tolerance=wanted.tolerance,
        mode=_mode(place, wanted, features),
        off=tuple(wanted.off),
        refit=_refit(place, wanted.refit, period_ns),
        least=_of_features(place, "least", wanted.least, names),
        sides=_of_features(place, "direction", wanted.direction, names),
    )


def _mode(place: str, wanted: AnomalyTable, features: Sequence[Feature]) -> str:
    inputs = [feature.name for feature in features if feature.role == "input"]
    if wanted.mode and wanted.mode not in inputs:
        raise ConfigError(
            f'{place} mode: a feature with role = "input" expected, {", ".join(inputs) or "of which there is none"}; '
            f"got {wanted.mode!r}"
        )
    if wanted.off and not wanted.mode:
        raise ConfigError(f"{place} off: `mode` expected beside it, the feature whose values these are")
    return wanted.mode


def _healthy(place: str, text: str | float | None, period_ns: int) -> int:
    if text is None:
        return 0
    steps = _steps(place, "healthy", text, period_ns)
    if not _FEWEST_HEALTHY <= steps <= _MOST_HEALTHY:
        raise ConfigError(
            f"{place} healthy: {_FEWEST_HEALTHY} to {_MOST_HEALTHY} periods expected, got {steps} ({text!r})"
        )
    return steps


def _refit(place: str, text: str | float | None, period_ns: int) -> int:
    if text is None:
        return 0
    steps = _steps(place, "refit", text, period_ns)
    if steps < SHORTEST:
        raise ConfigError(f"{place} refit: at least {SHORTEST} periods expected, got {steps} ({text!r})")
    return steps


def _steps(place: str, key: str, text: str | float, period_ns: int) -> int:
    try:
        return parse_duration_ns(text) // period_ns
    except ConfigError as exc:
        raise ConfigError(f"{place} {key}: {exc}") from exc


def _of_features(place: str, key: str, given: Mapping[str, Any], names: Sequence[str]) -> tuple[tuple[str, Any], ...]:
    for name, value in given.items():
        if name not in names:
            raise ConfigError(f"{place} {key}: forecast features expected, {', '.join(names)}; got {name!r}")
        if isinstance(value, float) and not (math.isfinite(value) and value >= 0.0):
            raise ConfigError(f"{place} {key}: a finite number from 0 expected for {name!r}, got {value}")
    return tuple(sorted(given.items()))


def anomaly_suffixes(fleet: Fleet) -> list[str]:
    """What stands behind a fleet's `notices` in the topics of its anomalies."""
    return [] if fleet.anomaly is None else [fleet.anomaly.suffix]
