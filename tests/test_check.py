"""`init` and `check`: the file that is written, the plan that is told, and what a broker's traffic says of it."""

from __future__ import annotations

import io
import json
import re
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel
from rich.console import Console, RenderableType
from typer import Typer
from typer.testing import CliRunner

from gaugecast.batch import Inputs
from gaugecast.cli.check import check_command, check_offline
from gaugecast.cli.check_online import check_online
from gaugecast.cli.check_screen import render_plan, render_survey
from gaugecast.cli.init import init_command, write_template
from gaugecast.cli.survey import Survey
from gaugecast.config import load_settings, resolve_fleets
from gaugecast.config.schema import Loop, Settings
from gaugecast.config.template import render_template
from gaugecast.config.walk import table_of
from gaugecast.errors import ConfigError, ExitCode, Unreachable
from gaugecast.fleet import Feature, Fleet
from gaugecast.payloads import Decoded, Decoder
from gaugecast.records import Input, Message
from gaugecast.topics.system import SYS_DROPPED
from support.mosquitto import Mosquitto, RawClient, free_port, run_mosquitto

CONFIGS = Path(__file__).parent / "configs"
TANKS = Fleet(
    name="tanks",
    subscribe=("plant/{tank}",),
    stream="{tank}",
    features=(Feature("pressure", "bar", ("pressure",), valid_max=10), Feature("level", path=("level",))),
    period_ns=10**9,
    time_path=("t",),
)


def shown(renderable: RenderableType) -> str:
    """As on a wide screen without colours."""
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


def tables_below(table: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A table of the schema and all tables in it."""
    yield table
    for field in table.model_fields.values():
        inner = table_of(field)
        if inner is not None:
            yield from tables_below(inner)


def test_the_written_file_is_loaded_as_it_is_and_reads_the_example(tmp_path: Path) -> None:
    """The payload and the topic in its own comment decode to one reading."""
    path = tmp_path / "gaugecast.toml"
    write_template(path)
    plan = check_offline(path, {})
    text = path.read_text()
    topic, payload = (re.search(rf"# +{word} +(\S.*)", text)[1] for word in ("topic", "payload"))  # type: ignore[index]
    decoded = Decoder(plan.fleets, Loop()).decode([Message(topic, payload.encode(), 1, False, False, 1, 1)], 2**61)
    assert decoded.refused == []
    assert decoded.inputs[0].stream == "north/tank-7"
    assert struct.unpack("<2d", decoded.inputs[0].values) == (2.31, 41.8)
    assert "gaugecast/tanks/north/tank-7." in text


def test_the_written_file_holds_every_key_of_the_schema_with_its_explanation() -> None:
    """Generated from the schema, so it can never lack one; but a table could be forgotten."""
    text = render_template()
    for table in tables_below(Settings):
        for key, field in table.model_fields.items():
            if table_of(field) is None:
                assert re.search(rf"^#?{key} = \S.* # .*{re.escape(field.description or '?')}", text, re.M), key


def test_every_default_in_the_file_is_a_value_that_the_schema_takes(tmp_path: Path) -> None:
    """With all `#` removed the file still loads: the examples of optional keys included."""
    text = re.sub(r"^#(?=[a-z_]+ = |\[)", "", render_template(), flags=re.M)
    text = re.sub(r'^(sequence = "\$\.seq"|lateness = \S+)', "", text, flags=re.M)  # not beside `time`, nor `begins`
    text = text.replace('stream = ""', 'stream = "{tank}"')
    path = tmp_path / "gaugecast.toml"
    path.write_text(text)
    assert resolve_fleets(load_settings(path, {}))[0].rows == "joint"


def test_init_does_not_replace_a_file_unless_told_to(tmp_path: Path) -> None:
    """The operator's own work is in it."""
    path = tmp_path / "gaugecast.toml"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="--force replaces it"):
        init_command(path)
    assert path.read_text() == "mine"
    init_command(path, force=True)
    assert path.read_text() == render_template()


def test_check_tells_the_plan_and_refuses_with_the_exit_code_of_bad_configuration() -> None:
    """On the example files."""
    app = Typer()
    app.command()(check_command)
    good = CliRunner().invoke(app, ["-c", str(CONFIGS / "good.toml")])
    assert good.exit_code == 0
    assert "reads plant/{site}/{tank}/telemetry" in good.output
    assert "features pressure [bar], temperature" in good.output
    assert "temperature, setpoint (input)" in good.output
    bad = CliRunner().invoke(app, ["-c", str(CONFIGS / "bad_qos.toml")])
    assert isinstance(bad.exception, ConfigError)
    assert bad.exception.exit_code is ExitCode.CONFIG


def test_check_misses_files_of_secrets_and_certificates(tmp_path: Path) -> None:
    """It names the key; what only systemd provides is a note."""
    path = tmp_path / "gaugecast.toml"
    fleet = '[fleet.a]\nsubscribe = ["a/{b}"]\nperiod = 1\n[fleet.a.features.c]\n'
    path.write_text(fleet + '[mqtt]\nusername = "u"\npassword_file = "absent"\n')
    with pytest.raises(ConfigError, match=r"\[mqtt\] password_file: expected a file, '.*/absent' does not exist"):
        check_offline(path, {})
    path.write_text(fleet + '[mqtt.tls]\nca = "absent"\n')
    with pytest.raises(ConfigError, match=r"\[mqtt.tls\] ca: expected a file"):
        check_offline(path, {})
    path.write_text(fleet + '[mqtt]\nusername = "u"\npassword_file = "$CREDENTIALS_DIRECTORY/pw"\n')
    assert "known only within the systemd unit" in shown(render_plan(check_offline(path, {})))
    path.write_text(fleet + '[mqtt]\npassword_file = "$CREDENTIALS_DIRECTORY/pw"\n')
    with pytest.raises(ConfigError, match="set without `username`"):
        check_offline(path, {})


def reading(stream: str, at_s: float, *values: float, fleet: str = "tanks", received_s: float = 2000.0) -> Input:
    """A reading of the tanks."""
    packed = struct.pack(f"<{len(values)}d", *values)
    at_ns = int(at_s * 1e9)
    return Input.reading(fleet, stream, at_ns, int(received_s * 1e9), packed)


def survey_of(*readings: Input, messages: int = 0, fleet: Fleet = TANKS) -> Survey:
    """What these readings sum up to."""
    survey = Survey([fleet], Loop())
    survey.add(
        Decoded(Inputs.of(list(readings))), [Message("plant/x", b"", 1, False, False, 1, 1)] * messages, 2000 * 10**9
    )
    return survey


def test_a_period_that_is_not_the_configured_one_is_warned_of() -> None:
    """Median over the distances of each stream; 20 % are tolerated."""
    nan = float("nan")
    right = survey_of(*(reading(s, 1990 + 1.15 * n, 1, 1) for n in range(5) for s in ("a", "b")))
    wrong = survey_of(*(reading(s, 1990 + 1.3 * n, 1, 1) for n in range(5) for s in ("a", "b")))
    joined = survey_of(*(reading("a", 1990 + n + 0.5 * k, *((1, nan), (nan, 1))[k]) for n in range(5) for k in (0, 1)))
    assert right.warnings(10) == joined.warnings(10) == []
    assert wrong.warnings(10) == [
        "[fleet.tanks] period = '1s', but readings come every 1.3 s; set `period` to that, unless several readings "
        "are to make one step"
    ]


@pytest.mark.parametrize(
    ("survey", "warning"),
    [
        (survey_of(), "nothing to forecast was heard on plant/{tank} in 10 s"),
        (survey_of(reading("a", 1999, 1, 1)), "no stream spoke twice"),
        (survey_of(*(reading("a", 1990 + n, 1, float("nan")) for n in range(3))), "feature 'level' never came"),
        (survey_of(reading("a", 1, 1, 1, received_s=1.7e9)), "dated 53.9 years back; is `time_unit` right?"),
        (survey_of(messages=1000), "100 messages/s fill 1000 places in 10.0 s"),
        (survey_of(fleet=Fleet("tanks", ("plant/{tank}",), "{tank}", TANKS.features, 10**9)), "nothing to forecast"),
    ],
)
def test_what_an_operator_should_look_at_is_warned_of(survey: Survey, warning: str) -> None:
    """Each in a sentence that names the fleet or the broker."""
    assert any(warning in text for text in survey.warnings(10))


def test_readings_that_the_daemon_would_pass_over_are_warned_of_with_how_late() -> None:
    """Ten come long after newer ones of their stream, one comes twice: nothing refuses them, none is forecast."""
    late = [reading("a", 1900 + n, 1, 1) for n in range(10)]
    survey = survey_of(*(reading("a", 1990 + n, 1, 1) for n in range(20)), reading("a", 2009, 1, 1), *late)
    assert survey.refused == {}
    (warning,) = [text for text in survey.warnings(10) if "late" in text]
    assert warning.startswith(
        "[fleet.tanks] 11 of 31 readings would not be forecast: 10 late (1 min 44 s on average), 1 twice"
    )


def test_a_slow_stream_does_not_raise_the_alarm_over_the_brokers_queue() -> None:
    """60 s of it fit into 1000 places."""
    assert not any("max_queued_messages" in text for text in survey_of(messages=100).warnings(10))


def test_what_the_broker_dropped_is_told() -> None:
    """From `$SYS`, if it has that."""
    survey = survey_of()
    survey.note_broker([Message(SYS_DROPPED, b"17", 0, False, True, 0, 1)])
    assert any("has dropped 17 messages" in text for text in survey.warnings(10))


@pytest.fixture(params=["5", "3.1.1"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Both versions of MQTT."""
    return str(request.param)


def test_check_online_tells_what_a_real_broker_sends(tmp_path: Path, protocol: str) -> None:
    """Streams, features, period and refusals; the retained status of the daemon is left alone."""
    with run_mosquitto(tmp_path) as broker, RawClient(broker) as sensor:
        settings = settings_of(tmp_path, broker.port, protocol)
        fleets = resolve_fleets(settings)
        sensor.publish([("gaugecast-notices/daemon/gaugecast", b"online")], retain=True)
        with publishing(lambda n: publish_tanks(sensor, n)):
            survey = check_online(settings, fleets, 1.5)
        text = shown(render_survey(survey, 1.5))
        assert survey.faults == []
        assert set(survey.fleets["tanks"].streams) == {"a", "b"}
        assert survey.refused[("tanks", "not_json")] >= 1
        assert "mosquitto" in survey.broker["$SYS/broker/version"]
        assert re.search(r"tanks +2 +pressure +\d", text)
        assert "streams of tanks, for example: a, b" in text
        assert "plant/c  tanks c" in text
        assert "period = '1s', but readings come every 500 ms" in text
        assert status_of(broker) == b"online"


def test_check_online_comes_as_two_clients_of_its_own(tmp_path: Path, protocol: str) -> None:
    """Whatever the daemon's are called: it is not thrown out."""
    with run_mosquitto(tmp_path) as broker:
        settings = settings_of(tmp_path, broker.port, protocol, '[mqtt.publish]\nclient_id = "mine"\n')
        survey = check_online(settings, resolve_fleets(settings), 0.5)
        assert survey.faults == []
        came = {line.rsplit(" as ", 1)[1].split()[0] for line in broker.log_lines() if "New client connected" in line}
    assert sorted(name.rstrip("-0123456789") for name in came) == ["gaugecast-check", "mine-check"]


def test_check_online_tells_that_we_could_not_publish(tmp_path: Path, protocol: str) -> None:
    """The readings come, and yet no forecast could go."""
    with run_mosquitto(tmp_path) as broker:
        settings = settings_of(tmp_path, broker.port, protocol, f"[mqtt.publish]\nport = {free_port()}\n")
        survey = check_online(settings, resolve_fleets(settings), 0.5)
    (fault,) = survey.faults
    assert "no connection to publish with 127.0.0.1" in fault
    assert "refused" in fault


def settings_of(directory: Path, port: int, protocol: str, more: str = "") -> Settings:
    """A file with one fleet on this broker."""
    path = directory / "gaugecast.toml"
    fleet = '[fleet.tanks]\nsubscribe = ["plant/{tank}"]\nperiod = 1\ntime = "$.t"\n[fleet.tanks.features.pressure]\n'
    path.write_text(f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\nprotocol = "{protocol}"\n' + more + fleet)
    return load_settings(path, {})


def publish_tanks(sensor: RawClient, number: int) -> None:
    """Two tanks half a second apart by their own clocks, and a third that sends nonsense."""
    body = json.dumps({"t": 1_700_000_000 + number / 2, "pressure": 1.5}).encode()
    sensor.publish([("plant/a", body), ("plant/b", body), ("plant/c", b"{nonsense")])


def status_of(broker: Mosquitto) -> bytes:
    """The retained status that a newcomer sees."""
    with RawClient(broker, subscribe="gaugecast-notices/daemon/gaugecast") as client:
        return client.wait_heard(1)[0].payload


class publishing:
    """Calls `publish(0)`, `publish(1)`, … in a thread until the block ends."""

    def __init__(self, publish: Callable[[int], None]) -> None:
        self._publish = publish
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._ended.wait(0.05):
            self._publish(number)
            number += 1


def test_check_online_says_that_no_broker_answers(tmp_path: Path) -> None:
    """Within the time that it was given."""
    settings = settings_of(tmp_path, free_port(), "5")
    begun = time.monotonic()
    with pytest.raises(Unreachable, match=r"no connection with 127\.0\.0\.1:\d+: .*refused"):
        check_online(settings, resolve_fleets(settings), 0.5)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("directory", ["file", "file/state"])
def test_a_state_directory_that_can_never_be_one_is_refused(tmp_path: Path, directory: str) -> None:
    """A file stands there, or above it."""
    (tmp_path / "file").touch()
    path = tmp_path / "gaugecast.toml"
    path.write_text(_with_storage(tmp_path / directory))
    with pytest.raises(ConfigError, match=r"\[storage\] directory: expected a directory, .*file is a file"):
        check_offline(path, {})
    path.write_text(_with_storage(tmp_path / "new" / "state"))
    assert check_offline(path, {}).notes == ()


def _with_storage(directory: Path) -> str:
    fleet = '[fleet.tanks]\nsubscribe = ["tanks/{tank}"]\nperiod = "1s"\n[fleet.tanks.features.pressure]\n'
    return f'[storage]\ndirectory = "{directory}"\n{fleet}'


def test_what_the_streams_would_take_is_told_and_refused_where_it_is_too_much(tmp_path: Path) -> None:
    """Horizons cost memory, a stream; better said before the daemon runs."""
    fleet = '[fleet.tanks]\nsubscribe = ["plant/{tank}"]\nperiod = 1\nhorizons = ["1s", "1m", "1h"]\n'
    rest = "[fleet.tanks.features.pressure]\n"
    path = tmp_path / "gaugecast.toml"
    path.write_text("[loop]\nmax_streams = 1000\n" + fleet + rest)
    assert re.search(r"[\d,]+ bytes of state a stream, \d+ MB with 1,000", shown(render_plan(check_offline(path, {}))))
    path.write_text("[loop]\nmax_streams = 1000000\n" + fleet + rest)
    with pytest.raises(ConfigError, match=r"state_mb: 2000 MB expected to hold 1000000 streams, got \d+ MB"):
        check_offline(path, {})
