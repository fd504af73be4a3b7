"""`[[fleet.NAME.threshold]]`: what it becomes, and what of it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaugecast.config import load_settings, resolve_fleets
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet, Threshold

FILE = """
[fleet.tanks]
subscribe = ["plant/{tank}"]
period = "1s"
horizons = ["1s", "1m"]
[fleet.tanks.features.pressure]
[fleet.tanks.features.flow]
role = "input"
"""
MARK = '[[fleet.tanks.threshold]]\nfeature = "pressure"\nabove = 8.2\nwithin = "1h"\n'


def resolved(directory: Path, text: str) -> tuple[Fleet, ...]:
    """The fleets of a file."""
    path = directory / "gaugecast.toml"
    path.write_text(text)
    return resolve_fleets(load_settings(path, {}))


def test_thresholds_become_those_of_the_fleet(tmp_path: Path) -> None:
    """In the order of the file, in ticks."""
    below = MARK.replace("above = 8.2", "below = -1").replace("1h", "90s")
    (fleet,) = resolved(tmp_path, FILE + MARK + below)
    assert fleet.thresholds == (Threshold("pressure", True, 8.2, 3600), Threshold("pressure", False, -1.0, 90))


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ('feature = "pressure"', 'feature = "flow"', "one of pressure expected, got 'flow'"),
        ("above = 8.2\n", "", "above or below expected, one of the two"),
        ("above = 8.2\n", "above = 8.2\nbelow = 1\n", "above or below expected, one of the two"),
        ("8.2", "inf", "a finite value expected, got inf"),
        ('"1h"', '"1500ms"', "a multiple of the period expected, 1 to 100000 periods, got '1500ms'"),
        ('"1h"', '"soon"', "within: expected a duration"),
        ("above = 8.2", "over = 8.2", "expected with `horizons`: values whose crossing is foretold"),
        ("above = 8.2", "above = true", "expected with `horizons`: values whose crossing is foretold"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, before: str, after: str, complaint: str) -> None:
    """With what was expected."""
    with pytest.raises(ConfigError, match="threshold") as caught:
        resolved(tmp_path, FILE + MARK.replace(before, after))
    assert complaint in str(caught.value)


def test_thresholds_ask_for_horizons(tmp_path: Path) -> None:
    """Nothing is foretold by a fleet that forecasts the next step alone."""
    with pytest.raises(ConfigError, match="`horizons` expected in"):
        resolved(tmp_path, FILE.replace('horizons = ["1s", "1m"]\n', "") + MARK)


def test_one_topic_has_one_threshold(tmp_path: Path) -> None:
    """The same twice, and the same value with another reach."""
    with pytest.raises(ConfigError, match="the same as no"):
        resolved(tmp_path, FILE + MARK + MARK)
    with pytest.raises(ConfigError, match="another `within`"):
        resolved(tmp_path, FILE + MARK + MARK.replace("1h", "2h"))


def test_a_crossing_may_not_come_back_as_a_reading(tmp_path: Path) -> None:
    """Though forecasts themselves would not."""
    text = FILE.replace('["plant/{tank}"]', '["gaugecast-notices/tanks/{tank}/crossing/pressure/above/+"]')
    text = text.replace('horizons = ["1s", "1m"]', 'horizons = ["1s", "1m"]\noutput = "gaugecast/tanks/{stream}"')
    resolved(tmp_path, text)
    with pytest.raises(ConfigError, match="forecasts would come back as readings"):
        resolved(tmp_path, text + MARK)
