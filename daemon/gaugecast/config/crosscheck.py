"""Checks that span topics and fleets: who reads what, who writes where, and that the two never meet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from gaugecast.config.anomalies import anomaly_outputs
from gaugecast.config.schema import Mqtt
from gaugecast.config.thresholds import crossing_outputs
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.topics import (
    Capture,
    Glob,
    Pattern,
    Template,
    filter_matches,
    filters_overlap,
    output_globs,
    output_meets_filter,
    output_topic,
    outputs_meet,
    topic_fault,
)


def check_client_ids(mqtt: Mqtt) -> None:
    """Two connections under one id would throw each other out for ever."""
    if mqtt.publishing.client_id == mqtt.client_id:
        raise ConfigError(
            f"[mqtt.publish] client_id: {mqtt.client_id!r} is that of [mqtt], too, and a broker lets each id connect "
            "once; leave it away, or choose another"
        )


def check_inputs(fleets: Sequence[Fleet]) -> None:
    """No reading may belong to two patterns: a broker may send it once or twice, as it likes.

    Several fleets may read one filter, which is subscribed once, where `where` tells their readings apart, or what is
    written beside a capture.
    """
    patterns = [(fleet, Pattern.parse(text)) for fleet in fleets for text in fleet.subscribe]
    for (fleet, a), (other, b) in combinations(patterns, 2):
        if not filters_overlap(a.filter, b.filter):
            continue
        if a.filter == b.filter and not filters_overlap(a.shape, b.shape):
            continue
        if a.filter == b.filter and fleet is not other and (fleet.where or other.where):
            continue
        raise ConfigError(
            f"[fleet.{other.name}] subscribe: {b.text!r} overlaps {a.text!r} of [fleet.{fleet.name}]: a topic that "
            "both match would be read twice; make them disjoint, or let both fleets subscribe the same and tell their "
            "readings apart by `where`"
        )


def check_outputs(fleets: Sequence[Fleet], status_topic: str) -> None:
    """No forecast may come back as a reading, nor share its topic with another fleet's or with the status."""
    fault = topic_fault(status_topic)
    if fault:
        raise ConfigError(f"[mqtt] status_topic: {status_topic[:80]!r} cannot be published to: {fault}")
    outputs = [(fleet, glob) for fleet in fleets for glob in _output_globs(fleet)]
    for fleet, output in outputs:
        for reader in fleets:
            _check_loop(fleet, output, reader)
        if outputs_meet(output, tuple(status_topic)):
            raise ConfigError(
                f"[fleet.{fleet.name}] output: {fleet.output!r} can be {status_topic!r}, the status topic"
            )
    for (fleet, output), (other, second) in combinations(outputs, 2):
        if fleet is not other and outputs_meet(output, second):
            raise ConfigError(
                f"[fleet.{other.name}] output: {other.output!r} and {fleet.output!r} of [fleet.{fleet.name}] can be "
                "the same topic, so nobody could tell the fleets apart; put {fleet} into both"
            )
    for fleet in fleets:
        for text in fleet.subscribe:
            if filter_matches(Pattern.parse(text).filter, status_topic):
                raise ConfigError(
                    f"[fleet.{fleet.name}] subscribe: {text!r} matches {status_topic!r}, our own status topic"
                )


def _check_loop(fleet: Fleet, output: Glob, reader: Fleet) -> None:
    for text in reader.subscribe:
        if output_meets_filter(output, Pattern.parse(text).filter):
            raise ConfigError(
                f"[fleet.{fleet.name}] output: {fleet.output!r} can be a topic that {text!r} of "
                f"[fleet.{reader.name}] subscribes, so forecasts would come back as readings; publish elsewhere"
            )


def _output_globs(fleet: Fleet) -> list[Glob]:
    """Where forecasts go, crossings, and anomalies."""
    behind = [*crossing_outputs(fleet), *anomaly_outputs(fleet)]
    return [_output_glob(fleet), *(_glob_behind(fleet, output) for output in behind)]


def _glob_behind(fleet: Fleet, output: str) -> Glob:
    stem, stream = Template.parse(fleet.output), Template.parse(fleet.stream)
    return (*output_globs(stem, fleet.name, stream), *output.removeprefix(fleet.output))


def _output_glob(fleet: Fleet) -> Glob:
    try:
        template = Template.parse(fleet.output)
    except ConfigError as exc:
        raise ConfigError(f"[fleet.{fleet.name}] output: {exc}") from exc
    for part in template.parts:
        if isinstance(part, tuple) or (isinstance(part, Capture) and part.name not in ("fleet", "stream")):
            raise ConfigError(
                f"[fleet.{fleet.name}] output: {fleet.output!r} may use {{fleet}} and {{stream}} (the stream's id), "
                "nothing else"
            )
    stream = Template.parse(fleet.stream)
    if Capture("stream") not in template.parts and any(not isinstance(part, str) for part in stream.parts):
        raise ConfigError(
            f"[fleet.{fleet.name}] output: {fleet.output!r} lacks {{stream}}, so all streams would share one topic"
        )
    fault = topic_fault(output_topic(fleet.output, fleet.name, _literal(stream) or "x"))
    if fault:
        raise ConfigError(f"[fleet.{fleet.name}] output: {fleet.output[:80]!r} cannot be published to: {fault}")
    return output_globs(template, fleet.name, stream)


def _literal(stream: Template) -> str:
    """What all ids of a fleet have in them; empty where nothing is."""
    return "".join(part if isinstance(part, str) else "" for part in stream.parts)
