"""What is proposed for what comes: it stands in a file as it is, and reads what was heard."""

from __future__ import annotations

import json
import tomllib

from gaugecast.cli.discover import accepted
from gaugecast.config import resolve_fleets
from gaugecast.config.schema import Loop, Settings
from gaugecast.payloads import Decoder
from gaugecast.payloads.discovery import propose
from support.formats import FORMATS, some_readings
from support.payloads import NOW_NS, make_message

SECOND = 10**9


def heard_of(*topics: str, every_s: float = 10, **fields: object) -> dict[str, list[tuple[int, bytes]]]:
    """Three messages a topic; a field `t` is the time in ms."""
    times = [NOW_NS - round(i * every_s * SECOND) for i in (2, 1, 0)]
    return {topic: [(at, json.dumps({"t": at // 10**6, **fields}).encode()) for at in times] for topic in topics}


def test_what_is_proposed_reads_what_was_heard() -> None:
    """Groups of topics, captures, formats, times and periods; noise beside them does not matter."""
    heard = {
        **heard_of("plant/north/t1/tele", "plant/south/t2/tele", pressure=2.5, id=7, state="on", deep={"x": 1}),
        **{
            f"home/{room}/{what}": [(NOW_NS - SECOND, b"20.5"), (NOW_NS, b"21")] for room in "ab" for what in ("t", "h")
        },
        "telegraf/a/cpu": [(NOW_NS, next(f for f in FORMATS if f.name == "influx").write(some_readings(1)))],
        "noise/word": [(NOW_NS, b"hello")],
        "noise/empty": [(NOW_NS, b"")],
        "noise/picture": [(NOW_NS, bytes(range(200, 256)) * 9)],
        "noise/list": [(NOW_NS, b"[1, 2]")],
        "noise/text": [(NOW_NS, b'{"a": "b"}')],
    }
    stanzas, left_out = accepted(propose(heard))
    text = "\n".join(stanza.text for stanza in stanzas)
    fleets = {fleet.name: fleet for fleet in resolve_fleets(Settings.model_validate(tomllib.loads(text)))}
    assert {topic for topic, _ in left_out} == {topic for topic in heard if topic.startswith("noise/")}
    tanks = fleets["plant-tele"]
    assert (tanks.subscribe, tanks.period_ns) == (("plant/{level2}/{level3}/tele",), 10 * SECOND)
    assert (tanks.time_path, tanks.time_unit) == (("t",), "ms")
    assert [feature.name for feature in tanks.features] == ["pressure", "x"]
    assert fleets["home"].subscribe == ("home/{level2}/{feature}",)
    assert fleets["telegraf-a-cpu"].payload == "influx"
    decoder = Decoder(list(fleets.values()), Loop())
    for topic, came in heard.items():
        if not topic.startswith("noise/"):
            assert len(decoder.decode([make_message(came[-1][1], topic)], NOW_NS).inputs) == 1, topic


def test_topics_that_would_match_others_are_left_out() -> None:
    """A capture must not take in what is of another kind."""
    _, left_out = accepted(propose(heard_of("a/x", "b/x", v=1) | heard_of("c/x", w=1)))
    assert [topic for topic, _ in left_out] == ["a/x", "b/x"]
