"""Topics: MQTT's rules held against a brute-force oracle, captures, templates, and what may never meet."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from gaugecast.errors import ConfigError
from gaugecast.topics import (
    Pattern,
    Template,
    filter_matches,
    filters_overlap,
    output_globs,
    output_meets_filter,
    outputs_meet,
    parse_path,
    path_text,
    stream_fault,
)

LEVELS = ("a", "b", "", "$x")
TOPICS = ["/".join(levels) for depth in (1, 2, 3) for levels in itertools.product(LEVELS, repeat=depth)]
TOPICS.remove("")
FILTERS = [
    "/".join(levels) for depth in (1, 2, 3) for levels in itertools.product((*LEVELS, "+"), repeat=depth) if any(levels)
]
FILTERS += ["#"] + [f"{stem}/#" for stem in FILTERS if stem.count("/") < 2]


def test_filters_match_as_paho_matches_them() -> None:
    """Every small filter and topic: the same answer as paho's, which brokers agree with."""
    for mqtt_filter, topic in itertools.product(FILTERS, TOPICS):
        assert filter_matches(mqtt_filter, topic) == topic_matches_sub(mqtt_filter, topic), (mqtt_filter, topic)


@given(st.sampled_from(FILTERS), st.sampled_from(FILTERS))
def test_filters_overlap_where_a_topic_exists_that_both_match(a: str, b: str) -> None:
    """The answer equals a search through all small topics."""
    found = any(filter_matches(a, topic) and filter_matches(b, topic) for topic in TOPICS)
    assert filters_overlap(a, b) == found


def test_overlap_is_symmetric_and_knows_the_parent_of_a_hash() -> None:
    """`a/#` includes `a` itself; `$` topics are outside of leading wildcards."""
    assert filters_overlap("a/#", "a")
    assert filters_overlap("a", "a/#")
    assert not filters_overlap("a/+", "a")
    assert not filters_overlap("#", "$SYS/broker")
    assert filters_overlap("+/b", "a/+")


def test_a_pattern_captures_whole_levels_by_name() -> None:
    """Captures come back under their names; other wildcards capture nothing."""
    pattern = Pattern.parse("plant/{site}/+/{tank}/#")
    assert pattern.filter == "plant/+/+/+/#"
    assert pattern.captures == ("site", "tank")
    assert pattern.match("plant/north/x/t7/telemetry/raw") == {"site": "north", "tank": "t7"}
    assert pattern.match("plant/north/x") is None


def test_text_may_stand_beside_a_capture_in_its_level() -> None:
    """The broker is asked for the whole level; what lacks the text does not match."""
    pattern = Pattern.parse("tele/tasmota_{id}/{kind}-{part}.x")
    assert (pattern.filter, pattern.shape) == ("tele/+/+", "tele/tasmota_+/+-+.x")
    assert pattern.match("tele/tasmota_7/a-b-c.x") == {"id": "7", "kind": "a", "part": "b-c"}
    assert pattern.match("tele/other_7/a-b.x") is None
    assert pattern.match("tele/tasmota_7/a-b_x") is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("plant/{site}{tank}", "with text between two of them"),
        ("plant/{tank", "a level or a part of one"),
        ("plant/{tank}+", "a level or a part of one"),
        ("plant/{tank}/{tank}", "once"),
        ("plant/#/x", "whole last level, got '#' as level 2 of 3"),
        ("plant/a#", "whole last level"),
        ("plant/a+", "whole level"),
        ("", "at least one character"),
        ("plant/\x00", "control characters"),
        ("plant/\ufffe", "non-character"),
        ("/" * 201, "at most 200 slashes, got 201"),
        ("ü" * 40_000, "at most 65535 bytes, got 80000"),
        ("$share/group/plant/#", "shared subscriptions"),
    ],
)
def test_a_pattern_that_mqtt_or_captures_forbid_is_refused_with_its_reason(text: str, complaint: str) -> None:
    """The message says what is wrong with it."""
    with pytest.raises(ConfigError, match=complaint):
        Pattern.parse(text)


def test_a_template_renders_captures_and_payload_fields_in_their_places() -> None:
    """`{$.path}` takes the fields in the order of the paths."""
    template = Template.parse("{site}/{$.device}-{$['x y']}")
    assert template.captures == ("site",)
    assert template.paths == (("device",), ("x y",))
    assert template.render({"site": "north"}, ["d", "e"]) == "north/d-e"


@pytest.mark.parametrize("text", ["", "{a", "a}", "{a}{b}", "{a b}", "{}", "{$}", "{$..x}"])
def test_a_template_that_is_open_or_ambiguous_is_refused(text: str) -> None:
    """Among them two placeholders side by side, as different captures would give one id."""
    with pytest.raises(ConfigError):
        Template.parse(text)


@pytest.mark.parametrize(
    ("output", "stream", "mqtt_filter", "meets"),
    [
        ("gaugecast/{fleet}/{stream}", "{site}/{tank}", "plant/+/+/telemetry", False),
        ("gaugecast/{fleet}/{stream}", "{site}/{tank}", "gaugecast/#", True),
        ("gaugecast/{fleet}/{stream}", "{site}/{tank}", "+/tanks/+/+", True),
        ("gaugecast/{fleet}/{stream}", "{site}/{tank}", "+/tanks/+", False),  # the id has two levels
        ("gaugecast/{fleet}/{stream}", "{$.device}", "+/tanks/+/+", True),  # a field may span levels
        ("plant/{stream}/forecast", "{tank}", "plant/+/telemetry", False),
        ("plant/{stream}", "{tank}/telemetry", "plant/+/telemetry", True),
        ("forecast-{stream}", "{tank}", "plant/+", False),
        ("forecast-{stream}", "{tank}", "forecast-7", True),
        ("{stream}", "{tank}", "#", True),
    ],
)
def test_an_output_meets_a_filter_only_where_a_forecast_could_come_back(
    output: str, stream: str, mqtt_filter: str, meets: bool
) -> None:
    """Captures span one level, payload fields any number."""
    glob = output_globs(Template.parse(output), "tanks", Template.parse(stream))
    assert output_meets_filter(glob, mqtt_filter) is meets


def test_outputs_of_two_fleets_meet_where_ids_could_be_equal() -> None:
    """With the fleet's name in the topic they never do."""
    streams = Template.parse("{tank}")
    shared = [output_globs(Template.parse("f/{stream}"), fleet, streams) for fleet in ("a", "b")]
    apart = [output_globs(Template.parse("f/{fleet}/{stream}"), fleet, streams) for fleet in ("a", "b")]
    assert outputs_meet(*shared)
    assert not outputs_meet(*apart)


@given(st.lists(st.text(st.characters(exclude_characters="'\"", exclude_categories=["Cs"])), max_size=4))
def test_paths_survive_being_written_and_read(keys: list[str]) -> None:
    """Any keys without quotes, empty ones and those with dots and blanks included."""
    assert parse_path(path_text(tuple(keys))) == tuple(keys)


@pytest.mark.parametrize("text", ["data.p", "$data", "$.", "$.a..b", "$['a", "$[x]", "$.a b"])
def test_a_path_that_cannot_be_read_is_refused(text: str) -> None:
    """With what was expected and where."""
    with pytest.raises(ConfigError, match="expected"):
        parse_path(text)


@pytest.mark.parametrize(
    ("stream", "fault"),
    [("north/tank-7", ""), ("Küche", ""), ("", "empty"), ("a+b", "without"), ("a\nb", "control"), ("ü" * 129, "258")],
)
def test_a_stream_id_fits_into_a_topic(stream: str, fault: str) -> None:
    """No wildcards, no control characters, at most 256 bytes."""
    assert fault in stream_fault(stream, f"gaugecast/{stream}")
    assert bool(fault) == bool(stream_fault(stream, f"gaugecast/{stream}"))
