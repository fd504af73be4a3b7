"""What names a reading's sequence: a field, or the shift of its local time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaugecast.config.schema import Loop
from gaugecast.fleet import Feature, Fleet
from gaugecast.payloads import Decoder
from gaugecast.payloads.sequences import MOST_NAME, SequenceNames
from gaugecast.records import FIRST_NS, LAST_NS, Message
from gaugecast.testing import pipeline_of
from support.payloads import make_fleet

SHIFTS = (6 * 60, 14 * 60, 22 * 60)


def names(**keys: object) -> SequenceNames:
    """Of a fleet with these keys."""
    fleet = Fleet(name="tanks", subscribe=("a",), stream="a", features=(Feature("a"),), period_ns=10**9, **keys)  # type: ignore[arg-type]
    return SequenceNames(fleet)


def instant(text: str) -> int:
    """Nanoseconds of a UTC time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def say(said: object, _: object) -> object:
    """Whatever is asked for."""
    return said


def test_a_field_names_it_as_far_as_the_name_is_kept() -> None:
    """Whatever type it has; nothing there is no name."""
    batch = names(begins_path=("batch",))
    assert [batch.name(partial(say, said), 0) for said in ("b1", 7, None, "x" * 100)] == [
        "b1", "7", "", "x" * MOST_NAME,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("at", "shift"),
    [
        ("2026-03-28 04:59:59", "2026-03-27 1320"),  # 05:59 in Berlin
        ("2026-03-28 05:00:00", "2026-03-28 360"),
        ("2026-03-29 04:00:00", "2026-03-29 360"),  # the day on which the clocks went on
        ("2026-03-29 20:30:00", "2026-03-29 1320"),
    ],
)
def test_a_shift_begins_at_its_local_time(at: str, shift: str) -> None:
    """Before the first of a day it is still the last of the day before; summer time moves with the clocks."""
    assert names(begins_at=SHIFTS, timezone="Europe/Berlin").name(lambda _: None, instant(at)) == shift


@given(at_ns=st.integers(FIRST_NS, LAST_NS), begins=st.lists(st.integers(0, 1439), min_size=1, unique=True))
def test_every_time_has_a_shift_that_began_before_it(at_ns: int, begins: list[int]) -> None:
    """Less than a day ago."""
    day, _, minute = names(begins_at=tuple(sorted(begins))).name(lambda _: None, at_ns).partition(" ")
    begun = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("UTC")).timestamp() + 60 * int(minute)
    assert 0 <= at_ns / 1e9 - begun < 86_400 + 1


def test_the_first_reading_of_a_shift_begins_the_stream_anew() -> None:
    """Through decoder and pipeline: its message is `warming`, as the very first was, and no other."""
    fleet = make_fleet(begins_at=SHIFTS, time_unit="s", bridge=5)
    decoder, pipeline, found = Decoder([fleet], Loop()), pipeline_of(fleet), []
    begun = instant("2026-03-28 13:59:57") // 10**9
    for second in range(begun, begun + 6):
        body = b'{"t": %d, "pressure": 3, "temperature": 60}' % second
        inputs = decoder.decode([Message("plant/a/b/telemetry", body, 1, False, False, 1, 1)], second * 10**9).inputs
        found += [json.loads(body)["quality"] for body in pipeline.advance(inputs).outputs.body]
    assert ["warming" in quality for quality in found] == [True, False, False, True, False, False]


def test_a_fleet_without_sequences_is_not_asked() -> None:
    """Its readings go the quick way."""
    assert not names().asked
