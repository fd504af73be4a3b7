"""Configuration: what is taken from file and environment, and in which words the rest is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from gaugecast.config import load_settings, resolve_fleets
from gaugecast.config.duration import duration_text, parse_duration_ns
from gaugecast.config.schema import Mqtt, Publish
from gaugecast.errors import ConfigError
from gaugecast.fleet import Feature, Fleet

CONFIGS = Path(__file__).parent / "configs"
GOOD = CONFIGS / "good.toml"
BAD = sorted(CONFIGS.glob("bad_*.toml"))

TANKS = """
[fleet.tanks]
subscribe = ["plant/{site}/{tank}/telemetry"]
period = "1s"
%s
[fleet.tanks.features.pressure]
%s
"""


def write(directory: Path, *, keys: str = "", feature: str = "", more: str = "") -> Path:
    """A file with one fleet of tanks, and what is added to it."""
    path = directory / "gaugecast.toml"
    path.write_text(TANKS % (keys, feature) + more)
    return path


def resolve(path: Path, **environ: str) -> tuple[Fleet, ...]:
    """The fleets of a file."""
    return resolve_fleets(load_settings(path, environ))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_each_bad_example_is_refused_in_the_words_that_its_head_tells(path: Path) -> None:
    """File, table, key, what was expected, what came and the mend, word for word."""
    with pytest.raises(ConfigError) as refused:
        resolve(path)
    expected = [line[8:].strip() for line in path.read_text().splitlines() if line.startswith("# says: ")]
    assert expected
    for words in expected:
        assert f"{path}: {words}" in str(refused.value).splitlines()


def test_there_are_five_bad_examples_and_more() -> None:
    """So that the test above is not empty."""
    assert len(BAD) >= 5


def test_a_good_file_becomes_fleets_with_all_defaults_filled_in() -> None:
    """Durations in ns, paths as keys, ids of all captures but the feature's."""
    tanks, rooms = resolve(GOOD)
    assert tanks == Fleet(
        name="tanks",
        subscribe=("plant/{site}/{tank}/telemetry",),
        stream="{site}/{tank}",
        features=(
            Feature("pressure", "bar", ("pressure",), valid_min=0, valid_max=10),
            Feature("temperature", path=("data", "temp 1")),
        ),
        period_ns=10**9,
        time_path=("t",),
        time_unit="ms",
        time_floor_ns=946_684_800 * 10**9,
        grace_ns=500_000_000,
        tolerant=True,
        stale_after_ns=10 * 10**9,
        park_after_ns=7 * 86_400 * 10**9,
    )
    assert (rooms.name, rooms.stream, rooms.feature_capture) == ("Rooms", "{room}", "feature")
    assert rooms.stale_after_ns == 3000 * 10**9
    assert [feature.path for feature in rooms.features] == [(), ()]
    assert Fleet.from_json(tanks.to_json()) == tanks


def test_paths_count_from_the_files_directory() -> None:
    """Wherever the daemon was started."""
    settings = load_settings(GOOD, {})
    assert settings.mqtt.password_file == CONFIGS / "password.example"
    assert settings.storage.directory == CONFIGS / "state"


def test_a_credentials_path_is_systemds_where_there_is_one(tmp_path: Path) -> None:
    """Outside of the unit it stays as written."""
    path = write(tmp_path, more='[mqtt]\npassword_file = "$CREDENTIALS_DIRECTORY/pw"\n')
    assert load_settings(path, {"CREDENTIALS_DIRECTORY": "/run/x"}).mqtt.password_file == Path("/run/x/pw")
    assert load_settings(path, {}).mqtt.password_file == Path("$CREDENTIALS_DIRECTORY/pw")


def test_the_environment_overrides_any_key_of_the_file_and_adds_new_ones() -> None:
    """Tables, fleets and features of any case, numbers, texts, lists."""
    settings = load_settings(
        GOOD,
        {
            "GAUGECAST_MQTT__HOST": "other",
            "GAUGECAST_MQTT__PORT": "1884",
            "GAUGECAST_MQTT__PROTOCOL": "5",
            "GAUGECAST_MQTT__TLS__CA": "/ca.pem",
            "GAUGECAST_FLEET__ROOMS__PERIOD": "60",
            "GAUGECAST_FLEET__TANKS__RETAIN": "true",
            "GAUGECAST_FLEET__TANKS__INPUT_QOS": "0",
            "GAUGECAST_FLEET__TANKS__SUBSCRIBE": '["a/{b}"]',
            "GAUGECAST_FLEET__TANKS__FEATURES__PRESSURE__VALID": "[1, 2]",
            "GAUGECAST_FLEET__TANKS__FEATURES__LEVEL__UNIT": "m",
            "GAUGECAST_CONFIG": "not a setting",
            "PATH": "/bin",
        },
    )
    assert (settings.mqtt.host, settings.mqtt.port, settings.mqtt.protocol) == ("other", 1884, "5")
    assert settings.mqtt.tls is not None
    assert settings.mqtt.tls.ca == Path("/ca.pem")
    assert settings.fleet["Rooms"].period == "60"
    tanks = settings.fleet["tanks"]
    assert (tanks.retain, tanks.input_qos, tanks.subscribe) == (True, 0, ["a/{b}"])
    assert tanks.features["pressure"].valid == (1, 2)
    assert tanks.features["pressure"].unit == "bar"
    assert tanks.features["level"].unit == "m"


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("GAUGECAST_MQT__HOST", "x", "did you mean GAUGECAST_MQTT?"),
        ("GAUGECAST_MQTT__HOTS", "x", "did you mean GAUGECAST_MQTT__HOST?"),
        ("GAUGECAST_FLEET__TANKS__PEROD", "x", "[fleet.tanks] has no key 'perod'; did you mean GAUGECAST_FLEET__TANKS"),
        ("GAUGECAST_MQTT", "x", "mqtt, which is a table"),
        ("GAUGECAST_MQTT__PORT__X", "x", "which has no part 'X'"),
        ("GAUGECAST_ZZZ", "x", "it has mqtt, storage, http, console, homeassistant, loop, learning, train, tune"),
        ("GAUGECAST_MQTT__PASSWORD", "hunter2", "password_file"),
        ("GAUGECAST_MQTT__PORT", "x", "expected a whole number, got 'x'"),
        ("GAUGECAST_HTTP__PORT", "70000", "expected a number, 0 to 65535, got 70000"),
    ],
)
def test_a_variable_that_cannot_be_meant_is_refused_by_its_name(variable: str, value: str, complaint: str) -> None:
    """With the nearest one that exists; a secret's value is not repeated."""
    with pytest.raises(ConfigError) as refused:
        load_settings(GOOD, {variable: value})
    assert f"environment variable {variable}: " in str(refused.value)
    assert complaint in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_an_inline_password_is_refused_without_repeating_it() -> None:
    """The message may end in a log."""
    with pytest.raises(ConfigError) as refused:
        resolve(CONFIGS / "bad_secret.toml")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "no such file; `gaugecast init"),
        (b"[mqtt\n", ":1:6: expected TOML: expected ']'"),
        (b"\xff", "expected UTF-8, got the byte 0xff"),
        (b"", "fleet: missing: the streams to forecast"),
        (b"[fleet]\nsubscribe = ['a']\n", "[fleet] subscribe: expected a table, got ['a']"),
        (b"mqtt = 5\n[fleet.a]\n", "mqtt: expected a table, got 5"),
        (b"[mqt]\n", "mqt: unknown table; did you mean 'mqtt'?"),
        (b"[fleet.a]\nsubscribe = 'x'\n", "[fleet.a] subscribe: expected a list in brackets, got 'x'"),
        (b"[fleet.a]\nperiod = []\n", "[fleet.a] period: expected distance of two readings"),
        (b"[fleet.a.features.b]\nvalid = [0]\n", "[fleet.a.features.b] valid: expected [min, max]"),
        (b"[fleet.a.features.b]\nrole = 'x'\n", "[fleet.a.features.b] role: expected 'forecast' or 'input', got 'x'"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path: Path, text: bytes | None, complaint: str) -> None:
    """With its own name before each line."""
    path = tmp_path / "gaugecast.toml"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(ConfigError) as refused:
        load_settings(path, {})
    assert complaint in str(refused.value)
    lines = str(refused.value).splitlines()
    assert all(line.startswith(f"{path}:") or line[5:8] == " | " for line in lines)  # the latter: where in the file


def _reading(topics: str) -> str:
    """Another fleet, that reads these."""
    return f'[fleet.b]\nsubscribe=[{topics}]\nstream="s"\nperiod=1\n[fleet.b.features.z]\n'


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"keys": 'timezone = "Europe/Atlantis"'}, "timezone: expected an IANA name"),
        ({"keys": 'timezone = "../etc"'}, "timezone: expected"),
        ({"keys": 'stream = "{$.device"'}, "stream: template"),
        ({"keys": 'stream = "{feature}"'}, "stream: {feature} names the feature"),
        ({"keys": 'time = "t"'}, "time: expected a path such as"),
        ({"keys": 'time = "$.t"\nsequence = "$.n"'}, "sequence: not needed beside `time`"),
        ({"keys": 'time_unit = "ms"'}, "time_unit: set without `time`"),
        ({"keys": 'grace = "soon"'}, "grace: expected a duration"),
        ({"keys": 'payload = "number"\ntime = "$.t"'}, 'time: payload = "number" has no fields'),
        ({"keys": 'payload = "number"', "feature": 'path = "$.p"'}, "path: payload"),
        ({"keys": 'payload = "number"', "more": "[fleet.tanks.features.level]"}, "brings one feature, got 2"),
        ({"keys": 'output = "f/{stream}/{site}"'}, "may use {fleet} and {stream}"),
        ({"keys": 'output = "f/{fleet}"'}, "lacks {stream}"),
        ({"keys": 'output = "$x/{stream}"'}, "cannot be published to: expected no `$` at the start"),
        ({"keys": 'output = "x/#/{stream}"'}, "cannot be published to: expected a topic without"),
        ({"keys": 'output = "x\\ufffe/{stream}"'}, "cannot be published to: expected no control"),
        ({"keys": f'output = "x{"/" * 200}/{{stream}}"'}, "cannot be published to: expected at most 200 slashes"),
        ({"keys": 'stream = "a+{site}-{tank}"'}, "cannot be published to: expected a topic without"),
        ({"more": '[mqtt]\nstatus_topic = "gaugecast/+"'}, "status_topic: 'gaugecast/+' cannot be published to"),
        ({"keys": 'output = "plant/{stream}/telemetry"'}, "forecasts would come back as readings"),
        ({"more": _reading('"gaugecast/#"')}, "forecasts would come back as readings"),
        ({"more": _reading('"+/tanks/{b}/x"')}, "forecasts would come back as readings"),
        ({"more": _reading('"gaugecast/{a}/+/{c}"')}, "forecasts would come back as readings"),
        ({"keys": 'output = "{stream}"', "more": _reading('"{a}/x"')}, "forecasts would come back as readings"),
        ({"more": '[mqtt.publish]\nclient_id = "gaugecast"'}, "[mqtt.publish] client_id: 'gaugecast' is that of"),
        ({"more": '[mqtt.publish]\nclient_id = "{client_id}"'}, "a broker lets each id connect once"),
        ({"keys": 'output = "gaugecast/{stream}"', "more": '[mqtt]\nstatus_topic="gaugecast/a/b"'}, "the status topic"),
        ({"more": '[mqtt]\nstatus_topic = "plant/a/b/telemetry"'}, "our own status topic"),
        ({"keys": 'format="flat"', "more": "[fleet.tanks.features.pressure_residual]"}, "_residual' to two numbers"),
        ({"keys": 'format="number"', "more": "[fleet.tanks.features.p2]"}, "lacks {feature}, and format"),
        ({"feature": "valid = [5, 5]"}, "valid: expected [min, max] with min < max, got [5, 5]"),
        ({"feature": "valid = [nan, 5]"}, "valid: expected [min, max]"),
        ({"feature": 'role = "input"'}, 'at least one needs role = "forecast"'),
        ({"more": '[fleet.tanks.features.p2]\npath = "$.pressure"'}, "has the same path"),
        ({"more": '[fleet.tanks.features."a\\nb"]'}, "expected a name of 1 to 64 characters"),
        ({"more": '[fleet.".."]\nsubscribe=["x/{y}"]\nperiod=1\n[fleet."..".features.z]'}, "neither `.` nor `..`"),
        ({"more": '[fleet."a b"]\nsubscribe=["x/{y}"]\nperiod=1\n[fleet."a b".features.z]'}, "expected a name of 1 to"),
        ({"more": '[fleet.b]\nsubscribe=["x"]\nperiod=1\n[fleet.b.features.z]'}, "capture nothing that names a stream"),
        ({"more": '[fleet.b]\nsubscribe=["x/{y}"]\nperiod=0\n[fleet.b.features.z]'}, "period: expected at least 1ms"),
        ({"more": '[fleet.b]\nsubscribe=["x/{y}"]\nperiod="800d"\n[fleet.b.features.z]'}, "expected at most 366d"),
        (
            {"more": '[fleet.b]\nsubscribe=["x/{y}"]\nperiod="365d"\nhorizon=101\n[fleet.b.features.z]'},
            "horizon: expected at most 100 years, got 101 periods of 365d",
        ),
        (
            {"more": '[fleet.b]\nsubscribe=["x/{y}"]\nperiod="365d"\nbridge=101\n[fleet.b.features.z]'},
            "bridge: expected at most 100 years",
        ),
        (
            {"more": '[fleet.b]\nsubscribe=["x/{y}","z/{w}"]\nperiod=1\n[fleet.b.features.z]'},
            "all topics of a fleet capture the same names",
        ),
        (
            {"more": '[fleet.b]\nsubscribe=["x/{y}","x/+"]\nstream="s"\nperiod=1\n[fleet.b.features.z]'},
            "all topics of a fleet capture",
        ),
        (
            {
                "keys": 'output = "f/{stream}"',
                "more": '[fleet.b]\nsubscribe=["x/{y}/{z}"]\nperiod=1\noutput="f/{stream}"\n[fleet.b.features.z]',
            },
            "nobody could tell them apart",
        ),
    ],
)  # fmt: skip
def test_keys_that_make_no_sense_together_are_refused(tmp_path: Path, changes: dict[str, str], complaint: str) -> None:
    """At the start, before anything is read."""
    path = write(tmp_path, **changes)
    with pytest.raises(ConfigError) as refused:
        resolve(path)
    assert complaint in str(refused.value)
    assert str(refused.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("publish", "expected"),
    [
        ("", ("hall", 8883, "me", Path("/p"), Path("/ca"), "tanks-out")),
        ('[mqtt.publish]\nport = 1884\nclient_id = "x"', ("hall", 1884, "me", Path("/p"), Path("/ca"), "x")),
        ('[mqtt.publish]\nusername = "w"', ("hall", 8883, "w", None, Path("/ca"), "tanks-out")),
        ('[mqtt.publish]\nhost = "site"', ("site", 1883, None, None, None, "tanks-out")),
        (
            '[mqtt.publish]\nhost = "site"\nusername = "w"\npassword_file = "/w"\n[mqtt.publish.tls]\nca = "/site"',
            ("site", 1883, "w", Path("/w"), Path("/site"), "tanks-out"),
        ),
    ],
)
def test_the_connection_that_publishes_has_what_it_says_and_the_rest_of_the_other(
    tmp_path: Path, publish: str, expected: tuple[object, ...]
) -> None:
    """But at another host nothing of the account: a password is for one broker alone."""
    mqtt = '[mqtt]\nhost = "hall"\nport = 8883\nclient_id = "tanks"\nusername = "me"\npassword_file = "/p"\n'
    path = write(tmp_path, more=f'{mqtt}[mqtt.tls]\nca = "/ca"\n{publish}')
    one = load_settings(path, {}).mqtt
    out = one.publishing
    tls = None if out.tls is None else out.tls.ca
    assert (out.host, out.port, out.username, out.password_file, tls, out.client_id) == expected
    assert (one.client_id, out.keepalive_s, out.protocol) == ("tanks", one.keepalive_s, one.protocol)


def test_more_than_eight_forecast_features_share_one_row(tmp_path: Path) -> None:
    """Inputs do not count; `rows` overrules."""
    more = "".join(f"[fleet.tanks.features.f{number}]\n" for number in range(7))
    extra = '[fleet.tanks.features.s]\nrole = "input"\n'
    (eight,) = resolve(write(tmp_path, more=more + extra))
    (nine,) = resolve(write(tmp_path, more=more + "[fleet.tanks.features.f8]\n"))
    (chosen,) = resolve(write(tmp_path, keys='rows = "per_feature"', more=more + "[fleet.tanks.features.f8]\n"))
    assert [fleet.rows for fleet in (eight, nine, chosen)] == ["per_feature", "joint", "per_feature"]


def test_a_feature_without_bounds_takes_any_finite_value(tmp_path: Path) -> None:
    """Infinities in the fleet, also after its journey through JSON."""
    (fleet,) = resolve(write(tmp_path))
    assert fleet.features[0].valid_max == math.inf
    assert Fleet.from_json(fleet.to_json()).features[0].valid_min == -math.inf


@pytest.mark.parametrize(
    ("text", "duration_ns", "shown"),
    [
        ("500ms", 500_000_000, "500ms"),
        ("1s", 10**9, "1s"),
        ("90 s", 90 * 10**9, "90s"),
        ("5m", 300 * 10**9, "5m"),
        ("5min", 300 * 10**9, "5m"),
        ("1.5h", 5400 * 10**9, "90m"),
        ("1d", 86_400 * 10**9, "1d"),
        ("0.1", 100_000_000, "100ms"),
        (0.1, 100_000_000, "100ms"),
        (1e-3, 1_000_000, "1ms"),
        (60, 60 * 10**9, "1m"),
        ("1.5ms", 1_500_000, "1.5ms"),
        (0, 0, "0ms"),
    ],
)
def test_durations_are_exact(text: Any, duration_ns: int, shown: str) -> None:
    """0.1 s is 100,000,000 ns; they are written back in the largest unit that fits."""
    assert parse_duration_ns(text) == duration_ns
    assert duration_text(duration_ns) == shown


@pytest.mark.parametrize("text", ["", "s", "1w", "-1s", "1 2", "1e3s", math.inf, math.nan, -1.0, 1e12, "9999999d"])
def test_what_is_no_duration_is_refused(text: Any) -> None:
    """Nor anything longer than a century."""
    with pytest.raises(ConfigError, match="expected a duration"):
        parse_duration_ns(text)


def test_each_daemon_has_a_status_topic_of_its_own() -> None:
    """By its client id, also seen from the connection that publishes; the one of before only where all is as it was."""
    one, other = Mqtt(client_id="a"), Mqtt(client_id="b")
    assert (one.own_status_topic, other.own_status_topic) == (
        "gaugecast-notices/daemon/a",
        "gaugecast-notices/daemon/b",
    )
    assert one.old_status_topic == "gaugecast/status-a"
    assert Mqtt(status_topic="x").old_status_topic == Mqtt(publish=Publish(username="out")).old_status_topic == ""
    assert Mqtt(status_topic="x").own_status_topic == "x"


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        (
            "mysql://db/plant",
            "expected a URL such as postgresql://gaugecast@db.example/gaugecast, got 'mysql://db/plant'",
        ),
        ("postgresql://me:hunter2@db/plant", "a URL without a password"),
        ("postgresql://me@db/plant?password=hunter2&sslmode=require", "PGPASSFILE"),
        ("postgresql://[db/plant", "a URL such as"),
    ],
)
def test_a_database_is_a_url_without_a_password(tmp_path: Path, url: str, complaint: str) -> None:
    """A configuration is copied and shown; so is what is said of it."""
    with pytest.raises(ConfigError) as refused:
        load_settings(write(tmp_path, more=f'[storage]\npostgres = "{url}"\n'), {})
    assert complaint in str(refused.value)
    assert "hunter2" not in str(refused.value)
