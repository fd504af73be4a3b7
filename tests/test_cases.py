"""`gaugecast test`: cases beside the configuration, and what is said where one is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gaugecast.cli.cases import first_cases, read_cases
from gaugecast.cli.discover import accepted
from gaugecast.cli.main import app
from gaugecast.errors import ConfigError
from gaugecast.payloads.discovery import Came, joined, propose
from support.formats import FORMATS, some_readings
from support.payloads import NOW_NS

CONFIG = """
[fleet.tanks]
subscribe = ["plant/{site}/{tank}/tele"]
time = "$.t"
period = "1s"
[fleet.tanks.features.pressure]
valid = [0, 10]
[fleet.tanks.features.level]
"""
RIGHT = """
[[case]]
name = "all of it"
topic = "plant/north/t7/tele"
payload = '{"t": 1767225600.5, "pressure": 2.5, "level": "3,5 m"}'
stream = "north/t7"
time = 2026-01-01T00:00:00.5Z
values = { pressure = 2.5, level = 3.5 }

[[case]]
topic = "plant/north/t7/tele"
payload = '[{"t": 1767225600, "pressure": 1}, {"t": 1767225601, "pressure": 2}]'
readings = [
  { time = "2026-01-01T00:00:00Z", values = { pressure = 1 } },
  { time = 1767225601, values = { pressure = 2 } },
]

[[case]]
topic = "plant/north/t7/tele"
payload = '{"t": 1767225600, "pressure": 99}'
reject = "out_of_range"

[[case]]
topic = "plant/north/t7/tele"
payload_base64 = "/w=="
reject = "not_utf8"

[[case]]
topic = "plant/north/t7/tele"
payload = '{"t": 1767225600, "pressure": 1}'
retain = true
reject = "retained"

[[case]]
topic = "elsewhere"
payload = "1"
reject = "unknown_topic"

[[case]]
topic = "plant/north/t7/tele"
payload = '{"battery": 3}'
not_ours = true
"""


def run(place: Path, cases: str) -> tuple[int, str]:
    """Exit code and what was said."""
    (place / "gaugecast.toml").write_text(CONFIG)
    (place / "gaugecast.tests.toml").write_text(cases)
    result = CliRunner().invoke(app, ["test", "-c", str(place / "gaugecast.toml")])
    if isinstance(result.exception, ConfigError):
        return int(result.exception.exit_code), str(result.exception)
    return result.exit_code, result.output


def test_cases_that_are_right_are_counted(tmp_path: Path) -> None:
    """A reading, several, rejects by reason, and what is not ours; times as date, text or number."""
    assert run(tmp_path, RIGHT) == (0, "7 of 7 cases are right\n")


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ('payload = \'{"t": 1, "pressure": 1}\'\nstream = "a"', "got a reject, bad_time"),
        ('payload = \'{"t": 1767225600, "pressure": 1}\'\nstream = "a"', "stream: expected 'a', got 'north/t7'"),
        ('payload = \'{"t": 1767225600, "pressure": 1}\'\ntime = 1767225601', "got 2026-01-01T00:00:00Z"),
        (
            'payload = \'{"t": 1767225600, "pressure": 1}\'\nvalues = { pressure = 2 }',
            "values.pressure: expected 2.0, got 1.0",
        ),
        (
            'payload = \'{"t": 1767225600, "pressure": 1}\'\nvalues = { level = 2 }',
            "values.level: expected 2, got none",
        ),
        ('payload = \'{"t": 1767225600, "pressure": 1}\'\nvalues = { lvl = 2 }', "expected one of pressure, level"),
        ('payload = \'{"t": 1767225600, "pressure": 1}\'\nreject = "not_json"', "refused as not_json, got a reading"),
        (
            'payload = \'{"t": 1767225600, "pressure": 1}\'\nnot_ours = true',
            "expected it not to be ours, got a reading",
        ),
        ("payload = '{}'\nreject = \"not_json\"", "got what is not ours"),
    ],
)
def test_a_case_that_is_wrong_says_what_came_instead(tmp_path: Path, case: str, said: str) -> None:
    """With its number and topic; the command ends with 1."""
    code, text = run(tmp_path, f'[[case]]\ntopic = "plant/north/t7/tele"\n{case}\n')
    assert code == 1
    assert text.startswith("case 1, plant/north/t7/tele: ")
    assert said in text
    assert text.endswith("0 of 1 cases are right\n")


@pytest.mark.parametrize(
    ("cases", "said"),
    [
        ("[[case]]\npayload = '1'\nreject = 'x'", "case 1: object missing required field `topic`"),
        ("[[case]]\ntopic = 'a'\npayload = '1'\nrejct = 'x'", "case 1: object contains unknown field `rejct`"),
        ("[[case]]\ntopic = 'a'\npayload = '1'", "case 1, a: expected one of: stream, time and values"),
        ("[[case]]\ntopic = 'a'\npayload = '1'\nreject = 'x'", "reject: expected one of too_large, not_utf8"),
        ("[[case]]\ntopic = 'a'\nstream = 'x'", "expected either payload or payload_base64"),
        ("[[case]]\ntopic = 'a'\npayload = '1'\ntime = 'noon'", "expected a time in ISO 8601"),
        ("[[case]]\ntopic = 'a'\npayload_base64 = '*'\nstream = 'x'", "payload_base64: "),
        ("[case\n", "gaugecast.tests.toml"),
    ],
)
def test_a_case_that_makes_no_sense_is_refused_with_its_number(tmp_path: Path, cases: str, said: str) -> None:
    """And with what was expected; the exit code is that of a wrong configuration."""
    code, text = run(tmp_path, cases)
    assert code == 78
    assert said in text


def test_the_first_cases_are_right(tmp_path: Path) -> None:
    """What `discover` heard, in text and in bytes, stands in a file that `test` takes."""
    heard = {
        f"{form.name.replace(' ', '-')}/t7": [Came(NOW_NS, form.write(some_readings(2)))]
        for form in FORMATS
        if form.keys.get("payload", "json") in ("json", "ndjson", "influx", "senml", "cbor", "msgpack")
    }
    stanzas, _ = accepted(propose(heard), heard)
    (tmp_path / "x.toml").write_text(joined(stanzas))
    (tmp_path / "x.tests.toml").write_text(first_cases(stanzas, heard))
    count = len(read_cases(tmp_path / "x.tests.toml"))
    assert count >= 7, "some are of one fleet, of which two topics will do"
    result = CliRunner().invoke(app, ["test", "-c", str(tmp_path / "x.toml")])
    assert result.output == f"{count} of {count} cases are right\n"
