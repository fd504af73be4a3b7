"""Checks that span topics and fleets: who reads what, who writes where, and that the two never meet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from gaugecast.config.anomalies import anomaly_suffixes
from gaugecast.config.saying import glob_of
from gaugecast.config.schema import Mqtt
from gaugecast.config.thresholds import crossing_suffixes
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.topics import (
    Glob,
    Pattern,
    Template,
    filter_matches,
    filters_overlap,
    output_globs,
    output_meets_filter,
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
    outputs = [output for fleet in fleets for output in _outputs_of(fleet)]
    for output in outputs:
        for reader in fleets:
            _check_loop(output, reader)
        if outputs_meet(output.glob, tuple(status_topic)):
            raise ConfigError(f"{output.place}: {output.text!r} can be {status_topic!r}, the status topic")
    for one, other in combinations(outputs, 2):
        if not (one.fleet is other.fleet and one.told == other.told) and outputs_meet(one.glob, other.glob):
            raise ConfigError(
                f"{other.place}: {other.text!r} and {one.text!r} of {one.place} can be the same topic, so nobody could "
                "tell them apart; put {fleet} into both, behind words of their own"
            )
    for fleet in fleets:
        for text in fleet.subscribe:
            if filter_matches(Pattern.parse(text).filter, status_topic):
                raise ConfigError(
                    f"[fleet.{fleet.name}] subscribe: {text!r} matches {status_topic!r}, our own status topic"
                )


class _Output(NamedTuple):
    """Topics that a fleet publishes to: whose, whether of what is told beside forecasts, the key, its text."""

    fleet: Fleet
    told: bool
    place: str
    text: str
    glob: Glob


def _check_loop(output: _Output, reader: Fleet) -> None:
    for text in reader.subscribe:
        if output_meets_filter(output.glob, Pattern.parse(text).filter):
            raise ConfigError(
                f"{output.place}: {output.text!r} can be a topic that {text!r} of "
                f"[fleet.{reader.name}] subscribes, so forecasts would come back as readings; publish elsewhere"
            )


def _outputs_of(fleet: Fleet) -> Iterator[_Output]:
    """Where forecasts go, crossings and anomalies."""
    place, stream = f"[fleet.{fleet.name}]", Template.parse(fleet.stream)
    for shape in fleet.all_shapes:
        yield _Output(fleet, False, f"{place} output", shape.topic, glob_of(shape, fleet))
    if fleet.thresholds or fleet.anomaly is not None:
        stem = output_globs(Template.parse(fleet.notices), fleet.name, stream)
        for suffix in (*crossing_suffixes(fleet), *anomaly_suffixes(fleet)):
            yield _Output(fleet, True, f"{place} notices", fleet.notices, (*stem, *suffix))
