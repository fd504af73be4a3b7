"""What is proposed for what comes: it stands in a file as it is, and reads what was heard."""

from __future__ import annotations

import io
import json
import os
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from gaugecast.cli.discover import accepted, render_found, storage_table
from gaugecast.config import resolve_fleets
from gaugecast.config.schema import Loop, Settings
from gaugecast.payloads import Decoder
from gaugecast.payloads.discovery import Came, Stanza, joined, propose, rhythm_of_distances
from support.formats import FORMATS, some_readings
from support.payloads import NOW_NS, make_message

SECOND = 10**9


def heard_of(*topics: str, every_s: float = 10, count: int = 3, **fields: object) -> dict[str, list[Came]]:
    """Some messages a topic; a field `t` is the time in ms."""
    times = [NOW_NS - round(i * every_s * SECOND) for i in range(count - 1, -1, -1)]
    return {topic: [Came(at, json.dumps({"t": at // 10**6, **fields}).encode()) for at in times] for topic in topics}


def clock_of(at_s: int) -> str:
    """What a clock shows that says no zone."""
    return str(datetime.fromtimestamp(at_s, UTC))[:19]


def proposed(heard: dict[str, list[Came]], zone: str = "") -> tuple[list[Stanza], dict[str, str]]:
    """Fleets, and topics that were left out with the reason."""
    stanzas, left_out = accepted(propose(heard, zone), heard)
    return stanzas, dict(left_out)


def test_what_is_proposed_reads_what_was_heard() -> None:
    """Groups of topics, captures, formats, times and periods; noise beside them does not matter."""
    heard = {
        **heard_of("plant/north/t1/tele", "plant/south/t2/tele", pressure=2.5, id=7, state="on", deep={"x": 1.5}),
        **{
            f"home/{room}/{what}": [Came(NOW_NS - SECOND, b"20.5"), Came(NOW_NS, b"21")]
            for room in ("bath", "hall") for what in ("temperature", "humidity")
        },
        "telegraf/a/cpu": [Came(NOW_NS, next(f for f in FORMATS if f.name == "influx").write(some_readings(1)))],
        "noise/word": [Came(NOW_NS, b"hello")],
        "noise/empty": [Came(NOW_NS, b"")],
        "noise/picture": [Came(NOW_NS, bytes(range(200, 256)) * 9)],
        "noise/list": [Came(NOW_NS, b"[1, 2]")],
        "noise/text": [Came(NOW_NS, b'{"a": "b"}')],
    }  # fmt: skip
    stanzas, left_out = proposed(heard)
    fleets = {fleet.name: fleet for fleet in resolve_fleets(Settings.model_validate(tomllib.loads(joined(stanzas))))}
    assert left_out.keys() == {topic for topic in heard if topic.startswith("noise/")}
    tanks = fleets["plant-tele"]
    assert (tanks.subscribe, tanks.period_ns) == (("plant/{level2}/{level3}/tele",), 10 * SECOND)
    assert (tanks.time_path, tanks.time_unit) == (("t",), "ms")
    assert {feature.name for feature in tanks.forecast_features} == {"pressure", "x"}
    assert fleets["home"].subscribe == ("home/{level2}/{feature}",)
    assert fleets["telegraf-a-cpu"].payload == "influx"
    decoder = Decoder(list(fleets.values()), Loop())
    for topic, came in heard.items():
        if not topic.startswith("noise/"):
            assert len(decoder.decode([make_message(came[-1].payload, topic)], NOW_NS).inputs) == 1, topic


def test_topics_of_another_kind_on_the_same_levels_are_told_apart() -> None:
    """Two fleets by `where`; what is none of them is ignored."""
    heard = heard_of("a/x", "b/x", v=1.5) | heard_of("c/x", "d/x", w=1.5) | {"e/x": [Came(NOW_NS, b"hello")]}
    stanzas, left_out = proposed(heard)
    assert left_out.keys() == {"e/x"}
    tables = tomllib.loads(joined(stanzas))["fleet"].values()
    assert sorted(str(table["where"]) for table in tables) == ["{'{level1}': ['a', 'b']}", "{'{level1}': ['c', 'd']}"]
    assert [table["ignore"] for table in tables] == [["e/x"], ["e/x"]]


@pytest.mark.parametrize(
    ("ahead_s", "zone", "said"),
    [
        (3600 - 20, "", 'timezone = "Europe/Berlin"'),
        (3600 - 20, "Africa/Lagos", 'timezone = "Africa/Lagos"'),
        (-5 * 3600 - 20, "", 'timezone = "America/New_York"'),
        (-20, "", ""),
    ],
)
def test_local_times_are_given_a_zone(ahead_s: int, zone: str, said: str) -> None:
    """The machine's own, where that is as far from UTC; else one that is."""
    heard = {
        "a/b": [
            Came(at, json.dumps({"time": clock_of(at // SECOND + ahead_s), "v": 1.5}).encode())
            for at in range(NOW_NS - 300 * SECOND, NOW_NS + 1, 60 * SECOND)
        ]
    }  # fmt: skip
    ((stanza,), _) = proposed(heard, zone)
    assert 'time_unit = "iso8601"' in stanza.text
    assert ("timezone" in stanza.text) == bool(said)
    assert said in stanza.text
    assert stanza.every == "1m"


def test_a_clock_of_numbers_that_is_ahead_gets_an_offset() -> None:
    """Local time as if it were UTC."""
    heard = {
        "a/b": [
            Came(at, json.dumps({"ts": at // 10**9 + 3600, "v": 1.5}).encode())
            for at in range(NOW_NS - 300 * SECOND, NOW_NS + 1, 60 * SECOND)
        ]
    }
    ((stanza,), _) = proposed(heard)
    assert 'time_offset = "-1h"' in stanza.text


@pytest.mark.parametrize(
    ("field", "values", "said"),
    [
        ("seq", range(100, 110), None),
        ("count_up", range(100, 110), None),
        ("energy_total_kwh", [10, 10.5, 10.5, 11, 12, 12.5, 13, 13, 14, 15], {"unit": "kWh", "kind": "counter"}),
        ("setpoint", [20, 20, 21, 21, 21, 22, 22, 22, 22, 22], {"role": "input"}),
        ("targetTemp", [20.5] * 10, {"role": "input"}),
        ("pump", [True, False] * 5, {"role": "input", "kind": "boolean"}),
        ("valve", ["open", "closed"] * 5, {"role": "input", "kind": "boolean"}),
        ("version", [3.5] * 10, None),
        ("mode", [2] * 10, None),
        ("room", ["hall"] * 10, None),
        ("temp", ["20.5 °C"] * 10, {"unit": "°C"}),
        ("tempf", [70.5] * 10, {"unit": "°F"}),
        ("humidity", [44.5] * 10, {"unit": "%"}),
        ("p_mbar", [1001.5] * 10, {"unit": "mbar"}),
        ("nothing", [None] * 10, None),
    ],
)
def test_what_a_field_is_is_told_by_name_and_values(
    field: str, values: Sequence[object], said: dict[str, str] | None
) -> None:
    """Beside a temperature; what is no quantity is left out."""
    came = [
        Came(NOW_NS + i * 10 * SECOND, json.dumps({"temperature": 20 + i / 7, field: value}).encode())
        for i, value in enumerate(values)
    ]
    ((stanza,), _) = proposed({"a/b": came})
    (table,) = tomllib.loads(stanza.text)["fleet"].values()
    features = {name: each for name, each in table["features"].items() if name != "temperature"}
    if said is None:
        assert features == {}
    else:
        assert features[field].items() >= said.items()


def test_a_rhythm_is_a_period_with_its_jitter_or_reports_on_change() -> None:
    """Lost messages and jitter are no change of mind."""
    assert str(rhythm_of_distances([10.0] * 20)) == "10s"
    assert str(rhythm_of_distances([9, 10, 11] * 9)) == "10s ± 10%"
    assert not rhythm_of_distances([10] * 18 + [20, 30]).irregular
    uneven = rhythm_of_distances([54, 3000, 240, 5400, 600, 1200, 90, 2400])
    assert str(uneven) == 'irregular: 0.9 to 90 min between readings; hold = "3h"'
    assert str(rhythm_of_distances([])) == "?"


@pytest.mark.parametrize("spread", [0.0, 0.2, 0.4])
def test_a_timer_is_no_sensor_that_reports_on_change(spread: float) -> None:
    """However much it jitters, and with a reading or two left out."""
    at = np.arange(60) + np.random.default_rng(1).uniform(-spread, spread, 60)
    assert not rhythm_of_distances((np.diff(np.delete(at, [7, 30])) * 60).tolist()).irregular


def test_readings_that_come_by_twos_are_no_reports_on_change() -> None:
    """Two gateways that hear the same sensor; and a few distances say nothing."""
    assert not rhythm_of_distances([3, 57] * 20).irregular
    assert not rhythm_of_distances([3, 57] * 4).irregular
    assert not rhythm_of_distances([60, 900, 40, 3000, 100]).irregular


def test_devices_that_share_a_topic_are_told_apart() -> None:
    """By the field that decides which others there are, and by the ids that come again."""
    came = []
    for i in range(12):
        at = NOW_NS + i * 10 * SECOND
        came.append(Came(at, json.dumps({"model": "TH", "id": 40 + i % 2, "temp": 20 + i / 7}).encode()))
        came.append(Came(at, json.dumps({"model": "Wind", "id": 9, "gust": 3 + i / 3}).encode()))
    stanzas, _ = proposed({"rtl/events": came})
    tables = {str(table["where"]): table for table in tomllib.loads(joined(stanzas))["fleet"].values()}
    assert tables["{'$.model': 'TH'}"]["stream"] == tables["{'$.model': 'Wind'}"]["stream"] == "{$.id}"
    assert [list(table["features"]) for table in tables.values()] == [["temp"], ["gust"]]


def test_the_table_fits_eighty_columns() -> None:
    """Whatever names are in it."""
    quantities: dict[str, Any] = {f"quantity_{i}": i + 0.5 for i in range(12)}
    heard = heard_of("plant/" + "x" * 70 + "/tele", **quantities)
    heard |= {f"noise/{i}\x07{'y' * 90}": [Came(NOW_NS, b"hello")] for i in range(30)}
    stanzas, left_out = accepted(propose(heard), heard)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render_found(stanzas, left_out, messages=33, topics=31))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("no number, but a text") == 1
    assert "\x07" not in text


def test_a_user_that_is_not_root_gets_a_state_directory_of_his_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the file; else `run` would be the first command that fails. Root keeps the system's."""
    usual = tmp_path / "var" / "lib" / "gaugecast"
    assert storage_table(usual) == []
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path and real(path, mode))  # as for others
    (table,) = storage_table(usual)
    assert tomllib.loads(table) == {"storage": {"directory": "gaugecast-state"}}
    assert str(usual) in table
