"""`[fleet.NAME.anomaly]`: what it becomes, and what of it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaugecast.config import load_settings, resolve_fleets
from gaugecast.config.anomalies import anomaly_suffixes
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.watching import AnomalySettings

FILE = """
[fleet.tanks]
subscribe = ["plant/{tank}"]
period = "2s"
[fleet.tanks.features.pressure]
[fleet.tanks.features.flow]
role = "input"
"""
TABLE = "[fleet.tanks.anomaly]\n"


def resolved(directory: Path, text: str) -> Fleet:
    """The fleet of a file."""
    path = directory / "gaugecast.toml"
    path.write_text(text)
    return resolve_fleets(load_settings(path, {}))[0]


def test_an_empty_table_turns_it_on(tmp_path: Path) -> None:
    """Without one nobody looks, nor with `enabled = false`."""
    assert resolved(tmp_path, FILE + TABLE).anomaly == AnomalySettings()
    assert resolved(tmp_path, FILE).anomaly is None
    off = resolved(tmp_path, FILE + TABLE + "enabled = false")
    assert (off.anomaly, anomaly_suffixes(off)) == (None, [])


def test_durations_become_steps(tmp_path: Path) -> None:
    """And what is said of features stands by their names."""
    text = 'healthy = "10m"\nhold = "10s"\nsettle = 60\ntolerance = 1.5\nleast = {pressure = 0.5}\n'
    text += 'direction = {pressure = "above"}\nmode = "flow"\noff = [0]\nrefit = "1h"'
    wanted = AnomalySettings(
        healthy=300, hold=5, settle=30, tolerance=1.5, mode="flow", off=(0.0,), refit=1800,
        least=(("pressure", 0.5),), sides=(("pressure", "above"),),
    )  # fmt: skip
    assert resolved(tmp_path, FILE + TABLE + text).anomaly == wanted


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('healthy = "1m"', "50 to 1000000 periods expected, got 30"),
        ('hold = "soon"', "hold: expected a duration"),
        ('refit = "1m"', "refit: at least 256 periods expected, got 30"),
        ('mode = "pressure"', "a feature with role = \"input\" expected, flow; got 'pressure'"),
        ("off = [0]", "`mode` expected beside it"),
        ("least = {flow = 1.0}", "forecast features expected, pressure; got 'flow'"),
        ("least = {pressure = -1.0}", "a finite number from 0 expected for 'pressure', got -1.0"),
        ('direction = {pressure = "up"}', "direction"),
        ('heathy = "1d"', "healthy"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    """With what was expected."""
    with pytest.raises(ConfigError, match="anomaly") as caught:
        resolved(tmp_path, FILE + TABLE + text)
    assert complaint in str(caught.value)


def test_more_features_than_the_reference_takes_are_refused(tmp_path: Path) -> None:
    """Its matrices grow by the square."""
    features = "".join(f"[fleet.tanks.features.f{i}]\n" for i in range(20))
    with pytest.raises(ConfigError, match="at most 16 features expected, got 22"):
        resolved(tmp_path, FILE + features + TABLE)


def test_readers_of_anomalies_as_readings_are_refused(tmp_path: Path) -> None:
    """Our own output would come back."""
    topic = "gaugecast-notices/tanks/{tank}/anomaly"
    loop = f'[fleet.other]\nsubscribe = ["{topic}"]\nperiod = "1s"\n[fleet.other.features.p]\n'
    with pytest.raises(ConfigError, match="would come back as readings"):
        resolved(tmp_path, FILE + TABLE + loop)
