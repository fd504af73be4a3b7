"""From `output`, `format`, `batch` and `[[fleet.NAME.shape]]` to the shapes in which a fleet's forecasts are said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations

from gaugecast.config.duration import duration_text
from gaugecast.config.fleet_table import FleetTable
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.shapes import FEATURE, HORIZON, Shape, flat_names
from gaugecast.topics import (
    Capture,
    Glob,
    Template,
    output_globs,
    output_topic,
    outputs_meet,
    stream_fault,
    topic_fault,
)

_BATCH_OUTPUT = "gaugecast-batch/{fleet}"


def output_of(table: FleetTable) -> str:
    """Template of the topic of the first shape; that of a batch has a default of its own."""
    return _BATCH_OUTPUT if table.batch and "output" not in table.model_fields_set else table.output


def shapes_of(table: FleetTable) -> tuple[Shape, ...]:
    """The shapes in the order of the file; empty where that is JSON, a message a step, alone."""
    if not table.shape and table.format == "json" and not table.batch:
        return ()
    first = Shape(table.format, output_of(table), table.batch, table.output_qos, table.retain)
    return (
        first,
        *(
            Shape(
                one.format, one.output, one.batch, table.output_qos if one.qos is None else one.qos,
                table.retain if one.retain is None else one.retain,
            )
            for one in table.shape
        ),
    )  # fmt: skip


def spans_of(fleet: Fleet) -> list[str]:
    """How far ahead each forecast lies, in words, the next step first."""
    return [duration_text(h * fleet.period_ns) for h in fleet.ahead]


def topics_of(fleet: Fleet, stream: str) -> Iterator[str]:
    """All topics that are published to of one stream."""
    names, spans = [feature.name for feature in fleet.forecast_features], spans_of(fleet)
    for shape in fleet.all_shapes:
        if not shape.batch:
            yield from shape.topics(fleet.name, stream, features=names, spans=spans)
    if fleet.notices:
        yield output_topic(fleet.notices, fleet.name, stream)


def id_fault(fleet: Fleet, stream: str) -> str:
    """Why `stream` cannot be an id of the fleet, or an empty text where it can."""
    return next(filter(None, (stream_fault(stream, topic) for topic in topics_of(fleet, stream))), "")


def check_shapes(fleets: Sequence[Fleet]) -> None:
    """Each fleet's shapes by themselves: placeholders, topics that can be published to, names that are not one.

    Raises:
        ConfigError: With fleet, key and mend.
    """
    for fleet in fleets:
        named = list(_placed(fleet))
        for place, shape in named:
            _check_placeholders(place, shape, fleet)
            _check_topics(place, shape, fleet)
            if shape.format in ("flat", "influx"):
                _check_names(place, fleet)
        if fleet.notices:
            _check_placeholders(f"[fleet.{fleet.name}] notices", Shape(topic=fleet.notices), fleet)
        for (_, one), (place, other) in combinations(named, 2):
            if outputs_meet(glob_of(one, fleet), glob_of(other, fleet)):
                raise ConfigError(
                    f"{place}: {other.topic!r} and {one.topic!r} can be the same topic, so that two formats would come "
                    "on it; begin each with a word of its own"
                )


def glob_of(shape: Shape, fleet: Fleet) -> Glob:
    """All topics that a shape can make."""
    return output_globs(Template.parse(shape.topic), fleet.name, Template.parse(fleet.stream))


def _placed(fleet: Fleet) -> Iterator[tuple[str, Shape]]:
    """Each shape with the place of its topic in the file."""
    for number, shape in enumerate(fleet.all_shapes):
        yield f"[[fleet.{fleet.name}.shape]] no. {number} output" if number else f"[fleet.{fleet.name}] output", shape


def _check_placeholders(place: str, shape: Shape, fleet: Fleet) -> None:
    try:
        template = Template.parse(shape.topic)
    except ConfigError as exc:
        raise ConfigError(f"{place}: {exc}") from exc
    used = {part.name if isinstance(part, Capture) else "" for part in template.parts if not isinstance(part, str)}
    if shape.batch:
        _check_batch(place, shape, used)
        return
    number = shape.format == "number"
    if used - {"fleet", "stream", *(("feature", "horizon") if number else ())}:
        if used <= {"fleet", "stream", "feature", "horizon"}:
            raise ConfigError(f'{place}: {shape.topic!r} has what only format = "number" may: {FEATURE} or {HORIZON}')
        allowed = "{fleet}, {stream}, {feature} and {horizon}" if number else "{fleet} and {stream} (the stream's id)"
        raise ConfigError(f"{place}: {shape.topic!r} may use {allowed}, nothing else")
    if "stream" not in used and any(not isinstance(part, str) for part in Template.parse(fleet.stream).parts):
        raise ConfigError(f"{place}: {shape.topic!r} lacks {{stream}}, so all streams would share one topic")
    if number:
        _check_number(place, shape, fleet, used)


def _check_batch(place: str, shape: Shape, used: set[str]) -> None:
    if shape.format == "number":
        raise ConfigError(f'{place}: format = "number" is one number a topic, so no batch; leave `batch` out')
    if used - {"fleet"}:
        raise ConfigError(
            f"{place}: {shape.topic!r} may use {{fleet}}, nothing else, since a batch is one message for all; "
            'such as "gaugecast-batch/{fleet}"'
        )


def _check_number(place: str, shape: Shape, fleet: Fleet, used: set[str]) -> None:
    missing = [FEATURE] if len(fleet.forecast_places) > 1 and "feature" not in used else []
    missing += [HORIZON] if len(fleet.ahead) > 1 and "horizon" not in used else []
    if missing:
        raise ConfigError(
            f'{place}: {shape.topic!r} lacks {" and ".join(missing)}, and format = "number" has one number a topic; '
            'such as "gaugecast/{fleet}/{stream}/{feature}/{horizon}"'
        )


def _check_topics(place: str, shape: Shape, fleet: Fleet) -> None:
    """With what all ids of the fleet have in them, for they may have more."""
    stream = "".join(part if isinstance(part, str) else "" for part in Template.parse(fleet.stream).parts)
    names = [feature.name for feature in fleet.forecast_features]
    for topic in shape.topics(fleet.name, stream or "x", features=names, spans=spans_of(fleet)):
        fault = topic_fault(topic)
        if fault:
            raise ConfigError(f"{place}: {shape.topic[:80]!r} cannot be published to: {fault}")


def _check_names(place: str, fleet: Fleet) -> None:
    names = [feature.name for feature in fleet.forecast_features]
    said = flat_names(names, spans_of(fleet), fleet.intervals, scored=fleet.anomaly is not None)
    twice = [name for name, count in Counter(said).items() if count > 1]
    if twice:
        raise ConfigError(
            f"{place}: the features {', '.join(names)} give the name {twice[0]!r} to two numbers; call one differently"
        )
