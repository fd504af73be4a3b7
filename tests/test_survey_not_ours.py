"""What a check says where much comes and nothing of it is ours, or too much of a period."""

from __future__ import annotations

from dataclasses import replace

from gaugecast.cli.survey import Survey
from gaugecast.config.schema import Loop
from gaugecast.fleet import Feature, Fleet
from gaugecast.payloads import Decoder
from support.payloads import NOW_NS, make_message

FLEET = Fleet("x", ("a/{t}",), "{t}", (Feature("temp", path=("temp",)),), 10**10, on_arrival=True)
CHANGING = replace(FLEET, period_ns=300 * 10**9, on_arrival=False, time_path=("t",), tolerant=True)


def warnings_of(*payloads: dict[str, float]) -> str:
    """Of messages a second apart."""
    survey, decoder = Survey([FLEET], Loop()), Decoder([FLEET], Loop())
    for place, payload in enumerate(payloads):
        message, now_ns = make_message(payload, "a/b"), NOW_NS + place * 10**9
        survey.add(decoder.decode([message], now_ns), [message], now_ns)
    return "\n".join(survey.warnings(10))


def test_a_misspelt_feature_is_named() -> None:
    """Where nothing else came."""
    assert "2 messages came that name none of its features (temp)" in warnings_of({"tmp": 1}, {"tmp": 2})


def test_too_many_readings_of_a_period_are_named() -> None:
    """They would not be forecast."""
    said = warnings_of(*[{"temp": 1.0}] * 3)
    assert "2 of 3 readings would not be forecast: 2 in a period that had its step" in said


def test_a_sensor_that_reports_on_change_is_told_and_not_given_a_period() -> None:
    """With the key that makes silence mean the same; one that is held already is fine."""
    minutes = (0, 1, 41, 81, 82, 87, 127, 142, 232, 272, 312, 352, 355)
    said = []
    for fleet in (CHANGING, replace(CHANGING, hold_ns=3 * 3600 * 10**9)):
        survey, decoder = Survey([fleet], Loop()), Decoder([fleet], Loop())
        for minute in minutes:
            message = make_message({"temp": 20, "t": NOW_NS // 10**9 - 86_400 + 60 * minute}, "a/b")
            survey.add(decoder.decode([message], NOW_NS), [message], NOW_NS)
        said.append("\n".join(survey.warnings(10)))
    assert 'irregular: 1 to 90 min between readings; if the sensor reports on change, set hold = "3h"' in said[0]
    assert all("readings come every" not in each for each in said)
    assert "irregular" not in said[1]
