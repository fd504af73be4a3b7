"""`check --online` has eyes: it says what there is where a fleet or a feature hears nothing; it leaves nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gaugecast.cli.check_online import LEAST_S, MOST_S, check_online, time_to_listen
from gaugecast.cli.main import app
from gaugecast.cli.survey import Survey
from gaugecast.config import load_settings, resolve_fleets
from gaugecast.config.schema import Loop
from gaugecast.fleet import Feature, Fleet
from gaugecast.records import Input, Message
from support.mosquitto import Mosquitto, RawClient, run_mosquitto
from support.payloads import NOW_NS
from test_check import publishing

SECOND = 10**9
FLEET = Fleet("tanks", ("plant/{tank}",), "{tank}", (Feature("pressure", path=("presure",)),), SECOND, time_path=("t",))


def write_config(
    place: Path, broker: Mosquitto, *, subscribe: str = "plant/{tank}", feature: str = "pressure", mqtt: str = ""
) -> Path:
    """A file with one fleet."""
    path = place / "gaugecast.toml"
    path.write_text(
        f'[mqtt]\nport = {broker.port}\n{mqtt}\n[storage]\ndirectory = "{place}/state"\n[fleet.tanks]\n'
        f'subscribe = ["{subscribe}"]\nperiod = "500ms"\ntime = "$.t"\n[fleet.tanks.features.{feature}]\n'
    )
    return path


def check(path: Path, seconds: float = 1.5) -> tuple[int, str]:
    """Exit code and what is said, on one line."""
    result = CliRunner().invoke(app, ["check", "--online", "--seconds", str(seconds), "-c", str(path)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join(result.output.split())


def say(sensor: RawClient, number: int, topic: str = "plant/a") -> None:
    """A tank half a second further by its own clock."""
    body = json.dumps({"t": 1_767_225_600 + number / 2, "pressure": 1.5, "level": 3}).encode()
    sensor.publish([(topic, body)])


def test_where_all_is_well_it_ends_with_zero_and_leaves_nothing(tmp_path: Path) -> None:
    """No status, no will, no session, nothing retained; what the broker has kept is no reading, and no reject."""
    with run_mosquitto(tmp_path / "broker") as broker, RawClient(broker) as sensor:
        sensor.publish([("plant/kept", b'{"t": 1, "pressure": 1}')], retain=True)
        with publishing(lambda n: say(sensor, n)):
            code, text = check(write_config(tmp_path, broker))
        assert code == 0, text
        assert "[fleet.tanks]" not in text.replace("[fleet.tanks] readings are dated", "")
        assert "retained" not in text
        with RawClient(broker, subscribe="#") as client:
            sensor.publish([("end", b"")])
            heard = client.wait_heard(2)
        assert [(one.topic, one.retain) for one in heard] == [("plant/kept", True), ("end", False)]


def test_a_wrong_topic_is_answered_with_what_there_is(tmp_path: Path) -> None:
    """The nearest first; the exit code says that nothing would be forecast."""
    with run_mosquitto(tmp_path / "broker") as broker, RawClient(broker) as sensor:
        sensor.publish([("hall/light", b"1"), ("plants/a", b'{"t": 1, "pressure": 1}')], retain=True)
        code, text = check(write_config(tmp_path, broker))
    assert code == 1
    assert "nothing to forecast was heard on plant/{tank}" in text
    assert "what comes is on plants/a, hall/light" in text


def test_a_misspelt_feature_is_answered_with_the_payloads_fields(tmp_path: Path) -> None:
    """And with the one that was meant, most likely."""
    with (
        run_mosquitto(tmp_path / "broker") as broker,
        RawClient(broker) as sensor,
        publishing(lambda n: say(sensor, n)),
    ):
        code, text = check(write_config(tmp_path, broker, feature="presure"))
    assert code == 1
    assert "name none of its features (presure)" in text
    assert "; what comes has $.t, $.pressure, $.level" in text


def test_a_feature_that_never_comes_beside_others_is_named_with_what_was_meant() -> None:
    """Pure: of readings and of the messages that they came in."""
    fleet = Fleet("t", ("plant/{tank}",), "{tank}", (*FLEET.features, Feature("level", path=("level",))), SECOND)
    survey = Survey([fleet], Loop())
    message = Message("plant/a", b'{"pressure": 1.5, "level": 3.5, "t": 12}', 0, False, False, 0, 1)
    survey.note([message], NOW_NS)
    survey.fleets["t"].add(Input.reading("t", "a", NOW_NS, NOW_NS, b"\0\0\0\0\0\0\xf8\x7f" + b"\0" * 8))
    (warning,) = [text for text in survey.warnings(10) if "never came" in text]
    assert "did you mean $.pressure?; payloads have $.pressure, $.level, $.t" in warning


def test_refused_publishes_are_told_where_nothing_is_heard_either(tmp_path: Path) -> None:
    """By an account that may read neither the topics nor `$SYS`, and write nowhere."""
    acl = "topic read other/#\n"
    with run_mosquitto(tmp_path / "broker", acl=acl) as broker:
        code, text = check(write_config(tmp_path, broker))
    assert code == 1
    assert "forecasts could not be published to 'gaugecast/tanks/gaugecast-check'" in text


def test_forecasts_that_may_not_go_out_are_told_although_all_comes_in(tmp_path: Path) -> None:
    """The exit code is that of a fleet without a forecast."""
    acl = "topic readwrite plant/#\ntopic read $SYS/#\n"
    with (
        run_mosquitto(tmp_path / "broker", acl=acl) as broker,
        RawClient(broker) as sensor,
        publishing(lambda n: say(sensor, n)),
    ):
        code, text = check(write_config(tmp_path, broker))
    assert code == 1
    assert "may this account write there?" in text


@pytest.mark.parametrize(("period_s", "expected_s"), [(1, LEAST_S), (60, 132), (3600, MOST_S)])
def test_it_listens_for_two_periods_within_bounds(period_s: int, expected_s: float) -> None:
    """Of the slowest fleet."""
    slow = Fleet("slow", ("a",), "x", FLEET.features, period_s * SECOND)
    assert time_to_listen([FLEET, slow]) == pytest.approx(expected_s)


def test_it_ends_early_once_all_is_known(tmp_path: Path) -> None:
    """But not before it has listened for a while: by a clock that runs fast here."""
    with run_mosquitto(tmp_path / "broker") as broker, RawClient(broker) as sensor:
        settings = load_settings(write_config(tmp_path, broker), {})
        now_s = [0.0]

        def fast() -> float:
            now_s[0] += 0.2
            return now_s[0]

        with publishing(lambda n: say(sensor, n)):
            survey = check_online(settings, resolve_fleets(settings), 3000.0, early=True, monotonic=fast)
    assert survey.is_whole
    assert LEAST_S <= now_s[0] < 1000


def test_who_hears_or_says_nothing_would_forecast_nothing() -> None:
    """Whatever the readings are: that is what the exit code says."""
    survey = Survey([FLEET], Loop())
    assert not survey.would_forecast
    survey.fleets["tanks"].add(Input.reading("tanks", "a", NOW_NS, NOW_NS, b"\0" * 8))
    assert survey.would_forecast
    for fault in ("deaf", "mute"):
        setattr(survey, fault, "subscription refused")
        assert not survey.would_forecast
        setattr(survey, fault, None)
